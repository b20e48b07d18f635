/*
 * See verify.h. One table row per scheme; P-384 goes to p384.h, whose keys cost nothing to make;
 * another key is built with EVP_PKEY_fromdata, which checks the point. Making it and looking up its
 * algorithms costs a third of a P-256 verification, so a prepared key can be kept. The message is
 * hashed by us: a prepared context then serves again.
 */
#include "kit/crypto/verify.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "kit/crypto/hash.h"
#include "kit/crypto/p384.h"

enum {
	P256_BYTES = 32,
	POINT_UNCOMPRESSED = 4,
	RSA_EXPONENT_BYTES_MAX = 5,
	ECDSA_HALF_MAX = 66,
};

static const struct scheme {
	enum hash_kind hash;
	bool is_rsa;
	int padding;
	int salt_size;
} schemes[VERIFY_SCHEME_COUNT] = {
	[VERIFY_ECDSA_SHA256] = { HASH_SHA256, false, 0, 0 },
	[VERIFY_ECDSA_SHA384] = { HASH_SHA384, false, 0, 0 },
	[VERIFY_RSA_PKCS1_SHA256] = { HASH_SHA256, true, RSA_PKCS1_PADDING, 0 },
	[VERIFY_RSA_PKCS1_SHA384] = { HASH_SHA384, true, RSA_PKCS1_PADDING, 0 },
	[VERIFY_RSA_PKCS1_SHA512] = { HASH_SHA512, true, RSA_PKCS1_PADDING, 0 },
	[VERIFY_RSA_PSS_SHA256] = { HASH_SHA256, true, RSA_PKCS1_PSS_PADDING,
		RSA_PSS_SALTLEN_DIGEST },
	[VERIFY_RSA_PSS_SHA384] = { HASH_SHA384, true, RSA_PKCS1_PSS_PADDING,
		RSA_PSS_SALTLEN_DIGEST },
	[VERIFY_RSA_PSS_ANY_SALT_SHA256] = { HASH_SHA256, true, RSA_PKCS1_PSS_PADDING,
		RSA_PSS_SALTLEN_AUTO },
	[VERIFY_RSA_PSS_ANY_SALT_SHA384] = { HASH_SHA384, true, RSA_PKCS1_PSS_PADDING,
		RSA_PSS_SALTLEN_AUTO },
};

static void pkey_done(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}
#define auto_pkey AUTO(pkey_done) EVP_PKEY

static void pkey_ctx_done(EVP_PKEY_CTX **context)
{
	EVP_PKEY_CTX_free(*context);
}
#define auto_pkey_ctx AUTO(pkey_ctx_done) EVP_PKEY_CTX

static void param_bld_done(OSSL_PARAM_BLD **builder)
{
	OSSL_PARAM_BLD_free(*builder);
}
#define auto_param_bld AUTO(param_bld_done) OSSL_PARAM_BLD

static void params_done(OSSL_PARAM **params)
{
	OSSL_PARAM_free(*params);
}
#define auto_params AUTO(params_done) OSSL_PARAM

static void bignum_done(BIGNUM **number)
{
	BN_free(*number);
}
#define auto_bignum AUTO(bignum_done) BIGNUM

static int key_refused(struct err *err, const char *why)
{
	ERR_clear_error();
	return err_set(err, E_INTEGRITY, "public key refused: %s", why);
}

static int make_from(const char *algorithm, OSSL_PARAM *params, EVP_PKEY **ret_key, struct err *err)
{
	auto_pkey_ctx *context = EVP_PKEY_CTX_new_from_name(NULL, algorithm, NULL);
	if (!context || EVP_PKEY_fromdata_init(context) <= 0)
		return err_set(err, E_INTERNAL, "OpenSSL does not know %s keys", algorithm);
	if (EVP_PKEY_fromdata(context, ret_key, EVP_PKEY_PUBLIC_KEY, params) <= 0)
		return key_refused(err, "not a point of its curve, or not a key");
	return 0;
}

static int make_p256(const struct verify_key *key, EVP_PKEY **ret_key, struct err *err)
{
	if (key->point.size != (size_t)2 * P256_BYTES)
		return key_refused(err, "the point has the wrong size");
	uint8_t point[1 + 2 * P256_BYTES] = { POINT_UNCOMPRESSED };
	memcpy(point + 1, key->point.data, key->point.size);
	char group[] = "P-256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)),
		OSSL_PARAM_construct_end(),
	};
	return make_from("EC", params, ret_key, err);
}

