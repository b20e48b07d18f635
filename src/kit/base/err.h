/*
 * The one error idiom.
 *
 * A function that can fail returns int: 0, or the negative category that it also put into the
 * caller's struct err. The object is owned by the caller, needs no initialisation and no release.
 * The only way to fail is err_set() or err_sys(); pass a failure on with TRY(); add context at
 * module borders with err_wrap(). A message says what was expected, what came and, where somebody
 * can act, what to do next. It never carries secrets or more than 64 bytes of foreign text.
 */
#ifndef KIT_BASE_ERR_H
#define KIT_BASE_ERR_H

#include "kit/base/attr.h"

#define ERR_MESSAGE_MAX 512

/* Categories map to HTTP and exit status in one table each (see err_http_status). */
enum err_category {
	E_OK = 0,
	E_INVALID = -1,     /* the input is wrong; the sender must change it */
	E_DENIED = -2,      /* who asks may not */
	E_NOT_FOUND = -3,   /* no such thing */
	E_CONFLICT = -4,    /* not in this state */
	E_LIMIT = -5,       /* a named limit was reached */
	E_UNAVAILABLE = -6, /* something outside is missing or does not answer; try later */
	E_INTEGRITY = -7,   /* a digest, signature or binding does not hold */
	E_INTERNAL = -8,    /* our own fault */
	E_UNSUPPORTED = -9, /* known, and not done here */
};

struct err {
	int category;
	char message[ERR_MESSAGE_MAX];
};

/* Fills *err; use err_set(), which yields the category as a constant. */
void err_format(struct err *err, int category, const char *format, ...) PRINTF(3, 4);

/* As err_format, with ": " and the text of the current errno behind the message. */
void err_format_sys(struct err *err, int category, const char *format, ...) PRINTF(3, 4);

/* Put "context: " before the message of an error already set. */
void err_wrap(struct err *err, const char *format, ...) PRINTF(2, 3);

/* The category's lower-case name, e.g. "not-found"; "ok" for 0. Never NULL. */
const char *err_category_name(int category);

/* HTTP status for a category (RFC 9110): 400, 403, 404, 409, 413, 503, 422, 500, 501. */
int err_http_status(int category);

#define err_set(err, category, ...) (err_format((err), (category), __VA_ARGS__), (category))
#define err_sys(err, category, ...) (err_format_sys((err), (category), __VA_ARGS__), (category))

#define TRY(call)                           \
	do {                                \
		int try_status_ = (call);   \
		if (try_status_ < 0)        \
			return try_status_; \
	} while (0)

#endif
