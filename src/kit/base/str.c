/* See str.h. */
#include "kit/base/str.h"

#include <stdarg.h>
#include <stdio.h>

enum { QUOTE_BYTES_MAX = 64, DECIMAL_DIGITS_MAX = 20 };

bool str_starts(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *text, const char *suffix)
{
	size_t size = strlen(text), tail = strlen(suffix);
	return size >= tail && str_equal(text + size - tail, suffix);
}

int str_format(char *ret_text, size_t size, struct err *err, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int needed = vsnprintf(ret_text, size, format, args);
	va_end(args);
	if (needed < 0 || (size_t)needed >= size) {
		ret_text[0] = 0;
		return err_set(
			err, E_LIMIT, "text of %d bytes does not fit into %zu", needed, size);
	}
	return 0;
}

int str_parse_u64(
	const char *text, uint64_t min, uint64_t max, uint64_t *ret_value, struct err *err)
{
	char quoted[STR_QUOTE_MAX];
	uint64_t value = 0;
	size_t size = strlen(text);
	bool valid = size > 0 && size <= DECIMAL_DIGITS_MAX && (text[0] != '0' || size == 1);
	for (size_t i = 0; valid && i < size; i++)
		valid = text[i] >= '0' && text[i] <= '9' &&
			!__builtin_mul_overflow(value, (uint64_t)10, &value) &&
			!__builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value);
	if (!valid || value < min || value > max)
		return err_set(err, E_INVALID,
			"expected a whole number from %llu to %llu, got '%s'",
			(unsigned long long)min, (unsigned long long)max,
			str_quote(view_string(text), quoted));
	*ret_value = value;
	return 0;
}

const char *str_quote(struct view foreign, char ret_text[static STR_QUOTE_MAX])
{
	size_t size = MIN(foreign.size, (size_t)QUOTE_BYTES_MAX);
	for (size_t i = 0; i < size; i++) {
		uint8_t byte = foreign.data[i];
		ret_text[i] = byte >= 0x20 && byte < 0x7f ? (char)byte : '?';
	}
	memcpy(ret_text + size, foreign.size > size ? "..." : "", foreign.size > size ? 4 : 1);
	return ret_text;
}

static bool is_name_byte(uint8_t byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
	       (byte >= '0' && byte <= '9') || byte == '.' || byte == '_' || byte == '-';
}

bool str_is_file_name(struct view name, size_t size_max)
{
	if (name.size == 0 || name.size > size_max || name.data[0] == '.' || name.data[0] == '-')
		return false;
	for (size_t i = 0; i < name.size; i++)
		if (!is_name_byte(name.data[i]))
			return false;
	return true;
}
