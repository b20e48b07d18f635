/* rules/appraise: Azure HCL reports. */
#include "fuzz.h"

#include "rules/appraise/azure.h"

FUZZ_INITIALIZE

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct appraise_policy policy = { .azure.is_td_quote_unchecked = true };
	struct appraise_azure_input input = {
		.hcl = view_of(data, size),
		.attest = view_of(data, MIN(size, (size_t)145)),
		.policy = &policy,
		.as_of_ms = 1790000000000,
	};
	struct appraise_result result;
	appraise_azure(&input, &result);
	MUST(!result.is_accepted);
	input.snp.vek = view_of(data, MIN(size, (size_t)1300));
	input.snp.intermediate = input.snp.vek;
	appraise_azure(&input, &result);
	MUST(!result.is_accepted);
	return 0;
}
