/* SNP appraisal against the shared vectors, then properties of it. */
#include "appraise_cases.h"
#include "kit/base/mem.h"
#include "rules/appraise/snp.h"

struct snp_case {
	struct appraise_snp_input input;
	struct appraise_policy policy;
	struct appraise_anchor anchors[SNP_ROOTS_MAX];
};

static struct snp_tcb load_tcb(const struct json *tcb)
{
	if (!tcb)
		return (struct snp_tcb){};
	return (struct snp_tcb){
		.fmc = (uint8_t)json_as_integer(json_get(tcb, "fmc")),
		.boot_loader = (uint8_t)json_as_integer(json_get(tcb, "bl")),
		.tee = (uint8_t)json_as_integer(json_get(tcb, "tee")),
		.snp = (uint8_t)json_as_integer(json_get(tcb, "snp")),
		.microcode = (uint8_t)json_as_integer(json_get(tcb, "ucode")),
	};
}

static void load_policy(struct vector_case *c, struct appraise_policy *p)
{
	const struct json *policy = json_get(c->json, "policy");
	p->is_crl_optional = policy_is(policy, "crl", "optional");
	p->report_data = case_hex(c, json_get(policy, "report_data"));
	case_list(c, json_get(policy, "measurement"), false, &p->snp.measurement);
	case_list(c, json_get(policy, "host_data"), false, &p->snp.host_data);
	case_list(c, json_get(policy, "id_key_digests"), false, &p->snp.id_keys);
	case_list(c, json_get(policy, "author_key_digests"), false, &p->snp.author_keys);
	case_list(c, json_get(policy, "csp_ids"), true, &p->snp.csp_ids);
	const struct json *vmpls = json_get(policy, "vmpl");
	for (size_t i = 0; vmpls && i < json_size(vmpls); i++)
		p->snp.vmpls |= 1U << json_as_integer(json_at(vmpls, i));
	p->snp.tcb_min = load_tcb(json_get(policy, "min_tcb"));
	p->snp.launch_tcb_min = load_tcb(json_get(policy, "min_launch_tcb"));
	p->snp.guest_svn_min = (uint32_t)json_as_integer(json_get(policy, "min_guest_svn"));
	p->snp.launch_mitigations = (uint64_t)json_as_integer(
		json_get(policy, "min_launch_mitigation"));
	p->snp.platform_required = (uint64_t)json_as_integer(json_get(policy, "platform_required"));
	p->snp.platform_forbidden = (uint64_t)json_as_integer(
		json_get(policy, "platform_forbidden"));
	p->snp.is_smt_refused = json_as_boolean(json_get(policy, "forbid_smt"));
	p->snp.is_single_socket_required = json_as_boolean(
		json_get(policy, "require_single_socket"));
	const char *abi = json_as_string(json_get(policy, "min_abi"));
	if (abi) {
		p->snp.abi_major_min = (unsigned)strtoul(abi, NULL, 10);
		p->snp.abi_minor_min = (unsigned)strtoul(strchr(abi, '.') + 1, NULL, 10);
	}
}

static void load(struct vector_case *c, struct snp_case *t)
{
	const struct json *files = json_get(c->json, "collateral");
	*t = (struct snp_case){};
	struct snp_collateral *collateral = &t->input.collateral;
	t->input.report = case_file(c, json_as_string(json_get(c->json, "report")));
	collateral->vek = case_file(c, json_as_string(json_get(files, "vek")));
	collateral->intermediate = case_file(c, json_as_string(json_get(files, "ica")));
	collateral->crl = case_file(c, json_as_string(json_get(files, "crl")));
	const struct json *roots = json_get(files, "roots");
	for (size_t i = 0; i < json_size(roots); i++) {
		struct view root = case_file(c, json_as_string(json_at(roots, i)));
		collateral->roots[collateral->root_count++] = root;
		t->anchors[i] = case_anchor(root, "amd-ark");
	}
	load_policy(c, &t->policy);
	t->input.anchors = t->anchors;
	t->input.anchor_count = collateral->root_count;
	t->input.policy = &t->policy;
	t->input.as_of_ms = case_as_of(c);
}

static int run_snp(struct vector_case *c)
{
	struct snp_case t;
	struct appraise_result result;
	load(c, &t);
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

static bool is_tried;

/* Flips in the first valid case that comes by. */
static int run_flips(struct vector_case *c)
{
	struct snp_case t;
	struct appraise_result result;
	struct appraise_memo memo = {};
	load(c, &t);
	appraise_snp(&t.input, &result);
	if (!result.is_accepted || is_tried)
		return 0;
	is_tried = true;
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
	}
	return 0;
}

START_TEST(no_flipped_bit_and_no_truncation_is_accepted)
{
	run_suite("snp", "real.json", run_flips);
	ck_assert(is_tried);
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

UNIT_MAIN("appraise_snp", real_reports, simulated_reports,
	no_flipped_bit_and_no_truncation_is_accepted, certificate_table)
