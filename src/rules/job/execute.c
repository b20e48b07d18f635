/*
 * See execute.h. Each member of the document has one small reader; tables say what may stand where.
 * The datasets are read in execute_dataset.c.
 */
#include "rules/job/execute.h"

#include <stdlib.h>

#include "kit/base/str.h"
#include "rules/job/internal.h"

int execute_check_name(const char *what, const char *name, struct err *err)
{
	char quoted[STR_QUOTE_MAX];
	if (str_is_file_name(view_string(name), EXECUTE_NAME_MAX))
		return 0;
	return err_set(err, E_INVALID,
		"%s '%s': expected one plain file name of at most %d characters from "
		"A-Z a-z 0-9 . _ - that starts with neither '.' nor '-'",
		what, str_quote(view_string(name), quoted), EXECUTE_NAME_MAX);
}

static int compare_text(const void *a, const void *b)
{
	const char *const *left = a, *const *right = b;
	return strcmp(*left, *right);
}

/* Names are looked up among the tools of the image; this only keeps absurd ones out of messages. */
static int check_tool(const struct json *tool, size_t index, struct err *err)
{
	char quoted[STR_QUOTE_MAX];
	struct view name = json_as_view(tool);
	bool valid = name.size > 0 && name.size <= EXECUTE_NAME_MAX;
	for (size_t i = 0; valid && i < name.size; i++)
		valid = name.data[i] > 0x20 && name.data[i] < 0x7f && name.data[i] != '/';
	if (valid)
		return 0;
	return err_set(err, E_INVALID,
		"at sandbox.tools[%zu]: expected the name of a tool as 1 to %d printable ASCII "
		"characters without '/', got '%s'",
		index, EXECUTE_NAME_MAX, str_quote(name, quoted));
}

static int read_tools(const struct json *tools, struct execute_request *request, struct err *err)
{
	char quoted[STR_QUOTE_MAX];
	size_t count = json_size(tools);
	if (count == 0)
		return err_set(err, E_INVALID, "at sandbox.tools: expected at least one tool");
	if (count > EXECUTE_TOOLS_MAX)
		return err_set(err, E_LIMIT, "at sandbox.tools: %zu tools, limit %d", count,
			EXECUTE_TOOLS_MAX);
	for (size_t i = 0; i < count; i++) {
		TRY(check_tool(json_at(tools, i), i, err));
		request->tools[i] = json_as_string(json_at(tools, i));
	}
	qsort(request->tools, count, sizeof(request->tools[0]), compare_text);
	for (size_t i = 1; i < count; i++)
		if (str_equal(request->tools[i - 1], request->tools[i]))
			return err_set(err, E_INVALID, "at sandbox.tools: '%s' is listed twice",
				str_quote(view_string(request->tools[i]), quoted));
	request->tool_count = count;
	return 0;
}

static int read_scripts(
	const struct json *scripts, struct execute_request *request, struct err *err)
{
	size_t total = 0;
	for (const struct json_member_at *at = json_first(scripts); at;
		at = json_next(scripts, at)) {
		TRY(execute_check_name("script", json_name(at), err));
		if (request->script_count == EXECUTE_SCRIPTS_MAX)
			return err_set(err, E_LIMIT, "more than %d scripts", EXECUTE_SCRIPTS_MAX);
		if (json_kind(json_value(at)) != JSON_KIND_STRING)
			return err_set(err, E_INVALID,
				"at sandbox.scripts.%s: expected the text as a string",
				json_name(at));
		struct view text = json_as_view(json_value(at));
		total += text.size;
		if (text.size > EXECUTE_SCRIPT_BYTES_MAX || total > EXECUTE_SCRIPTS_BYTES_MAX)
			return err_set(err, E_LIMIT,
				"script %s has %zu bytes, all together %zu; limits %d and %d",
				json_name(at), text.size, total, EXECUTE_SCRIPT_BYTES_MAX,
				EXECUTE_SCRIPTS_BYTES_MAX);
		request->scripts[request->script_count++] = (struct execute_script){ json_name(at),
			text };
	}
	if (request->script_count == 0)
		return err_set(err, E_INVALID, "at sandbox.scripts: expected at least one script");
	qsort(request->scripts, request->script_count, sizeof(request->scripts[0]), compare_text);
	return 0;
}

