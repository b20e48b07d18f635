/*
 * The warm tier: run after run in one sandbox, nothing of one in the next, limits and causes as in
 * any other tier, and the end of it all after anything out of the ordinary.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "sandbox_run.h"

static int open_warm(struct run *r)
{
	static const struct sandbox_config config = { .supervisor_path = SUPERVISOR };
	struct sandbox_event event;
	struct err err;
	int control = -1;
	run_init(r);
	r->plan.argv = ARGV("unused");
	ck_assert_ok(sandbox_open(&config, &control, &err), err);
	ck_assert_ok(sandbox_prepare(control, SANDBOX_TIER_WARM, &r->plan, &r->files, &err), err);
	ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
	ck_assert_msg(event.kind == SANDBOX_EVENT_READY, "%s", event.result.text);
	r->files.root_fd = -1;
	return control;
}

/* One run; true when another may follow. */
static bool run_warm(struct run *r, int control, const char *const argv[])
{
	struct sandbox_event event = {};
	struct err err;
	run_done(r);
	fd_close(&r->files.stdout_fd);
	r->out = r->error = (struct buf){};
	r->exec_count = r->exit_count = 0;
	r->plan.argv = argv;
	ck_assert_ok(fd_memfd("out", &r->files.stdout_fd, &err), err);
	ck_assert_ok(sandbox_start(control, &r->plan, &r->files, &err), err);
	do {
		ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
		run_take_event(r, &event);
	} while (event.kind != SANDBOX_EVENT_READY && event.kind != SANDBOX_EVENT_GONE);
	ck_assert_int_eq(lseek(r->files.stdout_fd, 0, SEEK_SET), 0);
	ck_assert_ok(fd_read_all(r->files.stdout_fd, 64u << 20, &r->out, &err), err);
	fd_close(&r->files.stdout_fd);
	return event.kind == SANDBOX_EVENT_READY;
}

START_TEST(runs_one_after_the_other)
{
	auto_done(run) r;
	int control = open_warm(&r);
	for (int i = 0; i < 50; i++) {
		ck_assert(run_warm(&r, control, ARGV("exit", i % 2 ? "7" : "0")));
		ck_assert_cause(&r, SANDBOX_CAUSE_EXITED);
		ck_assert_int_eq(r.result.exit_code, i % 2 ? 7 : 0);
		ck_assert_int_eq(r.result.tier, SANDBOX_TIER_WARM);
		ck_assert_uint_eq(r.exec_count, 1);
		ck_assert_uint_eq(r.exit_count, 1);
		ck_assert(r.result.trace_complete);
	}
	sandbox_close(&control);
}
END_TEST

START_TEST(nothing_of_a_run_is_in_the_next)
{
	static const char *const places[] = { "/work/x", "/tmp/x", "/dev/shm/x", "/home/x",
		"/run/x" };
	auto_done(run) r;
	int control = open_warm(&r);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		ck_assert(run_warm(&r, control, ARGV("write", places[i])));
		ck_assert_int_eq(r.result.exit_code, 0);
		ck_assert(run_warm(&r, control, ARGV("stat", places[i])));
		ck_assert_int_eq(r.result.exit_code, ENOENT);
	}
	ck_assert(run_warm(&r, control, ARGV("memory", "100")));
	ck_assert_uint_gt(r.result.statistics.memory_peak_bytes, 100u << 20);
	ck_assert(run_warm(&r, control, ARGV("exit", "0")));
	if (!r.result.statistics.memory_peak_is_of_all)
		ck_assert_uint_lt(r.result.statistics.memory_peak_bytes, 50u << 20);
	ck_assert_uint_lt(r.result.statistics.cpu_usec, 1000000);
	/* Whoever is left behind dies with the run. */
	ck_assert(run_warm(&r, control, ARGV("daemon")));
	ck_assert(run_warm(&r, control, ARGV("exit", "0")));
	ck_assert_uint_eq(r.result.statistics.processes_peak, 1);
	sandbox_close(&control);
}
END_TEST

