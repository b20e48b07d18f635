/*
 * The zygote tier: one warmed interpreter that never sees a job; each run is a fork of it.
 *
 * Theory. The zygote is the program of a warm sandbox. It has run nothing but its bootstrap, and
 * all it ever reads are descriptors: it forks and closes them. Nothing of a run can reach it,
 * because nothing of a run has its user id: the child becomes SANDBOX_UID_INSIDE, so signals,
 * priorities and /proc are refused by the kernel, and memory is the child's own copy. The child
 * does not do this itself: born stopped, as a tracee of the supervisor, it is *made* to (remote.c)
 * before its first instruction: ids, capabilities, Landlock, system call filter.
 *
 * Who lives with the zygote lives in its mount and pid namespace, as in any warm sandbox: a run is
 * followed by its death to the last task (all are tracees, all are in the groups), counted by the
 * kernel, before its inputs are taken away and the disk is emptied.
 */
#include "engines/sandbox/zygote.h"

#include <linux/capability.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engines/sandbox/build.h"
#include "engines/sandbox/filter.h"
#include "engines/sandbox/remote.h"
#include "engines/sandbox/warm.h"

enum {
	FORK_WAIT_MS = 10000,
	/* The zygote has 0, 1, 2 and its socket: what comes gets these numbers, in this order. */
	RULESET_FD = 3 + WARM_FILES_MAX - 1,
};

int zygote_ready(struct slot *slot, struct err *err)
{
	slot->resident_pid = slot->payload_pid;
	build_close_run(slot);
	return disk_note(&slot->disk_state, err);
}

void zygote_handle(struct slot *slot, int status)
{
	if (!WIFSTOPPED(status))
		slot->resident_pid = 0;
	else /* nobody inside can signal it */
		(void)ptrace(
			PTRACE_CONT, slot->resident_pid, 0, status >> 16 ? 0 : WSTOPSIG(status));
}

/* Wait for a stop of pid that is this event. */
static int await_stop(int signals, pid_t pid, int event, struct err *err)
{
	struct signalfd_siginfo info;
	struct pollfd fds[] = { { .fd = signals, .events = POLLIN } };
	for (;;) {
		int status;
		pid_t got = waitpid(pid, &status, __WALL | WNOHANG);
		if (got == pid && WIFSTOPPED(status) && status >> 16 == event)
			return 0;
		if (got == pid)
			return err_set(err, E_UNAVAILABLE, "the zygote did not fork: status %#x",
				(unsigned)status);
		if (poll(fds, ARRAY_SIZE(fds), FORK_WAIT_MS) == 0)
			return err_set(err, E_UNAVAILABLE, "the zygote did not fork within %d ms",
				FORK_WAIT_MS);
		(void)!read(signals, &info, sizeof(info));
	}
}

/* Everything a payload sheds that its zygote still had; compare shed() in payload.c. */
static int shed(const struct slot *slot, struct err *err)
{
	enum { ID = SANDBOX_UID_INSIDE };
	const struct sock_fprog *lock = &filter_programs[FILTER_LOCK];
	struct {
		struct __user_cap_header_struct head;
		struct __user_cap_data_struct none[2];
		struct sock_fprog program;
		struct sock_filter insns[FILTER_INSNS_MAX];
	} data = { .head = { .version = _LINUX_CAPABILITY_VERSION_3 } };
	size_t size = offsetof(typeof(data), insns) + lock->len * sizeof(*lock->filter);
	struct remote remote;
	TRY(remote_open(slot->payload_pid, size, &remote, err));
	data.program = (struct sock_fprog){ .len = lock->len,
		.filter = (void *)(uintptr_t)(remote.room + offsetof(typeof(data), insns)) };
	memcpy(data.insns, lock->filter, lock->len * sizeof(*lock->filter));
	const struct remote_call calls[] = {
		{ "Landlock", SYS_landlock_restrict_self, { RULESET_FD } },
		{ "session", SYS_setsid, {} },
		{ "gid", SYS_setresgid, { ID, ID, ID } },
		{ "uid", SYS_setresuid, { ID, ID, ID } },
		{ "capabilities", SYS_capset,
			{ remote.room, remote.room + offsetof(typeof(data), none) } },
		/* Another id made it undumpable, and its own files in /proc root's. */
		{ "dumpable", SYS_prctl, { PR_SET_DUMPABLE, 1 } },
		{ "system call filter", SYS_seccomp,
			{ SECCOMP_SET_MODE_FILTER, 0,
				remote.room + offsetof(typeof(data), program) } },
	};
	size_t skipped = slot->ruleset < 0; /* a kernel without Landlock */
	return remote_make(slot, &remote, view_of(&data, size), calls + skipped,
		ARRAY_SIZE(calls) - skipped, err);
}

int zygote_fork(struct slot *slot, struct err *err)
{
	unsigned long child = 0;
	TRY(warm_send_files(slot, err));
	TRY(await_stop(slot->signals, slot->resident_pid, PTRACE_EVENT_FORK, err));
	if (ptrace(PTRACE_GETEVENTMSG, slot->resident_pid, 0, &child) < 0 ||
		ptrace(PTRACE_CONT, slot->resident_pid, 0, 0) < 0)
		return err_sys(err, E_UNAVAILABLE, "the zygote died");
	slot->payload_pid = (pid_t)child;
	TRY(await_stop(slot->signals, slot->payload_pid, PTRACE_EVENT_STOP, err));
	return shed(slot, err);
}
