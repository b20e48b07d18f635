/*
 * What the payload sees as its file system. Made by the supervisor, detached, and attached by PID 1
 * on borrowed memory: raw calls only.
 *
 *	/            overlay, read-only:  skeleton : mask : image
 *	/proc        own processes only, hidepid
 *	/work /tmp /dev/shm /home /run
 *	             five directories of one tmpfs that has the disk limit
 *	/app /data   overlay, read-only:  a mount of the caller : nothing
 *
 * An overlay of its own gives every sandbox its own inodes over shared pages: flock, leases,
 * inotify, FIFOs and UNIX sockets of the image and of inputs do not cross sandboxes. The
 * skeleton, a tiny tmpfs, brings the mount points and the five devices, so that any directory can
 * be an image; its opaque /dev hides whatever devices the image has. (Rootless, a tmpfs over /dev
 * does: slot_mount_devices.)
 *
 * The overlay is made in the caller's mount namespace, where the image is (in a copy of it on old
 * kernels); PID 1 has a copy of that from its birth, and leaves nothing of it. All paths are below
 * a tree that nobody else can change.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "engines/sandbox/slot.h"
#include "engines/sandbox/sys.h"
#include "kit/base/attr.h"

enum {
	FSOPEN_CLOEXEC_FLAG = 1,
	FSMOUNT_CLOEXEC_FLAG = 1,
	MOVE_FROM_FD = 4,   /* MOVE_MOUNT_F_EMPTY_PATH */
	RECURSIVE = 0x8000, /* AT_RECURSIVE */
	NUMBER_BYTES_MAX = 24,
	LAYERS_BYTES_MAX = 128,
	LAYERS_MAX = 3,
	/* OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH */
	CLONE_FROM_FD = 1 | O_CLOEXEC | AT_EMPTY_PATH,
};

/* Append text or a decimal number to a C string under construction; returns the new end. */
static char *put_text(char *end, const char *text)
{
	while (*text)
		*end++ = *text++;
	*end = 0;
	return end;
}

static char *put_number(char *end, uint64_t value)
{
	char digits[NUMBER_BYTES_MAX];
	char *first = digits + sizeof(digits) - 1;
	*first = 0;
	do
		*--first = (char)('0' + value % 10);
	while (value /= 10);
	return put_text(end, first);
}

static long set_option(int context, const char *key, const char *value)
{
	return sys5(fsconfig, context, FSCONFIG_SET_STRING, key, value, 0);
}

static long set_number(int context, const char *key, uint64_t value)
{
	char text[NUMBER_BYTES_MAX];
	(void)put_number(text, value);
	return set_option(context, key, text);
}

/* Create what context describes; the mount descriptor, or -errno. Closes context. */
static long finish_mount(int context, long attributes)
{
	long mount = sys5(fsconfig, context, FSCONFIG_CMD_CREATE, 0, 0, 0);
	if (mount == 0)
		mount = sys3(fsmount, context, FSMOUNT_CLOEXEC_FLAG, attributes);
	(void)sys1(close, context);
	return mount;
}

struct node {
	const char *name;
	mode_t mode;
	unsigned minor; /* devices: major 1 */
};

static const struct node skeleton_nodes[] = {
	{ "proc", S_IFDIR | 0555, 0 },
	{ "app", S_IFDIR | 0755, 0 },
	{ "data", S_IFDIR | 0755, 0 },
	{ "work", S_IFDIR | 0755, 0 },
	{ "tmp", S_IFDIR | 0755, 0 },
	{ "home", S_IFDIR | 0755, 0 },
	{ "run", S_IFDIR | 0755, 0 },
	{ "dev", S_IFDIR | 0755, 0 },
	{ "dev/shm", S_IFDIR | 0755, 0 },
	{ "dev/null", S_IFCHR | 0666, 3 },
	{ "dev/zero", S_IFCHR | 0666, 5 },
	{ "dev/full", S_IFCHR | 0666, 7 },
	{ "dev/random", S_IFCHR | 0666, 8 },
	{ "dev/urandom", S_IFCHR | 0666, 9 },
};

static const struct {
	const char *target;
	const char *name;
} skeleton_links[] = {
	{ "/proc/self/fd", "dev/fd" },
	{ "/proc/self/fd/0", "dev/stdin" },
	{ "/proc/self/fd/1", "dev/stdout" },
	{ "/proc/self/fd/2", "dev/stderr" },
};

