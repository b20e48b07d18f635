/*
 * engines/net: a whole connection's bytes against a real server over a UNIX socket. Each head has
 * one end, nothing is answered twice, and what the handler sees is well-formed.
 */
#include "fuzz.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "engines/net/http_server.h"
#include "kit/base/fd.h"
#include "kit/base/str.h"

#define TURNS_MAX 2000

struct state {
	uv_loop_t loop;
	struct http_server *server;
	struct sockaddr_un address;
	uint64_t heads, ends;
};

static void check_views(const struct http_request *request)
{
	struct view path = http_path(request), query = http_query(request), value;
	MUST(http_method(request).size > 0 && path.size > 0);
	for (size_t i = 0; i < path.size; i++)
		MUST(path.data[i] > 0x20 && path.data[i] < 0x7f && path.data[i] != '?');
	for (size_t i = 0; i < query.size; i++)
		MUST(query.data[i] > 0x20 && query.data[i] < 0x7f);
	MUST(http_header_count(request, "Content-Length") +
			http_header_count(request, "Transfer-Encoding") <=
		1);
	MUST(!http_header_get(request, "Host", &value) || !memchr(value.data, 0, value.size));
}

static void answer(struct http_request *request)
{
	struct err err;
	auto_done(buf) body = {};
	MUST(buf_append(&body, http_body(request), &err) == 0);
	MUST(http_respond(request, 200, NULL, &body, &err) == 0);
	MUST(http_respond(request, 200, NULL, &body, &err) == E_CONFLICT);
}

static void on_head(struct http_request *request, void *user)
{
	struct err err;
	struct state *state = user;
	state->heads++;
	check_views(request);
	if (view_equal_string(http_path(request), "/early"))
		http_respond_error(request, 401, "denied", "no");
	else if (http_body_to_buf(request, 100, &err) < 0)
		http_respond_error(request, 413, "limit", err.message);
}

static void on_body(struct http_request *request, void *user)
{
	struct err err;
	(void)user;
	MUST(http_body(request).size == http_body_size(request));
	if (!view_equal_string(http_path(request), "/stream")) {
		answer(request);
		return;
	}
	MUST(http_stream_begin(request, 200, NULL, &err) == 0);
	if (http_stream_push(request, view_string("data: x\n\n"), &err) == 0)
		http_stream_end(request);
}

static void on_end(struct http_request *request, enum http_end end, void *user)
{
	struct state *state = user;
	(void)request;
	MUST(end < HTTP_END_COUNT);
	state->ends++;
}

static void render_error(
	int status, const char *code, const char *message, struct buf *ret_body, void *user)
{
	struct err err;
	(void)status;
	(void)message;
	(void)user;
	MUST(buf_append_string(ret_body, code, &err) == 0);
}

static void start(struct state *state)
{
	struct err err;
	struct http_config config = {
		.unix_path = state->address.sun_path,
		.handler = { on_head, on_body, on_end, render_error, state },
	};
	(void)signal(SIGPIPE, SIG_IGN);
	state->address.sun_family = AF_UNIX;
	MUST(str_format(state->address.sun_path, sizeof(state->address.sun_path), &err,
		     "/tmp/cupel-fuzz-http-%d", getpid()) == 0);
	MUST(uv_loop_init(&state->loop) == 0);
	MUST(http_server_start(&state->loop, &config, &state->server, &err) == 0);
}

FUZZ_INITIALIZE

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct state state;
	struct http_stats stats;
	char drop[4096];
	if (!state.server)
		start(&state);
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	MUST(connect(client, (struct sockaddr *)&state.address, sizeof(state.address)) == 0);
	(void)send(client, data, size, MSG_NOSIGNAL);
	for (int turn = 0; turn < TURNS_MAX; turn++) {
		(void)uv_run(&state.loop, UV_RUN_NOWAIT);
		ssize_t got = recv(client, drop, sizeof(drop), MSG_DONTWAIT);
		http_server_stats(state.server, &stats);
		if (turn == 3)
			(void)shutdown(client, SHUT_WR);
		if (got <= 0 && turn > 3 && stats.connections == 0)
			break;
	}
	MUST(stats.connections == 0);
	MUST(state.heads == state.ends);
	(void)close(client);
	(void)uv_run(&state.loop, UV_RUN_NOWAIT);
	return 0;
}
