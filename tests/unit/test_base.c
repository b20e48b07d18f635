/* kit/base: errors, buffers, readers, text, time, descriptors. */
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit/base/buf.h"
#include "kit/base/fd.h"
#include "kit/base/log.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "kit/base/time.h"

static int failing(struct err *err)
{
	return err_set(err, E_LIMIT, "inner %d", 7);
}

static int wrapping(struct err *err)
{
	int status = failing(err);
	if (status < 0)
		err_wrap(err, "outer");
	return status;
}

START_TEST(errors_carry_category_and_context)
{
	struct err err;
	ck_assert_fails(wrapping(&err), E_LIMIT, err);
	ck_assert_str_eq(err.message, "outer: inner 7");
	ck_assert_int_eq(err.category, E_LIMIT);
	ck_assert_str_eq(err_category_name(E_LIMIT), "limit");
	ck_assert_int_eq(err_http_status(E_LIMIT), 413);
	ck_assert_str_eq(err_category_name(-99), "internal");
	ck_assert_int_eq(err_http_status(0), 200);
}
END_TEST

START_TEST(errors_cut_long_messages)
{
	struct err err;
	char text[2 * ERR_MESSAGE_MAX];
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = 0;
	(void)err_set(&err, E_INVALID, "%s", text);
	err_wrap(&err, "ctx");
	ck_assert_uint_eq(strlen(err.message), ERR_MESSAGE_MAX - 1);
}
END_TEST

START_TEST(buffers_stop_at_their_limit)
{
	struct err err;
	for (size_t size = 9; size <= 11; size++) {
		auto_done(buf) buf = { .limit = 10 };
		int status = buf_append(&buf, view_of("01234567890", size), &err);
		ck_assert_int_eq(status, size > 10 ? E_LIMIT : 0);
		ck_assert_uint_eq(buf.size, size > 10 ? 0 : size);
	}
}
END_TEST

START_TEST(buffers_append_everything)
{
	struct err err;
	auto_done(buf) buf = {};
	ck_assert_str_eq(buf_string(&buf), "");
	ck_assert_ok(buf_append_string(&buf, "a", &err), err);
	ck_assert_ok(buf_append_format(&buf, &err, "-%d-%s", 5, "z"), err);
	ck_assert_str_eq(buf_string(&buf), "a-5-z");
	ck_assert_ok(buf_append_be(&buf, 0x0102, 2, &err), err);
	ck_assert_ok(buf_append_le(&buf, 0x0102, 3, &err), err);
	ck_assert_mem_eq(buf.data + 5, "\1\2\2\1\0", 5);
}
END_TEST

START_TEST(readers_remember_failure)
{
	struct reader reader = reader_of(view_of("\1\2\3\4\5", 5));
	ck_assert_uint_eq(reader_be(&reader, 2), 0x0102);
	ck_assert_uint_eq(reader_le(&reader, 2), 0x0403);
	ck_assert(!reader_complete(&reader));
	ck_assert_uint_eq(reader.offset, 4);
	ck_assert_uint_eq(reader_le(&reader, 2), 0);
	ck_assert(reader.failed);
	ck_assert_uint_eq(reader_take(&reader, 1).size, 0);
	ck_assert(!reader_complete(&reader));
}
END_TEST

