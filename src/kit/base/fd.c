/* See fd.h. */
#include "kit/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kit/base/str.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

enum { READ_FIRST = 4096, WIPE_STEP = 64 * 1024, PATH_BYTES_MAX = 4096, OUTPUT_MODE = 0644 };

void fd_close(int *fd)
{
	int saved = errno;
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
	errno = saved;
}

/* Somebody else's descriptor may have been made not to wait. */
static bool wait_for_room(int fd)
{
	struct pollfd room = { .fd = fd, .events = POLLOUT };
	return poll(&room, 1, -1) > 0 || errno == EINTR;
}

int fd_write_all(int fd, struct view bytes, struct err *err)
{
	while (bytes.size) {
		ssize_t written = write(fd, bytes.data, bytes.size);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0 && errno == EAGAIN && wait_for_room(fd))
			continue;
		if (written < 0)
			return err_sys(err, E_UNAVAILABLE, "write of %zu bytes", bytes.size);
		bytes = view_of(bytes.data + written, bytes.size - (size_t)written);
	}
	return 0;
}

int fd_read_all(int fd, size_t limit, struct buf *buf, struct err *err)
{
	size_t total = 0;
	TRY(buf_reserve(buf, READ_FIRST, err));
	for (;;) {
		TRY(buf_reserve(buf, 1, err)); /* doubles when full */
		ssize_t got = read(fd, buf->data + buf->size, buf->capacity - buf->size - 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(err, E_UNAVAILABLE, "read");
		if (got == 0)
			return 0;
		total += (size_t)got;
		if (total > limit)
			return err_set(err, E_LIMIT, "expected at most %zu bytes, got more", limit);
		buf->size += (size_t)got;
	}
}

int fd_read_exact(int fd, void *ret_bytes, size_t size, struct err *err)
{
	size_t done = 0;
	while (done < size) {
		ssize_t got = read(fd, (uint8_t *)ret_bytes + done, size - done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(err, E_UNAVAILABLE, "read of %zu bytes", size);
		if (got == 0)
			return err_set(
				err, E_UNAVAILABLE, "expected %zu bytes, got %zu", size, done);
		done += (size_t)got;
	}
	return 0;
}

static int open_failed(const char *path, struct err *err)
{
	if (errno == ENOENT)
		return err_sys(err, E_NOT_FOUND, "open %s", path);
	if (errno == EXDEV || errno == ELOOP)
		return err_sys(
			err, E_DENIED, "open %s: leaves its directory or crosses a link", path);
	return err_sys(err, E_UNAVAILABLE, "open %s", path);
}

int fd_open_beneath(
	int dir_fd, const char *path, int flags, mode_t mode, int *ret_fd, struct err *err)
{
	struct open_how how = {
		.flags = (unsigned)flags | O_CLOEXEC,
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
	if (fd < 0)
		return open_failed(path, err);
	*ret_fd = (int)fd;
	return 0;
}

int fd_open(const char *path, int flags, mode_t mode, int *ret_fd, struct err *err)
{
	int fd = open(path, flags | O_CLOEXEC, mode);
	if (fd < 0)
		return open_failed(path, err);
	*ret_fd = fd;
	return 0;
}

int fd_read_file(const char *path, size_t limit, struct buf *buf, struct err *err)
{
	auto_close fd = -1;
	TRY(fd_open(path, O_RDONLY, 0, &fd, err));
	int status = fd_read_all(fd, limit, buf, err);
	if (status < 0)
		err_wrap(err, "%s", path);
	return status;
}

static int sync_parent(const char *path, struct err *err)
{
	char parent[PATH_BYTES_MAX];
	auto_close fd = -1;
	TRY(str_format(parent, sizeof(parent), err, "%s", path));
	char *slash = strrchr(parent, '/');
	if (slash)
		slash[slash == parent] = 0;
	TRY(fd_open(slash ? parent : ".", O_RDONLY | O_DIRECTORY, 0, &fd, err));
	if (fsync(fd) < 0)
		return err_sys(err, E_UNAVAILABLE, "fsync of the directory of %s", path);
	return 0;
}

static int write_and_rename(int fd, const char *temporary, const char *path, struct view bytes,
	mode_t mode, struct err *err)
{
	TRY(fd_write_all(fd, bytes, err));
	if (fchmod(fd, mode) < 0 || fsync(fd) < 0 || rename(temporary, path) < 0)
		return err_sys(err, E_UNAVAILABLE, "write %s", path);
	return 0;
}

/* Under a name of its own until it is whole: two may write at once, the later one stays. */
int fd_write_file_atomic(const char *path, struct view bytes, mode_t mode, struct err *err)
{
	char temporary[PATH_BYTES_MAX];
	uint32_t random;
	auto_close fd = -1;
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return err_sys(err, E_UNAVAILABLE, "getrandom");
	TRY(str_format(temporary, sizeof(temporary), err, "%s.%08x.tmp", path, random));
	TRY(fd_open(temporary, O_WRONLY | O_CREAT | O_EXCL, mode, &fd, err));
	int status = write_and_rename(fd, temporary, path, bytes, mode, err);
	if (status < 0)
		(void)unlink(temporary);
	return status < 0 ? status : sync_parent(path, err);
}

/* Replaced by another file, it would be gone. */
static bool is_special(const char *path)
{
	struct stat status;
	return lstat(path, &status) == 0 && !S_ISREG(status.st_mode);
}

/* /dev/stdout, by whatever name: opened anew it would begin at its start, over what is there. */
static int standard_stream_of(const char *path)
{
	struct stat named, open;
	bool is_there = stat(path, &named) == 0;
	int found = -1;
	for (int fd = STDERR_FILENO; is_there && fd >= STDOUT_FILENO; fd--)
		if (fstat(fd, &open) == 0 && named.st_dev == open.st_dev &&
			named.st_ino == open.st_ino)
			found = fd;
	return found;
}

int fd_write_output(const char *path, struct view bytes, struct err *err)
{
	auto_close fd = -1;
	if (!is_special(path))
		return fd_write_file_atomic(path, bytes, OUTPUT_MODE, err);
	int standard = standard_stream_of(path);
	if (standard >= 0)
		return fd_write_all(standard, bytes, err);
	TRY(fd_open(path, O_WRONLY | O_TRUNC, 0, &fd, err));
	return fd_write_all(fd, bytes, err);
}

int fd_check_output(const char *path, struct err *err)
{
	char directory[PATH_BYTES_MAX];
	struct stat status;
	TRY(str_format(directory, sizeof(directory), err, "%s", path));
	char *slash = strrchr(directory, '/');
	if (slash)
		slash[1] = 0;
	bool is_special_file = is_special(path);
	if (is_special_file && stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
		errno = EISDIR;
		return err_sys(err, E_UNAVAILABLE, "%s cannot be written", path);
	}
	if (access(is_special_file ? path : slash ? directory : ".", W_OK) < 0)
		return err_sys(err, E_UNAVAILABLE, "%s cannot be written", path);
	return 0;
}

int fd_memfd(const char *name, int *ret_fd, struct err *err)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return err_sys(err, E_UNAVAILABLE, "memfd_create %s", name);
	*ret_fd = fd;
	return 0;
}

int fd_memfd_of(const char *name, struct view bytes, int *ret_fd, struct err *err)
{
	auto_close fd = -1;
	TRY(fd_memfd(name, &fd, err));
	TRY(fd_write_all(fd, bytes, err));
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(err, E_INTERNAL, "lseek");
	*ret_fd = take_fd(&fd);
	return 0;
}

int fd_hold_stdio(struct err *err)
{
	for (;;) {
		int fd;
		TRY(fd_open("/dev/null", O_RDWR, 0, &fd, err));
		if (fd > STDERR_FILENO) {
			(void)close(fd);
			return 0;
		}
		(void)fcntl(fd, F_SETFD, 0); /* whoever we start gets it, too */
	}
}

int fd_wipe(int fd, struct err *err)
{
	static const uint8_t zeros[WIPE_STEP];
	struct stat status;
	if (fstat(fd, &status) < 0)
		return err_sys(err, E_UNAVAILABLE, "fstat before wiping");
	for (off_t at = 0; at < status.st_size; at += WIPE_STEP) {
		size_t size = (size_t)MIN(status.st_size - at, (off_t)WIPE_STEP);
		if (pwrite(fd, zeros, size, at) != (ssize_t)size)
			return err_sys(err, E_UNAVAILABLE, "wiping at offset %lld", (long long)at);
	}
	if (ftruncate(fd, 0) < 0)
		return err_sys(err, E_UNAVAILABLE, "truncating after wiping");
	return 0;
}

union fd_control {
	struct cmsghdr header;
	uint8_t bytes[CMSG_SPACE(sizeof(int) * FD_PASS_MAX)];
};

int fd_send(int socket, struct view message, const int *fds, size_t fd_count, struct err *err)
{
	union fd_control control = {};
	struct iovec part = { (void *)(uintptr_t)message.data, message.size };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
	if (fd_count > FD_PASS_MAX)
		return err_set(err, E_LIMIT, "%zu descriptors in one message, limit %d", fd_count,
			FD_PASS_MAX);
	if (fd_count) {
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * fd_count);
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
	}
	ssize_t sent;
	do
		sent = sendmsg(socket, &header, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return err_sys(err, E_UNAVAILABLE, "send of %zu bytes", message.size);
	if ((size_t)sent <
		message.size) /* stream sockets: the descriptors went with the first part */
		return fd_write_all(
			socket, view_of(message.data + sent, message.size - (size_t)sent), err);
	return 0;
}

static size_t collect_fds(struct msghdr *header, int ret_fds[static FD_PASS_MAX])
{
	size_t count = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		here = MIN(here, FD_PASS_MAX - count);
		memcpy(ret_fds + count, CMSG_DATA(c), here * sizeof(int));
		count += here;
	}
	return count;
}

/* ECONNRESET, once: the peer closed without reading all. What it sent is still there. */
static bool is_to_repeat(int *resets)
{
	return errno == EINTR || (errno == ECONNRESET && (*resets)++ == 0);
}

ssize_t fd_peek(int socket, int flags)
{
	ssize_t size;
	int resets = 0;
	do
		size = recv(socket, NULL, 0, flags | MSG_PEEK | MSG_TRUNC);
	while (size < 0 && is_to_repeat(&resets));
	return size;
}

int fd_receive(int socket, void *ret_message, size_t size_max, int flags, ssize_t *ret_size,
	int ret_fds[static FD_PASS_MAX], size_t *ret_fd_count, struct err *err)
{
	union fd_control control = {};
	struct iovec part = { ret_message, size_max };
	struct msghdr header = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t got;
	int resets = 0;
	do
		got = recvmsg(socket, &header, flags | MSG_CMSG_CLOEXEC);
	while (got < 0 && is_to_repeat(&resets));
	*ret_fd_count = 0;
	*ret_size = -1;
	if (got < 0 && errno == EAGAIN)
		return 0;
	if (got < 0 && errno == ECONNRESET)
		got = 0;
	if (got < 0)
		return err_sys(err, E_UNAVAILABLE, "receive");
	size_t count = collect_fds(&header, ret_fds);
	if (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		for (size_t i = 0; i < count; i++)
			fd_close(&ret_fds[i]);
		return err_set(err, E_LIMIT,
			"a message was larger than %zu bytes, or had more descriptors than %d or "
			"than 'ulimit -n' leaves us",
			size_max, FD_PASS_MAX);
	}
	*ret_size = got;
	*ret_fd_count = count;
	return 0;
}

int fd_socketpair(int type, int ret_pair[static 2], struct err *err)
{
	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ret_pair) < 0)
		return err_sys(err, E_UNAVAILABLE, "socketpair");
	return 0;
}
