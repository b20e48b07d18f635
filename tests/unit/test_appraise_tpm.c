/* TPM, Azure and event-log appraisal against the shared vectors, then properties. */
#include "appraise_load.h"
#include "kit/base/mem.h"
#include "rules/appraise/eventlog.h"
#include "rules/appraise/tpm_internal.h"

static int run_tpm(struct vector_case *c)
{
	struct tpm_case t;
	struct appraise_result result;
	load_tpm(c, &t);
	appraise_tpm(&t.input, &result);
	return case_disagrees(c, result.is_accepted, first_reason(&result));
}

START_TEST(real_quotes)
{
	ck_assert_uint_gt(run_suite("tpm", "real.json", run_tpm), 0);
}
END_TEST

START_TEST(simulated_quotes)
{
	ck_assert_uint_gt(run_suite("tpm/sim", "cases.json", run_tpm), 0);
}
END_TEST

static bool is_tried;

/* Every bit and every length of the quote and its signature, of every valid case. */
static int run_flips(struct vector_case *c)
{
	struct tpm_case t;
	struct appraise_result result;
	load_tpm(c, &t);
	appraise_tpm(&t.input, &result);
	if (!result.is_accepted)
		return 0;
	is_tried = true;
	t.input.event_log = (struct view){};
	t.policy.tpm.is_event_log_required = false;
	struct view *const parts[] = { &t.input.attest, &t.input.signature };
	for (size_t part = 0; part < ARRAY_SIZE(parts); part++) {
		struct view original = *parts[part];
		auto_free uint8_t *copy = mem_alloc(original.size, 1);
		memcpy(copy, original.data, original.size);
		*parts[part] = view_of(copy, original.size);
		for (size_t bit = 0; bit < original.size * 8; bit++) {
			copy[bit / 8] ^= (uint8_t)(1U << bit % 8);
			appraise_tpm(&t.input, &result);
			ck_assert_msg(!result.is_accepted, "part %zu bit %zu accepted", part, bit);
			copy[bit / 8] ^= (uint8_t)(1U << bit % 8);
		}
		for (size_t cut = 0; cut < original.size; cut++) {
			*parts[part] = view_of(copy, cut);
			appraise_tpm(&t.input, &result);
			ck_assert_msg(!result.is_accepted, "part %zu cut %zu accepted", part, cut);
			ck_assert_uint_gt(result.reason_count, 0);
		}
		*parts[part] = original;
	}
	return 0;
}

START_TEST(no_flipped_bit_and_no_truncation_is_accepted)
{
	run_suite("tpm/sim", "cases.json", run_flips);
	ck_assert(is_tried);
	is_tried = false;
	run_suite("tpm", "real.json", run_flips);
	ck_assert(is_tried);
}
END_TEST

static int run_azure(struct vector_case *c)
{
	static struct azure_case t;
	struct appraise_result result;
	load_azure(c, &t);
	appraise_azure(&t.input, &result);
	return case_disagrees(c, result.is_accepted, first_reason(&result));
}

START_TEST(azure_evidence)
{
	ck_assert_uint_gt(run_suite("tpm/azure", "cases.json", run_azure), 0);
}
END_TEST

/* Report data that the policy names: of the hardware's report; a TPM quote shows its hash. */
static int run_azure_report_data(struct vector_case *c)
{
	static const uint8_t others[64] = { 1 };
	static struct azure_case t;
	struct appraise_result result;
	load_azure(c, &t);
	appraise_azure(&t.input, &result);
	if (!result.is_accepted)
		return 0;
	is_tried = true;
	t.policy.report_data = view_of(others, sizeof(others));
	appraise_azure(&t.input, &result);
	ck_assert(!result.is_accepted);
	const char *code = first_reason(&result);
	ck_assert(str_equal(code, "td.report_data") || str_equal(code, "snp.report_data"));
	size_t at = 32 + (t.input.snp.vek.size > 0 ? 0x50 : 128);
	t.policy.report_data = view_of(t.input.hcl.data + at, 64);
	appraise_azure(&t.input, &result);
	ck_assert_msg(result.is_accepted, "%s", first_reason(&result));
	return 0;
}

static int run_tpm_report_data(struct vector_case *c)
{
	static const uint8_t data[64] = { 1 };
	struct tpm_case t;
	struct appraise_result result;
	load_tpm(c, &t);
	appraise_tpm(&t.input, &result);
	if (!result.is_accepted)
		return 0;
	is_tried = true;
	t.policy.report_data = view_of(data, sizeof(data));
	appraise_tpm(&t.input, &result);
	ck_assert_str_eq(first_reason(&result), "tpm.nonce");
	return 0;
}