static const char *find_script(const struct execute_request *request, const char *name)
{
	for (size_t i = 0; i < request->script_count; i++)
		if (str_equal(request->scripts[i].name, name))
			return request->scripts[i].name;
	return NULL;
}

/* main.<suffix> of the first language that has one, or the only script there is. */
static const char *default_entrypoint(const struct execute_request *request)
{
	static const char *const mains[] = { "main.py", "main.sh" };
	for (size_t i = 0; i < ARRAY_SIZE(mains); i++)
		if (find_script(request, mains[i]))
			return mains[i];
	return request->script_count == 1 ? request->scripts[0].name : NULL;
}

static bool has_tool(const struct execute_request *request, const char *name)
{
	for (size_t i = 0; i < request->tool_count; i++)
		if (str_equal(request->tools[i], name))
			return true;
	return false;
}

static int choose_entrypoint(
	const struct json *entrypoint, struct execute_request *request, struct err *err)
{
	char quoted[STR_QUOTE_MAX];
	const char *wanted = entrypoint ? json_as_string(entrypoint) : default_entrypoint(request);
	if (!wanted)
		return err_set(err, E_INVALID,
			"at sandbox.scripts: no main.py or main.sh; name the first script in "
			"sandbox.entrypoint");
	request->entrypoint = find_script(request, wanted);
	if (!request->entrypoint)
		return err_set(err, E_INVALID, "at sandbox.entrypoint: no script is named '%s'",
			str_quote(view_string(wanted), quoted));
	request->lang = lang_of_script(request->entrypoint);
	if (!request->lang)
		return err_set(err, E_INVALID,
			"at sandbox.entrypoint: '%s' has no known suffix; expected .py or .sh",
			request->entrypoint);
	if (!has_tool(request, request->lang->name))
		return err_set(err, E_INVALID, "at sandbox.tools: %s needs the tool '%s'; list it",
			request->entrypoint, request->lang->name);
	return 0;
}

static int read_args(const struct json *args, struct execute_request *request, struct err *err)
{
	size_t count = args ? json_size(args) : 0;
	if (count > EXECUTE_ARGS_MAX)
		return err_set(err, E_LIMIT, "at sandbox.args: more than %d", EXECUTE_ARGS_MAX);
	for (size_t i = 0; i < count; i++) {
		struct view text = json_as_view(json_at(args, i));
		if (json_kind(json_at(args, i)) != JSON_KIND_STRING)
			return err_set(err, E_INVALID,
				"at sandbox.args[%zu]: expected a string, got %s", i,
				json_kind_name(json_kind(json_at(args, i))));
		if (text.size > EXECUTE_TEXT_MAX)
			return err_set(err, E_LIMIT, "at sandbox.args[%zu]: %zu bytes, limit %d", i,
				text.size, EXECUTE_TEXT_MAX);
		request->args[request->arg_count++] = json_as_string(json_at(args, i));
	}
	return 0;
}

static bool is_env_name(const char *name)
{
	size_t size = strlen(name);
	bool valid = size > 0 && size <= EXECUTE_NAME_MAX && !(name[0] >= '0' && name[0] <= '9');
	for (size_t i = 0; valid && i < size; i++)
		valid = (name[i] >= 'A' && name[i] <= 'Z') || (name[i] >= 'a' && name[i] <= 'z') ||
			(name[i] >= '0' && name[i] <= '9') || name[i] == '_';
	return valid && !str_starts(name, "CUPEL_");
}

