/* Error objects: formatting, wrapping, and the two tables of categories. */
#include "kit/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int http_status;
} categories[] = {
	[-E_OK] = { "ok", 200 },
	[-E_INVALID] = { "invalid", 400 },
	[-E_DENIED] = { "denied", 403 },
	[-E_NOT_FOUND] = { "not-found", 404 },
	[-E_CONFLICT] = { "conflict", 409 },
	[-E_LIMIT] = { "limit", 413 },
	[-E_UNAVAILABLE] = { "unavailable", 503 },
	[-E_INTEGRITY] = { "integrity", 422 },
	[-E_INTERNAL] = { "internal", 500 },
	[-E_UNSUPPORTED] = { "unsupported", 501 },
};

static size_t category_index(int category)
{
	size_t index = category <= 0 ? (size_t)-category : 0;
	return index < ARRAY_SIZE(categories) ? index : (size_t)-E_INTERNAL;
}

const char *err_category_name(int category)
{
	return categories[category_index(category)].name;
}

int err_http_status(int category)
{
	return categories[category_index(category)].http_status;
}

void err_format(struct err *err, int category, const char *format, ...)
{
	va_list args;
	err->category = category;
	va_start(args, format);
	(void)vsnprintf(err->message, sizeof(err->message), format, args);
	va_end(args);
}

void err_format_sys(struct err *err, int category, const char *format, ...)
{
	const char *reason = strerrordesc_np(errno);
	va_list args;
	err->category = category;
	va_start(args, format);
	(void)vsnprintf(err->message, sizeof(err->message), format, args);
	va_end(args);
	size_t used = strlen(err->message);
	(void)snprintf(err->message + used, sizeof(err->message) - used, ": %s",
		reason ? reason : "unknown error");
}

void err_wrap(struct err *err, const char *format, ...)
{
	char inner[ERR_MESSAGE_MAX];
	va_list args;
	(void)snprintf(inner, sizeof(inner), "%s", err->message);
	va_start(args, format);
	(void)vsnprintf(err->message, sizeof(err->message), format, args);
	va_end(args);
	size_t used = strlen(err->message);
	(void)snprintf(err->message + used, sizeof(err->message) - used, ": %s", inner);
}
