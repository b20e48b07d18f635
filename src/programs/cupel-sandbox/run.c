/* cupel-sandbox run: one program in a sandbox, its streams passed through. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "programs/cupel-sandbox/commands.h"
#include "programs/cupel-sandbox/tier.h"
#include "engines/sandbox/slot.h"
#include "kit/base/fd.h"
#include "kit/base/str.h"

enum { ENV_MAX = 256, FD_OUT_OF_THE_WAY = 32, SIGNAL_BASE = 128 };

struct run {
	struct sandbox_plan plan;
	struct sandbox_files files;
	const char *env[ENV_MAX + 1];
	size_t env_count;
	enum sandbox_tier tier;
	bool show_trace;
	bool show_json;
	int terminal; /* our own stderr */
	struct sandbox_result result;
};

static const struct {
	const char *name;
	size_t offset;
	bool is_32;
} limit_names[] = {
#define WIDE(member) { #member, offsetof(struct sandbox_limits, member), false }
#define NARROW(member) { #member, offsetof(struct sandbox_limits, member), true }
	WIDE(wall_ms),
	WIDE(cpu_ms),
	WIDE(memory_bytes),
	WIDE(disk_bytes),
	WIDE(disk_files),
	WIDE(file_bytes),
	WIDE(output_bytes),
	NARROW(processes),
	NARROW(tasks),
#undef WIDE
#undef NARROW
};

static int set_limit(struct run *run, const char *text, struct err *err)
{
	const char *equals = strchr(text, '=');
	uint64_t value;
	for (size_t i = 0; equals && i < ARRAY_SIZE(limit_names); i++) {
		struct view name = view_of(text, (size_t)(equals - text));
		uint8_t *member = (uint8_t *)&run->plan.limits + limit_names[i].offset;
		if (!view_equal_string(name, limit_names[i].name))
			continue;
		TRY(str_parse_u64(equals + 1, 1, limit_names[i].is_32 ? UINT32_MAX : UINT64_MAX,
			&value, err));
		memcpy(member, &value, limit_names[i].is_32 ? sizeof(uint32_t) : sizeof(value));
		return 0;
	}
	return err_set(
		err, E_INVALID, "--limit: expected NAME=VALUE with a known name, see --help");
}

static int open_directory(const char *path, int *ret_fd, struct err *err)
{
	return fd_open(path, O_RDONLY | O_DIRECTORY, 0, ret_fd, err);
}

/* A detached copy of a directory's mount; the supervisor makes it read-only. */
static int open_input(const char *path, int *ret_fd, struct err *err)
{
	if (geteuid() != 0)
		return open_directory(path, ret_fd, err);
	*ret_fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC);
	return *ret_fd < 0 ? err_sys(err, E_UNAVAILABLE, "open_tree %s", path) : 0;
}

static int add_env(struct run *run, const char *entry, struct err *err)
{
	if (run->env_count == ENV_MAX)
		return err_set(err, E_LIMIT, "--env: at most %d", ENV_MAX);
	run->env[run->env_count++] = entry;
	return 0;
}

static int allow_lack(struct run *run, const char *name, struct err *err)
{
	if (str_equal(name, "rootless")) {
		run->plan.may_lack |= SANDBOX_LAYERS_ROOT;
		return 0;
	}
	for (unsigned i = 0; i < SANDBOX_LAYER_COUNT; i++) {
		if (!str_equal(name, sandbox_layer_name((enum sandbox_layer)i)))
			continue;
		run->plan.may_lack |= SANDBOX_LAYER_BIT(i);
		return 0;
	}
	return err_set(err, E_INVALID, "--may-lack: expected a layer of the manual, or rootless");
}

static int take_value(struct run *run, const char *option, const char *value, struct err *err)
{
	if (str_equal(option, "--root"))
		return open_directory(value, &run->files.root_fd, err);
	if (str_equal(option, "--mask"))
		return open_directory(value, &run->files.mask_fd, err);
	if (str_equal(option, "--app"))
		return open_input(value, &run->files.app_fd, err);
	if (str_equal(option, "--data"))
		return open_input(value, &run->files.data_fd, err);
	if (str_equal(option, "--tier"))
		return tier_parse(value, &run->tier, err);
	if (str_equal(option, "--env"))
		return add_env(run, value, err);
	if (str_equal(option, "--limit"))
		return set_limit(run, value, err);
	if (str_equal(option, "--may-lack"))
		return allow_lack(run, value, err);
	if (str_equal(option, "--cwd")) {
		run->plan.cwd = value;
		return 0;
	}
	return err_set(err, E_INVALID, "unknown option %s, see --help", option);
}

static bool take_flag(struct run *run, const char *option)
{
	bool *flags[] = { &run->show_trace, &run->show_json, &run->plan.allow_exec_in_work };
	static const char *const names[] = { "--trace", "--json", "--exec-in-work" };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!str_equal(option, names[i]))
			continue;
		*flags[i] = true;
		return true;
	}
	return false;
}

static int parse(struct run *run, int argc, char **argv, struct err *err)
{
	int i = 0;
	for (; i < argc && str_starts(argv[i], "--"); i++) {
		if (str_equal(argv[i], "--")) {
			i++;
			break;
		}
		if (take_flag(run, argv[i]))
			continue;
		if (i + 1 == argc)
			return err_set(err, E_INVALID, "%s: expected a value", argv[i]);
		TRY(take_value(run, argv[i], argv[i + 1], err));
		i++;
	}
	if (i >= argc)
		return err_set(err, E_INVALID, "expected a program to run, got none");
	run->plan.argv = (const char *const *)(argv + i);
	return 0;
}

