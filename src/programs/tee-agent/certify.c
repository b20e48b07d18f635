/*
 * What happened, stated and signed. Outcome and run are built, the evidence is asked for with the
 * report data that binds claim, run and our key, and the statement is signed with that key.
 */
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "kit/base/time.h"
#include "kit/codec/base64.h"
#include "kit/crypto/dsse.h"
#include "programs/tee-agent/agent.h"

/* Cause of the sandbox to outcome.status (DESIGN section 7, research note section 1.3). */
static int set_status(struct job *job, struct err *err)
{
	const struct sandbox_result *result = &job->result;
	if (job->was_cancelled && !job->has_run)
		return str_format(job->status, sizeof(job->status), err, "cancelled");
	if (job->refusal.category < 0 || !job->has_run)
		return 0; /* refused:... or failed:... stands already */
	if (result->cause == SANDBOX_CAUSE_EXITED)
		return str_format(job->status, sizeof(job->status), err, "%s",
			result->exit_code == 0 ? "completed" : "nonzero");
	if (result->cause == SANDBOX_CAUSE_CANCELLED)
		return str_format(job->status, sizeof(job->status), err, "cancelled");
	return str_format(job->status, sizeof(job->status), err, "killed:%s",
		sandbox_cause_name(result->cause));
}

static int read_stream(int fd, struct stream *stream, struct err *err)
{
	if (fd >= 0 && lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(err, E_INTERNAL, "lseek");
	if (fd >= 0)
		TRY(fd_read_all(
			fd, ((size_t)EXECUTE_OUTPUT_KB_MAX << 10) + 1, &stream->bytes, err));
	hash_bytes(HASH_SHA256, buf_view(&stream->bytes), stream->sha256);
	return 0;
}

int certify_streams(struct job *job, struct err *err)
{
	TRY(read_stream(job->output_fd, &job->output, err));
	TRY(read_stream(job->error_fd, &job->error, err));
	job->has_streams = true;
	return 0;
}

int certify_inputs(struct job *job, struct err *err)
{
	auto_json *empty = json_new_object();
	const struct json *sandbox = json_get(job->inputs, "sandbox");
	TRY(cert_dataset_digest(job->inputs, job->digests.dataset, err));
	TRY(cert_digest_json(sandbox ? sandbox : empty, job->digests.sandbox, err));
	TRY(cert_digest_json(job->inputs, job->digests.inputs, err));
	job->has_digests = true;
	return 0;
}

static int make_outcome(struct job *job, struct err *err)
{
	struct cert_outcome outcome = {
		.status = job->status,
		.has_exit_code = job->has_run && job->result.cause == SANDBOX_CAUSE_EXITED,
		.exit_code = job->result.exit_code,
		.result_bytes = job->output.bytes.size,
	};
	auto_json *list = results_list_json(job);
	auto_json *files = NULL;
	memcpy(outcome.result_sha256, job->output.sha256, SHA256_SIZE);
	if (job->results.is_collected)
		TRY(cert_files_summary(list, &files, err));
	outcome.files = files;
	job->outcome = cert_outcome_json(&outcome);
	return 0;
}

static struct json *lifecycle_json(const struct job *job)
{
	struct json *rows = json_new_array();
	for (size_t i = 0; i < job->lifecycle_count; i++) {
		const struct lifecycle_row *entry = &job->lifecycle[i];
		char text[TIME_TEXT_SIZE];
		struct json *row = json_new_object();
		time_format(entry->wall_ms, text);
		json_set_integer(row, "seq", (int64_t)i);
		json_set_string(row, "event", entry->event);
		json_set_integer(row, "t_ms", entry->t_ms);
		json_set_string(row, "time", text);
		json_append(rows, row);
	}
	return rows;
}

/* Of a run whose end was not reported, nothing is known. */
static struct json *usage_json(const struct job *job)
{
	if (!job->has_run)
		return json_new_null();
	const struct sandbox_statistics *numbers = &job->result.statistics;
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{ "wallMs", numbers->wall_usec / 1000 },
		{ "cpuUserMs", numbers->cpu_user_usec / 1000 },
		{ "cpuSystemMs", numbers->cpu_system_usec / 1000 },
		{ "memoryPeakBytes", numbers->memory_peak_bytes },
		{ "diskBytes", numbers->disk_bytes },
		{ "processesPeak", numbers->processes_peak },
		{ "processesTotal", numbers->processes_total },
		{ "stdinBytes", numbers->stdin_bytes },
		{ "stdoutBytes", numbers->stdout_bytes },
		{ "stderrBytes", numbers->stderr_bytes },
	};
	struct json *usage = json_new_object();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		json_set_integer(usage, rows[i].name, (int64_t)rows[i].value);
	return usage;
}

