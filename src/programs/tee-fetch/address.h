/*
 * Which network addresses a fetch may connect to. Pure: a decision over the bytes of an address,
 * asked at the moment of connecting, so that no name that resolves differently a second time gets
 * around it.
 */
#ifndef PROGRAMS_TEE_FETCH_ADDRESS_H
#define PROGRAMS_TEE_FETCH_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum address_kind {
	ADDRESS_PUBLIC,
	ADDRESS_LOOPBACK, /* 127/8, ::1 */
	ADDRESS_PRIVATE,  /* RFC 1918, CGNAT, ULA */
	ADDRESS_SPECIAL,  /* everything else that is not globally reachable unicast, and addresses
			     that carry another address inside (mapped, NAT64, 6to4, Teredo) */
};

/* bytes in network order; size 4 or 16 (any other size is special). IANA special registries. */
enum address_kind address_classify(const uint8_t *bytes, size_t size);

/* "public", "loopback", "private", "special". */
const char *address_kind_name(enum address_kind kind);

struct address_policy {
	bool allow_loopback, allow_private;
};

/* is_clear: http instead of https, which goes to loopback only. */
bool address_is_allowed(enum address_kind kind, bool is_clear, const struct address_policy *policy);

#endif
