/*
 * The schema, one text per version; store_open applies what a file lacks. Never change a text that
 * was released: append one.
 */
#ifndef ENGINES_STORE_STORE_SCHEMA_H
#define ENGINES_STORE_STORE_SCHEMA_H

#define STORE_APPLICATION_ID 0x6375706c /* "cupl" */

static const char *const store_schema[] = {
	/* 1 */
	"CREATE TABLE certificate ("
	"  seq INTEGER PRIMARY KEY,"
	"  id TEXT NOT NULL UNIQUE,"
	"  job_id TEXT,"
	"  principal TEXT NOT NULL,"
	"  status TEXT NOT NULL,"
	"  verdict INTEGER NOT NULL CHECK (verdict BETWEEN 0 AND 2),"
	"  created_ms INTEGER NOT NULL,"
	"  statement_sha256 BLOB NOT NULL CHECK (length(statement_sha256) = 32),"
	"  sandbox_sha256 BLOB NOT NULL CHECK (length(sandbox_sha256) = 32),"
	"  inputs_sha256 BLOB NOT NULL CHECK (length(inputs_sha256) = 32),"
	"  claim_sha256 BLOB NOT NULL CHECK (length(claim_sha256) = 32),"
	"  result_sha256 BLOB CHECK (length(result_sha256) = 32)"
	") STRICT;"
	"CREATE TABLE certificate_envelope (" /* apart, so that searches pass narrow rows */
	"  seq INTEGER PRIMARY KEY REFERENCES certificate (seq) ON DELETE CASCADE,"
	"  envelope BLOB NOT NULL"
	") STRICT;"
	"CREATE INDEX certificate_created ON certificate (created_ms, seq);"
	"CREATE INDEX certificate_sandbox ON certificate (sandbox_sha256, created_ms, seq);"
	"CREATE INDEX certificate_result ON certificate (result_sha256, created_ms, seq);"
	"CREATE INDEX certificate_status ON certificate (status, created_ms, seq);"
	"CREATE INDEX certificate_verdict ON certificate (verdict, created_ms, seq);"
	"CREATE INDEX certificate_principal ON certificate (principal, created_ms, seq);"
	"CREATE TABLE certificate_dataset ("
	"  seq INTEGER NOT NULL REFERENCES certificate (seq) ON DELETE CASCADE,"
	"  position INTEGER NOT NULL,"
	"  sha256 BLOB NOT NULL CHECK (length(sha256) = 32),"
	"  created_ms INTEGER NOT NULL," /* of the certificate: the order of a search */
	"  is_first INTEGER NOT NULL CHECK (is_first IN (0, 1))," /* of equal ones in it */
	"  PRIMARY KEY (seq, position)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX certificate_dataset_search ON certificate_dataset (sha256, created_ms, seq)"
	"  WHERE is_first = 1;"
	"CREATE TABLE certificate_tool ("
	"  seq INTEGER NOT NULL REFERENCES certificate (seq) ON DELETE CASCADE,"
	"  position INTEGER NOT NULL,"
	"  name TEXT NOT NULL,"
	"  created_ms INTEGER NOT NULL,"
	"  is_first INTEGER NOT NULL CHECK (is_first IN (0, 1)),"
	"  PRIMARY KEY (seq, position)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX certificate_tool_search ON certificate_tool (name, created_ms, seq)"
	"  WHERE is_first = 1;"
	"CREATE TABLE job ("
	"  seq INTEGER PRIMARY KEY,"
	"  id TEXT NOT NULL UNIQUE,"
	"  principal TEXT NOT NULL,"
	"  state TEXT NOT NULL,"
	"  is_final INTEGER NOT NULL CHECK (is_final IN (0, 1)),"
	"  created_ms INTEGER NOT NULL,"
	"  updated_ms INTEGER NOT NULL,"
	"  inputs_json TEXT,"
	"  certificate_id TEXT REFERENCES certificate (id)"
	") STRICT;"
	"CREATE INDEX job_unfinished ON job (seq) WHERE is_final = 0;"
	"CREATE INDEX job_final ON job (updated_ms) WHERE is_final = 1;"
	"CREATE INDEX job_certificate ON job (certificate_id);",
};

#define STORE_VERSION ((int)(sizeof(store_schema) / sizeof(store_schema[0])))

#endif
