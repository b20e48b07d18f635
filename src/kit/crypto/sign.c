/* See sign.h. */
#include "kit/crypto/sign.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "kit/base/mem.h"
#include "kit/codec/base64.h"

#define PEM_BEGIN "-----BEGIN PUBLIC KEY-----\n"
#define PEM_END "-----END PUBLIC KEY-----\n"

enum { PEM_LINE = 64, POINT_MAX = 97, RSA_BITS = 4096, PSS_SALT = 48 };

/* By enum sign_kind; kinds behind SIGN_KIND_COUNT only make signatures, for simulated platforms. */
static const struct kind {
	const char *type, *group;
	size_t scalar_size;
	int nid;
} kinds[] = {
	[SIGN_ED25519] = { "ED25519", NULL, 0, 0 },
	[SIGN_P256] = { "EC", "P-256", 32, NID_X9_62_prime256v1 },
	[SIGN_P384] = { "EC", "P-384", 48, NID_secp384r1 },
	[SIGN_RSA_PSS] = { "RSA", NULL, 0, 0 },
};

struct sign_key {
	EVP_PKEY *pkey;
	enum sign_kind kind;
};

static void pkey_done(EVP_PKEY **pkey)
{
	EVP_PKEY_free(*pkey);
}

static void context_done(EVP_MD_CTX **context)
{
	EVP_MD_CTX_free(*context);
}

static int wrap_key(EVP_PKEY *pkey, enum sign_kind kind, struct sign_key **ret_key, struct err *err)
{
	if (!pkey)
		return err_set(err, E_INTERNAL, "OpenSSL made no key");
	*ret_key = mem_alloc(1, sizeof(**ret_key));
	**ret_key = (struct sign_key){ pkey, kind };
	return 0;
}

int sign_key_generate(enum sign_kind kind, struct sign_key **ret_key, struct err *err)
{
	const struct kind *row = &kinds[kind];
	EVP_PKEY *pkey = kind == SIGN_RSA_PSS
				 ? EVP_PKEY_Q_keygen(NULL, NULL, row->type, (size_t)RSA_BITS)
				 : EVP_PKEY_Q_keygen(NULL, NULL, row->type, row->group);
	return wrap_key(pkey, kind, ret_key, err);
}

int sign_key_from_seed(struct view seed, struct sign_key **ret_key, struct err *err)
{
	if (seed.size != SIGN_ED25519_SEED_SIZE)
		return err_set(err, E_INVALID, "an Ed25519 seed has %d bytes, got %zu",
			SIGN_ED25519_SEED_SIZE, seed.size);
	return wrap_key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed.data, seed.size),
		SIGN_ED25519, ret_key, err);
}

static void bignum_done(BIGNUM **number)
{
	BN_clear_free(*number);
}

static void group_done(EC_GROUP **group)
{
	EC_GROUP_free(*group);
}

static void point_done(EC_POINT **point)
{
	EC_POINT_free(*point);
}

static void builder_done(OSSL_PARAM_BLD **builder)
{
	OSSL_PARAM_BLD_free(*builder);
}

static void params_done(OSSL_PARAM **params)
{
	OSSL_PARAM_free(*params);
}

static void key_context_done(EVP_PKEY_CTX **context)
{
	EVP_PKEY_CTX_free(*context);
}

/* A key on a curve of scalar and point; NULL when the library fails. */
static EVP_PKEY *make_ec(const char *group, const BIGNUM *scalar, const uint8_t *point, size_t size)
{
	AUTO(builder_done) OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	AUTO(key_context_done)
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *pkey = NULL;
	if (!builder || !context ||
		!OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, group, 0) ||
		!OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, scalar) ||
		!OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, size))
		return NULL;
	AUTO(params_done) OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
	if (!params || EVP_PKEY_fromdata_init(context) <= 0 ||
		EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_KEYPAIR, params) <= 0)
		return NULL;
	return pkey;
}

