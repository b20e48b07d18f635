/* The set of files a run used: opened, executed, left behind; what hides is seen. */
#include <string.h>

#include "sandbox_run.h"

#define RUN(name)            \
	auto_done(run) name; \
	run_init(&name);     \
	name.plan.trace = SANDBOX_TRACE_FILES

enum { SEEN_MAX = 512 };

struct seen {
	struct sandbox_event rows[SEEN_MAX];
	size_t count;
};

static void finish(struct run *run, int control, struct seen *seen)
{
	struct err err;
	struct sandbox_event event;
	seen->count = 0;
	do {
		ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
		if (event.kind == SANDBOX_EVENT_FILE && seen->count < SEEN_MAX)
			seen->rows[seen->count++] = event;
		fd_close(&event.results_fd);
		run_take_event(run, &event);
	} while (!run->is_gone);
	(void)close(control);
	fd_close(&run->files.stdout_fd);
	fd_close(&run->files.stderr_fd);
}

static void run_files(struct run *run, struct seen *seen, const char *const argv[])
{
	finish(run, run_begin(run, argv), seen);
}

static const struct sandbox_event *find(const struct seen *seen, const char *path)
{
	for (size_t i = 0; i < seen->count; i++)
		if (str_equal(seen->rows[i].path, path))
			return &seen->rows[i];
	return NULL;
}

#define ck_assert_access(seen, path, expected)                                                 \
	do {                                                                                   \
		const struct sandbox_event *row_ = find(seen, path);                           \
		ck_assert_msg(row_ && row_->access == (expected), "%s: %x, expected %x", path, \
			row_ ? row_->access : 0xffffu, (unsigned)(expected));                  \
	} while (0)

START_TEST(opened_and_executed)
{
	RUN(r);
	static struct seen seen;
	run_files(&r, &seen, ARGV("cat", "/etc/passwd"));
	ck_assert_int_eq(r.result.exit_code, 0);
	ck_assert_access(&seen, "/etc/passwd", SANDBOX_ACCESS_OPENED);
	const struct sandbox_event *program = find(&seen, "/bin/hostile");
	ck_assert(program && (program->access & SANDBOX_ACCESS_EXECUTED));
	ck_assert_int_eq(r.result.trace, SANDBOX_TRACE_FILES);
	ck_assert(r.result.trace_complete);
	ck_assert_uint_eq(r.result.trace_events, seen.count + r.exec_count + r.exit_count);
	ck_assert_uint_eq(r.exec_count, 1);
}
END_TEST

START_TEST(left_behind_with_digests)
{
	/* sha256sum of "hello\n" */
	static const uint8_t hello[] = { 0x58, 0x91, 0xb5, 0xb5, 0x22, 0xd5, 0xdf, 0x08, 0x6d, 0x0f,
		0xf0, 0xb1, 0x10, 0xfb, 0xd9, 0xd2, 0x1b, 0xb4, 0xfc, 0x71, 0x63, 0xaf, 0x34, 0xd0,
		0x82, 0x86, 0xa2, 0xe8, 0x46, 0xf6, 0xbe, 0x03 };
	const uint32_t left = SANDBOX_ACCESS_LEFT | SANDBOX_ACCESS_HAS_DIGEST;
	RUN(r);
	static struct seen seen;
	r.plan.wants_results = true;
	run_files(&r, &seen, ARGV("results", "replaced"));
	ck_assert_int_eq(r.result.exit_code, 0);
	/* written under one name, left under another */
	ck_assert_access(&seen, "/work/x/a.txt", left);
	ck_assert_access(&seen, "/work/results/b.bin", left);
	ck_assert_mem_eq(find(&seen, "/work/x/a.txt")->file_sha256, hello, sizeof(hello));
	for (size_t i = 1; i < seen.count; i++)
		ck_assert_int_lt(strcmp(seen.rows[i - 1].path, seen.rows[i].path), 0);
	ck_assert(r.result.trace_complete);
	RUN(h);
	h.plan.wants_results = true;
	run_files(&h, &seen, ARGV("results", "hostile"));
	ck_assert_access(&seen, "/work/results/link", SANDBOX_ACCESS_LEFT);
	ck_assert_access(&seen, "/work/results/a.txt", left);
	ck_assert_ptr_nonnull(find(&seen, "/work/results/new\\x0aline"));
}
END_TEST

