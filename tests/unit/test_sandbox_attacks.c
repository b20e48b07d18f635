/*
 * The rest of the attack list (docs/sandbox-comparison.md): one row or test for each attack that no
 * other file tries. Runs in the cold, hot, warm and zygote tier.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "sandbox_input.h"
#include "sandbox_run.h"

#define RUN(name)            \
	auto_done(run) name; \
	run_init(&name)

enum { MIB = 1 << 20 };

/* What a verb is expected to end with; out: NULL when it does not matter. */
struct attack {
	const char *words[5];
	enum sandbox_cause cause;
	int exit_code;
	const char *out;
};

static void try_attack(struct run *r, const struct attack *attack)
{
	const char *argv[RUN_ARGS_MAX] = { "/bin/hostile" };
	for (size_t i = 0; i < ARRAY_SIZE(attack->words) && attack->words[i]; i++)
		argv[i + 1] = attack->words[i];
	run_argv(r, argv);
	ck_assert_msg(r->result.cause == attack->cause && r->result.exit_code == attack->exit_code,
		"%s: %s, code %d (%s)", argv[1], sandbox_cause_name(r->result.cause),
		r->result.exit_code, r->result.text);
	if (attack->out)
		ck_assert_str_eq(buf_string(&r->out), attack->out);
}

static void try_all(const struct attack *attacks, size_t count, bool may_execute)
{
	for (size_t i = 0; i < count; i++) {
		RUN(r);
		r.plan.limits.memory_bytes = 32 * MIB;
		r.plan.limits.disk_bytes = 16 * MIB;
		r.plan.limits.wall_ms = str_equal(attacks[i].words[0], "vfork-hold") ? 200 : 20000;
		r.plan.allow_exec_in_work = may_execute;
		try_attack(&r, &attacks[i]);
	}
}

START_TEST(memory_in_five_processes)
{
	static const struct attack attacks[] = {
		{ { "memory-many", "5", "16" }, SANDBOX_CAUSE_MEMORY, -1, NULL },
	};
	try_all(attacks, ARRAY_SIZE(attacks), false);
}
END_TEST

START_TEST(hoarding)
{
	static const struct attack attacks[] = {
		/* Gone with their process: the disk is no longer full when its end is judged. */
		{ { "unlinked" }, SANDBOX_CAUSE_EXITED, ENOSPC, "16\n" },
		{ { "mlock" }, SANDBOX_CAUSE_EXITED, 0, NULL },
	};
	try_all(attacks, ARRAY_SIZE(attacks), false);
	RUN(e); /* memory of the kernel, too; a small machine has fewer watches for a user than fit
		 */
	e.plan.limits.memory_bytes = 32 * MIB;
	run_verb(&e, "epoll");
	ck_assert(e.result.cause == SANDBOX_CAUSE_MEMORY || e.result.exit_code == EMFILE);
	RUN(r); /* attributes need not be counted, nor need filters of sockets */
	run_verb(&r, "xattrs");
	ck_assert_int_eq(r.result.exit_code, ENOTSUP);
	RUN(f);
	run_verb(&f, "socket-filter");
	ck_assert_int_eq(f.result.exit_code, EPERM);
}
END_TEST

START_TEST(a_child_that_holds_its_vfork)
{
	static const struct attack attacks[] = {
		{ { "vfork-hold" }, SANDBOX_CAUSE_WALL_TIMEOUT, -1, NULL },
	};
	try_all(attacks, ARRAY_SIZE(attacks), false);
}
END_TEST

/* SIGKILL between a birth and its announcement: nobody is counted for ever, nobody stays stopped.
 */
START_TEST(deaths_overtake_births)
{
	static const char *const verbs[] = { "kill-births", "orphan-births" };
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		RUN(r);
		r.plan.limits.processes = 3;
		r.plan.limits.wall_ms = 50000; /* an emulated processor needs it */
		run_verb(&r, verbs[i], i ? "100" : "1000");
		ck_assert_msg(r.result.cause == SANDBOX_CAUSE_EXITED && r.result.exit_code == 0,
			"%s: %s after %u processes", verbs[i], r.result.text,
			r.result.statistics.processes_total);
	}
}
END_TEST

