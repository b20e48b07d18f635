/*
 * The subset of X.509 (RFC 5280) that attestation uses: certificates and CRLs decoded once into
 * views, signatures over the original bytes.
 *
 * Strict DER, version 3, the algorithm inside equal to the one outside, no extension twice, no
 * unknown critical extension. Deliberately no limit on the length of names: real Google AK
 * certificates break the X.520 one. Chain rules are the caller's; there is no trust store here.
 */
#ifndef KIT_CRYPTO_X509_H
#define KIT_CRYPTO_X509_H

#include "kit/base/buf.h"
#include "kit/crypto/verify.h"

#define X509_CERTIFICATE_MAX 8192
#define X509_CRL_MAX (4 << 20)
#define X509_EXTENSIONS_MAX 24
#define X509_CHAIN_MAX 5
#define X509_PATH_LENGTH_NONE (-1)

/* Bits of key_usage; RFC 5280 4.2.1.3 numbers them from the first. */
#define X509_USAGE_DIGITAL_SIGNATURE 0x8000
#define X509_USAGE_CERT_SIGN 0x0400
#define X509_USAGE_CRL_SIGN 0x0200

struct x509 {
	struct view whole;
	struct view tbs;           /* what is signed, tag included */
	struct view signature;     /* the BIT STRING's bytes */
	enum verify_scheme scheme; /* VERIFY_SCHEME_NONE when it is none of ours */
	struct view serial;        /* INTEGER content */
	struct view issuer;        /* whole Name */
	struct view subject;
	uint64_t not_before_ms;
	uint64_t not_after_ms; /* the second itself is still valid */
	struct view spki;      /* whole SubjectPublicKeyInfo */
	struct verify_key key; /* type VERIFY_KEY_NONE when it is none of ours */
	bool has_basic_constraints;
	bool is_ca;
	int path_length; /* X509_PATH_LENGTH_NONE when absent */
	bool has_key_usage;
	unsigned key_usage;
	struct view extended_usage; /* content of the SEQUENCE OF OID; empty when absent */
	struct view extensions;     /* content of the SEQUENCE OF Extension */
};

/*
 * Decode one certificate completely. Borrows der. E_INVALID with the offset; E_LIMIT for more than
 * X509_CERTIFICATE_MAX bytes. Algorithms that are not known are left as NONE, not refused.
 */
int x509_parse(struct view der, struct x509 *ret_certificate, struct err *err) MUST_CHECK;

/* An extension's OCTET STRING content by the content bytes of its OID; false when absent. */
bool x509_extension(const struct x509 *certificate, struct view oid, struct view *ret_value);

/* True when extended key usage is present and lists this OID (content bytes). */
bool x509_has_extended_usage(const struct x509 *certificate, struct view oid);

/* True when the Name holds exactly one attribute commonName and it is text. */
bool x509_name_is(struct view name, const char *common_name);

/* The last commonName of a Name; empty when there is none. */
struct view x509_common_name(struct view name);

/* E_INTEGRITY unless signed by key with the scheme the certificate names. */
int x509_verify(
	const struct x509 *certificate, const struct verify_key *key, struct err *err) MUST_CHECK;

struct x509_crl {
	struct view whole;
	struct view tbs;
	struct view signature;
	enum verify_scheme scheme;
	struct view issuer;
	uint64_t this_update_ms;
	uint64_t next_update_ms; /* 0 when absent */
	struct view revoked;     /* content of the list; empty when absent */
};

/* Decode a CRL (version 2), walking every entry. Borrows der. E_INVALID, E_LIMIT. */
int x509_crl_parse(struct view der, struct x509_crl *ret_crl, struct err *err) MUST_CHECK;

/* True when the CRL lists the serial number (INTEGER content). */
bool x509_crl_lists(const struct x509_crl *crl, struct view serial);

int x509_crl_verify(
	const struct x509_crl *crl, const struct verify_key *key, struct err *err) MUST_CHECK;

/*
 * Split PEM text into certificates, decoded into buf one behind the other; ret_certificates views
 * it. Only "CERTIFICATE" blocks, only line ends between them, trailing NULs allowed (Intel
 * writes one). E_INVALID, E_LIMIT beyond count_max.
 */
int x509_pem(struct view text, struct buf *buf, struct view *ret_certificates, size_t count_max,
	size_t *ret_count, struct err *err) MUST_CHECK;

/* A SubjectPublicKeyInfo (whole) as a key; type NONE for an algorithm that is not ours. */
int x509_key(struct view spki, struct verify_key *ret_key, struct err *err) MUST_CHECK;

#endif
