/* The sandbox, cold tier: right ends, limits n-1, n, n+1, isolation, trace, clean-up. */
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "engines/sandbox/apparmor.h"
#include "kit/base/time.h"
#include "sandbox_run.h"

#define RUN(name)            \
	auto_done(run) name; \
	run_init(&name)

START_TEST(exit_codes)
{
	static const char *const codes[] = { "0", "1", "77", "255" };
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		RUN(r);
		run_verb(&r, "exit", codes[i]);
		ck_assert_cause(&r, SANDBOX_CAUSE_EXITED);
		ck_assert_int_eq(r.result.exit_code, atol(codes[i]));
		ck_assert(r.has_started);
	}
}
END_TEST

START_TEST(signals)
{
	RUN(r);
	run_verb(&r, "abort");
	ck_assert_cause(&r, SANDBOX_CAUSE_SIGNALLED);
	ck_assert_int_eq(r.result.signal, SIGABRT);
	RUN(s);
	run_verb(&s, "raise", "11");
	ck_assert_int_eq(s.result.signal, SIGSEGV);
}
END_TEST

START_TEST(output_and_environment)
{
	RUN(r);
	run_verb(&r, "echo", "hello", "world");
	ck_assert_str_eq(buf_string(&r.out), "hello world\n");
	RUN(e);
	run_verb(&e, "env");
	ck_assert_str_eq(buf_string(&e.out), "LANG=C.UTF-8\n");
	RUN(i);
	run_verb(&i, "ids");
	ck_assert_str_eq(buf_string(&i.out), "1000 1000 2 0\n");
}
END_TEST

/* What a supported kernel may lack: memory files are refused from Linux 6.3; AppArmor. */
static bool has_memfd_noexec(void)
{
	return access("/proc/sys/vm/memfd_noexec", F_OK) == 0;
}

static bool has_apparmor(void)
{
	return apparmor_state() == APPARMOR_ENFORCED;
}

static uint32_t layers_here(void)
{
	return SANDBOX_LAYERS_ALL &
	       ~(has_apparmor() ? 0 : SANDBOX_LAYER_BIT(SANDBOX_LAYER_APPARMOR)) &
	       ~(has_memfd_noexec() ? 0 : SANDBOX_LAYER_BIT(SANDBOX_LAYER_MEMFD_NOEXEC));
}

START_TEST(all_layers_are_enforced_here)
{
	RUN(r);
	run_verb(&r, "exit", "0");
	for (unsigned i = 0; i < SANDBOX_LAYER_COUNT; i++)
		if ((r.result.enforced ^ layers_here()) & SANDBOX_LAYER_BIT(i))
			ck_assert_msg(false, "%s is missing, or claimed", sandbox_layer_name(i));
	RUN(s); /* and who demands it is refused */
	s.plan.may_lack = 0;
	run_verb(&s, "exit", "0");
	bool has_all = layers_here() == SANDBOX_LAYERS_ALL;
	ck_assert_cause(&s, has_all ? SANDBOX_CAUSE_EXITED : SANDBOX_CAUSE_INTERNAL);
	ck_assert_int_eq(s.has_started, has_all);
}
END_TEST

START_TEST(wall_time)
{
	RUN(r);
	r.plan.limits.wall_ms = 50;
	run_verb(&r, "sleep");
	ck_assert_cause(&r, SANDBOX_CAUSE_WALL_TIMEOUT);
	ck_assert_uint_ge(r.result.statistics.wall_usec, 50000);
	ck_assert_uint_lt(r.result.statistics.wall_usec, 150000);
}
END_TEST

START_TEST(cpu_time)
{
	RUN(r);
	r.plan.limits.cpu_ms = 60;
	run_verb(&r, "spin");
	ck_assert_cause(&r, SANDBOX_CAUSE_CPU_TIMEOUT);
	RUN(s); /* sleeping costs nothing */
	s.plan.limits.cpu_ms = 60;
	s.plan.limits.wall_ms = 200;
	run_verb(&s, "sleep");
	ck_assert_cause(&s, SANDBOX_CAUSE_WALL_TIMEOUT);
}
END_TEST

START_TEST(memory)
{
	RUN(r);
	r.plan.limits.memory_bytes = 32u << 20;
	run_verb(&r, "memory", "30");
	ck_assert_cause(&r, SANDBOX_CAUSE_EXITED);
	RUN(s);
	s.plan.limits.memory_bytes = 32u << 20;
	run_verb(&s, "memory", "33");
	ck_assert_cause(&s, SANDBOX_CAUSE_MEMORY);
	ck_assert_uint_eq(s.result.statistics.memory_peak_bytes, 32u << 20);
	ck_assert_str_eq(s.result.text, "needed more memory than its limit");
	RUN(c);
	c.plan.limits.memory_bytes = 32u << 20;
	run_verb(&c, "memory-child", "33");
	ck_assert_cause(&c, SANDBOX_CAUSE_MEMORY);
	RUN(m);
	m.plan.limits.memory_bytes = 32u << 20;
	m.plan.limits.file_bytes = 64u << 20;
	run_verb(&m, "memfd", "40");
	ck_assert_cause(&m, SANDBOX_CAUSE_MEMORY);
}
END_TEST

START_TEST(disk)
{
	RUN(r);
	r.plan.limits.disk_bytes = 4u << 20;
	run_verb(&r, "disk", "262144", "/work");
	ck_assert_str_eq(buf_string(&r.out), "4194304 16\n");
	ck_assert_cause(&r, SANDBOX_CAUSE_DISK);
	ck_assert_int_eq(r.result.exit_code, ENOSPC);
	RUN(s); /* /tmp and /dev/shm are the same disk */
	s.plan.limits.disk_bytes = 4u << 20;
	run_verb(&s, "disk", "262144", "/dev/shm");
	ck_assert_str_eq(buf_string(&s.out), "4194304 16\n");
	RUN(i);
	i.plan.limits.disk_files = 64;
	run_verb(&i, "inodes");
	ck_assert_str_eq(buf_string(&i.out), "64\n");
	ck_assert_cause(&i, SANDBOX_CAUSE_DISK);
	RUN(f);
	f.plan.limits.file_bytes = 1u << 20;
	run_verb(&f, "file", "0", "1");
	ck_assert_str_eq(buf_string(&f.out), "1048576\n");
	ck_assert_int_eq(f.result.exit_code, EFBIG);
	ck_assert_cause(&f, SANDBOX_CAUSE_DISK);
	RUN(x);
	x.plan.limits.file_bytes = 1u << 20;
	run_verb(&x, "file", "0", "0");
	ck_assert_cause(&x, SANDBOX_CAUSE_DISK);
	RUN(c); /* of a child, which it minds or does not */
	c.plan.limits.file_bytes = 1u << 20;
	run_verb(&c, "file-of-a-child", "1");
	ck_assert_cause(&c, SANDBOX_CAUSE_DISK);
	RUN(u);
	u.plan.limits.file_bytes = 1u << 20;
	run_verb(&u, "file-of-a-child", "0");
	ck_assert_cause(&u, SANDBOX_CAUSE_EXITED);
	ck_assert_uint_eq(u.result.limits_hit, 1u << SANDBOX_CAUSE_DISK);
}
END_TEST

