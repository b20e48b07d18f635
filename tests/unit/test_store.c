/* engines/store: round trips, limits, paging, killed processes, full disks, damaged files. */
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engines/store/store.h"
#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "kit/base/time.h"

static char directory[64];
static char path[80];

static void set_up(void)
{
	struct err err;
	ck_assert_ok(
		str_format(directory, sizeof(directory), &err, "/tmp/cupel-store-XXXXXX"), err);
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_ok(str_format(path, sizeof(path), &err, "%s/db", directory), err);
}

static void tear_down(void)
{
	struct err err;
	static const char *const names[] = { "db", "db-wal", "db-shm" };
	char name[96];
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		ck_assert_ok(
			str_format(name, sizeof(name), &err, "%s/%s", directory, names[i]), err);
		(void)unlink(name);
	}
	ck_assert_int_eq(rmdir(directory), 0);
}

static struct store *open_store(void)
{
	struct err err;
	struct store *store = NULL;
	ck_assert_ok(store_open(path, &store, &err), err);
	return store;
}

static struct store_job job_of(int number)
{
	struct err err;
	struct store_job job = {
		.principal = "alice", .state = "queued", .created_ms = 1000, .updated_ms = 1000
	};
	ck_assert_ok(str_format(job.id, sizeof(job.id), &err, "job-%d", number), err);
	return job;
}

static struct store_digest digest_of(int number)
{
	struct store_digest digest = {};
	memcpy(digest.sha256, &number, sizeof(number));
	return digest;
}

static struct store_certificate certificate_of(int number)
{
	struct err err;
	struct store_certificate c = { .principal = "alice",
		.status = "exited",
		.verdict = STORE_SIMULATED,
		.created_ms = 1000 + (uint64_t)number / 3 };
	ck_assert_ok(str_format(c.id, sizeof(c.id), &err, "cert-%d", number), err);
	c.statement = digest_of(number);
	c.sandbox = digest_of(number % 7);
	c.inputs = digest_of(number % 5);
	c.claim = digest_of(number);
	c.result = digest_of(number % 3);
	c.has_result = number % 2 == 0;
	c.datasets[0] = digest_of(number % 10);
	c.datasets[1] = digest_of(100);
	c.dataset_count = 2;
	ck_assert_ok(str_format(c.tools[0], sizeof(c.tools[0]), &err, "%s",
			     number % 4 ? "python3" : "bash"),
		err);
	c.tool_count = 1;
	return c;
}

static void put(struct store *store, int number)
{
	struct err err;
	struct store_certificate c = certificate_of(number);
	ck_assert_ok(store_certificate_put(store, &c, view_string("envelope"), "", &err), err);
}

START_TEST(jobs_live)
{
	struct err err;
	struct store *store = open_store();
	struct store_job job = job_of(1), got = {};
	job.inputs_json = (char *)(uintptr_t)"{\"a\":1}";
	ck_assert_ok(store_job_insert(store, &job, &err), err);
	ck_assert_fails(store_job_insert(store, &job, &err), E_CONFLICT, err);
	ck_assert_ok(store_job_get(store, "job-1", &got, &err), err);
	ck_assert_str_eq(got.inputs_json, "{\"a\":1}");
	ck_assert_str_eq(got.state, "queued");
	ck_assert_str_eq(got.certificate_id, "");
	store_job_done(&got);
	job = job_of(1);
	(void)strcpy(job.state, "running");
	job.updated_ms = 2000;
	ck_assert_ok(store_job_update(store, &job, &err), err);
	ck_assert_ok(store_job_get(store, "job-1", &got, &err), err);
	ck_assert_str_eq(got.state, "running");
	ck_assert(got.updated_ms == 2000 && got.created_ms == 1000 && !got.is_final);
	store_job_done(&got);
	job.is_final = true;
	ck_assert_ok(store_job_update(store, &job, &err), err);
	ck_assert_fails(store_job_update(store, &job, &err), E_CONFLICT, err);
	job = job_of(2);
	ck_assert_fails(store_job_update(store, &job, &err), E_NOT_FOUND, err);
	ck_assert_fails(store_job_get(store, "job-2", &got, &err), E_NOT_FOUND, err);
	job.id[0] = 0;
	ck_assert_fails(store_job_insert(store, &job, &err), E_INVALID, err);
	store_close(store);
}
END_TEST

