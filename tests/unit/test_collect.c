/* Collecting from hostile trees: every form that is refused, every limit, and changes meanwhile. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engines/sandbox/collect.h"
#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "kit/base/time.h"
#include "kit/crypto/hash.h"
#include "unit.h"

enum { DEEP = 4096, ROUNDS_MS = 400 };

/* What the sink got: contents one after the other, those of a dropped file taken back. */
struct got {
	struct buf bytes;
	size_t file_at; /* where the current file begins */
	size_t ended;
	size_t dropped;
};

static void got_done(struct got *got)
{
	buf_done(&got->bytes);
}

static int take_bytes(void *context, struct view bytes, struct err *err)
{
	struct got *got = context;
	return buf_append(&got->bytes, bytes, err);
}

static int take_end(void *context, const struct collect_file *file, struct err *err)
{
	struct got *got = context;
	uint8_t digest[SHA256_SIZE];
	struct view bytes = view_of(got->bytes.data + got->file_at, got->bytes.size - got->file_at);
	(void)err;
	hash_bytes(HASH_SHA256, bytes, digest);
	ck_assert_uint_eq(bytes.size, file->bytes);
	ck_assert_mem_eq(digest, file->sha256, sizeof(digest));
	got->file_at = got->bytes.size;
	got->ended++;
	return 0;
}

static void take_drop(void *context)
{
	struct got *got = context;
	got->bytes.size = got->file_at;
	got->dropped++;
}

/* A tmpfs that only the test's own process sees; the working directory. */
static void tree_make(void)
{
	(void)umask(0);
	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_int_eq(mount("tree", "/tmp", "tmpfs", 0, "mode=0755,size=64m"), 0);
	ck_assert_int_eq(chdir("/tmp"), 0);
	ck_assert_int_eq(mkdir("tree", 0755), 0);
}

static void put_bytes(const char *path, const void *bytes, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
	ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
	ck_assert_int_eq(close(fd), 0);
}

static void put(const char *path, const char *text)
{
	put_bytes(path, text, strlen(text));
}

