/*
 * Opening, settings and schema of the store; running statements; SQLite's results as ours.
 *
 * The file may have been touched by others, so SQLite trusts neither schema nor pages (defensive,
 * trusted_schema off, cell_size_check) and its limits are lowered to what we use. Two durabilities
 * share one connection: synchronous=NORMAL in WAL mode leaves commits to the page cache, FULL
 * (set around a certificate, see store_certificate.c) adds the fsync.
 */
#include "engines/store/store_internal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engines/store/store_schema.h"
#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"

#define CHECKED_FILE_MAX (64 << 20) /* larger files are checked page by page as they are read */

static const char *const statement_texts[STATEMENT_COUNT] = {
	[STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
	[STATEMENT_COMMIT] = "COMMIT",
	[STATEMENT_ROLLBACK] = "ROLLBACK",
	[STATEMENT_JOB_INSERT] =
		"INSERT INTO job (id, principal, state, is_final, created_ms, updated_ms, "
		"inputs_json) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[STATEMENT_JOB_UPDATE] = "UPDATE job SET state = ?2, is_final = ?3, updated_ms = ?4, "
				 "inputs_json = coalesce(?5, inputs_json) "
				 "WHERE id = ?1 AND is_final = 0",
	[STATEMENT_JOB_FINISH] =
		"UPDATE job SET state = ?2, is_final = 1, updated_ms = ?3, certificate_id = ?4 "
		"WHERE id = ?1",
	[STATEMENT_JOB_GET] =
		"SELECT id, principal, state, is_final, created_ms, updated_ms, inputs_json, "
		"certificate_id FROM job WHERE id = ?1",
	[STATEMENT_JOBS_UNFINISHED] =
		"SELECT id, principal, state, is_final, created_ms, updated_ms, inputs_json, "
		"certificate_id FROM job WHERE is_final = 0 ORDER BY seq LIMIT ?1",
	[STATEMENT_JOBS_FORGET] =
		"DELETE FROM job WHERE seq IN (SELECT seq FROM job WHERE is_final = 1 AND "
		"updated_ms < ?1 ORDER BY updated_ms LIMIT 1000)",
	[STATEMENT_CERTIFICATE_INSERT] =
		"INSERT INTO certificate (id, job_id, principal, status, verdict, created_ms, "
		"statement_sha256, sandbox_sha256, inputs_sha256, claim_sha256, result_sha256) "
		"VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
	[STATEMENT_ENVELOPE_INSERT] =
		"INSERT INTO certificate_envelope (seq, envelope) VALUES (?1, ?2)",
	[STATEMENT_DATASET_INSERT] =
		"INSERT INTO certificate_dataset (seq, position, sha256, created_ms, is_first) "
		"VALUES (?1, ?2, ?3, ?4, NOT EXISTS (SELECT 1 FROM certificate_dataset "
		"WHERE seq = ?1 AND sha256 = ?3))",
	[STATEMENT_TOOL_INSERT] =
		"INSERT INTO certificate_tool (seq, position, name, created_ms, is_first) "
		"VALUES (?1, ?2, ?3, ?4, NOT EXISTS (SELECT 1 FROM certificate_tool "
		"WHERE seq = ?1 AND name = ?3))",
	[STATEMENT_CERTIFICATE_GET] =
		"SELECT " CERTIFICATE_COLUMNS ", e.envelope FROM certificate c "
		"JOIN certificate_envelope e ON e.seq = c.seq WHERE c.id = ?1",
	[STATEMENT_DATASETS_GET] =
		"SELECT sha256 FROM certificate_dataset WHERE seq = ?1 ORDER BY position",
	[STATEMENT_TOOLS_GET] =
		"SELECT name FROM certificate_tool WHERE seq = ?1 ORDER BY position",
	[STATEMENT_COUNT_CERTIFICATES] = "SELECT count(*) FROM certificate",
	[STATEMENT_COUNT_UNFINISHED] = "SELECT count(*) FROM job WHERE is_final = 0",
};

static const struct {
	int code;
	int category;
	const char *advice;
} results[] = {
	{ SQLITE_BUSY, E_UNAVAILABLE, "another process uses the database" },
	{ SQLITE_LOCKED, E_UNAVAILABLE, "another process uses the database" },
	{ SQLITE_FULL, E_UNAVAILABLE, "make room on its file system" },
	{ SQLITE_IOERR, E_UNAVAILABLE, "look at its file system" },
	{ SQLITE_CANTOPEN, E_UNAVAILABLE, "look at its directory and permissions" },
	{ SQLITE_READONLY, E_UNAVAILABLE, "make file and directory writable" },
	{ SQLITE_PERM, E_UNAVAILABLE, "make file and directory writable" },
	{ SQLITE_CORRUPT, E_INTEGRITY, "restore a backup, or move the file away to begin anew" },
	{ SQLITE_NOTADB, E_INTEGRITY, "restore a backup, or move the file away to begin anew" },
	{ SQLITE_TOOBIG, E_LIMIT, "the value is too long" },
	{ SQLITE_INTERRUPT, E_LIMIT, "the search passes too many certificates; restrict it more" },
	{ SQLITE_CONSTRAINT, E_CONFLICT, "it exists already, or refers to what does not exist" },
};

int store_failed(struct store *store, const char *doing, struct err *err)
{
	int code = sqlite3_extended_errcode(store->db);
	for (size_t i = 0; i < ARRAY_SIZE(results); i++)
		if (results[i].code == (code & 0xff))
			return err_set(err, results[i].category, "store: %s: %s; %s", doing,
				sqlite3_errmsg(store->db), results[i].advice);
	return err_set(
		err, E_INTERNAL, "store: %s: %s (%d)", doing, sqlite3_errmsg(store->db), code);
}

int store_exec(struct store *store, const char *sql, struct err *err)
{
	if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	return store_failed(store, "executing a setting", err);
}

int store_prepare(
	struct store *store, const char *sql, sqlite3_stmt **ret_statement, struct err *err)
{
	if (sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_statement,
		    NULL) == SQLITE_OK)
		return 0;
	return store_failed(store, "preparing a statement", err);
}

