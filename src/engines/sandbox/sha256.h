/*
 * SHA-256 (FIPS 180-4) for digests of arguments and of files. The supervisor is a small static
 * program without OpenSSL; this is not for secrets.
 */
#ifndef ENGINES_SANDBOX_SHA256_H
#define ENGINES_SANDBOX_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sha256 {
	uint32_t state[8];
	uint64_t size;
	uint8_t block[64];
	bool has_asked; /* whether this processor has instructions for it */
	bool is_fast;
};

void sha256_init(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *bytes, size_t size);
void sha256_end(struct sha256 *hash, uint8_t ret_digest[static 32]);

#endif