static void collect(
	const struct collect_limits *limits, struct got *got, struct collect_report *report)
{
	struct err err;
	const struct collect_limits usual = COLLECT_LIMITS_DEFAULT;
	const struct collect_sink sink = { got, take_bytes, take_end, take_drop };
	auto_close fd = open("tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	*report = (struct collect_report){};
	ck_assert_ok(
		collect_tree(fd, limits ? limits : &usual, got ? &sink : NULL, report, &err), err);
}

#define COLLECT(limits)                        \
	auto_done(got) got = {};               \
	auto_done(collect_report) report = {}; \
	collect(limits, &got, &report)

#define ck_assert_skipped(report, number, expected_path, expected_why)         \
	do {                                                                   \
		ck_assert_uint_lt(number, (report).skip_count);                \
		ck_assert_str_eq((report).skips[number].path, expected_path);  \
		ck_assert_str_eq(collect_why_name((report).skips[number].why), \
			collect_why_name(expected_why));                       \
	} while (0)

START_TEST(plain_tree_in_order)
{
	tree_make();
	ck_assert_int_eq(mkdir("tree/a", 0755), 0);
	ck_assert_int_eq(mkdir("tree/a/empty", 0755), 0);
	put("tree/a/x", "1");
	put("tree/a.b", "2"); /* '.' sorts before '/' as a byte, not here */
	put("tree/b", "");
	put("tree/\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80", "3");
	COLLECT(NULL);
	ck_assert_uint_eq(report.file_count, 4);
	ck_assert_str_eq(report.files[0].path, "a/x");
	ck_assert_str_eq(report.files[1].path, "a.b");
	ck_assert_str_eq(report.files[2].path, "b");
	ck_assert_str_eq(report.files[3].path, "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80");
	ck_assert_str_eq(buf_string(&got.bytes), "123");
	ck_assert_uint_eq(report.bytes, 3);
	ck_assert_uint_eq(got.ended, 4);
	ck_assert_uint_eq(report.skip_count, 0);
	ck_assert(!report.is_truncated);
}
END_TEST

START_TEST(empty_tree_and_no_sink)
{
	tree_make();
	COLLECT(NULL);
	ck_assert_uint_eq(report.file_count, 0);
	ck_assert(!report.is_truncated);
	put("tree/a", "abc");
	auto_done(collect_report) second = {};
	collect(NULL, NULL, &second);
	ck_assert_uint_eq(second.file_count, 1);
	ck_assert_uint_eq(second.bytes, 3);
}
END_TEST

START_TEST(links)
{
	tree_make();
	put("outside", "secret");
	ck_assert_int_eq(mkdir("other", 0755), 0);
	put("other/file", "secret");
	ck_assert_int_eq(link("outside", "tree/hard"), 0);
	put("tree/in1", "x");
	ck_assert_int_eq(link("tree/in1", "tree/in2"), 0);
	ck_assert_int_eq(symlink("/etc/passwd", "tree/l-absolute"), 0);
	ck_assert_int_eq(symlink("../other", "tree/l-directory"), 0);
	ck_assert_int_eq(symlink("in1", "tree/l-inside"), 0);
	ck_assert_int_eq(symlink("l-loop", "tree/l-loop"), 0);
	ck_assert_int_eq(symlink("nowhere", "tree/l-nowhere"), 0);
	ck_assert_int_eq(symlink("/proc/self/root/etc/passwd", "tree/l-proc"), 0);
	COLLECT(NULL);
	ck_assert_uint_eq(report.file_count, 2);
	ck_assert_str_eq(report.files[0].path, "in1");
	ck_assert_str_eq(report.files[1].path, "in2");
	ck_assert_str_eq(buf_string(&got.bytes), "xx");
	ck_assert_skipped(report, 0, "hard", COLLECT_HARD_LINK);
	ck_assert_skipped(report, 1, "l-absolute", COLLECT_SYMLINK);
	ck_assert_uint_eq(report.why_counts[COLLECT_SYMLINK], 6);
	ck_assert_uint_eq(report.skip_count, 7);
	ck_assert(!report.is_truncated);
}
END_TEST

START_TEST(special_files)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "tree/socket" };
	auto_close fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	tree_make();
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(mkfifo("tree/fifo", 0666), 0);
	ck_assert_int_eq(mknod("tree/block", S_IFBLK | 0666, makedev(7, 0)), 0);
	ck_assert_int_eq(mknod("tree/char", S_IFCHR | 0666, makedev(1, 5)), 0);
	COLLECT(NULL);
	ck_assert_uint_eq(report.file_count, 0);
	ck_assert_skipped(report, 0, "block", COLLECT_DEVICE);
	ck_assert_skipped(report, 1, "char", COLLECT_DEVICE);
	ck_assert_skipped(report, 2, "fifo", COLLECT_FIFO);
	ck_assert_skipped(report, 3, "socket", COLLECT_SOCKET);
}
END_TEST

START_TEST(strange_names)
{
	char longest[COLLECT_NAME_MAX + 8] = "tree/";
	tree_make();
	memset(longest + 5, 'n', COLLECT_NAME_MAX);
	put(longest, "long");
	put("tree/back\\slash", "ok");
	put("tree/new\nline", "x");
	put("tree/esc\x1b[2J", "x");
	put("tree/\xff\xfe", "x");
	put("tree/\xe2\x80\xaegnp.exe", "x"); /* turned around */
	put("tree/\xc0\xaf", "x");            /* overlong '/' */
	ck_assert_int_eq(mkdir("tree/d\x7f", 0755), 0);
	put("tree/d\x7f/inside", "x");
	COLLECT(NULL);
	ck_assert_uint_eq(report.file_count, 2);
	ck_assert_str_eq(report.files[0].path, "back\\slash");
	ck_assert_str_eq(report.files[1].path, longest + 5);
	ck_assert_skipped(report, 0, "d\\x7f", COLLECT_NAME);
	ck_assert_skipped(report, 1, "esc\\x1b[2J", COLLECT_NAME);
	ck_assert_skipped(report, 2, "new\\x0aline", COLLECT_NAME);
	ck_assert_skipped(report, 3, "\\xc0\\xaf", COLLECT_NAME);
	ck_assert_skipped(report, 4, "\\xe2\\x80\\xaegnp.exe", COLLECT_NAME);
	ck_assert_skipped(report, 5, "\\xff\\xfe", COLLECT_NAME);
	ck_assert_uint_eq(report.skip_count, 6);
}
END_TEST

