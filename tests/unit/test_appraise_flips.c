/*
 * Single changes to whole valid files of the vectors that no signature covers by itself: event logs
 * (all that is extended or hashed shows in registers, digests or form) and Azure's HCL reports.
 * Quotes, reports and tokens: test_appraise_limits.c, _snp.c, _tpm.c, _token.c.
 */
#include "appraise_load.h"
#include "kit/base/mem.h"
#include "rules/appraise/eventlog.h"

enum { DATA_STEP = 7, DIGEST_STEP = 3, CUT_STEP = 5, HCL_STEP = 3 };
enum { HCL_HEADER = 32, HCL_RUNTIME = 0x4c0, TDREPORT_SIZE = 1024, TDREPORT_DATA = 128 };

static size_t tried, flips;

struct log_case {
	struct view log; /* a copy that may be changed */
	uint8_t *bytes;
	enum hash_kind hash;
	bool is_cc;
	struct eventlog_replay right;
};

static bool is_seen(const struct log_case *l)
{
	struct eventlog_replay got;
	flips++;
	return !eventlog_replay(l->log, l->hash, l->is_cc, &got) || got.has_data_fault ||
	       memcmp(got.registers, l->right.registers, sizeof(got.registers)) != 0;
}

static void must_see_flips(
	const struct log_case *l, struct view part, size_t step, const char *what)
{
	for (size_t i = 0; i < part.size; i += step) {
		size_t at = (size_t)(part.data - l->bytes) + i;
		l->bytes[at] ^= (uint8_t)(1U << (i * 5) % 8);
		ck_assert_msg(is_seen(l), "%s at %zu flipped and not seen", what, at);
		l->bytes[at] ^= (uint8_t)(1U << (i * 5) % 8);
	}
}

static bool is_hashed(uint32_t type)
{
	return type == 4 || type == 0x11 || type == 0x80000001 || type == 0x80000006 ||
	       type == 0x80000007;
}

/* Index, digest and, where its hash is the digest, the data of every extended event. */
static size_t flip_events(const struct log_case *l)
{
	struct eventlog log;
	struct eventlog_event event;
	size_t offset, end = 0;
	ck_assert(eventlog_open(l->log, &log, &offset));
	for (;;) {
		size_t begin = log.reader.offset;
		if (eventlog_next(&log, &event) <= 0)
			return end;
		if (event.type == EVENTLOG_NO_ACTION)
			continue;
		end = log.reader.offset;
		must_see_flips(l, view_of(l->bytes + begin, 4), 1, "an index");
		must_see_flips(l, eventlog_digest(&log, &event, l->hash), DIGEST_STEP, "a digest");
		if (is_hashed(event.type))
			must_see_flips(l, event.data, DATA_STEP, "hashed data");
	}
}

static int run_log(struct vector_case *c)
{
	struct log_case l = {};
	struct view original = case_file(c, json_as_string(json_get(c->json, "log")));
	auto_free uint8_t *copy = mem_alloc(original.size, 1);
	memcpy(copy, original.data, original.size);
	l.bytes = copy;
	l.log = view_of(copy, original.size);
	l.is_cc = json_get(c->json, "registers_are") != NULL;
	l.hash = policy_is(c->json, "bank", "sha384") ? HASH_SHA384
		 : policy_is(c->json, "bank", "sha1") ? HASH_SHA1
						      : HASH_SHA256;
	ck_assert(eventlog_replay(l.log, l.hash, l.is_cc, &l.right));
	ck_assert(!l.right.has_data_fault);
	size_t end = flip_events(&l);
	for (size_t cut = 0; cut < end; cut += CUT_STEP) {
		l.log.size = cut;
		ck_assert_msg(is_seen(&l), "cut at %zu of %zu and not seen", cut, end);
	}
	tried++;
	return 0;
}

START_TEST(event_logs)
{
	run_suite("tpm", "eventlogs.json", run_log);
	printf("%zu logs, %zu changes\n", tried, flips);
	ck_assert_uint_eq(tried, 9);
	ck_assert_uint_gt(flips, 5000);
}
END_TEST

/* Bytes that mean something: all but the header behind the magic and the TDREPORT's own fields. */
static bool is_counted(size_t at, bool is_snp)
{
	if (at < HCL_HEADER)
		return at < 4;
	size_t in = at - HCL_HEADER;
	return is_snp || in >= TDREPORT_SIZE || (in >= TDREPORT_DATA && in < TDREPORT_DATA + 64);
}

static int run_hcl(struct vector_case *c)
{
	static struct azure_case t;
	struct appraise_result result;
	load_azure(c, &t);
	appraise_azure(&t.input, &result);
	if (!result.is_accepted)
		return 0;
	auto_done(appraise_memo) memo = {};
	t.input.memo = &memo;
	bool is_snp = t.input.snp.vek.size > 0;
	size_t size = t.input.hcl.size;
	auto_free uint8_t *copy = mem_alloc(size, 1);
	memcpy(copy, t.input.hcl.data, size);
	t.input.hcl = view_of(copy, size);
	for (size_t at = 0; at < size; at++) {
		bool is_skipped = at >= HCL_HEADER && at < HCL_RUNTIME &&
				  at % HCL_STEP != tried % 3;
		if (!is_counted(at, is_snp) || (is_skipped && !getenv("CUPEL_SLOW")))
			continue;
		copy[at] ^= (uint8_t)(1U << (at * 5) % 8);
		appraise_azure(&t.input, &result);
		ck_assert_msg(!result.is_accepted, "byte %zu flipped and accepted", at);
		copy[at] ^= (uint8_t)(1U << (at * 5) % 8);
	}
	size_t padded = size;
	while (padded > 0 && copy[padded - 1] == 0)
		padded--;
	for (size_t cut = 0; cut < padded; cut++) {
		t.input.hcl.size = cut;
		appraise_azure(&t.input, &result);
		ck_assert_msg(!result.is_accepted, "cut after %zu and accepted", cut);
	}
	tried++;
	return 0;
}

START_TEST(hcl_reports)
{
	run_suite("tpm/azure", "cases.json", run_hcl);
	ck_assert_uint_eq(tried, 4);
}
END_TEST

UNIT_MAIN("appraise_flips", event_logs, hcl_reports)
