/*
 * Merkle trees of RFC 6962 section 2.1 (SHA-256; leaf prefix 0x00, node prefix 0x01). The compact
 * range keeps only the hashes of the full subtrees, so appending needs 2 KiB whatever the size.
 */
#ifndef RULES_CERT_TREE_H
#define RULES_CERT_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "kit/base/buf.h"
#include "kit/crypto/hash.h"

#define TREE_DEPTH_MAX 48

struct tree {
	uint8_t peaks[TREE_DEPTH_MAX][SHA256_SIZE]; /* peaks[i]: full subtree of 2^i leaves */
	uint64_t size;
};

/* MTH of one leaf: SHA-256(0x00 || content). */
void tree_leaf_hash(struct view content, uint8_t ret_hash[static SHA256_SIZE]);

/* Append a leaf hash. Sizes stay far below 2^48. */
void tree_append(struct tree *tree, const uint8_t leaf_hash[static SHA256_SIZE]);

/* Root of what was appended; SHA-256 of nothing for the empty tree. */
void tree_root(const struct tree *tree, uint8_t ret_root[static SHA256_SIZE]);

/*
 * Inclusion proof (RFC 6962 section 2.1.1) of leaf index in the tree over size leaf hashes,
 * appended to ret_proof from the leaf upwards. E_INVALID when index is not below size.
 */
int tree_prove_inclusion(const uint8_t (*leaf_hashes)[SHA256_SIZE], uint64_t size, uint64_t index,
	struct buf *ret_proof, struct err *err) MUST_CHECK;

/* Whether proof leads from the leaf hash to root (RFC 9162 section 2.1.3.2). */
bool tree_verify_inclusion(const uint8_t leaf_hash[static SHA256_SIZE], uint64_t index,
	uint64_t size, struct view proof, const uint8_t root[static SHA256_SIZE]);

#endif
