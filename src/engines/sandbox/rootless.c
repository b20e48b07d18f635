/*
 * The rootless back end.
 *
 * An ordinary user may make a user namespace and is root in it, over whatever other namespaces are
 * made there: enough for every mount, the network, the tracer, Landlock and the filter. What is not
 * to be had, and therefore stands in the result as not enforced: a host uid of its own (only the
 * user's own can be mapped, and the user's groups cannot be given up), device files of its own (the
 * host's are bound in), control groups (unless a part of cgroup v2 was delegated).
 *
 * Everything here happens before anything of a stranger's is read, and while the process is
 * dumpable: the files in /proc of one that is not belong to the machine's root, and we write some.
 */
#include "engines/sandbox/rootless.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/str.h"

enum {
	PATH_BYTES = 4096,
	MAP_BYTES = 256,
	DECIMAL = 10,
};

#define ID_LAST 4294967294u /* of the kernel's own, full map */

static int write_self(const char *name, const char *text, struct err *err)
{
	auto_close fd = -1;
	TRY(fd_open(name, O_WRONLY, 0, &fd, err));
	if (write(fd, text, strlen(text)) < 0)
		return err_sys(err, E_UNAVAILABLE, "writing %s", name);
	return 0;
}

static int map_self(uid_t uid, gid_t gid, struct err *err)
{
	char map[MAP_BYTES];
	TRY(str_format(map, sizeof(map), err, "0 %u 1\n", uid));
	TRY(write_self("/proc/self/uid_map", map, err));
	TRY(write_self("/proc/self/setgroups", "deny", err));
	TRY(str_format(map, sizeof(map), err, "0 %u 1\n", gid));
	return write_self("/proc/self/gid_map", map, err);
}

/* The lines of uid_map: first id inside, first outside, count. */
static bool covers(const char *map, uint64_t id, uint64_t *ret_outside)
{
	for (char *at = (char *)(uintptr_t)map; *at;) {
		uint64_t inside = strtoull(at, &at, DECIMAL);
		uint64_t outside = strtoull(at, &at, DECIMAL);
		uint64_t count = strtoull(at, &at, DECIMAL);
		if (*at != '\n')
			return false;
		at++;
		if (id < inside || id - inside >= count)
			continue;
		*ret_outside = outside + (id - inside);
		return true;
	}
	return false;
}

/* Root of the machine, whose ids are all mapped to themselves; or only of a user namespace. */
static int look_at_root(struct slot *slot, struct err *err)
{
	auto_done(buf) map = {};
	uint64_t first = 0;
	uint64_t last = 0;
	TRY(fd_read_file("/proc/self/uid_map", PATH_BYTES, &map, err));
	if (covers(buf_string(&map), 0, &first) && first == 0 &&
		covers(buf_string(&map), ID_LAST, &last) && last == ID_LAST)
		return 0;
	if (first == 0)
		return err_set(err, E_DENIED,
			"root of this user namespace is root of the machine, or of its parent; "
			"start it as an ordinary user");
	slot->is_rootless = true;
	return 0;
}

int rootless_enter(struct slot *slot, struct err *err)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	if (uid == 0)
		TRY(look_at_root(slot, err));
	if (uid == 0 && !slot->is_rootless)
		return 0;
	slot->is_rootless = true;
	slot->host_uid = 0; /* as this namespace calls the user */
	if (unshare(uid ? CLONE_NEWUSER | CLONE_NEWNS : CLONE_NEWNS) < 0)
		return err_sys(err, E_UNAVAILABLE,
			"making a user namespace as an ordinary user (allow it: sysctl "
			"user.max_user_namespaces, kernel.unprivileged_userns_clone=1, "
			"kernel.apparmor_restrict_unprivileged_userns=0; or run as root)");
	return uid ? map_self(uid, gid, err) : 0;
}

/* The directory that fd names, through our own mounts; flags of open_tree. */
static int find_again(int fd, unsigned flags, int *ret_fd, struct err *err)
{
	char link[MAP_BYTES];
	char path[PATH_BYTES];
	struct stat theirs;
	struct stat ours;
	TRY(str_format(link, sizeof(link), err, "/proc/self/fd/%d", fd));
	ssize_t size = readlink(link, path, sizeof(path) - 1);
	path[size > 0 ? size : 0] = 0;
	auto_close found = (int)syscall(SYS_open_tree, AT_FDCWD, path, flags | O_CLOEXEC);
	if (found < 0 && errno == EINVAL)
		return err_set(err, E_UNAVAILABLE,
			"%s: expected no mounts below it, which only root can leave out", path);
	if (found < 0 || fstat(fd, &theirs) < 0 || fstat(found, &ours) < 0)
		return err_sys(err, E_UNAVAILABLE, "without root, opening %s again", path);
	if (!S_ISDIR(ours.st_mode) || ours.st_dev != theirs.st_dev || ours.st_ino != theirs.st_ino)
		return err_set(err, E_UNAVAILABLE,
			"without root, every directory of the sandbox must be found by its path; "
			"%s is another one here",
			path);
	*ret_fd = take_fd(&found);
	return 0;
}

static int adopt(struct slot *slot, struct err *err)
{
	const struct {
		int *fd;
		unsigned flags;
	} rows[] = {
		{ &slot->files.root_fd, 0 },
		{ &slot->files.mask_fd, 0 },
		{ &slot->files.app_fd, OPEN_TREE_CLONE },
		{ &slot->files.data_fd, OPEN_TREE_CLONE },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int found;
		if (*rows[i].fd < 0)
			continue;
		TRY(find_again(*rows[i].fd, rows[i].flags, &found, err));
		fd_close(rows[i].fd);
		*rows[i].fd = found;
	}
	return 0;
}

static int enter(int mounts, struct err *err)
{
	if (mounts >= 0 && setns(mounts, CLONE_NEWNS) < 0)
		return err_sys(err, E_UNAVAILABLE, "changing the mount namespace");
	return 0;
}

int rootless_adopt(struct slot *slot, struct err *err)
{
	if (!slot->is_rootless)
		return 0;
	TRY(enter(slot->sandbox_mounts >= 0 ? slot->host_mounts : -1, err));
	TRY(adopt(slot, err));
	return enter(slot->sandbox_mounts, err);
}
