/*
 * See tdx.h. This file walks the appraisal; tdx_document.c opens Intel's documents, tdx_tcb.c
 * judges levels, tdx_td.c the TD.
 */
#include "rules/appraise/tdx.h"

#include "kit/crypto/hash.h"
#include "rules/appraise/tdx_internal.h"

enum {
	PCK_CHAIN_SIZE = 3,
	QE_FLAGS = 48,
	QE_FLAG_DEBUG = 0x02,
	QE_REPORT_DATA = 320,
	QE_REPORT_DATA_SIZE = 64,
	PATH_BELOW_ROOT = 1,
};

static const struct chain_codes pck_codes = {
	.expired = "pck_chain.expired",
	.not_yet_valid = "pck_chain.not_yet_valid",
	.signature = "pck_chain.signature",
	.not_ca = "pck_chain.not_ca",
};

static const struct crl_codes root_crl_codes = {
	.missing = "root_crl.missing",
	.unchecked = "revocation.root_crl",
	.parse = "root_crl.parse",
	.issuer_name = "root_crl.issuer_name",
	.signature = "root_crl.signature",
	.expired = "root_crl.expired",
	.not_yet_valid = "root_crl.not_yet_valid",
};

static const struct crl_codes pck_crl_codes = {
	.missing = "pck_crl.missing",
	.unchecked = "revocation.pck_crl",
	.parse = "pck_crl.parse",
	.issuer_name = "pck_crl.issuer_name",
	.signature = "pck_crl.signature",
	.expired = "pck_crl.expired",
	.not_yet_valid = "pck_crl.not_yet_valid",
};

static const struct document_codes tcb_codes = {
	.missing = "tcb_info.missing",
	.unchecked = "tcb_info",
	.format = "tcb_info.format",
	.signature = "tcb_info.signature",
	.id = "tcb_info.id",
	.expired = "tcb_info.expired",
	.issued_in_future = "tcb_info.issued_in_future",
	.eval_number = "tcb_info.eval_number",
	.signer_role = "tcb_info.chain.signer_role",
	.untrusted_root = "tcb_info.chain.untrusted_root",
	.chain_parse = "tcb_info.chain.parse",
	.chain_revoked = "tcb_info.chain.revoked",
	.chain = { "tcb_info.chain.expired", "tcb_info.chain.not_yet_valid",
		"tcb_info.chain.signature", "tcb_info.chain.not_ca" },
};

static const struct document_codes qe_codes = {
	.missing = "qe_identity.missing",
	.unchecked = "qe_identity",
	.format = "qe_identity.format",
	.signature = "qe_identity.signature",
	.id = "qe_identity.id",
	.expired = "qe_identity.expired",
	.issued_in_future = "qe_identity.issued_in_future",
	.eval_number = "qe_identity.eval_number",
	.signer_role = "qe_identity.chain.signer_role",
	.untrusted_root = "qe_identity.chain.untrusted_root",
	.chain_parse = "qe_identity.chain.parse",
	.chain_revoked = "qe_identity.chain.revoked",
	.chain = { "qe_identity.chain.expired", "qe_identity.chain.not_yet_valid",
		"qe_identity.chain.signature", "qe_identity.chain.not_ca" },
};

static bool stop(struct tdx_appraisal *a, const char *code)
{
	appraise_fault(a->result, code);
	return false;
}

