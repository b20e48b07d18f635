/*
 * See multipart.h. A cursor eats the body from the left: delimiter, header fields, empty line,
 * content up to CR LF and the delimiter. Each piece is bounded before it is looked at.
 */
#include "kit/codec/multipart.h"

#include <strings.h>

#include "kit/base/str.h"

#define DELIMITER_MAX (4 + MULTIPART_BOUNDARY_MAX) /* CR LF "--" boundary */

struct cursor {
	struct view rest;
	size_t part; /* number for messages, from 1 */
};

static bool is_token_char(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != 0 && strchr("!#$%&'*+-.^_`|~", c));
}

/* RFC 2046: bchars, of which the last is no blank (we allow none at all). */
static bool is_boundary_char(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != 0 && strchr("'()+_,-./:=?", c));
}

static void skip(struct view *text, size_t size)
{
	text->data += size;
	text->size -= size;
}

static bool take(struct view *text, const char *expected)
{
	size_t size = strlen(expected);
	if (!view_equal(view_of(text->data, MIN(text->size, size)), view_string(expected)))
		return false;
	skip(text, size);
	return true;
}

static bool equal_nocase(struct view text, const char *other)
{
	return text.size == strlen(other) &&
	       strncasecmp((const char *)text.data, other, text.size) == 0;
}

static void take_blanks(struct view *text)
{
	while (text->size > 0 && (text->data[0] == ' ' || text->data[0] == '\t'))
		skip(text, 1);
}

static struct view take_token(struct view *text)
{
	struct view token = *text;
	while (text->size > 0 && is_token_char(text->data[0]))
		skip(text, 1);
	token.size -= text->size;
	return token;
}

/* The inside of a quoted string without escapes; false when it is none. */
static bool take_quoted(struct view *text, struct view *ret_inside)
{
	struct view inside;
	if (!take(text, "\""))
		return false;
	inside = *text;
	while (text->size > 0 && text->data[0] != '"') {
		if (text->data[0] < 0x20 || text->data[0] == 0x7f || text->data[0] == '\\')
			return false;
		skip(text, 1);
	}
	inside.size -= text->size;
	*ret_inside = inside;
	return take(text, "\"");
}

/* ; name=value with a token or quoted value; false when malformed. */
static bool take_parameter(struct view *text, struct view *ret_name, struct view *ret_value)
{
	take_blanks(text);
	if (!take(text, ";"))
		return false;
	take_blanks(text);
	*ret_name = take_token(text);
	if (ret_name->size == 0 || !take(text, "="))
		return false;
	if (text->size > 0 && text->data[0] == '"')
		return take_quoted(text, ret_value);
	*ret_value = take_token(text);
	return ret_value->size > 0;
}

/* An unquoted boundary may hold bytes that no token has, such as '/' or ':'. */
static bool take_boundary(struct view *text, struct view *ret_boundary)
{
	if (text->size > 0 && text->data[0] == '"')
		return take_quoted(text, ret_boundary);
	*ret_boundary = *text;
	while (text->size > 0 && is_boundary_char(text->data[0]))
		skip(text, 1);
	ret_boundary->size -= text->size;
	return true;
}

static int parse_content_type(const char *content_type, struct view *ret_boundary, struct err *err)
{
	struct view text = view_of(content_type, strnlen(content_type, MULTIPART_CONTENT_TYPE_MAX));
	struct view type = view_of(text.data, MIN(text.size, strlen("multipart/form-data")));
	struct view boundary = {};
	bool is_good = text.size < MULTIPART_CONTENT_TYPE_MAX &&
		       equal_nocase(type, "multipart/form-data");
	if (is_good) {
		skip(&text, type.size);
		take_blanks(&text);
		is_good = take(&text, ";");
		take_blanks(&text);
		is_good = is_good && equal_nocase(take_token(&text), "boundary") &&
			  take(&text, "=") && take_boundary(&text, &boundary);
		take_blanks(&text);
	}
	for (size_t i = 0; i < boundary.size && is_good; i++)
		is_good = is_boundary_char(boundary.data[i]);
	if (!is_good || text.size > 0 || boundary.size == 0 ||
		boundary.size > MULTIPART_BOUNDARY_MAX)
		return err_set(err, E_INVALID,
			"expected Content-Type: multipart/form-data; boundary=... with 1 to %d "
			"plain "
			"characters and no other parameter",
			MULTIPART_BOUNDARY_MAX);
	*ret_boundary = boundary;
	return 0;
}

static int malformed(const struct cursor *cursor, const char *what, struct err *err)
{
	return err_set(err, E_INVALID, "multipart body, part %zu: %s", cursor->part, what);
}

static int check_name(const struct cursor *cursor, struct view name, struct err *err)
{
	if (name.size <= MULTIPART_NAME_MAX)
		return 0;
	return err_set(err, E_LIMIT, "multipart body, part %zu: a name of %zu bytes, limit %d",
		cursor->part, name.size, MULTIPART_NAME_MAX);
}

static int read_disposition(const struct cursor *cursor, struct view value,
	struct multipart_part *part, struct err *err)
{
	if (part->name.size > 0)
		return malformed(cursor, "two Content-Disposition fields", err);
	if (!equal_nocase(take_token(&value), "form-data"))
		return malformed(cursor, "Content-Disposition is not form-data", err);
	while (value.size > 0) {
		struct view name, text;
		if (!take_parameter(&value, &name, &text))
			return malformed(cursor,
				"Content-Disposition is malformed; names are plain text in quotes, "
				"without backslashes",
				err);
		TRY(check_name(cursor, text, err));
		if (equal_nocase(name, "name") && part->name.size == 0) {
			part->name = text;
		} else if (equal_nocase(name, "filename") && !part->has_filename) {
			part->filename = text;
			part->has_filename = true;
		} else {
			return malformed(cursor,
				"Content-Disposition has a parameter other than one name and one "
				"filename",
				err);
		}
	}
	if (part->name.size == 0)
		return malformed(cursor, "Content-Disposition has no name", err);
	return 0;
}

