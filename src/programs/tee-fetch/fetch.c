/*
 * Download with libcurl, one hop at a time.
 *
 * We follow redirects ourselves, so that each hop passes the same checks: scheme, no way from
 * https back to http, number. The address is checked in libcurl's socket callback, which sees what
 * will really be connected to. No proxy, no cookies, no netrc, no environment.
 */
#include "programs/tee-fetch/fetch.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kit/base/buf.h"
#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "kit/base/time.h"

#define SCHEME_HTTP "http"
#define SCHEME_HTTPS "https"

struct fetch {
	CURL *curl;
	const struct fetch_limits *limits;
	int out_fd;
	int note_fd;
	uint64_t deadline_ms;
	char *url; /* of this hop */
	char host[STR_QUOTE_MAX];
	char port[8]; /* ":8443"; empty for the scheme's own */
	bool is_clear;
	bool has_greeted; /* of this hop: in TLS */
	bool is_noted;    /* its request */
	uint64_t received;
	struct err refusal; /* by a callback; category 0 while there is none */
};

static enum address_kind kind_of(const struct curl_sockaddr *address)
{
	union {
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} copy = {};
	if (address->family == AF_INET && address->addrlen >= sizeof(copy.in)) {
		memcpy(&copy.in, &address->addr, sizeof(copy.in));
		return address_classify((const uint8_t *)&copy.in.sin_addr, 4);
	}
	if (address->family == AF_INET6 && address->addrlen >= sizeof(copy.in6)) {
		/* struct curl_sockaddr is allocated large enough for the whole address. */
		memcpy(&copy.in6, &address->addr, sizeof(copy.in6));
		return address_classify(copy.in6.sin6_addr.s6_addr, 16);
	}
	return ADDRESS_SPECIAL;
}