START_TEST(an_unusual_end_is_the_last)
{
	static const struct {
		const char *const argv[5];
		enum sandbox_cause cause;
	} rows[] = {
		{ { "/bin/hostile", "memory", "600" }, SANDBOX_CAUSE_MEMORY },
		{ { "/bin/hostile", "sleep" }, SANDBOX_CAUSE_WALL_TIMEOUT },
		{ { "/bin/hostile", "flood", "100000000" }, SANDBOX_CAUSE_OUTPUT },
		{ { "/bin/hostile", "raise", "11" }, SANDBOX_CAUSE_SIGNALLED },
		{ { "/bin/nothing" }, SANDBOX_CAUSE_DENIED },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err;
		auto_done(run) r;
		int control = open_warm(&r);
		ck_assert(run_warm(&r, control, ARGV("exit", "0")));
		if (rows[i].cause == SANDBOX_CAUSE_WALL_TIMEOUT)
			r.plan.limits.wall_ms = 300;
		ck_assert(!run_warm(&r, control, rows[i].argv));
		ck_assert_cause(&r, rows[i].cause);
		r.plan.argv = ARGV("exit", "0");
		ck_assert_fails(
			sandbox_start(control, &r.plan, &r.files, &err), E_UNAVAILABLE, err);
		sandbox_close(&control);
	}
}
END_TEST

START_TEST(limits_are_exact_in_every_run)
{
	auto_done(run) r;
	int control = open_warm(&r);
	for (int i = 0; i < 2; i++) {
		ck_assert(run_warm(&r, control, ARGV("fork", "9", "0"))); /* and itself: 10 */
		ck_assert_int_eq(r.result.exit_code, 0);
		ck_assert_uint_eq(r.result.statistics.processes_peak, 10);
	}
	ck_assert(!run_warm(&r, control, ARGV("fork", "10", "0")));
	ck_assert_uint_eq(r.result.statistics.forks_refused, 1);
	sandbox_close(&control);
}
END_TEST

/* Ended by its own exit, and yet: counters that stand still, a tmpfs that somebody holds. */
START_TEST(what_outlives_a_run_ends_it)
{
	auto_done(run) r;
	int control = open_warm(&r);
	ck_assert(!run_warm(&r, control, ARGV("threads", "100")));
	ck_assert_cause(&r, SANDBOX_CAUSE_EXITED);
	ck_assert_str_eq(buf_string(&r.out), "63\n");
	sandbox_close(&control);
	auto_done(run) s;
	control = open_warm(&s);
	s.plan.wants_results = true;
	ck_assert(!run_warm(&s, control, ARGV("exit", "0")));
	ck_assert_cause(&s, SANDBOX_CAUSE_EXITED);
	sandbox_close(&control);
}
END_TEST

START_TEST(refuses_what_it_was_not_prepared_for)
{
	struct err err;
	auto_done(run) r;
	auto_done(run) other;
	int control = open_warm(&r);
	r.plan.limits.memory_bytes /= 2;
	ck_assert(!run_warm(&r, control, ARGV("exit", "0")));
	ck_assert_refused(&r, "memory limit");
	sandbox_close(&control);

	run_init(&other);
	other.plan.argv = ARGV("unused");
	other.plan.trace = SANDBOX_TRACE_FILES;
	ck_assert_fails(sandbox_prepare(-1, SANDBOX_TIER_WARM, &other.plan, &other.files, &err),
		E_INVALID, err);
}
END_TEST

/* A run that sleeps, up to where it can be found by its arguments. */
static void start_tagged(
	struct run *r, int control, const char *tag, long *ret_pid, long *ret_parent)
{
	struct err err;
	r->plan.argv = ARGV("sleep", tag);
	ck_assert_ok(sandbox_start(control, &r->plan, &r->files, &err), err);
	run_await_tagged(tag, ret_pid, ret_parent);
}

