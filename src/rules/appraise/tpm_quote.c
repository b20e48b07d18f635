/*
 * What the AK signed: form, signature, freshness, registers, clock, log. Only registers in the
 * signed selection exist; values reported beside it are refused, not ignored.
 */
#include "rules/appraise/eventlog.h"
#include "rules/appraise/tpm_internal.h"

struct quote_check {
	const struct appraise_tpm_input *input;
	const struct verify_key *key;
	const struct tpm_signature *signature;
	struct appraise_result *result;
	struct tpm_attest attest;
	enum hash_kind hash; /* of the signature and the PCR digest */
};

static enum verify_scheme scheme_of(const struct quote_check *q)
{
	bool is_sha256 = q->hash == HASH_SHA256;
	bool is_rsa = q->key->type == VERIFY_KEY_RSA;
	if (q->signature->algorithm == TPM_ALG_RSASSA && is_rsa)
		return is_sha256 ? VERIFY_RSA_PKCS1_SHA256 : VERIFY_RSA_PKCS1_SHA384;
	if (q->signature->algorithm == TPM_ALG_RSAPSS && is_rsa)
		return is_sha256 ? VERIFY_RSA_PSS_ANY_SALT_SHA256 : VERIFY_RSA_PSS_ANY_SALT_SHA384;
	if (q->signature->algorithm == TPM_ALG_ECDSA && !is_rsa)
		return is_sha256 ? VERIFY_ECDSA_SHA256 : VERIFY_ECDSA_SHA384;
	return VERIFY_SCHEME_NONE;
}

/* r and s may come without leading zeros. */
static bool check_ecdsa(const struct quote_check *q, enum verify_scheme scheme)
{
	uint8_t r_and_s[96] = {};
	size_t half = q->key->point.size / 2;
	struct view r = q->signature->r, s = q->signature->s;
	if (half > sizeof(r_and_s) / 2 || r.size == 0 || r.size > half || s.size == 0 ||
		s.size > half)
		return false;
	memcpy(r_and_s + half - r.size, r.data, r.size);
	memcpy(r_and_s + 2 * half - s.size, s.data, s.size);
	return appraise_signed_raw(
		NULL, q->key, scheme, q->input->attest, view_of(r_and_s, 2 * half));
}

static void check_signature(struct quote_check *q)
{
	enum verify_scheme scheme = scheme_of(q);
	if (scheme == VERIFY_SCHEME_NONE) {
		appraise_fault(q->result, "tpm.sig_alg");
		return;
	}
	bool is_good = q->key->type == VERIFY_KEY_RSA ? appraise_signed(NULL, q->key, scheme,
								q->input->attest, q->signature->rsa)
						      : check_ecdsa(q, scheme);
	if (!is_good)
		appraise_fault(q->result, "tpm.signature");
}

static void check_freshness(struct quote_check *q)
{
	const struct appraise_policy *policy = q->input->policy;
	size_t size_min = policy->tpm.nonce_size_min ? policy->tpm.nonce_size_min
						     : (size_t)APPRAISE_NONCE_MIN;
	bool is_long_enough = policy->tpm.is_nonce_size_free || policy->tpm.nonce.size >= size_min;
	if (!is_long_enough || !crypto_equal(q->attest.extra_data, policy->tpm.nonce))
		appraise_fault(q->result, "tpm.nonce");
	if ((policy->tpm.is_safe_clock_required && !q->attest.is_clock_safe) ||
		(policy->tpm.has_reset_count && q->attest.reset_count != policy->tpm.reset_count))
		appraise_fault(q->result, "tpm.clock");
}

static bool bank_hash(enum appraise_bank bank, uint16_t *ret_algorithm, enum hash_kind *ret_hash)
{
	*ret_algorithm = bank == APPRAISE_BANK_SHA384 ? TPM_ALG_SHA384 : TPM_ALG_SHA256;
	return bank != APPRAISE_BANK_SHA1 && tpm_hash_of(*ret_algorithm, ret_hash);
}

