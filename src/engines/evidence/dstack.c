/*
 * dstack's guest agent: HTTP/1.1 over a UNIX socket, GetQuote with the report data, answered with
 * the quote and the event log as JSON. Only what is needed of HTTP: one request, one answer of
 * known or closed length, no redirects, no chunks.
 */
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "engines/evidence/internal.h"
#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "kit/base/time.h"
#include "kit/codec/hex.h"
#include "kit/codec/json.h"

#define DSTACK_SOCKET "/var/run/dstack.sock"

enum {
	ANSWER_MAX = 2 << 20, /* the event log comes with the quote */
	READ_SIZE = 16 << 10,
};

static int connect_to(const char *path, int *ret_socket, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	TRY(str_format(address.sun_path, sizeof(address.sun_path), err, "%s", path));
	auto_close fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, E_UNAVAILABLE, "making a socket");
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return err_sys(err, E_UNAVAILABLE, "connecting to %s", path);
	*ret_socket = take_fd(&fd);
	return 0;
}

static int send_request(int fd, struct view report_data, struct err *err)
{
	char digits[HEX_SIZE(EVIDENCE_REPORT_DATA_SIZE)];
	auto_done(buf) body = {};
	auto_done(buf) request = {};
	TRY(buf_append_format(
		&body, err, "{\"report_data\":\"%s\"}", hex_encode(report_data, digits)));
	TRY(buf_append_format(&request, err,
		"POST /GetQuote HTTP/1.1\r\nHost: dstack\r\nContent-Type: application/json\r\n"
		"Content-Length: %zu\r\nConnection: close\r\n\r\n",
		body.size));
	TRY(buf_append(&request, buf_view(&body), err));
	return fd_write_all(fd, buf_view(&request), err);
}

/* Everything until the other side closes, in time and within the limit. */
static int read_answer(int fd, struct buf *answer, struct err *err)
{
	uint64_t end_ms = time_monotonic_ms() + EVIDENCE_TIMEOUT_MS;
	for (;;) {
		uint64_t now_ms = time_monotonic_ms();
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
		if (now_ms >= end_ms || poll(&poll_fd, 1, (int)(end_ms - now_ms)) <= 0)
			return err_set(
				err, E_UNAVAILABLE, "no answer within %d ms", EVIDENCE_TIMEOUT_MS);
		TRY(buf_reserve(answer, READ_SIZE, err));
		ssize_t size = read(fd, answer->data + answer->size, READ_SIZE);
		if (size < 0)
			return err_sys(err, E_UNAVAILABLE, "reading the answer");
		if (size == 0)
			return 0;
		answer->size += (size_t)size;
	}
}

/* The body behind the header; 200 only, and no encodings. */
static int open_answer(struct buf *answer, struct view *ret_body, struct err *err)
{
	static const char status[] = "HTTP/1.1 200", end[] = "\r\n\r\n";
	const char *text = buf_string(answer);
	char quoted[STR_QUOTE_MAX];
	if (strlen(text) != answer->size || !str_starts(text, status))
		return err_set(err, E_UNAVAILABLE, "the agent answered '%s'",
			str_quote(view_of(text, MIN(strlen(text), (size_t)32)), quoted));
	const char *body = strstr(text, end);
	if (!body)
		return err_set(err, E_INTEGRITY, "the agent's answer has no end of header");
	auto_free char *header = mem_string_n(text, (size_t)(body - text));
	if (strcasestr(header, "\r\ntransfer-encoding:") ||
		strcasestr(header, "\r\ncontent-encoding:"))
		return err_set(err, E_UNSUPPORTED, "the agent's answer is encoded");
	body += sizeof(end) - 1;
	*ret_body = view_of(body, answer->size - (size_t)(body - text));
	return 0;
}

static int take_quote(struct view body, struct view report_data, struct buf *quote, struct err *err)
{
	auto_json *root = NULL;
	auto_done(buf) bytes = {};
	TRY(json_parse(body, ANSWER_MAX, &root, err));
	struct view digits = json_as_view(json_get(root, "quote"));
	if (str_starts(digits.size > 1 ? json_as_string(json_get(root, "quote")) : "", "0x"))
		digits = view_of(digits.data + 2, digits.size - 2);
	size_t size = digits.size / 2;
	if (size == 0 || size > EVIDENCE_MAX)
		return err_set(err, E_INTEGRITY, "a quote of %zu bytes", size);
	TRY(buf_reserve(&bytes, size, err));
	TRY(hex_decode(digits, bytes.data, size, err));
	bytes.size = size;
	if (evidence_format_of(buf_view(&bytes)) != EVIDENCE_FORMAT_TDX ||
		!view_equal(evidence_report_data(buf_view(&bytes)), report_data))
		return err_set(err, E_INTEGRITY, "the quote is not about our report data");
	return buf_append(quote, buf_view(&bytes), err);
}

int evidence_dstack(const struct evidence_source *source, const struct evidence_request *request,
	struct buf *quote, struct err *err)
{
	auto_close fd = -1;
	auto_done(buf) answer = { .limit = ANSWER_MAX };
	struct view body;
	TRY(connect_to(source->path ? source->path : DSTACK_SOCKET, &fd, err));
	TRY(send_request(fd, request->report_data, err));
	TRY(read_answer(fd, &answer, err));
	TRY(open_answer(&answer, &body, err));
	return take_quote(body, request->report_data, quote, err);
}
