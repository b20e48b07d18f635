/*
 * Appraisal of TDX quotes (version 4 and 5) with Intel's collateral.
 *
 * Order: structure, PCK chain to an anchor, CRLs, QE report and attestation key, quote signature,
 * then TCB info and QE identity with their signers, levels and convergence, then what the policy
 * says of the TD itself. Signatures hold before what they cover is believed.
 */
#ifndef RULES_APPRAISE_TDX_H
#define RULES_APPRAISE_TDX_H

#include "rules/appraise/appraise.h"

/* Intel's answers as they came; an empty view is "absent". */
struct tdx_collateral {
	struct view tcb_info;    /* {"tcbInfo":{...},"signature":"..."} */
	struct view tcb_chain;   /* PEM: TCB signing certificate, root */
	struct view qe_identity; /* {"enclaveIdentity":{...},"signature":"..."} */
	struct view qe_chain;    /* PEM */
	struct view root_crl;    /* DER */
	struct view pck_crl;     /* DER */
};

struct appraise_tdx_input {
	struct view quote;
	struct tdx_collateral collateral;
	struct view event_log;  /* CCEL, or empty: then RTMRs are only what they are */
	struct view dstack_log; /* dstack's JSON log, or empty */
	const struct appraise_anchor *anchors;
	size_t anchor_count;
	const struct appraise_policy *policy;
	uint64_t as_of_ms;          /* milliseconds since 1970, UTC */
	struct appraise_memo *memo; /* may be NULL */
};

/*
 * Appraise one quote. Total: every input gives a result. The quote must outlive the result, and so
 * must the collateral (tcb_date and advisories point into it).
 */
void appraise_tdx(const struct appraise_tdx_input *input, struct appraise_result *ret_result);

#endif
