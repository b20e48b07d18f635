/* SNP appraisal against the shared vectors, then properties of it. */
#include "appraise_load.h"
#include "kit/base/mem.h"
#include "rules/appraise/policy.h"
#include "rules/appraise/snp_vek.h"

static int run_snp(struct vector_case *c)
{
	struct snp_case t;
	struct appraise_result result;
	load_snp(c, &t);
	appraise_snp(&t.input, &result);
	return case_disagrees(c, result.is_accepted, first_reason(&result));
}

START_TEST(real_reports)
{
	ck_assert_uint_gt(run_suite("snp", "real.json", run_snp), 0);
}
END_TEST

START_TEST(simulated_reports)
{
	ck_assert_uint_gt(run_suite("snp/sim", "cases.json", run_snp), 0);
}
END_TEST

static size_t tried;

/* Flips and cuts of every valid case: one bit of each byte, or (CUPEL_SLOW) each. */
static int run_flips(struct vector_case *c)
{
	struct snp_case t;
	struct appraise_result result;
	auto_done(appraise_memo) memo = {};
	load_snp(c, &t);
	appraise_snp(&t.input, &result);
	if (!result.is_accepted)
		return 0;
	tried++;
	t.input.memo = &memo;
	size_t size = t.input.report.size, step = getenv("CUPEL_SLOW") ? 1 : 8;
	auto_free uint8_t *copy = mem_alloc(size, 1);
	memcpy(copy, t.input.report.data, size);
	t.input.report = view_of(copy, size);
	for (size_t bit = 0; bit < size * 8; bit += step) {
		size_t at = step == 1 ? bit : bit + (bit / 8 * 5) % 8;
		copy[at / 8] ^= (uint8_t)(1U << at % 8);
		appraise_snp(&t.input, &result);
		ck_assert_msg(!result.is_accepted, "bit %zu flipped and accepted", at);
		copy[at / 8] ^= (uint8_t)(1U << at % 8);
	}
	for (size_t cut = 0; cut < size; cut++) {
		t.input.report = view_of(copy, cut);
		appraise_snp(&t.input, &result);
		ck_assert_str_eq(result.reasons[0].code, "parse.length");
		ck_assert_uint_le(result.reasons[0].offset, cut);
	}
	return 0;
}

START_TEST(no_flipped_bit_and_no_truncation_is_accepted)
{
	run_suite("snp", "real.json", run_flips);
	ck_assert_uint_eq(tried, 4);
	run_suite("snp/sim", "cases.json", run_flips);
	ck_assert_uint_eq(tried, 4 + 8);
}
END_TEST

/* The root that comes with the evidence is a candidate; only an anchor makes it one to trust. */
static int run_other_anchors(struct vector_case *c)
{
	struct snp_case t;
	struct appraise_result result;
	load_snp(c, &t);
	appraise_snp(&t.input, &result);
	if (!result.is_accepted)
		return 0;
	tried++;
	const char *label = result.anchor;
	struct appraise_anchor others[SNP_ROOTS_MAX];
	size_t count = 0;
	for (size_t i = 0; i < t.input.anchor_count; i++) { /* of the other product lines */
		t.input.anchors = &t.anchors[i];
		struct appraise_snp_input one = t.input;
		one.anchor_count = 1;
		appraise_snp(&one, &result);
		if (!result.is_accepted)
			others[count++] = t.anchors[i];
	}
	ck_assert_str_eq(label, "amd-ark");
	ck_assert_uint_eq(count + 1, t.input.anchor_count);
	t.input.anchors = others;
	t.input.anchor_count = count;
	appraise_snp(&t.input, &result);
	ck_assert_str_eq(first_reason(&result), "chain.untrusted_root");
	t.input.anchor_count = 0;
	appraise_snp(&t.input, &result);
	ck_assert_str_eq(first_reason(&result), "chain.untrusted_root");
	return 0;
}

/* A made-up root of AMD's names, where only AMD's own roots are anchors. */
static int run_forged_root(struct vector_case *c)
{
	struct snp_case t;
	struct appraise_result result;
	load_snp(c, &t);
	t.input.anchors = appraise_known_anchors;
	t.input.anchor_count = appraise_known_anchor_count;
	appraise_snp(&t.input, &result);
	ck_assert_msg(!result.is_accepted, "%s", json_as_string(json_get(c->json, "id")));
	if (str_equal(json_as_string(json_get(c->json, "expect")), "valid"))
		ck_assert_str_eq(first_reason(&result), "chain.untrusted_root");
	return 0;
}

START_TEST(roots_of_the_evidence_are_not_trusted)
{
	run_suite("snp", "real.json", run_other_anchors);
	run_suite("snp/sim", "cases.json", run_other_anchors);
	ck_assert_uint_eq(tried, 4 + 8);
	run_suite("snp/sim", "cases.json", run_forged_root);
}
END_TEST

