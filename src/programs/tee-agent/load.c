/*
 * From the request's bytes to files in the vault. Data is written and hashed in one pass (SHA-256
 * for the certificate, SHA3-256 for manifests in Cocos' manner); the request's own memory is wiped
 * as soon as the last dataset is out of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "kit/codec/base64.h"
#include "kit/codec/multipart.h"
#include "kit/proc/spawn.h"
#include "programs/tee-agent/agent.h"

enum {
	CHUNK_BYTES = 48 * 1024, /* a multiple of 3 and of 4: base64 decodes piecewise */
	FETCH_TIMEOUT_MS = 30000,
	FETCH_CONNECT_MS = 5000,
	FETCH_WORDS_MAX = 4096,
};

struct sink {
	int fd;
	struct hash_stream *sha256;
	struct hash_stream *sha3_256;
	uint64_t size_bytes;
	uint64_t limit_bytes; /* what is left of the job's dataset limit */
};

static void sink_done(struct sink *sink)
{
	fd_close(&sink->fd);
	hash_stream_free(sink->sha256);
	hash_stream_free(sink->sha3_256);
}

static int sink_write(struct sink *sink, struct view bytes, struct err *err)
{
	sink->size_bytes += bytes.size;
	if (sink->size_bytes > sink->limit_bytes)
		return err_set(err, E_LIMIT,
			"datasets are larger than the limit by more than %llu bytes",
			(unsigned long long)(sink->size_bytes - sink->limit_bytes - 1));
	hash_stream_update(sink->sha256, bytes);
	hash_stream_update(sink->sha3_256, bytes);
	return fd_write_all(sink->fd, bytes, err);
}

static int write_base64(struct sink *sink, struct view text, struct err *err)
{
	size_t at = 0;
	while (at < text.size) {
		auto_done(buf) bytes = {};
		size_t size = MIN(text.size - at, (size_t)CHUNK_BYTES);
		if (base64_decode(BASE64_STANDARD, view_of(text.data + at, size), &bytes, err) <
			0) {
			err_wrap(err, "dataset, base64 block at character %zu", at);
			return err->category == E_LIMIT ? E_LIMIT : E_INVALID;
		}
		at += size;
		/* padding is only allowed in the last block */
		if (at < text.size && bytes.size != CHUNK_BYTES / 4 * 3)
			return err_set(err, E_INVALID, "dataset: base64 padding before the end");
		TRY(sink_write(sink, buf_view(&bytes), err));
	}
	return 0;
}

static int write_value(struct sink *sink, const struct json *value, struct err *err)
{
	auto_done(buf) text = {};
	TRY(json_encode_plain(value, &text, err));
	return sink_write(sink, buf_view(&text), err);
}

/* A line of the fetcher: what it sent, or why it failed (see tee-fetch). */
static int take_line(struct job *job, struct view text, int *ret_failure, struct err *err)
{
	auto_json *line = NULL;
	struct err ignored;
	if (json_parse(text, FETCH_WORDS_MAX, &line, &ignored) < 0)
		return err_set(err, E_UNAVAILABLE, "dataset.url: the fetcher is not understood");
	const char *to = json_as_string(json_get(line, "to"));
	const char *category = json_as_string(json_get(line, "category"));
	const char *message = json_as_string(json_get(line, "message"));
	if (to && job->disclosure_count < ARRAY_SIZE(job->disclosures)) {
		struct disclosure *row = &job->disclosures[job->disclosure_count++];
		row->bytes = (uint64_t)json_as_integer(json_get(line, "bytes"));
		return str_format(row->to, sizeof(row->to), err, "%s", to);
	}
	for (int i = E_INVALID; category && i >= E_UNSUPPORTED; i--)
		if (str_equal(category, err_category_name(i)))
			*ret_failure = err_set(err, i, "dataset.url: %.400s",
				message ? message : "no reason given");
	return 0;
}