static void print_json(const struct run *run)
{
	const struct sandbox_result *r = &run->result;
	const struct sandbox_statistics *s = &r->statistics;
	(void)dprintf(run->terminal,
		"{\"cause\":\"%s\",\"exit_code\":%d,\"signal\":%d,\"tier\":\"%s\",\"backend\":\"%"
		"s\","
		"\"wall_usec\":%llu,\"cpu_usec\":%llu,\"memory_peak_bytes\":%llu,"
		"\"disk_bytes\":%llu,\"stdout_bytes\":%llu,\"stderr_bytes\":%llu,"
		"\"processes_peak\":%u,\"processes_total\":%u,\"forks_refused\":%u,"
		"\"oom_kills\":%u,\"trace_complete\":%s,\"not_enforced\":[",
		sandbox_cause_name(r->cause), r->exit_code, r->signal, sandbox_tier_name(r->tier),
		sandbox_backend_name(r->backend), (unsigned long long)s->wall_usec,
		(unsigned long long)s->cpu_usec, (unsigned long long)s->memory_peak_bytes,
		(unsigned long long)s->disk_bytes, (unsigned long long)s->stdout_bytes,
		(unsigned long long)s->stderr_bytes, s->processes_peak, s->processes_total,
		s->forks_refused, s->oom_kills, r->trace_complete ? "true" : "false");
	const char *comma = "";
	for (unsigned i = 0; i < SANDBOX_LAYER_COUNT; i++) {
		if (r->enforced & SANDBOX_LAYER_BIT(i))
			continue;
		(void)dprintf(run->terminal, "%s\"%s\"", comma,
			sandbox_layer_name((enum sandbox_layer)i));
		comma = ",";
	}
	(void)dprintf(run->terminal, "]}\n");
}

static void on_event(void *context, const struct sandbox_event *event)
{
	struct run *run = context;
	if (event->kind == SANDBOX_EVENT_EXEC && run->show_trace)
		(void)dprintf(run->terminal, "[%llu us] %u from %u: exec %s\n",
			(unsigned long long)event->t_usec, event->pid, event->ppid, event->path);
	if (event->kind == SANDBOX_EVENT_EXIT && run->show_trace)
		(void)dprintf(run->terminal, "[%llu us] %u: exit %d\n",
			(unsigned long long)event->t_usec, event->pid, event->exit_code);
	if (event->kind == SANDBOX_EVENT_DONE)
		run->result = event->result;
}

/* The payload's streams take our 0, 1 and 2: keep copies of them elsewhere. */
static int move_stdio(struct run *run, struct err *err)
{
	int *const targets[] = { &run->files.stdin_fd, &run->files.stdout_fd,
		&run->files.stderr_fd };
	for (int fd = 0; fd < 3; fd++) {
		*targets[fd] = fcntl(fd, F_DUPFD_CLOEXEC, FD_OUT_OF_THE_WAY);
		if (*targets[fd] < 0 && fd_open("/dev/null", O_RDWR, 0, targets[fd], err) < 0)
			return err_sys(err, E_UNAVAILABLE, "standard descriptor %d", fd);
	}
	run->terminal = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, FD_OUT_OF_THE_WAY);
	return 0;
}

static int exit_status(const struct run *run)
{
	const struct sandbox_result *result = &run->result;
	if (result->cause == SANDBOX_CAUSE_EXITED)
		return result->exit_code;
	if (result->cause == SANDBOX_CAUSE_SIGNALLED)
		return SIGNAL_BASE + result->signal;
	(void)dprintf(run->terminal, "cupel-sandbox: %s: %s\n", sandbox_cause_name(result->cause),
		result->text);
	return COMMAND_EXIT_LIMIT;
}

/* Cold needs no second process: we are the supervisor. */
static int run_plan(struct run *run, struct err *err)
{
	if (run->tier == SANDBOX_TIER_COLD)
		return slot_run_local(&run->plan, &run->files, on_event, run, err);
	return tier_run(run->tier, &run->plan, &run->files, on_event, run, err);
}

int command_run(int argc, char **argv)
{
	struct run run = { .files = SANDBOX_FILES_NONE, .terminal = STDERR_FILENO };
	struct err err;
	run.plan = (struct sandbox_plan){
		.env = run.env, .limits = SANDBOX_LIMITS_DEFAULT, .may_lack = SANDBOX_LAYERS_BELTS
	};
	if (parse(&run, argc, argv, &err) < 0) {
		(void)dprintf(STDERR_FILENO, "cupel-sandbox: %s\n", err.message);
		return COMMAND_EXIT_USAGE;
	}
	run.plan.trace = run.show_trace ? SANDBOX_TRACE_EXEC : SANDBOX_TRACE_NONE;
	if (move_stdio(&run, &err) < 0 || run_plan(&run, &err) < 0) {
		(void)dprintf(run.terminal, "cupel-sandbox: %s\n", err.message);
		return err.category == E_INVALID ? COMMAND_EXIT_USAGE : COMMAND_EXIT_LIMIT;
	}
	if (run.show_json)
		print_json(&run);
	_exit(exit_status(&run)); /* a cold run is under the supervisor's filter: nothing more */
}
