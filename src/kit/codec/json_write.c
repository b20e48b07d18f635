/*
 * Building and canonical writing. RFC 8785 section 3.2: members sorted by UTF-16 code units (equal
 * to byte order for the ASCII names we allow), shortest escapes, no white space.
 */
#include "kit/codec/json.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "kit/codec/hex.h"

static json_t *inner(const struct json *value)
{
	return (json_t *)(uintptr_t)value;
}

void json_set(struct json *object, const char *name, struct json *value)
{
	(void)json_object_set_new_nocheck(inner(object), name, inner(value)); /* aborts on memory */
}

void json_append(struct json *array, struct json *value)
{
	(void)json_array_append_new(inner(array), inner(value));
}

void json_set_string(struct json *object, const char *name, const char *text)
{
	json_set(object, name, text ? json_new_string(view_string(text)) : json_new_null());
}

void json_set_integer(struct json *object, const char *name, int64_t value)
{
	json_set(object, name, json_new_integer(value));
}

void json_set_boolean(struct json *object, const char *name, bool value)
{
	json_set(object, name, json_new_boolean(value));
}

void json_set_hex(struct json *object, const char *name, struct view bytes)
{
	auto_free char *text = mem_alloc(HEX_SIZE(bytes.size), 1);
	json_set_string(object, name, hex_encode(bytes, text));
}

static int write_value(const struct json *value, struct buf *buf, struct err *err);

static const char *short_escape(uint8_t byte)
{
	switch (byte) {
	case '"':
		return "\\\"";
	case '\\':
		return "\\\\";
	case '\b':
		return "\\b";
	case '\t':
		return "\\t";
	case '\n':
		return "\\n";
	case '\f':
		return "\\f";
	case '\r':
		return "\\r";
	default:
		return NULL;
	}
}

static bool needs_escape(uint8_t byte)
{
	return byte < 0x20 || byte == '"' || byte == '\\';
}

static int write_string(struct view text, struct buf *buf, struct err *err)
{
	size_t from = 0;
	TRY(buf_append_string(buf, "\"", err));
	for (size_t i = 0; i < text.size; i++) {
		if (!needs_escape(text.data[i]))
			continue;
		TRY(buf_append(buf, view_of(text.data + from, i - from), err));
		from = i + 1;
		const char *escape = short_escape(text.data[i]);
		if (escape)
			TRY(buf_append_string(buf, escape, err));
		else
			TRY(buf_append_format(buf, err, "\\u%04x", text.data[i]));
	}
	TRY(buf_append(buf, view_of(text.data + from, text.size - from), err));
	return buf_append_string(buf, "\"", err);
}

static int compare_names(const void *a, const void *b)
{
	const char *const *left = a, *const *right = b;
	return strcmp(*left, *right);
}

static int check_name(const char *name, struct err *err)
{
	char quoted[STR_QUOTE_MAX];
	for (const char *at = name; *at; at++)
		if (*at < 0x20 || *at > 0x7e)
			return err_set(err, E_INVALID,
				"canonical JSON: member name '%s' is not printable ASCII",
				str_quote(view_string(name), quoted));
	return 0;
}

static int write_object(const struct json *object, struct buf *buf, struct err *err)
{
	size_t count = json_size(object), i = 0;
	auto_free const char **names = mem_alloc(count, sizeof(*names));
	for (const struct json_member_at *at = json_first(object); at; at = json_next(object, at))
		names[i++] = json_name(at);
	qsort(names, count, sizeof(*names), compare_names);
	TRY(buf_append_string(buf, "{", err));
	for (i = 0; i < count; i++) {
		TRY(check_name(names[i], err));
		TRY(buf_append_string(buf, i ? "," : "", err));
		TRY(write_string(view_string(names[i]), buf, err));
		TRY(buf_append_string(buf, ":", err));
		TRY(write_value(json_get(object, names[i]), buf, err));
	}
	return buf_append_string(buf, "}", err);
}

static int write_array(const struct json *array, struct buf *buf, struct err *err)
{
	TRY(buf_append_string(buf, "[", err));
	for (size_t i = 0; i < json_size(array); i++) {
		TRY(buf_append_string(buf, i ? "," : "", err));
		TRY(write_value(json_at(array, i), buf, err));
	}
	return buf_append_string(buf, "]", err);
}

static int write_integer(const struct json *integer, struct buf *buf, struct err *err)
{
	int64_t value = json_as_integer(integer);
	if (value > JSON_INTEGER_MAX || value < -JSON_INTEGER_MAX)
		return err_set(
			err, E_INVALID, "canonical JSON: %lld is beyond 2^53-1", (long long)value);
	return buf_append_format(buf, err, "%lld", (long long)value);
}

static int write_value(const struct json *value, struct buf *buf, struct err *err)
{
	switch (json_kind(value)) {
	case JSON_KIND_OBJECT:
		return write_object(value, buf, err);
	case JSON_KIND_ARRAY:
		return write_array(value, buf, err);
	case JSON_KIND_STRING:
		return write_string(json_as_view(value), buf, err);
	case JSON_KIND_INTEGER:
		return write_integer(value, buf, err);
	case JSON_KIND_BOOLEAN:
		return buf_append_string(buf, json_as_boolean(value) ? "true" : "false", err);
	case JSON_KIND_REAL:
		return err_set(
			err, E_INVALID, "canonical JSON: numbers with a fraction are refused");
	case JSON_KIND_ANY:
	case JSON_KIND_NULL:
		break;
	}
	return buf_append_string(buf, "null", err);
}

int json_encode(const struct json *value, struct buf *buf, struct err *err)
{
	return write_value(value, buf, err);
}

static int append_dump(const char *text, size_t size, void *data)
{
	struct err ignored;
	return buf_append(data, view_of(text, size), &ignored);
}

static int dump(const struct json *value, size_t flags, struct buf *buf, struct err *err)
{
	if (json_dump_callback(inner(value), append_dump, buf, flags | JSON_ENCODE_ANY) < 0)
		return err_set(err, E_LIMIT, "JSON text is larger than %zu bytes", buf->limit);
	return 0;
}

int json_encode_plain(const struct json *value, struct buf *buf, struct err *err)
{
	return dump(value, JSON_COMPACT, buf, err);
}

int json_encode_pretty(const struct json *value, struct buf *buf, struct err *err)
{
	return dump(value, JSON_INDENT(2), buf, err);
}
