/*
 * Programs that try (tests/hostile): each must meet its verdict, and the host must be afterwards
 * what it was before.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/utsname.h>

#include "engines/sandbox/apparmor.h"
#include "sandbox_run.h"

#define RUN(name)            \
	auto_done(run) name; \
	run_init(&name)

START_TEST(exposure)
{
	static const char *const argv[] = { "/bin/exposure", NULL };
	char through[1024] = "";
	RUN(r);
	run_argv(&r, argv);
	ck_assert_cause(&r, SANDBOX_CAUSE_EXITED);
	for (char *line = strtok((char *)(uintptr_t)buf_string(&r.out), "\n"); line;
		line = strtok(NULL, "\n"))
		if (strncmp(line, "through ", 8) == 0)
			snprintf(through + strlen(through), sizeof(through) - strlen(through),
				"%s\n", line);
	ck_assert_str_eq(through, run_expected_exposure(&r));
}
END_TEST

START_TEST(verdicts)
{
	static const struct {
		const char *verb;
		const char *argument;
		enum sandbox_cause cause;
		int exit_code;
	} rows[] = {
		{ "kill-all", NULL, SANDBOX_CAUSE_EXITED, 0 },
		{ "zombies", NULL, SANDBOX_CAUSE_PROCESSES, EAGAIN },
		{ "fds", NULL, SANDBOX_CAUSE_EXITED, EMFILE },
		{ "scm-bomb", NULL, SANDBOX_CAUSE_EXITED, ETOOMANYREFS },
		{ "pipes", NULL, SANDBOX_CAUSE_MEMORY, -1 },
		{ "deep-directories", NULL, SANDBOX_CAUSE_DISK, ENOSPC },
		{ "timers", NULL, SANDBOX_CAUSE_EXITED, EAGAIN },
		{ "sigqueue", NULL, SANDBOX_CAUSE_EXITED, EAGAIN },
		{ "open-file-lock", NULL, SANDBOX_CAUSE_EXITED, EINVAL },
		{ "shared-files", NULL, SANDBOX_CAUSE_EXITED, EPERM },
		{ "sparse-map", NULL, SANDBOX_CAUSE_EXITED, 0 },
		{ "exec-loop", "50", SANDBOX_CAUSE_EXITED, 3 },
		{ "thread-exec", NULL, SANDBOX_CAUSE_EXITED, 9 },
		{ "no-stdout", "8", SANDBOX_CAUSE_EXITED, 8 },
		{ "stop-self", NULL, SANDBOX_CAUSE_WALL_TIMEOUT, -1 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		RUN(r);
		r.plan.limits.memory_bytes = 64u << 20;
		r.plan.limits.disk_files = 1024; /* Landlock walks a deep tree up, step by step */
		r.plan.limits.wall_ms = str_equal(rows[i].verb, "stop-self") ? 100 : 10000;
		run_verb(&r, rows[i].verb, rows[i].argument);
		ck_assert_msg(
			r.result.cause == rows[i].cause && r.result.exit_code == rows[i].exit_code,
			"%s: %s, code %d (%s)", rows[i].verb, sandbox_cause_name(r.result.cause),
			r.result.exit_code, r.result.text);
		ck_assert(r.result.trace_complete);
	}
}
END_TEST

