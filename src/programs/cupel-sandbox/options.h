/* What run and pool of cupel-sandbox are told. See options.c. */
#ifndef PROGRAMS_CUPEL_SANDBOX_OPTIONS_H
#define PROGRAMS_CUPEL_SANDBOX_OPTIONS_H

#include "engines/sandbox/sandbox.h"

enum { OPTIONS_ENV_MAX = 256 };

struct options {
	struct sandbox_plan plan; /* argv is NULL when no program was named */
	struct sandbox_files files;
	const char *env[OPTIONS_ENV_MAX + 1];
	size_t env_count;
	enum sandbox_tier tier;
	bool show_trace;
	bool show_json;
	const char *pool;   /* run: socket of the pool to take a sandbox from, or NULL */
	const char *listen; /* pool: where to listen */
	const char *status; /* pool: socket of the one to ask */
	uint64_t ready;     /* pool: sandboxes kept */
};

/*
 * Borrows argv; is_pool: of pool, else of run. E_INVALID says what was expected; E_NOT_FOUND,
 * E_UNAVAILABLE for directories.
 */
int options_parse(
	struct options *options, bool is_pool, int argc, char **argv, struct err *err) MUST_CHECK;

#endif
