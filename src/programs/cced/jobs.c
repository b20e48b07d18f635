/*
 * Jobs: a queue that is fair between principals, one agent per running job, and what happens when
 * either end goes away. The agent decides everything about the computation; this file only
 * carries its words to the client, the watchers and the store.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "kit/base/time.h"
#include "kit/crypto/rand.h"
#include "programs/cced/cced.h"

static const char *const state_names[JOB_STATE_COUNT] = {
	[JOB_RECEIVING] = "receiving",
	[JOB_QUEUED] = "queued",
	[JOB_RUNNING] = "running",
	[JOB_DONE] = "done",
};

static void on_agent(uv_poll_t *poll, int status, int events);
static void finish(struct cjob *job);

const char *job_state_name(enum job_state state)
{
	return state_names[state];
}

static void make_id(char ret_id[static CCED_JOB_ID_SIZE])
{
	uint8_t bytes[16];
	char hex[HEX_SIZE(sizeof(bytes))];
	struct err ignored;
	rand_bytes(bytes, sizeof(bytes));
	(void)!str_format(ret_id, CCED_JOB_ID_SIZE, &ignored, "job_%s",
		hex_encode(view_of(bytes, sizeof(bytes)), hex));
}

struct cjob *jobs_new(struct cced *cced, const char *principal)
{
	struct err ignored;
	struct cjob *job = mem_alloc(1, sizeof(*job));
	*job = (struct cjob){ .cced = cced,
		.next = cced->jobs,
		.body_fd = -1,
		.agent = { .pidfd = -1, .socket = -1 },
		.accepted_ms = time_wall_ms(),
		.queued_at_ms = time_monotonic_ms() };
	make_id(job->id);
	(void)!str_format(job->principal, sizeof(job->principal), &ignored, "%s", principal);
	job->events = json_new_array();
	cced->jobs = job;
	cced->active++;
	return job;
}

struct cjob *jobs_find(struct cced *cced, const char *id)
{
	for (struct cjob *job = cced->jobs; job; job = job->next)
		if (str_equal(job->id, id) && job->state != JOB_RECEIVING)
			return job;
	return NULL;
}

bool jobs_has_room(const struct cced *cced, const char *principal)
{
	size_t places = cced->config.concurrency + cced->config.queue_max;
	size_t own_max = places - places / CCED_RESERVED_SHARE;
	size_t own = 0;
	for (const struct cjob *job = cced->jobs; job; job = job->next)
		own += job->state != JOB_DONE && str_equal(job->principal, principal);
	return cced->active < places && own < own_max;
}

static void log_err(struct cjob *job, const char *event, const struct err *err)
{
	log_event(&job->cced->log, LOG_ERROR, event, "job", job->id, "error", err->message, NULL);
}

/* Not asked for again: what nobody took is nobody's. */
static void drop_body(struct cjob *job)
{
	struct err err;
	if (job->body_fd >= 0 && fd_wipe(job->body_fd, &err) < 0)
		log_err(job, "wipe", &err);
	fd_close(&job->body_fd);
}

/* Unlink and release; its poll handle, if any, is already closed. */
static void forget(struct cjob *job)
{
	struct cjob **link = &job->cced->jobs;
	while (*link && *link != job)
		link = &(*link)->next;
	if (*link)
		*link = job->next;
	drop_body(job);
	dsse_done(&job->envelope);
	buf_done(&job->reply);
	json_free(job->inputs);
	json_free(job->events);
	mem_free(job);
}

static int store_job_now(struct cjob *job, const char *state, bool is_final, struct err *err)
{
	struct store_job row = {
		.is_final = is_final, .created_ms = job->accepted_ms, .updated_ms = time_wall_ms()
	};
	auto_done(buf) inputs = {};
	TRY(str_format(row.id, sizeof(row.id), err, "%s", job->id));
	TRY(str_format(row.principal, sizeof(row.principal), err, "%s", job->principal));
	TRY(str_format(row.state, sizeof(row.state), err, "%s", state));
	if (job->inputs) {
		TRY(json_encode(job->inputs, &inputs, err));
		row.inputs_json = (char *)(uintptr_t)buf_string(&inputs);
	}
	int status = job->is_stored ? store_job_update(job->cced->store, &row, err)
				    : store_job_insert(job->cced->store, &row, err);
	job->is_stored |= status == 0;
	return status;
}

