/*
 * See x509.h. Certificates of RFC 5280 section 4, read in order with the DER cursor; extensions
 * are walked once for what every chain rule needs and kept as a span for the rest.
 */
#include "kit/crypto/x509.h"

#include "kit/codec/der.h"

enum {
	X509_VERSION_3 = 2,
	CRL_VERSION_2 = 1,
	PATH_LENGTH_MAX = 16,
	USAGE_BITS_MAX = 16,
	POINT_UNCOMPRESSED = 4,
};

#define OID(name, ...) static const uint8_t name[] = { __VA_ARGS__ }
#define OID_VIEW(name) view_of(name, sizeof(name))

OID(oid_ec_public_key, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01);
OID(oid_p256, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07);
OID(oid_p384, 0x2b, 0x81, 0x04, 0x00, 0x22);
OID(oid_rsa, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01);
OID(oid_rsa_pss, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a);
OID(oid_common_name, 0x55, 0x04, 0x03);
OID(oid_key_usage, 0x55, 0x1d, 0x0f);
OID(oid_basic_constraints, 0x55, 0x1d, 0x13);
OID(oid_extended_usage, 0x55, 0x1d, 0x25);
/* Allowed to be critical and not looked at: subject alternative name of EK certificates. */
OID(oid_subject_alternative, 0x55, 0x1d, 0x11);

/* AlgorithmIdentifier contents, byte for byte: parameters have one form each in practice. */
OID(alg_ecdsa_sha256, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02);
OID(alg_ecdsa_sha384, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03);
OID(alg_rsa_sha256, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00);
OID(alg_rsa_sha384, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c, 0x05, 0x00);
OID(alg_rsa_sha512, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d, 0x05, 0x00);
/* Hash identifiers inside RSASSA-PSS-params, with and without the NULL (RFC 4055 2.1). */
OID(hash_sha384, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02);
OID(hash_sha384_null, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00);
OID(hash_sha256, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01);
OID(hash_sha256_null, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00);
OID(oid_mgf1, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08);

static const struct {
	struct view identifier;
	enum verify_scheme scheme;
} plain_schemes[] = {
	{ { alg_ecdsa_sha256, sizeof(alg_ecdsa_sha256) }, VERIFY_ECDSA_SHA256 },
	{ { alg_ecdsa_sha384, sizeof(alg_ecdsa_sha384) }, VERIFY_ECDSA_SHA384 },
	{ { alg_rsa_sha256, sizeof(alg_rsa_sha256) }, VERIFY_RSA_PKCS1_SHA256 },
	{ { alg_rsa_sha384, sizeof(alg_rsa_sha384) }, VERIFY_RSA_PKCS1_SHA384 },
	{ { alg_rsa_sha512, sizeof(alg_rsa_sha512) }, VERIFY_RSA_PKCS1_SHA512 },
};

static enum verify_scheme pss_of_hash(struct view hash)
{
	if (view_equal(hash, OID_VIEW(hash_sha384)) || view_equal(hash, OID_VIEW(hash_sha384_null)))
		return VERIFY_RSA_PSS_SHA384;
	if (view_equal(hash, OID_VIEW(hash_sha256)) || view_equal(hash, OID_VIEW(hash_sha256_null)))
		return VERIFY_RSA_PSS_SHA256;
	return VERIFY_SCHEME_NONE;
}

static uint64_t salt_of(enum verify_scheme scheme)
{
	return scheme == VERIFY_RSA_PSS_SHA384 ? 48 : 32;
}

