/*
 * See json.h. struct json is jansson's json_t by another name, so that no other module includes
 * jansson. Our integers are checked when written, not when read: a request may carry what we later
 * refuse with a path.
 */
#include "kit/codec/json.h"

#include <jansson.h>
#include <stdio.h>

#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "kit/codec/hex.h"

static json_t *inner(const struct json *value)
{
	return (json_t *)(uintptr_t)value;
}

static struct json *outer(json_t *value)
{
	return (struct json *)value;
}

static void *allocate(size_t size)
{
	return mem_alloc(1, size);
}

void json_setup(void)
{
	json_set_alloc_funcs(allocate, mem_free);
	json_object_seed(0);
}

/* jansson allows 2,048 levels; ours are counted before it sees the text, outside of strings. */
static bool is_too_deep(struct view text)
{
	size_t depth = 0;
	bool in_string = false;
	for (size_t i = 0; i < text.size; i++) {
		uint8_t byte = text.data[i];
		if (in_string) {
			if (byte == '\\')
				i++;
			in_string = byte != '"';
			continue;
		}
		in_string = byte == '"';
		if ((byte == '{' || byte == '[') && ++depth > JSON_DEPTH_MAX)
			return true;
		if ((byte == '}' || byte == ']') && depth)
			depth--;
	}
	return false;
}

int json_parse(struct view text, size_t size_max, struct json **ret_value, struct err *err)
{
	json_error_t fault;
	char quoted[STR_QUOTE_MAX];
	if (text.size > size_max)
		return err_set(
			err, E_LIMIT, "JSON document of %zu bytes, limit %zu", text.size, size_max);
	if (is_too_deep(text))
		return err_set(
			err, E_LIMIT, "JSON document nested deeper than %d levels", JSON_DEPTH_MAX);
	json_t *value = json_loadb((const char *)text.data, text.size,
		JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &fault);
	if (!value)
		return err_set(err, E_INVALID, "JSON, line %d column %d: %s", fault.line,
			fault.column, str_quote(view_string(fault.text), quoted));
	*ret_value = outer(value);
	return 0;
}

void json_free(struct json *value)
{
	json_decref(inner(value));
}

struct json *json_share(const struct json *value)
{
	return outer(json_incref(inner(value)));
}

static const struct {
	const char *name;
	json_type type;
} kinds[] = {
	[JSON_KIND_ANY] = { "any value", JSON_NULL },
	[JSON_KIND_OBJECT] = { "an object", JSON_OBJECT },
	[JSON_KIND_ARRAY] = { "an array", JSON_ARRAY },
	[JSON_KIND_STRING] = { "a string", JSON_STRING },
	[JSON_KIND_INTEGER] = { "an integer", JSON_INTEGER },
	[JSON_KIND_REAL] = { "a number with a fraction", JSON_REAL },
	[JSON_KIND_BOOLEAN] = { "true or false", JSON_TRUE },
	[JSON_KIND_NULL] = { "null", JSON_NULL },
};

enum json_kind json_kind(const struct json *value)
{
	if (!value)
		return JSON_KIND_ANY;
	json_type type = json_typeof(inner(value));
	if (type == JSON_FALSE)
		return JSON_KIND_BOOLEAN;
	for (size_t i = JSON_KIND_OBJECT; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].type == type)
			return (enum json_kind)i;
	return JSON_KIND_NULL;
}

const char *json_kind_name(enum json_kind kind)
{
	return kinds[kind].name;
}

const struct json *json_get(const struct json *object, const char *name)
{
	return outer(json_object_get(inner(object), name));
}

size_t json_size(const struct json *value)
{
	return json_is_array(inner(value)) ? json_array_size(inner(value))
					   : json_object_size(inner(value));
}

const struct json *json_at(const struct json *array, size_t index)
{
	return outer(json_array_get(inner(array), index));
}

struct view json_as_view(const struct json *string)
{
	const char *text = json_string_value(inner(string));
	return text ? view_of(text, json_string_length(inner(string))) : (struct view){};
}

const char *json_as_string(const struct json *string)
{
	return json_string_value(inner(string));
}

int64_t json_as_integer(const struct json *integer)
{
	return json_integer_value(inner(integer));
}

