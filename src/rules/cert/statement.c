/* See statement.h. */
#include "rules/cert/statement.h"

#include "kit/base/mem.h"
#include "kit/base/str.h"

#define ID_PREFIX "cert_"
enum { ID_DIGITS = 26 };

static const char base32_digits[] = "abcdefghijklmnopqrstuvwxyz234567";

int cert_digest_json(
	const struct json *value, uint8_t ret_digest[static SHA256_SIZE], struct err *err)
{
	auto_done(buf) text = {};
	TRY(json_encode(value, &text, err));
	hash_bytes(HASH_SHA256, buf_view(&text), ret_digest);
	return 0;
}

static void set_sha256_of(struct json *object, const char *name, struct view bytes)
{
	uint8_t digest[SHA256_SIZE];
	hash_bytes(HASH_SHA256, bytes, digest);
	json_set_hex(object, name, view_of(digest, sizeof(digest)));
}

static struct json *datasets_json(const struct cert_inputs *inputs)
{
	struct json *rows = json_new_array();
	for (size_t i = 0; i < inputs->dataset_count; i++) {
		const struct cert_dataset *dataset = &inputs->datasets[i];
		struct json *row = json_new_object();
		struct json *digest = json_new_object();
		json_set_hex(digest, "sha256", view_of(dataset->sha256, SHA256_SIZE));
		json_set_string(row, "name", dataset->name);
		json_set_string(row, "format", dataset->format);
		json_set_integer(row, "bytes", (int64_t)dataset->size_bytes);
		json_set(row, "digest", digest);
		json_set_hex(row, "sha3_256", view_of(dataset->sha3_256, SHA256_SIZE));
		json_append(rows, row);
	}
	return rows;
}

static struct json *scripts_json(const struct execute_request *request)
{
	struct json *rows = json_new_array();
	for (size_t i = 0; i < request->script_count; i++) {
		struct json *row = json_new_object();
		json_set_string(row, "path", request->scripts[i].name);
		set_sha256_of(row, "sha256", request->scripts[i].text);
		json_append(rows, row);
	}
	return rows;
}

static struct json *tools_json(const struct cert_inputs *inputs)
{
	struct json *rows = json_new_array();
	for (size_t i = 0; i < inputs->tool_count; i++) {
		struct json *row = json_new_object();
		json_set_string(row, "name", inputs->tools[i].name);
		json_set_string(row, "version", inputs->tools[i].version);
		json_set_string(row, "sha256", inputs->tools[i].sha256);
		json_append(rows, row);
	}
	return rows;
}

static bool is_secret(const struct execute_request *request, const char *pair)
{
	for (size_t i = 0; i < request->env_count; i++) {
		size_t size = strlen(request->env[i].name);
		if (request->env[i].is_secret && strncmp(pair, request->env[i].name, size) == 0 &&
			pair[size] == '=')
			return true;
	}
	return false;
}

static struct json *env_json(const struct cert_inputs *inputs)
{
	struct json *rows = json_new_array();
	for (size_t i = 0; i < inputs->plan->env_count; i++) {
		const char *pair = inputs->plan->env[i];
		const char *value = strchr(pair, '=') + 1;
		struct json *row = json_new_object();
		json_set(row, "name", json_new_string(view_of(pair, (size_t)(value - pair) - 1)));
		if (is_secret(inputs->request, pair))
			set_sha256_of(row, "sha256", view_string(value));
		else
			json_set_string(row, "value", value);
		json_append(rows, row);
	}
	return rows;
}

static struct json *limits_json(const struct execute_limits *limits, bool wants_results)
{
	struct json *object = json_new_object();
	json_set_integer(object, "timeoutSeconds", limits->timeout_seconds);
	json_set_integer(object, "maxMemoryMb", limits->max_memory_mb);
	json_set_integer(object, "maxDiskMb", limits->max_disk_mb);
	json_set_integer(object, "maxFileMb", limits->max_file_mb);
	json_set_integer(object, "maxProcesses", limits->max_processes);
	json_set_integer(object, "maxOutputKb", limits->max_output_kb);
	if (wants_results)
		json_set_integer(object, "maxResultsKb", limits->max_results_kb);
	return object;
}

