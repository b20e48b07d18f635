/*
 * Certificates: countersigned by the issuer, stored before anybody is answered, verified by the one
 * pure function, searched by their digests.
 */
#include <stdlib.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "kit/base/time.h"
#include "kit/crypto/dsse.h"
#include "programs/cced/cced.h"
#include "rules/appraise/policy.h"

_Static_assert(STORE_DATASETS_MAX >= EXECUTE_DATASETS_MAX, "every accepted run can be stored");
_Static_assert(STORE_TOOLS_MAX >= EXECUTE_TOOLS_MAX, "every accepted run can be stored");
_Static_assert(STORE_TOOL_MAX >= IMAGE_TOOL_NAME_MAX, "every tool can be stored");

enum { QUERY_VALUE_MAX = 256, SEARCH_LIMIT_DEFAULT = 20 };

static int read_digest(const struct json *index, const char *name, struct store_digest *ret_digest,
	struct err *err)
{
	int status = hex_decode(
		json_as_view(json_get(index, name)), ret_digest->sha256, SHA256_SIZE, err);
	if (status < 0)
		err_wrap(err, "index.%s", name);
	return status;
}

static int read_lists(const struct json *index, struct store_certificate *row, struct err *err)
{
	const struct json *datasets = json_get(index, "datasets"),
			  *tools = json_get(index, "tools");
	if (!datasets || !tools || json_size(datasets) > STORE_DATASETS_MAX ||
		json_size(tools) > STORE_TOOLS_MAX)
		return err_set(err, E_LIMIT, "index: too many datasets or tools");
	for (size_t i = 0; i < json_size(datasets); i++)
		TRY(hex_decode(json_as_view(json_at(datasets, i)), row->datasets[i].sha256,
			SHA256_SIZE, err));
	for (size_t i = 0; i < json_size(tools); i++)
		TRY(str_format(row->tools[i], sizeof(row->tools[i]), err, "%s",
			json_as_string(json_at(tools, i))));
	row->dataset_count = json_size(datasets);
	row->tool_count = json_size(tools);
	return 0;
}

static int read_index(
	struct cjob *job, const struct json *index, struct store_certificate *row, struct err *err)
{
	const char *id = json_as_string(json_get(index, "certificate_id"));
	const char *status = json_as_string(json_get(index, "status"));
	if (!id || !cert_is_id(id) || !status)
		return err_set(err, E_INTERNAL, "index without certificate id or status");
	TRY(str_format(row->id, sizeof(row->id), err, "%s", id));
	TRY(str_format(row->job_id, sizeof(row->job_id), err, "%s", job->id));
	TRY(str_format(row->principal, sizeof(row->principal), err, "%s", job->principal));
	TRY(str_format(row->status, sizeof(row->status), err, "%.32s", status));
	row->created_ms = (uint64_t)json_as_integer(json_get(index, "created_ms"));
	row->has_result = true;
	TRY(read_digest(index, "sandbox", &row->sandbox, err));
	TRY(read_digest(index, "inputs", &row->inputs, err));
	TRY(read_digest(index, "claim", &row->claim, err));
	TRY(read_digest(index, "result", &row->result, err));
	return read_lists(index, row, err);
}

/* What the search shows; nothing a simulated platform made needs a look to be simulated. */
static enum store_verdict stored_verdict(struct cced *cced, struct view envelope)
{
	static const enum store_verdict verdicts[] = {
		[CERT_VERDICT_FAILED] = STORE_FAILED,
		[CERT_VERDICT_SIMULATED] = STORE_SIMULATED,
		[CERT_VERDICT_HARDWARE] = STORE_HARDWARE,
	};
	struct cert_verification verification;
	if (cced_is_simulated(cced))
		return STORE_SIMULATED;
	certificates_verify(cced, envelope, &verification);
	return verdicts[verification.verdict];
}

static int put(struct cjob *job, struct store_certificate *row, struct err *err)
{
	struct cced *cced = job->cced;
	const struct dsse *envelope = &job->envelope;
	auto_done(buf) text = {};
	char id[CERT_ID_SIZE];
	cert_id(buf_view(&envelope->payload), id);
	if (!str_equal(id, row->id))
		return err_set(
			err, E_INTEGRITY, "the agent's certificate id is not that of its bytes");
	hash_bytes(HASH_SHA256, buf_view(&envelope->payload), row->statement.sha256);
	TRY(dsse_encode(envelope, &text, err));
	row->verdict = stored_verdict(cced, buf_view(&text));
	return store_certificate_put(cced->store, row, buf_view(&text), "done", err);
}

