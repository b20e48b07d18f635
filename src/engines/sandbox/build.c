/*
 * Building one sandbox, the supervisor's part. See slot.h for the tasks and slot.c for the order.
 *
 * The supervisor ends up inside the sandbox's mount, net, ipc and uts namespaces, so that paths
 * the tracer reads are the sandbox's paths and statfs("/work") is the sandbox's disk. What it
 * needs of the host it keeps as descriptors. Leaving again (setns back) drops the last reference
 * to the mounts and so frees the tmpfs before "gone" is reported.
 */
#include "engines/sandbox/build.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engines/sandbox/copy.h"
#include "engines/sandbox/files.h"
#include "engines/sandbox/filter.h"
#include "engines/sandbox/note.h"
#include "engines/sandbox/rootless.h"
#include "engines/sandbox/sys.h"
#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"

enum { PROC_PATH_BYTES = 40, MAP_BYTES = 80, TASK_LOOK_MS = 50 };

static const struct slot_copy no_copy = { .from = -1, .to = -1 };

void build_empty(struct slot *slot, int control)
{
	slot->control = control;
	slot->signals = slot->lifeline = -1;
	slot->files = SANDBOX_FILES_NONE;
	slot->host_proc = slot->host_mounts = slot->memfd_sysctl = slot->sandbox_mounts = -1;
	slot->skeleton = slot->overlay = slot->disk = slot->whole_proc = slot->resident_control =
		-1;
	slot->cgroup = CGROUP_NONE;
	slot->init_pidfd = slot->userns = slot->ruleset = slot->results_fd = -1;
	slot->job[0] = slot->job[1] = slot->note[0] = slot->note[1] = slot->payload_stat = -1;
	slot->in = slot->out = slot->error = no_copy;
	slot->result.exit_code = -1;
}

int build_step(long status, const char *doing, const char *const *step, struct err *err)
{
	if (status >= 0)
		return 0;
	errno = (int)-status;
	return err_sys(err, E_UNAVAILABLE, "%s%s", doing, step ? *step : "");
}

static int place_files(struct slot *slot, const int *fds, size_t count, struct err *err)
{
	int *members[WIRE_FILES] = { &slot->files.root_fd, &slot->files.mask_fd,
		&slot->files.app_fd, &slot->files.data_fd, &slot->files.stdin_fd,
		&slot->files.stdout_fd, &slot->files.stderr_fd };
	size_t next = 0;
	for (size_t i = 0; i < WIRE_FILES; i++)
		if ((slot->parsed.file_mask & (1u << i)) && next < count) {
			fd_close(members[i]); /* of a plan before */
			*members[i] = fds[next++];
		}
	if (next != count || (unsigned)__builtin_popcount(slot->parsed.file_mask) != count)
		return err_set(err, E_INTEGRITY, "descriptors do not match the plan");
	return 0;
}

/* The caller's ends of the streams. No input is an empty one: its pipe is closed at once. */
void build_connect(struct slot *slot)
{
	uint64_t cap = slot->parsed.plan.limits.output_bytes;
	struct sandbox_files *files = &slot->files;
	copy_open(&slot->in, slot->host_proc, take_fd(&files->stdin_fd), slot->in.to, UINT64_MAX);
	copy_open(&slot->out, slot->host_proc, slot->out.from, take_fd(&files->stdout_fd), cap);
	copy_open(&slot->error, slot->host_proc, slot->error.from, take_fd(&files->stderr_fd), cap);
	if (slot->in.from < 0)
		fd_close(&slot->in.to);
}