/*
 * And of an exec by SIGKILL: it never ran, and what is told of others is whole. The first one or
 * two are of who does it.
 */
START_TEST(deaths_overtake_execs)
{
	RUN(r);
	run_verb(&r, "kill-execs", "300");
	ck_assert_str_eq(r.result.text, "exited with 0");
	ck_assert(r.result.trace_complete);
	ck_assert_uint_eq(r.result.statistics.processes_total, 301);
	ck_assert_uint_gt(r.exec_count, 3);
	for (size_t i = 3; i < r.exec_count; i++) {
		ck_assert_str_eq(r.execs[i].path, "/bin/hostile");
		ck_assert_mem_eq(r.execs[i].argv_sha256, r.execs[2].argv_sha256,
			sizeof(r.execs[i].argv_sha256));
	}
}
END_TEST

/* The end of the child that never was is told within the fork that made it. */
START_TEST(refused_forks_disturb_nobody)
{
	RUN(r);
	r.plan.limits.processes = 1;
	run_verb(&r, "refused-forks", "90");
	ck_assert_int_eq(r.result.exit_code, 0);
	ck_assert_uint_eq(r.result.statistics.forks_refused, 90);
	ck_assert_uint_eq(r.result.statistics.processes_total, 1);
}
END_TEST

/* Of a process whose threads make threads: these are not processes. */
START_TEST(deaths_overtake_threads)
{
	RUN(r);
	r.plan.limits.processes = 2;
	run_verb(&r, "kill-threads", "300");
	ck_assert_str_eq(r.result.text, "exited with 0");
	ck_assert_uint_eq(
		r.result.statistics.forks_refused, 0); /* threads may be, there are many */
	ck_assert_uint_eq(r.result.statistics.processes_total, 301);
	ck_assert_uint_eq(r.result.statistics.processes_peak, 2);
}
END_TEST

START_TEST(strange_executions)
{
	static const struct attack refused[] = {
		{ { "exec-deleted" }, SANDBOX_CAUSE_EXITED, EACCES, NULL },
		{ { "shebang", "100" }, SANDBOX_CAUSE_EXITED, EACCES, NULL },
		{ { "arguments", "1", "131071" }, SANDBOX_CAUSE_EXITED, 0, NULL },
		{ { "arguments", "1", "131072" }, SANDBOX_CAUSE_EXITED, E2BIG, NULL },
		{ { "arguments", "12", "131071" }, SANDBOX_CAUSE_EXITED, 0, NULL },
		{ { "arguments", "80", "131071" }, SANDBOX_CAUSE_EXITED, E2BIG, NULL },
	};
	static const struct attack allowed[] = {
		{ { "exec-deleted" }, SANDBOX_CAUSE_EXITED, 42, NULL },
		{ { "shebang", "100000" }, SANDBOX_CAUSE_EXITED, 64, NULL },
	};
	try_all(refused, ARRAY_SIZE(refused), false);
	try_all(allowed, ARRAY_SIZE(allowed), true);
}
END_TEST

