/*
 * cupel attest verify: makes a bundle of evidence, collateral and policy and hands it to
 * cced-verify, which judges it in a process without rights. Collateral: export and import.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "kit/base/time.h"
#include "kit/codec/hex.h"
#include "kit/crypto/hash.h"
#include "kit/proc/spawn.h"
#include "programs/cupel-attest/attest.h"

enum { PATH_SIZE = 1024 };

/* policies/attest/strict.json, used when no policy is given; the same hash. */
static const char default_policy[] =
	"{\"version\":1,\"name\":\"strict\",\"anchors\":[\"intel-sgx-root\",\"amd-ark-milan\","
	"\"amd-ark-genoa\",\"amd-ark-turin\"],\"tpm\":{\"event_log_required\":true,"
	"\"log_strict\":true,\"safe_clock_required\":true}}";

struct options {
	const char *evidence;
	const char *collateral;
	const char *policy;
	const char *simulated_root;
	const char *report_data;
	char as_of[TIME_TEXT_SIZE];
	bool is_json;
};

static int parse_options(int argc, char **argv, struct options *options, struct err *err)
{
	enum {
		OPTION_COLLATERAL = 1,
		OPTION_POLICY,
		OPTION_AS_OF,
		OPTION_ROOT,
		OPTION_DATA,
		OPTION_JSON
	};
	static const struct option names[] = {
		{ "collateral", required_argument, NULL, OPTION_COLLATERAL },
		{ "policy", required_argument, NULL, OPTION_POLICY },
		{ "as-of", required_argument, NULL, OPTION_AS_OF },
		{ "simulated-root", required_argument, NULL, OPTION_ROOT },
		{ "report-data", required_argument, NULL, OPTION_DATA },
		{ "json", no_argument, NULL, OPTION_JSON },
		{ NULL, 0, NULL, 0 },
	};
	int each;
	time_format(time_wall_ms(), options->as_of);
	while ((each = getopt_long(argc, argv, "", names, NULL)) >= 0) {
		if (each == OPTION_COLLATERAL)
			options->collateral = optarg;
		else if (each == OPTION_POLICY)
			options->policy = optarg;
		else if (each == OPTION_AS_OF)
			TRY(str_format(options->as_of, sizeof(options->as_of), err, "%s", optarg));
		else if (each == OPTION_ROOT)
			options->simulated_root = optarg;
		else if (each == OPTION_DATA)
			options->report_data = optarg;
		else if (each == OPTION_JSON)
			options->is_json = true;
		else
			return err_set(err, E_INVALID, "unknown option; see cupel attest --help");
	}
	if (optind + 1 != argc)
		return err_set(err, E_INVALID, "expected one FILE or DIR of evidence");
	options->evidence = argv[optind];
	return 0;
}

/*
 * Where policies of that name may be: beside the installed programs, or in the tree they were built
 * in. A name is a name even when a file is called the same; files have a '/' or end in ".json".
 */
static int find_policy(const char *given, char *ret_path, size_t size, struct err *err)
{
	static const char build[] = "/src/programs/cupel-attest";
	char own[PATH_SIZE];
	if (strchr(given, '/') || str_ends(given, ".json"))
		return str_format(ret_path, size, err, "%s", given);
	ssize_t got = readlink("/proc/self/exe", own, sizeof(own) - 1);
	if (got < 0)
		return err_sys(err, E_UNAVAILABLE, "reading /proc/self/exe");
	own[got] = 0;
	*strrchr(own, '/') = 0;
	TRY(str_format(ret_path, size, err, "%s%s/%s.json", own,
		str_ends(own, build) ? "/../../../policies/attest" : "/../../share/cupel/policies",
		given));
	if (!str_is_file_name(view_string(given), POLICY_NAME_MAX) || access(ret_path, R_OK) < 0)
		return err_set(err, E_NOT_FOUND,
			"no policy named '%.64s'; expected one of those in share/cupel/policies, "
			"or "
			"a file as ./NAME or NAME.json",
			given);
	return 0;
}