START_TEST(inputs_have_a_limit)
{
	struct err err;
	struct store *store = open_store();
	for (size_t i = 0; i < 3; i++) {
		size_t size = STORE_INPUTS_MAX - 1 + i;
		struct store_job job = job_of((int)i);
		job.inputs_json = mem_alloc(size + 1, 1);
		memset(job.inputs_json, 'x', size);
		ck_assert_int_eq(store_job_insert(store, &job, &err), i < 2 ? 0 : E_LIMIT);
		store_job_done(&job);
	}
	store_close(store);
}
END_TEST

START_TEST(unfinished_jobs_are_found_and_old_ones_forgotten)
{
	struct err err;
	struct store *store = open_store();
	struct store_jobs jobs = {};
	struct store_counts counts;
	uint64_t forgotten = 0;
	for (int i = 0; i < 40; i++) {
		struct store_job job = job_of(i);
		job.is_final = i % 2;
		job.updated_ms = (uint64_t)i;
		ck_assert_ok(store_job_insert(store, &job, &err), err);
	}
	ck_assert_ok(store_count(store, &counts, &err), err);
	ck_assert_uint_eq(counts.unfinished_jobs, 20);
	ck_assert_ok(store_jobs_unfinished(store, &jobs, &err), err);
	ck_assert_uint_eq(jobs.count, 20);
	ck_assert_str_eq(jobs.jobs[0].id, "job-0");
	ck_assert_str_eq(jobs.jobs[19].id, "job-38");
	store_jobs_done(&jobs);
	ck_assert_ok(store_jobs_forget(store, 21, &forgotten, &err), err);
	ck_assert_uint_eq(forgotten, 10);
	ck_assert_ok(store_jobs_forget(store, 21, &forgotten, &err), err);
	ck_assert_uint_eq(forgotten, 0);
	store_close(store);
}
END_TEST

START_TEST(certificates_round_trip)
{
	struct err err;
	struct store *store = open_store();
	struct store_job job = job_of(1), got_job = {};
	static struct store_certificate got;
	struct store_certificate c = certificate_of(2);
	auto_done(buf) envelope = {};
	(void)strcpy(c.job_id, "job-1");
	ck_assert_fails(
		store_certificate_put(store, &c, view_string("e"), "done", &err), E_NOT_FOUND, err);
	ck_assert_fails(store_certificate_get(store, c.id, &got, NULL, &err), E_NOT_FOUND, err);
	ck_assert_ok(store_job_insert(store, &job, &err), err);
	ck_assert_ok(store_certificate_put(store, &c, view_of("e\0f", 3), "done", &err), err);
	ck_assert_fails(
		store_certificate_put(store, &c, view_string("e"), "done", &err), E_CONFLICT, err);
	ck_assert_ok(store_certificate_get(store, c.id, &got, &envelope, &err), err);
	ck_assert(view_equal(buf_view(&envelope), view_of("e\0f", 3)));
	ck_assert_mem_eq(&got, &c, sizeof(c));
	ck_assert_ok(store_job_get(store, "job-1", &got_job, &err), err);
	ck_assert_str_eq(got_job.state, "done");
	ck_assert_str_eq(got_job.certificate_id, c.id);
	ck_assert(got_job.is_final);
	store_job_done(&got_job);
	c = certificate_of(3); /* without a result */
	ck_assert_ok(store_certificate_put(store, &c, view_of(NULL, 0), "", &err), err);
	ck_assert_ok(store_certificate_get(store, c.id, &got, NULL, &err), err);
	ck_assert(!got.has_result);
	store_close(store);
}
END_TEST

START_TEST(certificates_have_limits)
{
	struct err err;
	struct store *store = open_store();
	auto_free uint8_t *bytes = mem_alloc(STORE_ENVELOPE_MAX + 1, 1);
	for (size_t i = 0; i < 3; i++) {
		struct store_certificate c = certificate_of((int)i), got = {};
		auto_done(buf) envelope = {};
		size_t size = STORE_ENVELOPE_MAX - 1 + i;
		int status = store_certificate_put(store, &c, view_of(bytes, size), "", &err);
		ck_assert_int_eq(status, i < 2 ? 0 : E_LIMIT);
		if (i == 2)
			continue;
		ck_assert_ok(store_certificate_get(store, c.id, &got, &envelope, &err), err);
		ck_assert_uint_eq(envelope.size, size);
	}
	for (size_t i = 0; i < 3; i++) {
		struct store_certificate c = certificate_of((int)i + 10), got = {};
		c.dataset_count = STORE_DATASETS_MAX - 1 + i;
		int status = store_certificate_put(store, &c, view_string("e"), "", &err);
		ck_assert_int_eq(status, i < 2 ? 0 : E_LIMIT);
		if (i == 2)
			continue;
		ck_assert_ok(store_certificate_get(store, c.id, &got, NULL, &err), err);
		ck_assert_uint_eq(got.dataset_count, c.dataset_count);
	}
	struct store_certificate c = certificate_of(20);
	c.status[0] = 0;
	ck_assert_fails(
		store_certificate_put(store, &c, view_string("e"), "", &err), E_INVALID, err);
	store_close(store);
}
END_TEST

