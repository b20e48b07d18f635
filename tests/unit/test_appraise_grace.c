/*
 * Grace for expired collateral: every valid simulated case at the last moment it holds, at the last
 * moment of the grace and beyond; certificates get none; the policy's limit.
 */
#include "appraise_load.h"
#include "rules/appraise/policy.h"

enum { GRACE_MS = 10000, DAY_MS = 86400000 };

static const char note[] = "collateral.expired_accepted_by_policy";
static size_t tried;

/* One platform's appraisal of a loaded case. */
struct judge {
	void (*run)(void *inputs, struct appraise_result *ret_result);
	void *inputs;
	uint64_t *as_of_ms;
	struct appraise_policy *policy;
};

static bool accepts(const struct judge *judge, uint64_t as_of_ms, struct appraise_result *result)
{
	*judge->as_of_ms = as_of_ms;
	judge->run(judge->inputs, result);
	return result->is_accepted;
}

/* The last millisecond at which the case is accepted. */
static uint64_t last_moment(const struct judge *judge)
{
	struct appraise_result result;
	uint64_t good = *judge->as_of_ms, bad = good;
	for (uint64_t step = DAY_MS; accepts(judge, bad, &result); step *= 2)
		bad = good + step;
	while (bad - good > 1) {
		uint64_t middle = good + (bad - good) / 2;
		if (accepts(judge, middle, &result))
			good = middle;
		else
			bad = middle;
	}
	return good;
}

static void grace_is_exact(const struct judge *judge, const char *name)
{
	struct appraise_result result;
	if (!accepts(judge, *judge->as_of_ms, &result))
		return;
	size_t unchecked = result.unchecked_count;
	uint64_t end_ms = last_moment(judge);
	ck_assert_msg(!accepts(judge, end_ms + 1, &result), "%s", name);
	const char *code = first_reason(&result);
	bool is_certificate = strstr(code, "chain.") || strncmp(code, "ak.", 3) == 0;
	judge->policy->collateral_grace_ms = GRACE_MS;
	ck_assert_msg(accepts(judge, end_ms, &result), "%s", name);
	ck_assert_uint_eq(result.unchecked_count, unchecked);
	ck_assert_msg(accepts(judge, end_ms + 1, &result) != is_certificate, "%s: %s", name, code);
	if (is_certificate)
		return;
	ck_assert_str_eq(result.unchecked[result.unchecked_count - 1], note);
	ck_assert_msg(accepts(judge, end_ms + GRACE_MS, &result), "%s", name);
	ck_assert_msg(!accepts(judge, end_ms + GRACE_MS + 1, &result), "%s", name);
	ck_assert_str_eq(first_reason(&result), code);
	tried++;
}

static void run_tdx(void *inputs, struct appraise_result *ret_result)
{
	appraise_tdx(inputs, ret_result);
}

static void run_snp(void *inputs, struct appraise_result *ret_result)
{
	appraise_snp(inputs, ret_result);
}

static int tdx_case(struct vector_case *c)
{
	static struct tdx_case t;
	auto_done(appraise_memo) memo = {};
	load_tdx(c, &t);
	t.input.memo = &memo;
	const struct judge judge = { run_tdx, &t.input, &t.input.as_of_ms, &t.policy };
	grace_is_exact(&judge, json_as_string(json_get(c->json, "id")));
	return 0;
}

static int snp_case(struct vector_case *c)
{
	static struct snp_case t;
	auto_done(appraise_memo) memo = {};
	load_snp(c, &t);
	t.input.memo = &memo;
	const struct judge judge = { run_snp, &t.input, &t.input.as_of_ms, &t.policy };
	grace_is_exact(&judge, json_as_string(json_get(c->json, "id")));
	return 0;
}

START_TEST(grace_ends_to_the_millisecond)
{
	run_suite("tdx/sim", "cases.json", tdx_case);
	ck_assert_uint_gt(tried, 5);
	tried = 0;
	run_suite("snp/sim", "cases.json", snp_case);
	ck_assert_uint_gt(tried, 5);
}
END_TEST

/* A certificate that ended, whatever the grace; a greatest age still counts beside it. */
static int tdx_without(struct vector_case *c)
{
	static struct tdx_case t;
	struct appraise_result result;
	const char *id = json_as_string(json_get(c->json, "id"));
	bool is_certificate = strstr(id, "pck-expired") || strstr(id, "pck-ca-expired") ||
			      strstr(id, "tcb-signer-expired");
	bool is_document = strstr(id, "tcb-info-expired") || strstr(id, "qe-id-expired") ||
			   strstr(id, "root-crl-expired");
	if (!is_certificate && !is_document)
		return 0;
	load_tdx(c, &t);
	t.policy.collateral_grace_ms = UINT64_MAX;
	appraise_tdx(&t.input, &result);
	ck_assert_msg(result.is_accepted == is_document, "%s: %s", id, first_reason(&result));
	t.policy.collateral_age_max_ms = 1;
	appraise_tdx(&t.input, &result);
	ck_assert_msg(!result.is_accepted, "%s", id);
	tried++;
	return 0;
}

START_TEST(certificates_have_no_grace)
{
	run_suite("tdx/sim", "cases.json", tdx_without);
	ck_assert_uint_eq(tried, 6);
}
END_TEST

START_TEST(the_policy_names_at_most_thirty_days)
{
	static const struct {
		const char *text;
		bool is_good;
	} rows[] = {
		{ "{\"version\":1,\"name\":\"x\",\"collateral_grace_s\":0}", true },
		{ "{\"version\":1,\"name\":\"x\",\"collateral_grace_s\":2591999}", true },
		{ "{\"version\":1,\"name\":\"x\",\"collateral_grace_s\":2592000}", true },
		{ "{\"version\":1,\"name\":\"x\",\"collateral_grace_s\":2592001}", false },
		{ "{\"version\":1,\"name\":\"x\",\"collateral_grace_s\":-1}", false },
		{ "{\"version\":1,\"name\":\"x\",\"collateral_grace_s\":\"1\"}", false },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_done(policy_document) document = {};
		struct err err;
		int status = policy_document_read(view_string(rows[i].text), &document, &err);
		ck_assert_msg((status == 0) == rows[i].is_good, "%s", rows[i].text);
		if (i == 2)
			ck_assert_uint_eq(document.policy.collateral_grace_ms, 2592000000);
	}
}
END_TEST

UNIT_MAIN("appraise_grace", grace_ends_to_the_millisecond, certificates_have_no_grace,
	the_policy_names_at_most_thirty_days)
