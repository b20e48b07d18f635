/*
 * cced: the control plane. One libuv loop, no threads. main.c starts and stops everything,
 * config.c says how, auth.c who may, api.c routes requests, jobs.c queues and follows computations,
 * agents.c keeps agents ready, certificates.c stores and shows certificates, page.c draws them.
 */
#ifndef PROGRAMS_CCED_CCED_H
#define PROGRAMS_CCED_CCED_H

#include <uv.h>

#include "engines/cvm/local.h"
#include "engines/cvm/slot.h"
#include "engines/image/image.h"
#include "engines/keys/keys.h"
#include "engines/net/http_server.h"
#include "engines/store/store.h"
#include "kit/base/log.h"
#include "kit/codec/json.h"
#include "rules/cert/verify.h"

#define CCED_VERSION "0.1.0"
#define CCED_TOKENS_MAX 256
#define CCED_AGENTS_MAX 16
#define CCED_JOB_ID_SIZE 40
#define CCED_PATH_MAX 512
#define CCED_PRINCIPAL_SIZE 64
#define CCED_RESULTS_KEPT_MAX 1024           /* finished asynchronous jobs whose reply is kept */
#define CCED_RESULTS_BYTES_MAX (256U << 20)  /* all their replies together */
#define CCED_RESULT_KEPT_MS (15 * 60 * 1000) /* a reply nobody fetched is wiped after this */
#define CCED_EVENTS_MAX 512                  /* events kept per job for late watchers */
#define CCED_LOST_ATTEMPTS_MAX 5             /* agents that may die while certifying one loss */
#define CCED_RESERVED_SHARE 4 /* a quarter of all places is kept from any one principal */
#define CCED_JOBS_KEPT_MS (30ULL * 24 * 3600 * 1000) /* rows of ended jobs; certificates stay */
#define CCED_DRAIN_MS 20000                          /* what SIGTERM gives running jobs */
#define CCED_RETRY_AFTER_S "2"

/* config.c: one value per row of its table. */
struct config {
	const char *address;
	uint64_t port;
	const char *state_dir;
	const char *image;
	const char *platform;
	const char *evidence_path;
	const char *collateral_dir;
	const char *tls_certificate;
	const char *tls_key;
	bool has_tls; /* self-signed unless a certificate is given */
	const char *tokens_path;
	const char *public_url;
	uint64_t concurrency; /* 0: number of processors */
	uint64_t queue_max;
	uint64_t agents_ready;
	uint64_t sandboxes_ready; /* per template; 0: none are built ahead */
	uint64_t dataset_max_mb;
	uint64_t json_max_mb;
	bool allows_loopback_fetch;
	const char *log_level;
};

/* Defaults < file < environment < flags. Exits by itself only for --help and --version. */
int config_load(int argc, char **argv, struct config *ret_config, bool *ret_is_help,
	struct err *err) MUST_CHECK;

#define CCED_TEMPLATES_MAX 8 /* kinds of sandboxes kept ready */

struct slot_template {
	char name[SLOT_NAME_SIZE]; /* "" for a free place */
	uint64_t used_ms;
};

enum role { ROLE_PUBLIC = 0, ROLE_READ = 1, ROLE_SUBMIT = 2, ROLE_ADMIN = 4 };

struct token {
	uint8_t sha256[32];
	char principal[CCED_PRINCIPAL_SIZE];
	unsigned roles;
};

struct auth {
	struct token tokens[CCED_TOKENS_MAX];
	size_t count;
};

/* auth.c: the token file of the state directory (made 0600 with one fresh token when missing). */
int auth_load(const char *state_dir, const char *tokens_path, struct auth *ret_auth,
	struct err *err) MUST_CHECK;
/* Who asks: E_DENIED without or with a wrong token. */
int auth_check(const struct auth *auth, struct http_request *request,
	const struct token **ret_token, struct err *err) MUST_CHECK;

enum job_state { JOB_RECEIVING, JOB_QUEUED, JOB_RUNNING, JOB_DONE, JOB_STATE_COUNT };

struct watcher { /* one SSE client */
	struct http_request *request;
	struct watcher *next;
};

struct cjob {
	struct cced *cced;
	struct cjob *next; /* all jobs, newest first */
	char id[CCED_JOB_ID_SIZE];
	char principal[CCED_PRINCIPAL_SIZE];
	char content_type[256];
	char base_url[256]; /* of the server as the client called it */
	enum job_state state;
	bool is_async;
	bool is_stored;
	bool is_cancelled; /* its agent was told so */
	bool is_lost_run;  /* this agent only certifies what another one lost */
	bool was_answered;
	uint64_t accepted_ms;  /* wall clock */
	uint64_t queued_at_ms; /* monotonic: fairness and statistics */
	uint64_t done_at_ms;
	struct http_request *request; /* who waits; NULL once gone or answered */
	int body_fd;
	struct agent agent;
	uv_poll_t poll; /* on agent.socket */
	bool is_polling;
	struct dsse envelope; /* the agent's statement, countersigned; stored with its signature */
	struct buf reply;     /* kept for asynchronous callers */
	int reply_status;
	char certificate_id[CERT_ID_SIZE];
	char lost_reason[48];
	unsigned lost_attempts;
	struct json *inputs;
	struct json *events; /* array, at most CCED_EVENTS_MAX */
	struct watcher *watchers;
};

