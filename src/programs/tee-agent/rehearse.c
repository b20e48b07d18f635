/*
 * The rehearsal: an agent that waits does once what its job will do, on a request of its own, and
 * throws it away. A process that was forked shares its memory with its parent until it writes; a
 * job's first steps would copy some sixty pages, one fault each, while somebody waits. No platform
 * is asked, nothing is stored or sent, and what comes of it is never seen.
 */
#include <string.h>

#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "programs/tee-agent/agent.h"

enum { QUOTE_TEXT_BYTES = 512 }; /* the rest of a real one would cost more than it saves */

static const char sample[] =
	"{\"sandbox\": {\"tools\": [\"python\"], \"scripts\": {\"main.py\": \"print(1)\"}}}";

static int load(struct job *job, struct err *err)
{
	TRY(fd_memfd_of("rehearsal", view_string(sample), &job->body_fd, err));
	TRY(load_request(job, err));
	load_make_inputs(job);
	return 0;
}

static void invent_evidence(struct job *job)
{
	char text[QUOTE_TEXT_BYTES];
	struct json *tee = json_new_object();
	memset(text, 'A', sizeof(text));
	json_set_string(tee, "assurance", "none");
	json_set(tee, "quote", json_new_string(view_of(text, sizeof(text))));
	job->evidence = json_new_object();
	json_set(job->evidence, "tee", tee);
}

static int perform(struct job *job, struct err *err)
{
	auto_json *reply = json_new_object();
	auto_done(buf) text = {};
	TRY(load(job, err));
	job_note(job, "rehearsed");
	TRY(certify_state(job, err));
	invent_evidence(job);
	TRY(certify_write(job, err));
	TRY(certify_sign(job, err));
	TRY(reply_make(job, reply, err));
	return json_encode(reply, &text, err);
}

static void clear(struct job *job)
{
	load_wipe_body(job);
	execute_request_done(&job->request);
	plan_done(&job->plan);
	trace_done(&job->trace);
	json_free(job->inputs);
	json_free(job->outcome);
	json_free(job->run);
	json_free(job->evidence);
	buf_done(&job->statement);
}

void rehearse(const struct job *job)
{
	struct err err;
	auto_free struct job *trial = mem_alloc(1, sizeof(*trial));
	*trial = (struct job){ .options = job->options,
		.log = job->log,
		.image = job->image,
		.key = job->key,
		.spki = job->spki,
		.content_type = "application/json",
		.body_fd = -1,
		.output_fd = -1,
		.error_fd = -1 };
	trace_init(&trial->trace, trial->trace.seed);
	if (perform(trial, &err) < 0) /* an image without python: the job is a little slower */
		log_event(job->log, LOG_DEBUG, "rehearse", "error", err.message, NULL);
	clear(trial);
}