START_TEST(descriptors_of_all_tasks)
{
	static const struct {
		uint32_t tasks;
		const char *files;
	} rows[] = { { 63, "4096\n" }, { 64, "4096\n" }, { 65, "4032\n" }, { 32768, "128\n" } };
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		RUN(r);
		r.plan.limits.tasks = rows[i].tasks;
		run_verb(&r, "nofile");
		ck_assert_str_eq(buf_string(&r.out), rows[i].files);
	}
}
END_TEST

START_TEST(output_cap)
{
	static const struct {
		const char *count;
		const char *fd;
		enum sandbox_cause cause;
		size_t out;
		size_t error;
	} rows[] = {
		{ "99999", "1", SANDBOX_CAUSE_EXITED, 99999, 0 },
		{ "100000", "1", SANDBOX_CAUSE_EXITED, 100000, 0 },
		{ "100001", "1", SANDBOX_CAUSE_OUTPUT, 100000, 0 },
		{ "100001", "2", SANDBOX_CAUSE_OUTPUT, 0, 100000 },
		{ "100000000", "1", SANDBOX_CAUSE_OUTPUT, 100000, 0 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		RUN(r);
		r.plan.limits.output_bytes = 100000;
		run_verb(&r, "flood", rows[i].count, rows[i].fd);
		ck_assert_cause(&r, rows[i].cause);
		ck_assert_uint_eq(r.out.size, rows[i].out);
		ck_assert_uint_eq(r.error.size, rows[i].error);
		ck_assert_uint_eq(r.result.statistics.stdout_bytes, rows[i].out);
	}
}
END_TEST

START_TEST(processes)
{
	static const struct {
		const char *count;
		const char *how;
		const char *born;
		enum sandbox_cause cause;
	} rows[] = {
		{ "8", "0", "8\n", SANDBOX_CAUSE_EXITED },
		{ "9", "0", "9\n", SANDBOX_CAUSE_EXITED },
		{ "10", "0", "9\n", SANDBOX_CAUSE_PROCESSES },
		{ "10", "1", "9\n", SANDBOX_CAUSE_PROCESSES },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		RUN(r);
		run_verb(&r, "fork", rows[i].count, rows[i].how);
		ck_assert_cause(&r, rows[i].cause);
		ck_assert_str_eq(buf_string(&r.out), rows[i].born);
	}
	RUN(s);
	run_verb(&s, "fork-sequence", "40");
	ck_assert_cause(&s, SANDBOX_CAUSE_EXITED);
	ck_assert_int_eq(s.result.exit_code, 0);
	ck_assert_uint_eq(s.result.statistics.processes_total, 41);
	RUN(o);
	run_verb(&o, "odd-clones", "20");
	ck_assert_str_eq(buf_string(&o.out), "9\n");
}
END_TEST

START_TEST(threads_are_not_processes)
{
	RUN(r);
	run_verb(&r, "threads", "40");
	ck_assert_str_eq(buf_string(&r.out), "40\n");
	ck_assert_uint_eq(r.result.statistics.processes_peak, 1);
	ck_assert_uint_eq(r.result.limits_hit, 0);
	RUN(s);
	s.plan.limits.tasks = 20;
	run_verb(&s, "threads", "40");
	ck_assert_str_eq(buf_string(&s.out), "19\n");
	ck_assert_cause(&s, SANDBOX_CAUSE_EXITED); /* it coped */
	ck_assert_uint_eq(s.result.limits_hit, 1u << SANDBOX_CAUSE_PROCESSES);
}
END_TEST

START_TEST(bombs_end)
{
	RUN(r);
	run_verb(&r, "fork-bomb");
	ck_assert_cause(&r, SANDBOX_CAUSE_PROCESSES);
	RUN(d);
	run_verb(&d, "daemon");
	ck_assert_cause(&d, SANDBOX_CAUSE_EXITED);
	RUN(o);
	run_verb(&o, "orphans", "3");
	ck_assert_int_eq(o.result.exit_code, 3);
}
END_TEST

START_TEST(only_the_image_is_executed)
{
	static const char *const places[] = { "/work/x", "/tmp/x", "/dev/shm/x", "/home/x",
		"/run/x" };
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		RUN(r);
		run_verb(&r, "exec-copy", places[i]);
		ck_assert_int_eq(r.result.exit_code, 0);
		RUN(m);
		run_verb(&m, "map-exec", places[i]);
		ck_assert_int_eq(m.result.exit_code, 0);
	}
	static const char *const flags[] = { "0", "1", "2", "16", "17" };
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		RUN(r);
		run_verb(&r, "exec-memfd", flags[i]);
		/* Refused by the kernel, or killed by the tracer before its first instruction. */
		if (has_memfd_noexec() || r.result.cause == SANDBOX_CAUSE_EXITED)
			ck_assert_int_eq(r.result.exit_code, 0);
		else
			ck_assert_cause(&r, SANDBOX_CAUSE_DENIED);
	}
	RUN(a); /* positive control */
	a.plan.allow_exec_in_work = true;
	run_verb(&a, "exec-copy", "/work/x");
	ck_assert_int_eq(a.result.exit_code, 42);
	ck_assert(!(a.result.enforced & SANDBOX_LAYER_BIT(SANDBOX_LAYER_NOEXEC)));
	ck_assert(a.result.trace_complete);
	char path[1200] = "/work/"; /* longer than an event tells */
	memset(path + 6, 'd', sizeof(path) - 7);
	for (size_t i = 200; i < sizeof(path); i += 200)
		path[i] = '/';
	RUN(l);
	l.plan.allow_exec_in_work = true;
	run_verb(&l, "exec-copy", path);
	ck_assert_int_eq(l.result.exit_code, 42);
	ck_assert(l.result.trace_truncated && !l.result.trace_complete);
}
END_TEST