static int make_rsa(const struct verify_key *key, EVP_PKEY **ret_key, struct err *err)
{
	if (key->exponent.size == 0 || key->exponent.size > RSA_EXPONENT_BYTES_MAX ||
		key->modulus.size > VERIFY_RSA_BITS_MAX / 8)
		return key_refused(err, "modulus or exponent out of range");
	auto_bignum *n = BN_bin2bn(key->modulus.data, (int)key->modulus.size, NULL);
	auto_bignum *e = BN_bin2bn(key->exponent.data, (int)key->exponent.size, NULL);
	auto_param_bld *builder = OSSL_PARAM_BLD_new();
	if (!n || !e || !builder)
		return err_set(err, E_INTERNAL, "OpenSSL is out of memory");
	if (BN_num_bits(n) < VERIFY_RSA_BITS_MIN || !BN_is_odd(n) || !BN_is_odd(e) || BN_is_one(e))
		return key_refused(err, "RSA modulus below 2048 bits or an even or unit exponent");
	if (!OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) ||
		!OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e))
		return err_set(err, E_INTERNAL, "OpenSSL is out of memory");
	auto_params *params = OSSL_PARAM_BLD_to_param(builder);
	if (!params)
		return err_set(err, E_INTERNAL, "OpenSSL is out of memory");
	return make_from("RSA", params, ret_key, err);
}

static int set_padding(EVP_PKEY_CTX *context, const struct scheme *scheme, struct err *err)
{
	const EVP_MD *digest = scheme->hash == HASH_SHA256   ? EVP_sha256()
			       : scheme->hash == HASH_SHA384 ? EVP_sha384()
							     : EVP_sha512();
	bool is_set = EVP_PKEY_CTX_set_signature_md(context, digest) > 0 &&
		      EVP_PKEY_CTX_set_rsa_padding(context, scheme->padding) > 0;
	if (is_set && scheme->padding == RSA_PKCS1_PSS_PADDING)
		is_set = EVP_PKEY_CTX_set_rsa_pss_saltlen(context, scheme->salt_size) > 0 &&
			 EVP_PKEY_CTX_set_rsa_mgf1_md(context, digest) > 0;
	return is_set ? 0 : err_set(err, E_INTERNAL, "OpenSSL refused the RSA padding");
}

static int prepare(const struct verify_key *key, const struct scheme *scheme,
	EVP_PKEY_CTX **ret_context, struct err *err)
{
	auto_pkey *pkey = NULL;
	TRY(scheme->is_rsa ? make_rsa(key, &pkey, err) : make_p256(key, &pkey, err));
	auto_pkey_ctx *context = EVP_PKEY_CTX_new(pkey, NULL); /* holds a reference to pkey */
	if (!context || EVP_PKEY_verify_init(context) <= 0)
		return err_set(err, E_INTERNAL, "OpenSSL cannot start a verification");
	if (scheme->is_rsa)
		TRY(set_padding(context, scheme, err));
	*ret_context = take_ptr(context);
	return 0;
}

/* The slot of this key and scheme, prepared; the oldest slot is given up for a new one. */
static int find_slot(struct verify_cache *cache, const struct verify_key *key,
	enum verify_scheme scheme, struct verify_slot **ret_slot, struct err *err)
{
	uint64_t sizes[] = { key->type, scheme, key->point.size, key->modulus.size,
		key->exponent.size };
	struct view parts[] = { view_of(sizes, sizeof(sizes)), key->point, key->modulus,
		key->exponent };
	uint8_t id[SHA256_SIZE];
	hash_parts(HASH_SHA256, parts, ARRAY_SIZE(parts), id);
	for (size_t i = 0; i < VERIFY_CACHE_MAX; i++) {
		struct verify_slot *slot = &cache->slots[i];
		if (slot->context &&
			view_equal(view_of(slot->id, sizeof(id)), view_of(id, sizeof(id)))) {
			*ret_slot = slot;
			return 0;
		}
	}
	EVP_PKEY_CTX *context;
	TRY(prepare(key, &schemes[scheme], &context, err));
	struct verify_slot *slot = &cache->slots[cache->next++ % VERIFY_CACHE_MAX];
	EVP_PKEY_CTX_free(slot->context);
	slot->context = context;
	memcpy(slot->id, id, sizeof(id));
	*ret_slot = slot;
	return 0;
}

void verify_cache_done(struct verify_cache *cache)
{
	for (size_t i = 0; i < VERIFY_CACHE_MAX; i++)
		EVP_PKEY_CTX_free(cache->slots[i].context);
	*cache = (struct verify_cache){};
}

