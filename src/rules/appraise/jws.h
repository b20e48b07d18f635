/* A compact JWS (RFC 7515) under a pinned key set (RFC 7517). */
#ifndef RULES_APPRAISE_JWS_H
#define RULES_APPRAISE_JWS_H

#include "kit/codec/jspan.h"
#include "rules/appraise/internal.h"
#include "rules/appraise/token.h"

struct jws {
	struct buf header, payload, signature; /* decoded */
	struct buf key[3];                     /* numbers of the chosen key */
	struct jspan claims;                   /* into payload */
};

void jws_done(struct jws *jws);

/*
 * Split, choose the key, verify. True with claims; false with jwt.* reasons. algorithms: those
 * allowed, a NULL-terminated list of "RS256", "ES256", "ES384".
 */
bool jws_open(const struct appraise_token_input *input, const char *const *algorithms,
	struct jws *jws, struct appraise_result *result);

/* exp, nbf, iat and iss against as_of and policy. */
void jws_check_claims(const struct appraise_token_input *input, struct jspan claims,
	struct appraise_result *result);

/* value is the base64 of the policy's nonce; else jwt.nonce. */
void jws_check_nonce(const struct appraise_token_input *input, struct jspan value,
	struct appraise_result *result);

/* Hex claim of size bytes, decoded into the result; an empty view when it is none. */
struct view jws_hex(struct appraise_result *result, struct jspan value, size_t size);

#endif
