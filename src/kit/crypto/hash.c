/*
 * See hash.h. A digest over memory cannot fail but for exhaustion, so failures of the library are
 * programming faults and end the process.
 */
#include "kit/crypto/hash.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "kit/base/mem.h"

struct hash_stream {
	EVP_MD_CTX *context;
};

static const struct {
	const EVP_MD *(*digest)(void);
	size_t size;
} hashes[HASH_KIND_COUNT] = {
	[HASH_SHA256] = { EVP_sha256, 32 },
	[HASH_SHA384] = { EVP_sha384, 48 },
	[HASH_SHA512] = { EVP_sha512, 64 },
	[HASH_SHA3_256] = { EVP_sha3_256, 32 },
	[HASH_SHA1] = { EVP_sha1, 20 },
};

size_t hash_size(enum hash_kind kind)
{
	return hashes[kind].size;
}

static void must(int success)
{
	assert(success == 1);
	(void)success;
}

void hash_parts(enum hash_kind kind, const struct view *parts, size_t count, uint8_t *ret_digest)
{
	struct hash_stream *stream = hash_stream_new(kind);
	for (size_t i = 0; i < count; i++)
		hash_stream_update(stream, parts[i]);
	hash_stream_final(stream, ret_digest);
	hash_stream_free(stream);
}

void hash_hmac_sha256(struct view key, struct view bytes, uint8_t ret_mac[static SHA256_SIZE])
{
	unsigned size = SHA256_SIZE;
	assert(key.size <= INT32_MAX);
	unsigned char *mac = HMAC(
		EVP_sha256(), key.data, (int)key.size, bytes.data, bytes.size, ret_mac, &size);
	assert(mac != NULL);
	(void)mac;
}

struct hash_stream *hash_stream_new(enum hash_kind kind)
{
	struct hash_stream *stream = mem_alloc(1, sizeof(*stream));
	stream->context = EVP_MD_CTX_new();
	must(stream->context != NULL);
	must(EVP_DigestInit_ex(stream->context, hashes[kind].digest(), NULL));
	return stream;
}

void hash_stream_update(struct hash_stream *stream, struct view bytes)
{
	must(EVP_DigestUpdate(stream->context, bytes.data, bytes.size));
}

void hash_stream_final(struct hash_stream *stream, uint8_t *ret_digest)
{
	must(EVP_DigestFinal_ex(stream->context, ret_digest, NULL));
}

void hash_stream_free(struct hash_stream *stream)
{
	if (!stream)
		return;
	EVP_MD_CTX_free(stream->context);
	mem_free(stream);
}

bool crypto_equal(struct view a, struct view b)
{
	return a.size == b.size && CRYPTO_memcmp(a.data, b.data, a.size) == 0;
}