struct metrics {
	uint64_t jobs_accepted, jobs_refused, jobs_done, jobs_lost, jobs_cancelled, jobs_rejected;
	uint64_t slots_taken, slots_missed;
	uint64_t execute_ms_sum, execute_count;
	uint64_t execute_buckets[12];
};

struct cced {
	uv_loop_t loop;
	struct log log;
	struct config config;
	struct auth auth;
	struct store *store;
	struct keys keys;
	struct buf issuer_spki;
	struct image *image;
	struct http_server *server;
	struct http_tls *tls;
	struct local local;
	struct appraise_anchor anchor; /* of the simulated platform */

	int pool; /* of sandboxes; -1 without */
	struct slot_template templates[CCED_TEMPLATES_MAX];

	struct agent nursery; /* which bears them; pid 0 without */
	unsigned births;
	struct agent ready[CCED_AGENTS_MAX];
	size_t ready_count;
	uv_timer_t refill;
	uint64_t refill_failures;

	struct cjob *jobs;
	size_t active; /* receiving, queued or running */
	size_t running;
	char last_principal[CCED_PRINCIPAL_SIZE]; /* fairness: who was served last */
	uv_timer_t sweep;
	uv_signal_t signals[2];
	uv_timer_t drain;
	uv_poll_t helpers[2];    /* pidfds of tee-sim and cced-keys */
	const char *lost_helper; /* the one that died under us; NULL: none */
	bool is_stopping;
	size_t open_requests; /* whose answer is not out yet */
	uint64_t started_ms;
	struct metrics metrics;
};

/* main.c */
bool cced_is_simulated(const struct cced *cced);

/* agents.c */
void agents_start(struct cced *cced);
void agents_stop(struct cced *cced);
int agents_take(struct cced *cced, struct agent *ret_agent, struct err *err) MUST_CHECK;
void agents_bury(struct cced *cced, struct agent *agent); /* reap without blocking the loop */

/* slots.c */
int slots_start(struct cced *cced, struct err *err) MUST_CHECK;
void slots_take(struct cjob *job, struct view name); /* answers the agent */
void slots_keep(struct cjob *job, struct message *message);
void slots_stop(struct cced *cced);

/* jobs.c */
struct cjob *jobs_new(struct cced *cced, const char *principal);
struct cjob *jobs_find(struct cced *cced, const char *id);
bool jobs_has_room(const struct cced *cced, const char *principal);
void jobs_submit(struct cjob *job);  /* body has arrived */
void jobs_abandon(struct cjob *job); /* its client went away while sending or waiting */
void jobs_cancel(struct cjob *job);
void jobs_dispatch(struct cced *cced);
void jobs_stop(struct cced *cced);    /* who waits in the queue is told to come again */
void jobs_recover(struct cced *cced); /* what an earlier life left unfinished */
/* Kept replies: those too old, and what is too much of all or of principal (NULL: nobody). */
void jobs_sweep(struct cced *cced, const char *principal);
void jobs_free_all(struct cced *cced);
const char *job_state_name(enum job_state state);

/* certificates.c */
int certificates_countersign(
	struct cjob *job, const struct message *message, struct err *err) MUST_CHECK;
int certificates_add(struct cjob *job, const struct json *index, struct err *err) MUST_CHECK;
void certificates_verify(
	struct cced *cced, struct view envelope, struct cert_verification *ret_verification);
void api_certificate(
	struct cced *cced, struct http_request *request, const char *id, const char *rest);
void api_certificates(struct cced *cced, struct http_request *request);

/* page.c */
int page_certificate(const struct json *statement, const struct cert_verification *verification,
	struct buf *ret_html, struct err *err) MUST_CHECK;

/* api.c */
int api_start(struct cced *cced, struct err *err) MUST_CHECK;
void api_respond_json(struct http_request *request, int status, const struct json *body);
void api_respond_err(struct http_request *request, const struct err *err);
void api_event(struct cjob *job, const struct json *event); /* to its watchers */
void api_finished(struct cjob *job);
void api_end_watchers(struct cjob *job);

/* metrics.c */
void metrics_observe(struct metrics *metrics, uint64_t elapsed_ms);
int metrics_render(struct cced *cced, struct buf *ret_text, struct err *err) MUST_CHECK;

#endif