static uint32_t reported(const struct appraise_tpm_input *input)
{
	uint32_t mask = 0;
	for (size_t i = 0; i < TPM_PCR_COUNT; i++)
		if (input->pcrs[i].size > 0)
			mask |= 1U << i;
	return mask;
}

/* Selected values, one after the other, hashed. */
static void check_digest(struct quote_check *q, enum hash_kind bank)
{
	struct view values[TPM_PCR_COUNT];
	uint8_t digest[HASH_SIZE_MAX];
	size_t count = 0;
	for (size_t i = 0; i < TPM_PCR_COUNT; i++) {
		if (!(q->attest.selections[0].pcrs & 1U << i))
			continue;
		values[count++] = q->input->pcrs[i];
		if (q->input->pcrs[i].size != hash_size(bank))
			appraise_fault(q->result, "tpm.pcr_digest");
	}
	hash_parts(q->hash, values, count, digest);
	if (!crypto_equal(q->attest.pcr_digest, view_of(digest, hash_size(q->hash))))
		appraise_fault(q->result, "tpm.pcr_digest");
}

/* False when there is no selection to judge values by. */
static bool check_registers(struct quote_check *q, enum hash_kind *ret_bank)
{
	const struct appraise_policy *policy = q->input->policy;
	uint16_t algorithm;
	if (q->input->bank != policy->tpm.bank ||
		!bank_hash(policy->tpm.bank, &algorithm, ret_bank)) {
		appraise_fault(q->result, "tpm.pcr_bank");
		return false;
	}
	if (q->attest.selection_count != 1) {
		appraise_fault(q->result, "tpm.pcr_selection");
		return false;
	}
	if (q->attest.selections[0].algorithm != algorithm) {
		appraise_fault(q->result, "tpm.pcr_bank");
		return false;
	}
	uint32_t selected = q->attest.selections[0].pcrs;
	if ((policy->tpm.required_pcrs & ~selected) || reported(q->input) != selected) {
		appraise_fault(q->result, "tpm.pcr_selection");
		return false;
	}
	check_digest(q, *ret_bank);
	return true;
}

static void check_log(struct quote_check *q, enum hash_kind bank)
{
	const struct appraise_policy *policy = q->input->policy;
	struct eventlog_replay replay;
	if (q->input->event_log.size == 0) {
		if (policy->tpm.is_event_log_required)
			appraise_fault(q->result, "eventlog.missing");
		return;
	}
	if (!eventlog_replay(q->input->event_log, bank, false, &replay)) {
		appraise_fault(q->result, "eventlog.format");
		return;
	}
	if (policy->tpm.is_log_strict && (replay.touched & ~q->attest.selections[0].pcrs))
		appraise_fault(q->result, "eventlog.unquoted");
	for (size_t i = 0; i < TPM_PCR_COUNT; i++)
		if ((policy->tpm.required_pcrs & 1U << i) &&
			!view_equal(
				q->input->pcrs[i], view_of(replay.registers[i], hash_size(bank))))
			appraise_fault(q->result, "eventlog.replay");
	if (replay.has_data_fault)
		appraise_fault_at(q->result, "eventlog.data_digest", replay.fault_offset);
}

void tpm_appraise_quote(const struct appraise_tpm_input *input, const struct verify_key *key,
	const struct tpm_signature *signature, struct appraise_result *result)
{
	struct quote_check q = {
		.input = input, .key = key, .signature = signature, .result = result
	};
	enum hash_kind bank;
	if (!tpm_attest_parse(input->attest, &q.attest)) {
		appraise_fault(result, "tpm.format");
		return;
	}
	if (q.attest.magic != TPM_MAGIC || q.attest.type != TPM_ST_ATTEST_QUOTE) {
		appraise_fault(result, q.attest.magic != TPM_MAGIC ? "tpm.magic" : "tpm.type");
		return;
	}
	result->report_data = q.attest.extra_data;
	result->measurement = q.attest.pcr_digest;
	if (!tpm_hash_of(signature->hash, &q.hash)) {
		appraise_fault(result, "tpm.sig_alg");
		return;
	}
	check_signature(&q);
	check_freshness(&q);
	if (check_registers(&q, &bank))
		check_log(&q, bank);
}
