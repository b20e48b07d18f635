/*
 * Routes. Each row: method, path, who may, what happens at the head and, for requests with a body,
 * what happens when it is there. An asynchronous job's watchers get its events as SSE.
 */
#include <stdio.h>

#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "kit/base/time.h"
#include "kit/crypto/sign.h"
#include <openapi.h> /* generated from spec/openapi.json */
#include "programs/cced/cced.h"

enum { PATH_MAX_BYTES = 512, MULTIPART_SLACK = 1 << 20 };

/* A request's context is its job (execute) or its watch on one (events); never both. */
struct context {
	struct cjob *job;
	struct cjob *watched;
};

static const struct http_header json_headers[] = {
	{ "Content-Type", "application/json" },
	{ "Cache-Control", "no-store" },
	{},
};

void api_respond_json(struct http_request *request, int status, const struct json *body)
{
	struct err err;
	auto_done(buf) text = {};
	if (json_encode_plain(body, &text, &err) < 0 || buf_append_string(&text, "\n", &err) < 0 ||
		http_respond(request, status, json_headers, &text, &err) < 0)
		http_respond_error(request, 500, "internal", err.message);
}

void api_respond_err(struct http_request *request, const struct err *err)
{
	http_respond_error(request, err_http_status(err->category),
		err_category_name(err->category), err->message);
}

static void render_error(
	int status, const char *code, const char *message, struct buf *ret_body, void *user)
{
	struct err err;
	auto_json *body = json_new_object();
	struct json *error = json_new_object();
	(void)user;
	(void)status;
	json_set_string(error, "code", code);
	json_set_string(error, "message", message);
	json_set(body, "error", error);
	if (json_encode(body, ret_body, &err) < 0)
		buf_done(ret_body);
}

/* Server-sent events (WHATWG HTML, section 9.2): one data line each. */
static void send_event(struct http_request *request, const struct json *event)
{
	struct err err;
	auto_done(buf) text = {};
	const char *type = json_as_string(json_get(event, "type"));
	if (buf_append_format(&text, &err, "event: %s\ndata: ", type ? type : "message") < 0 ||
		json_encode(event, &text, &err) < 0 || buf_append_string(&text, "\n\n", &err) < 0)
		return;
	if (http_stream_push(request, buf_view(&text), &err) < 0)
		http_stream_end(request); /* a reader that slow has to come again */
}

void api_event(struct cjob *job, const struct json *event)
{
	for (struct watcher *watcher = job->watchers; watcher; watcher = watcher->next)
		send_event(watcher->request, event);
}

static struct json *done_event(const struct cjob *job)
{
	struct json *event = json_new_object();
	json_set_string(event, "type", "done");
	json_set_integer(event, "http_status", job->reply_status);
	json_set_string(event, "job_id", job->id);
	json_set_string(
		event, "certificate_id", job->certificate_id[0] ? job->certificate_id : NULL);
	return event;
}

static void answer(struct http_request *request, const struct cjob *job)
{
	struct err err;
	auto_done(buf) copy = {};
	if (buf_append(&copy, buf_view(&job->reply), &err) < 0 ||
		http_respond(request, job->reply_status, json_headers, &copy, &err) < 0)
		http_respond_error(request, 500, "internal", err.message);
}

void api_finished(struct cjob *job)
{
	auto_json *event = done_event(job);
	if (job->request && !job->is_async) {
		struct http_request *request = take_ptr(job->request);
		struct context *context = http_context(request);
		context->job = NULL; /* which may be forgotten before the answer is out */
		answer(request, job);
	}
	for (struct watcher *watcher = job->watchers; watcher; watcher = watcher->next) {
		send_event(watcher->request, event);
		http_stream_end(watcher->request);
	}
}

void api_end_watchers(struct cjob *job)
{
	for (struct watcher *watcher = job->watchers; watcher; watcher = watcher->next)
		http_stream_end(watcher->request);
}

struct call {
	struct cced *cced;
	struct http_request *request;
	const struct token *token; /* NULL on public routes */
	const char *tail;          /* what follows the route's prefix */
};