START_TEST(the_root_is_read_only)
{
	static const char *const paths[] = { "/x", "/bin/hostile", "/etc/passwd", "/dev/x",
		"/app/x", "/data/x", "/proc/x", "/proc/self/oom_score_adj_x" };
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		RUN(r);
		run_verb(&r, "write", paths[i]);
		ck_assert_msg(r.result.exit_code != 0, "wrote %s", paths[i]);
	}
	static const char *const absent[] = { "/proc/meminfo", "/proc/sys", "/sys", "/dev/pts",
		"/dev/mqueue", "/proc/1", "/dev/tty", "/proc/kcore" };
	for (size_t i = 0; i < ARRAY_SIZE(absent); i++) {
		RUN(r);
		run_verb(&r, "stat", absent[i]);
		ck_assert_msg(r.result.exit_code == ENOENT, "%s is there", absent[i]);
	}
	RUN(w);
	run_verb(&w, "write", "/dev/null");
	ck_assert_int_eq(w.result.exit_code, 0);
	RUN(x);
	run_verb(&x, "write", "/work/x");
	ck_assert_int_eq(x.result.exit_code, 0);
}
END_TEST

START_TEST(foreign_interfaces)
{
	RUN(r);
	run_verb(&r, "int80");
	ck_assert_cause(&r, SANDBOX_CAUSE_DENIED);
	ck_assert_int_eq(r.result.signal, SIGSYS);
	RUN(u);
	run_verb(&u, "untraced");
	ck_assert_int_eq(u.result.exit_code, 0);
}
END_TEST

START_TEST(unknown_program)
{
	static const char *const missing[] = { "nothing-here", NULL };
	static const char *const no_program[] = { "/etc/passwd", NULL };
	RUN(r);
	run_argv(&r, missing);
	ck_assert_cause(&r, SANDBOX_CAUSE_DENIED);
	ck_assert_int_eq(r.result.exit_code, 127);
	ck_assert_ptr_nonnull(strstr(r.result.text, "nothing-here"));
	RUN(s);
	run_argv(&s, no_program);
	ck_assert_cause(&s, SANDBOX_CAUSE_DENIED);
	ck_assert_int_eq(s.result.exit_code, 126);
	static const char *const short_name[] = { "hostile", "exit", "5", NULL };
	RUN(p);
	run_argv(&p, short_name);
	ck_assert_int_eq(p.result.exit_code, 5);
}
END_TEST

START_TEST(trace)
{
	RUN(r);
	run_verb(&r, "tree", "3");
	ck_assert_int_eq(r.result.exit_code, 7);
	ck_assert_uint_eq(r.exec_count, 4);
	ck_assert_uint_eq(r.exit_count, 4);
	for (uint32_t i = 0; i < 4; i++) {
		ck_assert_uint_eq(r.execs[i].pid, i + 1);
		ck_assert_uint_eq(r.execs[i].ppid, i);
		ck_assert_str_eq(r.execs[i].path, "/bin/hostile");
		ck_assert_uint_eq(r.exits[i].pid, 4 - i);
		ck_assert_int_eq(r.exits[i].exit_code, 7);
	}
	/* printf '/bin/hostile\0tree\0003\0' | sha256sum */
	static const uint8_t first[] = { 0x89, 0xba, 0x1b, 0x99 };
	ck_assert_int_eq(memcmp(r.execs[0].argv_sha256, first, sizeof(first)), 0);
	ck_assert(r.result.trace_complete);
	ck_assert_uint_eq(r.result.trace_events, 8);
	RUN(n);
	n.plan.trace = SANDBOX_TRACE_NONE;
	run_verb(&n, "tree", "3");
	ck_assert_uint_eq(n.exec_count, 0);
	ck_assert(!n.result.trace_complete);
}
END_TEST

START_TEST(job_control_works_under_trace)
{
	RUN(r);
	run_verb(&r, "job-control");
	ck_assert_int_eq(r.result.exit_code, 5);
}
END_TEST

START_TEST(standard_input)
{
	struct err err;
	RUN(r);
	ck_assert_ok(fd_memfd("in", &r.files.stdin_fd, &err), err);
	for (int i = 0; i < 300000; i++)
		ck_assert_int_eq(write(r.files.stdin_fd, "0123456789", 10), 10);
	ck_assert_int_eq(lseek(r.files.stdin_fd, 0, SEEK_SET), 0);
	run_verb(&r, "cat");
	ck_assert_uint_eq(r.out.size, 3000000);
	ck_assert_uint_eq(r.result.statistics.stdin_bytes, 3000000);
	RUN(n);
	run_verb(&n, "cat");
	ck_assert_cause(&n, SANDBOX_CAUSE_EXITED);
	RUN(c);
	c.files.stdin_fd = r.files.stdin_fd;
	ck_assert_int_eq(lseek(c.files.stdin_fd, 0, SEEK_SET), 0);
	run_verb(&c, "stdin-close", "3");
	ck_assert_int_eq(c.result.exit_code, 3);
	fd_close(&r.files.stdin_fd);
}
END_TEST

START_TEST(cancelling)
{
	struct err err;
	RUN(r);
	int control = run_begin(&r, ARGV("sleep"));
	ck_assert_ok(sandbox_cancel(control, &err), err);
	run_finish(&r, control);
	ck_assert_cause(&r, SANDBOX_CAUSE_CANCELLED);
}
END_TEST

static int prepare(struct run *run, enum sandbox_tier tier, const char *const argv[])
{
	static const struct sandbox_config config = { .supervisor_path = SUPERVISOR };
	struct sandbox_files image = SANDBOX_FILES_NONE;
	struct sandbox_plan plan = run->plan;
	struct sandbox_event event;
	struct err err;
	int control = -1;
	plan.argv = argv;
	image.root_fd = run->files.root_fd;
	run->files.root_fd = -1;
	ck_assert_ok(sandbox_open(&config, &control, &err), err);
	ck_assert_ok(sandbox_prepare(control, tier, &plan, &image, &err), err);
	ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
	ck_assert_msg(event.kind == SANDBOX_EVENT_READY, "%s", event.result.text);
	ck_assert_ok(fd_memfd("out", &run->files.stdout_fd, &err), err);
	ck_assert_ok(fd_memfd("err", &run->files.stderr_fd, &err), err);
	return control;
}