/* With the five devices and an opaque /dev; rootless neither is possible, nor needed. */
static long build_skeleton(bool is_rootless, const char **ret_step)
{
	long context = sys2(fsopen, "tmpfs", FSOPEN_CLOEXEC_FLAG);
	STEP(context, "fsopen tmpfs");
	STEP(set_option((int)context, "size", "64k"), "skeleton size");
	STEP(set_option((int)context, "mode", "0755"), "skeleton mode");
	long dir = finish_mount((int)context, MOUNT_ATTR_NOSUID);
	STEP(dir, "mount of the skeleton");
	for (size_t i = 0; i < ARRAY_SIZE(skeleton_nodes); i++) {
		const struct node *node = &skeleton_nodes[i];
		if (S_ISDIR(node->mode))
			STEP(sys3(mkdirat, dir, node->name, node->mode & 07777), node->name);
		else if (!is_rootless)
			STEP(sys4(mknodat, dir, node->name, node->mode, makedev(1, node->minor)),
				node->name);
	}
	for (size_t i = 0; i < ARRAY_SIZE(skeleton_links); i++)
		STEP(sys3(symlinkat, skeleton_links[i].target, dir, skeleton_links[i].name),
			skeleton_links[i].name);
	if (is_rootless)
		return dir;
	long dev = sys4(openat, dir, "dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	STEP(dev, "skeleton dev");
	STEP(sys5(fsetxattr, dev, "trusted.overlay.opaque", "y", 1, 0), "opaque dev");
	(void)sys1(close, dev);
	return dir;
}

struct layers {
	long fds[LAYERS_MAX]; /* top first */
	size_t count;
};

static long make_overlay(const char *layers, long attributes, const char **ret_step)
{
	long context = sys2(fsopen, "overlay", FSOPEN_CLOEXEC_FLAG);
	STEP(context, "fsopen overlay");
	STEP(set_option((int)context, "source", "sandbox"), "overlay source");
	STEP(set_option((int)context, "lowerdir", layers), "overlay layers");
	return finish_mount((int)context, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | attributes);
}

static long mount_overlay(const struct layers *layers, const char **ret_step)
{
	char option[LAYERS_BYTES_MAX];
	char *end = option;
	for (size_t i = 0; i < layers->count; i++)
		end = put_number(put_text(end, i ? ":/proc/self/fd/" : "/proc/self/fd/"),
			(uint64_t)layers->fds[i]);
	long overlay = make_overlay(option, MOUNT_ATTR_NOATIME, ret_step);
	STEP(overlay, "mount of the root overlay");
	return overlay;
}

/*
 * Before Linux 6.15 overlayfs takes its layers only from mounts of its maker's namespace: attach
 * them for a moment, one over the other on the root of a private copy of ours. What is attached in
 * our namespace is cloned first; what is not must be a detached mount of this sandbox alone.
 */
static long mount_attached(const struct layers *layers, const char **ret_step)
{
	struct layers ours = { .count = layers->count };
	for (size_t i = 0; i < layers->count; i++) {
		long copy = sys3(open_tree, layers->fds[i], "", CLONE_FROM_FD);
		ours.fds[i] = copy < 0 ? layers->fds[i] : copy;
	}
	STEP(sys1(unshare, CLONE_NEWNS), "mount namespace of the layers");
	STEP(sys5(mount, 0, "/", 0, MS_REC | MS_PRIVATE, 0), "private mounts");
	for (size_t i = 0; i < ours.count; i++)
		STEP(sys5(move_mount, ours.fds[i], "", AT_FDCWD, "/", MOVE_FROM_FD),
			"attach a layer (before Linux 6.15: a mount of our namespace, or of its "
			"own; without root: with no mounts below it)");
	long overlay = mount_overlay(&ours, ret_step);
	for (size_t i = 0; i < ours.count; i++) {
		STEP(sys2(umount2, "/", MNT_DETACH), "detach a layer");
		if (ours.fds[i] != layers->fds[i])
			(void)sys1(close, ours.fds[i]);
	}
	return overlay;
}

long slot_build_root(struct slot *slot, int *ret_overlay, const char **ret_step)
{
	struct layers layers = {};
	long skeleton = build_skeleton(slot->is_rootless, ret_step);
	if (skeleton < 0)
		return skeleton;
	slot->skeleton = (int)skeleton;
	layers.fds[layers.count++] = skeleton;
	if (slot->files.mask_fd >= 0)
		layers.fds[layers.count++] = slot->files.mask_fd;
	layers.fds[layers.count++] = slot->files.root_fd;
	long overlay = mount_overlay(&layers, ret_step);
	if (overlay == -EINVAL)
		overlay = mount_attached(&layers, ret_step);
	if (overlay < 0)
		return overlay;
	*ret_overlay = (int)overlay;
	STEP(sys5(statx, overlay, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &slot->root),
		"statx of the root overlay");
	return 0;
}

/*
 * The overlay over "/", then the old root away, and with it the skeleton, somewhere below: by
 * itself it would wait once more for RCU at the end. (Before Linux 6.15 it was attached already,
 * and cannot be again.)
 */
long slot_enter_root(const struct slot *slot, int overlay, const char **ret_step)
{
	STEP(sys5(mount, 0, "/", 0, MS_REC | MS_PRIVATE, 0), "private mounts");
	(void)sys5(move_mount, slot->skeleton, "", AT_FDCWD, "/proc", MOVE_FROM_FD);
	STEP(sys5(move_mount, overlay, "", AT_FDCWD, "/", MOVE_FROM_FD), "attach root");
	STEP(sys1(fchdir, overlay), "fchdir root");
	STEP(sys2(pivot_root, ".", "."), "pivot_root");
	STEP(sys2(umount2, ".", MNT_DETACH), "detach the old root");
	STEP(sys1(chdir, "/"), "chdir root");
	return 0;
}

static const struct {
	const char *name;
	const char *below; /* where the directory is once the tmpfs sits on /work */
	const char *target;
} writable[] = {
	{ "tmp", "/work/tmp", "/tmp" }, { "shm", "/work/shm", "/dev/shm" },
	{ "home", "/work/home", "/home" }, { "run", "/work/run", "/run" },
	{ "work", "/work/work", "/work" }, /* last: covers the others' way */
};

#define NOTHING "nothing" /* an empty directory there that no path leads to */

long slot_make_writable(const struct slot *slot, const char **ret_step)
{
	const struct sandbox_limits *limits = &slot->parsed.plan.limits;
	long attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOATIME;
	if (!slot->config.allow_exec_in_work)
		attributes |= MOUNT_ATTR_NOEXEC;
	long context = sys2(fsopen, "tmpfs", FSOPEN_CLOEXEC_FLAG);
	STEP(context, "fsopen tmpfs");
	STEP(set_number((int)context, "size", limits->disk_bytes), "tmpfs size");
	uint64_t inodes = 2 /* the root, NOTHING */ + ARRAY_SIZE(writable) + limits->disk_files;
	STEP(set_number((int)context, "nr_inodes", inodes), "tmpfs nr_inodes");
	STEP(set_option((int)context, "mode", "0755"), "tmpfs mode");
	long dir = finish_mount((int)context, attributes);
	STEP(dir, "mount of the writable tmpfs");
	for (size_t i = 0; i < ARRAY_SIZE(writable); i++) {
		STEP(sys3(mkdirat, dir, writable[i].name, 0755), writable[i].name);
		STEP(sys5(fchownat, dir, writable[i].name, slot->host_uid, slot->host_uid, 0),
			writable[i].name);
	}
	STEP(sys3(mkdirat, dir, NOTHING, 0), NOTHING);
	return dir;
}

long slot_mount_writable(const struct slot *slot, const char **ret_step)
{
	STEP(sys5(move_mount, slot->disk, "", AT_FDCWD, "/work", MOVE_FROM_FD), "attach tmpfs");
	for (size_t i = 0; i < ARRAY_SIZE(writable); i++)
		STEP(sys5(mount, writable[i].below, writable[i].target, 0, MS_BIND, 0),
			writable[i].target);
	return 0;
}

long slot_make_proc(bool is_payloads, const char **ret_step)
{
	long context = sys2(fsopen, "proc", FSOPEN_CLOEXEC_FLAG);
	STEP(context, "fsopen proc");
	if (is_payloads) {
		STEP(set_option((int)context, "hidepid", "ptraceable"), "proc hidepid");
		STEP(set_option((int)context, "subset", "pid"), "proc subset");
	}
	long dir = finish_mount(
		(int)context, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	STEP(dir, "mount of proc");
	return dir;
}

long slot_mount_proc(int proc, const char **ret_step)
{
	STEP(sys5(move_mount, proc, "", AT_FDCWD, "/proc", MOVE_FROM_FD), "attach proc");
	(void)sys1(close, proc);
	return 0;
}

/*
 * Rootless: no device files can be made, and none on a mount of ours would open. So /dev is a tmpfs
 * with the names, and the host's device files are bound over them.
 */
static const char *const devices[SLOT_DEVICES] = { "/dev/null", "/dev/zero", "/dev/full",
	"/dev/random", "/dev/urandom" };

long slot_take_devices(struct slot *slot, const char **ret_step)
{
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		long device = sys3(open_tree, AT_FDCWD, devices[i], OPEN_TREE_CLONE | O_CLOEXEC);
		STEP(device, devices[i]);
		slot->devices[i] = (int)device;
	}
	return 0;
}

/* The same directory as the skeleton's, in place of what the image has there. */
static long make_dev(const char **ret_step)
{
	long context = sys2(fsopen, "tmpfs", FSOPEN_CLOEXEC_FLAG);
	STEP(context, "fsopen tmpfs");
	STEP(set_option((int)context, "size", "64k"), "size of /dev");
	STEP(set_option((int)context, "mode", "0755"), "mode of /dev");
	long dir = finish_mount((int)context, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	STEP(dir, "mount of /dev");
	STEP(sys5(move_mount, dir, "", AT_FDCWD, "/dev", MOVE_FROM_FD), "attach /dev");
	STEP(sys2(mkdir, "/dev/shm", 0755), "/dev/shm");
	for (size_t i = 0; i < ARRAY_SIZE(skeleton_links); i++)
		STEP(sys3(symlinkat, skeleton_links[i].target, dir,
			     skeleton_links[i].name + sizeof("dev")),
			skeleton_links[i].name);
	return dir;
}

long slot_mount_devices(const struct slot *slot, const char **ret_step)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
						     MOUNT_ATTR_NOEXEC };
	long dev = make_dev(ret_step);
	if (dev < 0)
		return dev;
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		long file = sys3(open, devices[i], O_CREAT | O_EXCL | O_CLOEXEC | O_WRONLY, 0644);
		STEP(file, devices[i]);
		(void)sys1(close, file);
		STEP(sys5(mount_setattr, slot->devices[i], "", AT_EMPTY_PATH, &attributes,
			     sizeof(attributes)),
			devices[i]);
		STEP(sys5(move_mount, slot->devices[i], "", AT_FDCWD, devices[i], MOVE_FROM_FD),
			devices[i]);
		(void)sys1(close, slot->devices[i]);
	}
	STEP(sys5(mount_setattr, dev, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)),
		"read-only /dev");
	(void)sys1(close, dev);
	return 0;
}

