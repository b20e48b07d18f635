/*
 * Streams. The payload holds one end of a pipe of ours, never the caller's descriptor: it cannot
 * seek, map, change flags of or pass on what belongs to the caller, and a cap is exact.
 *
 * Bytes are written on as they are read; only what the receiver does not take now is held (then
 * the stream is read no further: back pressure).
 */
#include "engines/sandbox/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdalign.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"

enum { BLOCK_BYTES = 4096, STEP_BYTES = 2 * BLOCK_BYTES, STEPS_PER_PUMP = 64, PATH_BYTES = 40 };

/*
 * Whoever gave it may do what we open it for, or our rights would be lent. The name of a terminal's
 * master makes another terminal.
 */
static bool can_reopen(int fd, int mode)
{
	struct stat status;
	unsigned number;
	int flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);
	if (flags < 0 || (flags & (O_PATH | O_NONBLOCK)) || fstat(fd, &status) < 0)
		return false;
	bool is_open_so = (flags & O_ACCMODE) == mode || (flags & O_ACCMODE) == O_RDWR;
	bool is_terminal = S_ISCHR(status.st_mode) && ioctl(fd, TIOCGPTN, &number) < 0;
	return is_open_so && (S_ISFIFO(status.st_mode) || is_terminal);
}

/* The same pipe or terminal under flags of our own; the given descriptor if that cannot be. */
static int reopen(int host_proc, int fd, int mode)
{
	char path[PATH_BYTES];
	struct err ignored;
	if (!can_reopen(fd, mode) || str_format(path, sizeof(path), &ignored, "self/fd/%d", fd) < 0)
		return fd;
	int again = openat(host_proc, path, mode | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (again < 0)
		return fd;
	(void)close(fd);
	return again;
}

/* What reopen() could not give flags of our own: a socket, a pipe or terminal of another user. */
static bool can_wait(int fd)
{
	struct stat status;
	return fd >= 0 && !(fcntl(fd, F_GETFL) & O_NONBLOCK) && fstat(fd, &status) == 0 &&
	       !S_ISREG(status.st_mode);
}

/* As nohup gives it: no input. */
static bool is_readable(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	return !(flags & O_PATH) && (flags & O_ACCMODE) != O_WRONLY;
}

/* A file or disk: half of it is no input. */
static bool is_stored(int fd)
{
	struct stat status;
	return fd >= 0 && fstat(fd, &status) == 0 &&
	       (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode));
}

/* Whoever waits in a stream looks at no clock and hears no caller. */
static bool would_wait(int fd, short events)
{
	struct pollfd look = { .fd = fd, .events = events };
	return poll(&look, 1, 0) <= 0;
}

void copy_open(struct slot_copy *copy, int host_proc, int from, int to, uint64_t limit)
{
	*copy = (struct slot_copy){
		.from = reopen(host_proc, from, O_RDONLY),
		.to = reopen(host_proc, to, O_WRONLY),
		.limit = limit,
	};
	if (copy->from >= 0 && !is_readable(copy->from))
		fd_close(&copy->from);
	copy->from_is_stored = is_stored(copy->from);
	copy->from_waits = can_wait(copy->from) || copy->from_is_stored; /* /proc/kmsg does */
	copy->to_waits = can_wait(copy->to);
}

/* A pipe that says it has room takes PIPE_BUF bytes. */
static ssize_t deliver_some(const struct slot_copy *copy, const uint8_t *bytes, size_t size)
{
	ssize_t written = send(copy->to, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (written >= 0 || errno != ENOTSOCK)
		return written;
	errno = EAGAIN;
	if (!copy->to_waits)
		return write(copy->to, bytes, size);
	return would_wait(copy->to, POLLOUT) ? -1
					     : write(copy->to, bytes, MIN(size, (size_t)PIPE_BUF));
}

static ssize_t read_some(const struct slot_copy *copy, uint8_t *bytes, size_t size)
{
	if (!copy->from_waits)
		return read(copy->from, bytes, size);
	ssize_t got = recv(copy->from, bytes, size, MSG_DONTWAIT);
	if (got >= 0 || errno != ENOTSOCK)
		return got;
	errno = EAGAIN;
	return would_wait(copy->from, POLLIN) ? -1 : read(copy->from, bytes, size);
}

/*
 * Returns how many bytes were taken. A receiver that is gone takes everything, and its going is
 * passed on: the giver's next write fails as if it had held that pipe itself.
 */
static int deliver(struct slot_copy *copy, const uint8_t *bytes, size_t size, size_t *ret_taken,
	struct err *err)
{
	size_t taken = 0;
	while (taken < size && copy->to >= 0) {
		ssize_t written = deliver_some(copy, bytes + taken, size - taken);
		if (written >= 0) {
			taken += (size_t)written;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno == EAGAIN)
			break;
		if (errno != EPIPE && errno != ECONNRESET)
			return err_sys(err, E_UNAVAILABLE, "delivering output");
		fd_close(&copy->to);
		fd_close(&copy->from);
	}
	*ret_taken = copy->to < 0 ? size : taken;
	return 0;
}

static int flush_held(struct slot_copy *copy, struct err *err)
{
	size_t taken = 0;
	TRY(deliver(
		copy, copy->held + copy->held_at, copy->held_size - copy->held_at, &taken, err));
	copy->held_at += taken;
	copy->is_blocked = copy->held_at < copy->held_size;
	return 0;
}

static void hold(struct slot_copy *copy, const uint8_t *bytes, size_t size)
{
	if (!copy->held)
		copy->held = mem_alloc(STEP_BYTES, 1);
	memcpy(copy->held, bytes, size);
	copy->held_size = size;
	copy->held_at = 0;
	copy->is_blocked = true;
}

static int pump_step(struct slot_copy *copy, bool *ret_is_empty, struct err *err)
{
	alignas(BLOCK_BYTES) uint8_t buffer[STEP_BYTES]; /* a file may be open with O_DIRECT */
	*ret_is_empty = true;
	ssize_t got = read_some(copy, buffer, sizeof(buffer));
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (got < 0 && copy->from_is_stored)
		return err_sys(err, E_UNAVAILABLE, "reading input");
	if (got <= 0) { /* also of a terminal, which gives nothing to the background */
		fd_close(&copy->from);
		return 0;
	}
	*ret_is_empty = false;
	size_t size = (size_t)got;
	if (size > copy->limit - copy->bytes) {
		size = (size_t)(copy->limit - copy->bytes);
		copy->is_over = true;
	}
	copy->bytes += size;
	size_t taken = 0;
	TRY(deliver(copy, buffer, size, &taken, err));
	if (taken < size)
		hold(copy, buffer + taken, size - taken);
	return 0;
}

int copy_pump(struct slot_copy *copy, struct err *err)
{
	bool is_empty = false;
	if (copy->is_blocked)
		TRY(flush_held(copy, err));
	for (int i = 0; i < STEPS_PER_PUMP && !is_empty; i++) {
		if (copy->from < 0 || copy->is_blocked || copy->is_over)
			return 0;
		TRY(pump_step(copy, &is_empty, err));
	}
	return 0;
}

void copy_close(struct slot_copy *copy)
{
	fd_close(&copy->from);
	fd_close(&copy->to);
	mem_free(copy->held);
	copy->held = NULL;
}
