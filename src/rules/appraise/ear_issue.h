/*
 * Issuing attestation results (EAR) from our own appraisals, in the form trustee's clients read.
 * Pure: this builds what is to be signed and joins the signature; the key stays with the program.
 */
#ifndef RULES_APPRAISE_EAR_ISSUE_H
#define RULES_APPRAISE_EAR_ISSUE_H

#include "rules/appraise/policy.h"

#define EAR_LIFETIME_MAX_S 900

struct ear_issue {
	const struct appraise_result *result;
	const struct policy_document *policy;
	struct view nonce;      /* the verifier's, 1..64 bytes */
	struct view tee_pubkey; /* JWK, a JSON object as received; empty: left out */
	uint64_t now_s;
	uint64_t lifetime_s; /* at most EAR_LIFETIME_MAX_S */
	const char *key_id;
};

/*
 * Header and claims as "base64url.base64url", appended. The vector says what was found: hardware 2,
 * simulated 32, refused 97; executables 3 when the policy compares measurements, else 33. A
 * simulated platform is therefore never affirming here. E_INVALID for a lifetime, nonce or key out
 * of range.
 */
int ear_signing_input(const struct ear_issue *issue, struct buf *input, struct err *err) MUST_CHECK;

/* Join the DER ECDSA P-256 signature over the input; the token is appended. E_INVALID. */
int ear_join(struct view input, struct view signature_der, struct buf *token,
	struct err *err) MUST_CHECK;

#endif
