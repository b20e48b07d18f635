/*
 * The rootless back end: the same programs, run by user nobody. What is missing must be said, what
 * is claimed must hold.
 */
#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

static char supervisor[64];
#define SUPERVISOR_PATH supervisor
#include "sandbox_input.h"
#include "sandbox_run.h"

enum { NOBODY = 65534, SUPERVISOR_BYTES_MAX = 64 << 20 };

#define APPARMOR SANDBOX_LAYER_BIT(SANDBOX_LAYER_APPARMOR) /* as the machine has it */
#define MISSING (SANDBOX_LAYERS_ROOT | SANDBOX_LAYER_BIT(SANDBOX_LAYER_MEMFD_NOEXEC) | APPARMOR)

static void remove_supervisor(void)
{
	(void)unlink(supervisor);
}

/* A copy of the supervisor that anybody may execute: the build tree may be closed to nobody. */
static void copy_supervisor(void)
{
	snprintf(supervisor, sizeof(supervisor), "/tmp/cupel-rootless-%d", (int)getpid());
	copy_file(SUPERVISOR, supervisor, 0755);
	(void)atexit(remove_supervisor);
}

static void become(unsigned id)
{
	copy_supervisor();
	ck_assert_int_eq(chown(supervisor, id, id), 0);
	(void)setgroups(0, NULL);
	ck_assert_int_eq(setresgid(id, id, id), 0);
	ck_assert_int_eq(setresuid(id, id, id), 0);
	ck_assert_int_eq(prctl(PR_SET_DUMPABLE, 1), 0); /* as after an exec */
}

static void rootless_init(struct run *run)
{
	run_init(run);
	run->plan.may_lack |= SANDBOX_LAYERS_ROOT;
}

#define RUN(name)            \
	auto_done(run) name; \
	rootless_init(&name)

START_TEST(lacks_are_named)
{
	become(NOBODY);
	RUN(r);
	run_verb(&r, "ids");
	ck_assert_cause(&r, SANDBOX_CAUSE_EXITED);
	ck_assert_str_eq(buf_string(&r.out), "1000 1000 2 0\n");
	ck_assert_int_eq(r.result.backend, SANDBOX_BACKEND_NONE);
	ck_assert_uint_eq(r.result.enforced & ~APPARMOR, SANDBOX_LAYERS_ALL & ~MISSING);
	ck_assert(r.result.trace_complete);
	ck_assert_uint_eq(r.exec_count, 1);
}
END_TEST

START_TEST(a_plan_that_needs_them_is_refused)
{
	static const char *const names[] = { "user", "devices", "memory-limit", "cpu-limit" };
	become(NOBODY);
	RUN(r);
	r.plan.may_lack = SANDBOX_LAYERS_BELTS;
	run_verb(&r, "exit", "0");
	ck_assert_cause(&r, SANDBOX_CAUSE_INTERNAL);
	ck_assert(!r.has_started);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		ck_assert_msg(strstr(r.result.text, names[i]), "%s: %s", names[i], r.result.text);
	ck_assert_ptr_nonnull(strstr(r.result.text, "as root"));
	RUN(f); /* needs rights over the whole machine */
	f.plan.trace = SANDBOX_TRACE_FILES;
	run_verb(&f, "exit", "0");
	ck_assert_cause(&f, SANDBOX_CAUSE_INTERNAL);
	ck_assert(!f.has_started);
}
END_TEST