static void push_event(struct cjob *job, struct json *event)
{
	auto_json *owned = event;
	if (json_size(job->events) < CCED_EVENTS_MAX)
		json_append(job->events, json_share(owned));
	api_event(job, owned);
}

/* Answer with what is in job->reply, now or when somebody asks for it. */
static void settle(struct cjob *job, int status)
{
	drop_body(job);
	job->reply_status = status;
	job->done_at_ms = time_monotonic_ms();
	if (job->state == JOB_RUNNING) {
		job->cced->running--;
		metrics_observe(&job->cced->metrics, job->done_at_ms - job->queued_at_ms);
	}
	job->state = JOB_DONE;
	job->cced->active--;
	api_finished(job);
}

static void settle_error(struct cjob *job, int http_status, const char *code, const char *message)
{
	struct err err;
	auto_json *body = json_new_object();
	struct json *error = json_new_object();
	json_set_string(error, "code", code);
	json_set_string(error, "message", message);
	json_set(body, "error", error);
	json_set_string(body, "job_id", job->id);
	if (job->certificate_id[0])
		json_set_string(body, "certificate_id", job->certificate_id);
	buf_done(&job->reply);
	if (json_encode(body, &job->reply, &err) < 0)
		log_err(job, "reply", &err);
	settle(job, http_status);
}

static void poll_closed(uv_handle_t *handle)
{
	struct cjob *job = handle->data;
	job->is_polling = false;
	finish(job);
}

/* The agent's part is over: stop listening to it, bury it; continues in poll_closed. */
static void leave_agent(struct cjob *job)
{
	if (!job->is_polling || uv_is_closing((uv_handle_t *)&job->poll))
		return;
	(void)uv_poll_stop(&job->poll);
	agents_bury(job->cced, &job->agent);
	uv_close((uv_handle_t *)&job->poll, poll_closed);
}

static void finish(struct cjob *job)
{
	struct cced *cced = job->cced;
	if (job->state == JOB_DONE && !job->is_async && !job->watchers)
		forget(job);
	else if (job->state == JOB_DONE)
		jobs_sweep(cced, job->principal);
	jobs_dispatch(cced);
}

static int run_on_agent(struct cjob *job, struct err *err)
{
	char base[sizeof(job->base_url) + 16];
	TRY(agents_take(job->cced, &job->agent, err));
	TRY(str_format(base, sizeof(base), err, "%s/certificate/", job->base_url));
	struct agent_run run = {
		.job_id = job->id,
		.principal = job->principal,
		.content_type = job->content_type,
		.certificate_base = base,
		.accepted_wall_ms = job->accepted_ms,
	};
	TRY(agent_send_run(&job->agent, &run, job->body_fd, err));
	fd_close(&job->body_fd);
	return 0;
}

static int send_lost(struct cjob *job, struct err *err)
{
	dsse_done(&job->envelope);
	auto_json *body = json_new_object();
	auto_done(buf) text = {};
	TRY(agents_take(job->cced, &job->agent, err));
	json_set_string(body, "job_id", job->id);
	json_set_string(body, "principal", job->principal);
	json_set_string(body, "reason", job->lost_reason);
	json_set_integer(body, "accepted_ms", (int64_t)job->accepted_ms);
	json_set(body, "inputs", job->inputs ? json_share(job->inputs) : json_new_null());
	TRY(json_encode(body, &text, err));
	return message_send(job->agent.socket, AGENT_CERTIFY_LOST, buf_view(&text), NULL, 0, err);
}

static int watch_agent(struct cjob *job, struct err *err)
{
	if (uv_poll_init(&job->cced->loop, &job->poll, job->agent.socket) != 0)
		return err_set(err, E_INTERNAL, "watching an agent");
	job->poll.data = job;
	job->is_polling = true;
	if (uv_poll_start(&job->poll, UV_READABLE | UV_DISCONNECT, on_agent) != 0)
		return err_set(err, E_INTERNAL, "watching an agent");
	return 0;
}

/* Start the job's agent, for its run or to certify that its run was lost. */
static void start(struct cjob *job)
{
	struct err err;
	job->state = JOB_RUNNING;
	job->cced->running++;
	int status = job->is_lost_run ? send_lost(job, &err) : run_on_agent(job, &err);
	if (status == 0)
		status = watch_agent(job, &err);
	/* While the agent loads the request; it hears nothing from us before this is done. */
	if (status == 0 && !job->is_stored)
		status = store_job_now(job, "running", false, &err);
	if (status == 0)
		return;
	log_err(job, "start", &err);
	agents_bury(job->cced, &job->agent);
	settle_error(job, err_http_status(status), err_category_name(status), err.message);
	if (job->is_polling)
		uv_close((uv_handle_t *)&job->poll, poll_closed);
	else if (!job->is_async)
		forget(job);
}

