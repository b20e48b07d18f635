/*
 * Start and stop of the HTTP server, and the glue between libuv and libmicrohttpd.
 *
 * libmicrohttpd runs without threads and without a listening socket: it owns an epoll descriptor
 * that our loop watches, and tells with MHD_get_timeout when it must run without an event. We
 * accept ourselves (http_connection.c) because we count connections, keep absolute deadlines and
 * put TLS in front.
 *
 * Its memory pool per connection is larger than 32 KiB, so that it is mapped and unmapped
 * (memorypool.c of 0.9.75) instead of being freed to the heap with request bytes in it; between
 * two requests of a connection the pool is zeroed.
 */
#include "engines/net/http_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"

#define POOL_SIZE (48 * 1024) /* > 32 KiB, see above; half of it receives */
#define LISTEN_BACKLOG 4096
#define FDS_RESERVED 512 /* for everything that is no connection */
#define FDS_PER_CLEAR 1  /* the socket */
#define FDS_PER_TLS 3    /* the socket and both ends of the pair */
#define SCAN_MS 250
#define KEEPALIVE_IDLE_S 30 /* TCP probes find peers that vanished without a word */
#define KEEPALIVE_INTERVAL_S 10
#define KEEPALIVE_COUNT 3

void http_handle_opened(struct http_server *server)
{
	server->handles++;
}

void http_handle_closed(struct http_server *server)
{
	server->handles--;
	if (server->handles > 0 || !server->is_closing)
		return;
	void (*on_closed)(void *) = server->on_closed;
	void *user = server->closed_user;
	mem_free(server->unix_path);
	mem_free(server);
	if (on_closed)
		on_closed(user);
}

static void base_handle_closed(uv_handle_t *handle)
{
	http_handle_closed(handle->data);
}

static void mhd_timer_due(uv_timer_t *timer);

/* Let libmicrohttpd work, then wake it when it wants to. */
static void run_mhd(struct http_server *server)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms = 0;
	server->now_ms = uv_now(server->loop);
	(void)MHD_run(server->daemon); /* fails only for a daemon of another mode */
	if (MHD_get_timeout(server->daemon, &timeout_ms) == MHD_YES)
		(void)uv_timer_start(&server->mhd_timer, mhd_timer_due, timeout_ms, 0);
	else
		(void)uv_timer_stop(&server->mhd_timer);
}

static void mhd_poll_ready(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
	run_mhd(poll->data);
}

static void mhd_timer_due(uv_timer_t *timer)
{
	run_mhd(timer->data);
}

/* Resumed connections are no event for epoll: without threads libmicrohttpd must be run. */
void http_server_run_soon(struct http_server *server)
{
	if (!server->is_closing)
		(void)uv_timer_start(&server->mhd_timer, mhd_timer_due, 0, 0);
}

static uint32_t fds_for_connections(const struct http_config *config)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 256;
	limit.rlim_cur = limit.rlim_max;
	/* Failing to raise it leaves the old limit, which is then what counts. */
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	(void)getrlimit(RLIMIT_NOFILE, &limit);
	rlim_t usable = limit.rlim_cur > 2 * FDS_RESERVED ? limit.rlim_cur - FDS_RESERVED
							  : limit.rlim_cur / 2;
	rlim_t fitting = usable / (config->tls ? FDS_PER_TLS : FDS_PER_CLEAR);
	return fitting > UINT32_MAX ? UINT32_MAX : (uint32_t)fitting;
}

static void set_limits(struct http_server *server)
{
	struct http_limits *limits = &server->limits;
	*limits = server->config.limits;
	limits->connections_max = limits->connections_max ? limits->connections_max : 12000;
	limits->connections_max = MIN(
		limits->connections_max, fds_for_connections(&server->config));
	limits->keepalive_max = limits->keepalive_max ? limits->keepalive_max : 1000;
	limits->head_ms = limits->head_ms ? limits->head_ms : 10000;
	limits->idle_ms = limits->idle_ms ? limits->idle_ms : 60000;
	limits->body_window_ms = limits->body_window_ms ? limits->body_window_ms : 10000;
	limits->body_window_min = limits->body_window_min ? limits->body_window_min : 1024;
	limits->drain_max = limits->drain_max ? limits->drain_max : 16 << 20;
	server->stats.connections_max = limits->connections_max;
}

union any_address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

