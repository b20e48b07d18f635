/*
 * configfs-tsm against a tree of plain files that a child process plays: it answers each write to
 * inblob, rightly or in one of the wrong ways.
 */
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engines/evidence/evidence.h"
#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "unit.h"

enum { TDX_SIZE = 1200, TDX_REPORT_DATA_AT = 48 + 520, SNP_SIZE = 1184, SNP_REPORT_DATA_AT = 0x50 };

enum behaviour {
	RIGHT,
	RIGHT_AT_LAST, /* the first two writes are answered for somebody else */
	OTHERS_DATA,
	SKIPS_GENERATION,
	SILENT,
	TOO_LONG,
	SHORT,
};

static char directory[64];

static void put(const char *name, const void *bytes, size_t size)
{
	char path[128];
	struct err err;
	ck_assert_ok(str_format(path, sizeof(path), &err, "%s/%s", directory, name), err);
	ck_assert_ok(fd_write_file_atomic(path, view_of(bytes, size), 0600, &err), err);
}

static void put_number(const char *name, unsigned number)
{
	char text[16];
	int size = snprintf(text, sizeof(text), "%u\n", number);
	put(name, text, (size_t)size);
}

/* One report over what stands in inblob. */
static void answer(enum behaviour behaviour, bool is_tdx, unsigned *generation, unsigned count)
{
	static uint8_t report[EVIDENCE_MAX + 1];
	size_t at = is_tdx ? TDX_REPORT_DATA_AT : SNP_REPORT_DATA_AT;
	size_t size = is_tdx ? TDX_SIZE : SNP_SIZE;
	char path[128];
	struct err err;
	auto_done(buf) data = {};
	ck_assert_ok(str_format(path, sizeof(path), &err, "%s/inblob", directory), err);
	ck_assert_ok(fd_read_file(path, 4096, &data, &err), err);
	if (data.size != EVIDENCE_REPORT_DATA_SIZE || behaviour == SILENT)
		return;
	report[0] = is_tdx ? 4 : 3;
	report[2] = is_tdx ? 2 : 0; /* key type */
	report[4] = is_tdx ? 0x81 : 0;
	memcpy(report + at, data.data, data.size);
	if (behaviour == OTHERS_DATA || (behaviour == RIGHT_AT_LAST && count < 2))
		report[at] ^= 1;
	if (behaviour == TOO_LONG)
		size = sizeof(report);
	if (behaviour == SHORT)
		size = at;
	put("outblob", report, size);
	*generation += behaviour == SKIPS_GENERATION ? 2 : 1;
	put_number("generation", *generation);
}

static void play(enum behaviour behaviour, bool is_tdx, int notify)
{
	unsigned generation = 7, count = 0;
	for (;;) {
		char event[4096];
		if (read(notify, event, sizeof(event)) > 0)
			answer(behaviour, is_tdx, &generation, count++);
	}
}

static pid_t start(enum behaviour behaviour, bool is_tdx)
{
	char path[128];
	struct err err;
	ck_assert_ok(str_format(directory, sizeof(directory), &err, "/tmp/tsm.XXXXXX"), err);
	ck_assert_ptr_nonnull(mkdtemp(directory));
	put("inblob", "", 0);
	put("outblob", "", 0);
	put_number("generation", 7);
	put("provider", is_tdx ? "tdx_guest\n" : "sev_guest\n", 10);
	int notify = inotify_init1(IN_CLOEXEC);
	ck_assert_ok(str_format(path, sizeof(path), &err, "%s/inblob", directory), err);
	ck_assert_int_ge(inotify_add_watch(notify, path, IN_CLOSE_WRITE), 0);
	pid_t pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		play(behaviour, is_tdx, notify);
		_exit(0);
	}
	(void)close(notify);
	return pid;
}

static int remove_entry(
	const char *path, const struct stat *status UNUSED, int type UNUSED, struct FTW *at UNUSED)
{
	return remove(path);
}

static int get(struct buf *quote, struct err *err)
{
	uint8_t data[EVIDENCE_REPORT_DATA_SIZE];
	const struct evidence_source source = { .kind = EVIDENCE_CONFIGFS, .path = directory };
	const struct evidence_request request = { .report_data = view_of(data, sizeof(data)) };
	memset(data, 0x5a, sizeof(data));
	return evidence_get(&source, &request, quote, err);
}

static void stop(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	ck_assert_int_eq(nftw(directory, remove_entry, 4, FTW_DEPTH | FTW_PHYS), 0);
}

static const struct {
	enum behaviour behaviour;
	int status;
} rows[] = {
	{ RIGHT, 0 },
	{ RIGHT_AT_LAST, 0 },
	{ OTHERS_DATA, E_INTEGRITY },
	{ SKIPS_GENERATION, E_INTEGRITY },
	{ TOO_LONG, E_LIMIT },
	{ SHORT, E_INTEGRITY },
};

START_TEST(behaviours)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (int is_tdx = 0; is_tdx < 2; is_tdx++) {
			auto_done(buf) quote = {};
			struct err err;
			pid_t pid = start(rows[i].behaviour, is_tdx);
			int status = get(&quote, &err);
			stop(pid);
			ck_assert_msg(status == rows[i].status, "row %zu: %d (%s)", i, status,
				status ? err.message : "");
			if (status == 0)
				ck_assert_uint_eq(quote.size, is_tdx ? TDX_SIZE : SNP_SIZE);
		}
}
END_TEST

/* A platform that never answers: the wait is bounded, or this test never ends. */
START_TEST(waiting_for_a_generation_has_an_end)
{
	auto_done(buf) quote = {};
	struct err err;
	pid_t pid = start(SILENT, true);
	ck_assert_fails(get(&quote, &err), E_INTEGRITY, err);
	stop(pid);
	ck_assert_uint_eq(quote.size, 0);
}
END_TEST

START_TEST(certificates_follow_an_snp_report)
{
	auto_done(buf) quote = {};
	struct err err;
	pid_t pid = start(RIGHT, false);
	put("auxblob", "table", 5);
	ck_assert_ok(get(&quote, &err), err);
	stop(pid);
	ck_assert_uint_eq(quote.size, SNP_SIZE + 5);
	ck_assert_mem_eq(quote.data + SNP_SIZE, "table", 5);
}
END_TEST

START_TEST(other_providers_and_trees_are_refused)
{
	auto_done(buf) quote = {};
	struct err err;
	pid_t pid = start(RIGHT, true);
	put("provider", "arm_cca_guest\n", 14);
	ck_assert_fails(get(&quote, &err), E_UNSUPPORTED, err);
	char path[128];
	ck_assert_ok(str_format(path, sizeof(path), &err, "%s/inblob", directory), err);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_lt(get(&quote, &err), 0); /* a tree that makes no entries */
	stop(pid);
}
END_TEST

UNIT_MAIN("evidence_configfs", behaviours, waiting_for_a_generation_has_an_end,
	certificates_follow_an_snp_report, other_providers_and_trees_are_refused)