static void lost_closed(uv_handle_t *handle)
{
	struct cjob *job = handle->data;
	struct err err;
	job->is_polling = false;
	int status = send_lost(job, &err);
	/* An agent killed a moment ago may still have looked alive: take the next. */
	while (status < 0 && job->lost_attempts++ < CCED_LOST_ATTEMPTS_MAX) {
		agents_bury(job->cced, &job->agent);
		status = send_lost(job, &err);
	}
	if (status == 0 && watch_agent(job, &err) == 0)
		return;
	log_err(job, "certify_lost", &err);
	agents_bury(job->cced, &job->agent);
	settle_error(job, 500, "internal", "the run was lost; it is certified at the next start");
	if (job->is_polling)
		uv_close(handle, poll_closed);
	else
		finish(job);
}

/*
 * The run broke off: a fresh agent certifies that, with the inputs as far as they are known. When
 * several agents in a row die of it, the job stays unfinished in the store and is certified at the
 * next start.
 */
static void lose(struct cjob *job, const char *reason)
{
	struct err ignored;
	log_event(&job->cced->log, LOG_ERROR, "job_lost", "job", job->id, "reason", reason, NULL);
	(void)uv_poll_stop(&job->poll);
	agents_bury(job->cced, &job->agent);
	if (job->lost_attempts++ == CCED_LOST_ATTEMPTS_MAX) {
		settle_error(job, 500, "internal",
			"the run was lost; it is certified at the next start");
		uv_close((uv_handle_t *)&job->poll, poll_closed);
		return;
	}
	job->cced->metrics.jobs_lost += !job->is_lost_run;
	job->is_lost_run = true;
	if (!job->lost_reason[0])
		(void)!str_format(
			job->lost_reason, sizeof(job->lost_reason), &ignored, "%s", reason);
	uv_close((uv_handle_t *)&job->poll, lost_closed);
}

static void on_accepted(struct cjob *job, struct message *message)
{
	struct err err;
	auto_json *body = NULL;
	int status = json_parse(buf_view(&message->body), MESSAGE_BODY_MAX, &body, &err);
	const struct json *inputs = status == 0 ? json_get(body, "inputs") : NULL;
	if (inputs) {
		job->inputs = json_share(inputs);
		status = store_job_now(job, "running", false, &err);
	}
	if (status < 0)
		log_err(job, "accepted", &err);
}

static void on_agent_event(struct cjob *job, struct message *message)
{
	struct err err;
	struct json *event = NULL;
	if (json_parse(buf_view(&message->body), MESSAGE_BODY_MAX, &event, &err) < 0)
		log_err(job, "event", &err);
	else
		push_event(job, event);
}

static void on_refused(struct cjob *job, struct message *message)
{
	struct err err;
	auto_json *body = NULL;
	job->cced->metrics.jobs_refused++;
	if (json_parse(buf_view(&message->body), MESSAGE_BODY_MAX, &body, &err) < 0) {
		settle_error(job, 500, "internal", err.message);
	} else {
		const char *category = json_as_string(json_get(body, "category"));
		const char *text = json_as_string(json_get(body, "message"));
		settle_error(job, (int)json_as_integer(json_get(body, "http_status")),
			category ? category : "invalid", text ? text : "refused");
	}
	if (store_job_now(job, "refused", true, &err) < 0)
		log_err(job, "store", &err);
	leave_agent(job);
}

static int read_reply(struct cjob *job, int fd, struct err *err)
{
	buf_done(&job->reply);
	TRY(fd_read_all(fd, AGENT_REPLY_MAX, &job->reply, err));
	return fd_wipe(fd, err);
}

/* A run that was refused after it was understood: error body, but with a certificate. */
static void settle_refused(struct cjob *job, const struct json *index)
{
	const char *category = json_as_string(json_get(index, "error_category"));
	const char *text = json_as_string(json_get(index, "error_message"));
	settle_error(job, (int)json_as_integer(json_get(index, "http_status")), category,
		text ? text : "refused");
}

