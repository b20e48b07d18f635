/* What the files of the store share: the statements, and the translation of SQLite's results. */
#ifndef ENGINES_STORE_STORE_INTERNAL_H
#define ENGINES_STORE_STORE_INTERNAL_H

#include <sqlite3.h>

#include "engines/store/store.h"

enum store_statement {
	STATEMENT_BEGIN,
	STATEMENT_COMMIT,
	STATEMENT_ROLLBACK,
	STATEMENT_JOB_INSERT,
	STATEMENT_JOB_UPDATE,
	STATEMENT_JOB_FINISH,
	STATEMENT_JOB_GET,
	STATEMENT_JOBS_UNFINISHED,
	STATEMENT_JOBS_FORGET,
	STATEMENT_CERTIFICATE_INSERT,
	STATEMENT_ENVELOPE_INSERT,
	STATEMENT_DATASET_INSERT,
	STATEMENT_TOOL_INSERT,
	STATEMENT_CERTIFICATE_GET,
	STATEMENT_DATASETS_GET,
	STATEMENT_TOOLS_GET,
	STATEMENT_COUNT_CERTIFICATES,
	STATEMENT_COUNT_UNFINISHED,
	STATEMENT_COUNT
};

/* One bit per condition of a search; statements are made once per combination. */
enum store_condition {
	CONDITION_DATASET,
	CONDITION_SANDBOX,
	CONDITION_RESULT,
	CONDITION_FROM,
	CONDITION_TO,
	CONDITION_STATUS,
	CONDITION_VERDICT,
	CONDITION_TOOL,
	CONDITION_PRINCIPAL,
	CONDITION_CURSOR,
	CONDITION_COUNT
};

struct store {
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENT_COUNT];
	sqlite3_stmt *searches[1U << CONDITION_COUNT];
};

/* Columns of a certificate row, in the order store_certificate_read expects. */
#define CERTIFICATE_COLUMNS                                                       \
	"c.seq, c.id, c.job_id, c.principal, c.status, c.verdict, c.created_ms, " \
	"c.statement_sha256, c.sandbox_sha256, c.inputs_sha256, c.claim_sha256, " \
	"c.result_sha256"
#define CERTIFICATE_COLUMN_COUNT 12

/* Category and message of the last failure of the connection. */
int store_failed(struct store *store, const char *doing, struct err *err);

int store_exec(struct store *store, const char *sql, struct err *err) MUST_CHECK;
int store_prepare(struct store *store, const char *sql, sqlite3_stmt **ret_statement,
	struct err *err) MUST_CHECK;

/* Run to completion a statement that yields no rows; it is reset and its bindings cleared. */
int store_run(struct store *store, sqlite3_stmt *statement, const char *doing,
	struct err *err) MUST_CHECK;

/* Next row: true in *ret_has_row; at the end the statement is reset. */
int store_next(struct store *store, sqlite3_stmt *statement, bool *ret_has_row,
	struct err *err) MUST_CHECK;
void store_reset(sqlite3_stmt *statement);

/* Binding and reading. "" binds NULL; NULL reads as "". Values are copied by SQLite. */
void store_bind_text(sqlite3_stmt *statement, int index, const char *text);
void store_bind_time(sqlite3_stmt *statement, int index, uint64_t time_ms);
void store_bind_digest(sqlite3_stmt *statement, int index, const struct store_digest *digest);
void store_column_text(sqlite3_stmt *statement, int index, char *ret_text, size_t size);
void store_column_digest(sqlite3_stmt *statement, int index, struct store_digest *ret_digest);

/* A row of CERTIFICATE_COLUMNS with its datasets and tools; *ret_seq is its row number. */
int store_certificate_read(struct store *store, sqlite3_stmt *row,
	struct store_certificate *ret_certificate, int64_t *ret_seq, struct err *err) MUST_CHECK;

#endif
