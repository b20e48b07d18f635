/* kit/codec/multipart: what clients send, each fault, each limit. */
#include "unit.h"

#include <stdio.h>

#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "kit/codec/multipart.h"

#define TYPE "multipart/form-data; boundary=XX"
#define PART(name, content) \
	"--XX\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" content "\r\n"

static int parse(const char *body, struct multipart *ret_parts, struct err *err)
{
	return multipart_parse(view_string(body), TYPE, ret_parts, err);
}

START_TEST(parts_are_views)
{
	struct err err;
	struct multipart parts;
	static const char body[] =
		"--XX\r\nContent-Disposition: form-data; name=\"request\"\r\n\r\n{}\r\n"
		"--XX\r\ncontent-disposition: FORM-DATA;name=f ; filename=\"a b.csv\"\r\n"
		"Content-Type: text/csv \r\nContent-Length: 5\r\n"
		"Content-Transfer-Encoding: binary\r\n\r\na\r\n--XY\r\n"
		"--XX\r\nContent-Disposition: form-data; name=\"empty\"; filename=\"\"\r\n\r\n\r\n"
		"--XX--\r\n";
	ck_assert_ok(parse(body, &parts, &err), err);
	ck_assert_uint_eq(parts.count, 3);
	ck_assert(view_equal_string(parts.parts[0].name, "request"));
	ck_assert(view_equal_string(parts.parts[0].content, "{}"));
	ck_assert(!parts.parts[0].has_filename && parts.parts[0].content_type.size == 0);
	ck_assert(view_equal_string(parts.parts[1].name, "f"));
	ck_assert(view_equal_string(parts.parts[1].filename, "a b.csv"));
	ck_assert(view_equal_string(parts.parts[1].content_type, "text/csv"));
	ck_assert(view_equal_string(parts.parts[1].content, "a\r\n--XY"));
	ck_assert(parts.parts[2].has_filename && parts.parts[2].filename.size == 0);
	ck_assert_uint_eq(parts.parts[2].content.size, 0);
	ck_assert_ptr_eq(parts.parts[0].content.data, strstr(body, "{}"));
}
END_TEST

START_TEST(content_is_binary)
{
	struct err err;
	struct multipart parts;
	static const char body[] = "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n"
				   "\0\r\n\r\n--X\xff\r\n--XX--";
	ck_assert_ok(multipart_parse(view_of(body, sizeof(body) - 1), TYPE, &parts, &err), err);
	ck_assert_uint_eq(parts.parts[0].content.size, 9);
}
END_TEST

START_TEST(content_types)
{
	struct err err;
	struct multipart parts;
	static const struct {
		const char *type;
		int expected;
	} rows[] = {
		{ "multipart/form-data; boundary=XX", 0 },
		{ "Multipart/Form-Data;boundary=\"XX\"", 0 },
		{ "multipart/form-data ; BOUNDARY=XX ", 0 },
		{ "multipart/form-data", E_INVALID },
		{ "multipart/form-data;", E_INVALID },
		{ "multipart/form-data; boundary=", E_INVALID },
		{ "multipart/form-data; boundary=\"\"", E_INVALID },
		{ "multipart/form-data; boundary=\"XX", E_INVALID },
		{ "multipart/form-data; boundary=X\"X", E_INVALID },
		{ "multipart/form-data; boundary=\"X X\"", E_INVALID },
		{ "multipart/form-data; boundary=XX; charset=x", E_INVALID },
		{ "multipart/form-data; charset=x; boundary=XX", E_INVALID },
		{ "multipart/form-data; boundary=XX; boundary=YY", E_INVALID },
		{ "multipart/form-dataX; boundary=XX", E_INVALID },
		{ "multipart/mixed; boundary=XX", E_INVALID },
		{ "multipart/form-data; boundary=YY", E_INVALID },
		{ "", E_INVALID },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		ck_assert_msg(multipart_parse(view_string(PART("a", "1") "--XX--"), rows[i].type,
				      &parts, &err) == rows[i].expected,
			"%s", rows[i].type);
}
END_TEST

START_TEST(faults)
{
	struct err err;
	struct multipart parts;
	static const char *const bodies[] = {
		"",
		"--XX",
		"--XX--",
		"--XX--\r\n",
		"--XX\r\n",
		"--XX\r\n\r\n",
		"--XX\r\n\r\nx\r\n--XX--",
		"preamble\r\n" PART("a", "1") "--XX--",
		"\r\n" PART("a", "1") "--XX--",
		PART("a", "1"),
		PART("a", "1") "--XX",
		PART("a", "1") "--XX-",
		PART("a", "1") "--XX \r\n",
		PART("a", "1") "--XX--epilogue",
		PART("a", "1") "--XX--\r\n\r\n",
		PART("a", "1") "--XX--\n",
		PART("a", "1") PART("a", "2") "--XX--",
		PART("", "1") "--XX--",
		PART("a\\\"b", "1") "--XX--",
		PART("a\tb", "1") "--XX--",
		PART("a", "1\r\n--XXsmuggled") "--XX--",
		"--XX\nContent-Disposition: form-data; name=\"a\"\n\n1\n--XX--",
		"--XX\r\nContent-Disposition: form-data; name=\"a\"\n\r\n1\r\n--XX--",
		"--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n1\r\n--XX--",
		"--XX\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\n1\r\n--XX--",
		"--XX\r\nContent-Disposition: form-data\r\n\r\n1\r\n--XX--",
		"--XX\r\nContent-Disposition: form-data; filename=\"a\"\r\n\r\n1\r\n--XX--",
		"--XX\r\nContent-Disposition: form-data; name=\"a\"; name=\"b\"\r\n\r\n1\r\n--XX--",
		"--XX\r\nContent-Disposition: form-data; name=\"a\"; filename=\"b\"; "
		"filename=\"c\"\r\n\r\n1\r\n--XX--",
		"--XX\r\nContent-Disposition: form-data; name=\"a\"; "
		"filename*=utf-8''b\r\n\r\n1\r\n"
		"--XX--",
		"--XX\r\nContent-Disposition: form-data; name=\"a\";\r\n\r\n1\r\n--XX--",
		"--XX\r\nContent-Disposition: form-data; name=\"a\" x\r\n\r\n1\r\n--XX--",
		"--XX\r\nContent-Disposition: form-data; name=\"a\r\n\r\n1\r\n--XX--",
		"--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n"
		"Content-Disposition: form-data; name=\"b\"\r\n\r\n1\r\n--XX--",
		"--XX\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Type: a\r\n"
		"Content-Type: b\r\n\r\n1\r\n--XX--",
		"--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n"
		"Content-Transfer-Encoding: base64\r\n\r\nMQ==\r\n--XX--",
		"--XX\r\nContent-Disposition: form-data; name=\"a\"\r\nno colon\r\n\r\n1\r\n--XX--",
		"--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n: x\r\n\r\n1\r\n--XX--",
		"--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n folded\r\n\r\n1\r\n--XX--",
		"--XX\r\nContent-Disposition : form-data; name=\"a\"\r\n\r\n1\r\n--XX--",
		"--XX\r\nX: \x01\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--XX--",
	};
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++)
		ck_assert_msg(parse(bodies[i], &parts, &err) == E_INVALID, "%zu: %s", i, bodies[i]);
	/* every proper beginning of a good body is refused */
	static const char good[] = PART("a", "1") PART("b", "2") "--XX--";
	for (size_t size = 0; size < sizeof(good) - 1; size++)
		ck_assert_fails(
			multipart_parse(view_of(good, size), TYPE, &parts, &err), E_INVALID, err);
	ck_assert_ok(parse(good, &parts, &err), err);
}
END_TEST

