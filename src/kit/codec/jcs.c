/*
 * See jcs.h. Trees were depth-limited when they were read, so walking them recursively is bounded.
 */
#include "kit/codec/jcs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "kit/base/mem.h"

enum {
	DIGITS_MAX = 17, /* always enough for a double */
	TEXT_MAX = 40,
	PLAIN_MAX = 21, /* ECMA-262 Number::toString: larger ones get an exponent */
	PLAIN_MIN = -6,
	UTF8_PRIVATE = 0xee, /* first byte from U+E000 on: surrogates sort before it in UTF-16 */
};

/* The fewest significant digits that give the number back, and where the point stands. */
static size_t shortest(double number, char ret_digits[static DIGITS_MAX + 1], int *ret_point)
{
	char text[TEXT_MAX];
	size_t count = 0;
	for (int precision = 0; precision < DIGITS_MAX; precision++) {
		(void)snprintf(text, sizeof(text), "%.*e", precision, number);
		if (strtod(text, NULL) >= number && strtod(text, NULL) <= number)
			break;
	}
	const char *exponent = strchr(text, 'e');
	for (const char *at = text; at < exponent; at++)
		if (*at != '.')
			ret_digits[count++] = *at;
	while (count > 1 && ret_digits[count - 1] == '0')
		count--;
	ret_digits[count] = 0;
	*ret_point = (int)strtol(exponent + 1, NULL, 10) + 1;
	return count;
}

static int put_zeros(struct buf *buf, int count, struct err *err)
{
	for (int i = 0; i < count; i++)
		TRY(buf_append_string(buf, "0", err));
	return 0;
}

int jcs_number(double number, struct buf *buf, struct err *err)
{
	char digits[DIGITS_MAX + 1];
	int point;
	if (!isfinite(number))
		return err_set(err, E_INVALID, "canonical JSON: a number beyond doubles");
	if (fpclassify(number) == FP_ZERO)
		return buf_append_string(buf, "0", err);
	if (number < 0)
		TRY(buf_append_string(buf, "-", err));
	int count = (int)shortest(fabs(number), digits, &point);
	if (count <= point && point <= PLAIN_MAX) {
		TRY(buf_append_string(buf, digits, err));
		return put_zeros(buf, point - count, err);
	}
	if (0 < point && point <= PLAIN_MAX)
		return buf_append_format(buf, err, "%.*s.%s", point, digits, digits + point);
	if (PLAIN_MIN < point && point <= 0) {
		TRY(buf_append_string(buf, "0.", err));
		TRY(put_zeros(buf, -point, err));
		return buf_append_string(buf, digits, err);
	}
	return buf_append_format(
		buf, err, "%c%s%se%+d", digits[0], count > 1 ? "." : "", digits + 1, point - 1);
}

static int compare_names(const void *a, const void *b)
{
	const char *const *left = a, *const *right = b;
	return strcmp(*left, *right);
}

static int put_name(const char *name, struct buf *buf, struct err *err)
{
	for (const char *at = name; *at; at++)
		if ((uint8_t)*at >= UTF8_PRIVATE)
			return err_set(err, E_UNSUPPORTED,
				"canonical JSON: a member name with characters from U+E000 on");
	auto_json *text = json_new_string(view_string(name));
	return json_encode(text, buf, err);
}

static int put_object(const struct json *object, struct buf *buf, struct err *err)
{
	size_t count = json_size(object), i = 0;
	auto_free const char **names = mem_alloc(count + 1, sizeof(*names));
	for (const struct json_member_at *at = json_first(object); at; at = json_next(object, at))
		names[i++] = json_name(at);
	qsort(names, count, sizeof(*names), compare_names);
	TRY(buf_append_string(buf, "{", err));
	for (i = 0; i < count; i++) {
		TRY(buf_append_string(buf, i ? "," : "", err));
		TRY(put_name(names[i], buf, err));
		TRY(buf_append_string(buf, ":", err));
		TRY(jcs_encode(json_get(object, names[i]), buf, err));
	}
	return buf_append_string(buf, "}", err);
}

static int put_array(const struct json *array, struct buf *buf, struct err *err)
{
	TRY(buf_append_string(buf, "[", err));
	for (size_t i = 0; i < json_size(array); i++) {
		TRY(buf_append_string(buf, i ? "," : "", err));
		TRY(jcs_encode(json_at(array, i), buf, err));
	}
	return buf_append_string(buf, "]", err);
}

int jcs_encode(const struct json *value, struct buf *buf, struct err *err)
{
	enum json_kind kind = json_kind(value);
	if (kind == JSON_KIND_OBJECT)
		return put_object(value, buf, err);
	if (kind == JSON_KIND_ARRAY)
		return put_array(value, buf, err);
	if (kind == JSON_KIND_REAL)
		return jcs_number(json_as_real(value), buf, err);
	if (kind == JSON_KIND_INTEGER) /* a double too; larger ones lose digits as RFC 8785 says */
		return jcs_number((double)json_as_integer(value), buf, err);
	return json_encode(value, buf, err);
}
