/* See pki.h. Every structure is built inside out with der_put. */
#include "programs/tee-sim/pki.h"

#include "kit/codec/base64.h"
#include "kit/codec/der_write.h"
#include "kit/crypto/hash.h"

#define PKI_ORGANIZATION "Cupel Simulation"

enum {
	VERSION_3 = 2,
	VERSION_CRL_2 = 1,
	KEY_ID_SIZE = 20,
	PEM_LINE = 64,
	CONTEXT_KEY_ID = DER_CONTEXT + 0,
};

/* Contents of AlgorithmIdentifiers (RFC 5758, RFC 4055). */
static const uint8_t alg_ecdsa_sha256[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03,
	0x02 };
static const uint8_t alg_ecdsa_sha384[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03,
	0x03 };
static const uint8_t alg_rsa_pss_sha384[] = { 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01,
	0x01, 0x0a, 0x30, 0x34, 0xa0, 0x0f, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65,
	0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48,
	0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65,
	0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0xa2, 0x03, 0x02, 0x01, 0x30 };
static const uint8_t oid_common_name[] = { 0x55, 0x04, 0x03 };
static const uint8_t oid_organization[] = { 0x55, 0x04, 0x0a };
static const uint8_t oid_subject_key_id[] = { 0x55, 0x1d, 0x0e };
static const uint8_t oid_key_usage[] = { 0x55, 0x1d, 0x0f };
static const uint8_t oid_basic_constraints[] = { 0x55, 0x1d, 0x13 };
static const uint8_t oid_crl_number[] = { 0x55, 0x1d, 0x14 };
static const uint8_t oid_authority_key_id[] = { 0x55, 0x1d, 0x23 };

/* DER of keyUsage: keyCertSign and cRLSign, or digitalSignature. */
static const uint8_t usage_ca[] = { 0x03, 0x02, 0x01, 0x06 };
static const uint8_t usage_leaf[] = { 0x03, 0x02, 0x07, 0x80 };

#define BYTES(array) view_of(array, sizeof(array))

static int put_attribute(struct buf *name, struct view oid, const char *text, struct err *err)
{
	auto_done(buf) pair = {};
	auto_done(buf) sequence = {};
	TRY(der_put(&pair, DER_OID, oid, err));
	TRY(der_put(&pair, DER_UTF8_STRING, view_string(text), err));
	TRY(der_put(&sequence, DER_SEQUENCE, buf_view(&pair), err));
	return der_put(name, DER_SET, buf_view(&sequence), err);
}

static int put_name(struct buf *buf, const char *common_name, struct err *err)
{
	auto_done(buf) name = {};
	TRY(put_attribute(&name, BYTES(oid_common_name), common_name, err));
	TRY(put_attribute(&name, BYTES(oid_organization), PKI_ORGANIZATION, err));
	return der_put(buf, DER_SEQUENCE, buf_view(&name), err);
}

/* is_critical only where RFC 5280 asks for it. */
static int put_extension(
	struct buf *list, struct view oid, bool is_critical, struct view value, struct err *err)
{
	static const uint8_t der_true[] = { DER_BOOLEAN, 1, 0xff };
	auto_done(buf) extension = {};
	TRY(der_put(&extension, DER_OID, oid, err));
	if (is_critical)
		TRY(buf_append(&extension, BYTES(der_true), err));
	TRY(der_put(&extension, DER_OCTET_STRING, value, err));
	return der_put(list, DER_SEQUENCE, buf_view(&extension), err);
}

static struct view algorithm_of(const struct sign_key *key)
{
	enum sign_kind kind = sign_key_kind(key);
	if (kind == SIGN_RSA_PSS)
		return BYTES(alg_rsa_pss_sha384);
	return kind == SIGN_P384 ? BYTES(alg_ecdsa_sha384) : BYTES(alg_ecdsa_sha256);
}

