/*
 * Lingering close. When a server closes a socket with unread bytes, the kernel sends a reset and
 * the client may lose an answer that is already on its way. So, after an early answer, we keep a
 * copy of the descriptor whose sending side is shut, read and drop what the client still sends
 * (bounded in bytes, time and number), and close at its end of stream.
 */
#include "engines/net/http_internal.h"

#include <errno.h>
#include <sys/socket.h>

#include "kit/base/fd.h"
#include "kit/base/mem.h"

#define LINGER_MS 5000
#define LINGER_COUNT_MAX 256
#define LINGER_READS_PER_TURN 16

static void linger_closed(uv_handle_t *handle)
{
	struct http_linger *linger = handle->data;
	struct http_server *server = linger->server;
	mem_free(linger);
	http_handle_closed(server);
}

void http_linger_stop(struct http_linger *linger)
{
	struct http_server *server = linger->server;
	if (linger->previous)
		linger->previous->next = linger->next;
	else
		server->lingers = linger->next;
	if (linger->next)
		linger->next->previous = linger->previous;
	server->linger_count--;
	uv_close((uv_handle_t *)&linger->poll, linger_closed);
	fd_close(&linger->fd);
}

static void linger_ready(uv_poll_t *poll, int status, int events UNUSED)
{
	struct http_linger *linger = poll->data;
	struct http_server *server = linger->server;
	bool is_over = status < 0;
	for (int i = 0; i < LINGER_READS_PER_TURN && !is_over; i++) {
		/* MSG_TRUNC on TCP drops the bytes in the kernel; on UNIX sockets they come here.
		 */
		ssize_t got = recv(linger->fd, server->scratch, sizeof(server->scratch),
			MSG_DONTWAIT | MSG_TRUNC);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		is_over = got <= 0 || (uint64_t)got >= linger->left;
		linger->left -= is_over ? 0 : (uint64_t)got;
	}
	mem_wipe(server->scratch, sizeof(server->scratch));
	if (is_over)
		http_linger_stop(linger);
}

void http_linger_start(struct http_server *server, int fd)
{
	if (server->is_closing || server->linger_count >= LINGER_COUNT_MAX) {
		fd_close(&fd);
		return;
	}
	struct http_linger *linger = mem_alloc(1, sizeof(*linger));
	if (uv_poll_init(server->loop, &linger->poll, fd) < 0) {
		fd_close(&fd);
		mem_free(linger);
		return;
	}
	http_handle_opened(server);
	linger->poll.data = linger;
	linger->server = server;
	linger->fd = fd;
	linger->left = server->limits.drain_max;
	linger->deadline_ms = uv_now(server->loop) + LINGER_MS;
	linger->next = server->lingers;
	if (linger->next)
		linger->next->previous = linger;
	server->lingers = linger;
	server->linger_count++;
	(void)uv_poll_start(&linger->poll, UV_READABLE, linger_ready);
}
