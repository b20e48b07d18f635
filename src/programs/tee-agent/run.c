/*
 * The run: one sandbox, its events into the trace, its numbers to whoever watches. A cancel from
 * the control plane, or its death, ends the sandbox.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "programs/tee-agent/agent.h"

enum { STAT_INTERVAL_MS = 250, MB = 1024 * 1024, KB = 1024, MASK_PATH_MAX = 512 };

static struct sandbox_plan plan_of(const struct job *job)
{
	const struct execute_limits *limits = &job->request.limits;
	struct sandbox_plan plan = slot_plan(&job->shape);
	plan.argv = job->plan.argv;
	plan.env = (const char *const *)job->plan.env;
	plan.cwd = PLAN_WORK_DIRECTORY;
	plan.stat_interval_ms = STAT_INTERVAL_MS;
	plan.wants_results = job->request.wants_results;
	plan.private_inputs = true; /* the vault */
	if (job->request.traces_files)
		plan.trace = SANDBOX_TRACE_FILES;
	plan.limits.wall_ms = (uint64_t)limits->timeout_seconds * 1000;
	plan.limits.cpu_ms = 2 * plan.limits.wall_ms;
	plan.limits.file_bytes = (uint64_t)limits->max_file_mb * MB;
	plan.limits.output_bytes = (uint64_t)limits->max_output_kb * KB;
	return plan;
}

static int open_files(struct job *job, struct sandbox_files *files, struct err *err)
{
	*files = SANDBOX_FILES_NONE;
	files->app_fd = job->vault.app_fd;
	files->data_fd = job->vault.data_fd;
	TRY(fd_memfd("stdout", &job->output_fd, err));
	TRY(fd_memfd("stderr", &job->error_fd, err));
	files->stdout_fd = job->output_fd;
	files->stderr_fd = job->error_fd;
	if (!job->request.stdin_text.size)
		return 0;
	return fd_memfd_of("stdin", job->request.stdin_text, &files->stdin_fd, err);
}

/* The supervisor may have been started ahead; one that died meanwhile is replaced. */
static int renew_supervisor(struct job *job, struct err *err)
{
	struct pollfd control = { .fd = job->sandbox_control, .events = POLLRDHUP };
	const struct sandbox_config config = { job->options->sandbox_path };
	if (job->sandbox_control >= 0 && poll(&control, 1, 0) == 0)
		return 0;
	fd_close(&job->sandbox_control);
	return sandbox_open(&config, &job->sandbox_control, err);
}

int run_ask(struct job *job, struct err *err)
{
	if (!job->options->has_pool || job->request.traces_files) /* prepared for the usual trace */
		return 0;
	job->has_asked = true;
	return message_send(job->socket, AGENT_TAKE, view_string(job->shape.name), NULL, 0, err);
}

/* The control plane's answer: a sandbox of this shape that is built already, or none. */
static int take_ready(struct job *job, bool *ret_taken, struct err *err)
{
	*ret_taken = false;
	AUTO(message_done) struct message message = {};
	if (!job->has_asked)
		TRY(run_ask(job, err));
	if (!job->has_asked)
		return 0;
	TRY(message_receive(job->socket, 0, &message, err));
	if (message.is_end || message.type == AGENT_CANCEL) {
		job->was_cancelled = true;
		return err_set(err, E_CONFLICT, "cancelled before the run began");
	}
	if (message.type != AGENT_SLOT)
		return err_set(err, E_CONFLICT, "message %u is not expected now", message.type);
	job->has_asked = false;
	*ret_taken = message.fd_count == 1;
	if (*ret_taken) {
		fd_close(&job->sandbox_control);
		job->sandbox_control = take_fd(&message.fds[0]);
	}
	return 0;
}

/* No parked interpreter is ready: park one now, so that the run is the same, only later. */
static int park_now(struct job *job, const struct sandbox_plan *plan,
	const struct sandbox_files *files, struct err *err)
{
	const char *argv[LANG_ARGV_MAX + 1] = {};
	struct sandbox_plan prepared = *plan;
	struct sandbox_event event;
	slot_park_argv(job->request.lang->park_argv, argv);
	prepared.argv = argv;
	prepared.env = job->request.lang->environment;
	TRY(sandbox_prepare(job->sandbox_control, SANDBOX_TIER_PARKED, &prepared, files, err));
	do {
		TRY(sandbox_receive(job->sandbox_control, 0, &event, err));
		if (event.kind == SANDBOX_EVENT_DONE || event.kind == SANDBOX_EVENT_GONE)
			return err_set(err, E_UNAVAILABLE, "parking the interpreter: %s",
				event.result.text);
	} while (event.kind != SANDBOX_EVENT_READY);
	return 0;
}

