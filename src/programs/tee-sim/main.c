/*
 * tee-sim: a simulated TDX or SEV-SNP platform. It makes its own root, chain and collateral in the
 * real formats and quotes what it is asked. It says nothing about hardware: its root is named
 * "Cupel Simulated Root" and verifiers refuse it unless a policy names its hash. A separate
 * program, so that no production process contains a signer of fake evidence.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/prompt.h"
#include "kit/base/str.h"
#include "kit/base/time.h"
#include "kit/codec/hex.h"
#include "kit/proc/lockdown.h"
#include "programs/tee-sim/platform.h"
#include "programs/tee-sim/serve.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

static const char usage[] =
	"usage: tee-sim init DIR [snp]\n"
	"       tee-sim serve --dir DIR --socket PATH [--mrtd HEX] [--rtmr0 HEX]...[--rtmr3 HEX]\n"
	"                     [--die-with-parent]\n"
	"       tee-sim quote --dir DIR --report-data HEX [--mrtd HEX] [--rtmr0 HEX]...\n"
	"\n"
	"A simulated TDX platform, or SEV-SNP with `snp`. `init` makes a root, a chain and\n"
	"collateral in DIR; `serve` answers requests for quotes; `quote` writes one quote to\n"
	"standard output (SEV-SNP: report and certificate table). MRTD, which is the launch\n"
	"digest there, and RTMRs are 96 hexadecimal digits, report data 128.\n"
	"\n"
	"Example: tee-sim init /tmp/sim && tee-sim quote --dir /tmp/sim \\\n"
	"             --report-data $(printf '%0128d' 0) > quote.bin\n"
	"Exit status: 0 done, 1 failed, 2 wrong usage.\n";

struct options {
	const char *directory;
	const char *socket;
	struct sim_wire_request request;
	struct platform_td td;
	bool has_report_data;
	bool dies_with_parent;
};

enum option_id {
	OPTION_DIR = 1,
	OPTION_SOCKET,
	OPTION_REPORT_DATA,
	OPTION_MRTD,
	OPTION_DIE,
	OPTION_RTMR, /* the last: + index */
};

static int parse_options(int argc, char **argv, struct options *options, struct err *err)
{
	static const struct option names[] = {
		{ "dir", required_argument, NULL, OPTION_DIR },
		{ "socket", required_argument, NULL, OPTION_SOCKET },
		{ "report-data", required_argument, NULL, OPTION_REPORT_DATA },
		{ "mrtd", required_argument, NULL, OPTION_MRTD },
		{ "rtmr0", required_argument, NULL, OPTION_RTMR },
		{ "rtmr1", required_argument, NULL, OPTION_RTMR + 1 },
		{ "rtmr2", required_argument, NULL, OPTION_RTMR + 2 },
		{ "rtmr3", required_argument, NULL, OPTION_RTMR + 3 },
		{ "die-with-parent", no_argument, NULL, OPTION_DIE },
		{ NULL, 0, NULL, 0 },
	};
	int each;
	while ((each = getopt_long(argc, argv, "", names, NULL)) >= 0) {
		uint8_t *target = NULL;
		size_t size = PLATFORM_MEASUREMENT_SIZE;
		if (each == OPTION_DIR)
			options->directory = optarg;
		else if (each == OPTION_SOCKET)
			options->socket = optarg;
		else if (each == OPTION_DIE)
			options->dies_with_parent = true;
		else if (each == OPTION_MRTD)
			target = options->td.mrtd;
		else if (each >= OPTION_RTMR)
			target = options->td.rtmr[each - OPTION_RTMR];
		else if (each == OPTION_REPORT_DATA) {
			target = options->request.report_data;
			size = sizeof(options->request.report_data);
			options->has_report_data = true;
		} else
			return err_set(err, E_INVALID, "unknown option; see tee-sim --help");
		if (target)
			TRY(hex_decode(view_string(optarg), target, size, err));
	}
	if (optind < argc)
		return err_set(err, E_INVALID, "unexpected argument; see tee-sim --help");
	return 0;
}

static int run_init(int argc, char **argv, struct err *err)
{
	bool is_snp = argc == 3 && str_equal(argv[2], "snp");
	if ((argc != 2 && !is_snp) || argv[1][0] == '-')
		return err_set(err, E_INVALID, "expected: tee-sim init DIR [snp]");
	return (is_snp ? platform_init_snp : platform_init)(argv[1], time_wall_ms(), err);
}

static int run_serve(int argc, char **argv, struct err *err)
{
	const struct log log = { .program = "tee-sim", .fd = STDERR_FILENO, .level = LOG_INFO };
	struct options options = {};
	TRY(parse_options(argc, argv, &options, err));
	if (!options.directory || !options.socket)
		return err_set(err, E_INVALID, "serve needs --dir and --socket");
	prompt_self();
	TRY(proc_harden(options.dies_with_parent, err));
	TRY(proc_keep_rights(NULL, 0, err));
	auto_done(platform) platform = {};
	TRY(platform_open(options.directory, &platform, err));
	return serve(&platform, &options.td, options.socket, &log, err);
}

static int run_quote(int argc, char **argv, struct err *err)
{
	struct options options = {
		.request = { .magic = SIM_WIRE_MAGIC, .version = SIM_WIRE_VERSION },
	};
	auto_done(buf) quote = {};
	TRY(parse_options(argc, argv, &options, err));
	if (!options.directory || !options.has_report_data)
		return err_set(err, E_INVALID, "quote needs --dir and --report-data");
	TRY(proc_harden(false, err));
	auto_done(platform) platform = {};
	TRY(platform_open(options.directory, &platform, err));
	TRY(platform_quote(&platform, &options.td, &options.request, &quote, err));
	return fd_write_all(STDOUT_FILENO, buf_view(&quote), err);
}

static const struct verb {
	const char *name;
	int (*run)(int argc, char **argv, struct err *err);
} verbs[] = {
	{ "init", run_init },
	{ "serve", run_serve },
	{ "quote", run_quote },
};

int main(int argc, char **argv)
{
	struct err err;
	if (argc >= 2 && str_equal(argv[1], "--help")) {
		(void)fputs(usage, stdout);
		return 0;
	}
	for (size_t i = 0; argc >= 2 && i < ARRAY_SIZE(verbs); i++) {
		if (!str_equal(argv[1], verbs[i].name))
			continue;
		int status = verbs[i].run(argc - 1, argv + 1, &err);
		if (status == 0)
			return 0;
		(void)fprintf(stderr, "tee-sim: %s\n", err.message);
		return status == E_INVALID ? EXIT_USAGE : EXIT_FAILED;
	}
	(void)fputs(usage, stderr);
	return EXIT_USAGE;
}
