/*
 * See jwe.h. The protected header is the additional data as it stands, so it is kept as text;
 * members of it that are not known change nothing, except "crit", "zip" and "b64", which are
 * refused.
 */
#include "kit/crypto/jwe.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "kit/base/mem.h"
#include "kit/codec/base64.h"
#include "kit/codec/jspan.h"
#include "kit/crypto/aead.h"
#include "kit/crypto/hash.h"
#include "kit/crypto/rand.h"

#define ALG_ECDH "ECDH-ES+A256KW"
#define ALG_RSA "RSA-OAEP-256"
#define ENC_GCM "A256GCM"

enum {
	KEK_SIZE = 32,
	CEK_SIZE = 32,
	WRAPPED_SIZE = CEK_SIZE + 8,
	COORDINATE_MAX = 66,
	POINT_MAX = 1 + 2 * COORDINATE_MAX,
	RSA_MAX = 1024,
	HEADER_MAX = 4096,
	SHARED_MAX = 72,
};

static const struct curve {
	const char *name; /* RFC 7518 6.2.1.1, and OpenSSL's */
	size_t size;
} curves[] = { { "P-256", 32 }, { "P-384", 48 }, { "P-521", 66 } };

struct jwe_key {
	EVP_PKEY *pkey;
	const struct curve *curve; /* NULL: RSA */
};

static void EVP_PKEY_CTX_done(EVP_PKEY_CTX **object)
{
	EVP_PKEY_CTX_free(*object);
}

static void EVP_CIPHER_CTX_done(EVP_CIPHER_CTX **object)
{
	EVP_CIPHER_CTX_free(*object);
}

static void OSSL_PARAM_BLD_done(OSSL_PARAM_BLD **object)
{
	OSSL_PARAM_BLD_free(*object);
}

static void OSSL_PARAM_done(OSSL_PARAM **object)
{
	OSSL_PARAM_free(*object);
}

static void BIGNUM_done(BIGNUM **object)
{
	BN_clear_free(*object);
}

#define auto_ssl(type) AUTO(type##_done) type

void jwe_key_free(struct jwe_key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->pkey);
	mem_free(key);
}

static struct jwe_key *wrap(EVP_PKEY *pkey, const struct curve *curve)
{
	struct jwe_key *key = mem_alloc(1, sizeof(*key));
	*key = (struct jwe_key){ pkey, curve };
	return key;
}

static const struct curve *find_curve(struct jspan name)
{
	for (size_t i = 0; i < ARRAY_SIZE(curves); i++)
		if (jspan_is(name, curves[i].name))
			return &curves[i];
	return NULL;
}

/* A base64url member of exactly size bytes, or of 1..limit when size is 0. */
static int take_bytes(struct jspan object, const char *name, size_t size, size_t limit,
	struct buf *buf, struct err *err)
{
	struct view text;
	struct err ignored;
	size_t before = buf->size;
	if (!jspan_string(jspan_get(object, name), &text) ||
		base64_decode(BASE64_URL, text, buf, &ignored) < 0)
		return err_set(err, E_INVALID, "jwe.format: expected base64url at %s", name);
	size_t got = buf->size - before;
	if ((size && got != size) || got > limit)
		return err_set(err, E_INVALID, "jwe.format: %s has %zu bytes", name, got);
	return 0;
}

static int make_key(const char *algorithm, OSSL_PARAM_BLD *builder, bool has_private,
	EVP_PKEY **ret_key, struct err *err)
{
	auto_ssl(OSSL_PARAM) *params = OSSL_PARAM_BLD_to_param(builder);
	auto_ssl(EVP_PKEY_CTX) *context = EVP_PKEY_CTX_new_from_name(NULL, algorithm, NULL);
	if (!params || !context || EVP_PKEY_fromdata_init(context) <= 0)
		return err_set(err, E_INTERNAL, "OpenSSL could not start a key");
	if (EVP_PKEY_fromdata(context, ret_key,
		    has_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, params) <= 0)
		return err_set(err, E_INVALID, "jwe.key: not a key, or not on its curve");
	return 0;
}

/* 04 || x || y */
static int take_point(
	struct jspan jwk, const struct curve *curve, struct buf *point, struct err *err)
{
	TRY(buf_append_be(point, 4, 1, err));
	TRY(take_bytes(jwk, "x", curve->size, COORDINATE_MAX, point, err));
	return take_bytes(jwk, "y", curve->size, COORDINATE_MAX, point, err);
}

