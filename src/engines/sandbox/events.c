/*
 * Events to the caller. They wait a moment for company: each packet wakes the caller, and on a
 * machine with few processors that costs a short run more than anything else here. What ends or
 * answers something goes at once, with all that waited before it, in order.
 *
 * A caller that takes nothing for a second loses events of the trace, which are counted. It is not
 * waited for again until it has taken one. The result always has room.
 */
#include "engines/sandbox/events.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "kit/base/buf.h"
#include "kit/base/fd.h"
#include "kit/base/time.h"

enum { TRACE_WAIT_MS = 1000, RESULT_WAIT_MS = 10000, QUEUE_BYTES_MAX = 32 * 1024 };

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

/* The run stands still meanwhile, as far as it is traced: so does its clock. */
static void wait_for_caller(struct slot *slot, int timeout_ms)
{
	struct pollfd ready = { .fd = slot->control, .events = POLLOUT };
	uint64_t began = time_monotonic_usec();
	(void)poll(&ready, 1, timeout_ms);
	if (slot->started_usec && !slot->ended_usec)
		slot->started_usec += time_monotonic_usec() - began;
}

/* One packet; waits for room, but not again for a caller that let us wait in vain. */
static bool send_packet(struct slot *slot, enum sandbox_event_kind kind, struct view packet)
{
	bool is_trace = is_trace_event(kind);
	if (slot->control < 0)
		return false;
	bool is_sent = try_send(slot, kind, packet);
	bool is_full = !is_sent && (errno == EAGAIN || errno == ENOBUFS);
	if (kind == SANDBOX_EVENT_STAT) /* the next one says more; the clock must not wait */
		return is_sent;
	if (is_full && !is_trace) {
		const int most = 1 << 20; /* more than the trace has filled */
		(void)setsockopt(slot->control, SOL_SOCKET, SO_SNDBUF, &most, sizeof(most));
		is_sent = try_send(slot, kind, packet);
	}
	if (is_full && !is_sent && !(is_trace && slot->is_deaf)) {
		wait_for_caller(slot, is_trace ? TRACE_WAIT_MS : RESULT_WAIT_MS);
		is_sent = try_send(slot, kind, packet);
	}
	slot->is_deaf = !is_sent;
	slot->is_result_lost |= kind == SANDBOX_EVENT_DONE && !is_sent;
	return is_sent;
}

void events_flush(struct slot *slot)
{
	struct reader reader = reader_of(buf_view(&slot->queue));
	while (reader.rest.size) {
		size_t size = (size_t)reader_le(&reader, sizeof(uint32_t));
		struct view packet = reader_take(&reader, size);
		enum sandbox_event_kind kind;
		memcpy(&kind, packet.data, sizeof(kind)); /* its first member */
		bool is_sent = send_packet(slot, kind, packet);
		slot->result.trace_events += is_trace_event(kind) && is_sent;
		slot->result.trace_lost += is_trace_event(kind) && !is_sent;
	}
	slot->queue.size = 0;
}

void events_flush_old(struct slot *slot)
{
	if (slot->queue.size && time_monotonic_usec() - slot->queue_since_usec >= EVENTS_WAIT_USEC)
		events_flush(slot);
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
		events_flush(slot);
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
	event->t_usec = slot_usec(slot);
	if (!slot->sink) {
		enqueue(slot, event);
		return;
	}
	slot->result.trace_events += is_trace;
	event->results_fd = event->kind == SANDBOX_EVENT_DONE ? take_fd(&slot->results_fd) : -1;
	slot->sink(slot->sink_context, event);
}
