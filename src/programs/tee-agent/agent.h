/*
 * tee-agent: one computation inside the TEE. main.c waits for a request, job.c walks it through the
 * state machine, vault.c keeps data in memory, load.c fills it, run.c drives the sandbox, results.c
 * takes what it left, certify.c states and signs what happened, reply.c answers.
 */
#ifndef PROGRAMS_TEE_AGENT_AGENT_H
#define PROGRAMS_TEE_AGENT_AGENT_H

#include "engines/cvm/agent.h"
#include "engines/cvm/slot.h"
#include "engines/evidence/evidence.h"
#include "engines/image/image.h"
#include "engines/sandbox/collect.h"
#include "engines/sandbox/sandbox.h"
#include "kit/base/log.h"
#include "kit/codec/multipart.h"
#include "kit/crypto/sign.h"
#include "rules/cert/statement.h"
#include "rules/cert/trace.h"
#include "rules/job/lifecycle.h"

#define AGENT_VERSION "0.1.0"
#define JOB_ID_MAX 48
#define PRINCIPAL_MAX 64
#define LIFECYCLE_MAX 24

struct options {
	const char *sandbox_path;
	const char *fetch_path;
	const char *evidence_path; /* "" for the provider's usual place */
	enum evidence_kind platform;
	const char *vault_path;
	const char *image_digest;
	uint64_t dataset_bytes_max;
	uint64_t json_bytes_max;
	bool allows_loopback_fetch;
	bool has_pool;
	bool is_nursery;
};

/*
 * nursery.c: fork an agent for every AGENT_BEAR. Returns in each of them, with *ret_is_agent, and
 * in the nursery itself when control is closed. E_CONFLICT for another message; E_UNAVAILABLE when
 * no process can be made.
 */
int nursery_serve(int control, int image_fd, bool *ret_is_agent, struct err *err) MUST_CHECK;

/* Memory of the computation: a tmpfs nobody else sees; its two halves as read-only mounts. */
struct vault {
	int root_fd;    /* writable, ours */
	int app_fd;     /* detached read-only mount of app/, given to the sandbox */
	int data_fd;    /* the same of data/ */
	bool is_noswap; /* the kernel promised not to swap it */
};

int vault_open(
	const char *path, uint64_t size_bytes, struct vault *ret_vault, struct err *err) MUST_CHECK;

/* A new file "app/<name>" or "data/<name>", 0444. */
int vault_create(struct vault *vault, const char *directory, const char *name, int *ret_fd,
	struct err *err) MUST_CHECK;

/*
 * Overwrite every file with zeros, remove them, drop the mounts. Adds what was wiped to *wiped.
 * After a failure it may be called again; after success it does nothing.
 */
struct vault_wiped {
	uint64_t files;
	uint64_t bytes;
};
int vault_wipe(struct vault *vault, struct vault_wiped *wiped, struct err *err) MUST_CHECK;

struct lifecycle_row {
	char event[32];
	int64_t t_ms;
	uint64_t wall_ms;
};

/* Files the program left in /work/results; empty until they were collected. */
struct results {
	bool is_collected;
	bool is_missing; /* the program left no directory of that name */
	struct collect_report report;
	struct buf bytes; /* of all files, in the order of the report */
};

/* By these the certificate is found. */
struct digests {
	uint8_t dataset[SHA256_SIZE];
	uint8_t sandbox[SHA256_SIZE];
	uint8_t inputs[SHA256_SIZE];
	uint8_t claim[SHA256_SIZE];
};

/* One captured stream, read and hashed once its writers are dead or have said their last word. */
struct stream {
	struct buf bytes;
	uint8_t sha256[SHA256_SIZE];
};

enum { DISCLOSURES_PER_URL_MAX = 4 }; /* with redirects */

struct disclosure {
	char to[280]; /* host:port; a name of DNS has at most 253 characters */
	uint64_t bytes;
};

struct job {
	const struct options *options;
	const struct log *log;
	int socket;
	const struct image *image;
	struct vault vault;
	int sandbox_control; /* prepared ahead; -1 once closed */
	struct sign_key *key;
	struct buf spki;

	char id[JOB_ID_MAX];
	char principal[PRINCIPAL_MAX];
	char content_type[256];
	char certificate_base[256];
	uint64_t accepted_wall_ms;
	uint64_t started_us; /* monotonic */
	int body_fd;
	struct view body; /* mapped while the request is loaded */
	struct multipart parts;

	enum lifecycle_state state;
	struct lifecycle_row lifecycle[LIFECYCLE_MAX];
	size_t lifecycle_count;