START_TEST(sandboxes_share_no_locks)
{
	if (apparmor_state() == APPARMOR_ENFORCED)
		return; /* there an exclusive lock needs the right to write */
	struct err err;
	struct sandbox_event event;
	RUN(holder);
	int control = run_begin(&holder, ARGV("flock", "/etc/passwd", "20"));
	do
		ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
	while (event.kind != SANDBOX_EVENT_EXEC);
	for (int i = 0; i < 200 && lseek(holder.files.stdout_fd, 0, SEEK_END) == 0; i++)
		(void)usleep(5000);
	ck_assert_int_gt(lseek(holder.files.stdout_fd, 0, SEEK_END), 0);
	RUN(other);
	run_verb(&other, "flock", "/etc/passwd");
	ck_assert_int_eq(other.result.exit_code, 0);
	auto_close host = openat(run_image(), "etc/passwd", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(flock(host, LOCK_EX | LOCK_NB), 0);
	ck_assert_ok(sandbox_cancel(control, &err), err);
	run_finish(&holder, control);
}
END_TEST

/* Of one process and of four together; and many more, while they are still being taken. */
START_TEST(locks_are_counted)
{
	static const struct {
		const char *argv[7];
		bool is_too_much;
	} rows[] = {
		{ { "/bin/hostile", "locks", "1", "4096", "400" }, false },
		{ { "/bin/hostile", "locks", "1", "4097", "9000" }, true },
		{ { "/bin/hostile", "locks", "4", "256", "400", "3" }, false },
		{ { "/bin/hostile", "locks", "5", "205", "9000", "3" }, true },
		{ { "/bin/hostile", "locks", "50", "100000", "0" }, true },
		{ { "/bin/hostile", "locks", "50", "100000", "0", "3" }, true },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		RUN(r);
		run_argv(&r, rows[i].argv);
		ck_assert_cause(
			&r, rows[i].is_too_much ? SANDBOX_CAUSE_MEMORY : SANDBOX_CAUSE_EXITED);
		ck_assert_str_eq(r.result.text,
			rows[i].is_too_much ? "holds more than 4096 file locks: kernel memory that "
					      "no limit counts"
					    : "exited with 0");
	}
}
END_TEST

/* Whoever took them: of one process on one file, and of dead ones, whom the kernel does not list.
 */
START_TEST(locks_of_mapped_files_are_counted)
{
	static const struct {
		const char *argv[7];
		const char *too_many;
	} rows[] = {
		{ { "/bin/hostile", "mapped-locks", "4000", "1", "alive", "700" }, NULL },
		{ { "/bin/hostile", "mapped-locks", "60000", "1", "alive", "9000" },
			"holds more than 4096 file locks: kernel memory that no limit counts" },
		{ { "/bin/hostile", "mapped-locks", "20000", "2", "dead", "700" }, NULL },
		{ { "/bin/hostile", "mapped-locks", "40000", "2", "dead", "9000" },
			"holds more than 65536 descriptors and mappings of files, each of which "
			"may have a lock: kernel memory that no limit counts" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		RUN(r);
		run_argv(&r, rows[i].argv);
		ck_assert_str_eq(
			r.result.text, rows[i].too_many ? rows[i].too_many : "exited with 0");
		ck_assert_cause(&r, rows[i].too_many ? SANDBOX_CAUSE_MEMORY : SANDBOX_CAUSE_EXITED);
	}
}
END_TEST

START_TEST(control_data_is_bounded)
{
	struct utsname name;
	ck_assert_int_eq(uname(&name), 0);
	int major = atoi(name.release), minor = atoi(strchr(name.release, '.') + 1);
	bool is_own = major > 6 || (major == 6 && minor >= 7); /* else 20 KiB for the machine */
	RUN(some);
	some.plan.limits.tasks = 257;
	run_verb(&some, "control-data", "8000");
	ck_assert_int_eq(some.result.exit_code, 0);
	RUN(more);
	more.plan.limits.tasks = 257;
	run_verb(&more, "control-data", is_own ? "8200" : "130000");
	ck_assert_int_eq(more.result.exit_code, ENOBUFS);
}
END_TEST

START_TEST(waiting_connections_are_counted)
{
	static const struct {
		const char *argv[5];
		bool is_too_much;
	} rows[] = {
		{ { "/bin/hostile", "connections", "16384", "400" }, false },
		{ { "/bin/hostile", "connections", "16385", "9000" }, true },
		{ { "/bin/hostile", "connections", "90000", "9000" }, true },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		RUN(r);
		run_argv(&r, rows[i].argv);
		ck_assert_str_eq(r.result.text,
			rows[i].is_too_much ? "holds more than 16384 UNIX sockets: kernel memory "
					      "that no limit counts"
					    : "exited with 0");
		ck_assert_cause(
			&r, rows[i].is_too_much ? SANDBOX_CAUSE_MEMORY : SANDBOX_CAUSE_EXITED);
	}
}
END_TEST

/* Each takes the tracer as long as a hundred others: the clock must not wait for all of them. */
START_TEST(large_arguments_stop_no_clock)
{
	RUN(r);
	r.plan.limits.wall_ms = 500;
	run_verb(&r, "large-exec", "40");
	ck_assert_cause(&r, SANDBOX_CAUSE_WALL_TIMEOUT);
	ck_assert_uint_lt(r.result.statistics.wall_usec, 1200000);
}
END_TEST

/* One of /proc/PID/status, or -1. */
static long status_value(long pid, const char *name, int base)
{
	char path[64];
	struct err err;
	auto_done(buf) text = {};
	snprintf(path, sizeof(path), "/proc/%ld/status", pid);
	ck_assert_ok(fd_read_file(path, 1 << 16, &text, &err), err);
	const char *line = strstr(buf_string(&text), name);
	return line ? strtol(line + strlen(name), NULL, base) : -1;
}

/* Who makes the payload, a child of the supervisor. */
static bool has_resident(void)
{
	return run_is_tier("zygote") || run_is_tier("warm");
}

struct rights {
	long filters;
	long effective;
	long bounding; /* -1: not looked at */
};

static void check_rights(long pid, const struct rights *rights)
{
	ck_assert_int_eq(status_value(pid, "\nSeccomp:\t", 10), 2);
	ck_assert_int_eq(status_value(pid, "\nNoNewPrivs:\t", 10), 1);
	ck_assert_int_eq(status_value(pid, "\nSeccomp_filters:\t", 10), rights->filters);
	ck_assert_int_eq(status_value(pid, "\nCapEff:\t", 16), rights->effective);
	if (rights->bounding >= 0)
		ck_assert_int_eq(status_value(pid, "\nCapBnd:\t", 16), rights->bounding);
}

/*
 * The supervisor has the first stage of the filter, the payload both; neither gains rights. Between
 * them a warm one's spawner, as bare as a payload, or a zygote, which has SETUID and SETGID for its
 * children; they keep these in the bounding set, where without new privileges nothing comes of it.
 */
START_TEST(both_are_filtered)
{
	static const struct rights supervisor = { 1, 0xac002b, -1 };
	static const struct rights bare = { 2, 0, 0 };
	static const struct rights zygote = { 1, 0xc0, 0xc0 };
	static const struct rights of_zygote = { 2, 0, 0xc0 };
	struct err err;
	struct sandbox_event event;
	char tag[32];
	long pid = 0;
	long parent = 0;
	snprintf(tag, sizeof(tag), "tag-%d", (int)getpid());
	RUN(r);
	int control = run_begin(&r, ARGV("sleep", tag));
	do
		ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
	while (event.kind != SANDBOX_EVENT_EXEC);
	run_await_tagged(tag, &pid, &parent);
	check_rights(pid, run_is_tier("zygote") ? &of_zygote : &bare);
	if (has_resident()) {
		check_rights(parent, run_is_tier("zygote") ? &zygote : &bare);
		parent = status_value(parent, "\nPPid:\t", 10);
	}
	check_rights(parent, &supervisor);
	ck_assert_ok(sandbox_cancel(control, &err), err);
	run_finish(&r, control);
}
END_TEST

START_TEST(a_killed_supervisor_leaves_nothing_alive)
{
	struct err err;
	struct sandbox_event event;
	char tag[32];
	long pid = 0;
	long parent = 0;
	uint32_t removed;
	snprintf(tag, sizeof(tag), "tag-%d", (int)getpid());
	RUN(r);
	int control = run_begin(&r, ARGV("sleep", tag));
	do
		ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
	while (event.kind != SANDBOX_EVENT_EXEC);
	run_await_tagged(tag, &pid, &parent);
	if (has_resident()) /* that was it */
		parent = status_value(parent, "\nPPid:\t", 10);
	ck_assert_int_eq(kill((pid_t)parent, SIGKILL), 0);
	int status = 0;
	while (status == 0)
		status = sandbox_receive(control, 0, &event, &err);
	ck_assert_int_eq(status, E_UNAVAILABLE);
	(void)usleep(15000);
	ck_assert_msg(!run_find_tagged(tag, &pid, &parent), "the payload lives on");
	ck_assert_ok(sandbox_sweep(&removed, &err), err);
	(void)close(control);
}
END_TEST

START_TEST(a_closed_control_kills_within_15_ms)
{
	struct err err;
	struct sandbox_event event;
	char tag[32];
	long pid;
	long parent;
	snprintf(tag, sizeof(tag), "tag-%d", (int)getpid());
	RUN(r);
	int control = run_begin(&r, ARGV("sleep", tag));
	do
		ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
	while (event.kind != SANDBOX_EVENT_EXEC);
	run_await_tagged(tag, &pid, &parent);
	(void)close(control);
	(void)usleep(15000);
	ck_assert_msg(!run_find_tagged(tag, &pid, &parent), "the payload lives on");
}
END_TEST

/* An exit at the very moment of the wall limit is one or the other, never something else. */
START_TEST(races_at_the_limit)
{
	for (int i = 0; i < 30; i++) {
		RUN(r);
		r.plan.limits.wall_ms = 1 + (uint64_t)i % 3;
		run_verb(&r, "exit", "5");
		bool is_exit = r.result.cause == SANDBOX_CAUSE_EXITED && r.result.exit_code == 5;
		bool is_late = r.result.cause == SANDBOX_CAUSE_WALL_TIMEOUT;
		ck_assert_msg(is_exit || is_late, "%s", r.result.text);
	}
	for (int i = 0; i < 10; i++) {
		RUN(r);
		r.plan.limits.memory_bytes = 8u << 20;
		run_verb(&r, "memory", i % 2 ? "9" : "6");
		ck_assert_cause(&r, i % 2 ? SANDBOX_CAUSE_MEMORY : SANDBOX_CAUSE_EXITED);
	}
}
END_TEST

/* A flood into a pipe that nobody reads at first; how much came. pipe_bytes 0: as it is. */
static size_t run_slowly_read(struct run *r, const char *bytes_to_flood, int pipe_bytes)
{
	int ends[2];
	char bytes[4096];
	struct err err;
	struct sandbox_event event = {};
	size_t sum = 0;
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert(pipe_bytes == 0 || fcntl(ends[1], F_SETPIPE_SZ, pipe_bytes) >= 0);
	r->plan.argv = ARGV("flood", bytes_to_flood);
	r->files.stdout_fd = ends[1];
	int control = run_start(r);
	fd_close(&r->files.stdout_fd);
	(void)usleep(30000);
	for (ssize_t got; (got = read(ends[0], bytes, sizeof(bytes))) > 0;) {
		sum += (size_t)got;
		if (sum % 65536 == 0)
			(void)usleep(1000);
	}
	while (event.kind != SANDBOX_EVENT_DONE) {
		ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
		run_take_event(r, &event);
	}
	(void)close(control);
	(void)close(ends[0]);
	return sum;
}

START_TEST(slow_reader_gets_everything)
{
	RUN(r);
	ck_assert_uint_eq(run_slowly_read(&r, "1000000", 0), 1000000);
	ck_assert_cause(&r, SANDBOX_CAUSE_EXITED);
}
END_TEST

/* It has exited when its receiver begins to read; what it left in the pipe is above the limit. */
START_TEST(slow_reader_hides_no_limit)
{
	RUN(r);
	r.plan.limits.output_bytes = 70000;
	ck_assert_uint_eq(run_slowly_read(&r, "72000", 4096), 70000);
	ck_assert_cause(&r, SANDBOX_CAUSE_OUTPUT);
}
END_TEST

static size_t count_lines(const char *path)
{
	struct err err;
	auto_done(buf) text = {};
	size_t lines = 0;
	ck_assert_ok(fd_read_file(path, 1 << 20, &text, &err), err);
	for (size_t i = 0; i < text.size; i++)
		lines += text.data[i] == '\n';
	return lines;
}

/* Events that come faster than they are taken keep neither clock nor limits waiting. */
START_TEST(storms_do_not_stop_the_clock)
{
	RUN(storm);
	storm.plan.limits.wall_ms = 300;
	storm.plan.limits.processes = 256;
	storm.plan.limits.tasks = 512;
	run_verb(&storm, "fork-storm");
	ck_assert_cause(&storm, SANDBOX_CAUSE_WALL_TIMEOUT);
	ck_assert_uint_lt(storm.result.statistics.wall_usec, 5000000);
	RUN(bomb);
	run_verb(&bomb, "fork-bomb");
	ck_assert_cause(&bomb, SANDBOX_CAUSE_PROCESSES);
	ck_assert_uint_lt(bomb.result.statistics.forks_refused, 512);
}
END_TEST

START_TEST(the_host_is_as_before)
{
	size_t mounts = count_lines("/proc/self/mountinfo");
	for (int i = 0; i < 10; i++) {
		RUN(r);
		run_verb(&r, i % 2 ? "fork-bomb" : "orphans", "0");
	}
	ck_assert_uint_eq(count_lines("/proc/self/mountinfo"), mounts);
}
END_TEST

UNIT_MAIN("sandbox_hostile", exposure, verdicts, sandboxes_share_no_locks, locks_are_counted,
	locks_of_mapped_files_are_counted, control_data_is_bounded, waiting_connections_are_counted,
	large_arguments_stop_no_clock, both_are_filtered, a_killed_supervisor_leaves_nothing_alive,
	a_closed_control_kills_within_15_ms, races_at_the_limit, slow_reader_gets_everything,
	slow_reader_hides_no_limit, storms_do_not_stop_the_clock, the_host_is_as_before)