/* Before there is a plan; prepared; between the runs of a warm one. */
START_TEST(cancelled_before_its_run)
{
	static const struct sandbox_config config = { .supervisor_path = SUPERVISOR };
	static const enum sandbox_tier tiers[] = { SANDBOX_TIER_COLD, SANDBOX_TIER_HOT,
		SANDBOX_TIER_WARM };
	struct err err;
	for (size_t i = 0; i < ARRAY_SIZE(tiers); i++) {
		RUN(r);
		int control = -1;
		if (tiers[i] == SANDBOX_TIER_COLD)
			ck_assert_ok(sandbox_open(&config, &control, &err), err);
		else
			control = prepare(&r, tiers[i], ARGV("any"));
		ck_assert_ok(sandbox_cancel(control, &err), err);
		while (!r.is_gone) {
			struct sandbox_event event;
			ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
			run_take_event(&r, &event);
		}
		ck_assert_cause(&r, SANDBOX_CAUSE_CANCELLED);
		(void)close(control);
	}
}
END_TEST

/* A socket, whose reading waits: its writer writes once and stays. */
START_TEST(input_that_waits_stops_no_clock)
{
	int pair[2];
	RUN(r);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(write(pair[1], "x\n", 2), 2);
	r.plan.limits.wall_ms = 300;
	r.files.stdin_fd = pair[0];
	run_verb(&r, "sleep");
	ck_assert_cause(&r, SANDBOX_CAUSE_WALL_TIMEOUT);
	ck_assert_uint_lt(r.result.statistics.wall_usec, 5000000);
	(void)close(pair[1]);
}
END_TEST

START_TEST(statistics_that_nobody_takes_stop_no_clock)
{
	RUN(r);
	r.plan.stat_interval_ms = 1;
	r.plan.limits.wall_ms = 800;
	int control = run_begin(&r, ARGV("sleep"));
	(void)usleep(2500000);
	run_finish(&r, control);
	ck_assert_cause(&r, SANDBOX_CAUSE_WALL_TIMEOUT);
	ck_assert_uint_lt(r.result.statistics.wall_usec, 2000000);
}
END_TEST

START_TEST(refused_forks_give_no_room)
{
	RUN(r);
	r.plan.limits.processes = 1;
	r.plan.limits.tasks = 20;
	run_verb(&r, "refused-threads", "200", "40");
	ck_assert_str_eq(buf_string(&r.out), "19\n");
}
END_TEST

START_TEST(live_statistics)
{
	RUN(r);
	r.plan.stat_interval_ms = 10;
	r.plan.limits.wall_ms = 100;
	run_verb(&r, "sleep");
	ck_assert_uint_ge(r.stat_count, 5);
	ck_assert_uint_gt(r.result.statistics.memory_peak_bytes, 0);
}
END_TEST

START_TEST(bad_plans)
{
	struct err err;
	RUN(r);
	r.plan.argv = ARGV("exit");
	r.plan.limits.memory_bytes = 4096 * 1000 + 1;
	ck_assert_fails(sandbox_plan_check(&r.plan, &err), E_INVALID, err);
	run_init(&r);
	r.plan.argv = ARGV("exit");
	ck_assert_ok(sandbox_plan_check(&r.plan, &err), err);
	r.plan.limits.wall_ms = 0;
	ck_assert_fails(sandbox_plan_check(&r.plan, &err), E_INVALID, err);
	r.plan.limits.wall_ms = 1;
	r.plan.limits.tasks = r.plan.limits.processes - 1;
	ck_assert_fails(sandbox_plan_check(&r.plan, &err), E_INVALID, err);
	r.plan.limits.tasks = r.plan.limits.processes;
	ck_assert_ok(sandbox_plan_check(&r.plan, &err), err);
	r.plan.cwd = "work";
	ck_assert_fails(sandbox_plan_check(&r.plan, &err), E_INVALID, err);
	r.plan.cwd = NULL;
	r.plan.hostname = "a b";
	ck_assert_fails(sandbox_plan_check(&r.plan, &err), E_INVALID, err);
	r.plan.hostname = NULL;
	r.plan.env = (const char *const[]){ "NOVALUE", NULL };
	ck_assert_fails(sandbox_plan_check(&r.plan, &err), E_INVALID, err);
	r.plan.env = NULL;
	r.plan.argv = (const char *const[]){ NULL };
	ck_assert_fails(sandbox_plan_check(&r.plan, &err), E_INVALID, err);
	struct sandbox_config config = { .supervisor_path = "/nonexistent" };
	int control;
	ck_assert_fails(sandbox_open(&config, &control, &err), E_NOT_FOUND, err);
}
END_TEST

START_TEST(hot_tier)
{
	struct err err;
	RUN(r);
	int control = prepare(&r, SANDBOX_TIER_HOT, ARGV("unused"));
	r.plan.argv = ARGV("echo", "hot");
	r.plan.limits.file_bytes = 1u << 20;
	ck_assert_ok(sandbox_start(control, &r.plan, &r.files, &err), err);
	run_finish(&r, control);
	ck_assert_cause(&r, SANDBOX_CAUSE_EXITED);
	ck_assert_str_eq(buf_string(&r.out), "hot\n");
	ck_assert_int_eq(r.result.tier, SANDBOX_TIER_HOT);
	ck_assert_uint_eq(r.result.enforced, layers_here());
	RUN(f); /* limits that differ in what can differ hold */
	control = prepare(&f, SANDBOX_TIER_HOT, ARGV("unused"));
	f.plan.argv = ARGV("file", "0", "1");
	f.plan.limits.file_bytes = 1u << 20;
	ck_assert_ok(sandbox_start(control, &f.plan, &f.files, &err), err);
	run_finish(&f, control);
	ck_assert_str_eq(buf_string(&f.out), "1048576\n");
	RUN(o); /* and a plan it was not prepared for is refused */
	control = prepare(&o, SANDBOX_TIER_HOT, ARGV("unused"));
	o.plan.argv = ARGV("exit");
	o.plan.limits.memory_bytes *= 2;
	ck_assert_ok(sandbox_start(control, &o.plan, &o.files, &err), err);
	run_finish(&o, control);
	ck_assert_refused(&o, "memory limit");
}
END_TEST