/* RSASSA-PSS-params: both hashes equal, salt of the hash's size, trailer field 1 if present. */
static int parse_pss(struct reader *identifier, enum verify_scheme *ret_scheme, struct err *err)
{
	struct reader params, field, inner;
	struct view hash, oid, mgf_hash;
	uint64_t salt = 0, trailer = 1;
	TRY(der_enter(identifier, DER_SEQUENCE, &params, err));
	TRY(der_enter(&params, DER_CONTEXT_CONSTRUCTED + 0, &field, err));
	TRY(der_take(&field, DER_SEQUENCE, &hash, err));
	TRY(der_end(&field, "hashAlgorithm", err));
	TRY(der_enter(&params, DER_CONTEXT_CONSTRUCTED + 1, &field, err));
	TRY(der_enter(&field, DER_SEQUENCE, &inner, err));
	TRY(der_end(&field, "maskGenAlgorithm", err));
	TRY(der_take(&inner, DER_OID, &oid, err));
	TRY(der_take(&inner, DER_SEQUENCE, &mgf_hash, err));
	TRY(der_end(&inner, "maskGenAlgorithm", err));
	TRY(der_enter(&params, DER_CONTEXT_CONSTRUCTED + 2, &field, err));
	TRY(der_take_unsigned(&field, &salt, err));
	TRY(der_end(&field, "saltLength", err));
	if (der_is_next(&params, DER_CONTEXT_CONSTRUCTED + 3)) {
		TRY(der_enter(&params, DER_CONTEXT_CONSTRUCTED + 3, &field, err));
		TRY(der_take_unsigned(&field, &trailer, err));
		TRY(der_end(&field, "trailerField", err));
	}
	TRY(der_end(&params, "RSASSA-PSS-params", err));
	enum verify_scheme scheme = pss_of_hash(hash);
	bool is_known = scheme != VERIFY_SCHEME_NONE && pss_of_hash(mgf_hash) == scheme &&
			view_equal(oid, OID_VIEW(oid_mgf1)) && salt == salt_of(scheme) &&
			trailer == 1;
	*ret_scheme = is_known ? scheme : VERIFY_SCHEME_NONE;
	return 0;
}

/* Content of an AlgorithmIdentifier for signatures. */
static int parse_scheme(struct view identifier, enum verify_scheme *ret_scheme, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(plain_schemes); i++)
		if (view_equal(identifier, plain_schemes[i].identifier)) {
			*ret_scheme = plain_schemes[i].scheme;
			return 0;
		}
	struct reader reader = reader_of(identifier);
	struct view oid;
	TRY(der_take(&reader, DER_OID, &oid, err));
	*ret_scheme = VERIFY_SCHEME_NONE;
	if (!view_equal(oid, OID_VIEW(oid_rsa_pss)) || reader.rest.size == 0)
		return 0;
	return parse_pss(&reader, ret_scheme, err);
}

static int parse_rsa_key(struct view bits, struct verify_key *ret_key, struct err *err)
{
	struct reader outer = reader_of(bits), inner;
	struct verify_key key = { .type = VERIFY_KEY_RSA };
	TRY(der_enter(&outer, DER_SEQUENCE, &inner, err));
	TRY(der_end(&outer, "RSAPublicKey", err));
	TRY(der_take_magnitude(&inner, &key.modulus, err));
	TRY(der_take_magnitude(&inner, &key.exponent, err));
	TRY(der_end(&inner, "RSAPublicKey", err));
	*ret_key = key;
	return 0;
}

static int parse_ec_key(
	struct reader *algorithm, struct view bits, struct verify_key *ret_key, struct err *err)
{
	struct view curve;
	TRY(der_take(algorithm, DER_OID, &curve, err));
	TRY(der_end(algorithm, "the key's algorithm", err));
	bool is_p256 = view_equal(curve, OID_VIEW(oid_p256));
	bool is_p384 = view_equal(curve, OID_VIEW(oid_p384));
	size_t size = is_p256 ? 65 : 97;
	*ret_key = (struct verify_key){};
	if ((!is_p256 && !is_p384) || bits.size != size || bits.data[0] != POINT_UNCOMPRESSED)
		return 0;
	*ret_key = (struct verify_key){
		.type = is_p256 ? VERIFY_KEY_P256 : VERIFY_KEY_P384,
		.point = view_of(bits.data + 1, bits.size - 1),
	};
	return 0;
}

