/* How many file locks a sandbox holds. Internal to the engine; see locks.c. */
#ifndef ENGINES_SANDBOX_LOCKS_H
#define ENGINES_SANDBOX_LOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	LOCKS_MAX = 4096, /* the time of a look grows with their square: 3 ms for these */
};

/* One look, page after page; empty before the first. */
struct locks_look {
	int fd;
	uint64_t *seen; /* digests of lines; NULL before the first page */
	size_t count;   /* lines that are not like one before */
	size_t lines;
};

/* Reads one page of the locks of the pid namespace of this proc. True while there is more to read.
 */
bool locks_look_on(struct locks_look *look, int proc);

/* Whether more than LOCKS_MAX were held or waited for, as far as was read. */
bool locks_are_too_many(const struct locks_look *look);

/* Makes it empty again. */
void locks_look_end(struct locks_look *look);

#endif
