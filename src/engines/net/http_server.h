/*
 * HTTP/1.1 server in the caller's libuv loop; no threads. libmicrohttpd 0.9.75 parses and writes,
 * we accept, check heads strictly, keep deadlines, notice vanished clients and terminate TLS.
 *
 * Life of a request (all callbacks run on the loop, none is NULL but may be a no-op):
 *
 *	on_head   the head is complete and well-formed. Answer at once with http_respond(), or name
 *	          where the body goes (http_body_to_buf, http_body_to_fd); a body without a place is
 *	          refused with 413. An answer given here reaches the client although it still sends.
 *	on_body   the whole request has arrived (also when it has no body) and is unanswered. Answer
 *	          now, later, or as a stream.
 *	on_end    exactly once for each on_head: the request is over; the pointer dies on return.
 *	          A client that goes away while an answer is pending leads here within a second,
 *	          with HTTP_END_CLIENT_GONE. A half-closed connection counts as gone.
 *
 * Memory that held head, body or answer is wiped or unmapped before the connection goes on.
 * Faults that libmicrohttpd finds itself before we see a head (no colon in a header line, head
 * larger than its buffer, bad chunk) are answered by it with a short HTML text; all others have
 * the body that render_error makes.
 */
#ifndef ENGINES_NET_HTTP_SERVER_H
#define ENGINES_NET_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "kit/base/buf.h"

struct http_server;
struct http_request;
struct http_tls;

#define HTTP_HEAD_MAX 16384               /* request line and header fields, bytes; 431 beyond */
#define HTTP_HEADERS_MAX 64               /* header fields; 431 beyond */
#define HTTP_TARGET_MAX 4096              /* path and query, bytes; 414 beyond */
#define HTTP_REMOTE_TEXT_MAX 64           /* "[ipv6]:port" and its NUL */
#define HTTP_STREAM_BACKLOG_MAX (1 << 20) /* bytes a slow reader may leave unsent in a stream */

/* Limits of one server; 0 takes the default. */
struct http_limits {
	uint32_t connections_max; /* 12,000, lowered to what RLIMIT_NOFILE allows; 503 beyond */
	uint32_t keepalive_max;   /* 1,000: with more connections open, answers close theirs */
	uint32_t head_ms;         /* 10,000: a head that began must be complete */
	uint32_t idle_ms;         /* 60,000: keep-alive, and an answer nobody reads */
	uint32_t body_window_ms;  /* 10,000: in each window a body must bring ... */
	uint32_t body_window_min; /* 1,024: ... that many bytes; 408 otherwise */
	uint64_t drain_max;       /* 16 MiB: read and dropped after an early answer, at most */
};

enum http_end {
	HTTP_END_ANSWERED,    /* the answer was handed to the kernel completely */
	HTTP_END_CLIENT_GONE, /* disconnected before that */
	HTTP_END_TIMEOUT,     /* too slow in sending or reading */
	HTTP_END_REFUSED,     /* body over its limit or not storable; answered by the server */
	HTTP_END_SHUTDOWN,    /* http_server_close */
	HTTP_END_COUNT
};

struct http_handler {
	void (*on_head)(struct http_request *request, void *user);
	void (*on_body)(struct http_request *request, void *user);
	void (*on_end)(struct http_request *request, enum http_end end, void *user);
	/* Append the body (application/json) of an error answer to ret_body. */
	void (*render_error)(int status, const char *code, const char *message,
		struct buf *ret_body, void *user);
	void *user;
};

struct http_config {
	const char *address;   /* "127.0.0.1", "::1", "0.0.0.0"; NULL with unix_path */
	uint16_t port;         /* 0: the kernel chooses, see http_server_port */
	const char *unix_path; /* socket file, made 0600; an unused old socket is replaced */
	struct http_tls *tls;  /* NULL: clear text; borrowed until the server is closed */
	struct http_limits limits;
	struct http_handler handler;
};

struct http_stats {
	uint64_t accepted;    /* connections since start */
	uint64_t refused;     /* connections over connections_max */
	uint64_t requests;    /* complete heads since start */
	uint32_t connections; /* open now */
	uint32_t connections_max;
};

struct http_header {
	const char *name;
	const char *value;
};

/*
 * Listen and serve in loop. Raises the soft RLIMIT_NOFILE to the hard one. The program ignores
 * SIGPIPE (proc_harden does that).
 * E_INVALID: neither a numeric address nor unix_path; E_UNAVAILABLE: cannot bind or listen;
 * E_INTERNAL: libuv or libmicrohttpd does not start.
 */
int http_server_start(uv_loop_t *loop, const struct http_config *config,
	struct http_server **ret_server, struct err *err) MUST_CHECK;

