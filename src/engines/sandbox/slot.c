/*
 * The supervisor: builds one sandbox, runs one program in it, says how it ended, removes it.
 *
 * The work is ordered for two processors: PID 1 builds mounts and namespaces while the supervisor
 * makes cgroups, user namespace, pipes and filter. One loop then waits for everything at once:
 * the caller's messages, deaths and stops (SIGCHLD), output, and the clock.
 *
 * The cause of the end is decided once, by the first fact that is seen; and at every clock event
 * the payload's own end is looked for first, so an exit beats a limit that it just met.
 */
#include "engines/sandbox/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engines/sandbox/build.h"
#include "engines/sandbox/copy.h"
#include "engines/sandbox/sys.h"
#include "engines/sandbox/tracer.h"
#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "kit/base/time.h"

enum {
	SEND_WAIT_MS = 1000,     /* a caller that takes no event that long loses events */
	DELIVER_WAIT_MS = 10000, /* a receiver that takes no output that long loses the rest */
	CPU_CHECK_MIN_USEC = 2000,
	USEC_PER_MS = 1000,
	PROCESSORS_MAX = 1024,
};

struct loop {
	struct slot *slot;
	struct tracer tracer;
	int signals;
	uint64_t wall_deadline_usec; /* on the slot's clock */
	uint64_t next_cpu_usec;
	uint64_t next_stat_usec;
	struct rusage usage; /* of the first process */
	int payload_status;
};

uint64_t slot_usec(const struct slot *slot)
{
	return slot->started_usec ? time_monotonic_usec() - slot->started_usec : 0;
}

static bool is_trace_event(enum sandbox_event_kind kind)
{
	return kind == SANDBOX_EVENT_EXEC || kind == SANDBOX_EVENT_EXIT;
}

void slot_send(struct slot *slot, struct sandbox_event *event)
{
	struct sandbox_result *result = &slot->result;
	bool is_trace = is_trace_event(event->kind);
	if (is_trace && result->trace_events >= SANDBOX_TRACE_EVENTS_MAX) {
		result->trace_truncated = true;
		return;
	}
	event->t_usec = slot_usec(slot);
	size_t size = wire_event_size(event);
	ssize_t sent = -1;
	for (int i = 0; i < 2 && slot->control >= 0; i++) {
		sent = send(slot->control, event, size, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent >= 0 || (errno != EAGAIN && errno != ENOBUFS))
			break;
		struct pollfd ready = { .fd = slot->control, .events = POLLOUT };
		(void)poll(&ready, 1, SEND_WAIT_MS);
	}
	if (is_trace && sent >= 0)
		result->trace_events++;
	else if (is_trace)
		result->trace_lost++;
}

void slot_end(struct slot *slot, enum sandbox_cause cause, const char *text)
{
	size_t size = MIN(strlen(text), sizeof(slot->result.text) - 1);
	if (slot->has_cause)
		return;
	slot->has_cause = true;
	slot->result.cause = cause;
	memcpy(slot->result.text, text, size);
	slot->result.text[size] = 0;
}

static void kill_all(struct slot *slot)
{
	if (slot->init_pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, slot->init_pidfd, SIGKILL, NULL, 0);
}

static void read_statistics(struct loop *loop, bool with_details, struct sandbox_statistics *to)
{
	struct slot *slot = loop->slot;
	struct cgroup_usage usage;
	struct statfs disk;
	cgroup_usage(&slot->cgroup, with_details, &usage);
	*to = slot->result.statistics;
	to->wall_usec = slot_usec(slot);
	to->cpu_user_usec = usage.cpu_user_usec;
	to->cpu_system_usec = usage.cpu_system_usec;
	to->memory_current_bytes = usage.memory_current_bytes;
	to->memory_peak_bytes = usage.memory_peak_bytes;
	to->memory_anon_bytes = usage.memory_anon_bytes;
	if (statfs("/work", &disk) == 0)
		to->disk_bytes = (disk.f_blocks - disk.f_bfree) * (uint64_t)disk.f_bsize;
	to->stdin_bytes = slot->in.bytes;
	to->stdout_bytes = slot->out.bytes;
	to->stderr_bytes = slot->error.bytes;
}

