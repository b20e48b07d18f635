/*
 * Hybrid public-key encryption, base mode (RFC 9180): DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
 * AES-256-GCM (or AES-128-GCM). One message per key agreement: keys are released once.
 */
#ifndef KIT_CRYPTO_HPKE_H
#define KIT_CRYPTO_HPKE_H

#include "kit/base/buf.h"
#include "kit/crypto/secret.h"

#define HPKE_KEY_SIZE 32
#define HPKE_ENC_SIZE 32

enum hpke_aead { HPKE_AES_128_GCM = 1, HPKE_AES_256_GCM = 2 };

struct hpke_message {
	enum hpke_aead aead;
	struct view info; /* what the key is for; both sides say the same */
	struct view additional;
	const struct secret *ephemeral; /* NULL outside tests: a fresh one is made */
};

/* A fresh X25519 key pair. E_INTERNAL, E_UNAVAILABLE as secret_init. */
int hpke_key_generate(struct secret *secret_key, uint8_t ret_public[static HPKE_KEY_SIZE],
	struct err *err) MUST_CHECK;

/* The public key of a secret one. */
int hpke_public(struct view secret_key, uint8_t ret_public[static HPKE_KEY_SIZE],
	struct err *err) MUST_CHECK;

/*
 * Seal to a public key: ret_enc is the encapsulated key, ciphertext and tag are appended.
 * E_INVALID for a public key of small order.
 */
int hpke_seal(const struct hpke_message *message, struct view public_key, struct view plaintext,
	uint8_t ret_enc[static HPKE_ENC_SIZE], struct buf *sealed, struct err *err) MUST_CHECK;

/* Open. E_INTEGRITY when it does not hold, E_INVALID for sizes and keys of small order. */
int hpke_open(const struct hpke_message *message, struct view secret_key, struct view enc,
	struct view sealed, struct buf *plaintext, struct err *err) MUST_CHECK;

#endif