static size_t search_count(struct store *store, struct store_filter filter)
{
	struct err err;
	size_t count = 0;
	char cursor[STORE_CURSOR_SIZE] = "";
	filter.limit = 7;
	do {
		struct store_page page = {};
		ck_assert_ok(store_certificate_search(store, &filter, &page, &err), err);
		count += page.count;
		memcpy(cursor, page.next, sizeof(cursor));
		filter.cursor = cursor;
		store_page_done(&page);
	} while (cursor[0]);
	return count;
}

START_TEST(searches_filter)
{
	struct store *store = open_store();
	for (int i = 0; i < 60; i++)
		put(store, i);
	struct store_digest two = digest_of(2), hundred = digest_of(100), none = digest_of(999);
	enum store_verdict simulated = STORE_SIMULATED, failed = STORE_FAILED;
	ck_assert_uint_eq(search_count(store, (struct store_filter){}), 60);
	ck_assert_uint_eq(search_count(store, (struct store_filter){ .dataset = &two }), 6);
	ck_assert_uint_eq(search_count(store, (struct store_filter){ .dataset = &hundred }), 60);
	ck_assert_uint_eq(search_count(store, (struct store_filter){ .dataset = &none }), 0);
	ck_assert_uint_eq(search_count(store, (struct store_filter){ .sandbox = &two }), 9);
	ck_assert_uint_eq(search_count(store, (struct store_filter){ .result = &two }), 10);
	ck_assert_uint_eq(search_count(store, (struct store_filter){ .tool = "bash" }), 15);
	ck_assert_uint_eq(
		search_count(store, (struct store_filter){ .tool = "bash", .dataset = &two }), 3);
	ck_assert_uint_eq(search_count(store, (struct store_filter){ .status = "exited" }), 60);
	ck_assert_uint_eq(search_count(store, (struct store_filter){ .status = "" }), 0);
	ck_assert_uint_eq(search_count(store, (struct store_filter){ .status = "' OR 1=1" }), 0);
	ck_assert_uint_eq(search_count(store, (struct store_filter){ .principal = "bob" }), 0);
	ck_assert_uint_eq(search_count(store, (struct store_filter){ .verdict = &simulated }), 60);
	ck_assert_uint_eq(search_count(store, (struct store_filter){ .verdict = &failed }), 0);
	ck_assert_uint_eq(
		search_count(store, (struct store_filter){ .from_ms = 1005, .to_ms = 1010 }), 15);
	ck_assert_uint_eq(search_count(store,
				  (struct store_filter){
					  .from_ms = 1005, .to_ms = 1010, .dataset = &hundred }),
		15);
	ck_assert_uint_eq(search_count(store, (struct store_filter){ .from_ms = 1005,
						      .to_ms = 1010,
						      .tool = "python3",
						      .status = "exited" }),
		11);
	ck_assert_uint_eq(
		search_count(store, (struct store_filter){ .tool = "bash", .sandbox = &two }), 2);
	struct err err;
	struct store_certificate twice = certificate_of(70); /* the same data under two names */
	twice.datasets[1] = twice.datasets[0] = none;
	(void)strcpy(twice.tools[1], "python3");
	(void)strcpy(twice.tools[0], "python3");
	twice.tool_count = 2;
	ck_assert_ok(store_certificate_put(store, &twice, view_string("e"), "", &err), err);
	ck_assert_uint_eq(search_count(store, (struct store_filter){ .dataset = &none }), 1);
	ck_assert_uint_eq(search_count(store, (struct store_filter){ .tool = "python3" }), 46);
	store_close(store);
}
END_TEST

START_TEST(every_combination_of_conditions_runs)
{
	struct err err;
	struct store *store = open_store();
	struct store_digest digest = digest_of(1);
	enum store_verdict verdict = STORE_SIMULATED;
	put(store, 1);
	for (unsigned bits = 0; bits < 1024; bits++) {
		struct store_page page = {};
		struct store_filter filter = { .dataset = bits & 1 ? &digest : NULL,
			.sandbox = bits & 2 ? &digest : NULL,
			.result = bits & 4 ? &digest : NULL,
			.from_ms = bits & 8 ? 1 : 0,
			.to_ms = bits & 16 ? 99999 : 0,
			.status = bits & 32 ? "exited" : NULL,
			.verdict = bits & 64 ? &verdict : NULL,
			.tool = bits & 128 ? "python3" : NULL,
			.principal = bits & 256 ? "alice" : NULL,
			.cursor = bits & 512 ? "00000000000fffff0000000000000001" : NULL };
		ck_assert_ok(store_certificate_search(store, &filter, &page, &err), err);
		ck_assert_uint_eq(page.count, bits & 4 ? 0 : 1); /* 1 is odd: no result */
		store_page_done(&page);
	}
	store_close(store);
}
END_TEST

