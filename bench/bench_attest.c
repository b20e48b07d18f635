/*
 * Appraisal in numbers: TDX cold (nothing remembered) and warm (certificates and collateral
 * remembered), SNP, and the bare signature verifications each must do. Median and 95th percentile
 * of single calls; allocation is counted by mem_alloc's own peak where it is offered.
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

/* Runs step often and prints one line. */
static void measure(const char *name, size_t rounds, void (*step)(void *), void *context)
{
	uint64_t begin_usec = 0;
	if (only && strncmp(name, only, strlen(only)) != 0)
		return;
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

struct bare {
	struct verify_key key;
	enum verify_scheme scheme;
	struct view message, signature;
};

static void step_bare(void *context)
{
	const struct bare *bare = context;
	struct err err;
	must(verify_signature(&bare->key, bare->scheme, bare->message, bare->signature, &err) == 0,
		"bare verification");
}

static struct appraise_anchor anchor_of(struct view root)
{
	struct appraise_anchor anchor = { .label = "bench" };
	hash_bytes(HASH_SHA256, root, anchor.sha256);
	return anchor;
}

static void bench_tdx(size_t rounds)
{
	static struct appraise_memo memo;
	struct appraise_anchor anchor = anchor_of(file("tdx/collateral/intel_root_ca.der"));
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
	measure("tdx cold", rounds, step_tdx, &input);
	input.memo = &memo;
	measure("tdx warm", rounds, step_tdx, &input);
}

static void bench_snp(size_t rounds)
{
	struct appraise_snp_input input = { .report = file("snp/reports/snp3-ms-milan.report.bin"),
		.policy = &policy,
		.as_of_ms = 1780272000000 };
	input.collateral.vek = file("snp/reports/snp3-ms-milan.vek.der");
	input.collateral.intermediate = file("snp/ca/ask_milan.der");
	input.collateral.roots[0] = file("snp/ca/ark_milan.der");
	input.collateral.root_count = 1;
	struct appraise_anchor anchor = anchor_of(input.collateral.roots[0]);
	static struct appraise_memo memo;
	input.anchors = &anchor;
	input.anchor_count = 1;
	policy.is_crl_optional = true;
	policy.snp.vmpls = 15;
	measure("snp cold", rounds, step_snp, &input);
	input.memo = &memo;
	measure("snp warm", rounds, step_snp, &input);
	struct x509 root;
	struct err err;
	must(x509_parse(input.collateral.roots[0], &root, &err) == 0, "root");
	struct bare rsa = { root.key, root.scheme, root.tbs, root.signature };
	measure("bare RSA-4096 PSS", rounds, step_bare, &rsa);
}

static void bench_bare(size_t rounds)
{
	struct view der = file("tdx/collateral/intel_root_ca.der");
	struct x509 root;
	struct err err;
	must(x509_parse(der, &root, &err) == 0, "root");
	struct bare bare = { root.key, root.scheme, root.tbs, root.signature };
	measure("bare P-256", rounds, step_bare, &bare);
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
	bench_bare((size_t)rounds);
	bench_tdx((size_t)rounds);
	bench_snp((size_t)rounds);
	for (size_t i = 0; i < file_count; i++)
		buf_done(&files[i]);
	return 0;
}
