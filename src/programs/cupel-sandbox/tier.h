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
int tier_run(enum sandbox_tier tier, const struct sandbox_plan *plan,
	const struct sandbox_files *files,
	void (*sink)(void *context, const struct sandbox_event *event), void *context,
	struct err *err) MUST_CHECK;

#endif
