/*
 * cupel-attest: `cupel attest ...`. Quotes of this platform, judging evidence offline, showing it,
 * launch measurements, event logs.
 */
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "engines/evidence/evidence.h"
#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "kit/codec/hex.h"
#include "programs/cupel-attest/attest.h"

static const char usage[] =
	"usage: cupel attest quote --report-data HEX --source KIND[:PATH] > FILE\n"
	"       cupel attest verify FILE|DIR [--collateral DIR] [--policy NAME|FILE] [--as-of "
	"TIME]\n"
	"                           [--report-data HEX] [--simulated-root FILE] [--json]\n"
	"       cupel attest inspect FILE\n"
	"       cupel attest measure snp FIRMWARE [--kernel F --initrd F --cmdline TEXT]\n"
	"                           [--vcpus N --cpu MODEL --guest-features N --vmm qemu|ec2]\n"
	"                           [--mode snp|es]\n"
	"       cupel attest measure tdx FIRMWARE [--two-pass]\n"
	"       cupel attest measure igvm FILE [--platform snp|tdx] [--kvm] [--native-zero]\n"
	"       cupel attest measure pe FILE [--sha256]\n"
	"       cupel attest replay LOG [--bank sha256|sha384|sha1] [--cc]\n"
	"       cupel attest collateral fetch|refresh --pcs URL [--root-crl URL] QUOTE DIR\n"
	"       cupel attest collateral fetch|refresh --kds URL REPORT DIR\n"
	"                           [--ca PEM] [--margin-hours N] [--as-of TIME]\n"
	"       cupel attest collateral export DIR FILE | import FILE DIR\n"
	"\n"
	"Policies by NAME: strict (the default), azure-snp, azure-tdx, gcp-tdx, gcp-snp, "
	"gcp-vtpm,\n"
	"aws-snp, simulated-development.\n"
	"Sources of quotes: simulated:SOCKET, configfs-tsm[:DIR], dstack[:SOCKET],\n"
	"sev-guest[:DEVICE], tdx-guest[:vsock:CID:PORT|:SOCKET], vtpm[:TCTI].\n"
	"A DIR of evidence or collateral holds files by name: quote.bin, tcb_info.json, ...\n"
	"\n"
	"Example: cupel attest verify quote.bin --collateral pcs/ --policy strict \\\n"
	"             --as-of 2026-06-15T00:00:00Z\n"
	"Exit status: 0 done or affirming, 1 refused or failed, 2 wrong usage or input,\n"
	"             3 accepted, but not hardware.\n";

int attest_print(const struct json *value, struct err *err)
{
	auto_done(buf) text = {};
	TRY(json_encode_pretty(value, &text, err));
	if (text.size == 0 || text.data[text.size - 1] != '\n')
		TRY(buf_append_string(&text, "\n", err));
	return fd_write_all(STDOUT_FILENO, buf_view(&text), err);
}

static int parse_source(const char *text, struct evidence_source *source, struct err *err)
{
	for (size_t i = 0; i < EVIDENCE_KIND_COUNT; i++) {
		const char *name = evidence_kind_name((enum evidence_kind)i);
		size_t size = strlen(name);
		if (!str_starts(text, name) || (text[size] != 0 && text[size] != ':'))
			continue;
		source->kind = (enum evidence_kind)i;
		source->path = text[size] ? text + size + 1 : NULL;
		source->socket = -1;
		return 0;
	}
	return err_set(err, E_INVALID, "unknown source of evidence; see cupel attest --help");
}

int attest_quote(int argc, char **argv, struct err *err)
{
	enum { OPTION_DATA = 1, OPTION_SOURCE };
	static const struct option names[] = { { "report-data", required_argument, NULL,
						       OPTION_DATA },
		{ "source", required_argument, NULL, OPTION_SOURCE }, { NULL, 0, NULL, 0 } };
	uint8_t data[EVIDENCE_REPORT_DATA_SIZE];
	struct evidence_source source = {};
	auto_done(buf) quote = {};
	bool has_data = false, has_source = false;
	int each;
	while ((each = getopt_long(argc, argv, "", names, NULL)) >= 0) {
		if (each == OPTION_DATA) {
			TRY(hex_decode(view_string(optarg), data, sizeof(data), err));
			has_data = true;
		} else if (each == OPTION_SOURCE) {
			TRY(parse_source(optarg, &source, err));
			has_source = true;
		} else {
			return err_set(err, E_INVALID, "unknown option; see cupel attest --help");
		}
	}
	if (!has_data || !has_source || optind < argc)
		return err_set(err, E_INVALID, "quote needs --report-data and --source");
	const struct evidence_request request = { .report_data = view_of(data, sizeof(data)) };
	TRY(evidence_get(&source, &request, &quote, err));
	return fd_write_all(STDOUT_FILENO, buf_view(&quote), err);
}

static const struct verb {
	const char *name;
	int (*run)(int argc, char **argv, struct err *err);
} verbs[] = {
	{ "quote", attest_quote },
	{ "verify", attest_verify },
	{ "inspect", attest_inspect },
	{ "measure", attest_measure },
	{ "replay", attest_replay },
	{ "collateral", attest_collateral },
};

int main(int argc, char **argv)
{
	struct err err;
	json_setup();
	if ((argc >= 2 && str_equal(argv[1], "--help")) ||
		(argc >= 3 && str_equal(argv[2], "--help"))) {
		(void)fputs(usage, stdout);
		return 0;
	}
	for (size_t i = 0; argc >= 2 && i < ARRAY_SIZE(verbs); i++) {
		if (!str_equal(argv[1], verbs[i].name))
			continue;
		int status = verbs[i].run(argc - 1, argv + 1, &err);
		if (status >= 0)
			return status;
		(void)fprintf(stderr, "cupel attest: %s\n", err.message);
		return status == E_INVALID ? ATTEST_EXIT_USAGE : ATTEST_EXIT_REFUSED;
	}
	(void)fputs(usage, stderr);
	return ATTEST_EXIT_USAGE;
}
