/* One run in a chosen tier, as a caller of the library does it. */
#ifndef PROGRAMS_CUPEL_SANDBOX_TIER_H
#define PROGRAMS_CUPEL_SANDBOX_TIER_H

#include "engines/sandbox/sandbox.h"

/* E_INVALID for a name that is none. */
int tier_parse(const char *name, enum sandbox_tier *ret_tier, struct err *err) MUST_CHECK;

/*
 * Run plan in a sandbox of this tier, to its end; sink is called for each event from STARTED on.
 *
 * plan, files  borrowed; parked: plan->argv[0] names the interpreter, python3 or node
 *
 * E_INVALID for a tier or an interpreter that is not prepared; E_UNAVAILABLE when the sandbox could
 * not be built ahead: the message is its own. What goes wrong in the run is in its result.
 */
typedef void tier_sink(void *context, const struct sandbox_event *event);
int tier_run(enum sandbox_tier tier, const struct sandbox_plan *plan,
	const struct sandbox_files *files, tier_sink *sink, void *context,
	struct err *err) MUST_CHECK;

/*
 * The same in a sandbox of the pool that listens at path. E_UNAVAILABLE: nobody does, or the pool
 * cannot build. A plan for which it was not prepared ends with cause internal and says why.
 */
int tier_run_from_pool(const char *path, const struct sandbox_plan *plan,
	const struct sandbox_files *files, tier_sink *sink, void *context,
	struct err *err) MUST_CHECK;

enum { TIER_PARKED_ARGV = 4 };
#define TIER_POOL_TEMPLATE "default" /* the one template of a pool made by hand */

/* What sandbox_prepare wants for this tier and plan. ret_ahead borrows plan and ret_parked. */
int tier_plan_ahead(enum sandbox_tier tier, const struct sandbox_plan *plan,
	const char *ret_parked[static TIER_PARKED_ARGV], struct sandbox_plan *ret_ahead,
	struct err *err) MUST_CHECK;

struct sockaddr_un;

/* E_INVALID when path names no file: an empty one would be an address without owner or mode. */
int tier_address(const char *path, struct sockaddr_un *ret_address, struct err *err) MUST_CHECK;

/* A connection to such a pool. E_INVALID, E_UNAVAILABLE. */
int tier_connect(const char *path, int *ret_socket, struct err *err) MUST_CHECK;

#endif
