/* engines/net, the client: against a server of one answer on loopback, and what it refuses. */
#include "unit.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engines/net/http_client.h"
#include "kit/base/fd.h"
#include "kit/base/str.h"

enum { ANSWER_MAX = 1000 };

/* Answers one connection with these bytes in a child; what it read goes to *ret_seen_fd. */
static uint16_t serve_once(const char *answer, int *ret_seen_fd)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	struct err err;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, size), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	ck_assert_ok(fd_memfd("seen", ret_seen_fd, &err), err);
	if (fork() == 0) {
		char bytes[8192];
		int peer = accept(listener, NULL, NULL);
		(void)usleep(50000); /* all of a small request has arrived */
		ssize_t got = recv(peer, bytes, sizeof(bytes), 0);
		(void)!write(*ret_seen_fd, bytes, got > 0 ? (size_t)got : 0);
		(void)!write(peer, answer, strlen(answer));
		(void)close(peer);
		_exit(0);
	}
	(void)close(listener);
	return ntohs(address.sin_port);
}

static const char *read_seen(int fd, struct buf *seen)
{
	struct err err;
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	ck_assert_ok(fd_read_all(fd, 8192, seen, &err), err);
	return buf_string(seen);
}

static int call_port(
	uint16_t port, struct http_call *call, struct http_answer *answer, struct err *err)
{
	char url[64];
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/x", port);
	call->url = url;
	call->answer_max = ANSWER_MAX;
	return http_client_call(call, answer, err);
}

START_TEST(one_call_one_answer)
{
	struct err err;
	auto_close seen_fd = -1;
	auto_done(buf) seen = {};
	struct http_answer answer = {};
	struct http_call call = { .method = "POST",
		.token = "secret",
		.prefer = "respond-async",
		.content_type = "application/json",
		.body = view_string("{}") };
	uint16_t port = serve_once(
		"HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nhello", &seen_fd);
	ck_assert_ok(call_port(port, &call, &answer, &err), err);
	ck_assert_int_eq(answer.status, 202);
	ck_assert_str_eq(buf_string(&answer.body), "hello");
	http_answer_done(&answer);
	const char *text = read_seen(seen_fd, &seen);
	ck_assert(str_starts(text, "POST /x HTTP/1.1\r\n"));
	static const char *const lines[] = { "Authorization: Bearer secret\r\n",
		"Prefer: respond-async\r\n", "Content-Type: application/json\r\n",
		"Content-Length: 2\r\n", "Accept: application/json\r\n", "\r\n\r\n{}" };
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		ck_assert_msg(strstr(text, lines[i]), "no %s in %s", lines[i], text);
	ck_assert_ptr_null(strstr(text, "Expect:"));
}
END_TEST

START_TEST(parts_are_sent)
{
	struct err err;
	auto_close seen_fd = -1;
	auto_done(buf) seen = {};
	struct http_answer answer = {};
	const struct http_part parts[] = {
		{ .name = "request", .type = "application/json", .content = view_string("{}") },
		{ .name = "d", .file_name = "d.csv", .path = "/etc/hostname" },
	};
	struct http_call call = { .method = "POST", .parts = parts, .part_count = 2 };
	uint16_t port = serve_once("HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n", &seen_fd);
	ck_assert_ok(call_port(port, &call, &answer, &err), err);
	ck_assert_int_eq(answer.status, 400); /* every status is an answer */
	const char *text = read_seen(seen_fd, &seen);
	ck_assert_ptr_nonnull(
		strstr(text, "name=\"request\"\r\nContent-Type: application/json\r\n"));
	ck_assert_ptr_nonnull(strstr(text, "name=\"d\"; filename=\"d.csv\""));
	ck_assert_ptr_null(strstr(text, "Authorization"));
}
END_TEST

START_TEST(answers_are_bounded)
{
	struct err err;
	char text[2048];
	for (int over = 0; over < 2; over++) {
		auto_close seen_fd = -1;
		struct http_answer answer = {};
		struct http_call call = { .method = "GET" };
		(void)snprintf(text, sizeof(text),
			"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%0*d", ANSWER_MAX + over,
			ANSWER_MAX + over, 0);
		int status = call_port(serve_once(text, &seen_fd), &call, &answer, &err);
		ck_assert_int_eq(status, over ? E_LIMIT : 0);
		ck_assert_uint_eq(answer.body.size, over ? 0 : ANSWER_MAX);
		http_answer_done(&answer);
	}
}
END_TEST

START_TEST(broken_answers)
{
	static const char *const answers[] = { "", "SSH-2.0-nonsense\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf" };
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		struct err err;
		auto_close seen_fd = -1;
		struct http_answer answer = {};
		struct http_call call = { .method = "GET" };
		uint16_t port = serve_once(answers[i], &seen_fd);
		ck_assert_fails(call_port(port, &call, &answer, &err), E_UNAVAILABLE, err);
		ck_assert_uint_eq(answer.body.size, 0);
	}
}
END_TEST

START_TEST(calls_that_are_refused)
{
	static const struct http_part lost = { .name = "a", .path = "/nonexistent/file" };
	static const struct {
		const char *url;
		const struct http_part *part;
		size_t part_count;
		int category;
	} rows[] = {
		{ "nonsense", NULL, 0, E_INVALID },
		{ "", NULL, 0, E_INVALID },
		{ "ftp://127.0.0.1/", NULL, 0, E_INVALID },
		{ "http://example.org/", NULL, 0, E_DENIED },
		{ "http://127.0.0.1.example.org/", NULL, 0, E_DENIED },
		{ "http://[::2]/", NULL, 0, E_DENIED },
		{ "http://127.0.0.1:1/", NULL, 0, E_UNAVAILABLE },
		{ "http://[::1]:1/", NULL, 0, E_UNAVAILABLE },
		{ "http://127.0.0.1:1/", &lost, 1, E_NOT_FOUND },
		{ "http://127.0.0.1:1/", &lost, HTTP_CLIENT_PARTS_MAX + 1, E_LIMIT },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err;
		struct http_answer answer = {};
		struct http_call call = { .method = "GET",
			.url = rows[i].url,
			.token = "secret",
			.parts = rows[i].part,
			.part_count = rows[i].part_count };
		int status = http_client_call(&call, &answer, &err);
		ck_assert_msg(status == rows[i].category, "%s gave %s: %s", rows[i].url,
			err_category_name(status), status ? err.message : "");
		ck_assert_ptr_null(strstr(err.message, "secret"));
	}
}
END_TEST

UNIT_MAIN("http_client", one_call_one_answer, parts_are_sent, answers_are_bounded, broken_answers,
	calls_that_are_refused)
