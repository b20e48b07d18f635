/*
 * Kernel memory that no control group counts, where a program can have much of it: file locks
 * (locks.c, open_files.c), and connections to a UNIX socket that wait to be accepted. For each of
 * these the kernel makes a packet of 0.9 KB outside all groups, beside the 2 KB of a socket that it
 * counts; both ends' descriptors can be closed. (Of other packets the sender's group pays.)
 *
 * How many sockets there are, the kernel says in /proc/net/protocols, for our network namespace,
 * which is the sandbox's:
 *
 *	protocol  size sockets  memory press maxhdr  slab module ...
 *	UNIX-STREAM 1024      7      -1   NI       0   yes  kernel ...
 */
#include "engines/sandbox/uncounted.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/str.h"

enum {
	LIST_BYTES_MAX = 16 * 1024,
	REST = 1, /* so many times as long as the last look took */
	/* Who used less since then cannot have taken much. */
	SYSTEM_USEC = 10000, /* the kernel's ticks: a clever one falls between them, */
	CPU_USEC = 1000000,  /* but not out of the whole */
};

struct uncounted uncounted_start(struct cgroup_cpu base)
{
	return (struct uncounted){
		.next_usec = UNCOUNTED_LOOK_USEC, .at_look = base, .files = OPEN_FILES_LOOK
	};
}

void uncounted_end(struct uncounted *state)
{
	if (!state->is_looking)
		return;
	locks_look_end(&state->locks);
	open_files_look_end(&state->files);
	state->is_looking = state->has_locks = false;
}

/* A look stalls us; most programs spend their time elsewhere than in the kernel. */
static bool may_have_taken(const struct slot *slot, struct uncounted *state)
{
	struct cgroup_cpu now = cgroup_cpu(&slot->cgroup);
	if (slot->cgroup.backend != SANDBOX_BACKEND_NONE &&
		now.system_usec < state->at_look.system_usec + SYSTEM_USEC &&
		now.usec < state->at_look.usec + CPU_USEC)
		return false;
	state->at_look = now;
	return true;
}

/* Of rows whose name begins with UNIX; 0 when there is no list. */
static uint64_t count_sockets(const struct slot *slot)
{
	auto_done(buf) text = {};
	struct err ignored;
	uint64_t count = 0;
	auto_close fd = openat(slot->host_proc, "self/net/protocols", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fd_read_all(fd, LIST_BYTES_MAX, &text, &ignored) < 0)
		return 0;
	for (const char *line = buf_string(&text); line; line = strchr(line, '\n')) {
		line += *line == '\n';
		const char *size = str_starts(line, "UNIX") ? strchr(line, ' ') : NULL;
		char *sockets;
		if (size && strtoull(size, &sockets, 10))
			count += strtoull(sockets, NULL, 10);
	}
	return count;
}

static void end(struct slot *slot, size_t most, const char *what)
{
	struct err text;
	err_format(
		&text, 0, "holds more than %zu %s: kernel memory that no limit counts", most, what);
	slot_end(slot, SANDBOX_CAUSE_MEMORY, text.message);
}

static void rest(struct slot *slot, struct uncounted *state)
{
	uint64_t now = slot_usec(slot);
	uncounted_end(state);
	state->next_usec = now +
			   MAX((now - state->began_usec) * REST, (uint64_t)UNCOUNTED_LOOK_USEC);
}

/* One step of a look; false after the last. */
static bool look_on(struct slot *slot, struct uncounted *state)
{
	size_t files_max = MAX(
		OPEN_FILES_MAX, OPEN_FILES_PER_PROCESS * slot->parsed.plan.limits.processes);
	if (!state->has_locks) {
		state->has_locks = !locks_look_on(&state->locks, slot->whole_proc);
		if (locks_are_too_many(&state->locks))
			end(slot, LOCKS_MAX, "file locks");
		else if (state->has_locks && count_sockets(slot) > SOCKETS_MAX)
			end(slot, SOCKETS_MAX, "UNIX sockets");
		return true;
	}
	bool is_more = open_files_look_on(&state->files, slot->whole_proc);
	if (state->files.count > files_max)
		end(slot, files_max,
			"descriptors and mappings of files, each of which may have a lock");
	return is_more;
}

void uncounted_look(struct slot *slot, struct uncounted *state)
{
	uint64_t now = slot_usec(slot);
	if (now < state->next_usec)
		return;
	if (!state->is_looking) {
		state->began_usec = now;
		state->next_usec = now + UNCOUNTED_LOOK_USEC;
		state->is_looking = may_have_taken(slot, state);
	}
	if (!state->is_looking)
		return;
	state->next_usec = now; /* at once, after all else that waits */
	if (!look_on(slot, state))
		rest(slot, state);
}
