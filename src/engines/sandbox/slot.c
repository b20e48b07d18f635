/*
 * The supervisor: builds one sandbox, runs one program in it, says how it ended, removes it.
 *
 * The work is ordered for two processors: PID 1 makes namespaces, then attaches mounts, while the
 * supervisor makes those mounts, cgroups, user namespace and filter; the payload-to-be sheds its
 * rights while the supervisor makes its pipes and Landlock rules. One loop then waits for
 * everything at once: the caller's messages, deaths and stops (SIGCHLD), output, and the clock.
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
#include "engines/sandbox/cause.h"
#include "engines/sandbox/copy.h"
#include "engines/sandbox/events.h"
#include "engines/sandbox/files.h"
#include "engines/sandbox/note.h"
#include "engines/sandbox/sys.h"
#include "engines/sandbox/tracer.h"
#include "engines/sandbox/uncounted.h"
#include "engines/sandbox/warm.h"
#include "engines/sandbox/zygote.h"
#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/prompt.h"
#include "kit/base/str.h"
#include "kit/base/time.h"

enum {
	DELIVER_WAIT_MS = 10000, /* a receiver that takes no output that long loses the rest */
	HURRIED_WAIT_MS = 100,   /* the same for who is asked to end */
	PARK_WAIT_MS = 10000,
	SETTLE_LOOK_MS = 20,
	SETTLE_LOOKS = 500,
	PARK_WORDS_MAX = 200,
	CPU_CHECK_MIN_USEC = 2000,
	REAP_MAX = 64,
	REAP_USEC = 2000,
	USEC_PER_MS = 1000,
	PROCESSORS_MAX = 1024,
	STACK_BYTES = 14 * 1024,
};

struct loop {
	struct slot *slot;
	struct tracer tracer;
	bool is_hurried;             /* asked to end: waits for no slow receiver */
	bool is_behind;              /* there may be statuses that were not taken yet */
	uint64_t wall_deadline_usec; /* on the slot's clock */
	uint64_t next_cpu_usec;
	uint64_t next_stat_usec;
	struct uncounted uncounted;
	struct cgroup_cpu cpu_base;   /* used before the run began */
	struct slot_usage usage_base; /* by the first process, before it had its job */
	struct slot_usage usage;      /* and at its end */
};

/* All of the run; who resides, as long as it lives, is not of it. */
static void kill_run(struct slot *slot)
{
	if (slot->resident_pid)
		cgroup_kill_others(&slot->cgroup, slot->resident_pid);
	else if (slot->init_pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, slot->init_pidfd, SIGKILL, NULL, 0);
}

/* A count that cannot be read is 0. */
static uint64_t since(uint64_t now, uint64_t base)
{
	return now > base ? now - base : 0;
}

/* Where no tick fell, all is the program's, as for wait4(). */
static void fill_cpu(
	const struct cgroup_cpu *now, const struct cgroup_cpu *base, struct sandbox_statistics *to)
{
	to->cpu_usec = since(now->usec, base->usec);
	to->cpu_system_usec = MIN(since(now->system_usec, base->system_usec), to->cpu_usec);
	to->cpu_user_usec = to->cpu_usec - to->cpu_system_usec;
}

static void read_statistics(struct loop *loop, struct sandbox_statistics *to)
{
	struct slot *slot = loop->slot;
	struct cgroup_usage usage;
	struct statfs disk;
	cgroup_usage(&slot->cgroup, &usage);
	*to = slot->result.statistics;
	to->wall_usec = slot_wall_usec(slot);
	fill_cpu(&usage.cpu, &loop->cpu_base, to);
	to->memory_peak_bytes = usage.memory_peak_bytes;
	to->memory_peak_is_of_all = slot->is_peak_of_all;
	if (statfs("/work", &disk) == 0)
		to->disk_bytes = (disk.f_blocks - disk.f_bfree) * (uint64_t)disk.f_bsize;
	to->stdin_bytes = slot->in.bytes;
	to->stdout_bytes = slot->out.bytes;
	to->stderr_bytes = slot->error.bytes;
}

