/* MAA and EAR tokens against the shared vectors, then properties. */
#include "appraise_cases.h"
#include "kit/base/mem.h"
#include "rules/appraise/token.h"

static bool is_tried;
static bool does_flip;

static void flip(const struct appraise_token_input *original,
	void (*appraise)(const struct appraise_token_input *, struct appraise_result *))
{
	struct appraise_token_input input = *original;
	struct appraise_result result;
	size_t size = input.token.size;
	auto_free uint8_t *copy = mem_alloc(size, 1);
	memcpy(copy, input.token.data, size);
	is_tried = true;
	for (size_t bit = 0; bit < size * 8; bit++) {
		input.token = view_of(copy, size);
		copy[bit / 8] ^= (uint8_t)(1U << bit % 8);
		appraise(&input, &result);
		ck_assert_msg(!result.is_accepted, "bit %zu flipped and accepted", bit);
		copy[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	for (size_t cut = 0; cut < size; cut++) {
		input.token = view_of(copy, cut);
		appraise(&input, &result);
		ck_assert_msg(!result.is_accepted, "cut after %zu and accepted", cut);
	}
}

static int run_token(struct vector_case *c)
{
	const struct json *policy = json_get(c->json, "policy");
	struct appraise_policy p = {};
	struct appraise_result result;
	bool is_ear = policy_is(c->json, "kind", "ear");
	void (*appraise)(const struct appraise_token_input *,
		struct appraise_result *) = is_ear ? appraise_ear : appraise_maa;
	const struct appraise_token_input input = {
		.token = case_file(c, json_as_string(json_get(c->json, "token"))),
		.jwks = case_file(c, json_as_string(json_get(c->json, "jwks"))),
		.anchor = "azure-maa:test",
		.policy = &p,
		.as_of_ms = case_as_of(c),
	};
	p.token.issuer = json_as_view(json_get(policy, "issuer"));
	p.token.nonce = case_hex(c, json_get(policy, "nonce"));
	p.token.age_max_s = (uint64_t)json_as_integer(json_get(policy, "max_age_s"));
	p.token.leeway_s = (uint64_t)json_as_integer(json_get(policy, "leeway_s"));
	appraise(&input, &result);
	if (does_flip && result.is_accepted && is_ear)
		flip(&input, appraise);
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
	ck_assert(is_tried);
}
END_TEST

UNIT_MAIN("appraise_token", tokens, no_flipped_bit_and_no_truncation_is_accepted)
