/*
 * The payload before it is the payload: sheds everything it was born with, then execs. Raw calls
 * only (see sys.h).
 *
 * It is born as a child of the supervisor inside the sandbox's pid namespace, host root, on the
 * supervisor's memory and descriptor table, while PID 1 still mounts. In this order: into its
 * cgroups; into a cgroup namespace rooted there; rlimits; into PID 1's namespaces; into a user
 * namespace that owns none of them, so that even regained capabilities would have no object; ids,
 * capabilities; no_new_privs. Meanwhile the supervisor has made its streams and Landlock rules:
 * Landlock; a descriptor table of its own with 0, 1 and 2; system call filter. Then it waits (hot
 * tiers wait here for their plan) and execs.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "engines/sandbox/apparmor.h"
#include "engines/sandbox/filter.h"
#include "engines/sandbox/slot.h"
#include "engines/sandbox/sys.h"
#include "kit/base/attr.h"

enum {
	FILES_MAX = 4096, /* open descriptors per process; their memory is charged */
	FILES_MIN = 128,
	/*
	 * Rootless all sandboxes are one user, who may have so many and 253 more in messages, and
	 * whoever has a limit below what is there can send none: it is 1024 for most.
	 */
	FILES_MAX_ROOTLESS = 704,
	WAITS_MAX = 64 * FILES_MAX, /* descriptors times tasks: 35 MiB in poll() */
	SIGNALS_MAX = 1024,         /* queued signals and POSIX timers */
	LOCKED_BYTES_MAX = 65536,
	STACK_BYTES_MAX = 64 << 20,
	STACK_BYTES = 8 << 20,
	CAPABILITIES_MAX = 63,
	CANDIDATE_BYTES_MAX = 4096,
	ORDERS_FD = SLOT_STREAMS, /* of a spawner */
};

static long join_cgroups(const struct slot *slot, const char **ret_step)
{
	/* v2: born inside */
	for (int i = 0; i < CGROUP_CONTROLLER_COUNT; i++)
		if (slot->cgroup.backend == SANDBOX_BACKEND_CGROUP_V1)
			STEP(sys3(write, slot->cgroup.procs[i], "0", 1), "joining a cgroup");
	STEP(sys1(unshare, CLONE_NEWCGROUP), "cgroup namespace");
	return 0;
}

/*
 * Not above what we were given ourselves, unless we have the right to raise that. What is below
 * needed would look like an end of the program's own.
 */
static long set_rlimit(int resource, struct rlimit wanted, rlim_t needed)
{
	struct rlimit given;
	long status = sys4(prlimit64, 0, resource, &wanted, 0);
	if (status != -EPERM)
		return status;
	status = sys4(prlimit64, 0, resource, 0, &given);
	if (status < 0 || given.rlim_max < needed)
		return status < 0 ? status : -EPERM;
	wanted.rlim_max = MIN(wanted.rlim_max, given.rlim_max);
	wanted.rlim_cur = MIN(wanted.rlim_cur, wanted.rlim_max);
	return sys4(prlimit64, 0, resource, &wanted, 0);
}

#define OURS 0, "rlimit"
#define CALLERS(letter, limit) "the caller's 'ulimit -" letter "' is below the plan's " limit

