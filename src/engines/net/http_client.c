/* See http_client.h. */
#include "engines/net/http_client.h"

#include <curl/curl.h>
#include <unistd.h>

#include "kit/base/mem.h"
#include "kit/base/str.h"

enum { HEADER_MAX = 1024 };

struct exchange {
	CURL *curl;
	curl_mime *mime;
	struct curl_slist *headers;
	const struct http_call *call;
	struct http_answer *answer;
	struct err refusal; /* by a callback; category 0 while there is none */
};

static void exchange_done(struct exchange *exchange)
{
	curl_mime_free(exchange->mime);
	curl_slist_free_all(exchange->headers);
	curl_easy_cleanup(exchange->curl);
}

static size_t take_bytes(char *bytes, size_t one, size_t count, void *user)
{
	struct exchange *exchange = user;
	size_t size = one * count; /* one is 1, says libcurl */
	struct buf *body = &exchange->answer->body;
	if (size > exchange->call->answer_max - body->size) {
		(void)err_set(&exchange->refusal, E_LIMIT, "the answer is larger than %zu bytes",
			exchange->call->answer_max);
		return 0;
	}
	return buf_append(body, view_of(bytes, size), &exchange->refusal) < 0 ? 0 : size;
}

static int report_progress(
	void *user, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
	const struct http_call *call = user;
	(void)down_total;
	(void)down;
	call->on_progress((uint64_t)up, (uint64_t)up_total, call->user);
	return 0;
}

static int add_header(
	struct exchange *exchange, const char *name, const char *value, struct err *err)
{
	char line[HEADER_MAX];
	if (!value)
		return 0;
	TRY(str_format(line, sizeof(line), err, "%s: %s", name, value));
	struct curl_slist *longer = curl_slist_append(exchange->headers, line);
	mem_wipe(line, sizeof(line));
	if (!longer)
		return err_set(err, E_INTERNAL, "libcurl has no memory");
	exchange->headers = longer;
	return 0;
}

static bool is_loopback(const char *host)
{
	bool is_numeric = host[strspn(host, "0123456789.")] == 0;
	return str_equal(host, "localhost") || str_equal(host, "[::1]") ||
	       (is_numeric && str_starts(host, "127."));
}

