/* kit/codec: hex, base64, JSON reading, matching, canonical writing. */
#include "unit.h"

#include "kit/base/str.h"
#include "kit/codec/base64.h"
#include "kit/codec/hex.h"
#include "kit/codec/json.h"

START_TEST(hex_round_trip_and_faults)
{
	struct err err;
	uint8_t bytes[3];
	char text[HEX_SIZE(3)];
	ck_assert_str_eq(hex_encode(view_of("\0\xab\xff", 3), text), "00abff");
	ck_assert_ok(hex_decode(view_string("00aBFf"), bytes, 3, &err), err);
	ck_assert_mem_eq(bytes, "\0\xab\xff", 3);
	ck_assert_fails(hex_decode(view_string("00abf"), bytes, 3, &err), E_INVALID, err);
	ck_assert_fails(hex_decode(view_string("00abfff"), bytes, 3, &err), E_INVALID, err);
	ck_assert_fails(hex_decode(view_string("00abfg"), bytes, 3, &err), E_INVALID, err);
}
END_TEST

/* RFC 4648 section 10, and the same in the URL alphabet without padding. */
START_TEST(base64_vectors)
{
	static const char *const rows[][3] = {
		{ "", "", "" },
		{ "f", "Zg==", "Zg" },
		{ "fo", "Zm8=", "Zm8" },
		{ "foo", "Zm9v", "Zm9v" },
		{ "foob", "Zm9vYg==", "Zm9vYg" },
		{ "fooba", "Zm9vYmE=", "Zm9vYmE" },
		{ "foobar", "Zm9vYmFy", "Zm9vYmFy" },
		{ "\xfb\xff\xfe", "+//+", "-__-" },
	};
	struct err err;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (size_t kind = 0; kind < 2; kind++) {
			auto_done(buf) text = {};
			auto_done(buf) bytes = {};
			ck_assert_ok(base64_encode((enum base64_kind)kind, view_string(rows[i][0]),
					     &text, &err),
				err);
			ck_assert_str_eq(buf_string(&text), rows[i][1 + kind]);
			ck_assert_ok(base64_decode((enum base64_kind)kind,
					     view_string(rows[i][1 + kind]), &bytes, &err),
				err);
			ck_assert_str_eq(buf_string(&bytes), rows[i][0]);
		}
}
END_TEST

START_TEST(base64_is_canonical)
{
	static const char *const bad[] = { "Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zm9v\n", " Zm9v",
		"Zm9v====", "Z===", "====", "Zm-v", "Zg==Zg==", "=Zg=" };
	struct err err;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		auto_done(buf) bytes = {};
		ck_assert_msg(base64_decode(BASE64_STANDARD, view_string(bad[i]), &bytes, &err) ==
				      E_INVALID,
			"accepted %s", bad[i]);
	}
}
END_TEST

static struct json *parse(const char *text)
{
	struct err err;
	struct json *value = NULL;
	ck_assert_ok(json_parse(view_string(text), 1 << 20, &value, &err), err);
	return value;
}

START_TEST(json_refuses_what_is_not_strict)
{
	static const char *const bad[] = { "", "{", "{\"a\":1,\"a\":2}", "[1,]", "{} {}",
		"\"\\u0000\"", "\"\xff\"", "[01]", "[NaN]", "\xef\xbb\xbf{}", "\"\\ud800\"",
		"[1e999]", "[99999999999999999999]", "'a'", "{\"a\":1}x" };
	struct err err;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct json *value = NULL;
		ck_assert_msg(json_parse(view_string(bad[i]), 1 << 20, &value, &err) == E_INVALID,
			"accepted %s", bad[i]);
		ck_assert_ptr_null(value);
	}
}
END_TEST

START_TEST(json_limits_hold)
{
	struct err err;
	for (int depth = JSON_DEPTH_MAX - 1; depth <= JSON_DEPTH_MAX + 1; depth++) {
		char text[2 * JSON_DEPTH_MAX + 8] = "";
		auto_json *value = NULL;
		memset(text, '[', (size_t)depth);
		memset(text + depth, ']', (size_t)depth);
		ck_assert_int_eq(json_parse(view_string(text), 1 << 20, &value, &err),
			depth > JSON_DEPTH_MAX ? E_LIMIT : 0);
	}
	for (size_t limit = 3; limit <= 5; limit++) {
		auto_json *value = NULL;
		ck_assert_int_eq(json_parse(view_string("1234"), limit, &value, &err),
			limit < 4 ? E_LIMIT : 0);
	}
	auto_json *quoted = parse("\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[\"");
	ck_assert_uint_gt(json_as_view(quoted).size, JSON_DEPTH_MAX);
}
END_TEST

