/*
 * JSON Web Encryption, the part that key brokers use (RFC 7516, RFC 7518): flattened JSON,
 * ECDH-ES+A256KW on P-256, P-384 and P-521 or RSA-OAEP-256, content always A256GCM. Everything
 * else (RSA1_5, dir, CBC, compression, short tags, keys off their curve) is refused.
 *
 * Failures name their kind at the start of the message: jwe.format, jwe.alg, jwe.epk, jwe.key,
 * jwe.tag.
 */
#ifndef KIT_CRYPTO_JWE_H
#define KIT_CRYPTO_JWE_H

#include "kit/base/buf.h"

#define JWE_SIZE_MAX (1 << 20)

struct jwe_key; /* a private or public key from a JWK */

/*
 * Read a JWK (RFC 7517). A private one has "d". E_INVALID (jwe.format, jwe.key) for what is
 * malformed or no key of ours. Release with jwe_key_free.
 */
int jwe_key_read(struct view jwk, struct jwe_key **ret_key, struct err *err) MUST_CHECK;

/* A fresh P-256 key for one agreement. E_INTERNAL when the library fails. */
int jwe_key_generate(struct jwe_key **ret_key, struct err *err) MUST_CHECK;

void jwe_key_free(struct jwe_key *key);
static inline void jwe_key_free_pointer(struct jwe_key **key)
{
	jwe_key_free(*key);
}
#define auto_jwe_key AUTO(jwe_key_free_pointer) struct jwe_key

/* The public JWK of an EC key as trustee's clients write it: kty, crv, alg, x, y. Appended. */
int jwe_key_public(const struct jwe_key *key, struct buf *jwk, struct err *err) MUST_CHECK;

/*
 * Decrypt a flattened JWE; the plaintext is appended. E_INVALID for form and algorithms,
 * E_INTEGRITY for jwe.key and jwe.tag, E_LIMIT for more than JWE_SIZE_MAX bytes.
 */
int jwe_decrypt(const struct jwe_key *key, struct view text, struct buf *plaintext,
	struct err *err) MUST_CHECK;

/* Encrypt to a public key; the flattened JSON is appended. */
int jwe_encrypt(const struct jwe_key *key, struct view plaintext, struct buf *text,
	struct err *err) MUST_CHECK;

#endif
