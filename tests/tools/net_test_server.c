/*
 * A small server on engines/net for tests/integration/test_http.py. Prints "port N\n" (and for TLS
 * the certificate's SHA-256), serves until standard input ends, then closes and prints "closed".
 *
 *	net_test_server [tls] [unix=PATH] [head_ms=N] [idle_ms=N] [window_ms=N] [window_min=N]
 *	                [address=IP] [port=N] [tls_files=DIRECTORY] [connections=N] [keepalive=N]
 *[drain=N]
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engines/net/http_server.h"
#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"

#define BUF_LIMIT (1 << 20)
#define FD_LIMIT (1U << 30)
#define SMALL_LIMIT 1000

struct app {
	uv_loop_t loop;
	struct http_server *server;
	struct http_tls *tls;
	uint64_t ends[HTTP_END_COUNT];
	uint64_t heads, bodies;
	uv_pipe_t standard_input;
};

struct visit {
	struct app *app;
	struct http_request *request;
	uv_timer_t timer;
	int fd;
	int left; /* events to send */
	int period_ms;
};

static const struct http_header text_plain[] = { { "Content-Type", "text/plain" }, {} };
static const struct http_header event_stream[] = { { "Content-Type", "text/event-stream" },
	{ "Cache-Control", "no-store" }, {} };

static void check(int status, const struct err *err)
{
	if (status < 0)
		(void)fprintf(stderr, "net_test_server: %s\n", err->message);
}

static void answer(struct http_request *request, int status, const char *text)
{
	struct err err;
	auto_done(buf) body = {};
	check(buf_append_string(&body, text, &err), &err);
	check(http_respond(request, status, text_plain, &body, &err), &err);
}

static void visit_closed(uv_handle_t *timer)
{
	struct visit *visit = timer->data;
	fd_close(&visit->fd);
	mem_free(visit);
}

static struct visit *visit_new(struct app *app, struct http_request *request)
{
	struct visit *visit = mem_alloc(1, sizeof(*visit));
	visit->app = app;
	visit->request = request;
	visit->fd = -1;
	(void)uv_timer_init(&app->loop, &visit->timer);
	visit->timer.data = visit;
	http_set_context(request, visit);
	return visit;
}

static int query_number(struct http_request *request, int otherwise)
{
	struct view query = http_query(request);
	auto_free char *text = mem_string_n((const char *)query.data, query.size);
	const char *equals = strchr(text, '=');
	return equals ? (int)strtol(equals + 1, NULL, 10) : otherwise;
}

static void slow_due(uv_timer_t *timer)
{
	struct visit *visit = timer->data;
	answer(visit->request, 200, "slow");
}

static void event_due(uv_timer_t *timer)
{
	struct err err;
	struct visit *visit = timer->data;
	auto_done(buf) event = {};
	if (visit->left-- == 0) {
		(void)uv_timer_stop(timer);
		http_stream_end(visit->request);
		return;
	}
	check(buf_append_format(&event, &err, "data: %d\n\n", visit->left), &err);
	check(http_stream_push(visit->request, buf_view(&event), &err), &err);
}

static void flood_due(uv_timer_t *timer)
{
	struct err err;
	struct visit *visit = timer->data;
	auto_free char *block = mem_alloc(1, 65536);
	memset(block, 'f', 65536);
	while (http_stream_push(visit->request, view_of(block, 65536), &err) == 0)
		if (--visit->left == 0) {
			(void)uv_timer_stop(timer);
			http_stream_end(visit->request);
			return;
		}
}

static void stats(struct app *app, struct http_request *request)
{
	struct err err;
	struct http_stats s;
	auto_done(buf) body = {};
	http_server_stats(app->server, &s);
	check(buf_append_format(&body, &err,
		      "{\"accepted\":%llu,\"refused\":%llu,\"requests\":%llu,\"connections\":%u,"
		      "\"connections_max\":%u,\"heads\":%llu,\"bodies\":%llu,\"ends\":[%llu,%llu,"
		      "%llu,%llu,%llu]}",
		      (unsigned long long)s.accepted, (unsigned long long)s.refused,
		      (unsigned long long)s.requests, s.connections, s.connections_max,
		      (unsigned long long)app->heads, (unsigned long long)app->bodies,
		      (unsigned long long)app->ends[0], (unsigned long long)app->ends[1],
		      (unsigned long long)app->ends[2], (unsigned long long)app->ends[3],
		      (unsigned long long)app->ends[4]),
		&err);
	check(http_respond(request, 200, text_plain, &body, &err), &err);
}

