/* The directory of results: who makes it, when it comes, and what a program can do to it. */
#include <errno.h>
#include <string.h>

#include "engines/sandbox/collect.h"
#include "sandbox_run.h"

#define RUN(name)            \
	auto_done(run) name; \
	run_init(&name)

struct taken {
	struct buf bytes;
	struct collect_report report;
};

static void taken_done(struct taken *taken)
{
	buf_done(&taken->bytes);
	collect_report_done(&taken->report);
}

static int take_bytes(void *context, struct view bytes, struct err *err)
{
	struct taken *taken = context;
	return buf_append(&taken->bytes, bytes, err);
}

/* Receive until GONE; the descriptor that came with DONE, or -1. */
static int finish(struct run *run, int control)
{
	struct err err;
	struct sandbox_event event;
	int results = -1;
	do {
		ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
		if (event.kind == SANDBOX_EVENT_DONE)
			results = event.results_fd;
		else
			ck_assert_int_eq(event.results_fd, -1);
		run_take_event(run, &event);
	} while (!run->is_gone);
	(void)close(control);
	fd_close(&run->files.stdout_fd);
	fd_close(&run->files.stderr_fd);
	return results;
}

static int run_results(struct run *run, const char *how)
{
	run->plan.wants_results = true;
	return finish(run, run_begin(run, ARGV("results", how)));
}

static void collect(int fd, struct taken *taken)
{
	struct err err;
	const struct collect_limits limits = COLLECT_LIMITS_DEFAULT;
	const struct collect_sink sink = { .context = taken, .bytes = take_bytes };
	ck_assert_int_ge(fd, 0);
	ck_assert_ok(collect_tree(fd, &limits, &sink, &taken->report, &err), err);
}

START_TEST(plain_files_outlive_the_sandbox)
{
	RUN(r);
	auto_done(taken) taken = {};
	auto_close fd = run_results(&r, "plain");
	ck_assert_cause(&r, SANDBOX_CAUSE_EXITED);
	ck_assert_int_eq(r.result.exit_code, 0);
	collect(fd, &taken);
	ck_assert_uint_eq(taken.report.file_count, 2);
	ck_assert_str_eq(taken.report.files[0].path, "a.txt");
	ck_assert_str_eq(taken.report.files[1].path, "sub/b.bin");
	ck_assert_str_eq(buf_string(&taken.bytes), "hello\n\xff");
}
END_TEST

START_TEST(nothing_comes_unasked)
{
	RUN(r);
	auto_close fd = finish(&r, run_begin(&r, ARGV("results", "plain")));
	ck_assert_int_eq(fd, -1);
	ck_assert_int_eq(r.result.exit_code, 3); /* there is no such directory */
}
END_TEST

START_TEST(hostile_files)
{
	RUN(r);
	auto_done(taken) taken = {};
	auto_close fd = run_results(&r, "hostile");
	ck_assert_int_eq(r.result.exit_code, 0);
	collect(fd, &taken);
	ck_assert_uint_eq(taken.report.file_count, 3);
	ck_assert_str_eq(taken.report.files[1].path, "secret-mode");
	ck_assert_uint_eq(taken.report.why_counts[COLLECT_SYMLINK], 2);
	ck_assert_uint_eq(taken.report.why_counts[COLLECT_FIFO], 1);
	ck_assert_uint_eq(taken.report.why_counts[COLLECT_HARD_LINK], 1);
	ck_assert_uint_eq(taken.report.why_counts[COLLECT_NAME], 1);
	ck_assert_uint_eq(taken.report.skip_count, 5);
	ck_assert_uint_eq(taken.report.bytes, (1 << 20) + 2);
}
END_TEST

START_TEST(nobody_writes_any_more)
{
	RUN(r);
	auto_done(taken) taken = {};
	auto_close fd = run_results(&r, "daemon");
	ck_assert_cause(&r, SANDBOX_CAUSE_EXITED);
	for (int i = 0; i < 20; i++) {
		collect(fd, &taken);
		ck_assert_uint_eq(taken.report.why_counts[COLLECT_CHANGED], 0);
		ck_assert_uint_eq(taken.report.skip_count, 0);
		collect_report_done(&taken.report);
	}
}
END_TEST

START_TEST(a_killed_run_has_results_too)
{
	RUN(r);
	auto_done(taken) taken = {};
	r.plan.limits.wall_ms = 300;
	auto_close fd = run_results(&r, "sleep");
	ck_assert_cause(&r, SANDBOX_CAUSE_WALL_TIMEOUT);
	collect(fd, &taken);
	ck_assert_uint_eq(taken.report.file_count, 2);
}
END_TEST

START_TEST(something_else_at_its_name)
{
	static const char *const verbs[] = { "link", "file", "gone" };
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		RUN(r);
		auto_close fd = run_results(&r, verbs[i]);
		ck_assert_int_eq(r.result.exit_code, 0);
		ck_assert_int_eq(fd, -1);
	}
	RUN(r);
	auto_done(taken) taken = {};
	auto_close fd = run_results(&r, "replaced");
	collect(fd, &taken); /* another directory is as good */
	ck_assert_uint_eq(taken.report.file_count, 1);
	ck_assert_str_eq(taken.report.files[0].path, "b.bin");
}
END_TEST

/* A prepared sandbox does not know yet whether results will be wanted. */
START_TEST(prepared_sandboxes)
{
	static const struct sandbox_config config = { .supervisor_path = SUPERVISOR };
	struct err err;
	struct sandbox_event event;
	RUN(r);
	auto_done(taken) taken = {};
	int control = -1;
	struct sandbox_files base = SANDBOX_FILES_NONE;
	base.root_fd = r.files.root_fd;
	r.plan.argv = ARGV("results", "plain");
	ck_assert_ok(sandbox_open(&config, &control, &err), err);
	ck_assert_ok(sandbox_prepare(control, SANDBOX_TIER_HOT, &r.plan, &base, &err), err);
	do
		ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
	while (event.kind != SANDBOX_EVENT_READY);
	r.plan.wants_results = true;
	r.files.root_fd = -1;
	ck_assert_ok(fd_memfd("out", &r.files.stdout_fd, &err), err);
	ck_assert_ok(fd_memfd("err", &r.files.stderr_fd, &err), err);
	ck_assert_ok(sandbox_start(control, &r.plan, &r.files, &err), err);
	auto_close fd = finish(&r, control);
	ck_assert_int_eq(r.result.exit_code, 0);
	collect(fd, &taken);
	ck_assert_uint_eq(taken.report.file_count, 2);
}
END_TEST

START_TEST(closing_leaks_nothing)
{
	struct err err;
	struct sandbox_event event;
	int before = dup(0);
	(void)close(before);
	for (int i = 0; i < 3; i++) {
		RUN(r);
		r.plan.wants_results = true;
		int control = run_begin(&r, ARGV("results", "plain"));
		ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
		sandbox_close(&control);
		fd_close(&r.files.stdout_fd);
		fd_close(&r.files.stderr_fd);
	}
	int after = dup(0);
	(void)close(after);
	ck_assert_int_le(after, before + 1); /* the image's descriptor stays open */
}
END_TEST

UNIT_MAIN("sandbox_results", plain_files_outlive_the_sandbox, nothing_comes_unasked, hostile_files,
	nobody_writes_any_more, a_killed_run_has_results_too, something_else_at_its_name,
	prepared_sandboxes, closing_leaks_nothing)
