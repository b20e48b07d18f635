/*
 * A stopped tracee makes system calls for us.
 *
 * Theory. A task that was just born by fork() stands behind the system call instruction that made
 * it. With its registers set to a number, arguments, and the address of that instruction, one
 * single step makes the call and stops again. Nothing of the task's own program runs in between,
 * so what it gives up in this way it has given up before its first instruction, whatever that is.
 */
#include "engines/sandbox/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engines/sandbox/slot.h"
#include "kit/base/fd.h"
#include "kit/base/str.h"

enum {
	SYSCALL_BYTES = 2,
	SYSCALL_OPCODE = 0x050f, /* 0f 05 */
	WORD_MASK = 0xffff,
	RED_ZONE_BYTES = 128,
	STACK_ALIGN = 16,
	PATH_BYTES = 40,
};

static int died(struct err *err, const char *step)
{
	return err_set(
		err, E_UNAVAILABLE, "new process: lost before its first instruction (%s)", step);
}

int remote_open(pid_t tid, size_t data_size, struct remote *ret_remote, struct err *err)
{
	struct remote remote = { .tid = tid };
	if (ptrace(PTRACE_GETREGS, tid, 0, &remote.own) < 0)
		return died(err, "registers");
	errno = 0;
	long instruction = ptrace(
		PTRACE_PEEKTEXT, tid, (void *)(uintptr_t)(remote.own.rip - SYSCALL_BYTES), 0);
	if (errno || (instruction & WORD_MASK) != SYSCALL_OPCODE)
		return died(err, "not at a system call");
	remote.room = (remote.own.rsp - RED_ZONE_BYTES - data_size) & ~(uint64_t)(STACK_ALIGN - 1);
	*ret_remote = remote;
	return 0;
}

static int write_data(
	const struct slot *slot, const struct remote *remote, struct view data, struct err *err)
{
	char path[PATH_BYTES];
	TRY(str_format(path, sizeof(path), err, "%d/mem", remote->tid));
	auto_close memory = openat(slot->host_proc, path, O_WRONLY | O_CLOEXEC);
	if (memory < 0 ||
		pwrite(memory, data.data, data.size, (off_t)remote->room) != (ssize_t)data.size)
		return err_sys(err, E_UNAVAILABLE, "new process: writing its memory");
	return 0;
}

static int make_one(const struct remote *remote, const struct remote_call *call, struct err *err)
{
	struct user_regs_struct at = remote->own;
	int status;
	at.rip -= SYSCALL_BYTES;
	at.rax = (unsigned long long)call->number;
	at.orig_rax = (unsigned long long)-1; /* no call of its own to be made again */
	at.rdi = call->arguments[0];
	at.rsi = call->arguments[1];
	at.rdx = call->arguments[2];
	at.r10 = call->arguments[3];
	at.r8 = call->arguments[4];
	if (ptrace(PTRACE_SETREGS, remote->tid, 0, &at) < 0 ||
		ptrace(PTRACE_SINGLESTEP, remote->tid, 0, 0) < 0)
		return died(err, call->name);
	while (waitpid(remote->tid, &status, __WALL) < 0)
		if (errno != EINTR)
			return died(err, call->name);
	if (!WIFSTOPPED(status) || status >> 8 != SIGTRAP ||
		ptrace(PTRACE_GETREGS, remote->tid, 0, &at) < 0)
		return died(err, call->name);
	if ((long long)at.rax >= 0)
		return 0;
	errno = (int)-(long long)at.rax;
	return err_sys(err, E_UNAVAILABLE, "new process: %s", call->name);
}

int remote_make(const struct slot *slot, const struct remote *remote, struct view data,
	const struct remote_call *calls, size_t count, struct err *err)
{
	TRY(write_data(slot, remote, data, err));
	for (size_t i = 0; i < count; i++)
		TRY(make_one(remote, &calls[i], err));
	if (ptrace(PTRACE_SETREGS, remote->tid, 0, &remote->own) < 0)
		return died(err, "registers");
	return 0;
}
