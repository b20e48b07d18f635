/*
 * The tracer.
 *
 * PTRACE_SEIZE with FORK, VFORK, CLONE and EXEC events: a program that neither forks nor execs
 * never stops. At an exec event the kernel's own copy of path and arguments is read, before the
 * new program runs one instruction, so nothing can be forged afterwards.
 *
 * The process limit is decided here because cgroups count threads too. The child that would be one
 * too many exists, but has not run: it is killed in its first stop, and its parent's call is made
 * to answer EAGAIN. What stays is a zombie that the parent may wait for; the task limit is raised
 * by it, or a program that never waits would meet the wrong limit. All tasks of the sandbox are
 * seen in one order by one tracer, so two forks at the same moment cannot both take the last place.
 *
 * SIGKILL may come between a birth and its announcement. A child that died first is counted as born
 * and dead when it is announced. One whose parent died waits in its first stop for an announcement
 * that never comes: it is killed too, as if the parent had died a moment sooner. (Where another
 * process inside adopts orphans, dead parents cannot be told from slow ones, and it goes on.)
 *
 * Processes have numbers from 1 in order of birth; numbers of the host's pids go nowhere.
 */
#include "engines/sandbox/tracer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engines/sandbox/sha256.h"
#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "kit/base/time.h"

enum {
	PROC_PATH_BYTES = 40,
	ARGV_STEP_BYTES = 4096,
	FIRST_TASKS = 16,
	STATUS_BYTES = 1024, /* the lines looked for are among the first ten */
};

struct traced {
	pid_t tid;
	uint32_t number;           /* of its process */
	uint32_t parent;           /* number of the parent's process */
	bool is_leader;            /* of its thread group: stands for a process */
	bool is_expected;          /* its birth was announced by its parent */
	bool is_doomed;            /* an orphan that is killed: it counts for nothing */
	bool is_refused;           /* its fork will answer EAGAIN */
	uint64_t waits_since_usec; /* stopped at birth, before the announcement came; 0: does not */
};

static struct traced *find(struct tracer *tracer, pid_t tid)
{
	for (size_t i = 0; i < tracer->count; i++)
		if (tracer->tasks[i].tid == tid)
			return &tracer->tasks[i];
	return NULL;
}

static struct traced *add(struct tracer *tracer, pid_t tid)
{
	if (tracer->count == tracer->capacity) {
		size_t capacity = tracer->capacity ? 2 * tracer->capacity : FIRST_TASKS;
		tracer->tasks = mem_resize(tracer->tasks, tracer->capacity * sizeof(*tracer->tasks),
			capacity, sizeof(*tracer->tasks));
		tracer->capacity = capacity;
	}
	tracer->tasks[tracer->count] = (struct traced){ .tid = tid };
	return &tracer->tasks[tracer->count++];
}

static void stop_waiting(struct tracer *tracer, struct traced *task)
{
	tracer->waiting -= task->waits_since_usec != 0;
	task->waits_since_usec = 0;
}

static void drop(struct tracer *tracer, struct traced *task)
{
	stop_waiting(tracer, task);
	*task = tracer->tasks[--tracer->count];
}

static void resume(pid_t tid, int signal)
{
	(void)ptrace(PTRACE_CONT, tid, 0, signal); /* fails only when it was killed meanwhile */
}

static bool is_traced_run(const struct tracer *tracer)
{
	return tracer->slot->parsed.plan.trace != SANDBOX_TRACE_NONE;
}

static void begin_process(struct tracer *tracer, struct traced *task, uint32_t parent)
{
	struct sandbox_statistics *statistics = &tracer->slot->result.statistics;
	task->is_leader = true;
	task->number = tracer->next_number++;
	task->parent = parent;
	tracer->processes++;
	statistics->processes_total++;
	statistics->processes_peak = MAX(statistics->processes_peak, tracer->processes);
}

static void report_exit(struct tracer *tracer, const struct traced *task, int status)
{
	struct sandbox_event event = {
		.kind = SANDBOX_EVENT_EXIT, .pid = task->number, .ppid = task->parent
	};
	event.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	slot_send(tracer->slot, &event);
}

static void handle_end(struct tracer *tracer, struct traced *task, int status)
{
	if (task->is_leader && !task->is_doomed) {
		tracer->processes--;
		if (is_traced_run(tracer))
			report_exit(tracer, task, status);
	}
	drop(tracer, task);
}

