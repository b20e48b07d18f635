/*
 * rules/job and rules/lang: the request of POST /execute, the plan, the lifecycle.
 *
 * tests/vectors/execute.json holds bodies with what becomes of them; tests/integration/
 * test_schema.py feeds the same file to spec/execute.schema.json. Counts and sizes too large for a
 * file are made here.
 */
#include "unit.h"

#include <stdio.h>

#include "kit/base/str.h"
#include "kit/codec/json.h"
#include "rules/job/execute.h"
#include "rules/job/lifecycle.h"
#include "rules/job/plan.h"

enum { BODY_MAX = 32 << 20 };

static int parse(const char *text, bool is_multipart, struct execute_request *ret, struct err *err)
{
	return execute_request_parse(view_string(text), BODY_MAX, is_multipart, ret, err);
}

static void read_file(const char *path, struct buf *buf)
{
	struct err err;
	char chunk[4096];
	FILE *file = fopen(path, "re");
	ck_assert_msg(file != NULL, "cannot open %s", path);
	for (size_t size; (size = fread(chunk, 1, sizeof(chunk), file)) > 0;)
		ck_assert_ok(buf_append(buf, view_of(chunk, size), &err), err);
	ck_assert_int_eq(fclose(file), 0);
}

static int category_of(const char *name)
{
	static const int all[] = { E_OK, E_INVALID, E_LIMIT, E_UNSUPPORTED };
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (str_equal(err_category_name(all[i]), name))
			return all[i];
	ck_abort_msg("unknown category %s", name);
	return 0;
}

static void check_row(const struct json *row)
{
	struct err err = {};
	auto_done(buf) body = {};
	struct execute_request request;
	const char *name = json_as_string(json_get(row, "name"));
	const char *message = json_as_string(json_get(row, "message"));
	int expected = category_of(json_as_string(json_get(row, "expect")));
	if (json_get(row, "text"))
		ck_assert_ok(buf_append(&body, json_as_view(json_get(row, "text")), &err), err);
	else
		ck_assert_ok(json_encode_pretty(json_get(row, "body"), &body, &err), err);
	err.message[0] = 0;
	int status = execute_request_parse(buf_view(&body), BODY_MAX,
		json_as_boolean(json_get(row, "multipart")), &request, &err);
	ck_assert_msg(status == expected, "'%s': got %s (%s)", name, err_category_name(status),
		err.message);
	ck_assert_msg(!message || strstr(err.message, message), "'%s': message '%s' lacks '%s'",
		name, err.message, message);
	if (status == 0)
		execute_request_done(&request);
	else
		ck_assert_ptr_null(request.root);
}

START_TEST(vectors_hold)
{
	struct err err;
	auto_done(buf) text = {};
	auto_json *rows = NULL;
	read_file(SOURCE_ROOT "/tests/vectors/execute.json", &text);
	ck_assert_ok(json_parse(buf_view(&text), BODY_MAX, &rows, &err), err);
	ck_assert_uint_gt(json_size(rows), 150);
	for (size_t i = 0; i < json_size(rows); i++)
		check_row(json_at(rows, i));
}
END_TEST

