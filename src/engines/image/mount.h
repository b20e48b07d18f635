/*
 * Detached mounts of one image file and of one mask. Internal to engines/image.
 */
#ifndef ENGINES_IMAGE_MOUNT_H
#define ENGINES_IMAGE_MOUNT_H

#include <stdbool.h>

#include "engines/image/manifest.h"

/*
 * Mount the EROFS file behind file_fd, read-only, nosuid, nodev; a loop device where the kernel
 * cannot mount a file or with_loop is set. E_DENIED, E_UNAVAILABLE, E_INTEGRITY when the file is
 * no EROFS.
 */
int mount_erofs(int file_fd, bool with_loop, int *ret_fd, struct err *err) MUST_CHECK;

/* A read-only tmpfs with a whiteout at every path that is not visible. E_DENIED, E_UNAVAILABLE. */
int mount_mask(
	const struct manifest_path *paths, size_t count, int *ret_fd, struct err *err) MUST_CHECK;

#endif
