/*
 * cupel-sandbox: the supervisor of one sandbox, and the small command line around it.
 *
 * A program of its own because one supervisor must not share an address space with anything else,
 * and because it is started once per run: small and static, it starts in a fraction of a
 * millisecond.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "programs/cupel-sandbox/commands.h"
#include "engines/sandbox/slot.h"
#include "kit/base/attr.h"
#include "kit/base/fd.h"
#include "kit/base/str.h"

enum { CONTROL_FD = 3 };

static const char usage[] =
	"usage: cupel-sandbox run --root DIR [OPTION]... [--] PROGRAM [ARG]...\n"
	"       cupel-sandbox doctor [--json]\n"
	"       cupel-sandbox selftest\n"
	"       cupel-sandbox pool --root DIR --listen SOCKET [OPTION]... [python3 | node]\n"
	"       cupel-sandbox pool --status SOCKET\n"
	"       cupel-sandbox slot | pool       (for the library; controlled over descriptor 3)\n"
	"\n"
	"run options:\n"
	"  --root DIR           the image, seen read-only (required)\n"
	"  --mask DIR           a directory of whiteouts laid over the image\n"
	"  --app DIR, --data DIR  appear read-only at /app and /data\n"
	"  --tier TIER          cold (default), hot, warm, zygote: python3 ahead, or parked: also "
	"node\n"
	"  --env NAME=VALUE     an environment variable (else there are none)\n"
	"  --cwd DIR            working directory (default /work)\n"
	"  --limit NAME=VALUE   wall_ms cpu_ms memory_bytes disk_bytes disk_files file_bytes\n"
	"                       output_bytes processes tasks\n"
	"  --may-lack LAYER     run although the machine does not enforce this layer; rootless:\n"
	"                       all that an ordinary user cannot have\n"
	"  --exec-in-work       allow executing files the program writes\n"
	"  --trace              show every program executed, on stderr\n"
	"  --json               print the result as JSON on stderr\n"
	"  --pool SOCKET        take a sandbox that is ready; the options that it was made with\n"
	"                       (--trace, --exec-in-work, --may-lack, most limits) must be\n"
	"                       the same, no --root\n"
	"\n"
	"pool options: --ready N (default 2, at most 64), --tier hot, or parked when an "
	"interpreter\n"
	"is named, and of the above --root --mask --limit --may-lack --exec-in-work --trace. It "
	"runs\n"
	"until a signal (INT, TERM, HUP, QUIT); then, and for --status, it prints its counts as\n"
	"JSON.\n"
	"\n"
	"exit status of run: that of the program; 128+n after signal n; 125 when it was ended\n"
	"(a limit, denied, cancelled) or could not run, and stderr says why; 2 for wrong\n"
	"arguments. Example:\n"
	"  cupel-sandbox run --root /srv/image --limit wall_ms=2000 python3 -c 'print(1)'\n";

static int command_slot(int argc, char **argv)
{
	struct err err;
	struct stat status;
	(void)argc;
	(void)argv;
	if (fstat(CONTROL_FD, &status) == 0 && S_ISSOCK(status.st_mode))
		return slot_serve(CONTROL_FD, getpriority(PRIO_PROCESS, 0), &err) < 0
			       ? EXIT_FAILURE
			       : EXIT_SUCCESS;
	(void)dprintf(STDERR_FILENO,
		"cupel-sandbox: slot: expected the library's socket as "
		"descriptor %d; people want run\n",
		CONTROL_FD);
	return COMMAND_EXIT_USAGE;
}

static int command_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	(void)fputs(usage, stdout);
	return EXIT_SUCCESS;
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "slot", command_slot },
	{ "pool", command_pool },
	{ "run", command_run },
	{ "doctor", command_doctor },
	{ "selftest", command_selftest },
	{ "selftest-payload", command_selftest_payload },
	{ "--help", command_help },
};

/* What was printed may have met a full disk. */
static int check_output(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	(void)fprintf(stderr, "cupel-sandbox: standard output took not all\n");
	return EXIT_FAILURE;
}

static int run_command(int argc, char **argv)
{
	if (argc > 2 && str_equal(argv[2], "--help"))
		return command_help(0, NULL);
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(commands); i++)
		if (str_equal(commands[i].name, argv[1]))
			return commands[i].run(argc - 2, argv + 2);
	(void)fputs(usage, stderr);
	return COMMAND_EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct err err;
	if (fd_hold_stdio(&err) < 0) {
		(void)fprintf(stderr, "cupel-sandbox: %s\n", err.message);
		return EXIT_FAILURE;
	}
	return check_output(run_command(argc, argv));
}
