/*
 * The answer: the JSON for the caller (result, trace, proof), and the index row by which the store
 * finds the certificate. The former travels as a memory file.
 */
#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "kit/base/time.h"
#include "kit/codec/base64.h"
#include "programs/tee-agent/agent.h"

enum { FIRST_PRINTABLE = 0x20, ESCAPE_BYTES = 5 /* more: \u001b */, ESCAPES_FREE = 64 << 10 };

/* As UTF-8 it would be longer than as base64, and long. */
static bool is_mostly_escapes(struct view bytes)
{
	size_t more = 0;
	for (size_t i = 0; i < bytes.size; i++)
		if (bytes.data[i] < FIRST_PRINTABLE && !strchr("\t\n\r", bytes.data[i]))
			more += ESCAPE_BYTES;
	return more > bytes.size / 3 + ESCAPES_FREE;
}

int reply_set_bytes(struct json *object, const char *name, const char *encoding_name,
	struct view bytes, struct err *err)
{
	auto_done(buf) text = {};
	bool is_text = json_is_text(bytes) && !is_mostly_escapes(bytes);
	json_set_string(object, encoding_name, is_text ? "utf-8" : "base64");
	if (!is_text)
		TRY(base64_encode(BASE64_STANDARD, bytes, &text, err));
	json_set(object, name, json_new_string(is_text ? bytes : buf_view(&text)));
	return 0;
}

static int result_json(struct job *job, struct json *reply, struct err *err)
{
	struct json *result = json_new_object();
	struct view output = buf_view(&job->output.bytes);
	json_set(reply, "result", result);
	TRY(reply_set_bytes(result, "output", "encoding", output, err));
	json_set_integer(result, "output_bytes", (int64_t)output.size);
	TRY(reply_set_bytes(result, "stderr", "stderr_encoding", buf_view(&job->error.bytes), err));
	json_set(result, "exit_code",
		job->has_run && job->result.cause == SANDBOX_CAUSE_EXITED
			? json_new_integer(job->result.exit_code)
			: json_new_null());
	json_set(result, "signal",
		job->has_run && job->result.signal ? json_new_integer(job->result.signal)
						   : json_new_null());
	json_set_boolean(
		result, "truncated", job->has_run && job->result.cause == SANDBOX_CAUSE_OUTPUT);
	return 0;
}

static void statistics_json(const struct job *job, struct json *reply)
{
	const struct sandbox_statistics *numbers = &job->result.statistics;
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{ "wall_us", numbers->wall_usec },
		{ "cpu_user_us", numbers->cpu_user_usec },
		{ "cpu_system_us", numbers->cpu_system_usec },
		{ "memory_peak_bytes", numbers->memory_peak_bytes },
		{ "disk_bytes", numbers->disk_bytes },
		{ "faults_minor", numbers->faults_minor },
		{ "faults_major", numbers->faults_major },
		{ "switches_voluntary", numbers->switches_voluntary },
		{ "switches_involuntary", numbers->switches_involuntary },
		{ "processes_peak", numbers->processes_peak },
		{ "processes_total", numbers->processes_total },
		{ "stdin_bytes", numbers->stdin_bytes },
		{ "stdout_bytes", numbers->stdout_bytes },
		{ "stderr_bytes", numbers->stderr_bytes },
	};
	struct json *statistics = json_new_object();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		json_set_integer(statistics, rows[i].name, (int64_t)rows[i].value);
	json_set(reply, "statistics", statistics);
}

static void trace_json(struct job *job, struct json *reply)
{
	struct json *trace = json_new_object();
	json_set(trace, "summary", json_share(json_get(job->run, "trace")));
	json_set_hex(trace, "seed", view_of(job->trace.seed, TRACE_SEED_SIZE));
	json_set(trace, "events", json_share(job->trace.shown));
	json_set(reply, "execution_trace", trace);
}

static void set_digests(
	const struct digests *digests, const char *const names[static 4], struct json *object)
{
	const uint8_t *const values[] = { digests->dataset, digests->sandbox, digests->inputs,
		digests->claim };
	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		json_set_hex(object, names[i], view_of(values[i], SHA256_SIZE));
}

