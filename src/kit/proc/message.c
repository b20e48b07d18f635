/* See message.h. */
#include "kit/proc/message.h"

#include <errno.h>
#include <sys/socket.h>

#include "kit/base/mem.h"

struct header {
	uint32_t magic;
	uint32_t type;
};

int message_send(int socket, uint32_t type, struct view body, const int *fds, size_t fd_count,
	struct err *err)
{
	struct header header = { MESSAGE_MAGIC, type };
	auto_done(buf) packet = {};
	if (body.size > MESSAGE_BODY_MAX)
		return err_set(err, E_LIMIT, "a message body of %zu bytes, limit %d", body.size,
			MESSAGE_BODY_MAX);
	TRY(buf_append(&packet, view_of(&header, sizeof(header)), err));
	TRY(buf_append(&packet, body, err));
	return fd_send(socket, buf_view(&packet), fds, fd_count, err);
}

static int check_header(struct message *message, size_t size, struct err *err)
{
	struct header header;
	if (size < sizeof(header))
		return err_set(err, E_INVALID, "a message of %zu bytes has no header", size);
	memcpy(&header, message->body.data, sizeof(header));
	if (header.magic != MESSAGE_MAGIC)
		return err_set(err, E_INVALID, "a message with the wrong magic %08x", header.magic);
	message->type = header.type;
	message->body.size = size - sizeof(header);
	memmove(message->body.data, message->body.data + sizeof(header), message->body.size);
	return 0;
}

/*
 * Room for the packet that waits: most are small, and room is zeroed before and after. Nothing
 * waiting must end here: what came a moment later would find no room.
 */
static bool size_waiting(int socket, int flags, size_t *ret_size)
{
	ssize_t size = fd_peek(socket, flags);
	if (size < 0 && errno == EAGAIN)
		return false;
	*ret_size = sizeof(struct header); /* an end or an error comes again */
	if (size > (ssize_t)sizeof(struct header))
		*ret_size = MIN((size_t)size, sizeof(struct header) + MESSAGE_BODY_MAX);
	return true;
}

int message_receive(int socket, int flags, struct message *message, struct err *err)
{
	size_t size_max;
	ssize_t got;
	*message = (struct message){};
	message->is_nothing = !size_waiting(socket, flags, &size_max);
	if (message->is_nothing)
		return 0;
	TRY(buf_reserve(&message->body, size_max, err));
	int status = fd_receive(socket, message->body.data, size_max, flags, &got, message->fds,
		&message->fd_count, err);
	if (status == 0 && got > 0)
		status = check_header(message, (size_t)got, err);
	message->is_end = status == 0 && got == 0;
	message->is_nothing = status == 0 && got < 0;
	if (status < 0 || got <= 0) {
		bool is_end = message->is_end, is_nothing = message->is_nothing;
		message_done(message);
		message->is_end = is_end;
		message->is_nothing = is_nothing;
	}
	return status;
}

void message_done(struct message *message)
{
	for (size_t i = 0; i < message->fd_count; i++)
		fd_close(&message->fds[i]);
	buf_done(&message->body);
	*message = (struct message){};
}
