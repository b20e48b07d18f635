/* Names, bounds and checks of plans: the pure part of the sandbox. */
#include "engines/sandbox/sandbox.h"

#include <assert.h>
#include <string.h>

#include "kit/base/str.h"

enum { PAGE_BYTES = 4096, HOSTNAME_BYTES_MAX = 63, CWD_BYTES_MAX = 4095 };

static const char *const cause_names[SANDBOX_CAUSE_COUNT] = {
	[SANDBOX_CAUSE_EXITED] = "exited",
	[SANDBOX_CAUSE_SIGNALLED] = "signalled",
	[SANDBOX_CAUSE_WALL_TIMEOUT] = "wall-timeout",
	[SANDBOX_CAUSE_CPU_TIMEOUT] = "cpu-timeout",
	[SANDBOX_CAUSE_MEMORY] = "memory",
	[SANDBOX_CAUSE_DISK] = "disk",
	[SANDBOX_CAUSE_PROCESSES] = "processes",
	[SANDBOX_CAUSE_OUTPUT] = "output",
	[SANDBOX_CAUSE_CANCELLED] = "cancelled",
	[SANDBOX_CAUSE_DENIED] = "denied",
	[SANDBOX_CAUSE_INTERNAL] = "internal",
};

static const char *const layer_names[SANDBOX_LAYER_COUNT] = {
	[SANDBOX_LAYER_NAMESPACES] = "namespaces",
	[SANDBOX_LAYER_USER] = "user",
	[SANDBOX_LAYER_ROOT] = "root",
	[SANDBOX_LAYER_SECCOMP] = "seccomp",
	[SANDBOX_LAYER_LANDLOCK] = "landlock",
	[SANDBOX_LAYER_NOEXEC] = "noexec",
	[SANDBOX_LAYER_MEMFD_NOEXEC] = "memfd-noexec",
	[SANDBOX_LAYER_MEMORY_LIMIT] = "memory-limit",
	[SANDBOX_LAYER_TASK_LIMIT] = "task-limit",
	[SANDBOX_LAYER_CPU_LIMIT] = "cpu-limit",
	[SANDBOX_LAYER_PROCESS_LIMIT] = "process-limit",
	[SANDBOX_LAYER_DISK_LIMIT] = "disk-limit",
	[SANDBOX_LAYER_DEVICES] = "devices",
	[SANDBOX_LAYER_APPARMOR] = "apparmor",
};

static const char *const tier_names[SANDBOX_TIER_COUNT] = {
	[SANDBOX_TIER_COLD] = "cold",
	[SANDBOX_TIER_WARM] = "warm",
	[SANDBOX_TIER_HOT] = "hot",
	[SANDBOX_TIER_PARKED] = "parked",
	[SANDBOX_TIER_ZYGOTE] = "zygote",
};

static const char *const backend_names[SANDBOX_BACKEND_COUNT] = {
	[SANDBOX_BACKEND_CGROUP_V2] = "cgroup-v2",
	[SANDBOX_BACKEND_CGROUP_V1] = "cgroup-v1",
	[SANDBOX_BACKEND_NONE] = "none",
};

static const char *const trace_names[SANDBOX_TRACE_COUNT] = {
	[SANDBOX_TRACE_NONE] = "none",
	[SANDBOX_TRACE_EXEC] = "exec",
	[SANDBOX_TRACE_FILES] = "files",
};

const char *sandbox_cause_name(enum sandbox_cause cause)
{
	assert(cause < SANDBOX_CAUSE_COUNT);
	return cause_names[cause];
}

const char *sandbox_layer_name(enum sandbox_layer layer)
{
	assert(layer < SANDBOX_LAYER_COUNT);
	return layer_names[layer];
}

const char *sandbox_tier_name(enum sandbox_tier tier)
{
	assert(tier < SANDBOX_TIER_COUNT);
	return tier_names[tier];
}

const char *sandbox_backend_name(enum sandbox_backend backend)
{
	assert(backend < SANDBOX_BACKEND_COUNT);
	return backend_names[backend];
}

const char *sandbox_trace_name(enum sandbox_trace trace)
{
	assert(trace < SANDBOX_TRACE_COUNT);
	return trace_names[trace];
}