static int handle_done(
	struct cjob *job, struct message *message, struct json **ret_index, struct err *err)
{
	if (message->fd_count != 1)
		return err_set(err, E_INTERNAL, "DONE with %zu descriptors", message->fd_count);
	TRY(json_parse(buf_view(&message->body), MESSAGE_BODY_MAX, ret_index, err));
	TRY(certificates_add(job, *ret_index, err));
	return read_reply(job, message->fds[0], err);
}

static void on_statement(struct cjob *job, struct message *message)
{
	struct err err;
	if (certificates_countersign(job, message, &err) == 0)
		return;
	log_err(job, "countersign", &err);
	settle_error(
		job, err_http_status(err.category), err_category_name(err.category), err.message);
	leave_agent(job);
}

static void on_done(struct cjob *job, struct message *message)
{
	struct err err;
	auto_json *index = NULL;
	int status = handle_done(job, message, &index, &err);
	job->cced->metrics.jobs_done++;
	if (status < 0) {
		log_err(job, "done", &err);
		settle_error(job, err_http_status(status), err_category_name(status), err.message);
	} else if (job->is_lost_run) {
		settle_error(job, 500, "internal",
			"the run was lost; its certificate says so, submit the job again");
	} else if (json_as_string(json_get(index, "error_category"))) {
		settle_refused(job, index);
	} else {
		settle(job, 200);
	}
	log_event(&job->cced->log, LOG_INFO, "job", "job", job->id, "principal", job->principal,
		"status", json_as_string(json_get(index, "status")), "certificate",
		job->certificate_id, NULL);
	leave_agent(job);
}

static void on_take(struct cjob *job, struct message *message)
{
	slots_take(job, buf_view(&message->body));
}

static const struct {
	uint32_t type;
	void (*handle)(struct cjob *job, struct message *message);
} handlers[] = {
	{ AGENT_READY, NULL },
	{ AGENT_ACCEPTED, on_accepted },
	{ AGENT_EVENT, on_agent_event },
	{ AGENT_TAKE, on_take },
	{ AGENT_KEEP, slots_keep },
	{ AGENT_REFUSED, on_refused },
	{ AGENT_STATEMENT, on_statement },
	{ AGENT_DONE, on_done },
};

static void on_message(struct cjob *job, struct message *message)
{
	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++) {
		if (handlers[i].type != message->type)
			continue;
		if (handlers[i].handle)
			handlers[i].handle(job, message);
		return;
	}
	log_event(&job->cced->log, LOG_ERROR, "agent_message", "job", job->id, NULL);
}

static void on_agent(uv_poll_t *poll, int status, int events)
{
	struct cjob *job = poll->data;
	(void)events;
	for (;;) {
		AUTO(message_done) struct message message = {};
		struct err err;
		int result = message_receive(job->agent.socket, MSG_DONTWAIT, &message, &err);
		/* An error is that it left a message of ours unread; its last words come first. */
		if (result < 0 || message.is_end || (message.is_nothing && status < 0)) {
			lose(job, "agent-died");
			return;
		}
		if (message.is_nothing)
			return;
		on_message(job, &message);
		if (uv_is_closing((uv_handle_t *)poll))
			return;
	}
}

/* Next in line: the longest waiting job of a principal other than the last one served. */
static struct cjob *next_in_line(struct cced *cced)
{
	struct cjob *oldest = NULL, *oldest_other = NULL;
	for (struct cjob *job = cced->jobs; job; job = job->next) {
		if (job->state != JOB_QUEUED)
			continue;
		oldest = job; /* the list runs from newest to oldest */
		if (!str_equal(job->principal, cced->last_principal))
			oldest_other = job;
	}
	return oldest_other ? oldest_other : oldest;
}

void jobs_dispatch(struct cced *cced)
{
	struct err ignored;
	while (cced->running < cced->config.concurrency && !cced->is_stopping) {
		struct cjob *job = next_in_line(cced);
		if (!job)
			return;
		(void)!str_format(cced->last_principal, sizeof(cced->last_principal), &ignored,
			"%s", job->principal);
		start(job);
	}
}

static void turn_away(struct cjob *job)
{
	settle_error(job, 503, "unavailable", "the service is stopping; submit the job again");
}

void jobs_stop(struct cced *cced)
{
	for (struct cjob *job = cced->jobs; job; job = job->next) {
		if (job->state != JOB_QUEUED)
			continue;
		if (job->is_async) /* certified as lost at the next start */
			api_end_watchers(job);
		else
			turn_away(job);
	}
}