double json_as_real(const struct json *number)
{
	return json_number_value(inner(number));
}

bool json_as_boolean(const struct json *boolean)
{
	return json_is_true(inner(boolean));
}

static const struct json_member_at *position(void *iterator)
{
	return (const struct json_member_at *)iterator;
}

static void *iterator_of(const struct json_member_at *at)
{
	return (void *)(uintptr_t)at;
}

const struct json_member_at *json_first(const struct json *object)
{
	return position(json_object_iter(inner(object)));
}

const struct json_member_at *json_next(const struct json *object, const struct json_member_at *at)
{
	return position(json_object_iter_next(inner(object), iterator_of(at)));
}

const char *json_name(const struct json_member_at *at)
{
	return json_object_iter_key(iterator_of(at));
}

const struct json *json_value(const struct json_member_at *at)
{
	return outer(json_object_iter_value(iterator_of(at)));
}

static const struct json_member *find_member(
	const char *name, const struct json_member *members, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (str_equal(name, members[i].name))
			return &members[i];
	return NULL;
}

static int check_member(const char *path, const char *name, const struct json *value,
	const struct json_member *row, struct err *err)
{
	char quoted[STR_QUOTE_MAX];
	const char *dot = *path ? "." : "";
	if (!row)
		return err_set(err, E_INVALID, "at %s%s%s: unknown member; remove it", path, dot,
			str_quote(view_string(name), quoted));
	if (row->kind != JSON_KIND_ANY && json_kind(value) != row->kind)
		return err_set(err, E_INVALID, "at %s%s%s: expected %s, got %s", path, dot, name,
			json_kind_name(row->kind), json_kind_name(json_kind(value)));
	if (row->ret_value)
		*row->ret_value = value;
	return 0;
}

int json_match(const struct json *object, const char *path, const struct json_member *members,
	size_t count, struct err *err)
{
	if (json_kind(object) != JSON_KIND_OBJECT)
		return err_set(err, E_INVALID, "at %s: expected an object, got %s",
			*path ? path : "the top", json_kind_name(json_kind(object)));
	for (size_t i = 0; i < count; i++)
		if (members[i].ret_value)
			*members[i].ret_value = NULL;
	for (const struct json_member_at *at = json_first(object); at; at = json_next(object, at))
		TRY(check_member(path, json_name(at), json_value(at),
			find_member(json_name(at), members, count), err));
	for (size_t i = 0; i < count; i++)
		if (members[i].is_required && !json_get(object, members[i].name))
			return err_set(err, E_INVALID, "at %s%s%s: missing; it is required", path,
				*path ? "." : "", members[i].name);
	return 0;
}

int json_range(const struct json *integer, const char *path, int64_t min, int64_t max,
	int64_t *ret_value, struct err *err)
{
	int64_t value = json_as_integer(integer);
	if (json_kind(integer) != JSON_KIND_INTEGER || value < min || value > max)
		return err_set(err, E_INVALID,
			"at %s: expected an integer from %lld to %lld, got %lld", path,
			(long long)min, (long long)max, (long long)value);
	*ret_value = value;
	return 0;
}

bool json_is_text(struct view bytes)
{
	if (bytes.size == 0)
		return true;
	json_t *value = json_stringn((const char *)bytes.data, bytes.size);
	json_decref(value);
	return value && !memchr(bytes.data, 0, bytes.size);
}

struct json *json_new_object(void)
{
	return outer(json_object());
}

struct json *json_new_array(void)
{
	return outer(json_array());
}

struct json *json_new_string(struct view utf8)
{
	json_t *value = json_stringn(utf8.size ? (const char *)utf8.data : "", utf8.size);
	if (value)
		return outer(value);
	auto_free char *ascii = mem_string_n((const char *)utf8.data, utf8.size);
	for (size_t i = 0; i < utf8.size; i++)
		if ((uint8_t)ascii[i] >= 0x80)
			ascii[i] = '?';
	return outer(json_stringn(ascii, utf8.size));
}

struct json *json_new_integer(int64_t value)
{
	return outer(json_integer(value));
}

struct json *json_new_boolean(bool value)
{
	return outer(value ? json_true() : json_false());
}

struct json *json_new_null(void)
{
	return outer(json_null());
}