static curl_socket_t open_socket(
	void *fetch_pointer, curlsocktype purpose UNUSED, struct curl_sockaddr *address)
{
	struct fetch *fetch = fetch_pointer;
	enum address_kind kind = kind_of(address);
	if (!address_is_allowed(kind, fetch->is_clear, &fetch->limits->policy)) {
		const char *why = fetch->is_clear && kind != ADDRESS_LOOPBACK
					  ? "http goes to loopback only; use https"
					  : "fetches from there are not allowed here";
		(void)err_set(&fetch->refusal, E_DENIED, "host '%s' has a %s address: %s",
			fetch->host, address_kind_name(kind), why);
		return CURL_SOCKET_BAD;
	}
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* One line about what leaves the machine; a host comes quoted, so only these two disturb JSON. */
static int note_sent(struct fetch *fetch, size_t bytes, struct err *err)
{
	auto_done(buf) line = {};
	char host[sizeof(fetch->host)];
	memcpy(host, fetch->host, sizeof(host));
	for (char *c = host; *c; c++)
		if (*c == '"' || *c == '\\')
			*c = '?';
	fetch->is_noted = true;
	TRY(buf_append_format(
		&line, err, "{\"to\":\"%s%s\",\"bytes\":%zu}\n", host, fetch->port, bytes));
	return fd_write_all(fetch->note_fd, buf_view(&line), err);
}

/* Connected, about to ask. What cannot be noted is not sent. */
static int before_request(void *fetch_pointer, char *remote_address UNUSED,
	char *local_address UNUSED, int remote_port UNUSED, int local_port UNUSED)
{
	struct fetch *fetch = fetch_pointer;
	return note_sent(fetch, strlen(fetch->url), &fetch->refusal) < 0 ? CURL_PREREQFUNC_ABORT
									 : CURL_PREREQFUNC_OK;
}

/* TLS names the host before there is a request. */
static int see_traffic(CURL *curl UNUSED, curl_infotype type, char *bytes UNUSED,
	size_t size UNUSED, void *fetch_pointer)
{
	struct fetch *fetch = fetch_pointer;
	fetch->has_greeted |= type == CURLINFO_SSL_DATA_OUT;
	return 0;
}

static size_t take_bytes(char *bytes, size_t one, size_t count, void *fetch_pointer)
{
	struct fetch *fetch = fetch_pointer;
	size_t size = one * count; /* one is 1, says libcurl */
	long status = 0;
	(void)curl_easy_getinfo(fetch->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200)
		return size; /* the text of a refusal or redirect is dropped */
	if (size > fetch->limits->bytes_max - fetch->received) {
		(void)err_set(&fetch->refusal, E_LIMIT, "host '%s' sends more than %llu bytes",
			fetch->host, (unsigned long long)fetch->limits->bytes_max);
		return 0;
	}
	if (fd_write_all(fetch->out_fd, view_of(bytes, size), &fetch->refusal) < 0)
		return 0;
	fetch->received += size;
	return size;
}

static int refuse_url(const char *why, struct err *err)
{
	return err_set(err, E_INVALID, "the dataset URL is not usable: %s", why);
}

/* Scheme and host of this hop; a URL is never printed, it may hold a token. */
static int check_parts(struct fetch *fetch, CURLU *parts, bool was_secure, struct err *err)
{
	char *scheme = NULL, *host = NULL, *user = NULL, *port = NULL;
	int status = 0;
	fetch->port[0] = 0;
	if (curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
		curl_url_get(parts, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		status = refuse_url("it needs a scheme and a host", err);
	else if (!str_equal(scheme, SCHEME_HTTPS) && !str_equal(scheme, SCHEME_HTTP))
		status = refuse_url("only https, and http to loopback, are fetched", err);
	else if (curl_url_get(parts, CURLUPART_USER, &user, 0) == CURLUE_OK)
		status = refuse_url("user information in a URL is not sent; remove it", err);
	else if (was_secure && str_equal(scheme, SCHEME_HTTP))
		status = err_set(
			err, E_DENIED, "host '%s' redirects from https to http", fetch->host);
	if (status == 0) {
		fetch->is_clear = str_equal(scheme, SCHEME_HTTP);
		(void)str_quote(view_string(host), fetch->host);
		if (curl_url_get(parts, CURLUPART_PORT, &port, CURLU_NO_DEFAULT_PORT) == CURLUE_OK)
			status = str_format(fetch->port, sizeof(fetch->port), err, ":%s", port);
	}
	curl_free(port);
	curl_free(scheme);
	curl_free(host);
	curl_free(user);
	return status;
}

static int check_url(struct fetch *fetch, bool was_secure, struct err *err)
{
	CURLU *parts = curl_url();
	if (!parts)
		return err_set(err, E_INTERNAL, "libcurl has no memory");
	CURLUcode code = strlen(fetch->url) > FETCH_URL_MAX
				 ? CURLUE_BAD_HANDLE
				 : curl_url_set(parts, CURLUPART_URL, fetch->url, 0);
	int status = code == CURLUE_OK ? check_parts(fetch, parts, was_secure, err)
				       : refuse_url("it cannot be parsed or is longer than 8,192 "
						    "bytes",
						 err);
	curl_url_cleanup(parts);
	return status;
}

static bool set_options(struct fetch *fetch, uint64_t left_ms)
{
	CURL *curl = fetch->curl;
	const struct fetch_limits *limits = fetch->limits;
	long connect_ms = (long)MIN(limits->connect_timeout_ms, left_ms);
	struct curl_blob ca = { .data = (void *)(uintptr_t)limits->ca.data,
		.len = limits->ca.size,
		.flags = CURL_BLOB_NOCOPY };
	curl_easy_reset(curl);
	return curl_easy_setopt(curl, CURLOPT_URL, fetch->url) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_NOPROXY, "*") == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_USERAGENT, "cupel-fetch/1") == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) ==
		       CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)left_ms) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, connect_ms) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, fetch) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_PREREQFUNCTION, before_request) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_PREREQDATA, fetch) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_VERBOSE, 1L) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_DEBUGFUNCTION, see_traffic) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_DEBUGDATA, fetch) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_WRITEDATA, fetch) == CURLE_OK &&
	       (!limits->ca.size || curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &ca) == CURLE_OK);
}