START_TEST(everything_is_read)
{
	struct err err;
	struct execute_request request;
	ck_assert_ok(parse("{\"datasets\":[{\"data\":\"base64:eA==\",\"format\":\"txt\",\"name\":"
			   "\"a.txt\",\"sha256\":\"00112233445566778899aabbccddeeff001122334455667"
			   "78899AABBCCDDEEFF\"},{\"data\":{\"k\":1},\"format\":\"json\"},{\"url\":"
			   "\"https://h/x\"}],\"sandbox\":{\"tools\":[\"python\",\"bash\",\"awk\"],"
			   "\"scripts\":{\"z.sh\":\"Z\",\"main.py\":\"M\"},\"entrypoint\":\"z.sh\","
			   "\"args\":[\"1\",\"\"],\"env\":{\"B\":{\"secret\":\"s\"},\"A\":\"v\"},"
			   "\"stdin\":\"in\",\"environment\":{\"timeout_seconds\":7}}}",
			     false, &request, &err),
		err);
	ck_assert_uint_eq(request.dataset_count, 3);
	ck_assert(!request.takes_all_parts);
	ck_assert_int_eq(request.datasets[0].source, EXECUTE_BASE64);
	ck_assert(view_equal_string(request.datasets[0].text, "eA=="));
	ck_assert(request.datasets[0].has_sha256);
	ck_assert_uint_eq(request.datasets[0].sha256[31], 0xff);
	ck_assert_str_eq(request.datasets[0].name, "a.txt");
	ck_assert_int_eq(request.datasets[1].source, EXECUTE_VALUE);
	ck_assert_str_eq(request.datasets[1].name, "dataset.json");
	ck_assert_ptr_nonnull(request.datasets[1].value);
	ck_assert_int_eq(request.datasets[2].source, EXECUTE_URL);
	ck_assert_str_eq(request.datasets[2].format, "bin");
	ck_assert(!request.datasets[2].has_sha256);
	ck_assert_uint_eq(request.tool_count, 3);
	ck_assert_str_eq(request.tools[0], "awk");
	ck_assert_str_eq(request.tools[2], "python");
	ck_assert_str_eq(request.scripts[0].name, "main.py");
	ck_assert(view_equal_string(request.scripts[1].text, "Z"));
	ck_assert_str_eq(request.entrypoint, "z.sh");
	ck_assert_str_eq(request.lang->name, "bash");
	ck_assert_uint_eq(request.arg_count, 2);
	ck_assert_str_eq(request.env[0].name, "A");
	ck_assert(!request.env[0].is_secret);
	ck_assert(request.env[1].is_secret);
	ck_assert(view_equal_string(request.env[1].value, "s"));
	ck_assert(view_equal_string(request.stdin_text, "in"));
	ck_assert_int_eq(request.limits.timeout_seconds, 7);
	ck_assert_int_eq(request.limits.max_memory_mb, EXECUTE_MEMORY_MB_MAX);
	ck_assert_int_eq(request.limits.max_disk_mb, EXECUTE_DISK_MB_MAX);
	ck_assert_int_eq(request.limits.max_file_mb, EXECUTE_FILE_MB_MAX);
	ck_assert_int_eq(request.limits.max_processes, EXECUTE_PROCESSES_MAX);
	ck_assert_int_eq(request.limits.max_output_kb, EXECUTE_OUTPUT_KB_DEFAULT);
	ck_assert_int_eq(request.limits.max_results_kb, EXECUTE_RESULTS_KB_DEFAULT);
	ck_assert(!request.wants_results);
	execute_request_done(&request);
	ck_assert_ptr_null(request.root);
	execute_request_done(&request);
}
END_TEST

START_TEST(base64_needs_its_exact_prefix)
{
	static const struct {
		const char *data;
		enum execute_source source;
	} rows[] = { { "base64:", EXECUTE_BASE64 }, { "base64", EXECUTE_TEXT },
		{ "Base64:eA==", EXECUTE_TEXT }, { " base64:eA==", EXECUTE_TEXT } };
	struct err err;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct execute_request request;
		auto_done(buf) body = {};
		ck_assert_ok(buf_append_format(&body, &err,
				     "{\"dataset\":{\"data\":\"%s\"},\"sandbox\":{\"tools\":[\"bash"
				     "\"],\"scripts\":{\"main.sh\":\"\"}}}",
				     rows[i].data),
			err);
		ck_assert_ok(parse(buf_string(&body), false, &request, &err), err);
		ck_assert_int_eq(request.datasets[0].source, rows[i].source);
		execute_request_done(&request);
	}
}
END_TEST

