/* See der_write.h. */
#include "kit/codec/der_write.h"

#include "kit/base/time.h"

enum { LENGTH_SHORT_MAX = 0x7f, SIGN_BIT = 0x80 };

static int put_header(struct buf *buf, unsigned tag, size_t size, struct err *err)
{
	TRY(buf_append_be(buf, tag, 1, err));
	if (size <= LENGTH_SHORT_MAX)
		return buf_append_be(buf, size, 1, err);
	if (size > UINT32_MAX)
		return err_set(err, E_LIMIT, "a DER element of %zu bytes, limit 2^32-1", size);
	size_t width = 1;
	while (size >> (8 * width))
		width++;
	TRY(buf_append_be(buf, SIGN_BIT | width, 1, err));
	return buf_append_be(buf, size, width, err);
}

int der_put(struct buf *buf, unsigned tag, struct view content, struct err *err)
{
	return der_put_parts(buf, tag, &content, 1, err);
}

int der_put_parts(
	struct buf *buf, unsigned tag, const struct view *parts, size_t count, struct err *err)
{
	size_t size = 0;
	for (size_t i = 0; i < count; i++)
		size += parts[i].size;
	TRY(put_header(buf, tag, size, err));
	for (size_t i = 0; i < count; i++)
		TRY(buf_append(buf, parts[i], err));
	return 0;
}

int der_put_magnitude(struct buf *buf, struct view magnitude, struct err *err)
{
	static const uint8_t zero = 0;
	while (magnitude.size > 1 && magnitude.data[0] == 0)
		magnitude = view_of(magnitude.data + 1, magnitude.size - 1);
	if (magnitude.size == 0)
		magnitude = view_of(&zero, 1);
	bool needs_sign_byte = magnitude.data[0] >= SIGN_BIT;
	struct view parts[] = { view_of(&zero, needs_sign_byte ? 1 : 0), magnitude };
	return der_put_parts(buf, DER_INTEGER, parts, ARRAY_SIZE(parts), err);
}

int der_put_unsigned(struct buf *buf, uint64_t value, struct err *err)
{
	uint8_t bytes[8];
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(value >> (8 * (sizeof(bytes) - 1 - i)));
	return der_put_magnitude(buf, view_of(bytes, sizeof(bytes)), err);
}

int der_put_bits(struct buf *buf, struct view bytes, struct err *err)
{
	static const uint8_t unused_bits = 0;
	struct view parts[] = { view_of(&unused_bits, 1), bytes };
	return der_put_parts(buf, DER_BIT_STRING, parts, ARRAY_SIZE(parts), err);
}

int der_put_time(struct buf *buf, uint64_t wall_ms, struct err *err)
{
	static const size_t digits[] = { 0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18 };
	char text[TIME_TEXT_SIZE];
	uint8_t content[ARRAY_SIZE(digits) + 1];
	time_format(wall_ms, text);
	for (size_t i = 0; i < ARRAY_SIZE(digits); i++)
		content[i] = (uint8_t)text[digits[i]];
	content[ARRAY_SIZE(digits)] = 'Z';
	bool is_utc = memcmp(text, "2050", 4) < 0; /* lint: memcmp-secret because a year is none */
	return is_utc ? der_put(buf, DER_UTC_TIME, view_of(content + 2, sizeof(content) - 2), err)
		      : der_put(buf, DER_GENERALIZED_TIME, view_of(content, sizeof(content)), err);
}
