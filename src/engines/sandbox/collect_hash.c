/* See collect_hash.h: the caller's, by OpenSSL. */
#include "engines/sandbox/collect_hash.h"

#include "kit/base/mem.h"
#include "kit/crypto/hash.h"

struct collect_hash {
	struct hash_stream *stream;
};

struct collect_hash *collect_hash_new(void)
{
	struct collect_hash *hash = mem_alloc(1, sizeof(*hash));
	hash->stream = hash_stream_new(HASH_SHA256);
	return hash;
}

void collect_hash_add(struct collect_hash *hash, struct view bytes)
{
	hash_stream_update(hash->stream, bytes);
}

void collect_hash_end(struct collect_hash *hash, uint8_t ret_digest[static COLLECT_DIGEST_SIZE])
{
	hash_stream_final(hash->stream, ret_digest);
}

void collect_hash_done(struct collect_hash **hash)
{
	if (*hash)
		hash_stream_free((*hash)->stream);
	mem_free(*hash);
}