static void on_head(struct http_request *request, void *user)
{
	struct err err;
	struct app *app = user;
	struct view path = http_path(request);
	struct visit *visit = visit_new(app, request);
	int status = 0;
	app->heads++;
	if (view_equal_string(path, "/refuse")) {
		http_respond_error(request, 401, "denied", "no token");
	} else if (view_equal_string(path, "/hello")) {
		answer(request, 200, "hello");
	} else if (view_equal_string(path, "/stats")) {
		stats(app, request);
	} else if (view_equal_string(path, "/echo") || view_equal_string(path, "/wait") ||
		   view_equal_string(path, "/slow")) {
		status = http_body_to_buf(request, BUF_LIMIT, &err);
	} else if (view_equal_string(path, "/small")) {
		status = http_body_to_buf(request, SMALL_LIMIT, &err);
	} else if (view_equal_string(path, "/sink") || view_equal_string(path, "/full")) {
		status = fd_memfd("sink", &visit->fd, &err);
		if (view_equal_string(path, "/full")) {
			fd_close(&visit->fd);
			status = fd_open("/dev/full", 1, 0, &visit->fd, &err);
		}
		if (status == 0)
			status = http_body_to_fd(request, visit->fd, FD_LIMIT, &err);
	}
	if (status < 0)
		http_respond_error(
			request, err_http_status(status), err_category_name(status), err.message);
}

static void begin_stream(struct http_request *request, uv_timer_cb due, int left, int period_ms)
{
	struct err err;
	struct visit *visit = http_context(request);
	visit->left = left;
	check(http_stream_begin(request, 200, event_stream, &err), &err);
	(void)uv_timer_start(&visit->timer, due, 0, (uint64_t)period_ms);
}

static void describe(struct http_request *request)
{
	struct err err;
	auto_done(buf) body = {};
	struct view method = http_method(request), path = http_path(request),
		    query = http_query(request), probe = {};
	(void)http_header_get(request, "x-probe", &probe);
	check(buf_append_format(&body, &err, "%.*s|%.*s|%.*s|%.*s|%s|%d|%d", (int)method.size,
		      method.data, (int)path.size, path.data, (int)query.size, query.data,
		      (int)probe.size, probe.size ? (const char *)probe.data : "",
		      http_remote(request), http_is_loopback(request), http_is_tls(request)),
		&err);
	check(http_respond(request, 200, text_plain, &body, &err), &err);
}

static void on_body(struct http_request *request, void *user)
{
	struct err err;
	struct app *app = user;
	struct visit *visit = http_context(request);
	struct view path = http_path(request);
	app->bodies++;
	if (view_equal_string(path, "/echo") || view_equal_string(path, "/small")) {
		auto_done(buf) body = {};
		check(buf_append(&body, http_body(request), &err), &err);
		check(http_respond(request, 200, text_plain, &body, &err), &err);
	} else if (view_equal_string(path, "/sink")) {
		char text[32];
		check(str_format(text, sizeof(text), &err, "%llu",
			      (unsigned long long)http_body_size(request)),
			&err);
		check(fd_wipe(visit->fd, &err), &err);
		answer(request, 200, text);
	} else if (view_equal_string(path, "/slow")) {
		(void)uv_timer_start(
			&visit->timer, slow_due, (uint64_t)query_number(request, 100), 0);
	} else if (view_equal_string(path, "/events")) {
		begin_stream(request, event_due, query_number(request, 3), 20);
	} else if (view_equal_string(path, "/flood")) {
		begin_stream(request, flood_due, query_number(request, 100), 5);
	} else if (view_equal_string(path, "/show")) {
		describe(request);
	} else if (!view_equal_string(path, "/wait")) {
		http_respond_error(request, 404, "not-found", "no such path");
	}
}