int x509_key(struct view spki, struct verify_key *ret_key, struct err *err)
{
	struct reader outer = reader_of(spki), inner, algorithm;
	struct view oid, bits;
	TRY(der_enter(&outer, DER_SEQUENCE, &inner, err));
	TRY(der_end(&outer, "SubjectPublicKeyInfo", err));
	TRY(der_enter(&inner, DER_SEQUENCE, &algorithm, err));
	TRY(der_take(&algorithm, DER_OID, &oid, err));
	TRY(der_take_bits(&inner, &bits, err));
	TRY(der_end(&inner, "SubjectPublicKeyInfo", err));
	if (view_equal(oid, OID_VIEW(oid_ec_public_key)))
		return parse_ec_key(&algorithm, bits, ret_key, err);
	/* An RSA key marked PSS-only would carry parameters; AMD and TPM makers use plain ones. */
	if (view_equal(oid, OID_VIEW(oid_rsa)))
		return parse_rsa_key(bits, ret_key, err);
	*ret_key = (struct verify_key){};
	return 0;
}

static int parse_basic_constraints(struct view value, struct x509 *certificate, struct err *err)
{
	struct reader outer = reader_of(value), inner;
	uint64_t length = 0;
	TRY(der_enter(&outer, DER_SEQUENCE, &inner, err));
	TRY(der_end(&outer, "basicConstraints", err));
	certificate->has_basic_constraints = true;
	if (der_is_next(&inner, DER_BOOLEAN))
		TRY(der_take_boolean(&inner, &certificate->is_ca, err));
	if (der_is_next(&inner, DER_INTEGER)) {
		TRY(der_take_unsigned(&inner, &length, err));
		certificate->path_length = (int)MIN(length, (uint64_t)PATH_LENGTH_MAX);
	}
	return der_end(&inner, "basicConstraints", err);
}

static int parse_key_usage(struct view value, struct x509 *certificate, struct err *err)
{
	struct reader outer = reader_of(value);
	struct view bits;
	TRY(der_take(&outer, DER_BIT_STRING, &bits, err));
	TRY(der_end(&outer, "keyUsage", err));
	if (bits.size < 2 || bits.size > 3 || bits.data[0] > 7)
		return err_set(
			err, E_INVALID, "keyUsage has %zu bytes, expected 2 or 3", bits.size);
	unsigned usage = (unsigned)bits.data[1] << 8;
	if (bits.size == 3)
		usage |= bits.data[2];
	certificate->has_key_usage = true;
	certificate->key_usage = usage;
	return 0;
}

static int parse_extended_usage(struct view value, struct x509 *certificate, struct err *err)
{
	struct reader outer = reader_of(value);
	TRY(der_take(&outer, DER_SEQUENCE, &certificate->extended_usage, err));
	TRY(der_end(&outer, "extendedKeyUsage", err));
	struct reader each = reader_of(certificate->extended_usage);
	struct view oid;
	do
		TRY(der_take(&each, DER_OID, &oid, err));
	while (each.rest.size > 0);
	return 0;
}

static const struct {
	struct view oid;
	int (*parse)(struct view value, struct x509 *certificate, struct err *err);
} known_extensions[] = {
	{ { oid_basic_constraints, sizeof(oid_basic_constraints) }, parse_basic_constraints },
	{ { oid_key_usage, sizeof(oid_key_usage) }, parse_key_usage },
	{ { oid_extended_usage, sizeof(oid_extended_usage) }, parse_extended_usage },
	{ { oid_subject_alternative, sizeof(oid_subject_alternative) }, NULL },
};

struct extension {
	struct view oid;
	struct view value;
	bool is_critical;
};

static int take_extension(struct reader *list, struct extension *ret_extension, struct err *err)
{
	struct reader inner;
	struct extension extension = {};
	TRY(der_enter(list, DER_SEQUENCE, &inner, err));
	TRY(der_take(&inner, DER_OID, &extension.oid, err));
	if (der_is_next(&inner, DER_BOOLEAN))
		TRY(der_take_boolean(&inner, &extension.is_critical, err));
	TRY(der_take(&inner, DER_OCTET_STRING, &extension.value, err));
	TRY(der_end(&inner, "an extension", err));
	*ret_extension = extension;
	return 0;
}

