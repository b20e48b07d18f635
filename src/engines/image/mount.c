/*
 * See mount.h. The mount API of Linux 5.2 (fsopen, fsconfig, fsmount) yields a mount that hangs on
 * a descriptor alone. A loop device, where one is needed, is configured with AUTOCLEAR: it is freed
 * by the kernel when the mount goes.
 */
#include "engines/image/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/str.h"

enum { LOOP_TRIES = 16, DIRECTORY_MODE = 0755, PATH_BYTES_MAX = 256 };

static const struct timespec mask_time = { .tv_sec = 1672531200 }; /* as in images/build.py */

static int mount_failed(const char *what, struct err *err)
{
	if (errno == EPERM)
		return err_sys(err, E_DENIED, "%s needs CAP_SYS_ADMIN", what);
	if (errno == EINVAL)
		return err_sys(err, E_INTEGRITY, "%s: the kernel does not know this format", what);
	return err_sys(err, E_UNAVAILABLE, "%s", what);
}

/* Options are pairs; one without a value is a flag. A descriptor, or the negative errno. */
static int make_mount(const char *type, const char *const *options, unsigned attributes)
{
	auto_close context = fsopen(type, FSOPEN_CLOEXEC);
	if (context < 0)
		return -errno;
	for (; *options; options += 2) {
		unsigned command = options[1] ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;
		if (fsconfig(context, command, options[0], options[1], 0) < 0)
			return -errno;
	}
	if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	int fd = fsmount(context, FSMOUNT_CLOEXEC, attributes);
	return fd < 0 ? -errno : fd;
}

static int make_erofs(const char *source)
{
	const char *const options[] = { "source", source, "ro", NULL, NULL };
	return make_mount(
		"erofs", options, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
}

/* A free loop device may be taken by another process between asking and configuring: try again. */
static int attach_loop(
	int file_fd, char ret_path[static PATH_BYTES_MAX], int *ret_fd, struct err *err)
{
	auto_close control = -1;
	TRY(fd_open("/dev/loop-control", O_RDWR, 0, &control, err));
	for (int i = 0; i < LOOP_TRIES; i++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);
		if (number < 0)
			return err_sys(err, E_UNAVAILABLE, "no free loop device");
		char path[PATH_BYTES_MAX];
		auto_close device = -1;
		TRY(str_format(path, sizeof(path), err, "/dev/loop%d", number));
		TRY(fd_open(path, O_RDONLY, 0, &device, err));
		struct loop_config config = {
			.fd = (unsigned)file_fd,
			.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR,
		};
		if (ioctl(device, LOOP_CONFIGURE, &config) == 0) {
			memcpy(ret_path, path, sizeof(path));
			*ret_fd = take_fd(&device);
			return 0;
		}
		if (errno != EBUSY)
			return err_sys(err, E_UNAVAILABLE, "loop device %s", path);
	}
	return err_set(err, E_UNAVAILABLE, "no loop device stayed free in %d tries", LOOP_TRIES);
}

int mount_erofs(int file_fd, bool with_loop, int *ret_fd, struct err *err)
{
	char source[PATH_BYTES_MAX];
	TRY(str_format(source, sizeof(source), err, "/proc/self/fd/%d", file_fd));
	if (!with_loop) {
		int fd = make_erofs(source);
		if (fd >= 0) {
			*ret_fd = fd;
			return 0;
		}
		errno = -fd;
		/* ENOTBLK: a kernel before 6.12, or built without file-backed mounts */
		if (errno != ENOTBLK)
			return mount_failed("mounting the image", err);
	}
	auto_close device = -1; /* open until the mount holds the loop device */
	TRY(attach_loop(file_fd, source, &device, err));
	int fd = make_erofs(source);
	if (fd < 0) {
		errno = -fd;
		return mount_failed("mounting the image by a loop device", err);
	}
	*ret_fd = fd;
	return 0;
}

/* The same modes and times whatever the umask and the clock say: a job can see them. */
static int make_directory(int fd, const char *path, struct err *err)
{
	if (mkdirat(fd, path, DIRECTORY_MODE) < 0)
		return errno == EEXIST ? 0 : err_sys(err, E_UNAVAILABLE, "mask: mkdir %s", path);
	if (fchmodat(fd, path, DIRECTORY_MODE, 0) < 0)
		return err_sys(err, E_UNAVAILABLE, "mask: chmod %s", path);
	return 0;
}

/* Calls function for every directory above path ("usr", "usr/bin"). */
static int each_parent(
	int fd, const char *path, int (*function)(int, const char *, struct err *), struct err *err)
{
	char parent[PATH_BYTES_MAX];
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		TRY(str_format(parent, sizeof(parent), err, "%.*s", (int)(slash - path), path));
		TRY(function(fd, parent, err));
	}
	return 0;
}

static int set_time(int fd, const char *path, struct err *err)
{
	const struct timespec times[] = { mask_time, mask_time };
	if (utimensat(fd, path, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, E_UNAVAILABLE, "mask: time of %s", path);
	return 0;
}

static int add_whiteouts(int fd, const struct manifest_path *paths, size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		const char *path = paths[i].path + 1; /* relative to the mask */
		if (paths[i].is_visible)
			continue;
		TRY(each_parent(fd, path, make_directory, err));
		if (mknodat(fd, path, S_IFCHR, makedev(0, 0)) < 0)
			return err_sys(err, errno == EPERM ? E_DENIED : E_UNAVAILABLE,
				"mask: whiteout %s", path);
	}
	for (size_t i = 0; i < count; i++) {
		if (!paths[i].is_visible)
			TRY(each_parent(fd, paths[i].path + 1, set_time, err));
	}
	return set_time(fd, ".", err);
}

/* The superblock too, so that no other view of it can be written. */
static int make_read_only(int fd, struct err *err)
{
	auto_close context = fspick(fd, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);
	if (context < 0 || fsconfig(context, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0 ||
		fsconfig(context, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
		return err_sys(err, E_UNAVAILABLE, "mask: read-only");
	return 0;
}

int mount_mask(const struct manifest_path *paths, size_t count, int *ret_fd, struct err *err)
{
	char size[32];
	TRY(str_format(size, sizeof(size), err, "%d", IMAGE_MASK_BYTES_MAX));
	const char *const options[] = { "source", "cupel-mask", "size", size, "mode", "755", NULL };
	auto_close fd = make_mount(
		"tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (fd < 0) {
		errno = -fd;
		return mount_failed("mounting the mask", err);
	}
	TRY(add_whiteouts(fd, paths, count, err));
	TRY(make_read_only(fd, err));
	*ret_fd = take_fd(&fd);
	return 0;
}
