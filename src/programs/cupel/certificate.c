/* cupel certificate get|search: what the service keeps. */
#include <stdio.h>

#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "programs/cupel/cupel.h"

#define SERVICE_FLAGS(place)                                                                     \
	{ "server", "URL", FLAG_TEXT, &(place).server, "the service" },                          \
		{ "token-file", "FILE", FLAG_TEXT, &(place).token_file, "file with the token" }, \
		{ "ca-file", "FILE", FLAG_TEXT, &(place).ca_file,                                \
			"PEM of the root the service's TLS certificate ends in" }

int run_certificate_get(struct cupel *cupel, int argc, char **argv, struct err *err)
{
	struct service_flags service_flags = {};
	struct service service;
	const char *id, *output = NULL;
	char path[160];
	const struct flag flags[] = {
		SERVICE_FLAGS(service_flags),
		{ "output", "FILE", FLAG_TEXT, &output, "where it goes; default standard output" },
	};
	struct arguments arguments;
	struct http_call call = { .method = "GET" };
	AUTO(http_answer_done) struct http_answer answer = {};
	TRY(options_parse(cupel, argc, argv, flags, ARRAY_SIZE(flags), &arguments, err));
	if (cupel->is_help)
		return 0;
	TRY(options_one(cupel, &arguments, "one certificate id", &id, err));
	if (!cert_is_id(id))
		return usage_set(cupel, err,
			"expected an id like cert_ and 26 letters and digits, got '%.64s'", id);
	TRY(service_find(cupel, &service_flags, &service, err));
	TRY(str_format(path, sizeof(path), err, "/certificate/%s%s", id,
		cupel->is_json ? "" : "/envelope"));
	TRY(service_call(&service, &call, path, &answer, err));
	if (output)
		return fd_write_output(output, buf_view(&answer.body), err);
	return show_bytes(1, buf_view(&answer.body), err);
}

struct search {
	const char *dataset, *sandbox, *result, *since, *until, *status, *verdict, *tool, *cursor;
	uint64_t limit;
};

/* Percent-encoded where it is not plain (RFC 3986 unreserved). */
static int append_pair(struct buf *path, const char *name, const char *value, struct err *err)
{
	if (!value)
		return 0;
	TRY(buf_append_format(path, err, "&%s=", name));
	for (const char *at = value; *at; at++) {
		bool is_plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
				(*at >= '0' && *at <= '9') || strchr("-._~", *at);
		TRY(is_plain ? buf_append(path, view_of(at, 1), err)
			     : buf_append_format(path, err, "%%%02X", (unsigned)(uint8_t)*at));
	}
	return 0;
}

static int make_query(const struct search *search, struct buf *path, struct err *err)
{
	const struct {
		const char *name, *value;
	} rows[] = {
		{ "dataset", search->dataset },
		{ "sandbox", search->sandbox },
		{ "result", search->result },
		{ "since", search->since },
		{ "until", search->until },
		{ "status", search->status },
		{ "verdict", search->verdict },
		{ "tool", search->tool },
		{ "cursor", search->cursor },
	};
	TRY(buf_append_format(
		path, err, "/certificates?limit=%llu", (unsigned long long)search->limit));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		TRY(append_pair(path, rows[i].name, rows[i].value, err));
	return 0;
}

static void show_rows(const struct json *page)
{
	const struct json *rows = json_get(page, "certificates");
	const char *next = json_as_string(json_get(page, "next"));
	for (size_t i = 0; i < json_size(rows); i++) {
		static const char *const names[] = { "certificate_id", "created", "verdict",
			"status", "principal" };
		for (size_t j = 0; j < ARRAY_SIZE(names); j++) {
			const char *text = json_as_string(json_get(json_at(rows, i), names[j]));
			printf("%s%s", j ? "  " : "", text ? text : "-");
		}
		printf("\n");
	}
	if (json_size(rows) == 0)
		(void)fprintf(stderr, "no certificate fits\n");
	if (next)
		(void)fprintf(stderr, "more: --cursor %s\n", next);
}

int run_certificate_search(struct cupel *cupel, int argc, char **argv, struct err *err)
{
	struct service_flags service_flags = {};
	struct service service;
	struct search search = { .limit = 20 };
	const struct flag flags[] = {
		SERVICE_FLAGS(service_flags),
		{ "dataset", "SHA256", FLAG_TEXT, &search.dataset, "that read this dataset" },
		{ "sandbox", "SHA256", FLAG_TEXT, &search.sandbox, "that ran in this sandbox" },
		{ "result", "SHA256", FLAG_TEXT, &search.result, "that gave this result" },
		{ "since", "TIME", FLAG_TEXT, &search.since, "2026-11-20 or 2026-11-20T23:00:00Z" },
		{ "until", "TIME", FLAG_TEXT, &search.until, "the same" },
		{ "status", "TEXT", FLAG_TEXT, &search.status, "completed, nonzero, killed:..." },
		{ "verdict", "TEXT", FLAG_TEXT, &search.verdict, "hardware, simulated or failed" },
		{ "tool", "NAME", FLAG_TEXT, &search.tool, "that listed this tool" },
		{ "limit", "N", FLAG_NUMBER, &search.limit, "rows of a page (default: 20)", 1,
			100 },
		{ "cursor", "TEXT", FLAG_TEXT, &search.cursor, "the next page" },
	};
	struct arguments arguments;
	auto_json *page = NULL;
	auto_done(buf) path = {};
	TRY(options_parse(cupel, argc, argv, flags, ARRAY_SIZE(flags), &arguments, err));
	if (cupel->is_help)
		return 0;
	TRY(options_none(cupel, &arguments, err));
	TRY(service_find(cupel, &service_flags, &service, err));
	TRY(make_query(&search, &path, err));
	TRY(service_get_json(&service, buf_string(&path), &page, err));
	if (cupel->is_json)
		return show_json(page, err);
	show_rows(page);
	return 0;
}
