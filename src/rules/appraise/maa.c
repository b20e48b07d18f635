/*
 * Azure Attestation tokens. Confidential VMs put the TEE's claims under x-ms-isolation-tee and
 * their own at the top; plain SNP and TDX tokens have them at the top. A flag counts only as a JSON
 * boolean, and raw attributes must say the same as the flags made from them.
 */
#include "rules/appraise/jws.h"

#include <stddef.h>

enum {
	MEASUREMENT_SIZE = 48,
	REPORT_DATA_SIZE = 64,
	HOST_DATA_SIZE = 32,
	ATTRIBUTES_SIZE = 8,
	SVN_MAX = 255,
	VMPL_MAX = 3,
};

static const uint8_t attribute_migratable = 0x20; /* bit 29, in byte 3 */

static const char *const maa_algorithms[] = { "RS256", NULL };

static bool is_true(struct jspan object, const char *name)
{
	return jspan_get(object, name).type == JSPAN_TRUE;
}

static bool is_false(struct jspan object, const char *name)
{
	return jspan_get(object, name).type == JSPAN_FALSE;
}

/* Absent, or true. */
static bool is_not_false(struct jspan object, const char *name)
{
	enum jspan_type type = jspan_get(object, name).type;
	return type == JSPAN_NONE || type == JSPAN_TRUE;
}

static bool reaches(struct jspan tee, const char *name, uint8_t wanted)
{
	int64_t svn;
	return wanted == 0 ||
	       (jspan_integer(jspan_get(tee, name), 0, SVN_MAX, &svn) && svn >= wanted);
}

static void check_list(struct appraise_result *result, const struct appraise_list *list,
	struct view value, const char *code)
{
	if (list->count > 0 && !appraise_list_has(list, value))
		appraise_fault(result, code);
}

/* An expectation of the policy and the claim that must meet it; NULL: no claim can. */
struct expectation {
	size_t at; /* of the list in the policy */
	const char *claim;
	size_t size;
	const char *code;
};
#define LIST(field) offsetof(struct appraise_policy, field)

static const struct expectation snp_expectations[] = {
	{ LIST(snp.measurement), "x-ms-sevsnpvm-launchmeasurement", MEASUREMENT_SIZE,
		"snp.measurement" },
	{ LIST(snp.host_data), "x-ms-sevsnpvm-hostdata", HOST_DATA_SIZE, "snp.host_data" },
	{ LIST(snp.id_keys), "x-ms-sevsnpvm-idkeydigest", MEASUREMENT_SIZE, "snp.id_key" },
	{ LIST(snp.author_keys), "x-ms-sevsnpvm-authorkeydigest", MEASUREMENT_SIZE,
		"snp.author_key" },
	{ LIST(snp.csp_ids), NULL, 0, "vek.csp_id" },
	{ LIST(snp.chips), NULL, 0, "snp.chip" },
};

static const struct expectation tdx_expectations[] = {
	{ LIST(tdx.mrtd), "tdx_mrtd", MEASUREMENT_SIZE, "td.mrtd" },
	{ LIST(tdx.rtmr[0]), "tdx_rtmr0", MEASUREMENT_SIZE, "td.rtmr0" },
	{ LIST(tdx.rtmr[1]), "tdx_rtmr1", MEASUREMENT_SIZE, "td.rtmr1" },
	{ LIST(tdx.rtmr[2]), "tdx_rtmr2", MEASUREMENT_SIZE, "td.rtmr2" },
	{ LIST(tdx.rtmr[3]), "tdx_rtmr3", MEASUREMENT_SIZE, "td.rtmr3" },
	{ LIST(tdx.mr_config_id), "tdx_mrconfigid", MEASUREMENT_SIZE, "td.mr_config_id" },
	{ LIST(tdx.mr_owner), "tdx_mrowner", MEASUREMENT_SIZE, "td.mr_owner" },
	{ LIST(tdx.mr_owner_config), "tdx_mrownerconfig", MEASUREMENT_SIZE, "td.mr_owner_config" },
	{ LIST(tdx.platforms), NULL, 0, "pck.platform" },
};