START_TEST(name_limit)
{
	static const struct {
		uint32_t limit;
		size_t count;
	} rows[] = { { 4, 0 }, { 5, 1 }, { 6, 1 } };
	tree_make();
	put("tree/12345", "x");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct collect_limits limits = COLLECT_LIMITS_DEFAULT;
		limits.name_bytes = rows[i].limit;
		COLLECT(&limits);
		ck_assert_uint_eq(report.file_count, rows[i].count);
		ck_assert_uint_eq(report.why_counts[COLLECT_NAME], 1 - rows[i].count);
	}
}
END_TEST

START_TEST(byte_limit)
{
	static const struct {
		uint64_t limit;
		size_t files;
	} rows[] = { { 9, 2 }, { 10, 3 }, { 11, 3 } };
	tree_make();
	put("tree/a", "1234");
	put("tree/b", "12345");
	put("tree/c", "1");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct collect_limits limits = COLLECT_LIMITS_DEFAULT;
		limits.total_bytes = rows[i].limit;
		COLLECT(&limits);
		ck_assert_uint_eq(report.file_count, rows[i].files);
		ck_assert(report.is_truncated == (rows[i].files < 3));
		ck_assert_uint_le(report.bytes, rows[i].limit);
		ck_assert_uint_eq(got.bytes.size, report.bytes);
	}
	/* What does not fit is left; what fits behind it is taken. */
	struct collect_limits limits = COLLECT_LIMITS_DEFAULT;
	limits.total_bytes = 5;
	COLLECT(&limits);
	ck_assert_uint_eq(report.file_count, 2);
	ck_assert_str_eq(report.files[1].path, "c");
	ck_assert_skipped(report, 0, "b", COLLECT_BYTES);
}
END_TEST

START_TEST(file_entry_and_skip_limits)
{
	tree_make();
	ck_assert_int_eq(mkdir("tree/d", 0755), 0);
	put("tree/d/1", "x");
	put("tree/d/2", "x");
	put("tree/e", "x");
	ck_assert_int_eq(symlink("x", "tree/l1"), 0);
	ck_assert_int_eq(symlink("x", "tree/l2"), 0);
	for (uint32_t files = 2; files <= 4; files++) {
		struct collect_limits limits = COLLECT_LIMITS_DEFAULT;
		limits.files = files;
		COLLECT(&limits);
		ck_assert_uint_eq(report.file_count, MIN(files, 3));
		ck_assert_uint_eq(report.why_counts[COLLECT_FILES], files < 3);
		ck_assert(report.is_truncated == (files < 3));
	}
	for (uint32_t entries = 3; entries <= 7; entries++) { /* 4 in the root, 2 below */
		struct collect_limits limits = COLLECT_LIMITS_DEFAULT;
		limits.entries = entries;
		COLLECT(&limits);
		ck_assert_uint_eq(report.file_count, entries < 4 ? 0 : entries < 6 ? 1 : 3);
		ck_assert_uint_eq(report.why_counts[COLLECT_ENTRIES], entries < 6);
		ck_assert(report.is_truncated == (entries < 6));
		if (entries == 5)
			ck_assert_skipped(report, 0, "d", COLLECT_ENTRIES);
	}
	for (uint32_t skips = 1; skips <= 3; skips++) {
		struct collect_limits limits = COLLECT_LIMITS_DEFAULT;
		limits.skips = skips;
		COLLECT(&limits);
		ck_assert_uint_eq(report.skip_count, MIN(skips, 2));
		ck_assert_uint_eq(report.why_counts[COLLECT_SYMLINK], 2);
		ck_assert(report.is_truncated == (skips < 2));
	}
}
END_TEST

START_TEST(depth_limit)
{
	tree_make();
	ck_assert_int_eq(mkdir("tree/1", 0755), 0);
	ck_assert_int_eq(mkdir("tree/1/2", 0755), 0);
	put("tree/1/2/f", "x");
	put("tree/f", "x");
	for (uint32_t depth = 1; depth <= 4; depth++) {
		struct collect_limits limits = COLLECT_LIMITS_DEFAULT;
		limits.depth = depth;
		COLLECT(&limits);
		ck_assert_uint_eq(report.file_count, depth < 3 ? 1 : 2);
		if (depth < 3)
			ck_assert_skipped(report, 0, depth == 1 ? "1" : "1/2", COLLECT_DEPTH);
	}
}
END_TEST

