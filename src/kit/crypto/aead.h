/* AES-GCM (NIST SP 800-38D) with 16- or 32-byte keys, 12-byte nonces and 16-byte tags. */
#ifndef KIT_CRYPTO_AEAD_H
#define KIT_CRYPTO_AEAD_H

#include "kit/base/buf.h"

#define AEAD_NONCE_SIZE 12
#define AEAD_TAG_SIZE 16

struct aead_key {
	struct view key;        /* 16 or 32 bytes */
	struct view nonce;      /* AEAD_NONCE_SIZE bytes, never twice under one key */
	struct view additional; /* authenticated, not encrypted */
};

/* Append ciphertext and tag. E_INVALID for wrong sizes, E_LIMIT as buf_append. */
int aead_seal(const struct aead_key *key, struct view plaintext, struct buf *buf,
	struct err *err) MUST_CHECK;

/* Append the plaintext. E_INTEGRITY when the tag does not hold; nothing is appended then. */
int aead_open(const struct aead_key *key, struct view sealed, struct buf *buf,
	struct err *err) MUST_CHECK;

#endif
