/*
 * cced-verify: judges one piece of evidence and ends. It reads a bundle (rules/appraise/bundle.h)
 * with its policy from standard input and writes the report as JSON to standard output.
 *
 * It holds no keys, opens nothing, and after reading its input can do nothing but compute: hostile
 * evidence that takes it over may lie about itself and no more.
 */
#include <getopt.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "kit/base/time.h"
#include "kit/crypto/setup.h"
#include "kit/crypto/verify.h"
#include "kit/proc/lockdown.h"
#include "rules/appraise/bundle.h"
#include "rules/appraise/report.h"

enum {
	EXIT_ACCEPTED = 0,
	EXIT_REFUSED = 1,
	EXIT_USAGE = 2,
	EXIT_SIMULATED = 3,
	MEMORY_MAX = 192 << 20,
	SECONDS_MAX = 10,
};

static const char usage[] =
	"usage: cced-verify --as-of TIME [--text] [--report-only] < BUNDLE > REPORT\n"
	"\n"
	"Appraises the evidence of a bundle that also holds its policy.\n"
	"Exit status: 0 affirming, 3 accepted but not hardware, 1 refused, 2 wrong usage or "
	"input.\n";

struct options {
	uint64_t as_of_ms;
	bool is_text;
	bool is_report_only; /* system calls beyond the list are logged, not killed */
};

static int parse_options(int argc, char **argv, struct options *options, struct err *err)
{
	enum { OPTION_AS_OF = 1, OPTION_TEXT, OPTION_REPORT_ONLY };
	static const struct option names[] = {
		{ "as-of", required_argument, NULL, OPTION_AS_OF },
		{ "text", no_argument, NULL, OPTION_TEXT },
		{ "report-only", no_argument, NULL, OPTION_REPORT_ONLY },
		{ NULL, 0, NULL, 0 },
	};
	bool has_time = false;
	int each;
	while ((each = getopt_long(argc, argv, "", names, NULL)) >= 0) {
		if (each == OPTION_AS_OF) {
			TRY(time_parse(optarg, &options->as_of_ms, err));
			has_time = true;
		} else if (each == OPTION_TEXT) {
			options->is_text = true;
		} else if (each == OPTION_REPORT_ONLY) {
			options->is_report_only = true;
		} else {
			return err_set(err, E_INVALID, "unknown option");
		}
	}
	if (!has_time || optind < argc)
		return err_set(err, E_INVALID, "expected --as-of TIME and no arguments");
	return 0;
}

/* One verification of each kind: what OpenSSL loads, it loads before the filter. */
static void warm_up(void)
{
	static const uint8_t zeros[512] = { 1 };
	const struct verify_key keys[] = {
		{ .type = VERIFY_KEY_P256, .point = view_of(zeros, 64) },
		{ .type = VERIFY_KEY_P384, .point = view_of(zeros, 96) },
		{ .type = VERIFY_KEY_RSA,
			.modulus = view_of(zeros, 256),
			.exponent = view_of(zeros, 1) },
	};
	static const enum verify_scheme schemes[] = { VERIFY_ECDSA_SHA256, VERIFY_ECDSA_SHA384,
		VERIFY_RSA_PSS_SHA384 };
	struct err ignored;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		(void)!verify_signature(
			&keys[i], schemes[i], view_of(zeros, 32), view_of(zeros, 64), &ignored);
}

static int lock_down(const struct options *options, struct err *err)
{
	static const char *const calls[] = { "read", "write", "close", "fstat", "lseek", "mmap",
		"munmap", "mremap", "mprotect", "madvise", "brk", "futex", "getrandom", "exit",
		"exit_group", "rt_sigreturn", "rt_sigprocmask", "rt_sigaction", "gettid", "getpid",
		"tgkill", "clock_gettime" };
	const struct rlimit memory = { MEMORY_MAX, MEMORY_MAX };
	const struct rlimit seconds = { SECONDS_MAX, SECONDS_MAX };
	if (setrlimit(RLIMIT_DATA, &memory) < 0 || setrlimit(RLIMIT_CPU, &seconds) < 0)
		return err_sys(err, E_UNAVAILABLE, "setting limits");
	TRY(proc_harden(true, err));
	TRY(proc_keep_rights(NULL, 0, err));
	warm_up();
	return proc_filter(calls, ARRAY_SIZE(calls), options->is_report_only, err);
}

static int write_report(const struct appraise_report *report, bool is_text, struct err *err)
{
	auto_done(buf) text = {};
	if (is_text) {
		TRY(appraise_report_text(report, &text, err));
	} else {
		auto_json *json = appraise_report_json(report);
		TRY(json_encode_pretty(json, &text, err));
		TRY(buf_append_string(&text, "\n", err));
	}
	return fd_write_all(STDOUT_FILENO, buf_view(&text), err);
}

static int verify(const struct options *options, struct view input, int *ret_exit, struct err *err)
{
	struct bundle bundle;
	struct appraise_result result;
	struct view evidence;
	TRY(bundle_parse(input, &bundle, err));
	if (bundle.items[BUNDLE_POLICY].size == 0)
		return err_set(err, E_INVALID, "the bundle holds no policy.json");
	auto_done(policy_document) policy = {};
	TRY(policy_document_read(bundle.items[BUNDLE_POLICY], &policy, err));
	TRY(bundle_appraise(&bundle, &policy, options->as_of_ms, &result, &evidence, err));
	const struct appraise_report report = { &result, &policy, options->as_of_ms, evidence };
	TRY(write_report(&report, options->is_text, err));
	bool is_hardware = !result.is_simulated && result.anchor[0];
	*ret_exit = !result.is_accepted ? EXIT_REFUSED
		    : is_hardware       ? EXIT_ACCEPTED
					: EXIT_SIMULATED;
	return 0;
}

int main(int argc, char **argv)
{
	struct options options = {};
	auto_done(buf) input = {};
	struct err err;
	int code = EXIT_USAGE;
	if (argc >= 2 && str_equal(argv[1], "--help")) {
		(void)fputs(usage, stdout);
		return 0;
	}
	json_setup();
	crypto_setup();
	if (parse_options(argc, argv, &options, &err) < 0 ||
		fd_read_all(STDIN_FILENO, BUNDLE_SIZE_MAX, &input, &err) < 0 ||
		lock_down(&options, &err) < 0 ||
		verify(&options, buf_view(&input), &code, &err) < 0) {
		(void)fprintf(stderr, "cced-verify: %s\n", err.message);
		return EXIT_USAGE;
	}
	return code;
}
