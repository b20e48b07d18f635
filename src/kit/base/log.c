/* See log.h. A line is built in a fixed array and cut when it does not fit: logging cannot fail. */
#include "kit/base/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include "kit/base/str.h"
#include "kit/base/time.h"

enum { LINE_BYTES_MAX = 4096, LINE_TAIL = 8 };

static const char *const level_names[LOG_LEVEL_COUNT] = {
	[LOG_DEBUG] = "debug",
	[LOG_INFO] = "info",
	[LOG_WARNING] = "warning",
	[LOG_ERROR] = "error",
};

struct line {
	char text[LINE_BYTES_MAX];
	size_t size;
};

static void put(struct line *line, const char *bytes, size_t size)
{
	if (line->size + size > sizeof(line->text) - LINE_TAIL)
		return;
	memcpy(line->text + line->size, bytes, size);
	line->size += size;
}

static void put_string(struct line *line, const char *text)
{
	char escaped[8];
	put(line, "\"", 1);
	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;
		bool plain = byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
		int size = plain ? snprintf(escaped, sizeof(escaped), "%c", byte)
				 : snprintf(escaped, sizeof(escaped), "\\u%04x", byte);
		put(line, escaped, (size_t)size);
	}
	put(line, "\"", 1);
}

static void put_pair(struct line *line, const char *key, const char *value)
{
	put(line, line->size == 1 ? "" : ",", line->size == 1 ? 0 : 1);
	put_string(line, key);
	put(line, ":", 1);
	if (value)
		put_string(line, value);
	else
		put(line, "null", 4);
}

void log_event(const struct log *log, enum log_level level, const char *event, ...)
{
	struct line line = { .text = "{", .size = 1 };
	char now[TIME_TEXT_SIZE];
	va_list args;
	if (level < log->level)
		return;
	time_format(time_wall_ms(), now);
	put_pair(&line, "time", now);
	put_pair(&line, "level", level_names[level]);
	put_pair(&line, "program", log->program);
	put_pair(&line, "event", event);
	va_start(args, event);
	for (const char *key; (key = va_arg(args, const char *));)
		put_pair(&line, key, va_arg(args, const char *));
	va_end(args);
	memcpy(line.text + line.size, "}\n", 2);
	if (write(log->fd, line.text, line.size + 2) < 0)
		return; /* nowhere left to say it */
}

int log_level_parse(const char *name, enum log_level *ret_level, struct err *err)
{
	for (size_t i = 0; i < LOG_LEVEL_COUNT; i++)
		if (str_equal(name, level_names[i])) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	return err_set(err, E_INVALID, "expected debug, info, warning or error as log level");
}
