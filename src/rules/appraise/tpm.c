/* See tpm.h: how the AK comes to be trusted; tpm_quote.c judges what it signed. */
#include "rules/appraise/tpm.h"

#include "kit/crypto/hash.h"
#include "rules/appraise/tpm_internal.h"

static const uint32_t attribute_fixed_tpm = 1U << 1;
static const uint32_t attribute_fixed_parent = 1U << 4;
static const uint32_t attribute_sensitive_origin = 1U << 5;
static const uint32_t attribute_restricted = 1U << 16;
static const uint32_t attribute_decrypt = 1U << 17;
static const uint32_t attribute_sign = 1U << 18;

static const struct crl_codes crl_codes = {
	.missing = "crl.missing",
	.unchecked = "revocation.crl",
	.parse = "crl.parse",
	.issuer_name = "crl.issuer_name",
	.signature = "crl.signature",
	.expired = "crl.expired",
	.not_yet_valid = "crl.not_yet_valid",
};

/* One code for both ends: what matters is that the certificate is not valid now. */
static const struct chain_codes ak_codes = { "ak.expired", "ak.expired", "ak.untrusted_root",
	"ak.untrusted_root" };

static const struct appraise_anchor name_anchor = { .label = "tpm-ak-name" };

struct tpm_appraisal {
	const struct appraise_tpm_input *input;
	struct appraise_result *result;
	struct x509 path[TPM_CHAIN_MAX + 2]; /* AK, intermediates, root */
	size_t path_count;
	struct tpm_public public;
	struct verify_key key;
	const struct appraise_anchor *anchor;
};

static bool stop(struct tpm_appraisal *a, const char *code)
{
	appraise_fault(a->result, code);
	return false;
}

static bool open_path(struct tpm_appraisal *a)
{
	const struct appraise_tpm_input *input = a->input;
	struct view ders[TPM_CHAIN_MAX + 2] = { input->ak };
	struct err ignored;
	size_t count = 1;
	for (size_t i = 0; i < MIN(input->chain_count, (size_t)TPM_CHAIN_MAX); i++)
		ders[count++] = input->chain[i];
	if (input->root.size > 0)
		ders[count++] = input->root;
	for (size_t i = 0; i < count; i++)
		if (x509_parse(ders[i], &a->path[i], &ignored) < 0)
			return stop(a, "ak.parse");
	a->path_count = count;
	return true;
}

static const struct view *crl_of(const struct appraise_tpm_input *input, const struct x509 *issuer)
{
	struct x509_crl crl;
	struct err ignored;
	for (size_t i = 0; i < MIN(input->crl_count, (size_t)TPM_CRLS_MAX); i++)
		if (x509_crl_parse(input->crls[i], &crl, &ignored) == 0 &&
			view_equal(crl.issuer, issuer->subject))
			return &input->crls[i];
	return NULL;
}

static void check_revocation(struct tpm_appraisal *a)
{
	for (size_t i = 0; i + 1 < a->path_count; i++) {
		const struct x509 *issuer = &a->path[i + 1];
		const struct view *der = crl_of(a->input, issuer);
		const struct crl_check check = {
			.der = der ? *der : (struct view){},
			.issuer = issuer,
			.codes = &crl_codes,
			.policy = a->input->policy,
			.as_of_ms = a->input->as_of_ms,
			.memo = a->input->memo,
		};
		struct x509_crl crl;
		if (crl_open(&check, &crl, a->result) && x509_crl_lists(&crl, a->path[i].serial))
			appraise_fault(a->result, "ak.revoked");
	}
}

static void check_usage(struct tpm_appraisal *a)
{
	static const uint8_t attestation[] = { 0x67, 0x81, 0x05, 0x08, 0x03 }; /* 2.23.133.8.3 */
	static const uint8_t endorsement[] = { 0x67, 0x81, 0x05, 0x08, 0x01 }; /* 2.23.133.8.1 */
	const struct x509 *ak = &a->path[0];
	bool is_good = x509_has_extended_usage(ak, view_of(attestation, sizeof(attestation))) ||
		       (a->input->policy->tpm.may_be_endorsement_key &&
			       x509_has_extended_usage(
				       ak, view_of(endorsement, sizeof(endorsement))));
	if (!is_good || !ak->has_key_usage || !(ak->key_usage & X509_USAGE_DIGITAL_SIGNATURE))
		appraise_fault(a->result, "ak.eku");
}

