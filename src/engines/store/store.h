/*
 * Jobs and certificates in one SQLite file (WAL, STRICT tables, foreign keys, defensive mode).
 *
 * A job is written cheaply: it survives a killed process, but the last ones may be lost with the
 * power. A certificate is on the disk (fsync) when store_certificate_put returns, in one
 * transaction with its job's final state, so that a certificate somebody has seen is never lost.
 *
 * Every function returns 0 or: E_UNAVAILABLE (disk full, input/output error, locked for more than
 * STORE_BUSY_MS by another process), E_INTEGRITY (the file is damaged), E_INTERNAL; further
 * categories are named at the function. Texts are NUL-terminated UTF-8. Nothing here is secret:
 * datasets appear as digests only, and what the caller puts into inputs_json.
 */
#ifndef ENGINES_STORE_STORE_H
#define ENGINES_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "kit/base/buf.h"

struct store;

#define STORE_ID_MAX 80               /* characters of a job's or certificate's id */
#define STORE_PRINCIPAL_MAX 128       /* characters of the name of who asked */
#define STORE_STATE_MAX 32            /* characters of a job's state or a run's status */
#define STORE_TOOL_MAX 32             /* characters of a tool's name */
#define STORE_TOOLS_MAX 128           /* tools of one certificate */
#define STORE_DATASETS_MAX 64         /* datasets of one certificate */
#define STORE_ENVELOPE_MAX (16 << 20) /* bytes of one envelope */
#define STORE_INPUTS_MAX (4 << 20)    /* bytes of inputs_json */
#define STORE_PAGE_MAX 100            /* rows of one search */
#define STORE_CURSOR_SIZE 33          /* 32 hex digits and NUL */
#define STORE_BUSY_MS 5000

struct store_digest {
	uint8_t sha256[32];
};

enum store_verdict { STORE_SIMULATED, STORE_HARDWARE, STORE_FAILED, STORE_VERDICT_COUNT };

/* "simulated", "hardware", "failed". */
const char *store_verdict_name(enum store_verdict verdict);

/*
 * Open or create (mode 0600). E_INTEGRITY: damaged, or not a file of ours; E_UNSUPPORTED: written
 * by a newer version; the message says what to do. A file of up to 64 MiB is checked completely.
 */
int store_open(const char *path, struct store **ret_store, struct err *err) MUST_CHECK;

/* Checkpoints and closes; accepts NULL. */
void store_close(struct store *store);

struct store_job {
	char id[STORE_ID_MAX + 1];
	char principal[STORE_PRINCIPAL_MAX + 1];
	char state[STORE_STATE_MAX + 1];
	bool is_final; /* nothing will change any more */
	uint64_t created_ms, updated_ms;
	char *inputs_json;                     /* NULL for none */
	char certificate_id[STORE_ID_MAX + 1]; /* "" for none */
};

/* Release what a job read from the store owns. */
void store_job_done(struct store_job *job);

/* Insert. E_CONFLICT: the id exists. E_LIMIT: inputs_json is too long. E_INVALID: no id. */
int store_job_insert(struct store *store, const struct store_job *job, struct err *err) MUST_CHECK;

/*
 * Change state, is_final and updated_ms of job->id, and inputs_json unless that is NULL.
 * E_NOT_FOUND; E_CONFLICT: it is already final.
 */
int store_job_update(struct store *store, const struct store_job *job, struct err *err) MUST_CHECK;

/* E_NOT_FOUND. Release with store_job_done. */
int store_job_get(
	struct store *store, const char *id, struct store_job *ret_job, struct err *err) MUST_CHECK;

struct store_jobs {
	struct store_job *jobs;
	size_t count;
};
void store_jobs_done(struct store_jobs *jobs);

/* The oldest 10,000 jobs at most that are not final; for the restart after a crash. */
int store_jobs_unfinished(
	struct store *store, struct store_jobs *ret_jobs, struct err *err) MUST_CHECK;

/* Delete final jobs last changed before a time, 1,000 at most; certificates stay. */
int store_jobs_forget(
	struct store *store, uint64_t before_ms, uint64_t *ret_count, struct err *err) MUST_CHECK;

struct store_certificate {
	char id[STORE_ID_MAX + 1];
	char job_id[STORE_ID_MAX + 1]; /* "" for none */
	char principal[STORE_PRINCIPAL_MAX + 1];
	char status[STORE_STATE_MAX + 1]; /* what ended the run */
	enum store_verdict verdict;
	uint64_t created_ms;
	struct store_digest statement, sandbox, inputs, claim;
	struct store_digest result;
	bool has_result;
	struct store_digest datasets[STORE_DATASETS_MAX];
	size_t dataset_count;
	char tools[STORE_TOOLS_MAX][STORE_TOOL_MAX + 1];
	size_t tool_count;
};

/*
 * Store durably, and in the same transaction make its job (if job_id is not "") final with this
 * state. E_CONFLICT: the id exists; E_NOT_FOUND: no such job; E_LIMIT: envelope too long.
 */
int store_certificate_put(struct store *store, const struct store_certificate *certificate,
	struct view envelope, const char *job_state, struct err *err) MUST_CHECK;

/* E_NOT_FOUND. Appends the envelope, if ret_envelope is not NULL. */
int store_certificate_get(struct store *store, const char *id,
	struct store_certificate *ret_certificate, struct buf *ret_envelope,
	struct err *err) MUST_CHECK;

/* What is NULL or 0 does not restrict. */
struct store_filter {
	const struct store_digest *dataset, *sandbox, *result;
	uint64_t from_ms, to_ms; /* created_ms in from <= created < to */
	const char *status, *tool, *principal;
	const enum store_verdict *verdict;
	const char *cursor; /* of the page before */
	size_t limit;       /* 1..STORE_PAGE_MAX; 0 means 20 */
};

struct store_page {
	struct store_certificate *certificates; /* newest first */
	size_t count;
	char next[STORE_CURSOR_SIZE]; /* "" when this was the last page */
};
void store_page_done(struct store_page *page);

/*
 * E_INVALID: a cursor we did not make; E_LIMIT: limit too large, or (in a store of millions) a
 * combination of conditions that passes too many certificates. Release with store_page_done.
 */
int store_certificate_search(struct store *store, const struct store_filter *filter,
	struct store_page *ret_page, struct err *err) MUST_CHECK;

struct store_counts {
	uint64_t certificates, unfinished_jobs;
};
int store_count(struct store *store, struct store_counts *ret_counts, struct err *err) MUST_CHECK;

#endif
