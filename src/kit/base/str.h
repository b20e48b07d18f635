/* Small text helpers on NUL-terminated strings. */
#ifndef KIT_BASE_STR_H
#define KIT_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kit/base/buf.h"

static inline bool str_equal(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

bool str_starts(const char *text, const char *prefix);
bool str_ends(const char *text, const char *suffix);

/* Format into a caller's array; E_LIMIT when it does not fit (the array then holds ""). */
int str_format(char *ret_text, size_t size, struct err *err, const char *format, ...)
	PRINTF(4, 5) MUST_CHECK;

/* Decimal digits only, no sign, no blanks, no leading zero; E_INVALID outside min..max. */
int str_parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value,
	struct err *err) MUST_CHECK;

/*
 * Foreign text made fit for a message: at most 64 bytes, everything but printable ASCII as '?'.
 * Returns ret_text.
 */
#define STR_QUOTE_MAX 68
const char *str_quote(struct view foreign, char ret_text[static STR_QUOTE_MAX]);

/* True for one path component made of [A-Za-z0-9._-] that starts with neither '.' nor '-'. */
bool str_is_file_name(struct view name, size_t size_max);

#endif
