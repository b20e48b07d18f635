/*
 * ECDSA verification on P-384 (FIPS 186-4 6.4) with nettle, internal to this folder: twice as fast
 * as OpenSSL 3.0, which has no code of its own for that curve (docs/decisions/0009-p384.md).
 */
#ifndef KIT_CRYPTO_P384_H
#define KIT_CRYPTO_P384_H

#include "kit/base/buf.h"

#define P384_BYTES 48

/*
 * Check signature, the strict DER of r and s, over digest (leftmost 48 bytes count) under the key
 * X || Y (96 bytes, big-endian). E_INTEGRITY when it does not hold, when a number is out of range
 * or when the point is not on the curve. Runs in time that depends on its input: all is public.
 */
int p384_verify(
	struct view point, struct view digest, struct view signature, struct err *err) MUST_CHECK;

#endif