void jobs_submit(struct cjob *job)
{
	struct cced *cced = job->cced;
	struct err err;
	job->state = JOB_QUEUED;
	if (cced->is_stopping && !job->is_async) {
		turn_away(job);
		return;
	}
	cced->metrics.jobs_accepted++;
	if (job->is_async && store_job_now(job, "queued", false, &err) < 0)
		log_err(job, "store", &err);
	jobs_dispatch(cced);
}

void jobs_cancel(struct cjob *job)
{
	struct err err;
	if (job->state == JOB_QUEUED) {
		job->cced->metrics.jobs_cancelled++;
		settle_error(job, 409, "conflict", "cancelled before it began");
		if (job->is_stored && store_job_now(job, "cancelled", true, &err) < 0)
			log_err(job, "store", &err);
		return;
	}
	if (job->state != JOB_RUNNING || job->is_cancelled)
		return;
	if (message_send(job->agent.socket, AGENT_CANCEL, (struct view){}, NULL, 0, &err) < 0) {
		log_err(job, "cancel", &err);
		return;
	}
	job->is_cancelled = true;
	job->cced->metrics.jobs_cancelled++;
}

void jobs_abandon(struct cjob *job)
{
	job->request = NULL;
	if (job->state == JOB_RECEIVING) {
		job->cced->active--;
		forget(job);
		return;
	}
	if (job->is_async || job->state == JOB_DONE)
		return;
	jobs_cancel(job);
	finish(job); /* where it was only queued */
}

/* Jobs of an earlier life that never got a certificate: certify that they were lost. */
void jobs_recover(struct cced *cced)
{
	struct err err;
	struct store_jobs rows = {};
	if (store_jobs_unfinished(cced->store, &rows, &err) < 0) {
		log_event(&cced->log, LOG_ERROR, "recover", "error", err.message, NULL);
		return;
	}
	for (size_t i = 0; i < rows.count; i++) {
		const struct store_job *row = &rows.jobs[i];
		struct cjob *job = jobs_new(cced, row->principal);
		(void)!str_format(job->id, sizeof(job->id), &err, "%s", row->id);
		(void)!str_format(
			job->lost_reason, sizeof(job->lost_reason), &err, "service-restart");
		if (row->inputs_json && json_parse(view_string(row->inputs_json), STORE_INPUTS_MAX,
						&job->inputs, &err) < 0)
			log_err(job, "recover", &err);
		job->accepted_ms = row->created_ms;
		job->is_stored = job->is_lost_run = job->is_async = true;
		job->state = JOB_QUEUED;
	}
	store_jobs_done(&rows);
	jobs_dispatch(cced);
}

/* Replies kept: of all, newest first, or of one principal. */
struct kept {
	size_t count, bytes;
};

/* True when this one has no place in so many quarters of what there is. */
static bool is_beyond(struct kept *kept, const struct cjob *job, size_t quarters)
{
	kept->count++;
	kept->bytes += job->reply.size;
	return kept->count > CCED_RESULTS_KEPT_MAX / CCED_RESERVED_SHARE * quarters ||
	       kept->bytes > CCED_RESULTS_BYTES_MAX / CCED_RESERVED_SHARE * quarters;
}

void jobs_sweep(struct cced *cced, const char *principal)
{
	char whose[CCED_PRINCIPAL_SIZE] = ""; /* its job may be one that goes */
	struct err ignored;
	uint64_t now_ms = time_monotonic_ms();
	struct kept all = {}, own = {};
	(void)!str_format(whose, sizeof(whose), &ignored, "%s", principal ? principal : "");
	for (struct cjob *job = cced->jobs, *next; job; job = next) {
		next = job->next;
		if (job->state != JOB_DONE || job->is_polling || job->watchers)
			continue;
		bool is_own = str_equal(job->principal, whose);
		if (now_ms - job->done_at_ms > CCED_RESULT_KEPT_MS ||
			(is_own && is_beyond(&own, job, CCED_RESERVED_SHARE - 1)) ||
			is_beyond(&all, job, CCED_RESERVED_SHARE))
			forget(job);
	}
}

void jobs_free_all(struct cced *cced)
{
	while (cced->jobs) {
		agent_end(&cced->jobs->agent);
		forget(cced->jobs);
	}
}