int sign_key_from_scalar(struct view scalar, struct sign_key **ret_key, struct err *err)
{
	uint8_t encoded[POINT_MAX];
	enum sign_kind kind = scalar.size == kinds[SIGN_P384].scalar_size ? SIGN_P384 : SIGN_P256;
	const struct kind *row = &kinds[kind];
	size_t size = 1 + 2 * row->scalar_size;
	if (scalar.size != row->scalar_size)
		return err_set(err, E_INVALID, "a scalar has 32 (P-256) or 48 bytes, got %zu",
			scalar.size);
	AUTO(group_done) EC_GROUP *group = EC_GROUP_new_by_curve_name(row->nid);
	AUTO(bignum_done) BIGNUM *number = BN_secure_new();
	if (!group || !number || !BN_bin2bn(scalar.data, (int)scalar.size, number))
		return err_set(err, E_INTERNAL, "OpenSSL is out of memory");
	BN_set_flags(number, BN_FLG_CONSTTIME);
	if (BN_is_zero(number) || BN_cmp(number, EC_GROUP_get0_order(group)) >= 0)
		return err_set(err, E_INVALID, "a scalar of %s is not in 1..n-1", row->group);
	AUTO(point_done) EC_POINT *point = EC_POINT_new(group);
	if (!point || EC_POINT_mul(group, point, number, NULL, NULL, NULL) != 1 ||
		EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, encoded,
			sizeof(encoded), NULL) != size)
		return err_set(err, E_INTERNAL, "OpenSSL could not compute a public point");
	return wrap_key(make_ec(row->group, number, encoded, size), kind, ret_key, err);
}

enum sign_kind sign_key_kind(const struct sign_key *key)
{
	return key->kind;
}

void sign_key_free(struct sign_key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->pkey);
	mem_free(key);
}

/*
 * The one DER form of each kind of key (RFC 8410 section 4, RFC 5480 section 2.1.1). Comparing the
 * prefix is stricter than a parser, and a hundred times faster than OpenSSL's decoder chain.
 */
static const uint8_t ed25519_prefix[] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70,
	0x03, 0x21, 0x00 };
static const uint8_t p256_prefix[] = { 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce,
	0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42,
	0x00 };

enum { ED25519_POINT = 32, P256_POINT = 65 };

/* The library would try all its encoders. */
static int ed25519_spki(const struct sign_key *key, struct buf *buf, struct err *err)
{
	uint8_t point[ED25519_POINT];
	size_t size = sizeof(point);
	if (EVP_PKEY_get_raw_public_key(key->pkey, point, &size) != 1 || size != sizeof(point))
		return err_set(err, E_INTERNAL, "OpenSSL could not encode a public key");
	TRY(buf_append(buf, view_of(ed25519_prefix, sizeof(ed25519_prefix)), err));
	return buf_append(buf, view_of(point, sizeof(point)), err);
}

int sign_key_spki(const struct sign_key *key, struct buf *buf, struct err *err)
{
	if (key->kind == SIGN_ED25519)
		return ed25519_spki(key, buf, err);
	unsigned char *der = NULL;
	int size = i2d_PUBKEY(key->pkey, &der);
	if (size <= 0)
		return err_set(err, E_INTERNAL, "OpenSSL could not encode a public key");
	int status = buf_append(buf, view_of(der, (size_t)size), err);
	OPENSSL_free(der);
	return status;
}

static const EVP_MD *digest_of(enum sign_kind kind)
{
	if (kind == SIGN_ED25519)
		return NULL;
	return kind == SIGN_P256 ? EVP_sha256() : EVP_sha384();
}

static bool set_padding(EVP_PKEY_CTX *context, enum sign_kind kind)
{
	return kind != SIGN_RSA_PSS ||
	       (EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
		       EVP_PKEY_CTX_set_rsa_pss_saltlen(context, PSS_SALT) == 1);
}

