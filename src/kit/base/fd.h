/*
 * Descriptors: scoped closing, whole reads and writes, files below a directory, memory files,
 * and passing descriptors over UNIX sockets. Everything is close-on-exec from birth.
 */
#ifndef KIT_BASE_FD_H
#define KIT_BASE_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "kit/base/buf.h"

/* Close unless negative, keep errno, set to -1. */
void fd_close(int *fd);
#define auto_close AUTO(fd_close) int

static inline int take_fd(int *fd)
{
	int taken = *fd;
	*fd = -1;
	return taken;
}

/* Write everything, repeating on EINTR and short writes. E_UNAVAILABLE with the errno text. */
int fd_write_all(int fd, struct view bytes, struct err *err) MUST_CHECK;

/* Read to the end of file, at most limit bytes (E_LIMIT beyond). Appends to buf. */
int fd_read_all(int fd, size_t limit, struct buf *buf, struct err *err) MUST_CHECK;

/* Read exactly size bytes; E_UNAVAILABLE when the file ends before. */
int fd_read_exact(int fd, void *ret_bytes, size_t size, struct err *err) MUST_CHECK;

/*
 * Open below directory dir_fd: openat2 with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
 * RESOLVE_NO_MAGICLINKS. E_NOT_FOUND for ENOENT, E_DENIED for a path that leaves the directory
 * or crosses a link, else E_UNAVAILABLE.
 */
int fd_open_beneath(int dir_fd, const char *path, int flags, mode_t mode, int *ret_fd,
	struct err *err) MUST_CHECK;

/* open(2) of a trusted path with O_CLOEXEC. E_NOT_FOUND for ENOENT, else E_UNAVAILABLE. */
int fd_open(const char *path, int flags, mode_t mode, int *ret_fd, struct err *err) MUST_CHECK;

/* A whole file by trusted path, at most limit bytes. */
int fd_read_file(const char *path, size_t limit, struct buf *buf, struct err *err) MUST_CHECK;

/* Write a file of another name beside it, fsync, rename over path, fsync the directory: all or
 * nothing, also where two write at once. */
int fd_write_file_atomic(
	const char *path, struct view bytes, mode_t mode, struct err *err) MUST_CHECK;

/* An anonymous memory file that can be sealed (MFD_ALLOW_SEALING, not executable where known). */
int fd_memfd(const char *name, int *ret_fd, struct err *err) MUST_CHECK;

/* The same with these bytes in it, to be read from the first. */
int fd_memfd_of(const char *name, struct view bytes, int *ret_fd, struct err *err) MUST_CHECK;

/*
 * Write the file that somebody named for a result: one that is there is replaced at once, whole or
 * not at all; a device, pipe or link is written to, and what is our stdout or stderr goes on where
 * they are. fd_check_output says before the work that it will not go: E_UNAVAILABLE with the path.
 */
int fd_write_output(const char *path, struct view bytes, struct err *err) MUST_CHECK;
int fd_check_output(const char *path, struct err *err) MUST_CHECK;

/*
 * First thing in a program: a caller may have closed 0, 1 or 2, and the next descriptor opened
 * would be taken for one of them. /dev/null for each that is closed.
 */
int fd_hold_stdio(struct err *err) MUST_CHECK;

/* Overwrite all bytes of a memory file with zeros, then truncate it. */
int fd_wipe(int fd, struct err *err) MUST_CHECK;

#define FD_PASS_MAX 8

/*
 * One message over a SOCK_SEQPACKET or SOCK_STREAM socket with 0..FD_PASS_MAX descriptors.
 * fd_send waits while the socket is full. fd_receive returns the size in *ret_size (0 = end of
 * stream) and the number of descriptors; E_LIMIT when message or descriptors were cut.
 * Flags are those of recvmsg (MSG_DONTWAIT: *ret_size is -1 when nothing is there).
 * Who goes with a message unread has still said what it said: it is received, then the end.
 * fd_peek: size of the packet that waits, which stays; 0 and -1 (with errno) as recv.
 */
int fd_send(int socket, struct view message, const int *fds, size_t fd_count,
	struct err *err) MUST_CHECK;
int fd_receive(int socket, void *ret_message, size_t size_max, int flags, ssize_t *ret_size,
	int ret_fds[static FD_PASS_MAX], size_t *ret_fd_count, struct err *err) MUST_CHECK;
ssize_t fd_peek(int socket, int flags);

/* A connected pair of close-on-exec sockets (type SOCK_SEQPACKET or SOCK_STREAM). */
int fd_socketpair(int type, int ret_pair[static 2], struct err *err) MUST_CHECK;

#endif
