/*
 * cupel execute: send a request to the service, show the result, and say what its certificate is
 * worth. The document goes as JSON, or as part "request" of a multipart body whose other parts are
 * streamed from files.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "kit/base/time.h"
#include "programs/cupel/cupel.h"

enum { REQUEST_MAX = 1 << 30, POLL_MS = 200, BYTES_PER_MB = 1000000 };

struct execute {
	struct service_flags service_flags;
	struct service service;
	bool is_async;
	const char *job; /* --job: collect instead of send */
	const char *output;
	const char *certificate;
	struct list data;
	struct buf request;
	struct http_part parts[HTTP_CLIENT_PARTS_MAX];
	size_t part_count;
	char names[HTTP_CLIENT_PARTS_MAX][CUPEL_LIST_MAX];
};

static void execute_done(struct execute *execute)
{
	buf_done(&execute->request);
}

static int read_request(struct execute *execute, const char *path, struct err *err)
{
	auto_json *value = NULL;
	int status = str_equal(path, "-")
			     ? fd_read_all(STDIN_FILENO, REQUEST_MAX, &execute->request, err)
			     : fd_read_file(path, REQUEST_MAX, &execute->request, err);
	if (status == 0)
		status = json_parse(buf_view(&execute->request), REQUEST_MAX, &value, err);
	if (status < 0)
		err_wrap(err, "%s: expected a request as JSON", path);
	return status;
}

/* NAME=FILE: the part's name, also the dataset's file name where the request names none. */
static int add_data(struct cupel *cupel, struct execute *execute, const char *text, struct err *err)
{
	char *name = execute->names[execute->part_count];
	const char *equals = strchr(text, '=');
	if (execute->part_count == HTTP_CLIENT_PARTS_MAX)
		return usage_set(cupel, err, "more than %d --data", HTTP_CLIENT_PARTS_MAX - 1);
	if (!equals || equals == text || !equals[1])
		return usage_set(cupel, err, "--data: expected NAME=FILE, got '%.64s'", text);
	if (str_format(name, CUPEL_LIST_MAX, err, "%.*s", (int)(equals - text), text) < 0)
		return usage_set(
			cupel, err, "--data: a name of more than %d bytes", CUPEL_LIST_MAX - 1);
	if (access(equals + 1, R_OK) < 0)
		return err_sys(err, E_NOT_FOUND, "--data: reading %s", equals + 1);
	execute->parts[execute->part_count++] = (struct http_part){ .name = name,
		.file_name = name,
		.type = "application/octet-stream",
		.path = equals + 1 };
	return 0;
}

static int make_parts(struct cupel *cupel, struct execute *execute, struct err *err)
{
	if (!execute->data.count)
		return 0;
	execute->parts[execute->part_count++] = (struct http_part){ .name = "request",
		.type = "application/json",
		.content = buf_view(&execute->request) };
	for (size_t i = 0; i < execute->data.count; i++)
		TRY(add_data(cupel, execute, execute->data.items[i], err));
	return 0;
}

static void on_progress(uint64_t sent_bytes, uint64_t total_bytes, void *user)
{
	struct cupel *cupel = user;
	uint64_t elapsed_s = (time_monotonic_ms() - cupel->started_ms) / 1000;
	if (sent_bytes < total_bytes)
		show_progress(cupel, "sending: %llu of %llu MB",
			(unsigned long long)(sent_bytes / BYTES_PER_MB),
			(unsigned long long)(total_bytes / BYTES_PER_MB));
	else
		show_progress(cupel, "running: %llu s", (unsigned long long)elapsed_s);
}

static int submit(
	struct cupel *cupel, struct execute *execute, struct json **ret_reply, struct err *err)
{
	AUTO(http_answer_done) struct http_answer answer = {};
	struct http_call call = {
		.method = "POST",
		.prefer = execute->is_async ? "respond-async" : NULL,
		.content_type = "application/json",
		.body = execute->part_count ? (struct view){} : buf_view(&execute->request),
		.parts = execute->parts,
		.part_count = execute->part_count,
		.on_progress = on_progress,
		.user = cupel,
	};
	TRY(service_call(&execute->service, &call, "/execute", &answer, err));
	show_progress_end(cupel);
	return json_parse(buf_view(&answer.body), CUPEL_ANSWER_MAX, ret_reply, err);
}

/* The reply of an asynchronous job, once it has ended. */
static int collect(
	struct cupel *cupel, struct execute *execute, struct json **ret_reply, struct err *err)
{
	char path[160];
	if (strchr(execute->job, '/') ||
		str_format(path, sizeof(path), err, "/jobs/%s", execute->job) < 0)
		return usage_set(cupel, err, "--job: expected an id like job_0123...");
	for (;;) {
		auto_json *job = NULL;
		TRY(service_get_json(&execute->service, path, &job, err));
		const struct json *reply = json_get(job, "reply");
		const struct json *refusal = json_get(json_get(reply, "error"), "message");
		const char *status = json_as_string(json_get(job, "status"));
		const char *id = json_as_string(json_get(job, "certificate_id"));
		if (refusal)
			return err_set(err, E_CONFLICT, "%s: %.300s%s%s", execute->job,
				json_as_string(refusal), id ? "; certificate " : "", id ? id : "");
		if (json_kind(reply) == JSON_KIND_OBJECT) {
			show_progress_end(cupel);
			*ret_reply = json_share(reply);
			return 0;
		}
		if (reply)
			return err_set(err, E_NOT_FOUND,
				"%s is %s; its result is no longer kept%s%s", execute->job,
				status ? status : "gone", id ? ", its certificate is " : "",
				id ? id : "");
		show_progress(cupel, "%s: %s", execute->job, status ? status : "?");
		(void)usleep(POLL_MS * 1000);
	}
}

