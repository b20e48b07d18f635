/*
 * What musl 1.2.3 lacks of Linux, for the static supervisor alone (tools/musl-cc.sh includes this
 * file first; everything else is built with glibc's headers). Why musl: glibc's start asks a
 * virtual processor a hundred CPUID questions, 150 us, as much as everything else before the first
 * fork. Values: include/uapi/linux/mount.h, stat.h, close_range.h.
 */
#ifndef ENGINES_SANDBOX_MUSL_H
#define ENGINES_SANDBOX_MUSL_H

#include <errno.h>
#include <linux/stat.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FSCONFIG_SET_FLAG 0
#define FSCONFIG_SET_STRING 1
#define FSCONFIG_CMD_CREATE 6
#define MOUNT_ATTR_RDONLY 0x1
#define MOUNT_ATTR_NOSUID 0x2
#define MOUNT_ATTR_NODEV 0x4
#define MOUNT_ATTR_NOEXEC 0x8
#define MOUNT_ATTR_NOATIME 0x10
#define OPEN_TREE_CLONE 1

/* Never translated, of static text. */
static inline const char *strerrordesc_np(int error)
{
	return error == ETOOMANYREFS ? "Too many descriptors in flight" : strerror(error);
}

struct mount_attr {
	uint64_t attr_set;
	uint64_t attr_clr;
	uint64_t propagation;
	uint64_t userns_fd;
};

static inline int statx(int dir, const char *path, int flags, unsigned mask, struct statx *to)
{
	return (int)syscall(SYS_statx, dir, path, flags, mask, to);
}

static inline int close_range(unsigned first, unsigned last, int flags)
{
	return (int)syscall(SYS_close_range, first, last, flags);
}

#endif