static void set_base_url(struct cjob *job, struct http_request *request)
{
	struct view host;
	struct err ignored;
	const char *given = job->cced->config.public_url;
	bool has_host = http_header_get(request, "Host", &host) && host.size < 128;
	for (size_t i = 0; has_host && i < host.size; i++)
		has_host = host.data[i] > 0x20 && host.data[i] < 0x7f &&
			   !strchr("\"<>\\/", host.data[i]);
	if (*given || !has_host)
		(void)!str_format(job->base_url, sizeof(job->base_url), &ignored, "%s", given);
	else
		(void)!str_format(job->base_url, sizeof(job->base_url), &ignored, "%s://%.*s",
			http_is_tls(request) ? "https" : "http", (int)host.size, host.data);
}

static bool has_type(struct view value, const char *type)
{
	size_t size = strlen(type);
	return value.size >= size && strncasecmp((const char *)value.data, type, size) == 0 &&
	       (value.size == size || strchr(" ;\t", value.data[size]));
}

/* Where the body will lie, or a refusal before any of it is read. */
static int receive_body(struct call *call, struct cjob *job, struct err *err)
{
	struct view type = view_string("application/json");
	struct config *config = &call->cced->config;
	(void)http_header_get(call->request, "Content-Type", &type);
	bool is_json = has_type(type, "application/json");
	uint64_t limit = config->json_max_mb << 20;
	if (!is_json)
		limit = (config->dataset_max_mb << 20) + (config->json_max_mb << 20) +
			MULTIPART_SLACK;
	TRY(str_format(job->content_type, sizeof(job->content_type), err, "%.*s", (int)type.size,
		type.data));
	TRY(fd_memfd("request", &job->body_fd, err));
	return http_body_to_fd(call->request, job->body_fd, limit, err);
}

static bool is_supported_type(struct http_request *request)
{
	struct view type;
	if (!http_header_get(request, "Content-Type", &type))
		return true;
	return has_type(type, "application/json") || has_type(type, "multipart/form-data");
}

static void execute_head(struct call *call)
{
	static const struct http_header retry[] = { { "Retry-After", CCED_RETRY_AFTER_S }, {} };
	struct cced *cced = call->cced;
	struct view prefer;
	struct err err;
	if (cced->is_stopping) {
		http_respond_error_with(call->request, 503, "unavailable",
			"the service is stopping; try again", retry);
		return;
	}
	if (!is_supported_type(call->request)) {
		http_respond_error(call->request, 415, "unsupported",
			"expected Content-Type application/json or multipart/form-data");
		return;
	}
	if (!jobs_has_room(cced, call->token->principal)) {
		cced->metrics.jobs_rejected++;
		http_respond_error_with(call->request, 429, "limit",
			"all places are taken; try again after the time in Retry-After", retry);
		return;
	}
	struct cjob *job = jobs_new(cced, call->token->principal);
	struct context *context = http_context(call->request);
	context->job = job;
	job->request = call->request;
	job->is_async = http_header_get(call->request, "Prefer", &prefer) &&
			memmem(prefer.data, prefer.size, "respond-async", 13) != NULL;
	set_base_url(job, call->request);
	int status = receive_body(call, job, &err);
	if (status < 0) {
		context->job = NULL;
		jobs_abandon(job);
		api_respond_err(call->request, &err);
	}
}

static void respond_accepted(struct cjob *job, struct http_request *request)
{
	struct err err;
	auto_json *body = json_new_object();
	auto_done(buf) text = {};
	auto_done(buf) url = {};
	int status = buf_append_format(&url, &err, "/jobs/%s", job->id);
	json_set_string(body, "job_id", job->id);
	json_set_string(body, "job_url", buf_string(&url));
	json_set_string(body, "status", job_state_name(job->state));
	const struct http_header headers[] = {
		{ "Content-Type", "application/json" },
		{ "Location", buf_string(&url) },
		{ "Preference-Applied", "respond-async" },
		{},
	};
	if (status == 0)
		status = json_encode(body, &text, &err);
	if (status == 0)
		status = http_respond(request, 202, headers, &text, &err);
	if (status < 0)
		api_respond_err(request, &err);
}

static void execute_body(struct call *call)
{
	struct context *context = http_context(call->request);
	struct cjob *job = context->job;
	if (!job)
		return;
	if (job->is_async) {
		context->job = NULL; /* it no longer depends on this request */
		job->request = NULL;
		jobs_submit(job);
		respond_accepted(job, call->request);
		return;
	}
	jobs_submit(job);
}

