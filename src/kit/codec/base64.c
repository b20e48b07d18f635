/* See base64.h. Whole groups of four go through a table; the tail is decoded with its checks. */
#include "kit/codec/base64.h"

enum { BAD = 255 };

static const char alphabets[][65] = {
	[BASE64_STANDARD] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
	[BASE64_URL] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

int base64_encode(enum base64_kind kind, struct view bytes, struct buf *buf, struct err *err)
{
	const char *alphabet = alphabets[kind];
	TRY(buf_reserve(buf, (bytes.size + 2) / 3 * 4, err));
	uint8_t *out = buf->data + buf->size;
	size_t i = 0;
	for (; i + 3 <= bytes.size; i += 3) {
		uint32_t group = (uint32_t)bytes.data[i] << 16 | (uint32_t)bytes.data[i + 1] << 8 |
				 bytes.data[i + 2];
		*out++ = (uint8_t)alphabet[group >> 18];
		*out++ = (uint8_t)alphabet[group >> 12 & 63];
		*out++ = (uint8_t)alphabet[group >> 6 & 63];
		*out++ = (uint8_t)alphabet[group & 63];
	}
	size_t tail = bytes.size - i;
	if (tail) {
		uint32_t group = (uint32_t)bytes.data[i] << 16 |
				 (tail == 2 ? (uint32_t)bytes.data[i + 1] << 8 : 0);
		*out++ = (uint8_t)alphabet[group >> 18];
		*out++ = (uint8_t)alphabet[group >> 12 & 63];
		if (tail == 2)
			*out++ = (uint8_t)alphabet[group >> 6 & 63];
		for (size_t pad = tail; kind == BASE64_STANDARD && pad < 3; pad++)
			*out++ = '=';
	}
	buf->size = (size_t)(out - buf->data);
	return 0;
}

static void fill_values(enum base64_kind kind, uint8_t values[static 256])
{
	memset(values, BAD, 256);
	for (uint8_t i = 0; i < 64; i++)
		values[(uint8_t)alphabets[kind][i]] = i;
}

static int bad_character(size_t offset, struct err *err)
{
	return err_set(err, E_INVALID, "base64: wrong character or padding at offset %zu", offset);
}

/* Length of the text without its padding; the padding must be exact. */
static int unpadded_size(enum base64_kind kind, struct view text, size_t *ret_size, struct err *err)
{
	size_t size = text.size;
	if (kind == BASE64_STANDARD) {
		if (size % 4)
			return err_set(err, E_INVALID,
				"base64: %zu characters, expected a multiple of 4", size);
		for (int pad = 0; pad < 2 && size && text.data[size - 1] == '='; pad++)
			size--;
	}
	if (size % 4 == 1)
		return bad_character(size - 1, err);
	*ret_size = size;
	return 0;
}

int base64_decode(enum base64_kind kind, struct view text, struct buf *buf, struct err *err)
{
	uint8_t values[256];
	size_t size = 0, i = 0;
	fill_values(kind, values);
	TRY(unpadded_size(kind, text, &size, err));
	TRY(buf_reserve(buf, size / 4 * 3 + 2, err));
	uint8_t *out = buf->data + buf->size;
	for (; i + 4 <= size; i += 4) {
		uint32_t a = values[text.data[i]], b = values[text.data[i + 1]];
		uint32_t c = values[text.data[i + 2]], d = values[text.data[i + 3]];
		if ((a | b | c | d) > 63)
			return bad_character(i, err);
		uint32_t group = a << 18 | b << 12 | c << 6 | d;
		*out++ = (uint8_t)(group >> 16);
		*out++ = (uint8_t)(group >> 8);
		*out++ = (uint8_t)group;
	}
	if (i < size) {
		uint32_t a = values[text.data[i]], b = values[text.data[i + 1]];
		uint32_t c = size - i == 3 ? values[text.data[i + 2]] : 0;
		uint32_t unused = size - i == 3 ? c & 3 : b & 15;
		if ((a | b | c) > 63 || unused)
			return bad_character(i, err);
		*out++ = (uint8_t)(a << 2 | b >> 4);
		if (size - i == 3)
			*out++ = (uint8_t)(b << 4 | c >> 2);
	}
	buf->size = (size_t)(out - buf->data);
	return 0;
}
