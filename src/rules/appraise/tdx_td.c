/*
 * What the policy says of the trust domain itself: attributes, state components, measurements,
 * service TD, report data. Bit positions: Intel TDX Module ABI, TDCS ATTRIBUTES and XFAM.
 */
#include "rules/appraise/tdx_internal.h"

#include "kit/crypto/hash.h"

static const uint64_t attribute_tud = 0xff; /* debug and profiling: the TD is under inspection */
static const uint64_t attribute_lass = 1ULL << 27;
static const uint64_t attribute_sept_ve_disable = 1ULL << 28;
static const uint64_t attribute_migratable = 1ULL << 29;
static const uint64_t attribute_pks = 1ULL << 30;
static const uint64_t attribute_key_locker = 1ULL << 31;
static const uint64_t attribute_tpa = 1ULL << 62;
static const uint64_t attribute_perfmon = 1ULL << 63;
static const uint64_t xfam_fixed1 = 0x3; /* x87 and SSE state always exist */

static uint64_t number_of(struct view bytes)
{
	struct reader reader = reader_of(bytes);
	return reader_le(&reader, bytes.size);
}

static bool is_zero(struct view bytes)
{
	uint8_t any = 0;
	for (size_t i = 0; i < bytes.size; i++)
		any |= bytes.data[i];
	return any == 0;
}

static void check_attributes(struct tdx_appraisal *a, bool has_known_service)
{
	const uint64_t known = attribute_tud | attribute_lass | attribute_sept_ve_disable |
			       attribute_migratable | attribute_pks | attribute_key_locker |
			       attribute_tpa | attribute_perfmon;
	uint64_t attributes = number_of(a->quote.td_attributes);
	if (attributes & attribute_tud)
		appraise_fault(a->result, "td.debug");
	if (attributes & ~known)
		appraise_fault(a->result, "td.attr_reserved");
	if (!(attributes & attribute_sept_ve_disable) &&
		!a->input->policy->tdx.may_clear_sept_ve_disable)
		appraise_fault(a->result, "td.sept_ve_disable");
	if ((attributes & attribute_migratable) && !has_known_service)
		appraise_fault(a->result, "td.migratable");
	if ((number_of(a->quote.xfam) & xfam_fixed1) != xfam_fixed1)
		appraise_fault(a->result, "td.xfam_fixed1");
}

static void check_list(struct tdx_appraisal *a, const struct appraise_list *list, struct view value,
	const char *code)
{
	if (list->count > 0 && !appraise_list_has(list, value))
		appraise_fault(a->result, code);
}

void tdx_appraise_td(struct tdx_appraisal *a)
{
	static const char *const rtmr_codes[TDX_RTMR_COUNT] = { "td.rtmr0", "td.rtmr1", "td.rtmr2",
		"td.rtmr3" };
	const struct appraise_policy *policy = a->input->policy;
	const struct tdx_quote *quote = &a->quote;
	bool has_service = quote->mr_service_td.size > 0 && !is_zero(quote->mr_service_td);
	bool has_known_service = has_service &&
				 appraise_list_has(&policy->tdx.service_tds, quote->mr_service_td);
	check_attributes(a, has_known_service);
	if (has_service && !has_known_service)
		appraise_fault(a->result, "td.service_td");
	check_list(a, &policy->tdx.mrtd, quote->mrtd, "td.mrtd");
	for (size_t i = 0; i < TDX_RTMR_COUNT; i++)
		check_list(a, &policy->tdx.rtmr[i], quote->rtmr[i], rtmr_codes[i]);
	check_list(a, &policy->tdx.mr_config_id, quote->mr_config_id, "td.mr_config_id");
	check_list(a, &policy->tdx.mr_owner, quote->mr_owner, "td.mr_owner");
	check_list(a, &policy->tdx.mr_owner_config, quote->mr_owner_config, "td.mr_owner_config");
	if (policy->report_data.size > 0 && !crypto_equal(policy->report_data, quote->report_data))
		appraise_fault(a->result, "td.report_data");
}
