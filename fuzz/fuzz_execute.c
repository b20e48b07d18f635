/*
 * rules/job execute: a request that is read keeps its limits, has a plan and canonical inputs, and
 * both are the same when made twice. The first byte says whether the body came as multipart.
 */
#include "fuzz.h"

#include "kit/base/str.h"
#include "rules/cert/statement.h"
#include "rules/job/execute.h"
#include "rules/job/plan.h"

FUZZ_INITIALIZE

static void check_limits(const struct execute_request *request)
{
	const struct execute_limits *limits = &request->limits;
	MUST(request->script_count >= 1 && request->script_count <= EXECUTE_SCRIPTS_MAX);
	MUST(request->tool_count >= 1 && request->tool_count <= EXECUTE_TOOLS_MAX);
	MUST(request->lang && request->entrypoint);
	for (size_t i = 0; i < request->script_count; i++)
		MUST(str_is_file_name(view_string(request->scripts[i].name), EXECUTE_NAME_MAX));
	for (size_t i = 0; i < request->dataset_count; i++)
		MUST(str_is_file_name(view_string(request->datasets[i].name), EXECUTE_NAME_MAX));
	MUST(limits->timeout_seconds >= 1 &&
		limits->timeout_seconds <= EXECUTE_TIMEOUT_SECONDS_MAX);
	MUST(limits->max_memory_mb >= EXECUTE_MEMORY_MB_MIN &&
		limits->max_memory_mb <= EXECUTE_MEMORY_MB_MAX);
	MUST(limits->max_processes >= 1 && limits->max_processes <= EXECUTE_PROCESSES_MAX);
}

static void digest_inputs(const struct execute_request *request, uint8_t *ret_digest)
{
	static const char hex[] =
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	struct err err;
	struct plan plan;
	MUST(plan_make(request, &plan, &err) == 0);
	MUST(plan.argc < PLAN_ARGV_MAX && !plan.argv[plan.argc] && !plan.env[plan.env_count]);
	auto_json *inputs = cert_inputs_json(&(struct cert_inputs){ .request = request,
		.plan = &plan,
		.rootfs_sha256 = hex,
		.tier = "cold",
		.runtime_version = "0" });
	MUST(cert_digest_json(inputs, ret_digest, &err) == 0);
	plan_done(&plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err;
	struct execute_request request;
	uint8_t first[SHA256_SIZE], second[SHA256_SIZE];
	bool is_multipart = size > 0 && data[0] == 'm';
	if (size == 0)
		return 0;
	if (execute_request_parse(view_of(data + 1, size - 1), size, is_multipart, &request, &err) <
		0) {
		MUST(err.category == E_INVALID || err.category == E_LIMIT ||
			err.category == E_UNSUPPORTED);
		MUST(err.message[0]);
		return 0;
	}
	check_limits(&request);
	digest_inputs(&request, first);
	digest_inputs(&request, second);
	MUST(view_equal(view_of(first, SHA256_SIZE), view_of(second, SHA256_SIZE)));
	execute_request_done(&request);
	return 0;
}
