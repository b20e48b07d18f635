/*
 * See der.h. X.690 section 8 gives the encodings and section 10 what DER forbids of them.
 */
#include "kit/codec/der.h"

#include "kit/base/time.h"

enum {
	DER_LENGTH_BYTES_MAX = 4,
	DER_LENGTH_SHORT_MAX = 0x7f,
	DER_TAG_NUMBER_MASK = 0x1f,
	DER_UNSIGNED_BYTES_MAX = 8,
	DER_SIGN_BIT = 0x80,
	DER_UTC_SIZE = 13,         /* YYMMDDHHMMSSZ */
	DER_GENERALIZED_SIZE = 15, /* YYYYMMDDHHMMSSZ */
	DER_UTC_PIVOT = 50,
};

static int read_length(struct reader *reader, size_t at, size_t *ret_size, struct err *err)
{
	uint64_t first = reader_be(reader, 1);
	if (first <= DER_LENGTH_SHORT_MAX) {
		*ret_size = (size_t)first;
		return 0;
	}
	size_t width = (size_t)(first & DER_LENGTH_SHORT_MAX);
	if (width == 0 || width > DER_LENGTH_BYTES_MAX)
		return err_set(err, E_INVALID,
			"DER at %zu: expected a definite length of at most %d bytes, got 0x%02x",
			at, DER_LENGTH_BYTES_MAX, (unsigned)first);
	uint64_t size = reader_be(reader, width);
	if (!reader->failed && (size <= DER_LENGTH_SHORT_MAX || size >> (8 * (width - 1)) == 0))
		return err_set(err, E_INVALID,
			"DER at %zu: length %llu is not in its shortest form", at,
			(unsigned long long)size);
	*ret_size = (size_t)size;
	return 0;
}

int der_next(struct reader *reader, struct der_element *ret_element, struct err *err)
{
	size_t at = reader->offset;
	const uint8_t *begin = reader->rest.data;
	unsigned tag = (unsigned)reader_be(reader, 1);
	if (!reader->failed && (tag & DER_TAG_NUMBER_MASK) == DER_TAG_NUMBER_MASK)
		return err_set(
			err, E_INVALID, "DER at %zu: high tag numbers are not used here", at);
	size_t size = 0;
	TRY(read_length(reader, at, &size, err));
	struct view content = reader_take(reader, size);
	if (reader->failed)
		return err_set(err, E_INVALID, "DER at %zu: element is cut", at);
	*ret_element = (struct der_element){
		.tag = tag,
		.content = content,
		.whole = view_of(begin, reader->offset - at),
	};
	return 0;
}

int der_take(struct reader *reader, unsigned tag, struct view *ret_content, struct err *err)
{
	size_t at = reader->offset;
	struct der_element element;
	TRY(der_next(reader, &element, err));
	if (element.tag != tag)
		return err_set(err, E_INVALID, "DER at %zu: expected tag 0x%02x, got 0x%02x", at,
			tag, element.tag);
	*ret_content = element.content;
	return 0;
}

int der_enter(struct reader *reader, unsigned tag, struct reader *ret_inner, struct err *err)
{
	struct view content;
	TRY(der_take(reader, tag, &content, err));
	*ret_inner = reader_of(content);
	ret_inner->offset = reader->offset - content.size;
	return 0;
}

bool der_is_next(const struct reader *reader, unsigned tag)
{
	return !reader->failed && reader->rest.size > 0 && reader->rest.data[0] == tag;
}

int der_end(const struct reader *reader, const char *what, struct err *err)
{
	if (reader_complete(reader))
		return 0;
	return err_set(err, E_INVALID, "DER at %zu: %s has %zu bytes too many", reader->offset,
		what, reader->rest.size);
}

int der_take_boolean(struct reader *reader, bool *ret_value, struct err *err)
{
	struct view content;
	TRY(der_take(reader, DER_BOOLEAN, &content, err));
	if (content.size != 1 || (content.data[0] != 0 && content.data[0] != 0xff))
		return err_set(
			err, E_INVALID, "DER before %zu: a BOOLEAN is 00 or ff", reader->offset);
	*ret_value = content.data[0] != 0;
	return 0;
}

