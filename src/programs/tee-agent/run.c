/*
 * The run: one sandbox, its events into the trace, its numbers to whoever watches. A cancel from
 * the control plane, or its death, ends the sandbox.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "programs/tee-agent/agent.h"

enum { STAT_INTERVAL_MS = 250, MB = 1024 * 1024, KB = 1024 };

static struct sandbox_limits limits_of(const struct execute_request *request)
{
	struct sandbox_limits limits = SANDBOX_LIMITS_DEFAULT;
	limits.wall_ms = (uint64_t)request->limits.timeout_seconds * 1000;
	limits.cpu_ms = 2 * limits.wall_ms;
	limits.memory_bytes = (uint64_t)request->limits.max_memory_mb * MB;
	limits.disk_bytes = (uint64_t)request->limits.max_disk_mb * MB;
	limits.file_bytes = (uint64_t)request->limits.max_file_mb * MB;
	limits.output_bytes = (uint64_t)request->limits.max_output_kb * KB;
	limits.processes = (uint32_t)request->limits.max_processes;
	return limits;
}

static int open_files(struct job *job, struct sandbox_files *files, struct err *err)
{
	*files = SANDBOX_FILES_NONE;
	files->root_fd = image_root_fd(job->image);
	files->app_fd = job->vault.app_fd;
	files->data_fd = job->vault.data_fd;
	TRY(fd_memfd("stdout", &job->output_fd, err));
	TRY(fd_memfd("stderr", &job->error_fd, err));
	files->stdout_fd = job->output_fd;
	files->stderr_fd = job->error_fd;
	if (job->request.stdin_text.size) {
		TRY(fd_memfd("stdin", &files->stdin_fd, err));
		TRY(fd_write_all(files->stdin_fd, job->request.stdin_text, err));
		if (lseek(files->stdin_fd, 0, SEEK_SET) < 0)
			return err_sys(err, E_INTERNAL, "lseek");
	}
	return image_mask(
		job->image, job->request.tools, job->request.tool_count, &files->mask_fd, err);
}

/* The supervisor was started ahead; one that died meanwhile is replaced. */
static int renew_supervisor(struct job *job, struct err *err)
{
	struct pollfd control = { .fd = job->sandbox_control, .events = POLLRDHUP };
	const struct sandbox_config config = { job->options->sandbox_path };
	if (poll(&control, 1, 0) == 0)
		return 0;
	fd_close(&job->sandbox_control);
	return sandbox_open(&config, &job->sandbox_control, err);
}

static int start(struct job *job, struct err *err)
{
	struct sandbox_files files;
	struct sandbox_plan plan = {
		.argv = job->plan.argv,
		.env = (const char *const *)job->plan.env,
		.cwd = PLAN_WORK_DIRECTORY,
		.limits = limits_of(&job->request),
		.trace = SANDBOX_TRACE_EXEC,
		.may_lack = SANDBOX_LAYERS_BELTS,
		.stat_interval_ms = STAT_INTERVAL_MS,
	};
	TRY(renew_supervisor(job, err));
	int status = open_files(job, &files, err);
	if (status == 0)
		status = sandbox_start(job->sandbox_control, &plan, &files, err);
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

static int send_stat(struct job *job, const struct sandbox_event *event, struct err *err)
{
	auto_json *body = json_new_object();
	const struct sandbox_statistics *numbers = &event->statistics;
	json_set_string(body, "type", "stat");
	json_set_integer(body, "t_ms", (int64_t)(event->t_usec / 1000));
	json_set_integer(body, "memory_bytes", (int64_t)numbers->memory_current_bytes);
	json_set_integer(body, "memory_peak_bytes", (int64_t)numbers->memory_peak_bytes);
	json_set_integer(body, "cpu_ms",
		(int64_t)((numbers->cpu_user_usec + numbers->cpu_system_usec) / 1000));
	json_set_integer(body, "stdout_bytes", (int64_t)numbers->stdout_bytes);
	json_set_integer(body, "stderr_bytes", (int64_t)numbers->stderr_bytes);
	return job_send(job, AGENT_EVENT, body, NULL, 0, err);
}

static int on_done(struct job *job, const struct sandbox_event *event, struct err *err)
{
	struct json *row = json_new_object();
	job->result = event->result;
	job->has_run = true;
	json_set_string(row, "cause", sandbox_cause_name(event->result.cause));
	json_set_integer(row, "exit_code", event->result.exit_code);
	TRY(trace_append(&job->trace, "end", job_elapsed_us(job), row, err));
	job_note(job, "execution_ended");
	return 0;
}

static int on_event(struct job *job, const struct sandbox_event *event, struct err *err)
{
	switch (event->kind) {
	case SANDBOX_EVENT_STARTED:
		job_note(job, "execution_started");
		return 0;
	case SANDBOX_EVENT_EXEC:
		return trace_exec(job, event, err);
	case SANDBOX_EVENT_EXIT:
		return trace_exit(job, event, err);
	case SANDBOX_EVENT_STAT:
		return send_stat(job, event, err);
	case SANDBOX_EVENT_DONE:
		return on_done(job, event, err);
	case SANDBOX_EVENT_READY:
	case SANDBOX_EVENT_GONE:
	case SANDBOX_EVENT_NONE:
	case SANDBOX_EVENT_COUNT:
		break;
	}
	return 0;
}

/* From the control plane during a run: CANCEL, or the end of the connection, which means the same.
 */
static int on_control(struct job *job, struct err *err)
{
	AUTO(message_done) struct message message;
	TRY(message_receive(job->socket, MSG_DONTWAIT, &message, err));
	if (message.is_nothing || job->was_cancelled)
		return 0;
	if (!message.is_end && message.type != AGENT_CANCEL)
		return err_set(
			err, E_CONFLICT, "message %u is not expected while running", message.type);
	job->was_cancelled = true;
	return sandbox_cancel(job->sandbox_control, err);
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

static int copy_live(int from, int to, struct err *err)
{
	auto_done(buf) bytes = {};
	if (to < 0)
		return 0;
	if (lseek(from, 0, SEEK_SET) < 0)
		return err_sys(err, E_INTERNAL, "lseek");
	TRY(fd_read_all(from, (size_t)EXECUTE_OUTPUT_KB_MAX * KB, &bytes, err));
	struct err ignored; /* whoever reads our output may close it early */
	(void)!fd_write_all(to, buf_view(&bytes), &ignored);
	return 0;
}

int run_sandbox(struct job *job, struct err *err)
{
	job_note(job, "sandbox_created");
	TRY(start(job, err));
	TRY(wait_for_end(job, err));
	if (!job->has_run)
		return err_set(err, E_INTERNAL, "the sandbox ended without a result");
	if (job->result.cause == SANDBOX_CAUSE_INTERNAL)
		return err_set(
			err, E_UNAVAILABLE, "the sandbox could not run: %s", job->result.text);
	TRY(copy_live(job->output_fd, job->stdout_fd, err));
	return copy_live(job->error_fd, job->stderr_fd, err);
}
