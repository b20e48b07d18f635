/* The pure parts of the sandbox: filter against its table, SHA-256, messages, names, lock lists. */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engines/sandbox/filter.h"
#include "engines/sandbox/filter_numbers.h"
#include "engines/sandbox/locks.h"
#include "engines/sandbox/open_files.h"
#include "engines/sandbox/sandbox.h"
#include "engines/sandbox/sha256.h"
#include "engines/sandbox/wire.h"
#include "kit/base/fd.h"
#include "unit.h"

enum { FILTER_SIZE_GOAL = 209, LOCK_SIZE_GOAL = 64, NUMBERS = 1024, X32 = 0x40000000 };

#define ALLOWED SECCOMP_RET_ALLOW
#define REFUSED(error) (SECCOMP_RET_ERRNO | (error))

/* The few instructions of classic BPF that the filter uses. */
static uint32_t run_filter(const struct sock_fprog *filter, const struct seccomp_data *data)
{
	uint32_t accumulator = 0;
	for (size_t at = 0; at < filter->len; at++) {
		struct sock_filter insn = filter->filter[at];
		bool is_true = false;
		switch (insn.code) {
		case BPF_LD | BPF_W | BPF_ABS:
			memcpy(&accumulator, (const uint8_t *)data + insn.k, sizeof(accumulator));
			continue;
		case BPF_RET | BPF_K:
			return insn.k;
		case BPF_JMP | BPF_JEQ | BPF_K:
			is_true = accumulator == insn.k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			is_true = accumulator >= insn.k;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			is_true = accumulator & insn.k;
			break;
		default:
			ck_abort_msg("instruction %x", insn.code);
		}
		at += is_true ? insn.jt : insn.jf;
	}
	ck_abort_msg("ran off the end");
}

/* As the kernel: the stricter answer (a smaller signed action), of equals the later filter's. */
static uint32_t combined(const struct seccomp_data *data)
{
	uint32_t lock = run_filter(&filter_programs[FILTER_LOCK], data);
	uint32_t base = run_filter(&filter_programs[FILTER_BASE], data);
	int32_t lock_action = (int32_t)(lock & SECCOMP_RET_ACTION_FULL);
	int32_t base_action = (int32_t)(base & SECCOMP_RET_ACTION_FULL);
	return base_action < lock_action ? base : lock;
}

static struct seccomp_data call(long number, uint64_t first, uint64_t second)
{
	struct seccomp_data data = { .nr = (int)number, .arch = AUDIT_ARCH_X86_64 };
	data.args[0] = first;
	data.args[1] = second;
	return data;
}

static uint32_t verdict(long number, uint64_t first, uint64_t second, uint64_t third)
{
	struct seccomp_data data = call(number, first, second);
	data.args[2] = third;
	return combined(&data);
}

static uint32_t supervisor_verdict(long number)
{
	struct seccomp_data data = call(number, 1, 0); /* 1: AF_UNIX for socket */
	return run_filter(&filter_programs[FILTER_BASE], &data);
}

START_TEST(filter_is_small_and_complete)
{
	size_t base = filter_programs[FILTER_BASE].len;
	size_t lock = filter_programs[FILTER_LOCK].len;
	ck_assert_uint_le(base + lock, FILTER_SIZE_GOAL);
	ck_assert_uint_le(lock, LOCK_SIZE_GOAL);
	struct seccomp_data foreign = { .arch = AUDIT_ARCH_I386 };
	for (foreign.nr = 0; foreign.nr < NUMBERS; foreign.nr++)
		ck_assert_uint_eq(combined(&foreign), SECCOMP_RET_KILL_PROCESS);
	size_t allowed = 0;
	for (long number = 0; number < NUMBERS; number++)
		allowed += verdict(number, 0, 0, 0) == ALLOWED;
	ck_assert_uint_ge(allowed, 225);
	ck_assert_uint_le(allowed, 250);
}
END_TEST

/* What the table says of each number, arguments aside (all zero). */
enum listed {
	LISTED_NOT,
	LISTED_ALLOW,
	LISTED_CHECK,
	LISTED_FAKE,
	LISTED_NOSYS,
	LISTED_NOTSUP,
	LISTED_LATER
};

