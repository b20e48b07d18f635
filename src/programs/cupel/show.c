/*
 * Printing. Results go to standard output, everything about them to standard error, so that a
 * pipe sees only the result.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "kit/base/time.h"
#include "kit/codec/base64.h"
#include "programs/cupel/cupel.h"

enum { PROGRESS_AFTER_MS = 1000, SIGNAL_EXIT_BASE = 128, OTHER_CAUSE_EXIT = 119 };

int show_json(const struct json *value, struct err *err)
{
	auto_done(buf) text = {};
	TRY(json_encode_pretty(value, &text, err));
	TRY(buf_append_string(&text, "\n", err));
	return show_bytes(STDOUT_FILENO, buf_view(&text), err);
}

int show_bytes(int fd, struct view bytes, struct err *err)
{
	(void)fflush(stdout);
	int status = fd_write_all(fd, bytes, err);
	if (status < 0 && errno == EPIPE)
		return 0;
	if (status < 0)
		err_wrap(err, "writing to standard %s", fd == STDOUT_FILENO ? "output" : "error");
	return status;
}

static const struct {
	const char *verdict;
	const char *text;
} verdict_rows[] = {
	{ "hardware", "HARDWARE: genuine evidence of real hardware, every essential check passed" },
	{ "simulated",
		"SIMULATED: intact and consistent, but no hardware vouches for it; a simulated "
		"platform made the evidence" },
	{ "failed", "FAILED: do not rely on this certificate" },
};

void show_checks(const struct json *verification, bool is_on_stderr)
{
	FILE *stream = is_on_stderr ? stderr : stdout;
	const struct json *checks = json_get(verification, "checks");
	const char *verdict = json_as_string(json_get(verification, "verdict"));
	for (size_t i = 0; i < json_size(checks); i++) {
		const struct json *row = json_at(checks, i);
		const char *name = json_as_string(json_get(row, "name"));
		const char *result = json_as_string(json_get(row, "result"));
		const char *detail = json_as_string(json_get(row, "detail"));
		(void)fprintf(stream, "  %-12s %-12s  %s\n", result ? result : "?",
			name ? name : "?", detail ? detail : "");
	}
	for (size_t i = 0; verdict && i < ARRAY_SIZE(verdict_rows); i++)
		if (str_equal(verdict, verdict_rows[i].verdict))
			(void)fprintf(stream, "  verdict %s\n", verdict_rows[i].text);
}

void show_progress(struct cupel *cupel, const char *format, ...)
{
	char text[120];
	va_list args;
	if (cupel->is_json || time_monotonic_ms() - cupel->started_ms < PROGRESS_AFTER_MS ||
		!isatty(STDERR_FILENO))
		return;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	(void)fprintf(stderr, "\r\033[K%s", text);
	(void)fflush(stderr);
	cupel->has_progress = true;
}

void show_progress_end(struct cupel *cupel)
{
	if (cupel->has_progress)
		(void)fputs("\r\033[K", stderr);
	cupel->has_progress = false;
}

int show_result_bytes(const struct json *result, const char *name, const char *encoding,
	struct buf *ret_bytes, struct err *err)
{
	struct view text = json_as_view(json_get(result, name));
	if (view_equal_string(json_as_view(json_get(result, encoding)), "base64"))
		return base64_decode(BASE64_STANDARD, text, ret_bytes, err);
	return buf_append(ret_bytes, text, err);
}

int show_streams(const struct json *result, const char *path, struct err *err)
{
	auto_done(buf) output = {};
	auto_done(buf) errors = {};
	TRY(show_result_bytes(result, "output", "encoding", &output, err));
	TRY(show_result_bytes(result, "stderr", "stderr_encoding", &errors, err));
	struct err second;
	int status = path ? fd_write_output(path, buf_view(&output), err)
			  : show_bytes(STDOUT_FILENO, buf_view(&output), err);
	if (show_bytes(STDERR_FILENO, buf_view(&errors), &second) == 0 || status < 0)
		return status;
	*err = second;
	return second.category;
}

/* Kept apart from what shells and the script itself use most: 110 and up. */
static const struct {
	const char *status;
	int code;
} exit_rows[] = {
	{ "killed:wall-timeout", 110 },
	{ "killed:cpu-timeout", 111 },
	{ "killed:memory", 112 },
	{ "killed:disk", 113 },
	{ "killed:processes", 114 },
	{ "killed:output", 115 },
	{ "killed:denied", 116 },
	{ "cancelled", 117 },
};

int show_exit_code(const struct json *reply)
{
	const struct json *result = json_get(reply, "result");
	const struct json *code = json_get(result, "exit_code");
	const struct json *number = json_get(result, "signal");
	const char *status = json_as_string(json_get(reply, "status"));
	if (json_kind(code) == JSON_KIND_INTEGER)
		return (int)json_as_integer(code);
	for (size_t i = 0; status && i < ARRAY_SIZE(exit_rows); i++)
		if (str_equal(status, exit_rows[i].status))
			return exit_rows[i].code;
	if (json_kind(number) == JSON_KIND_INTEGER)
		return SIGNAL_EXIT_BASE + (int)json_as_integer(number);
	return OTHER_CAUSE_EXIT;
}
