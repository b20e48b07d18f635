/*
 * cupel-sandbox selftest: run a few sandboxes on this machine and compare the ends with what they
 * must be. The image is a temporary directory with this (static) program as its only file.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "programs/cupel-sandbox/commands.h"
#include "programs/cupel-sandbox/tier.h"
#include "engines/sandbox/sandbox.h"
#include "kit/base/fd.h"
#include "kit/base/str.h"

enum { PROGRAM_BYTES_MAX = 64 << 20, PATH_BYTES = 64, PAGE_BYTES = 4096, MEMORY_BYTES = 32 << 20 };

#define SELF "/proc/self/exe"
#define PAYLOAD "selftest-payload"

static int payload_memory(void)
{
	volatile uint8_t *bytes = mmap(
		NULL, 2 * MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; bytes != MAP_FAILED && i < 2 * MEMORY_BYTES; i += PAGE_BYTES)
		bytes[i] = 1;
	return 0;
}

static int payload_flood(void)
{
	static const char bytes[PAGE_BYTES];
	while (write(STDOUT_FILENO, bytes, sizeof(bytes)) > 0)
		;
	return 0;
}

static int payload_sleep(void)
{
	sigset_t all;
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	for (;;)
		(void)pause();
	return 0;
}

static int payload_escape(void)
{
	bool got_through = open("/proc/1/environ", O_RDONLY | O_CLOEXEC) >= 0 ||
			   open("/bin/self", O_WRONLY | O_CLOEXEC) >= 0 || setuid(0) == 0;
	return got_through ? 1 : 7;
}

static const struct {
	const char *name;
	int (*run)(void);
	enum sandbox_cause cause;
	int exit_code;
} cases[] = {
	{ "isolated", payload_escape, SANDBOX_CAUSE_EXITED, 7 },
	{ "wall time", payload_sleep, SANDBOX_CAUSE_WALL_TIMEOUT, -1 },
	{ "memory", payload_memory, SANDBOX_CAUSE_MEMORY, -1 },
	{ "output", payload_flood, SANDBOX_CAUSE_OUTPUT, -1 },
};

static int make_image(char path[static PATH_BYTES], int *ret_root, struct err *err)
{
	auto_done(buf) program = {};
	auto_close copy = -1;
	TRY(str_format(path, PATH_BYTES, err, "/tmp/cupel-selftest-XXXXXX"));
	if (!mkdtemp(path) || chmod(path, 0755) < 0)
		return err_sys(err, E_UNAVAILABLE, "mkdtemp");
	TRY(fd_open(path, O_RDONLY | O_DIRECTORY, 0, ret_root, err));
	if (mkdirat(*ret_root, "bin", 0755) < 0)
		return err_sys(err, E_UNAVAILABLE, "mkdir");
	TRY(fd_read_file(SELF, PROGRAM_BYTES_MAX, &program, err));
	TRY(fd_open_beneath(*ret_root, "bin/self", O_WRONLY | O_CREAT, 0755, &copy, err));
	return fd_write_all(copy, buf_view(&program), err);
}

/* Parked needs an interpreter, and is hot but for that. */
static const enum sandbox_tier tiers[] = { SANDBOX_TIER_COLD, SANDBOX_TIER_HOT, SANDBOX_TIER_WARM };

/* The warm one is root's. */
static bool can_have(enum sandbox_tier tier)
{
	return tier != SANDBOX_TIER_WARM || geteuid() == 0;
}

static void keep_result(void *context, const struct sandbox_event *event)
{
	struct sandbox_result *result = context;
	if (event->kind == SANDBOX_EVENT_DONE)
		*result = event->result;
}

static int run_case(size_t index, enum sandbox_tier tier, int root,
	struct sandbox_result *ret_result, struct err *err)
{
	char number[] = { (char)('0' + index), 0 };
	const char *argv[] = { "/bin/self", PAYLOAD, number, NULL };
	struct sandbox_plan plan = { .argv = argv,
		.limits = SANDBOX_LIMITS_DEFAULT,
		.may_lack = SANDBOX_LAYERS_BELTS | (geteuid() ? SANDBOX_LAYERS_ROOT : 0) };
	struct sandbox_files files = SANDBOX_FILES_NONE;
	plan.limits.wall_ms = cases[index].cause == SANDBOX_CAUSE_WALL_TIMEOUT ? 500 : 10000;
	plan.limits.memory_bytes = MEMORY_BYTES;
	files.root_fd = root;
	return tier_run(tier, &plan, &files, keep_result, ret_result, err);
}

static bool check_case(size_t index, enum sandbox_tier tier, int root)
{
	const char *name = cases[index].name;
	const char *where = sandbox_tier_name(tier);
	struct sandbox_result result = {};
	struct err err;
	if (run_case(index, tier, root, &result, &err) < 0) {
		(void)printf("FAIL %s, %s: %s\n", name, where, err.message);
		return false;
	}
	if (cases[index].cause == SANDBOX_CAUSE_MEMORY &&
		!(result.enforced & SANDBOX_LAYER_BIT(SANDBOX_LAYER_MEMORY_LIMIT))) {
		(void)printf(
			"skip %s, %s: not limited here; see cupel-sandbox doctor\n", name, where);
		return true;
	}
	bool is_right = result.cause == cases[index].cause &&
			result.exit_code == cases[index].exit_code && result.tier == tier;
	(void)printf("%s %s, %s: %s (%s)\n", is_right ? "ok  " : "FAIL", name, where,
		sandbox_cause_name(result.cause), result.text);
	return is_right;
}

int command_selftest(int argc, char **argv)
{
	char path[PATH_BYTES] = "";
	auto_close root = -1;
	struct err err;
	bool is_right = true;
	if (argc) {
		(void)fprintf(stderr, "cupel-sandbox: selftest: unknown option '%s', see --help\n",
			argv[0]);
		return COMMAND_EXIT_USAGE;
	}
	if (make_image(path, &root, &err) < 0) {
		(void)fprintf(stderr, "cupel-sandbox: %s\n", err.message);
		return COMMAND_EXIT_FAILED;
	}
	for (size_t t = 0; t < ARRAY_SIZE(tiers); t++)
		for (size_t i = 0; i < ARRAY_SIZE(cases) && can_have(tiers[t]); i++)
			is_right = check_case(i, tiers[t], root) && is_right;
	(void)unlinkat(root, "bin/self", 0);
	(void)unlinkat(root, "bin", AT_REMOVEDIR);
	(void)rmdir(path);
	return is_right ? 0 : COMMAND_EXIT_FAILED;
}

int command_selftest_payload(int argc, char **argv)
{
	size_t index = argc == 1 ? (size_t)(argv[0][0] - '0') : ARRAY_SIZE(cases);
	return index < ARRAY_SIZE(cases) ? cases[index].run() : COMMAND_EXIT_USAGE;
}