START_TEST(deep_tree)
{
	struct collect_limits limits = COLLECT_LIMITS_DEFAULT;
	tree_make();
	put("tree/top", "x");
	int fd = open("tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < DEEP; i++) {
		ck_assert_int_eq(mkdirat(fd, "d", 0755), 0);
		int next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		ck_assert_int_ge(next, 0);
		(void)close(fd);
		fd = next;
	}
	(void)close(fd);
	COLLECT(&limits);
	ck_assert_uint_eq(report.file_count, 1);
	ck_assert_uint_eq(report.skip_count, 1);
	ck_assert_int_eq(report.skips[0].why, COLLECT_DEPTH);
	ck_assert(report.is_truncated);
	ck_assert_uint_eq(strlen(report.skips[0].path), 2 * limits.depth - 1);
}
END_TEST

START_TEST(long_paths)
{
	char name[COLLECT_NAME_MAX + 1] = {};
	struct collect_limits limits = COLLECT_LIMITS_DEFAULT;
	tree_make();
	limits.depth = COLLECT_DEPTH_MAX;
	memset(name, 'p', COLLECT_NAME_MAX);
	ck_assert_int_eq(chdir("tree"), 0);
	for (int i = 0; i < 5; i++) { /* the fifth is 1279 bytes deep */
		ck_assert_int_eq(mkdir(name, 0755), 0);
		ck_assert_int_eq(chdir(name), 0);
		put("f", "x");
	}
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(chdir(".."), 0);
	COLLECT(&limits);
	ck_assert_uint_eq(report.why_counts[COLLECT_PATH], 2); /* 4 names and "f"; 5 names */
	ck_assert_uint_eq(report.file_count, 3);
	ck_assert_uint_le(strlen(report.files[0].path), COLLECT_PATH_MAX);
}
END_TEST

START_TEST(sparse_files_count_whole)
{
	enum { MB = 1 << 20 };
	struct collect_limits limits = COLLECT_LIMITS_DEFAULT;
	tree_make();
	put("tree/a", "");
	put("tree/z", "");
	ck_assert_int_eq(truncate("tree/a", 6 * MB), 0);
	ck_assert_int_eq(truncate("tree/z", 6 * MB), 0);
	put("tree/huge", "");
	ck_assert_int_eq(truncate("tree/huge", (off_t)1 << 50), 0);
	COLLECT(&limits);
	ck_assert_uint_eq(report.file_count, 1);
	ck_assert_uint_eq(report.bytes, 6 * MB);
	ck_assert_uint_eq(got.bytes.size, 6 * MB);
	ck_assert_skipped(report, 0, "huge", COLLECT_BYTES);
	ck_assert_skipped(report, 1, "z", COLLECT_BYTES);
}
END_TEST

START_TEST(modes)
{
	tree_make();
	put("tree/f", "x");
	ck_assert_int_eq(mkdir("tree/d", 0755), 0);
	put("tree/d/g", "y");
	put("tree/h", "z");
	ck_assert_int_eq(chmod("tree/f", 0), 0);
	ck_assert_int_eq(chmod("tree/d", 0), 0);
	if (geteuid() == 0) {
		COLLECT(NULL);
		ck_assert_str_eq(buf_string(&got.bytes), "yxz");
		ck_assert_int_eq(seteuid(65534), 0);
	}
	COLLECT(NULL);
	ck_assert_uint_eq(report.file_count, 1);
	ck_assert_skipped(report, 0, "d", COLLECT_UNREADABLE);
	ck_assert_skipped(report, 1, "f", COLLECT_UNREADABLE);
	ck_assert_int_eq(seteuid(getuid()), 0);
}
END_TEST