void store_reset(sqlite3_stmt *statement)
{
	/* Repeats the failure of the last step, which was already reported. */
	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
}

int store_run(struct store *store, sqlite3_stmt *statement, const char *doing, struct err *err)
{
	int status = sqlite3_step(statement) == SQLITE_DONE ? 0 : store_failed(store, doing, err);
	store_reset(statement);
	return status;
}

int store_next(struct store *store, sqlite3_stmt *statement, bool *ret_has_row, struct err *err)
{
	int code = sqlite3_step(statement);
	int status = 0;
	if (code != SQLITE_ROW && code != SQLITE_DONE)
		status = store_failed(store, "reading", err);
	if (code != SQLITE_ROW)
		store_reset(statement);
	*ret_has_row = code == SQLITE_ROW;
	return status;
}

void store_bind_text(sqlite3_stmt *statement, int index, const char *text)
{
	if (text && text[0]) /* binding fails only without memory, and then the step tells */
		(void)sqlite3_bind_text(statement, index, text, -1, SQLITE_TRANSIENT);
	else
		(void)sqlite3_bind_null(statement, index);
}

void store_bind_time(sqlite3_stmt *statement, int index, uint64_t time_ms)
{
	(void)sqlite3_bind_int64(statement, index, (int64_t)MIN(time_ms, (uint64_t)INT64_MAX));
}

void store_bind_digest(sqlite3_stmt *statement, int index, const struct store_digest *digest)
{
	(void)sqlite3_bind_blob(statement, index, digest->sha256, 32, SQLITE_TRANSIENT);
}

void store_column_text(sqlite3_stmt *statement, int index, char *ret_text, size_t size)
{
	struct err err;
	const unsigned char *text = sqlite3_column_text(statement, index);
	/* What we stored fits; what somebody else stored may be cut. */
	if (str_format(ret_text, size, &err, "%s", text ? (const char *)text : "") < 0)
		ret_text[0] = 0;
}

void store_column_digest(sqlite3_stmt *statement, int index, struct store_digest *ret_digest)
{
	const void *bytes = sqlite3_column_blob(statement, index);
	*ret_digest = (struct store_digest){};
	if (bytes && sqlite3_column_bytes(statement, index) == 32)
		memcpy(ret_digest->sha256, bytes, 32);
}

static int read_number(
	struct store *store, const char *pragma, int64_t *ret_number, struct err *err)
{
	sqlite3_stmt *statement = NULL;
	bool has_row = false;
	TRY(store_prepare(store, pragma, &statement, err));
	int status = store_next(store, statement, &has_row, err);
	if (status == 0)
		*ret_number = has_row ? sqlite3_column_int64(statement, 0) : 0;
	(void)sqlite3_finalize(statement);
	return status;
}

static int check_pages(struct store *store, const char *path, struct err *err)
{
	struct stat file;
	sqlite3_stmt *statement = NULL;
	bool has_row = false;
	if (stat(path, &file) < 0 || file.st_size > CHECKED_FILE_MAX)
		return 0;
	TRY(store_prepare(store, "PRAGMA quick_check(1)", &statement, err));
	int status = store_next(store, statement, &has_row, err);
	const char *verdict = has_row ? (const char *)sqlite3_column_text(statement, 0) : NULL;
	if (status == 0 && (!verdict || !str_equal(verdict, "ok")))
		status = err_set(err, E_INTEGRITY,
			"store: the database is damaged (%.128s); restore a backup, or move the "
			"file away to begin anew",
			verdict ? verdict : "no verdict");
	(void)sqlite3_finalize(statement);
	return status;
}