/* Without cgroups the first process and what it waited for is all that is known. */
static void fill_from_usage(const struct loop *loop, struct sandbox_statistics *to)
{
	const struct rusage *usage = &loop->usage;
	to->faults_minor = (uint64_t)usage->ru_minflt;
	to->faults_major = (uint64_t)usage->ru_majflt;
	to->switches_voluntary = (uint64_t)usage->ru_nvcsw;
	to->switches_involuntary = (uint64_t)usage->ru_nivcsw;
	if (loop->slot->cgroup.backend != SANDBOX_BACKEND_NONE)
		return;
	to->cpu_user_usec = (uint64_t)usage->ru_utime.tv_sec * 1000000u +
			    (uint64_t)usage->ru_utime.tv_usec;
	to->cpu_system_usec = (uint64_t)usage->ru_stime.tv_sec * 1000000u +
			      (uint64_t)usage->ru_stime.tv_usec;
	to->memory_peak_bytes = (uint64_t)usage->ru_maxrss * 1024u;
}

static bool is_disk_full(void)
{
	struct statfs disk;
	return statfs("/work", &disk) == 0 && (disk.f_bavail == 0 || disk.f_ffree == 0);
}

static void end_by_memory(struct slot *slot)
{
	slot->result.statistics.oom_kills = cgroup_oom_kills(&slot->cgroup);
	if (slot->result.statistics.oom_kills)
		slot_end(slot, SANDBOX_CAUSE_MEMORY, "needed more memory than its limit");
}

/* A program that ended badly after a limit refused it something ended by that limit. */
static void end_by_refusal(struct slot *slot)
{
	struct sandbox_result *result = &slot->result;
	if (is_disk_full())
		result->limits_hit |= 1u << SANDBOX_CAUSE_DISK;
	if (cgroup_task_refusals(&slot->cgroup))
		result->limits_hit |= 1u << SANDBOX_CAUSE_PROCESSES;
	if (result->exit_code == 0)
		return;
	if (result->limits_hit & (1u << SANDBOX_CAUSE_DISK))
		slot_end(slot, SANDBOX_CAUSE_DISK, "failed with its disk full");
	if (result->limits_hit & (1u << SANDBOX_CAUSE_PROCESSES))
		slot_end(slot, SANDBOX_CAUSE_PROCESSES, "failed after a fork was refused");
}

static void end_by_signal(struct slot *slot)
{
	struct err text; /* for its text only, here and below */
	int signal = slot->result.signal;
	if (signal == SIGXFSZ)
		slot_end(slot, SANDBOX_CAUSE_DISK, "wrote a file beyond the file size limit");
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
	slot_end(slot, SANDBOX_CAUSE_DENIED, text.message);
}

static void pump(struct slot *slot, struct slot_copy *copy, const char *name)
{
	struct err err;
	if (copy_pump(copy, &err) < 0) {
		slot_end(slot, SANDBOX_CAUSE_INTERNAL, err.message);
		fd_close(&copy->to);
		copy->is_blocked = false;
	}
	if (copy->is_over) {
		err_format(&err, 0, "wrote more than %llu bytes to %s",
			(unsigned long long)copy->limit, name);
		slot_end(slot, SANDBOX_CAUSE_OUTPUT, err.message);
	}
}

/* The first process is dead: what it says about the end, if nothing else came before. */
static void judge_end(struct slot *slot, int status)
{
	struct err text;
	slot->result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	slot->result.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	end_by_memory(slot);
	pump(slot, &slot->out, "stdout"); /* what it left in the pipes may be too much */
	pump(slot, &slot->error, "stderr");
	if (slot->exec_error)
		end_by_exec_error(slot);
	end_by_refusal(slot);
	if (slot->result.signal)
		end_by_signal(slot);
	err_format(&text, 0, "exited with %d", slot->result.exit_code);
	slot_end(slot, SANDBOX_CAUSE_EXITED, text.message);
}

/* Take every status there is. Blocking until PID 1 is gone when is_last. */
static void reap(struct loop *loop, bool is_last)
{
	struct slot *slot = loop->slot;
	struct rusage usage;
	int status;
	for (;;) {
		pid_t pid = wait4(-1, &status, __WALL | (is_last ? 0 : WNOHANG), &usage);
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid <= 0)
			return;
		if (pid == slot->init_pid) {
			slot->init_pid = 0;
			slot_end(slot, SANDBOX_CAUSE_INTERNAL, "PID 1 of the sandbox died");
			continue;
		}
		if (pid == slot->payload_pid && !WIFSTOPPED(status)) {
			slot->payload_reaped = true;
			loop->usage = usage;
			loop->payload_status = status;
			judge_end(slot, status);
		} else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
			end_by_memory(slot);
		}
		tracer_handle(&loop->tracer, pid, status);
	}
}