static struct json *sandbox_json(const struct cert_inputs *inputs)
{
	struct json *sandbox = json_new_object();
	struct json *argv = json_new_array();
	for (size_t i = 0; i < inputs->plan->argc; i++)
		json_append(argv, json_new_string(view_string(inputs->plan->argv[i])));
	json_set_string(sandbox, "rootfs", inputs->rootfs_sha256);
	json_set(sandbox, "scripts", scripts_json(inputs->request));
	json_set(sandbox, "tools", tools_json(inputs));
	json_set(sandbox, "env", env_json(inputs));
	json_set(sandbox, "argv", argv);
	set_sha256_of(sandbox, "stdin", inputs->request->stdin_text);
	json_set(sandbox, "limits",
		limits_json(&inputs->request->limits, inputs->request->wants_results));
	if (inputs->request->wants_results)
		json_set_boolean(sandbox, "collect", true);
	json_set_string(sandbox, "network", "none");
	json_set_string(sandbox, "tier", inputs->tier);
	json_set_string(sandbox, "warmup", inputs->warmup_sha256);
	return sandbox;
}

struct json *cert_inputs_json(const struct cert_inputs *inputs)
{
	struct json *object = json_new_object();
	struct json *policy = json_new_object();
	struct json *platform = json_new_object();
	json_set(policy, "outputGate", json_new_null());
	json_set(policy, "egress", json_new_null());
	json_set_string(platform, "runtime", "cupel");
	json_set_string(platform, "version", inputs->runtime_version);
	json_set_string(platform, "determinism", "D1");
	json_set(object, "dataset", datasets_json(inputs));
	json_set(object, "sandbox", sandbox_json(inputs));
	json_set(object, "llm", json_new_null());
	json_set(object, "policy", policy);
	json_set(object, "platform", platform);
	return object;
}

int cert_dataset_digest(
	const struct json *inputs, uint8_t ret_digest[static SHA256_SIZE], struct err *err)
{
	const struct json *datasets = json_get(inputs, "dataset");
	auto_json *rows = json_new_array();
	if (datasets && json_size(datasets) == 1) {
		const struct json *digest = json_get(json_at(datasets, 0), "digest");
		return hex_decode(
			json_as_view(json_get(digest, "sha256")), ret_digest, SHA256_SIZE, err);
	}
	for (size_t i = 0; datasets && i < json_size(datasets); i++) {
		const struct json *name = json_get(json_at(datasets, i), "name");
		const struct json *sha256 = json_get(
			json_get(json_at(datasets, i), "digest"), "sha256");
		struct json *row = json_new_object();
		json_append(rows, row);
		if (!json_as_string(name) || !json_as_string(sha256))
			return err_set(err, E_INVALID, "dataset %zu has no name or digest", i);
		json_set(row, "name", json_share(name));
		json_set(row, "sha256", json_share(sha256));
	}
	return cert_digest_json(rows, ret_digest, err);
}

struct json *cert_outcome_json(const struct cert_outcome *outcome)
{
	struct json *object = json_new_object();
	struct json *result = json_new_object();
	json_set_hex(result, "sha256", view_of(outcome->result_sha256, SHA256_SIZE));
	json_set_integer(result, "bytes", (int64_t)outcome->result_bytes);
	json_set_string(object, "status", outcome->status);
	json_set(object, "exitCode",
		outcome->has_exit_code ? json_new_integer(outcome->exit_code) : json_new_null());
	json_set(object, "result", result);
	json_set(object, "gate", json_new_null());
	if (outcome->files)
		json_set(object, "files", json_share(outcome->files));
	return object;
}

int cert_claim_digest(const uint8_t inputs_digest[static SHA256_SIZE], const struct json *outcome,
	uint8_t ret_digest[static SHA256_SIZE], struct err *err)
{
	auto_json *claim = json_new_object();
	json_set_integer(claim, "v", 1);
	json_set_hex(claim, "inputsDigest", view_of(inputs_digest, SHA256_SIZE));
	json_set(claim, "outcome", json_share(outcome));
	return cert_digest_json(claim, ret_digest, err);
}

