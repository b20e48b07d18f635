/* How many file locks a sandbox holds. Internal to the engine; see locks.c. */
#ifndef ENGINES_SANDBOX_LOCKS_H
#define ENGINES_SANDBOX_LOCKS_H

#include <stdbool.h>

enum {
	LOCKS_MAX = 4096, /* the time of a look grows with their square: 3 ms for these */
	/*
	 * Between two looks, for which the supervisor waits: a reader of the list waits for a grace
	 * period of RCU, 6 ms. A taker comes to 3 locks in 10 us.
	 */
	LOCKS_LOOK_USEC = 200000,
	LOCKS_REST = 4, /* and so many times as long as the last one took */
	/* Who used less since then cannot have taken many. */
	LOCKS_SYSTEM_USEC = 10000, /* the kernel's ticks: a clever one falls between them, */
	LOCKS_CPU_USEC = 1000000,  /* but not out of the whole */
};

/* Whether more than LOCKS_MAX are held or waited for in the pid namespace of this proc. */
bool locks_are_too_many(int proc);

#endif