#define ALLOW(name) [SYS_##name] = LISTED_ALLOW,
#define CHECK(name, rule) [SYS_##name] = LISTED_CHECK,
#define FAKE(name) [SYS_##name] = LISTED_FAKE,
#define NOSYS(name) [SYS_##name] = LISTED_NOSYS,
#define NOTSUP(name) [SYS_##name] = LISTED_NOTSUP,
#define LATER(name, rule) [SYS_##name] = LISTED_LATER,

START_TEST(every_number_is_what_the_table_says)
{
	static const uint8_t listed[NUMBERS] = {
#include "engines/sandbox/filter_table.h"
	};
	for (long number = 0; number < NUMBERS; number++) {
		bool is_known = number <= 334 || (number >= 424 && number <= 469);
		uint32_t unlisted = REFUSED(is_known ? EPERM : ENOSYS);
		uint32_t payload = verdict(number, 0, 0, 0);
		uint32_t supervisor = supervisor_verdict(number);
		bool is_right = false;
		if (listed[number] == LISTED_NOT)
			is_right = payload == unlisted && supervisor == unlisted;
		if (listed[number] == LISTED_ALLOW)
			is_right = payload == ALLOWED && supervisor == ALLOWED;
		if (listed[number] == LISTED_FAKE)
			is_right = payload == REFUSED(0) && supervisor == REFUSED(0);
		if (listed[number] == LISTED_NOSYS)
			is_right = payload == REFUSED(ENOSYS) && supervisor == REFUSED(ENOSYS);
		if (listed[number] == LISTED_NOTSUP)
			is_right = payload == REFUSED(ENOTSUP) && supervisor == REFUSED(ENOTSUP);
		if (listed[number] == LISTED_CHECK) /* filter_verdicts looks at the arguments */
			is_right = payload == ALLOWED || (payload & SECCOMP_RET_ERRNO);
		if (listed[number] == LISTED_LATER)
			is_right = supervisor == ALLOWED &&
				   (payload != ALLOWED || number == SYS_prlimit64);
		ck_assert_msg(is_right, "number %ld: payload %x, supervisor %x", number, payload,
			supervisor);
		ck_assert_uint_eq(verdict(X32 | number, 0, 0, 0), REFUSED(ENOSYS));
	}
}
END_TEST

