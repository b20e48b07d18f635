/* A directory for /app or /data that would lead to its owner: for tests that it does not. */
#ifndef TESTS_SANDBOX_INPUT_H
#define TESTS_SANDBOX_INPUT_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "kit/base/fd.h"
#include "unit.h"

enum { INPUT_ENTRIES = 3 };

/* A directory with what the host has open in it: socket, FIFO, locked file. */
static inline void make_input(char *path, int ret_fds[INPUT_ENTRIES])
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	ck_assert_ptr_nonnull(mkdtemp(path));
	ck_assert_int_eq(chmod(path, 0755), 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", path);
	ret_fds[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(ret_fds[0], (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(ret_fds[0], 1), 0);
	ck_assert_int_eq(chmod(address.sun_path, 0777), 0);
	auto_close directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(mkfifoat(directory, "fifo", 0666), 0);
	ret_fds[1] = openat(directory, "fifo", O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(write(ret_fds[1], "x", 1), 1);
	ret_fds[2] = openat(directory, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	ck_assert_int_eq(fchmodat(directory, "fifo", 0666, 0), 0);
	ck_assert_int_eq(fchmodat(directory, "file", 0666, 0), 0);
	ck_assert_int_eq(flock(ret_fds[2], LOCK_EX), 0);
}

static inline void remove_input(const char *path, int fds[INPUT_ENTRIES])
{
	static const char *const names[INPUT_ENTRIES] = { "socket", "fifo", "file" };
	auto_close directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < INPUT_ENTRIES; i++) {
		fd_close(&fds[i]);
		ck_assert_int_eq(unlinkat(directory, names[i], 0), 0);
	}
	ck_assert_int_eq(rmdir(path), 0);
}

static inline int clone_of(const char *path)
{
	return open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

#endif
