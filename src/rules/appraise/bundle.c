/* See bundle.h. */
#include "rules/appraise/bundle.h"

#include "kit/base/str.h"
#include "kit/codec/hex.h"
#include "kit/codec/json.h"
#include "kit/crypto/hash.h"
#include "rules/appraise/azure.h"
#include "rules/appraise/internal.h"
#include "rules/appraise/token.h"

enum { PCRS_TEXT_MAX = 16 << 10, PCR_BYTES_MAX = 48 };

static const char *const names[BUNDLE_ITEM_COUNT] = {
	[BUNDLE_QUOTE] = "quote.bin",
	[BUNDLE_TCB_INFO] = "tcb_info.json",
	[BUNDLE_TCB_CHAIN] = "tcb_chain.pem",
	[BUNDLE_QE_IDENTITY] = "qe_identity.json",
	[BUNDLE_QE_CHAIN] = "qe_chain.pem",
	[BUNDLE_ROOT_CRL] = "root_crl.der",
	[BUNDLE_PCK_CRL] = "pck_crl.der",
	[BUNDLE_REPORT] = "report.bin",
	[BUNDLE_CERTIFICATES] = "certificates.bin",
	[BUNDLE_VEK] = "vek.der",
	[BUNDLE_INTERMEDIATE] = "ask.der",
	[BUNDLE_ARK_0] = "ark.der",
	[BUNDLE_ARK_1] = "ark1.der",
	[BUNDLE_ARK_2] = "ark2.der",
	[BUNDLE_CRL] = "crl.der",
	[BUNDLE_HCL] = "hcl.bin",
	[BUNDLE_ATTEST] = "attest.bin",
	[BUNDLE_SIGNATURE] = "signature.bin",
	[BUNDLE_PCRS] = "pcrs.json",
	[BUNDLE_AK] = "ak.der",
	[BUNDLE_AK_PUBLIC] = "ak_public.bin",
	[BUNDLE_AK_CHAIN_0] = "ak_ca.der",
	[BUNDLE_AK_CHAIN_1] = "ak_ca1.der",
	[BUNDLE_AK_ROOT] = "ak_root.der",
	[BUNDLE_AK_CRL_0] = "ak_crl.der",
	[BUNDLE_AK_CRL_1] = "ak_crl1.der",
	[BUNDLE_EVENT_LOG] = "event_log.bin",
	[BUNDLE_DSTACK_LOG] = "dstack_log.json",
	[BUNDLE_MAA_TOKEN] = "token.maa",
	[BUNDLE_EAR_TOKEN] = "token.ear",
	[BUNDLE_JWKS] = "jwks.json",
	[BUNDLE_POLICY] = "policy.json",
};

const char *bundle_item_name(enum bundle_item item)
{
	return names[item];
}

static int take_item(struct reader *reader, struct bundle *bundle, struct err *err)
{
	size_t at = reader->offset, item = 0;
	struct view name = reader_take(reader, (size_t)reader_be(reader, 1));
	uint64_t size = reader_le(reader, 4);
	if (size > BUNDLE_ITEM_MAX)
		return err_set(err, E_LIMIT, "bundle at %zu: an item of %llu bytes, limit %d", at,
			(unsigned long long)size, BUNDLE_ITEM_MAX);
	struct view content = reader_take(reader, (size_t)size);
	if (reader->failed)
		return err_set(err, E_INVALID, "bundle at %zu: an item is cut", at);
	while (item < BUNDLE_ITEM_COUNT && !view_equal_string(name, names[item]))
		item++;
	if (item == BUNDLE_ITEM_COUNT || bundle->items[item].data)
		return err_set(err, E_INVALID, "bundle at %zu: an unknown or repeated name", at);
	bundle->items[item] = content;
	return 0;
}

int bundle_parse(struct view bytes, struct bundle *ret_bundle, struct err *err)
{
	struct reader reader = reader_of(bytes);
	struct bundle bundle = {};
	if (bytes.size > BUNDLE_SIZE_MAX)
		return err_set(err, E_LIMIT, "a bundle of %zu bytes, limit %d", bytes.size,
			BUNDLE_SIZE_MAX);
	if (!view_equal_string(reader_take(&reader, strlen(BUNDLE_MAGIC)), BUNDLE_MAGIC))
		return err_set(
			err, E_INVALID, "expected a bundle, which begins with " BUNDLE_MAGIC);
	while (reader.rest.size > 0)
		TRY(take_item(&reader, &bundle, err));
	*ret_bundle = bundle;
	return 0;
}

int bundle_encode(const struct bundle *bundle, struct buf *buf, struct err *err)
{
	TRY(buf_append_string(buf, BUNDLE_MAGIC, err));
	for (size_t i = 0; i < BUNDLE_ITEM_COUNT; i++) {
		if (bundle->items[i].size == 0)
			continue;
		TRY(buf_append_be(buf, strlen(names[i]), 1, err));
		TRY(buf_append_string(buf, names[i], err));
		TRY(buf_append_le(buf, bundle->items[i].size, 4, err));
		TRY(buf_append(buf, bundle->items[i], err));
	}
	return 0;
}

