/*
 * A cursor over DER (X.690): definite lengths in their shortest form, low tag numbers, no copies.
 *
 * Everything is read through a struct reader whose first failure sticks, and every function says
 * in *err what was expected at which offset. A caller reads the elements it knows in their order
 * and then asks der_end(), so nothing unread can hide behind them. Certificates, CRLs, keys and
 * the extensions of Intel and AMD are read with it; nothing here recurses or allocates.
 */
#ifndef KIT_CODEC_DER_H
#define KIT_CODEC_DER_H

#include "kit/base/buf.h"

enum der_tag {
	DER_BOOLEAN = 0x01,
	DER_INTEGER = 0x02,
	DER_BIT_STRING = 0x03,
	DER_OCTET_STRING = 0x04,
	DER_NULL = 0x05,
	DER_OID = 0x06,
	DER_ENUMERATED = 0x0a,
	DER_UTF8_STRING = 0x0c,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31,
	DER_PRINTABLE_STRING = 0x13,
	DER_IA5_STRING = 0x16,
	DER_UTC_TIME = 0x17,
	DER_GENERALIZED_TIME = 0x18,
	DER_CONTEXT = 0x80,             /* + number, primitive */
	DER_CONTEXT_CONSTRUCTED = 0xa0, /* + number */
};

/* One element: its tag, its content and the whole of it with tag and length. */
struct der_element {
	unsigned tag;
	struct view content;
	struct view whole;
};

/*
 * Take the next element, whatever its tag. E_INVALID with the offset for an indefinite or
 * non-minimal length, a high tag number, or bytes missing.
 */
int der_next(struct reader *reader, struct der_element *ret_element, struct err *err) MUST_CHECK;

/* Take the next element, which must have this tag. E_INVALID otherwise. */
int der_take(
	struct reader *reader, unsigned tag, struct view *ret_content, struct err *err) MUST_CHECK;

/* As der_take, and open the content as a reader of its own. */
int der_enter(
	struct reader *reader, unsigned tag, struct reader *ret_inner, struct err *err) MUST_CHECK;

/* True when the next element begins with this tag. */
bool der_is_next(const struct reader *reader, unsigned tag);

/* E_INVALID unless everything was read. what names the structure in the message. */
int der_end(const struct reader *reader, const char *what, struct err *err) MUST_CHECK;

/* A BOOLEAN's content: exactly 0x00 or 0xff. */
int der_take_boolean(struct reader *reader, bool *ret_value, struct err *err) MUST_CHECK;

/* A canonical, non-negative INTEGER of at most 8 bytes. */
int der_take_unsigned(struct reader *reader, uint64_t *ret_value, struct err *err) MUST_CHECK;

/*
 * A canonical, non-negative INTEGER of any size as its magnitude without leading zeros (one zero
 * byte for 0).
 */
int der_take_magnitude(struct reader *reader, struct view *ret_value, struct err *err) MUST_CHECK;

/* A canonical INTEGER's content as written, sign byte included (certificate serial numbers). */
int der_take_integer(struct reader *reader, struct view *ret_value, struct err *err) MUST_CHECK;

/* A BIT STRING without unused bits; its bytes. */
int der_take_bits(struct reader *reader, struct view *ret_bytes, struct err *err) MUST_CHECK;

/*
 * UTCTime (1950..2049, RFC 5280 4.1.2.5.1) or GeneralizedTime, both with seconds and "Z" and
 * without fractions; milliseconds since 1970.
 */
int der_take_time(struct reader *reader, uint64_t *ret_wall_ms, struct err *err) MUST_CHECK;

#endif