START_TEST(filter_verdicts)
{
	static const struct {
		long number;
		uint64_t first;
		uint64_t second;
		uint32_t expected;
		uint64_t third;
	} rows[] = {
		{ SYS_read, 0, 0, ALLOWED },
		{ SYS_execve, 0, 0, ALLOWED },
		{ SYS_mount, 0, 0, REFUSED(EPERM) },
		{ SYS_ptrace, 0, 0, REFUSED(EPERM) },
		{ SYS_bpf, 0, 0, REFUSED(EPERM) },
		{ SYS_io_uring_setup, 0, 0, REFUSED(EPERM) },
		{ SYS_clone3, 0, 0, REFUSED(ENOSYS) },
		{ SYS_prctl, PR_SET_NAME, 0, ALLOWED },
		{ SYS_prctl, PR_SET_SECCOMP, 0, REFUSED(EPERM) },
		{ SYS_prctl, PR_CAP_AMBIENT, 0, REFUSED(EPERM) },
		{ SYS_seccomp, 1, 0, REFUSED(EPERM) },
		{ SYS_setns, 0, 0, REFUSED(EPERM) },
		{ SYS_clone, 17, 0, ALLOWED },
		{ SYS_clone, 0x003d0f00, 0, ALLOWED },        /* pthread_create */
		{ SYS_clone, 0x003d0b00, 0, REFUSED(EPERM) }, /* with files of its own */
		{ SYS_clone, 0x4100 | 17, 0, ALLOWED },       /* posix_spawn */
		{ SYS_clone, 0x400 | 17, 0, REFUSED(EPERM) },
		{ SYS_clone, 0x4500 | 17, 0, REFUSED(EPERM) },
		{ SYS_clone, 0x10000000 | 0x003d0f00, 0, REFUSED(EPERM) },
		{ SYS_clone, 0x10000000 | 17, 0, REFUSED(EPERM) },
		{ SYS_clone, 0x00800000 | 17, 0, REFUSED(EPERM) },
		{ SYS_clone, 0x00008000 | 17, 0, REFUSED(EPERM) },
		{ SYS_socket, 1, 0, ALLOWED },
		{ SYS_socket, 2, 0, REFUSED(EAFNOSUPPORT) },
		{ SYS_socket, 40, 0, REFUSED(EAFNOSUPPORT) },
		{ SYS_socket, 1ull << 32 | 2, 0, REFUSED(EAFNOSUPPORT) },
		{ SYS_ioctl, 0, 0x5401, ALLOWED },
		{ SYS_ioctl, 0, 0x5412, REFUSED(EPERM) },
		{ SYS_ioctl, 0, 1ull << 32 | 0x5412, REFUSED(EPERM) },
		{ SYS_ioctl, 0, 0x8933, ALLOWED }, /* SIOCGIFINDEX */
		{ SYS_ioctl, 0, 0x893f, ALLOWED },
		{ SYS_ioctl, 0, 0x8940, REFUSED(EPERM) }, /* SIOCGIFBR */
		{ SYS_ioctl, 0, 0x8982, REFUSED(EPERM) }, /* SIOCGIFVLAN */
		{ SYS_ioctl, 0, 0x89ff, REFUSED(EPERM) },
		{ SYS_ioctl, 0, 0x8a00, ALLOWED },
		{ SYS_ioctl, 0, 0x80086601, ALLOWED },        /* FS_IOC_GETFLAGS */
		{ SYS_ioctl, 0, 0x40086602, REFUSED(EPERM) }, /* FS_IOC_SETFLAGS */
		{ SYS_ioctl, 0, 0x401c5820, REFUSED(EPERM) }, /* FS_IOC_FSSETXATTR */
		{ SYS_setsockopt, 0, SOL_SOCKET, ALLOWED, SO_SNDBUF },
		{ SYS_setsockopt, 0, SOL_SOCKET, REFUSED(EPERM), SO_ATTACH_FILTER },
		{ SYS_setsockopt, 0, SOL_SOCKET, REFUSED(EPERM), SO_ATTACH_BPF },
		{ SYS_setsockopt, 0, SOL_SOCKET, REFUSED(EPERM), SO_ATTACH_REUSEPORT_CBPF },
		{ SYS_setsockopt, 0, SOL_SOCKET, REFUSED(EPERM), SO_ATTACH_REUSEPORT_EBPF },
		{ SYS_fcntl, 0, F_SETLKW, ALLOWED },
		{ SYS_fcntl, 0, 35, ALLOWED },
		{ SYS_fcntl, 0, F_OFD_GETLK, REFUSED(EINVAL) },
		{ SYS_fcntl, 0, F_OFD_SETLK, REFUSED(EINVAL) },
		{ SYS_fcntl, 0, 1ull << 32 | F_OFD_SETLKW, REFUSED(EINVAL) },
		{ SYS_fcntl, 0, F_SETLEASE, REFUSED(EINVAL) },
		{ SYS_fcntl, 0, F_NOTIFY, REFUSED(EINVAL) },
		{ SYS_fcntl, 0, 39, ALLOWED },
		{ SYS_prlimit64, 0, 7, ALLOWED },
		{ SYS_prlimit64, 0, 4, ALLOWED, 0 }, /* reads RLIMIT_CORE */
		{ SYS_prlimit64, 0, 4, REFUSED(EPERM), 1 },
		{ SYS_prlimit64, 0, 4, REFUSED(EPERM), 1ull << 32 },
		{ SYS_setrlimit, 4, 0, REFUSED(EPERM) },
		{ SYS_memfd_create, 0, 1, ALLOWED },
		{ SYS_memfd_create, 0, 0x10, REFUSED(EPERM) },
		{ SYS_personality, 0xffffffff, 0, ALLOWED },
		{ SYS_personality, 0x0040000, 0, REFUSED(EPERM) },
		{ SYS_sync, 0, 0, REFUSED(0) },
		{ 334, 0, 0, ALLOWED },         /* rseq, the last before the gap */
		{ 335, 0, 0, REFUSED(ENOSYS) }, /* never assigned */
		{ 423, 0, 0, REFUSED(ENOSYS) },
		{ 424, 0, 0, ALLOWED },        /* pidfd_send_signal */
		{ 469, 0, 0, REFUSED(EPERM) }, /* the last one known */
		{ 470, 0, 0, REFUSED(ENOSYS) },
		{ 0x40000000 | SYS_read, 0, 0, REFUSED(ENOSYS) }, /* x32 */
		{ -1, 0, 0, REFUSED(ENOSYS) },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		ck_assert_msg(verdict(rows[i].number, rows[i].first, rows[i].second,
				      rows[i].third) == rows[i].expected,
			"call %ld (%llx, %llx): %x", rows[i].number,
			(unsigned long long)rows[i].first, (unsigned long long)rows[i].second,
			verdict(rows[i].number, rows[i].first, rows[i].second, rows[i].third));
}
END_TEST

static void check_digest(const char *unit, size_t times, const uint8_t expected[4])
{
	struct sha256 hash;
	uint8_t digest[32];
	sha256_init(&hash);
	for (size_t i = 0; i < times; i++)
		sha256_add(&hash, unit, strlen(unit));
	sha256_end(&hash, digest);
	ck_assert_int_eq(memcmp(digest, expected, 4), 0);
}

/* In one piece, where the processor may have instructions for it, and in pieces too small. */
START_TEST(sha256_of_much)
{
	enum { MOST = 3 * 4096 };
	static uint8_t bytes[MOST];
	struct sha256 hash;
	uint8_t digests[2][32];
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * i >> 3);
	for (size_t first = 0; first < 130; first++)
		for (size_t size = 4096 - 65; size <= MOST - first; size += 61) {
			sha256_init(&hash);
			sha256_add(&hash, bytes, first);
			sha256_add(&hash, bytes + first, size);
			sha256_end(&hash, digests[0]);
			sha256_init(&hash);
			for (size_t at = 0; at < first + size; at += 63)
				sha256_add(&hash, bytes + at, MIN((size_t)63, first + size - at));
			sha256_end(&hash, digests[1]);
			ck_assert_mem_eq(digests[0], digests[1], 32);
		}
}
END_TEST