/* A body around `middle`, in which count pieces made by a format with the index stand. */
static int parse_many(const char *before, const char *piece, size_t count, const char *after,
	struct execute_request *ret_request, struct err *err)
{
	auto_done(buf) body = {};
	TRY(buf_append_string(&body, before, err));
	for (size_t i = 0; i < count; i++) {
		char number[8];
		TRY(str_format(number, sizeof(number), err, "%04zu", i));
		TRY(buf_append_string(&body, i ? "," : "", err));
		for (const char *at = piece; *at; at++)
			TRY(*at == '#' ? buf_append_string(&body, number, err)
				       : buf_append(&body, view_of(at, 1), err));
	}
	TRY(buf_append_string(&body, after, err));
	return execute_request_parse(buf_view(&body), BODY_MAX, false, ret_request, err);
}

#define SANDBOX "\"sandbox\":{\"tools\":[\"python\"],\"scripts\":{\"main.py\":\"\"}"

START_TEST(counts_end_at_their_limits)
{
	static const struct {
		const char *before, *piece, *after;
		size_t max;
	} rows[] = {
		{ "{\"datasets\":[", "{\"data\":\"\",\"name\":\"d#\"}", "]," SANDBOX "}}",
			EXECUTE_DATASETS_MAX },
		{ "{\"sandbox\":{\"tools\":[\"python\"],\"scripts\":{\"main.py\":\"\",",
			"\"s#.py\":\"\"", "}}}", EXECUTE_SCRIPTS_MAX - 1 },
		{ "{\"sandbox\":{\"scripts\":{\"main.py\":\"\"},\"tools\":[\"python\",", "\"t#\"",
			"]}}", EXECUTE_TOOLS_MAX - 1 },
		{ "{" SANDBOX ",\"args\":[", "\"#\"", "]}}", EXECUTE_ARGS_MAX },
		{ "{" SANDBOX ",\"env\":{", "\"E#\":\"\"", "}}}", EXECUTE_ENV_MAX },
	};
	struct err err;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (size_t count = rows[i].max - 1; count <= rows[i].max + 1; count++) {
			struct execute_request request;
			int status = parse_many(rows[i].before, rows[i].piece, count, rows[i].after,
				&request, &err);
			ck_assert_msg(status == (count > rows[i].max ? E_LIMIT : 0),
				"row %zu, %zu pieces: %s", i, count, status ? err.message : "ok");
			if (status == 0)
				execute_request_done(&request);
		}
}
END_TEST

/* A body with size letters between before and after. */
static int parse_sized(const char *before, size_t size, const char *after, struct err *err)
{
	struct execute_request request;
	auto_done(buf) body = {};
	TRY(buf_append_string(&body, before, err));
	TRY(buf_reserve(&body, size, err));
	memset(body.data + body.size, 'a', size);
	body.size += size;
	TRY(buf_append_string(&body, after, err));
	TRY(execute_request_parse(buf_view(&body), BODY_MAX, false, &request, err));
	execute_request_done(&request);
	return 0;
}

START_TEST(sizes_end_at_their_limits)
{
	static const struct {
		const char *before, *after;
		size_t max;
		int status;
	} rows[] = {
		{ "{\"sandbox\":{\"tools\":[\"python\"],\"scripts\":{\"main.py\":\"", "\"}}}",
			EXECUTE_SCRIPT_BYTES_MAX, E_LIMIT },
		{ "{" SANDBOX ",\"stdin\":\"", "\"}}", EXECUTE_STDIN_MAX, E_LIMIT },
		{ "{" SANDBOX ",\"args\":[\"", "\"]}}", EXECUTE_TEXT_MAX, E_LIMIT },
		{ "{" SANDBOX ",\"env\":{\"A\":\"", "\"}}}", EXECUTE_TEXT_MAX, E_LIMIT },
		{ "{" SANDBOX ",\"env\":{\"A\":{\"secret\":\"", "\"}}}}", EXECUTE_TEXT_MAX,
			E_LIMIT },
		{ "{" SANDBOX ",\"env\":{\"", "\":\"\"}}}", EXECUTE_NAME_MAX, E_INVALID },
		{ "{\"dataset\":{\"url\":\"https://", "\"}," SANDBOX "}}", EXECUTE_URL_MAX - 8,
			E_LIMIT },
		{ "{\"dataset\":{\"data\":\"\",\"name\":\"", "\"}," SANDBOX "}}", EXECUTE_NAME_MAX,
			E_INVALID },
		{ "{\"sandbox\":{\"tools\":[\"python\"],\"scripts\":{\"", ".py\":\"\"}}}",
			EXECUTE_NAME_MAX - 3, E_INVALID },
		{ "{\"sandbox\":{\"scripts\":{\"main.py\":\"\"},\"tools\":[\"python\",\"", "\"]}}",
			EXECUTE_NAME_MAX, E_INVALID },
	};
	struct err err;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (size_t size = rows[i].max - 1; size <= rows[i].max + 1; size++) {
			int status = parse_sized(rows[i].before, size, rows[i].after, &err);
			ck_assert_msg(status == (size > rows[i].max ? rows[i].status : 0),
				"row %zu, %zu bytes: %s", i, size, status ? err.message : "ok");
		}
}
END_TEST