/* Only the owner and admins see a job. */
static bool may_see(const struct call *call, const char *principal)
{
	return (call->token->roles & ROLE_ADMIN) || str_equal(principal, call->token->principal);
}

/* The tail is "ID" or "ID/rest". */
static struct cjob *find_job(struct call *call, char *ret_id, size_t size, const char **ret_rest)
{
	const char *slash = strchr(call->tail, '/');
	size_t length = slash ? (size_t)(slash - call->tail) : strlen(call->tail);
	ret_id[0] = 0;
	*ret_rest = slash ? slash : "";
	if (length + 1 > size)
		return NULL;
	memcpy(ret_id, call->tail, length);
	ret_id[length] = 0;
	struct cjob *job = jobs_find(call->cced, ret_id);
	return job && may_see(call, job->principal) ? job : NULL;
}

/* A kept reply is JSON of our own making: copied, not parsed. */
static int add_reply(struct buf *text, const struct cjob *job, struct err *err)
{
	text->size--; /* the brace at the end */
	TRY(buf_append_string(text, ",\"reply\":", err));
	TRY(buf_append(text, buf_view(&job->reply), err));
	return buf_append_string(text, "}", err);
}

static int job_text(const struct cjob *job, struct buf *ret_text, struct err *err)
{
	auto_json *body = json_new_object();
	bool has_reply = job->state == JOB_DONE && job->reply.size;
	json_set_string(body, "job_id", job->id);
	json_set_string(body, "status", job_state_name(job->state));
	json_set_string(
		body, "certificate_id", job->certificate_id[0] ? job->certificate_id : NULL);
	if (has_reply)
		json_set_integer(body, "http_status", job->reply_status);
	TRY(json_encode_plain(body, ret_text, err));
	if (has_reply)
		TRY(add_reply(ret_text, job, err));
	return buf_append_string(ret_text, "\n", err);
}

static void respond_job(struct call *call, const struct cjob *job)
{
	struct err err;
	auto_done(buf) text = {};
	if (job_text(job, &text, &err) < 0 ||
		http_respond(call->request, 200, json_headers, &text, &err) < 0)
		http_respond_error(call->request, 500, "internal", err.message);
}

/* A job that is no longer in memory: what the store still knows. */
static bool find_stored_job(const struct call *call, const char *id, struct store_job *ret_row)
{
	struct err err;
	return store_job_get(call->cced->store, id, ret_row, &err) == 0 &&
	       may_see(call, ret_row->principal);
}

static void respond_stored_job(struct call *call, const char *id)
{
	AUTO(store_job_done) struct store_job row = {};
	if (!find_stored_job(call, id, &row)) {
		http_respond_error(call->request, 404, "not-found", "no job of yours has this id");
		return;
	}
	auto_json *body = json_new_object();
	json_set_string(body, "job_id", row.id);
	json_set_string(body, "status", row.state);
	json_set_string(body, "certificate_id", row.certificate_id[0] ? row.certificate_id : NULL);
	json_set(body, "reply", json_new_null()); /* results are kept in memory, and not for ever */
	api_respond_json(call->request, 200, body);
}

static void watch_job(struct call *call, struct cjob *job)
{
	static const struct http_header headers[] = {
		{ "Content-Type", "text/event-stream" },
		{ "Cache-Control", "no-store" },
		{},
	};
	struct err err;
	struct context *context = http_context(call->request);
	if (http_stream_begin(call->request, 200, headers, &err) < 0) {
		api_respond_err(call->request, &err);
		return;
	}
	for (size_t i = 0; i < json_size(job->events); i++)
		send_event(call->request, json_at(job->events, i));
	if (job->state == JOB_DONE) {
		auto_json *event = done_event(job);
		send_event(call->request, event);
		http_stream_end(call->request);
		return;
	}
	struct watcher *watcher = mem_alloc(1, sizeof(*watcher));
	*watcher = (struct watcher){ call->request, job->watchers };
	job->watchers = watcher;
	context->watched = job;
}

static void unwatch(struct cjob *job, struct http_request *request)
{
	struct watcher **link = &job->watchers;
	while (*link && (*link)->request != request)
		link = &(*link)->next;
	struct watcher *gone = *link;
	if (!gone)
		return;
	*link = gone->next;
	mem_free(gone);
}

