/* TDX appraisal against the shared vectors, then properties of it. */
#include "appraise_cases.h"
#include "rules/appraise/tdx.h"

struct tdx_case {
	struct appraise_tdx_input input;
	struct appraise_policy policy;
	struct appraise_anchor anchor;
};

static void load(struct vector_case *c, struct tdx_case *t)
{
	const struct json *files = json_get(c->json, "collateral");
	const struct json *policy = json_get(c->json, "policy");
	*t = (struct tdx_case){};
	t->input.quote = case_file(c, json_as_string(json_get(c->json, "quote")));
	struct tdx_collateral *collateral = &t->input.collateral;
	collateral->tcb_info = case_file(c, json_as_string(json_get(files, "tcb_info")));
	collateral->tcb_chain = case_file(c, json_as_string(json_get(files, "tcb_chain")));
	collateral->qe_identity = case_file(c, json_as_string(json_get(files, "qe_identity")));
	collateral->qe_chain = case_file(c, json_as_string(json_get(files, "qe_chain")));
	collateral->root_crl = case_file(c, json_as_string(json_get(files, "root_crl")));
	collateral->pck_crl = case_file(c, json_as_string(json_get(files, "pck_crl")));
	t->anchor = case_anchor(
		case_file(c, json_as_string(json_get(files, "root"))), "intel-sgx-root");
	t->policy.report_data = case_hex(c, json_get(policy, "report_data"));
	struct view mrtd = case_hex(c, json_get(policy, "mrtd"));
	if (mrtd.size > 0)
		t->policy.tdx.mrtd = (struct appraise_list){ { mrtd }, 1 };
	t->policy.tdx.evaluation_number_min = (uint64_t)json_as_integer(
		json_get(policy, "min_tcb_eval"));
	t->policy.is_crl_optional = policy_is(policy, "crl", "optional");
	t->input.anchors = &t->anchor;
	t->input.anchor_count = 1;
	t->input.policy = &t->policy;
	t->input.as_of_ms = case_as_of(c);
}

static struct appraise_memo shared_memo;

static int run_tdx(struct vector_case *c)
{
	static struct tdx_case t; /* large */
	struct appraise_result result, warm;
	load(c, &t);
	appraise_tdx(&t.input, &result);
	t.input.memo = &shared_memo; /* a memo never changes the verdict */
	appraise_tdx(&t.input, &warm);
	ck_assert_int_eq(result.is_accepted, warm.is_accepted);
	ck_assert_uint_eq(result.reason_count, warm.reason_count);
	const char *status = json_as_string(json_get(json_get(c->json, "info"), "status"));
	const char *fmspc = json_as_string(json_get(json_get(c->json, "info"), "fmspc"));
	if (fmspc && result.fmspc.size) {
		char hex[HEX_SIZE(6)];
		ck_assert_str_eq(hex_encode(result.fmspc, hex), fmspc);
	}
	if (status && result.platform == APPRAISE_PLATFORM_TDX && result.fmspc.size)
		ck_assert_msg(
			result.status == TCB_UNKNOWN ||
				str_equal(status, tcb_status_name(result.status)) ||
				json_get(json_get(c->json, "info"), "platform_status") == NULL,
			"%s: status %s, expected %s", json_as_string(json_get(c->json, "id")),
			tcb_status_name(result.status), status);
	return case_disagrees(c, result.is_accepted, first_reason(&result));
}

START_TEST(real_quotes)
{
	ck_assert_uint_eq(run_suite("tdx", "real.json", run_tdx), 15);
}
END_TEST

START_TEST(simulated_quotes)
{
	ck_assert_uint_eq(run_suite("tdx/sim", "cases.json", run_tdx), 99);
}
END_TEST

UNIT_MAIN("appraise_tdx", real_quotes, simulated_quotes)