static int upgrade(struct store *store, int64_t version, struct err *err)
{
	char pragmas[96];
	TRY(str_format(pragmas, sizeof(pragmas), err,
		"PRAGMA application_id = %d; PRAGMA user_version = %d", STORE_APPLICATION_ID,
		STORE_VERSION));
	TRY(store_exec(store, "BEGIN IMMEDIATE", err));
	int status = 0;
	for (int64_t i = version; i < STORE_VERSION && status == 0; i++)
		status = store_exec(store, store_schema[i], err);
	if (status == 0)
		status = store_exec(store, pragmas, err);
	if (status == 0)
		status = store_exec(store, "COMMIT", err);
	if (status < 0) /* the failure is reported; rolling back what never began is none */
		(void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	return status;
}

static int check_schema(struct store *store, struct err *err)
{
	int64_t version = 0, application = 0, tables = 0;
	TRY(read_number(store, "PRAGMA user_version", &version, err));
	TRY(read_number(store, "PRAGMA application_id", &application, err));
	TRY(read_number(store, "SELECT count(*) FROM sqlite_schema", &tables, err));
	if (application != STORE_APPLICATION_ID && (application || version || tables))
		return err_set(err, E_INTEGRITY,
			"store: the file is a database of another program; choose another path");
	if (version > STORE_VERSION || version < 0)
		return err_set(err, E_UNSUPPORTED,
			"store: the database has version %lld, this program knows up to %d; use "
			"the "
			"newer program",
			(long long)version, STORE_VERSION);
	return version < STORE_VERSION ? upgrade(store, version, err) : 0;
}

static int configure(struct store *store, struct err *err)
{
	static const struct {
		int option, value;
	} options[] = { { SQLITE_DBCONFIG_DEFENSIVE, 1 }, { SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 },
		{ SQLITE_DBCONFIG_ENABLE_FKEY, 1 }, { SQLITE_DBCONFIG_DQS_DML, 0 },
		{ SQLITE_DBCONFIG_DQS_DDL, 0 }, { SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0 } };
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (sqlite3_db_config(store->db, options[i].option, options[i].value, NULL) !=
			SQLITE_OK)
			return store_failed(store, "configuring", err);
	(void)sqlite3_busy_timeout(store->db, STORE_BUSY_MS);
	(void)sqlite3_limit(store->db, SQLITE_LIMIT_LENGTH, STORE_ENVELOPE_MAX + (1 << 16));
	(void)sqlite3_limit(store->db, SQLITE_LIMIT_SQL_LENGTH, 1 << 16);
	(void)sqlite3_limit(store->db, SQLITE_LIMIT_ATTACHED, 0);
	(void)sqlite3_limit(store->db, SQLITE_LIMIT_VARIABLE_NUMBER, 32);
	return store_exec(store,
		"PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0; "
		"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; "
		"PRAGMA journal_size_limit = 16777216",
		err);
}

/* A file whose name is lost with the power is lost. */
static int sync_directory(const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	auto_free char *directory = slash ? mem_string_n(path, (size_t)(slash - path) + 1)
					  : mem_string(".");
	auto_close fd = -1;
	TRY(fd_open(directory, O_RDONLY | O_DIRECTORY, 0, &fd, err));
	if (fsync(fd) < 0)
		return err_sys(err, E_UNAVAILABLE, "store: cannot sync %.128s", directory);
	return 0;
}

static int open_store(struct store *store, const char *path, struct err *err)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
	auto_close fd = -1;
	/* Made here for the mode; SQLite gives its side files the mode of the database. */
	TRY(fd_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, &fd, err));
	if (sqlite3_open_v2(path, &store->db, flags, NULL) != SQLITE_OK)
		return store_failed(store, "opening", err);
	(void)sqlite3_extended_result_codes(store->db, 1);
	TRY(configure(store, err));
	TRY(check_schema(store, err));
	TRY(check_pages(store, path, err));
	TRY(sync_directory(path, err));
	for (size_t i = 0; i < STATEMENT_COUNT; i++)
		TRY(store_prepare(store, statement_texts[i], &store->statements[i], err));
	return 0;
}

int store_open(const char *path, struct store **ret_store, struct err *err)
{
	struct store *store = mem_alloc(1, sizeof(*store));
	int status = open_store(store, path, err);
	if (status < 0) {
		store_close(store);
		err_wrap(err, "%.128s", path);
		return status;
	}
	*ret_store = store;
	return 0;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(store->statements); i++)
		(void)sqlite3_finalize(store->statements[i]);
	for (size_t i = 0; i < ARRAY_SIZE(store->searches); i++)
		(void)sqlite3_finalize(store->searches[i]);
	(void)sqlite3_close(store->db);
	mem_free(store);
}
