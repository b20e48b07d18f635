/* What the files of cupel-attest share: loading evidence, and one function per verb. */
#ifndef PROGRAMS_CUPEL_ATTEST_ATTEST_H
#define PROGRAMS_CUPEL_ATTEST_ATTEST_H

#include "kit/codec/json.h"
#include "rules/appraise/bundle.h"

enum {
	ATTEST_EXIT_DONE = 0,
	ATTEST_EXIT_REFUSED = 1,
	ATTEST_EXIT_USAGE = 2,
	ATTEST_EXIT_SIMULATED = 3,
};

/* Files read for one run; views of a bundle point into them. */
struct loaded {
	struct bundle bundle;
	struct buf files[BUNDLE_ITEM_COUNT + 4];
	size_t count;
};

void loaded_done(struct loaded *loaded);

/* A whole file; the view lives as long as loaded. */
int load_file(struct loaded *loaded, const char *path, struct view *ret_bytes,
	struct err *err) MUST_CHECK;

/* Every item of a directory by its file name. Files with other names are left alone. */
int load_directory(struct loaded *loaded, const char *path, struct err *err) MUST_CHECK;

/*
 * Evidence from a directory, a bundle, or one file whose kind is seen from its first bytes (TDX
 * quote, SNP report with or without certificate table, HCL report, token). E_INVALID otherwise.
 */
int load_evidence(struct loaded *loaded, const char *path, struct err *err) MUST_CHECK;

/* When everything in it is valid: the latest beginning, the earliest end. */
struct cache_span {
	uint64_t from_ms, to_ms;
};

/* E_NOT_FOUND for a bundle without dated collateral, E_INVALID for what does not parse. */
int cache_span(
	const struct bundle *bundle, struct cache_span *ret_span, struct err *err) MUST_CHECK;

/*
 * Make a directory hold these items, at once as a whole; other files in it stay. E_UNAVAILABLE
 * leaves what was there.
 */
int cache_install(const struct bundle *bundle, const char *directory, struct err *err) MUST_CHECK;

/* Verbs: argv[0] is the verb; the result is the exit status, or negative with err. */
int attest_quote(int argc, char **argv, struct err *err) MUST_CHECK;
int attest_verify(int argc, char **argv, struct err *err) MUST_CHECK;
int attest_inspect(int argc, char **argv, struct err *err) MUST_CHECK;
int attest_measure(int argc, char **argv, struct err *err) MUST_CHECK;
int attest_replay(int argc, char **argv, struct err *err) MUST_CHECK;
int attest_fetch(int argc, char **argv, struct err *err) MUST_CHECK; /* of collateral */
int attest_collateral(int argc, char **argv, struct err *err) MUST_CHECK;

/* Print a JSON value with a newline. */
int attest_print(const struct json *value, struct err *err) MUST_CHECK;

#endif
