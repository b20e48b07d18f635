/* See appraise.h and internal.h. */
#include <string.h>

#include "kit/crypto/hash.h"
#include "rules/appraise/internal.h"
#include "rules/appraise/policy.h"

static const char *const status_names[TCB_STATUS_COUNT] = {
	[TCB_UNKNOWN] = "unknown",
	[TCB_UP_TO_DATE] = "UpToDate",
	[TCB_SW_HARDENING_NEEDED] = "SWHardeningNeeded",
	[TCB_CONFIGURATION_NEEDED] = "ConfigurationNeeded",
	[TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED] = "ConfigurationAndSWHardeningNeeded",
	[TCB_OUT_OF_DATE] = "OutOfDate",
	[TCB_OUT_OF_DATE_CONFIGURATION_NEEDED] = "OutOfDateConfigurationNeeded",
	[TCB_REVOKED] = "Revoked",
	[TCB_TD_RELAUNCH_ADVISED] = "TDRelaunchAdvised",
	[TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED] = "TDRelaunchAdvisedConfigurationNeeded",
};

const char *tcb_status_name(enum tcb_status status)
{
	return status_names[status];
}

const char *appraise_platform_name(enum appraise_platform platform)
{
	static const char *const names[APPRAISE_PLATFORM_COUNT] = {
		[APPRAISE_PLATFORM_NONE] = "none",
		[APPRAISE_PLATFORM_TDX] = "tdx",
		[APPRAISE_PLATFORM_SNP] = "sev-snp",
		[APPRAISE_PLATFORM_TPM] = "vtpm",
		[APPRAISE_PLATFORM_AZURE_SNP] = "azure-sev-snp",
		[APPRAISE_PLATFORM_AZURE_TDX] = "azure-tdx",
		[APPRAISE_PLATFORM_MAA] = "azure-maa",
		[APPRAISE_PLATFORM_EAR] = "ear",
	};
	return names[platform];
}

bool appraise_list_has(const struct appraise_list *list, struct view value)
{
	bool is_found = false;
	for (size_t i = 0; i < list->count; i++)
		is_found |= crypto_equal(list->items[i], value);
	return is_found;
}

void appraise_fault_at(struct appraise_result *result, const char *code, size_t offset)
{
	size_t kept = MIN(result->reason_count, (size_t)APPRAISE_REASONS_MAX);
	for (size_t i = 0; i < kept; i++)
		if (strcmp(result->reasons[i].code, code) == 0)
			return; /* one reason once */
	if (kept < APPRAISE_REASONS_MAX)
		result->reasons[kept] = (struct appraise_reason){ code, offset };
	result->reason_count++;
}

void appraise_fault(struct appraise_result *result, const char *code)
{
	appraise_fault_at(result, code, APPRAISE_NO_OFFSET);
}

void appraise_unchecked(struct appraise_result *result, const char *what)
{
	for (size_t i = 0; i < result->unchecked_count; i++)
		if (strcmp(result->unchecked[i], what) == 0)
			return;
	if (result->unchecked_count < APPRAISE_UNCHECKED_MAX)
		result->unchecked[result->unchecked_count++] = what;
}

bool appraise_is_over(const struct appraise_policy *policy, uint64_t as_of_ms, uint64_t end_ms,
	struct appraise_result *result)
{
	if (as_of_ms <= end_ms)
		return false;
	if (as_of_ms - end_ms > policy->collateral_grace_ms)
		return true;
	appraise_unchecked(result, "collateral.expired_accepted_by_policy");
	return false;
}

struct view appraise_keep(struct appraise_result *result, struct view bytes)
{
	uint8_t *to = result->decoded + result->decoded_size;
	if (bytes.size == 0 || bytes.size > sizeof(result->decoded) - result->decoded_size)
		return (struct view){};
	memcpy(to, bytes.data, bytes.size);
	result->decoded_size += bytes.size;
	return view_of(to, bytes.size);
}