static struct json *sandbox_run_json(const struct job *job)
{
	if (!job->has_run)
		return json_new_null();
	struct json *sandbox = json_new_object();
	struct json *enforced = json_new_array();
	struct json *lacking = json_new_array();
	for (int i = 0; i < SANDBOX_LAYER_COUNT; i++)
		json_append(job->result.enforced & SANDBOX_LAYER_BIT(i) ? enforced : lacking,
			json_new_string(view_string(sandbox_layer_name((enum sandbox_layer)i))));
	json_set_string(sandbox, "tier", sandbox_tier_name(job->result.tier));
	json_set_string(sandbox, "backend", sandbox_backend_name(job->result.backend));
	json_set(sandbox, "enforced", enforced);
	json_set(sandbox, "notEnforced", lacking);
	return sandbox;
}

static struct json *disclosures_json(const struct job *job)
{
	if (job->is_lost)
		return json_new_null();
	struct json *rows = json_new_array();
	for (size_t i = 0; i < job->disclosure_count; i++) {
		struct json *row = json_new_object();
		json_set_string(row, "to", job->disclosures[i].to);
		json_set_string(row, "class", "dataset-url");
		json_set_integer(row, "bytes", (int64_t)job->disclosures[i].bytes);
		json_append(rows, row);
	}
	return rows;
}

static struct json *strings_json(const char *const *texts, size_t count)
{
	struct json *rows = json_new_array();
	for (size_t i = 0; i < count; i++)
		json_append(rows, json_new_string(view_string(texts[i])));
	return rows;
}

static struct json *deletion_json(const struct job *job)
{
	enum { METHODS_OF_DATA = 2 }; /* the others are about the sandbox */
	static const char *const methods[] = { "dataset and script files overwritten with zeros",
		"request memory overwritten with zeros", "sandbox processes killed and reaped",
		"tmpfs of the sandbox and the computation unmounted" };
	static const char *const limits[] = { "memory of killed processes is returned to the "
					      "kernel unzeroed unless init_on_free=1",
		"kernel buffers, CPU caches and timing are not covered",
		"the returned result and copies held by the caller are not covered",
		"simulated platform: the host can read all memory while the job runs" };
	bool is_simulated = job->options->platform == EVIDENCE_SIMULATED; /* the last row */
	size_t method_count = job->is_sandbox_gone ? ARRAY_SIZE(methods) : METHODS_OF_DATA;
	struct json *deletion = json_new_object();
	json_set(deletion, "methods",
		strings_json(methods, job->is_dataset_wiped ? method_count : 0));
	json_set(deletion, "verifiedBy", json_new_array());
	json_set(deletion, "limits", strings_json(limits, ARRAY_SIZE(limits) - !is_simulated));
	json_set_integer(deletion, "filesWiped", (int64_t)job->wiped.files);
	json_set_integer(deletion, "bytesWiped", (int64_t)job->wiped.bytes);
	json_set_boolean(deletion, "swapExcluded", job->vault.is_noswap);
	return deletion;
}

static struct json *stream_json(const struct stream *stream)
{
	struct json *object = json_new_object();
	json_set_hex(object, "sha256", view_of(stream->sha256, sizeof(stream->sha256)));
	json_set_integer(object, "bytes", (int64_t)stream->bytes.size);
	return object;
}

static struct json *trace_json(const struct job *job)
{
	bool has_files = job->request.traces_files;
	if (job->is_lost)
		return trace_summary(&job->trace, NULL, NULL, false);
	return trace_summary(&job->trace, has_files ? "files" : "process",
		has_files ? "ptrace-exec+fanotify" : "ptrace-exec",
		job->has_run ? job->result.trace_complete : !job->has_started);
}

static void make_run(struct job *job)
{
	struct json *run = job->run = json_new_object();
	struct json *principals = json_new_object();
	struct json *reproduction = json_new_object();
	json_set_string(principals, "consumer", job->principal);
	json_set_integer(reproduction, "runs", 1);
	json_set(reproduction, "equal", json_new_null());
	json_set_string(run, "issuer", "cupel");
	json_set_string(run, "jobId", job->id);
	json_set(run, "principals", principals);
	json_set(run, "lifecycle", lifecycle_json(job));
	json_set(run, "usage", usage_json(job));
	json_set(run, "sandbox", sandbox_run_json(job));
	json_set(run, "trace", trace_json(job));
	json_set(run, "llmUsage", json_new_null());
	json_set(run, "disclosures", disclosures_json(job));
	json_set(run, "deletion", deletion_json(job));
	json_set(run, "reproduction", reproduction);
	json_set(run, "after", json_new_null());
	if (job->results.is_collected)
		json_set(run, "results", results_run_json(job));
	json_set_string(run, "refusal", job->refusal.category < 0 ? job->refusal.message : NULL);
	json_set(run, "stderr", job->is_lost ? json_new_null() : stream_json(&job->error));
}