/* Of one statement of each agent; our signature stays here until the agent's has come. */
int certificates_countersign(struct cjob *job, const struct message *message, struct err *err)
{
	struct cced *cced = job->cced;
	TRY(agent_read_statement(message, CERT_PAYLOAD_TYPE, &job->envelope, err));
	return keys_countersign(&cced->keys, buf_view(&cced->issuer_spki), &job->envelope, err);
}

int certificates_add(struct cjob *job, const struct json *index, struct err *err)
{
	auto_free struct store_certificate *row = mem_alloc(1, sizeof(*row));
	TRY(agent_read_signature(index, &job->envelope, err));
	TRY(read_index(job, index, row, err));
	TRY(put(job, row, err));
	/* only now: an answer never names a certificate that is not stored */
	return str_format(job->certificate_id, sizeof(job->certificate_id), err, "%s", row->id);
}

void certificates_verify(
	struct cced *cced, struct view envelope, struct cert_verification *ret_verification)
{
	_Static_assert((int)LOCAL_FILE_COUNT == CERT_COLLATERAL_FILES, "one order of files");
	const struct cert_collateral collateral = cert_collateral_of(cced->local.platform.files);
	const struct cert_verify_input input = {
		.envelope = envelope,
		.issuer_spki = buf_view(&cced->issuer_spki),
		.anchors = cced_is_simulated(cced) ? &cced->anchor : appraise_known_anchors,
		.anchor_count = cced_is_simulated(cced) ? 1 : appraise_known_anchor_count,
		.collateral = &collateral,
		.as_of_ms = time_wall_ms(),
		.measurement = buf_view(&cced->local.known),
	};
	cert_verify(&input, ret_verification);
}

static int parse_statement(struct view envelope, struct json **ret_envelope,
	struct json **ret_statement, struct err *err)
{
	AUTO(dsse_done) struct dsse dsse = {};
	TRY(dsse_decode(envelope, &dsse, err));
	TRY(json_parse(buf_view(&dsse.payload), CERT_STATEMENT_MAX, ret_statement, err));
	return json_parse(envelope, DSSE_ENVELOPE_MAX, ret_envelope, err);
}

static int respond_verify(
	struct cced *cced, struct http_request *request, struct view envelope, struct err *err)
{
	struct cert_verification verification;
	(void)err;
	certificates_verify(cced, envelope, &verification);
	auto_json *body = cert_verification_json(&verification);
	api_respond_json(request, 200, body);
	return 0;
}

static int respond_envelope(
	struct cced *cced, struct http_request *request, struct view envelope, struct err *err)
{
	auto_done(buf) copy = {};
	static const struct http_header headers[] = {
		{ "Content-Type", "application/vnd.dsse.envelope.v1+json" }, {}
	};
	(void)cced;
	TRY(buf_append(&copy, envelope, err));
	return http_respond(request, 200, headers, &copy, err);
}

static bool wants_html(struct http_request *request)
{
	struct view accept;
	return http_header_get(request, "Accept", &accept) &&
	       memmem(accept.data, accept.size, "text/html", 9) != NULL;
}

static int respond_page(struct cced *cced, struct http_request *request,
	const struct json *statement, struct view envelope, struct err *err)
{
	struct cert_verification verification;
	auto_done(buf) html = {};
	static const struct http_header headers[] = {
		{ "Content-Type", "text/html; charset=utf-8" },
		{ "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; "
					     "base-uri 'none'; form-action 'none'" },
		{ "X-Content-Type-Options", "nosniff" },
		{ "Vary", "Accept" },
		{},
	};
	certificates_verify(cced, envelope, &verification);
	TRY(page_certificate(statement, &verification, &html, err));
	return http_respond(request, 200, headers, &html, err);
}