static int interpret(const struct extension *extension, struct x509 *certificate, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(known_extensions); i++) {
		if (!view_equal(extension->oid, known_extensions[i].oid))
			continue;
		return known_extensions[i].parse
			       ? known_extensions[i].parse(extension->value, certificate, err)
			       : 0;
	}
	if (extension->is_critical)
		return err_set(err, E_INVALID, "an unknown extension is critical");
	return 0;
}

static int parse_extensions(struct reader *tbs, struct x509 *certificate, struct err *err)
{
	struct reader wrapper, list;
	TRY(der_enter(tbs, DER_CONTEXT_CONSTRUCTED + 3, &wrapper, err));
	TRY(der_enter(&wrapper, DER_SEQUENCE, &list, err));
	TRY(der_end(&wrapper, "extensions", err));
	certificate->extensions = list.rest;
	struct view seen[X509_EXTENSIONS_MAX];
	for (size_t count = 0; list.rest.size > 0; count++) {
		struct extension extension;
		TRY(take_extension(&list, &extension, err));
		if (count == X509_EXTENSIONS_MAX)
			return err_set(
				err, E_LIMIT, "more than %d extensions", X509_EXTENSIONS_MAX);
		for (size_t i = 0; i < count; i++)
			if (view_equal(seen[i], extension.oid))
				return err_set(err, E_INVALID, "DER before %zu: an extension twice",
					list.offset);
		seen[count] = extension.oid;
		TRY(interpret(&extension, certificate, err));
	}
	return 0;
}

static int parse_validity(struct reader *tbs, struct x509 *certificate, struct err *err)
{
	struct reader inner;
	TRY(der_enter(tbs, DER_SEQUENCE, &inner, err));
	TRY(der_take_time(&inner, &certificate->not_before_ms, err));
	TRY(der_take_time(&inner, &certificate->not_after_ms, err));
	certificate->not_after_ms += 999; /* the whole last second is valid */
	return der_end(&inner, "validity", err);
}

static int take_whole(struct reader *reader, unsigned tag, struct view *ret_whole, struct err *err)
{
	struct der_element element;
	size_t at = reader->offset;
	TRY(der_next(reader, &element, err));
	if (element.tag != tag)
		return err_set(err, E_INVALID, "DER at %zu: expected tag 0x%02x, got 0x%02x", at,
			tag, element.tag);
	*ret_whole = element.whole;
	return 0;
}

static int parse_tbs(
	struct reader *tbs, struct view *ret_algorithm, struct x509 *certificate, struct err *err)
{
	struct reader version;
	uint64_t number = 0;
	TRY(der_enter(tbs, DER_CONTEXT_CONSTRUCTED + 0, &version, err));
	TRY(der_take_unsigned(&version, &number, err));
	TRY(der_end(&version, "version", err));
	if (number != X509_VERSION_3)
		return err_set(err, E_INVALID, "expected an X.509 version 3 certificate");
	TRY(der_take_integer(tbs, &certificate->serial, err));
	TRY(der_take(tbs, DER_SEQUENCE, ret_algorithm, err));
	TRY(take_whole(tbs, DER_SEQUENCE, &certificate->issuer, err));
	TRY(parse_validity(tbs, certificate, err));
	TRY(take_whole(tbs, DER_SEQUENCE, &certificate->subject, err));
	TRY(take_whole(tbs, DER_SEQUENCE, &certificate->spki, err));
	TRY(x509_key(certificate->spki, &certificate->key, err));
	if (tbs->rest.size > 0)
		TRY(parse_extensions(tbs, certificate, err));
	return der_end(tbs, "the certificate's body", err);
}

/* The frame that certificates and CRLs share: SIGNED { body, algorithm, signature }. */
struct signed_frame {
	struct view tbs;
	struct reader body;
	struct view algorithm;
	struct view signature;
};

static int open_signed(struct view der, struct signed_frame *ret_frame, struct err *err)
{
	struct reader outer = reader_of(der), inner;
	TRY(der_enter(&outer, DER_SEQUENCE, &inner, err));
	TRY(der_end(&outer, "the signed structure", err));
	struct reader body_at = inner;
	TRY(take_whole(&inner, DER_SEQUENCE, &ret_frame->tbs, err));
	TRY(der_enter(&body_at, DER_SEQUENCE, &ret_frame->body, err));
	TRY(der_take(&inner, DER_SEQUENCE, &ret_frame->algorithm, err));
	TRY(der_take_bits(&inner, &ret_frame->signature, err));
	return der_end(&inner, "the signed structure", err);
}

