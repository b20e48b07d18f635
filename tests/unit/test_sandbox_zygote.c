/*
 * The zygote tier: every run a fork of one warmed python, nothing of one in the next, the zygote
 * out of reach, and the end of it all after anything out of the ordinary. The image is this
 * machine, or the directory that ZYGOTE_IMAGE names.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>

#include "engines/sandbox/pool.h"
#include "sandbox_run.h"

static int mask_fd = -1;

static const char *image(void)
{
	const char *named = getenv("ZYGOTE_IMAGE");
	return named ? named : "/";
}

static int open_zygote(struct run *r)
{
	static const struct sandbox_config config = { .supervisor_path = SUPERVISOR };
	struct sandbox_event event;
	struct err err;
	int control = -1;
	run_init(r);
	r->files.mask_fd = mask_fd;
	ck_assert_ok(fd_open(image(), O_RDONLY | O_DIRECTORY, 0, &r->files.root_fd, &err), err);
	r->plan.argv = (const char *const[]){ "/usr/bin/python3", "-c", sandbox_park_python(),
		NULL };
	ck_assert_ok(sandbox_open(&config, &control, &err), err);
	ck_assert_ok(sandbox_prepare(control, SANDBOX_TIER_ZYGOTE, &r->plan, &r->files, &err), err);
	ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
	ck_assert_msg(event.kind == SANDBOX_EVENT_READY, "%s", event.result.text);
	fd_close(&r->files.root_fd);
	r->files.mask_fd = -1;
	return control;
}

static void start(struct run *r, int control, const char *code)
{
	struct err err;
	run_done(r);
	r->out = r->error = (struct buf){};
	r->exec_count = r->exit_count = 0;
	r->plan.argv = (const char *const[]){ "python3", "-c", code, "a", "", NULL };
	ck_assert_ok(fd_memfd("out", &r->files.stdout_fd, &err), err);
	ck_assert_ok(fd_memfd("err", &r->files.stderr_fd, &err), err);
	ck_assert_ok(sandbox_start(control, &r->plan, &r->files, &err), err);
}

static bool finish(struct run *r, int control)
{
	struct sandbox_event event = {};
	struct err err;
	do {
		ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
		run_take_event(r, &event);
		fd_close(&event.results_fd);
	} while (event.kind != SANDBOX_EVENT_READY && event.kind != SANDBOX_EVENT_GONE);
	ck_assert_int_eq(lseek(r->files.stdout_fd, 0, SEEK_SET), 0);
	ck_assert_int_eq(lseek(r->files.stderr_fd, 0, SEEK_SET), 0);
	ck_assert_ok(fd_read_all(r->files.stdout_fd, 64u << 20, &r->out, &err), err);
	ck_assert_ok(fd_read_all(r->files.stderr_fd, 64u << 20, &r->error, &err), err);
	fd_close(&r->files.stdout_fd);
	fd_close(&r->files.stderr_fd);
	return event.kind == SANDBOX_EVENT_READY;
}

/* One run; true when another may follow. */
static bool run_python(struct run *r, int control, const char *code)
{
	start(r, control, code);
	return finish(r, control);
}

/* A run that exits with 0, prints this, and is not the last. */
static void check_output(struct run *r, int control, const char *code, const char *out)
{
	bool is_ready = run_python(r, control, code);
	ck_assert_cause(r, SANDBOX_CAUSE_EXITED);
	ck_assert_msg(r->result.exit_code == 0, "%s", buf_string(&r->error));
	ck_assert_str_eq(buf_string(&r->out), out);
	ck_assert_msg(is_ready, "%s", code);
}

START_TEST(runs_one_after_the_other)
{
	auto_done(run) r;
	int control = open_zygote(&r);
	for (int i = 0; i < 30; i++) {
		const char *code = i % 2 ? "import sys; print(input(), sys.argv); exit(7)"
					 : "import os; print(os.getcwd(), dict(os.environ))";
		struct err err;
		int in[2];
		ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
		r.files.stdin_fd = in[0];
		ck_assert_ok(fd_write_all(in[1], view_string("hello\n"), &err), err);
		(void)close(in[1]);
		ck_assert(run_python(&r, control, code));
		(void)close(in[0]);
		ck_assert_cause(&r, SANDBOX_CAUSE_EXITED);
		ck_assert_int_eq(r.result.exit_code, i % 2 ? 7 : 0);
		ck_assert_str_eq(buf_string(&r.out),
			i % 2 ? "hello ['-c', 'a', '']\n" : "/work {'LANG': 'C.UTF-8'}\n");
		ck_assert_int_eq(r.result.tier, SANDBOX_TIER_ZYGOTE);
		ck_assert_uint_eq(r.exec_count, 1);
		ck_assert_uint_eq(r.execs[0].pid, 1);
		ck_assert_uint_eq(r.exit_count, 1);
		ck_assert_int_eq(r.exits[0].exit_code, i % 2 ? 7 : 0);
		ck_assert_uint_eq(r.result.statistics.processes_total, 1);
		ck_assert(r.result.trace_complete);
	}
	sandbox_close(&control);
}
END_TEST