START_TEST(all_scripts_together_are_bounded)
{
	struct err err;
	for (size_t last = EXECUTE_SCRIPT_BYTES_MAX - 1; last <= EXECUTE_SCRIPT_BYTES_MAX; last++) {
		auto_done(buf) before = {};
		size_t full = EXECUTE_SCRIPTS_BYTES_MAX / EXECUTE_SCRIPT_BYTES_MAX - 1;
		ck_assert_ok(buf_append_string(&before,
				     "{\"sandbox\":{\"tools\":[\"python\"],\"scripts\":{\"x.py\":"
				     "\"b\",",
				     &err),
			err);
		for (size_t i = 0; i < full; i++) {
			ck_assert_ok(buf_append_format(&before, &err, "\"s%zu.py\":\"", i), err);
			ck_assert_ok(buf_reserve(&before, EXECUTE_SCRIPT_BYTES_MAX, &err), err);
			memset(before.data + before.size, 'a', EXECUTE_SCRIPT_BYTES_MAX);
			before.size += EXECUTE_SCRIPT_BYTES_MAX;
			ck_assert_ok(buf_append_string(&before, "\",", &err), err);
		}
		ck_assert_ok(buf_append_string(&before, "\"main.py\":\"", &err), err);
		ck_assert_int_eq(parse_sized(buf_string(&before), last, "\"}}}", &err),
			last == EXECUTE_SCRIPT_BYTES_MAX ? E_LIMIT : 0);
	}
}
END_TEST

/* {"A":"aa..."} has 8 bytes around the letters of the second value. */
START_TEST(args_and_env_together_are_bounded)
{
	struct err err;
	auto_done(buf) before = {};
	ck_assert_ok(buf_append_string(&before, "{" SANDBOX ",\"args\":[", &err), err);
	size_t written = 2; /* brackets */
	for (size_t i = 0; i < 1; i++) {
		ck_assert_ok(buf_append_string(&before, i ? ",\"" : "\"", &err), err);
		for (size_t n = 0; n < EXECUTE_TEXT_MAX; n++)
			ck_assert_ok(buf_append_string(&before, "b", &err), err);
		ck_assert_ok(buf_append_string(&before, "\"", &err), err);
		written += EXECUTE_TEXT_MAX + strlen(i ? ",\"\"" : "\"\"");
	}
	ck_assert_ok(buf_append_string(&before, "],\"env\":{\"A\":\"", &err), err);
	size_t room = EXECUTE_VALUES_BYTES_MAX - written - strlen("{\"A\":\"\"}");
	for (size_t size = room - 1; size <= room + 1; size++)
		ck_assert_int_eq(parse_sized(buf_string(&before), size, "\"}}}", &err),
			size > room ? E_LIMIT : 0);
}
END_TEST

START_TEST(body_size_is_limited)
{
	static const char body[] = "{" SANDBOX "}}";
	struct err err;
	for (size_t limit = sizeof(body) - 2; limit <= sizeof(body); limit++) {
		struct execute_request request;
		int status = execute_request_parse(view_string(body), limit, false, &request, &err);
		ck_assert_int_eq(status, limit < sizeof(body) - 1 ? E_LIMIT : 0);
		if (status == 0)
			execute_request_done(&request);
	}
}
END_TEST