static void check_expectations(const struct appraise_policy *policy,
	const struct expectation *expectations, size_t count, struct jspan tee,
	struct appraise_result *result)
{
	for (size_t i = 0; i < count; i++) {
		const struct expectation *e = &expectations[i];
		const void *list = (const uint8_t *)policy + e->at;
		uint8_t bytes[MEASUREMENT_SIZE];
		bool has = e->claim && jspan_hex(jspan_get(tee, e->claim), bytes, e->size);
		check_list(result, list, view_of(bytes, has ? e->size : 0), e->code);
	}
}

static void check_report_data(
	const struct appraise_token_input *input, const char *code, struct appraise_result *result)
{
	struct view expected = input->policy->report_data;
	const struct appraise_list list = { { expected }, expected.size > 0 ? 1 : 0 };
	check_list(result, &list, result->report_data, code);
}

/* A token without the claim is refused only when the policy asks for it. */
static void check_snp_guest(
	const struct appraise_policy *policy, struct jspan tee, struct appraise_result *result)
{
	struct jspan level = jspan_get(tee, "x-ms-sevsnpvm-vmpl");
	int64_t vmpl, svn;
	bool is_allowed = jspan_integer(level, 0, VMPL_MAX, &vmpl) &&
			  ((policy->snp.vmpls ? policy->snp.vmpls : 1U) & 1U << vmpl);
	if (!is_allowed && (level.type != JSPAN_NONE || policy->snp.vmpls))
		appraise_fault(result, "snp.vmpl");
	if (policy->snp.guest_svn_min &&
		(!jspan_integer(jspan_get(tee, "x-ms-sevsnpvm-guestsvn"), 0, UINT32_MAX, &svn) ||
			svn < policy->snp.guest_svn_min))
		appraise_fault(result, "snp.guest_svn");
	if (policy->snp.is_smt_refused && !is_false(tee, "x-ms-sevsnpvm-smt-allowed"))
		appraise_fault(result, "snp.smt");
}

static void check_snp(
	const struct appraise_token_input *input, struct jspan tee, struct appraise_result *result)
{
	const struct snp_tcb *wanted = &input->policy->snp.tcb_min;
	if (!is_false(tee, "x-ms-sevsnpvm-is-debuggable"))
		appraise_fault(result, "maa.debug");
	if (!is_false(tee, "x-ms-sevsnpvm-migration-allowed"))
		appraise_fault(result, "maa.migration");
	if (!reaches(tee, "x-ms-sevsnpvm-bootloader-svn", wanted->boot_loader) ||
		!reaches(tee, "x-ms-sevsnpvm-tee-svn", wanted->tee) ||
		!reaches(tee, "x-ms-sevsnpvm-snpfw-svn", wanted->snp) ||
		!reaches(tee, "x-ms-sevsnpvm-microcode-svn", wanted->microcode))
		appraise_fault(result, "maa.tcb");
	result->measurement = jws_hex(
		result, jspan_get(tee, "x-ms-sevsnpvm-launchmeasurement"), MEASUREMENT_SIZE);
	result->report_data = jws_hex(
		result, jspan_get(tee, "x-ms-sevsnpvm-reportdata"), REPORT_DATA_SIZE);
	check_expectations(
		input->policy, snp_expectations, ARRAY_SIZE(snp_expectations), tee, result);
	check_snp_guest(input->policy, tee, result);
	check_report_data(input, "snp.report_data", result);
}

