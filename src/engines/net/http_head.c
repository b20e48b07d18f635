/*
 * Strict checking of a request head that libmicrohttpd has already split.
 *
 * libmicrohttpd 0.9.75 is lenient: it takes a bare LF for a line end, joins folded lines, cuts a
 * line at a NUL, allows blanks before a colon and several Content-Length fields. Each of these
 * lets two programs disagree about where a request ends. It splits in place, so the head is still
 * one piece of memory in which CR, LF, the colon and two blanks have become NULs: a head is
 * well-formed exactly if names and values follow each other in it without gaps. Whatever was
 * folded, cut or ended by a bare LF leaves a gap. RFC 9112 sections 2.2, 3, 5, 6.
 */
#include "engines/net/http_internal.h"

#include <strings.h>

#include "kit/base/str.h"

#define FAULT(status, code, message)        \
	(struct http_fault)                 \
	{                                   \
		(status), (code), (message) \
	}
#define MALFORMED(message) FAULT(400, "invalid", (message))
#define NO_FAULT FAULT(0, NULL, NULL)

static bool is_token_char(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != 0 && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(struct view text)
{
	for (size_t i = 0; i < text.size; i++)
		if (!is_token_char(text.data[i]))
			return false;
	return text.size > 0;
}

/* Visible ASCII, blanks, tabs and bytes above 0x7f; no control characters. */
static bool is_field_value(struct view text)
{
	for (size_t i = 0; i < text.size; i++)
		if ((text.data[i] < 0x20 && text.data[i] != '\t') || text.data[i] == 0x7f)
			return false;
	return true;
}

static bool is_target(struct view text)
{
	for (size_t i = 0; i < text.size; i++)
		if (text.data[i] <= 0x20 || text.data[i] >= 0x7f || text.data[i] == '#')
			return false;
	return text.size > 0;
}

static struct view trim_end(struct view text)
{
	while (text.size > 0 &&
		(text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
		text.size--;
	return text;
}

static enum MHD_Result collect_field(void *request_pointer, enum MHD_ValueKind kind UNUSED,
	const char *name, size_t name_size, const char *value, size_t value_size)
{
	struct http_request *request = request_pointer;
	if (request->field_count < HTTP_HEADERS_MAX)
		request->fields[request->field_count] =
			(struct http_field){ view_of(name, name_size), view_of(value, value_size) };
	request->field_count++;
	return request->field_count > HTTP_HEADERS_MAX ? MHD_NO : MHD_YES;
}

/* The raw head, consumed piece by piece in the order it must have. */
struct walk {
	const char *at, *end;
};

static bool walk_text(struct walk *walk, const char *place, size_t size)
{
	if (walk->at != place || size > (size_t)(walk->end - walk->at))
		return false;
	walk->at += size;
	return true;
}

static bool walk_nuls(struct walk *walk, size_t count)
{
	if (count > (size_t)(walk->end - walk->at))
		return false;
	for (size_t i = 0; i < count; i++)
		if (*walk->at++ != 0)
			return false;
	return true;
}

static void walk_blanks(struct walk *walk)
{
	while (walk->at < walk->end && (*walk->at == ' ' || *walk->at == '\t'))
		walk->at++;
}

static bool head_is_gapless(
	const struct http_request *request, const char *version, struct walk walk)
{
	bool is_good = walk_text(&walk, (const char *)request->method.data, request->method.size) &&
		       walk_nuls(&walk, 1) &&
		       walk_text(&walk, request->target_place, request->target_size) &&
		       walk_nuls(&walk, 1) && walk_text(&walk, version, strlen("HTTP/1.1")) &&
		       walk_nuls(&walk, 2);
	for (size_t i = 0; i < request->field_count && is_good; i++) {
		const struct http_field *field = &request->fields[i];
		is_good = walk_text(&walk, (const char *)field->name.data, field->name.size) &&
			  walk_nuls(&walk, 1);
		walk_blanks(&walk);
		is_good = is_good &&
			  walk_text(&walk, (const char *)field->value.data, field->value.size) &&
			  walk_nuls(&walk, 2);
	}
	return is_good && walk_nuls(&walk, 2) && walk.at == walk.end;
}

static struct http_fault check_target(struct http_request *request)
{
	struct view target = view_of(request->target, request->target_size);
	if (target.size > HTTP_TARGET_MAX)
		return FAULT(414, "limit", "the request target is longer than 4096 bytes");
	if (!is_target(target))
		return MALFORMED(
			"the request target has a blank, a control or a non-ASCII character");
	if (target.data[0] != '/' && !view_equal_string(target, "*"))
		return MALFORMED("the request target must be an absolute path");
	const uint8_t *mark = memchr(target.data, '?', target.size);
	request->path = target;
	if (mark) {
		request->path.size = (size_t)(mark - target.data);
		request->query = view_of(mark + 1, target.size - request->path.size - 1);
	}
	return NO_FAULT;
}

static struct http_fault check_fields(struct http_request *request)
{
	for (size_t i = 0; i < request->field_count; i++) {
		struct http_field *field = &request->fields[i];
		if (!is_token(field->name))
			return MALFORMED(
				"a header field name is empty or has a forbidden character");
		if (!is_field_value(field->value))
			return MALFORMED("a header field value has a control character");
		field->value = trim_end(field->value);
	}
	return NO_FAULT;
}

static bool view_equal_nocase(struct view text, const char *other)
{
	return text.size == strlen(other) &&
	       strncasecmp((const char *)text.data, other, text.size) == 0;
}

/* RFC 9112 section 6: at most one of both, each once. */
static struct http_fault check_framing(struct http_request *request, bool is_http_1_0)
{
	struct view length, coding;
	size_t lengths = http_header_count(request, "Content-Length");
	size_t codings = http_header_count(request, "Transfer-Encoding");
	if (lengths > 1 || codings > 1 || (lengths && codings))
		return MALFORMED("give either one Content-Length or one Transfer-Encoding");
	if (codings && http_header_get(request, "Transfer-Encoding", &coding)) {
		if (is_http_1_0)
			return MALFORMED("HTTP/1.0 has no Transfer-Encoding");
		if (!view_equal_nocase(coding, "chunked"))
			return FAULT(
				501, "unsupported", "the only Transfer-Encoding here is chunked");
		request->is_chunked = true;
	}
	if (lengths && http_header_get(request, "Content-Length", &length)) {
		char digits[21] = "";
		struct err err;
		if (length.size == 0 || length.size >= sizeof(digits))
			return MALFORMED("Content-Length is no number");
		memcpy(digits, length.data, length.size);
		if (str_parse_u64(digits, 0, INT64_MAX, &request->content_length, &err) < 0)
			return MALFORMED("Content-Length is no number");
		request->has_content_length = true;
	}
	return NO_FAULT;
}

static struct http_fault check_meaning(struct http_request *request, bool is_http_1_0)
{
	struct view expect;
	size_t hosts = http_header_count(request, "Host");
	if (hosts > 1 || (hosts == 0 && !is_http_1_0))
		return MALFORMED("a request needs exactly one Host field");
	if (http_header_get(request, "Expect", &expect)) {
		if (!view_equal_nocase(expect, "100-continue"))
			return FAULT(
				417, "unsupported", "the only expectation here is 100-continue");
		request->expects_continue = !is_http_1_0;
	}
	return NO_FAULT;
}

struct http_fault http_head_check(
	struct http_request *request, const char *method, const char *version)
{
	struct MHD_Connection *mhd = request->connection->mhd;
	size_t size =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)->header_size;
	(void)MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, collect_field, request);
	if (request->field_count > HTTP_HEADERS_MAX) {
		request->field_count = 0;
		return FAULT(431, "limit", "more than 64 header fields");
	}
	if (size > HTTP_HEAD_MAX)
		return FAULT(431, "limit", "the request head is longer than 16384 bytes");
	request->method = view_string(method);
	if (!request->target_place ||
		!head_is_gapless(request, version, (struct walk){ method, method + size }))
		return MALFORMED(
			"the request head is malformed: every line ends with CR LF, has no "
			"NUL, is not folded, and single blanks divide the first one");
	if (!is_token(request->method))
		return MALFORMED("the method has a forbidden character");
	bool is_http_1_0 = str_equal(version, "HTTP/1.0");
	if (!is_http_1_0 && !str_equal(version, "HTTP/1.1"))
		return FAULT(505, "unsupported", "speak HTTP/1.1");
	struct http_fault fault = check_target(request);
	if (!fault.status)
		fault = check_fields(request);
	if (!fault.status)
		fault = check_framing(request, is_http_1_0);
	if (!fault.status)
		fault = check_meaning(request, is_http_1_0);
	return fault;
}