START_TEST(numbers_parse_strictly)
{
	struct err err;
	uint64_t value = 0;
	ck_assert_ok(str_parse_u64("18446744073709551615", 0, UINT64_MAX, &value, &err), err);
	ck_assert(value == UINT64_MAX);
	ck_assert_ok(str_parse_u64("0", 0, 5, &value, &err), err);
	ck_assert_ok(str_parse_u64("5", 0, 5, &value, &err), err);
	static const char *const bad[] = { "", "6", "05", "+1", "-1", " 1", "1 ", "0x1",
		"18446744073709551616", "99999999999999999999999" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_fails(str_parse_u64(bad[i], 0, 5, &value, &err), E_INVALID, err);
}
END_TEST

START_TEST(foreign_text_is_quoted)
{
	char text[STR_QUOTE_MAX];
	ck_assert_str_eq(str_quote(view_of("a\nb\0c", 5), text), "a?b?c");
	char big[65];
	memset(big, 'x', sizeof(big));
	ck_assert_uint_eq(strlen(str_quote(view_of(big, 64), text)), 64);
	ck_assert_uint_eq(strlen(str_quote(view_of(big, 65), text)), 67);
}
END_TEST

START_TEST(file_names_are_one_plain_component)
{
	static const char *const good[] = { "a", "main.py", "A_b-c.1" };
	static const char *const bad[] = { "", ".", "..", ".hidden", "-x", "a/b", "a\nb", "ü",
		"a b" };
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		ck_assert_msg(str_is_file_name(view_string(good[i]), 255), "%s", good[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(!str_is_file_name(view_string(bad[i]), 255), "%s", bad[i]);
	ck_assert(!str_is_file_name(view_of("a\0b", 3), 255));
	ck_assert(str_is_file_name(view_string("abc"), 3));
	ck_assert(!str_is_file_name(view_string("abcd"), 3));
}
END_TEST

START_TEST(time_goes_both_ways)
{
	struct err err;
	char text[TIME_TEXT_SIZE];
	uint64_t ms = 0;
	ck_assert_ok(time_parse("2026-11-20T23:27:41.123Z", &ms, &err), err);
	time_format(ms, text);
	ck_assert_str_eq(text, "2026-11-20T23:27:41.123Z");
	ck_assert_ok(time_parse("2024-02-29", &ms, &err), err);
	time_format(ms, text);
	ck_assert_str_eq(text, "2024-02-29T00:00:00.000Z");
	static const char *const bad[] = { "", "2023-02-29", "2026-13-01", "2026-11-20T24:00:00Z",
		"2026-11-20T23:27:41", "2026-11-20T23:27:41+01:00", "1969-12-31" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_fails(time_parse(bad[i], &ms, &err), E_INVALID, err);
}
END_TEST

START_TEST(paths_stay_beneath)
{
	struct err err;
	char dir[] = "/tmp/cupel-unit-XXXXXX";
	ck_assert_ptr_nonnull(mkdtemp(dir));
	auto_close dir_fd = -1;
	auto_close fd = -1;
	ck_assert_ok(fd_open(dir, O_RDONLY | O_DIRECTORY, 0, &dir_fd, &err), err);
	ck_assert_ok(fd_open_beneath(dir_fd, "a", O_CREAT | O_WRONLY, 0600, &fd, &err), err);
	ck_assert_int_eq(symlinkat("/etc/passwd", dir_fd, "link"), 0);
	int other = -1;
	ck_assert_fails(fd_open_beneath(dir_fd, "link", O_RDONLY, 0, &other, &err), E_DENIED, err);
	ck_assert_fails(fd_open_beneath(dir_fd, "../x", O_RDONLY, 0, &other, &err), E_DENIED, err);
	ck_assert_fails(
		fd_open_beneath(dir_fd, "none", O_RDONLY, 0, &other, &err), E_NOT_FOUND, err);
	ck_assert_int_eq(other, -1);
	(void)unlinkat(dir_fd, "a", 0);
	(void)unlinkat(dir_fd, "link", 0);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(files_are_written_whole)
{
	struct err err;
	char dir[] = "/tmp/cupel-unit-XXXXXX";
	char path[64];
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_ok(str_format(path, sizeof(path), &err, "%s/file", dir), err);
	ck_assert_ok(fd_write_file_atomic(path, view_string("hello"), 0600, &err), err);
	for (size_t limit = 4; limit <= 6; limit++) {
		auto_done(buf) buf = {};
		ck_assert_int_eq(fd_read_file(path, limit, &buf, &err), limit < 5 ? E_LIMIT : 0);
	}
	auto_done(buf) buf = {};
	ck_assert_fails(fd_read_file("/nonexistent/x", 5, &buf, &err), E_NOT_FOUND, err);
	(void)unlink(path);
	ck_assert_int_eq(mkdir(path, 0700), 0); /* no file takes its place, and nothing is left */
	ck_assert_fails(
		fd_write_file_atomic(path, view_string("x"), 0600, &err), E_UNAVAILABLE, err);
	(void)rmdir(path);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(memory_files_are_wiped)
{
	struct err err;
	auto_close fd = -1;
	struct stat status;
	ck_assert_ok(fd_memfd("test", &fd, &err), err);
	ck_assert_ok(fd_write_all(fd, view_string("secret"), &err), err);
	ck_assert_ok(fd_wipe(fd, &err), err);
	ck_assert_int_eq(fstat(fd, &status), 0);
	ck_assert_int_eq(status.st_size, 0);
}
END_TEST

START_TEST(descriptors_travel)
{
	struct err err;
	int pair[2], fds[FD_PASS_MAX];
	size_t count = 0;
	ssize_t size = 0;
	char text[16];
	ck_assert_ok(fd_socketpair(SOCK_SEQPACKET, pair, &err), err);
	ck_assert_ok(
		fd_receive(pair[1], text, sizeof(text), MSG_DONTWAIT, &size, fds, &count, &err),
		err);
	ck_assert_int_eq(size, -1);
	ck_assert_ok(fd_send(pair[0], view_string("hi"), (int[]){ 0, 1 }, 2, &err), err);
	ck_assert_ok(fd_receive(pair[1], text, sizeof(text), 0, &size, fds, &count, &err), err);
	ck_assert_int_eq(size, 2);
	ck_assert_uint_eq(count, 2);
	ck_assert_int_eq(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	ck_assert_ok(fd_send(pair[0], view_string("0123456789"), fds, 2, &err), err);
	ck_assert_fails(fd_receive(pair[1], text, 9, 0, &size, fds, &count, &err), E_LIMIT, err);
	fd_close(&pair[0]);
	ck_assert_ok(fd_receive(pair[1], text, sizeof(text), 0, &size, fds, &count, &err), err);
	ck_assert_int_eq(size, 0);
}
END_TEST

/* Who goes with a message unread resets the connection, but has said what it said. */
START_TEST(last_words_are_heard)
{
	struct err err;
	int pair[2], fds[FD_PASS_MAX];
	size_t count = 0;
	ssize_t size = 0;
	char text[16];
	ck_assert_ok(fd_socketpair(SOCK_SEQPACKET, pair, &err), err);
	ck_assert_ok(fd_send(pair[0], view_string("unread"), NULL, 0, &err), err);
	ck_assert_ok(fd_send(pair[1], view_string("last"), (int[]){ 0 }, 1, &err), err);
	fd_close(&pair[1]);
	ck_assert_ok(fd_receive(pair[0], text, sizeof(text), 0, &size, fds, &count, &err), err);
	ck_assert_int_eq(size, 4);
	ck_assert_uint_eq(count, 1);
	fd_close(&fds[0]);
	ck_assert_ok(fd_receive(pair[0], text, sizeof(text), 0, &size, fds, &count, &err), err);
	ck_assert_int_eq(size, 0);
	fd_close(&pair[0]);
}
END_TEST

START_TEST(log_lines_are_json)
{
	int pair[2];
	char text[256] = "";
	ck_assert_int_eq(pipe(pair), 0);
	struct log log = { "unit", pair[1], LOG_INFO };
	log_event(&log, LOG_DEBUG, "dropped", NULL);
	log_event(&log, LOG_ERROR, "seen", "text", "a\"b\n\xff", "none", NULL, NULL);
	ssize_t got = read(pair[0], text, sizeof(text) - 1);
	ck_assert_int_gt(got, 0);
	ck_assert_ptr_nonnull(
		strstr(text, "\"level\":\"error\",\"program\":\"unit\",\"event\":"
			     "\"seen\",\"text\":\"a\\u0022b\\u000a\\u00ff\",\"none\":null}\n"));
	ck_assert_ptr_null(strstr(text, "dropped"));
}
END_TEST

UNIT_MAIN("base", errors_carry_category_and_context, errors_cut_long_messages,
	buffers_stop_at_their_limit, buffers_append_everything, readers_remember_failure,
	numbers_parse_strictly, foreign_text_is_quoted, file_names_are_one_plain_component,
	time_goes_both_ways, paths_stay_beneath, files_are_written_whole, memory_files_are_wiped,
	descriptors_travel, last_words_are_heard, log_lines_are_json)