static int parse_address(const struct http_config *config, union any_address *ret_address,
	socklen_t *ret_size, struct err *err)
{
	*ret_address = (union any_address){};
	if (config->unix_path) {
		ret_address->un.sun_family = AF_UNIX;
		TRY(str_format(ret_address->un.sun_path, sizeof(ret_address->un.sun_path), err,
			"%s", config->unix_path));
		*ret_size = sizeof(ret_address->un);
		return 0;
	}
	const char *address = config->address ? config->address : "";
	if (inet_pton(AF_INET, address, &ret_address->in.sin_addr) == 1) {
		ret_address->in.sin_family = AF_INET;
		ret_address->in.sin_port = htons(config->port);
		*ret_size = sizeof(ret_address->in);
		return 0;
	}
	if (inet_pton(AF_INET6, address, &ret_address->in6.sin6_addr) == 1) {
		ret_address->in6.sin6_family = AF_INET6;
		ret_address->in6.sin6_port = htons(config->port);
		*ret_size = sizeof(ret_address->in6);
		return 0;
	}
	return err_set(err, E_INVALID,
		"listen address '%.64s' is not a numeric IPv4 or IPv6 address; use for example "
		"127.0.0.1",
		address);
}

/* A socket file that nobody answers is a leftover of a killed server; another one is respected. */
static int remove_stale_socket(const union any_address *address, socklen_t size, struct err *err)
{
	struct stat status;
	const char *path = address->un.sun_path;
	if (lstat(path, &status) < 0)
		return 0;
	if (!S_ISSOCK(status.st_mode))
		return err_set(err, E_UNAVAILABLE,
			"%s exists and is no socket; choose another socket path", path);
	auto_close probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (probe < 0)
		return err_sys(err, E_UNAVAILABLE, "cannot make a socket");
	if (connect(probe, &address->any, size) == 0 || errno == EAGAIN)
		return err_set(err, E_UNAVAILABLE,
			"another server listens on %s; stop it or choose another path", path);
	if (unlink(path) < 0)
		return err_sys(err, E_UNAVAILABLE, "cannot remove the old socket %s", path);
	return 0;
}

static void set_tcp_options(int fd)
{
	/* Inherited by accepted sockets. Each is an improvement, none a condition. */
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){ 1 }, sizeof(int));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){ KEEPALIVE_IDLE_S }, sizeof(int));
	(void)setsockopt(
		fd, IPPROTO_TCP, TCP_KEEPINTVL, &(int){ KEEPALIVE_INTERVAL_S }, sizeof(int));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &(int){ KEEPALIVE_COUNT }, sizeof(int));
}