static int respond_certificate(
	struct cced *cced, struct http_request *request, struct view envelope, struct err *err)
{
	auto_json *dsse = NULL;
	auto_json *statement = NULL;
	auto_json *body = json_new_object();
	struct cert_verification verification;
	TRY(parse_statement(envelope, &dsse, &statement, err));
	if (wants_html(request))
		return respond_page(cced, request, statement, envelope, err);
	certificates_verify(cced, envelope, &verification);
	json_set_string(body, "certificate_id", verification.id);
	json_set_string(body, "verdict", cert_verdict_name(verification.verdict));
	json_set(body, "envelope", json_share(dsse));
	json_set(body, "statement", json_share(statement));
	api_respond_json(request, 200, body);
	return 0;
}

static const struct {
	const char *rest;
	int (*respond)(struct cced *cced, struct http_request *request, struct view envelope,
		struct err *err);
} views[] = {
	{ "", respond_certificate },
	{ "/verify", respond_verify },
	{ "/envelope", respond_envelope },
};

void api_certificate(
	struct cced *cced, struct http_request *request, const char *id, const char *rest)
{
	struct err err;
	auto_done(buf) envelope = {};
	auto_free struct store_certificate *row = mem_alloc(1, sizeof(*row));
	int status = cert_is_id(id) ? store_certificate_get(cced->store, id, row, &envelope, &err)
				    : err_set(&err, E_NOT_FOUND, "no certificate has this id");
	if (status == 0) {
		status = err_set(
			&err, E_NOT_FOUND, "expected /certificate/ID, .../verify or .../envelope");
		for (size_t i = 0; i < ARRAY_SIZE(views); i++)
			if (str_equal(rest, views[i].rest))
				status = views[i].respond(cced, request, buf_view(&envelope), &err);
	}
	if (status < 0)
		api_respond_err(request, &err);
}

struct search {
	struct store_filter filter;
	struct store_digest digests[3];
	enum store_verdict verdict;
	char values[4][QUERY_VALUE_MAX]; /* status, tool, principal, cursor */
};

static int set_digest(struct search *search, size_t slot, const char *value,
	const struct store_digest **place, struct err *err)
{
	TRY(hex_decode(view_string(value), search->digests[slot].sha256, SHA256_SIZE, err));
	*place = &search->digests[slot];
	return 0;
}

static int set_text(
	struct search *search, size_t slot, const char *value, const char **place, struct err *err)
{
	TRY(str_format(search->values[slot], QUERY_VALUE_MAX, err, "%s", value));
	*place = search->values[slot];
	return 0;
}

static int set_verdict(struct search *search, const char *value, struct err *err)
{
	for (int i = 0; i < STORE_VERDICT_COUNT; i++)
		if (str_equal(value, store_verdict_name((enum store_verdict)i))) {
			search->verdict = (enum store_verdict)i;
			search->filter.verdict = &search->verdict;
			return 0;
		}
	return err_set(err, E_INVALID, "expected hardware, simulated or failed");
}

static int set_limit(struct search *search, const char *value, struct err *err)
{
	uint64_t limit;
	TRY(str_parse_u64(value, 1, STORE_PAGE_MAX, &limit, err));
	search->filter.limit = (size_t)limit;
	return 0;
}

static int set_filter(struct search *search, const char *name, const char *value, struct err *err)
{
	struct store_filter *filter = &search->filter;
	if (str_equal(name, "dataset"))
		return set_digest(search, 0, value, &filter->dataset, err);
	if (str_equal(name, "sandbox"))
		return set_digest(search, 1, value, &filter->sandbox, err);
	if (str_equal(name, "result"))
		return set_digest(search, 2, value, &filter->result, err);
	if (str_equal(name, "since"))
		return time_parse(value, &filter->from_ms, err);
	if (str_equal(name, "until"))
		return time_parse(value, &filter->to_ms, err);
	if (str_equal(name, "status"))
		return set_text(search, 0, value, &filter->status, err);
	if (str_equal(name, "tool"))
		return set_text(search, 1, value, &filter->tool, err);
	if (str_equal(name, "cursor"))
		return set_text(search, 3, value, &filter->cursor, err);
	if (str_equal(name, "verdict"))
		return set_verdict(search, value, err);
	if (str_equal(name, "limit"))
		return set_limit(search, value, err);
	return err_set(err, E_INVALID,
		"expected dataset, sandbox, result, since, until, status, verdict, tool, limit or "
		"cursor");
}