static int show_accepted(struct cupel *cupel, const struct json *reply, struct err *err)
{
	const char *id = json_as_string(json_get(reply, "job_id"));
	if (cupel->is_json)
		return show_json(reply, err);
	printf("%s\n", id ? id : "?");
	(void)fprintf(stderr, "collect it: cupel execute --job %s\n", id ? id : "ID");
	return 0;
}

static int save_certificate(struct execute *execute, const char *id, struct err *err)
{
	char path[160];
	struct http_call call = { .method = "GET" };
	AUTO(http_answer_done) struct http_answer answer = {};
	TRY(str_format(path, sizeof(path), err, "/certificate/%s/envelope", id));
	TRY(service_call(&execute->service, &call, path, &answer, err));
	return fd_write_output(execute->certificate, buf_view(&answer.body), err);
}

static int show_reply(
	struct cupel *cupel, struct execute *execute, const struct json *reply, struct err *err)
{
	char path[160];
	auto_json *verification = NULL;
	const char *id = json_as_string(json_get(reply, "certificate_id"));
	const char *url = json_as_string(json_get(reply, "certificate_url"));
	const char *status = json_as_string(json_get(reply, "status"));
	if (!id || !cert_is_id(id) || !url || !status)
		return err_set(err, E_INTERNAL, "a reply without status or certificate");
	cupel->exit_code = show_exit_code(reply) == 0 ? CUPEL_EXIT_OK : CUPEL_EXIT_FAILED;
	if (execute->output || !cupel->is_json)
		TRY(show_streams(json_get(reply, "result"), execute->output, err));
	if (execute->certificate)
		TRY(save_certificate(execute, id, err));
	if (cupel->is_json)
		return show_json(reply, err);
	const char *detail = json_as_string(json_get(reply, "status_detail"));
	const struct json *ms = json_get(json_get(reply, "lifecycle"), "execution_time_ms");
	(void)fprintf(stderr, "status %s in %lld ms%s%s\ncertificate %s\n", status,
		(long long)json_as_integer(ms), detail && *detail ? ": " : "", detail ? detail : "",
		url);
	TRY(str_format(path, sizeof(path), err, "/certificate/%s/verify", id));
	TRY(service_get_json(&execute->service, path, &verification, err));
	(void)fprintf(stderr, "checks, made by the service (cupel verify makes your own)\n");
	show_checks(verification, true);
	return 0;
}

int run_execute(struct cupel *cupel, int argc, char **argv, struct err *err)
{
	auto_done(execute) execute = {};
	auto_json *reply = NULL;
	const char *path = NULL;
	const struct flag flags[] = {
		{ "server", "URL", FLAG_TEXT, &execute.service_flags.server, "the service" },
		{ "token-file", "FILE", FLAG_TEXT, &execute.service_flags.token_file,
			"file with the token" },
		{ "ca-file", "FILE", FLAG_TEXT, &execute.service_flags.ca_file,
			"PEM of the root the service's TLS certificate ends in" },
		{ "data", "NAME=FILE", FLAG_LIST, &execute.data,
			"stream a file as a part; may be repeated" },
		{ "async", NULL, FLAG_SWITCH, &execute.is_async,
			"do not wait; print the job's id" },
		{ "job", "ID", FLAG_TEXT, &execute.job,
			"wait for this job instead of sending a request" },
		{ "output", "FILE", FLAG_TEXT, &execute.output, "where the output goes" },
		{ "certificate", "FILE", FLAG_TEXT, &execute.certificate,
			"save the certificate (DSSE envelope)" },
	};
	struct arguments arguments;
	TRY(options_parse(cupel, argc, argv, flags, ARRAY_SIZE(flags), &arguments, err));
	if (cupel->is_help)
		return 0;
	if (execute.job)
		TRY(options_none(cupel, &arguments, err));
	else
		TRY(options_one(cupel, &arguments, "one file with the request (or -)", &path, err));
	if (execute.output)
		TRY(fd_check_output(execute.output, err));
	if (execute.certificate)
		TRY(fd_check_output(execute.certificate, err));
	if (!execute.job)
		TRY(read_request(&execute, path, err));
	TRY(make_parts(cupel, &execute, err));
	TRY(service_find(cupel, &execute.service_flags, &execute.service, err));
	TRY(execute.job ? collect(cupel, &execute, &reply, err)
			: submit(cupel, &execute, &reply, err));
	if (execute.is_async && !execute.job)
		return show_accepted(cupel, reply, err);
	return show_reply(cupel, &execute, reply, err);
}