int der_take_integer(struct reader *reader, struct view *ret_value, struct err *err)
{
	struct view content;
	TRY(der_take(reader, DER_INTEGER, &content, err));
	if (content.size == 0)
		return err_set(err, E_INVALID, "DER before %zu: an INTEGER without content",
			reader->offset);
	bool is_padded = content.size > 1 &&
			 ((content.data[0] == 0 && content.data[1] < DER_SIGN_BIT) ||
				 (content.data[0] == 0xff && content.data[1] >= DER_SIGN_BIT));
	if (is_padded)
		return err_set(err, E_INVALID,
			"DER before %zu: an INTEGER is not in its shortest form", reader->offset);
	*ret_value = content;
	return 0;
}

int der_take_magnitude(struct reader *reader, struct view *ret_value, struct err *err)
{
	struct view content;
	TRY(der_take_integer(reader, &content, err));
	if (content.data[0] >= DER_SIGN_BIT)
		return err_set(
			err, E_INVALID, "DER before %zu: an INTEGER is negative", reader->offset);
	bool has_sign_byte = content.size > 1 && content.data[0] == 0;
	*ret_value = has_sign_byte ? view_of(content.data + 1, content.size - 1) : content;
	return 0;
}

int der_take_unsigned(struct reader *reader, uint64_t *ret_value, struct err *err)
{
	struct view magnitude;
	TRY(der_take_magnitude(reader, &magnitude, err));
	if (magnitude.size > DER_UNSIGNED_BYTES_MAX)
		return err_set(err, E_INVALID, "DER before %zu: an INTEGER of %zu bytes, limit %d",
			reader->offset, magnitude.size, DER_UNSIGNED_BYTES_MAX);
	struct reader bytes = reader_of(magnitude);
	*ret_value = reader_be(&bytes, magnitude.size);
	return 0;
}

int der_take_bits(struct reader *reader, struct view *ret_bytes, struct err *err)
{
	struct view content;
	TRY(der_take(reader, DER_BIT_STRING, &content, err));
	if (content.size == 0 || content.data[0] != 0)
		return err_set(err, E_INVALID,
			"DER before %zu: expected a BIT STRING without unused bits",
			reader->offset);
	*ret_bytes = view_of(content.data + 1, content.size - 1);
	return 0;
}

static bool all_digits(struct view text)
{
	for (size_t i = 0; i < text.size; i++)
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
	return true;
}

/* "YYYYMMDDHHMMSS" as the text time_parse() knows. */
static int parse_digits(const char digits[static 14], uint64_t *ret_wall_ms, struct err *err)
{
	static const char shape[] = "0000-00-00T00:00:00Z";
	char text[sizeof(shape)];
	size_t from = 0;
	for (size_t i = 0; i < sizeof(shape); i++)
		text[i] = shape[i] == '0' ? digits[from++] : shape[i];
	return time_parse(text, ret_wall_ms, err);
}

int der_take_time(struct reader *reader, uint64_t *ret_wall_ms, struct err *err)
{
	struct der_element element;
	TRY(der_next(reader, &element, err));
	struct view text = element.content;
	bool is_utc = element.tag == DER_UTC_TIME && text.size == DER_UTC_SIZE;
	bool is_generalized = element.tag == DER_GENERALIZED_TIME &&
			      text.size == DER_GENERALIZED_SIZE;
	if ((!is_utc && !is_generalized) || text.data[text.size - 1] != 'Z' ||
		!all_digits(view_of(text.data, text.size - 1)))
		return err_set(err, E_INVALID,
			"DER before %zu: expected a UTCTime or GeneralizedTime with seconds and Z",
			reader->offset);
	char digits[14];
	if (is_utc) {
		int year = (text.data[0] - '0') * 10 + (text.data[1] - '0');
		memcpy(digits, year < DER_UTC_PIVOT ? "20" : "19", 2);
		memcpy(digits + 2, text.data, sizeof(digits) - 2);
	} else {
		memcpy(digits, text.data, sizeof(digits));
	}
	return parse_digits(digits, ret_wall_ms, err);
}
