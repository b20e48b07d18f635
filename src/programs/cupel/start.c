/*
 * Commands that become another program: the service, the sandbox, the image builder. The own
 * environment goes with them; they print their own help behind ours.
 */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "engines/image/image.h"
#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "kit/proc/spawn.h"
#include "programs/cupel/cupel.h"

#define PYTHON "/usr/bin/python3"

enum { START_ARGS_MAX = 256 };

static bool asks_for_help(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (str_equal(argv[i], "--help") || str_equal(argv[i], "-h"))
			return true;
	return false;
}

static int become(struct cupel *cupel, const char *name, int argc, char **argv, struct err *err)
{
	char path[CUPEL_PATH_MAX];
	const char *arguments[START_ARGS_MAX + 2] = { name };
	TRY(proc_sibling(name, path, sizeof(path), err));
	if (asks_for_help(argc, argv)) {
		options_help(cupel->command, NULL, 0);
		printf("\n");
	}
	if (argc > START_ARGS_MAX)
		return err_set(err, E_LIMIT, "%d arguments, limit %d", argc, START_ARGS_MAX);
	for (int i = 0; i < argc; i++)
		arguments[i + 1] = argv[i];
	(void)fflush(stdout);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)execv(path, (char *const *)(uintptr_t)arguments);
	return err_sys(err, E_UNAVAILABLE, "starting %s", path);
}

int run_serve(struct cupel *cupel, int argc, char **argv, struct err *err)
{
	return become(cupel, "cced", argc, argv, err);
}

int run_attest(struct cupel *cupel, int argc, char **argv, struct err *err)
{
	return become(cupel, "cupel-attest", argc, argv, err);
}

int run_sandbox(struct cupel *cupel, int argc, char **argv, struct err *err)
{
	return become(cupel, "cupel-sandbox", argc, argv, err);
}

/* With --json the builder's words go to standard error and the list of images to standard output.
 */
static int build_then_list(struct cupel *cupel, const char *const *argv, struct err *err)
{
	pid_t pid;
	auto_close pidfd = -1;
	int code;
	auto_json *list = NULL;
	struct proc_spawn spawn = { .path = PYTHON,
		.argv = argv,
		.envp = (const char *const *)environ,
		.stdin_fd = -1,
		.stdout_fd = STDERR_FILENO,
		.stderr_fd = STDERR_FILENO };
	TRY(proc_spawn(&spawn, &pid, &pidfd, err));
	TRY(proc_wait(pid, &code, err));
	if (code != 0)
		return err_set(err, E_UNAVAILABLE, "images/build.py ended with %d", code);
	TRY(image_list(cupel->state_dir, &list, err));
	return show_json(list, err);
}

int run_image_build(struct cupel *cupel, int argc, char **argv, struct err *err)
{
	char script[CUPEL_PATH_MAX];
	bool is_forced = false, is_check = false;
	const char *name = "base";
	const struct flag flags[] = {
		{ "name", "NAME", FLAG_TEXT, &name, "recipe and reference (default: base)" },
		{ "force", NULL, FLAG_SWITCH, &is_forced, "build even when nothing changed" },
		{ "check", NULL, FLAG_SWITCH, &is_check, "only say whether a build is due" },
	};
	struct arguments arguments;
	TRY(options_parse(cupel, argc, argv, flags, ARRAY_SIZE(flags), &arguments, err));
	if (cupel->is_help)
		return 0;
	TRY(options_none(cupel, &arguments, err));
	TRY(place_recipe(script, sizeof(script), err));
	const char *more[] = { "python3", script, "--state", cupel->state_dir, "--name", name, NULL,
		NULL, NULL };
	size_t count = 6;
	if (is_forced)
		more[count++] = "--force";
	if (is_check)
		more[count] = "--check";
	if (cupel->is_json)
		return build_then_list(cupel, more, err);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)execv(PYTHON, (char *const *)(uintptr_t)more);
	return err_sys(err, E_UNAVAILABLE, "starting %s", PYTHON);
}