START_TEST(mounts)
{
	tree_make();
	put("outside", "secret");
	ck_assert_int_eq(mkdir("other", 0755), 0);
	put("other/file", "secret");
	put("tree/bound", "");
	ck_assert_int_eq(mkdir("tree/bound-directory", 0755), 0);
	ck_assert_int_eq(mkdir("tree/mounted", 0755), 0);
	ck_assert_int_eq(mount("outside", "tree/bound", NULL, MS_BIND, NULL), 0);
	ck_assert_int_eq(mount("other", "tree/bound-directory", NULL, MS_BIND, NULL), 0);
	ck_assert_int_eq(mount("t", "tree/mounted", "tmpfs", 0, NULL), 0);
	put("tree/mounted/file", "secret");
	COLLECT(NULL);
	ck_assert_uint_eq(report.file_count, 0);
	ck_assert_uint_eq(report.why_counts[COLLECT_OTHER_MOUNT], 3);
}
END_TEST

/* A process that does its worst until the test ends. */
static pid_t start_worst(void (*once)(unsigned round))
{
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (unsigned round = 0;; round++)
			once(round);
	}
	return pid;
}

static void end_worst(pid_t pid)
{
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static void swap_once(unsigned round)
{
	static const char *const pairs[][2] = { { "tree/file", "link" },
		{ "tree/directory", "directory-link" }, { "tree/other", "pipe" },
		{ "tree/still/sub", "sub-link" }, { "tree/file", "zero" } };
	const char *const *pair = pairs[round % ARRAY_SIZE(pairs)];
	(void)renameat2(AT_FDCWD, pair[0], AT_FDCWD, pair[1], RENAME_EXCHANGE);
}

START_TEST(swaps_while_collecting)
{
	size_t collected = 0, rounds = 0;
	tree_make();
	ck_assert_int_eq(mkdir("outside", 0755), 0);
	put("outside/file", "SECRET");
	put("secret", "SECRET");
	put("tree/file", "harmless");
	ck_assert_int_eq(mkdir("tree/directory", 0755), 0);
	put("tree/directory/file", "harmless");
	ck_assert_int_eq(mkdir("tree/still", 0755), 0);
	ck_assert_int_eq(mkdir("tree/still/sub", 0755), 0);
	put("tree/still/sub/file", "harmless");
	put("tree/other", "harmless");
	ck_assert_int_eq(symlink("../secret", "link"), 0);
	ck_assert_int_eq(symlink("../outside", "directory-link"), 0);
	ck_assert_int_eq(symlink("../../outside", "sub-link"), 0);
	ck_assert_int_eq(mkfifo("pipe", 0666), 0);
	ck_assert_int_eq(mknod("zero", S_IFCHR | 0666, makedev(1, 5)), 0);
	pid_t pid = start_worst(swap_once);
	for (uint64_t end = time_monotonic_usec() + ROUNDS_MS * 1000;
		time_monotonic_usec() < end;) {
		COLLECT(NULL);
		ck_assert_ptr_null(memmem(buf_string(&got.bytes), got.bytes.size, "SECRET", 6));
		ck_assert_uint_eq(got.bytes.size, report.bytes);
		ck_assert_uint_eq(got.ended, report.file_count);
		collected += report.file_count;
		rounds++;
	}
	end_worst(pid);
	ck_assert_uint_gt(collected, 0);
	ck_assert_uint_gt(rounds, 10);
}
END_TEST

static void resize_once(unsigned round)
{
	static const off_t sizes[] = { 300000, 10, 70000, 0, 200000 };
	(void)!truncate("tree/file", sizes[round % ARRAY_SIZE(sizes)]);
	int fd = open("tree/file", O_WRONLY | O_APPEND | O_CLOEXEC);
	(void)!write(fd, "grow", 4);
	(void)close(fd);
}

START_TEST(sizes_change_while_collecting)
{
	size_t changed = 0;
	tree_make();
	put("tree/file", "x");
	put("tree/still", "still");
	pid_t pid = start_worst(resize_once);
	for (uint64_t end = time_monotonic_usec() + ROUNDS_MS * 1000;
		time_monotonic_usec() < end;) {
		COLLECT(NULL); /* the sink checks sizes and digests */
		ck_assert_uint_ge(report.file_count, 1);
		ck_assert_str_eq(report.files[report.file_count - 1].path, "still");
		ck_assert_uint_eq(got.bytes.size, report.bytes);
		changed += report.why_counts[COLLECT_CHANGED];
	}
	end_worst(pid);
	ck_assert_uint_gt(changed, 0);
}
END_TEST

static void churn_once(unsigned round)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "tree/n%u", round % 200);
	if (round / 200 % 2)
		(void)unlink(path);
	else
		(void)close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
}

