/* The pure parts of the sandbox: filter against its table, SHA-256, messages, names. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/syscall.h>

#include "engines/sandbox/filter.h"
#include "engines/sandbox/sandbox.h"
#include "engines/sandbox/sha256.h"
#include "engines/sandbox/wire.h"
#include "unit.h"

enum { FILTER_SIZE_GOAL = 200, NUMBERS = 600 };

#define ALLOWED SECCOMP_RET_ALLOW
#define REFUSED(error) (SECCOMP_RET_ERRNO | (error))

/* The few instructions of classic BPF that the filter uses. */
static uint32_t run_filter(const struct filter *filter, const struct seccomp_data *data)
{
	uint32_t accumulator = 0;
	for (size_t at = 0; at < filter->count; at++) {
		struct sock_filter insn = filter->insns[at];
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

static uint32_t verdict(long number, uint64_t first, uint64_t second)
{
	static struct filter filter;
	struct seccomp_data data = { .nr = (int)number, .arch = AUDIT_ARCH_X86_64 };
	if (filter.count == 0)
		filter_build(&filter);
	data.args[0] = first;
	data.args[1] = second;
	return run_filter(&filter, &data);
}

START_TEST(filter_is_small_and_complete)
{
	struct filter filter;
	filter_build(&filter);
	ck_assert_uint_le(filter.count, FILTER_SIZE_GOAL);
	struct seccomp_data foreign = { .nr = SYS_read, .arch = AUDIT_ARCH_I386 };
	ck_assert_uint_eq(run_filter(&filter, &foreign), SECCOMP_RET_KILL_PROCESS);
	size_t allowed = 0;
	for (long number = 0; number < NUMBERS; number++)
		allowed += verdict(number, 0, 0) == ALLOWED;
	ck_assert_uint_ge(allowed, 225);
	ck_assert_uint_le(allowed, 250);
}
END_TEST

START_TEST(filter_verdicts)
{
	static const struct {
		long number;
		uint64_t first;
		uint64_t second;
		uint32_t expected;
	} rows[] = {
		{ SYS_read, 0, 0, ALLOWED },
		{ SYS_execve, 0, 0, ALLOWED },
		{ SYS_mount, 0, 0, REFUSED(EPERM) },
		{ SYS_ptrace, 0, 0, REFUSED(EPERM) },
		{ SYS_bpf, 0, 0, REFUSED(EPERM) },
		{ SYS_io_uring_setup, 0, 0, REFUSED(EPERM) },
		{ SYS_clone3, 0, 0, REFUSED(ENOSYS) },
		{ SYS_clone, 17, 0, ALLOWED },
		{ SYS_clone, 0x003d0f00, 0, ALLOWED }, /* pthread_create */
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
		{ SYS_prlimit64, 0, 7, ALLOWED },
		{ SYS_prlimit64, 0, 4, REFUSED(EPERM) },
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
		ck_assert_msg(
			verdict(rows[i].number, rows[i].first, rows[i].second) == rows[i].expected,
			"call %ld (%llx, %llx): %x", rows[i].number,
			(unsigned long long)rows[i].first, (unsigned long long)rows[i].second,
			verdict(rows[i].number, rows[i].first, rows[i].second));
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

UNIT_MAIN("sandbox_parts", filter_is_small_and_complete, filter_verdicts, sha256_vectors,
	plans_travel, broken_plans, events_travel, everything_has_a_name)