START_TEST(entrypoints)
{
	static const struct {
		const char *scripts, *entrypoint, *lang;
	} rows[] = {
		{ "\"main.py\":\"\",\"main.sh\":\"\",\"a.py\":\"\"", "main.py", "python" },
		{ "\"main.sh\":\"\",\"a.py\":\"\"", "main.sh", "bash" },
		{ "\"only.sh\":\"\"", "only.sh", "bash" },
		{ "\"x.py.sh\":\"\"", "x.py.sh", "bash" },
	};
	struct err err;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct execute_request request;
		auto_done(buf) body = {};
		ck_assert_ok(buf_append_format(&body, &err,
				     "{\"sandbox\":{\"tools\":[\"python\",\"bash\"],\"scripts\":{%s"
				     "}}}",
				     rows[i].scripts),
			err);
		ck_assert_ok(parse(buf_string(&body), false, &request, &err), err);
		ck_assert_str_eq(request.entrypoint, rows[i].entrypoint);
		ck_assert_str_eq(request.lang->name, rows[i].lang);
		execute_request_done(&request);
	}
}
END_TEST

START_TEST(multipart_takes_what_is_not_named)
{
	static const struct {
		const char *body;
		bool is_multipart, takes_all_parts;
	} rows[] = {
		{ "{" SANDBOX "}}", true, true },
		{ "{" SANDBOX "}}", false, false },
		{ "{\"datasets\":[]," SANDBOX "}}", true, false },
		{ "{\"dataset\":{\"part\":\"f\"}," SANDBOX "}}", true, false },
		{ "{\"dataset\":{\"data\":\"\"}," SANDBOX "}}", true, false },
	};
	struct err err;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct execute_request request;
		ck_assert_ok(parse(rows[i].body, rows[i].is_multipart, &request, &err), err);
		ck_assert_msg(request.takes_all_parts == rows[i].takes_all_parts, "row %zu", i);
		execute_request_done(&request);
	}
}
END_TEST

START_TEST(parts_are_named_by_their_files)
{
	static const struct {
		const char *name;
		size_t size;
	} bad[] = { { "", 0 }, { "..", 2 }, { "a/b", 3 }, { "a\0b", 3 }, { "a.csv", 5 },
		{ "-x", 2 }, { "a b", 3 } };
	struct err err;
	char longest[EXECUTE_NAME_MAX + 1];
	struct execute_request request;
	memset(longest, 'n', sizeof(longest));
	ck_assert_ok(parse("{" SANDBOX "}}", true, &request, &err), err);
	ck_assert_ok(
		execute_request_add_part(&request, view_string("p"), view_string("a.csv"), &err),
		err);
	ck_assert_str_eq(request.datasets[0].format, "csv");
	ck_assert_str_eq(request.datasets[0].name, "a.csv");
	ck_assert(view_equal_string(request.datasets[0].text, "p"));
	ck_assert_int_eq(request.datasets[0].source, EXECUTE_PART);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_fails(execute_request_add_part(&request, view_string("p"),
					view_of(bad[i].name, bad[i].size), &err),
			E_INVALID, err);
	ck_assert_fails(execute_request_add_part(&request, view_string("p"), (struct view){}, &err),
		E_INVALID, err);
	ck_assert_fails(execute_request_add_part(&request, view_string("p"),
				view_of(longest, sizeof(longest)), &err),
		E_INVALID, err);
	ck_assert_ok(execute_request_add_part(
			     &request, view_string("p"), view_of(longest, EXECUTE_NAME_MAX), &err),
		err);
	ck_assert_uint_eq(strlen(request.datasets[1].name), EXECUTE_NAME_MAX);
	ck_assert_str_eq(request.datasets[1].format, "bin");
	while (request.dataset_count < EXECUTE_DATASETS_MAX) {
		char name[8];
		ck_assert_ok(
			str_format(name, sizeof(name), &err, "f%zu", request.dataset_count), err);
		ck_assert_ok(execute_request_add_part(
				     &request, view_string("p"), view_string(name), &err),
			err);
	}
	ck_assert_fails(
		execute_request_add_part(&request, view_string("p"), view_string("more"), &err),
		E_LIMIT, err);
	execute_request_done(&request);
}
END_TEST