static void proof_json(const struct job *job, struct json *reply)
{
	static const char *const names[] = { "dataset_hash", "sandbox_hash", "inputs_digest",
		"claim_digest" };
	struct json *proof = json_new_object();
	json_set(proof, "tee_attestation", json_share(job->evidence));
	set_digests(&job->digests, names, proof);
	json_set(reply, "proof", proof);
}

int reply_make(struct job *job, struct json *reply, struct err *err)
{
	auto_done(buf) url = {};
	struct json *lifecycle = json_new_object();
	TRY(buf_append_format(&url, err, "%s%s", job->certificate_base, job->certificate_id));
	TRY(result_json(job, reply, err));
	TRY(results_reply_json(job, reply, err));
	json_set_string(reply, "job_id", job->id);
	json_set_string(reply, "certificate_id", job->certificate_id);
	json_set_string(reply, "certificate_url", buf_string(&url));
	json_set_string(reply, "status", job->status);
	json_set_string(reply, "status_detail",
		job->refusal.category < 0 ? job->refusal.message
		: job->has_run            ? job->result.text
					  : NULL);
	trace_json(job, reply);
	proof_json(job, reply);
	statistics_json(job, reply);
	json_set_integer(
		lifecycle, "execution_time_ms", (int64_t)(job->result.statistics.wall_usec / 1000));
	json_set_boolean(lifecycle, "dataset_deleted", job->is_dataset_wiped);
	json_set_boolean(lifecycle, "sandbox_destroyed", job->is_sandbox_gone);
	json_set(reply, "lifecycle", lifecycle);
	return 0;
}

static struct json *dataset_hashes(const struct job *job)
{
	struct json *rows = json_new_array();
	const struct json *datasets = json_get(job->inputs, "dataset");
	for (size_t i = 0; datasets && i < json_size(datasets); i++)
		json_append(rows,
			json_share(json_get(json_get(json_at(datasets, i), "digest"), "sha256")));
	return rows;
}

static struct json *tool_names(const struct job *job)
{
	struct json *rows = json_new_array();
	const struct json *tools = json_get(json_get(job->inputs, "sandbox"), "tools");
	for (size_t i = 0; tools && i < json_size(tools); i++)
		json_append(rows, json_share(json_get(json_at(tools, i), "name")));
	return rows;
}

static struct json *index_json(const struct job *job)
{
	static const char *const names[] = { "dataset", "sandbox", "inputs", "claim" };
	struct json *index = json_new_object();
	json_set_string(index, "job_id", job->id);
	json_set_string(index, "certificate_id", job->certificate_id);
	json_set_string(index, "status", job->status);
	json_set(index, "datasets", dataset_hashes(job));
	json_set(index, "tools", tool_names(job));
	set_digests(&job->digests, names, index);
	json_set(index, "result", json_share(json_get(json_get(job->outcome, "result"), "sha256")));
	json_set_integer(index, "created_ms", (int64_t)time_wall_ms());
	/* What has begun and broke off may not be tried again as if it had not. */
	int category = str_starts(job->status, "failed:") ? E_INTERNAL : job->refusal.category;
	json_set_string(index, "error_category", category < 0 ? err_category_name(category) : NULL);
	json_set_integer(index, "http_status", category < 0 ? err_http_status(category) : 200);
	json_set_string(
		index, "error_message", job->refusal.category < 0 ? job->refusal.message : NULL);
	return index;
}

static void wipe_streams(struct job *job)
{
	struct err err;
	int *const fds[] = { &job->output_fd, &job->error_fd };
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (*fds[i] >= 0 && fd_wipe(*fds[i], &err) < 0)
			log_event(job->log, LOG_ERROR, "wipe", "error", err.message, NULL);
		fd_close(fds[i]);
	}
	buf_done(&job->output.bytes);
	buf_done(&job->error.bytes);
}

int reply_done(struct job *job, struct err *err)
{
	auto_json *reply = json_new_object();
	auto_json *index = NULL;
	auto_done(buf) text = {};
	auto_close reply_fd = -1;
	TRY(reply_make(job, reply, err));
	index = index_json(job);
	agent_set_signature(index, &job->signature);
	TRY(json_encode(reply, &text, err));
	TRY(fd_memfd_of("reply", buf_view(&text), &reply_fd, err));
	wipe_streams(job);
	return job_send(job, AGENT_DONE, index, &reply_fd, 1, err);
}