/* Of the first process and what it waited for; without cgroups all that is known. */
static void fill_from_usage(const struct loop *loop, struct sandbox_statistics *to)
{
	const struct slot_usage *usage = &loop->usage;
	const struct slot_usage *base = &loop->usage_base;
	to->faults_minor = since(usage->faults_minor, base->faults_minor);
	to->faults_major = since(usage->faults_major, base->faults_major);
	to->switches_voluntary = since(usage->switches_voluntary, base->switches_voluntary);
	to->switches_involuntary = since(usage->switches_involuntary, base->switches_involuntary);
	if (loop->slot->cgroup.backend != SANDBOX_BACKEND_NONE)
		return;
	fill_cpu(&usage->cpu, &base->cpu, to);
	to->memory_peak_bytes = usage->memory_peak_bytes;
}

static void check_stream(
	struct slot *slot, struct slot_copy *copy, const char *name, int status, struct err *err)
{
	if (status < 0) {
		slot_end(slot, SANDBOX_CAUSE_INTERNAL, err->message);
		fd_close(&copy->to);
		copy->is_blocked = false;
	}
	if (copy->is_over) {
		err_format(err, 0, "wrote more than %llu bytes to %s",
			(unsigned long long)copy->limit, name);
		slot_end(slot, SANDBOX_CAUSE_OUTPUT, err->message);
		if (slot->result.cause != SANDBOX_CAUSE_OUTPUT) /* others wrote on, until killed */
			slot->result.limits_hit |= 1u << SANDBOX_CAUSE_OUTPUT;
	}
}

static void pump(struct slot *slot, struct slot_copy *copy, const char *name)
{
	struct err err;
	int status = copy_pump(copy, &err);
	check_stream(slot, copy, name, status, &err);
}

/* Room at the receiver, or a reason to hurry; false when it takes nothing. */
static bool wait_for_room(struct loop *loop, const struct slot_copy *copy)
{
	struct slot *slot = loop->slot;
	struct pollfd fds[] = {
		{ .fd = copy->to, .events = POLLOUT },
		{ .fd = slot->control, .events = POLLIN },
		{ .fd = slot->signals, .events = POLLIN },
	};
	size_t count = loop->is_hurried ? 1 : ARRAY_SIZE(fds);
	events_flush(slot, false); /* who takes output may wait for the word that there is a run */
	if (poll(fds, count, loop->is_hurried ? HURRIED_WAIT_MS : DELIVER_WAIT_MS) <= 0)
		return false;
	if (fds[1].revents)
		cause_caller(slot);
	loop->is_hurried |= fds[1].revents || (fds[2].revents && cause_signal(slot));
	return true;
}

/* The writers are dead: what is left goes to the receiver, at its pace. */
static void drain(struct loop *loop, struct slot_copy *copy, const char *name)
{
	struct err err;
	uint64_t before;
	do {
		before = copy->bytes;
		if (copy->is_blocked && !wait_for_room(loop, copy)) {
			int status = err_set(&err, E_UNAVAILABLE, "nobody took the output");
			check_stream(loop->slot, copy, name, status, &err);
		}
		pump(loop->slot, copy, name);
	} while (copy->is_blocked || copy->bytes != before);
}

static void drain_output(struct loop *loop)
{
	struct slot *slot = loop->slot;
	loop->is_hurried |= slot->has_cause && slot->result.cause == SANDBOX_CAUSE_CANCELLED;
	drain(loop, &slot->out, "stdout");
	drain(loop, &slot->error, "stderr");
}

/* What it left in the pipes may be too much, so that is looked at before the exit counts. */
static void payload_ended(struct loop *loop, int status)
{
	struct slot *slot = loop->slot;
	slot->ended_usec = slot_wall_usec(slot);
	cause_memory(slot);
	if (!tracer_is_alone(&loop->tracer))
		kill_run(slot); /* or the others keep writing */
	if (slot->started_usec)
		drain_output(loop);
	cause_end(slot, status);
}