static int bind_socket(struct http_server *server, struct err *err)
{
	union any_address address;
	socklen_t size = 0;
	TRY(parse_address(&server->config, &address, &size, err));
	bool is_unix = address.any.sa_family == AF_UNIX;
	if (is_unix)
		TRY(remove_stale_socket(&address, size, err));
	auto_close fd = socket(
		address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(err, E_UNAVAILABLE, "cannot make a socket");
	if (!is_unix)
		set_tcp_options(fd);
	else if (fchmod(fd, 0600) < 0) /* takes effect on the file that bind makes */
		return err_sys(err, E_UNAVAILABLE, "cannot restrict the socket");
	if (bind(fd, &address.any, size) < 0)
		return err_sys(err, E_UNAVAILABLE, "cannot listen on %s port %u",
			is_unix ? address.un.sun_path : server->config.address,
			server->config.port);
	if (is_unix)
		server->unix_path = mem_string(address.un.sun_path);
	if (listen(fd, LISTEN_BACKLOG) < 0)
		return err_sys(err, E_UNAVAILABLE, "cannot listen");
	if (getsockname(fd, &address.any, &size) < 0)
		return err_sys(err, E_UNAVAILABLE, "cannot learn the bound port");
	if (address.any.sa_family == AF_INET)
		server->port = ntohs(address.in.sin_port);
	else if (address.any.sa_family == AF_INET6)
		server->port = ntohs(address.in6.sin6_port);
	server->listen_fd = take_fd(&fd);
	return 0;
}

/* Query and path stay as they came; the handlers decode what they use. */
static size_t keep_escapes(void *user UNUSED, struct MHD_Connection *mhd UNUSED, char *text)
{
	return strlen(text);
}

static int start_mhd(struct http_server *server, struct err *err)
{
	unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME;
	unsigned idle_s = MAX(server->limits.idle_ms / 1000, 1U);
	server->daemon = MHD_start_daemon(flags, 0, NULL, NULL, http_request_access, server,
		MHD_OPTION_URI_LOG_CALLBACK, http_request_begin, server,
		MHD_OPTION_NOTIFY_COMPLETED, http_request_completed, server,
		MHD_OPTION_NOTIFY_CONNECTION, http_connection_notify, server,
		MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, server,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_SIZE, MHD_OPTION_CONNECTION_LIMIT,
		server->limits.connections_max, MHD_OPTION_CONNECTION_TIMEOUT, idle_s,
		MHD_OPTION_END);
	if (!server->daemon)
		return err_sys(err, E_INTERNAL, "libmicrohttpd does not start");
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(
		server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info || uv_poll_init(server->loop, &server->mhd_poll, info->epoll_fd) < 0) {
		MHD_stop_daemon(server->daemon);
		return err_set(err, E_INTERNAL, "libuv cannot watch libmicrohttpd");
	}
	return 0;
}

static void start_handles(struct http_server *server)
{
	uv_handle_t *handles[] = { (uv_handle_t *)&server->mhd_poll,
		(uv_handle_t *)&server->listen_poll, (uv_handle_t *)&server->mhd_timer,
		(uv_handle_t *)&server->scan_timer, (uv_handle_t *)&server->accept_timer };
	(void)uv_timer_init(server->loop, &server->mhd_timer);
	(void)uv_timer_init(server->loop, &server->scan_timer);
	(void)uv_timer_init(server->loop, &server->accept_timer);
	for (size_t i = 0; i < ARRAY_SIZE(handles); i++) {
		handles[i]->data = server;
		http_handle_opened(server);
	}
	(void)uv_timer_start(&server->scan_timer, http_scan, SCAN_MS, SCAN_MS);
	(void)uv_poll_start(&server->mhd_poll, UV_READABLE, mhd_poll_ready);
	(void)uv_poll_start(&server->listen_poll, UV_READABLE, http_accept_ready);
	server->is_listening = true;
}

int http_server_start(uv_loop_t *loop, const struct http_config *config,
	struct http_server **ret_server, struct err *err)
{
	auto_free struct http_server *server = mem_alloc(1, sizeof(*server));
	server->loop = loop;
	server->config = *config;
	server->listen_fd = -1;
	set_limits(server);
	TRY(bind_socket(server, err));
	int status = start_mhd(server, err);
	if (status == 0 && uv_poll_init(loop, &server->listen_poll, server->listen_fd) < 0)
		status = err_set(err, E_INTERNAL, "libuv cannot watch the listening socket");
	if (status < 0) {
		fd_close(&server->listen_fd);
		return status;
	}
	start_handles(server);
	*ret_server = take_ptr(server);
	return 0;
}

uint16_t http_server_port(const struct http_server *server)
{
	return server->port;
}

void http_server_stats(const struct http_server *server, struct http_stats *ret_stats)
{
	*ret_stats = server->stats;
}

void http_server_stop_listening(struct http_server *server)
{
	if (!server->is_listening)
		return;
	server->is_listening = false;
	(void)uv_timer_stop(&server->accept_timer);
	uv_close((uv_handle_t *)&server->listen_poll, base_handle_closed);
	fd_close(&server->listen_fd);
	if (server->unix_path)
		(void)unlink(server->unix_path); /* nobody can reach it any more anyway */
}

void http_server_close(struct http_server *server, void (*on_closed)(void *user), void *user)
{
	if (server->is_closing)
		return;
	server->on_closed = on_closed;
	server->closed_user = user;
	http_server_stop_listening(server);
	server->is_closing = true;
	/* libmicrohttpd must not be stopped while a connection is suspended. */
	for (struct http_connection *c = server->connections; c; c = c->next) {
		if (c->request)
			http_request_gone(c->request, HTTP_END_SHUTDOWN);
		http_connection_kill(c);
	}
	uv_close((uv_handle_t *)&server->mhd_poll, base_handle_closed);
	uv_close((uv_handle_t *)&server->mhd_timer, base_handle_closed);
	uv_close((uv_handle_t *)&server->scan_timer, base_handle_closed);
	uv_close((uv_handle_t *)&server->accept_timer, base_handle_closed);
	MHD_stop_daemon(server->daemon);
	server->daemon = NULL;
	http_pumps_close(server);
	while (server->lingers)
		http_linger_stop(server->lingers);
}