static void on_end(struct http_request *request, enum http_end end, void *user)
{
	struct app *app = user;
	struct visit *visit = http_context(request);
	app->ends[end]++;
	uv_close((uv_handle_t *)&visit->timer, visit_closed);
}

static void render_error(
	int status, const char *code, const char *message, struct buf *ret_body, void *user)
{
	struct err err;
	(void)status;
	(void)user;
	check(buf_append_format(ret_body, &err, "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}",
		      code, message),
		&err);
}

static void on_closed(void *user)
{
	struct app *app = user;
	app->server = NULL;
	uv_close((uv_handle_t *)&app->standard_input, NULL);
}

static void input_buffer(uv_handle_t *handle, size_t size, uv_buf_t *ret_buffer)
{
	static char bytes[64];
	(void)handle;
	(void)size;
	*ret_buffer = uv_buf_init(bytes, sizeof(bytes));
}

static void input_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
	struct app *app = stream->data;
	(void)buffer;
	if (got >= 0)
		return;
	(void)uv_read_stop(stream);
	http_server_close(app->server, on_closed, app);
}

static void parse_arguments(char **argv, struct app *app, struct http_config *config)
{
	struct err err;
	uint8_t digest[32];
	struct {
		const char *name;
		uint32_t *value;
	} numbers[] = { { "head_ms=", &config->limits.head_ms },
		{ "idle_ms=", &config->limits.idle_ms },
		{ "window_ms=", &config->limits.body_window_ms },
		{ "window_min=", &config->limits.body_window_min },
		{ "connections=", &config->limits.connections_max },
		{ "keepalive=", &config->limits.keepalive_max } };
	for (char **arg = argv + 1; *arg; arg++) {
		for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
			if (str_starts(*arg, numbers[i].name))
				*numbers[i].value = (uint32_t)strtoul(
					*arg + strlen(numbers[i].name), NULL, 10);
		if (str_starts(*arg, "drain="))
			config->limits.drain_max = strtoull(*arg + 6, NULL, 10);
		if (str_starts(*arg, "address="))
			config->address = *arg + 8;
		if (str_starts(*arg, "port="))
			config->port = (uint16_t)strtoul(*arg + 5, NULL, 10);
		if (str_starts(*arg, "tls_files=")) { /* DIRECTORY with cert.pem and key.pem */
			char certificate[256], key[256];
			if (str_format(certificate, sizeof(certificate), &err, "%s/cert.pem",
				    *arg + 10) < 0 ||
				str_format(key, sizeof(key), &err, "%s/key.pem", *arg + 10) < 0 ||
				http_tls_new(certificate, key, &app->tls, &err) < 0) {
				check(err.category, &err);
				exit(1);
			}
			config->tls = app->tls;
		}
		if (str_starts(*arg, "unix="))
			config->unix_path = *arg + 5;
		if (str_equal(*arg, "tls")) {
			check(http_tls_new_self_signed("example.test", digest, &app->tls, &err),
				&err);
			config->tls = app->tls;
		}
	}
}

int main(int argc UNUSED, char **argv)
{
	struct err err;
	struct app *app = mem_alloc(1, sizeof(*app));
	struct http_config config = { .address = "127.0.0.1",
		.handler = { on_head, on_body, on_end, render_error, app } };
	parse_arguments(argv, app, &config);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)uv_loop_init(&app->loop);
	if (http_server_start(&app->loop, &config, &app->server, &err) < 0) {
		check(err.category, &err);
		return 1;
	}
	(void)printf("port %u\n", http_server_port(app->server));
	(void)fflush(stdout);
	(void)uv_pipe_init(&app->loop, &app->standard_input, 0);
	(void)uv_pipe_open(&app->standard_input, STDIN_FILENO);
	app->standard_input.data = app;
	(void)uv_read_start((uv_stream_t *)&app->standard_input, input_buffer, input_read);
	(void)uv_run(&app->loop, UV_RUN_DEFAULT);
	int left = uv_loop_close(&app->loop);
	http_tls_free(app->tls);
	mem_free(app);
	(void)printf("closed %d\n", left);
	return left == 0 ? 0 : 1;
}
