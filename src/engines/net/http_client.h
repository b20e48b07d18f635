/*
 * A small HTTP/1.1 client on libcurl for the command line: one call, one answer in memory, a body
 * from memory or streamed as multipart parts from files. It talks to our own service, so it uses no
 * proxy, follows no redirect and stores no cookie. The token never leaves in clear: http:// is for
 * loopback, any other host needs https:// with a certificate that verifies.
 */
#ifndef ENGINES_NET_HTTP_CLIENT_H
#define ENGINES_NET_HTTP_CLIENT_H

#include "kit/base/buf.h"

#define HTTP_CLIENT_PARTS_MAX 17
#define HTTP_CLIENT_CONNECT_MS 5000

/* One part of a multipart/form-data body; borrowed for the call. */
struct http_part {
	const char *name;
	const char *file_name; /* NULL: none */
	const char *type;      /* content type; NULL: none */
	const char *path;      /* file that is streamed; NULL: content is sent */
	struct view content;
};

struct http_call {
	const char *method;
	const char *url;
	const char *token;             /* NULL: no Authorization */
	const char *accept;            /* NULL: application/json */
	const char *prefer;            /* NULL: none */
	const char *content_type;      /* of body */
	struct view body;              /* empty and no parts: no body */
	const struct http_part *parts; /* instead of body */
	size_t part_count;
	const char *ca_file; /* PEM of trusted roots; NULL: the system's */
	size_t answer_max;   /* bytes of an answer's body */
	void (*on_progress)(
		uint64_t sent_bytes, uint64_t total_bytes, void *user); /* may be NULL */
	void *user;
};

struct http_answer {
	int status;
	struct buf body;
};

/*
 * Do one call. *ret_answer is empty before; release with http_answer_done. Every HTTP status is an
 * answer, not an error. E_INVALID for a URL that is none, E_DENIED for http:// to another machine,
 * E_NOT_FOUND for a part's file, E_LIMIT for an answer larger than answer_max, E_INTEGRITY when the
 * server's certificate does not verify, E_UNAVAILABLE when there is no answer.
 */
int http_client_call(
	const struct http_call *call, struct http_answer *ret_answer, struct err *err) MUST_CHECK;
void http_answer_done(struct http_answer *answer);

#endif