/* The image of these tests has no python; the protocol is the same for any program. */
START_TEST(parked_tier)
{
	struct err err;
	RUN(r);
	int control = prepare(&r, SANDBOX_TIER_PARKED, ARGV("park"));
	r.plan.argv = ARGV("any", "5");
	ck_assert_ok(sandbox_start(control, &r.plan, &r.files, &err), err);
	run_finish(&r, control);
	ck_assert_cause(&r, SANDBOX_CAUSE_EXITED);
	ck_assert_int_eq(r.result.exit_code, 5);
	ck_assert_str_eq(buf_string(&r.out), "/work\n3\n/bin/hostile\nany\n5\nLANG=C.UTF-8\n");
	ck_assert_uint_eq(r.exec_count, 1);
	ck_assert_uint_eq(r.exit_count, 1);
	ck_assert_int_eq(r.exits[0].exit_code, 5);
	ck_assert(r.result.trace_complete);
	ck_assert_ptr_nonnull(strstr(sandbox_park_python(), "marshal.loads"));
}
END_TEST

/* The interpreter that waits would take anything for its own language. */
START_TEST(a_parked_one_serves_its_program_only)
{
	struct err err;
	RUN(r);
	int control = prepare(&r, SANDBOX_TIER_PARKED, ARGV("park"));
	r.plan.argv = (const char *const[]){ "/bin/exposure", NULL };
	ck_assert_ok(sandbox_start(control, &r.plan, &r.files, &err), err);
	run_finish(&r, control);
	ck_assert_refused(&r, "another program");
}
END_TEST

/* Told, told and waited for, or untold: of the job, without the warm-up. */
START_TEST(parked_statistics_are_of_the_job)
{
	struct err err;
	for (int i = 0; i < 3; i++) {
		struct sandbox_event event = {};
		RUN(r);
		int control = prepare(&r, SANDBOX_TIER_PARKED, ARGV("park", "100"));
		r.plan.argv = ARGV("burn", i == 2 ? "leave" : "0");
		r.plan.wants_results = i == 1;
		ck_assert_ok(sandbox_start(control, &r.plan, &r.files, &err), err);
		while (event.kind != SANDBOX_EVENT_DONE)
			ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
		ck_assert_int_eq(event.result.cause, SANDBOX_CAUSE_EXITED);
		run_check_statistics(&event.result.statistics);
		/* 150 pages, and few that the program needs: with the warm-up's 250 and more */
		ck_assert_uint_lt(event.result.statistics.faults_minor, 200);
		fd_close(&event.results_fd);
		fd_close(&r.files.stdout_fd);
		fd_close(&r.files.stderr_fd);
		sandbox_close(&control);
	}
}
END_TEST

/* It told its exit and writes on, to a receiver that takes a little at a time. */
START_TEST(a_parked_one_that_told_is_over)
{
	int ends[2];
	char bytes[512];
	struct err err;
	RUN(r);
	int control = prepare(&r, SANDBOX_TIER_PARKED, ARGV("park"));
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_ge(fcntl(ends[1], F_SETPIPE_SZ, 4096), 0);
	fd_close(&r.files.stdout_fd);
	r.files.stdout_fd = ends[1];
	r.plan.argv = ARGV("22");
	ck_assert_ok(sandbox_start(control, &r.plan, &r.files, &err), err);
	fd_close(&r.files.stdout_fd);
	size_t sum = 0;
	for (ssize_t got; (got = read(ends[0], bytes, sizeof(bytes))) > 0; sum += (size_t)got)
		(void)usleep(1000);
	ck_assert_uint_lt(sum, 256 * 1024); /* what pipes hold */
	(void)close(ends[0]);
	sandbox_close(&control);
}
END_TEST

START_TEST(parking_that_fails)
{
	static const struct sandbox_config config = { .supervisor_path = SUPERVISOR };
	struct sandbox_event event;
	struct err err;
	int control = -1;
	RUN(r);
	r.plan.argv = ARGV("exit", "9");
	ck_assert_ok(sandbox_open(&config, &control, &err), err);
	ck_assert_ok(sandbox_prepare(control, SANDBOX_TIER_PARKED, &r.plan, &r.files, &err), err);
	ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
	ck_assert_int_eq(event.kind, SANDBOX_EVENT_DONE);
	ck_assert_int_eq(event.result.cause, SANDBOX_CAUSE_INTERNAL);
	ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
	ck_assert_int_eq(event.kind, SANDBOX_EVENT_GONE);
	(void)close(control);
	ck_assert_fails(sandbox_prepare(control, SANDBOX_TIER_COLD, &r.plan, &r.files, &err),
		E_INVALID, err);
}
END_TEST

START_TEST(a_parked_one_without_its_directory)
{
	struct err err;
	RUN(r);
	int control = prepare(&r, SANDBOX_TIER_PARKED, ARGV("park"));
	r.plan.argv = ARGV("5");
	r.plan.cwd = "/nope";
	ck_assert_ok(sandbox_start(control, &r.plan, &r.files, &err), err);
	run_finish(&r, control);
	ck_assert_cause(&r, SANDBOX_CAUSE_DENIED);
	ck_assert_str_eq(r.result.text, "working directory /nope: No such file or directory");
	ck_assert_int_eq(r.result.exit_code, 127);
	RUN(forbidden);
	control = prepare(&forbidden, SANDBOX_TIER_PARKED, ARGV("park"));
	forbidden.plan.argv = ARGV("5");
	forbidden.plan.cwd = "/forbidden";
	ck_assert_int_eq(mkdirat(run_image(), "forbidden", 0700), 0);
	ck_assert_ok(sandbox_start(control, &forbidden.plan, &forbidden.files, &err), err);
	run_finish(&forbidden, control);
	ck_assert_cause(&forbidden, SANDBOX_CAUSE_DENIED);
	ck_assert_int_eq(forbidden.result.exit_code, 126);
}
END_TEST