/* A mask that outlives its first use, also on kernels where that takes an attached mount. */
static int make_mask(struct job *job, int *ret_fd, struct err *err)
{
	char path[MASK_PATH_MAX];
	auto_close mask = -1, clone = -1;
	struct err ignored;
	TRY(image_mask(job->image, job->request.tools, job->request.tool_count, &mask, err));
	if (image_clone(mask, &clone, &ignored) < 0) {
		TRY(str_format(path, sizeof(path), err, "%s/mask", job->options->vault_path));
		if (mkdir(path, 0700) < 0)
			return err_sys(err, E_UNAVAILABLE, "mkdir %s", path);
		TRY(image_attach(mask, path, err));
	}
	*ret_fd = take_fd(&mask);
	return 0;
}

/* Let the control plane keep sandboxes like this one ready; it may decline in silence. */
static int offer_template(struct job *job, int mask_fd, struct err *err)
{
	auto_json *body = slot_shape_json(&job->shape);
	auto_close clone = -1;
	if (!job->options->has_pool || job->request.traces_files)
		return 0;
	TRY(image_clone(mask_fd, &clone, err));
	return job_send(job, AGENT_KEEP, body, &clone, 1, err);
}

/* Built for this run: the mask of its tools, and where it applies an interpreter to be parked. */
static int start_cold(struct job *job, const struct sandbox_plan *plan, struct sandbox_files *files,
	struct err *err)
{
	struct sandbox_files base = SANDBOX_FILES_NONE;
	TRY(renew_supervisor(job, err));
	TRY(make_mask(job, &files->mask_fd, err));
	files->root_fd = image_root_fd(job->image);
	base.root_fd = files->root_fd;
	base.mask_fd = files->mask_fd;
	if (job->plan.is_parked)
		TRY(park_now(job, plan, &base, err));
	TRY(sandbox_start(job->sandbox_control, plan, files, err));
	return offer_template(job, base.mask_fd, err);
}

static int start(struct job *job, struct err *err)
{
	struct sandbox_files files;
	struct sandbox_plan plan = plan_of(job);
	bool is_ready = false;
	int status = open_files(job, &files, err);
	if (status == 0)
		status = take_ready(job, &is_ready, err);
	if (status == 0)
		status = is_ready ? sandbox_start(job->sandbox_control, &plan, &files, err)
				  : start_cold(job, &plan, &files, err);
	fd_close(&files.mask_fd);
	fd_close(&files.stdin_fd);
	return status;
}

static int trace_exec(struct job *job, const struct sandbox_event *event, struct err *err)
{
	struct json *row = json_new_object();
	json_set_integer(row, "pid", event->pid);
	json_set_integer(row, "ppid", event->ppid);
	json_set_string(row, "path", event->path);
	json_set_hex(row, "argv_sha256", view_of(event->argv_sha256, sizeof(event->argv_sha256)));
	return trace_append(&job->trace, "exec", job_elapsed_us(job), row, err);
}

static int trace_exit(struct job *job, const struct sandbox_event *event, struct err *err)
{
	struct json *row = json_new_object();
	json_set_integer(row, "pid", event->pid);
	json_set_integer(row, "code", event->exit_code);
	return trace_append(&job->trace, "exit", job_elapsed_us(job), row, err);
}

/* Keys only where they say yes: thousands of these stand in a trace. */
static int trace_file(struct job *job, const struct sandbox_event *event, struct err *err)
{
	static const struct {
		uint32_t access;
		const char *name;
	} rows[] = {
		{ SANDBOX_ACCESS_OPENED, "opened" },
		{ SANDBOX_ACCESS_EXECUTED, "executed" },
		{ SANDBOX_ACCESS_LEFT, "left" },
	};
	struct json *row = json_new_object();
	json_set_string(row, "path", event->path);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (event->access & rows[i].access)
			json_set_boolean(row, rows[i].name, true);
	if (event->access & SANDBOX_ACCESS_HAS_DIGEST)
		json_set_hex(row, "sha256", view_of(event->file_sha256, SHA256_SIZE));
	return trace_append(&job->trace, "file", job_elapsed_us(job), row, err);
}