/* RFC 7093 method 4: from a SHA-256 of the whole SubjectPublicKeyInfo, 160 bits. */
static int key_id(const struct sign_key *key, uint8_t ret_id[static SHA256_SIZE], struct err *err)
{
	auto_done(buf) spki = {};
	TRY(sign_key_spki(key, &spki, err));
	hash_bytes(HASH_SHA256, buf_view(&spki), ret_id);
	return 0;
}

int pki_extension(struct view oid, struct view value, struct buf *list, struct err *err)
{
	return put_extension(list, oid, false, value, err);
}

static int put_authority(struct buf *list, const struct sign_key *issuer, struct err *err)
{
	uint8_t id[SHA256_SIZE];
	auto_done(buf) inner = {};
	auto_done(buf) value = {};
	TRY(key_id(issuer, id, err));
	TRY(der_put(&inner, CONTEXT_KEY_ID, view_of(id, KEY_ID_SIZE), err));
	TRY(der_put(&value, DER_SEQUENCE, buf_view(&inner), err));
	return put_extension(list, BYTES(oid_authority_key_id), false, buf_view(&value), err);
}

static int put_constraints(struct buf *list, const struct pki_certificate *c, struct err *err)
{
	static const uint8_t der_true[] = { DER_BOOLEAN, 1, 0xff };
	auto_done(buf) inner = {};
	auto_done(buf) value = {};
	if (c->is_ca)
		TRY(buf_append(&inner, BYTES(der_true), err));
	if (c->is_ca && c->path_length >= 0)
		TRY(der_put_unsigned(&inner, (uint64_t)c->path_length, err));
	TRY(der_put(&value, DER_SEQUENCE, buf_view(&inner), err));
	return put_extension(list, BYTES(oid_basic_constraints), true, buf_view(&value), err);
}

static int put_extensions(struct buf *tbs, const struct pki_certificate *c, struct err *err)
{
	uint8_t id[SHA256_SIZE];
	auto_done(buf) list = {};
	auto_done(buf) octets = {};
	auto_done(buf) sequence = {};
	TRY(put_authority(&list, c->issuer_key, err));
	TRY(key_id(c->key, id, err));
	TRY(der_put(&octets, DER_OCTET_STRING, view_of(id, KEY_ID_SIZE), err));
	TRY(put_extension(&list, BYTES(oid_subject_key_id), false, buf_view(&octets), err));
	TRY(put_extension(&list, BYTES(oid_key_usage), true,
		c->is_ca ? BYTES(usage_ca) : BYTES(usage_leaf), err));
	TRY(put_constraints(&list, c, err));
	TRY(buf_append(&list, c->extensions, err));
	TRY(der_put(&sequence, DER_SEQUENCE, buf_view(&list), err));
	return der_put(tbs, DER_CONTEXT_CONSTRUCTED + 3, buf_view(&sequence), err);
}

/* SIGNED { body, algorithm, signature }. */
static int put_signed(
	struct buf *buf, struct view body, const struct sign_key *key, struct err *err)
{
	auto_done(buf) whole = {};
	auto_done(buf) signature = {};
	TRY(der_put(&whole, DER_SEQUENCE, body, err));
	TRY(sign_message(key, buf_view(&whole), &signature, err));
	TRY(der_put(&whole, DER_SEQUENCE, algorithm_of(key), err));
	TRY(der_put_bits(&whole, buf_view(&signature), err));
	return der_put(buf, DER_SEQUENCE, buf_view(&whole), err);
}

int pki_certificate(const struct pki_certificate *c, struct buf *buf, struct err *err)
{
	auto_done(buf) tbs = {};
	auto_done(buf) version = {};
	auto_done(buf) validity = {};
	TRY(der_put_unsigned(&version, VERSION_3, err));
	TRY(der_put(&tbs, DER_CONTEXT_CONSTRUCTED + 0, buf_view(&version), err));
	TRY(der_put_unsigned(&tbs, c->serial, err));
	TRY(der_put(&tbs, DER_SEQUENCE, algorithm_of(c->issuer_key), err));
	TRY(put_name(&tbs, c->issuer_name, err));
	TRY(der_put_time(&validity, c->not_before_ms, err));
	TRY(der_put_time(&validity, c->not_after_ms, err));
	TRY(der_put(&tbs, DER_SEQUENCE, buf_view(&validity), err));
	TRY(put_name(&tbs, c->common_name, err));
	TRY(sign_key_spki(c->key, &tbs, err));
	TRY(put_extensions(&tbs, c, err));
	return put_signed(buf, buf_view(&tbs), c->issuer_key, err);
}