START_TEST(what_is_in_reach)
{
	bool has_parent = run_is_tier("zygote");
	const struct attack attacks[] = {
		{ { "list-fds" }, SANDBOX_CAUSE_EXITED, 0, "0 1 2 \n" },
		{ { "list", "/dev" }, SANDBOX_CAUSE_EXITED, 0,
			"fd full null random shm stderr stdin stdout urandom zero \n" },
		{ { "write", "/dev/stdout" }, SANDBOX_CAUSE_EXITED, 0, "x" },
		{ { "reopen" }, SANDBOX_CAUSE_EXITED, 0, NULL },
		{ { "signal-parent" }, SANDBOX_CAUSE_EXITED, has_parent, NULL },
		{ { "lease", "/etc/passwd" }, SANDBOX_CAUSE_EXITED, 0, NULL },
		{ { "page-cache", "/etc/passwd" }, SANDBOX_CAUSE_EXITED, 0, NULL },
		{ { "stat", "/proc/stat" }, SANDBOX_CAUSE_EXITED, ENOENT, NULL },
		{ { "stat", "/proc/loadavg" }, SANDBOX_CAUSE_EXITED, ENOENT, NULL },
		{ { "stat", "/proc/sys/user/max_user_namespaces" }, SANDBOX_CAUSE_EXITED, ENOENT,
			NULL },
	};
	try_all(attacks, ARRAY_SIZE(attacks), false);
}
END_TEST

/* Landlock's: nobody writes memory through /proc, so arguments in the trace are not forged. */
START_TEST(memory_of_others)
{
	RUN(r);
	run_verb(&r, "sibling-memory");
	if (r.result.enforced & SANDBOX_LAYER_BIT(SANDBOX_LAYER_LANDLOCK))
		ck_assert_int_eq(r.result.exit_code, 0);
}
END_TEST

static void make_file(int dir, const char *name, const char *from, mode_t mode)
{
	struct err err;
	auto_done(buf) bytes = {};
	ck_assert_ok(fd_read_file(from, 64u << 20, &bytes, &err), err);
	auto_close fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	ck_assert_ok(fd_write_all(fd, buf_view(&bytes), &err), err);
	ck_assert_int_eq(fchmod(fd, mode), 0);
}

START_TEST(setuid_programs_give_nothing)
{
	static const char *const argv[] = { "/bin/setuid", "ids", NULL };
	make_file(run_image(), "bin/setuid", HOSTILE, 06755);
	RUN(r);
	run_argv(&r, argv);
	ck_assert_int_eq(unlinkat(run_image(), "bin/setuid", 0), 0);
	ck_assert_str_eq(
		buf_string(&r.out), run_is_tier("zygote") ? "1000 1000 3 2\n" : "1000 1000 2 0\n");
}
END_TEST

/* An image that has a link to the host where something of ours is mounted. */
START_TEST(links_at_every_mount_point)
{
	static const char *const points[] = { "proc", "app", "data", "work", "tmp", "home", "run",
		"dev" };
	char image_path[] = "/tmp/cupel-links-XXXXXX";
	char target[] = "/tmp/cupel-target-XXXXXX";
	struct err err;
	auto_close image = -1;
	ck_assert_ptr_nonnull(mkdtemp(image_path));
	ck_assert_ptr_nonnull(mkdtemp(target));
	ck_assert_int_eq(chmod(target, 0777), 0);
	ck_assert_int_eq(chmod(image_path, 0755), 0);
	ck_assert_ok(fd_open(image_path, O_RDONLY | O_DIRECTORY, 0, &image, &err), err);
	ck_assert_int_eq(mkdirat(image, "bin", 0755), 0);
	make_file(image, "bin/hostile", HOSTILE, 0755);
	for (size_t i = 0; i < ARRAY_SIZE(points); i++)
		ck_assert_int_eq(symlinkat(target, image, points[i]), 0);
	static const char *const written[] = { "/work/x", "/tmp/x", "/home/x", "/run/x",
		"/dev/shm/x", "/dev/null" };
	for (size_t i = 0; i < ARRAY_SIZE(written); i++) {
		RUN(r);
		r.files.root_fd = image;
		run_verb(&r, "write", written[i]);
		ck_assert_msg(r.result.exit_code == 0, "%s: %s", written[i], r.result.text);
	}
	ck_assert_int_eq(rmdir(target), 0); /* nothing was put there */
	for (size_t i = 0; i < ARRAY_SIZE(points); i++)
		(void)unlinkat(image, points[i], 0);
	(void)unlinkat(image, "bin/hostile", 0);
	(void)unlinkat(image, "bin", AT_REMOVEDIR);
	(void)rmdir(image_path);
}
END_TEST