/* Nobody need wait for READY. */
START_TEST(a_plan_that_comes_early)
{
	static const enum sandbox_tier tiers[] = { SANDBOX_TIER_HOT, SANDBOX_TIER_WARM,
		SANDBOX_TIER_PARKED };
	static const struct sandbox_config config = { .supervisor_path = SUPERVISOR };
	struct err err;
	for (size_t i = 0; i < ARRAY_SIZE(tiers); i++) {
		bool is_parked = tiers[i] == SANDBOX_TIER_PARKED;
		struct sandbox_files image = SANDBOX_FILES_NONE;
		int control = -1;
		RUN(r);
		image.root_fd = r.files.root_fd;
		r.files.root_fd = -1;
		ck_assert_ok(fd_memfd("out", &r.files.stdout_fd, &err), err);
		ck_assert_ok(fd_memfd("err", &r.files.stderr_fd, &err), err);
		r.plan.argv = ARGV("park", "50");
		ck_assert_ok(sandbox_open(&config, &control, &err), err);
		ck_assert_ok(sandbox_prepare(control, tiers[i], &r.plan, &image, &err), err);
		r.plan.argv = is_parked ? ARGV("5") : ARGV("exit", "5");
		ck_assert_ok(sandbox_start(control, &r.plan, &r.files, &err), err);
		struct sandbox_event event;
		ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
		ck_assert_int_eq(event.kind, SANDBOX_EVENT_READY);
		run_finish(&r, control);
		ck_assert_cause(&r, SANDBOX_CAUSE_EXITED);
		ck_assert_int_eq(r.result.exit_code, 5);
	}
}
END_TEST

/* What a caller has is not what its sandbox gets. */
START_TEST(callers_of_another_class)
{
	struct err err;
	const struct sched_param lowest = { .sched_priority = 1 };
	(void)sched_setscheduler(0, SCHED_FIFO, &lowest); /* where it may be had */
	(void)setpriority(PRIO_PROCESS, 0, -5);
	ck_assert_int_ge(personality(ADDR_NO_RANDOMIZE), 0);
	ck_assert_ptr_ne(signal(SIGRTMAX, SIG_IGN), SIG_ERR);
	RUN(cold);
	run_verb(&cold, "is-ordinary");
	ck_assert_int_eq(cold.result.exit_code, 0);
	RUN(hot);
	int control = prepare(&hot, SANDBOX_TIER_HOT, ARGV("any"));
	hot.plan.argv = ARGV("is-ordinary");
	ck_assert_ok(sandbox_start(control, &hot.plan, &hot.files, &err), err);
	run_finish(&hot, control);
	ck_assert_cause(&hot, SANDBOX_CAUSE_EXITED);
	ck_assert_int_eq(hot.result.exit_code, 0);
}
END_TEST

/* What could not be ended is not begun. */
START_TEST(callers_that_may_not_kill)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[2];
	ck_assert_int_eq(syscall(SYS_capget, &head, sets), 0);
	sets[0].effective &= ~(1u << CAP_KILL);
	sets[0].permitted &= ~(1u << CAP_KILL);
	ck_assert_int_eq(prctl(PR_CAPBSET_DROP, CAP_KILL), 0);
	ck_assert_int_eq(syscall(SYS_capset, &head, sets), 0);
	RUN(r);
	run_verb(&r, "exit", "0");
	ck_assert_refused(&r, "CAP_KILL");
}
END_TEST

/* Events fill the socket; the run stands still, its clock too, and its result has room. */
START_TEST(a_late_caller)
{
	RUN(prompt);
	run_verb(&prompt, "exec-loop", "600");
	ck_assert_uint_eq(prompt.result.trace_lost, 0);
	RUN(r);
	int control = run_begin(&r, ARGV("exec-loop", "600"));
	(void)usleep(11500000);
	run_finish(&r, control);
	ck_assert_cause(&r, SANDBOX_CAUSE_EXITED);
	ck_assert_int_eq(r.result.exit_code, 3);
	ck_assert_uint_gt(r.result.trace_lost, 0);
	uint64_t usual_usec = prompt.result.statistics.wall_usec;
	ck_assert_uint_lt(r.result.statistics.wall_usec, usual_usec * 3 / 2 + 600000);
}
END_TEST

START_TEST(a_second_plan)
{
	struct err err;
	RUN(r);
	int control = run_begin(&r, ARGV("sleep"));
	ck_assert_ok(sandbox_start(control, &r.plan, &r.files, &err), err);
	run_finish(&r, control);
	ck_assert_refused(&r, "one sandbox_start");
}
END_TEST

/* What was not opened to be read (as nohup does) is no input; half a file is an error. */
START_TEST(inputs_that_cannot_be_read)
{
	RUN(none);
	auto_close null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	none.files.stdin_fd = null;
	run_verb(&none, "cat");
	ck_assert_cause(&none, SANDBOX_CAUSE_EXITED);
	RUN(r);
	auto_close broken = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	r.files.stdin_fd = broken;
	run_verb(&r, "cat");
	ck_assert_refused(&r, "reading input");
}
END_TEST

/* Past the page cache a file is read into whole blocks of memory only. */
START_TEST(input_without_a_cache)
{
	enum { BYTES = 100000 };
	char path[] = "./cupel-direct-XXXXXX"; /* /tmp may be a file system that cannot */
	static uint8_t bytes[BYTES];
	struct err err;
	auto_close file = mkstemp(path);
	ck_assert_ok(fd_write_all(file, (struct view){ bytes, BYTES }, &err), err);
	auto_close direct = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	ck_assert_int_eq(unlink(path), 0);
	RUN(r);
	r.files.stdin_fd = direct;
	run_verb(&r, "cat");
	ck_assert_cause(&r, SANDBOX_CAUSE_EXITED);
	ck_assert_uint_eq(r.out.size, direct < 0 ? 0 : BYTES);
}
END_TEST

/* The image's own directory, however it is called. */
START_TEST(programs_in_a_hidden_directory)
{
	RUN(r);
	run_argv(&r, (const char *const[]){ "/.tools/exposure", NULL });
	ck_assert_cause(&r, SANDBOX_CAUSE_EXITED);
}
END_TEST

/* What the giver may not do with a descriptor, we do not do for it. */
START_TEST(descriptors_lend_no_rights)
{
	char path[] = "/tmp/cupel-test-fifo-XXXXXX";
	char byte;
	RUN(r);
	ck_assert_ptr_nonnull(mkdtemp(path));
	ck_assert_int_eq(rmdir(path), 0);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	r.plan.argv = ARGV("echo", "secret");
	r.files.stdout_fd = open(path, O_PATH | O_CLOEXEC);
	ck_assert_int_eq(unlink(path), 0);
	run_receive_all(&r, run_start(&r));
	ck_assert_cause(&r, SANDBOX_CAUSE_INTERNAL);
	ck_assert_int_le(read(reader, &byte, 1), 0);
	(void)close(reader);
}
END_TEST

