/*
 * Certificates, CRLs and signed JSON of the simulated platform, in the real formats.
 */
#ifndef PROGRAMS_TEE_SIM_PKI_H
#define PROGRAMS_TEE_SIM_PKI_H

#include "kit/base/buf.h"
#include "kit/crypto/sign.h"

#define PKI_POINT_SIZE 64
#define PKI_RAW_SIGNATURE_SIZE 64
#define PKI_RAW_SIGNATURE_P384_SIZE 96

/* One certificate to be made. Views are borrowed. */
struct pki_certificate {
	const char *common_name;
	const char *issuer_name;
	uint64_t serial;
	bool is_ca;
	int path_length; /* of a CA; negative: none */
	uint64_t not_before_ms;
	uint64_t not_after_ms;
	const struct sign_key *key;        /* subject */
	const struct sign_key *issuer_key; /* may be the same */
	struct view extensions;            /* of pki_extension, behind the usual ones */
};

/* One extension that is not critical, appended to a list; oid is its content bytes. */
int pki_extension(struct view oid, struct view value, struct buf *list, struct err *err) MUST_CHECK;

/* DER, appended. */
int pki_certificate(
	const struct pki_certificate *certificate, struct buf *buf, struct err *err) MUST_CHECK;

/* An empty CRL, DER, appended. */
int pki_crl(const char *issuer_name, const struct sign_key *issuer_key, uint64_t this_update_ms,
	uint64_t next_update_ms, struct buf *buf, struct err *err) MUST_CHECK;

/* PEM "CERTIFICATE" block, appended. */
int pki_pem(struct view der, struct buf *buf, struct err *err) MUST_CHECK;

/* X || Y of a P-256 key. */
int pki_point(const struct sign_key *key, uint8_t ret_point[static PKI_POINT_SIZE],
	struct err *err) MUST_CHECK;

/* r || s over message: 64 bytes with a P-256 key, 96 with a P-384 key. */
int pki_sign_raw(const struct sign_key *key, struct view message, uint8_t *ret_signature,
	struct err *err) MUST_CHECK;

#endif