/* Register values decoded; the views point into bytes. */
struct registers {
	enum appraise_bank bank;
	struct view values[TPM_PCR_COUNT];
	uint8_t bytes[TPM_PCR_COUNT][PCR_BYTES_MAX];
};

static int read_registers(struct view text, struct registers *registers, struct err *err)
{
	auto_json *root = NULL;
	const struct json *bank = NULL, *values = NULL;
	const struct json_member members[] = { { "bank", JSON_KIND_STRING, true, &bank },
		{ "values", JSON_KIND_OBJECT, true, &values } };
	if (text.size == 0)
		return 0;
	TRY(json_parse(text, PCRS_TEXT_MAX, &root, err));
	TRY(json_match(root, "pcrs", members, ARRAY_SIZE(members), err));
	bool is_384 = str_equal(json_as_string(bank), "sha384");
	if (!is_384 && !str_equal(json_as_string(bank), "sha256"))
		return err_set(err, E_INVALID, "pcrs.bank: expected sha256 or sha384");
	registers->bank = is_384 ? APPRAISE_BANK_SHA384 : APPRAISE_BANK_SHA256;
	size_t size = is_384 ? 48 : 32;
	for (const struct json_member_at *at = json_first(values); at; at = json_next(values, at)) {
		uint64_t index;
		TRY(str_parse_u64(json_name(at), 0, TPM_PCR_COUNT - 1, &index, err));
		TRY(hex_decode(json_as_view(json_value(at)), registers->bytes[index], size, err));
		registers->values[index] = view_of(registers->bytes[index], size);
	}
	return 0;
}

static struct tdx_collateral tdx_collateral_of(const struct bundle *bundle)
{
	return (struct tdx_collateral){
		.tcb_info = bundle->items[BUNDLE_TCB_INFO],
		.tcb_chain = bundle->items[BUNDLE_TCB_CHAIN],
		.qe_identity = bundle->items[BUNDLE_QE_IDENTITY],
		.qe_chain = bundle->items[BUNDLE_QE_CHAIN],
		.root_crl = bundle->items[BUNDLE_ROOT_CRL],
		.pck_crl = bundle->items[BUNDLE_PCK_CRL],
	};
}

/* Certificates of the table first; files of the bundle fill what it lacks. */
static int snp_collateral_of(
	const struct bundle *bundle, struct snp_collateral *ret_collateral, struct err *err)
{
	struct snp_collateral collateral = { .crl = bundle->items[BUNDLE_CRL] };
	struct view table = bundle->items[BUNDLE_CERTIFICATES];
	if (table.size > 0 && !snp_certificates_parse(table, &collateral))
		return err_set(err, E_INVALID, "certificates.bin: malformed certificate table");
	if (collateral.vek.size == 0)
		collateral.vek = bundle->items[BUNDLE_VEK];
	if (collateral.intermediate.size == 0)
		collateral.intermediate = bundle->items[BUNDLE_INTERMEDIATE];
	for (size_t i = BUNDLE_ARK_0; i <= BUNDLE_ARK_2; i++)
		if (bundle->items[i].size > 0 && collateral.root_count < SNP_ROOTS_MAX)
			collateral.roots[collateral.root_count++] = bundle->items[i];
	*ret_collateral = collateral;
	return 0;
}

struct job {
	const struct bundle *bundle;
	const struct policy_document *policy;
	uint64_t as_of_ms;
	struct appraise_result *result;
};

static int run_tdx(const struct job *job, struct err *err UNUSED)
{
	const struct appraise_tdx_input input = {
		.quote = job->bundle->items[BUNDLE_QUOTE],
		.collateral = tdx_collateral_of(job->bundle),
		.event_log = job->bundle->items[BUNDLE_EVENT_LOG],
		.dstack_log = job->bundle->items[BUNDLE_DSTACK_LOG],
		.anchors = job->policy->anchors,
		.anchor_count = job->policy->anchor_count,
		.policy = &job->policy->policy,
		.as_of_ms = job->as_of_ms,
	};
	appraise_tdx(&input, job->result);
	return 0;
}

static int run_snp(const struct job *job, struct err *err)
{
	struct appraise_snp_input input = {
		.report = job->bundle->items[BUNDLE_REPORT],
		.anchors = job->policy->anchors,
		.anchor_count = job->policy->anchor_count,
		.policy = &job->policy->policy,
		.as_of_ms = job->as_of_ms,
	};
	TRY(snp_collateral_of(job->bundle, &input.collateral, err));
	appraise_snp(&input, job->result);
	return 0;
}