	struct execute_request request;
	struct plan plan;
	struct cert_dataset datasets[EXECUTE_DATASETS_MAX];
	size_t dataset_count;
	struct cert_tool tools[EXECUTE_TOOLS_MAX];
	struct json *inputs;
	struct digests digests; /* the claim's when it is certified */
	bool has_digests;
	struct json *outcome;
	struct json *run;
	struct json *evidence;
	struct trace trace;
	struct disclosure disclosures[EXECUTE_DATASETS_MAX * DISCLOSURES_PER_URL_MAX];
	size_t disclosure_count;

	struct slot_shape shape; /* of the sandbox */
	bool has_sandbox;        /* its creation was noted */
	bool has_started;        /* code of the job has run, or may have */
	bool has_run;            /* and its end was reported */
	bool is_lost;            /* it was another agent's, which died */
	struct sandbox_result result;
	int output_fd; /* memory files the supervisor filled */
	int error_fd;
	struct stream output;
	struct stream error;
	bool has_streams; /* the two above are filled */
	int results_fd;   /* of the sandbox, between its end and results_collect; -1 none */
	struct results results;
	bool is_dataset_wiped;
	bool is_sandbox_gone;
	struct vault_wiped wiped;
	bool has_asked; /* for a sandbox; the answer was not read yet */
	bool was_cancelled;
	char status[64];      /* outcome.status */
	struct err refusal;   /* why a run was refused, for the reply */
	struct buf statement; /* the certificate, and our signature of it */
	struct dsse_signature signature;
	char certificate_id[CERT_ID_SIZE];
	uint8_t report_data[CERT_REPORT_DATA_SIZE];
};

/* job.c */
int job_prepare(struct job *job, const struct options *options, const struct log *log,
	const struct image *image, int socket, struct err *err) MUST_CHECK;
int job_execute(struct job *job, struct message *message, struct err *err) MUST_CHECK;
int job_certify_lost(struct job *job, struct message *message, struct err *err) MUST_CHECK;
void job_note(struct job *job, const char *event); /* lifecycle and trace */
int job_advance(struct job *job, enum lifecycle_event event, struct err *err) MUST_CHECK;
int job_send(struct job *job, uint32_t type, const struct json *body, const int *fds, size_t count,
	struct err *err) MUST_CHECK;
/*
 * One message of the control plane while the job is under way: CANCEL, or the end of the
 * connection, which means the same, sets was_cancelled. E_CONFLICT for anything else.
 */
int job_take_cancel(struct job *job, struct err *err) MUST_CHECK;
int64_t job_elapsed_us(const struct job *job);

/* load.c */
int load_request(struct job *job, struct err *err) MUST_CHECK;
int load_inputs(struct job *job, struct err *err) MUST_CHECK;
void load_make_inputs(struct job *job); /* the member inputs, from what was loaded */
void load_wipe_body(struct job *job);

/* run.c: ask for a sandbox that is built already; answered by the time that it is wanted. */
int run_ask(struct job *job, struct err *err) MUST_CHECK;
int run_sandbox(struct job *job, struct err *err) MUST_CHECK;

/* results.c */
int results_collect(struct job *job, struct err *err) MUST_CHECK;
struct json *results_list_json(const struct job *job); /* [{path, bytes, sha256}] */
struct json *results_run_json(const struct job *job);  /* counts only, for the certificate */
int results_reply_json(struct job *job, struct json *reply, struct err *err) MUST_CHECK;

/*
 * certify.c. The first two may be called as soon as their facts are known, to use the time that the
 * sandbox takes; certify() makes up for it.
 */
int certify_inputs(struct job *job, struct err *err) MUST_CHECK;
int certify_streams(struct job *job, struct err *err) MUST_CHECK;
int certify(struct job *job, struct err *err) MUST_CHECK;
int certify_state(struct job *job, struct err *err) MUST_CHECK; /* outcome and run */
int certify_write(struct job *job, struct err *err) MUST_CHECK; /* once there is evidence */
int certify_sign(struct job *job, struct err *err) MUST_CHECK;

/* reply.c */
int reply_make(struct job *job, struct json *reply, struct err *err) MUST_CHECK;
/* As text where it is UTF-8, else as base64: at most 7/3 of its size, and 64 KiB. */
int reply_set_bytes(struct json *object, const char *name, const char *encoding_name,
	struct view bytes, struct err *err) MUST_CHECK;
int reply_done(struct job *job, struct err *err) MUST_CHECK;

/* rehearse.c: what every job does, done in advance, for speed alone. */
void rehearse(const struct job *job);

#endif