static int read_ec(struct jspan jwk, struct jwe_key **ret_key, struct err *err)
{
	const struct curve *curve = find_curve(jspan_get(jwk, "crv"));
	auto_ssl(OSSL_PARAM_BLD) *builder = OSSL_PARAM_BLD_new();
	auto_ssl(BIGNUM) *number = NULL;
	auto_done(buf) point = {};
	auto_done(buf) scalar = {};
	EVP_PKEY *pkey = NULL;
	bool has_private = jspan_get(jwk, "d").type != JSPAN_NONE;
	if (!curve)
		return err_set(err, E_INVALID, "jwe.key: unknown curve");
	TRY(take_point(jwk, curve, &point, err));
	if (has_private) {
		TRY(take_bytes(jwk, "d", curve->size, COORDINATE_MAX, &scalar, err));
		number = BN_bin2bn(scalar.data, (int)scalar.size, NULL);
	}
	if (!builder ||
		!OSSL_PARAM_BLD_push_utf8_string(
			builder, OSSL_PKEY_PARAM_GROUP_NAME, curve->name, 0) ||
		!OSSL_PARAM_BLD_push_octet_string(
			builder, OSSL_PKEY_PARAM_PUB_KEY, point.data, point.size) ||
		(number && !OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, number)))
		return err_set(err, E_INTERNAL, "OpenSSL is out of memory");
	TRY(make_key("EC", builder, has_private, &pkey, err));
	*ret_key = wrap(pkey, curve);
	return 0;
}

static int read_rsa(struct jspan jwk, struct jwe_key **ret_key, struct err *err)
{
	static const struct {
		const char *member, *param;
	} parts[] = { { "n", OSSL_PKEY_PARAM_RSA_N }, { "e", OSSL_PKEY_PARAM_RSA_E },
		{ "d", OSSL_PKEY_PARAM_RSA_D } };
	auto_ssl(OSSL_PARAM_BLD) *builder = OSSL_PARAM_BLD_new();
	bool has_private = jspan_get(jwk, "d").type != JSPAN_NONE;
	BIGNUM *numbers[ARRAY_SIZE(parts)] = {};
	EVP_PKEY *pkey = NULL;
	int status = builder ? 0 : err_set(err, E_INTERNAL, "OpenSSL is out of memory");
	for (size_t i = 0; status == 0 && i < ARRAY_SIZE(parts) - !has_private; i++) {
		auto_done(buf) bytes = {};
		status = take_bytes(jwk, parts[i].member, 0, RSA_MAX, &bytes, err);
		if (status == 0)
			numbers[i] = BN_bin2bn(bytes.data, (int)bytes.size, NULL);
		if (status == 0 && (!numbers[i] || !OSSL_PARAM_BLD_push_BN(
							   builder, parts[i].param, numbers[i])))
			status = err_set(err, E_INTERNAL, "OpenSSL is out of memory");
	}
	if (status == 0)
		status = make_key("RSA", builder, has_private, &pkey, err);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		BN_clear_free(numbers[i]);
	if (status == 0 && EVP_PKEY_get_bits(pkey) < 2048) {
		EVP_PKEY_free(pkey);
		status = err_set(err, E_INVALID, "jwe.key: RSA below 2048 bits");
	}
	if (status == 0)
		*ret_key = wrap(pkey, NULL);
	return status;
}

int jwe_key_read(struct view jwk, struct jwe_key **ret_key, struct err *err)
{
	struct jspan object;
	struct err ignored;
	if (jspan_check(jwk, HEADER_MAX * 2, &object, &ignored) < 0)
		return err_set(err, E_INVALID, "jwe.format: the key is no JSON object");
	if (jspan_is(jspan_get(object, "kty"), "EC"))
		return read_ec(object, ret_key, err);
	if (jspan_is(jspan_get(object, "kty"), "RSA"))
		return read_rsa(object, ret_key, err);
	return err_set(err, E_INVALID, "jwe.key: expected a key of type EC or RSA");
}

int jwe_key_generate(struct jwe_key **ret_key, struct err *err)
{
	EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", curves[0].name);
	if (!pkey)
		return err_set(err, E_INTERNAL, "OpenSSL made no key");
	*ret_key = wrap(pkey, &curves[0]);
	return 0;
}

static int put_coordinate(struct buf *json, const char *name, struct view bytes, struct err *err)
{
	TRY(buf_append_format(json, err, ",\"%s\":\"", name));
	TRY(base64_encode(BASE64_URL, bytes, json, err));
	return buf_append_string(json, "\"", err);
}

