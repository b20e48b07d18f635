/*
 * cupel run in three files: run.c reads the command line and presents the end, run_request.c
 * writes the request as POST /execute would get it, run_agent.c does what cced does for one job.
 */
#ifndef PROGRAMS_CUPEL_RUN_H
#define PROGRAMS_CUPEL_RUN_H

#include "engines/image/image.h"
#include "engines/keys/keys.h"
#include "programs/cupel/cupel.h"
#include "rules/job/execute.h"

struct run {
	/* the command line */
	struct list scripts; /* paths; "-" is standard input */
	const struct lang *lang;
	struct list args, data, tools, env, secret_env;
	uint64_t timeout_s, memory_mb;
	const char *image_name;
	const char *stdin_path;
	const char *certificate_path;
	char default_path[CUPEL_PATH_MAX];

	/* the request */
	char entrypoint[EXECUTE_NAME_MAX + 1];
	int body_fd;
	char content_type[128];
	uint64_t data_bytes;

	/* what runs it */
	struct local local;
	struct image *image;
	struct keys keys;
	struct buf issuer_spki;
	struct agent agent;
	int log_fd; /* memory file with the log lines of our processes; shown after a failure */
	int signal_fd;

	/* the end */
	struct json *reply;
	struct dsse signed_by_agent;
	struct buf envelope; /* signed by the agent and countersigned */
	struct cert_verification verification;
};

/* run_request.c: fills body_fd, content_type, entrypoint. */
int run_make_request(struct cupel *cupel, struct run *run, struct err *err) MUST_CHECK;

/* run_agent.c: start, run, certify, verify, stop. */
int run_on_agent(struct cupel *cupel, struct run *run, struct err *err) MUST_CHECK;

#endif
