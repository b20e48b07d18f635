/*
 * The request of cupel run: the JSON of POST /execute, and around it a multipart body when there
 * are datasets, so that these are copied once and never encoded.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "kit/codec/hex.h"
#include "kit/crypto/rand.h"
#include "programs/cupel/run.h"

enum { BOUNDARY_BYTES = 16, COPY_BYTES = 65536, BYTES_PER_MB = 1000000 };

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* /app gets the base name; a script without suffix gets that of LANG. */
static int script_name(struct cupel *cupel, const struct run *run, size_t index,
	char ret_name[static EXECUTE_NAME_MAX + 1], struct err *err)
{
	const char *path = run->scripts.items[index];
	bool is_stdin = str_equal(path, "-");
	const char *name = is_stdin ? "main" : base_name(path);
	bool is_first = index == 0;
	const struct lang *own = lang_of_script(name);
	if (is_first && run->lang && own && own != run->lang)
		return usage_set(cupel, err, "%s is a script of %s, not of %s", name, own->name,
			run->lang->name);
	if (is_first && !run->lang && !own)
		return usage_set(cupel, err,
			"'%.64s' has no known suffix; expected .py or .sh, or LANG before it",
			name);
	const char *suffix = is_first && !own ? run->lang->suffix : "";
	if (str_format(ret_name, EXECUTE_NAME_MAX + 1, err, "%s%s", name, suffix) < 0)
		return usage_set(
			cupel, err, "a script's name has more than %d bytes", EXECUTE_NAME_MAX);
	return 0;
}

static int read_text(const char *path, size_t limit, struct buf *ret_text, struct err *err)
{
	int status = str_equal(path, "-") ? fd_read_all(STDIN_FILENO, limit, ret_text, err)
					  : fd_read_file(path, limit, ret_text, err);
	if (status == 0 && !json_is_text(buf_view(ret_text)))
		return err_set(err, E_INVALID, "%s: expected text in UTF-8", path);
	return status;
}

static int add_scripts(struct cupel *cupel, struct run *run, struct json *sandbox, struct err *err)
{
	struct json *scripts = json_new_object();
	json_set(sandbox, "scripts", scripts);
	for (size_t i = 0; i < run->scripts.count; i++) {
		char name[EXECUTE_NAME_MAX + 1];
		auto_done(buf) text = {};
		TRY(script_name(cupel, run, i, name, err));
		TRY(read_text(run->scripts.items[i], EXECUTE_SCRIPT_BYTES_MAX, &text, err));
		if (json_get(scripts, name))
			return usage_set(cupel, err, "two scripts are named %s", name);
		json_set(scripts, name, json_new_string(buf_view(&text)));
		if (i == 0)
			TRY(str_format(run->entrypoint, sizeof(run->entrypoint), err, "%s", name));
	}
	json_set_string(sandbox, "entrypoint", run->entrypoint);
	return 0;
}

static void add_tool(struct json *tools, const char *name)
{
	for (size_t i = 0; i < json_size(tools); i++)
		if (str_equal(json_as_string(json_at(tools, i)), name))
			return;
	json_append(tools, json_new_string(view_string(name)));
}

/* The languages of the scripts, and what was asked for. */
static void add_tools(const struct run *run, struct json *sandbox)
{
	struct json *tools = json_new_array();
	const struct json *scripts = json_get(sandbox, "scripts");
	for (const struct json_member_at *at = json_first(scripts); at;
		at = json_next(scripts, at)) {
		const struct lang *lang = lang_of_script(json_name(at));
		if (lang)
			add_tool(tools, lang->name);
	}
	for (size_t i = 0; i < run->tools.count; i++)
		add_tool(tools, run->tools.items[i]);
	json_set(sandbox, "tools", tools);
}

/* NAME=VALUE, or NAME alone: the value is ours. A secret's value belongs into our environment. */
static int add_env(
	struct cupel *cupel, struct json *env, const char *text, bool is_secret, struct err *err)
{
	char name[EXECUTE_NAME_MAX + 1];
	const char *equals = strchr(text, '=');
	size_t size = equals ? (size_t)(equals - text) : strlen(text);
	const char *flag = is_secret ? "--secret-env" : "--env";
	if (size == 0 || str_format(name, sizeof(name), err, "%.*s", (int)size, text) < 0)
		return usage_set(cupel, err, "%s: expected NAME=VALUE or NAME", flag);
	const char *value = equals ? equals + 1 : getenv(name);
	if (!value)
		return usage_set(cupel, err, "%s %s: not in our environment either", flag, name);
	if (json_get(env, name))
		return usage_set(cupel, err, "%s %s: given twice", flag, name);
	if (!json_is_text(view_string(value)))
		return usage_set(cupel, err, "%s %s: expected UTF-8", flag, name);
	struct json *row = json_new_string(view_string(value));
	if (is_secret) {
		struct json *secret = json_new_object();
		json_set(secret, "secret", row);
		row = secret;
	}
	json_set(env, name, row);
	return 0;
}

static int add_environment(
	struct cupel *cupel, const struct run *run, struct json *sandbox, struct err *err)
{
	struct json *env = json_new_object();
	struct json *limits = json_new_object();
	struct json *args = json_new_array();
	json_set(sandbox, "env", env);
	json_set(sandbox, "args", args);
	json_set(sandbox, "environment", limits);
	for (size_t i = 0; i < run->env.count; i++)
		TRY(add_env(cupel, env, run->env.items[i], false, err));
	for (size_t i = 0; i < run->secret_env.count; i++)
		TRY(add_env(cupel, env, run->secret_env.items[i], true, err));
	for (size_t i = 0; i < run->args.count; i++) {
		if (!json_is_text(view_string(run->args.items[i])))
			return usage_set(cupel, err, "argument %zu: expected UTF-8", i + 1);
		json_append(args, json_new_string(view_string(run->args.items[i])));
	}
	json_set_integer(limits, "timeout_seconds", (int64_t)run->timeout_s);
	json_set_integer(limits, "max_memory_mb", (int64_t)run->memory_mb);
	return 0;
}