START_TEST(pages_neither_skip_nor_repeat_while_rows_are_added)
{
	struct err err;
	struct store *store = open_store();
	bool seen[30] = {};
	for (int i = 0; i < 30; i++)
		put(store, i);
	struct store_filter filter = { .limit = 4 };
	char cursor[STORE_CURSOR_SIZE];
	uint64_t last_ms = UINT64_MAX;
	for (int round = 0; round == 0 || cursor[0]; round++) {
		struct store_page page = {};
		ck_assert_ok(store_certificate_search(store, &filter, &page, &err), err);
		for (size_t i = 0; i < page.count; i++) {
			int number = (int)strtol(page.certificates[i].id + 5, NULL, 10);
			ck_assert(number >= 0 && number < 30 && !seen[number]);
			seen[number] = true;
			ck_assert(page.certificates[i].created_ms <= last_ms);
			last_ms = page.certificates[i].created_ms;
		}
		memcpy(cursor, page.next, sizeof(cursor));
		filter.cursor = cursor;
		store_page_done(&page);
		put(store, 1000 + round); /* newer than all */
	}
	for (size_t i = 0; i < ARRAY_SIZE(seen); i++)
		ck_assert(seen[i]);
	store_close(store);
}
END_TEST

START_TEST(searches_refuse_nonsense)
{
	struct err err;
	struct store *store = open_store();
	struct store_page page = {};
	static const char *const cursors[] = { "", "0", "zz", "0000000000000000000000000000000",
		"000000000000000000000000000000000", "ffffffffffffffffffffffffffffffff",
		"0000000000000001ffffffffffffffff" };
	for (size_t i = 0; i < ARRAY_SIZE(cursors); i++)
		ck_assert_fails(
			store_certificate_search(
				store, &(struct store_filter){ .cursor = cursors[i] }, &page, &err),
			E_INVALID, err);
	for (size_t limit = STORE_PAGE_MAX - 1; limit <= STORE_PAGE_MAX + 1; limit++) {
		ck_assert_int_eq(store_certificate_search(store,
					 &(struct store_filter){ .limit = limit }, &page, &err),
			limit > STORE_PAGE_MAX ? E_LIMIT : 0);
		store_page_done(&page);
	}
	store_close(store);
}
END_TEST

/* Put in a child that is killed at once; everything it put must be there. */
START_TEST(puts_survive_a_kill)
{
	struct err err;
	for (int round = 0; round < 5; round++) {
		pid_t child = fork();
		if (child == 0) {
			struct store *store = open_store();
			struct store_job job = job_of(round);
			struct store_certificate c = certificate_of(round);
			if (store_job_insert(store, &job, &err) < 0 ||
				store_certificate_put(
					store, &c, view_string("envelope"), "", &err) < 0)
				_exit(1);
			job = job_of(round + 100);
			if (store_job_insert(store, &job, &err) < 0)
				_exit(1);
			(void)raise(SIGKILL);
		}
		int status = 0;
		ck_assert_int_eq(waitpid(child, &status, 0), child);
		ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		struct store *store = open_store();
		struct store_certificate got = {};
		struct store_job job = {};
		char id[STORE_ID_MAX + 1];
		ck_assert_ok(str_format(id, sizeof(id), &err, "cert-%d", round), err);
		ck_assert_ok(store_certificate_get(store, id, &got, NULL, &err), err);
		ck_assert_ok(str_format(id, sizeof(id), &err, "job-%d", round + 100), err);
		ck_assert_ok(store_job_get(store, id, &job, &err), err);
		store_job_done(&job);
		store_close(store);
	}
}
END_TEST

