/*
 * Certificates: put durably, got by id.
 *
 * The transaction of a put runs with synchronous=FULL, so that COMMIT returns after the fsync of
 * the write-ahead log, which also makes everything committed before durable.
 */
#include "engines/store/store_internal.h"

#include "kit/base/mem.h"

static const char *const verdict_names[STORE_VERDICT_COUNT] = {
	[STORE_SIMULATED] = "simulated",
	[STORE_HARDWARE] = "hardware",
	[STORE_FAILED] = "failed",
};

const char *store_verdict_name(enum store_verdict verdict)
{
	return verdict_names[verdict < STORE_VERDICT_COUNT ? verdict : STORE_FAILED];
}

static int check_put(
	const struct store_certificate *certificate, struct view envelope, struct err *err)
{
	if (!certificate->id[0] || !certificate->status[0] || !certificate->principal[0] ||
		certificate->verdict >= STORE_VERDICT_COUNT)
		return err_set(err, E_INVALID,
			"store: a certificate needs id, status, principal and verdict");
	if (certificate->dataset_count > STORE_DATASETS_MAX ||
		certificate->tool_count > STORE_TOOLS_MAX || envelope.size > STORE_ENVELOPE_MAX)
		return err_set(err, E_LIMIT,
			"store: certificate with %zu datasets, %zu tools, %zu bytes; limits %d, "
			"%d, %d",
			certificate->dataset_count, certificate->tool_count, envelope.size,
			STORE_DATASETS_MAX, STORE_TOOLS_MAX, STORE_ENVELOPE_MAX);
	return 0;
}

static int insert_certificate(
	struct store *store, const struct store_certificate *certificate, struct err *err)
{
	sqlite3_stmt *insert = store->statements[STATEMENT_CERTIFICATE_INSERT];
	store_bind_text(insert, 1, certificate->id);
	store_bind_text(insert, 2, certificate->job_id);
	store_bind_text(insert, 3, certificate->principal);
	store_bind_text(insert, 4, certificate->status);
	(void)sqlite3_bind_int(insert, 5, (int)certificate->verdict);
	store_bind_time(insert, 6, certificate->created_ms);
	store_bind_digest(insert, 7, &certificate->statement);
	store_bind_digest(insert, 8, &certificate->sandbox);
	store_bind_digest(insert, 9, &certificate->inputs);
	store_bind_digest(insert, 10, &certificate->claim);
	if (certificate->has_result)
		store_bind_digest(insert, 11, &certificate->result);
	return store_run(store, insert, "inserting a certificate", err);
}

static int insert_envelope(struct store *store, int64_t seq, struct view envelope, struct err *err)
{
	sqlite3_stmt *insert = store->statements[STATEMENT_ENVELOPE_INSERT];
	const void *bytes = envelope.data ? envelope.data : (const void *)"";
	(void)sqlite3_bind_int64(insert, 1, seq);
	(void)sqlite3_bind_blob64(insert, 2, bytes, envelope.size, SQLITE_STATIC);
	return store_run(store, insert, "inserting an envelope", err);
}

static int insert_parts(struct store *store, const struct store_certificate *certificate,
	struct view envelope, struct err *err)
{
	int64_t seq = sqlite3_last_insert_rowid(store->db);
	sqlite3_stmt *dataset = store->statements[STATEMENT_DATASET_INSERT];
	sqlite3_stmt *tool = store->statements[STATEMENT_TOOL_INSERT];
	TRY(insert_envelope(store, seq, envelope, err));
	for (size_t i = 0; i < certificate->dataset_count; i++) {
		(void)sqlite3_bind_int64(dataset, 1, seq);
		(void)sqlite3_bind_int64(dataset, 2, (int64_t)i);
		store_bind_digest(dataset, 3, &certificate->datasets[i]);
		store_bind_time(dataset, 4, certificate->created_ms);
		TRY(store_run(store, dataset, "inserting a dataset digest", err));
	}
	for (size_t i = 0; i < certificate->tool_count; i++) {
		(void)sqlite3_bind_int64(tool, 1, seq);
		(void)sqlite3_bind_int64(tool, 2, (int64_t)i);
		store_bind_text(tool, 3, certificate->tools[i]);
		store_bind_time(tool, 4, certificate->created_ms);
		TRY(store_run(store, tool, "inserting a tool", err));
	}
	return 0;
}

static int finish_job(struct store *store, const struct store_certificate *certificate,
	const char *job_state, struct err *err)
{
	sqlite3_stmt *finish = store->statements[STATEMENT_JOB_FINISH];
	if (!certificate->job_id[0])
		return 0;
	store_bind_text(finish, 1, certificate->job_id);
	store_bind_text(finish, 2, job_state);
	store_bind_time(finish, 3, certificate->created_ms);
	store_bind_text(finish, 4, certificate->id);
	TRY(store_run(store, finish, "finishing a job", err));
	if (sqlite3_changes(store->db) == 0)
		return err_set(err, E_NOT_FOUND,
			"store: certificate %s belongs to no stored job %s", certificate->id,
			certificate->job_id);
	return 0;
}

