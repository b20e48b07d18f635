/* Kernel memory that no control group counts, looked at while a run lasts; see uncounted.c. */
#ifndef ENGINES_SANDBOX_UNCOUNTED_H
#define ENGINES_SANDBOX_UNCOUNTED_H

#include "engines/sandbox/locks.h"
#include "engines/sandbox/open_files.h"
#include "engines/sandbox/slot.h"

enum {
	SOCKETS_MAX = 16384, /* UNIX sockets: 0.9 KB of every two that wait to be accepted */
	/* Descriptors and mappings of files; 200 bytes of each that has a lock. */
	OPEN_FILES_MAX = 65536,
	OPEN_FILES_PER_PROCESS = 1024, /* if that is more; a C program has 30, a Java program 500 */
	/*
	 * Between two looks, in which the supervisor waits: a reader of the list of locks waits
	 * for a grace period of RCU, 6 ms. A taker comes to 3 locks in 10 us.
	 */
	UNCOUNTED_LOOK_USEC = 200000,
};

struct uncounted {
	uint64_t next_usec;  /* on the slot's clock */
	uint64_t began_usec; /* the look that is under way, over several calls, or the last */
	struct cgroup_cpu at_look;
	bool is_looking;
	bool has_locks; /* counted */
	struct locks_look locks;
	struct open_files_look files;
};

/* base: processor time used before the run. */
struct uncounted uncounted_start(struct cgroup_cpu base);

/*
 * When it is time for a look: one step of it, of some milliseconds at most. Ends the run (cause
 * memory) when there is too much.
 */
void uncounted_look(struct slot *slot, struct uncounted *state);

/* Whatever was under way. */
void uncounted_end(struct uncounted *state);

#endif