/* A file size limit stands in for a full disk. */
START_TEST(a_full_disk_is_unavailable_and_passes)
{
	struct err err;
	struct store *store = open_store();
	static struct store_certificate got;
	struct rlimit limit = { 1 << 20, RLIM_INFINITY };
	auto_free uint8_t *big = mem_alloc(2 << 20, 1);
	put(store, 1);
	(void)signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	struct store_certificate c = certificate_of(2);
	ck_assert_fails(store_certificate_put(store, &c, view_of(big, 2 << 20), "", &err),
		E_UNAVAILABLE, err);
	limit.rlim_cur = RLIM_INFINITY;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_fails(store_certificate_get(store, "cert-2", &got, NULL, &err), E_NOT_FOUND, err);
	put(store, 2);
	ck_assert_ok(store_certificate_get(store, "cert-1", &got, NULL, &err), err);
	ck_assert_ok(store_certificate_get(store, "cert-2", &got, NULL, &err), err);
	store_close(store);
}
END_TEST

static void overwrite(off_t offset, const char *bytes, size_t size)
{
	auto_close fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, bytes, size, offset), (ssize_t)size);
}

START_TEST(damaged_files_are_refused)
{
	struct err err;
	struct store *store = open_store();
	char junk[4096];
	for (int i = 0; i < 200; i++)
		put(store, i);
	store_close(store);
	memset(junk, 0x5a, sizeof(junk));
	overwrite(8 * 4096L, junk, sizeof(junk));
	store = NULL;
	ck_assert_fails(store_open(path, &store, &err), E_INTEGRITY, err);
	ck_assert_ptr_nonnull(strstr(err.message, "restore a backup"));
	ck_assert_ptr_null(store);
	overwrite(0, junk, sizeof(junk));
	ck_assert_fails(store_open(path, &store, &err), E_INTEGRITY, err);
	ck_assert_ptr_nonnull(strstr(err.message, path));
}
END_TEST

static void alter(const char *sql)
{
	sqlite3 *db = NULL;
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	(void)sqlite3_close(db);
}

START_TEST(foreign_and_newer_files_are_refused)
{
	struct err err;
	struct store *store = NULL;
	alter("CREATE TABLE t (a)");
	ck_assert_fails(store_open(path, &store, &err), E_INTEGRITY, err);
	ck_assert_ptr_nonnull(strstr(err.message, "another program"));
	ck_assert_int_eq(unlink(path), 0);
	store_close(open_store());
	alter("PRAGMA user_version = 2");
	ck_assert_fails(store_open(path, &store, &err), E_UNSUPPORTED, err);
	ck_assert_ptr_nonnull(strstr(err.message, "newer"));
	ck_assert_fails(store_open("/nonexistent/db", &store, &err), E_NOT_FOUND, err);
}
END_TEST

START_TEST(files_are_private)
{
	struct stat status;
	struct store *store = open_store();
	put(store, 1);
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_int_eq(status.st_mode & 0777, 0600);
	char wal[96];
	struct err err;
	ck_assert_ok(str_format(wal, sizeof(wal), &err, "%s-wal", path), err);
	ck_assert_int_eq(stat(wal, &status), 0);
	ck_assert_int_eq(status.st_mode & 0777, 0600);
	store_close(store);
}
END_TEST

/* Prints what a put and a job cost here; no claim is tested. */
START_TEST(costs)
{
	struct err err;
	struct store *store = open_store();
	auto_free uint8_t *envelope = mem_alloc(12000, 1);
	uint64_t begin = time_monotonic_usec();
	for (int i = 0; i < 1000; i++) {
		struct store_job job = job_of(i);
		ck_assert_ok(store_job_insert(store, &job, &err), err);
	}
	uint64_t jobs_done = time_monotonic_usec();
	for (int i = 0; i < 200; i++) {
		struct store_certificate c = certificate_of(i);
		ck_assert_ok(str_format(c.job_id, sizeof(c.job_id), &err, "job-%d", i), err);
		ck_assert_ok(
			store_certificate_put(store, &c, view_of(envelope, 12000), "done", &err),
			err);
	}
	uint64_t end = time_monotonic_usec();
	(void)printf("store: job %llu us, put of 12,000 bytes %llu us\n",
		(unsigned long long)(jobs_done - begin) / 1000,
		(unsigned long long)(end - jobs_done) / 200);
	store_close(store);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { jobs_live, inputs_have_a_limit,
		unfinished_jobs_are_found_and_old_ones_forgotten, certificates_round_trip,
		certificates_have_limits, searches_filter, every_combination_of_conditions_runs,
		pages_neither_skip_nor_repeat_while_rows_are_added, searches_refuse_nonsense,
		puts_survive_a_kill, a_full_disk_is_unavailable_and_passes,
		damaged_files_are_refused, foreign_and_newer_files_are_refused, files_are_private,
		costs };
	Suite *suite = suite_create("store");
	TCase *tcase = tcase_create("store");
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	suite_add_tcase(suite, tcase);
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_test(tcase, tests[i]);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
