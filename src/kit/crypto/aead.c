/* See aead.h. */
#include "kit/crypto/aead.h"

#include <openssl/evp.h>

#include "kit/base/mem.h"

enum { KEY_128 = 16, KEY_256 = 32 };

static void context_done(EVP_CIPHER_CTX **context)
{
	EVP_CIPHER_CTX_free(*context);
}
#define auto_context AUTO(context_done) EVP_CIPHER_CTX

static int check(const struct aead_key *key, size_t size, struct err *err)
{
	if ((key->key.size != KEY_128 && key->key.size != KEY_256) ||
		key->nonce.size != AEAD_NONCE_SIZE || size > INT32_MAX ||
		key->additional.size > INT32_MAX)
		return err_set(err, E_INVALID,
			"AES-GCM: key of %zu, nonce of %zu, text of %zu bytes", key->key.size,
			key->nonce.size, size);
	return 0;
}

static int start(
	EVP_CIPHER_CTX *context, const struct aead_key *key, int is_sealing, struct err *err)
{
	const EVP_CIPHER *cipher = key->key.size == KEY_256 ? EVP_aes_256_gcm() : EVP_aes_128_gcm();
	int size;
	if (!context ||
		EVP_CipherInit_ex(
			context, cipher, NULL, key->key.data, key->nonce.data, is_sealing) != 1 ||
		(key->additional.size > 0 &&
			EVP_CipherUpdate(context, NULL, &size, key->additional.data,
				(int)key->additional.size) != 1))
		return err_set(err, E_INTERNAL, "OpenSSL could not start AES-GCM");
	return 0;
}

int aead_seal(const struct aead_key *key, struct view plaintext, struct buf *buf, struct err *err)
{
	auto_context *context = EVP_CIPHER_CTX_new();
	int size = 0, rest = 0;
	TRY(check(key, plaintext.size, err));
	TRY(buf_reserve(buf, plaintext.size + AEAD_TAG_SIZE, err));
	TRY(start(context, key, 1, err));
	uint8_t *to = buf->data + buf->size;
	if ((plaintext.size > 0 && EVP_CipherUpdate(context, to, &size, plaintext.data,
					   (int)plaintext.size) != 1) ||
		EVP_CipherFinal_ex(context, to + size, &rest) != 1 ||
		EVP_CIPHER_CTX_ctrl(
			context, EVP_CTRL_GCM_GET_TAG, AEAD_TAG_SIZE, to + plaintext.size) != 1)
		return err_set(err, E_INTERNAL, "OpenSSL could not seal");
	buf->size += plaintext.size + AEAD_TAG_SIZE;
	return 0;
}

int aead_open(const struct aead_key *key, struct view sealed, struct buf *buf, struct err *err)
{
	auto_context *context = EVP_CIPHER_CTX_new();
	uint8_t tag[AEAD_TAG_SIZE];
	int size = 0, rest = 0;
	TRY(check(key, sealed.size, err));
	if (sealed.size < AEAD_TAG_SIZE)
		return err_set(
			err, E_INTEGRITY, "sealed text of %zu bytes lacks its tag", sealed.size);
	size_t text_size = sealed.size - AEAD_TAG_SIZE;
	memcpy(tag, sealed.data + text_size, sizeof(tag));
	TRY(buf_reserve(buf, text_size, err));
	TRY(start(context, key, 0, err));
	uint8_t *to = buf->data + buf->size;
	bool is_good = (text_size == 0 || EVP_CipherUpdate(context, to, &size, sealed.data,
						  (int)text_size) == 1) &&
		       EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, sizeof(tag), tag) == 1 &&
		       EVP_CipherFinal_ex(context, to + size, &rest) == 1;
	if (!is_good) {
		mem_wipe(to, text_size);
		return err_set(err, E_INTEGRITY, "the authentication tag does not hold");
	}
	buf->size += text_size;
	return 0;
}
