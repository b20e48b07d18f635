/* See hex.h. */
#include "kit/codec/hex.h"

char *hex_encode(struct view bytes, char *ret_text)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < bytes.size; i++) {
		ret_text[2 * i] = digits[bytes.data[i] >> 4];
		ret_text[2 * i + 1] = digits[bytes.data[i] & 15];
	}
	ret_text[2 * bytes.size] = 0;
	return ret_text;
}

static unsigned digit_value(uint8_t digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10U;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10U;
	return 16;
}

int hex_decode(struct view text, uint8_t *ret_bytes, size_t size, struct err *err)
{
	if (text.size != 2 * size)
		return err_set(err, E_INVALID, "expected %zu hexadecimal digits, got %zu", 2 * size,
			text.size);
	for (size_t i = 0; i < text.size; i++)
		if (digit_value(text.data[i]) > 15)
			return err_set(err, E_INVALID, "character %zu is no hexadecimal digit", i);
	for (size_t i = 0; i < size; i++)
		ret_bytes[i] = (uint8_t)(digit_value(text.data[2 * i]) << 4 |
					 digit_value(text.data[2 * i + 1]));
	return 0;
}