/* "crv" and the coordinates of an EC key, behind what the caller began. */
static int put_public(const struct jwe_key *key, struct buf *json, struct err *err)
{
	uint8_t point[POINT_MAX];
	size_t size = 0, half = key->curve->size;
	if (EVP_PKEY_get_octet_string_param(
		    key->pkey, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &size) != 1 ||
		size != 1 + 2 * half || point[0] != 4)
		return err_set(err, E_INTERNAL, "OpenSSL gave no public point");
	TRY(buf_append_format(json, err, "\"crv\":\"%s\",\"kty\":\"EC\"", key->curve->name));
	TRY(put_coordinate(json, "x", view_of(point + 1, half), err));
	return put_coordinate(json, "y", view_of(point + 1 + half, half), err);
}

int jwe_key_public(const struct jwe_key *key, struct buf *jwk, struct err *err)
{
	if (!key->curve)
		return err_set(err, E_UNSUPPORTED, "only EC keys are written");
	TRY(buf_append_string(jwk, "{\"alg\":\"" ALG_ECDH "\",", err));
	TRY(put_public(key, jwk, err));
	return buf_append_string(jwk, "}", err);
}

/* Concat KDF (RFC 7518 4.6.2) with empty party information, for a 256-bit key. */
static void concat_kdf(struct view shared, uint8_t ret_kek[static KEK_SIZE])
{
	static const uint8_t round[] = { 0, 0, 0, 1 }, empty[8], bits[] = { 0, 0, 1, 0 };
	static const uint8_t id_size[] = { 0, 0, 0, sizeof(ALG_ECDH) - 1 };
	const struct view parts[] = { view_of(round, sizeof(round)), shared,
		view_of(id_size, sizeof(id_size)), view_string(ALG_ECDH),
		view_of(empty, sizeof(empty)), view_of(bits, sizeof(bits)) };
	hash_parts(HASH_SHA256, parts, ARRAY_SIZE(parts), ret_kek);
}

static int agree(const struct jwe_key *ours, const struct jwe_key *theirs,
	uint8_t ret_kek[static KEK_SIZE], struct err *err)
{
	auto_ssl(EVP_PKEY_CTX) *context = EVP_PKEY_CTX_new(ours->pkey, NULL);
	uint8_t shared[SHARED_MAX];
	size_t size = sizeof(shared);
	if (!context || EVP_PKEY_derive_init(context) != 1 ||
		EVP_PKEY_derive_set_peer(context, theirs->pkey) != 1 ||
		EVP_PKEY_derive(context, shared, &size) != 1)
		return err_set(err, E_INVALID, "jwe.epk: no agreement with this key");
	concat_kdf(view_of(shared, size), ret_kek);
	mem_wipe(shared, sizeof(shared));
	return 0;
}