START_TEST(expected_report_data_is_never_left_out)
{
	is_tried = false;
	run_suite("tpm/azure", "cases.json", run_azure_report_data);
	ck_assert(is_tried);
	is_tried = false;
	run_suite("tpm/sim", "cases.json", run_tpm_report_data);
	ck_assert(is_tried);
}
END_TEST

static int run_log(struct vector_case *c)
{
	struct view log = case_file(c, json_as_string(json_get(c->json, "log")));
	const char *id = json_as_string(json_get(c->json, "id"));
	bool is_cc = json_get(c->json, "registers_are") != NULL;
	enum hash_kind hash = policy_is(c->json, "bank", "sha384") ? HASH_SHA384
			      : policy_is(c->json, "bank", "sha1") ? HASH_SHA1
								   : HASH_SHA256;
	struct eventlog_replay replay;
	if (!eventlog_replay(log, hash, is_cc, &replay)) {
		printf("%s: malformed\n", id);
		return 1;
	}
	int wrong = replay.event_count == (size_t)json_as_integer(json_get(c->json, "events")) ? 0
											       : 1;
	if (wrong)
		printf("%s: %zu events\n", id, replay.event_count);
	const struct json *registers = json_get(c->json, "registers");
	size_t compared = 0;
	for (size_t i = 0; i < EVENTLOG_REGISTERS; i++) {
		char name[8];
		(void)snprintf(name, sizeof(name), "%zu", i);
		struct view expected = case_hex(c, json_get(registers, name));
		if (expected.size == 0)
			continue;
		compared++;
		if (!view_equal(expected, view_of(replay.registers[i], expected.size))) {
			printf("%s: register %zu differs\n", id, i);
			wrong = 1;
		}
	}
	ck_assert_uint_eq(compared, json_size(registers));
	if (replay.has_data_fault) {
		printf("%s: data digest at %zu\n", id, replay.fault_offset);
		wrong = 1;
	}
	return wrong;
}

START_TEST(event_logs)
{
	ck_assert_uint_gt(run_suite("tpm", "eventlogs.json", run_log), 0);
}
END_TEST

/* A buffer of padding is no log without events. */
START_TEST(padding_alone_is_no_log)
{
	uint8_t bytes[100] = {};
	struct eventlog_replay replay;
	ck_assert(!eventlog_replay(view_of(bytes, sizeof(bytes)), HASH_SHA256, false, &replay));
	ck_assert(!eventlog_replay(view_of(bytes, 0), HASH_SHA256, false, &replay));
	memset(bytes, 0xff, sizeof(bytes));
	ck_assert(!eventlog_replay(view_of(bytes, sizeof(bytes)), HASH_SHA1, false, &replay));
}
END_TEST

static int run_empty_numbers(struct vector_case *c)
{
	static const uint8_t point[64] = { 1 }, one[] = { 1 };
	static const struct tpm_signature signatures[] = {
		{ .algorithm = TPM_ALG_ECDSA, .hash = TPM_ALG_SHA256 },
		{ TPM_ALG_ECDSA, TPM_ALG_SHA256, .r = { one, 1 }, .s = { one, 0 } },
		{ TPM_ALG_ECDSA, TPM_ALG_SHA256, .r = { one, 0 }, .s = { one, 1 } },
	};
	const struct verify_key key = { .type = VERIFY_KEY_P256, .point = { point, 64 } };
	struct tpm_case t;
	struct appraise_result result;
	load_tpm(c, &t);
	appraise_tpm(&t.input, &result);
	is_tried |= result.is_accepted;
	for (size_t i = 0; result.is_accepted && i < ARRAY_SIZE(signatures); i++) {
		struct appraise_result refused = {};
		tpm_appraise_quote(&t.input, &key, &signatures[i], &refused);
		ck_assert_str_eq(first_reason(&refused), "tpm.signature");
	}
	return 0;
}

/* Found by the fuzzer: bytes were copied from nowhere. */
START_TEST(an_empty_r_or_s_is_refused)
{
	is_tried = false;
	run_suite("tpm/sim", "cases.json", run_empty_numbers);
	ck_assert(is_tried);
}
END_TEST

UNIT_MAIN("appraise_tpm", expected_report_data_is_never_left_out, real_quotes, simulated_quotes,
	no_flipped_bit_and_no_truncation_is_accepted, azure_evidence, event_logs,
	padding_alone_is_no_log, an_empty_r_or_s_is_refused)
