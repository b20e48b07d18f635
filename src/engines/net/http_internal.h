/*
 * What the files of the HTTP server share; nobody else includes it.
 *
 * One http_connection per accepted socket, owned by the server's list and freed when libmicrohttpd
 * has closed its descriptor and our watch handle is closed. At most one http_request at a time
 * hangs on it; libmicrohttpd's completion callback is the only place where a request dies, so a
 * pointer to it is good until then.
 */
#ifndef ENGINES_NET_HTTP_INTERNAL_H
#define ENGINES_NET_HTTP_INTERNAL_H

#include <microhttpd.h>
#include <sys/socket.h>

#include "engines/net/http_server.h"

struct http_pump;

enum http_phase {
	HTTP_PHASE_HEAD, /* waiting for a complete head; deadline_ms is absolute */
	HTTP_PHASE_BODY, /* receiving; a window of minimum progress ends at deadline_ms */
	HTTP_PHASE_WORK, /* all received; no deadline of ours */
};

struct http_connection {
	struct http_connection *next, *previous;
	struct http_server *server;
	struct MHD_Connection *mhd;
	struct http_request *request;
	uv_poll_t watch; /* notices the disconnect of a suspended connection */
	uint64_t deadline_ms;
	uint64_t window_bytes;
	enum http_phase phase;
	int fd; /* belongs to libmicrohttpd */
	bool has_watch;
	bool is_loopback;
	bool is_tls;
	bool must_linger; /* the client may still send when we close */
	bool is_dead;     /* shut down by us; libmicrohttpd will notice */
	char remote[HTTP_REMOTE_TEXT_MAX];
};

enum http_sink { HTTP_SINK_NONE, HTTP_SINK_BUF, HTTP_SINK_FD, HTTP_SINK_DISCARD };

struct http_field {
	struct view name, value;
};

struct http_request {
	struct http_connection *connection;
	void *context;
	/* head; views point into libmicrohttpd's buffer, the target into ours */
	struct view method;
	struct view path, query;
	char *target;
	const char *target_place; /* where it stood in the raw head */
	size_t target_size;
	struct http_field fields[HTTP_HEADERS_MAX];
	size_t field_count;
	uint64_t content_length;
	bool has_content_length, is_chunked, expects_continue;
	/* body */
	enum http_sink sink;
	int sink_fd;
	uint64_t sink_limit, body_size;
	struct buf body;
	/* answer */
	struct MHD_Response *response;
	int status;
	bool is_stream, stream_ended;
	struct buf stream;
	size_t stream_sent;
	/* progress */
	bool is_headed;    /* the first call of libmicrohttpd has been */
	bool is_announced; /* on_head was called, so on_end is owed */
	bool is_received;  /* on_body was called or the request was answered before */
	bool is_queued;    /* response given to libmicrohttpd */
	bool is_suspended;
	bool has_end;
	enum http_end end;
};

struct http_linger {
	struct http_linger *next, *previous;
	struct http_server *server;
	uv_poll_t poll;
	int fd;
	uint64_t deadline_ms;
	uint64_t left;
};

struct http_server {
	uv_loop_t *loop;
	struct MHD_Daemon *daemon;
	struct http_config config;
	struct http_limits limits;
	char *unix_path;
	int listen_fd;
	uint16_t port;
	uv_poll_t listen_poll, mhd_poll;
	uv_timer_t mhd_timer, scan_timer, accept_timer;
	struct http_connection *connections;
	struct http_connection *adopting; /* being handed to libmicrohttpd */
	struct http_linger *lingers;
	struct http_pump *pumps;
	uint32_t linger_count;
	uint64_t now_ms; /* of the loop */
	struct http_stats stats;
	bool is_listening, is_closing;
	uint32_t handles; /* open libuv handles that keep the server alive */
	void (*on_closed)(void *user);
	void *closed_user;
	uint8_t scratch[16384]; /* drained bytes and TLS plaintext; wiped after each use */
};

/* http_server.c */
void http_handle_opened(struct http_server *server);
void http_handle_closed(struct http_server *server);
void http_server_run_soon(struct http_server *server);

/* http_connection.c */
void http_accept_ready(uv_poll_t *poll, int status, int events);
void http_accept_again(uv_timer_t *timer);
void http_scan(uv_timer_t *timer);
void http_connection_notify(void *server, struct MHD_Connection *mhd, void **context,
	enum MHD_ConnectionNotificationCode code);
struct http_connection *http_connection_of(struct MHD_Connection *mhd);
void http_connection_phase(struct http_connection *connection, enum http_phase phase);
void http_connection_watch(struct http_connection *connection);
void http_connection_unwatch(struct http_connection *connection);
/* A client without TCP_NODELAY keeps its next bytes back until ours acknowledge the last ones. */
void http_ack_now(int fd);
void http_connection_kill(struct http_connection *connection);
/* Write an error answer behind libmicrohttpd's back; only while it has nothing to send. */
void http_connection_raw_error(
	struct http_connection *connection, int status, const char *code, const char *message);

/* http_linger.c: read and drop what a client still sends, so that it can read our answer. */
void http_linger_start(struct http_server *server, int fd);
void http_linger_stop(struct http_linger *linger);

/* http_head.c: 0, or the status of the refusal with its code and message. */
struct http_fault {
	int status;
	const char *code;
	const char *message;
};
struct http_fault http_head_check(
	struct http_request *request, const char *method, const char *version);

/* http_request.c: libmicrohttpd's callbacks. */
void *http_request_begin(void *server, const char *target, struct MHD_Connection *mhd);
enum MHD_Result http_request_access(void *server, struct MHD_Connection *mhd, const char *url,
	const char *method, const char *version, const char *upload, size_t *upload_size,
	void **context);
void http_request_completed(void *server, struct MHD_Connection *mhd, void **context,
	enum MHD_RequestTerminationCode code);
void http_request_gone(struct http_request *request, enum http_end end);

/* http_response.c */
enum MHD_Result http_response_queue(struct http_request *request);
void http_request_wake(struct http_request *request);
void http_request_suspend(struct http_request *request);

/* tls_pump.c: takes over client_fd; gives the clear-text end for libmicrohttpd. */
int http_pump_start(struct http_server *server, struct http_tls *tls, int client_fd,
	int *ret_clear_fd, struct err *err) MUST_CHECK;
void http_pumps_close(struct http_server *server);

#endif