static int read_field(
	const struct cursor *cursor, struct view line, struct multipart_part *part, struct err *err)
{
	struct view name = take_token(&line);
	if (name.size == 0 || !take(&line, ":"))
		return malformed(cursor, "a header field has no name and colon", err);
	take_blanks(&line);
	for (size_t i = 0; i < line.size; i++)
		if ((line.data[i] < 0x20 && line.data[i] != '\t') || line.data[i] == 0x7f)
			return malformed(cursor, "a header field has a control character", err);
	while (line.size > 0 &&
		(line.data[line.size - 1] == ' ' || line.data[line.size - 1] == '\t'))
		line.size--;
	if (equal_nocase(name, "Content-Disposition"))
		return read_disposition(cursor, line, part, err);
	if (equal_nocase(name, "Content-Type")) {
		if (part->content_type.size > 0)
			return malformed(cursor, "two Content-Type fields", err);
		part->content_type = line;
	}
	if (equal_nocase(name, "Content-Transfer-Encoding") && !equal_nocase(line, "binary") &&
		!equal_nocase(line, "8bit") && !equal_nocase(line, "7bit"))
		return malformed(cursor, "send the content as it is, not transfer-encoded", err);
	return 0; /* other fields do not change what the part is */
}

/* Header fields and the empty line behind them. */
static int read_head(struct cursor *cursor, struct multipart_part *part, struct err *err)
{
	size_t window = MIN(cursor->rest.size, (size_t)MULTIPART_HEAD_MAX);
	const uint8_t *end = window ? memmem(cursor->rest.data, window, "\r\n\r\n", 4) : NULL;
	if (!end && cursor->rest.size > MULTIPART_HEAD_MAX)
		return err_set(err, E_LIMIT,
			"multipart body, part %zu: header fields longer than %d bytes, or no empty "
			"line behind them",
			cursor->part, MULTIPART_HEAD_MAX);
	if (!end)
		return malformed(cursor, "the body ends in its header fields", err);
	struct view head = view_of(cursor->rest.data, (size_t)(end - cursor->rest.data) + 2);
	while (head.size > 0) {
		const uint8_t *line_end = memmem(head.data, head.size, "\r\n", 2);
		struct view line = view_of(head.data, (size_t)(line_end - head.data));
		TRY(read_field(cursor, line, part, err));
		skip(&head, line.size + 2);
	}
	if (part->name.size == 0)
		return malformed(cursor, "no Content-Disposition with a name", err);
	skip(&cursor->rest, (size_t)(end - cursor->rest.data) + 4);
	return 0;
}

static int read_content(
	struct cursor *cursor, struct view delimiter, struct multipart_part *part, struct err *err)
{
	const uint8_t *end = cursor->rest.size ? memmem(cursor->rest.data, cursor->rest.size,
							 delimiter.data, delimiter.size)
					       : NULL;
	if (!end)
		return malformed(cursor, "the body ends before the closing boundary", err);
	part->content = view_of(cursor->rest.data, (size_t)(end - cursor->rest.data));
	skip(&cursor->rest, part->content.size + delimiter.size);
	return 0;
}

static int check_unique(const struct cursor *cursor, const struct multipart *parts,
	struct view name, struct err *err)
{
	char quoted[STR_QUOTE_MAX];
	for (size_t i = 0; i < parts->count; i++)
		if (view_equal(parts->parts[i].name, name))
			return err_set(err, E_INVALID,
				"multipart body, part %zu: the name '%s' was used before; give "
				"each "
				"part its own",
				cursor->part, str_quote(name, quoted));
	return 0;
}

static int read_parts(
	struct cursor *cursor, struct view delimiter, struct multipart *parts, struct err *err)
{
	while (take(&cursor->rest, "\r\n")) {
		struct multipart_part part = {};
		cursor->part++;
		if (parts->count == MULTIPART_PARTS_MAX)
			return err_set(err, E_LIMIT, "multipart body: more than %d parts",
				MULTIPART_PARTS_MAX);
		TRY(read_head(cursor, &part, err));
		TRY(check_unique(cursor, parts, part.name, err));
		TRY(read_content(cursor, delimiter, &part, err));
		parts->parts[parts->count++] = part;
	}
	if (!take(&cursor->rest, "--"))
		return malformed(cursor, "neither CR LF nor -- behind a boundary", err);
	(void)take(&cursor->rest, "\r\n");
	if (cursor->rest.size > 0)
		return malformed(cursor, "bytes behind the closing boundary", err);
	if (parts->count == 0)
		return err_set(err, E_INVALID, "multipart body: it has no part");
	return 0;
}

int multipart_parse(
	struct view body, const char *content_type, struct multipart *ret_parts, struct err *err)
{
	char delimiter[DELIMITER_MAX + 1] = "\r\n--";
	struct view boundary;
	struct cursor cursor = { .rest = body };
	TRY(parse_content_type(content_type, &boundary, err));
	memcpy(delimiter + 4, boundary.data, boundary.size);
	if (!take(&cursor.rest, delimiter + 2))
		return err_set(err, E_INVALID,
			"multipart body: it does not begin with the boundary that Content-Type "
			"names");
	ret_parts->count = 0;
	return read_parts(&cursor, view_string(delimiter), ret_parts, err);
}