/* Names that cannot be shown hide neither themselves nor what is below them. */
START_TEST(odd_names_hide_nothing)
{
	static const char *const left[] = { "/work/\\xff/evil", "/work/x\\xe2\\x80\\x8b/evil",
		"/work/bad\\xfe", "/work/good" };
	RUN(r);
	static struct seen seen;
	run_files(&r, &seen, ARGV("hide"));
	ck_assert_int_eq(r.result.exit_code, 0);
	for (size_t i = 0; i < ARRAY_SIZE(left); i++)
		ck_assert_access(&seen, left[i], SANDBOX_ACCESS_LEFT | SANDBOX_ACCESS_HAS_DIGEST);
	ck_assert(r.result.trace_complete);
}
END_TEST

/* More bytes of names than are kept: said, and not sorted anew for each. */
START_TEST(too_many_names_are_cut)
{
	RUN(r);
	static struct seen seen;
	r.plan.limits.disk_files = 8100;
	run_files(&r, &seen, ARGV("long-names", "8000"));
	ck_assert_msg(r.result.exit_code == 0, "errno %d", r.result.exit_code);
	ck_assert(r.result.trace_truncated);
	ck_assert(!r.result.trace_complete);
}
END_TEST

/* A path rewritten by another thread while it is opened: the file really opened is named. */
START_TEST(path_flips_are_seen)
{
	RUN(r);
	static struct seen seen;
	run_files(&r, &seen, ARGV("path-flip", "/etc/passwd", "/bin/exposure"));
	ck_assert_int_eq(r.result.exit_code, 0); /* it got each of them at least once */
	ck_assert_ptr_nonnull(find(&seen, "/etc/passwd"));
	ck_assert_ptr_nonnull(find(&seen, "/bin/exposure"));
	ck_assert(r.result.trace_complete);
}
END_TEST

/* Names that come and go cost nothing: no inode is held back, no trace grows. */
START_TEST(files_that_come_and_go)
{
	RUN(r);
	static struct seen seen;
	r.plan.limits.disk_files = 64;
	run_files(&r, &seen, ARGV("names", "20000"));
	ck_assert_msg(r.result.exit_code == 0, "errno %d", r.result.exit_code);
	ck_assert(r.result.trace_complete);
	ck_assert_uint_lt(seen.count, 10);
}
END_TEST

/* Events that come faster than they are read must not stop the clock. */
START_TEST(a_flood_of_opens_meets_its_limit)
{
	RUN(r);
	static struct seen seen;
	r.plan.limits.wall_ms = 300;
	run_files(&r, &seen, ARGV("open-flood", "8"));
	ck_assert_cause(&r, SANDBOX_CAUSE_WALL_TIMEOUT);
	ck_assert_uint_lt(r.result.statistics.wall_usec, 2000000);
	ck_assert_ptr_nonnull(find(&seen, "/etc/passwd"));
	ck_assert(r.result.trace_complete);
}
END_TEST

START_TEST(other_levels_send_none)
{
	RUN(r);
	static struct seen seen;
	r.plan.trace = SANDBOX_TRACE_EXEC;
	run_files(&r, &seen, ARGV("cat", "/etc/passwd"));
	ck_assert_uint_eq(seen.count, 0);
}
END_TEST

START_TEST(more_than_is_counted_is_truncated)
{
	RUN(r);
	static struct seen seen;
	r.plan.limits.disk_files = 400; /* deeper than the walk goes */
	run_files(&r, &seen, ARGV("deep-directories"));
	ck_assert(r.result.trace_truncated);
	ck_assert(!r.result.trace_complete);
}
END_TEST

UNIT_MAIN("sandbox_files", opened_and_executed, left_behind_with_digests, odd_names_hide_nothing,
	too_many_names_are_cut, path_flips_are_seen, files_that_come_and_go,
	a_flood_of_opens_meets_its_limit, other_levels_send_none, more_than_is_counted_is_truncated)