/* FIPS 180-4 examples, and every place of the padding. */
START_TEST(sha256_vectors)
{
	check_digest("", 1, (const uint8_t[]){ 0xe3, 0xb0, 0xc4, 0x42 });
	check_digest("abc", 1, (const uint8_t[]){ 0xba, 0x78, 0x16, 0xbf });
	check_digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
		(const uint8_t[]){ 0x24, 0x8d, 0x6a, 0x61 });
	check_digest("a", 1000000, (const uint8_t[]){ 0xcd, 0xc7, 0x6e, 0x5c });
	check_digest("a", 55, (const uint8_t[]){ 0x9f, 0x43, 0x90, 0xf8 });
	check_digest("a", 56, (const uint8_t[]){ 0xb3, 0x54, 0x39, 0xa4 });
	check_digest("a", 64, (const uint8_t[]){ 0xff, 0xe0, 0x54, 0xfe });
}
END_TEST

static const char *const argv[] = { "python3", "main.py", "", NULL };
static const char *const env[] = { "A=1", NULL };

static void encode(struct buf *message)
{
	struct sandbox_plan plan = { .argv = argv,
		.env = env,
		.limits = SANDBOX_LIMITS_DEFAULT,
		.trace = SANDBOX_TRACE_EXEC,
		.may_lack = SANDBOX_LAYERS_BELTS };
	struct err err;
	ck_assert_ok(
		wire_encode_plan(WIRE_PLAN, SANDBOX_TIER_HOT, &plan, 0x41, message, &err), err);
}

START_TEST(plans_travel)
{
	static struct wire_parsed parsed;
	struct err err;
	auto_done(buf) message = {};
	encode(&message);
	ck_assert_ok(wire_decode_plan(buf_view(&message), &parsed, &err), err);
	for (size_t i = 0; i < ARRAY_SIZE(argv) - 1; i++)
		ck_assert_str_eq(parsed.plan.argv[i], argv[i]);
	ck_assert_ptr_null(parsed.plan.argv[3]);
	ck_assert_str_eq(parsed.plan.env[0], "A=1");
	ck_assert_ptr_null(parsed.plan.env[1]);
	ck_assert_str_eq(parsed.plan.cwd, "/work");
	ck_assert_str_eq(parsed.plan.hostname, "sandbox");
	ck_assert_uint_eq(parsed.file_mask, 0x41);
	ck_assert_int_eq(parsed.tier, SANDBOX_TIER_HOT);
}
END_TEST