/* One plan message; its text must live as long as the slot. */
static int receive_plan(struct slot *slot, enum wire_kind *ret_kind, struct err *err)
{
	auto_free uint8_t *room = slot->next_message ? NULL : mem_alloc(1, WIRE_MESSAGE_MAX);
	uint8_t *message = room ? room : slot->next_message;
	slot->next_message = NULL;
	struct wire_head head;
	int fds[FD_PASS_MAX];
	size_t count;
	ssize_t size;
	TRY(fd_receive(slot->control, message, WIRE_MESSAGE_MAX, 0, &size, fds, &count, err));
	if (size <= 0)
		return err_set(err, E_UNAVAILABLE, "the caller went away before its plan");
	if (wire_is_cancel(view_of(message, (size_t)size))) {
		slot_end(slot, SANDBOX_CAUSE_CANCELLED, "cancelled by the caller");
		return err_set(err, E_UNAVAILABLE, "cancelled by the caller");
	}
	TRY(wire_decode_plan(view_of(message, (size_t)size), &slot->parsed, err));
	TRY(place_files(slot, fds, count, err));
	TRY(rootless_adopt(slot, err));
	memcpy(&head, message, sizeof(head));
	*ret_kind = (enum wire_kind)head.kind;
	room = NULL; /* its text is used until the end of the process */
	return sandbox_plan_check(&slot->parsed.plan, err);
}

static int check_root(const struct slot *slot, struct err *err)
{
	struct stat root = {};
	struct stat mask = { .st_mode = S_IFDIR };
	if (slot->files.root_fd < 0)
		return err_set(err, E_INVALID, "root_fd: expected an image directory, got none");
	if (fstat(slot->files.root_fd, &root) < 0 ||
		(slot->files.mask_fd >= 0 && fstat(slot->files.mask_fd, &mask) < 0))
		return err_sys(err, E_UNAVAILABLE, "root_fd or mask_fd");
	if (!S_ISDIR(root.st_mode) || !S_ISDIR(mask.st_mode))
		return err_set(err, E_INVALID, "root_fd, mask_fd: expected directories");
	return 0;
}

int build_receive(struct slot *slot, struct err *err)
{
	enum wire_kind kind;
	TRY(receive_plan(slot, &kind, err));
	slot->config.tier = kind == WIRE_PREPARE ? slot->parsed.tier : SANDBOX_TIER_COLD;
	slot->config.is_zygote = slot->config.tier == SANDBOX_TIER_ZYGOTE;
	slot->config.is_warm = slot->config.tier == SANDBOX_TIER_WARM || slot->config.is_zygote;
	slot->config.is_prepared = kind == WIRE_PREPARE;
	slot->config.is_parked = slot->config.tier == SANDBOX_TIER_PARKED || slot->config.is_zygote;
	slot->config.program = slot->parsed.plan.argv[0]; /* later plans have other text */
	slot->config.allow_exec_in_work = slot->parsed.plan.allow_exec_in_work;
	return check_root(slot, err);
}

int build_take(struct slot *slot, const struct sandbox_plan *plan,
	const struct sandbox_files *files, struct err *err)
{
	TRY(sandbox_plan_check(plan, err));
	slot->parsed.plan = *plan;
	slot->parsed.plan.cwd = plan->cwd ? plan->cwd : "/work";
	slot->parsed.plan.hostname = plan->hostname ? plan->hostname : "sandbox";
	slot->files = *files;
	slot->config.tier = SANDBOX_TIER_COLD;
	slot->config.allow_exec_in_work = plan->allow_exec_in_work;
	TRY(rootless_adopt(slot, err));
	return check_root(slot, err);
}