/* To open a master by its name makes another terminal, which nobody reads. */
START_TEST(a_terminal_of_the_callers)
{
	char text[16] = "";
	RUN(r);
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(master, 0);
	ck_assert_int_eq(unlockpt(master), 0);
	int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	r.plan.argv = ARGV("echo", "hello");
	r.files.stdout_fd = master;
	run_receive_all(&r, run_start(&r));
	ck_assert_cause(&r, SANDBOX_CAUSE_EXITED);
	ck_assert_int_eq(read(slave, text, sizeof(text) - 1), 6);
	ck_assert_str_eq(text, "hello\n");
	(void)close(slave);
}
END_TEST

/* One mount is given; what is mounted below it is no way to write either. */
START_TEST(inputs_with_mounts_below)
{
	char path[] = "/tmp/cupel-test-input-XXXXXX";
	char below[64];
	char file[80];
	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	RUN(r);
	ck_assert_ptr_nonnull(mkdtemp(path));
	ck_assert_int_eq(chmod(path, 0755), 0);
	snprintf(below, sizeof(below), "%s/below", path);
	ck_assert_int_eq(mkdir(below, 0755), 0);
	ck_assert_int_eq(mount("tmpfs", below, "tmpfs", 0, "mode=0777"), 0);
	r.files.app_fd = (int)syscall(SYS_open_tree, AT_FDCWD, path,
		1 /* OPEN_TREE_CLONE */ | O_CLOEXEC | 0x8000 /* AT_RECURSIVE */);
	ck_assert_int_ge(r.files.app_fd, 0);
	snprintf(file, sizeof(file), "%s/file", below);
	copy_file("/etc/passwd", file, 0666);
	run_verb(&r, "bend", "/app/below/file", "now");
	ck_assert_cause(&r, SANDBOX_CAUSE_EXITED);
	ck_assert_int_eq(r.result.exit_code, 1);
	(void)close(r.files.app_fd);
	ck_assert_int_eq(umount(below), 0);
	(void)rmdir(below);
	(void)rmdir(path);
}
END_TEST

/* cupel-sandbox run with these arguments: what it printed on both streams, and its exit status. */
static int command(const char *root, const char *arguments, struct buf *ret_text)
{
	char line[512];
	struct err err;
	buf_done(ret_text);
	*ret_text = (struct buf){};
	snprintf(line, sizeof(line), "exec 2>&1; exec %s run --root %s %s", SUPERVISOR, root,
		arguments);
	FILE *pipe = popen(line, "re");
	ck_assert_ptr_nonnull(pipe);
	ck_assert_ok(fd_read_all(fileno(pipe), 1u << 20, ret_text, &err), err);
	int status = pclose(pipe);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

START_TEST(tiers_of_the_command)
{
	static const struct {
		const char *arguments;
		int status;
		const char *text;
	} rows[] = {
		{ "--tier cold /bin/hostile echo a", 0, "a\n" },
		{ "--tier hot /bin/hostile echo a", 0, "a\n" },
		{ "--tier hot /bin/hostile exit 7", 7, "" },
		{ "--tier warm --json /bin/hostile exit 7", 7, "\"tier\":\"warm\"" },
		{ "--tier warm --limit wall_ms=200 /bin/hostile sleep", 125, "wall-timeout" },
		{ "--tier hot --limit wall_ms=200 /bin/hostile sleep", 125, "wall-timeout" },
		{ "--tier hot --json /bin/hostile exit 0", 0, "\"tier\":\"hot\"" },
		{ "--json /bin/hostile exit 0", 0, "\"tier\":\"cold\"" },
		{ "--tier hot /bin/nothing", 125, "denied" },
		{ "--tier hot --limit memory_bytes=1 /bin/hostile", 2, "memory" },
		{ "--tier parked /bin/hostile", 2, "expected python3 or node" },
		{ "--tier zygote node", 2, "expected python3 as the program" },
		{ "--tier zygote python3 -c 1", 125, "zygote sandbox: parking" }, /* none there */
		{ "--tier parked python3 -c 1", 125, "parked sandbox: parking" }, /* none there */
		{ "--tier tepid /bin/hostile", 2, "expected cold" },
		{ "--tier", 2, "expected a value" },
		{ "--tire hot /bin/hostile", 2, "unknown option --tire" },
		{ "-h", 2, "unknown option -h, see --help" },
		{ "--may-lack nothing /bin/hostile", 2, "got 'nothing'" },
		{ "--limit speed=1 /bin/hostile", 2, "got 'speed=1'" },
		{ "--ready 2 /bin/hostile", 2, "--ready: not for run, but for pool" },
		{ "--limit wall_ms=abc /bin/hostile", 2, "--limit wall_ms: " },
		{ "--cwd /nope /bin/hostile exit 0", 125, "working directory /nope: No such" },
		{ "--app /etc/passwd /bin/hostile exit 0", 2, "/etc/passwd" },
		{ "/bin/hostile exit 3 <&-", 3, "" },
		{ "/bin/hostile exit 3 <&- >&-", 3, "" },
		{ "--tier hot /bin/hostile exit 3 >&-", 3, "" },
	};
	char root[64];
	auto_done(buf) text = {};
	snprintf(root, sizeof(root), "/proc/%d/fd/%d", getpid(), run_image());
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int status = command(root, rows[i].arguments, &text);
		pid_t left = 1;  /* who outlived it would be ours now */
		while (left > 0) /* a sanitizer's helper was dead already */
			left = waitpid(-1, NULL, WNOHANG);
		ck_assert_msg(left < 0, "%s: somebody lives on", rows[i].arguments);
		ck_assert_msg(status == rows[i].status, "%s: %d: %s", rows[i].arguments, status,
			buf_string(&text));
		ck_assert_msg(strstr(buf_string(&text), rows[i].text), "%s: %s", rows[i].arguments,
			buf_string(&text));
	}
	if (access("/usr/bin/python3", X_OK) == 0) {
		ck_assert_int_eq(command("/",
					 "--tier parked --env A=b /usr/bin/python3 -c "
					 "'import os; print(dict(os.environ)); exit(5)'",
					 &text),
			5);
		ck_assert_str_eq(buf_string(&text), "{'A': 'b', 'LC_CTYPE': 'C.UTF-8'}\n");
		ck_assert_int_eq(
			command("/", "--tier zygote --json python3 -c 'exit(6)'", &text), 6);
		ck_assert_ptr_nonnull(strstr(buf_string(&text), "\"tier\":\"zygote\""));
	}
}
END_TEST