void appraise_result_copy(const struct appraise_result *from, struct appraise_result *ret_copy)
{
	*ret_copy = *from;
	struct view *const views[] = { &ret_copy->report_data, &ret_copy->measurement,
		&ret_copy->host_data, &ret_copy->platform_id, &ret_copy->fmspc, &ret_copy->ppid };
	for (size_t i = 0; i < ARRAY_SIZE(views); i++) {
		uintptr_t at = (uintptr_t)views[i]->data, begin = (uintptr_t)from->decoded;
		if (at >= begin && at < begin + sizeof(from->decoded))
			views[i]->data = ret_copy->decoded + (at - begin);
	}
}

void appraise_conclude(struct appraise_result *result, const struct appraise_policy *policy,
	const struct appraise_anchor *anchor)
{
	result->anchor = anchor ? anchor->label : "";
	result->is_simulated = anchor && anchor->is_simulated;
	if (result->is_simulated && !appraise_list_has(&policy->simulated_roots,
					    view_of(anchor->sha256, APPRAISE_DIGEST_SIZE)))
		appraise_fault(result, "anchor.simulated");
	result->is_accepted = anchor && result->reason_count == 0;
}

/* Digest over everything that decides the outcome of one verification. */
static void memo_digest(const struct verify_key *key, unsigned scheme, struct view message,
	struct view signature, uint8_t ret_digest[static APPRAISE_DIGEST_SIZE])
{
	uint64_t sizes[] = { key->type, scheme, key->point.size, key->modulus.size,
		key->exponent.size, message.size, signature.size };
	struct view parts[] = { view_of(sizes, sizeof(sizes)), key->point, key->modulus,
		key->exponent, message, signature };
	hash_parts(HASH_SHA256, parts, ARRAY_SIZE(parts), ret_digest);
}

static bool memo_has(const struct appraise_memo *memo, const uint8_t *digest)
{
	for (size_t i = 0; i < APPRAISE_MEMO_MAX; i++)
		if (memcmp(memo->digests[i], digest, APPRAISE_DIGEST_SIZE) == 0)
			return true;
	return false;
}

void appraise_memo_done(struct appraise_memo *memo)
{
	verify_cache_done(&memo->keys);
}

bool appraise_signed_once(struct appraise_memo *memo, const struct verify_key *key,
	enum verify_scheme scheme, struct view message, struct view signature)
{
	struct err ignored; /* the reason code says which signature */
	const struct verify_claim claim = { scheme, message, signature };
	return verify_cached(memo ? &memo->keys : NULL, key, &claim, &ignored) == 0;
}

bool appraise_signed(struct appraise_memo *memo, const struct verify_key *key,
	enum verify_scheme scheme, struct view message, struct view signature)
{
	uint8_t digest[APPRAISE_DIGEST_SIZE];
	if (memo) {
		memo_digest(key, scheme, message, signature, digest);
		if (memo_has(memo, digest))
			return true;
	}
	if (!appraise_signed_once(memo, key, scheme, message, signature))
		return false;
	if (memo)
		memcpy(memo->digests[memo->next++ % APPRAISE_MEMO_MAX], digest, sizeof(digest));
	return true;
}

/* DER of r || s, as large as the key's point. */
static bool to_der(const struct verify_key *key, struct view r_and_s,
	uint8_t der[static VERIFY_ECDSA_DER_MAX], struct view *ret_signature)
{
	struct err ignored;
	size_t size;
	if (r_and_s.size != key->point.size || r_and_s.size == 0 ||
		verify_ecdsa_to_der(r_and_s, der, &size, &ignored) < 0)
		return false;
	*ret_signature = view_of(der, size);
	return true;
}

bool appraise_signed_raw(struct appraise_memo *memo, const struct verify_key *key,
	enum verify_scheme scheme, struct view message, struct view r_and_s)
{
	uint8_t der[VERIFY_ECDSA_DER_MAX];
	struct view signature;
	return to_der(key, r_and_s, der, &signature) &&
	       appraise_signed(memo, key, scheme, message, signature);
}