static void get_job(struct call *call)
{
	char id[CCED_JOB_ID_SIZE];
	const char *rest;
	struct cjob *job = find_job(call, id, sizeof(id), &rest);
	if (str_equal(rest, "/events") && job) {
		watch_job(call, job);
	} else if (*rest && !str_equal(rest, "/events")) {
		http_respond_error(
			call->request, 404, "not-found", "expected /jobs/ID or /jobs/ID/events");
	} else if (job) {
		respond_job(call, job);
	} else {
		respond_stored_job(call, id);
	}
}

static void delete_job(struct call *call)
{
	char id[CCED_JOB_ID_SIZE];
	const char *rest;
	AUTO(store_job_done) struct store_job row = {};
	struct cjob *job = find_job(call, id, sizeof(id), &rest);
	if (*rest || (!job && !find_stored_job(call, id, &row))) {
		http_respond_error(call->request, 404, "not-found", "no job of yours has this id");
		return;
	}
	if (!job || job->state == JOB_DONE) {
		http_respond_error(call->request, 409, "conflict", "this job has already ended");
		return;
	}
	auto_json *body = json_new_object();
	jobs_cancel(job);
	json_set_string(body, "job_id", id);
	json_set_string(body, "status", "cancelling");
	api_respond_json(call->request, 202, body);
}

static void get_certificate(struct call *call)
{
	char id[CERT_ID_SIZE];
	const char *slash = strchr(call->tail, '/');
	size_t length = slash ? (size_t)(slash - call->tail) : strlen(call->tail);
	if (length >= sizeof(id)) {
		http_respond_error(call->request, 404, "not-found", "no certificate has this id");
		return;
	}
	memcpy(id, call->tail, length);
	id[length] = 0;
	api_certificate(call->cced, call->request, id, slash ? slash : "");
}

static void get_certificates(struct call *call)
{
	api_certificates(call->cced, call->request);
}

static void get_health(struct call *call)
{
	auto_json *body = json_new_object();
	json_set_string(body, "status", call->cced->is_stopping ? "stopping" : "ok");
	json_set_string(body, "version", CCED_VERSION);
	json_set_string(body, "platform", call->cced->config.platform);
	json_set_string(body, "image", image_digest(call->cced->image));
	json_set_integer(body, "running", (int64_t)call->cced->running);
	api_respond_json(call->request, call->cced->is_stopping ? 503 : 200, body);
}

static void get_metrics(struct call *call)
{
	static const struct http_header headers[] = {
		{ "Content-Type", "text/plain; version=0.0.4; charset=utf-8" }, {}
	};
	struct err err;
	auto_done(buf) text = {};
	if (metrics_render(call->cced, &text, &err) < 0 ||
		http_respond(call->request, 200, headers, &text, &err) < 0)
		api_respond_err(call->request, &err);
}

static void get_openapi(struct call *call)
{
	struct err err;
	auto_done(buf) text = {};
	if (buf_append(&text, view_of(openapi_json, openapi_json_len), &err) < 0 ||
		http_respond(call->request, 200, json_headers, &text, &err) < 0)
		api_respond_err(call->request, &err);
}

static struct json *anchor_json(const struct cced *cced)
{
	struct json *anchor = json_new_object();
	json_set_string(anchor, "label", cced->anchor.label);
	json_set_hex(anchor, "sha256", view_of(cced->anchor.sha256, SHA256_SIZE));
	json_set_hex(anchor, "der", buf_view(&cced->local.platform.root));
	return anchor;
}

static void get_keys(struct call *call)
{
	struct err err;
	auto_json *body = json_new_object();
	auto_done(buf) pem = {};
	if (sign_spki_to_pem(buf_view(&call->cced->issuer_spki), &pem, &err) < 0) {
		api_respond_err(call->request, &err);
		return;
	}
	json_set_string(body, "issuer", buf_string(&pem));
	if (cced_is_simulated(call->cced)) {
		json_set(body, "simulated_anchor", anchor_json(call->cced));
		json_set_hex(body, "measurement",
			view_of(call->cced->local.measurement, LOCAL_MEASUREMENT_SIZE));
	} else {
		json_set(body, "simulated_anchor", json_new_null());
		json_set(body, "measurement", json_new_null());
	}
	api_respond_json(call->request, 200, body);
}