/* AES key wrap of RFC 3394 with its default initial value, either way. */
static bool key_wrap(const uint8_t *kek, struct view input, bool is_wrapping, uint8_t *ret_output)
{
	auto_ssl(EVP_CIPHER_CTX) *context = EVP_CIPHER_CTX_new();
	int size = 0, rest = 0;
	if (!context)
		return false;
	EVP_CIPHER_CTX_set_flags(context, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	return EVP_CipherInit_ex(context, EVP_aes_256_wrap(), NULL, kek, NULL, is_wrapping) == 1 &&
	       EVP_CipherUpdate(context, ret_output, &size, input.data, (int)input.size) == 1 &&
	       EVP_CipherFinal_ex(context, ret_output + size, &rest) == 1;
}

static bool set_oaep(EVP_PKEY_CTX *context)
{
	return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1 &&
	       EVP_PKEY_CTX_set_rsa_oaep_md_name(context, "SHA256", NULL) == 1 &&
	       EVP_PKEY_CTX_set_rsa_mgf1_md_name(context, "SHA256", NULL) == 1;
}

/* ---- decrypting ---------------------------------------------------------------------------- */

/* A message taken apart; the header's text is the additional data. */
struct message {
	struct view header_text;
	struct buf header, wrapped, iv, sealed; /* sealed: ciphertext || tag */
	struct jspan fields;
};

static void message_done(struct message *m)
{
	buf_done(&m->header);
	buf_done(&m->wrapped);
	buf_done(&m->iv);
	buf_done(&m->sealed);
}

static int open_message(struct view text, struct message *m, struct err *err)
{
	struct jspan object;
	struct err ignored;
	if (text.size > JWE_SIZE_MAX)
		return err_set(
			err, E_LIMIT, "jwe.format: %zu bytes, limit %d", text.size, JWE_SIZE_MAX);
	if (jspan_check(text, JWE_SIZE_MAX, &object, &ignored) < 0 || jspan_count(object) != 5 ||
		!jspan_string(jspan_get(object, "protected"), &m->header_text))
		return err_set(err, E_INVALID,
			"jwe.format: expected protected, encrypted_key, iv, ciphertext, tag");
	TRY(take_bytes(object, "protected", 0, HEADER_MAX, &m->header, err));
	TRY(take_bytes(object, "encrypted_key", 0, RSA_MAX, &m->wrapped, err));
	TRY(take_bytes(object, "iv", AEAD_NONCE_SIZE, AEAD_NONCE_SIZE, &m->iv, err));
	TRY(take_bytes(object, "ciphertext", 0, JWE_SIZE_MAX, &m->sealed, err));
	size_t before = m->sealed.size;
	TRY(take_bytes(object, "tag", 0, JWE_SIZE_MAX, &m->sealed, err));
	if (m->sealed.size - before != AEAD_TAG_SIZE)
		return err_set(err, E_INTEGRITY, "jwe.tag: a tag has %d bytes, got %zu",
			AEAD_TAG_SIZE, m->sealed.size - before);
	if (jspan_check(buf_view(&m->header), HEADER_MAX, &m->fields, &ignored) < 0)
		return err_set(
			err, E_INVALID, "jwe.format: the protected header is no JSON object");
	return 0;
}

static int unwrap_ecdh(const struct jwe_key *key, const struct message *m,
	uint8_t ret_cek[static CEK_SIZE], struct err *err)
{
	struct jspan epk = jspan_get(m->fields, "epk");
	auto_jwe_key *theirs = NULL;
	uint8_t kek[KEK_SIZE], cek[WRAPPED_SIZE];
	if (!jspan_is(jspan_get(epk, "crv"), key->curve->name) ||
		jspan_get(epk, "d").type != JSPAN_NONE ||
		jwe_key_read(epk.text, &theirs, err) < 0 || theirs->curve != key->curve)
		return err_set(err, E_INVALID, "jwe.epk: not a point of the key's curve");
	TRY(agree(key, theirs, kek, err));
	bool is_good = m->wrapped.size == WRAPPED_SIZE &&
		       key_wrap(kek, buf_view(&m->wrapped), false, cek);
	memcpy(ret_cek, cek, CEK_SIZE);
	mem_wipe(kek, sizeof(kek));
	mem_wipe(cek, sizeof(cek));
	return is_good ? 0 : err_set(err, E_INTEGRITY, "jwe.key: the content key does not unwrap");
}

static int unwrap_rsa(const struct jwe_key *key, const struct message *m,
	uint8_t ret_cek[static CEK_SIZE], struct err *err)
{
	auto_ssl(EVP_PKEY_CTX) *context = EVP_PKEY_CTX_new(key->pkey, NULL);
	uint8_t cek[RSA_MAX];
	size_t size = sizeof(cek);
	bool is_good = context && EVP_PKEY_decrypt_init(context) == 1 && set_oaep(context) &&
		       EVP_PKEY_decrypt(context, cek, &size, m->wrapped.data, m->wrapped.size) ==
			       1 &&
		       size == CEK_SIZE;
	memcpy(ret_cek, cek, CEK_SIZE);
	mem_wipe(cek, sizeof(cek));
	return is_good ? 0 : err_set(err, E_INTEGRITY, "jwe.key: the content key does not decrypt");
}

static int check_header(const struct jwe_key *key, const struct message *m, struct err *err)
{
	static const char *const refused[] = { "crit", "zip", "b64", "apu", "apv" };
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct jspan member = jspan_get(m->fields, refused[i]);
		bool is_empty_party = (i >= 3) && jspan_is(member, "");
		if (member.type != JSPAN_NONE && !is_empty_party)
			return err_set(err, E_INVALID, "jwe.alg: header member %s", refused[i]);
	}
	if (!jspan_is(jspan_get(m->fields, "alg"), key->curve ? ALG_ECDH : ALG_RSA) ||
		!jspan_is(jspan_get(m->fields, "enc"), ENC_GCM))
		return err_set(err, E_INVALID,
			"jwe.alg: expected " ALG_ECDH " or " ALG_RSA
			" as the key is, with " ENC_GCM);
	return 0;
}

