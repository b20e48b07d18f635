/* Building and removing a slot: the supervisor's part. Internal to the engine. */
#ifndef ENGINES_SANDBOX_BUILD_H
#define ENGINES_SANDBOX_BUILD_H

#include "engines/sandbox/slot.h"

void build_empty(struct slot *slot, int control);

/* A supervisor of whatever process this was: its name, groups, signals blocked, user namespace. */
int build_become(struct slot *slot, struct err *err) MUST_CHECK;
int build_hide(struct err *err) MUST_CHECK; /* nobody of the same user looks into us any more */

/* Open what of the host is needed later, and slot->signals, which wakes at SIGCHLD. */
int build_hold_host(struct slot *slot, struct err *err) MUST_CHECK;

/* Wait for the first message: a plan to run, or one to prepare for. */
int build_receive(struct slot *slot, struct err *err) MUST_CHECK;

/* Take the plan a prepared slot was waiting for. E_CONFLICT when it was prepared for another. */
int build_adopt(struct slot *slot, struct err *err) MUST_CHECK;

/* Without a caller at the other end: borrow plan and files. */
int build_take(struct slot *slot, const struct sandbox_plan *plan,
	const struct sandbox_files *files, struct err *err) MUST_CHECK;

/* Wait for a word; E_UNAVAILABLE when pid (0: none), PID 1 or the payload dies before. */
int build_wait_task(const struct slot *slot, const uint32_t *word, pid_t pid, const char *who,
	struct err *err) MUST_CHECK;

/* E_UNAVAILABLE "<doing><step>" for a raw call's -errno; *step is read after the call, or NULL. */
int build_step(long status, const char *doing, const char *const *step, struct err *err) MUST_CHECK;

/* A pipe whose other end the payload owns, so that it can open it by name, as /dev/stdout. */
int build_stream(const struct slot *slot, bool is_read_by_us, bool is_copied, int *ret_ours,
	int *ret_theirs, struct err *err) MUST_CHECK;

/* Pipes and descriptors of one run. */
void build_close_run(struct slot *slot);

/* All of it, up to a payload that waits for slot->payload_go, or a spawner for its orders. */
int build_sandbox(struct slot *slot, struct err *err) MUST_CHECK;

/* E_UNAVAILABLE when a layer is missing that the plan does not allow to lack. */
int build_check(struct slot *slot, struct err *err) MUST_CHECK;

/* End all tasks, leave the sandbox's namespaces (which frees its mounts), remove cgroups, close
 * everything. */
void build_undo(struct slot *slot);

/* SANDBOX_RESULTS: made before the program starts; opened (or -1) when all is dead. */
int build_results(struct slot *slot, struct err *err) MUST_CHECK;
void build_open_results(struct slot *slot);

/*
 * Whether the payload may work in the plan's directory, where a parked program could only tell in
 * words of its own; else exec_error says why not.
 */
bool build_has_cwd(struct slot *slot);

/* Connect the caller's ends of the streams. */
void build_connect(struct slot *slot);

#endif