/* AK, intermediates and a pinned root. */
static bool trust_by_certificate(struct tpm_appraisal *a)
{
	const struct appraise_anchors anchors = { a->input->anchors, a->input->anchor_count };
	if (!open_path(a))
		return false;
	const struct x509 *root = &a->path[a->path_count - 1];
	a->key = a->path[0].key;
	a->anchor = a->path_count > 1 ? appraise_anchor_of(&anchors, root) : NULL;
	bool is_linked = a->anchor && !a->path[0].is_ca;
	for (size_t i = 0; is_linked && i + 1 < a->path_count; i++)
		is_linked = chain_is_ca(&a->path[i + 1], (int)i) &&
			    chain_issued(a->input->memo, &a->path[i], &a->path[i + 1]);
	if (!is_linked) {
		a->anchor = NULL;
		return stop(a, ak_codes.signature);
	}
	for (size_t i = 0; i < a->path_count; i++)
		(void)chain_dates(&a->path[i], a->input->as_of_ms, &ak_codes, a->result);
	check_usage(a);
	check_revocation(a);
	return true;
}

static void check_attributes(struct tpm_appraisal *a)
{
	const uint32_t wanted = attribute_fixed_tpm | attribute_fixed_parent |
				attribute_sensitive_origin | attribute_restricted | attribute_sign;
	uint32_t got = a->public.attributes;
	if ((got & wanted) != wanted || (got & attribute_decrypt))
		appraise_fault(a->result, "ak.attributes");
}

/* The key's name is on the policy's list. */
static bool trust_by_name(struct tpm_appraisal *a)
{
	uint8_t name[TPM_NAME_MAX];
	size_t size = tpm_name(a->input->ak_public, a->public.name_algorithm, name);
	if (size == 0 || !appraise_list_has(&a->input->policy->tpm.ak_names, view_of(name, size)))
		return stop(a, "ak.untrusted_root");
	a->key = a->public.key;
	a->anchor = &name_anchor;
	return true;
}

/* The same number with or without leading zeros. */
static bool is_same_number(struct view a, struct view b)
{
	while (a.size > 0 && a.data[0] == 0)
		a = view_of(a.data + 1, a.size - 1);
	while (b.size > 0 && b.data[0] == 0)
		b = view_of(b.data + 1, b.size - 1);
	return view_equal(a, b);
}

static bool is_same_key(const struct verify_key *a, const struct verify_key *b)
{
	return a->type == b->type && view_equal(a->point, b->point) &&
	       is_same_number(a->modulus, b->modulus) && is_same_number(a->exponent, b->exponent);
}

/* Report data that the policy expects is bound by its hash in the nonce (engines/evidence). */
static void check_report_data(const struct appraise_policy *policy, struct appraise_result *result)
{
	uint8_t digest[SHA256_SIZE];
	if (policy->report_data.size == 0)
		return;
	hash_bytes(HASH_SHA256, policy->report_data, digest);
	if (!crypto_equal(result->report_data, view_of(digest, sizeof(digest))))
		appraise_fault(result, "tpm.nonce");
}

static bool trust_key(struct tpm_appraisal *a)
{
	bool has_public = a->input->ak_public.size > 0;
	if (has_public && !tpm_public_parse(a->input->ak_public, &a->public))
		return stop(a, "ak.parse");
	if (a->input->ak.size > 0) {
		if (!trust_by_certificate(a))
			return false;
		if (has_public && !is_same_key(&a->path[0].key, &a->public.key))
			return stop(a, "ak.key");
	} else if (!has_public || !trust_by_name(a)) {
		return stop(a, "ak.untrusted_root");
	}
	if (has_public)
		check_attributes(a);
	return true;
}

void appraise_tpm(const struct appraise_tpm_input *input, struct appraise_result *ret_result)
{
	*ret_result = (struct appraise_result){ .platform = APPRAISE_PLATFORM_TPM, .anchor = "" };
	struct tpm_appraisal a = { .input = input, .result = ret_result };
	struct tpm_signature signature;
	bool is_parsed = tpm_signature_parse(input->signature, &signature);
	if (trust_key(&a)) {
		bool is_ecdsa = signature.algorithm == TPM_ALG_ECDSA;
		if (is_parsed)
			tpm_appraise_quote(input, &a.key, &signature, ret_result);
		else /* read by a scheme that is not the key's, it is malformed for that reason */
			appraise_fault(ret_result, is_ecdsa == (a.key.type == VERIFY_KEY_RSA)
							   ? "tpm.sig_alg"
							   : "tpm.format");
	}
	check_report_data(input->policy, ret_result);
	appraise_conclude(ret_result, input->policy, a.anchor);
}
