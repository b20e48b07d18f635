/* The exec tree and the process limit, by ptrace. Internal to the engine. */
#ifndef ENGINES_SANDBOX_TRACER_H
#define ENGINES_SANDBOX_TRACER_H

#include "engines/sandbox/slot.h"

enum {
	/* So long a child's parent may take to announce it before somebody looks whether it lives.
	 */
	TRACER_ORPHAN_USEC = 10000,
	/* bash repeats a refused fork 8 times with pauses; what asks that often is a bomb. */
	TRACER_REFUSED_MAX = 256,
};

struct traced;

struct tracer {
	struct slot *slot;
	struct traced *tasks; /* live tasks, unordered */
	size_t count;
	size_t capacity;
	size_t waiting;     /* for their announcement */
	uint32_t processes; /* live */
	uint32_t next_number;
	pid_t refused[TRACER_REFUSED_MAX]; /* children that were refused and are still there */
	size_t refused_count;
};

/* Attach to the payload-to-be, before it execs. */
int tracer_start(struct tracer *tracer, struct slot *slot, struct err *err) MUST_CHECK;

/* One wait status of any task but PID 1. */
void tracer_handle(struct tracer *tracer, pid_t pid, int status);

/* Children that waited so long that their parent may have died; call now and then while waiting. */
void tracer_release_orphans(struct tracer *tracer);

/* Nobody is left but the first process, with its threads. */
bool tracer_is_alone(const struct tracer *tracer);

/* The only process left told its exit code; report that, and not its being killed. */
void tracer_tell_exit(struct tracer *tracer, int exit_code);

void tracer_done(struct tracer *tracer);

#endif