static int put_in_transaction(struct store *store, const struct store_certificate *certificate,
	struct view envelope, const char *job_state, struct err *err)
{
	TRY(store_run(store, store->statements[STATEMENT_BEGIN], "beginning", err));
	int status = insert_certificate(store, certificate, err);
	if (status == 0)
		status = insert_parts(store, certificate, envelope, err);
	if (status == 0)
		status = finish_job(store, certificate, job_state, err);
	if (status == 0)
		status = store_run(store, store->statements[STATEMENT_COMMIT], "committing", err);
	if (status < 0) {
		/* Fails when SQLite rolled back by itself, as it does for a full disk. */
		(void)sqlite3_step(store->statements[STATEMENT_ROLLBACK]);
		store_reset(store->statements[STATEMENT_ROLLBACK]);
	}
	return status;
}

int store_certificate_put(struct store *store, const struct store_certificate *certificate,
	struct view envelope, const char *job_state, struct err *err)
{
	struct err ignored;
	TRY(check_put(certificate, envelope, err));
	TRY(store_exec(store, "PRAGMA synchronous = FULL", err));
	int status = put_in_transaction(store, certificate, envelope, job_state, err);
	if (store_exec(store, "PRAGMA synchronous = NORMAL", &ignored) < 0)
		return status; /* only costs time: jobs are then durable too */
	return status;
}

static int read_datasets(
	struct store *store, int64_t seq, struct store_certificate *certificate, struct err *err)
{
	bool has_row = false;
	sqlite3_stmt *get = store->statements[STATEMENT_DATASETS_GET];
	(void)sqlite3_bind_int64(get, 1, seq);
	TRY(store_next(store, get, &has_row, err));
	while (has_row && certificate->dataset_count < STORE_DATASETS_MAX) {
		store_column_digest(get, 0, &certificate->datasets[certificate->dataset_count++]);
		TRY(store_next(store, get, &has_row, err));
	}
	store_reset(get);
	return 0;
}

static int read_tools(
	struct store *store, int64_t seq, struct store_certificate *certificate, struct err *err)
{
	bool has_row = false;
	sqlite3_stmt *get = store->statements[STATEMENT_TOOLS_GET];
	(void)sqlite3_bind_int64(get, 1, seq);
	TRY(store_next(store, get, &has_row, err));
	while (has_row && certificate->tool_count < STORE_TOOLS_MAX) {
		store_column_text(
			get, 0, certificate->tools[certificate->tool_count++], STORE_TOOL_MAX + 1);
		TRY(store_next(store, get, &has_row, err));
	}
	store_reset(get);
	return 0;
}

int store_certificate_read(struct store *store, sqlite3_stmt *row,
	struct store_certificate *ret_certificate, int64_t *ret_seq, struct err *err)
{
	struct store_certificate *c = ret_certificate;
	*c = (struct store_certificate){};
	*ret_seq = sqlite3_column_int64(row, 0);
	store_column_text(row, 1, c->id, sizeof(c->id));
	store_column_text(row, 2, c->job_id, sizeof(c->job_id));
	store_column_text(row, 3, c->principal, sizeof(c->principal));
	store_column_text(row, 4, c->status, sizeof(c->status));
	c->verdict = (enum store_verdict)sqlite3_column_int(row, 5);
	c->created_ms = (uint64_t)sqlite3_column_int64(row, 6);
	store_column_digest(row, 7, &c->statement);
	store_column_digest(row, 8, &c->sandbox);
	store_column_digest(row, 9, &c->inputs);
	store_column_digest(row, 10, &c->claim);
	store_column_digest(row, 11, &c->result);
	c->has_result = sqlite3_column_type(row, 11) != SQLITE_NULL;
	TRY(read_datasets(store, *ret_seq, c, err));
	return read_tools(store, *ret_seq, c, err);
}

int store_certificate_get(struct store *store, const char *id,
	struct store_certificate *ret_certificate, struct buf *ret_envelope, struct err *err)
{
	int64_t seq = 0;
	bool has_row = false;
	sqlite3_stmt *get = store->statements[STATEMENT_CERTIFICATE_GET];
	store_bind_text(get, 1, id);
	TRY(store_next(store, get, &has_row, err));
	if (!has_row)
		return err_set(err, E_NOT_FOUND, "there is no certificate '%.80s'", id);
	int status = store_certificate_read(store, get, ret_certificate, &seq, err);
	if (status == 0 && ret_envelope) {
		const void *bytes = sqlite3_column_blob(get, CERTIFICATE_COLUMN_COUNT);
		int size = sqlite3_column_bytes(get, CERTIFICATE_COLUMN_COUNT);
		status = buf_append(ret_envelope, view_of(bytes, bytes ? (size_t)size : 0), err);
	}
	store_reset(get);
	return status;
}
