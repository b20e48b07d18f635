/* The options of run and pool: a plan, the directories of a sandbox, and where a pool is. */
#include "programs/cupel-sandbox/options.h"

#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engines/sandbox/pool.h"
#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "programs/cupel-sandbox/tier.h"

enum { POOL_READY_DEFAULT = 2 };

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

static int set_limit(struct options *options, const char *text, struct err *err)
{
	const char *equals = strchr(text, '=');
	uint64_t value;
	for (size_t i = 0; equals && i < ARRAY_SIZE(limit_names); i++) {
		struct view name = view_of(text, (size_t)(equals - text));
		uint8_t *member = (uint8_t *)&options->plan.limits + limit_names[i].offset;
		if (!view_equal_string(name, limit_names[i].name))
			continue;
		int status = str_parse_u64(
			equals + 1, 1, limit_names[i].is_32 ? UINT32_MAX : UINT64_MAX, &value, err);
		if (status < 0) {
			err_wrap(err, "--limit %s", limit_names[i].name);
			return status;
		}
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
	auto_close directory = -1;
	TRY(open_directory(path, &directory, err));
	if (geteuid() != 0) {
		*ret_fd = take_fd(&directory);
		return 0;
	}
	*ret_fd = (int)syscall(
		SYS_open_tree, directory, "", AT_EMPTY_PATH | 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC);
	return *ret_fd < 0 ? err_sys(err, E_UNAVAILABLE, "open_tree %s", path) : 0;
}

static int add_env(struct options *options, const char *entry, struct err *err)
{
	if (options->env_count == OPTIONS_ENV_MAX)
		return err_set(err, E_LIMIT, "--env: at most %d", OPTIONS_ENV_MAX);
	options->env[options->env_count++] = entry;
	return 0;
}

static int allow_lack(struct options *options, const char *name, struct err *err)
{
	if (str_equal(name, "rootless")) {
		options->plan.may_lack |= SANDBOX_LAYERS_ROOT;
		return 0;
	}
	for (unsigned i = 0; i < SANDBOX_LAYER_COUNT; i++) {
		if (!str_equal(name, sandbox_layer_name((enum sandbox_layer)i)))
			continue;
		options->plan.may_lack |= SANDBOX_LAYER_BIT(i);
		return 0;
	}
	return err_set(err, E_INVALID, "--may-lack: expected a layer of the manual, or rootless");
}

static int take_root(struct options *options, const char *value, struct err *err)
{
	return open_directory(value, &options->files.root_fd, err);
}

static int take_mask(struct options *options, const char *value, struct err *err)
{
	return open_directory(value, &options->files.mask_fd, err);
}

static int take_app(struct options *options, const char *value, struct err *err)
{
	return open_input(value, &options->files.app_fd, err);
}

static int take_data(struct options *options, const char *value, struct err *err)
{
	return open_input(value, &options->files.data_fd, err);
}

static int take_tier(struct options *options, const char *value, struct err *err)
{
	return tier_parse(value, &options->tier, err);
}

static int take_ready(struct options *options, const char *value, struct err *err)
{
	return str_parse_u64(value, 1, POOL_SIZE_MAX, &options->ready, err);
}

/* Options with a value: taken by a function, or a text that is kept. */
static const struct value_option {
	const char *name;
	int (*take)(struct options *options, const char *value, struct err *err);
	size_t text; /* offset in struct options */
} value_options[] = {
	{ "--root", take_root, 0 },
	{ "--mask", take_mask, 0 },
	{ "--app", take_app, 0 },
	{ "--data", take_data, 0 },
	{ "--tier", take_tier, 0 },
	{ "--env", add_env, 0 },
	{ "--limit", set_limit, 0 },
	{ "--may-lack", allow_lack, 0 },
	{ "--ready", take_ready, 0 },
	{ "--cwd", NULL, offsetof(struct options, plan.cwd) },
	{ "--pool", NULL, offsetof(struct options, pool) },
	{ "--listen", NULL, offsetof(struct options, listen) },
	{ "--status", NULL, offsetof(struct options, status) },
};

static const struct value_option *find_value_option(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(value_options); i++)
		if (str_equal(value_options[i].name, name))
			return &value_options[i];
	return NULL;
}

/* value is NULL when nothing follows. */
static int take_value(struct options *options, const char *name, const char *value, struct err *err)
{
	const struct value_option *option = find_value_option(name);
	if (!option)
		return err_set(err, E_INVALID, "unknown option %s, see --help", name);
	if (!value)
		return err_set(err, E_INVALID, "%s: expected a value", name);
	if (option->take)
		return option->take(options, value, err);
	memcpy((uint8_t *)options + option->text, &value, sizeof(value));
	return 0;
}

static bool take_flag(struct options *options, const char *option)
{
	bool *flags[] = { &options->show_trace, &options->show_json,
		&options->plan.allow_exec_in_work };
	static const char *const names[] = { "--trace", "--json", "--exec-in-work" };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!str_equal(option, names[i]))
			continue;
		*flags[i] = true;
		return true;
	}
	return false;
}

int options_parse(struct options *options, int argc, char **argv, struct err *err)
{
	int i = 0;
	*options = (struct options){
		.files = SANDBOX_FILES_NONE,
		.plan = { .limits = SANDBOX_LIMITS_DEFAULT, .may_lack = SANDBOX_LAYERS_BELTS },
		.ready = POOL_READY_DEFAULT,
	};
	options->plan.env = options->env;
	for (; i < argc && str_starts(argv[i], "--"); i++) {
		if (str_equal(argv[i], "--")) {
			i++;
			break;
		}
		if (take_flag(options, argv[i]))
			continue;
		TRY(take_value(options, argv[i], i + 1 < argc ? argv[i + 1] : NULL, err));
		i++;
	}
	if (i < argc)
		options->plan.argv = (const char *const *)(argv + i);
	options->plan.trace = options->show_trace ? SANDBOX_TRACE_EXEC : SANDBOX_TRACE_NONE;
	return 0;
}