START_TEST(abstract_names_are_not_shared)
{
	struct err err;
	RUN(holder);
	int control = run_begin(&holder, ARGV("abstract", "30"));
	for (int i = 0; i < 4000 && lseek(holder.files.stdout_fd, 0, SEEK_END) == 0; i++)
		(void)usleep(5000);
	ck_assert_int_gt(lseek(holder.files.stdout_fd, 0, SEEK_END), 0);
	RUN(other);
	run_verb(&other, "abstract");
	ck_assert_str_eq(buf_string(&other.out), "bound\n");
	ck_assert_int_eq(other.result.exit_code, 0);
	ck_assert_ok(sandbox_cancel(control, &err), err);
	run_finish(&holder, control);
}
END_TEST

/* And what was made for the run alone is mounted as it is. */
START_TEST(inputs_lead_to_nobody)
{
	static const struct attack both[] = {
		{ { "meet", "/app" }, SANDBOX_CAUSE_EXITED, 0, "111 0 0\n" },
		{ { "meet", "/data" }, SANDBOX_CAUSE_EXITED, 0, "111 0 0\n" },
		{ { "write", "/data/file" }, SANDBOX_CAUSE_EXITED, EROFS, NULL },
		{ { "cat", "/app/file" }, SANDBOX_CAUSE_EXITED, 0, "" },
	};
	static const struct attack as_it_is = { { "meet", "/app" }, SANDBOX_CAUSE_EXITED, 0,
		"0 1 11\n" };
	char path[] = "/tmp/cupel-test-input-XXXXXX";
	int fds[INPUT_ENTRIES];
	make_input(path, fds);
	for (size_t i = 0; i < ARRAY_SIZE(both) + 1; i++) {
		RUN(r);
		auto_close app = r.files.app_fd = clone_of(path);
		auto_close data = r.files.data_fd = clone_of(path);
		r.plan.private_inputs = i == ARRAY_SIZE(both);
		try_attack(&r, r.plan.private_inputs ? &as_it_is : &both[i]);
	}
	remove_input(path, fds);
}
END_TEST

/* Two overlays already: a third is one too many for the kernel. */
START_TEST(inputs_that_cannot_be_covered_are_refused)
{
	static const struct attack fits = { { "cat", "/app/none" }, SANDBOX_CAUSE_EXITED, ENOENT };
	static const char *const layers[] = { "lowerdir=a:b", "lowerdir=a:c" };
	char path[] = "/tmp/cupel-test-input-XXXXXX";
	ck_assert_ptr_nonnull(mkdtemp(path));
	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_int_eq(mount("test", path, "tmpfs", 0, NULL), 0);
	ck_assert(!chdir(path) && !mkdir("a", 0755) && !mkdir("b", 0755) && !mkdir("c", 0755));
	for (size_t i = 0; i < ARRAY_SIZE(layers); i++) {
		RUN(r);
		ck_assert_int_eq(mount("test", "a", "overlay", 0, layers[i]), 0);
		auto_close app = r.files.app_fd = clone_of("a");
		if (i == 0) {
			try_attack(&r, &fits);
			continue;
		}
		run_verb(&r, "exit", "0");
		ck_assert_refused(&r, "copy the directory");
	}
	ck_assert(!chdir("/") && !umount2(path, MNT_DETACH) && !rmdir(path));
}
END_TEST

static volatile sig_atomic_t foreign_handlers;
static pid_t test_pid;

static void count_foreign(int signal)
{
	(void)signal;
	foreign_handlers += (pid_t)syscall(SYS_getpid) != test_pid;
}

