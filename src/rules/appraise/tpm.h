/*
 * Appraisal of TPM 2.0 quotes: a TPMS_ATTEST signed by an attestation key (AK), register values and
 * an event log. The AK is trusted by a certificate chain to a pinned root, by its TPM name on the
 * policy's list, or because a hardware report binds it (azure.h).
 */
#ifndef RULES_APPRAISE_TPM_H
#define RULES_APPRAISE_TPM_H

#include "kit/crypto/verify.h"
#include "rules/appraise/appraise.h"

#define TPM_PCR_COUNT 24
#define TPM_CHAIN_MAX 4
#define TPM_CRLS_MAX 5

struct appraise_tpm_input {
	struct view attest;              /* TPMS_ATTEST */
	struct view signature;           /* TPMT_SIGNATURE */
	enum appraise_bank bank;         /* of pcrs */
	struct view pcrs[TPM_PCR_COUNT]; /* values reported beside the quote; empty: not reported */
	struct view event_log;

	struct view ak;                   /* certificate, DER, or empty */
	struct view ak_public;            /* TPMT_PUBLIC, or empty */
	struct view chain[TPM_CHAIN_MAX]; /* intermediates, AK's issuer first, DER */
	size_t chain_count;
	struct view root; /* DER */
	struct view crls[TPM_CRLS_MAX];
	size_t crl_count;

	const struct appraise_anchor *anchors;
	size_t anchor_count;
	const struct appraise_policy *policy;
	uint64_t as_of_ms;
	struct appraise_memo *memo; /* may be NULL */
};

/*
 * Appraise one quote. Total. result->measurement is the signed PCR digest, report_data extraData.
 * An AK accepted by name has the anchor "tpm-ak-name".
 */
void appraise_tpm(const struct appraise_tpm_input *input, struct appraise_result *ret_result);

#endif