START_TEST(broken_plans)
{
	static struct wire_parsed parsed;
	struct err err;
	auto_done(buf) message = {};
	encode(&message);
	for (size_t size = 0; size < message.size; size++)
		ck_assert_fails(wire_decode_plan(view_of(message.data, size), &parsed, &err),
			E_INTEGRITY, err);
	message.data[message.size - 1] = 'x'; /* the last string does not end */
	ck_assert_fails(wire_decode_plan(buf_view(&message), &parsed, &err), E_INTEGRITY, err);
	struct wire_plan *head = (struct wire_plan *)(void *)message.data;
	head->argc = UINT32_MAX;
	ck_assert_fails(wire_decode_plan(buf_view(&message), &parsed, &err), E_INTEGRITY, err);
	head->head.version++;
	ck_assert_fails(wire_decode_plan(buf_view(&message), &parsed, &err), E_INTEGRITY, err);
}
END_TEST

START_TEST(events_travel)
{
	struct sandbox_event event = { .kind = SANDBOX_EVENT_EXEC, .pid = 3, .path = "/bin/x" };
	struct sandbox_event got;
	struct err err;
	size_t size = wire_event_size(&event);
	ck_assert_ok(wire_decode_event(view_of(&event, size), &got, &err), err);
	ck_assert_str_eq(got.path, "/bin/x");
	ck_assert_fails(wire_decode_event(view_of(&event, size - 1), &got, &err), E_INTEGRITY, err);
	ck_assert_fails(wire_decode_event(view_of(&event, size + 1), &got, &err), E_INTEGRITY, err);
	event.kind = SANDBOX_EVENT_NONE;
	ck_assert_fails(wire_decode_event(view_of(&event, size), &got, &err), E_INTEGRITY, err);
	event.kind = SANDBOX_EVENT_COUNT;
	ck_assert_fails(wire_decode_event(view_of(&event, size), &got, &err), E_INTEGRITY, err);
	event.kind = SANDBOX_EVENT_DONE;
	event.result.cause = SANDBOX_CAUSE_COUNT;
	ck_assert_fails(
		wire_decode_event(view_of(&event, sizeof(event)), &got, &err), E_INTEGRITY, err);
}
END_TEST

START_TEST(everything_has_a_name)
{
	for (unsigned i = 0; i < SANDBOX_CAUSE_COUNT; i++)
		ck_assert_uint_gt(strlen(sandbox_cause_name(i)), 0);
	for (unsigned i = 0; i < SANDBOX_LAYER_COUNT; i++)
		ck_assert_uint_gt(strlen(sandbox_layer_name(i)), 0);
	for (unsigned i = 0; i < SANDBOX_TIER_COUNT; i++)
		ck_assert_uint_gt(strlen(sandbox_tier_name(i)), 0);
	for (unsigned i = 0; i < SANDBOX_BACKEND_COUNT; i++)
		ck_assert_uint_gt(strlen(sandbox_backend_name(i)), 0);
	for (unsigned i = 0; i < SANDBOX_TRACE_COUNT; i++)
		ck_assert_uint_gt(strlen(sandbox_trace_name(i)), 0);
}
END_TEST

static bool look_at_locks(int dir)
{
	struct locks_look look = {};
	while (locks_look_on(&look, dir))
		continue;
	bool are_too_many = locks_are_too_many(&look);
	locks_look_end(&look);
	return are_too_many;
}