static int set_base64(struct json *object, const char *name, struct view bytes, struct err *err)
{
	auto_done(buf) text = {};
	TRY(base64_encode(BASE64_STANDARD, bytes, &text, err));
	json_set(object, name, json_new_string(buf_view(&text)));
	return 0;
}

/* A certificate names what its quote is (spec/certificate.md, 3.4). */
static const struct {
	const char *mode, *format;
} quote_kinds[] = {
	[EVIDENCE_FORMAT_TDX] = { "tdx", "tdx-quote" },
	[EVIDENCE_FORMAT_SNP] = { "sev-snp", "snp-report" },
};

static int get_quote(struct job *job, struct buf *quote, struct err *err)
{
	const struct options *options = job->options;
	const struct evidence_source source = { .kind = options->platform,
		.path = *options->evidence_path ? options->evidence_path : NULL,
		.socket = -1 };
	const struct evidence_request request = { .report_data = view_of(job->report_data,
							  sizeof(job->report_data)) };
	TRY(evidence_get(&source, &request, quote, err));
	if (evidence_format_of(buf_view(quote)) == EVIDENCE_FORMAT_UNKNOWN)
		return err_set(err, E_UNSUPPORTED,
			"the platform's evidence is neither a TDX quote of version 4 or 5 nor an "
			"SEV-SNP report; certificates know no other kind");
	return 0;
}

static int tee_json(struct job *job, struct json *tee, struct err *err)
{
	auto_done(buf) quote = { .limit = EVIDENCE_MAX };
	bool is_simulated = job->options->platform == EVIDENCE_SIMULATED;
	TRY(get_quote(job, &quote, err));
	enum evidence_format format = evidence_format_of(buf_view(&quote));
	json_set_string(tee, "mode", is_simulated ? "simulated" : quote_kinds[format].mode);
	json_set_string(tee, "assurance", is_simulated ? "none" : "hardware");
	json_set_string(tee, "provider", evidence_kind_name(job->options->platform));
	json_set_string(tee, "format", quote_kinds[format].format);
	json_set(tee, "eventLogDigest", json_new_null());
	return set_base64(tee, "quote", buf_view(&quote), err);
}

static int make_evidence(struct job *job, struct err *err)
{
	struct digests *digests = &job->digests;
	struct json *tee = json_new_object();
	struct json *binding = json_new_object();
	job->evidence = json_new_object();
	json_set(job->evidence, "tee", tee);
	json_set(job->evidence, "binding", binding);
	TRY(cert_claim_digest(digests->inputs, job->outcome, digests->claim, err));
	TRY(cert_report_data(
		digests->claim, job->run, buf_view(&job->spki), job->report_data, err));
	TRY(tee_json(job, tee, err));
	json_set_string(binding, "domain", CERT_BINDING_DOMAIN);
	json_set_hex(binding, "reportData", view_of(job->report_data, sizeof(job->report_data)));
	return set_base64(binding, "spki", buf_view(&job->spki), err);
}

int certify_sign(struct job *job, struct err *err)
{
	auto_done(buf) pae = {};
	auto_done(buf) signature = {};
	struct dsse_signature *row = &job->signature;
	TRY(dsse_pae(CERT_PAYLOAD_TYPE, buf_view(&job->statement), &pae, err));
	TRY(sign_message(job->key, buf_view(&pae), &signature, err));
	dsse_keyid(buf_view(&job->spki), row->keyid);
	memcpy(row->bytes, signature.data, signature.size);
	row->size = signature.size;
	return 0;
}

int certify_state(struct job *job, struct err *err)
{
	if (!job->has_digests)
		TRY(certify_inputs(job, err));
	if (!job->has_streams)
		TRY(certify_streams(job, err));
	TRY(set_status(job, err));
	TRY(make_outcome(job, err));
	make_run(job);
	return 0;
}

int certify_write(struct job *job, struct err *err)
{
	const struct json *mode = json_get(json_get(job->evidence, "tee"), "assurance");
	struct cert_parts parts = { job->inputs, job->outcome, job->run, job->evidence,
		str_equal(json_as_string(mode), "hardware") };
	TRY(cert_statement(&parts, &job->statement, err));
	cert_id(buf_view(&job->statement), job->certificate_id);
	return 0;
}

/* The control plane countersigns while we sign. */
static int send_statement(struct job *job, struct err *err)
{
	auto_close fd = -1;
	TRY(fd_memfd_of("statement", buf_view(&job->statement), &fd, err));
	return job_send(job, AGENT_STATEMENT, NULL, &fd, 1, err);
}

int certify(struct job *job, struct err *err)
{
	TRY(certify_state(job, err));
	TRY(make_evidence(job, err));
	TRY(certify_write(job, err));
	TRY(send_statement(job, err));
	return certify_sign(job, err);
}
