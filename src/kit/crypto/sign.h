/*
 * Signatures of our own keys: Ed25519 (RFC 8032) and ECDSA P-256 with SHA-256 (FIPS 186-5, DER).
 * Public keys travel as SubjectPublicKeyInfo DER (RFC 5280 section 4.1.2.7).
 */
#ifndef KIT_CRYPTO_SIGN_H
#define KIT_CRYPTO_SIGN_H

#include "kit/base/buf.h"
#include "kit/crypto/secret.h"

enum sign_kind {
	SIGN_ED25519,
	SIGN_P256,
	SIGN_KIND_COUNT,
	/* Only signed with, by simulated platforms: sign_verify takes neither. */
	SIGN_P384 = SIGN_KIND_COUNT, /* ECDSA with SHA-384 */
	SIGN_RSA_PSS,                /* RSA of 4096 bits, PSS with SHA-384 and a salt of 48 */
};

#define SIGN_SPKI_MAX 128
#define SIGN_SIGNATURE_MAX 80 /* of the first two */
#define SIGN_ED25519_SEED_SIZE 32

struct sign_key; /* private key; owns OpenSSL memory */

/* A fresh key. E_INTERNAL when the library fails. Release with sign_key_free. */
int sign_key_generate(enum sign_kind kind, struct sign_key **ret_key, struct err *err) MUST_CHECK;

/* Ed25519 from its 32-byte seed. E_INVALID for another length. */
int sign_key_from_seed(struct view seed, struct sign_key **ret_key, struct err *err) MUST_CHECK;

/* P-256 or P-384 from its big-endian scalar of 32 or 48 bytes. E_INVALID unless in 1..n-1. */
int sign_key_from_scalar(struct view scalar, struct sign_key **ret_key, struct err *err) MUST_CHECK;

enum sign_kind sign_key_kind(const struct sign_key *key);
void sign_key_free(struct sign_key *key);
static inline void sign_key_free_pointer(struct sign_key **key)
{
	sign_key_free(*key);
}
#define auto_sign_key AUTO(sign_key_free_pointer) struct sign_key

/* SubjectPublicKeyInfo of the key, appended. */
int sign_key_spki(const struct sign_key *key, struct buf *buf, struct err *err) MUST_CHECK;

/* Signature over message, appended. */
int sign_message(const struct sign_key *key, struct view message, struct buf *buf,
	struct err *err) MUST_CHECK;

/*
 * Check a signature under an Ed25519 or P-256 SubjectPublicKeyInfo.
 * E_INVALID for a malformed or other key, E_INTEGRITY when the signature does not hold.
 */
int sign_verify(
	struct view spki, struct view message, struct view signature, struct err *err) MUST_CHECK;

/* PEM "PUBLIC KEY" text of an SPKI, and back (exactly one block). */
int sign_spki_to_pem(struct view spki, struct buf *buf, struct err *err) MUST_CHECK;
int sign_spki_from_pem(struct view pem, struct buf *buf, struct err *err) MUST_CHECK;

#endif