START_TEST(limits_hold)
{
	static const struct {
		const char *verb;
		const char *argument;
		enum sandbox_cause cause;
		int exit_code;
		const char *output; /* NULL: any */
	} rows[] = {
		{ "sleep", NULL, SANDBOX_CAUSE_WALL_TIMEOUT, -1, NULL },
		{ "spin", NULL, SANDBOX_CAUSE_CPU_TIMEOUT, -1, NULL },
		{ "memory", "60", SANDBOX_CAUSE_EXITED, 0, NULL },
		{ "memory", "64", SANDBOX_CAUSE_EXITED, ENOMEM, NULL },
		{ "disk", "1048576", SANDBOX_CAUSE_DISK, ENOSPC, "4194304 4\n" },
		{ "file", "0", SANDBOX_CAUSE_DISK, -1, NULL },
		{ "flood", "10485761", SANDBOX_CAUSE_OUTPUT, 0, NULL },
		{ "threads", "100", SANDBOX_CAUSE_EXITED, 0, "31\n" },
		{ "fork-bomb", NULL, SANDBOX_CAUSE_WALL_TIMEOUT, -1, NULL },
		{ "kill-all", NULL, SANDBOX_CAUSE_EXITED, 0, NULL },
		{ "fds", NULL, SANDBOX_CAUSE_EXITED, EMFILE, NULL },
		{ "timers", NULL, SANDBOX_CAUSE_EXITED, EAGAIN, NULL },
		{ "thread-exec", NULL, SANDBOX_CAUSE_EXITED, 9, NULL },
		{ "int80", NULL, SANDBOX_CAUSE_DENIED, -1, NULL },
	};
	become(NOBODY);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool is_spin = str_equal(rows[i].verb, "spin");
		RUN(r);
		r.plan.limits.wall_ms = rows[i].cause == SANDBOX_CAUSE_WALL_TIMEOUT
						? 300
						: 40000; /* emulated, ticks get lost */
		r.plan.limits.cpu_ms = is_spin ? 1000 : 60000;
		r.plan.limits.memory_bytes = 64u << 20;
		r.plan.limits.disk_bytes = 4u << 20;
		r.plan.limits.file_bytes = 2u << 20;
		r.plan.limits.tasks = 32;
		run_verb(&r, rows[i].verb, rows[i].argument);
		ck_assert_msg(
			r.result.cause == rows[i].cause &&
				(r.result.exit_code == rows[i].exit_code ||
					rows[i].cause == SANDBOX_CAUSE_OUTPUT), /* may be killed */
			"%s: %s, code %d (%s)", rows[i].verb, sandbox_cause_name(r.result.cause),
			r.result.exit_code, r.result.text);
		if (rows[i].output)
			ck_assert_str_eq(buf_string(&r.out), rows[i].output);
		ck_assert_uint_le(r.result.statistics.processes_peak, r.plan.limits.processes);
	}
}
END_TEST

/* Without the kernel's own refusal the tracer ends it at the memory file, the last probe but one.
 */
START_TEST(exposure_is_that_of_root)
{
	static const char *const argv[] = { "/bin/exposure", NULL };
	char through[1024] = "";
	become(NOBODY);
	RUN(r);
	run_argv(&r, argv);
	for (char *line = strtok((char *)(uintptr_t)buf_string(&r.out), "\n"); line;
		line = strtok(NULL, "\n"))
		if (strncmp(line, "through ", 8) == 0)
			snprintf(through + strlen(through), sizeof(through) - strlen(through),
				"%s\n", line);
	ck_assert_msg(str_equal(through, run_expected_exposure(&r)), "%s: %s\n%s",
		sandbox_cause_name(r.result.cause), r.result.text, buf_string(&r.out));
}
END_TEST

START_TEST(only_the_image_is_executed)
{
	become(NOBODY);
	RUN(r);
	run_verb(&r, "exec-copy", "/work/x");
	ck_assert_int_eq(r.result.exit_code, 0); /* was refused */
	RUN(m);
	run_verb(&m, "exec-memfd");
	ck_assert_cause(&m, SANDBOX_CAUSE_DENIED);
	static const char *const closed[] = { "/bin/x", "/dev/x", "/dev/null/x", "/proc/x", "/x" };
	for (size_t i = 0; i < ARRAY_SIZE(closed); i++) {
		RUN(w);
		run_verb(&w, "write", closed[i]);
		ck_assert_msg(w.result.exit_code > 0, "%s", closed[i]);
	}
	static const char *const open[] = { "/work/x", "/tmp/x", "/dev/shm/x", "/dev/null" };
	for (size_t i = 0; i < ARRAY_SIZE(open); i++) {
		RUN(w);
		run_verb(&w, "write", open[i]);
		ck_assert_msg(w.result.exit_code == 0, "%s: %d", open[i], w.result.exit_code);
	}
}
END_TEST