static int explain(const struct fetch *fetch, CURLcode code, struct err *err)
{
	static const struct {
		CURLcode code;
		int category;
		const char *text;
	} causes[] = {
		{ CURLE_OPERATION_TIMEDOUT, E_LIMIT, "did not answer completely in time" },
		{ CURLE_COULDNT_RESOLVE_HOST, E_UNAVAILABLE, "has no address" },
		{ CURLE_COULDNT_CONNECT, E_UNAVAILABLE, "accepts no connection" },
		{ CURLE_PEER_FAILED_VERIFICATION, E_INTEGRITY, "has no valid certificate" },
		{ CURLE_SSL_CONNECT_ERROR, E_UNAVAILABLE, "does not complete the TLS handshake" },
		{ CURLE_PARTIAL_FILE, E_UNAVAILABLE, "sent less than it announced" },
		{ CURLE_GOT_NOTHING, E_UNAVAILABLE, "closed the connection without an answer" },
		{ CURLE_RECV_ERROR, E_UNAVAILABLE, "broke the connection off" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(causes); i++)
		if (causes[i].code == code)
			return err_set(err, causes[i].category, "host '%s' %s", fetch->host,
				causes[i].text);
	return err_set(err, E_UNAVAILABLE, "fetching from host '%s' failed: %s", fetch->host,
		curl_easy_strerror(code));
}

static int judge_status(const struct fetch *fetch, long status, struct err *err)
{
	if (status == 200)
		return 0;
	if (status == 404 || status == 410)
		return err_set(err, E_NOT_FOUND, "host '%s' says that the file is not there (%ld)",
			fetch->host, status);
	return err_set(err, E_UNAVAILABLE, "host '%s' answered with status %ld, expected 200",
		fetch->host, status);
}

/* One request; the next URL in *ret_next when it was a redirect. */
static int fetch_hop(struct fetch *fetch, char **ret_next, struct err *err)
{
	uint64_t now_ms = time_monotonic_ms();
	long status = 0;
	char *next = NULL;
	if (now_ms >= fetch->deadline_ms)
		return err_set(
			err, E_LIMIT, "host '%s' did not answer completely in time", fetch->host);
	if (!set_options(fetch, fetch->deadline_ms - now_ms))
		return err_set(err, E_INTERNAL, "libcurl refuses the settings");
	fetch->has_greeted = fetch->is_noted = false;
	CURLcode code = curl_easy_perform(fetch->curl);
	if (fetch->has_greeted && !fetch->is_noted)
		TRY(note_sent(fetch, 0, err));
	if (code != CURLE_OK && fetch->refusal.category != 0) {
		*err = fetch->refusal;
		return err->category;
	}
	if (code != CURLE_OK)
		return explain(fetch, code, err);
	(void)curl_easy_getinfo(fetch->curl, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(fetch->curl, CURLINFO_REDIRECT_URL, &next);
	if (!next || status < 300 || status > 399)
		return judge_status(fetch, status, err);
	*ret_next = mem_string(next);
	return 0;
}

static int fetch_all(struct fetch *fetch, struct err *err)
{
	bool was_secure = false;
	for (int hop = 0; hop <= FETCH_REDIRECTS_MAX; hop++) {
		auto_free char *next = NULL;
		TRY(check_url(fetch, was_secure, err));
		was_secure = !fetch->is_clear;
		TRY(fetch_hop(fetch, &next, err));
		if (!next)
			return 0;
		mem_free(fetch->url);
		fetch->url = take_ptr(next);
	}
	return err_set(err, E_LIMIT, "host '%s' redirects more than %d times", fetch->host,
		FETCH_REDIRECTS_MAX);
}

int fetch_url(const char *url, const struct fetch_limits *limits, int out_fd, int note_fd,
	struct err *err)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(err, E_INTERNAL, "libcurl does not start");
	struct fetch fetch = { .curl = curl_easy_init(),
		.limits = limits,
		.out_fd = out_fd,
		.note_fd = note_fd,
		.deadline_ms = time_monotonic_ms() + limits->timeout_ms,
		.url = mem_string(url) };
	int status = fetch.curl ? fetch_all(&fetch, err)
				: err_set(err, E_INTERNAL, "libcurl does not start");
	curl_easy_cleanup(fetch.curl);
	mem_free(fetch.url);
	curl_global_cleanup();
	return status;
}