static int read_env_value(const struct json *value, struct execute_env *env, struct err *err)
{
	char path[JSON_PATH_MAX];
	const struct json *secret = NULL;
	TRY(str_format(path, sizeof(path), err, "sandbox.env.%s", env->name));
	if (json_kind(value) == JSON_KIND_OBJECT)
		TRY(json_match(value, path,
			(struct json_member[]){ { "secret", JSON_KIND_STRING, true, &secret } }, 1,
			err));
	env->is_secret = secret != NULL;
	env->value = json_as_view(secret ? secret : value);
	if (json_kind(secret ? secret : value) != JSON_KIND_STRING)
		return err_set(err, E_INVALID,
			"at %s: expected a string or {\"secret\": string}, got %s", path,
			json_kind_name(json_kind(value)));
	if (env->value.size > EXECUTE_TEXT_MAX)
		return err_set(err, E_LIMIT, "at %s: %zu bytes, limit %d", path, env->value.size,
			EXECUTE_TEXT_MAX);
	return 0;
}

static int read_env(const struct json *env, struct execute_request *request, struct err *err)
{
	char quoted[STR_QUOTE_MAX];
	if (!env)
		return 0;
	for (const struct json_member_at *at = json_first(env); at; at = json_next(env, at)) {
		if (request->env_count == EXECUTE_ENV_MAX)
			return err_set(
				err, E_LIMIT, "at sandbox.env: more than %d", EXECUTE_ENV_MAX);
		struct execute_env *row = &request->env[request->env_count];
		row->name = json_name(at);
		if (!is_env_name(row->name))
			return err_set(err, E_INVALID,
				"at sandbox.env: '%s' is no name of letters, digits and _ outside "
				"CUPEL_*",
				str_quote(view_string(row->name), quoted));
		TRY(read_env_value(json_value(at), row, err));
		request->env_count++;
	}
	qsort(request->env, request->env_count, sizeof(request->env[0]), compare_text);
	return 0;
}

/* Arguments and environment stand in the certificate, whose size is bounded: so are they. */
static int check_values(const struct json *args, const struct json *env, struct err *err)
{
	auto_done(buf) text = { .limit = EXECUTE_VALUES_BYTES_MAX };
	int status = args ? json_encode(args, &text, err) : 0;
	if (status == 0 && env)
		status = json_encode(env, &text, err);
	if (status == E_LIMIT)
		return err_set(err, E_LIMIT,
			"at sandbox: args and env have more than %d bytes together, written as "
			"JSON; put large texts into a script, stdin or a dataset",
			EXECUTE_VALUES_BYTES_MAX);
	return status;
}

static int read_limits(
	const struct json *environment, struct execute_limits *limits, struct err *err)
{
	static const struct {
		const char *name;
		size_t offset;
		int64_t min, max, initial;
	} rows[] = {
		{ "timeout_seconds", offsetof(struct execute_limits, timeout_seconds), 1,
			EXECUTE_TIMEOUT_SECONDS_MAX, EXECUTE_TIMEOUT_SECONDS_MAX },
		{ "max_memory_mb", offsetof(struct execute_limits, max_memory_mb),
			EXECUTE_MEMORY_MB_MIN, EXECUTE_MEMORY_MB_MAX, EXECUTE_MEMORY_MB_MAX },
		{ "max_disk_mb", offsetof(struct execute_limits, max_disk_mb), 1,
			EXECUTE_DISK_MB_MAX, EXECUTE_DISK_MB_MAX },
		{ "max_file_mb", offsetof(struct execute_limits, max_file_mb), 1,
			EXECUTE_FILE_MB_MAX, EXECUTE_FILE_MB_MAX },
		{ "max_processes", offsetof(struct execute_limits, max_processes), 1,
			EXECUTE_PROCESSES_MAX, EXECUTE_PROCESSES_MAX },
		{ "max_output_kb", offsetof(struct execute_limits, max_output_kb), 1,
			EXECUTE_OUTPUT_KB_MAX, EXECUTE_OUTPUT_KB_DEFAULT },
		{ "max_results_kb", offsetof(struct execute_limits, max_results_kb), 1,
			EXECUTE_RESULTS_KB_MAX, EXECUTE_RESULTS_KB_DEFAULT },
	};
	struct json_member members[ARRAY_SIZE(rows)];
	const struct json *values[ARRAY_SIZE(rows)] = {};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		members[i] = (struct json_member){ rows[i].name, JSON_KIND_INTEGER, false,
			&values[i] };
	if (environment)
		TRY(json_match(environment, "sandbox.environment", members, ARRAY_SIZE(rows), err));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char path[JSON_PATH_MAX];
		int64_t value = rows[i].initial;
		TRY(str_format(path, sizeof(path), err, "sandbox.environment.%s", rows[i].name));
		if (values[i])
			TRY(json_range(values[i], path, rows[i].min, rows[i].max, &value, err));
		memcpy((uint8_t *)limits + rows[i].offset, &value, sizeof(value));
	}
	return 0;
}