/* A program can make statuses faster than we take them, and such that take us long. */
static bool is_time_for_the_clock(const struct loop *loop, int taken, uint64_t since_usec)
{
	return loop->slot->started_usec &&
	       (taken >= REAP_MAX || (taken && time_monotonic_usec() - since_usec >= REAP_USEC));
}

/*
 * Take every status there is, but of a run no longer than the clock can wait. When is_last, all is
 * being killed: blocking until PID 1 is gone, unless somebody resides, who stays.
 */
static void reap(struct loop *loop, bool is_last)
{
	struct slot *slot = loop->slot;
	struct rusage usage;
	int status;
	bool is_waiting = is_last && !slot->resident_pid;
	uint64_t began_usec = time_monotonic_usec();
	loop->is_behind = false;
	for (int taken = 0;; taken++) {
		if (!is_last &&
			(slot->has_cause || is_time_for_the_clock(loop, taken, began_usec))) {
			loop->is_behind = true;
			return;
		}
		pid_t pid = wait4(-1, &status, __WALL | (is_waiting ? 0 : WNOHANG), &usage);
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid <= 0)
			return;
		if (pid == slot->init_pid) {
			slot->init_pid = 0;
			slot_end(slot, SANDBOX_CAUSE_INTERNAL, "PID 1 of the sandbox died");
			continue;
		}
		if (pid == slot->resident_pid) {
			zygote_handle(slot, status);
			continue;
		}
		if (is_last && slot->resident_pid && WIFSTOPPED(status))
			(void)kill(pid, SIGKILL); /* it may have been born since */
		if (pid == slot->payload_pid && !WIFSTOPPED(status)) {
			slot->payload_reaped = true;
			loop->usage = slot_usage_reaped(&usage);
			if (!slot->has_told_exit)
				payload_ended(loop, status);
			else /* we killed it then */
				status = slot->result.exit_code << 8;
		} else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
			cause_memory(slot);
		}
		tracer_handle(&loop->tracer, pid, status);
		if (!is_last && slot->payload_reaped && loop->tracer.count == 0)
			return; /* nobody else to wait for but PID 1 */
	}
}

static void pump_input(struct slot *slot)
{
	pump(slot, &slot->in, "stdin");
	if (slot->in.from < 0 && !slot->in.is_blocked)
		fd_close(&slot->in.to); /* the payload reads its end of file */
}

/* A parked program said something: it is ready, or it is done and this is its exit code. */
static void handle_note(struct loop *loop)
{
	struct slot *slot = loop->slot;
	uint8_t note;
	pid_t sender;
	if (!note_take(slot->note[0], &note, &sender)) {
		fd_close(&slot->note[0]); /* it closed its end: its death will tell */
		return;
	}
	if (!slot->started_usec) {
		slot->has_note = true;
		return;
	}
	if (sender != slot->payload_pid)
		return; /* a child that has the descriptor, too, does not speak for it */
	/* As good as an exit: the program can choose both. Tearing it down is not waited for. */
	slot->has_told_exit = true;
	slot_usage_now(slot, slot->cgroup.backend == SANDBOX_BACKEND_NONE, &loop->usage);
	(void)kill(slot->payload_pid, SIGKILL); /* or it writes for as long as it is read */
	payload_ended(loop, note << 8);
}

static void check_clock(struct loop *loop)
{
	struct slot *slot = loop->slot;
	const struct sandbox_plan *plan = &slot->parsed.plan;
	uint64_t now = slot_usec(slot);
	events_flush_old(slot);
	files_drain(slot->files_used);
	tracer_release_orphans(&loop->tracer);
	if (now >= loop->wall_deadline_usec)
		slot_end(slot, SANDBOX_CAUSE_WALL_TIMEOUT, "ran longer than its wall time limit");
	if (now >= loop->next_cpu_usec) {
		uint64_t used = since(cgroup_cpu(&slot->cgroup).usec, loop->cpu_base.usec);
		uint64_t limit = plan->limits.cpu_ms * USEC_PER_MS;
		if (used >= limit) {
			slot_end(slot, SANDBOX_CAUSE_CPU_TIMEOUT, "used its processor time");
			return;
		}
		/* It cannot use the rest sooner than with all processors at once. */
		uint64_t rest = (limit - used) / slot->processor_count;
		loop->next_cpu_usec = now + MAX(rest, (uint64_t)CPU_CHECK_MIN_USEC);
	}
	uncounted_look(slot, &loop->uncounted);
	if (plan->stat_interval_ms && now >= loop->next_stat_usec) {
		struct sandbox_event event = { .kind = SANDBOX_EVENT_STAT };
		read_statistics(loop, &event.statistics);
		event.statistics.memory_current_bytes = cgroup_memory(&slot->cgroup);
		slot_send(slot, &event);
		loop->next_stat_usec = now + (uint64_t)plan->stat_interval_ms * USEC_PER_MS;
	}
}