/* name=value&...; values are percent-decoded in place. */
static int percent_decode(struct view text, char *ret_text, size_t size, struct err *err)
{
	size_t out = 0;
	for (size_t i = 0; i < text.size; i++) {
		uint8_t byte = text.data[i];
		if (byte == '%') {
			if (i + 2 >= text.size)
				return err_set(err, E_INVALID, "a broken percent escape");
			TRY(hex_decode(view_of(text.data + i + 1, 2), &byte, 1, err));
			i += 2;
		}
		if (byte == 0 || out + 1 >= size)
			return err_set(err, E_INVALID, "a value longer than %zu bytes", size - 1);
		ret_text[out++] = (char)byte;
	}
	ret_text[out] = 0;
	return 0;
}

static int parse_pair(struct search *search, struct view pair, struct err *err)
{
	char name[32], value[QUERY_VALUE_MAX], quoted[STR_QUOTE_MAX];
	const uint8_t *equals = memchr(pair.data, '=', pair.size);
	size_t split = equals ? (size_t)(equals - pair.data) : pair.size;
	TRY(percent_decode(view_of(pair.data, split), name, sizeof(name), err));
	TRY(percent_decode(
		view_of(pair.data + split + (equals != NULL), pair.size - split - (equals != NULL)),
		value, sizeof(value), err));
	int status = set_filter(search, name, value, err);
	if (status < 0)
		err_wrap(err, "query parameter '%s'", str_quote(view_string(name), quoted));
	return status;
}

static int parse_query(struct view query, struct search *search, struct err *err)
{
	while (query.size) {
		const uint8_t *amp = memchr(query.data, '&', query.size);
		size_t size = amp ? (size_t)(amp - query.data) : query.size;
		if (size)
			TRY(parse_pair(search, view_of(query.data, size), err));
		size += amp != NULL;
		query = view_of(query.data + size, query.size - size);
	}
	return 0;
}

static struct json *row_json(const struct store_certificate *row)
{
	struct json *object = json_new_object();
	struct json *datasets = json_new_array();
	struct json *tools = json_new_array();
	char time[TIME_TEXT_SIZE], hex[CERT_DIGEST_TEXT];
	time_format(row->created_ms, time);
	for (size_t i = 0; i < row->dataset_count; i++)
		json_append(datasets,
			json_new_string(view_string(
				hex_encode(view_of(row->datasets[i].sha256, SHA256_SIZE), hex))));
	for (size_t i = 0; i < row->tool_count; i++)
		json_append(tools, json_new_string(view_string(row->tools[i])));
	json_set_string(object, "certificate_id", row->id);
	json_set_string(object, "job_id", row->job_id);
	json_set_string(object, "principal", row->principal);
	json_set_string(object, "status", row->status);
	json_set_string(object, "verdict", store_verdict_name(row->verdict));
	json_set_string(object, "created", time);
	json_set_hex(object, "sandbox", view_of(row->sandbox.sha256, SHA256_SIZE));
	json_set_hex(object, "result", view_of(row->result.sha256, SHA256_SIZE));
	json_set_hex(object, "inputs", view_of(row->inputs.sha256, SHA256_SIZE));
	json_set_hex(object, "claim", view_of(row->claim.sha256, SHA256_SIZE));
	json_set(object, "datasets", datasets);
	json_set(object, "tools", tools);
	return object;
}

void api_certificates(struct cced *cced, struct http_request *request)
{
	struct err err;
	struct search search = { .filter = { .limit = SEARCH_LIMIT_DEFAULT } };
	AUTO(store_page_done) struct store_page page = {};
	int status = parse_query(http_query(request), &search, &err);
	if (status == 0)
		status = store_certificate_search(cced->store, &search.filter, &page, &err);
	if (status < 0) {
		api_respond_err(request, &err);
		return;
	}
	auto_json *body = json_new_object();
	struct json *rows = json_new_array();
	json_set(body, "certificates", rows);
	for (size_t i = 0; i < page.count; i++)
		json_append(rows, row_json(&page.certificates[i]));
	json_set_string(body, "next", page.next[0] ? page.next : NULL);
	api_respond_json(request, 200, body);
}