int cert_report_data(const uint8_t claim_digest[static SHA256_SIZE], const struct json *run,
	struct view spki, uint8_t ret_report_data[static CERT_REPORT_DATA_SIZE], struct err *err)
{
	uint8_t run_digest[SHA256_SIZE], key_digest[SHA256_SIZE];
	TRY(cert_digest_json(run, run_digest, err));
	hash_bytes(HASH_SHA256, spki, key_digest);
	struct view parts[] = {
		view_of(CERT_BINDING_DOMAIN, sizeof(CERT_BINDING_DOMAIN)), /* with its NUL */
		view_of(claim_digest, SHA256_SIZE),
		view_of(run_digest, SHA256_SIZE),
		view_of(key_digest, SHA256_SIZE),
	};
	hash_parts(HASH_SHA512, parts, ARRAY_SIZE(parts), ret_report_data);
	return 0;
}

static struct json *subject(const char *name, const struct json *hex)
{
	struct json *object = json_new_object();
	struct json *digest = json_new_object();
	json_set(digest, "sha256", json_share(hex));
	json_set_string(object, "name", name);
	json_set(object, "digest", digest);
	return object;
}

static int subjects(const struct cert_parts *parts, struct json *ret_subjects, struct err *err)
{
	uint8_t inputs_digest[SHA256_SIZE], claim_digest[SHA256_SIZE];
	auto_json *hex = json_new_object();
	TRY(cert_digest_json(parts->inputs, inputs_digest, err));
	TRY(cert_claim_digest(inputs_digest, parts->outcome, claim_digest, err));
	json_set_hex(hex, "inputs", view_of(inputs_digest, SHA256_SIZE));
	json_set_hex(hex, "claim", view_of(claim_digest, SHA256_SIZE));
	json_append(ret_subjects,
		subject("result", json_get(json_get(parts->outcome, "result"), "sha256")));
	json_append(ret_subjects, subject("claim", json_get(hex, "claim")));
	json_append(ret_subjects, subject("inputs", json_get(hex, "inputs")));
	return 0;
}

int cert_statement(const struct cert_parts *parts, struct buf *ret_statement, struct err *err)
{
	auto_json *statement = json_new_object();
	struct json *list = json_new_array();
	struct json *predicate = json_new_object();
	json_set_string(statement, "_type", CERT_STATEMENT_TYPE);
	json_set(statement, "subject", list);
	json_set_string(statement, "predicateType",
		parts->is_hardware ? CERT_PREDICATE_HARDWARE : CERT_PREDICATE_SIMULATED);
	json_set(statement, "predicate", predicate);
	json_set(predicate, "inputs", json_share(parts->inputs));
	json_set(predicate, "outcome", json_share(parts->outcome));
	json_set(predicate, "run", json_share(parts->run));
	json_set(predicate, "evidence", json_share(parts->evidence));
	TRY(subjects(parts, list, err));
	ret_statement->limit = CERT_STATEMENT_MAX;
	return json_encode(statement, ret_statement, err);
}

void cert_id(struct view statement, char ret_id[static CERT_ID_SIZE])
{
	uint8_t digest[SHA256_SIZE];
	size_t prefix = strlen(ID_PREFIX);
	hash_bytes(HASH_SHA256, statement, digest);
	memcpy(ret_id, ID_PREFIX, prefix);
	for (size_t i = 0; i < ID_DIGITS; i++) {
		size_t bit = 5 * i;
		unsigned pair = (unsigned)digest[bit / 8] << 8 | digest[bit / 8 + 1];
		ret_id[prefix + i] = base32_digits[pair >> (11 - bit % 8) & 31];
	}
	ret_id[prefix + ID_DIGITS] = 0;
}

bool cert_is_id(const char *text)
{
	size_t prefix = strlen(ID_PREFIX);
	if (!str_starts(text, ID_PREFIX) || strlen(text) != prefix + ID_DIGITS)
		return false;
	for (const char *at = text + prefix; *at; at++)
		if (!strchr(base32_digits, *at))
			return false;
	return true;
}