static struct timespec time_to_next(const struct loop *loop)
{
	uint64_t next = MIN(loop->wall_deadline_usec, loop->next_cpu_usec);
	next = MIN(next, loop->uncounted.next_usec);
	if (loop->slot->parsed.plan.stat_interval_ms)
		next = MIN(next, loop->next_stat_usec);
	uint64_t now = slot_usec(loop->slot);
	uint64_t rest = next > now ? next - now : 0;
	if (loop->is_behind)
		rest = 0;
	if (loop->slot->queue.size)
		rest = MIN(rest, (uint64_t)EVENTS_WAIT_USEC);
	if (loop->tracer.waiting)
		rest = MIN(rest, (uint64_t)TRACER_ORPHAN_USEC);
	if (loop->slot->files_used)
		rest = MIN(rest, (uint64_t)FILES_DRAIN_USEC);
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
	struct timespec rest = time_to_next(loop);
	struct pollfd fds[] = {
		{ .fd = loop->slot->signals, .events = POLLIN },
		{ .fd = slot->control, .events = POLLIN },
		watch(&slot->in),
		watch(&slot->out),
		watch(&slot->error),
		{ .fd = slot->note[0], .events = POLLIN },
	};
	int ready = ppoll(fds, ARRAY_SIZE(fds), &rest, NULL);
	reap(loop, false);
	if (slot->payload_reaped && loop->tracer.count == 0)
		return; /* the usual end, on the shortest way */
	if (ready > 0 && fds[0].revents) {
		cause_signal(slot);
		reap(loop, false); /* whoever the signal was of */
	}
	if (ready > 0 && fds[1].revents)
		cause_caller(slot);
	if (ready > 0 && fds[2].revents)
		pump_input(slot);
	if (ready > 0 && fds[3].revents)
		pump(slot, &slot->out, "stdout");
	if (ready > 0 && fds[4].revents)
		pump(slot, &slot->error, "stderr");
	if (ready > 0 && fds[5].revents && !slot->payload_reaped)
		handle_note(loop);
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
	read_statistics(loop, &result->statistics);
	fill_from_usage(loop, &result->statistics);
	files_report(slot);
	build_open_results(slot);
	events_flush(slot, true); /* the counts of the trace are known then */
	result->tier = slot->config.tier;
	result->backend = slot->cgroup.backend;
	result->enforced = slot->enforced;
	result->trace = slot->parsed.plan.trace;
	result->trace_complete = result->trace != SANDBOX_TRACE_NONE && !result->trace_lost &&
				 !result->trace_truncated && slot->started_usec;
	event.result = *result;
	slot_send(slot, &event);
}

/*
 * Everything of the run dead, by the kernel's count. What a run leaves alive beside who resides (it
 * should not be possible for long) ends that too, with PID 1.
 */
static void end_all(struct loop *loop)
{
	struct slot *slot = loop->slot;
	struct signalfd_siginfo info;
	bool is_over = slot->payload_reaped && loop->tracer.count == 0;
	if (is_over && slot->resident_pid && cgroup_tasks(&slot->cgroup) == 1)
		return;
	for (int i = 0; slot->resident_pid; i++) {
		struct pollfd woken = { .fd = loop->slot->signals, .events = POLLIN };
		kill_run(slot);
		reap(loop, true);
		if (cgroup_tasks(&slot->cgroup) == 1)
			return;
		if (poll(&woken, 1, SETTLE_LOOK_MS) > 0)
			(void)!read(loop->slot->signals, &info, sizeof(info));
		if (i == SETTLE_LOOKS)
			slot->resident_pid = 0;
	}
	kill_run(slot);
	reap(loop, true);
}