int sign_message(const struct sign_key *key, struct view message, struct buf *buf, struct err *err)
{
	AUTO(context_done) EVP_MD_CTX *context = EVP_MD_CTX_new();
	EVP_PKEY_CTX *key_context; /* the context's */
	size_t size = (size_t)MAX(EVP_PKEY_get_size(key->pkey), 0);
	TRY(buf_reserve(buf, size, err));
	if (!context ||
		EVP_DigestSignInit(context, &key_context, digest_of(key->kind), NULL, key->pkey) !=
			1 ||
		!set_padding(key_context, key->kind) ||
		EVP_DigestSign(context, buf->data + buf->size, &size, message.data, message.size) !=
			1)
		return err_set(err, E_INTERNAL, "OpenSSL could not sign");
	buf->size += size;
	return 0;
}

static bool has_form(struct view spki, const uint8_t *prefix, size_t prefix_size, size_t point_size)
{
	return spki.size == prefix_size + point_size &&
	       view_equal(view_of(spki.data, prefix_size), view_of(prefix, prefix_size));
}

static EVP_PKEY *load_public(struct view spki, enum sign_kind *ret_kind)
{
	*ret_kind = SIGN_ED25519;
	if (has_form(spki, ed25519_prefix, sizeof(ed25519_prefix), ED25519_POINT))
		return EVP_PKEY_new_raw_public_key(
			EVP_PKEY_ED25519, NULL, spki.data + sizeof(ed25519_prefix), ED25519_POINT);
	*ret_kind = SIGN_P256;
	if (!has_form(spki, p256_prefix, sizeof(p256_prefix), P256_POINT))
		return NULL;
	const unsigned char *at = spki.data; /* the decoder checks that the point is on the curve */
	return d2i_PUBKEY(NULL, &at, (long)spki.size);
}

int sign_verify(struct view spki, struct view message, struct view signature, struct err *err)
{
	enum sign_kind kind;
	AUTO(context_done) EVP_MD_CTX *context = EVP_MD_CTX_new();
	AUTO(pkey_done) EVP_PKEY *pkey = load_public(spki, &kind);
	if (!pkey)
		return err_set(err, E_INVALID,
			"expected an Ed25519 or P-256 public key (SPKI DER, uncompressed point)");
	if (!context || EVP_DigestVerifyInit(context, NULL, digest_of(kind), NULL, pkey) != 1)
		return err_set(err, E_INTERNAL, "OpenSSL could not start verifying");
	if (EVP_DigestVerify(context, signature.data, signature.size, message.data, message.size) !=
		1)
		return err_set(err, E_INTEGRITY, "the signature does not hold");
	return 0;
}

int sign_spki_to_pem(struct view spki, struct buf *buf, struct err *err)
{
	auto_done(buf) text = {};
	TRY(base64_encode(BASE64_STANDARD, spki, &text, err));
	TRY(buf_append_string(buf, PEM_BEGIN, err));
	for (size_t i = 0; i < text.size; i += PEM_LINE) {
		TRY(buf_append(
			buf, view_of(text.data + i, MIN((size_t)PEM_LINE, text.size - i)), err));
		TRY(buf_append_string(buf, "\n", err));
	}
	return buf_append_string(buf, PEM_END, err);
}

int sign_spki_from_pem(struct view pem, struct buf *buf, struct err *err)
{
	auto_done(buf) text = {};
	size_t begin = strlen(PEM_BEGIN), end = strlen(PEM_END);
	bool is_framed = pem.size >= begin + end && pem.size <= (size_t)4 * SIGN_SPKI_MAX &&
			 view_equal_string(view_of(pem.data, begin), PEM_BEGIN) &&
			 view_equal_string(view_of(pem.data + pem.size - end, end), PEM_END);
	if (!is_framed)
		return err_set(err, E_INVALID, "expected one PEM block 'PUBLIC KEY'");
	for (size_t i = begin; i < pem.size - end; i++)
		if (pem.data[i] != '\n')
			TRY(buf_append(&text, view_of(pem.data + i, 1), err));
	return base64_decode(BASE64_STANDARD, buf_view(&text), buf, err);
}