START_TEST(limits_of_names_and_heads)
{
	struct err err;
	struct multipart parts;
	for (size_t i = 0; i < 3; i++) {
		size_t size = MULTIPART_NAME_MAX - 1 + i;
		char name[MULTIPART_NAME_MAX + 2] = "";
		auto_done(buf) body = {};
		memset(name, 'n', size);
		ck_assert_ok(buf_append_format(&body, &err,
				     "--XX\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n1"
				     "\r\n--XX--",
				     name),
			err);
		ck_assert_int_eq(parse(buf_string(&body), &parts, &err), i < 2 ? 0 : E_LIMIT);
	}
	static const char disposition[] = "Content-Disposition: form-data; name=\"a\"\r\nX: ";
	for (size_t i = 0; i < 3; i++) {
		char filler[MULTIPART_HEAD_MAX] = "";
		auto_done(buf) body = {};
		memset(filler, 'x', MULTIPART_HEAD_MAX - strlen(disposition) - 4 - 1 + i);
		ck_assert_ok(buf_append_format(&body, &err, "--XX\r\n%s%s\r\n\r\n1\r\n--XX--",
				     disposition, filler),
			err);
		ck_assert_int_eq(parse(buf_string(&body), &parts, &err), i < 2 ? 0 : E_LIMIT);
	}
}
END_TEST

START_TEST(limits_of_parts_and_boundaries)
{
	struct err err;
	struct multipart parts;
	for (size_t count = MULTIPART_PARTS_MAX - 1; count <= MULTIPART_PARTS_MAX + 1; count++) {
		auto_done(buf) body = {};
		for (size_t i = 0; i < count; i++)
			ck_assert_ok(buf_append_format(&body, &err,
					     "--XX\r\nContent-Disposition: form-data; "
					     "name=\"p%zu\"\r\n\r\n1\r\n",
					     i),
				err);
		ck_assert_ok(buf_append_string(&body, "--XX--", &err), err);
		ck_assert_int_eq(parse(buf_string(&body), &parts, &err),
			count > MULTIPART_PARTS_MAX ? E_LIMIT : 0);
	}
	for (size_t i = 0; i < 3; i++) {
		char boundary[MULTIPART_BOUNDARY_MAX + 2] = "";
		char type[160];
		auto_done(buf) body = {};
		memset(boundary, 'b', MULTIPART_BOUNDARY_MAX - 1 + i);
		ck_assert_ok(str_format(type, sizeof(type), &err,
				     "multipart/form-data; boundary=%s", boundary),
			err);
		ck_assert_ok(buf_append_format(&body, &err,
				     "--%s\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1"
				     "\r\n--%s--",
				     boundary, boundary),
			err);
		ck_assert_int_eq(multipart_parse(buf_view(&body), type, &parts, &err),
			i < 2 ? 0 : E_INVALID);
	}
}
END_TEST

UNIT_MAIN("multipart", parts_are_views, content_is_binary, content_types, faults,
	limits_of_names_and_heads, limits_of_parts_and_boundaries)