/*
 * Everything dead first, unless nothing but PID 1 is left, or a parked program that has told its
 * exit code and has no company but its own threads: then the result need not wait for the dying.
 * Results are opened when nobody is left who could change them.
 */
static void finish(struct loop *loop)
{
	struct slot *slot = loop->slot;
	bool is_alone = slot->payload_reaped && loop->tracer.count == 0;
	bool is_told = slot->has_told_exit && tracer_is_alone(&loop->tracer);
	if (is_told)
		tracer_tell_exit(&loop->tracer, slot->result.exit_code);
	bool is_early = (is_alone || is_told) && !slot->parsed.plan.wants_results &&
			!slot->files_used;
	if (is_early)
		report_done(loop);
	end_all(loop);
	if (!is_early) {
		drain_output(loop);
		report_done(loop);
	}
	uncounted_end(&loop->uncounted);
	tracer_done(&loop->tracer);
}

/* As if it had told so. */
static void end_without_cwd(struct slot *slot)
{
	slot->has_told_exit = true;
	(void)kill(
		slot->payload_pid, SIGKILL); /* or it says what it thinks of a job that is none */
	cause_end(slot, slot_exit_code(slot->exec_error) << 8);
}

/* Parked: the job goes in as strings; the program reads to the end. */
static int send_job(struct slot *slot, struct err *err)
{
	const struct sandbox_plan *plan = &slot->parsed.plan;
	const char *const *const lists[] = { plan->argv, plan->env };
	auto_done(buf) job = { .limit = WIRE_MESSAGE_MAX };
	size_t argc = 0;
	while (plan->argv[argc])
		argc++;
	TRY(buf_append(&job, view_of(plan->cwd, strlen(plan->cwd) + 1), err));
	TRY(buf_append_format(&job, err, "%zu%c", argc, 0)); /* arguments may be empty */
	for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
		for (size_t i = 0; lists[l][i]; i++)
			TRY(buf_append(&job, view_of(lists[l][i], strlen(lists[l][i]) + 1), err));
	/* A pipe holds 64 KiB without a reader; more waits for the program, which is reading. */
	TRY(fd_write_all(slot->job[1], buf_view(&job), err));
	return 0;
}

/* The last words of a parked program are all that explains its end. */
static int parking_failed(struct slot *slot, struct err *err)
{
	char words[PARK_WORDS_MAX];
	ssize_t size = read(slot->error.from, words, sizeof(words));
	return err_set(err, E_UNAVAILABLE, "parking: %s: %.*s", slot->result.text,
		size > 0 ? (int)size : 0, words);
}

/* A plan that did not wait for READY: that is its business. */
static bool is_plan_waiting(const struct slot *slot)
{
	struct wire_head head = {};
	ssize_t got = recv(slot->control, &head, sizeof(head), MSG_PEEK | MSG_DONTWAIT);
	return got == sizeof(head) && head.kind == WIRE_PLAN;
}

/* The program of a parked slot runs ahead, until it says that it is ready. */
static int park(struct loop *loop, struct err *err)
{
	struct slot *slot = loop->slot;
	sys_word_set(&slot->payload_go, 1);
	while (!slot->has_note && !slot->has_cause) {
		struct pollfd fds[] = {
			{ .fd = loop->slot->signals, .events = POLLIN },
			{ .fd = is_plan_waiting(slot) ? -1 : slot->control, .events = POLLIN },
			{ .fd = slot->note[0], .events = POLLIN },
		};
		if (poll(fds, ARRAY_SIZE(fds), PARK_WAIT_MS) == 0)
			return err_set(err, E_UNAVAILABLE,
				"the parked program was not ready after %d ms", PARK_WAIT_MS);
		if (fds[0].revents)
			cause_signal(slot);
		reap(loop, false);
		if (fds[1].revents && !is_plan_waiting(slot))
			cause_caller(slot);
		if (fds[2].revents)
			handle_note(loop);
	}
	fd_close(&slot->job[0]); /* the payload-to-be read these numbers from our memory */
	fd_close(&slot->note[1]);
	if (slot->has_cause)
		return parking_failed(slot, err);
	(void)cgroup_reset_peak(&slot->cgroup);
	return 0;
}

