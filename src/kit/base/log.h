/*
 * JSON-lines log on one descriptor: {"time","level","program","event", key: value ...}.
 * Library code never logs; programs log once, where an error stops. Values are escaped; keys are
 * our own literals. A line is written with one write(2), so processes may share the descriptor.
 */
#ifndef KIT_BASE_LOG_H
#define KIT_BASE_LOG_H

#include "kit/base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR, LOG_LEVEL_COUNT };

struct log {
	const char *program;
	int fd;
	enum log_level level; /* what is below is dropped */
};

/* Pairs of (const char *key, const char *value), closed by NULL. A NULL value prints null. */
void log_event(const struct log *log, enum log_level level, const char *event, ...)
	__attribute__((sentinel));

/* Name to level ("debug", "info", "warning", "error"); E_INVALID otherwise. */
int log_level_parse(const char *name, enum log_level *ret_level, struct err *err) MUST_CHECK;

#endif
