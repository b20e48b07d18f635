/*
 * Typed messages between our processes: SOCK_SEQPACKET, one message a packet, a fixed header, a
 * bounded body, up to FD_PASS_MAX descriptors. What is larger travels as a memory file. Both ends
 * keep a table of what is allowed in which state; handlers validate every field all the same.
 */
#ifndef KIT_PROC_MESSAGE_H
#define KIT_PROC_MESSAGE_H

#include "kit/base/buf.h"
#include "kit/base/fd.h"

#define MESSAGE_BODY_MAX (96 * 1024)
#define MESSAGE_MAGIC 0x6c706375U /* "cupl" */

struct message {
	uint32_t type;
	struct buf body;
	int fds[FD_PASS_MAX];
	size_t fd_count;
	bool is_end;     /* the other side closed; nothing else is set */
	bool is_nothing; /* MSG_DONTWAIT and nothing there */
};

/* Send one message. E_LIMIT beyond MESSAGE_BODY_MAX, E_UNAVAILABLE when the peer is gone. */
int message_send(int socket, uint32_t type, struct view body, const int *fds, size_t fd_count,
	struct err *err) MUST_CHECK;

/*
 * Receive one message into *message (empty before; release with message_done). E_INVALID for a
 * wrong header, E_LIMIT for a cut message. flags as recvmsg.
 */
int message_receive(int socket, int flags, struct message *message, struct err *err) MUST_CHECK;

/* Close what is left of the descriptors and release the body. */
void message_done(struct message *message);

#endif
