/* One bounded download; the only user of libcurl in this program. */
#ifndef PROGRAMS_TEE_FETCH_FETCH_H
#define PROGRAMS_TEE_FETCH_FETCH_H

#include <stdint.h>

#include "kit/base/buf.h"
#include "kit/base/err.h"
#include "programs/tee-fetch/address.h"

#define FETCH_URL_MAX 8192
#define FETCH_REDIRECTS_MAX 3

struct fetch_limits {
	uint64_t bytes_max;
	uint64_t timeout_ms; /* for everything, redirects included */
	uint64_t connect_timeout_ms;
	struct address_policy policy;
	struct view ca; /* PEM; empty: the system's */
};

/*
 * Fetch url and write the body to out_fd, at most bytes_max bytes. Each request is first noted at
 * note_fd, as a line {"to":"host:port","bytes":N}: N bytes of URL, 0 where TLS came to no request;
 * the port is left out where it is the scheme's own.
 *
 * E_INVALID: not an http(s) URL, or with user information; E_DENIED: an address or a redirect that
 * is not allowed; E_NOT_FOUND: the server says 404 or 410; E_LIMIT: body, redirects or time;
 * E_INTEGRITY: the server's certificate is not good; E_UNAVAILABLE: no name, no connection, a
 * broken transfer, another status, output not writable.
 */
int fetch_url(const char *url, const struct fetch_limits *limits, int out_fd, int note_fd,
	struct err *err) MUST_CHECK;

#endif