int jwe_decrypt(const struct jwe_key *key, struct view text, struct buf *plaintext, struct err *err)
{
	AUTO(message_done) struct message m = {};
	uint8_t cek[CEK_SIZE];
	struct err ignored;
	TRY(open_message(text, &m, err));
	TRY(check_header(key, &m, err));
	TRY(key->curve ? unwrap_ecdh(key, &m, cek, err) : unwrap_rsa(key, &m, cek, err));
	const struct aead_key aead = { view_of(cek, sizeof(cek)), buf_view(&m.iv), m.header_text };
	int status = aead_open(&aead, buf_view(&m.sealed), plaintext, &ignored);
	mem_wipe(cek, sizeof(cek));
	return status == 0 ? 0 : err_set(err, E_INTEGRITY, "jwe.tag: the content does not open");
}

/* ---- encrypting ---------------------------------------------------------------------------- */

static int wrap_ecdh(const struct jwe_key *key, const uint8_t *cek, struct buf *header,
	struct buf *wrapped, struct err *err)
{
	uint8_t kek[KEK_SIZE], output[WRAPPED_SIZE + 8];
	EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", key->curve->name);
	if (!pkey)
		return err_set(err, E_INTERNAL, "OpenSSL made no key");
	auto_jwe_key *ephemeral = wrap(pkey, key->curve);
	TRY(buf_append_string(
		header, "{\"alg\":\"" ALG_ECDH "\",\"enc\":\"" ENC_GCM "\",\"epk\":{", err));
	TRY(put_public(ephemeral, header, err));
	TRY(buf_append_string(header, "}}", err));
	TRY(agree(ephemeral, key, kek, err));
	bool is_good = key_wrap(kek, view_of(cek, CEK_SIZE), true, output);
	mem_wipe(kek, sizeof(kek));
	if (!is_good)
		return err_set(err, E_INTERNAL, "OpenSSL could not wrap a key");
	return buf_append(wrapped, view_of(output, WRAPPED_SIZE), err);
}

static int wrap_rsa(const struct jwe_key *key, const uint8_t *cek, struct buf *header,
	struct buf *wrapped, struct err *err)
{
	auto_ssl(EVP_PKEY_CTX) *context = EVP_PKEY_CTX_new(key->pkey, NULL);
	size_t size = RSA_MAX;
	TRY(buf_append_string(header, "{\"alg\":\"" ALG_RSA "\",\"enc\":\"" ENC_GCM "\"}", err));
	TRY(buf_reserve(wrapped, size, err));
	if (!context || EVP_PKEY_encrypt_init(context) != 1 || !set_oaep(context) ||
		EVP_PKEY_encrypt(context, wrapped->data, &size, cek, CEK_SIZE) != 1)
		return err_set(err, E_INTERNAL, "OpenSSL could not encrypt a key");
	wrapped->size = size;
	return 0;
}

static int put_member(struct buf *json, const char *name, struct view bytes, struct err *err)
{
	TRY(buf_append_format(json, err, "%s\"%s\":\"", json->size ? "," : "{", name));
	TRY(base64_encode(BASE64_URL, bytes, json, err));
	return buf_append_string(json, "\"", err);
}

static int seal(const struct jwe_key *key, const uint8_t *cek, struct view plaintext,
	struct buf *json, struct err *err)
{
	uint8_t iv[AEAD_NONCE_SIZE];
	auto_done(buf) header = {};
	auto_done(buf) header_text = {};
	auto_done(buf) wrapped = {};
	auto_done(buf) sealed = {};
	TRY(key->curve ? wrap_ecdh(key, cek, &header, &wrapped, err)
		       : wrap_rsa(key, cek, &header, &wrapped, err));
	TRY(base64_encode(BASE64_URL, buf_view(&header), &header_text, err));
	rand_bytes(iv, sizeof(iv));
	const struct aead_key aead = { view_of(cek, CEK_SIZE), view_of(iv, sizeof(iv)),
		buf_view(&header_text) };
	TRY(aead_seal(&aead, plaintext, &sealed, err));
	TRY(put_member(json, "protected", buf_view(&header), err));
	TRY(put_member(json, "encrypted_key", buf_view(&wrapped), err));
	TRY(put_member(json, "iv", view_of(iv, sizeof(iv)), err));
	TRY(put_member(json, "ciphertext", view_of(sealed.data, plaintext.size), err));
	TRY(put_member(json, "tag", view_of(sealed.data + plaintext.size, AEAD_TAG_SIZE), err));
	return buf_append_string(json, "}", err);
}

int jwe_encrypt(const struct jwe_key *key, struct view plaintext, struct buf *text, struct err *err)
{
	uint8_t cek[CEK_SIZE];
	auto_done(buf) json = {};
	rand_bytes(cek, sizeof(cek));
	int status = seal(key, cek, plaintext, &json, err);
	mem_wipe(cek, sizeof(cek));
	TRY(status);
	return buf_append(text, buf_view(&json), err);
}
