/* MAA and EAR tokens against the shared vectors, then properties. */
#include "appraise_load.h"
#include "kit/base/mem.h"
#include "kit/codec/base64.h"
#include "kit/crypto/sign.h"
#include "rules/appraise/ear_issue.h"

static size_t tried;
static bool does_flip;

/* Every bit and every length; of RSA's longer tokens one bit of each byte, all of the last 64. */
static void flip(const struct token_case *t)
{
	struct appraise_token_input input = t->input;
	struct appraise_result result;
	size_t size = input.token.size;
	bool is_all = t->appraise == appraise_ear || getenv("CUPEL_SLOW");
	auto_free uint8_t *copy = mem_alloc(size, 1);
	memcpy(copy, input.token.data, size);
	tried++;
	for (size_t bit = 0; bit < size * 8; bit++) {
		if (!is_all && bit < (size - 64) * 8 && bit % 8 != (bit / 8 * 5) % 8)
			continue;
		input.token = view_of(copy, size);
		copy[bit / 8] ^= (uint8_t)(1U << bit % 8);
		t->appraise(&input, &result);
		ck_assert_msg(!result.is_accepted, "bit %zu flipped and accepted", bit);
		copy[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	for (size_t cut = 0; cut < size; cut++) {
		input.token = view_of(copy, cut);
		t->appraise(&input, &result);
		ck_assert_msg(!result.is_accepted, "cut after %zu and accepted", cut);
	}
}

static int run_token(struct vector_case *c)
{
	struct token_case t;
	struct appraise_result result;
	load_token(c, &t);
	t.appraise(&t.input, &result);
	if (does_flip && result.is_accepted)
		flip(&t);
	return case_disagrees(c, result.is_accepted, first_reason(&result));
}

START_TEST(tokens)
{
	ck_assert_uint_gt(run_suite("jwt/sim", "cases.json", run_token), 0);
}
END_TEST

START_TEST(no_flipped_bit_and_no_truncation_is_accepted)
{
	does_flip = true;
	run_suite("jwt/sim", "cases.json", run_token);
	ck_assert_uint_eq(tried, 4); /* three MAA, one EAR */
}
END_TEST

static int run_report_data(struct vector_case *c)
{
	static const uint8_t others[64] = { 1 };
	struct token_case t;
	struct appraise_result result;
	load_token(c, &t);
	t.policy.report_data = view_of(others, sizeof(others));
	t.appraise(&t.input, &result);
	ck_assert_msg(!result.is_accepted, "%s", json_as_string(json_get(c->json, "id")));
	return 0;
}

START_TEST(expected_report_data_is_never_left_out)
{
	run_suite("jwt/sim", "cases.json", run_report_data);
}
END_TEST

/* A result of ours as a token that our own verifier and its policy judge. */
static void issue(const struct appraise_result *result, struct policy_document *policy,
	const char **ret_first)
{
	static const uint8_t nonce[] = "0123456789abcdef";
	auto_sign_key *key = NULL;
	auto_done(buf) spki = {};
	auto_done(buf) input = {};
	auto_done(buf) signature = {};
	auto_done(buf) token = {};
	auto_done(buf) jwks = {};
	struct err err;
	struct appraise_result judged;
	ck_assert_ok(sign_key_generate(SIGN_P256, &key, &err), err);
	ck_assert_ok(sign_key_spki(key, &spki, &err), err);
	struct ear_issue ear = { .result = result,
		.policy = policy,
		.nonce = view_of(nonce, 16),
		.now_s = 1790000000,
		.lifetime_s = 300,
		.key_id = "k",
		.tee_pubkey = view_string("{\"kty\":\"EC\"}") };
	ck_assert_ok(ear_signing_input(&ear, &input, &err), err);
	ck_assert_ok(sign_message(key, buf_view(&input), &signature, &err), err);
	ck_assert_ok(ear_join(buf_view(&input), buf_view(&signature), &token, &err), err);
	struct view point = view_of(spki.data + spki.size - 64, 64);
	ck_assert_ok(buf_append_string(&jwks,
			     "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":"
			     "\"k\",\"x\":\"",
			     &err),
		err);
	ck_assert_ok(base64_encode(BASE64_URL, view_of(point.data, 32), &jwks, &err), err);
	ck_assert_ok(buf_append_string(&jwks, "\",\"y\":\"", &err), err);
	ck_assert_ok(base64_encode(BASE64_URL, view_of(point.data + 32, 32), &jwks, &err), err);
	ck_assert_ok(buf_append_string(&jwks, "\"}]}", &err), err);
	struct appraise_policy p = { .token.nonce = view_of(nonce, 16) };
	const struct appraise_token_input in = { .token = buf_view(&token),
		.jwks = buf_view(&jwks),
		.anchor = "ours",
		.policy = &p,
		.as_of_ms = 1790000100000 };
	appraise_ear(&in, &judged);
	*ret_first = judged.is_accepted ? "valid" : first_reason(&judged);
	ear.lifetime_s = EAR_LIFETIME_MAX_S + 1;
	ck_assert_fails(ear_signing_input(&ear, &input, &err), E_INVALID, err);
	ear.lifetime_s = 1;
	ear.nonce.size = 0;
	ck_assert_fails(ear_signing_input(&ear, &input, &err), E_INVALID, err);
	ck_assert_fails(ear_join(buf_view(&input), view_string("0"), &token, &err), E_INVALID, err);
}

START_TEST(our_own_results)
{
	static struct policy_document policy;
	static struct appraise_result result = {
		.is_accepted = true, .anchor = "intel-sgx-root", .platform = APPRAISE_PLATFORM_TDX
	};
	const char *first;
	policy.policy.tdx.mrtd.count = 1;
	issue(&result, &policy, &first);
	ck_assert_str_eq(first, "valid");
	result.is_simulated = true; /* never affirming */
	issue(&result, &policy, &first);
	ck_assert_str_eq(first, "ear.status");
	result.is_simulated = false;
	policy.policy.tdx.mrtd.count = 0; /* nobody said which code is good */
	issue(&result, &policy, &first);
	ck_assert_str_eq(first, "ear.status");
	result.is_accepted = false;
	issue(&result, &policy, &first);
	ck_assert_str_eq(first, "ear.status");
}
END_TEST

UNIT_MAIN("appraise_token", expected_report_data_is_never_left_out, our_own_results, tokens,
	no_flipped_bit_and_no_truncation_is_accepted)