/* What a run does, and what the next one must find. */
static const struct {
	const char *deed;
	const char *look;
	const char *found;
} pairs[] = {
	{ "for d in '/work', '/tmp', '/dev/shm', '/home', '/run': open(d + '/x', 'w').write('x')",
		"import os\nprint([os.listdir(d) for d in ('/work', '/tmp', '/dev/shm', '/home', "
		"'/run')])",
		"[[], [], [], [], []]\n" },
	{ "import os, sys, builtins\nos.environ['B'] = 'b'\nos.path.x = sys.x = builtins.x = 1\n"
	  "import json\nsys.path.append('/x')\nsys.setrecursionlimit(99)\nos.fork = None",
		"import os, sys\nprint('B' in os.environ, hasattr(os.path, 'x'), hasattr(sys, "
		"'x'), "
		"'x' in dir(__builtins__), 'json' in sys.modules, '/x' in sys.path, "
		"sys.getrecursionlimit(), os.fork is None)",
		"False False False False False False 1000 False\n" },
	{ "import os, signal, resource\nos.umask(0o777)\nos.nice(19)\nos.sched_setaffinity(0, "
	  "{0})\n"
	  "[signal.signal(s, signal.SIG_IGN) for s in (10, 12, 15, 17)]\n"
	  "signal.pthread_sigmask(0, {10})\nresource.setrlimit(resource.RLIMIT_NOFILE, (50, 50))",
		"import os, signal, resource\nprint(oct(os.umask(0)), os.nice(0), "
		"len(os.sched_getaffinity(0)) == os.cpu_count() or os.cpu_count(), "
		"[int(signal.getsignal(s)) for s in (10, 12, 15, 17)], "
		"signal.pthread_sigmask(0, ()), resource.getrlimit(resource.RLIMIT_NOFILE))",
		"0o22 0 True [0, 0, 0, 0] set() (4096, 4096)\n" },
	{ "import os\nfor i in range(500): os.dup2(os.open('/work/x%d' % i, os.O_CREAT), 100 + i)",
		"import os\nprint(os.listdir('/proc/self/fd'), file=open('/dev/stdout', 'w'))",
		"['0', '1', '2', '3', '65']\n" },
	{ "import socket, os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
	  "        s = socket.socket(socket.AF_UNIX)\n        s.bind('\\0name')\n"
	  "        while True: time.sleep(1)\nelse: os.wait(); time.sleep(0.05)",
		"import socket, os\ns = socket.socket(socket.AF_UNIX)\ns.bind('\\0name')\n"
		"print([p for p in os.listdir('/proc') if p.isdigit() and int(p) != os.getpid()])",
		"[]\n" },
	/* As good as its exit code, but nobody waits for what it does then. */
	{ "import os, time\nos.write(65, b'\\0')\nif os.fork() == 0: time.sleep(99)\n"
	  "while True: open('/tmp/x', 'a').write('x')",
		"import os\nprint(os.listdir('/tmp'))", "[]\n" },
};

START_TEST(nothing_of_a_run_is_in_the_next)
{
	auto_done(run) r;
	struct err err;
	auto_close root = -1;
	int control = open_zygote(&r);
	ck_assert_ok(fd_open(image(), O_RDONLY | O_DIRECTORY, 0, &root, &err), err);
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		check_output(&r, control, pairs[i].deed, "");
		check_output(&r, control, pairs[i].look, pairs[i].found);
		ck_assert_uint_eq(r.result.statistics.processes_peak, 1);
	}
	for (int i = 0; i < 3; i++) { /* inputs of a run: given, other ones, none */
		r.files.app_fd = i < 2 ? open_tree(root, i ? "usr/lib" : "usr/bin",
						 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)
				       : -1;
		check_output(&r, control,
			"import os\nprint(os.path.exists('/app/env'), "
			"os.path.exists('/app/os-release'))",
			i == 0   ? "True False\n"
			: i == 1 ? "False True\n"
				 : "False False\n");
		fd_close(&r.files.app_fd);
	}
	check_output(&r, control, "x = bytearray(100 << 20)", "");
	ck_assert_uint_gt(r.result.statistics.memory_peak_bytes, 100u << 20);
	check_output(&r, control, "pass", "");
	if (!r.result.statistics.memory_peak_is_of_all)
		ck_assert_uint_lt(r.result.statistics.memory_peak_bytes, 50u << 20);
	ck_assert_uint_lt(r.result.statistics.cpu_usec, 1000000);
	sandbox_close(&control);
}
END_TEST