static int run_azure(const struct job *job, struct err *err)
{
	struct registers registers = {};
	struct appraise_azure_input input = {
		.hcl = job->bundle->items[BUNDLE_HCL],
		.attest = job->bundle->items[BUNDLE_ATTEST],
		.signature = job->bundle->items[BUNDLE_SIGNATURE],
		.event_log = job->bundle->items[BUNDLE_EVENT_LOG],
		.td_quote = job->bundle->items[BUNDLE_QUOTE],
		.tdx = tdx_collateral_of(job->bundle),
		.anchors = job->policy->anchors,
		.anchor_count = job->policy->anchor_count,
		.policy = &job->policy->policy,
		.as_of_ms = job->as_of_ms,
	};
	TRY(snp_collateral_of(job->bundle, &input.snp, err));
	TRY(read_registers(job->bundle->items[BUNDLE_PCRS], &registers, err));
	memcpy(input.pcrs, registers.values, sizeof(input.pcrs));
	appraise_azure(&input, job->result);
	return 0;
}

static int run_tpm(const struct job *job, struct err *err)
{
	const struct view *items = job->bundle->items;
	struct registers registers = {};
	struct appraise_tpm_input input = {
		.attest = items[BUNDLE_ATTEST],
		.signature = items[BUNDLE_SIGNATURE],
		.event_log = items[BUNDLE_EVENT_LOG],
		.ak = items[BUNDLE_AK],
		.ak_public = items[BUNDLE_AK_PUBLIC],
		.root = items[BUNDLE_AK_ROOT],
		.anchors = job->policy->anchors,
		.anchor_count = job->policy->anchor_count,
		.policy = &job->policy->policy,
		.as_of_ms = job->as_of_ms,
	};
	for (size_t i = BUNDLE_AK_CHAIN_0; i <= BUNDLE_AK_CHAIN_1; i++)
		if (items[i].size > 0)
			input.chain[input.chain_count++] = items[i];
	for (size_t i = BUNDLE_AK_CRL_0; i <= BUNDLE_AK_CRL_1; i++)
		if (items[i].size > 0)
			input.crls[input.crl_count++] = items[i];
	TRY(read_registers(items[BUNDLE_PCRS], &registers, err));
	input.bank = registers.bank;
	memcpy(input.pcrs, registers.values, sizeof(input.pcrs));
	appraise_tpm(&input, job->result);
	return 0;
}

static int run_token(const struct job *job, struct err *err UNUSED)
{
	const struct view *items = job->bundle->items;
	bool is_ear = items[BUNDLE_EAR_TOKEN].size > 0;
	const struct appraise_token_input input = {
		.token = items[is_ear ? BUNDLE_EAR_TOKEN : BUNDLE_MAA_TOKEN],
		.jwks = items[BUNDLE_JWKS],
		.anchor = is_ear ? "ear-key-set" : "azure-maa-key-set",
		.policy = &job->policy->policy,
		.as_of_ms = job->as_of_ms,
	};
	if (is_ear)
		appraise_ear(&input, job->result);
	else
		appraise_maa(&input, job->result);
	/* The key set came with the evidence; only the policy can make it a trusted one. */
	uint8_t digest[SHA256_SIZE];
	hash_bytes(HASH_SHA256, items[BUNDLE_JWKS], digest);
	if (!appraise_list_has(
		    &job->policy->policy.token.key_sets, view_of(digest, sizeof(digest)))) {
		appraise_fault(job->result, "jwt.key_set");
		job->result->is_accepted = false;
	}
	return 0;
}

/* Evidence items in the order of precedence: an HCL report comes with a TPM quote and may come
 * with a TD quote; each of these alone is its own kind. */
static const struct {
	enum bundle_item item;
	int (*run)(const struct job *job, struct err *err);
} kinds[] = {
	{ BUNDLE_HCL, run_azure },
	{ BUNDLE_ATTEST, run_tpm },
	{ BUNDLE_QUOTE, run_tdx },
	{ BUNDLE_REPORT, run_snp },
	{ BUNDLE_MAA_TOKEN, run_token },
	{ BUNDLE_EAR_TOKEN, run_token },
};

int bundle_appraise(const struct bundle *bundle, const struct policy_document *policy,
	uint64_t as_of_ms, struct appraise_result *ret_result, struct view *ret_evidence,
	struct err *err)
{
	const struct job job = { bundle, policy, as_of_ms, ret_result };
	bool is_azure = bundle->items[BUNDLE_HCL].size > 0;
	size_t found = ARRAY_SIZE(kinds), count = 0;
	for (size_t i = ARRAY_SIZE(kinds); i > 0; i--) {
		enum bundle_item item = kinds[i - 1].item;
		bool is_part = is_azure && (item == BUNDLE_ATTEST || item == BUNDLE_QUOTE);
		if (bundle->items[item].data == NULL || is_part)
			continue;
		found = i - 1;
		count++;
	}
	if (!is_azure && bundle->items[BUNDLE_ATTEST].data && bundle->items[BUNDLE_QUOTE].data)
		return err_set(err, E_UNSUPPORTED,
			"a TPM quote over a TD quote (dstack on Google Cloud) is refused: the TD "
			"does not bind the TPM's key, so any TPM could have quoted it; judge the "
			"TD "
			"quote alone");
	if (count != 1)
		return err_set(err, E_INVALID, "expected evidence of one kind, got %zu", count);
	*ret_evidence = bundle->items[kinds[found].item];
	return kinds[found].run(&job, err);
}
