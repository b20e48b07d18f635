/*
 * The request of POST /execute: one strict reading of the JSON into a complete value, or a refusal
 * with the path of the fault. Contract: spec/execute.schema.json.
 *
 * The value borrows all text from its own JSON tree; nothing is copied, datasets least of all.
 */
#ifndef RULES_JOB_EXECUTE_H
#define RULES_JOB_EXECUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "kit/base/buf.h"
#include "kit/codec/json.h"
#include "kit/crypto/hash.h"
#include "rules/lang/lang.h"

#define EXECUTE_DATASETS_MAX 16
#define EXECUTE_SCRIPTS_MAX 64
#define EXECUTE_TOOLS_MAX 128
#define EXECUTE_ARGS_MAX 64
#define EXECUTE_ENV_MAX 64
#define EXECUTE_NAME_MAX 128              /* bytes of a file name */
#define EXECUTE_SCRIPT_BYTES_MAX 1048576  /* one script */
#define EXECUTE_SCRIPTS_BYTES_MAX 8388608 /* all scripts */
#define EXECUTE_TEXT_MAX 4096             /* one argument or environment value */
#define EXECUTE_VALUES_BYTES_MAX 8192     /* args and env as canonical JSON: certified in clear */
#define EXECUTE_URL_MAX 2048
#define EXECUTE_STDIN_MAX 1048576

/* Ceilings (and defaults) of the seed; see DESIGN section 7. */
#define EXECUTE_TIMEOUT_SECONDS_MAX 300
#define EXECUTE_MEMORY_MB_MAX 512
#define EXECUTE_MEMORY_MB_MIN 16
#define EXECUTE_DISK_MB_MAX 100
#define EXECUTE_FILE_MB_MAX 10
#define EXECUTE_PROCESSES_MAX 10
#define EXECUTE_OUTPUT_KB_MAX 10240
#define EXECUTE_OUTPUT_KB_DEFAULT 1024
#define EXECUTE_RESULTS_KB_MAX 10240
#define EXECUTE_RESULTS_KB_DEFAULT 1024

enum execute_source {
	EXECUTE_TEXT,   /* the string itself is the dataset */
	EXECUTE_BASE64, /* the string behind "base64:" */
	EXECUTE_VALUE,  /* an object or array, written as compact JSON */
	EXECUTE_URL,    /* to be fetched */
	EXECUTE_PART,   /* a part of the multipart body */
};

struct execute_dataset {
	char name[EXECUTE_NAME_MAX + 1]; /* file below /data */
	const char *format;              /* "csv", "json", "txt" or "bin" */
	enum execute_source source;
	struct view text; /* text, base64 characters, URL, or name of the part */
	const struct json *value;
	bool has_sha256;
	uint8_t sha256[SHA256_SIZE]; /* what the caller says it must be */
};

struct execute_script {
	const char *name; /* file below /app */
	struct view text;
};

struct execute_env {
	const char *name;
	struct view value;
	bool is_secret; /* only its digest appears in the certificate */
};

struct execute_limits {
	int64_t timeout_seconds;
	int64_t max_memory_mb;
	int64_t max_disk_mb;
	int64_t max_file_mb;
	int64_t max_processes;
	int64_t max_output_kb;  /* of stdout and of stderr, each */
	int64_t max_results_kb; /* of all collected files together */
};

struct execute_request {
	struct json *root;
	struct execute_dataset datasets[EXECUTE_DATASETS_MAX];
	size_t dataset_count;
	bool takes_all_parts; /* no dataset named: every file of the multipart body is one */
	const char *tools[EXECUTE_TOOLS_MAX]; /* sorted, unique */
	size_t tool_count;
	struct execute_script scripts[EXECUTE_SCRIPTS_MAX]; /* sorted by name */
	size_t script_count;
	const struct lang *lang;
	const char *entrypoint;
	const char *args[EXECUTE_ARGS_MAX];
	size_t arg_count;
	struct execute_env env[EXECUTE_ENV_MAX]; /* sorted by name */
	size_t env_count;
	struct view stdin_text;
	bool traces_files;  /* "trace": "files"; else "process" */
	bool wants_results; /* "collect": the files below /work/results come back */
	struct execute_limits limits;
};

/*
 * text          the JSON document, borrowed only during the call
 * size_max      its limit in bytes
 * is_multipart  the JSON came as part "request" of a multipart body, so "part" is allowed and a
 *               missing dataset means all file parts
 *
 * Errors: E_INVALID with the path of the first fault; E_LIMIT for a count or size beyond a limit
 * above (a name too long or a value of `environment` out of range is E_INVALID); E_UNSUPPORTED when
 * the body asks for "llm". Release with execute_request_done.
 */
int execute_request_parse(struct view text, size_t size_max, bool is_multipart,
	struct execute_request *ret_request, struct err *err) MUST_CHECK;
void execute_request_done(struct execute_request *request);

/*
 * One more dataset of a multipart body: part_name (borrowed) is the part, file_name its filename.
 * E_INVALID for a bad or already used name, E_LIMIT beyond EXECUTE_DATASETS_MAX.
 */
int execute_request_add_part(struct execute_request *request, struct view part_name,
	struct view file_name, struct err *err) MUST_CHECK;

#endif
