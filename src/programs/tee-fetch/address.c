/*
 * The special-purpose address registries of IANA as tables: the first match decides. IPv6 is the
 * other way round: only 2000::/3 is global unicast, minus what is carved out of it.
 */
#include "programs/tee-fetch/address.h"

#include "kit/base/attr.h"

#define BYTES_MAX 16

struct block {
	uint8_t prefix[BYTES_MAX];
	unsigned bits;
	enum address_kind kind;
};

static const struct block blocks_v4[] = {
	{ { 127 }, 8, ADDRESS_LOOPBACK },
	{ { 10 }, 8, ADDRESS_PRIVATE },
	{ { 172, 16 }, 12, ADDRESS_PRIVATE },
	{ { 192, 168 }, 16, ADDRESS_PRIVATE },
	{ { 100, 64 }, 10, ADDRESS_PRIVATE },
	{ { 0 }, 8, ADDRESS_SPECIAL },            /* this network */
	{ { 169, 254 }, 16, ADDRESS_SPECIAL },    /* link-local; metadata services */
	{ { 192, 0, 0 }, 24, ADDRESS_SPECIAL },   /* protocol assignments */
	{ { 192, 0, 2 }, 24, ADDRESS_SPECIAL },   /* documentation */
	{ { 192, 88, 99 }, 24, ADDRESS_SPECIAL }, /* 6to4 relays */
	{ { 198, 18 }, 15, ADDRESS_SPECIAL },     /* benchmarking */
	{ { 198, 51, 100 }, 24, ADDRESS_SPECIAL },
	{ { 203, 0, 113 }, 24, ADDRESS_SPECIAL },
	{ { 224 }, 4, ADDRESS_SPECIAL }, /* multicast */
	{ { 240 }, 4, ADDRESS_SPECIAL }, /* reserved, broadcast */
	{ { 0 }, 0, ADDRESS_PUBLIC },
};

static const struct block blocks_v6[] = {
	{ { [15] = 1 }, 128, ADDRESS_LOOPBACK }, { { 0xfc }, 7, ADDRESS_PRIVATE },
	{ { 0x20, 0x01, 0x0d, 0xb8 }, 32, ADDRESS_SPECIAL }, /* documentation */
	{ { 0x20, 0x01, 0x00 }, 23, ADDRESS_SPECIAL },       /* Teredo, ORCHID, benchmarking */
	{ { 0x20, 0x02 }, 16, ADDRESS_SPECIAL },             /* 6to4 */
	{ { 0x3f, 0xff, 0x00 }, 20, ADDRESS_SPECIAL },       /* documentation */
	{ { 0x20 }, 3, ADDRESS_PUBLIC },
	{ { 0 }, 0, ADDRESS_SPECIAL }, /* unspecified, mapped, NAT64, link-local, multicast */
};

static bool block_has(const struct block *block, const uint8_t *bytes)
{
	for (unsigned bit = 0; bit < block->bits; bit++) {
		unsigned mask = 0x80U >> (bit % 8);
		if ((block->prefix[bit / 8] & mask) != (bytes[bit / 8] & mask))
			return false;
	}
	return true;
}

enum address_kind address_classify(const uint8_t *bytes, size_t size)
{
	const struct block *block = size == 4 ? blocks_v4 : blocks_v6;
	if (size != 4 && size != BYTES_MAX)
		return ADDRESS_SPECIAL;
	while (!block_has(block, bytes)) /* the last block has every address */
		block++;
	return block->kind;
}

const char *address_kind_name(enum address_kind kind)
{
	static const char *const names[] = {
		[ADDRESS_PUBLIC] = "public",
		[ADDRESS_LOOPBACK] = "loopback",
		[ADDRESS_PRIVATE] = "private",
		[ADDRESS_SPECIAL] = "special",
	};
	return names[(size_t)kind < ARRAY_SIZE(names) ? kind : ADDRESS_SPECIAL];
}

bool address_is_allowed(enum address_kind kind, bool is_clear, const struct address_policy *policy)
{
	if (kind == ADDRESS_LOOPBACK)
		return policy->allow_loopback;
	if (is_clear)
		return false;
	return kind == ADDRESS_PUBLIC || (kind == ADDRESS_PRIVATE && policy->allow_private);
}
