/*
 * Appraisal of Azure confidential VMs: an HCL report (hardware report made at boot, with runtime
 * claims that hold the vTPM's attestation key) and a vTPM quote by that key, which alone is fresh.
 * Layout in docs/reference/attestation.md, confirmed on eight real pieces of evidence.
 */
#ifndef RULES_APPRAISE_AZURE_H
#define RULES_APPRAISE_AZURE_H

#include "rules/appraise/snp.h"
#include "rules/appraise/tdx.h"
#include "rules/appraise/tpm.h"

struct appraise_azure_input {
	struct view hcl;
	struct view attest;              /* TPMS_ATTEST */
	struct view signature;           /* bare RSASSA-SHA256 */
	struct view pcrs[TPM_PCR_COUNT]; /* SHA-256 bank */
	struct view event_log;

	struct snp_collateral snp; /* with a VEK: the hardware report is an SNP report */
	struct view td_quote;      /* else a TD quote over the same report data */
	struct tdx_collateral tdx;

	const struct appraise_anchor *anchors;
	size_t anchor_count;
	const struct appraise_policy *policy;
	uint64_t as_of_ms;
	struct appraise_memo *memo; /* may be NULL */
};

/*
 * Appraise. Total. policy->report_data is not compared (the report data binds the claims); the
 * verifier's nonce is policy->tpm.nonce, what the workload bound is policy->azure.user_data.
 */
void appraise_azure(const struct appraise_azure_input *input, struct appraise_result *ret_result);

#endif