/* What a built sandbox has fixed. */
static const char *fixed_difference(const struct sandbox_plan *a, const struct sandbox_plan *b)
{
	const struct {
		const char *name;
		bool is_equal;
	} rows[] = {
		{ "memory limit", a->limits.memory_bytes == b->limits.memory_bytes },
		{ "disk limit", a->limits.disk_bytes == b->limits.disk_bytes },
		{ "disk files limit", a->limits.disk_files == b->limits.disk_files },
		{ "task limit", a->limits.tasks == b->limits.tasks },
		{ "process limit", a->limits.processes == b->limits.processes },
		{ "host name", str_equal(a->hostname, b->hostname) },
		{ "trace", a->trace == b->trace },
		{ "list of layers it may lack", a->may_lack == b->may_lack },
		{ "exec permission", a->allow_exec_in_work == b->allow_exec_in_work },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (!rows[i].is_equal)
			return rows[i].name;
	return NULL;
}

/* By the last part of its name: the parked one was named by its path. */
static bool is_same_program(const char *a, const char *b)
{
	const char *slash_a = strrchr(a, '/');
	const char *slash_b = strrchr(b, '/');
	return str_equal(slash_a ? slash_a + 1 : a, slash_b ? slash_b + 1 : b);
}

/* A run in what was built for another plan. */
static int receive_run(struct slot *slot, const struct sandbox_plan *prepared, struct err *err)
{
	enum wire_kind kind;
	TRY(receive_plan(slot, &kind, err));
	const struct sandbox_plan *plan = &slot->parsed.plan;
	const char *difference = fixed_difference(prepared, plan);
	if (slot->config.is_parked && !is_same_program(slot->config.program, plan->argv[0]))
		difference = "program";
	if (kind != WIRE_PLAN)
		return err_set(err, E_CONFLICT, "prepared twice: expected a plan to run");
	if (difference)
		return err_set(err, E_CONFLICT,
			"this sandbox was prepared for another %s: ask for what it has, or have it "
			"built for this",
			difference);
	return 0;
}

static int limit_files(const struct slot *slot, uint64_t prepared_bytes, struct err *err)
{
	uint64_t bytes = slot->parsed.plan.limits.file_bytes;
	struct rlimit limit = { bytes, bytes };
	if (prepared_bytes < bytes)
		return err_set(err, E_CONFLICT,
			"this sandbox was prepared for files of %llu bytes, not %llu",
			(unsigned long long)prepared_bytes, (unsigned long long)bytes);
	if (prepared_bytes != bytes && prlimit(slot->payload_pid, RLIMIT_FSIZE, &limit, NULL) < 0)
		return err_sys(err, E_UNAVAILABLE, "setting the file size limit");
	return 0;
}

/* With control groups: what the limit of who built it left. */
static int check_seconds(const struct slot *slot, rlim_t needed, struct err *err)
{
	pid_t pid = slot->resident_pid ? slot->resident_pid : slot->payload_pid;
	struct rlimit given;
	if (prlimit(pid, RLIMIT_CPU, NULL, &given) < 0 || given.rlim_max >= needed)
		return 0;
	return err_set(err, E_CONFLICT,
		"the 'ulimit -t' of who prepared this sandbox is below the plan's processor time "
		"limit and a second");
}

/* Without control groups the kernel counts a process's own time, from its birth. */
static int limit_seconds(const struct slot *slot, uint64_t prepared_ms, struct err *err)
{
	uint64_t ms = slot->parsed.plan.limits.cpu_ms;
	struct rlimit limit = slot_cpu_rlimit(&slot->parsed.plan.limits);
	if (ms == prepared_ms)
		return 0;
	if (slot->cgroup.backend != SANDBOX_BACKEND_NONE)
		return check_seconds(slot, limit.rlim_max, err);
	if (prepared_ms < ms)
		return err_set(err, E_CONFLICT,
			"this sandbox was prepared for %llu ms of processor time, not %llu",
			(unsigned long long)prepared_ms, (unsigned long long)ms);
	if (prlimit(slot->payload_pid, RLIMIT_CPU, &limit, NULL) < 0)
		return err_sys(err, E_UNAVAILABLE, "setting the processor time limit");
	return 0;
}

static int mount_inputs(const struct slot *slot, struct err *err)
{
	const char *step = "";
	return build_step(slot_mount_inputs(slot, &step), "mounting ", &step, err);
}

int build_adopt(struct slot *slot, struct err *err)
{
	struct sandbox_plan prepared = slot->parsed.plan;
	TRY(receive_run(slot, &prepared, err));
	TRY(limit_files(slot, prepared.limits.file_bytes, err));
	TRY(limit_seconds(slot, prepared.limits.cpu_ms, err));
	TRY(mount_inputs(slot, err));
	if (getpriority(PRIO_PROCESS, 0) != slot->nice) { /* a pool builds at low priority */
		(void)setpriority(PRIO_PROCESS, 0, slot->nice);
		(void)setpriority(PRIO_PROCESS, (id_t)slot->payload_pid, MAX(slot->nice, 0));
	}
	return 0;
}

/* Never freed: they are as old as the supervisor. */
static void *next_stack(struct slot *slot)
{
	void **stack = &slot->stacks[slot->stack_count++];
	if (!*stack)
		*stack = mem_alloc(1, SLOT_STACK_BYTES);
	return *stack;
}

static long spawn(
	uint64_t flags, int cgroup, int *ret_pidfd, int (*function)(void *), struct slot *slot)
{
	uint64_t pidfd_flag = ret_pidfd ? (uint64_t)CLONE_PIDFD : 0;
	uint64_t cgroup_flag = cgroup >= 0 ? (uint64_t)CLONE_INTO_CGROUP : 0;
	struct clone_args args = {
		.flags = CLONE_FILES | flags | pidfd_flag | cgroup_flag,
		.pidfd = (uintptr_t)ret_pidfd,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)next_stack(slot),
		.stack_size = SLOT_STACK_BYTES,
	};
	if (cgroup >= 0)
		args.cgroup = (unsigned)cgroup;
	return sys_spawn(&args, function, slot);
}

