/*
 * The control groups of one sandbox: v2 where the machine has it, v1 (also hybrid) else.
 *
 * Groups live in the slice "cupel" directly below the root of each hierarchy, named "s" + pid of
 * the supervisor: unique while it lives, and recognisable as rubbish when it does not.
 */
#ifndef ENGINES_SANDBOX_CGROUP_H
#define ENGINES_SANDBOX_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "engines/sandbox/sandbox.h"

enum cgroup_controller { CGROUP_MEMORY, CGROUP_PIDS, CGROUP_CPU, CGROUP_CONTROLLER_COUNT };

enum cgroup_gauge {
	CGROUP_GAUGE_OOM,
	CGROUP_GAUGE_CPU,
	CGROUP_GAUGE_SYSTEM,
	CGROUP_GAUGE_PEAK,
	CGROUP_GAUGE_TASKS,
	CGROUP_GAUGE_REFUSALS,
	CGROUP_GAUGE_COUNT,
};

enum { CGROUP_NAME_MAX = 24 };

#define CGROUP_TASKS_UNKNOWN UINT32_MAX

struct cgroup {
	enum sandbox_backend backend;
	bool is_rootless; /* then only a delegated part of v2 */
	char name[CGROUP_NAME_MAX];
	int dirs[CGROUP_CONTROLLER_COUNT];  /* v2 uses the first only; -1 when not there */
	int procs[CGROUP_CONTROLLER_COUNT]; /* cgroup.procs, open for writing (v1) */
	int gauges[CGROUP_GAUGE_COUNT];     /* what every run reads at its end, held open */
};

#define CGROUP_NONE                                        \
	((struct cgroup){ .backend = SANDBOX_BACKEND_NONE, \
		.dirs = { -1, -1, -1 },                    \
		.procs = { -1, -1, -1 },                   \
		.gauges = { [0 ... CGROUP_GAUGE_COUNT - 1] = -1 } })

/* Processor time: all of it, exact, and what ticks that hit the kernel say of it. */
struct cgroup_cpu {
	uint64_t usec;
	uint64_t system_usec;
};

struct cgroup_usage {
	struct cgroup_cpu cpu;
	uint64_t memory_peak_bytes;
};

/* Which back end this machine offers now. */
enum sandbox_backend cgroup_detect(bool is_rootless);

/*
 * Make the groups of supervisor pid and set their limits. A group of that name left by a dead
 * supervisor is removed first. A machine without cgroups gives backend NONE and success; a
 * machine with them that refuses gives E_UNAVAILABLE.
 */
int cgroup_make(struct cgroup *ret_group, int pid, bool is_rootless,
	const struct sandbox_limits *limits, struct err *err) MUST_CHECK;
int cgroup_set_limits(
	struct cgroup *group, const struct sandbox_limits *limits, struct err *err) MUST_CHECK;

/* Allow this many tasks from now on; false when the kernel refuses. */
bool cgroup_set_tasks(const struct cgroup *group, uint64_t tasks);

/* Kills by memory so far. Unknown counts as 0. */
uint32_t cgroup_oom_kills(const struct cgroup *group);
/* Whether its own limit was ever met; else who was killed for memory met another's. */
bool cgroup_is_at_limit(const struct cgroup *group);

/* Forks refused by the task limit so far. */
uint32_t cgroup_task_refusals(const struct cgroup *group);

struct cgroup_cpu cgroup_cpu(const struct cgroup *group);

uint64_t cgroup_memory(const struct cgroup *group); /* now, in bytes */
void cgroup_usage(const struct cgroup *group, struct cgroup_usage *ret_usage);

/* Start a new run in the same groups: peak back to the current usage. False if it cannot be. */
bool cgroup_reset_peak(const struct cgroup *group);

/* How many tasks are in it, dead or alive; 0 without groups, CGROUP_TASKS_UNKNOWN if unreadable. */
uint32_t cgroup_tasks(const struct cgroup *group);

/* SIGKILL to all processes in it but one. Some may be young enough not to be seen: ask again. */
void cgroup_kill_others(const struct cgroup *group, int spared_pid);

/* Remove the (empty) groups; retries while the kernel still counts the last exit. True if gone. */
bool cgroup_remove(struct cgroup *group);

/* Remove groups whose supervisor is no more; returns how many. */
uint32_t cgroup_sweep(void);

/*
 * Make joining a group cheap on an idle machine (15 ms -> 20 us): favordynmods on a named
 * hierarchy of our own; the flag acts kernel-wide. Once per boot. False when not possible.
 */
bool cgroup_make_fast(void);

#endif
