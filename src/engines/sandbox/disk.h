/* The writable tmpfs between two runs. Internal to the engine; see disk.c. */
#ifndef ENGINES_SANDBOX_DISK_H
#define ENGINES_SANDBOX_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "kit/base/err.h"

enum {
	DISK_PLACES = 5,      /* directories of the tmpfs that a run sees */
	DISK_WIPE_MAX = 1024, /* entries, of all depths; with more a new sandbox is cheaper */
};

struct disk_place {
	mode_t mode;
	uid_t uid;
	gid_t gid;
	ssize_t attributes; /* bytes of their names: those that a security module gives stay */
	struct timespec accessed; /* only who sets it changes it: the mount is noatime */
	struct timespec modified;
};

struct disk_state {
	uint64_t free_blocks;
	uint64_t free_files;
	struct disk_place places[DISK_PLACES];
};

/* As it is now, and must be empty. E_UNAVAILABLE when that cannot be seen. */
int disk_note(struct disk_state *ret_state, struct err *err) MUST_CHECK;

/* Nobody is alive inside: remove what a run left. False when it is not as it was noted then. */
bool disk_restore(const struct disk_state *state);

#endif
