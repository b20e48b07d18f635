/*
 * Writing DER: elements appended to a buffer. A structure is built inside out: its content in a
 * buffer of its own, then der_put() puts tag and length before it. Used by the simulated platform
 * and by certificates of our own; X.690 section 10.
 */
#ifndef KIT_CODEC_DER_WRITE_H
#define KIT_CODEC_DER_WRITE_H

#include "kit/base/buf.h"
#include "kit/codec/der.h"

/* One element with this content. E_LIMIT as buf_append; contents up to 2^32-1 bytes. */
int der_put(struct buf *buf, unsigned tag, struct view content, struct err *err) MUST_CHECK;

/* The element that holds these parts one after the other. */
int der_put_parts(struct buf *buf, unsigned tag, const struct view *parts, size_t count,
	struct err *err) MUST_CHECK;

/* A non-negative INTEGER in its shortest form. */
int der_put_unsigned(struct buf *buf, uint64_t value, struct err *err) MUST_CHECK;

/* An INTEGER from big-endian magnitude. */
int der_put_magnitude(struct buf *buf, struct view magnitude, struct err *err) MUST_CHECK;

/* A BIT STRING without unused bits. */
int der_put_bits(struct buf *buf, struct view bytes, struct err *err) MUST_CHECK;

/* UTCTime before 2050, GeneralizedTime from then on (RFC 5280 4.1.2.5). */
int der_put_time(struct buf *buf, uint64_t wall_ms, struct err *err) MUST_CHECK;

#endif
