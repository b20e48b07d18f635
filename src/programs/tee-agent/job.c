/*
 * One computation from request to certificate. The happy path is the list of steps in
 * job_execute(); a refusal after the datasets were named gets a certificate too.
 */
#include "programs/tee-agent/agent.h"

#include <sys/socket.h>

#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "kit/base/time.h"
#include "kit/crypto/rand.h"

int64_t job_elapsed_us(const struct job *job)
{
	return (int64_t)(time_monotonic_usec() - job->started_us);
}

int job_send(struct job *job, uint32_t type, const struct json *body, const int *fds, size_t count,
	struct err *err)
{
	auto_done(buf) text = {};
	if (body)
		TRY(json_encode(body, &text, err));
	return message_send(job->socket, type, buf_view(&text), fds, count, err);
}

void job_note(struct job *job, const char *event)
{
	struct err err;
	struct json *row = json_new_object();
	json_set_string(row, "event", event);
	if (trace_append(&job->trace, "lifecycle", job_elapsed_us(job), row, &err) < 0)
		log_event(job->log, LOG_ERROR, "trace", "job", job->id, "error", err.message, NULL);
	if (job->lifecycle_count == LIFECYCLE_MAX)
		return;
	struct lifecycle_row *entry = &job->lifecycle[job->lifecycle_count++];
	if (str_format(entry->event, sizeof(entry->event), &err, "%s", event) < 0)
		return;
	entry->t_ms = job_elapsed_us(job) / 1000;
	entry->wall_ms = time_wall_ms();
}

/* It may have waited for us. */
static void note_accepted(struct job *job)
{
	struct lifecycle_row *entry = &job->lifecycle[job->lifecycle_count];
	job_note(job, "job_accepted");
	entry->wall_ms = MIN(entry->wall_ms, job->accepted_wall_ms);
}

int job_advance(struct job *job, enum lifecycle_event event, struct err *err)
{
	auto_json *body = json_new_object();
	TRY(lifecycle_next(job->state, event, &job->state, err));
	json_set_string(body, "type", "state");
	json_set_string(body, "state", lifecycle_state_name(job->state));
	json_set_integer(body, "t_ms", job_elapsed_us(job) / 1000);
	return job_send(job, AGENT_EVENT, body, NULL, 0, err);
}

int job_prepare(struct job *job, const struct options *options, const struct log *log,
	const struct image *image, int socket, struct err *err)
{
	uint8_t seed[TRACE_SEED_SIZE];
	*job = (struct job){
		.options = options,
		.log = log,
		.image = image,
		.socket = socket,
		.vault = { -1, -1, -1, false },
		.sandbox_control = -1,
		.body_fd = -1,
		.output_fd = -1,
		.error_fd = -1,
		.results_fd = -1,
	};
	rand_bytes(seed, sizeof(seed));
	trace_init(&job->trace, seed);
	mem_wipe(seed, sizeof(seed));
	TRY(sign_key_generate(SIGN_ED25519, &job->key, err));
	TRY(sign_key_spki(job->key, &job->spki, err));
	TRY(vault_open(options->vault_path,
		options->dataset_bytes_max + EXECUTE_SCRIPTS_BYTES_MAX + (1 << 20), &job->vault,
		err));
	if (!options->has_pool) /* else there is one built already, nearly always */
		TRY(sandbox_open(&(struct sandbox_config){ options->sandbox_path },
			&job->sandbox_control, err));
	rehearse(job);
	return job_send(job, AGENT_READY, NULL, NULL, 0, err);
}

static int read_text(
	const struct json *body, const char *name, char *ret_text, size_t size, struct err *err)
{
	const char *text = json_as_string(json_get(body, name));
	if (!text)
		return err_set(err, E_INVALID, "message without %s", name);
	return str_format(ret_text, size, err, "%s", text);
}

static int read_common(struct job *job, const struct json *body, struct err *err)
{
	TRY(read_text(body, "job_id", job->id, sizeof(job->id), err));
	TRY(read_text(body, "principal", job->principal, sizeof(job->principal), err));
	job->started_us = time_monotonic_usec();
	job->accepted_wall_ms = (uint64_t)json_as_integer(json_get(body, "accepted_ms"));
	return 0;
}

static int read_run_message(struct job *job, struct message *message, struct err *err)
{
	auto_json *body = NULL;
	TRY(json_parse(buf_view(&message->body), MESSAGE_BODY_MAX, &body, err));
	TRY(read_common(job, body, err));
	TRY(read_text(body, "content_type", job->content_type, sizeof(job->content_type), err));
	TRY(read_text(body, "certificate_base", job->certificate_base,
		sizeof(job->certificate_base), err));
	if (message->fd_count != 1)
		return err_set(err, E_INVALID, "RUN with %zu descriptors", message->fd_count);
	job->body_fd = take_fd(&message->fds[0]);
	return 0;
}

