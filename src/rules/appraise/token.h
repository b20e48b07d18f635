/*
 * Appraisal of signed results of other verifiers: Microsoft Azure Attestation tokens (RS256) and
 * EAT attestation results (EAR, ES256 or ES384) as trustee issues them.
 *
 * The key set is pinned by the caller. A token's header chooses among its keys by `kid` and
 * nothing more: jku, jwk, x5u and x5c in a header are ignored, the algorithm is the key's.
 */
#ifndef RULES_APPRAISE_TOKEN_H
#define RULES_APPRAISE_TOKEN_H

#include "rules/appraise/appraise.h"

#define TOKEN_SIZE_MAX (64 << 10)
#define TOKEN_KEYS_MAX 64

struct appraise_token_input {
	struct view token;  /* compact JWS */
	struct view jwks;   /* RFC 7517 set, JSON */
	const char *anchor; /* label of the set, e.g. "azure-maa:https://..." */
	const struct appraise_policy *policy;
	uint64_t as_of_ms;
};

/* Appraise. Total. Claims that the result shows are decoded into it. */
void appraise_maa(const struct appraise_token_input *input, struct appraise_result *ret_result);
void appraise_ear(const struct appraise_token_input *input, struct appraise_result *ret_result);

#endif