/* A supervisor is born on our memory: a signal to our group must not run our handler there. */
START_TEST(handlers_stay_with_their_process)
{
	static const struct sandbox_config config = { .supervisor_path = SUPERVISOR_PATH };
	struct err err;
	test_pid = getpid();
	ck_assert_int_eq(setpgid(0, 0), 0);
	ck_assert_ptr_ne(signal(SIGUSR1, SIG_IGN), SIG_ERR);
	pid_t storm = fork();
	while (storm == 0)
		(void)kill(0, SIGUSR1);
	ck_assert_ptr_ne(signal(SIGUSR1, count_foreign), SIG_ERR);
	for (int i = 0; i < 200 && !foreign_handlers; i++) {
		int control;
		if (sandbox_open(&config, &control, &err) == 0)
			sandbox_close(&control);
	}
	ck_assert_int_eq(kill(storm, SIGKILL), 0);
	ck_assert_int_eq(foreign_handlers, 0);
}
END_TEST

static pid_t only_child(void)
{
	struct err err;
	auto_done(buf) text = {};
	ck_assert_ok(fd_read_file("/proc/thread-self/children", 4096, &text, &err), err);
	return (pid_t)strtol(buf_string(&text), NULL, 10);
}

/* Until nobody is left of those whom the dead supervisor had made: they are ours to reap now. */
static void reap_orphans(int pid)
{
	int looks = 0;
	while (waitpid(-1, NULL, WNOHANG) >= 0 || errno != ECHILD) {
		ck_assert_msg(looks++ < 2000, "somebody lives on after supervisor %d", pid);
		(void)usleep(1000);
	}
}

START_TEST(a_supervisor_killed_while_it_builds_leaves_nothing_alive)
{
	static const struct sandbox_config config = { .supervisor_path = SUPERVISOR_PATH };
	struct err err;
	RUN(r);
	r.plan.argv = ARGV("/bin/hostile", "exit", "0");
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	for (int i = 0; i < 150; i++) {
		int control;
		ck_assert_ok(sandbox_open(&config, &control, &err), err);
		pid_t supervisor = only_child();
		if (run_is_tier("warm"))
			ck_assert_ok(sandbox_prepare(
					     control, SANDBOX_TIER_WARM, &r.plan, &r.files, &err),
				err);
		else
			ck_assert_ok(sandbox_start(control, &r.plan, &r.files, &err), err);
		(void)usleep((useconds_t)(i * 10));
		ck_assert_int_eq(kill(supervisor, SIGKILL), 0);
		(void)close(control);
		reap_orphans(supervisor);
	}
	uint32_t removed;
	ck_assert_ok(sandbox_sweep(&removed, &err), err);
}
END_TEST

START_TEST(who_waits_hears_sigterm)
{
	static const struct sandbox_config config = { .supervisor_path = SUPERVISOR_PATH };
	struct sandbox_event event = {};
	struct err err;
	int control = -1;
	RUN(r);
	r.plan.argv = ARGV("unused");
	ck_assert_ok(sandbox_open(&config, &control, &err), err);
	ck_assert_ok(sandbox_prepare(control, SANDBOX_TIER_HOT, &r.plan, &r.files, &err), err);
	ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
	ck_assert_int_eq(event.kind, SANDBOX_EVENT_READY);
	ck_assert_int_eq(kill(only_child(), SIGTERM), 0);
	while (event.kind != SANDBOX_EVENT_GONE)
		ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
	(void)close(control);
}
END_TEST

UNIT_MAIN("sandbox_attacks", memory_in_five_processes, hoarding, a_child_that_holds_its_vfork,
	deaths_overtake_births, deaths_overtake_execs, refused_forks_disturb_nobody,
	deaths_overtake_threads, strange_executions, what_is_in_reach, memory_of_others,
	setuid_programs_give_nothing, links_at_every_mount_point, abstract_names_are_not_shared,
	inputs_lead_to_nobody, inputs_that_cannot_be_covered_are_refused,
	handlers_stay_with_their_process, who_waits_hears_sigterm,
	a_supervisor_killed_while_it_builds_leaves_nothing_alive)