int x509_parse(struct view der, struct x509 *ret_certificate, struct err *err)
{
	if (der.size > X509_CERTIFICATE_MAX)
		return err_set(err, E_LIMIT, "a certificate of %zu bytes, limit %d", der.size,
			X509_CERTIFICATE_MAX);
	struct signed_frame frame;
	TRY(open_signed(der, &frame, err));
	struct x509 certificate = {
		.whole = der,
		.tbs = frame.tbs,
		.signature = frame.signature,
		.path_length = X509_PATH_LENGTH_NONE,
	};
	struct view inside;
	TRY(parse_tbs(&frame.body, &inside, &certificate, err));
	if (!view_equal(inside, frame.algorithm))
		return err_set(err, E_INVALID, "the algorithm inside differs from the one outside");
	TRY(parse_scheme(inside, &certificate.scheme, err));
	*ret_certificate = certificate;
	return 0;
}

bool x509_extension(const struct x509 *certificate, struct view oid, struct view *ret_value)
{
	struct reader list = reader_of(certificate->extensions);
	struct err ignored;
	while (list.rest.size > 0) {
		struct extension extension;
		if (take_extension(&list, &extension, &ignored) < 0)
			return false;
		if (!view_equal(extension.oid, oid))
			continue;
		*ret_value = extension.value;
		return true;
	}
	return false;
}

bool x509_has_extended_usage(const struct x509 *certificate, struct view oid)
{
	struct reader list = reader_of(certificate->extended_usage);
	struct err ignored;
	struct view each;
	while (list.rest.size > 0 && der_take(&list, DER_OID, &each, &ignored) == 0)
		if (view_equal(each, oid))
			return true;
	return false;
}

/* Walks a Name; the last commonName and how many there are. False when it is malformed. */
static bool find_common_name(struct view name, struct view *ret_text, size_t *ret_count)
{
	struct reader outer = reader_of(name), names;
	struct err ignored;
	*ret_text = (struct view){};
	*ret_count = 0;
	if (der_enter(&outer, DER_SEQUENCE, &names, &ignored) < 0)
		return false;
	while (names.rest.size > 0) {
		struct reader set, pair;
		struct view oid;
		struct der_element value;
		if (der_enter(&names, DER_SET, &set, &ignored) < 0)
			return false;
		while (set.rest.size > 0) {
			if (der_enter(&set, DER_SEQUENCE, &pair, &ignored) < 0 ||
				der_take(&pair, DER_OID, &oid, &ignored) < 0 ||
				der_next(&pair, &value, &ignored) < 0 || !reader_complete(&pair))
				return false;
			if (!view_equal(oid, OID_VIEW(oid_common_name)))
				continue;
			*ret_count += 1;
			if (value.tag == DER_UTF8_STRING || value.tag == DER_PRINTABLE_STRING)
				*ret_text = value.content;
		}
	}
	return true;
}

bool x509_name_is(struct view name, const char *common_name)
{
	struct view text;
	size_t count;
	return find_common_name(name, &text, &count) && count == 1 &&
	       view_equal_string(text, common_name);
}

struct view x509_common_name(struct view name)
{
	struct view text;
	size_t count;
	return find_common_name(name, &text, &count) ? text : (struct view){};
}

int x509_verify(const struct x509 *certificate, const struct verify_key *key, struct err *err)
{
	return verify_signature(
		key, certificate->scheme, certificate->tbs, certificate->signature, err);
}