/* Neither of the zygote, nor of the run before. */
START_TEST(statistics_are_of_the_run)
{
	auto_done(run) r;
	int control = open_zygote(&r);
	check_output(&r, control, "import time\nwhile time.process_time() < 0.1: pass", "");
	check_output(&r, control,
		"import time\nx = bytearray(1 << 20)\nwhile time.process_time() < 0.05: "
		"sum(range(9999))",
		"");
	run_check_statistics(&r.result.statistics);
	sandbox_close(&control);
}
END_TEST

/* By signal, priority, limits, memory: the kernel says no, and the next run is as the first. */
START_TEST(the_zygote_is_out_of_reach)
{
	static const char deed[] =
		"import os, resource, signal\n"
		"parent = os.getppid()\n"
		"def attempt(f, *a):\n"
		"    try: f(*a); print('through', f, a)\n"
		"    except OSError: pass\n"
		"for s in range(1, 65):\n"
		"    attempt(os.kill, parent, s); os.kill(-1, s)\n"
		"    attempt(os.killpg, os.getpgid(parent), s)\n"
		"    attempt(signal.pidfd_send_signal, os.pidfd_open(parent), s)\n"
		"attempt(os.setpriority, os.PRIO_PROCESS, parent, 9)\n"
		"attempt(os.setpgid, parent, 0)\n"
		"attempt(os.sched_setaffinity, parent, {0})\n"
		"attempt(os.sched_setscheduler, parent, os.SCHED_IDLE, os.sched_param(0))\n"
		"attempt(resource.prlimit, parent, resource.RLIMIT_NOFILE, (9, 9))\n"
		"for name in 'mem', 'maps', 'fd', 'oom_score_adj', 'environ', 'cwd', 'status':\n"
		"    attempt(os.open, '/proc/%d/%s' % (parent, name), os.O_RDONLY)\n"
		"for uid in 0, 65534:\n"
		"    attempt(os.setuid, uid); attempt(os.setgid, uid); attempt(os.setresuid, uid, "
		"uid, "
		"uid)\n"
		"attempt(os.read, 64, 1)\n";
	static const char look[] =
		"import os, re\nstatus = open('/proc/self/status').read()\n"
		"print(os.getresuid(), os.getresgid(), os.getgroups(), os.getsid(0) == "
		"os.getpid(), "
		"[re.search(k + r':\\s*(\\w+)', status)[1] for k in ('CapInh', 'CapPrm', 'CapEff', "
		"'CapAmb', 'NoNewPrivs', 'Seccomp_filters')])";
	auto_done(run) r;
	int control = open_zygote(&r);
	check_output(&r, control, deed, "");
	check_output(&r, control, look,
		"(1000, 1000, 1000) (1000, 1000, 1000) [] True ['0000000000000000', "
		"'0000000000000000', '0000000000000000', '0000000000000000', '1', '2']\n");
	check_output(&r, control,
		"import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
		/* unshare(NEWUSER, NEWNS), setns, mount, ptrace, landlock, seccomp, fsopen */
		"for n in 272, 308, 165, 101, 444, 317, 430:\n"
		"    print(libc.syscall(n, 0x10020000 if n == 272 else 0, 0, 0, 0), end=' ')\n",
		"-1 -1 -1 -1 -1 -1 -1 ");
	sandbox_close(&control);
}
END_TEST