/* In a stop that we have not ended; SIGKILL ends each. What was read before is of this task. */
static bool is_still_stopped(pid_t tid)
{
	siginfo_t info;
	return ptrace(PTRACE_GETSIGINFO, tid, 0, &info) == 0;
}

/* True when the file being executed is seen through the sandbox's root mount. */
static bool is_of_image(const struct slot *slot, const char *exe)
{
	struct statx status = {};
	if (statx(slot->host_proc, exe, AT_STATX_DONT_SYNC, STATX_MNT_ID, &status) < 0)
		return false;
	return status.stx_mnt_id == slot->root_mount_id;
}

static void hash_arguments(const struct slot *slot, pid_t tid, struct sandbox_event *event)
{
	char path[PROC_PATH_BYTES];
	uint8_t bytes[ARGV_STEP_BYTES];
	struct sha256 hash;
	struct err ignored;
	sha256_init(&hash);
	auto_close fd = -1;
	if (str_format(path, sizeof(path), &ignored, "%d/cmdline", tid) == 0)
		fd = openat(slot->host_proc, path, O_RDONLY | O_CLOEXEC);
	for (ssize_t got = 1; fd >= 0 && got > 0;) {
		got = read(fd, bytes, sizeof(bytes));
		if (got > 0)
			sha256_add(&hash, bytes, (size_t)got);
	}
	sha256_end(&hash, event->argv_sha256);
}

/* Its death was taken already, without a look: nobody knew it; or its exec took another's id. */
static bool is_gone(pid_t tid)
{
	siginfo_t info;
	int any = WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL;
	return waitid(P_PID, (id_t)tid, &info, any) < 0 && errno == ECHILD;
}

/*
 * A thread that is not the leader takes the leader's id with its exec. Which it was, a task that
 * was killed meanwhile does not say, but nobody has its own id any more.
 */
static void forget_former_thread(struct tracer *tracer, pid_t tid, uint32_t number)
{
	unsigned long former = 0;
	bool is_known = ptrace(PTRACE_GETEVENTMSG, tid, 0, &former) == 0;
	for (size_t i = tracer->count; i > 0; i--) {
		struct traced *task = &tracer->tasks[i - 1];
		if (task->number == number && task->tid != tid &&
			(is_known ? task->tid == (pid_t)former : is_gone(task->tid)))
			drop(tracer, task);
	}
}

/* What is executed, as the kernel has it: nothing of it has run. False: too long a name to be told.
 */
static bool read_exec(
	const struct slot *slot, const char *exe, pid_t tid, struct sandbox_event *ret_event)
{
	size_t room = sizeof(ret_event->path) - 1;
	ssize_t size = readlinkat(slot->host_proc, exe, ret_event->path, room);
	ret_event->path[size > 0 ? size : 0] = 0;
	hash_arguments(slot, tid, ret_event);
	return size > 0 && (size_t)size < room;
}

static void tell_exec(struct slot *slot, struct sandbox_event *event, bool is_whole)
{
	slot->result.trace_truncated |= !is_whole;
	if (slot->started_usec || !slot->config.is_parked)
		slot_send(slot, event);
	else
		slot->parked_exec = *event;
}

static void handle_exec(struct tracer *tracer, pid_t tid)
{
	struct slot *slot = tracer->slot;
	const struct traced *task = find(tracer, tid);
	char exe[PROC_PATH_BYTES];
	struct err ignored;
	if (!task || str_format(exe, sizeof(exe), &ignored, "%d/exe", tid) < 0)
		return;
	struct sandbox_event event = {
		.kind = SANDBOX_EVENT_EXEC, .pid = task->number, .ppid = task->parent
	};
	forget_former_thread(tracer, tid, task->number);
	bool is_told = is_traced_run(tracer);
	bool is_allowed = slot->config.allow_exec_in_work || is_of_image(slot, exe);
	bool is_whole = is_told && read_exec(slot, exe, tid, &event);
	if (!is_still_stopped(tid))
		return; /* killed: what was read may be anything, but it never ran */
	if (is_told)
		tell_exec(slot, &event, is_whole);
	if (is_allowed) {
		resume(tid, 0);
		return;
	}
	(void)kill(tid, SIGKILL);
	slot_end(slot, SANDBOX_CAUSE_DENIED, "executed a file that is not part of the image");
}

/* A line of /proc/TID/status; 0 when it cannot be read. */
static pid_t read_status(const struct slot *slot, pid_t tid, const char *name)
{
	char text[STATUS_BYTES];
	slot_read_status(slot, tid, text, sizeof(text));
	return (pid_t)slot_find_line(text, name);
}