static const struct route {
	const char *method;
	const char *path; /* ends with '/': the rest is the tail */
	unsigned role;
	void (*on_head)(struct call *call);
	void (*on_body)(struct call *call); /* NULL: all happens at the head */
} routes[] = {
	{ "POST", "/execute", ROLE_SUBMIT, execute_head, execute_body },
	{ "GET", "/jobs/", ROLE_SUBMIT, get_job, NULL },
	{ "DELETE", "/jobs/", ROLE_SUBMIT, delete_job, NULL },
	{ "GET", "/certificate/", ROLE_PUBLIC, get_certificate, NULL },
	{ "GET", "/certificates", ROLE_READ, get_certificates, NULL },
	{ "GET", "/healthz", ROLE_PUBLIC, get_health, NULL },
	{ "GET", "/metrics", ROLE_PUBLIC, get_metrics, NULL },
	{ "GET", "/openapi.json", ROLE_PUBLIC, get_openapi, NULL },
	{ "GET", "/keys", ROLE_PUBLIC, get_keys, NULL },
};

static bool path_matches(const struct route *route, struct view path, const char **ret_tail,
	char *tail, size_t tail_size)
{
	size_t size = strlen(route->path);
	bool has_tail = route->path[size - 1] == '/';
	if (path.size < size || !view_equal_string(view_of(path.data, size), route->path) ||
		(!has_tail && path.size != size) || path.size - size >= tail_size)
		return false;
	memcpy(tail, path.data + size, path.size - size);
	tail[path.size - size] = 0;
	*ret_tail = tail;
	return strlen(tail) == path.size - size;
}

static const struct route *find_route(struct http_request *request, struct call *call, char *tail,
	size_t tail_size, bool *ret_path_known)
{
	struct view method = http_method(request);
	bool is_head = view_equal_string(method, "HEAD");
	*ret_path_known = false;
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		if (!path_matches(&routes[i], http_path(request), &call->tail, tail, tail_size))
			continue;
		*ret_path_known = true;
		if (view_equal_string(method, routes[i].method) ||
			(is_head && str_equal(routes[i].method, "GET")))
			return &routes[i];
	}
	return NULL;
}

static bool authorize(struct call *call, const struct route *route)
{
	static const struct http_header challenge[] = { { "WWW-Authenticate", "Bearer" }, {} };
	struct err err;
	if (route->role == ROLE_PUBLIC)
		return true;
	if (auth_check(&call->cced->auth, call->request, &call->token, &err) < 0) {
		http_respond_error_with(call->request, 401, "unauthorized", err.message, challenge);
		return false;
	}
	if (call->token->roles & route->role)
		return true;
	http_respond_error(call->request, 403, "denied", "this token lacks the role for this");
	return false;
}

static void on_head(struct http_request *request, void *user)
{
	char tail[PATH_MAX_BYTES];
	bool is_known;
	struct call call = { .cced = user, .request = request };
	http_set_context(request, mem_alloc(1, sizeof(struct context)));
	call.cced->open_requests++;
	const struct route *route = find_route(request, &call, tail, sizeof(tail), &is_known);
	if (!route) {
		http_respond_error(request, is_known ? 405 : 404, is_known ? "method" : "not-found",
			is_known ? "this path has no such method"
				 : "no such path; see /openapi.json");
		return;
	}
	if (authorize(&call, route))
		route->on_head(&call);
}

static void on_body(struct http_request *request, void *user)
{
	char tail[PATH_MAX_BYTES];
	bool is_known;
	struct call call = { .cced = user, .request = request };
	const struct route *route = find_route(request, &call, tail, sizeof(tail), &is_known);
	if (route && route->on_body)
		route->on_body(&call);
}

static void on_end(struct http_request *request, enum http_end end, void *user)
{
	struct context *context = http_context(request);
	struct cced *cced = user;
	cced->open_requests--;
	(void)end;
	if (context->job && context->job->request == request)
		jobs_abandon(context->job);
	if (context->watched)
		unwatch(context->watched, request);
	mem_free(context);
}

int api_start(struct cced *cced, struct err *err)
{
	struct http_config config = {
		.address = cced->config.address,
		.port = (uint16_t)cced->config.port,
		.tls = cced->tls,
		.handler = { on_head, on_body, on_end, render_error, cced },
	};
	return http_server_start(&cced->loop, &config, &cced->server, err);
}