int pki_crl(const char *issuer_name, const struct sign_key *issuer_key, uint64_t this_update_ms,
	uint64_t next_update_ms, struct buf *buf, struct err *err)
{
	auto_done(buf) tbs = {};
	auto_done(buf) number = {};
	auto_done(buf) list = {};
	auto_done(buf) sequence = {};
	TRY(der_put_unsigned(&tbs, VERSION_CRL_2, err));
	TRY(der_put(&tbs, DER_SEQUENCE, algorithm_of(issuer_key), err));
	TRY(put_name(&tbs, issuer_name, err));
	TRY(der_put_time(&tbs, this_update_ms, err));
	TRY(der_put_time(&tbs, next_update_ms, err));
	TRY(der_put_unsigned(&number, 1, err));
	TRY(put_extension(&list, BYTES(oid_crl_number), false, buf_view(&number), err));
	TRY(put_authority(&list, issuer_key, err));
	TRY(der_put(&sequence, DER_SEQUENCE, buf_view(&list), err));
	TRY(der_put(&tbs, DER_CONTEXT_CONSTRUCTED + 0, buf_view(&sequence), err));
	return put_signed(buf, buf_view(&tbs), issuer_key, err);
}

int pki_pem(struct view der, struct buf *buf, struct err *err)
{
	auto_done(buf) text = {};
	TRY(base64_encode(BASE64_STANDARD, der, &text, err));
	TRY(buf_append_string(buf, "-----BEGIN CERTIFICATE-----\n", err));
	for (size_t i = 0; i < text.size; i += PEM_LINE) {
		size_t size = MIN((size_t)PEM_LINE, text.size - i);
		TRY(buf_append(buf, view_of(text.data + i, size), err));
		TRY(buf_append_string(buf, "\n", err));
	}
	return buf_append_string(buf, "-----END CERTIFICATE-----\n", err);
}

int pki_point(const struct sign_key *key, uint8_t ret_point[static PKI_POINT_SIZE], struct err *err)
{
	auto_done(buf) spki = {};
	TRY(sign_key_spki(key, &spki, err));
	if (spki.size < PKI_POINT_SIZE)
		return err_set(err, E_INTERNAL, "a P-256 key of %zu bytes", spki.size);
	/* The uncompressed point ends the structure. */
	memcpy(ret_point, spki.data + spki.size - PKI_POINT_SIZE, PKI_POINT_SIZE);
	return 0;
}

static int take_half(struct reader *reader, size_t half, uint8_t *ret_half, struct err *err)
{
	struct view magnitude;
	TRY(der_take_magnitude(reader, &magnitude, err));
	if (magnitude.size > half)
		return err_set(err, E_INTERNAL, "half a signature of %zu bytes", magnitude.size);
	memset(ret_half, 0, half);
	memcpy(ret_half + half - magnitude.size, magnitude.data, magnitude.size);
	return 0;
}

int pki_sign_raw(
	const struct sign_key *key, struct view message, uint8_t *ret_signature, struct err *err)
{
	size_t half = (sign_key_kind(key) == SIGN_P384 ? PKI_RAW_SIGNATURE_P384_SIZE
						       : PKI_RAW_SIGNATURE_SIZE) /
		      2;
	auto_done(buf) der = {};
	struct reader inner;
	TRY(sign_message(key, message, &der, err));
	struct reader outer = reader_of(buf_view(&der));
	TRY(der_enter(&outer, DER_SEQUENCE, &inner, err));
	TRY(take_half(&inner, half, ret_signature, err));
	return take_half(&inner, half, ret_signature + half, err);
}
