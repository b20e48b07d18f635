/*
 * JSON trees (jansson underneath) with strict reading, strict matching and canonical writing.
 *
 * Reading refuses duplicate members, invalid UTF-8, NUL, trailing bytes, depth and size beyond the
 * limits. Writing is RFC 8785 (JCS) restricted to integers within +-(2^53-1), strings, booleans,
 * null, arrays and objects with ASCII names: what is hashed or signed is in this form.
 * All memory that held a tree is wiped when freed (see json_setup).
 */
#ifndef KIT_CODEC_JSON_H
#define KIT_CODEC_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "kit/base/buf.h"

struct json; /* one value; reference counted */

enum json_kind {
	JSON_KIND_ANY,
	JSON_KIND_OBJECT,
	JSON_KIND_ARRAY,
	JSON_KIND_STRING,
	JSON_KIND_INTEGER,
	JSON_KIND_REAL,
	JSON_KIND_BOOLEAN,
	JSON_KIND_NULL,
};

#define JSON_DEPTH_MAX 32                 /* nesting of any document we accept */
#define JSON_INTEGER_MAX 9007199254740991 /* 2^53-1: what every JSON library keeps exact */
#define JSON_PATH_MAX 192

/* Once per program, before any other call: allocations of the library go through wiping memory. */
void json_setup(void);

/*
 * Parse one complete document. E_INVALID with line and column, E_LIMIT for more than size_max
 * bytes or JSON_DEPTH_MAX levels. Release with json_free.
 */
int json_parse(
	struct view text, size_t size_max, struct json **ret_value, struct err *err) MUST_CHECK;

void json_free(struct json *value); /* one reference; accepts NULL */
struct json *json_share(const struct json *value);
static inline void json_free_pointer(struct json **value)
{
	json_free(*value);
}
#define auto_json AUTO(json_free_pointer) struct json

enum json_kind json_kind(const struct json *value); /* JSON_KIND_ANY for NULL */
const char *json_kind_name(enum json_kind kind);

/* Access; a value of another kind yields the empty answer (NULL, 0, false, empty view). */
const struct json *json_get(const struct json *object, const char *name);
size_t json_size(const struct json *array_or_object);
const struct json *json_at(const struct json *array, size_t index);
struct view json_as_view(const struct json *string);
const char *json_as_string(const struct json *string); /* NUL-terminated, borrowed, NULL if none */
int64_t json_as_integer(const struct json *integer);
double json_as_real(const struct json *number);
bool json_as_boolean(const struct json *boolean);

/* Members in insertion order: for (m = json_first(o); m; m = json_next(o, m)). */
struct json_member_at; /* opaque position */
const struct json_member_at *json_first(const struct json *object);
const struct json_member_at *json_next(const struct json *object, const struct json_member_at *at);
const char *json_name(const struct json_member_at *at);
const struct json *json_value(const struct json_member_at *at);

/* One row of a strict object: unknown members, wrong kinds and missing ones are errors. */
struct json_member {
	const char *name;
	enum json_kind kind;
	bool is_required;
	const struct json **ret_value; /* set to the member or NULL; may itself be NULL */
};

/* E_INVALID "at PATH: ..." on the first fault. path is the place of object, e.g. "sandbox". */
int json_match(const struct json *object, const char *path, const struct json_member *members,
	size_t count, struct err *err) MUST_CHECK;

/* An integer member within min..max, for values already matched as integers. */
int json_range(const struct json *integer, const char *path, int64_t min, int64_t max,
	int64_t *ret_value, struct err *err) MUST_CHECK;

/* Whether the bytes can be a JSON string as they are: valid UTF-8 without NUL. */
bool json_is_text(struct view bytes);

/* Building. A value given to set/append belongs to the container afterwards. */
struct json *json_new_object(void);
struct json *json_new_array(void);
struct json *json_new_string(struct view utf8); /* invalid UTF-8 is replaced byte by byte by '?' */
struct json *json_new_integer(int64_t value);
struct json *json_new_boolean(bool value);
struct json *json_new_null(void);
void json_set(struct json *object, const char *name, struct json *value);
void json_append(struct json *array, struct json *value);
void json_set_string(struct json *object, const char *name, const char *text); /* NULL: null */
void json_set_integer(struct json *object, const char *name, int64_t value);
void json_set_boolean(struct json *object, const char *name, bool value);
void json_set_hex(struct json *object, const char *name, struct view bytes);

/*
 * Canonical form appended to buf. E_INVALID for a number that is no integer in range or a name
 * outside printable ASCII; E_LIMIT as buf_append.
 */
int json_encode(const struct json *value, struct buf *buf, struct err *err) MUST_CHECK;

/* Compact text in the order of the members, fractions allowed: data, not for hashing claims. */
int json_encode_plain(const struct json *value, struct buf *buf, struct err *err) MUST_CHECK;

/* The same members, indented by two blanks, for people. Never hash this. */
int json_encode_pretty(const struct json *value, struct buf *buf, struct err *err) MUST_CHECK;

#endif
