/*
 * The certificate for people: what was computed, on what, what is proven and what is not. Plain
 * HTML, no script; every value from the certificate is escaped.
 */
#include "kit/base/str.h"
#include "programs/cced/cced.h"

static const char head[] =
	"<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
	"<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
	"<title>Execution certificate</title><style>"
	":root{color-scheme:light dark}"
	"body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}"
	"h1{font-size:1.4rem;margin-bottom:.2rem}h2{font-size:1.1rem;margin-top:2rem}"
	"code{font:.85rem ui-monospace,monospace;overflow-wrap:anywhere}"
	"table{border-collapse:collapse;width:100%}"
	"th,td{text-align:left;padding:.35rem .6rem .35rem 0;vertical-align:top;"
	"border-bottom:1px solid #8886}"
	".verdict{border:2px solid;padding:.6rem 1rem;margin:1rem 0}"
	".r{font-weight:600;white-space:nowrap}"
	"</style></head><body><main>";

static int escape(struct buf *html, struct view text, struct err *err)
{
	for (size_t i = 0; i < text.size; i++) {
		uint8_t byte = text.data[i];
		const char *entity = byte == '<'   ? "&lt;"
				     : byte == '>' ? "&gt;"
				     : byte == '&' ? "&amp;"
				     : byte == '"' ? "&quot;"
						   : NULL;
		if (entity)
			TRY(buf_append_string(html, entity, err));
		else
			TRY(buf_append(html, view_of(&byte, 1), err));
	}
	return 0;
}

static int row(struct buf *html, const char *name, const struct json *value, struct err *err)
{
	TRY(buf_append_format(html, err, "<tr><th scope=\"row\">%s</th><td><code>", name));
	if (!value || json_kind(value) == JSON_KIND_NULL)
		TRY(buf_append_string(html, "none", err));
	else if (json_kind(value) == JSON_KIND_STRING)
		TRY(escape(html, json_as_view(value), err));
	else if (json_kind(value) == JSON_KIND_INTEGER)
		TRY(buf_append_format(html, err, "%lld", (long long)json_as_integer(value)));
	return buf_append_string(html, "</code></td></tr>", err);
}

static int verdict(struct buf *html, const struct cert_verification *verification, struct err *err)
{
	static const char *const words[] = {
		[CERT_VERDICT_FAILED] = "Failed: do not rely on this certificate.",
		[CERT_VERDICT_SIMULATED] = "Simulated: every check that could be made holds, but "
					   "the platform is simulated. "
					   "This proves nothing about hardware.",
		[CERT_VERDICT_HARDWARE] = "Hardware: the evidence ends at a hardware maker's root.",
	};
	TRY(buf_append_format(html, err, "<h1>Execution certificate</h1><p><code>%s</code></p>",
		verification->id));
	return buf_append_format(html, err, "<p class=\"verdict\"><strong>%s</strong></p>",
		words[verification->verdict]);
}

static int checks(struct buf *html, const struct cert_verification *verification, struct err *err)
{
	TRY(buf_append_string(html,
		"<h2>Checks</h2><table><thead><tr><th scope=\"col\">Check</th>"
		"<th scope=\"col\">Result</th><th scope=\"col\">Meaning</th></tr></thead><tbody>",
		err));
	for (int i = 0; i < CERT_CHECK_COUNT; i++) {
		const struct cert_finding *finding = &verification->checks[i];
		TRY(buf_append_format(html, err,
			"<tr><th scope=\"row\">%s</th><td class=\"r\">%s</td><td>%s<br><code>",
			cert_check_name((enum cert_check)i), cert_result_name(finding->result),
			cert_check_meaning((enum cert_check)i)));
		TRY(escape(html, view_string(finding->detail), err));
		TRY(buf_append_string(html, "</code></td></tr>", err));
	}
	return buf_append_string(html, "</tbody></table>", err);
}

static int outcome(struct buf *html, const struct json *predicate, struct err *err)
{
	const struct json *outcome = json_get(predicate, "outcome"),
			  *run = json_get(predicate, "run");
	const struct json *trace = json_get(run, "trace"), *result = json_get(outcome, "result");
	TRY(buf_append_string(html, "<h2>Outcome</h2><table><tbody>", err));
	TRY(row(html, "Status", json_get(outcome, "status"), err));
	TRY(row(html, "Exit code", json_get(outcome, "exitCode"), err));
	TRY(row(html, "Result SHA-256", json_get(result, "sha256"), err));
	TRY(row(html, "Result bytes", json_get(result, "bytes"), err));
	TRY(row(html, "Job", json_get(run, "jobId"), err));
	TRY(row(html, "Trace root", json_get(trace, "root"), err));
	TRY(row(html, "Trace events", json_get(trace, "size"), err));
	return buf_append_string(html, "</tbody></table>", err);
}

static int inputs(struct buf *html, const struct json *predicate, struct err *err)
{
	const struct json *inputs = json_get(predicate, "inputs");
	const struct json *datasets = json_get(inputs, "dataset");
	const struct json *sandbox = json_get(inputs, "sandbox");
	const struct json *scripts = json_get(sandbox, "scripts"),
			  *tools = json_get(sandbox, "tools");
	TRY(buf_append_string(html, "<h2>Inputs</h2><table><tbody>", err));
	TRY(row(html, "Sandbox image", json_get(sandbox, "rootfs"), err));
	for (size_t i = 0; datasets && i < json_size(datasets); i++) {
		TRY(row(html, "Dataset", json_get(json_at(datasets, i), "name"), err));
		TRY(row(html, "SHA-256",
			json_get(json_get(json_at(datasets, i), "digest"), "sha256"), err));
	}
	for (size_t i = 0; scripts && i < json_size(scripts); i++) {
		TRY(row(html, "Script", json_get(json_at(scripts, i), "path"), err));
		TRY(row(html, "SHA-256", json_get(json_at(scripts, i), "sha256"), err));
	}
	for (size_t i = 0; tools && i < json_size(tools); i++)
		TRY(row(html, "Tool", json_get(json_at(tools, i), "name"), err));
	return buf_append_string(html, "</tbody></table>", err);
}

static int deletion(struct buf *html, const struct json *predicate, struct err *err)
{
	const struct json *deletion = json_get(json_get(predicate, "run"), "deletion");
	const struct json *methods = json_get(deletion, "methods"),
			  *limits = json_get(deletion, "limits");
	TRY(buf_append_string(html, "<h2>Deletion</h2><table><tbody>", err));
	for (size_t i = 0; methods && i < json_size(methods); i++)
		TRY(row(html, "Done", json_at(methods, i), err));
	for (size_t i = 0; limits && i < json_size(limits); i++)
		TRY(row(html, "Not claimed", json_at(limits, i), err));
	return buf_append_string(html, "</tbody></table>", err);
}

int page_certificate(const struct json *statement, const struct cert_verification *verification,
	struct buf *ret_html, struct err *err)
{
	const struct json *predicate = json_get(statement, "predicate");
	TRY(buf_append_string(ret_html, head, err));
	TRY(verdict(ret_html, verification, err));
	TRY(checks(ret_html, verification, err));
	TRY(outcome(ret_html, predicate, err));
	TRY(inputs(ret_html, predicate, err));
	TRY(deletion(ret_html, predicate, err));
	return buf_append_format(ret_html, err,
		"<p>Check it yourself: <code>cupel verify certificate.json</code>; the signed "
		"bytes are at "
		"<a href=\"/certificate/%s/envelope\">envelope</a>.</p></main></body></html>",
		verification->id);
}
