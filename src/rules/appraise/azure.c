/* See azure.h. */
#include "rules/appraise/azure.h"

#include "kit/codec/base64.h"
#include "kit/codec/jspan.h"
#include "rules/appraise/tdx_quote.h"
#include "rules/appraise/tpm_internal.h"

enum {
	HCL_HEADER_SIZE = 32,
	HCL_REPORT_SIZE = 1184,
	HCL_RUNTIME_AT = 0x4c0,
	HCL_RUNTIME_HEADER_SIZE = 20,
	HCL_VERSION_RUNTIME = 1,
	HCL_TYPE_SNP = 2,
	HCL_TYPE_TDX = 4,
	HCL_HASH_SHA256 = 1,
	HCL_CLAIMS_MAX = 16 << 10,
	TDREPORT_REPORT_DATA = 128,
	TDREPORT_SIZE = 1024,
	REPORT_DATA_SIZE = 64,
	SNP_REPORT_DATA = 0x50,
	RSA_BYTES_MAX = 1024,
};

static const uint8_t hcl_magic[] = { 'H', 'C', 'L', 'A' };

struct azure_appraisal {
	const struct appraise_azure_input *input;
	struct appraise_result *result;
	bool is_snp;
	struct view hardware; /* report area */
	struct view claims;
	struct view report_data; /* of the hardware report */
	struct jspan json;
	struct buf modulus, exponent;
	struct verify_key key;
};

static bool stop(struct azure_appraisal *a, const char *code, size_t offset)
{
	appraise_fault_at(a->result, code, offset);
	return false;
}

static bool is_zero(struct view bytes)
{
	uint8_t any = 0;
	for (size_t i = 0; i < bytes.size; i++)
		any |= bytes.data[i];
	return any == 0;
}

/* Header, hardware report, runtime data; every length must fit and only zeros may follow. */
static bool split(struct azure_appraisal *a)
{
	struct reader reader = reader_of(a->input->hcl);
	struct view header = reader_take(&reader, HCL_HEADER_SIZE);
	a->hardware = reader_take(&reader, HCL_REPORT_SIZE);
	if (!reader.failed && !view_equal(view_of(header.data, sizeof(hcl_magic)),
				      view_of(hcl_magic, sizeof(hcl_magic))))
		return stop(a, "hcl.magic", 0);
	uint64_t size = reader_le(&reader, 4);
	uint64_t version = reader_le(&reader, 4);
	uint64_t type = reader_le(&reader, 4);
	uint64_t hash_type = reader_le(&reader, 4);
	uint64_t claims_size = reader_le(&reader, 4);
	if (reader.failed || version != HCL_VERSION_RUNTIME || claims_size > HCL_CLAIMS_MAX ||
		size != HCL_RUNTIME_HEADER_SIZE + claims_size)
		return stop(a, "hcl.format", HCL_RUNTIME_AT);
	a->claims = reader_take(&reader, (size_t)claims_size);
	if (reader.failed || !is_zero(reader.rest))
		return stop(a, "hcl.format", reader.offset);
	a->is_snp = a->input->snp.vek.size > 0;
	if (type != (a->is_snp ? HCL_TYPE_SNP : HCL_TYPE_TDX) || hash_type != HCL_HASH_SHA256)
		return stop(a, "hcl.type", HCL_RUNTIME_AT + 8);
	return true;
}

/* The claims are the report data's lower half. Compared before anything in them is read. */
static void check_binding(struct azure_appraisal *a)
{
	uint8_t digest[SHA256_SIZE];
	struct view upper = view_of(a->report_data.data + SHA256_SIZE, SHA256_SIZE);
	hash_bytes(HASH_SHA256, a->claims, digest);
	if (!crypto_equal(
		    view_of(a->report_data.data, SHA256_SIZE), view_of(digest, sizeof(digest))))
		appraise_fault(a->result, "hcl.runtime_hash");
	if (!is_zero(upper))
		appraise_fault(a->result, "hcl.report_data_padding");
}

static bool take_number(struct jspan value, struct buf *buf)
{
	struct view text;
	struct err ignored;
	buf->limit = RSA_BYTES_MAX;
	return jspan_string(value, &text) && base64_decode(BASE64_URL, text, buf, &ignored) == 0;
}

/* Exactly one key named HCLAkPub, RSA, for signing. */
static bool find_key(struct azure_appraisal *a)
{
	struct err ignored;
	struct jspan each, found = {};
	if (jspan_check(a->claims, HCL_CLAIMS_MAX, &a->json, &ignored) < 0)
		return stop(a, "hcl.format", HCL_RUNTIME_AT);
	struct jspan keys = jspan_get(a->json, "keys");
	for (size_t position = 0; jspan_next(keys, &position, NULL, &each);) {
		if (!jspan_is(jspan_get(each, "kid"), "HCLAkPub"))
			continue;
		if (found.type != JSPAN_NONE)
			return stop(a, "hcl.format", HCL_RUNTIME_AT);
		found = each;
	}
	if (!jspan_is(jspan_get(found, "kty"), "RSA") ||
		!take_number(jspan_get(found, "n"), &a->modulus) ||
		!take_number(jspan_get(found, "e"), &a->exponent))
		return stop(a, "hcl.format", HCL_RUNTIME_AT);
	a->key = (struct verify_key){ .type = VERIFY_KEY_RSA,
		.modulus = buf_view(&a->modulus),
		.exponent = buf_view(&a->exponent) };
	return true;
}

