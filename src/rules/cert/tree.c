/* See tree.h. */
#include "rules/cert/tree.h"

#include <assert.h>

static void node_hash(const uint8_t *left, const uint8_t *right, uint8_t *ret_hash)
{
	struct view parts[] = { view_of("\1", 1), view_of(left, SHA256_SIZE),
		view_of(right, SHA256_SIZE) };
	hash_parts(HASH_SHA256, parts, 3, ret_hash);
}

void tree_leaf_hash(struct view content, uint8_t ret_hash[static SHA256_SIZE])
{
	struct view parts[] = { view_of("\0", 1), content };
	hash_parts(HASH_SHA256, parts, 2, ret_hash);
}

void tree_append(struct tree *tree, const uint8_t leaf_hash[static SHA256_SIZE])
{
	uint8_t hash[SHA256_SIZE];
	size_t level = 0;
	memcpy(hash, leaf_hash, sizeof(hash));
	for (; tree->size >> level & 1; level++)
		node_hash(tree->peaks[level], hash, hash);
	assert(level < TREE_DEPTH_MAX);
	memcpy(tree->peaks[level], hash, sizeof(hash));
	tree->size++;
}

void tree_root(const struct tree *tree, uint8_t ret_root[static SHA256_SIZE])
{
	bool started = false;
	if (tree->size == 0) {
		hash_bytes(HASH_SHA256, (struct view){}, ret_root);
		return;
	}
	for (size_t level = 0; level < TREE_DEPTH_MAX; level++) {
		if (!(tree->size >> level & 1))
			continue;
		if (started)
			node_hash(tree->peaks[level], ret_root, ret_root);
		else
			memcpy(ret_root, tree->peaks[level], SHA256_SIZE);
		started = true;
	}
}

static void range_root(const uint8_t (*leaf_hashes)[SHA256_SIZE], uint64_t size,
	uint8_t ret_root[static SHA256_SIZE])
{
	struct tree tree = {};
	for (uint64_t i = 0; i < size; i++)
		tree_append(&tree, leaf_hashes[i]);
	tree_root(&tree, ret_root);
}

/* Largest power of two below size (size >= 2). */
static uint64_t split_of(uint64_t size)
{
	uint64_t split = 1;
	while (split * 2 < size)
		split *= 2;
	return split;
}

int tree_prove_inclusion(const uint8_t (*leaf_hashes)[SHA256_SIZE], uint64_t size, uint64_t index,
	struct buf *ret_proof, struct err *err)
{
	uint8_t siblings[TREE_DEPTH_MAX][SHA256_SIZE];
	size_t depth = 0;
	if (index >= size)
		return err_set(err, E_INVALID, "leaf %llu of a tree of %llu",
			(unsigned long long)index, (unsigned long long)size);
	while (size > 1) {
		uint64_t split = split_of(size);
		bool is_left = index < split;
		range_root(is_left ? leaf_hashes + split : leaf_hashes,
			is_left ? size - split : split, siblings[depth++]);
		leaf_hashes += is_left ? 0 : split;
		index -= is_left ? 0 : split;
		size = is_left ? split : size - split;
	}
	while (depth > 0)
		TRY(buf_append(ret_proof, view_of(siblings[--depth], SHA256_SIZE), err));
	return 0;
}

bool tree_verify_inclusion(const uint8_t leaf_hash[static SHA256_SIZE], uint64_t index,
	uint64_t size, struct view proof, const uint8_t root[static SHA256_SIZE])
{
	uint8_t hash[SHA256_SIZE];
	uint64_t first = index, last = size - 1;
	if (index >= size || proof.size % SHA256_SIZE)
		return false;
	memcpy(hash, leaf_hash, sizeof(hash));
	for (size_t at = 0; at < proof.size; at += SHA256_SIZE) {
		if (last == 0)
			return false;
		bool is_right = (first & 1) || first == last;
		if (is_right)
			node_hash(proof.data + at, hash, hash);
		else
			node_hash(hash, proof.data + at, hash);
		while (is_right && !(first & 1) && first) {
			first >>= 1;
			last >>= 1;
		}
		first >>= 1;
		last >>= 1;
	}
	return last == 0 && view_equal(view_of(hash, sizeof(hash)), view_of(root, SHA256_SIZE));
}
