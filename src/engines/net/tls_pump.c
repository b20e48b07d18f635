/*
 * The TLS listener's pump: ciphertext on the client's socket, clear text on a socketpair whose
 * other end libmicrohttpd serves like any connection. One pump per client, in the same loop.
 *
 * Each direction holds at most one record that the other side does not take yet (backlog); while
 * it is there, nothing more is read for that direction. When the client ends, both ends are closed,
 * so that libmicrohttpd and the disconnect watch see it as on a plain socket; when libmicrohttpd
 * ends, what is left goes out, then close_notify, then a lingering close.
 */
#include "engines/net/http_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include "engines/net/tls_internal.h"
#include "kit/base/fd.h"
#include "kit/base/mem.h"

#define ROUNDS_PER_TURN 8
#define WATCHES 2

struct http_pump {
	struct http_pump *next, *previous;
	struct http_server *server;
	SSL *ssl;
	int client_fd, clear_fd;
	uv_poll_t client_poll, clear_poll;
	int client_events, clear_events; /* what is being watched now */
	struct buf to_clear, to_client;
	bool client_ended, clear_ended, ssl_wants_write, is_closing;
	int open_handles;
};

static void pump_handle_closed(uv_handle_t *handle)
{
	struct http_pump *pump = handle->data;
	struct http_server *server = pump->server;
	if (--pump->open_handles == 0)
		mem_free(pump);
	http_handle_closed(server);
}

static void pump_close(struct http_pump *pump)
{
	struct http_server *server = pump->server;
	if (pump->is_closing)
		return;
	pump->is_closing = true;
	if (pump->previous)
		pump->previous->next = pump->next;
	else
		server->pumps = pump->next;
	if (pump->next)
		pump->next->previous = pump->previous;
	uv_close((uv_handle_t *)&pump->client_poll, pump_handle_closed);
	uv_close((uv_handle_t *)&pump->clear_poll, pump_handle_closed);
	SSL_free(pump->ssl);
	buf_done(&pump->to_clear);
	buf_done(&pump->to_client);
	fd_close(&pump->client_fd);
	fd_close(&pump->clear_fd);
}

void http_pumps_close(struct http_server *server)
{
	while (server->pumps)
		pump_close(server->pumps);
}

/* Keep what was not taken: the rest of bytes behind count. */
static void backlog_set(struct buf *backlog, struct view bytes, size_t count)
{
	struct err err;
	struct buf rest = {};
	if (count < bytes.size &&
		buf_append(&rest, view_of(bytes.data + count, bytes.size - count), &err) < 0)
		return; /* cannot be: the buffer has no limit */
	buf_done(backlog);
	*backlog = rest;
}

/* False when the clear end is broken. */
static bool give_clear(struct http_pump *pump, struct view bytes)
{
	ssize_t sent = send(pump->clear_fd, bytes.data, bytes.size, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN && errno != EINTR)
		return false;
	backlog_set(&pump->to_clear, bytes, sent < 0 ? 0 : (size_t)sent);
	return true;
}

/* What OpenSSL's non-success means for us: true to wait, false when the client is finished. */
static bool ssl_would_wait(struct http_pump *pump, int result)
{
	int reason = SSL_get_error(pump->ssl, result);
	ERR_clear_error();
	if (reason == SSL_ERROR_WANT_WRITE)
		pump->ssl_wants_write = true;
	return reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE;
}

static bool give_client(struct http_pump *pump, struct view bytes)
{
	size_t sent = 0;
	int result = SSL_write_ex(pump->ssl, bytes.data, bytes.size, &sent);
	if (result != 1 && !ssl_would_wait(pump, result))
		return false;
	backlog_set(&pump->to_client, bytes, sent);
	return true;
}

/* One step towards libmicrohttpd; true when there may be more to do. */
static bool step_in(struct http_pump *pump)
{
	struct http_server *server = pump->server;
	if (pump->to_clear.size > 0) {
		size_t before = pump->to_clear.size;
		struct buf held = pump->to_clear;
		pump->to_clear = (struct buf){};
		if (!give_clear(pump, buf_view(&held)))
			pump->clear_ended = true;
		buf_done(&held);
		return pump->to_clear.size < before;
	}
	size_t got = 0;
	int result = SSL_read_ex(pump->ssl, server->scratch, sizeof(server->scratch), &got);
	if (result != 1) {
		pump->client_ended = !ssl_would_wait(pump, result);
		return false;
	}
	if (!give_clear(pump, view_of(server->scratch, got)))
		pump->clear_ended = true;
	mem_wipe(server->scratch, got);
	return true;
}

/* One step towards the client. */
static bool step_out(struct http_pump *pump)
{
	struct http_server *server = pump->server;
	if (pump->to_client.size > 0) {
		size_t before = pump->to_client.size;
		struct buf held = pump->to_client;
		pump->to_client = (struct buf){};
		if (!give_client(pump, buf_view(&held)))
			pump->client_ended = true;
		buf_done(&held);
		return pump->to_client.size < before;
	}
	ssize_t got = recv(pump->clear_fd, server->scratch, sizeof(server->scratch), MSG_DONTWAIT);
	if (got < 0)
		return false;
	if (got == 0) {
		pump->clear_ended = true;
		return false;
	}
	if (!give_client(pump, view_of(server->scratch, (size_t)got)))
		pump->client_ended = true;
	mem_wipe(server->scratch, (size_t)got);
	return true;
}

