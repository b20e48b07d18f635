/* Building a sandbox without root: in a user namespace of the caller's. Internal to the engine. */
#ifndef ENGINES_SANDBOX_ROOTLESS_H
#define ENGINES_SANDBOX_ROOTLESS_H

#include "engines/sandbox/slot.h"

/*
 * If we are an ordinary user: become root of a new user namespace with this one user in it, and of
 * a copy of the mounts. If we are root of a user namespace only: note that. Otherwise nothing. Sets
 * slot->is_rootless. E_UNAVAILABLE says which setting forbids it; E_DENIED when such a root is the
 * machine's root after all.
 */
int rootless_enter(struct slot *slot, struct err *err) MUST_CHECK;

/*
 * The caller's descriptors belong to its mounts; replace them by the same directories in ours, and
 * those of /app and /data by detached clones. E_UNAVAILABLE when a directory is not found again by
 * its path.
 */
int rootless_adopt(struct slot *slot, struct err *err) MUST_CHECK;

#endif
