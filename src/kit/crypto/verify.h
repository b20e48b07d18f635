/*
 * Signatures of others: keys that come in certificates, quotes and tokens, and were made by
 * machines we do not control. Nothing here signs.
 *
 * A key is a set of views into the bytes it came from; it is turned into a library's key for one
 * verification, or kept in a verify_cache. Points are checked to be on their curve, r and s to be
 * in range (OpenSSL does both; p384.h for P-384), RSA moduli to have 2048 to 8192 bits and an odd
 * exponent of at most 33 bits.
 */
#ifndef KIT_CRYPTO_VERIFY_H
#define KIT_CRYPTO_VERIFY_H

#include "kit/base/buf.h"

#define VERIFY_RSA_BITS_MIN 2048
#define VERIFY_RSA_BITS_MAX 8192

enum verify_key_type { VERIFY_KEY_NONE, VERIFY_KEY_P256, VERIFY_KEY_P384, VERIFY_KEY_RSA };

struct verify_key {
	enum verify_key_type type;
	struct view point;    /* P-256, P-384: X || Y, 64 or 96 bytes, big-endian, no prefix */
	struct view modulus;  /* RSA: big-endian, no leading zero */
	struct view exponent; /* RSA: likewise */
};

enum verify_scheme {
	VERIFY_SCHEME_NONE,
	VERIFY_ECDSA_SHA256,
	VERIFY_ECDSA_SHA384,
	VERIFY_RSA_PKCS1_SHA256,
	VERIFY_RSA_PKCS1_SHA384,
	VERIFY_RSA_PKCS1_SHA512,
	VERIFY_RSA_PSS_SHA256, /* salt of the hash's size, MGF1 with the same hash */
	VERIFY_RSA_PSS_SHA384,
	VERIFY_RSA_PSS_ANY_SALT_SHA256, /* the salt's size is found in the signature (TPM) */
	VERIFY_RSA_PSS_ANY_SALT_SHA384,
	VERIFY_SCHEME_COUNT,
};

/*
 * Check signature over message. ECDSA signatures are the DER of RFC 3279 2.2.3.
 * E_INTEGRITY when it does not hold, when the key is no valid key, or when key and scheme do not
 * fit together; E_INTERNAL when OpenSSL itself fails.
 */
int verify_signature(const struct verify_key *key, enum verify_scheme scheme, struct view message,
	struct view signature, struct err *err) MUST_CHECK;

/*
 * Keys made ready for OpenSSL, found again by the SHA-256 of key and scheme; the oldest goes when
 * all slots are taken. All zeros at first; it never changes a verdict. About 4 KiB a slot.
 */
#define VERIFY_CACHE_MAX 6
struct verify_cache {
	struct verify_slot {
		struct evp_pkey_ctx_st *context;
		uint8_t id[32];
	} slots[VERIFY_CACHE_MAX];
	size_t next;
};
void verify_cache_done(struct verify_cache *cache);

struct verify_claim {
	enum verify_scheme scheme;
	struct view message, signature;
};

/* verify_signature() with the key kept in cache (may be NULL). */
int verify_cached(struct verify_cache *cache, const struct verify_key *key,
	const struct verify_claim *claim, struct err *err) MUST_CHECK;

/*
 * The same for an ECDSA signature as r || s, both big-endian and of the size of the curve (quotes,
 * JWS, collateral of Intel).
 */
int verify_ecdsa_raw(const struct verify_key *key, enum verify_scheme scheme, struct view message,
	struct view r_and_s, struct err *err) MUST_CHECK;

/* The DER of r and s, big-endian of equal size, at most 66 bytes each. E_LIMIT beyond. */
#define VERIFY_ECDSA_DER_MAX 150
int verify_ecdsa_to_der(struct view r_and_s, uint8_t ret_der[static VERIFY_ECDSA_DER_MAX],
	size_t *ret_size, struct err *err) MUST_CHECK;

/* A P-256 or P-384 key of X || Y (64 or 96 bytes); E_INVALID for another size. */
int verify_key_of_point(struct view point, struct verify_key *ret_key, struct err *err) MUST_CHECK;

#endif
