/*
 * Why it ended. The first cause stays. Facts come from counters of the kernel and from the wait
 * status; a refusal (full disk, refused fork) becomes the cause only when the program then failed:
 * one that coped has simply exited, with the refusal noted in limits_hit.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engines/sandbox/cause.h"
#include "kit/base/str.h"

void slot_end(struct slot *slot, enum sandbox_cause cause, const char *text)
{
	size_t size = MIN(strlen(text), sizeof(slot->result.text) - 1);
	if (slot->has_cause)
		return;
	slot->has_cause = true;
	slot->ended_usec = slot_wall_usec(slot);
	slot->result.cause = cause;
	memcpy(slot->result.text, text, size);
	slot->result.text[size] = 0;
}

void cause_caller(struct slot *slot)
{
	uint8_t message[sizeof(struct wire_head) + 1];
	ssize_t got = recv(slot->control, message, sizeof(message), MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got > 0 && wire_is_cancel(view_of(message, (size_t)got))) {
		slot_end(slot, SANDBOX_CAUSE_CANCELLED, "cancelled by the caller");
		return;
	}
	if (got > 0)
		slot_end(slot, SANDBOX_CAUSE_INTERNAL,
			"the caller sent more than its plan: one sandbox_start for a run");
	else
		slot_end(slot, SANDBOX_CAUSE_CANCELLED, "the caller went away");
}

bool cause_signal(struct slot *slot)
{
	struct signalfd_siginfo info;
	if (read(slot->signals, &info, sizeof(info)) <= 0 || info.ssi_signo == SIGCHLD)
		return false;
	slot_end(slot, SANDBOX_CAUSE_CANCELLED, "interrupted");
	return true;
}

static bool is_disk_full(void)
{
	struct statfs disk;
	return statfs("/work", &disk) == 0 && (disk.f_bavail == 0 || disk.f_ffree == 0);
}

void cause_memory(struct slot *slot)
{
	slot->result.statistics.oom_kills = cgroup_oom_kills(&slot->cgroup);
	if (!slot->result.statistics.oom_kills)
		return;
	slot_end(slot, SANDBOX_CAUSE_MEMORY,
		cgroup_is_at_limit(&slot->cgroup) ? "needed more memory than its limit"
						  : "killed because the machine, or a "
						    "group above, had no more memory");
	if (slot->result.cause != SANDBOX_CAUSE_MEMORY) /* others, while they were killed */
		slot->result.limits_hit |= 1u << SANDBOX_CAUSE_MEMORY;
}

/* A program that ended badly after a limit refused it something ended by that limit. */
static void end_by_refusal(struct slot *slot)
{
	struct sandbox_result *result = &slot->result;
	bool is_full = is_disk_full();
	if (is_full)
		result->limits_hit |= 1u << SANDBOX_CAUSE_DISK;
	if (cgroup_task_refusals(&slot->cgroup))
		result->limits_hit |= 1u << SANDBOX_CAUSE_PROCESSES;
	if (result->exit_code == 0)
		return;
	if (result->limits_hit & (1u << SANDBOX_CAUSE_DISK))
		slot_end(slot, SANDBOX_CAUSE_DISK,
			is_full ? "failed with its disk full"
				: "failed after a file met the file size limit");
	if (result->limits_hit & (1u << SANDBOX_CAUSE_PROCESSES))
		slot_end(slot, SANDBOX_CAUSE_PROCESSES,
			"failed after a process or thread was refused");
}

static void end_by_signal(struct slot *slot)
{
	struct err text; /* for its text only, here and below */
	int signal = slot->result.signal;
	if (signal == SIGXFSZ)
		slot_end(slot, SANDBOX_CAUSE_DISK, "wrote a file beyond the file size limit");
	if (signal == SIGXCPU && slot->cgroup.backend == SANDBOX_BACKEND_NONE)
		slot_end(slot, SANDBOX_CAUSE_CPU_TIMEOUT, "used its processor time");
	if (signal == SIGSYS)
		slot_end(slot, SANDBOX_CAUSE_DENIED, "used a foreign system call interface");
	err_format(&text, 0, "ended by signal %d", signal);
	slot_end(slot, SANDBOX_CAUSE_SIGNALLED, text.message);
}

static void end_by_exec_error(struct slot *slot)
{
	char name[STR_QUOTE_MAX];
	struct err text;
	err_format(&text, 0, "cannot execute %s: %s; is it in the image and among the tools?",
		str_quote(view_string(slot->parsed.plan.argv[0]), name),
		strerror(slot->exec_error));
	if (slot->has_no_cwd)
		err_format(&text, 0, "working directory %s: %s",
			str_quote(view_string(slot->parsed.plan.cwd), name),
			strerror(slot->exec_error));
	slot_end(slot, SANDBOX_CAUSE_DENIED, text.message);
}

void cause_end(struct slot *slot, int status)
{
	struct err text;
	slot->result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	slot->result.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	if (slot->exec_error)
		end_by_exec_error(slot);
	end_by_refusal(slot);
	if (slot->result.signal)
		end_by_signal(slot);
	err_format(&text, 0, "exited with %d", slot->result.exit_code);
	slot_end(slot, SANDBOX_CAUSE_EXITED, text.message);
}
