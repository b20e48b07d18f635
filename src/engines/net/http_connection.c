/*
 * Connections: accepting with a limit, deadlines, noticing the disconnect of a client that waits,
 * and killing.
 *
 * libmicrohttpd's own timeout restarts with every byte, so a client that trickles bytes would stay
 * for ever; we keep an absolute deadline for a complete head and a window of minimum progress for
 * a body, and look at all connections four times a second. A connection is killed by shutting its
 * socket down: libmicrohttpd then sees the end and releases everything on its usual way.
 */
#include "engines/net/http_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"

#define ACCEPTS_PER_TURN 64
#define ACCEPT_PAUSE_MS 100 /* after running out of descriptors */

union any_address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

static bool is_loopback(const union any_address *address)
{
	const struct in6_addr *in6 = &address->in6.sin6_addr;
	if (address->any.sa_family == AF_INET)
		return ntohl(address->in.sin_addr.s_addr) >> 24 == 127;
	if (address->any.sa_family != AF_INET6)
		return address->any.sa_family == AF_UNIX;
	if (IN6_IS_ADDR_V4MAPPED(in6))
		return in6->s6_addr[12] == 127;
	return IN6_IS_ADDR_LOOPBACK(in6);
}

static void remote_text(const union any_address *address, char ret_text[HTTP_REMOTE_TEXT_MAX])
{
	char host[INET6_ADDRSTRLEN] = "";
	struct err err;
	int status = 0;
	if (address->any.sa_family == AF_INET) {
		(void)inet_ntop(AF_INET, &address->in.sin_addr, host, sizeof(host));
		status = str_format(ret_text, HTTP_REMOTE_TEXT_MAX, &err, "%s:%u", host,
			ntohs(address->in.sin_port));
	} else if (address->any.sa_family == AF_INET6) {
		(void)inet_ntop(AF_INET6, &address->in6.sin6_addr, host, sizeof(host));
		status = str_format(ret_text, HTTP_REMOTE_TEXT_MAX, &err, "[%s]:%u", host,
			ntohs(address->in6.sin6_port));
	} else {
		status = str_format(ret_text, HTTP_REMOTE_TEXT_MAX, &err, "unix");
	}
	(void)status; /* every form fits */
}

static void connection_unlink(struct http_connection *connection)
{
	struct http_server *server = connection->server;
	if (connection->previous)
		connection->previous->next = connection->next;
	else
		server->connections = connection->next;
	if (connection->next)
		connection->next->previous = connection->previous;
	server->stats.connections--;
}

static void connection_link(struct http_connection *connection)
{
	struct http_server *server = connection->server;
	connection->next = server->connections;
	if (connection->next)
		connection->next->previous = connection;
	server->connections = connection;
	server->stats.connections++;
}

static void watch_closed(uv_handle_t *handle)
{
	struct http_connection *connection = handle->data;
	struct http_server *server = connection->server;
	mem_free(connection);
	http_handle_closed(server);
}

/* libmicrohttpd is about to close the descriptor. */
static void connection_closed(struct http_connection *connection)
{
	int unread = 0;
	bool has_unread = ioctl(connection->fd, FIONREAD, &unread) == 0 && unread > 0;
	if ((connection->must_linger || has_unread) && !connection->server->is_closing) {
		int copy = fcntl(connection->fd, F_DUPFD_CLOEXEC, 3);
		if (copy >= 0)
			http_linger_start(connection->server, copy);
	}
	connection_unlink(connection);
	if (connection->has_watch)
		uv_close((uv_handle_t *)&connection->watch, watch_closed);
	else
		mem_free(connection);
}

void http_connection_notify(void *server_pointer, struct MHD_Connection *mhd, void **context,
	enum MHD_ConnectionNotificationCode code)
{
	struct http_server *server = server_pointer;
	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		connection_closed(*context);
		*context = NULL;
		return;
	}
	server->adopting->mhd = mhd;
	*context = take_ptr(server->adopting);
}