START_TEST(names_come_and_go_while_collecting)
{
	tree_make();
	put("tree/still", "still");
	pid_t pid = start_worst(churn_once);
	for (uint64_t end = time_monotonic_usec() + ROUNDS_MS * 1000;
		time_monotonic_usec() < end;) {
		COLLECT(NULL);
		ck_assert_uint_ge(report.file_count, 1);
		for (size_t i = 1; i < report.file_count; i++)
			ck_assert_int_lt(strcmp(report.files[i - 1].path, report.files[i].path), 0);
	}
	end_worst(pid);
}
END_TEST

static int refuse(void *context, struct view bytes, struct err *err)
{
	(void)context;
	return err_set(err, E_LIMIT, "refused %zu", bytes.size);
}

START_TEST(faults_of_the_caller)
{
	struct err err;
	struct collect_limits limits = COLLECT_LIMITS_DEFAULT;
	const struct collect_sink sink = { .bytes = refuse };
	auto_done(collect_report) report = {};
	tree_make();
	put("tree/a", "x");
	auto_close file = open("tree/a", O_RDONLY | O_CLOEXEC);
	auto_close tree = open("tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_fails(collect_tree(file, &limits, NULL, &report, &err), E_INVALID, err);
	ck_assert_fails(collect_tree(-1, &limits, NULL, &report, &err), E_INVALID, err);
	ck_assert_fails(collect_tree(tree, &limits, &sink, &report, &err), E_LIMIT, err);
	collect_report_done(&report);
	uint32_t *const members[] = { &limits.files, &limits.entries, &limits.depth,
		&limits.name_bytes, &limits.skips };
	const uint32_t highest[] = { COLLECT_ENTRIES_MAX, COLLECT_ENTRIES_MAX, COLLECT_DEPTH_MAX,
		COLLECT_NAME_MAX, COLLECT_ENTRIES_MAX };
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		uint32_t before = *members[i];
		*members[i] = 0;
		ck_assert_fails(collect_tree(tree, &limits, NULL, &report, &err), E_INVALID, err);
		*members[i] = highest[i] + 1;
		ck_assert_fails(collect_tree(tree, &limits, NULL, &report, &err), E_INVALID, err);
		*members[i] = highest[i];
		ck_assert_ok(collect_tree(tree, &limits, NULL, &report, &err), err);
		collect_report_done(&report);
		*members[i] = before;
	}
}
END_TEST

START_TEST(printable)
{
	static const struct {
		const char *name;
		bool is_printable;
	} rows[] = {
		{ "a", true },
		{ "", false },
		{ " ~", true },
		{ "\x1f", false },
		{ "\x7f", false },
		{ "\xc2\x80", false },
		{ "\xc2\xa0", true },
		{ "\xc2\xad", false },
		{ "\xc3\xbc", true },
		{ "\xc3", false },
		{ "\xc1\xbf", false },
		{ "\xe0\x9f\xbf", false },
		{ "\xe0\xa0\x80", true },
		{ "\xe2\x80\x8b", false },
		{ "\xe2\x80\xa8", false },
		{ "\xed\x9f\xbf", true },
		{ "\xed\xa0\x80", false },
		{ "\xee\x80\x80", false },
		{ "\xef\xbf\xbd", true },
		{ "\xef\xbf\xbe", false },
		{ "\xef\xbb\xbf", false },
		{ "\xf0\x8f\xbf\xbf", false },
		{ "\xf0\x9f\x92\xa9", true },
		{ "\xf3\xa0\x80\xa0", false },
		{ "\xf4\x90\x80\x80", false },
		{ "\xf5\x80\x80\x80", false },
		{ "ok\xe2\x82", false },
		{ "\x80", false },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		ck_assert_msg(
			collect_is_printable(view_string(rows[i].name)) == rows[i].is_printable,
			"row %zu", i);
}
END_TEST

UNIT_MAIN("collect", plain_tree_in_order, empty_tree_and_no_sink, links, special_files,
	strange_names, name_limit, byte_limit, file_entry_and_skip_limits, depth_limit, deep_tree,
	long_paths, sparse_files_count_whole, modes, mounts, swaps_while_collecting,
	sizes_change_while_collecting, names_come_and_go_while_collecting, faults_of_the_caller,
	printable)