START_TEST(closing_ends_it_also_in_a_run)
{
	long pid, parent;
	auto_done(run) r;
	int control = open_warm(&r);
	start_tagged(&r, control, "tag-of-warm", &pid, &parent);
	sandbox_close(&control);
	ck_assert(!run_find_tagged("tag-of-warm", &pid, &parent));
}
END_TEST

/* Removed up to a number, of all depths; and never kept. */
START_TEST(a_small_rest_is_removed)
{
	static const struct {
		const char *const argv[5];
		bool is_last;
	} rows[] = {
		{ { "/bin/hostile", "litter", "/work", "1023" }, false },
		{ { "/bin/hostile", "litter", "/dev/shm", "1024" }, false },
		{ { "/bin/hostile", "litter", "/tmp", "1025" }, true },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_done(run) r;
		int control = open_warm(&r);
		ck_assert_int_eq(run_warm(&r, control, rows[i].argv), !rows[i].is_last);
		ck_assert_cause(&r, SANDBOX_CAUSE_EXITED);
		ck_assert_int_eq(r.result.exit_code, 0);
		for (int n = 0; n < 2 && !rows[i].is_last; n++)
			ck_assert(run_warm(&r, control, rows[i].argv)); /* all names are free */
		sandbox_close(&control);
	}
}
END_TEST

/* What can be done to the directories themselves, and cannot be undone in full. */
START_TEST(a_bent_directory_ends_it)
{
	static const char *const deeds[] = { "mode", "owner", "attribute", "acl", "flags" };
	for (size_t i = 0; i < ARRAY_SIZE(deeds); i++) {
		auto_done(run) r;
		int control = open_warm(&r);
		bool is_ready = run_warm(&r, control, ARGV("bend", "/tmp", deeds[i]));
		ck_assert_cause(&r, SANDBOX_CAUSE_EXITED);
		/* 1: the kernel refused it */
		ck_assert_msg(r.result.exit_code == is_ready, "%s: exit code %d, next %d", deeds[i],
			r.result.exit_code, is_ready);
		sandbox_close(&control);
	}
	auto_done(run) r;
	int control = open_warm(&r);
	ck_assert(run_warm(&r, control, ARGV("bend", "/tmp", "time")));
	ck_assert_int_eq(r.result.exit_code, 0);
	ck_assert(run_warm(&r, control, ARGV("is-of-today", "/tmp")));
	ck_assert_int_eq(r.result.exit_code, 0);
	ck_assert(run_warm(&r, control, ARGV("change-time", "/work", "touch")));
	char chosen[64];
	snprintf(chosen, sizeof(chosen), "%s", buf_string(&r.out));
	ck_assert(run_warm(&r, control, ARGV("change-time", "/work")));
	ck_assert_str_ne(buf_string(&r.out), chosen);
	snprintf(chosen, sizeof(chosen), "%s", buf_string(&r.out));
	ck_assert(run_warm(&r, control, ARGV("exit", "0"))); /* whether it touched it or not */
	ck_assert(run_warm(&r, control, ARGV("change-time", "/work")));
	ck_assert_str_ne(buf_string(&r.out), chosen);
	sandbox_close(&control);
}
END_TEST

/* A zombie is: whose it is then may take its time. */
static bool is_dead_soon(long pid)
{
	char path[64];
	struct err err;
	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	for (int i = 0; i < 2000; i++) {
		auto_done(buf) text = {};
		if (fd_read_file(path, 1 << 16, &text, &err) < 0 ||
			strstr(buf_string(&text), ") Z "))
			return true;
		(void)usleep(1000);
	}
	return false;
}

enum { CHILDREN_MAX = 8 };

static size_t children_of(long pid, long children[static CHILDREN_MAX])
{
	char path[64];
	struct err err;
	size_t count = 0;
	auto_done(buf) text = {};
	snprintf(path, sizeof(path), "/proc/%ld/task/%ld/children", pid, pid);
	ck_assert_ok(fd_read_file(path, 1 << 16, &text, &err), err);
	for (const char *at = buf_string(&text); *at && count < CHILDREN_MAX;) {
		char *end;
		children[count++] = strtol(at, &end, 10);
		at = end + strspn(end, " ");
	}
	return count;
}