bool appraise_signed_once_raw(struct appraise_memo *memo, const struct verify_key *key,
	enum verify_scheme scheme, struct view message, struct view r_and_s)
{
	uint8_t der[VERIFY_ECDSA_DER_MAX];
	struct view signature;
	return to_der(key, r_and_s, der, &signature) &&
	       appraise_signed_once(memo, key, scheme, message, signature);
}

const struct appraise_anchor *appraise_anchor_of(
	const struct appraise_anchors *anchors, const struct x509 *root)
{
	uint8_t digest[APPRAISE_DIGEST_SIZE];
	hash_bytes(HASH_SHA256, root->whole, digest);
	for (size_t i = 0; i < anchors->count; i++)
		if (memcmp(anchors->items[i].sha256, digest, sizeof(digest)) == 0)
			return &anchors->items[i];
	return NULL;
}

bool chain_dates(const struct x509 *certificate, uint64_t as_of_ms, const struct chain_codes *codes,
	struct appraise_result *result)
{
	if (as_of_ms < certificate->not_before_ms) {
		appraise_fault(result, codes->not_yet_valid);
		return false;
	}
	if (as_of_ms > certificate->not_after_ms) {
		appraise_fault(result, codes->expired);
		return false;
	}
	return true;
}

bool chain_is_ca(const struct x509 *issuer, int below)
{
	return issuer->is_ca && issuer->has_key_usage &&
	       (issuer->key_usage & X509_USAGE_CERT_SIGN) &&
	       (issuer->path_length == X509_PATH_LENGTH_NONE || issuer->path_length >= below);
}

bool chain_issued(
	struct appraise_memo *memo, const struct x509 *certificate, const struct x509 *issuer)
{
	return view_equal(certificate->issuer, issuer->subject) &&
	       appraise_signed(memo, &issuer->key, certificate->scheme, certificate->tbs,
		       certificate->signature);
}

bool chain_root_holds(
	struct appraise_memo *memo, const struct x509 *root, const struct appraise_anchor *anchor)
{
	for (size_t i = 0; anchor && i < appraise_known_anchor_count; i++)
		if (memcmp(anchor->sha256, appraise_known_anchors[i].sha256,
			    sizeof(anchor->sha256)) == 0)
			return true;
	return chain_issued(memo, root, root);
}

bool crl_open(
	const struct crl_check *check, struct x509_crl *ret_crl, struct appraise_result *result)
{
	struct err ignored;
	if (check->der.size == 0) {
		if (check->policy->is_collateral_optional || check->policy->is_crl_optional)
			appraise_unchecked(result, check->codes->unchecked);
		else
			appraise_fault(result, check->codes->missing);
		return false;
	}
	if (x509_crl_parse(check->der, ret_crl, &ignored) < 0) {
		appraise_fault(result, check->codes->parse);
		return false;
	}
	if (!view_equal(ret_crl->issuer, check->issuer->subject)) {
		appraise_fault(result, check->codes->issuer_name);
		return false;
	}
	bool may_sign = check->issuer->is_ca && (check->issuer->key_usage & X509_USAGE_CRL_SIGN);
	if (!may_sign || !appraise_signed(check->memo, &check->issuer->key, ret_crl->scheme,
				 ret_crl->tbs, ret_crl->signature)) {
		appraise_fault(result, check->codes->signature);
		return false;
	}
	if (check->as_of_ms < ret_crl->this_update_ms)
		appraise_fault(result, check->codes->not_yet_valid);
	/* A CRL that names no end could be any age; it counts as expired. */
	if (appraise_is_over(check->policy, check->as_of_ms, ret_crl->next_update_ms, result))
		appraise_fault(result, check->codes->expired);
	return true;
}
