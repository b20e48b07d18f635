/* dstack's guest agent, played by a child process: right answers and wrong ones. */
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engines/evidence/evidence.h"
#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "kit/codec/hex.h"
#include "unit.h"

enum { QUOTE_SIZE = 1000, REPORT_DATA_AT = 48 + 520 };

static char socket_path[64];
static uint8_t report_data[EVIDENCE_REPORT_DATA_SIZE] = { 9, 8, 7 };

static void make_answer(const char *head, bool is_ours, size_t size, struct buf *answer)
{
	static uint8_t quote[EVIDENCE_MAX + 2];
	static char digits[HEX_SIZE(sizeof(quote))];
	struct err err;
	quote[0] = 4;
	quote[2] = 2;
	quote[4] = 0x81;
	memcpy(quote + REPORT_DATA_AT, report_data, sizeof(report_data));
	if (!is_ours)
		quote[REPORT_DATA_AT] ^= 1;
	ck_assert_ok(
		buf_append_format(answer, &err, "%s\r\n\r\n{\"quote\":\"%s\",\"event_log\":\"[]\"}",
			head, hex_encode(view_of(quote, size), digits)),
		err);
}

/* Listens, answers once, ends. */
static pid_t serve(struct view answer)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct err err;
	ck_assert_ok(str_format(socket_path, sizeof(socket_path), &err, "/tmp/dstack.%d.sock",
			     (int)getpid()),
		err);
	ck_assert_ok(
		str_format(address.sun_path, sizeof(address.sun_path), &err, "%s", socket_path),
		err);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)unlink(socket_path);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	pid_t pid = fork();
	if (pid != 0) {
		(void)close(listener);
		return pid;
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	int client = accept(listener, NULL, NULL);
	char request[1024];
	if (read(client, request, sizeof(request)) > 0)
		(void)!fd_write_all(client, answer, &err);
	_exit(0);
}

static int ask(struct view answer, struct buf *quote, struct err *err)
{
	pid_t pid = serve(answer);
	const struct evidence_source source = { .kind = EVIDENCE_DSTACK, .path = socket_path };
	const struct evidence_request request = { .report_data = view_of(
							  report_data, sizeof(report_data)) };
	int status = evidence_get(&source, &request, quote, err);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	(void)unlink(socket_path);
	return status;
}

START_TEST(quotes)
{
	auto_done(buf) answer = {};
	auto_done(buf) quote = {};
	struct err err;
	make_answer("HTTP/1.1 200 OK\r\nContent-Type: application/json", true, QUOTE_SIZE, &answer);
	ck_assert_ok(ask(buf_view(&answer), &quote, &err), err);
	ck_assert_uint_eq(quote.size, QUOTE_SIZE);
	ck_assert_mem_eq(quote.data + REPORT_DATA_AT, report_data, sizeof(report_data));
}
END_TEST

START_TEST(wrong_answers)
{
	static const struct {
		const char *head;
		bool is_ours;
		size_t size;
		int status;
	} rows[] = {
		{ "HTTP/1.1 200 OK\r\nA: b", false, QUOTE_SIZE, E_INTEGRITY },
		{ "HTTP/1.1 200 OK\r\nA: b", true, 600, E_INTEGRITY },
		{ "HTTP/1.1 200 OK\r\nA: b", true, EVIDENCE_MAX + 1, E_INTEGRITY },
		{ "HTTP/1.1 500 No\r\nA: b", true, QUOTE_SIZE, E_UNAVAILABLE },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", true, QUOTE_SIZE,
			E_UNSUPPORTED },
		{ "hello", true, QUOTE_SIZE, E_UNAVAILABLE },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_done(buf) answer = {};
		auto_done(buf) quote = {};
		struct err err;
		make_answer(rows[i].head, rows[i].is_ours, rows[i].size, &answer);
		ck_assert_fails(ask(buf_view(&answer), &quote, &err), rows[i].status, err);
		ck_assert_uint_eq(quote.size, 0);
	}
	static const char *const texts[] = { "", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\n[]", "HTTP/1.1 200 OK\r\n\r\n{\"quote\":1}",
		"HTTP/1.1 200 OK\r\n\r\n{\"quote\":\"zz\"}" };
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		auto_done(buf) quote = {};
		struct err err;
		ck_assert_int_lt(ask(view_string(texts[i]), &quote, &err), 0);
	}
}
END_TEST

UNIT_MAIN("evidence_dstack", quotes, wrong_answers)