/* The service's flags where it gives them, and the raw attributes they were made from. */
static bool has_contradiction(struct jspan tee, const uint8_t *attributes)
{
	static const struct {
		const char *flag;
		unsigned bit;
	} rows[] = {
		{ "tdx_td_attributes_septve_disable", 28 },
		{ "tdx_td_attributes_protection_keys", 30 },
		{ "tdx_td_attributes_key_locker", 31 },
		{ "tdx_td_attributes_perfmon", 63 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct jspan flag = jspan_get(tee, rows[i].flag);
		bool is_set = attributes[rows[i].bit / 8] & 1U << rows[i].bit % 8;
		if (flag.type != JSPAN_NONE && flag.type != (is_set ? JSPAN_TRUE : JSPAN_FALSE))
			return true;
	}
	return false;
}

static void check_tdx(
	const struct appraise_token_input *input, struct jspan tee, struct appraise_result *result)
{
	uint8_t attributes[ATTRIBUTES_SIZE];
	struct jspan state = jspan_get(tee, "dbgstat");
	bool has_attributes = jspan_hex(
		jspan_get(tee, "tdx_td_attributes"), attributes, sizeof(attributes));
	if (!is_false(tee, "tdx_td_attributes_debug") || !has_attributes || attributes[0] != 0 ||
		(state.type != JSPAN_NONE && !jspan_is(state, "disabled")))
		appraise_fault(result, "maa.debug");
	if (has_attributes && has_contradiction(tee, attributes))
		appraise_fault(result, "maa.attributes");
	if (has_attributes && (attributes[3] & attribute_migratable))
		appraise_fault(result, "maa.migration");
	if (!jspan_is(jspan_get(tee, "attester_tcb_status"), "UpToDate"))
		appraise_fault(result, "maa.tcb");
	result->measurement = jws_hex(result, jspan_get(tee, "tdx_mrtd"), MEASUREMENT_SIZE);
	result->report_data = jws_hex(result, jspan_get(tee, "tdx_report_data"), REPORT_DATA_SIZE);
	check_expectations(
		input->policy, tdx_expectations, ARRAY_SIZE(tdx_expectations), tee, result);
	check_report_data(input, "td.report_data", result);
}

/* What the VM itself says, in tokens of confidential VMs. */
static void check_vm(struct jspan claims, struct jspan tee, struct appraise_result *result)
{
	struct jspan config = jspan_get(jspan_get(tee, "x-ms-runtime"), "vm-configuration");
	if (!is_true(claims, "secureboot") || !is_not_false(config, "secure-boot"))
		appraise_fault(result, "maa.secureboot");
	if (!is_true(claims, "x-ms-azurevm-debuggersdisabled"))
		appraise_fault(result, "maa.debug");
}

static void check_claims(const struct appraise_token_input *input, struct jspan claims,
	struct appraise_result *result)
{
	struct jspan tee = claims;
	struct jspan payload = jspan_get(jspan_get(claims, "x-ms-runtime"), "client-payload");
	jws_check_claims(input, claims, result);
	jws_check_nonce(input, jspan_get(payload, "nonce"), result);
	bool is_vm = jspan_is(jspan_get(claims, "x-ms-attestation-type"), "azurevm");
	if (is_vm)
		tee = jspan_get(claims, "x-ms-isolation-tee");
	struct jspan type = jspan_get(tee, "x-ms-attestation-type");
	bool is_snp = jspan_is(type, "sevsnpvm");
	if (!is_snp && !jspan_is(type, "tdxvm")) {
		appraise_fault(result, "maa.type");
		return;
	}
	struct jspan compliance = jspan_get(tee, "x-ms-compliance-status");
	if (!jspan_is(compliance, "azure-compliant-cvm") &&
		!jspan_is(compliance, "azure-compliant-uvm"))
		appraise_fault(result, "maa.compliance");
	if (is_vm)
		check_vm(claims, tee, result);
	if (is_snp)
		check_snp(input, tee, result);
	else
		check_tdx(input, tee, result);
}

void appraise_maa(const struct appraise_token_input *input, struct appraise_result *ret_result)
{
	*ret_result = (struct appraise_result){ .platform = APPRAISE_PLATFORM_MAA, .anchor = "" };
	struct appraise_anchor anchor = { .label = input->anchor };
	auto_done(jws) jws = {};
	bool is_open = jws_open(input, maa_algorithms, &jws, ret_result);
	if (is_open)
		check_claims(input, jws.claims, ret_result);
	appraise_conclude(ret_result, input->policy, is_open ? &anchor : NULL);
}
