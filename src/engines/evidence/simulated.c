/*
 * The simulated platform: one request to tee-sim over its socket. The answer must be a quote over
 * our report data; anything else is refused here, before anybody signs with it.
 */
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "engines/evidence/internal.h"
#include "engines/evidence/sim_wire.h"
#include "kit/base/fd.h"
#include "kit/base/str.h"

static int connect_to(const char *path, int *ret_socket, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	TRY(str_format(address.sun_path, sizeof(address.sun_path), err, "%s", path));
	auto_close socket_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (socket_fd < 0)
		return err_sys(err, E_UNAVAILABLE, "making a socket");
	if (connect(socket_fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return err_sys(err, E_UNAVAILABLE, "connecting to %s (is tee-sim running?)", path);
	*ret_socket = take_fd(&socket_fd);
	return 0;
}

static int wait_readable(int socket_fd, struct err *err)
{
	struct pollfd poll_fd = { .fd = socket_fd, .events = POLLIN };
	int count = poll(&poll_fd, 1, EVIDENCE_TIMEOUT_MS);
	if (count < 0)
		return err_sys(err, E_UNAVAILABLE, "waiting for tee-sim");
	if (count == 0)
		return err_set(err, E_UNAVAILABLE, "no answer within %d ms", EVIDENCE_TIMEOUT_MS);
	return 0;
}

static int exchange(int socket_fd, const struct sim_wire_request *request,
	struct sim_wire_answer *answer, struct err *err)
{
	int fds[FD_PASS_MAX];
	size_t fd_count = 0;
	ssize_t size;
	TRY(fd_send(socket_fd, view_of(request, sizeof(*request)), NULL, 0, err));
	TRY(wait_readable(socket_fd, err));
	TRY(fd_receive(socket_fd, answer, sizeof(*answer), 0, &size, fds, &fd_count, err));
	for (size_t i = 0; i < fd_count; i++)
		fd_close(&fds[i]);
	if (size == 0)
		return err_set(err, E_UNAVAILABLE, "tee-sim closed the connection");
	if (size != (ssize_t)sizeof(*answer) || answer->magic != SIM_WIRE_MAGIC ||
		answer->quote_size > SIM_WIRE_QUOTE_MAX)
		return err_set(err, E_INTEGRITY, "the answer has the wrong form");
	if (answer->status != 0)
		return err_set(err, E_UNAVAILABLE, "tee-sim refused: %s",
			answer->status >= E_UNSUPPORTED && answer->status < 0
				? err_category_name(answer->status)
				: "unknown status");
	return 0;
}

int evidence_simulated(const struct evidence_source *source, const struct evidence_request *request,
	struct buf *quote, struct err *err)
{
	auto_close own = -1;
	if (source->path)
		TRY(connect_to(source->path, &own, err));
	struct sim_wire_request wire = {
		.magic = SIM_WIRE_MAGIC,
		.version = SIM_WIRE_VERSION,
		.extension_count = (uint32_t)request->extension_count,
	};
	memcpy(wire.report_data, request->report_data.data, sizeof(wire.report_data));
	for (size_t i = 0; i < request->extension_count; i++)
		memcpy(wire.extensions[i], request->extensions[i].data, SIM_WIRE_DIGEST_SIZE);
	struct sim_wire_answer answer;
	TRY(exchange(own >= 0 ? own : source->socket, &wire, &answer, err));
	struct view quoted = evidence_report_data(view_of(answer.quote, answer.quote_size));
	if (!view_equal(quoted, request->report_data))
		return err_set(err, E_INTEGRITY, "the quote is not about our report data");
	return buf_append(quote, view_of(answer.quote, answer.quote_size), err);
}