/* The bound TCP port; 0 for a UNIX socket. */
uint16_t http_server_port(const struct http_server *server);

void http_server_stats(const struct http_server *server, struct http_stats *ret_stats);

/* Stop accepting; requests under way go on and their answers close the connection. */
void http_server_stop_listening(struct http_server *server);

/*
 * Not from within a callback of ours. End everything: on_end(HTTP_END_SHUTDOWN) for each open
 * request during this call, then on_closed(user) from the loop when the last handle is gone and the
 * server is freed.
 */
void http_server_close(struct http_server *server, void (*on_closed)(void *user), void *user);

/* What was asked. Views live until on_end; path and query are raw (not percent-decoded). */
struct view http_method(const struct http_request *request);
struct view http_path(const struct http_request *request);
struct view http_query(const struct http_request *request); /* behind '?'; empty without */

/* A header field by name, any case; the first of several. False when there is none. */
bool http_header_get(const struct http_request *request, const char *name, struct view *ret_value);

/* How many fields have this name. */
size_t http_header_count(const struct http_request *request, const char *name);

bool http_is_loopback(const struct http_request *request); /* 127/8, ::1 or a UNIX socket */
bool http_is_tls(const struct http_request *request);
const char *http_remote(const struct http_request *request); /* "127.0.0.1:4711" or "unix" */
bool http_has_body(const struct http_request *request);

/* Declared Content-Length; false when chunked or without body. */
bool http_content_length(const struct http_request *request, uint64_t *ret_size);

/* One pointer for the handler's own state; set in on_head, freed by the handler in on_end. */
void http_set_context(struct http_request *request, void *context);
void *http_context(const struct http_request *request);

/*
 * Where the body goes; in on_head only. E_LIMIT when Content-Length already says more than limit
 * (answer that); a chunked body that grows beyond is refused with 413 by the server.
 * The descriptor is borrowed and written from its current position; a failed write is a 503.
 */
int http_body_to_buf(struct http_request *request, size_t limit, struct err *err) MUST_CHECK;
int http_body_to_fd(
	struct http_request *request, int fd, uint64_t limit, struct err *err) MUST_CHECK;

/* From on_body on: bytes that arrived, and (http_body_to_buf) the bytes until on_end. */
uint64_t http_body_size(const struct http_request *request);
struct view http_body(const struct http_request *request);

/*
 * Answer once, at any time between on_head and on_end. headers ends with a NULL name and may be
 * NULL; Content-Length, Date and Connection are added. body is taken over (left empty) and wiped
 * when sent; NULL for none. HEAD gets the headers only.
 * E_CONFLICT when already answered; E_INVALID for a header field that is none.
 */
int http_respond(struct http_request *request, int status, const struct http_header *headers,
	struct buf *body, struct err *err) MUST_CHECK;

/* Answer with render_error's body; does nothing when already answered. */
void http_respond_error(
	struct http_request *request, int status, const char *code, const char *message);
void http_respond_error_with(struct http_request *request, int status, const char *code,
	const char *message, const struct http_header *headers);

/*
 * Answer in pieces (server-sent events): begin, push any number of times, end.
 * push: E_LIMIT when the client left HTTP_STREAM_BACKLOG_MAX bytes unread; nothing is queued then.
 * E_CONFLICT as for http_respond; for push also after HEAD, whose stream has already ended.
 */
int http_stream_begin(struct http_request *request, int status, const struct http_header *headers,
	struct err *err) MUST_CHECK;
int http_stream_push(struct http_request *request, struct view bytes, struct err *err) MUST_CHECK;
void http_stream_end(struct http_request *request);

/*
 * TLS 1.2 and 1.3 with one certificate; no tickets, no resumption, plaintext wiped by OpenSSL.
 * http_tls_new: PEM files; E_NOT_FOUND, E_INVALID (unreadable, or key and certificate differ).
 * http_tls_new_self_signed: a fresh P-256 key and certificate for the names "localhost",
 * 127.0.0.1, ::1 and host (may be NULL), valid for 397 days; ret_sha256 gets the certificate's
 * digest so that it can be shown and pinned.
 */
int http_tls_new(const char *certificate_path, const char *key_path, struct http_tls **ret_tls,
	struct err *err) MUST_CHECK;
int http_tls_new_self_signed(const char *host, uint8_t ret_sha256[static 32],
	struct http_tls **ret_tls, struct err *err) MUST_CHECK;

/* The certificate as PEM, appended: for clients on this machine to pin. E_INTERNAL. */
int http_tls_certificate(
	const struct http_tls *tls, struct buf *ret_pem, struct err *err) MUST_CHECK;
void http_tls_free(struct http_tls *tls);

#endif