static int add_stdin(const struct run *run, struct json *sandbox, struct err *err)
{
	auto_done(buf) text = {};
	if (!run->stdin_path)
		return 0;
	TRY(read_text(run->stdin_path, EXECUTE_STDIN_MAX, &text, err));
	json_set(sandbox, "stdin", json_new_string(buf_view(&text)));
	return 0;
}

struct data {
	const char *path;
	char name[EXECUTE_NAME_MAX + 1]; /* below /data */
	char part[24];
};

/* FILE, or NAME=FILE when there is no file of the whole text. */
static int read_data(struct cupel *cupel, const struct run *run, size_t index, struct data *data,
	struct err *err)
{
	const char *text = run->data.items[index];
	const char *equals = access(text, F_OK) < 0 ? strchr(text, '=') : NULL;
	data->path = equals ? equals + 1 : text;
	const char *name = equals ? text : base_name(text);
	int size = equals ? (int)(equals - text) : (int)strlen(name);
	if (size == 0 || str_format(data->name, sizeof(data->name), err, "%.*s", size, name) < 0)
		return usage_set(cupel, err, "--data: expected FILE or NAME=FILE");
	return str_format(data->part, sizeof(data->part), err, "data%zu", index);
}

static const char *format_of(const char *name)
{
	static const char *const formats[] = { "csv", "json", "txt" };
	const char *dot = strrchr(name, '.');
	for (size_t i = 0; dot && i < ARRAY_SIZE(formats); i++)
		if (str_equal(dot + 1, formats[i]))
			return formats[i];
	return "bin";
}

static int make_document(
	struct cupel *cupel, struct run *run, struct buf *ret_text, struct err *err)
{
	auto_json *root = json_new_object();
	struct json *sandbox = json_new_object();
	struct json *datasets = json_new_array();
	json_set(root, "sandbox", sandbox);
	json_set(root, "datasets", datasets);
	for (size_t i = 0; i < run->data.count; i++) {
		struct data data;
		struct json *row = json_new_object();
		json_append(datasets, row);
		TRY(read_data(cupel, run, i, &data, err));
		json_set(row, "name", json_new_string(view_string(data.name)));
		json_set_string(row, "part", data.part);
		json_set_string(row, "format", format_of(data.name));
	}
	TRY(add_scripts(cupel, run, sandbox, err));
	add_tools(run, sandbox);
	TRY(add_environment(cupel, run, sandbox, err));
	TRY(add_stdin(run, sandbox, err));
	return json_encode_plain(root, ret_text, err);
}

static int write_text(int fd, struct err *err, const char *format, ...) PRINTF(3, 4);
static int write_text(int fd, struct err *err, const char *format, ...)
{
	char text[1024];
	va_list args;
	va_start(args, format);
	int size = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (size < 0 || (size_t)size >= sizeof(text))
		return err_set(err, E_INTERNAL, "a part's head of more than 1 KiB");
	return fd_write_all(fd, view_of(text, (size_t)size), err);
}

static int copy_file(struct cupel *cupel, struct run *run, const char *path, struct err *err)
{
	uint8_t bytes[COPY_BYTES / 8];
	auto_close fd = -1;
	TRY(fd_open(path, O_RDONLY, 0, &fd, err));
	for (;;) {
		ssize_t got = read(fd, bytes, sizeof(bytes));
		if (got < 0)
			return err_sys(err, E_UNAVAILABLE, "reading %s", path);
		if (got == 0)
			return 0;
		TRY(fd_write_all(run->body_fd, view_of(bytes, (size_t)got), err));
		run->data_bytes += (uint64_t)got;
		show_progress(cupel, "reading data: %llu MB",
			(unsigned long long)(run->data_bytes / BYTES_PER_MB));
	}
}

static int write_parts(struct cupel *cupel, struct run *run, struct view document, struct err *err)
{
	uint8_t random[BOUNDARY_BYTES];
	char boundary[HEX_SIZE(BOUNDARY_BYTES)];
	rand_bytes(random, sizeof(random));
	(void)hex_encode(view_of(random, sizeof(random)), boundary);
	TRY(str_format(run->content_type, sizeof(run->content_type), err,
		"multipart/form-data; boundary=%s", boundary));
	TRY(write_text(run->body_fd, err,
		"--%s\r\nContent-Disposition: form-data; name=\"request\"\r\n"
		"Content-Type: application/json\r\n\r\n",
		boundary));
	TRY(fd_write_all(run->body_fd, document, err));
	for (size_t i = 0; i < run->data.count; i++) {
		struct data data;
		TRY(read_data(cupel, run, i, &data, err));
		TRY(write_text(run->body_fd, err,
			"\r\n--%s\r\nContent-Disposition: form-data; name=\"%s\"; "
			"filename=\"%s\"\r\n\r\n",
			boundary, data.part, data.part));
		TRY(copy_file(cupel, run, data.path, err));
	}
	return write_text(run->body_fd, err, "\r\n--%s--\r\n", boundary);
}

int run_make_request(struct cupel *cupel, struct run *run, struct err *err)
{
	auto_done(buf) document = {};
	TRY(make_document(cupel, run, &document, err));
	TRY(fd_memfd("request", &run->body_fd, err));
	if (run->data.count)
		return write_parts(cupel, run, buf_view(&document), err);
	TRY(str_format(run->content_type, sizeof(run->content_type), err, "application/json"));
	return fd_write_all(run->body_fd, buf_view(&document), err);
}