static void check_list(const char *const *have, const char *const *want)
{
	size_t i = 0;
	for (; want[i]; i++) {
		ck_assert_msg(have[i] != NULL, "misses %s", want[i]);
		ck_assert_str_eq(have[i], want[i]);
	}
	ck_assert_ptr_null(have[i]);
}

START_TEST(plans_are_sorted_and_the_caller_wins)
{
	static const char *const argv[] = { "/usr/bin/python3", "/app/main.py", "x", "", NULL };
	static const char *const env[] = { "A1=", "A=1", "CUPEL_DATA=/data",
		"CUPEL_DATASET=/data/dataset.csv", "HOME=/work", "LANG=C.UTF-8",
		"PATH=/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1", "PYTHONHASHSEED=7",
		"PYTHONNOUSERSITE=1", "SOURCE_DATE_EPOCH=0", "TMPDIR=/tmp", "TZ=Asia/Tokyo",
		"Z==", NULL };
	struct err err;
	struct plan plan;
	struct execute_request request;
	ck_assert_ok(parse("{\"dataset\":{\"data\":\"\",\"format\":\"csv\"}," SANDBOX
			   ",\"args\":[\"x\",\"\"],\"env\":{\"Z\":\"=\",\"A\":\"1\",\"A1\":\"\","
			   "\"TZ\":\"Asia/Tokyo\",\"PYTHONHASHSEED\":{\"secret\":\"7\"}}}}",
			     false, &request, &err),
		err);
	ck_assert_ok(plan_make(&request, &plan, &err), err);
	check_list(plan.argv, argv);
	check_list((const char *const *)plan.env, env);
	ck_assert_uint_eq(plan.argc, 4);
	ck_assert(!plan.is_parked); /* it sets what the interpreter reads when it starts */
	plan_done(&plan);
	ck_assert_ptr_null(plan.script_path);
	execute_request_done(&request);
}
END_TEST

START_TEST(plan_of_bash_without_data)
{
	static const char *const argv[] = { "/usr/bin/bash", "/app/main.sh", NULL };
	static const char *const env[] = { "CUPEL_DATA=/data", "HOME=/work", "LANG=C.UTF-8",
		"PATH=/usr/bin:/bin", "SOURCE_DATE_EPOCH=0", "TMPDIR=/tmp", "TZ=UTC", NULL };
	struct err err;
	struct plan plan;
	struct execute_request request;
	ck_assert_ok(parse("{\"sandbox\":{\"tools\":[\"bash\"],\"scripts\":{\"main.sh\":\"\"}}}",
			     false, &request, &err),
		err);
	ck_assert_ok(plan_make(&request, &plan, &err), err);
	check_list(plan.argv, argv);
	check_list((const char *const *)plan.env, env);
	plan_done(&plan);
	execute_request_done(&request);
}
END_TEST

/* The largest request that is accepted has a plan: PLAN_ENV_MAX and PLAN_ARGV_MAX suffice. */
START_TEST(largest_plan_fits)
{
	struct err err;
	struct plan plan;
	struct execute_request request;
	auto_done(buf) before = {};
	ck_assert_ok(buf_append_string(&before,
			     "{\"dataset\":{\"data\":\"\"}," SANDBOX ",\"args\":[\"0\"", &err),
		err);
	for (size_t i = 1; i < EXECUTE_ARGS_MAX; i++)
		ck_assert_ok(buf_append_string(&before, ",\"\"", &err), err);
	ck_assert_ok(buf_append_string(&before, "],\"env\":{", &err), err);
	ck_assert_ok(parse_many(buf_string(&before), "\"E#\":\"v\"", EXECUTE_ENV_MAX, "}}}",
			     &request, &err),
		err);
	ck_assert_ok(plan_make(&request, &plan, &err), err);
	ck_assert_uint_eq(plan.argc, 2 + EXECUTE_ARGS_MAX);
	ck_assert(plan.is_parked);
	ck_assert_uint_eq(plan.env_count, EXECUTE_ENV_MAX + 11);
	ck_assert_ptr_null(plan.argv[plan.argc]);
	ck_assert_ptr_null(plan.env[plan.env_count]);
	plan_done(&plan);
	execute_request_done(&request);
}
END_TEST