/*
 * A new task is a process unless clone() was asked for a thread; registers cannot be raced. A
 * parent that was killed has none: then the child tells, if it lives. If not, it died with its
 * process.
 */
static bool is_thread_birth(const struct slot *slot, pid_t parent, pid_t child)
{
	struct user_regs_struct registers;
	if (ptrace(PTRACE_GETREGS, parent, 0, &registers) < 0)
		return read_status(slot, child, "\nTgid:\t") != child;
	return registers.orig_rax == SYS_clone && (registers.rdi & CLONE_THREAD);
}

/*
 * A refused child is a zombie until its parent takes it, which does not know of it: it must not
 * count as a task. One whose parent ignores SIGCHLD is gone at once, and then must give no room.
 */
static void make_room_for_refused(struct tracer *tracer)
{
	size_t kept = 0;
	for (size_t i = 0; i < tracer->refused_count; i++)
		if (kill(tracer->refused[i], 0) == 0)
			tracer->refused[kept++] = tracer->refused[i];
	tracer->refused_count = kept;
	(void)cgroup_set_tasks(&tracer->slot->cgroup, slot_tasks_max(tracer->slot) + kept);
}

/* The parent's SIGCHLD comes within its fork: later it would interrupt what follows. */
static void refuse_birth(struct tracer *tracer, pid_t parent, pid_t child)
{
	struct slot *slot = tracer->slot;
	struct traced *task = find(tracer, parent);
	int status;
	(void)kill(child, SIGKILL);
	while (waitpid(child, &status, __WALL) == child && WIFSTOPPED(status))
		continue;
	if (task)
		task->is_refused = true;
	(void)ptrace(PTRACE_SYSCALL, parent, 0, 0); /* to the end of its fork */
	slot->result.limits_hit |= 1u << SANDBOX_CAUSE_PROCESSES;
	if (slot->result.statistics.forks_refused++ >= TRACER_REFUSED_MAX) {
		slot_end(slot, SANDBOX_CAUSE_PROCESSES, "kept forking beyond its process limit");
		return;
	}
	tracer->refused[tracer->refused_count++] = child;
	make_room_for_refused(tracer);
}

static bool has_room(const struct tracer *tracer)
{
	return tracer->processes < tracer->slot->parsed.plan.limits.processes;
}

static void handle_birth(struct tracer *tracer, pid_t parent)
{
	unsigned long message = 0;
	if (ptrace(PTRACE_GETEVENTMSG, parent, 0, &message) < 0)
		return;
	if (tracer->refused_count)
		make_room_for_refused(tracer);
	bool is_thread = is_thread_birth(tracer->slot, parent, (pid_t)message);
	struct traced *child = find(tracer, (pid_t)message);
	bool is_dead = !child && is_gone((pid_t)message);
	if (!child)
		child = add(tracer, (pid_t)message);
	bool is_adopted = child->is_leader;
	child->is_expected = true;
	const struct traced *task = find(tracer, parent);
	uint32_t number = task ? task->number : 0;
	if (is_thread) {
		child->number = number;
	} else if (!is_adopted && !has_room(tracer)) {
		drop(tracer, child);
		refuse_birth(tracer, parent, (pid_t)message);
		return;
	} else if (!is_adopted) {
		begin_process(tracer, child, number);
	}
	if (child->waits_since_usec)
		resume(child->tid, 0);
	stop_waiting(tracer, child);
	if (is_dead)
		handle_end(tracer, child, SIGKILL);
	resume(parent, 0);
}

/*
 * No thread is refused, so it need not be announced. Who made it may have been another by the
 * time we resumed it: a thread's exec, which without PTRACE_EVENT_EXEC nobody tells us, gives a
 * new program the leader's id, and its first births are then not seen.
 */
static void release_thread(struct tracer *tracer, struct traced *task, const struct traced *leader)
{
	if (!leader)
		return;
	stop_waiting(tracer, task);
	task->number = leader->number;
	task->is_expected = true;
	resume(task->tid, 0);
}

static void release_orphan(struct tracer *tracer, struct traced *task)
{
	struct slot *slot = tracer->slot;
	pid_t parent = read_status(slot, task->tid, "\nPPid:\t");
	pid_t leader = read_status(slot, task->tid, "\nTgid:\t");
	if (parent == 0 || leader == 0)
		return; /* dead */
	if (leader != task->tid) {
		release_thread(tracer, task, find(tracer, leader));
		return;
	}
	const struct traced *known = find(tracer, parent);
	if (known ? !has_room(tracer) : parent != slot->init_pid)
		return;
	stop_waiting(tracer, task);
	if (known) {
		begin_process(tracer, task, known->number);
		task->is_expected = true;
		resume(task->tid, 0);
		return;
	}
	task->is_leader = task->is_doomed = true;
	(void)kill(task->tid, SIGKILL);
}