/* Descriptors of directories, mounted by the supervisor; also those that come late. */
START_TEST(inputs_are_directories)
{
	struct sandbox_config config = { .supervisor_path = supervisor };
	struct sandbox_event event = {};
	struct sandbox_plan plan;
	struct err err;
	int control;
	become(NOBODY);
	RUN(r);
	auto_close etc = openat(run_image(), "etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r.files.app_fd = etc;
	run_verb(&r, "cat", "/app/passwd");
	ck_assert_cause(&r, SANDBOX_CAUSE_EXITED);
	ck_assert_ptr_nonnull(strstr(buf_string(&r.out), "root"));
	RUN(h);
	plan = h.plan;
	plan.argv = ARGV("unused");
	ck_assert_ok(sandbox_open(&config, &control, &err), err);
	ck_assert_ok(sandbox_prepare(control, SANDBOX_TIER_HOT, &plan, &h.files, &err), err);
	ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
	ck_assert_msg(event.kind == SANDBOX_EVENT_READY, "%s", event.result.text);
	h.files.root_fd = -1;
	h.files.data_fd = etc;
	h.plan.argv = ARGV("cat", "/data/passwd");
	ck_assert_ok(fd_memfd("out", &h.files.stdout_fd, &err), err);
	ck_assert_ok(fd_memfd("err", &h.files.stderr_fd, &err), err);
	ck_assert_ok(sandbox_start(control, &h.plan, &h.files, &err), err);
	run_finish(&h, control);
	ck_assert_cause(&h, SANDBOX_CAUSE_EXITED);
	ck_assert_ptr_nonnull(strstr(buf_string(&h.out), "root"));
	RUN(w); /* read-only */
	w.files.data_fd = etc;
	run_verb(&w, "write", "/data/x");
	ck_assert_int_eq(w.result.exit_code, EROFS);
}
END_TEST

/* Where he has no right to raise them: what a caller's own limits would end is refused. */
START_TEST(limits_of_the_caller)
{
	static const struct {
		int resource;
		rlim_t enough, too_low;
		const char *text;
	} rows[] = {
		{ RLIMIT_FSIZE, 8192, 8191, "'ulimit -f'" },
		{ RLIMIT_CPU, 3, 2, "'ulimit -t'" },
		{ RLIMIT_STACK, 8 << 20, (8 << 20) - 1, "'ulimit -s'" },
		/* A sanitizer has terabytes of addresses. */
		{ RLIMIT_DATA, 64 << 20, (64 << 20) - 1, "'ulimit -d'" },
		{ RLIMIT_AS, RLIM_INFINITY, 1ull << 40, "'ulimit -v'" },
	};
	size_t count = SUPERVISOR_IS_STATIC ? ARRAY_SIZE(rows) : ARRAY_SIZE(rows) - 2;
	become(NOBODY);
	RUN(r);
	r.plan.limits.file_bytes = 8192;
	r.plan.limits.cpu_ms = 1001;
	r.plan.limits.memory_bytes = 64 << 20;
	for (size_t i = 0; i < count; i++) {
		struct rlimit limit = { rows[i].enough, rows[i].enough };
		run_done(&r);
		r.out = r.error = (struct buf){};
		if (i == 0) {
			run_verb(&r, "exit", "0");
			ck_assert_cause(&r, SANDBOX_CAUSE_EXITED);
		}
		pid_t child = fork();
		if (child == 0) {
			ck_assert_int_eq(setrlimit(rows[i].resource, &limit), 0);
			run_verb(&r, "exit", "0");
			ck_assert_cause(&r, SANDBOX_CAUSE_EXITED);
			limit.rlim_cur = limit.rlim_max = rows[i].too_low;
			ck_assert_int_eq(setrlimit(rows[i].resource, &limit), 0);
			run_verb(&r, "exit", "0");
			ck_assert_refused(&r, rows[i].text);
			_exit(0);
		}
		int status;
		ck_assert_int_eq(waitpid(child, &status, 0), child);
		ck_assert_int_eq(status, 0);
	}
}
END_TEST

/* Those in messages count for the user, who is the same in all. */
START_TEST(descriptors_of_the_user)
{
	become(NOBODY);
	RUN(r);
	run_verb(&r, "nofile");
	ck_assert_str_eq(buf_string(&r.out), "704\n");
}
END_TEST

/* The program has the user's own id: no right is missing that would keep it from his sockets. */
START_TEST(inputs_lead_to_nobody)
{
	char path[] = "/tmp/cupel-rootless-input-XXXXXX";
	int fds[INPUT_ENTRIES];
	become(NOBODY);
	make_input(path, fds);
	RUN(r);
	auto_close input = r.files.data_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	run_verb(&r, "meet", "/data");
	ck_assert_str_eq(buf_string(&r.out), "111 0 0\n");
	remove_input(path, fds);
}
END_TEST

/* Without groups they are of the first process. */
START_TEST(parked_statistics_are_of_the_job)
{
	struct sandbox_config config = { .supervisor_path = supervisor };
	struct err err;
	become(NOBODY);
	for (int i = 0; i < 3; i++) {
		struct sandbox_event event = {};
		struct sandbox_files none = SANDBOX_FILES_NONE;
		int control;
		RUN(r);
		r.plan.argv = ARGV("park", "100");
		ck_assert_ok(sandbox_open(&config, &control, &err), err);
		ck_assert_ok(sandbox_prepare(control, SANDBOX_TIER_PARKED, &r.plan, &r.files, &err),
			err);
		while (event.kind != SANDBOX_EVENT_READY)
			ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
		r.plan.argv = ARGV("burn", i == 2 ? "leave" : "0");
		r.plan.wants_results = i == 1;
		ck_assert_ok(sandbox_start(control, &r.plan, &none, &err), err);
		while (event.kind != SANDBOX_EVENT_DONE)
			ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
		ck_assert_int_eq(event.result.cause, SANDBOX_CAUSE_EXITED);
		ck_assert_int_eq(event.result.backend, SANDBOX_BACKEND_NONE);
		run_check_statistics(&event.result.statistics);
		fd_close(&event.results_fd);
		sandbox_close(&control);
	}
}
END_TEST

START_TEST(a_directory_without_a_path_is_refused)
{
	static const char name[] = "/tmp/cupel-rootless-gone";
	become(NOBODY);
	RUN(r);
	ck_assert_int_eq(mkdir(name, 0755), 0);
	auto_close gone = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(rmdir(name), 0);
	r.files.data_fd = gone;
	run_verb(&r, "exit", "0");
	ck_assert_refused(&r, "without root");
}
END_TEST

START_TEST(a_directory_with_mounts_below_it_is_refused)
{
	become(NOBODY);
	RUN(r);
	auto_close root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* /proc, /dev */
	r.files.data_fd = root;
	run_verb(&r, "exit", "0");
	ck_assert_refused(&r, "/: expected no mounts below it");
}
END_TEST

/* In a user namespace that forbids further ones. */
START_TEST(without_user_namespaces_it_is_refused)
{
	copy_supervisor();
	ck_assert_int_eq(unshare(CLONE_NEWUSER), 0);
	struct {
		const char *path;
		const char *text;
	} rows[] = {
		{ "/proc/sys/user/max_user_namespaces", "0" },
		{ "/proc/self/setgroups", "deny" },
		{ "/proc/self/gid_map", "1000 0 1" },
		{ "/proc/self/uid_map", "1000 0 1" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_close fd = open(rows[i].path, O_WRONLY | O_CLOEXEC);
		ssize_t size = (ssize_t)strlen(rows[i].text);
		ck_assert_msg(write(fd, rows[i].text, (size_t)size) == size, "%s", rows[i].path);
	}
	ck_assert_int_eq(geteuid(), 1000);
	RUN(r);
	run_verb(&r, "exit", "0");
	ck_assert(r.result.cause != SANDBOX_CAUSE_EXITED);
	ck_assert(!r.has_started);
	ck_assert_msg(strstr(r.result.text, "max_user_namespaces"), "%s", r.result.text);
}
END_TEST

/* Root of a namespace with one id: runs if that is an ordinary user's, never if it is root's. */
START_TEST(host_uid_0_is_never_used)
{
	static const unsigned outside[] = { NOBODY, 0 };
	for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
		char map[32];
		pid_t child = fork();
		if (child > 0) {
			int status;
			ck_assert_int_eq(waitpid(child, &status, 0), child);
			ck_assert_int_eq(status, 0);
			continue;
		}
		if (outside[i])
			become(outside[i]);
		else
			copy_supervisor();
		ck_assert_int_eq(unshare(CLONE_NEWUSER), 0);
		snprintf(map, sizeof(map), "0 %u 1", outside[i]);
		auto_close groups = open("/proc/self/setgroups", O_WRONLY | O_CLOEXEC);
		auto_close gids = open("/proc/self/gid_map", O_WRONLY | O_CLOEXEC);
		auto_close uids = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
		ck_assert_int_eq(write(groups, "deny", 4), 4);
		ck_assert_int_gt(write(gids, map, strlen(map)), 0);
		ck_assert_int_gt(write(uids, map, strlen(map)), 0);
		RUN(r);
		run_verb(&r, "ids");
		if (outside[i])
			ck_assert_cause(&r, SANDBOX_CAUSE_EXITED);
		else
			ck_assert_cause(&r, SANDBOX_CAUSE_DENIED);
		remove_supervisor();
		run_remove_image();
		_exit(0);
	}
}
END_TEST

START_TEST(a_killed_supervisor_leaves_nothing_alive)
{
	struct err err;
	struct sandbox_event event;
	char tag[32];
	long pid = 0;
	long parent = 0;
	become(NOBODY);
	snprintf(tag, sizeof(tag), "tag-%d", (int)getpid());
	RUN(r);
	int control = run_begin(&r, ARGV("sleep", tag));
	do
		ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
	while (event.kind != SANDBOX_EVENT_EXEC);
	run_await_tagged(tag, &pid, &parent);
	ck_assert_int_eq(kill((pid_t)parent, SIGKILL), 0);
	int status = 0;
	while (status == 0)
		status = sandbox_receive(control, 0, &event, &err);
	ck_assert_int_eq(status, E_UNAVAILABLE);
	(void)usleep(15000);
	ck_assert_msg(!run_find_tagged(tag, &pid, &parent), "the payload lives on");
	(void)close(control);
}
END_TEST

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[128];
	snprintf(path, sizeof(path), "%s%s", dir, name);
	auto_close fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t size = (ssize_t)strlen(text);
	ck_assert_msg(write(fd, text, (size_t)size) == size, "%s: %s", path, strerror(errno));
}