static int check_url(const char *url, struct err *err)
{
	char *scheme = NULL, *host = NULL;
	char quoted[STR_QUOTE_MAX];
	CURLU *parts = curl_url();
	int status = 0;
	if (!parts || curl_url_set(parts, CURLUPART_URL, url, 0) != CURLUE_OK ||
		curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
		curl_url_get(parts, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
		(!str_equal(scheme, "http") && !str_equal(scheme, "https")))
		status = err_set(err, E_INVALID,
			"expected the service's URL, like http://127.0.0.1:7300; got '%s'",
			str_quote(view_string(url), quoted));
	else if (str_equal(scheme, "http") && !is_loopback(host))
		status = err_set(err, E_DENIED,
			"http://%s would carry token and data in clear; use https (http is for "
			"this machine only)",
			str_quote(view_string(host), quoted));
	curl_free(scheme);
	curl_free(host);
	curl_url_cleanup(parts);
	return status;
}

static int add_part(struct exchange *exchange, const struct http_part *part, struct err *err)
{
	curl_mimepart *row = curl_mime_addpart(exchange->mime);
	bool failed = !row || curl_mime_name(row, part->name) != CURLE_OK;
	if (!failed && part->path) {
		if (access(part->path, R_OK) < 0)
			return err_sys(err, E_NOT_FOUND, "reading %s", part->path);
		failed = curl_mime_filedata(row, part->path) != CURLE_OK;
	} else if (!failed) {
		failed = curl_mime_data(row, (const char *)part->content.data,
				 part->content.size) != CURLE_OK;
	}
	if (!failed)
		failed = curl_mime_filename(row, part->file_name) != CURLE_OK ||
			 (part->type && curl_mime_type(row, part->type) != CURLE_OK);
	return failed ? err_set(err, E_INTERNAL, "libcurl has no memory") : 0;
}

static int set_body(struct exchange *exchange, struct err *err)
{
	const struct http_call *call = exchange->call;
	if (call->part_count) {
		exchange->mime = curl_mime_init(exchange->curl);
		for (size_t i = 0; exchange->mime && i < call->part_count; i++)
			TRY(add_part(exchange, &call->parts[i], err));
		(void)curl_easy_setopt(exchange->curl, CURLOPT_MIMEPOST, exchange->mime);
		return add_header(exchange, "Expect", "", err);
	}
	if (!call->body.size)
		return 0;
	(void)curl_easy_setopt(exchange->curl, CURLOPT_POSTFIELDS, call->body.data);
	(void)curl_easy_setopt(
		exchange->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.size);
	TRY(add_header(exchange, "Expect", "", err));
	return add_header(exchange, "Content-Type", call->content_type, err);
}

static int set_options(struct exchange *exchange, struct err *err)
{
	const struct http_call *call = exchange->call;
	CURL *curl = exchange->curl;
	char bearer[HEADER_MAX];
	TRY(set_body(exchange, err));
	TRY(add_header(exchange, "Accept", call->accept ? call->accept : "application/json", err));
	TRY(add_header(exchange, "Prefer", call->prefer, err));
	if (call->token) {
		TRY(str_format(bearer, sizeof(bearer), err, "Bearer %s", call->token));
		int status = add_header(exchange, "Authorization", bearer, err);
		mem_wipe(bearer, sizeof(bearer));
		TRY(status);
	}
	(void)curl_easy_setopt(curl, CURLOPT_URL, call->url);
	(void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
	(void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, exchange->headers);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, exchange);
	(void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)HTTP_CLIENT_CONNECT_MS);
	(void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	if (call->ca_file)
		(void)curl_easy_setopt(curl, CURLOPT_CAINFO, call->ca_file);
	if (!call->on_progress)
		return 0;
	(void)curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	(void)curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, report_progress);
	(void)curl_easy_setopt(curl, CURLOPT_XFERINFODATA, call);
	return 0;
}

static int explain(const struct exchange *exchange, CURLcode code, struct err *err)
{
	if (exchange->refusal.category < 0) {
		*err = exchange->refusal;
		return exchange->refusal.category;
	}
	if (code == CURLE_PEER_FAILED_VERIFICATION)
		return err_set(err, E_INTEGRITY,
			"%s: its TLS certificate does not verify; give its root with --ca-file",
			exchange->call->url);
	if (code == CURLE_COULDNT_CONNECT)
		return err_set(err, E_UNAVAILABLE,
			"nobody answers at %s; start the service (cupel serve) or name it "
			"(--server URL)",
			exchange->call->url);
	return err_set(err, E_UNAVAILABLE, "%s: %s", exchange->call->url, curl_easy_strerror(code));
}

static int perform(struct exchange *exchange, struct err *err)
{
	long status = 0;
	CURLcode code = curl_easy_perform(exchange->curl);
	(void)curl_easy_getinfo(exchange->curl, CURLINFO_RESPONSE_CODE, &status);
	/* A refusal may come before the whole body was sent; it is an answer all the same. */
	bool is_early_answer = code == CURLE_SEND_ERROR && status >= 400;
	if (code != CURLE_OK && !is_early_answer)
		return explain(exchange, code, err);
	exchange->answer->status = (int)status;
	return 0;
}

int http_client_call(const struct http_call *call, struct http_answer *ret_answer, struct err *err)
{
	auto_done(exchange) exchange = { .call = call, .answer = ret_answer };
	TRY(check_url(call->url, err));
	if (call->part_count > HTTP_CLIENT_PARTS_MAX)
		return err_set(err, E_LIMIT, "%zu parts, limit %d", call->part_count,
			HTTP_CLIENT_PARTS_MAX);
	exchange.curl = curl_easy_init();
	if (!exchange.curl)
		return err_set(err, E_INTERNAL, "libcurl does not start");
	int status = set_options(&exchange, err);
	if (status == 0)
		status = perform(&exchange, err);
	if (status < 0)
		http_answer_done(ret_answer);
	return status;
}

void http_answer_done(struct http_answer *answer)
{
	buf_done(&answer->body);
	answer->status = 0;
}
