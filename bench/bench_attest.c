/*
 * Appraisal in numbers: TDX cold (nothing remembered) and warm (certificates and collateral
 * remembered), SNP, and beside them the bare cost of the signatures each must verify, with the keys
 * made ready before: OpenSSL's own speed. Median and 95th percentile of single calls. That a path
 * verifies as many signatures as its line says is checked against what its memo recorded.
 *
 *	build/release/bench/bench_attest VECTORS_DIR [ROUNDS [NAME]]
 */
#include <stdio.h>
#include <stdlib.h>

#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "kit/base/time.h"
#include "kit/crypto/hash.h"
#include "kit/crypto/x509.h"
#include "rules/appraise/snp.h"
#include "rules/appraise/snp_report.h"
#include "rules/appraise/tdx.h"
#include "rules/appraise/tdx_quote.h"

enum { ROUNDS_DEFAULT = 500, ROUNDS_MAX = 20000, FILES_MAX = 16, WARM_UP = 20 };

static struct buf files[FILES_MAX];
static size_t file_count;
static uint64_t samples[ROUNDS_MAX];
static const char *vectors;
static const char *only; /* run measurements whose name begins so; NULL: all */

static struct view file(const char *name)
{
	char path[1024];
	struct err err;
	struct buf *buf = &files[file_count++];
	if (str_format(path, sizeof(path), &err, "%s/%s", vectors, name) < 0 ||
		fd_read_file(path, 1 << 20, buf, &err) < 0) {
		(void)fprintf(stderr, "bench_attest: %s\n", err.message);
		exit(1);
	}
	return buf_view(buf);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* Runs step often and prints one line; the median in us. */
static uint64_t measure(const char *name, size_t rounds, void (*step)(void *), void *context)
{
	uint64_t begin_usec = 0;
	if (only && strncmp(name, only, strlen(only)) != 0)
		return 0;
	for (size_t i = 0; i < rounds + WARM_UP; i++) {
		uint64_t at = time_monotonic_usec();
		if (i == WARM_UP)
			begin_usec = at;
		step(context);
		if (i >= WARM_UP)
			samples[i - WARM_UP] = time_monotonic_usec() - at;
	}
	double total_s = (double)(time_monotonic_usec() - begin_usec) / 1e6;
	qsort(samples, rounds, sizeof(samples[0]), compare);
	printf("%-28s p50 %5llu us   p95 %5llu us   %7.0f per second\n", name,
		(unsigned long long)samples[rounds / 2],
		(unsigned long long)samples[rounds * 95 / 100], (double)rounds / total_s);
	return samples[rounds / 2];
}

static struct appraise_policy policy;
static struct appraise_result result;

static void must(bool condition, const char *what)
{
	if (condition)
		return;
	(void)fprintf(stderr, "bench_attest: %s: %s\n", what,
		result.reason_count ? result.reasons[0].code : "no reason");
	exit(1);
}

static void step_tdx(void *context)
{
	appraise_tdx(context, &result);
	must(result.is_accepted, "tdx");
}

static void step_snp(void *context)
{
	appraise_snp(context, &result);
	must(result.is_accepted, "snp");
}

enum bare_kind { BARE_P256, BARE_P384, BARE_RSA4096, BARE_COUNT };
static const char *const bare_names[BARE_COUNT] = { "P-256", "P-384", "RSA-4096 PSS" };
static uint64_t bare_usec[BARE_COUNT];

struct bare {
	struct verify_key key;
	struct verify_claim claim;
	struct verify_cache cache;
};

static void step_bare(void *context)
{
	struct bare *bare = context;
	struct err err;
	must(verify_cached(&bare->cache, &bare->key, &bare->claim, &err) == 0, "bare verification");
}

static void bench_bare(size_t rounds, enum bare_kind kind, struct bare *bare)
{
	char name[64];
	struct err err;
	must(str_format(name, sizeof(name), &err, "bare %s", bare_names[kind]) >= 0, "name");
	bare_usec[kind] = measure(name, rounds, step_bare, bare);
	verify_cache_done(&bare->cache);
}

static struct bare bare_of_root(struct view der)
{
	struct x509 root;
	struct err err;
	must(x509_parse(der, &root, &err) == 0, "root");
	return (struct bare){ .key = root.key, .claim = { root.scheme, root.tbs, root.signature } };
}

/* A path's time beside that of the signatures it must verify. */
static void compare_with_bare(const char *name, uint64_t usec, const unsigned wanted[BARE_COUNT])
{
	uint64_t bare = 0;
	if (usec == 0 || only)
		return;
	printf("  %s must verify", name);
	for (enum bare_kind kind = 0; kind < BARE_COUNT; kind++) {
		bare += wanted[kind] * bare_usec[kind];
		if (wanted[kind] > 0)
			printf(" %u x %s", wanted[kind], bare_names[kind]);
	}
	printf(" = %llu us bare; ours %.2f times that\n", (unsigned long long)bare,
		(double)usec / (double)bare);
}

static struct appraise_anchor anchor_of(struct view root)
{
	struct appraise_anchor anchor = { .label = "bench" };
	hash_bytes(HASH_SHA256, root, anchor.sha256);
	return anchor;
}

static void bench_tdx(size_t rounds)
{
	static const unsigned cold[BARE_COUNT] = { [BARE_P256] = 9 }, warm[BARE_COUNT] = { 1 };
	struct view root = file("tdx/collateral/intel_root_ca.der");
	struct bare bare = bare_of_root(root);
	bench_bare(rounds, BARE_P256, &bare);
	struct appraise_anchor anchor = anchor_of(root);
	auto_done(appraise_memo) memo = {};
	struct appraise_tdx_input input = { .quote = file("tdx/quotes/v4-b0c06f.bin"),
		.anchors = &anchor,
		.anchor_count = 1,
		.policy = &policy,
		.as_of_ms = 1750377600000 };
	input.collateral = (struct tdx_collateral){
		file("tdx/collateral/b0c06f-2025-06/tcb_info.json"),
		file("tdx/collateral/b0c06f-2025-06/tcb_chain.pem"),
		file("tdx/collateral/b0c06f-2025-06/qe_identity.json"),
		file("tdx/collateral/b0c06f-2025-06/qe_chain.pem"),
		file("tdx/collateral/b0c06f-2025-06/root_crl.der"),
		file("tdx/collateral/b0c06f-2025-06/pck_crl.der"),
	};
	compare_with_bare("tdx cold", measure("tdx cold", rounds, step_tdx, &input), cold);
	input.memo = &memo;
	compare_with_bare("tdx warm", measure("tdx warm", rounds, step_tdx, &input), warm);
	must(memo.next == 0 || memo.next + 1 == cold[BARE_P256], "number of signatures");
}

/* The report's own signature, big-endian as the bare verification takes it. */
static void bench_p384(size_t rounds, const struct appraise_snp_input *input)
{
	enum { HALF = 48 };
	struct snp_report report;
	struct x509 vek;
	struct err err;
	uint8_t r_and_s[2 * HALF], der[VERIFY_ECDSA_DER_MAX];
	size_t size;
	must(!snp_report_parse(input->report, &report, &size) &&
			x509_parse(input->collateral.vek, &vek, &err) == 0,
		"report");
	for (size_t i = 0; i < HALF; i++) {
		r_and_s[i] = report.r.data[HALF - 1 - i];
		r_and_s[HALF + i] = report.s.data[HALF - 1 - i];
	}
	must(verify_ecdsa_to_der(view_of(r_and_s, sizeof(r_and_s)), der, &size, &err) == 0, "der");
	struct bare bare = { .key = vek.key,
		.claim = { VERIFY_ECDSA_SHA384, report.signed_part, view_of(der, size) } };
	bench_bare(rounds, BARE_P384, &bare);
}

static void bench_snp(size_t rounds)
{
	static const unsigned cold[BARE_COUNT] = { 0, 1, 2 }, warm[BARE_COUNT] = { 0, 1, 0 };
	struct appraise_snp_input input = { .report = file("snp/reports/snp3-ms-milan.report.bin"),
		.policy = &policy,
		.as_of_ms = 1780272000000 };
	input.collateral.vek = file("snp/reports/snp3-ms-milan.vek.der");
	input.collateral.intermediate = file("snp/ca/ask_milan.der");
	input.collateral.roots[0] = file("snp/ca/ark_milan.der");
	input.collateral.root_count = 1;
	struct appraise_anchor anchor = anchor_of(input.collateral.roots[0]);
	auto_done(appraise_memo) memo = {};
	struct bare rsa = bare_of_root(input.collateral.roots[0]);
	bench_bare(rounds, BARE_RSA4096, &rsa);
	bench_p384(rounds, &input);
	input.anchors = &anchor;
	input.anchor_count = 1;
	policy.is_crl_optional = true;
	policy.snp.vmpls = 15;
	compare_with_bare("snp cold", measure("snp cold", rounds, step_snp, &input), cold);
	input.memo = &memo;
	compare_with_bare("snp warm", measure("snp warm", rounds, step_snp, &input), warm);
	must(memo.next == 0 || memo.next == cold[BARE_RSA4096], "number of signatures");
}

int main(int argc, char **argv)
{
	struct err err;
	uint64_t rounds = ROUNDS_DEFAULT;
	if (argc < 2 || argc > 4 ||
		(argc > 2 && str_parse_u64(argv[2], 1, ROUNDS_MAX, &rounds, &err) < 0)) {
		(void)fprintf(stderr, "usage: bench_attest VECTORS_DIR [ROUNDS [NAME]]\n");
		return 2;
	}
	vectors = argv[1];
	only = argc > 3 ? argv[3] : NULL;
	bench_tdx((size_t)rounds);
	bench_snp((size_t)rounds);
	for (size_t i = 0; i < file_count; i++)
		buf_done(&files[i]);
	return 0;
}