/* A part of cgroup v2 that was given to the user, as systemd does; the caller sits in a leaf. */
static void delegate(const char *dir)
{
	static const char *const given[] = { "", "/cgroup.procs", "/cgroup.subtree_control", "/me",
		"/me/cgroup.procs" };
	char path[128];
	write_file("/sys/fs/cgroup", "/cgroup.subtree_control", "+memory +pids");
	ck_assert_int_eq(mkdir(dir, 0755), 0);
	write_file(dir, "/cgroup.subtree_control", "+memory +pids");
	snprintf(path, sizeof(path), "%s/me", dir);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	write_file(path, "/cgroup.procs", "0");
	for (size_t i = 0; i < ARRAY_SIZE(given); i++) {
		snprintf(path, sizeof(path), "%s%s", dir, given[i]);
		ck_assert_int_eq(chown(path, NOBODY, NOBODY), 0);
	}
}

static void run_delegated(const char *dir)
{
	delegate(dir);
	become(NOBODY);
	RUN(r);
	r.plan.may_lack = SANDBOX_LAYERS_BELTS | SANDBOX_LAYER_BIT(SANDBOX_LAYER_USER) |
			  SANDBOX_LAYER_BIT(SANDBOX_LAYER_DEVICES);
	r.plan.limits.memory_bytes = 32u << 20;
	run_verb(&r, "memory", "33");
	ck_assert_cause(&r, SANDBOX_CAUSE_MEMORY);
	ck_assert_int_eq(r.result.backend, SANDBOX_BACKEND_CGROUP_V2);
	RUN(c);
	c.plan.limits.cpu_ms = 60;
	run_verb(&c, "spin");
	ck_assert_cause(&c, SANDBOX_CAUSE_CPU_TIMEOUT);
	remove_supervisor();
}

