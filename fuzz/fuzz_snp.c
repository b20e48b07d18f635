/* rules/appraise: an SNP report followed by a certificate table. */
#include "fuzz.h"

#include "rules/appraise/snp.h"

FUZZ_INITIALIZE

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct appraise_policy policy = { .is_collateral_optional = true };
	size_t report_size = MIN(size, (size_t)SNP_REPORT_SIZE);
	struct appraise_snp_input input = {
		.report = view_of(data, report_size), .policy = &policy, .as_of_ms = 1790000000000
	};
	struct appraise_result result;
	(void)snp_certificates_parse(
		view_of(data + report_size, size - report_size), &input.collateral);
	appraise_snp(&input, &result);
	MUST(!result.is_accepted);
	return 0;
}
