/* rules/appraise: TPM structures; the first byte says which, or how a pair is split. */
#include "fuzz.h"

#include "rules/appraise/tpm_internal.h"

FUZZ_INITIALIZE

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct appraise_policy policy = { .is_collateral_optional = true };
	struct appraise_tpm_input input = { .policy = &policy, .as_of_ms = 1790000000000 };
	struct tpm_public public = {};
	struct appraise_result result;
	if (size == 0)
		return 0;
	struct view bytes = view_of(data + 1, size - 1);
	(void)tpm_public_parse(bytes, &public);
	size_t split = MIN((size_t)data[0] * 4, bytes.size);
	input.attest = view_of(bytes.data, split);
	input.signature = view_of(bytes.data + split, bytes.size - split);
	input.ak_public = bytes;
	appraise_tpm(&input, &result);
	MUST(!result.is_accepted);
	const struct verify_key key = { .type = VERIFY_KEY_P256,
		.point = view_of(
			"0123456789012345678901234567890101234567890123456789012345678901", 64) };
	struct tpm_signature signature;
	(void)tpm_signature_parse(input.signature, &signature);
	input.attest = bytes;
	tpm_appraise_quote(&input, &key, &signature, &result);
	MUST(result.reason_count > 0);
	return 0;
}