/* Each entry: serial, date, optional extensions, none of them critical. */
static int take_revoked(struct reader *list, struct view *ret_serial, struct err *err)
{
	struct reader entry, extensions;
	struct der_element date;
	TRY(der_enter(list, DER_SEQUENCE, &entry, err));
	TRY(der_take_integer(&entry, ret_serial, err));
	TRY(der_next(&entry, &date, err));
	if (date.tag != DER_UTC_TIME && date.tag != DER_GENERALIZED_TIME)
		return err_set(
			err, E_INVALID, "DER before %zu: expected a revocation date", entry.offset);
	if (entry.rest.size > 0) {
		TRY(der_enter(&entry, DER_SEQUENCE, &extensions, err));
		while (extensions.rest.size > 0) {
			struct extension extension;
			TRY(take_extension(&extensions, &extension, err));
			if (extension.is_critical)
				return err_set(
					err, E_INVALID, "an extension of a CRL entry is critical");
		}
	}
	return der_end(&entry, "a CRL entry", err);
}

static int parse_revoked(struct reader *tbs, struct x509_crl *crl, struct err *err)
{
	struct reader list;
	TRY(der_enter(tbs, DER_SEQUENCE, &list, err));
	crl->revoked = list.rest;
	struct view serial;
	while (list.rest.size > 0)
		TRY(take_revoked(&list, &serial, err));
	return 0;
}

static int parse_crl_extensions(struct reader *tbs, struct err *err)
{
	struct reader wrapper, list;
	TRY(der_enter(tbs, DER_CONTEXT_CONSTRUCTED + 0, &wrapper, err));
	TRY(der_enter(&wrapper, DER_SEQUENCE, &list, err));
	TRY(der_end(&wrapper, "CRL extensions", err));
	while (list.rest.size > 0) {
		struct extension extension;
		TRY(take_extension(&list, &extension, err));
		/* Delta and partial CRLs mark themselves by critical extensions. */
		if (extension.is_critical)
			return err_set(err, E_INVALID, "a CRL extension is critical");
	}
	return 0;
}

static int parse_crl_body(
	struct reader *tbs, struct view *ret_algorithm, struct x509_crl *crl, struct err *err)
{
	uint64_t version = 0;
	TRY(der_take_unsigned(tbs, &version, err));
	if (version != CRL_VERSION_2)
		return err_set(err, E_INVALID, "expected a CRL of version 2");
	TRY(der_take(tbs, DER_SEQUENCE, ret_algorithm, err));
	TRY(take_whole(tbs, DER_SEQUENCE, &crl->issuer, err));
	TRY(der_take_time(tbs, &crl->this_update_ms, err));
	if (der_is_next(tbs, DER_UTC_TIME) || der_is_next(tbs, DER_GENERALIZED_TIME)) {
		TRY(der_take_time(tbs, &crl->next_update_ms, err));
		crl->next_update_ms += 999;
	}
	if (der_is_next(tbs, DER_SEQUENCE))
		TRY(parse_revoked(tbs, crl, err));
	if (tbs->rest.size > 0)
		TRY(parse_crl_extensions(tbs, err));
	return der_end(tbs, "the CRL's body", err);
}

int x509_crl_parse(struct view der, struct x509_crl *ret_crl, struct err *err)
{
	if (der.size > X509_CRL_MAX)
		return err_set(
			err, E_LIMIT, "a CRL of %zu bytes, limit %d", der.size, X509_CRL_MAX);
	struct signed_frame frame;
	TRY(open_signed(der, &frame, err));
	struct x509_crl crl = { .whole = der, .tbs = frame.tbs, .signature = frame.signature };
	struct view inside;
	TRY(parse_crl_body(&frame.body, &inside, &crl, err));
	if (!view_equal(inside, frame.algorithm))
		return err_set(err, E_INVALID, "the algorithm inside differs from the one outside");
	TRY(parse_scheme(inside, &crl.scheme, err));
	*ret_crl = crl;
	return 0;
}

bool x509_crl_lists(const struct x509_crl *crl, struct view serial)
{
	struct reader list = reader_of(crl->revoked);
	struct err ignored;
	struct view each;
	while (list.rest.size > 0 && take_revoked(&list, &each, &ignored) == 0)
		if (view_equal(each, serial))
			return true;
	return false;
}

int x509_crl_verify(const struct x509_crl *crl, const struct verify_key *key, struct err *err)
{
	return verify_signature(key, crl->scheme, crl->tbs, crl->signature, err);
}
