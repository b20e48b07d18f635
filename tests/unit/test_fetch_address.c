/* programs/tee-fetch/address: both ends of each block, and what lies beside them. */
#include "unit.h"

#include <arpa/inet.h>
#include <string.h>

#include "programs/tee-fetch/address.h"

static enum address_kind kind_of(const char *text)
{
	uint8_t bytes[16] = {};
	bool is_v6 = strchr(text, ':') != NULL;
	ck_assert_int_eq(inet_pton(is_v6 ? AF_INET6 : AF_INET, text, bytes), 1);
	return address_classify(bytes, is_v6 ? 16 : 4);
}

START_TEST(blocks_have_both_ends)
{
	static const struct {
		const char *address;
		enum address_kind kind;
	} rows[] = {
		{ "0.0.0.0", ADDRESS_SPECIAL },
		{ "0.255.255.255", ADDRESS_SPECIAL },
		{ "1.0.0.0", ADDRESS_PUBLIC },
		{ "9.255.255.255", ADDRESS_PUBLIC },
		{ "10.0.0.0", ADDRESS_PRIVATE },
		{ "10.255.255.255", ADDRESS_PRIVATE },
		{ "11.0.0.0", ADDRESS_PUBLIC },
		{ "100.63.255.255", ADDRESS_PUBLIC },
		{ "100.64.0.0", ADDRESS_PRIVATE },
		{ "100.127.255.255", ADDRESS_PRIVATE },
		{ "100.128.0.0", ADDRESS_PUBLIC },
		{ "126.255.255.255", ADDRESS_PUBLIC },
		{ "127.0.0.0", ADDRESS_LOOPBACK },
		{ "127.255.255.255", ADDRESS_LOOPBACK },
		{ "128.0.0.0", ADDRESS_PUBLIC },
		{ "169.253.255.255", ADDRESS_PUBLIC },
		{ "169.254.0.0", ADDRESS_SPECIAL },
		{ "169.254.169.254", ADDRESS_SPECIAL },
		{ "169.254.255.255", ADDRESS_SPECIAL },
		{ "169.255.0.0", ADDRESS_PUBLIC },
		{ "172.15.255.255", ADDRESS_PUBLIC },
		{ "172.16.0.0", ADDRESS_PRIVATE },
		{ "172.31.255.255", ADDRESS_PRIVATE },
		{ "172.32.0.0", ADDRESS_PUBLIC },
		{ "192.0.0.8", ADDRESS_SPECIAL },
		{ "192.0.1.0", ADDRESS_PUBLIC },
		{ "192.0.2.1", ADDRESS_SPECIAL },
		{ "192.88.99.1", ADDRESS_SPECIAL },
		{ "192.167.255.255", ADDRESS_PUBLIC },
		{ "192.168.0.0", ADDRESS_PRIVATE },
		{ "192.168.255.255", ADDRESS_PRIVATE },
		{ "192.169.0.0", ADDRESS_PUBLIC },
		{ "198.17.255.255", ADDRESS_PUBLIC },
		{ "198.18.0.0", ADDRESS_SPECIAL },
		{ "198.19.255.255", ADDRESS_SPECIAL },
		{ "198.20.0.0", ADDRESS_PUBLIC },
		{ "198.51.100.1", ADDRESS_SPECIAL },
		{ "203.0.113.1", ADDRESS_SPECIAL },
		{ "223.255.255.255", ADDRESS_PUBLIC },
		{ "224.0.0.0", ADDRESS_SPECIAL },
		{ "239.255.255.255", ADDRESS_SPECIAL },
		{ "240.0.0.0", ADDRESS_SPECIAL },
		{ "255.255.255.255", ADDRESS_SPECIAL },
		{ "::", ADDRESS_SPECIAL },
		{ "::1", ADDRESS_LOOPBACK },
		{ "::2", ADDRESS_SPECIAL },
		{ "::ffff:127.0.0.1", ADDRESS_SPECIAL },
		{ "::ffff:1.1.1.1", ADDRESS_SPECIAL },
		{ "::127.0.0.1", ADDRESS_SPECIAL },
		{ "64:ff9b::a00:1", ADDRESS_SPECIAL },
		{ "100::1", ADDRESS_SPECIAL },
		{ "2000::1", ADDRESS_PUBLIC },
		{ "2001::1", ADDRESS_SPECIAL },
		{ "2001:1ff:ffff::1", ADDRESS_SPECIAL },
		{ "2001:200::1", ADDRESS_PUBLIC },
		{ "2001:db8::1", ADDRESS_SPECIAL },
		{ "2001:db9::1", ADDRESS_PUBLIC },
		{ "2002:7f00:1::", ADDRESS_SPECIAL },
		{ "2003::1", ADDRESS_PUBLIC },
		{ "2a00:1450::1", ADDRESS_PUBLIC },
		{ "3fff::1", ADDRESS_SPECIAL },
		{ "3fff:1000::1", ADDRESS_PUBLIC },
		{ "4000::1", ADDRESS_SPECIAL },
		{ "fbff::1", ADDRESS_SPECIAL },
		{ "fc00::1", ADDRESS_PRIVATE },
		{ "fdff::1", ADDRESS_PRIVATE },
		{ "fe80::1", ADDRESS_SPECIAL },
		{ "fec0::1", ADDRESS_SPECIAL },
		{ "ff02::1", ADDRESS_SPECIAL },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		ck_assert_msg(kind_of(rows[i].address) == rows[i].kind, "%s is %s", rows[i].address,
			address_kind_name(kind_of(rows[i].address)));
	ck_assert_int_eq(address_classify((const uint8_t *)"12345", 5), ADDRESS_SPECIAL);
}
END_TEST

START_TEST(policies_open_what_they_name)
{
	static const struct {
		enum address_kind kind;
		bool is_clear, allow_loopback, allow_private, expected;
	} rows[] = {
		{ ADDRESS_PUBLIC, false, false, false, true },
		{ ADDRESS_PUBLIC, true, true, true, false },
		{ ADDRESS_LOOPBACK, false, false, true, false },
		{ ADDRESS_LOOPBACK, true, false, true, false },
		{ ADDRESS_LOOPBACK, false, true, false, true },
		{ ADDRESS_LOOPBACK, true, true, false, true },
		{ ADDRESS_PRIVATE, false, true, false, false },
		{ ADDRESS_PRIVATE, false, false, true, true },
		{ ADDRESS_PRIVATE, true, true, true, false },
		{ ADDRESS_SPECIAL, false, true, true, false },
		{ ADDRESS_SPECIAL, true, true, true, false },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct address_policy policy = { rows[i].allow_loopback, rows[i].allow_private };
		ck_assert_msg(address_is_allowed(rows[i].kind, rows[i].is_clear, &policy) ==
				      rows[i].expected,
			"row %zu", i);
	}
}
END_TEST

UNIT_MAIN("fetch_address", blocks_have_both_ends, policies_open_what_they_name)