void tracer_release_orphans(struct tracer *tracer)
{
	uint64_t now = tracer->waiting ? time_monotonic_usec() : 0;
	for (size_t i = 0; i < tracer->count && tracer->waiting; i++) {
		struct traced *task = &tracer->tasks[i];
		if (task->waits_since_usec && now - task->waits_since_usec >= TRACER_ORPHAN_USEC)
			release_orphan(tracer, task);
	}
}

static void handle_signal(struct tracer *tracer, pid_t tid, int signal)
{
	struct traced *task = find(tracer, tid);
	if (signal == SIGXFSZ) /* also where it is ignored: then the write just fails */
		tracer->slot->result.limits_hit |= 1u << SANDBOX_CAUSE_DISK;
	if (signal != (SIGTRAP | 0x80)) {
		resume(tid, signal);
		return;
	}
	if (task && task->is_refused) {
		(void)ptrace(PTRACE_POKEUSER, tid, offsetof(struct user_regs_struct, rax),
			(void *)(intptr_t)-EAGAIN);
		task->is_refused = false;
	}
	resume(tid, 0);
}

/* Group stops of job control (listen on), and the first stop of a new task. */
static void handle_stop(struct tracer *tracer, pid_t tid, int signal)
{
	if (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU) {
		(void)ptrace(PTRACE_LISTEN, tid, 0, 0);
		return;
	}
	struct traced *task = find(tracer, tid);
	if (!task)
		task = add(tracer, tid);
	if (task->is_expected) {
		resume(tid, 0);
	} else if (!task->waits_since_usec) {
		task->waits_since_usec = time_monotonic_usec();
		tracer->waiting++;
	}
}

void tracer_handle(struct tracer *tracer, pid_t pid, int status)
{
	if (!WIFSTOPPED(status)) {
		struct traced *task = find(tracer, pid);
		if (task)
			handle_end(tracer, task, status);
		return;
	}
	int event = status >> 16;
	if (event == PTRACE_EVENT_EXEC)
		handle_exec(tracer, pid);
	else if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK ||
		 event == PTRACE_EVENT_CLONE)
		handle_birth(tracer, pid);
	else if (event == PTRACE_EVENT_STOP)
		handle_stop(tracer, pid, WSTOPSIG(status));
	else
		handle_signal(tracer, pid, WSTOPSIG(status));
}

/* The first is number 1; who was not announced yet has none. */
bool tracer_is_alone(const struct tracer *tracer)
{
	for (size_t i = 0; i < tracer->count; i++)
		if (tracer->tasks[i].number != 1)
			return false;
	return tracer->count > 0;
}

void tracer_tell_exit(struct tracer *tracer, int exit_code)
{
	struct traced *task = &tracer->tasks[0];
	if (is_traced_run(tracer))
		report_exit(tracer, task, exit_code << 8);
	drop(tracer, task);
}

int tracer_start(struct tracer *tracer, struct slot *slot, struct err *err)
{
	*tracer = (struct tracer){ .slot = slot, .next_number = 1 };
	uint32_t options = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
			   PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
	bool is_kernel_sure = slot->enforced & SANDBOX_LAYER_BIT(SANDBOX_LAYER_MEMFD_NOEXEC);
	if (is_traced_run(tracer) || !is_kernel_sure)
		options |= PTRACE_O_TRACEEXEC;
	/* The child of a zygote is a tracee by birth, with the options of its parent. */
	bool is_traced = slot->config.is_zygote && slot->resident_pid;
	if (!is_traced &&
		ptrace(PTRACE_SEIZE, slot->payload_pid, 0, (void *)(uintptr_t)options) < 0)
		return err_sys(err, E_UNAVAILABLE, "tracing the payload");
	struct traced *task = add(tracer, slot->payload_pid);
	task->is_expected = true;
	begin_process(tracer, task, 0);
	if (is_traced)
		resume(slot->payload_pid, 0);
	slot->enforced |= SANDBOX_LAYER_BIT(SANDBOX_LAYER_PROCESS_LIMIT);
	return 0;
}

void tracer_done(struct tracer *tracer)
{
	mem_free(tracer->tasks);
	tracer->tasks = NULL;
}
