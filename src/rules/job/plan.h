/*
 * From a request to a command line: argv and environment of the first process, in the order and
 * form that make runs repeatable (sorted, fixed locale, time zone and hash seed). Pure.
 */
#ifndef RULES_JOB_PLAN_H
#define RULES_JOB_PLAN_H

#include "rules/job/execute.h"

#define PLAN_APP_DIRECTORY "/app"   /* scripts, read-only */
#define PLAN_DATA_DIRECTORY "/data" /* datasets, read-only */
#define PLAN_WORK_DIRECTORY "/work" /* current directory, writable */

#define PLAN_ARGV_MAX (LANG_ARGV_MAX + 1 + EXECUTE_ARGS_MAX + 1)
#define PLAN_ENV_MAX (EXECUTE_ENV_MAX + 16)

struct plan {
	const char *argv[PLAN_ARGV_MAX]; /* NULL-terminated */
	size_t argc;
	char *env[PLAN_ENV_MAX]; /* NAME=value, sorted, NULL-terminated, owned */
	size_t env_count;
	char *script_path; /* owned */
	/*
	 * The interpreter waits warmed up in its sandbox before the job comes. A function of the
	 * request alone, so that equal requests have equal inputs: not when the request sets
	 * variables that the interpreter reads at its start.
	 */
	bool is_parked;
};

/* The plan borrows from the request. Release with plan_done. E_LIMIT never for a parsed request. */
int plan_make(
	const struct execute_request *request, struct plan *ret_plan, struct err *err) MUST_CHECK;
void plan_done(struct plan *plan);

#endif
