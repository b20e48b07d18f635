/* See note.h, and SO_PASSCRED in unix(7). */
#include "engines/sandbox/note.h"

#include <string.h>
#include <sys/socket.h>

#include "kit/base/fd.h"

int note_open(int *ret_ours, int *ret_theirs, struct err *err)
{
	int ends[2], yes = 1;
	TRY(fd_socketpair(SOCK_SEQPACKET, ends, err));
	*ret_ours = ends[0];
	*ret_theirs = ends[1];
	if (setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)) < 0)
		return err_sys(err, E_UNAVAILABLE, "SO_PASSCRED");
	return 0;
}

bool note_take(int ours, uint8_t *ret_note, pid_t *ret_sender)
{
	union {
		struct cmsghdr head;
		uint8_t bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control = {};
	struct iovec part = { ret_note, 1 };
	struct msghdr message = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control) };
	struct ucred sender = {};
	ssize_t size = recvmsg(ours, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (size < 0 || !CMSG_FIRSTHDR(&message)) /* an end has no sender, an empty message has */
		return false;
	if (size == 1 && control.head.cmsg_type == SCM_CREDENTIALS)
		memcpy(&sender, CMSG_DATA(&control.head), sizeof(sender));
	*ret_sender = sender.pid;
	return true;
}
