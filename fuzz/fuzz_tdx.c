/* rules/appraise: a quote without anchors is never accepted, and every reason has a code. */
#include "fuzz.h"

#include "rules/appraise/tdx.h"

FUZZ_INITIALIZE

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct appraise_policy policy = { .is_collateral_optional = true };
	const struct appraise_tdx_input input = {
		.quote = view_of(data, size), .policy = &policy, .as_of_ms = 1790000000000
	};
	struct appraise_result result;
	appraise_tdx(&input, &result);
	MUST(!result.is_accepted);
	for (size_t i = 0; i < result.reason_count && i < APPRAISE_REASONS_MAX; i++)
		MUST(result.reasons[i].code != NULL);
	return 0;
}