int verify_cached(struct verify_cache *cache, const struct verify_key *key,
	const struct verify_claim *claim, struct err *err)
{
	bool is_rsa_key = key->type == VERIFY_KEY_RSA;
	if (key->type == VERIFY_KEY_NONE || claim->scheme <= VERIFY_SCHEME_NONE ||
		claim->scheme >= VERIFY_SCHEME_COUNT || schemes[claim->scheme].is_rsa != is_rsa_key)
		return err_set(err, E_INTEGRITY, "the signature's scheme does not fit the key");
	uint8_t digest[HASH_SIZE_MAX];
	enum hash_kind hash = schemes[claim->scheme].hash;
	hash_bytes(hash, claim->message, digest);
	if (key->type == VERIFY_KEY_P384)
		return p384_verify(
			key->point, view_of(digest, hash_size(hash)), claim->signature, err);
	auto_pkey_ctx *own = NULL;
	EVP_PKEY_CTX *context;
	if (cache) {
		struct verify_slot *slot;
		TRY(find_slot(cache, key, claim->scheme, &slot, err));
		context = slot->context;
	} else {
		TRY(prepare(key, &schemes[claim->scheme], &own, err));
		context = own;
	}
	int verdict = EVP_PKEY_verify(
		context, claim->signature.data, claim->signature.size, digest, hash_size(hash));
	ERR_clear_error();
	return verdict == 1 ? 0 : err_set(err, E_INTEGRITY, "the signature does not hold");
}

int verify_signature(const struct verify_key *key, enum verify_scheme scheme, struct view message,
	struct view signature, struct err *err)
{
	const struct verify_claim claim = { scheme, message, signature };
	return verify_cached(NULL, key, &claim, err);
}

/* One INTEGER of DER; returns its size. */
static size_t put_integer(struct view number, uint8_t *ret_der)
{
	while (number.size > 1 && number.data[0] == 0)
		number = view_of(number.data + 1, number.size - 1);
	bool needs_sign_byte = (number.data[0] & 0x80) != 0;
	size_t size = number.size + (needs_sign_byte ? 1 : 0);
	ret_der[0] = 0x02;
	ret_der[1] = (uint8_t)size;
	ret_der[2] = 0;
	memcpy(ret_der + 2 + (needs_sign_byte ? 1 : 0), number.data, number.size);
	return 2 + size;
}

int verify_ecdsa_to_der(struct view r_and_s, uint8_t ret_der[static VERIFY_ECDSA_DER_MAX],
	size_t *ret_size, struct err *err)
{
	size_t half = r_and_s.size / 2;
	if (half == 0 || r_and_s.size % 2 != 0 || half > ECDSA_HALF_MAX)
		return err_set(err, E_LIMIT, "an ECDSA signature of %zu bytes, limit 2 * %d",
			r_and_s.size, ECDSA_HALF_MAX);
	uint8_t body[VERIFY_ECDSA_DER_MAX];
	size_t size = put_integer(view_of(r_and_s.data, half), body);
	size += put_integer(view_of(r_and_s.data + half, half), body + size);
	size_t header = 0;
	ret_der[header++] = 0x30;
	if (size > 0x7f)
		ret_der[header++] = 0x81;
	ret_der[header++] = (uint8_t)size;
	memcpy(ret_der + header, body, size);
	*ret_size = header + size;
	return 0;
}

int verify_ecdsa_raw(const struct verify_key *key, enum verify_scheme scheme, struct view message,
	struct view r_and_s, struct err *err)
{
	if (r_and_s.size == 0 || r_and_s.size != key->point.size)
		return err_set(err, E_INTEGRITY, "an ECDSA signature of %zu bytes for a key of %zu",
			r_and_s.size, key->point.size);
	uint8_t der[VERIFY_ECDSA_DER_MAX];
	size_t size;
	TRY(verify_ecdsa_to_der(r_and_s, der, &size, err));
	return verify_signature(key, scheme, message, view_of(der, size), err);
}

int verify_key_of_point(struct view point, struct verify_key *ret_key, struct err *err)
{
	if (point.size != 2 * P256_BYTES && point.size != 2 * P384_BYTES)
		return err_set(
			err, E_INVALID, "expected a point of 64 or 96 bytes, got %zu", point.size);
	*ret_key = (struct verify_key){
		.type = point.size == 2 * P256_BYTES ? VERIFY_KEY_P256 : VERIFY_KEY_P384,
		.point = point,
	};
	return 0;
}