struct bound {
	const char *name;
	uint64_t value;
	uint64_t min;
	uint64_t max;
	bool counts_pages;
};

static int check_limits(const struct sandbox_limits *limits, struct err *err)
{
	const struct bound bounds[] = {
		{ "wall_ms", limits->wall_ms, 1, 7ull * 24 * 3600 * 1000, false },
		{ "cpu_ms", limits->cpu_ms, 1, 7ull * 24 * 3600 * 1000 * 1024, false },
		/* Below 1 MiB no program starts; 1 TiB is beyond any machine meant here. */
		{ "memory_bytes", limits->memory_bytes, 1ull << 20, 1ull << 40, true },
		{ "disk_bytes", limits->disk_bytes, PAGE_BYTES, 1ull << 40, true },
		{ "disk_files", limits->disk_files, 16, 1ull << 24, false },
		{ "file_bytes", limits->file_bytes, PAGE_BYTES, 1ull << 40, true },
		{ "output_bytes", limits->output_bytes, 1, 1ull << 32, false },
		{ "processes", limits->processes, 1, 4096, false },
		{ "tasks", limits->tasks, limits->processes, 32768, false },
	};
	for (size_t i = 0; i < ARRAY_SIZE(bounds); i++) {
		const struct bound *b = &bounds[i];
		if (b->value < b->min || b->value > b->max)
			return err_set(err, E_INVALID, "limit %s: expected %llu to %llu, got %llu",
				b->name, (unsigned long long)b->min, (unsigned long long)b->max,
				(unsigned long long)b->value);
		if (b->counts_pages && b->value % PAGE_BYTES)
			return err_set(err, E_INVALID,
				"limit %s: expected a multiple of %d, got %llu", b->name,
				PAGE_BYTES, (unsigned long long)b->value);
	}
	return 0;
}

static int check_strings(const struct sandbox_plan *plan, struct err *err)
{
	size_t count = 0;
	size_t bytes = 0;
	for (size_t i = 0; plan->argv[i]; i++, count++)
		bytes += strlen(plan->argv[i]) + 1;
	for (size_t i = 0; plan->env && plan->env[i]; i++, count++) {
		bytes += strlen(plan->env[i]) + 1;
		if (!strchr(plan->env[i], '=') || plan->env[i][0] == '=')
			return err_set(err, E_INVALID, "env %zu: expected NAME=value", i);
	}
	/* Room is left for working directory and host name in the same message. */
	if (count > SANDBOX_STRINGS_MAX)
		return err_set(err, E_INVALID, "arguments and environment: %zu strings, at most %d",
			count, SANDBOX_STRINGS_MAX);
	if (bytes > SANDBOX_TEXT_BYTES_MAX - CWD_BYTES_MAX - HOSTNAME_BYTES_MAX - 2)
		return err_set(err, E_INVALID, "arguments and environment: %zu bytes, at most %d",
			bytes, SANDBOX_TEXT_BYTES_MAX - CWD_BYTES_MAX - HOSTNAME_BYTES_MAX - 2);
	return 0;
}

int sandbox_plan_check(const struct sandbox_plan *plan, struct err *err)
{
	if (!plan->argv || !plan->argv[0] || !plan->argv[0][0])
		return err_set(err, E_INVALID, "argv: expected at least the program, got nothing");
	TRY(check_strings(plan, err));
	if (plan->cwd && (plan->cwd[0] != '/' || strlen(plan->cwd) > CWD_BYTES_MAX))
		return err_set(err, E_INVALID, "cwd: expected an absolute path below %d bytes",
			CWD_BYTES_MAX + 1);
	if (plan->hostname && !str_is_file_name(view_string(plan->hostname), HOSTNAME_BYTES_MAX))
		return err_set(err, E_INVALID, "hostname: expected [A-Za-z0-9._-], 1 to %d bytes",
			HOSTNAME_BYTES_MAX);
	if (plan->trace >= SANDBOX_TRACE_COUNT || (plan->may_lack & ~SANDBOX_LAYERS_ALL))
		return err_set(err, E_INVALID, "trace or may_lack: unknown value");
	return check_limits(&plan->limits, err);
}
