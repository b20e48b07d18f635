/* Clocks and their text. Rules never call this: time comes to them as an argument. */
#ifndef KIT_BASE_TIME_H
#define KIT_BASE_TIME_H

#include <stdint.h>

#include "kit/base/err.h"

#define TIME_TEXT_SIZE 25 /* "2026-11-20T23:27:41.123Z" and its NUL */

/* Monotonic time since boot, in microseconds or milliseconds. */
uint64_t time_monotonic_usec(void);
uint64_t time_monotonic_ms(void);

/* Wall clock, milliseconds since 1970-01-01T00:00:00Z. */
uint64_t time_wall_ms(void);

/* RFC 3339 in UTC with milliseconds; pure. */
void time_format(uint64_t wall_ms, char ret_text[static TIME_TEXT_SIZE]);

/* Parse RFC 3339 "YYYY-MM-DD", "...THH:MM:SSZ" or "...THH:MM:SS.mmmZ" (UTC only); pure. */
int time_parse(const char *text, uint64_t *ret_wall_ms, struct err *err) MUST_CHECK;

#endif
