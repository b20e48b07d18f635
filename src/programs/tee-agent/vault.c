/*
 * The vault: dataset and scripts in a tmpfs that only this process has a way to. The
 * sandbox gets detached read-only clones; our own writable mount stays, so that every byte can be
 * overwritten afterwards. When this process dies, however it dies, the memory goes with it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "programs/tee-agent/agent.h"

#define VAULT_FILES_MAX "128"

static int configure(int fs_fd, const char *key, const char *value)
{
	return (int)syscall(SYS_fsconfig, fs_fd, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG,
		key, value, 0);
}

static int make_tmpfs(uint64_t size_bytes, bool *ret_noswap, int *ret_mount, struct err *err)
{
	char size[24];
	TRY(str_format(size, sizeof(size), err, "%llu", (unsigned long long)size_bytes));
	auto_close fs_fd = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	if (fs_fd < 0)
		return err_sys(err, E_UNAVAILABLE, "fsopen tmpfs (Linux 5.2 or later is needed)");
	*ret_noswap = configure(fs_fd, "noswap", NULL) == 0; /* Linux 6.4 */
	if (configure(fs_fd, "size", size) < 0 ||
		configure(fs_fd, "nr_inodes", VAULT_FILES_MAX) < 0 ||
		configure(fs_fd, "mode", "0755") < 0 ||
		syscall(SYS_fsconfig, fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_sys(err, E_UNAVAILABLE, "tmpfs of %s bytes", size);
	*ret_mount = (int)syscall(SYS_fsmount, fs_fd, FSMOUNT_CLOEXEC,
		MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	if (*ret_mount < 0)
		return err_sys(err, E_UNAVAILABLE, "mounting the vault");
	return 0;
}

/* A detached read-only mount of one directory of the vault. */
static int clone_read_only(int root_fd, const char *directory, int *ret_fd, struct err *err)
{
	struct mount_attr read_only = { .attr_set = MOUNT_ATTR_RDONLY };
	auto_close fd = -1;
	if (mkdirat(root_fd, directory, 0755) < 0)
		return err_sys(err, E_UNAVAILABLE, "vault directory %s", directory);
	fd = (int)syscall(SYS_open_tree, root_fd, directory, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (fd < 0 || syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &read_only,
			      sizeof(read_only)) < 0)
		return err_sys(err, E_UNAVAILABLE, "read-only view of %s", directory);
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Clones are made of attached mounts only, before Linux 6.15: attach it where only we see it. */
static int attach(int mount_fd, const char *path, struct err *err)
{
	auto_close clone = -1;
	struct err ignored;
	if (image_clone(mount_fd, &clone, &ignored) == 0)
		return 0;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(err, E_UNAVAILABLE, "own mount namespace (root is needed)");
	if (syscall(SYS_move_mount, mount_fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(err, E_UNAVAILABLE, "attaching the vault at %s", path);
	return 0;
}

int vault_open(const char *path, uint64_t size_bytes, struct vault *ret_vault, struct err *err)
{
	struct vault vault = { -1, -1, -1, false };
	auto_close mount_fd = -1;
	(void)umask(0);
	TRY(make_tmpfs(size_bytes, &vault.is_noswap, &mount_fd, err));
	TRY(attach(mount_fd, path, err));
	TRY(fd_open_beneath(mount_fd, ".", O_RDONLY | O_DIRECTORY, 0, &vault.root_fd, err));
	TRY(clone_read_only(vault.root_fd, "app", &vault.app_fd, err));
	TRY(clone_read_only(vault.root_fd, "data", &vault.data_fd, err));
	*ret_vault = vault;
	return 0;
}

int vault_create(
	struct vault *vault, const char *directory, const char *name, int *ret_fd, struct err *err)
{
	char path[EXECUTE_NAME_MAX + 8];
	TRY(str_format(path, sizeof(path), err, "%s/%s", directory, name));
	return fd_open_beneath(vault->root_fd, path, O_RDWR | O_CREAT | O_EXCL, 0444, ret_fd, err);
}

static int wipe_file(int directory_fd, const char *name, struct vault_wiped *wiped, struct err *err)
{
	struct stat status;
	auto_close fd = -1;
	TRY(fd_open_beneath(directory_fd, name, O_RDWR, 0, &fd, err));
	if (fstat(fd, &status) < 0)
		return err_sys(err, E_UNAVAILABLE, "fstat %s", name);
	TRY(fd_wipe(fd, err));
	wiped->files++;
	wiped->bytes += (uint64_t)status.st_size;
	if (unlinkat(directory_fd, name, 0) < 0)
		return err_sys(err, E_UNAVAILABLE, "unlink %s", name);
	return 0;
}

static void directory_done(DIR **directory)
{
	if (*directory)
		(void)closedir(*directory);
}

static int wipe_directory(int root_fd, const char *name, struct vault_wiped *wiped, struct err *err)
{
	auto_close fd = -1;
	TRY(fd_open_beneath(root_fd, name, O_RDONLY | O_DIRECTORY, 0, &fd, err));
	AUTO(directory_done) DIR *directory = fdopendir(fd);
	if (!directory)
		return err_sys(err, E_UNAVAILABLE, "listing %s", name);
	(void)take_fd(&fd); /* the stream owns it now */
	for (struct dirent *entry; (entry = readdir(directory));)
		if (entry->d_type == DT_REG)
			TRY(wipe_file(dirfd(directory), entry->d_name, wiped, err));
	return 0;
}

int vault_wipe(struct vault *vault, struct vault_wiped *wiped, struct err *err)
{
	if (vault->root_fd < 0)
		return 0;
	fd_close(&vault->app_fd);
	fd_close(&vault->data_fd);
	TRY(wipe_directory(vault->root_fd, "data", wiped, err));
	TRY(wipe_directory(vault->root_fd, "app", wiped, err));
	fd_close(&vault->root_fd);
	return 0;
}
