/* How many file locks a sandbox holds. Internal to the engine; see locks.c. */
#ifndef ENGINES_SANDBOX_LOCKS_H
#define ENGINES_SANDBOX_LOCKS_H

#include <stdbool.h>

enum {
	LOCKS_MAX = 4096, /* the time of a look grows with their square: 3 ms for these */
};

/* Whether more than LOCKS_MAX are held or waited for in the pid namespace of this proc. */
bool locks_are_too_many(int proc);

#endif