/* The policy's text, with what the command line adds written into it: what is judged is hashed. */
static int make_policy(
	struct loaded *loaded, const struct options *options, struct buf *text, struct err *err)
{
	struct view base = view_string(default_policy), root;
	uint8_t digest[SHA256_SIZE];
	char path[PATH_SIZE];
	auto_json *policy = NULL;
	if (options->policy) {
		TRY(find_policy(options->policy, path, sizeof(path), err));
		TRY(load_file(loaded, path, &base, err));
	} else if (loaded->bundle.items[BUNDLE_POLICY].size > 0)
		return err_set(err, E_INVALID,
			"the evidence brings a policy of its own; say which one is yours by "
			"--policy");
	TRY(json_parse(base, POLICY_SIZE_MAX, &policy, err));
	if (options->report_data)
		json_set_string(policy, "report_data", options->report_data);
	if (options->simulated_root) {
		struct json *anchors = json_new_array();
		const struct json *given = json_get(policy, "anchors");
		for (size_t i = 0; given && i < json_size(given); i++)
			json_append(anchors, json_share(json_at(given, i)));
		struct json *anchor = json_new_object();
		json_set_string(anchor, "label", "simulated:command-line");
		json_append(anchors, anchor);
		json_set(policy, "anchors", anchors);
		TRY(load_file(loaded, options->simulated_root, &root, err));
		hash_bytes(HASH_SHA256, root, digest);
		json_set_hex(anchor, "sha256", view_of(digest, sizeof(digest)));
	}
	return json_encode(policy, text, err);
}

/* Run cced-verify over the bundle; its output is ours. */
static int judge(struct view bundle, const struct options *options, int *ret_code, struct err *err)
{
	char path[PATH_SIZE];
	auto_close input = -1;
	auto_close pidfd = -1;
	pid_t pid;
	TRY(proc_sibling("cced-verify", path, sizeof(path), err));
	TRY(fd_memfd_of("bundle", bundle, &input, err));
	const char *const argv[] = { "cced-verify", "--as-of", options->as_of,
		options->is_json ? NULL : "--text", NULL };
	const struct proc_spawn spawn = { .path = path,
		.argv = argv,
		.stdin_fd = input,
		.stdout_fd = STDOUT_FILENO,
		.stderr_fd = STDERR_FILENO };
	TRY(proc_spawn(&spawn, &pid, &pidfd, err));
	return proc_wait(pid, ret_code, err);
}

int attest_verify(int argc, char **argv, struct err *err)
{
	struct options options = {};
	auto_done(loaded) loaded = {};
	auto_done(buf) policy = {};
	auto_done(buf) bundle = { .limit = BUNDLE_SIZE_MAX };
	int code = ATTEST_EXIT_REFUSED;
	TRY(parse_options(argc, argv, &options, err));
	TRY(load_evidence(&loaded, options.evidence, err));
	if (options.collateral)
		TRY(load_directory(&loaded, options.collateral, err));
	TRY(make_policy(&loaded, &options, &policy, err));
	loaded.bundle.items[BUNDLE_POLICY] = buf_view(&policy);
	TRY(bundle_encode(&loaded.bundle, &bundle, err));
	TRY(judge(buf_view(&bundle), &options, &code, err));
	/* A verifier that was killed has refused: by a signal it says more than 255. */
	return code > UINT8_MAX ? ATTEST_EXIT_REFUSED : code;
}

static int export_bundle(const char *directory, const char *file, struct err *err)
{
	auto_done(loaded) loaded = {};
	auto_done(buf) bundle = { .limit = BUNDLE_SIZE_MAX };
	TRY(load_directory(&loaded, directory, err));
	TRY(bundle_encode(&loaded.bundle, &bundle, err));
	return fd_write_output(file, buf_view(&bundle), err);
}

static int import_bundle(const char *file, const char *directory, struct err *err)
{
	auto_done(loaded) loaded = {};
	struct bundle bundle;
	struct view bytes;
	TRY(load_file(&loaded, file, &bytes, err));
	TRY(bundle_parse(bytes, &bundle, err));
	return cache_install(&bundle, directory, err);
}

int attest_collateral(int argc, char **argv, struct err *err)
{
	if (argc == 4 && str_equal(argv[1], "export"))
		return export_bundle(argv[2], argv[3], err);
	if (argc == 4 && str_equal(argv[1], "import"))
		return import_bundle(argv[2], argv[3], err);
	if (argc >= 2 && (str_equal(argv[1], "fetch") || str_equal(argv[1], "refresh")))
		return attest_fetch(argc - 1, argv + 1, err);
	return err_set(err, E_INVALID,
		"expected: collateral fetch|refresh --pcs URL QUOTE DIR, export DIR FILE, import "
		"FILE DIR");
}