/* Leaf, Platform or Processor CA, root: decoded, in their roles by name; the root is pinned. */
static bool open_pck_chain(struct tdx_appraisal *a)
{
	struct view certificates[X509_CHAIN_MAX];
	struct err ignored;
	size_t count;
	if (x509_pem(a->quote.pck_pem, &a->chains[TDX_CHAIN_PCK], certificates, X509_CHAIN_MAX,
		    &count, &ignored) < 0)
		return stop(a, "pck_chain.parse");
	if (count == 0)
		return stop(a, "pck_chain.missing");
	struct x509 decoded[X509_CHAIN_MAX];
	for (size_t i = 0; i < count; i++)
		if (x509_parse(certificates[i], &decoded[i], &ignored) < 0)
			return stop(a, "pck_chain.parse");
	if (count != PCK_CHAIN_SIZE)
		return stop(a, "pck_chain.names");
	a->leaf = decoded[0];
	a->ca = decoded[1];
	a->root = decoded[2];
	bool has_names = x509_name_is(a->leaf.subject, "Intel SGX PCK Certificate") &&
			 (x509_name_is(a->ca.subject, "Intel SGX PCK Platform CA") ||
				 x509_name_is(a->ca.subject, "Intel SGX PCK Processor CA")) &&
			 view_equal(a->leaf.issuer, a->ca.subject) &&
			 view_equal(a->ca.issuer, a->root.subject) &&
			 view_equal(a->root.issuer, a->root.subject);
	return has_names ? true : stop(a, "pck_chain.names");
}

static bool is_p256(const struct x509 *certificate)
{
	return certificate->key.type == VERIFY_KEY_P256 &&
	       certificate->scheme == VERIFY_ECDSA_SHA256;
}

static void check_pck_chain(struct tdx_appraisal *a)
{
	const struct appraise_anchors anchors = { a->input->anchors, a->input->anchor_count };
	struct appraise_memo *memo = a->input->memo;
	a->anchor = appraise_anchor_of(&anchors, &a->root);
	if (!a->anchor)
		appraise_fault(a->result, "pck_chain.untrusted_root");
	if (!chain_is_ca(&a->root, PATH_BELOW_ROOT) || !chain_is_ca(&a->ca, 0) || a->leaf.is_ca)
		appraise_fault(a->result, pck_codes.not_ca);
	if (!is_p256(&a->leaf) || !is_p256(&a->ca) || !is_p256(&a->root) ||
		!chain_root_holds(memo, &a->root, a->anchor) ||
		!chain_issued(memo, &a->ca, &a->root) || !chain_issued(memo, &a->leaf, &a->ca))
		appraise_fault(a->result, pck_codes.signature);
	(void)chain_dates(&a->root, a->input->as_of_ms, &pck_codes, a->result);
	(void)chain_dates(&a->ca, a->input->as_of_ms, &pck_codes, a->result);
	(void)chain_dates(&a->leaf, a->input->as_of_ms, &pck_codes, a->result);
}

static void check_revocation(struct tdx_appraisal *a)
{
	struct crl_check check = {
		.der = a->input->collateral.root_crl,
		.issuer = &a->root,
		.codes = &root_crl_codes,
		.policy = a->input->policy,
		.as_of_ms = a->input->as_of_ms,
		.memo = a->input->memo,
	};
	struct x509_crl pck_crl;
	a->has_root_crl = crl_open(&check, &a->root_crl, a->result);
	if (a->has_root_crl && x509_crl_lists(&a->root_crl, a->ca.serial))
		appraise_fault(a->result, "pck_chain.ca_revoked");
	check.der = a->input->collateral.pck_crl;
	check.issuer = &a->ca;
	check.codes = &pck_crl_codes;
	if (crl_open(&check, &pck_crl, a->result) && x509_crl_lists(&pck_crl, a->leaf.serial))
		appraise_fault(a->result, "pck_chain.revoked");
}

/* The PCK vouches for the QE, the QE for the attestation key, the key for the quote. */
static void check_signatures(struct tdx_appraisal *a)
{
	const struct tdx_quote *quote = &a->quote;
	struct verify_key key = { .type = VERIFY_KEY_P256, .point = quote->attestation_key };
	/* Quotes differ each time; only the QE report repeats and is worth remembering. */
	if (!appraise_signed_raw(a->input->memo, &a->leaf.key, VERIFY_ECDSA_SHA256,
		    quote->qe_report, quote->qe_report_signature))
		appraise_fault(a->result, "qe.report_signature");
	uint8_t expected[QE_REPORT_DATA_SIZE] = {};
	struct view bound[] = { quote->attestation_key, quote->qe_auth_data };
	hash_parts(HASH_SHA256, bound, ARRAY_SIZE(bound), expected);
	if (memcmp(quote->qe_report.data + QE_REPORT_DATA, expected, sizeof(expected)) != 0)
		appraise_fault(a->result, "qe.ak_binding");
	if (quote->qe_report.data[QE_FLAGS] & QE_FLAG_DEBUG)
		appraise_fault(a->result, "qe.debug");
	if (!appraise_signed_once_raw(a->input->memo, &key, VERIFY_ECDSA_SHA256, quote->signed_part,
		    quote->signature))
		appraise_fault(a->result, "quote.signature");
}