static void pump_input(struct slot *slot)
{
	pump(slot, &slot->in, "stdin");
	if (slot->in.from < 0 && !slot->in.is_blocked)
		fd_close(&slot->in.to); /* the payload reads its end of file */
}

static void handle_message(struct slot *slot)
{
	uint8_t message[sizeof(struct wire_head) + 1];
	struct wire_head head;
	ssize_t got = recv(slot->control, message, sizeof(message), MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	memcpy(&head, message, sizeof(head));
	if (got == sizeof(head) && head.version == WIRE_VERSION && head.kind == WIRE_CANCEL) {
		slot_end(slot, SANDBOX_CAUSE_CANCELLED, "cancelled by the caller");
		return;
	}
	slot_end(slot, SANDBOX_CAUSE_CANCELLED,
		got > 0 ? "the caller sent an unknown message" : "the caller went away");
	if (got <= 0)
		fd_close(&slot->control);
}

static void check_clock(struct loop *loop)
{
	struct slot *slot = loop->slot;
	const struct sandbox_plan *plan = &slot->parsed.plan;
	uint64_t now = slot_usec(slot);
	if (now >= loop->wall_deadline_usec)
		slot_end(slot, SANDBOX_CAUSE_WALL_TIMEOUT, "ran longer than its wall time limit");
	if (now >= loop->next_cpu_usec) {
		uint64_t used = cgroup_cpu_usec(&slot->cgroup);
		uint64_t limit = plan->limits.cpu_ms * USEC_PER_MS;
		if (used >= limit) {
			slot_end(slot, SANDBOX_CAUSE_CPU_TIMEOUT, "used its processor time");
			return;
		}
		/* It cannot use the rest sooner than with all processors at once. */
		uint64_t rest = (limit - used) / (uint64_t)build_processors();
		loop->next_cpu_usec = now + MAX(rest, (uint64_t)CPU_CHECK_MIN_USEC);
	}
	if (plan->stat_interval_ms && now >= loop->next_stat_usec) {
		struct sandbox_event event = { .kind = SANDBOX_EVENT_STAT };
		read_statistics(loop, true, &event.statistics);
		slot_send(slot, &event);
		loop->next_stat_usec = now + (uint64_t)plan->stat_interval_ms * USEC_PER_MS;
	}
}

static struct timespec time_to_next(const struct loop *loop)
{
	uint64_t next = MIN(loop->wall_deadline_usec, loop->next_cpu_usec);
	if (loop->slot->parsed.plan.stat_interval_ms)
		next = MIN(next, loop->next_stat_usec);
	uint64_t now = slot_usec(loop->slot);
	uint64_t rest = next > now ? next - now : 0;
	return (struct timespec){ .tv_sec = (time_t)(rest / 1000000u),
		.tv_nsec = (long)(rest % 1000000u) * 1000 };
}

/* Where a stream waits: for its source, or for its receiver when something is held. */
static struct pollfd watch(const struct slot_copy *copy)
{
	if (copy->is_blocked)
		return (struct pollfd){ .fd = copy->to, .events = POLLOUT };
	return (struct pollfd){ .fd = copy->is_over ? -1 : copy->from, .events = POLLIN };
}

static void wait_once(struct loop *loop)
{
	struct slot *slot = loop->slot;
	struct signalfd_siginfo info;
	struct timespec rest = time_to_next(loop);
	struct pollfd fds[] = {
		{ .fd = loop->signals, .events = POLLIN },
		{ .fd = slot->control, .events = POLLIN },
		watch(&slot->in),
		watch(&slot->out),
		watch(&slot->error),
	};
	int ready = ppoll(fds, ARRAY_SIZE(fds), &rest, NULL);
	if (ready > 0 && fds[0].revents)
		ready -= read(loop->signals, &info, sizeof(info)) < 0; /* a wake-up: reap() looks */
	reap(loop, false);
	if (ready > 0 && fds[1].revents)
		handle_message(slot);
	if (ready > 0 && fds[2].revents)
		pump_input(slot);
	if (ready > 0 && fds[3].revents)
		pump(slot, &slot->out, "stdout");
	if (ready > 0 && fds[4].revents)
		pump(slot, &slot->error, "stderr");
	if (!slot->payload_reaped)
		check_clock(loop);
}

static void report_started(struct slot *slot)
{
	struct sandbox_event event = { .kind = SANDBOX_EVENT_STARTED };
	slot_send(slot, &event);
}

static void report_done(struct loop *loop)
{
	struct slot *slot = loop->slot;
	struct sandbox_event event = { .kind = SANDBOX_EVENT_DONE };
	struct sandbox_result *result = &slot->result;
	pump(slot, &slot->out, "stdout");
	pump(slot, &slot->error, "stderr");
	if (!copy_finish(&slot->out, DELIVER_WAIT_MS) ||
		!copy_finish(&slot->error, DELIVER_WAIT_MS))
		slot_end(slot, SANDBOX_CAUSE_INTERNAL, "nobody took the output");
	read_statistics(loop, slot->parsed.plan.stat_interval_ms != 0, &result->statistics);
	fill_from_usage(loop, &result->statistics);
	result->tier = slot->config.tier;
	result->backend = slot->cgroup.backend;
	result->enforced = slot->enforced;
	result->trace = slot->parsed.plan.trace;
	result->trace_complete = result->trace != SANDBOX_TRACE_NONE && !result->trace_lost &&
				 !result->trace_truncated;
	event.result = *result;
	slot_send(slot, &event);
}

/* Everything dead first, unless nothing but PID 1 is left: then the result need not wait. */
static void finish(struct loop *loop)
{
	struct slot *slot = loop->slot;
	bool is_alone = slot->payload_reaped && loop->tracer.count == 0;
	if (is_alone)
		report_done(loop);
	kill_all(slot);
	reap(loop, true);
	if (!is_alone)
		report_done(loop);
	tracer_done(&loop->tracer);
}

static void run_payload(struct slot *slot, int signals)
{
	struct loop loop = { .slot = slot, .signals = signals };
	struct err err;
	if (tracer_start(&loop.tracer, slot, &err) < 0 || build_check(slot, &err) < 0) {
		slot_end(slot, SANDBOX_CAUSE_INTERNAL, err.message);
	} else {
		const struct sandbox_limits *limits = &slot->parsed.plan.limits;
		slot->started_usec = time_monotonic_usec();
		loop.wall_deadline_usec = limits->wall_ms * USEC_PER_MS;
		loop.next_cpu_usec = slot->cgroup.backend == SANDBOX_BACKEND_NONE
					     ? UINT64_MAX
					     : limits->cpu_ms * USEC_PER_MS /
						       (uint64_t)build_processors();
		loop.next_stat_usec = (uint64_t)slot->parsed.plan.stat_interval_ms * USEC_PER_MS;
		report_started(slot);
		sys_word_set(&slot->payload_go, 1);
		while (!slot->has_cause)
			wait_once(&loop);
	}
	finish(&loop);
}

static void report_failure(struct slot *slot, const struct err *err)
{
	struct sandbox_event event = { .kind = SANDBOX_EVENT_DONE };
	slot_end(slot, err->category == E_DENIED ? SANDBOX_CAUSE_DENIED : SANDBOX_CAUSE_INTERNAL,
		err->message);
	slot->result.exit_code = -1;
	slot->result.tier = slot->config.tier;
	slot->result.backend = slot->cgroup.backend;
	slot->result.enforced = slot->enforced;
	event.result = slot->result;
	slot_send(slot, &event);
}

static void remove_all(struct slot *slot)
{
	struct sandbox_event event = { .kind = SANDBOX_EVENT_GONE };
	build_undo(slot);
	slot_send(slot, &event);
}

int slot_run(int control, struct err *err)
{
	struct slot *slot = mem_alloc(1, sizeof(*slot));
	auto_close signals = -1;
	build_empty(slot, control);
	int status = build_host(slot, &signals, err);
	if (status == 0)
		status = build_receive(slot, err);
	if (status == 0)
		status = build_sandbox(slot, err);
	if (status < 0)
		report_failure(slot, err);
	else
		run_payload(slot, signals);
	remove_all(slot);
	mem_free(slot);
	return 0;
}