/* A list of so many locks, of which the first comes so many times more. */
static bool are_too_many(int dir, const char *pid, int locks, int repeated)
{
	struct err err;
	auto_done(buf) list = {};
	for (int i = 0; i < locks + repeated; i++)
		ck_assert_ok(buf_append_format(&list, &err,
				     "%d: -> POSIX  ADVISORY  WRITE %s 00:2a:7 %d %d\n", i + 1, pid,
				     MAX(i - repeated, 0), MAX(i - repeated, 0)),
			err);
	auto_close fd = openat(dir, "locks", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_ok(fd_write_all(fd, buf_view(&list), &err), err);
	return look_at_locks(dir);
}

START_TEST(locks_are_counted_once)
{
	char path[] = "/tmp/cupel-locks-XXXXXX";
	struct err err;
	auto_close dir = -1;
	ck_assert_ptr_nonnull(mkdtemp(path));
	ck_assert_ok(fd_open(path, O_RDONLY | O_DIRECTORY, 0, &dir, &err), err);
	ck_assert(!look_at_locks(dir)); /* no list */
	ck_assert(!are_too_many(dir, "42", 0, 0));
	ck_assert(
		!are_too_many(dir, "42", LOCKS_MAX - 80, 0)); /* parts of a file end within lines */
	ck_assert(are_too_many(dir, "42", LOCKS_MAX + 80, 0));
	ck_assert(!are_too_many(dir, "-1", 2 * LOCKS_MAX, 0)); /* of an open file description */
	ck_assert(!are_too_many(dir, "0", 2 * LOCKS_MAX, 0));  /* a wait of another's */
	ck_assert(!are_too_many(dir, "42", 1, 2 * LOCKS_MAX));
	ck_assert(are_too_many(dir, "42", LOCKS_MAX + 80, 2 * LOCKS_MAX));
	ck_assert(!are_too_many(dir, "42", 1, 4 * LOCKS_MAX - 80));
	ck_assert(are_too_many(dir, "42", 1, 4 * LOCKS_MAX + 80)); /* no list is that long */
	ck_assert_int_eq(unlinkat(dir, "locks", 0), 0);
	ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

static void write_text(int dir, const char *path, const char *text)
{
	struct err err;
	auto_close fd = openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_ok(fd_write_all(fd, view_of(text, strlen(text)), &err), err);
}

static size_t count_open_files(int proc)
{
	struct open_files_look look = OPEN_FILES_LOOK;
	while (open_files_look_on(&look, proc))
		continue;
	size_t count = look.count;
	open_files_look_end(&look);
	return count;
}

/* As before Linux 6.2, without the directory fd. */
START_TEST(open_files_are_counted)
{
	static const char *const dirs[] = { "sys", "1", "1/task", "1/task/1", "7", "7/task",
		"7/task/7", "7/task/8", "7/task/9" };
	static const char *const files[] = { "1/task/1/status", "1/task/1/maps", "7/task/7/status",
		"7/task/7/maps", "7/task/8/status", "7/task/8/maps", "7/task/9/status",
		"7/task/9/maps" };
	char path[] = "/tmp/cupel-proc-XXXXXX";
	static const char row[] = "0-1 r--s 00000000 00:2a 7                  /work/00:00 0 \n";
	static const char other[] = "0-1 rw-p 00000000 00:00 0 \n";
	static char maps[2000 * (sizeof(row) + sizeof(other))];
	struct err err;
	auto_close dir = -1;
	ck_assert_ptr_nonnull(mkdtemp(path));
	ck_assert_ok(fd_open(path, O_RDONLY | O_DIRECTORY, 0, &dir, &err), err);
	ck_assert_uint_eq(count_open_files(-1), 0);
	ck_assert_uint_eq(count_open_files(dir), 0);
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		ck_assert_int_eq(mkdirat(dir, dirs[i], 0700), 0);
	ck_assert_uint_eq(count_open_files(dir), 0);
	for (size_t i = 0; i < 2000; i++) /* of several pages, which end within lines */
		strcat(strcpy(maps + i * (sizeof(row) + sizeof(other) - 2), other), row);
	write_text(dir, "1/task/1/status", "Name:\tinit\nFDSize:\t64\nGroups:\t\n");
	write_text(dir, "1/task/1/maps", row);
	write_text(dir, "7/task/7/status", "State:\tZ\nFDSize:\t0\n"); /* a dead first thread */
	write_text(dir, "7/task/7/maps", "");
	for (size_t i = 4; i < ARRAY_SIZE(files); i++) /* two that share */
		write_text(dir, files[i], i % 2 ? maps : "State:\tR\nFDSize:\t256\n");
	size_t count = count_open_files(dir);
	/* The kernel ends pages with lines; here halves of some are counted. */
	ck_assert_uint_ge(count, 64 + 1 + 256 + 2000);
	ck_assert_uint_le(count, 64 + 1 + 256 + 2000 + 2 * (sizeof(maps) / 4096 + 1));
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		ck_assert_int_eq(unlinkat(dir, files[i], 0), 0);
	for (size_t i = ARRAY_SIZE(dirs); i > 0; i--)
		ck_assert_int_eq(unlinkat(dir, dirs[i - 1], AT_REMOVEDIR), 0);
	ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

UNIT_MAIN("sandbox_parts", filter_is_small_and_complete, every_number_is_what_the_table_says,
	filter_verdicts, sha256_vectors, sha256_of_much, plans_travel, broken_plans, events_travel,
	everything_has_a_name, locks_are_counted_once, open_files_are_counted)