static void check_platform(struct tdx_appraisal *a)
{
	uint8_t digest[SHA256_SIZE];
	const struct appraise_list *platforms = &a->input->policy->tdx.platforms;
	const char *fault = pck_extension_parse(&a->leaf, &a->pck);
	if (fault) {
		appraise_fault(a->result, fault);
		return;
	}
	a->has_pck = true;
	/* The certificates are decoded from PEM for this appraisal only. */
	a->result->fmspc = appraise_keep(a->result, a->pck.fmspc);
	a->result->ppid = appraise_keep(a->result, a->pck.ppid);
	a->result->platform_id = appraise_keep(a->result, a->pck.instance_id);
	hash_bytes(HASH_SHA256, a->pck.ppid, digest);
	if (platforms->count > 0 && !appraise_list_has(platforms, view_of(digest, sizeof(digest))))
		appraise_fault(a->result, "pck.platform");
}

static void check_documents(struct tdx_appraisal *a)
{
	const struct tdx_collateral *collateral = &a->input->collateral;
	const struct document identity = { collateral->qe_identity, collateral->qe_chain,
		"enclaveIdentity", "TD_QE", 2, TDX_CHAIN_QE, &qe_codes };
	const struct document tcb_info = { collateral->tcb_info, collateral->tcb_chain, "tcbInfo",
		"TDX", 3, TDX_CHAIN_TCB, &tcb_codes };
	struct jspan body;
	if (tdx_document_open(a, &identity, &body))
		tdx_appraise_qe(a, body);
	if (tdx_document_open(a, &tcb_info, &body))
		tdx_appraise_tcb(a, body);
	/* Else the merged status has its reason already. */
	bool is_open = a->result->status == TCB_UNKNOWN || a->result->status == TCB_UP_TO_DATE;
	if (is_open && a->result->qe_status != TCB_UNKNOWN)
		tdx_require_status(a, a->result->qe_status);
}

static void appraise(struct tdx_appraisal *a)
{
	struct appraise_result *result = a->result;
	const char *code;
	size_t offset;
	bool is_parsed = tdx_quote_parse(a->input->quote, &a->quote, &code, &offset);
	if (code)
		appraise_fault_at(result, code, offset);
	if (!is_parsed)
		return;
	result->report_data = a->quote.report_data;
	result->measurement = a->quote.mrtd;
	result->host_data = a->quote.mr_config_id;
	for (size_t i = 0; i < TDX_RTMR_COUNT; i++)
		result->rtmr[i] = a->quote.rtmr[i];
	if (!open_pck_chain(a))
		return;
	check_pck_chain(a);
	check_revocation(a);
	check_signatures(a);
	check_platform(a);
	check_documents(a);
	tdx_appraise_td(a);
	tdx_appraise_log(a);
}

void appraise_tdx(const struct appraise_tdx_input *input, struct appraise_result *ret_result)
{
	*ret_result = (struct appraise_result){ .platform = APPRAISE_PLATFORM_TDX, .anchor = "" };
	auto_done(appraise_memo) own = {}; /* within one appraisal, too, things are said twice */
	struct appraise_tdx_input full = *input;
	full.memo = input->memo ? input->memo : &own;
	struct tdx_appraisal a = { .input = &full, .result = ret_result };
	for (size_t i = 0; i < TDX_CHAIN_COUNT; i++)
		a.chains[i].limit = TDX_CHAIN_BYTES_MAX;
	appraise(&a);
	appraise_conclude(ret_result, input->policy, a.anchor);
	for (size_t i = 0; i < TDX_CHAIN_COUNT; i++)
		buf_done(&a.chains[i]);
}
