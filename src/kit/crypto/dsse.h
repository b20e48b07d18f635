/*
 * DSSE envelopes (Dead Simple Signing Envelope v1.0.2): the signature covers the pre-authentication
 * encoding of payload type and payload bytes, so nothing is re-serialised before it is checked.
 */
#ifndef KIT_CRYPTO_DSSE_H
#define KIT_CRYPTO_DSSE_H

#include "kit/base/buf.h"

#define DSSE_PAYLOAD_MAX 65536  /* bytes of payload: a certificate statement stays below 64 KiB */
#define DSSE_ENVELOPE_MAX 98304 /* bytes of JSON: payload in base64 plus signatures */
#define DSSE_SIGNATURES_MAX 4
#define DSSE_KEYID_SIZE 65 /* lower-case hex of SHA-256(SPKI DER), NUL */

struct dsse_signature {
	char keyid[DSSE_KEYID_SIZE];
	uint8_t bytes[80];
	size_t size;
};

struct dsse {
	struct buf payload;
	char payload_type[64];
	struct dsse_signature signatures[DSSE_SIGNATURES_MAX];
	size_t signature_count;
};

/* "DSSEv1" SP LEN(type) SP type SP LEN(payload) SP payload, appended: what is signed. */
int dsse_pae(
	const char *payload_type, struct view payload, struct buf *buf, struct err *err) MUST_CHECK;

/* Key id of a public key. */
void dsse_keyid(struct view spki, char ret_keyid[static DSSE_KEYID_SIZE]);

/* Envelope JSON in canonical form, appended. */
int dsse_encode(const struct dsse *envelope, struct buf *buf, struct err *err) MUST_CHECK;

/*
 * Parse an envelope; unknown members, other base64, more than DSSE_SIGNATURES_MAX signatures are
 * E_INVALID; sizes beyond the limits E_LIMIT. Release with dsse_done.
 */
int dsse_decode(struct view json, struct dsse *ret_envelope, struct err *err) MUST_CHECK;
void dsse_done(struct dsse *envelope);

#endif