static void watch(uv_poll_t *poll, int *watched, int events, uv_poll_cb callback)
{
	if (*watched == events)
		return;
	*watched = events;
	if (events)
		(void)uv_poll_start(poll, events, callback);
	else
		(void)uv_poll_stop(poll);
}

static void pump_ready(uv_poll_t *poll, int status, int events);

static void pump_watch(struct http_pump *pump)
{
	bool is_accepted = SSL_is_init_finished(pump->ssl);
	int client_events = UV_DISCONNECT;
	int clear_events = 0;
	if (pump->to_clear.size == 0)
		client_events |= UV_READABLE;
	if (pump->to_client.size > 0 || pump->ssl_wants_write)
		client_events |= UV_WRITABLE;
	if (pump->to_client.size == 0 && is_accepted)
		clear_events |= UV_READABLE;
	if (pump->to_clear.size > 0)
		clear_events |= UV_WRITABLE;
	if (!is_accepted)
		clear_events |= UV_DISCONNECT; /* killed for being late */
	watch(&pump->client_poll, &pump->client_events, client_events, pump_ready);
	watch(&pump->clear_poll, &pump->clear_events, clear_events, pump_ready);
}

/* libmicrohttpd has finished and all of it went out. */
static void pump_finish(struct http_pump *pump)
{
	struct http_server *server = pump->server;
	(void)SSL_shutdown(pump->ssl); /* close_notify; we do not wait for theirs */
	ERR_clear_error();
	(void)shutdown(pump->client_fd, SHUT_WR);
	int client_fd = take_fd(&pump->client_fd);
	pump_close(pump); /* first: libuv allows one watch per descriptor */
	http_linger_start(server, client_fd);
}

static void pump_work(struct http_pump *pump)
{
	pump->ssl_wants_write = false;
	if (!SSL_is_init_finished(pump->ssl)) {
		int result = SSL_accept(pump->ssl);
		if (result != 1) {
			pump->client_ended = !ssl_would_wait(pump, result);
			return;
		}
		http_ack_now(pump->client_fd); /* of the handshake: no ticket follows it */
	}
	bool has_received = false, has_sent = false;
	for (int round = 0; round < ROUNDS_PER_TURN; round++) {
		bool has_moved_in = !pump->client_ended && !pump->clear_ended && step_in(pump);
		bool has_moved_out = !pump->client_ended && step_out(pump);
		has_received |= has_moved_in;
		has_sent |= has_moved_out;
		if (!has_moved_in && !has_moved_out)
			break;
	}
	if (has_received && !has_sent)
		http_ack_now(pump->client_fd);
}

static void pump_ready(uv_poll_t *poll, int status, int events)
{
	struct http_pump *pump = poll->data;
	bool client_left = poll == &pump->client_poll && (status < 0 || (events & UV_DISCONNECT));
	bool clear_left = poll == &pump->clear_poll && (events & UV_DISCONNECT);
	pump_work(pump);
	bool is_flushed = pump->to_client.size == 0;
	if (pump->clear_ended && is_flushed && !pump->client_ended && !client_left)
		pump_finish(pump);
	else if (pump->client_ended || client_left || clear_left)
		pump_close(pump);
	else
		pump_watch(pump);
}

static int pump_new(struct http_server *server, struct http_tls *tls, int client_fd, int clear_fd,
	struct err *err)
{
	struct http_pump *pump = mem_alloc(1, sizeof(*pump));
	pump->server = server;
	pump->ssl = SSL_new(tls->context);
	if (!pump->ssl || SSL_set_fd(pump->ssl, client_fd) != 1 ||
		uv_poll_init(server->loop, &pump->client_poll, client_fd) < 0) {
		SSL_free(pump->ssl);
		mem_free(pump);
		return err_set(err, E_UNAVAILABLE, "no TLS connection can be made");
	}
	/* Cannot fail where the first did not: a fresh descriptor of a kind epoll knows. */
	(void)uv_poll_init(server->loop, &pump->clear_poll, clear_fd);
	pump->client_poll.data = pump;
	pump->clear_poll.data = pump;
	pump->client_fd = client_fd;
	pump->clear_fd = clear_fd;
	pump->open_handles = WATCHES;
	for (int i = 0; i < WATCHES; i++)
		http_handle_opened(server);
	SSL_set_accept_state(pump->ssl);
	pump->next = server->pumps;
	if (pump->next)
		pump->next->previous = pump;
	server->pumps = pump;
	pump_watch(pump);
	return 0;
}

int http_pump_start(struct http_server *server, struct http_tls *tls, int client_fd,
	int *ret_clear_fd, struct err *err)
{
	auto_close client = client_fd;
	int pair[2];
	TRY(fd_socketpair(SOCK_STREAM, pair, err));
	auto_close inner = pair[0];
	auto_close outer = pair[1];
	if (fcntl(inner, F_SETFL, O_NONBLOCK) < 0 || fcntl(outer, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, E_UNAVAILABLE, "cannot prepare a socket pair");
	TRY(pump_new(server, tls, client, inner, err));
	(void)take_fd(&client);
	(void)take_fd(&inner);
	*ret_clear_fd = take_fd(&outer);
	return 0;
}