START_TEST(languages)
{
	ck_assert_str_eq(lang_by_name("python")->suffix, ".py");
	ck_assert_str_eq(lang_by_name("bash")->suffix, ".sh");
	ck_assert_ptr_null(lang_by_name("python3"));
	ck_assert_ptr_null(lang_by_name(""));
	ck_assert_ptr_null(lang_of_script("a"));
	ck_assert_ptr_null(lang_of_script("a.PY"));
	ck_assert_ptr_null(lang_of_script("py"));
	size_t count = 0;
	while (lang_at(count)) {
		ck_assert_ptr_eq(lang_by_name(lang_at(count)->name), lang_at(count));
		ck_assert(lang_at(count)->argv[0][0] == '/');
		count++;
	}
	ck_assert_uint_ge(count, 2);
	ck_assert_ptr_null(lang_at(count + 1));
}
END_TEST

/* Every state with every event; a dot is a refusal. Columns: start, manifest, algorithm,
 * algorithm only, data, run complete, consumed, failed. */
START_TEST(lifecycle_is_the_whole_table)
{
	static const char table[STATE_COUNT][EVENT_COUNT + 1] = {
		[STATE_IDLE] = "M.......",
		[STATE_RECEIVING_MANIFEST] = ".A......",
		[STATE_RECEIVING_ALGORITHM] = "..DR...F",
		[STATE_RECEIVING_DATA] = "....R..F",
		[STATE_RUNNING] = ".....C.F",
		[STATE_CONSUMING_RESULTS] = "......X.",
		[STATE_COMPLETE] = "........",
		[STATE_FAILED] = "........",
	};
	static const char letters[STATE_COUNT + 1] = "IMADRCXF";
	for (int state = 0; state < STATE_COUNT; state++)
		for (int event = 0; event < EVENT_COUNT; event++) {
			struct err err;
			enum lifecycle_state next = STATE_COUNT;
			int status = lifecycle_next((enum lifecycle_state)state,
				(enum lifecycle_event)event, &next, &err);
			if (table[state][event] == '.') {
				ck_assert_fails(status, E_CONFLICT, err);
				ck_assert_int_eq(next, STATE_COUNT);
				ck_assert_ptr_nonnull(strstr(err.message,
					lifecycle_state_name((enum lifecycle_state)state)));
			} else {
				ck_assert_ok(status, err);
				ck_assert_int_eq(letters[next], table[state][event]);
			}
		}
}
END_TEST

START_TEST(states_are_named_as_cocos_does)
{
	static const char *const names[] = { "Idle", "ReceivingManifest", "ReceivingAlgorithm",
		"ReceivingData", "Running", "ConsumingResults", "Complete", "Failed" };
	for (size_t i = 0; i < STATE_COUNT; i++)
		ck_assert_str_eq(lifecycle_state_name((enum lifecycle_state)i), names[i]);
}
END_TEST

UNIT_MAIN("job", vectors_hold, everything_is_read, base64_needs_its_exact_prefix,
	counts_end_at_their_limits, sizes_end_at_their_limits, all_scripts_together_are_bounded,
	args_and_env_together_are_bounded, body_size_is_limited, entrypoints,
	multipart_takes_what_is_not_named, parts_are_named_by_their_files,
	plans_are_sorted_and_the_caller_wins, plan_of_bash_without_data, largest_plan_fits,
	languages, lifecycle_is_the_whole_table, states_are_named_as_cocos_does)