START_TEST(certificate_table)
{
	uint8_t table[128] = { 0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4,
		0xb9, 0x3b, 0xe8, 0xac, 0xcd, 48, 0, 0, 0, 80, 0, 0, 0 };
	struct snp_collateral collateral = {};
	ck_assert(snp_certificates_parse(view_of(table, sizeof(table)), &collateral));
	ck_assert_uint_eq(collateral.vek.size, 80);
	ck_assert_ptr_eq(collateral.vek.data, table + 48);
	collateral = (struct snp_collateral){};
	table[20] = 81; /* one byte behind the end */
	ck_assert(!snp_certificates_parse(view_of(table, sizeof(table)), &collateral));
	ck_assert(!snp_certificates_parse(view_of(table, 23), &collateral));
	ck_assert(!snp_certificates_parse(view_of(table, 24), &collateral));
	table[20] = 80;
	memcpy(table + 24, table, 24); /* a second VCEK */
	ck_assert(!snp_certificates_parse(view_of(table, sizeof(table)), &collateral));
}
END_TEST

/* Extensions 2, 3.1, 3.2, 3.3, 3.8 of a Milan VCEK and its hardware id, then what is given. */
static bool vek_parses(const uint8_t *more, size_t size, bool is_vlek)
{
	static const uint8_t oid[] = { 0x2b, 6, 1, 4, 1, 0x9c, 0x78, 1 };
	static const uint8_t arcs[][3] = { { 1, 2 }, { 2, 3, 1 }, { 2, 3, 2 }, { 2, 3, 3 },
		{ 2, 3, 8 }, { 1, 4 } }; /* how many, which */
	uint8_t bytes[512];
	size_t at = 0;
	for (size_t i = 0; i < ARRAY_SIZE(arcs); i++) {
		uint8_t name[] = { 0x16, 5, 'M', 'i', 'l', 'a', 'n' }, svn[] = { 2, 1, 7 },
			id[64] = {};
		struct view value = i == 0                     ? view_of(name, sizeof(name))
				    : i + 1 < ARRAY_SIZE(arcs) ? view_of(svn, sizeof(svn))
							       : view_of(id, sizeof(id));
		size_t oid_size = sizeof(oid) + arcs[i][0];
		bytes[at++] = 0x30;
		bytes[at++] = (uint8_t)(2 + oid_size + 2 + value.size);
		bytes[at++] = 6;
		bytes[at++] = (uint8_t)oid_size;
		memcpy(bytes + at, oid, sizeof(oid));
		memcpy(bytes + at + sizeof(oid), arcs[i] + 1, arcs[i][0]);
		at += oid_size;
		bytes[at++] = 4;
		bytes[at++] = (uint8_t)value.size;
		memcpy(bytes + at, value.data, value.size);
		at += value.size;
	}
	if (size > 0)
		memcpy(bytes + at, more, size);
	const struct x509 certificate = { .extensions = view_of(bytes, at + size) };
	struct snp_vek vek;
	return snp_vek_parse(&certificate, is_vlek, &vek);
}

/* What a Milan VCEK must not have is not excused by being malformed. */
START_TEST(malformed_extension_is_not_absent)
{
	static const uint8_t fmc[] = { 0x30, 16, 6, 10, 0x2b, 6, 1, 4, 1, 0x9c, 0x78, 1, 3, 9, 4, 2,
		5, 0 };
	static const uint8_t csp_id[] = { 0x30, 15, 6, 9, 0x2b, 6, 1, 4, 1, 0x9c, 0x78, 1, 5, 4, 2,
		5, 0 };
	ck_assert(vek_parses(NULL, 0, false));
	ck_assert(!vek_parses(NULL, 0, true));
	ck_assert(!vek_parses(fmc, sizeof(fmc), false));
	ck_assert(!vek_parses(csp_id, sizeof(csp_id), false));
}
END_TEST

/* What chain_root_holds() takes as known. */
START_TEST(known_roots_are_signed_by_themselves)
{
	static const char *const files[] = { "tdx/collateral/intel_root_ca.der",
		"snp/ca/ark_milan.der", "snp/ca/ark_genoa.der", "snp/ca/ark_turin.der",
		"tpm/gce/ca_root.der" };
	size_t known = 0;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char path[256];
		struct err err;
		auto_done(buf) der = {};
		struct x509 root;
		uint8_t digest[SHA256_SIZE];
		ck_assert_ok(str_format(path, sizeof(path), &err, "%s/%s", VECTORS, files[i]), err);
		ck_assert_ok(fd_read_file(path, 8 << 20, &der, &err), err);
		ck_assert_ok(x509_parse(buf_view(&der), &root, &err), err);
		ck_assert_ok(x509_verify(&root, &root.key, &err), err);
		ck_assert(view_equal(root.issuer, root.subject));
		hash_bytes(HASH_SHA256, root.whole, digest);
		for (size_t k = 0; k < appraise_known_anchor_count; k++)
			known += memcmp(appraise_known_anchors[k].sha256, digest, SHA256_SIZE) == 0;
	}
	ck_assert_uint_eq(known, appraise_known_anchor_count);
}
END_TEST

UNIT_MAIN("appraise_snp", real_reports, simulated_reports,
	no_flipped_bit_and_no_truncation_is_accepted, roots_of_the_evidence_are_not_trusted,
	certificate_table, malformed_extension_is_not_absent, known_roots_are_signed_by_themselves)