static int take_words(struct job *job, int words_fd, int code, struct err *err)
{
	auto_done(buf) words = {};
	int failure = 0;
	if (lseek(words_fd, 0, SEEK_SET) < 0)
		return err_sys(err, E_INTERNAL, "lseek");
	TRY(fd_read_all(words_fd, FETCH_WORDS_MAX, &words, err));
	struct view rest = buf_view(&words);
	while (rest.size) {
		const uint8_t *end = memchr(rest.data, '\n', rest.size);
		size_t size = end ? (size_t)(end - rest.data) : rest.size;
		TRY(take_line(job, view_of(rest.data, size), &failure, err));
		size += end != NULL;
		rest = view_of(rest.data + size, rest.size - size);
	}
	if (code > PROC_SIGNALLED && failure == 0)
		failure = err_set(err, E_UNAVAILABLE,
			"dataset.url: the fetcher was ended by signal %d", code - PROC_SIGNALLED);
	else if (code != 0 && failure == 0)
		failure = err_set(
			err, E_UNAVAILABLE, "dataset.url: the fetcher ended with %d", code);
	return failure;
}

/* Wait until the fetcher has something to say; a cancel from the control plane comes first. */
static int wait_for_fetcher(struct job *job, int fd, struct err *err)
{
	struct pollfd fds[] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = job->socket, .events = POLLIN },
	};
	do {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return err_sys(err, E_INTERNAL, "poll");
		if (fds[1].revents)
			TRY(job_take_cancel(job, err));
		if (job->was_cancelled)
			return err_set(err, E_CONFLICT, "cancelled while its dataset was fetched");
	} while (!fds[0].revents);
	return 0;
}

static int copy_stream(struct job *job, int fd, struct sink *sink, struct err *err)
{
	auto_done(buf) chunk = {};
	TRY(buf_reserve(&chunk, CHUNK_BYTES, err));
	for (;;) {
		TRY(wait_for_fetcher(job, fd, err));
		ssize_t got = read(fd, chunk.data, CHUNK_BYTES);
		if (got < 0)
			return err_sys(err, E_UNAVAILABLE, "reading from the fetcher");
		if (got == 0)
			return 0;
		TRY(sink_write(sink, view_of(chunk.data, (size_t)got), err));
	}
}

static int spawn_fetch(struct job *job, const struct sink *sink, const int *ends, pid_t *ret_pid,
	int *ret_pidfd, struct err *err)
{
	char max_bytes[48], timeout_ms[48], connect_ms[48];
	TRY(str_format(max_bytes, sizeof(max_bytes), err, "max_bytes=%llu",
		(unsigned long long)(sink->limit_bytes - sink->size_bytes)));
	TRY(str_format(timeout_ms, sizeof(timeout_ms), err, "timeout_ms=%d", FETCH_TIMEOUT_MS));
	TRY(str_format(
		connect_ms, sizeof(connect_ms), err, "connect_timeout_ms=%d", FETCH_CONNECT_MS));
	const char *argv[] = { "tee-fetch", max_bytes, timeout_ms, connect_ms,
		job->options->allows_loopback_fetch ? "--allow-loopback" : NULL, NULL };
	struct proc_spawn spawn = {
		.path = job->options->fetch_path,
		.argv = argv,
		.stdin_fd = ends[0],
		.stdout_fd = ends[1],
		.stderr_fd = ends[2],
	};
	return proc_spawn(&spawn, ret_pid, ret_pidfd, err);
}

static int write_url(struct job *job, struct sink *sink, struct view url, struct err *err)
{
	int input[2], output[2];
	auto_close words_fd = -1;
	auto_close pidfd = -1;
	pid_t pid;
	int code = 0;
	struct err said;
	TRY(fd_memfd("fetch-words", &words_fd, err));
	if (pipe2(input, O_CLOEXEC) < 0 || pipe2(output, O_CLOEXEC) < 0)
		return err_sys(err, E_UNAVAILABLE, "pipe");
	int status = spawn_fetch(
		job, sink, (int[]){ input[0], output[1], words_fd }, &pid, &pidfd, err);
	fd_close(&input[0]);
	fd_close(&output[1]);
	if (status == 0) {
		status = fd_write_all(input[1], url, err);
		fd_close(&input[1]);
		if (status == 0)
			status = copy_stream(job, output[0], sink, err);
		if (status < 0)
			(void)kill(pid, SIGKILL);
		struct err ignored;
		if (proc_wait(pid, &code, &ignored) < 0)
			code = 1;
	}
	fd_close(&input[1]);
	fd_close(&output[0]);
	int failure = take_words(job, words_fd, code, &said); /* also of one that we killed */
	if (status == 0 && failure < 0) {
		*err = said;
		return failure;
	}
	return status;
}

