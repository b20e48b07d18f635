/*
 * Intel's two signed documents. The signature covers the exact bytes of the inner object, so the
 * outer one is read as spans: exactly two members, the body and the signature over it.
 */
#include "kit/codec/hex.h"
#include "rules/appraise/tdx_internal.h"

#define SIGNER_NAME "Intel SGX TCB Signing"

enum { SIGNATURE_SIZE = 64, SIGNER_CHAIN_SIZE = 2, EVALUATION_NUMBER_MAX = 1 << 20 };

/* The chain into a->signer and a->signer_root, unless it is the one that is there. */
static bool decode_signer(struct tdx_appraisal *a, const struct document *document)
{
	const struct document_codes *codes = document->codes;
	struct view certificates[X509_CHAIN_MAX], pem = document->chain_pem;
	struct err ignored;
	size_t count;
	if (a->signer_pem.size > 0 && view_equal(a->signer_pem, pem))
		return true;
	a->signer_pem = (struct view){};
	if (x509_pem(pem, &a->chains[document->chain], certificates, X509_CHAIN_MAX, &count,
		    &ignored) < 0) {
		appraise_fault(a->result, codes->chain_parse);
		return false;
	}
	if (count != SIGNER_CHAIN_SIZE) {
		appraise_fault(a->result, codes->signer_role);
		return false;
	}
	if (x509_parse(certificates[0], &a->signer, &ignored) < 0 ||
		x509_parse(certificates[1], &a->signer_root, &ignored) < 0) {
		appraise_fault(a->result, codes->chain_parse);
		return false;
	}
	a->signer_pem = pem;
	return true;
}

/* Chain of the signer: the TCB signing certificate directly under the anchor's root. */
static bool open_signer(
	struct tdx_appraisal *a, const struct document *document, struct x509 *ret_signer)
{
	const struct document_codes *codes = document->codes;
	if (!decode_signer(a, document))
		return false;
	const struct x509 *root = &a->signer_root;
	*ret_signer = a->signer;
	const struct appraise_anchors anchors = { a->input->anchors, a->input->anchor_count };
	const struct appraise_anchor *anchor = appraise_anchor_of(&anchors, root);
	if (!anchor || (a->anchor && anchor != a->anchor)) {
		appraise_fault(a->result, codes->untrusted_root);
		return false;
	}
	if (!x509_name_is(ret_signer->subject, SIGNER_NAME) || ret_signer->is_ca ||
		!ret_signer->has_key_usage ||
		!(ret_signer->key_usage & X509_USAGE_DIGITAL_SIGNATURE)) {
		appraise_fault(a->result, codes->signer_role);
		return false;
	}
	if (!chain_is_ca(root, 0) || !chain_issued(a->input->memo, ret_signer, root)) {
		appraise_fault(a->result, codes->chain.signature);
		return false;
	}
	(void)chain_dates(root, a->input->as_of_ms, &codes->chain, a->result);
	(void)chain_dates(ret_signer, a->input->as_of_ms, &codes->chain, a->result);
	if (a->has_root_crl && x509_crl_lists(&a->root_crl, ret_signer->serial))
		appraise_fault(a->result, codes->chain_revoked);
	return true;
}

/* Exactly the body and the signature, in this or the other order. */
static bool split(
	const struct document *document, struct jspan *ret_body, struct jspan *ret_signature)
{
	const char *const names[] = { document->member, "signature" };
	struct jspan outer, value, found[ARRAY_SIZE(names)] = {};
	struct view name;
	struct err ignored;
	size_t count = 0;
	if (jspan_check(document->text, APPRAISE_JSON_MAX, &outer, &ignored) < 0)
		return false;
	for (size_t position = 0; jspan_next(outer, &position, &name, &value); count++)
		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			if (view_equal_string(name, names[i]))
				found[i] = value;
	*ret_body = found[0];
	*ret_signature = found[1];
	return found[0].type == JSPAN_OBJECT && found[1].type == JSPAN_STRING && count == 2;
}

/* Members that both documents begin with. */
enum { BODY_ID, BODY_VERSION, BODY_ISSUED, BODY_NEXT, BODY_NUMBER, BODY_COUNT };
static const char *const body_names[BODY_COUNT] = { "id", "version", "issueDate", "nextUpdate",
	"tcbEvaluationDataNumber" };

static void check_dates(struct tdx_appraisal *a, const struct jspan members[BODY_COUNT],
	const struct document_codes *codes)
{
	uint64_t issued_ms, next_ms, as_of_ms = a->input->as_of_ms;
	const struct appraise_policy *policy = a->input->policy;
	uint64_t age_max_ms = policy->collateral_age_max_ms;
	if (!jspan_time(members[BODY_ISSUED], &issued_ms) ||
		!jspan_time(members[BODY_NEXT], &next_ms)) {
		appraise_fault(a->result, codes->format);
		return;
	}
	if (as_of_ms < issued_ms)
		appraise_fault(a->result, codes->issued_in_future);
	else if (appraise_is_over(policy, as_of_ms, next_ms, a->result) ||
		 (age_max_ms && as_of_ms - issued_ms > age_max_ms))
		appraise_fault(a->result, codes->expired);
}

bool tdx_document_open(
	struct tdx_appraisal *a, const struct document *document, struct jspan *ret_body)
{
	const struct document_codes *codes = document->codes;
	struct x509 signer;
	struct jspan body, signature;
	uint8_t raw[SIGNATURE_SIZE];
	if (document->text.size == 0) {
		if (a->input->policy->is_collateral_optional)
			appraise_unchecked(a->result, codes->unchecked);
		else
			appraise_fault(a->result, codes->missing);
		return false;
	}
	if (!split(document, &body, &signature)) {
		appraise_fault(a->result, codes->format);
		return false;
	}
	if (!open_signer(a, document, &signer))
		return false;
	if (!jspan_hex(signature, raw, sizeof(raw)) ||
		!appraise_signed_raw(a->input->memo, &signer.key, VERIFY_ECDSA_SHA256, body.text,
			view_of(raw, sizeof(raw)))) {
		appraise_fault(a->result, codes->signature);
		return false;
	}
	int64_t version, number;
	struct jspan members[BODY_COUNT];
	jspan_members(body, body_names, BODY_COUNT, members);
	if (!jspan_is(members[BODY_ID], document->id) ||
		!jspan_integer(
			members[BODY_VERSION], document->version, document->version, &version)) {
		appraise_fault(a->result, codes->id);
		return false;
	}
	check_dates(a, members, codes);
	if (!jspan_integer(members[BODY_NUMBER], 0, EVALUATION_NUMBER_MAX, &number)) {
		appraise_fault(a->result, codes->format);
		return false;
	}
	if ((uint64_t)number < a->input->policy->tdx.evaluation_number_min)
		appraise_fault(a->result, codes->eval_number);
	*ret_body = body;
	return true;
}
