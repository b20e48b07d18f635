/* See time.h. */
#include "kit/base/time.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "kit/base/str.h"

static uint64_t clock_usec(clockid_t clock)
{
	struct timespec now = {};
	(void)clock_gettime(clock, &now); /* cannot fail for these two clocks */
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t time_monotonic_usec(void)
{
	return clock_usec(CLOCK_MONOTONIC);
}

uint64_t time_monotonic_ms(void)
{
	return time_monotonic_usec() / 1000;
}

uint64_t time_wall_ms(void)
{
	return clock_usec(CLOCK_REALTIME) / 1000;
}

void time_format(uint64_t wall_ms, char ret_text[static TIME_TEXT_SIZE])
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm utc = {};
	char date[TIME_TEXT_SIZE] = "";
	(void)gmtime_r(&seconds, &utc);
	(void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
	(void)snprintf(ret_text, TIME_TEXT_SIZE, "%.19s.%03uZ", date, (unsigned)(wall_ms % 1000));
}

/* Pattern letters: 0 a digit, anything else itself. */
static bool matches(const char *text, const char *pattern)
{
	if (strlen(text) != strlen(pattern))
		return false;
	for (size_t i = 0; pattern[i]; i++) {
		bool digit = text[i] >= '0' && text[i] <= '9';
		if (pattern[i] == '0' ? !digit : text[i] != pattern[i])
			return false;
	}
	return true;
}

static int field(const char *text, size_t at, size_t size)
{
	int value = 0;
	for (size_t i = 0; i < size; i++)
		value = value * 10 + (text[at + i] - '0');
	return value;
}

int time_parse(const char *text, uint64_t *ret_wall_ms, struct err *err)
{
	char quoted[STR_QUOTE_MAX];
	bool has_time = matches(text, "0000-00-00T00:00:00Z");
	bool has_ms = matches(text, "0000-00-00T00:00:00.000Z");
	struct tm utc = {};
	if (!has_time && !has_ms && !matches(text, "0000-00-00"))
		return err_set(err, E_INVALID,
			"expected a UTC time such as 2026-11-20T23:27:41Z, got '%s'",
			str_quote(view_string(text), quoted));
	utc.tm_year = field(text, 0, 4) - 1900;
	utc.tm_mon = field(text, 5, 2) - 1;
	utc.tm_mday = field(text, 8, 2);
	if (has_time || has_ms) {
		utc.tm_hour = field(text, 11, 2);
		utc.tm_min = field(text, 14, 2);
		utc.tm_sec = field(text, 17, 2);
	}
	struct tm asked = utc;
	time_t seconds = timegm(&utc);
	if (seconds < 0 || asked.tm_mon != utc.tm_mon || asked.tm_mday != utc.tm_mday ||
		asked.tm_hour != utc.tm_hour || asked.tm_min != utc.tm_min ||
		asked.tm_sec != utc.tm_sec)
		return err_set(err, E_INVALID, "'%s' is no date after 1970",
			str_quote(view_string(text), quoted));
	*ret_wall_ms = (uint64_t)seconds * 1000 + (has_ms ? (uint64_t)field(text, 20, 3) : 0);
	return 0;
}