static int write_part(
	struct sink *sink, const struct multipart *parts, struct view name, struct err *err)
{
	char quoted[STR_QUOTE_MAX];
	for (size_t i = 0; parts && i < parts->count; i++)
		if (view_equal(parts->parts[i].name, name))
			return sink_write(sink, parts->parts[i].content, err);
	return err_set(err, E_INVALID, "dataset.part: the body has no part named '%s'",
		str_quote(name, quoted));
}

static int write_dataset(struct job *job, const struct execute_dataset *dataset,
	const struct multipart *parts, struct sink *sink, struct err *err)
{
	switch (dataset->source) {
	case EXECUTE_TEXT:
		return sink_write(sink, dataset->text, err);
	case EXECUTE_BASE64:
		return write_base64(sink, dataset->text, err);
	case EXECUTE_VALUE:
		return write_value(sink, dataset->value, err);
	case EXECUTE_URL:
		return write_url(job, sink, dataset->text, err);
	case EXECUTE_PART:
		break;
	}
	return write_part(sink, parts, dataset->text, err);
}

static int load_dataset(struct job *job, const struct execute_dataset *dataset,
	const struct multipart *parts, uint64_t *used_bytes, struct err *err)
{
	auto_done(sink) sink = {
		.fd = -1,
		.sha256 = hash_stream_new(HASH_SHA256),
		.sha3_256 = hash_stream_new(HASH_SHA3_256),
		.limit_bytes = job->options->dataset_bytes_max - *used_bytes,
	};
	struct cert_dataset *row = &job->datasets[job->dataset_count];
	TRY(vault_create(&job->vault, "data", dataset->name, &sink.fd, err));
	TRY(write_dataset(job, dataset, parts, &sink, err));
	row->name = dataset->name;
	row->format = dataset->format;
	row->size_bytes = sink.size_bytes;
	hash_stream_final(sink.sha256, row->sha256);
	hash_stream_final(sink.sha3_256, row->sha3_256);
	*used_bytes += sink.size_bytes;
	job->dataset_count++;
	if (dataset->has_sha256 && !view_equal(view_of(dataset->sha256, SHA256_SIZE),
					   view_of(row->sha256, SHA256_SIZE)))
		return err_set(err, E_INTEGRITY,
			"dataset %s: its SHA-256 is not the one the request states", dataset->name);
	return 0;
}

static int load_scripts(struct job *job, struct err *err)
{
	for (size_t i = 0; i < job->request.script_count; i++) {
		auto_close fd = -1;
		TRY(vault_create(&job->vault, "app", job->request.scripts[i].name, &fd, err));
		TRY(fd_write_all(fd, job->request.scripts[i].text, err));
	}
	return 0;
}

static int resolve_tools(struct job *job, struct err *err)
{
	for (size_t i = 0; i < job->request.tool_count; i++) {
		struct image_tool info;
		const char *name = job->request.tools[i];
		int status = image_tool_info(job->image, name, &info, err);
		if (status < 0) {
			err_wrap(err, "at sandbox.tools");
			return status;
		}
		job->tools[i] = (struct cert_tool){ name, info.version, info.sha256 };
	}
	return 0;
}

static int map_body(struct job *job, struct view *ret_body, struct err *err)
{
	struct stat status;
	if (fstat(job->body_fd, &status) < 0)
		return err_sys(err, E_INTERNAL, "fstat of the request body");
	if (status.st_size == 0)
		return err_set(err, E_INVALID, "the request has no body; expected JSON");
	void *data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, job->body_fd, 0);
	if (data == MAP_FAILED)
		return err_sys(err, E_UNAVAILABLE, "mapping the request body");
	*ret_body = view_of(data, (size_t)status.st_size);
	return 0;
}

