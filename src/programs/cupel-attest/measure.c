/* cupel attest measure: launch digests of firmware, kernels, IGVM and PE files. */
#include <getopt.h>
#include <stdlib.h>

#include "kit/base/str.h"
#include "kit/codec/json.h"
#include "programs/cupel-attest/attest.h"
#include "rules/appraise/launch.h"

enum measure_option {
	OPTION_KERNEL = 1,
	OPTION_INITRD,
	OPTION_CMDLINE,
	OPTION_VCPUS,
	OPTION_CPU,
	OPTION_FEATURES,
	OPTION_VMM,
	OPTION_MODE,
	OPTION_TWO_PASS,
	OPTION_PLATFORM,
	OPTION_KVM,
	OPTION_NATIVE_ZERO,
	OPTION_SHA256,
};

struct measure {
	const char *verb;
	struct launch_snp snp;
	struct launch_igvm igvm;
	struct loaded files;
	struct view file;
	bool is_es, is_two_pass, is_sha256;
};

static void measure_done(struct measure *m)
{
	loaded_done(&m->files);
}

static int set_option(struct measure *m, int option, const char *value, struct err *err)
{
	uint64_t number;
	if (option == OPTION_KERNEL) {
		m->snp.has_kernel = true;
		return load_file(&m->files, value, &m->snp.kernel, err);
	}
	if (option == OPTION_INITRD)
		return load_file(&m->files, value, &m->snp.initrd, err);
	if (option == OPTION_CMDLINE) {
		m->snp.cmdline = view_string(value);
		return 0;
	}
	if (option == OPTION_CPU) {
		m->snp.vcpu_signature = launch_vcpu_signature(value);
		return m->snp.vcpu_signature
			       ? 0
			       : err_set(err, E_INVALID, "unknown CPU model %s", value);
	}
	if (option == OPTION_VCPUS || option == OPTION_FEATURES) {
		TRY(str_parse_u64(value, 0, UINT32_MAX, &number, err));
		if (option == OPTION_VCPUS)
			m->snp.vcpus = (unsigned)number;
		else
			m->snp.guest_features = number;
		return 0;
	}
	if (option == OPTION_VMM && (str_equal(value, "qemu") || str_equal(value, "ec2"))) {
		m->snp.vmm = str_equal(value, "ec2") ? LAUNCH_VMM_EC2 : LAUNCH_VMM_QEMU;
		return 0;
	}
	if (option == OPTION_VMM && str_equal(value, "gce"))
		return err_set(err, E_UNSUPPORTED,
			"the register state Google's VMM starts with is not published in a form "
			"we could check, so its launch digest is not computed; take it from "
			"Google's signed endorsement and name it in a policy");
	if (option == OPTION_MODE && (str_equal(value, "snp") || str_equal(value, "es"))) {
		m->is_es = str_equal(value, "es");
		return 0;
	}
	if (option == OPTION_PLATFORM && (str_equal(value, "snp") || str_equal(value, "tdx"))) {
		m->igvm.is_tdx = str_equal(value, "tdx");
		return 0;
	}
	return err_set(err, E_INVALID, "unknown option or value; see cupel attest --help");
}

static int parse_options(struct measure *m, int argc, char **argv, struct err *err)
{
	static const struct option names[] = {
		{ "kernel", required_argument, NULL, OPTION_KERNEL },
		{ "initrd", required_argument, NULL, OPTION_INITRD },
		{ "cmdline", required_argument, NULL, OPTION_CMDLINE },
		{ "vcpus", required_argument, NULL, OPTION_VCPUS },
		{ "cpu", required_argument, NULL, OPTION_CPU },
		{ "guest-features", required_argument, NULL, OPTION_FEATURES },
		{ "vmm", required_argument, NULL, OPTION_VMM },
		{ "mode", required_argument, NULL, OPTION_MODE },
		{ "platform", required_argument, NULL, OPTION_PLATFORM },
		{ "two-pass", no_argument, NULL, OPTION_TWO_PASS },
		{ "kvm", no_argument, NULL, OPTION_KVM },
		{ "native-zero", no_argument, NULL, OPTION_NATIVE_ZERO },
		{ "sha256", no_argument, NULL, OPTION_SHA256 },
		{ NULL, 0, NULL, 0 },
	};
	int each;
	while ((each = getopt_long(argc, argv, "", names, NULL)) >= 0) {
		if (each == OPTION_TWO_PASS)
			m->is_two_pass = true;
		else if (each == OPTION_KVM)
			m->igvm.is_kvm = true;
		else if (each == OPTION_NATIVE_ZERO)
			m->igvm.native_zero = true;
		else if (each == OPTION_SHA256)
			m->is_sha256 = true;
		else
			TRY(set_option(m, each, optarg, err));
	}
	if (optind + 1 != argc)
		return err_set(err, E_INVALID, "expected one FILE");
	return load_file(&m->files, argv[optind], &m->file, err);
}

static const char *run(struct measure *m, uint8_t *ret_digest, size_t *ret_size)
{
	*ret_size = LAUNCH_DIGEST_SIZE;
	if (str_equal(m->verb, "tdx"))
		return launch_mrtd(m->file, m->is_two_pass, ret_digest);
	if (str_equal(m->verb, "igvm")) {
		m->igvm.file = m->file;
		return launch_igvm(&m->igvm, ret_digest);
	}
	if (str_equal(m->verb, "pe")) {
		*ret_size = m->is_sha256 ? LAUNCH_SEV_ES_DIGEST_SIZE : LAUNCH_DIGEST_SIZE;
		return launch_pe(m->file, !m->is_sha256, ret_digest);
	}
	m->snp.firmware = m->file;
	*ret_size = m->is_es ? LAUNCH_SEV_ES_DIGEST_SIZE : LAUNCH_DIGEST_SIZE;
	return m->is_es ? launch_sev_es(&m->snp, ret_digest) : launch_snp(&m->snp, ret_digest);
}

int attest_measure(int argc, char **argv, struct err *err)
{
	static const char *const verbs[] = { "snp", "tdx", "igvm", "pe" };
	uint8_t digest[LAUNCH_DIGEST_SIZE];
	size_t size;
	AUTO(measure_done) struct measure m = { .snp = { .vcpus = 1, .guest_features = 1 } };
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(verbs); i++)
		if (str_equal(argv[1], verbs[i]))
			m.verb = verbs[i];
	if (!m.verb)
		return err_set(err, E_INVALID, "expected: measure snp|tdx|igvm|pe [OPTIONS] FILE");
	TRY(parse_options(&m, argc - 1, argv + 1, err));
	const char *fault = run(&m, digest, &size);
	if (fault)
		return err_set(err, E_INVALID, "%s", fault);
	auto_json *root = json_new_object();
	json_set_string(root, "what", m.verb);
	json_set_hex(root, "digest", view_of(digest, size));
	return attest_print(root, err);
}