/*
 * Over a mount on target, which stays below it: before Linux 6.15 overlayfs takes attached mounts
 * only, and to detach it would wait for RCU. An overlay needs two layers.
 */
static long cover_input(const struct slot *slot, const char *target, const char **ret_step)
{
	char layers[LAYERS_BYTES_MAX];
	(void)put_text(put_text(layers, target), ":" NOTHING);
	STEP(sys1(fchdir, slot->disk), "fchdir disk");
	long overlay = make_overlay(layers, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, ret_step);
	STEP(sys1(chdir, "/"), "chdir root");
	STEP(overlay, "an overlay over /app or /data (overlayfs refuses some file systems, as "
		      "vfat, and two overlays below it: copy the directory)");
	STEP(sys5(move_mount, overlay, "", AT_FDCWD, target, MOVE_FROM_FD), target);
	(void)sys1(close, overlay);
	return 0;
}

static long mount_input(
	const struct slot *slot, int mount, const char *target, const char **ret_step)
{
	struct mount_attr attributes = {
		.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
			    MOUNT_ATTR_NOEXEC,
	};
	if (mount < 0)
		return 0;
	STEP(sys5(mount_setattr, mount, "", AT_EMPTY_PATH | RECURSIVE, &attributes,
		     sizeof(attributes)),
		"app_fd or data_fd: expected a mount (open_tree, fsmount)");
	STEP(sys5(move_mount, mount, "", AT_FDCWD, target, MOVE_FROM_FD), target);
	return slot->parsed.plan.private_inputs ? 0 : cover_input(slot, target, ret_step);
}

long slot_mount_inputs(const struct slot *slot, const char **ret_step)
{
	long status = mount_input(slot, slot->files.app_fd, "/app", ret_step);
	return status < 0 ? status : mount_input(slot, slot->files.data_fd, "/data", ret_step);
}

static bool unmount_input(const struct slot *slot, int mount, const char *target)
{
	if (mount < 0)
		return true;
	if (!slot->parsed.plan.private_inputs && sys2(umount2, target, MNT_DETACH) < 0)
		return false;
	return sys2(umount2, target, MNT_DETACH) == 0;
}

bool slot_unmount_inputs(const struct slot *slot)
{
	return unmount_input(slot, slot->files.app_fd, "/app") &&
	       unmount_input(slot, slot->files.data_fd, "/data");
}
