/*
 * Files that the program left in /work/results, when the request says "collect". They are taken
 * once everything in the sandbox is dead, into memory of this process, within the request's limit.
 * The caller gets them with names and what was left behind; the certificate, which is public, gets
 * a digest and numbers.
 */
#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "programs/tee-agent/agent.h"

enum {
	RESULTS_FILES_MAX = 1024,
	RESULTS_ENTRIES_MAX = 16384, /* a sandbox has 8192 inodes */
	RESULTS_DEPTH_MAX = 32,
	RESULTS_SKIPS_MAX = 256,
	KB = 1024,
};

static int take_bytes(void *context, struct view bytes, struct err *err)
{
	struct results *results = context;
	return buf_append(&results->bytes, bytes, err);
}

static uint64_t bytes_of_files(const struct results *results)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < results->report.file_count; i++)
		bytes += results->report.files[i].bytes;
	return bytes;
}

static int check_whole(const struct results *results, struct err *err)
{
	/* Nobody is left who could change a file while it is read. */
	if (results->bytes.size != bytes_of_files(results))
		return err_set(err, E_INTERNAL, "results changed although their writers are dead");
	return 0;
}

static int trace_results(struct job *job, struct err *err)
{
	struct json *row = results_run_json(job);
	return trace_append(&job->trace, "results", job_elapsed_us(job), row, err);
}

int results_collect(struct job *job, struct err *err)
{
	struct results *results = &job->results;
	const struct collect_sink sink = { .context = results, .bytes = take_bytes };
	const struct collect_limits limits = {
		.total_bytes = (uint64_t)job->request.limits.max_results_kb * KB,
		.files = RESULTS_FILES_MAX,
		.entries = RESULTS_ENTRIES_MAX,
		.depth = RESULTS_DEPTH_MAX,
		.name_bytes = COLLECT_NAME_MAX,
		.skips = RESULTS_SKIPS_MAX,
	};
	if (!job->request.wants_results)
		return 0;
	results->is_missing = job->results_fd < 0;
	if (!results->is_missing)
		TRY(collect_tree(job->results_fd, &limits, &sink, &results->report, err));
	fd_close(&job->results_fd); /* frees what the sandbox stored */
	TRY(check_whole(results, err));
	results->is_collected = true;
	return trace_results(job, err);
}

static struct json *file_json(const struct collect_file *file)
{
	struct json *row = json_new_object();
	json_set_string(row, "path", file->path);
	json_set_integer(row, "bytes", (int64_t)file->bytes);
	json_set_hex(row, "sha256", view_of(file->sha256, sizeof(file->sha256)));
	return row;
}

struct json *results_list_json(const struct job *job)
{
	struct json *rows = json_new_array();
	for (size_t i = 0; i < job->results.report.file_count; i++)
		json_append(rows, file_json(&job->results.report.files[i]));
	return rows;
}

struct json *results_run_json(const struct job *job)
{
	const struct collect_report *report = &job->results.report;
	struct json *object = json_new_object();
	struct json *skipped = json_new_object();
	for (int i = 0; i < COLLECT_WHY_COUNT; i++)
		if (report->why_counts[i])
			json_set_integer(skipped, collect_why_name((enum collect_why)i),
				(int64_t)report->why_counts[i]);
	json_set_integer(object, "files", (int64_t)report->file_count);
	json_set_integer(object, "bytes", (int64_t)report->bytes);
	json_set(object, "skipped", skipped);
	json_set_boolean(object, "truncated", report->is_truncated);
	json_set_boolean(object, "missing", job->results.is_missing);
	return object;
}

static struct json *skips_json(const struct collect_report *report)
{
	struct json *rows = json_new_array();
	for (size_t i = 0; i < report->skip_count; i++) {
		struct json *row = json_new_object();
		json_set_string(row, "path", report->skips[i].path);
		json_set_string(row, "why", collect_why_name(report->skips[i].why));
		json_append(rows, row);
	}
	return rows;
}

int results_reply_json(struct job *job, struct json *reply, struct err *err)
{
	struct results *results = &job->results;
	struct reader reader = reader_of(buf_view(&results->bytes));
	struct json *rows = json_new_array();
	if (!results->is_collected) {
		json_free(rows);
		return 0;
	}
	json_set(reply, "files", rows);
	json_set(reply, "files_skipped", skips_json(&results->report));
	json_set_boolean(reply, "files_truncated", results->report.is_truncated);
	for (size_t i = 0; i < results->report.file_count; i++) {
		struct json *row = file_json(&results->report.files[i]);
		json_append(rows, row);
		TRY(reply_set_bytes(row, "content", "encoding",
			reader_take(&reader, results->report.files[i].bytes), err));
	}
	buf_done(&results->bytes);
	return 0;
}
