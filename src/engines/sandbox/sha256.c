/*
 * See sha256.h. Names as in FIPS 180-4, section 6.2; those of the processor's instructions as in
 * Intel's "SHA extensions" (2013). They are eight times as fast: a program that executes itself
 * with megabytes of arguments must not cost its supervisor more than itself.
 */
#include "engines/sandbox/sha256.h"

#include <cpuid.h>
#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

#include "kit/base/attr.h"

enum { BLOCK_BYTES = 64, ASK_BYTES_MIN = 4096 };

/* clang-format off */
static const uint32_t k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};
/* clang-format on */

static uint32_t rotate(uint32_t x, int n)
{
	return x >> n | x << (32 - n);
}

static void compress(uint32_t state[static 8], const uint8_t block[static 64])
{
	uint32_t w[64];
	for (size_t i = 0; i < 16; i++)
		w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
		       (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
	for (size_t i = 16; i < 64; i++) {
		uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
		uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
		w[i] = w[i - 16] + s0 + w[i - 7] + s1;
	}
	uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
	uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
	for (size_t i = 0; i < 64; i++) {
		uint32_t sum1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
		uint32_t t1 = h + sum1 + ((e & f) ^ (~e & g)) + k[i] + w[i];
		uint32_t sum0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
		uint32_t t2 = sum0 + ((a & b) ^ (a & c) ^ (b & c));
		h = g;
		g = f;
		f = e;
		e = d + t1;
		d = c;
		c = b;
		b = a;
		a = t1 + t2;
	}
	const uint32_t sums[] = { a, b, c, d, e, f, g, h };
	for (size_t i = 0; i < 8; i++)
		state[i] += sums[i];
}

static inline __m128i load(const void *bytes)
{
	__m128i value;
	memcpy(&value, bytes, sizeof(value));
	return value;
}

static inline void store(void *bytes, __m128i value)
{
	memcpy(bytes, &value, sizeof(value));
}

/* As compress(), of many blocks. The four words of w are the last sixteen of the schedule. */
__attribute__((target("sha,sse4.1"))) static void compress_fast(
	uint32_t state[static 8], const uint8_t *blocks, size_t count)
{
	const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
	__m128i cdab = _mm_shuffle_epi32(load(state), 0xb1);
	__m128i efgh = _mm_shuffle_epi32(load(state + 4), 0x1b);
	__m128i abef = _mm_alignr_epi8(cdab, efgh, 8);
	__m128i cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
	for (; count; count--, blocks += BLOCK_BYTES) {
		const __m128i abef_before = abef, cdgh_before = cdgh;
		__m128i w[4];
#pragma GCC unroll 16
		for (size_t i = 0; i < 16; i++) {
			__m128i *now = &w[i % 4], *last = &w[(i + 3) % 4];
			if (i < 4) {
				*now = load(blocks + 16 * i);
				*now = _mm_shuffle_epi8(*now, big_endian);
			} else {
				*now = _mm_sha256msg1_epu32(*now, w[(i + 1) % 4]);
				*now = _mm_add_epi32(
					*now, _mm_alignr_epi8(*last, w[(i + 2) % 4], 4));
				*now = _mm_sha256msg2_epu32(*now, *last);
			}
			__m128i sum = _mm_add_epi32(*now, load(k + 4 * i));
			cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
			abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
		}
		abef = _mm_add_epi32(abef, abef_before);
		cdgh = _mm_add_epi32(cdgh, cdgh_before);
	}
	__m128i feba = _mm_shuffle_epi32(abef, 0x1b);
	__m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
	store(state, _mm_blend_epi16(feba, dchg, 0xf0));
	store(state + 4, _mm_alignr_epi8(dchg, feba, 8));
}

/* Of CPUID. To ask leaves a virtual machine for some microseconds: only who has much to do asks. */
static bool has_instructions(void)
{
	unsigned a, b = 0, c = 0, d;
	bool has_sse41 = __get_cpuid(1, &a, &b, &c, &d) && c & bit_SSE4_1 && c & bit_SSSE3;
	return has_sse41 && __get_cpuid_count(7, 0, &a, &b, &c, &d) && b & bit_SHA;
}

static void compress_many(struct sha256 *hash, const uint8_t *blocks, size_t count)
{
	if (!hash->has_asked && count >= ASK_BYTES_MIN / BLOCK_BYTES) {
		hash->has_asked = true;
		hash->is_fast = has_instructions();
	}
	if (hash->is_fast)
		compress_fast(hash->state, blocks, count);
	else
		for (; count; count--, blocks += BLOCK_BYTES)
			compress(hash->state, blocks);
}

void sha256_init(struct sha256 *hash)
{
	*hash = (struct sha256){ .state = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
					 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 } };
}

void sha256_add(struct sha256 *hash, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;
	while (size) {
		size_t used = hash->size % BLOCK_BYTES;
		size_t part = MIN(size, BLOCK_BYTES - used);
		if (part == BLOCK_BYTES) {
			part = size - size % BLOCK_BYTES;
			compress_many(hash, at, part / BLOCK_BYTES);
		} else {
			memcpy(hash->block + used, at, part);
			if (used + part == BLOCK_BYTES)
				compress_many(hash, hash->block, 1);
		}
		hash->size += part;
		at += part;
		size -= part;
	}
}

void sha256_end(struct sha256 *hash, uint8_t ret_digest[static 32])
{
	uint64_t bits = hash->size * 8;
	uint8_t length[8];
	for (size_t i = 0; i < 8; i++)
		length[i] = (uint8_t)(bits >> (56 - 8 * i));
	sha256_add(hash, "\x80", 1);
	while (hash->size % 64 != 56)
		sha256_add(hash, "", 1);
	sha256_add(hash, length, sizeof(length));
	for (size_t i = 0; i < 32; i++)
		ret_digest[i] = (uint8_t)(hash->state[i / 4] >> (24 - 8 * (i % 4)));
}