START_TEST(an_unusual_end_is_the_last)
{
	static const struct {
		const char *code;
		enum sandbox_cause cause;
	} rows[] = {
		{ "x = bytearray(600 << 20)", SANDBOX_CAUSE_MEMORY },
		{ "import time; time.sleep(99)", SANDBOX_CAUSE_WALL_TIMEOUT },
		{ "while True: pass", SANDBOX_CAUSE_CPU_TIMEOUT },
		{ "while True: print('x' * 9999)", SANDBOX_CAUSE_OUTPUT },
		{ "import os; os.kill(os.getpid(), 11)", SANDBOX_CAUSE_SIGNALLED },
		{ "import ctypes; ctypes.string_at(1)", SANDBOX_CAUSE_SIGNALLED },
		{ "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
			SANDBOX_CAUSE_PROCESSES },
		{ "import os, signal\n"
		  "for i in range(9):\n    if os.fork() == 0: break\n"
		  "for s in (1, 2, 15, 17): signal.signal(s, signal.SIG_IGN)\n"
		  "while True: signal.pause()",
			SANDBOX_CAUSE_WALL_TIMEOUT },
		{ "f = open('/work/x', 'wb')\nwhile True: f.write(bytes(1 << 20))",
			SANDBOX_CAUSE_DISK }, /* file limit, and an exception that tells so */
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err;
		auto_done(run) r;
		int control = open_zygote(&r);
		check_output(&r, control, "print(1)", "1\n");
		if (rows[i].cause == SANDBOX_CAUSE_WALL_TIMEOUT)
			r.plan.limits.wall_ms = 500;
		if (rows[i].cause == SANDBOX_CAUSE_CPU_TIMEOUT)
			r.plan.limits.cpu_ms = 200;
		bool is_ready = run_python(&r, control, rows[i].code);
		ck_assert_msg(
			r.result.cause == rows[i].cause, "%s: %s", rows[i].code, r.result.text);
		ck_assert_msg(
			is_ready == (rows[i].cause == SANDBOX_CAUSE_EXITED), "%s", rows[i].code);
		r.plan.argv = ARGV("unused");
		if (!is_ready)
			ck_assert_fails(sandbox_start(control, &r.plan, &r.files, &err),
				E_UNAVAILABLE, err);
		sandbox_close(&control);
	}
}
END_TEST

static const char fork_some[] = "import os, sys, time\nr, w = os.pipe()\n"
				"for i in range(%d):\n    if os.fork() == 0:\n"
				"        os.close(w); os.read(r, 1); os._exit(0)\n"
				"os.close(w)\n";

/* The zygote counts neither as a process nor as a task. */
START_TEST(limits_are_exact_in_every_run)
{
	static const char threads[] = "import threading\ne = threading.Event()\nn = 1\n"
				      "try:\n    for i in range(%d):\n"
				      "        threading.Thread(target=e.wait).start(); n += 1\n"
				      "except RuntimeError: pass\ne.set()\nprint(n)\n";
	char code[512];
	auto_done(run) r;
	int control = open_zygote(&r);
	for (int i = 0; i < 2; i++) {
		snprintf(code, sizeof(code), fork_some, 9); /* and itself: 10 */
		check_output(&r, control, code, "");
		ck_assert_uint_eq(r.result.statistics.processes_peak, 10);
		snprintf(code, sizeof(code), threads, 63);
		check_output(&r, control, code, "64\n");
	}
	snprintf(code, sizeof(code), fork_some, 10);
	ck_assert(!run_python(&r, control, code));
	ck_assert_uint_eq(r.result.statistics.forks_refused, 1);
	sandbox_close(&control);

	auto_done(run) s;
	control = open_zygote(&s);
	snprintf(code, sizeof(code), threads, 64);
	ck_assert(!run_python(&s, control, code)); /* it coped, but the counter stands still */
	ck_assert_cause(&s, SANDBOX_CAUSE_EXITED);
	ck_assert_str_eq(buf_string(&s.out), "64\n");
	sandbox_close(&control);
}
END_TEST

START_TEST(results_and_other_plans_end_it)
{
	struct err err;
	auto_done(run) r;
	int control = open_zygote(&r);
	r.plan.limits.file_bytes = 1 << 20;
	check_output(&r, control,
		"import resource; print(resource.getrlimit(resource.RLIMIT_FSIZE))",
		"(1048576, 1048576)\n");
	r.plan.wants_results = true;
	ck_assert(!run_python(&r, control, "open('/work/results/x', 'w').write('x')"));
	ck_assert_cause(&r, SANDBOX_CAUSE_EXITED);
	ck_assert_int_eq(r.result.exit_code, 0);
	sandbox_close(&control);

	for (int i = 0; i < 2; i++) {
		auto_done(run) s;
		control = open_zygote(&s);
		uint64_t *limit = i ? &s.plan.limits.file_bytes : &s.plan.limits.memory_bytes;
		*limit = 2 * (i ? s.plan.limits.disk_bytes : *limit);
		ck_assert(!run_python(&s, control, "pass"));
		ck_assert_cause(&s, SANDBOX_CAUSE_INTERNAL);
		ck_assert_ptr_nonnull(strstr(s.result.text, i ? "for files of" : "memory limit"));
		sandbox_close(&control);
	}
	run_done(&r);
	run_init(&r);
	r.plan.argv = ARGV("unused");
	r.plan.trace = SANDBOX_TRACE_FILES;
	ck_assert_fails(
		sandbox_prepare(-1, SANDBOX_TIER_ZYGOTE, &r.plan, &r.files, &err), E_INVALID, err);
	r.plan.trace = SANDBOX_TRACE_EXEC;
	ck_assert_fails(sandbox_pool_keep(-1, "x", SANDBOX_TIER_ZYGOTE, 1, &r.plan, &r.files, &err),
		E_INVALID, err);
}
END_TEST

