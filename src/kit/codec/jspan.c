/*
 * See jspan.h. The checker is a loop over an explicit stack of containers; names of the objects
 * that are open lie in one array, so that duplicates are found without allocation.
 */
#include "kit/codec/jspan.h"

#include <assert.h>
#include <endian.h>

#include "kit/base/time.h"
#include "kit/codec/hex.h"

struct checker {
	struct view text;
	size_t at;
	size_t depth;
	bool is_object[JSPAN_DEPTH_MAX];
	size_t first_name[JSPAN_DEPTH_MAX];
	struct view names[JSPAN_OPEN_NAMES_MAX];
	size_t name_count;
};

static int fault(const struct checker *c, const char *what, struct err *err)
{
	return err_set(err, E_INVALID, "JSON at %zu: %s", c->at, what);
}

static uint8_t byte_at(struct view text, size_t at)
{
	return at < text.size ? text.data[at] : 0;
}

static bool is_blank(uint8_t byte)
{
	return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

static bool is_digit(uint8_t byte)
{
	return byte >= '0' && byte <= '9';
}

static bool is_hex_digit(uint8_t byte)
{
	return is_digit(byte) || (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F');
}

static size_t skip_blanks(struct view text, size_t at)
{
	while (at < text.size && is_blank(text.data[at]))
		at++;
	return at;
}

/* Bytes of one well-formed UTF-8 sequence (RFC 3629 section 4), 0 when malformed. */
static size_t utf8_size(struct view text, size_t at)
{
	uint8_t first = byte_at(text, at), second = byte_at(text, at + 1);
	if (first < 0x80)
		return 1;
	size_t size = first >= 0xc2 && first <= 0xdf   ? 2
		      : (first & 0xf0) == 0xe0         ? 3
		      : first >= 0xf0 && first <= 0xf4 ? 4
						       : 0;
	if (size == 0 || at + size > text.size)
		return 0;
	for (size_t i = 1; i < size; i++)
		if ((text.data[at + i] & 0xc0) != 0x80)
			return 0;
	bool is_wrong = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
			(first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
	return is_wrong ? 0 : size;
}

static int check_escape(struct checker *c, struct err *err)
{
	uint8_t kind = byte_at(c->text, c->at + 1);
	if (kind != 'u') {
		if (kind == 0 || !strchr("\"\\/bfnrt", kind))
			return fault(c, "unknown escape", err);
		c->at += 2;
		return 0;
	}
	for (size_t i = 2; i < 6; i++)
		if (!is_hex_digit(byte_at(c->text, c->at + i)))
			return fault(c, "expected four hexadecimal digits", err);
	c->at += 6;
	return 0;
}

/* c->at is at the opening quote; leaves it behind the closing one. */
static int check_string(struct checker *c, bool *ret_has_escape, struct err *err)
{
	*ret_has_escape = false;
	for (c->at++; c->at < c->text.size && c->text.data[c->at] != '"';) {
		uint8_t byte = c->text.data[c->at];
		if (byte < 0x20)
			return fault(c, "control character in a string", err);
		if (byte == '\\') {
			*ret_has_escape = true;
			TRY(check_escape(c, err));
			continue;
		}
		size_t size = utf8_size(c->text, c->at);
		if (size == 0)
			return fault(c, "invalid UTF-8", err);
		c->at += size;
	}
	if (c->at >= c->text.size)
		return fault(c, "string without end", err);
	c->at++;
	return 0;
}

static int check_digits(struct checker *c, struct err *err)
{
	if (!is_digit(byte_at(c->text, c->at)))
		return fault(c, "expected a digit", err);
	while (is_digit(byte_at(c->text, c->at)))
		c->at++;
	return 0;
}

static int check_number(struct checker *c, struct err *err)
{
	if (byte_at(c->text, c->at) == '-')
		c->at++;
	if (byte_at(c->text, c->at) == '0' && is_digit(byte_at(c->text, c->at + 1)))
		return fault(c, "number with a leading zero", err);
	TRY(check_digits(c, err));
	if (byte_at(c->text, c->at) == '.') {
		c->at++;
		TRY(check_digits(c, err));
	}
	if (byte_at(c->text, c->at) == 'e' || byte_at(c->text, c->at) == 'E') {
		c->at++;
		if (byte_at(c->text, c->at) == '+' || byte_at(c->text, c->at) == '-')
			c->at++;
		TRY(check_digits(c, err));
	}
	return 0;
}

static int check_literal(struct checker *c, struct err *err)
{
	static const char *const literals[] = { "true", "false", "null" };
	for (size_t i = 0; i < ARRAY_SIZE(literals); i++) {
		size_t size = strlen(literals[i]);
		if (c->text.size - c->at >= size &&
			view_equal_string(view_of(c->text.data + c->at, size), literals[i])) {
			c->at += size;
			return 0;
		}
	}
	return fault(c, "expected a value", err);
}

/* Name and colon of a member; the name joins the open names. */
static int check_name(struct checker *c, struct err *err)
{
	c->at = skip_blanks(c->text, c->at);
	if (byte_at(c->text, c->at) != '"')
		return fault(c, "expected a member name", err);
	size_t begin = c->at + 1;
	bool has_escape;
	TRY(check_string(c, &has_escape, err));
	if (has_escape)
		return fault(c, "escape in a member name", err);
	struct view name = view_of(c->text.data + begin, c->at - 1 - begin);
	for (size_t i = c->first_name[c->depth - 1]; i < c->name_count; i++)
		if (view_equal(c->names[i], name))
			return fault(c, "member name twice", err);
	if (c->name_count == JSPAN_OPEN_NAMES_MAX)
		return err_set(err, E_LIMIT, "JSON at %zu: more than %d members", c->at,
			JSPAN_OPEN_NAMES_MAX);
	c->names[c->name_count++] = name;
	c->at = skip_blanks(c->text, c->at);
	if (byte_at(c->text, c->at) != ':')
		return fault(c, "expected ':'", err);
	c->at = skip_blanks(c->text, c->at + 1);
	return 0;
}

static int open_container(struct checker *c, bool is_object, struct err *err)
{
	if (c->depth == JSPAN_DEPTH_MAX)
		return err_set(
			err, E_LIMIT, "JSON at %zu: deeper than %d levels", c->at, JSPAN_DEPTH_MAX);
	c->is_object[c->depth] = is_object;
	c->first_name[c->depth] = c->name_count;
	c->depth++;
	c->at = skip_blanks(c->text, c->at + 1);
	return 0;
}

/* Close containers as long as they end here; true when another value follows. */
static int close_or_continue(struct checker *c, bool *ret_has_more, struct err *err)
{
	while (c->depth > 0) {
		c->at = skip_blanks(c->text, c->at);
		bool is_object = c->is_object[c->depth - 1];
		uint8_t byte = byte_at(c->text, c->at);
		if (byte == ',') {
			c->at = skip_blanks(c->text, c->at + 1);
			*ret_has_more = true;
			return is_object ? check_name(c, err) : 0;
		}
		if (byte != (is_object ? '}' : ']'))
			return fault(c, "expected ',' or the end of the container", err);
		c->depth--;
		c->name_count = c->first_name[c->depth];
		c->at++;
	}
	*ret_has_more = false;
	return 0;
}

/* One scalar, or the opening of a container; *ret_is_open when elements follow at once. */
static int check_begin(struct checker *c, bool *ret_is_open, struct err *err)
{
	uint8_t byte = byte_at(c->text, c->at);
	bool has_escape;
	*ret_is_open = false;
	if (byte == '"')
		return check_string(c, &has_escape, err);
	if (byte == '-' || is_digit(byte))
		return check_number(c, err);
	if (byte != '{' && byte != '[')
		return check_literal(c, err);
	TRY(open_container(c, byte == '{', err));
	if (byte_at(c->text, c->at) == (byte == '{' ? '}' : ']'))
		return 0; /* empty: close_or_continue() closes it */
	*ret_is_open = true;
	return byte == '{' ? check_name(c, err) : 0;
}

static enum jspan_type type_of(uint8_t byte)
{
	static const char first[] = "{[\"tfn";
	static const enum jspan_type types[] = { JSPAN_OBJECT, JSPAN_ARRAY, JSPAN_STRING,
		JSPAN_TRUE, JSPAN_FALSE, JSPAN_NULL };
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (byte == (uint8_t)first[i])
			return types[i];
	return JSPAN_NUMBER;
}

int jspan_check(struct view text, size_t size_max, struct jspan *ret_value, struct err *err)
{
	if (text.size > size_max)
		return err_set(err, E_LIMIT, "JSON of %zu bytes, limit %zu", text.size, size_max);
	struct checker c; /* large, so only what is used is written */
	c.text = text;
	c.at = skip_blanks(text, 0);
	c.depth = 0;
	c.name_count = 0;
	size_t begin = c.at;
	bool has_more = true;
	while (has_more) {
		bool is_open;
		TRY(check_begin(&c, &is_open, err));
		if (!is_open)
			TRY(close_or_continue(&c, &has_more, err));
	}
	size_t end = c.at;
	c.at = skip_blanks(text, c.at);
	if (c.at != text.size)
		return fault(&c, "bytes behind the document", err);
	*ret_value = (struct jspan){ type_of(text.data[begin]),
		view_of(text.data + begin, end - begin) };
	return 0;
}

/* The high bit of each byte of word that equals byte; exact up to the lowest that is set. */
static uint64_t bytes_equal(uint64_t word, uint8_t byte)
{
	const uint64_t ones = 0x0101010101010101, highs = 0x8080808080808080;
	uint64_t zero_where_equal = word ^ ones * byte;
	return (zero_where_equal - ones) & ~zero_where_equal & highs;
}

/* The next quote or backslash; eight bytes at a time, for most of a document lies in strings. */
static size_t find_string_mark(struct view text, size_t at)
{
	uint64_t word;
	for (; at + sizeof(word) <= text.size; at += sizeof(word)) {
		memcpy(&word, text.data + at, sizeof(word));
		word = le64toh(word);
		uint64_t marks = bytes_equal(word, '"') | bytes_equal(word, '\\');
		if (marks)
			return at + (size_t)__builtin_ctzll(marks) / 8;
	}
	while (text.data[at] != '"' && text.data[at] != '\\')
		at++;
	return at;
}

/* Behind the string whose opening quote is at. The text was checked. */
static size_t skip_string(struct view text, size_t at)
{
	for (at++;; at += 2) {
		at = find_string_mark(text, at);
		if (text.data[at] == '"')
			return at + 1;
	}
}

/* What matters when a container is skipped: quotes, what opens, what closes. */
enum skip_class { SKIP_PLAIN, SKIP_QUOTE, SKIP_OPEN, SKIP_CLOSE };
static const uint8_t skip_classes[UINT8_MAX + 1] = {
	['"'] = SKIP_QUOTE,
	['{'] = SKIP_OPEN,
	['['] = SKIP_OPEN,
	['}'] = SKIP_CLOSE,
	[']'] = SKIP_CLOSE,
};

/* Behind the container that opens at. */
static size_t skip_container(struct view text, size_t at)
{
	size_t depth = 0;
	do {
		while (skip_classes[text.data[at]] == SKIP_PLAIN)
			at++;
		uint8_t class = skip_classes[text.data[at]];
		if (class == SKIP_QUOTE) {
			at = skip_string(text, at);
			continue;
		}
		depth += class == SKIP_OPEN ? 1 : 0;
		depth -= class == SKIP_CLOSE ? 1 : 0;
		at++;
	} while (depth > 0);
	return at;
}

/* Behind the value that begins at. */
static size_t skip_value(struct view text, size_t at)
{
	if (text.data[at] == '"')
		return skip_string(text, at);
	if (skip_classes[text.data[at]] == SKIP_OPEN)
		return skip_container(text, at);
	while (at < text.size && !is_blank(text.data[at]) && text.data[at] != ',' &&
		text.data[at] != ']' && text.data[at] != '}')
		at++;
	return at;
}

bool jspan_next(
	struct jspan container, size_t *position, struct view *ret_name, struct jspan *ret_value)
{
	struct view text = container.text;
	if (container.type != JSPAN_OBJECT && container.type != JSPAN_ARRAY)
		return false;
	size_t at = skip_blanks(text, *position == 0 ? 1 : *position);
	if (text.data[at] == ',')
		at = skip_blanks(text, at + 1);
	if (at + 1 >= text.size)
		return false; /* only the closing bracket is left */
	struct view name = {};
	if (container.type == JSPAN_OBJECT) {
		size_t end = skip_string(text, at);
		name = view_of(text.data + at + 1, end - at - 2);
		at = skip_blanks(text, end);
		at = skip_blanks(text, at + 1);
	}
	size_t end = skip_value(text, at);
	assert(end < text.size);
	if (ret_name)
		*ret_name = name;
	*ret_value = (struct jspan){ type_of(text.data[at]), view_of(text.data + at, end - at) };
	*position = end;
	return true;
}

void jspan_members(
	struct jspan object, const char *const *names, size_t count, struct jspan *ret_values)
{
	struct view each;
	struct jspan value;
	size_t left = count;
	for (size_t i = 0; i < count; i++)
		ret_values[i] = (struct jspan){};
	if (object.type != JSPAN_OBJECT)
		return;
	for (size_t position = 0; left > 0 && jspan_next(object, &position, &each, &value);)
		for (size_t i = 0; i < count; i++)
			if (view_equal_string(each, names[i])) {
				ret_values[i] = value; /* no name comes twice: jspan_check() */
				left--;
				break;
			}
}

struct jspan jspan_get(struct jspan object, const char *name)
{
	struct jspan value;
	jspan_members(object, &name, 1, &value);
	return value;
}

size_t jspan_count(struct jspan container)
{
	struct jspan value;
	size_t count = 0;
	for (size_t position = 0; jspan_next(container, &position, NULL, &value);)
		count++;
	return count;
}

bool jspan_string(struct jspan value, struct view *ret_text)
{
	if (value.type != JSPAN_STRING)
		return false;
	struct view text = view_of(value.text.data + 1, value.text.size - 2);
	if (text.size > 0 && memchr(text.data, '\\', text.size))
		return false;
	*ret_text = text;
	return true;
}

bool jspan_is(struct jspan value, const char *text)
{
	struct view string;
	return jspan_string(value, &string) && view_equal_string(string, text);
}

bool jspan_integer(struct jspan value, int64_t min, int64_t max, int64_t *ret_value)
{
	struct view text = value.text;
	bool is_negative = text.size > 0 && text.data[0] == '-';
	if (value.type != JSPAN_NUMBER || (is_negative && text.data[1] == '0'))
		return false;
	int64_t number = 0;
	for (size_t i = is_negative ? 1 : 0; i < text.size; i++) {
		if (!is_digit(text.data[i]) || __builtin_mul_overflow(number, 10, &number) ||
			__builtin_sub_overflow(number, text.data[i] - '0', &number))
			return false;
	}
	if (!is_negative && __builtin_sub_overflow(0, number, &number))
		return false;
	if (number < min || number > max)
		return false;
	*ret_value = number;
	return true;
}

bool jspan_hex(struct jspan value, uint8_t *ret_bytes, size_t size)
{
	struct view text;
	struct err ignored;
	return jspan_string(value, &text) && hex_decode(text, ret_bytes, size, &ignored) == 0;
}

bool jspan_time(struct jspan value, uint64_t *ret_wall_ms)
{
	char copy[TIME_TEXT_SIZE];
	struct view text;
	struct err ignored;
	if (!jspan_string(value, &text) || text.size >= sizeof(copy))
		return false;
	memcpy(copy, text.data, text.size);
	copy[text.size] = 0;
	return strlen(copy) == text.size && time_parse(copy, ret_wall_ms, &ignored) == 0;
}