/* A bit for each; those above are one. */
static uint32_t descriptors_of(long pid)
{
	enum { OTHERS = 31 };
	char path[64];
	uint32_t bits = 0;
	struct dirent *entry;
	snprintf(path, sizeof(path), "/proc/%ld/fd", pid);
	DIR *dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			bits |= 1u << MIN(strtol(entry->d_name, NULL, 10), OTHERS);
	(void)closedir(dir);
	return bits;
}

/* It is in nobody's pid namespace but the host's, and has nothing of ours but its orders. */
START_TEST(a_spawner_lives_by_its_supervisor)
{
	struct err err;
	struct sandbox_event event;
	uint32_t removed;
	long supervisor[CHILDREN_MAX], ours[CHILDREN_MAX], payload[CHILDREN_MAX];
	auto_done(run) r;
	int control = open_warm(&r);
	ck_assert(run_warm(&r, control, ARGV("exit", "0")));
	ck_assert_uint_eq(children_of(getpid(), supervisor), 1);
	(void)usleep(100000); /* the next payload is made */
	ck_assert_uint_eq(children_of(supervisor[0], ours), 2);
	size_t of_first = children_of(ours[0], payload);
	ck_assert_uint_eq(of_first + children_of(ours[1], payload), 1);
	ck_assert_uint_eq(descriptors_of(ours[!of_first]), 0x8);
	ck_assert_uint_eq(descriptors_of(payload[0]), 0xf); /* the fourth closes at its exec */
	ck_assert_int_eq(kill((pid_t)supervisor[0], SIGKILL), 0);
	ck_assert(is_dead_soon(ours[0]) && is_dead_soon(ours[1]) && is_dead_soon(payload[0]));
	while (sandbox_receive(control, 0, &event, &err) == 0)
		;
	sandbox_close(&control);
	ck_assert_ok(sandbox_sweep(&removed, &err), err); /* its empty groups */
}
END_TEST

/* The payload that waits is there already; another cannot be made. */
START_TEST(without_a_spawner_a_run_is_the_last)
{
	struct err err;
	struct sandbox_event event;
	long pid, spawner;
	auto_done(run) r;
	int control = open_warm(&r);
	start_tagged(&r, control, "tag-of-orphan", &pid, &spawner);
	ck_assert_int_eq(kill((pid_t)spawner, SIGKILL), 0);
	ck_assert_ok(sandbox_cancel(control, &err), err);
	do
		ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
	while (event.kind != SANDBOX_EVENT_GONE);
	ck_assert(is_dead_soon(pid));
	sandbox_close(&control);
}
END_TEST

/* Its groups are empty between two runs; a sweep that cannot look must not take it for dead. */
START_TEST(a_sweep_without_descriptors_spares_it)
{
	struct err err;
	struct rlimit all, few;
	uint32_t removed;
	auto_done(run) r;
	int control = open_warm(&r);
	ck_assert(run_warm(&r, control, ARGV("exit", "0")));
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &all), 0);
	int next = dup(control);
	(void)close(next);
	few = (struct rlimit){ (rlim_t)next + 1, all.rlim_max }; /* enough to list the groups */
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	int status = sandbox_sweep(&removed, &err);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &all), 0);
	ck_assert_ok(status, err); /* it may have removed what others killed beside us */
	ck_assert(run_warm(&r, control, ARGV("exit", "0")));
	sandbox_close(&control);
}
END_TEST

UNIT_MAIN("sandbox_warm", runs_one_after_the_other, nothing_of_a_run_is_in_the_next,
	an_unusual_end_is_the_last, limits_are_exact_in_every_run, what_outlives_a_run_ends_it,
	refuses_what_it_was_not_prepared_for, closing_ends_it_also_in_a_run,
	a_sweep_without_descriptors_spares_it, a_small_rest_is_removed, a_bent_directory_ends_it,
	a_spawner_lives_by_its_supervisor, without_a_spawner_a_run_is_the_last)
