/*
 * Events to the caller. They wait a moment for company: each packet wakes the caller, and on a
 * machine with few processors that costs a short run more than anything else here. What ends or
 * answers something goes at once, with all that waited before it, in order.
 *
 * A caller that takes nothing for a second, or slowly for ten, loses events of the trace, which are
 * counted. It is not waited for again until it has taken one. The result always has room.
 */
#include "engines/sandbox/events.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "kit/base/buf.h"
#include "kit/base/fd.h"
#include "kit/base/time.h"

enum {
	TRACE_WAIT_MS = 1000,
	CREDIT_USEC = 1000000,     /* how long a run's clock may stand still */
	WAITS_USEC_MAX = 10000000, /* for the trace of a run */
	RESULT_WAIT_MS = 10000,
	QUEUE_BYTES_MAX = 32 * 1024,
};

uint64_t slot_usec(const struct slot *slot)
{
	return slot->started_usec ? time_monotonic_usec() - slot->started_usec : 0;
}

uint64_t slot_wall_usec(const struct slot *slot)
{
	return slot->ended_usec ? slot->ended_usec : slot_usec(slot);
}

static bool is_trace_event(enum sandbox_event_kind kind)
{
	return kind == SANDBOX_EVENT_EXEC || kind == SANDBOX_EVENT_EXIT ||
	       kind == SANDBOX_EVENT_FILE;
}

/* DONE also carries the program's results, when there are any. */
static bool try_send(const struct slot *slot, enum sandbox_event_kind kind, struct view packet)
{
	union {
		struct cmsghdr head;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)),
			      .cmsg_level = SOL_SOCKET,
			      .cmsg_type = SCM_RIGHTS } };
	struct iovec vector = { (void *)(uintptr_t)packet.data, packet.size };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };
	if (kind == SANDBOX_EVENT_DONE && slot->results_fd >= 0) {
		memcpy(CMSG_DATA(&control.head), &slot->results_fd, sizeof(int));
		message.msg_control = &control;
		message.msg_controllen = sizeof(control.bytes);
	}
	return sendmsg(slot->control, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* A quarter of the socket is for what must arrive: the trace fills no more than the rest. */
static bool has_room(const struct slot *slot)
{
	int queued = 0;
	int size = 0;
	socklen_t length = sizeof(size);
	return ioctl(slot->control, SIOCOUTQ, &queued) < 0 ||
	       getsockopt(slot->control, SOL_SOCKET, SO_SNDBUF, &size, &length) < 0 ||
	       queued <= size / 4 * 3;
}

static void wait_for_caller(const struct slot *slot, int timeout_ms)
{
	struct pollfd ready = { .fd = slot->control, .events = POLLOUT };
	(void)poll(&ready, 1, timeout_ms);
}

/*
 * What is traced stands still meanwhile, not its other tasks: so the clock stands still, too, but
 * not for long.
 */
static void wait_in_run(struct slot *slot)
{
	uint64_t began = time_monotonic_usec();
	uint64_t rest = CREDIT_USEC - MIN(slot->waited_usec, (uint64_t)CREDIT_USEC);
	wait_for_caller(slot, TRACE_WAIT_MS);
	uint64_t waited = time_monotonic_usec() - began;
	if (slot->started_usec && !slot->ended_usec)
		slot->started_usec += MIN(waited, rest);
	slot->waited_usec += waited;
}

/* One packet of the trace; waits for room, but not again for a caller that let us wait in vain. */
static void send_trace(
	struct slot *slot, enum sandbox_event_kind kind, struct view packet, bool *ret_has_waited)
{
	bool is_sent = has_room(slot) && try_send(slot, kind, packet);
	if (!is_sent && !slot->is_deaf && slot->waited_usec < WAITS_USEC_MAX) {
		*ret_has_waited = true;
		wait_in_run(slot);
		is_sent = has_room(slot) && try_send(slot, kind, packet);
	}
	slot->is_deaf = !is_sent;
	slot->result.trace_events += is_sent;
	slot->result.trace_lost += !is_sent;
}

/* What must arrive. */
static void send_word(struct slot *slot, enum sandbox_event_kind kind, struct view packet)
{
	bool is_sent = try_send(slot, kind, packet);
	if (!is_sent && (errno == EAGAIN || errno == ENOBUFS)) {
		wait_for_caller(slot, RESULT_WAIT_MS);
		is_sent = try_send(slot, kind, packet);
	}
	slot->is_result_lost |= kind == SANDBOX_EVENT_DONE && !is_sent;
}

static void send_packet(
	struct slot *slot, enum sandbox_event_kind kind, struct view packet, bool *ret_has_waited)
{
	if (slot->control < 0)
		return;
	if (is_trace_event(kind))
		send_trace(slot, kind, packet, ret_has_waited);
	else if (kind != SANDBOX_EVENT_STAT)
		send_word(slot, kind, packet);
	else if (has_room(slot)) /* else the next one says more */
		(void)try_send(slot, kind, packet);
}

void events_flush(struct slot *slot, bool is_all)
{
	struct reader reader = reader_of(buf_view(&slot->queue));
	bool has_waited = false;
	if (!slot->queue.size)
		return;
	while (reader.rest.size && (is_all || !has_waited)) {
		size_t size = (size_t)reader_le(&reader, sizeof(uint32_t));
		struct view packet = reader_take(&reader, size);
		enum sandbox_event_kind kind;
		memcpy(&kind, packet.data, sizeof(kind)); /* its first member */
		send_packet(slot, kind, packet, &has_waited);
	}
	memmove(slot->queue.data, reader.rest.data, reader.rest.size);
	slot->queue.size = reader.rest.size;
}

void events_flush_old(struct slot *slot)
{
	if (slot->queue.size && time_monotonic_usec() - slot->queue_since_usec >= EVENTS_WAIT_USEC)
		events_flush(slot, false);
}

static void enqueue(struct slot *slot, const struct sandbox_event *event)
{
	struct err ignored;
	size_t size = wire_event_size(event);
	if (slot->queue.size == 0)
		slot->queue_since_usec = time_monotonic_usec();
	if (buf_append_le(&slot->queue, size, sizeof(uint32_t), &ignored) < 0 ||
		buf_append(&slot->queue, view_of(event, size), &ignored) < 0)
		abort(); /* the queue has no limit of its own: it is flushed long before any */
	bool can_wait = is_trace_event(event->kind) || event->kind == SANDBOX_EVENT_STARTED;
	if (!can_wait || slot->queue.size > QUEUE_BYTES_MAX)
		events_flush(slot, !can_wait && event->kind != SANDBOX_EVENT_STAT);
}

void slot_send(struct slot *slot, struct sandbox_event *event)
{
	bool is_trace = is_trace_event(event->kind);
	if (is_trace && !slot->started_usec)
		return; /* a parked program that failed to start is no run */
	if (is_trace && slot->trace_seen >= SANDBOX_TRACE_EVENTS_MAX) {
		slot->result.trace_truncated = true;
		slot->result.trace_lost++;
		return;
	}
	slot->trace_seen += is_trace;
	/* An end is told only when its output was taken. */
	event->t_usec = is_trace ? slot_wall_usec(slot) : slot_usec(slot);
	if (!slot->sink) {
		enqueue(slot, event);
		return;
	}
	slot->result.trace_events += is_trace;
	event->results_fd = event->kind == SANDBOX_EVENT_DONE ? take_fd(&slot->results_fd) : -1;
	slot->sink(slot->sink_context, event);
}
