/*
 * SHA-256 for collect.c: OpenSSL's in the caller's library, the small one in the supervisor, which
 * is static and stays free of OpenSSL. Which one it is is decided by the linker.
 */
#ifndef ENGINES_SANDBOX_COLLECT_HASH_H
#define ENGINES_SANDBOX_COLLECT_HASH_H

#include "engines/sandbox/collect.h"

struct collect_hash;

struct collect_hash *collect_hash_new(void);
void collect_hash_add(struct collect_hash *hash, struct view bytes);
void collect_hash_end(struct collect_hash *hash, uint8_t ret_digest[static COLLECT_DIGEST_SIZE]);
void collect_hash_done(struct collect_hash **hash); /* accepts a pointer to NULL */

#endif
