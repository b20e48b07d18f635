/*
 * Hashes and MACs (FIPS 180-4, FIPS 202, RFC 2104), one-shot and streaming, on OpenSSL.
 */
#ifndef KIT_CRYPTO_HASH_H
#define KIT_CRYPTO_HASH_H

#include "kit/base/buf.h"

enum hash_kind {
	HASH_SHA256,
	HASH_SHA384,
	HASH_SHA512,
	HASH_SHA3_256,
	HASH_SHA1, /* to replay old event logs; never for a decision */
	HASH_KIND_COUNT,
};

#define HASH_SIZE_MAX 64
#define SHA256_SIZE 32
#define SHA384_SIZE 48
#define SHA512_SIZE 64

size_t hash_size(enum hash_kind kind);

/* Digest of the parts one after the other; ret_digest holds hash_size(kind) bytes. */
void hash_parts(enum hash_kind kind, const struct view *parts, size_t count, uint8_t *ret_digest);

static inline void hash_bytes(enum hash_kind kind, struct view bytes, uint8_t *ret_digest)
{
	hash_parts(kind, &bytes, 1, ret_digest);
}

/* HMAC-SHA-256. */
void hash_hmac_sha256(struct view key, struct view bytes, uint8_t ret_mac[static SHA256_SIZE]);

struct hash_stream; /* owns an OpenSSL context */

struct hash_stream *hash_stream_new(enum hash_kind kind);
void hash_stream_update(struct hash_stream *stream, struct view bytes);
void hash_stream_final(struct hash_stream *stream, uint8_t *ret_digest); /* once */
void hash_stream_free(struct hash_stream *stream);
static inline void hash_stream_free_pointer(struct hash_stream **stream)
{
	hash_stream_free(*stream);
}
#define auto_hash AUTO(hash_stream_free_pointer) struct hash_stream

/* Constant-time comparison of equally long secrets; false for different lengths. */
bool crypto_equal(struct view a, struct view b);

#endif
