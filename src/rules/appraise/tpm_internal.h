/* The part of a TPM appraisal that Azure shares: everything but how the AK is trusted. */
#ifndef RULES_APPRAISE_TPM_INTERNAL_H
#define RULES_APPRAISE_TPM_INTERNAL_H

#include "rules/appraise/internal.h"
#include "rules/appraise/tpm_structures.h"

/*
 * Quote, signature by key, nonce, registers, clock and log. The signature is given decoded, since
 * Azure hands over a bare one.
 */
void tpm_appraise_quote(const struct appraise_tpm_input *input, const struct verify_key *key,
	const struct tpm_signature *signature, struct appraise_result *result);

#endif