/*
 * What follows the payload's end is gone through once while nobody waits: the kernel makes the
 * buffers of the counters at their first reading, and the pages of our stack at their first use.
 */
static void rehearse_end(struct loop *loop)
{
	struct sandbox_statistics ignored;
	uint8_t stack[STACK_BYTES];
	mem_wipe(stack, sizeof(stack));
	(void)cgroup_oom_kills(&loop->slot->cgroup);
	read_statistics(loop, &ignored);
}

/* What was used before the run; a zygote's child is born for it. */
static void take_base(struct loop *loop)
{
	struct slot *slot = loop->slot;
	loop->cpu_base = cgroup_cpu(&slot->cgroup);
	if (slot->config.is_parked)
		slot_usage_open(slot);
	if (slot->config.is_parked && !slot->config.is_zygote)
		slot_usage_now(slot, true, &loop->usage_base);
}

/* Built; now wait for the plan, or for the end. */
static int wait_for_plan(struct loop *loop, struct err *err)
{
	struct slot *slot = loop->slot;
	struct sandbox_event event = { .kind = SANDBOX_EVENT_READY };
	if (slot->config.is_parked && !slot->config.is_zygote)
		TRY(park(loop, err));
	if (!slot->config.is_warm) { /* else that was done and said before */
		rehearse_end(loop);
		slot_send(slot, &event);
	}
	take_base(loop);
	for (;;) {
		struct pollfd fds[] = {
			{ .fd = loop->slot->signals, .events = POLLIN },
			{ .fd = slot->control, .events = POLLIN },
		};
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue;
		if (fds[0].revents) {
			cause_signal(slot);
			reap(loop, false);
		}
		if (slot->has_cause)
			return err_set(err, E_UNAVAILABLE, "waiting: %s", slot->result.text);
		if (fds[1].revents)
			return build_adopt(slot, err);
	}
}

static int start_run(struct loop *loop, struct err *err)
{
	struct slot *slot = loop->slot;
	const struct sandbox_limits *limits = &slot->parsed.plan.limits;
	slot->started_usec = time_monotonic_usec();
	loop->wall_deadline_usec = limits->wall_ms * USEC_PER_MS;
	loop->next_cpu_usec = slot->cgroup.backend == SANDBOX_BACKEND_NONE
				      ? UINT64_MAX
				      : limits->cpu_ms * USEC_PER_MS / slot->processor_count;
	loop->uncounted = uncounted_start(loop->cpu_base);
	loop->next_stat_usec = (uint64_t)slot->parsed.plan.stat_interval_ms * USEC_PER_MS;
	TRY(build_results(slot, err));
	TRY(files_start(slot, err)); /* inputs may have been mounted since */
	if (!slot->config.is_parked)
		sys_word_set(&slot->payload_go, 1);
	else if (build_has_cwd(slot))
		TRY(send_job(slot, err));
	else
		end_without_cwd(slot);
	fd_close(&slot->job[1]); /* see await_plan() */
	prompt_self();
	build_connect(slot);
	report_started(slot);
	if (slot->parked_exec.kind == SANDBOX_EVENT_EXEC)
		slot_send(slot, &slot->parked_exec);
	return 0;
}