START_TEST(few_descriptors)
{
	static const struct {
		rlim_t soft, hard;
		int status;
		const char *text;
	} rows[] = {
		{ 40, 1024, 0, "a\n" },
		{ 384, 384, 0, "a\n" },
		{ 383, 383, 125, "at least 384 descriptors, got 383; raise 'ulimit -n'" },
	};
	char root[64];
	auto_done(buf) text = {};
	snprintf(root, sizeof(root), "/proc/%d/fd/%d", getpid(), run_image());
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct rlimit files = { rows[i].soft, rows[i].hard };
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
		for (int is_hot = 0; is_hot < 2; is_hot++) {
			const char *arguments = is_hot ? "--tier hot /bin/hostile echo a"
						       : "/bin/hostile echo a";
			ck_assert_int_eq(command(root, arguments, &text), rows[i].status);
			ck_assert_msg(strstr(buf_string(&text), rows[i].text), "%s: %s", arguments,
				buf_string(&text));
		}
	}
}
END_TEST

/* Stops, deaths and births of many at the same moment: none is overlooked, nothing waits for ever.
 */
START_TEST(no_stop_is_overlooked)
{
	enum { TREES = 4, TRY_USEC = 700000 };
	uint64_t begin = time_monotonic_usec();
	static const char *const argv[] = { "/bin/exposure", NULL };
	(void)run_image(); /* made and removed by us, not by each child */
	for (int tree = 0; tree < TREES; tree++) {
		pid_t child = fork();
		while (child == 0 && time_monotonic_usec() - begin < TRY_USEC) {
			RUN(r);
			run_argv(&r, argv);
			if (r.result.cause != SANDBOX_CAUSE_EXITED)
				_exit(1);
		}
		if (child == 0)
			_exit(0);
	}
	for (int tree = 0, status; tree < TREES; tree++) {
		ck_assert_int_gt(waitpid(-1, &status, 0), 0);
		ck_assert_int_eq(status, 0);
	}
}
END_TEST

static void run_some(void)
{
	for (int i = 0; i < 20; i++) {
		RUN(r);
		int control = run_begin(&r, ARGV("orphans", "0"));
		if (i % 2) {
			sandbox_close(&control);
		} else {
			run_finish(&r, control);
		}
	}
}

/*
 * Groups of dead supervisors are all that could stay. Other tests run beside us, and some kill
 * theirs: ours are innocent if nothing is found once.
 */
START_TEST(nothing_stays)
{
	enum { TRIES = 20, PAUSE_USEC = 250000 };
	struct err err;
	uint32_t removed = 1;
	for (int i = 0; i < TRIES && removed; i++) {
		(void)usleep(i ? PAUSE_USEC : 0);
		ck_assert_ok(sandbox_sweep(&removed, &err), err);
		run_some();
		ck_assert_ok(sandbox_sweep(&removed, &err), err);
	}
	ck_assert_uint_eq(removed, 0);
}
END_TEST

/* bin, etc, usr and .tools are there already; each name at the top costs a rule. */
START_TEST(entries_at_the_top_of_an_image)
{
	enum { MOST = 255, THERE = 4 };
	char name[16];
	for (int count = THERE + 1; count <= MOST + 1; count++) {
		RUN(r);
		snprintf(name, sizeof(name), "x%d", count);
		auto_close file = openat(r.files.root_fd, name, O_WRONLY | O_CREAT, 0644);
		ck_assert_int_ge(file, 0);
		if (count < MOST - 1)
			continue;
		run_verb(&r, "exit", "0");
		ck_assert_int_eq(r.result.cause,
			count > MOST ? SANDBOX_CAUSE_INTERNAL : SANDBOX_CAUSE_EXITED);
		if (count > MOST)
			ck_assert_ptr_nonnull(strstr(r.result.text, "more than 255 entries"));
	}
	for (int count = THERE + 1; count <= MOST + 1; count++) {
		snprintf(name, sizeof(name), "x%d", count);
		ck_assert_int_eq(unlinkat(run_image(), name, 0), 0);
	}
}
END_TEST

START_TEST(probing)
{
	struct sandbox_capability list[SANDBOX_CAPABILITIES_MAX];
	size_t count = 0;
	struct err err;
	ck_assert_ok(sandbox_probe(list, &count, &err), err);
	ck_assert_uint_ge(count, 12);
	for (size_t i = 0; i < count; i++)
		ck_assert_msg(
			list[i].is_there ||
				(!has_memfd_noexec() && str_equal(list[i].name, "memfd-noexec")) ||
				(!has_apparmor() && str_equal(list[i].name, "apparmor")),
			"%s: %s", list[i].name, list[i].detail);
}
END_TEST

UNIT_MAIN("sandbox", exit_codes, signals, output_and_environment, all_layers_are_enforced_here,
	wall_time, cpu_time, memory, disk, descriptors_of_all_tasks, output_cap, processes,
	threads_are_not_processes, bombs_end, only_the_image_is_executed, the_root_is_read_only,
	foreign_interfaces, unknown_program, trace, job_control_works_under_trace, standard_input,
	cancelling, cancelled_before_its_run, input_that_waits_stops_no_clock,
	statistics_that_nobody_takes_stop_no_clock, refused_forks_give_no_room,
	a_parked_one_that_told_is_over, a_parked_one_serves_its_program_only,
	a_parked_one_without_its_directory, a_plan_that_comes_early, callers_of_another_class,
	programs_in_a_hidden_directory, descriptors_lend_no_rights, a_terminal_of_the_callers,
	inputs_with_mounts_below, live_statistics, bad_plans, hot_tier, parked_tier,
	parked_statistics_are_of_the_job, parking_that_fails, tiers_of_the_command, few_descriptors,
	callers_that_may_not_kill, a_late_caller, a_second_plan, inputs_that_cannot_be_read,
	input_without_a_cache, no_stop_is_overlooked, nothing_stays, entries_at_the_top_of_an_image,
	probing)