static long set_rlimits(const struct slot *slot, const char **ret_step)
{
	static const struct rlimit endless = { RLIM_INFINITY, RLIM_INFINITY };
	const struct sandbox_limits *limits = &slot->parsed.plan.limits;
	/* Each task can wait for all of them at once, in memory that no group counts. */
	rlim_t files_max = slot->is_rootless ? FILES_MAX_ROOTLESS : FILES_MAX;
	rlim_t files = MAX(MIN((rlim_t)WAITS_MAX / limits->tasks, files_max), (rlim_t)FILES_MIN);
	const struct {
		int resource;
		struct rlimit value;
		rlim_t needed;
		const char *name;
	} rows[] = {
		{ RLIMIT_FSIZE, { limits->file_bytes, limits->file_bytes }, limits->file_bytes,
			CALLERS("f", "file size limit (warm, zygote: its disk limit)") },
		/*
		 * 1, not 0: a core_pattern that pipes to a program of the host ignores 0, and the
		 * payload's memory, data included, would be written to the host's disk.
		 */
		{ RLIMIT_CORE, { 1, 1 }, OURS },
		{ RLIMIT_NOFILE, { files, files }, OURS },
		{ RLIMIT_SIGPENDING, { SIGNALS_MAX, SIGNALS_MAX }, OURS },
		{ RLIMIT_MEMLOCK, { LOCKED_BYTES_MAX, LOCKED_BYTES_MAX }, OURS },
		{ RLIMIT_MSGQUEUE, { 0, 0 }, OURS },
		{ RLIMIT_NICE, { 0, 0 }, OURS },
		{ RLIMIT_RTPRIO, { 0, 0 }, OURS },
		{ RLIMIT_STACK, { STACK_BYTES, STACK_BYTES_MAX }, STACK_BYTES,
			"the caller's 'ulimit -s' is below 8 MiB" },
		{ RLIMIT_AS, endless, RLIM_INFINITY,
			"the caller's 'ulimit -v': expected none, addresses are no memory" },
		{ RLIMIT_DATA, endless, limits->memory_bytes, CALLERS("d", "memory limit") },
		{ RLIMIT_CPU, endless, slot_cpu_rlimit(limits).rlim_max,
			CALLERS("t", "processor time limit and a second") },
		{ RLIMIT_NPROC, endless, slot_tasks_max(slot),
			CALLERS("u", "task limit (warm, zygote: and one)") },
		{ RLIMIT_RTTIME, endless, OURS },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		STEP(set_rlimit(rows[i].resource, rows[i].value, rows[i].needed), rows[i].name);
	return 0;
}

/* In place of control groups; tasks are counted from the taking of the id on. */
static long set_own_rlimits(const struct slot *slot, const char **ret_step)
{
	const struct sandbox_limits *limits = &slot->parsed.plan.limits;
	struct rlimit data = { limits->memory_bytes, limits->memory_bytes };
	struct rlimit tasks = { limits->tasks, limits->tasks };
	if (slot->cgroup.backend != SANDBOX_BACKEND_NONE)
		return 0;
	STEP(set_rlimit(RLIMIT_CPU, slot_cpu_rlimit(limits), 0), "rlimit cpu");
	STEP(set_rlimit(RLIMIT_NPROC, tasks, 0), "rlimit nproc");
	STEP(set_rlimit(RLIMIT_DATA, data, 0), "rlimit data");
	return 0;
}

/* A zygote keeps, through its exec, what gives its children another id. */
static long drop_capabilities(bool is_zygote, const char **ret_step)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	uint64_t kept = is_zygote ? 1u << CAP_SETUID | 1u << CAP_SETGID : 0;
	uint32_t low = (uint32_t)kept;
	struct __user_cap_data_struct sets[2] = { { low, low, low } };
	for (long i = 0; i <= CAPABILITIES_MAX; i++)
		if (!(kept >> i & 1) && sys5(prctl, PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
			break; /* the first number this kernel does not know */
	STEP(sys5(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "ambient set");
	STEP(sys2(capset, &head, sets), "capset");
	for (long i = CAP_SETGID; i <= CAP_SETUID && is_zygote; i++)
		STEP(sys5(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0), "ambient set");
	return 0;
}

/* Its orders only, at the lowest number that is none of its payloads': each copies the table. */
static long keep_orders(void)
{
	long status = sys3(dup3, SLOT_JOB_FD, ORDERS_FD, O_CLOEXEC);
	if (status >= 0)
		status = sys3(close_range, 0, ORDERS_FD - 1, 0);
	return status < 0 ? status : sys3(close_range, ORDERS_FD + 1, ~0u, 0);
}

/*
 * A table of its own with 0, 1 and 2 and, if it waits for its plan, two more: the pipes of a
 * parked program, or what await_plan() looks at, which closes at its exec.
 */
static long keep_descriptors(const struct slot *slot)
{
	bool is_parked = slot->config.is_parked;
	int wait_flags = is_parked ? 0 : O_CLOEXEC;
	if (!slot->config.is_prepared)
		return sys3(close_range, 3, ~0u, CLOSE_RANGE_UNSHARE);
	/* Unshared first: these numbers must hide nothing of the supervisor's. */
	long status = sys1(unshare, CLONE_FILES);
	if (status == 0)
		status = sys3(dup3, slot->job[0], SLOT_JOB_FD, wait_flags);
	if (status >= 0 && slot_has_spawner(slot))
		return keep_orders();
	if (status >= 0)
		status = sys3(
			dup3, is_parked ? slot->note[1] : slot->control, SLOT_NOTE_FD, wait_flags);
	if (status >= 0)
		status = sys3(close_range, 3, SLOT_JOB_FD - 1, 0);
	return status < 0 ? status : sys3(close_range, SLOT_NOTE_FD + 1, ~0u, 0);
}

/*
 * Taken on by the exec. There is no /proc here yet. The old name of the file is for kernels before
 * 5.8.
 */
static long choose_profile(const struct slot *slot)
{
	static const char command[] = "exec " APPARMOR_PROFILE;
	if (!slot->has_apparmor)
		return 0;
	long fd = sys3(openat, slot->host_proc, "self/attr/apparmor/exec", O_WRONLY | O_CLOEXEC);
	if (fd == -ENOENT)
		fd = sys3(openat, slot->host_proc, "self/attr/exec", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return fd;
	long status = sys3(write, fd, command, sizeof(command) - 1);
	(void)sys1(close, fd);
	return status;
}

/* Where PID 1 is, once it is ready; of the pid namespace only the spawner is not a member. */
static long enter_namespaces(const struct slot *slot, const char **ret_step)
{
	long spaces = slot_has_spawner(slot) ? SLOT_SPACES | CLONE_NEWPID : SLOT_SPACES;
	sys_word_wait(&slot->init_stage.word);
	if (__atomic_load_n(&slot->init_stage.word, __ATOMIC_ACQUIRE) != STAGE_READY)
		return -ECANCELED;
	STEP(sys2(setns, slot->init_pidfd, spaces), "entering the sandbox's namespaces");
	return 0;
}

/* Whatever went wrong before: nothing is executed but below the root that was built. */
static long check_root(const struct slot *slot, const char **ret_step)
{
	struct statx root;
	STEP(sys5(statx, AT_FDCWD, "/", AT_STATX_DONT_SYNC, STATX_MNT_ID, &root), "statx of /");
	*ret_step = "/ is not the sandbox's root";
	return root.stx_mnt_id == slot->root_mount_id ? 0 : -EXDEV;
}

/*
 * No pid namespace kills the spawner. Its supervisor may have died before it asks for this; and to
 * take another id withdraws it.
 */
static long live_by_supervisor(const struct slot *slot)
{
	struct pollfd supervisor = { .fd = slot->lifeline, .events = POLLIN };
	if (!slot_has_spawner(slot))
		return 0;
	long status = sys2(prctl, PR_SET_PDEATHSIG, SIGKILL);
	return status == 0 && sys3(poll, &supervisor, 1, 0) ? -EOWNERDEAD : status;
}

/*
 * Whatever class, priority or personality the caller has: a stranger in a real-time class would not
 * let its supervisor run, and no clock would be kept.
 */
static long be_ordinary(const char **ret_step)
{
	enum { PRIORITY_OF_NICE_0 = 20 }; /* the raw call answers 20 - nice */
	const struct sched_param none = {};
	long policy = sys1(sched_getscheduler, 0);
	if (policy == SCHED_FIFO || policy == SCHED_RR)
		STEP(sys3(sched_setscheduler, 0, SCHED_OTHER, &none), "scheduling class");
	if (sys2(getpriority, PRIO_PROCESS, 0) > PRIORITY_OF_NICE_0)
		STEP(sys3(setpriority, PRIO_PROCESS, 0, 0), "priority");
	STEP(sys1(personality, 0), "personality");
	return 0;
}

static long shed(struct slot *slot, const char **ret_step)
{
	const uint64_t no_signals = 0;
	bool is_zygote = slot->config.is_zygote;
	long id = is_zygote ? SLOT_ZYGOTE_ID : SANDBOX_UID_INSIDE;
	STEP(live_by_supervisor(slot), "lifeline");
	STEPS(join_cgroups(slot, ret_step));
	STEPS(set_rlimits(slot, ret_step));
	STEP(sys0(setsid), "setsid");
	STEP(sys1(umask, S_IWGRP | S_IWOTH) < 0 ? -1L : 0L, "umask");
	STEPS(be_ordinary(ret_step));
	STEP(choose_profile(slot), "AppArmor profile " APPARMOR_PROFILE);
	STEPS(enter_namespaces(slot, ret_step));
	STEP(sys2(setns, slot->userns, CLONE_NEWUSER), "entering the user namespace");
	STEP(sys3(setresgid, id, id, id), "gid");
	STEP(sys3(setresuid, id, id, id), "uid");
	STEPS(set_own_rlimits(slot, ret_step));
	STEPS(drop_capabilities(is_zygote, ret_step));
	STEP(sys5(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	STEP(live_by_supervisor(slot), "lifeline");
	sys_word_wait(&slot->payload_kit);
	STEPS(check_root(slot, ret_step));
	if (slot->ruleset >= 0 && !is_zygote) /* its children get their own, and the lock */
		STEP(sys2(landlock_restrict_self, slot->ruleset, 0), "landlock_restrict_self");
	STEP(keep_descriptors(slot), "own descriptor table");
	STEP(sys4(rt_sigprocmask, SIG_SETMASK, &no_signals, 0, sizeof(no_signals)), "signal mask");
	if (!is_zygote)
		STEP(sys3(seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter_programs[FILTER_LOCK]),
			"system call filter");
	return 0;
}

static const char *const search_path[] = { "/usr/local/bin/", "/usr/bin/", "/bin/" };

/*
 * The i-th place where the program may be: as named, or in a directory of the search path; NULL
 * after the last.
 */
static const char *candidate(const char *name, size_t i, char path[static CANDIDATE_BYTES_MAX])
{
	size_t size = 0;
	const char *at = name;
	while (*at && *at != '/')
		at++;
	if (*at)
		return i == 0 ? name : 0;
	if (i == ARRAY_SIZE(search_path))
		return 0;
	for (const char *dir = search_path[i]; *dir; dir++)
		path[size++] = *dir;
	for (; *name && size < CANDIDATE_BYTES_MAX - 1; name++)
		path[size++] = *name;
	path[size] = 0;
	return path;
}

/* Only returns when nothing could be executed: positive errno. */
static int execute(const struct sandbox_plan *plan)
{
	char path[CANDIDATE_BYTES_MAX];
	const char *at;
	int error = ENOENT;
	for (size_t i = 0; (at = candidate(plan->argv[0], i, path)); i++) {
		int status = (int)-sys3(execve, at, plan->argv, plan->env);
		if (status != ENOENT && status != ENOTDIR)
			error = status;
	}
	return error;
}

static bool is_hot(const struct slot *slot)
{
	return slot->config.is_prepared && !slot->config.is_parked && !slot->config.is_warm;
}

/*
 * The program of the plan that we are prepared with is likely also that of the plan to come. The
 * root is new and knows no name yet: those on the way to it are looked up while nobody waits.
 */
static void look_ahead(const struct sandbox_plan *plan)
{
	char path[CANDIDATE_BYTES_MAX];
	const char *at;
	struct statx status;
	for (size_t i = 0; (at = candidate(plan->argv[0], i, path)); i++)
		(void)sys5(statx, AT_FDCWD, at, AT_STATX_DONT_SYNC, 0, &status);
}

/*
 * The message with the plan wakes us together with the supervisor: while that reads it, we are
 * brought to a processor. Who came too late to see it sleeps again, until the supervisor closes
 * the job pipe.
 */
static void await_plan(const struct slot *slot)
{
	struct pollfd either[] = { { .fd = SLOT_JOB_FD, .events = POLLIN },
		{ .fd = SLOT_NOTE_FD, .events = POLLIN } };
	if (is_hot(slot))
		(void)sys3(poll, either, ARRAY_SIZE(either), -1);
	sys_word_wait(&slot->payload_go);
}

/* All rights are shed. */
static int become_payload(struct slot *slot)
{
	if (is_hot(slot))
		look_ahead(&slot->parsed.plan);
	await_plan(slot);
	long status = sys1(chdir, slot->parsed.plan.cwd);
	slot->has_no_cwd = status < 0;
	if (status == 0)
		status = -execute(&slot->parsed.plan);
	slot->exec_error = (int)-status;
	return slot_exit_code(slot->exec_error);
}

/* Made by the spawner. What it was ordered with is closed by its exec. */
static int spawned_main(void *argument)
{
	struct slot *slot = argument;
	slot->exec_error = (int)-MIN(sys0(setsid), 0);
	return slot->exec_error ? slot_exit_code(slot->exec_error) : become_payload(slot);
}

/* With 0, 1 and 2 of the next payload, which get these numbers: no lower ones are free. */
static bool take_order(void)
{
	union {
		struct cmsghdr header;
		uint8_t room[CMSG_SPACE(ORDERS_FD * sizeof(int))];
	} control;
	uint8_t order;
	struct iovec part = { &order, sizeof(order) };
	struct msghdr message = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control) };
	return sys3(recvmsg, ORDERS_FD, &message, 0) == sizeof(order) && message.msg_controllen &&
	       control.header.cmsg_len == CMSG_LEN(ORDERS_FD * sizeof(int));
}

/*
 * A payload for each order, on the stack for that. The supervisor traces it and takes its end; its
 * parent, we, would have to take that too, but for SA_NOCLDWAIT. An exec clears that.
 */
static void serve_orders(struct slot *slot)
{
	struct sys_sigaction no_zombies = { .handler = SIG_DFL, .flags = SA_NOCLDWAIT };
	(void)sys4(rt_sigaction, SIGCHLD, &no_zombies, 0, sizeof(no_zombies.mask));
	while (take_order()) {
		slot->spawned = sys_spawn_shed(
			CLONE_VM | SIGCHLD, slot->payload_stack, spawned_main, slot);
		(void)sys3(close_range, 0, ORDERS_FD - 1, 0);
		sys_word_set(&slot->spawn_answer, 1);
	}
}

int slot_payload_main(void *argument)
{
	struct slot *slot = argument;
	const char *step = "";
	long status = shed(slot, &step);
	if (status < 0) {
		slot->payload_stage.error = (int)-status;
		slot->payload_stage.step = step;
		sys_word_set(&slot->payload_stage.word, STAGE_FAILED);
		return 1;
	}
	sys_word_set(&slot->payload_stage.word, STAGE_READY);
	if (!slot_has_spawner(slot))
		return become_payload(slot);
	serve_orders(slot);
	return 0;
}