static int match(const char *text, struct err *err)
{
	auto_json *value = parse(text);
	const struct json *name, *size;
	TRY(json_match(value, "top",
		(struct json_member[]){ { "name", JSON_KIND_STRING, true, &name },
			{ "size", JSON_KIND_INTEGER, false, &size } },
		2, err));
	ck_assert_ptr_nonnull(name);
	return 0;
}

START_TEST(json_match_is_strict)
{
	struct err err;
	ck_assert_ok(match("{\"name\":\"x\"}", &err), err);
	ck_assert_ok(match("{\"size\":1,\"name\":\"x\"}", &err), err);
	ck_assert_fails(match("{\"name\":\"x\",\"nam\\n\":1}", &err), E_INVALID, err);
	ck_assert_str_eq(err.message, "at top.nam?: unknown member; remove it");
	ck_assert_fails(match("{\"size\":1}", &err), E_INVALID, err);
	ck_assert_fails(match("{\"name\":null}", &err), E_INVALID, err);
	ck_assert_fails(match("{\"name\":\"x\",\"size\":1.0}", &err), E_INVALID, err);
	ck_assert_fails(match("[]", &err), E_INVALID, err);
}
END_TEST

START_TEST(json_range_checks_both_ends)
{
	struct err err;
	int64_t value;
	static const struct {
		const char *text;
		int status;
	} rows[] = { { "0", E_INVALID }, { "1", 0 }, { "5", 0 }, { "6", E_INVALID } };
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_json *number = parse(rows[i].text);
		ck_assert_int_eq(json_range(number, "x", 1, 5, &value, &err), rows[i].status);
	}
}
END_TEST

/* RFC 8785 section 3.2.2 and 3.2.3 within our restriction. */
START_TEST(json_canonical_form)
{
	struct err err;
	auto_done(buf) buf = {};
	auto_json *value = parse(
		"{\"b\":[true,false,null,-5,9007199254740991],\"a\":{\"z\":\"\",\"A\":"
		"\"\\u20ac$\\u000f\\nA'B\\\"\\\\\\/\"}}");
	ck_assert_ok(json_encode(value, &buf, &err), err);
	ck_assert_str_eq(buf_string(&buf),
		"{\"a\":{\"A\":\"€$\\u000f\\nA'B\\\"\\\\/\",\"z\":\"\"},\"b\":[true,false,null,-5,"
		"9007199254740991]}");
	static const char *const bad[] = { "[1.5]", "[9007199254740992]", "{\"\\u00e9\":1}",
		"{\"\\n\":1}" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		auto_json *refused = parse(bad[i]);
		ck_assert_fails(json_encode(refused, &buf, &err), E_INVALID, err);
	}
}
END_TEST

START_TEST(json_builders)
{
	struct err err;
	auto_done(buf) buf = {};
	auto_json *root = json_new_object();
	json_set_string(root, "s", "x");
	json_set_string(root, "n", NULL);
	json_set_integer(root, "i", -1);
	json_set_boolean(root, "t", true);
	json_set_hex(root, "h", view_of("\1\2", 2));
	json_set(root, "bad", json_new_string(view_of("a\xff", 2)));
	ck_assert_ok(json_encode(root, &buf, &err), err);
	ck_assert_str_eq(buf_string(&buf),
		"{\"bad\":\"a?\",\"h\":\"0102\",\"i\":-1,\"n\":null,\"s\":\"x\",\"t\":true}");
	buf.limit = buf.size;
	ck_assert_fails(json_encode(root, &buf, &err), E_LIMIT, err);
}
END_TEST

UNIT_MAIN("codec", hex_round_trip_and_faults, base64_vectors, base64_is_canonical,
	json_refuses_what_is_not_strict, json_limits_hold, json_match_is_strict,
	json_range_checks_both_ends, json_canonical_form, json_builders)