static int start_init(struct slot *slot, struct err *err)
{
	long pid = spawn(
		CLONE_VM | CLONE_NEWPID | CLONE_NEWNS, -1, &slot->init_pidfd, slot_init_main, slot);
	TRY(build_step(pid, "making the pid namespace", NULL, err));
	slot->init_pid = (pid_t)pid;
	return 0;
}

static bool is_dead(pid_t pid)
{
	siginfo_t end = {};
	return pid > 0 &&
	       (waitid(P_PID, (id_t)pid, &end, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 ||
		       end.si_pid == pid);
}

/*
 * Whoever kills a task must not leave us waiting for ever. PID 1 shows no end while a dead payload
 * of its namespace is not taken.
 */
int build_wait_task(
	const struct slot *slot, const uint32_t *word, pid_t pid, const char *who, struct err *err)
{
	while (!sys_word_wait_for(word, TASK_LOOK_MS)) {
		if (!is_dead(pid) && !is_dead(slot->init_pid) && !is_dead(slot->payload_pid))
			continue;
		if (__atomic_load_n(word, __ATOMIC_ACQUIRE))
			return 0;
		return err_set(err, E_UNAVAILABLE, "%s: a task of the sandbox was killed", who);
	}
	return 0;
}

static int wait_stage(
	const struct slot *slot, const struct slot_stage *stage, const char *who, struct err *err)
{
	TRY(build_wait_task(slot, &stage->word, 0, who, err));
	if (__atomic_load_n(&stage->word, __ATOMIC_ACQUIRE) == STAGE_READY)
		return 0;
	errno = stage->error;
	return err_sys(err, E_UNAVAILABLE, "%s: %s", who, stage->step);
}

static int write_proc(
	const struct slot *slot, pid_t pid, const char *name, const char *text, struct err *err)
{
	char path[PROC_PATH_BYTES];
	TRY(str_format(path, sizeof(path), err, "%d/%s", pid, name));
	auto_close fd = openat(slot->host_proc, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return err_sys(err, E_UNAVAILABLE, "writing %s of the user namespace", name);
	return 0;
}

static int map_ids(struct slot *slot, struct err *err)
{
	char map[MAP_BYTES];
	char path[PROC_PATH_BYTES];
	TRY(str_format(map, sizeof(map), err, "%d %u 1\n", SANDBOX_UID_INSIDE, slot->host_uid));
	if (slot->config.is_zygote)
		TRY(str_format(map, sizeof(map), err, "%d %u 1\n%d %u 1\n", SANDBOX_UID_INSIDE,
			slot->host_uid, SLOT_ZYGOTE_ID, slot->host_uid + SLOT_ZYGOTE_UID));
	TRY(write_proc(slot, slot->keeper_pid, "uid_map", map, err));
	TRY(write_proc(slot, slot->keeper_pid, "setgroups", "deny", err));
	TRY(write_proc(slot, slot->keeper_pid, "gid_map", map, err));
	TRY(str_format(path, sizeof(path), err, "%d/ns/user", slot->keeper_pid));
	slot->userns = openat(slot->host_proc, path, O_RDONLY | O_CLOEXEC);
	if (slot->userns < 0)
		return err_sys(err, E_UNAVAILABLE, "opening the user namespace");
	return 0;
}

static int make_userns(struct slot *slot, struct err *err)
{
	long pid = spawn(CLONE_VM | CLONE_NEWUSER, -1, NULL, slot_keeper_main, slot);
	TRY(build_step(pid, "making the user namespace", NULL, err));
	slot->keeper_pid = (pid_t)pid;
	int status = map_ids(slot, err);
	if (status == 0)
		status = build_wait_task(
			slot, &slot->keeper_done, slot->keeper_pid, "user namespace", err);
	(void)kill(slot->keeper_pid, SIGKILL);
	(void)waitpid(slot->keeper_pid, NULL, __WALL);
	return status;
}

static int make_pipe(int ret_ends[static 2], struct err *err)
{
	if (pipe2(ret_ends, O_CLOEXEC) < 0)
		return err_sys(err, E_UNAVAILABLE, "pipe");
	return 0;
}

int build_stream(const struct slot *slot, bool is_read_by_us, bool is_copied, int *ret_ours,
	int *ret_theirs, struct err *err)
{
	int ends[2];
	TRY(make_pipe(ends, err));
	*ret_ours = ends[!is_read_by_us];
	*ret_theirs = ends[is_read_by_us];
	if (!slot->is_rootless && fchown(*ret_theirs, slot->host_uid, slot->host_uid) < 0)
		return err_sys(err, E_UNAVAILABLE, "fchown of a pipe");
	if (is_copied && fcntl(*ret_ours, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, E_UNAVAILABLE, "fcntl");
	return 0;
}

/* Pipes for a payload that is born with our descriptors 0, 1 and 2; our ends into the slot. */
static int make_stdio(struct slot *slot, struct err *err)
{
	int *const ours[SLOT_STREAMS] = { &slot->in.to, &slot->out.from, &slot->error.from };
	int theirs[SLOT_STREAMS];
	for (int i = 0; i < SLOT_STREAMS; i++)
		TRY(build_stream(slot, i != STDIN_FILENO, true, ours[i], &theirs[i], err));
	for (int i = 0; i < SLOT_STREAMS; i++)
		if (dup3(theirs[i], i, 0) < 0)
			return err_sys(err, E_UNAVAILABLE, "dup3");
	slot->has_stdio = true;
	for (int i = 0; i < SLOT_STREAMS; i++)
		fd_close(&theirs[i]);
	return 0;
}

static int enter_namespaces(struct slot *slot, struct err *err)
{
	struct statx root;
	if (setns(slot->init_pidfd, SLOT_SPACES) < 0)
		return err_sys(err, E_UNAVAILABLE, "entering the sandbox's namespaces");
	if (statx(AT_FDCWD, "/", AT_STATX_DONT_SYNC, STATX_MNT_ID, &root) < 0)
		return err_sys(err, E_UNAVAILABLE, "statx of the sandbox root");
	if (root.stx_dev_major != slot->root.stx_dev_major ||
		root.stx_dev_minor != slot->root.stx_dev_minor)
		return err_set(err, E_INTEGRITY, "what was entered is not the root that was built");
	slot->root_mount_id = root.stx_mnt_id;
	if (!slot->is_rootless)
		return 0;
	slot->sandbox_mounts = openat(slot->host_proc, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (slot->sandbox_mounts < 0)
		return err_sys(err, E_UNAVAILABLE, "opening the mount namespace");
	return 0;
}

static void note_enforced(struct slot *slot)
{
	slot->enforced |= SANDBOX_LAYER_BIT(SANDBOX_LAYER_NAMESPACES) |
			  SANDBOX_LAYER_BIT(SANDBOX_LAYER_ROOT) |
			  SANDBOX_LAYER_BIT(SANDBOX_LAYER_SECCOMP) |
			  SANDBOX_LAYER_BIT(SANDBOX_LAYER_TASK_LIMIT) | /* cgroup or RLIMIT_NPROC */
			  SANDBOX_LAYER_BIT(SANDBOX_LAYER_DISK_LIMIT);
	if (slot->has_apparmor)
		slot->enforced |= SANDBOX_LAYER_BIT(SANDBOX_LAYER_APPARMOR);
	if (!slot->is_rootless)
		slot->enforced |= SANDBOX_LAYER_BIT(SANDBOX_LAYER_USER) |
				  SANDBOX_LAYER_BIT(SANDBOX_LAYER_DEVICES);
	if (!slot->config.allow_exec_in_work)
		slot->enforced |= SANDBOX_LAYER_BIT(SANDBOX_LAYER_NOEXEC);
	if (slot->cgroup.backend != SANDBOX_BACKEND_NONE)
		slot->enforced |= SANDBOX_LAYER_BIT(SANDBOX_LAYER_MEMORY_LIMIT) |
				  SANDBOX_LAYER_BIT(SANDBOX_LAYER_CPU_LIMIT);
}

/*
 * From now on bytes and processes of a stranger are handled: keep what that needs. SYS_ADMIN and
 * SYS_CHROOT are for late mounts and for leaving the mount namespace, the three on files for the
 * results directory in the stranger's tmpfs.
 */
static int shed_rights(struct err *err)
{
	static const int kept[] = { CAP_KILL, CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_SYS_CHROOT,
		CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_SYS_NICE };
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct now[2] = {};
	struct __user_cap_data_struct sets[2] = {};
	if (syscall(SYS_capget, &head, now) < 0)
		return err_sys(err, E_UNAVAILABLE, "capget");
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		sets[0].effective |= now[0].permitted & (1u << kept[i]);
	sets[0].permitted = sets[0].effective;
	if (syscall(SYS_capset, &head, sets) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, E_UNAVAILABLE, "giving up rights of the supervisor");
	return 0;
}

/* What could not be ended must not be begun. */
static int check_end(const struct slot *slot, struct err *err)
{
	if (syscall(SYS_pidfd_send_signal, slot->init_pidfd, 0, NULL, 0) < 0 ||
		kill(slot->init_pid, 0) < 0)
		return err_sys(
			err, E_UNAVAILABLE, "signals to the sandbox (CAP_KILL, pidfd_send_signal)");
	return 0;
}

static int take_filter(struct err *err)
{
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter_programs[FILTER_BASE]) < 0)
		return err_sys(err, E_UNAVAILABLE, "system call filter of the supervisor");
	return 0;
}

static int make_resident_control(struct slot *slot, struct err *err)
{
	int pair[2];
	TRY(fd_socketpair(SOCK_SEQPACKET, pair, err));
	slot->job[0] = pair[0];
	slot->resident_control = pair[1];
	return 0;
}

/* What PID 1 attaches, in the namespaces that it makes at the same time. */
static int make_mounts(struct slot *slot, struct err *err)
{
	const char *step = "";
	long status = slot_build_root(slot, &slot->overlay, &step);
	if (status == 0)
		status = slot_make_writable(slot, &step);
	TRY(build_step(status, "building the sandbox: ", &step, err));
	slot->disk = (int)status;
	sys_word_set(&slot->mounts_ready, 1);
	return 0;
}

/* A PID 1 that failed takes the namespace with it, and has said why. */
static int pid_namespace_failed(const struct slot *slot, struct err *err)
{
	int error = errno;
	if (error == ESRCH)
		TRY(wait_stage(slot, &slot->init_stage, "building the sandbox", err));
	errno = error;
	return err_sys(err, E_UNAVAILABLE, "entering the sandbox's pid namespace");
}

/*
 * While PID 1 still works: it has much to shed that needs no mounts. A spawner enters the pid
 * namespace itself, for its children only, and has memory of its own.
 */
static int start_payload(struct slot *slot, struct err *err)
{
	bool is_v2 = slot->cgroup.backend == SANDBOX_BACKEND_CGROUP_V2;
	bool is_spawner = slot_has_spawner(slot);
	if (slot->config.is_prepared && !slot->next_message)
		slot->next_message = mem_alloc(1, WIRE_MESSAGE_MAX);
	if (slot->config.is_warm)
		TRY(make_resident_control(slot, err));
	else if (slot->config.is_prepared)
		TRY(make_pipe(slot->job, err));
	if (slot->config.is_parked)
		TRY(note_open(&slot->note[0], &slot->note[1], err));
	if (is_spawner)
		slot->payload_stack = (uint8_t *)next_stack(slot) + SLOT_STACK_BYTES;
	else if (setns(slot->init_pidfd, CLONE_NEWPID) < 0)
		return pid_namespace_failed(slot, err);
	long pid = spawn(is_spawner ? 0 : CLONE_VM, is_v2 ? slot->cgroup.dirs[0] : -1, NULL,
		slot_payload_main, slot);
	TRY(build_step(pid, "starting the payload", NULL, err));
	slot->payload_pid = (pid_t)pid;
	slot->resident_pid = is_spawner ? slot->payload_pid : 0;
	return 0;
}

/* PID 1 is ready: to where it is. */
static int enter(struct slot *slot, struct err *err)
{
	TRY(wait_stage(slot, &slot->init_stage, "building the sandbox", err));
	fd_close(&slot->skeleton);
	fd_close(&slot->overlay);
	return enter_namespaces(slot, err);
}

/* What the payload waits for, and then for the payload. */
static int equip_payload(struct slot *slot, struct err *err)
{
	if (!slot_has_spawner(slot))
		TRY(make_stdio(slot, err));
	TRY(enter(slot, err));
	TRY(slot_landlock_finish(slot, err));
	sys_word_set(&slot->payload_kit, 1);
	TRY(wait_stage(slot, &slot->payload_stage, "payload", err));
	note_enforced(slot);
	return 0;
}

/* Beside it only the kernel's count tells that a run is over. */
static int admit_resident(const struct slot *slot, struct err *err)
{
	if (!slot->config.is_warm)
		return 0;
	if (slot->cgroup.backend == SANDBOX_BACKEND_NONE)
		return err_set(err, E_UNSUPPORTED, "the %s tier needs control groups; use hot",
			sandbox_tier_name(slot->config.tier));
	if (!cgroup_set_tasks(&slot->cgroup, slot_tasks_max(slot)))
		return err_sys(err, E_UNAVAILABLE, "task limit");
	return 0;
}

int build_sandbox(struct slot *slot, struct err *err)
{
	TRY(start_init(slot, err));
	TRY(build_hold_host(slot, err));
	TRY(make_mounts(slot, err));
	TRY(cgroup_make(
		&slot->cgroup, getpid(), slot->is_rootless, &slot->parsed.plan.limits, err));
	TRY(admit_resident(slot, err));
	TRY(make_userns(slot, err));
	/* PID 1 is still building: this costs no time. It has no filter; it does nothing more. */
	TRY(take_filter(err));
	TRY(start_payload(slot, err));
	TRY(slot_landlock_scan(slot, slot->overlay, err));
	TRY(slot_landlock_begin(slot, err));
	TRY(equip_payload(slot, err));
	TRY(shed_rights(err));
	return check_end(slot, err);
}

int build_check(struct slot *slot, struct err *err)
{
	uint32_t wanted = SANDBOX_LAYERS_ALL;
	if (slot->config.allow_exec_in_work)
		wanted &= ~(SANDBOX_LAYER_BIT(SANDBOX_LAYER_NOEXEC) |
			    SANDBOX_LAYER_BIT(SANDBOX_LAYER_MEMFD_NOEXEC));
	uint32_t missing = wanted & ~slot->enforced & ~slot->parsed.plan.may_lack;
	auto_done(buf) names = {};
	if (!missing)
		return slot->is_rootless ? build_hide(err) : 0; /* root is hidden already */
	for (unsigned i = 0; i < SANDBOX_LAYER_COUNT; i++)
		if (missing & SANDBOX_LAYER_BIT(i))
			TRY(buf_append_format(&names, err, "%s%s", names.size ? ", " : "",
				sandbox_layer_name((enum sandbox_layer)i)));
	return err_set(err, E_UNAVAILABLE, "%s %s, which the plan requires; %s",
		slot->is_rootless ? "an ordinary user's sandbox lacks"
				  : "this machine does not enforce",
		buf_string(&names),
		slot->is_rootless ? "run it as root, or allow the lack (--may-lack rootless)"
				  : "see cupel-sandbox doctor");
}

/* A build that failed half-way still has tasks; PID 1 takes the others with it. */
static void end_tasks(struct slot *slot)
{
	fd_close(&slot->resident_control);
	if (slot->init_pid > 0 && kill(slot->init_pid, SIGKILL) < 0 && errno == EPERM)
		return; /* check_end has said it; they die with us */
	if (slot->resident_pid > 0)
		(void)kill(slot->resident_pid, SIGKILL);
	while (waitpid(-1, NULL, __WALL) > 0 || errno == EINTR)
		;
}

void build_close_run(struct slot *slot)
{
	copy_close(&slot->in);
	copy_close(&slot->out);
	copy_close(&slot->error);
	for (int end = 0; end < 2; end++) {
		fd_close(&slot->job[end]);
		fd_close(&slot->note[end]);
	}
	fd_close(&slot->payload_stat);
	fd_close(&slot->files.app_fd);
	fd_close(&slot->files.data_fd);
	fd_close(&slot->results_fd);
	files_free(slot->files_used);
	slot->files_used = NULL;
}

static int search_error(const struct slot *slot, const char *path)
{
	struct stat place;
	if (stat(path, &place) < 0)
		return errno;
	if (!S_ISDIR(place.st_mode))
		return ENOTDIR;
	if (place.st_uid == slot->host_uid)
		return place.st_mode & S_IXUSR ? 0 : EACCES;
	if (slot->is_rootless) /* with its groups, which are ours */
		return access(path, X_OK) == 0 ? 0 : errno;
	return place.st_mode & (place.st_gid == slot->host_uid ? S_IXGRP : S_IXOTH) ? 0 : EACCES;
}

bool build_has_cwd(struct slot *slot)
{
	char path[PATH_MAX];
	if (str_starts(slot->parsed.plan.cwd, "/proc/")) /* where it is not what we see */
		return true;
	slot->exec_error = realpath(slot->parsed.plan.cwd, path) ? search_error(slot, path) : errno;
	for (char *at = path; !slot->exec_error && (at = strchr(at + 1, '/')); *at = '/') {
		*at = 0;
		slot->exec_error = search_error(slot, path);
	}
	slot->has_no_cwd = slot->exec_error != 0;
	return !slot->has_no_cwd;
}

void build_undo(struct slot *slot)
{
	end_tasks(slot);
	build_close_run(slot);
	fd_close(&slot->init_pidfd);
	for (int fd = 0; slot->has_stdio && fd < SLOT_STREAMS; fd++)
		(void)close(fd); /* not earlier: the next run's descriptors must not get these
				    numbers */
	fd_close(&slot->files.root_fd);
	fd_close(&slot->files.mask_fd);
	fd_close(&slot->userns);
	fd_close(&slot->ruleset);
	fd_close(&slot->sandbox_mounts);
	fd_close(&slot->disk);
	while (slot->entry_count)
		fd_close(&slot->entries[--slot->entry_count].fd);
	fd_close(&slot->skeleton);
	fd_close(&slot->overlay);
	(void)setns(slot->host_mounts, CLONE_NEWNS); /* frees the sandbox's mounts */
	fd_close(&slot->whole_proc);
	(void)cgroup_remove(&slot->cgroup);
}