static int send_stat(struct job *job, const struct sandbox_event *event, struct err *err)
{
	auto_json *body = json_new_object();
	const struct sandbox_statistics *numbers = &event->statistics;
	json_set_string(body, "type", "stat");
	json_set_integer(body, "t_ms", (int64_t)(event->t_usec / 1000));
	json_set_integer(body, "memory_bytes", (int64_t)numbers->memory_current_bytes);
	json_set_integer(body, "memory_peak_bytes", (int64_t)numbers->memory_peak_bytes);
	json_set_integer(body, "cpu_ms", (int64_t)(numbers->cpu_usec / 1000));
	json_set_integer(body, "stdout_bytes", (int64_t)numbers->stdout_bytes);
	json_set_integer(body, "stderr_bytes", (int64_t)numbers->stderr_bytes);
	return job_send(job, AGENT_EVENT, body, NULL, 0, err);
}

static int on_done(struct job *job, const struct sandbox_event *event, struct err *err)
{
	struct json *row = json_new_object();
	job->result = event->result;
	job->results_fd = event->results_fd;
	job->has_run = true;
	trace_note_lost(&job->trace, job->result.trace_lost, job->result.trace_truncated);
	json_set_string(row, "cause", sandbox_cause_name(event->result.cause));
	json_set_integer(row, "exit_code", event->result.exit_code);
	TRY(trace_append(&job->trace, "end", job_elapsed_us(job), row, err));
	job_note(job, "execution_ended");
	/* Both while the sandbox is torn down; what was not wiped now is when it is gone. */
	if (vault_wipe(&job->vault, &job->wiped, err) < 0)
		log_event(
			job->log, LOG_WARNING, "wipe", "job", job->id, "error", err->message, NULL);
	return certify_streams(job, err);
}

static int on_event(struct job *job, const struct sandbox_event *event, struct err *err)
{
	switch (event->kind) {
	case SANDBOX_EVENT_STARTED:
		job->has_started = true;
		job_note(job, "execution_started");
		return 0;
	case SANDBOX_EVENT_EXEC:
		return trace_exec(job, event, err);
	case SANDBOX_EVENT_EXIT:
		return trace_exit(job, event, err);
	case SANDBOX_EVENT_FILE:
		return trace_file(job, event, err);
	case SANDBOX_EVENT_STAT:
		return send_stat(job, event, err);
	case SANDBOX_EVENT_DONE:
		return on_done(job, event, err);
	case SANDBOX_EVENT_GONE:
		job->is_sandbox_gone = true;
		return 0;
	case SANDBOX_EVENT_READY:
	case SANDBOX_EVENT_NONE:
	case SANDBOX_EVENT_COUNT:
		break;
	}
	return 0;
}

static int on_control(struct job *job, struct err *err)
{
	struct err ignored; /* a sandbox that is gone: its last messages say how the run ended */
	TRY(job_take_cancel(job, err));
	if (job->was_cancelled)
		(void)!sandbox_cancel(job->sandbox_control, &ignored);
	return 0;
}

static int wait_for_end(struct job *job, struct err *err)
{
	struct sandbox_event event = {};
	while (event.kind != SANDBOX_EVENT_GONE) {
		struct pollfd fds[] = {
			{ .fd = job->sandbox_control, .events = POLLIN },
			{ .fd = job->was_cancelled ? -1 : job->socket, .events = POLLIN },
		};
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return err_sys(err, E_INTERNAL, "poll");
		if (fds[1].revents)
			TRY(on_control(job, err));
		if (!fds[0].revents)
			continue;
		TRY(sandbox_receive(job->sandbox_control, 0, &event, err));
		TRY(on_event(job, &event, err));
	}
	return 0;
}

int run_sandbox(struct job *job, struct err *err)
{
	job_note(job, "sandbox_created");
	job->has_sandbox = true;
	TRY(start(job, err));
	TRY(certify_inputs(job, err)); /* meanwhile it runs */
	int status = wait_for_end(job, err);
	job->has_started |= !job->has_run; /* it may have: nobody is left who knows */
	TRY(status);
	if (!job->has_run)
		return err_set(err, E_INTERNAL, "the sandbox ended without a result");
	if (job->result.cause == SANDBOX_CAUSE_INTERNAL)
		return err_set(
			err, E_UNAVAILABLE, "the sandbox could not run: %s", job->result.text);
	return results_collect(job, err);
}