START_TEST(a_delegated_cgroup_is_used)
{
	static const char *const parts[] = { "/cupel", "/me", "" };
	char dir[64];
	char path[128];
	int status;
	if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) < 0)
		return; /* v2 only; the emulated machine of the slow tests has it */
	snprintf(dir, sizeof(dir), "/sys/fs/cgroup/cupel-test-%d", (int)getpid());
	pid_t child = fork();
	if (child == 0) {
		run_delegated(dir);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		snprintf(path, sizeof(path), "%s%s", dir, parts[i]);
		ck_assert_msg(rmdir(path) == 0, "%s: %s", path, strerror(errno));
	}
	ck_assert_int_eq(status, 0);
}
END_TEST

/* The selftest runs itself in an empty root, so it must be the static build. */
START_TEST(the_selftest_passes)
{
	int status;
	if (!SUPERVISOR_IS_STATIC)
		return;
	become(NOBODY);
	pid_t child = fork();
	if (child == 0) {
		(void)!freopen("/dev/null", "we", stdout);
		execl(supervisor, "cupel-sandbox", "selftest", NULL);
		_exit(1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* doctor tells an ordinary user what he can have. */
START_TEST(probing)
{
	struct sandbox_capability list[SANDBOX_CAPABILITIES_MAX];
	size_t count = 0;
	struct err err;
	become(NOBODY);
	ck_assert_ok(sandbox_probe(list, &count, &err), err);
	for (size_t i = 0; i < count; i++) {
		bool is_expected = !str_equal(list[i].name, "root") &&
				   !str_equal(list[i].name, "cgroups") &&
				   !str_equal(list[i].name, "fast-cgroup-join") &&
				   !str_equal(list[i].name, "memfd-noexec") &&
				   !str_equal(list[i].name, "erofs") &&
				   !str_equal(list[i].name, "apparmor");
		ck_assert_msg(list[i].is_there == is_expected || !is_expected, "%s: %s",
			list[i].name, list[i].detail);
	}
}
END_TEST

UNIT_MAIN("sandbox_rootless", lacks_are_named, a_plan_that_needs_them_is_refused, limits_hold,
	exposure_is_that_of_root, only_the_image_is_executed, inputs_are_directories,
	inputs_lead_to_nobody, limits_of_the_caller, descriptors_of_the_user,
	parked_statistics_are_of_the_job, a_directory_without_a_path_is_refused,
	a_directory_with_mounts_below_it_is_refused, without_user_namespaces_it_is_refused,
	host_uid_0_is_never_used, a_killed_supervisor_leaves_nothing_alive,
	a_delegated_cgroup_is_used, the_selftest_passes, probing)
