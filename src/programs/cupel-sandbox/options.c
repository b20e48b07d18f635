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
	return err_set(err, E_INVALID,
		"--limit: expected NAME=VALUE with a known name, got '%s', see --help", text);
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
	return err_set(err, E_INVALID,
		"--may-lack: expected a layer of the manual, or rootless, got '%s'", name);
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
	int status = str_parse_u64(value, 1, POOL_SIZE_MAX, &options->ready, err);
	if (status < 0)
		err_wrap(err, "--ready");
	return status;
}

enum { FOR_RUN = 1, FOR_POOL = 2, FOR_BOTH = FOR_RUN | FOR_POOL };

/* An option is a flag, or has a value: taken by a function, or a text that is kept. */
static const struct option {
	const char *name;
	unsigned commands;
	bool is_flag;
	int (*take)(struct options *options, const char *value, struct err *err);
	size_t offset; /* of the flag or the text in struct options */
} known_options[] = {
#define TAKEN(name, commands, function) { name, commands, false, function, 0 }
#define TEXT(name, commands, member) \
	{ name, commands, false, NULL, offsetof(struct options, member) }
#define FLAG(name, commands, member) \
	{ name, commands, true, NULL, offsetof(struct options, member) }
	TAKEN("--root", FOR_BOTH, take_root),
	TAKEN("--mask", FOR_BOTH, take_mask),
	TAKEN("--app", FOR_RUN, take_app),
	TAKEN("--data", FOR_RUN, take_data),
	TAKEN("--tier", FOR_BOTH, take_tier),
	TAKEN("--env", FOR_RUN, add_env),
	TAKEN("--limit", FOR_BOTH, set_limit),
	TAKEN("--may-lack", FOR_BOTH, allow_lack),
	TAKEN("--ready", FOR_POOL, take_ready),
	TEXT("--cwd", FOR_RUN, plan.cwd),
	TEXT("--pool", FOR_RUN, pool),
	TEXT("--listen", FOR_POOL, listen),
	TEXT("--status", FOR_POOL, status),
	FLAG("--trace", FOR_BOTH, show_trace),
	FLAG("--json", FOR_RUN, show_json),
	FLAG("--exec-in-work", FOR_BOTH, plan.allow_exec_in_work),
#undef TAKEN
#undef TEXT
#undef FLAG
};

static int find_option(
	const char *name, unsigned command, const struct option **ret_option, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(known_options); i++) {
		if (!str_equal(known_options[i].name, name))
			continue;
		if (!(known_options[i].commands & command))
			return err_set(err, E_INVALID, "%s: not for %s, see --help", name,
				command == FOR_RUN ? "run, but for pool" : "pool, but for run");
		*ret_option = &known_options[i];
		return 0;
	}
	return err_set(err, E_INVALID, "unknown option %s, see --help", name);
}

/* value is NULL when nothing follows. */
static int take_option(
	struct options *options, const struct option *option, const char *value, struct err *err)
{
	uint8_t *member = (uint8_t *)options + option->offset;
	if (option->is_flag) {
		*(bool *)member = true;
		return 0;
	}
	if (!value)
		return err_set(err, E_INVALID, "%s: expected a value", option->name);
	if (option->take)
		return option->take(options, value, err);
	memcpy(member, &value, sizeof(value));
	return 0;
}

int options_parse(struct options *options, bool is_pool, int argc, char **argv, struct err *err)
{
	const struct option *option;
	int i = 0;
	*options = (struct options){
		.files = SANDBOX_FILES_NONE,
		.plan = { .limits = SANDBOX_LIMITS_DEFAULT, .may_lack = SANDBOX_LAYERS_BELTS },
		.ready = POOL_READY_DEFAULT,
	};
	options->plan.env = options->env;
	for (; i < argc && argv[i][0] == '-'; i++) {
		if (str_equal(argv[i], "--")) {
			i++;
			break;
		}
		TRY(find_option(argv[i], is_pool ? FOR_POOL : FOR_RUN, &option, err));
		TRY(take_option(options, option, i + 1 < argc ? argv[i + 1] : NULL, err));
		i += !option->is_flag;
	}
	if (i < argc)
		options->plan.argv = (const char *const *)(argv + i);
	options->plan.trace = options->show_trace ? SANDBOX_TRACE_EXEC : SANDBOX_TRACE_NONE;
	return 0;
}