static bool is_multipart(const struct job *job)
{
	return strncasecmp(job->content_type, "multipart/form-data", 19) == 0;
}

/* Part "request" is the JSON document; without a dataset in it every file part is one. */
static int parse_multipart(struct job *job, const struct multipart *parts, struct err *err)
{
	const struct multipart_part *request = NULL;
	for (size_t i = 0; i < parts->count; i++)
		if (view_equal_string(parts->parts[i].name, "request"))
			request = &parts->parts[i];
	if (!request)
		return err_set(err, E_INVALID,
			"multipart body: expected a part named 'request' with the JSON document");
	TRY(execute_request_parse(
		request->content, job->options->json_bytes_max, true, &job->request, err));
	for (size_t i = 0; job->request.takes_all_parts && i < parts->count; i++)
		if (&parts->parts[i] != request && parts->parts[i].filename.size)
			TRY(execute_request_add_part(&job->request, parts->parts[i].name,
				parts->parts[i].filename, err));
	return 0;
}

/* The shape of the sandbox follows from the request alone, and so does its name in the inputs. */
static void choose_shape(struct job *job)
{
	const struct execute_limits *limits = &job->request.limits;
	struct err ignored;
	job->shape = (struct slot_shape){
		.memory_bytes = (uint64_t)limits->max_memory_mb << 20,
		.disk_bytes = (uint64_t)limits->max_disk_mb << 20,
		.processes = (uint32_t)limits->max_processes,
	};
	if (job->plan.is_parked && str_format(job->shape.lang, sizeof(job->shape.lang), &ignored,
					   "%s", job->request.lang->name) < 0)
		job->plan.is_parked = false;
	slot_set_name(&job->shape, job->options->image_digest, job->request.tools,
		job->request.tool_count);
}

int load_request(struct job *job, struct err *err)
{
	TRY(map_body(job, &job->body, err));
	if (is_multipart(job)) {
		TRY(multipart_parse(job->body, job->content_type, &job->parts, err));
		TRY(parse_multipart(job, &job->parts, err));
	} else {
		TRY(execute_request_parse(
			job->body, job->options->json_bytes_max, false, &job->request, err));
	}
	TRY(resolve_tools(job, err));
	TRY(plan_make(&job->request, &job->plan, err));
	choose_shape(job);
	return 0;
}

void load_make_inputs(struct job *job)
{
	uint8_t digest[SHA256_SIZE];
	char warmup[CERT_DIGEST_TEXT];
	hash_bytes(HASH_SHA256, view_string(sandbox_park_python()), digest);
	(void)hex_encode(view_of(digest, sizeof(digest)), warmup);
	struct cert_inputs inputs = {
		.request = &job->request,
		.plan = &job->plan,
		.datasets = job->datasets,
		.dataset_count = job->dataset_count,
		.tools = job->tools,
		.tool_count = job->request.tool_count,
		.rootfs_sha256 = job->options->image_digest,
		.tier = sandbox_tier_name(slot_tier(&job->shape)),
		.warmup_sha256 = job->plan.is_parked ? warmup : NULL,
		.runtime_version = AGENT_VERSION,
	};
	job->inputs = cert_inputs_json(&inputs);
}

void load_wipe_body(struct job *job)
{
	struct err err;
	if (job->body.size)
		(void)munmap((void *)(uintptr_t)job->body.data, job->body.size);
	job->body = (struct view){};
	if (job->body_fd >= 0 && fd_wipe(job->body_fd, &err) < 0)
		log_event(job->log, LOG_ERROR, "wipe", "job", job->id, "error", err.message, NULL);
	fd_close(&job->body_fd);
}

int load_inputs(struct job *job, struct err *err)
{
	uint64_t used_bytes = 0;
	int status = load_scripts(job, err);
	for (size_t i = 0; status == 0 && i < job->request.dataset_count; i++)
		status = load_dataset(
			job, &job->request.datasets[i], &job->parts, &used_bytes, err);
	load_make_inputs(job);
	load_wipe_body(job);
	return status;
}