/* Of the children of pid the youngest. */
static pid_t last_child(pid_t pid)
{
	char path[64];
	char text[256] = "";
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	FILE *file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	ck_assert_ptr_nonnull(fgets(text, sizeof(text), file));
	fclose(file);
	text[strlen(text) - 1] = 0; /* the blank behind the last */
	const char *blank = strrchr(text, ' ');
	return atoi(blank ? blank + 1 : text);
}

/* The probes laid over the machine's image, executed by a run: no more come through than cold. */
START_TEST(exposure_is_that_of_others)
{
	static const char *const argv[] = { "/bin/exposure", NULL };
	char name[64];
	auto_done(run) cold, r;
	run_init(&cold);
	run_argv(&cold, argv);
	int context = fsopen("tmpfs", FSOPEN_CLOEXEC);
	ck_assert_int_eq(fsconfig(context, FSCONFIG_SET_STRING, "mode", "0755", 0), 0);
	ck_assert_int_eq(fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0), 0);
	mask_fd = fsmount(context, FSMOUNT_CLOEXEC, 0);
	(void)close(context);
	ck_assert_int_eq(mkdirat(mask_fd, "usr", 0755) | mkdirat(mask_fd, "usr/bin", 0755), 0);
	snprintf(name, sizeof(name), "/proc/self/fd/%d/usr/bin/exposure", mask_fd);
	copy_file(EXPOSURE, name, 0755);
	int control = open_zygote(&r);
	check_output(&r, control, "import os; os.execv('/usr/bin/exposure', ['exposure'])",
		buf_string(&cold.out));
	ck_assert_uint_eq(r.exec_count, 2);
	sandbox_close(&control);
	fd_close(&mask_fd);
}
END_TEST

START_TEST(who_kills_the_zygote_ends_it)
{
	auto_done(run) r;
	int control = open_zygote(&r);
	check_output(&r, control, "pass", "");
	pid_t supervisor = last_child(getpid()); /* whose first child is PID 1 */
	ck_assert_int_eq(kill(last_child(supervisor), SIGKILL), 0);
	ck_assert(!run_python(&r, control, "pass"));
	if (r.result.cause != SANDBOX_CAUSE_EXITED) /* its child had been forked before */
		ck_assert_cause(&r, SANDBOX_CAUSE_INTERNAL);
	sandbox_close(&control);

	auto_done(run) s;
	struct err err;
	struct sandbox_event event = {};
	control = open_zygote(&s);
	start(&s, control, "import time; time.sleep(1); exit(3)"); /* it may finish */
	do
		ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
	while (event.kind != SANDBOX_EVENT_STARTED);
	ck_assert_int_eq(kill(last_child(last_child(getpid())), SIGKILL), 0);
	ck_assert(!finish(&s, control));
	ck_assert_cause(&s, SANDBOX_CAUSE_EXITED);
	sandbox_close(&control);
}
END_TEST

START_TEST(cancelled_and_closed)
{
	struct err err;
	auto_done(run) r;
	int control = open_zygote(&r);
	start(&r, control, "import time; time.sleep(99)");
	ck_assert_ok(sandbox_cancel(control, &err), err);
	ck_assert(!finish(&r, control));
	ck_assert_cause(&r, SANDBOX_CAUSE_CANCELLED);
	sandbox_close(&control);

	auto_done(run) s;
	control = open_zygote(&s);
	start(&s, control, "import time; time.sleep(99)");
	pid_t zygote = last_child(last_child(getpid()));
	sandbox_close(&control);
	ck_assert_int_eq(kill(zygote, 0), -1);
	fd_close(&s.files.stdout_fd);
	fd_close(&s.files.stderr_fd);
}
END_TEST

UNIT_MAIN("sandbox_zygote", runs_one_after_the_other, nothing_of_a_run_is_in_the_next,
	statistics_are_of_the_run, the_zygote_is_out_of_reach, an_unusual_end_is_the_last,
	limits_are_exact_in_every_run, results_and_other_plans_end_it, exposure_is_that_of_others,
	who_kills_the_zygote_ends_it, cancelled_and_closed)
