/*
 * A pool of sandboxes built ahead.
 *
 * The pool is one process (program cupel-sandbox, verb pool) behind one SOCK_SEQPACKET descriptor.
 * It keeps a number of ready sandboxes for each named template and hands out control descriptors;
 * what is handed out is replaced, one at a time and at low priority, so that refilling does not
 * compete with runs. Closing the descriptor ends the pool and every sandbox still in it; those
 * handed out live on. One caller at a time may use the descriptor; others may be let in by a
 * listening socket.
 */
#ifndef ENGINES_SANDBOX_POOL_H
#define ENGINES_SANDBOX_POOL_H

#include "engines/sandbox/sandbox.h"

enum {
	POOL_TEMPLATES_MAX = 32,
	POOL_SIZE_MAX = 64, /* ready sandboxes per template */
	POOL_NAME_MAX = 64,
	POOL_FAILURES_MAX = 3, /* builds that fail in a row; then its takes fail */
	POOL_GUESTS_MAX = 16,  /* connections at a time; more wait in the socket's backlog */
};

/*
 * Start a pool process, a child that nobody here waits for. Errors as sandbox_open. Close the
 * descriptor to end it.
 */
int sandbox_pool_open(
	const struct sandbox_config *config, int *ret_pool, struct err *err) MUST_CHECK;

/*
 * Keep count sandboxes ready under this name (0: none any more). A name that is known gets the new
 * template; ready ones of the old are destroyed. plan, files and tier as for sandbox_prepare; the
 * pool keeps copies of the descriptors. E_INVALID for a bad name or plan, or a tier of one tenant;
 * E_LIMIT for too many.
 */
int sandbox_pool_keep(int pool, const char *name, enum sandbox_tier tier, uint32_t count,
	const struct sandbox_plan *plan, const struct sandbox_files *files,
	struct err *err) MUST_CHECK;

/*
 * Take a ready sandbox: sandbox_start(control, ...) runs it. Never waits for a build: E_NOT_FOUND
 * when none is ready now (run cold then); E_UNAVAILABLE when the pool died, or with the reason when
 * building this template fails: the take has it tried again, at most once a second.
 */
int sandbox_pool_take(int pool, const char *name, int *ret_control, struct err *err) MUST_CHECK;

struct sandbox_pool_status {
	uint32_t ready;
	uint32_t building;
	uint32_t taken_total;
	uint32_t missed_total; /* takes that found none */
	uint32_t built_total;
	uint32_t failed_total;
};

/* Sums over all templates, for metrics. */
int sandbox_pool_status(
	int pool, struct sandbox_pool_status *ret_status, struct err *err) MUST_CHECK;

/*
 * Let others in: whoever connects to this listening SOCK_SEQPACKET socket may make one request,
 * sandbox_pool_take or sandbox_pool_status, over the connection. A take waits for a sandbox. Who
 * may connect is decided by the socket's address. The pool keeps a copy of the descriptor.
 * E_INVALID when it is no such socket.
 */
int sandbox_pool_listen(int pool, int listener, struct err *err) MUST_CHECK;

/* The pool process itself: serve until control, its only descriptor but 0, 1 and 2, is closed. */
int pool_serve(int control, struct err *err) MUST_CHECK;

#endif