struct http_connection *http_connection_of(struct MHD_Connection *mhd)
{
	return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

void http_connection_phase(struct http_connection *connection, enum http_phase phase)
{
	const struct http_limits *limits = &connection->server->limits;
	uint64_t now_ms = uv_now(connection->server->loop);
	connection->phase = phase;
	connection->window_bytes = 0;
	if (phase == HTTP_PHASE_BODY)
		connection->deadline_ms = now_ms + limits->body_window_ms;
	else if (phase == HTTP_PHASE_HEAD)
		connection->deadline_ms = now_ms + limits->head_ms;
}

static void watch_ready(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
	struct http_connection *connection = poll->data;
	http_connection_unwatch(connection);
	if (connection->request)
		http_request_gone(connection->request, HTTP_END_CLIENT_GONE);
}

void http_connection_watch(struct http_connection *connection)
{
	if (!connection->has_watch) {
		if (uv_poll_init(connection->server->loop, &connection->watch, connection->fd) < 0)
			return; /* out of memory or descriptors; the answer will find out */
		connection->watch.data = connection;
		connection->has_watch = true;
		http_handle_opened(connection->server);
	}
	(void)uv_poll_start(&connection->watch, UV_DISCONNECT, watch_ready);
}

void http_connection_unwatch(struct http_connection *connection)
{
	if (connection->has_watch)
		(void)uv_poll_stop(&connection->watch);
}

void http_connection_kill(struct http_connection *connection)
{
	connection->is_dead = true;
	(void)shutdown(connection->fd, SHUT_RDWR);
}

void http_ack_now(int fd)
{
	/* Fails on a UNIX socket, where there is nothing to acknowledge. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &(int){ 1 }, sizeof(int));
}

static void raw_error(struct http_server *server, int fd, const struct http_fault *fault)
{
	struct err err;
	auto_done(buf) body = {};
	auto_done(buf) answer = {};
	const struct http_handler *handler = &server->config.handler;
	handler->render_error(fault->status, fault->code, fault->message, &body, handler->user);
	int status = buf_append_format(&answer, &err,
		"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
		"%sConnection: close\r\n\r\n",
		fault->status, fault->code, body.size,
		fault->status == 503 ? "Retry-After: 1\r\n" : "");
	if (status == 0)
		status = buf_append(&answer, buf_view(&body), &err);
	if (status == 0) /* a full or broken socket only costs the client the explanation */
		(void)send(fd, answer.data, answer.size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void http_connection_raw_error(
	struct http_connection *connection, int status, const char *code, const char *message)
{
	raw_error(
		connection->server, connection->fd, &(struct http_fault){ status, code, message });
}

/* True when the connection outlived its phase and was told so. */
static bool connection_is_late(struct http_connection *connection, uint64_t now_ms)
{
	const struct http_limits *limits = &connection->server->limits;
	if (connection->is_dead || connection->phase == HTTP_PHASE_WORK ||
		now_ms < connection->deadline_ms)
		return false;
	if (connection->phase == HTTP_PHASE_BODY &&
		connection->window_bytes >= limits->body_window_min) {
		http_connection_phase(connection, HTTP_PHASE_BODY);
		return false;
	}
	return true;
}

static void connection_expire(struct http_connection *connection)
{
	if (connection->request) {
		connection->request->has_end = true;
		connection->request->end = HTTP_END_TIMEOUT;
	}
	if (connection->phase == HTTP_PHASE_BODY)
		http_connection_raw_error(connection, 408, "timeout",
			"the request body arrives too slowly; send it faster or in parts");
	else
		http_connection_raw_error(
			connection, 408, "timeout", "no complete request head arrived in time");
	http_connection_kill(connection);
}

void http_scan(uv_timer_t *timer)
{
	struct http_server *server = timer->data;
	uint64_t now_ms = uv_now(server->loop);
	struct http_connection *next = NULL;
	for (struct http_connection *c = server->connections; c; c = next) {
		next = c->next;
		if (connection_is_late(c, now_ms))
			connection_expire(c);
	}
	struct http_linger *next_linger = NULL;
	for (struct http_linger *linger = server->lingers; linger; linger = next_linger) {
		next_linger = linger->next;
		if (now_ms >= linger->deadline_ms)
			http_linger_stop(linger);
	}
}

/* TLS: put a pump between the client and the descriptor that libmicrohttpd gets. */
static int clear_end(struct http_server *server, int *fd)
{
	struct err err;
	int clear_fd = -1;
	if (!server->config.tls)
		return 0;
	int status = http_pump_start(server, server->config.tls, take_fd(fd), &clear_fd, &err);
	*fd = clear_fd;
	return status;
}

static void adopt(
	struct http_server *server, int client_fd, const union any_address *address, socklen_t size)
{
	auto_close fd = client_fd;
	if (server->stats.connections >= server->limits.connections_max) {
		server->stats.refused++;
		if (!server->config.tls)
			raw_error(server, fd,
				&(struct http_fault){ 503, "unavailable",
					"too many connections; try again in a second" });
		return;
	}
	if (clear_end(server, &fd) < 0)
		return;
	auto_free struct http_connection *connection = mem_alloc(1, sizeof(*connection));
	connection->server = server;
	connection->is_loopback = is_loopback(address);
	connection->is_tls = server->config.tls != NULL;
	connection->fd = fd;
	remote_text(address, connection->remote);
	connection_link(connection);
	http_connection_phase(connection, HTTP_PHASE_HEAD);
	server->stats.accepted++;
	server->adopting = connection;
	/* Closes the descriptor when it fails, and tells us if it had already adopted it. */
	(void)MHD_add_connection(server->daemon, take_fd(&fd), &address->any, size);
	if (server->adopting)
		connection_unlink(take_ptr(server->adopting));
	else
		(void)take_ptr(connection);
}

void http_accept_ready(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
	struct http_server *server = poll->data;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		union any_address address = {};
		socklen_t size = sizeof(address);
		int fd = accept4(
			server->listen_fd, &address.any, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			adopt(server, fd, &address, size);
			continue;
		}
		if (errno == EAGAIN)
			return;
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			/* Waiting clients stay in the backlog until something was closed. */
			(void)uv_poll_stop(poll);
			(void)uv_timer_start(
				&server->accept_timer, http_accept_again, ACCEPT_PAUSE_MS, 0);
			return;
		}
	}
}

void http_accept_again(uv_timer_t *timer)
{
	struct http_server *server = timer->data;
	if (server->is_listening)
		(void)uv_poll_start(&server->listen_poll, UV_READABLE, http_accept_ready);
}