int job_take_cancel(struct job *job, struct err *err)
{
	AUTO(message_done) struct message message;
	TRY(message_receive(job->socket, MSG_DONTWAIT, &message, err));
	if (message.is_nothing)
		return 0;
	if (!message.is_end && message.type != AGENT_CANCEL)
		return err_set(err, E_CONFLICT, "message %u is not expected now", message.type);
	job->was_cancelled = true;
	return 0;
}

static int send_refused(struct job *job, const struct err *why, struct err *err)
{
	auto_json *body = json_new_object();
	json_set_string(body, "category", err_category_name(why->category));
	json_set_integer(body, "http_status", err_http_status(why->category));
	json_set_string(body, "message", why->message);
	return job_send(job, AGENT_REFUSED, body, NULL, 0, err);
}

/* Everything secret goes now: datasets and scripts, the request tree, the sandbox. */
static int clean_up(struct job *job, struct err *err)
{
	fd_close(&job->sandbox_control);
	fd_close(&job->results_fd);
	/* One in which something ran said so itself. */
	job->is_sandbox_gone |= job->has_sandbox && !job->has_started;
	if (job->is_sandbox_gone)
		job_note(job, "sandbox_destroyed");
	TRY(vault_wipe(&job->vault, &job->wiped, err));
	job->is_dataset_wiped = true;
	job_note(job, "dataset_wiped");
	return 0;
}

static int accept_job(struct job *job, struct err *err)
{
	auto_json *body = json_new_object();
	json_set(body, "inputs", json_share(job->inputs));
	return job_send(job, AGENT_ACCEPTED, body, NULL, 0, err);
}

/* Datasets, then the run; a failure leaves a status "refused:..." or "failed:..." behind. */
static int load_and_run(struct job *job, struct err *err)
{
	struct err ignored;
	job_note(job, "dataset_receiving");
	TRY(str_format(job->status, sizeof(job->status), err, "refused:dataset"));
	TRY(load_inputs(job, err));
	job_note(job, "dataset_verified");
	TRY(accept_job(job, err));
	TRY(job_advance(job, job->dataset_count ? EVENT_DATA_RECEIVED : EVENT_ALGORITHM_ONLY, err));
	TRY(str_format(job->status, sizeof(job->status), err, "refused:sandbox"));
	int status = run_sandbox(job, err);
	if (status < 0 && job->has_started)
		(void)!str_format(job->status, sizeof(job->status), &ignored, "failed:sandbox");
	return status;
}

static int finish(struct job *job, struct err *err)
{
	TRY(certify(job, err));
	return reply_done(job, err);
}

static bool has_download(const struct execute_request *request)
{
	for (size_t i = 0; i < request->dataset_count; i++)
		if (request->datasets[i].source == EXECUTE_URL)
			return true;
	return false;
}

int job_execute(struct job *job, struct message *message, struct err *err)
{
	struct err why;
	TRY(read_run_message(job, message, err));
	TRY(lifecycle_next(job->state, EVENT_START, &job->state, err));
	note_accepted(job);
	if (load_request(job, &why) < 0)
		return send_refused(job, &why, err);
	if (!has_download(&job->request)) /* else it would wait for that, and others for it */
		TRY(run_ask(job, err));
	TRY(job_advance(job, EVENT_MANIFEST_RECEIVED, err));
	if (job->request.dataset_count)
		TRY(job_advance(job, EVENT_ALGORITHM_RECEIVED, err));
	if (load_and_run(job, &job->refusal) < 0) {
		log_event(job->log, LOG_WARNING, "refused", "job", job->id, "error",
			job->refusal.message, NULL);
		if (!job->inputs) /* nothing to certify but the refusal itself */
			job->inputs = json_new_object();
		TRY(job_advance(job, EVENT_RUN_FAILED, err));
	} else {
		job->refusal = (struct err){};
		TRY(job_advance(job, EVENT_RUN_COMPLETE, err));
	}
	TRY(clean_up(job, err));
	return finish(job, err);
}

/* What became of its data and its sandbox, only its agent could have seen. */
int job_certify_lost(struct job *job, struct message *message, struct err *err)
{
	auto_json *body = NULL;
	char reason[64];
	TRY(json_parse(buf_view(&message->body), MESSAGE_BODY_MAX, &body, err));
	TRY(read_common(job, body, err));
	job->is_lost = true;
	TRY(read_text(body, "reason", reason, sizeof(reason), err));
	TRY(str_format(job->status, sizeof(job->status), err, "failed:%.50s", reason));
	const struct json *inputs = json_get(body, "inputs");
	job->inputs = inputs && json_kind(inputs) == JSON_KIND_OBJECT ? json_share(inputs)
								      : json_new_object();
	note_accepted(job);
	job_note(job, "job_lost");
	return finish(job, err);
}