static int run_payload(struct loop *loop, struct err *err)
{
	struct slot *slot = loop->slot;
	TRY(tracer_start(&loop->tracer, slot, err));
	TRY(files_start(slot, err));
	TRY(build_check(slot, err));
	if (slot->config.is_prepared)
		TRY(wait_for_plan(loop, err));
	TRY(start_run(loop, err));
	while (!slot->has_cause)
		wait_once(loop);
	return 0;
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

/* Whatever it was, it was not a run; but who cancelled is told that. */
static void end_without_run(struct slot *slot, const struct err *err)
{
	slot->has_cause = slot->has_cause && slot->result.cause == SANDBOX_CAUSE_CANCELLED;
	slot_end(slot, SANDBOX_CAUSE_INTERNAL, err->message);
}

static void report_gone(struct slot *slot)
{
	/* Whose child we are: see sandbox_receive(). */
	struct sandbox_event gone = {
		.kind = SANDBOX_EVENT_GONE, .pid = (uint32_t)getpid(), .ppid = (uint32_t)getppid()
	};
	if (!slot->is_result_lost)
		slot_send(slot, &gone);
}

/* One run in a warm sandbox. True when another may follow. */
static bool run_warm_once(struct slot *slot)
{
	struct loop loop = { .slot = slot };
	struct err err;
	if (warm_begin(slot, &err) < 0) {
		report_failure(slot, &err);
		return false;
	}
	if (run_payload(&loop, &err) < 0)
		end_without_run(slot, &err);
	finish(&loop);
	return warm_end(slot);
}

/* The program of a zygote runs ahead of all runs, as a parked one does ahead of its own. */
static int start_zygote(struct slot *slot, struct err *err)
{
	struct loop loop = { .slot = slot };
	int status = tracer_start(&loop.tracer, slot, err);
	if (status == 0)
		status = build_check(slot, err);
	if (status == 0)
		status = park(&loop, err);
	tracer_done(&loop.tracer);
	if (status == 0)
		status = zygote_ready(slot, err);
	warm_reset(slot);
	return status;
}

static void run_warm(struct slot *slot)
{
	struct sandbox_event ready = { .kind = SANDBOX_EVENT_READY };
	struct err err;
	bool is_ready = warm_build(slot, &err) == 0 &&
			(!slot->config.is_zygote || start_zygote(slot, &err) == 0);
	if (!is_ready)
		report_failure(slot, &err);
	while (is_ready) {
		slot_send(slot, &ready);
		is_ready = run_warm_once(slot);
	}
	build_undo(slot);
	report_gone(slot);
}

static void run_slot(struct slot *slot)
{
	struct loop loop = { .slot = slot };
	struct err err;
	if (build_sandbox(slot, &err) < 0) {
		report_failure(slot, &err);
	} else {
		if (run_payload(&loop, &err) < 0)
			end_without_run(slot, &err);
		finish(&loop);
	}
	build_undo(slot);
	report_gone(slot);
}

int slot_serve(int control, int nice, struct err *err)
{
	struct slot *slot = mem_shared(sizeof(*slot)); /* with a spawner */
	build_empty(slot, control);
	slot->nice = nice;
	char ignored;
	int status = build_become(slot, err);
	if (status == 0)
		status = build_receive(slot, err);
	else /* take the plan all the same: a message that nobody read resets the connection */
		(void)!recv(control, &ignored, sizeof(ignored), 0);
	if (status == 0 && slot->config.is_warm) {
		run_warm(slot);
	} else if (status == 0) {
		run_slot(slot);
	} else {
		report_failure(slot, err);
		report_gone(slot);
	}
	buf_done(&slot->queue);
	fd_close(&slot->signals);
	mem_unshare(slot, sizeof(*slot));
	return status;
}

int slot_run_local(const struct sandbox_plan *plan, const struct sandbox_files *files,
	void (*sink)(void *context, const struct sandbox_event *event), void *context,
	struct err *err)
{
	struct slot *slot = mem_alloc(1, sizeof(*slot));
	build_empty(slot, -1);
	slot->sink = sink;
	slot->sink_context = context;
	int status = build_become(slot, err);
	if (status == 0)
		status = build_take(slot, plan, files, err);
	if (status == 0)
		run_slot(slot);
	buf_done(&slot->queue);
	fd_close(&slot->signals);
	mem_free(slot);
	return status;
}