static int read_sandbox(
	const struct json *sandbox, struct execute_request *request, struct err *err)
{
	const struct json *tools, *scripts, *llm, *entrypoint, *args, *env, *input, *environment,
		*collect, *trace;
	const struct json_member members[] = {
		{ "tools", JSON_KIND_ARRAY, true, &tools },
		{ "scripts", JSON_KIND_OBJECT, true, &scripts },
		{ "llm", JSON_KIND_ANY, false, &llm },
		{ "entrypoint", JSON_KIND_STRING, false, &entrypoint },
		{ "args", JSON_KIND_ARRAY, false, &args },
		{ "env", JSON_KIND_OBJECT, false, &env },
		{ "stdin", JSON_KIND_STRING, false, &input },
		{ "environment", JSON_KIND_OBJECT, false, &environment },
		{ "collect", JSON_KIND_BOOLEAN, false, &collect },
		{ "trace", JSON_KIND_STRING, false, &trace },
	};
	TRY(json_match(sandbox, "sandbox", members, ARRAY_SIZE(members), err));
	if (llm && json_kind(llm) != JSON_KIND_NULL)
		return err_set(err, E_UNSUPPORTED,
			"at sandbox.llm: this version runs no language models; leave llm out");
	TRY(read_tools(tools, request, err));
	TRY(read_scripts(scripts, request, err));
	TRY(choose_entrypoint(entrypoint, request, err));
	TRY(read_args(args, request, err));
	TRY(read_env(env, request, err));
	TRY(check_values(args, env, err));
	request->stdin_text = input ? json_as_view(input) : (struct view){};
	if (request->stdin_text.size > EXECUTE_STDIN_MAX)
		return err_set(err, E_LIMIT, "at sandbox.stdin: %zu bytes, limit %d",
			request->stdin_text.size, EXECUTE_STDIN_MAX);
	request->wants_results = json_as_boolean(collect);
	request->traces_files = trace && view_equal_string(json_as_view(trace), "files");
	if (trace && !request->traces_files && !view_equal_string(json_as_view(trace), "process"))
		return err_set(
			err, E_INVALID, "at sandbox.trace: expected \"process\" or \"files\"");
	return read_limits(environment, &request->limits, err);
}

static int read_request(bool is_multipart, struct execute_request *request, struct err *err)
{
	const struct json *dataset, *datasets, *sandbox;
	const struct json_member members[] = {
		{ "dataset", JSON_KIND_OBJECT, false, &dataset },
		{ "datasets", JSON_KIND_ARRAY, false, &datasets },
		{ "sandbox", JSON_KIND_OBJECT, true, &sandbox },
	};
	TRY(json_match(request->root, "", members, ARRAY_SIZE(members), err));
	TRY(execute_read_datasets(dataset, datasets, is_multipart, request, err));
	return read_sandbox(sandbox, request, err);
}

int execute_request_parse(struct view text, size_t size_max, bool is_multipart,
	struct execute_request *ret_request, struct err *err)
{
	*ret_request = (struct execute_request){};
	TRY(json_parse(text, size_max, &ret_request->root, err));
	int status = read_request(is_multipart, ret_request, err);
	if (status < 0)
		execute_request_done(ret_request);
	return status;
}

void execute_request_done(struct execute_request *request)
{
	json_free(request->root);
	*request = (struct execute_request){};
}
