/*
 * See serve.h. A client may send many requests; a malformed one ends its connection. A client that
 * does not read its answers is closed: nothing waits for anybody.
 */
#include "programs/tee-sim/serve.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/str.h"

enum { SLOT_SIGNAL, SLOT_LISTEN, SLOT_FIRST_CLIENT, BACKLOG = 128 };

struct server {
	const struct platform *platform;
	const struct platform_td *td;
	const struct log *log;
	struct pollfd slots[SLOT_FIRST_CLIENT + SERVE_CLIENTS_MAX];
	size_t count;
};

static int listen_at(const char *path, int *ret_fd, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	TRY(str_format(address.sun_path, sizeof(address.sun_path), err, "%s", path));
	auto_close fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(err, E_UNAVAILABLE, "making a socket");
	(void)unlink(path); /* of an earlier run; bind says so when it cannot be replaced */
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(fd, BACKLOG) < 0)
		return err_sys(err, E_UNAVAILABLE, "listening at %s", path);
	*ret_fd = take_fd(&fd);
	return 0;
}

static int block_signals(int *ret_fd, struct err *err)
{
	sigset_t set;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_sys(err, E_UNAVAILABLE, "blocking signals");
	*ret_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return *ret_fd < 0 ? err_sys(err, E_UNAVAILABLE, "signalfd") : 0;
}

static void accept_client(struct server *server)
{
	int fd = accept4(server->slots[SLOT_LISTEN].fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return; /* gone again, or out of descriptors: the next poll tries again */
	if (server->count == ARRAY_SIZE(server->slots)) {
		fd_close(&fd);
		return;
	}
	server->slots[server->count++] = (struct pollfd){ .fd = fd, .events = POLLIN };
}

/* One request and its answer; false when the client is to be closed. */
static bool answer_client(const struct server *server, int fd)
{
	struct sim_wire_request request;
	struct sim_wire_answer answer = { .magic = SIM_WIRE_MAGIC };
	auto_done(buf) quote = { .limit = SIM_WIRE_QUOTE_MAX };
	struct err err;
	ssize_t size = recv(fd, &request, sizeof(request), MSG_TRUNC | MSG_DONTWAIT);
	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (size != (ssize_t)sizeof(request))
		return false;
	answer.status = platform_quote(server->platform, server->td, &request, &quote, &err);
	if (answer.status == 0) {
		answer.quote_size = (uint32_t)quote.size;
		memcpy(answer.quote, quote.data, quote.size);
	} else {
		log_event(server->log, LOG_WARNING, "refused", "error", err.message, NULL);
	}
	return send(fd, &answer, sizeof(answer), MSG_DONTWAIT | MSG_NOSIGNAL) ==
	       (ssize_t)sizeof(answer);
}

static void serve_clients(struct server *server)
{
	for (size_t i = server->count; i > SLOT_FIRST_CLIENT; i--) {
		struct pollfd *slot = &server->slots[i - 1];
		if (slot->revents == 0)
			continue;
		bool is_kept = (slot->revents & POLLIN) && answer_client(server, slot->fd);
		if (is_kept)
			continue;
		fd_close(&slot->fd);
		*slot = server->slots[--server->count];
	}
}

static int loop(struct server *server, struct err *err)
{
	for (;;) {
		int ready = poll(server->slots, (nfds_t)server->count, -1);
		if (ready < 0 && errno != EINTR)
			return err_sys(err, E_INTERNAL, "poll");
		if (ready <= 0)
			continue;
		if (server->slots[SLOT_SIGNAL].revents)
			return 0;
		bool has_new = server->slots[SLOT_LISTEN].revents != 0;
		serve_clients(server); /* before new slots, whose revents are not yet known */
		if (has_new)
			accept_client(server);
	}
}

int serve(const struct platform *platform, const struct platform_td *td, const char *path,
	const struct log *log, struct err *err)
{
	auto_close signals = -1;
	auto_close listener = -1;
	TRY(block_signals(&signals, err));
	TRY(listen_at(path, &listener, err));
	struct server server = { .platform = platform, .td = td, .log = log };
	server.slots[SLOT_SIGNAL] = (struct pollfd){ .fd = signals, .events = POLLIN };
	server.slots[SLOT_LISTEN] = (struct pollfd){ .fd = listener, .events = POLLIN };
	server.count = SLOT_FIRST_CLIENT;
	log_event(log, LOG_INFO, "serving", "socket", path, NULL);
	int status = loop(&server, err);
	for (size_t i = SLOT_FIRST_CLIENT; i < server.count; i++)
		fd_close(&server.slots[i].fd);
	(void)unlink(path);
	return status;
}
