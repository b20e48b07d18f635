/* Kernel memory that no control group counts, looked at while a run lasts; see uncounted.c. */
#ifndef ENGINES_SANDBOX_UNCOUNTED_H
#define ENGINES_SANDBOX_UNCOUNTED_H

#include "engines/sandbox/slot.h"

enum {
	SOCKETS_MAX = 16384, /* UNIX sockets: 0.9 KB of every two that wait to be accepted */
	/*
	 * Between two looks, for which the supervisor waits: a reader of the list of locks waits
	 * for a grace period of RCU, 6 ms. A taker comes to 3 locks in 10 us.
	 */
	UNCOUNTED_LOOK_USEC = 200000,
};

struct uncounted {
	uint64_t next_usec; /* on the slot's clock */
	struct cgroup_cpu at_look;
};

/* base: processor time used before the run. */
struct uncounted uncounted_start(struct cgroup_cpu base);

/* When it is time for a look: ends the run (cause memory) when there is too much. */
void uncounted_look(struct slot *slot, struct uncounted *state);

#endif
