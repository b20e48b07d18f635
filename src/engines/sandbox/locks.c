/*
 * File locks: 200 bytes of the kernel's memory each, which it charges to no control group and
 * limits for no user. A program that does nothing but take POSIX locks on ranges of a file has half
 * a gigabyte of the host in seconds. So they are counted now and then while a run lasts.
 *
 * The kernel lists them in /proc/locks, one line for each lock of any kind and each wait:
 *
 *	NUMBER: [->] TYPE ADVISORY WRITE PID MAJOR:MINOR:INODE START END
 *
 * In a proc of the sandbox's pid namespace these are its own, and those that have no pid there: it
 * is 0 or negative. The kernel gives a page at a time, goes to the next by its number in the list
 * of all locks of the machine, and puts new ones in front: who takes locks elsewhere meanwhile
 * makes us see lines again. So each line is counted once. (The host's own list, where others have
 * thousands, showed a hundred locks four thousand times.) But a list without end is too long.
 *
 * For a page the kernel waits until nobody on the machine is taking a lock, up to 30 ms while many
 * are; so one page is read at a time, and who looks goes about his business between two.
 *
 * Every POSIX lock has a living process to be listed under: the filter refuses those of open file
 * descriptions, which have none, and to share a table of descriptors with another process, in which
 * a lock survives its taker. A lock by flock() may have none, and several look the same: see
 * open_files.c.
 */
#include "engines/sandbox/locks.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "engines/sandbox/sha256.h"
#include "kit/base/fd.h"
#include "kit/base/mem.h"

enum {
	PAGE_BYTES = 4096, /* the kernel gives no more at once; only of long waits half a line */
	SEEN_SIZE = 2 * LOCKS_MAX,
	LINES_MAX = 4 * LOCKS_MAX,
};

/* The pid is the word before that with the second colon. */
static bool has_pid(const char *line, const char *end)
{
	const char *at = memchr(line, ':', (size_t)(end - line));
	at = at ? memchr(at + 1, ':', (size_t)(end - at - 1)) : NULL;
	while (at && at > line && *at != ' ')
		at--;
	while (at && at > line && at[-1] != ' ')
		at--;
	return at && *at >= '1' && *at <= '9';
}

/* What stands behind the number names a lock. Nobody can choose digests. */
static bool is_new(uint64_t *seen, const char *line, const char *end)
{
	uint8_t bytes[32];
	uint64_t digest;
	struct sha256 hash;
	line = memchr(line, ':', (size_t)(end - line)); /* it has a pid, so it has that */
	sha256_init(&hash);
	sha256_add(&hash, line, (size_t)(end - line));
	sha256_end(&hash, bytes);
	memcpy(&digest, bytes, sizeof(digest));
	size_t at = digest % SEEN_SIZE;
	while (seen[at] && seen[at] != digest)
		at = (at + 1) % SEEN_SIZE;
	bool is_first = !seen[at];
	seen[at] = digest;
	return is_first;
}

bool locks_look_on(struct locks_look *look, int proc)
{
	char bytes[PAGE_BYTES];
	if (!look->seen) {
		look->seen = mem_alloc(SEEN_SIZE, sizeof(*look->seen));
		look->fd = openat(proc, "locks", O_RDONLY | O_CLOEXEC); /* no list: no locks */
	}
	ssize_t got = look->fd < 0 ? 0 : read(look->fd, bytes, sizeof(bytes));
	const char *line = bytes;
	const char *end = bytes + MAX(got, 0);
	const char *stop;
	while (look->count <= LOCKS_MAX && (stop = memchr(line, '\n', (size_t)(end - line)))) {
		if (has_pid(line, stop)) {
			look->lines++;
			look->count += is_new(look->seen, line, stop);
		}
		line = stop + 1;
	}
	return got > 0 && !locks_are_too_many(look);
}

bool locks_are_too_many(const struct locks_look *look)
{
	return look->count > LOCKS_MAX || look->lines > LINES_MAX;
}

void locks_look_end(struct locks_look *look)
{
	if (look->seen)
		fd_close(&look->fd);
	mem_free(look->seen);
	*look = (struct locks_look){};
}
