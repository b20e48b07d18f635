/* See ear_issue.h. */
#include "rules/appraise/ear_issue.h"

#include "kit/base/str.h"
#include "kit/codec/base64.h"
#include "kit/codec/der.h"
#include "kit/codec/json.h"

#define EAR_PROFILE "tag:github.com,2024:confidential-containers/Trustee"

enum {
	NONCE_MAX = 64,
	KEY_MAX = 4096,
	HALF = 32,
	/* AR4SI: affirming, warning and contraindicated values of the claims we make. */
	EXECUTABLES_KNOWN = 3,
	EXECUTABLES_UNKNOWN = 33,
	HARDWARE_GENUINE = 2,
	HARDWARE_SIMULATED = 32,
	HARDWARE_REFUSED = 97,
	CONFIGURATION_APPROVED = 2,
	CONFIGURATION_REFUSED = 36,
};

static bool compares_measurement(
	const struct appraise_policy *policy, enum appraise_platform platform)
{
	if (platform == APPRAISE_PLATFORM_TDX || platform == APPRAISE_PLATFORM_AZURE_TDX)
		return policy->tdx.mrtd.count > 0;
	if (platform == APPRAISE_PLATFORM_SNP || platform == APPRAISE_PLATFORM_AZURE_SNP)
		return policy->snp.measurement.count > 0;
	return platform == APPRAISE_PLATFORM_TPM && policy->tpm.is_event_log_required;
}

static struct json *vector_of(const struct ear_issue *issue, const char **ret_status)
{
	const struct appraise_result *r = issue->result;
	struct json *vector = json_new_object();
	bool is_known = r->is_accepted && compares_measurement(&issue->policy->policy, r->platform);
	bool is_hardware = r->is_accepted && !r->is_simulated && r->anchor[0];
	json_set_integer(vector, "executables", is_known ? EXECUTABLES_KNOWN : EXECUTABLES_UNKNOWN);
	json_set_integer(vector, "hardware",
		is_hardware ? HARDWARE_GENUINE
			    : (r->is_accepted ? HARDWARE_SIMULATED : HARDWARE_REFUSED));
	json_set_integer(vector, "configuration",
		r->is_accepted ? CONFIGURATION_APPROVED : CONFIGURATION_REFUSED);
	*ret_status = !r->is_accepted           ? "contraindicated"
		      : is_known && is_hardware ? "affirming"
						: "warning";
	return vector;
}

static int set_runtime(struct json *evidence, const struct ear_issue *issue, struct err *err)
{
	struct json *runtime = json_new_object(), *key = NULL;
	auto_done(buf) nonce = {};
	json_set(evidence, "runtime_data_claims", runtime);
	TRY(base64_encode(BASE64_STANDARD, issue->nonce, &nonce, err));
	json_set_string(runtime, "nonce", buf_string(&nonce));
	if (issue->tee_pubkey.size == 0)
		return 0;
	TRY(json_parse(issue->tee_pubkey, KEY_MAX, &key, err));
	json_set(runtime, "tee-pubkey", key);
	return 0;
}

static int make_claims(const struct ear_issue *issue, struct json *claims, struct err *err)
{
	const char *status;
	struct json *verifier = json_new_object(), *submods = json_new_object();
	struct json *cpu = json_new_object(), *evidence = json_new_object();
	json_set_string(claims, "eat_profile", EAR_PROFILE);
	json_set_integer(claims, "iat", (int64_t)issue->now_s);
	json_set_integer(claims, "nbf", (int64_t)issue->now_s);
	json_set_integer(claims, "exp", (int64_t)(issue->now_s + issue->lifetime_s));
	json_set_string(verifier, "developer", "cupel");
	json_set_string(verifier, "build", "1");
	json_set(claims, "ear.verifier-id", verifier);
	json_set(claims, "submods", submods);
	json_set(submods, "cpu0", cpu);
	json_set(cpu, "ear.trustworthiness-vector", vector_of(issue, &status));
	json_set_string(cpu, "ear.status", status);
	json_set_hex(cpu, "ear.appraisal-policy-id",
		view_of(issue->policy->hash, sizeof(issue->policy->hash)));
	json_set(cpu, "ear.veraison.annotated-evidence", evidence);
	json_set_string(evidence, "platform", appraise_platform_name(issue->result->platform));
	json_set_string(evidence, "anchor", issue->result->anchor);
	if (issue->result->measurement.size > 0)
		json_set_hex(evidence, "measurement", issue->result->measurement);
	if (issue->result->report_data.size > 0)
		json_set_hex(evidence, "report_data", issue->result->report_data);
	return set_runtime(evidence, issue, err);
}

static int put_part(const struct json *value, struct buf *input, struct err *err)
{
	auto_done(buf) text = {};
	TRY(json_encode(value, &text, err));
	return base64_encode(BASE64_URL, buf_view(&text), input, err);
}

int ear_signing_input(const struct ear_issue *issue, struct buf *input, struct err *err)
{
	auto_json *header = json_new_object();
	auto_json *claims = json_new_object();
	if (issue->lifetime_s == 0 || issue->lifetime_s > EAR_LIFETIME_MAX_S)
		return err_set(
			err, E_INVALID, "a result lives 1 to %d seconds", EAR_LIFETIME_MAX_S);
	if (issue->nonce.size == 0 || issue->nonce.size > NONCE_MAX)
		return err_set(err, E_INVALID, "a nonce has 1 to %d bytes, got %zu", NONCE_MAX,
			issue->nonce.size);
	json_set_string(header, "alg", "ES256");
	json_set_string(header, "kid", issue->key_id);
	json_set_string(header, "typ", "JWT");
	TRY(make_claims(issue, claims, err));
	TRY(put_part(header, input, err));
	TRY(buf_append_string(input, ".", err));
	return put_part(claims, input, err);
}

static int take_half(struct reader *reader, uint8_t *ret_half, struct err *err)
{
	struct view magnitude;
	TRY(der_take_magnitude(reader, &magnitude, err));
	if (magnitude.size > HALF)
		return err_set(err, E_INVALID, "half a signature of %zu bytes", magnitude.size);
	memset(ret_half, 0, HALF);
	memcpy(ret_half + HALF - magnitude.size, magnitude.data, magnitude.size);
	return 0;
}

int ear_join(struct view input, struct view signature_der, struct buf *token, struct err *err)
{
	uint8_t raw[2 * HALF];
	struct reader outer = reader_of(signature_der), inner;
	TRY(der_enter(&outer, DER_SEQUENCE, &inner, err));
	TRY(der_end(&outer, "the signature", err));
	TRY(take_half(&inner, raw, err));
	TRY(take_half(&inner, raw + HALF, err));
	TRY(der_end(&inner, "the signature", err));
	TRY(buf_append(token, input, err));
	TRY(buf_append_string(token, ".", err));
	return base64_encode(BASE64_URL, view_of(raw, sizeof(raw)), token, err);
}
