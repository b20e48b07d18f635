/*
 * JSON as spans: for documents whose signature covers the bytes as they stand (Intel's TCB info and
 * QE identity, JWT claims, event logs). Nothing is copied, decoded or allocated.
 *
 * jspan_check() reads a whole document once and refuses what is not RFC 8259, member names twice,
 * escapes in member names, bytes behind the end, and depth or size beyond the limits. After it the
 * accessors walk the text and may trust its form; they must never see text that was not checked.
 */
#ifndef KIT_CODEC_JSPAN_H
#define KIT_CODEC_JSPAN_H

#include "kit/base/buf.h"

#define JSPAN_DEPTH_MAX 16
#define JSPAN_OPEN_NAMES_MAX 512 /* names of all objects open at one moment */

enum jspan_type {
	JSPAN_NONE, /* absent */
	JSPAN_OBJECT,
	JSPAN_ARRAY,
	JSPAN_STRING,
	JSPAN_NUMBER,
	JSPAN_TRUE,
	JSPAN_FALSE,
	JSPAN_NULL,
};

/* A value: its exact bytes in the document, quotes and braces included. */
struct jspan {
	enum jspan_type type;
	struct view text;
};

/*
 * Check a whole document of at most size_max bytes and give its top value.
 * E_INVALID with the offset; E_LIMIT for size, depth or number of open names.
 */
int jspan_check(
	struct view text, size_t size_max, struct jspan *ret_value, struct err *err) MUST_CHECK;

/* A member by name; type JSPAN_NONE when absent or when value is no object. */
struct jspan jspan_get(struct jspan object, const char *name);

/* Several members in one pass: ret_values[i] is that of names[i], type JSPAN_NONE when absent. */
void jspan_members(
	struct jspan object, const char *const *names, size_t count, struct jspan *ret_values);

/*
 * Walk the members of an object or the elements of an array: position starts as 0.
 * False at the end. ret_name (may be NULL) is the name without quotes, empty in arrays.
 */
bool jspan_next(
	struct jspan container, size_t *position, struct view *ret_name, struct jspan *ret_value);

/* Number of elements or members. */
size_t jspan_count(struct jspan container);

/* The text of a string without quotes. False when it is none or contains an escape. */
bool jspan_string(struct jspan value, struct view *ret_text);

/* A string equal to text (without escapes). */
bool jspan_is(struct jspan value, const char *text);

/* An integer in its plain form: no fraction, no exponent, no "-0", within min..max. */
bool jspan_integer(struct jspan value, int64_t min, int64_t max, int64_t *ret_value);

/* A string of exactly 2 * size hexadecimal digits of either case. */
bool jspan_hex(struct jspan value, uint8_t *ret_bytes, size_t size);

/* A string holding an RFC 3339 UTC time; milliseconds since 1970. */
bool jspan_time(struct jspan value, uint64_t *ret_wall_ms);

#endif
