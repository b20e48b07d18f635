/* See collect_hash.h: the supervisor's. */
#include "engines/sandbox/collect_hash.h"
#include "engines/sandbox/sha256.h"
#include "kit/base/mem.h"

struct collect_hash {
	struct sha256 state;
};

struct collect_hash *collect_hash_new(void)
{
	struct collect_hash *hash = mem_alloc(1, sizeof(*hash));
	sha256_init(&hash->state);
	return hash;
}

void collect_hash_add(struct collect_hash *hash, struct view bytes)
{
	sha256_add(&hash->state, bytes.data, bytes.size);
}

void collect_hash_end(struct collect_hash *hash, uint8_t ret_digest[static COLLECT_DIGEST_SIZE])
{
	sha256_end(&hash->state, ret_digest);
}

void collect_hash_done(struct collect_hash **hash)
{
	mem_free(*hash);
}