static void check_user_data(struct azure_appraisal *a)
{
	uint8_t bytes[REPORT_DATA_SIZE];
	struct view expected = a->input->policy->azure.user_data;
	if (expected.size == 0)
		return;
	if (!jspan_hex(jspan_get(a->json, "user-data"), bytes, sizeof(bytes)) ||
		!crypto_equal(expected, view_of(bytes, sizeof(bytes))))
		appraise_fault(a->result, "hcl.user_data");
}

/* The reasons, statuses and claims of the hardware's own appraisal join the result. */
static void adopt(struct azure_appraisal *a, const struct appraise_result *hardware)
{
	struct appraise_result merged;
	appraise_result_copy(hardware, &merged);
	merged.platform = a->result->platform;
	merged.reason_count = 0;
	for (size_t i = 0; i < MIN(a->result->reason_count, (size_t)APPRAISE_REASONS_MAX); i++)
		appraise_fault_at(
			&merged, a->result->reasons[i].code, a->result->reasons[i].offset);
	for (size_t i = 0; i < MIN(hardware->reason_count, (size_t)APPRAISE_REASONS_MAX); i++)
		appraise_fault(
			&merged, hardware->reasons[i].code); /* offsets are of another text */
	appraise_result_copy(&merged, a->result);
}

static void appraise_hardware_snp(struct azure_appraisal *a)
{
	const struct appraise_snp_input input = {
		.report = view_of(a->hardware.data, SNP_REPORT_SIZE),
		.collateral = a->input->snp,
		.anchors = a->input->anchors,
		.anchor_count = a->input->anchor_count,
		.policy = a->input->policy,
		.as_of_ms = a->input->as_of_ms,
		.memo = a->input->memo,
	};
	struct appraise_result hardware;
	appraise_snp(&input, &hardware);
	adopt(a, &hardware);
}

static void appraise_hardware_tdx(struct azure_appraisal *a)
{
	const struct appraise_policy *policy = a->input->policy;
	const struct appraise_tdx_input input = {
		.quote = a->input->td_quote,
		.collateral = a->input->tdx,
		.anchors = a->input->anchors,
		.anchor_count = a->input->anchor_count,
		.policy = policy,
		.as_of_ms = a->input->as_of_ms,
		.memo = a->input->memo,
	};
	struct appraise_result hardware;
	if (policy->azure.is_td_quote_unchecked) {
		appraise_unchecked(a->result, "td_quote");
		if (policy->report_data.size > 0 &&
			!crypto_equal(policy->report_data, a->report_data))
			appraise_fault(a->result, "td.report_data");
		return;
	}
	appraise_tdx(&input, &hardware);
	adopt(a, &hardware);
}

/* Where the hardware report keeps its report data; for TDX the quote must agree. */
static bool find_report_data(struct azure_appraisal *a)
{
	struct tdx_quote quote;
	const char *code;
	size_t offset;
	if (a->is_snp) {
		a->report_data = view_of(a->hardware.data + SNP_REPORT_DATA, REPORT_DATA_SIZE);
		return true;
	}
	if (!tdx_quote_parse(a->input->td_quote, &quote, &code, &offset))
		return stop(a, "hcl.td_quote", APPRAISE_NO_OFFSET);
	a->report_data = quote.report_data;
	if (!crypto_equal(quote.report_data,
		    view_of(a->hardware.data + TDREPORT_REPORT_DATA, REPORT_DATA_SIZE)) ||
		!is_zero(
			view_of(a->hardware.data + TDREPORT_SIZE, HCL_REPORT_SIZE - TDREPORT_SIZE)))
		appraise_fault(a->result, "hcl.td_quote");
	return true;
}

static void appraise_vtpm(struct azure_appraisal *a)
{
	const struct tpm_signature signature = {
		.algorithm = TPM_ALG_RSASSA, .hash = TPM_ALG_SHA256, .rsa = a->input->signature
	};
	struct appraise_tpm_input input = {
		.attest = a->input->attest,
		.bank = APPRAISE_BANK_SHA256,
		.event_log = a->input->event_log,
		.policy = a->input->policy,
		.as_of_ms = a->input->as_of_ms,
	};
	struct appraise_result vtpm = {};
	for (size_t i = 0; i < TPM_PCR_COUNT; i++)
		input.pcrs[i] = a->input->pcrs[i];
	tpm_appraise_quote(&input, &a->key, &signature, &vtpm);
	for (size_t i = 0; i < MIN(vtpm.reason_count, (size_t)APPRAISE_REASONS_MAX); i++)
		appraise_fault_at(a->result, vtpm.reasons[i].code, vtpm.reasons[i].offset);
}

static void appraise(struct azure_appraisal *a)
{
	if (!split(a) || !find_report_data(a))
		return;
	check_binding(a);
	if (a->is_snp)
		appraise_hardware_snp(a);
	else
		appraise_hardware_tdx(a);
	if (!find_key(a))
		return;
	check_user_data(a);
	appraise_vtpm(a);
}

void appraise_azure(const struct appraise_azure_input *input, struct appraise_result *ret_result)
{
	bool is_snp = input->snp.vek.size > 0;
	*ret_result = (struct appraise_result){
		.platform = is_snp ? APPRAISE_PLATFORM_AZURE_SNP : APPRAISE_PLATFORM_AZURE_TDX,
		.anchor = "",
	};
	struct azure_appraisal a = { .input = input, .result = ret_result };
	appraise(&a);
	buf_done(&a.modulus);
	buf_done(&a.exponent);
	/* The anchor is the hardware's; without one only a policy that says so accepts. */
	bool is_anchored = ret_result->anchor[0] != 0 ||
			   (!is_snp && input->policy->azure.is_td_quote_unchecked);
	ret_result->is_accepted = is_anchored && ret_result->reason_count == 0;
}
