/* See snp.h. */
#include "rules/appraise/snp.h"

#include "kit/crypto/hash.h"
#include "rules/appraise/internal.h"
#include "rules/appraise/snp_report.h"
#include "rules/appraise/snp_vek.h"

enum {
	SIGNATURE_FIELD = 72,
	SCALAR_SIZE = 48,
	PATH_BELOW_ROOT = 1,
	VMPL_MAX = 3,
};

static const uint64_t policy_smt = 1ULL << 16;
static const uint64_t policy_reserved_one = 1ULL << 17;
static const uint64_t policy_migration = 1ULL << 18;
static const uint64_t policy_debug = 1ULL << 19;
static const uint64_t policy_single_socket = 1ULL << 20;
static const uint64_t policy_known = (1ULL << 26) - 1;
static const uint64_t platform_known = 0x3f; /* SMT, TSME, ECC, RAPL, ciphertext, alias check */

static const struct chain_codes chain_codes = { "chain.expired", "chain.not_yet_valid",
	"chain.signature", "chain.not_ca" };

static const struct crl_codes crl_codes = {
	.missing = "crl.missing",
	.unchecked = "revocation.crl",
	.parse = "crl.parse",
	.issuer_name = "crl.issuer_name",
	.signature = "crl.signature",
	.expired = "crl.expired",
	.not_yet_valid = "crl.not_yet_valid",
};

/* Names of one product line. */
static const struct line {
	const char *name;
	const char *root;
	const char *vcek_issuer;
	const char *vlek_issuer;
} lines[SNP_PRODUCT_COUNT] = {
	[SNP_PRODUCT_NONE] = { "unknown", NULL, NULL, NULL },
	[SNP_PRODUCT_MILAN] = { "milan", "ARK-Milan", "SEV-Milan", "SEV-VLEK-Milan" },
	[SNP_PRODUCT_GENOA] = { "genoa", "ARK-Genoa", "SEV-Genoa", "SEV-VLEK-Genoa" },
	[SNP_PRODUCT_TURIN] = { "turin", "ARK-Turin", "SEV-Turin", "SEV-VLEK-Turin" },
};

struct snp_appraisal {
	const struct appraise_snp_input *input;
	struct appraise_result *result;
	struct snp_report report;
	struct x509 vek, intermediate, root;
	const struct appraise_anchor *anchor;
	enum snp_product product; /* of the chain */
	bool is_vlek;             /* by the leaf's name */
};

const char *snp_product_name(enum snp_product product)
{
	return lines[product].name;
}

static bool stop(struct snp_appraisal *a, const char *code)
{
	appraise_fault(a->result, code);
	return false;
}

/* Product line and role of the intermediate by its name. */
static bool find_line(struct snp_appraisal *a, bool *ret_signs_vleks)
{
	for (enum snp_product p = SNP_PRODUCT_MILAN; p < SNP_PRODUCT_COUNT; p++) {
		bool signs_vceks = x509_name_is(a->intermediate.subject, lines[p].vcek_issuer);
		*ret_signs_vleks = x509_name_is(a->intermediate.subject, lines[p].vlek_issuer);
		if (x509_name_is(a->intermediate.subject, lines[p].root))
			return stop(a, "chain.role");
		if (!signs_vceks && !*ret_signs_vleks)
			continue;
		a->product = p;
		return true;
	}
	return stop(a, "chain.names");
}

/* The ARK among those given that is pinned and named for the product. */
static bool find_root(struct snp_appraisal *a)
{
	const struct appraise_anchors anchors = { a->input->anchors, a->input->anchor_count };
	const struct snp_collateral *collateral = &a->input->collateral;
	struct err ignored;
	for (size_t i = 0; i < MIN(collateral->root_count, (size_t)SNP_ROOTS_MAX); i++) {
		struct x509 root;
		if (x509_parse(collateral->roots[i], &root, &ignored) < 0 ||
			!x509_name_is(root.subject, lines[a->product].root))
			continue;
		a->anchor = appraise_anchor_of(&anchors, &root);
		a->root = root;
		if (a->anchor)
			return true;
	}
	return stop(a, "chain.untrusted_root");
}

/* Decode, find roles by name, find the root. */
static bool open_chain(struct snp_appraisal *a)
{
	const struct snp_collateral *collateral = &a->input->collateral;
	struct err ignored;
	bool signs_vleks;
	if (collateral->vek.size == 0 || collateral->intermediate.size == 0)
		return stop(a, "chain.missing");
	if (x509_parse(collateral->vek, &a->vek, &ignored) < 0 ||
		x509_parse(collateral->intermediate, &a->intermediate, &ignored) < 0)
		return stop(a, "chain.parse");
	if (!find_line(a, &signs_vleks))
		return false;
	a->is_vlek = x509_name_is(a->vek.subject, "SEV-VLEK");
	if (!a->is_vlek && !x509_name_is(a->vek.subject, "SEV-VCEK"))
		appraise_fault(a->result, "chain.names");
	else if (a->is_vlek != signs_vleks)
		appraise_fault(a->result, "chain.role");
	return find_root(a);
}

static void check_chain(struct snp_appraisal *a)
{
	const struct x509 *const certificates[] = { &a->root, &a->intermediate, &a->vek };
	struct appraise_memo *memo = a->input->memo;
	bool is_pss = true;
	for (size_t i = 0; i < ARRAY_SIZE(certificates); i++)
		is_pss &= certificates[i]->scheme == VERIFY_RSA_PSS_SHA384;
	if (!is_pss)
		appraise_fault(a->result, "chain.algorithm");
	if (!chain_is_ca(&a->root, PATH_BELOW_ROOT) || !chain_is_ca(&a->intermediate, 0) ||
		a->vek.is_ca)
		appraise_fault(a->result, chain_codes.not_ca);
	if (a->vek.key.type != VERIFY_KEY_P384)
		appraise_fault(a->result, "vek.key");
	if (!chain_root_holds(memo, &a->root, a->anchor) ||
		!chain_issued(memo, &a->intermediate, &a->root) ||
		!chain_issued(memo, &a->vek, &a->intermediate))
		appraise_fault(a->result, chain_codes.signature);
	for (size_t i = 0; i < ARRAY_SIZE(certificates); i++)
		(void)chain_dates(certificates[i], a->input->as_of_ms, &chain_codes, a->result);
}

static void check_revocation(struct snp_appraisal *a)
{
	const struct crl_check check = {
		.der = a->input->collateral.crl,
		.issuer = &a->root,
		.codes = &crl_codes,
		.policy = a->input->policy,
		.as_of_ms = a->input->as_of_ms,
		.memo = a->input->memo,
	};
	struct x509_crl crl;
	if (crl_open(&check, &crl, a->result) && x509_crl_lists(&crl, a->intermediate.serial))
		appraise_fault(a->result, "chain.revoked");
}

/* Little-endian of 72 bytes to big-endian of 48; the rest must be zero. */
static bool take_scalar(struct view field, uint8_t *ret_scalar)
{
	uint8_t rest = 0;
	for (size_t i = SCALAR_SIZE; i < SIGNATURE_FIELD; i++)
		rest |= field.data[i];
	for (size_t i = 0; i < SCALAR_SIZE; i++)
		ret_scalar[i] = field.data[SCALAR_SIZE - 1 - i];
	return rest == 0;
}

static void check_signature(struct snp_appraisal *a)
{
	uint8_t r_and_s[2 * SCALAR_SIZE];
	if (a->vek.key.type != VERIFY_KEY_P384)
		return; /* has its reason */
	if (!take_scalar(a->report.r, r_and_s) ||
		!take_scalar(a->report.s, r_and_s + SCALAR_SIZE) ||
		!appraise_signed_once_raw(a->input->memo, &a->vek.key, VERIFY_ECDSA_SHA384,
			a->report.signed_part, view_of(r_and_s, sizeof(r_and_s))))
		appraise_fault(a->result, "report.signature");
}

static bool is_padded_id(struct view chip_id, struct view hardware_id)
{
	uint8_t rest = 0;
	for (size_t i = hardware_id.size; i < chip_id.size; i++)
		rest |= chip_id.data[i];
	return rest == 0 && crypto_equal(view_of(chip_id.data, hardware_id.size), hardware_id);
}

static bool tcb_reaches(const struct snp_tcb *have, const struct snp_tcb *wanted)
{
	return have->fmc >= wanted->fmc && have->boot_loader >= wanted->boot_loader &&
	       have->tee >= wanted->tee && have->snp >= wanted->snp &&
	       have->microcode >= wanted->microcode;
}

static bool tcb_equal(const struct snp_tcb *a, const struct snp_tcb *b)
{
	return tcb_reaches(a, b) && tcb_reaches(b, a);
}

/* The certificate against the report: product, TCB, chip, kind. */
static void check_vek(struct snp_appraisal *a)
{
	const struct snp_report *report = &a->report;
	const struct appraise_policy *policy = a->input->policy;
	struct snp_vek vek;
	if (a->is_vlek != (report->signing_key == SNP_SIGNED_BY_VLEK))
		appraise_fault(a->result, "vek.kind");
	if (report->has_cpuid && report->product != a->product)
		appraise_fault(a->result, "chain.product");
	if (policy->snp.refused_products & 1U << a->product)
		appraise_fault(a->result, "snp.product");
	if (!snp_vek_parse(&a->vek, a->is_vlek, &vek)) {
		appraise_fault(a->result, "vek.extension");
		return;
	}
	if (vek.product != a->product)
		appraise_fault(a->result, "chain.product");
	struct snp_tcb reported = snp_tcb_of(report->reported_tcb, a->product);
	if (!tcb_equal(&vek.tcb, &reported))
		appraise_fault(a->result, "vek.tcb");
	if (!a->is_vlek && !is_padded_id(report->chip_id, vek.hardware_id))
		appraise_fault(a->result, "vek.chip_id");
	if (policy->snp.csp_ids.count > 0 &&
		(!a->is_vlek || !appraise_list_has(&policy->snp.csp_ids, vek.csp_id)))
		appraise_fault(a->result, "vek.csp_id");
	if (policy->snp.chips.count > 0 && !appraise_list_has(&policy->snp.chips, report->chip_id))
		appraise_fault(a->result, "snp.chip");
}

static void check_tcb(struct snp_appraisal *a)
{
	const struct snp_report *report = &a->report;
	const struct appraise_policy *policy = a->input->policy;
	struct snp_tcb current = snp_tcb_of(report->current_tcb, a->product);
	struct snp_tcb reported = snp_tcb_of(report->reported_tcb, a->product);
	struct snp_tcb committed = snp_tcb_of(report->committed_tcb, a->product);
	struct snp_tcb launch = snp_tcb_of(report->launch_tcb, a->product);
	a->result->tcb = reported;
	bool is_ordered = tcb_reaches(&current, &reported) && tcb_reaches(&current, &committed) &&
			  report->current_version >= report->committed_version;
	if (!is_ordered)
		appraise_fault(a->result, "tcb.order");
	else if (!tcb_equal(&committed, &current) && !policy->snp.may_be_provisional)
		appraise_fault(a->result, "tcb.provisional");
	if (!tcb_reaches(&reported, &policy->snp.tcb_min))
		appraise_fault(a->result, "tcb.minimum");
	if (!tcb_reaches(&launch, &policy->snp.launch_tcb_min))
		appraise_fault(a->result, "tcb.launch");
}

static void check_guest_policy(struct snp_appraisal *a)
{
	const struct appraise_policy *policy = a->input->policy;
	uint64_t guest = a->report.policy;
	unsigned minor = guest & 0xff, major = guest >> 8 & 0xff;
	if (guest & policy_debug)
		appraise_fault(a->result, "snp.debug");
	if (guest & policy_migration)
		appraise_fault(a->result, "snp.migrate_ma");
	if (!(guest & policy_reserved_one) || (guest & ~policy_known))
		appraise_fault(a->result, "snp.policy_reserved");
	if (policy->snp.is_smt_refused && (guest & policy_smt))
		appraise_fault(a->result, "snp.smt");
	if (policy->snp.is_single_socket_required && !(guest & policy_single_socket))
		appraise_fault(a->result, "snp.single_socket");
	if (major < policy->snp.abi_major_min ||
		(major == policy->snp.abi_major_min && minor < policy->snp.abi_minor_min))
		appraise_fault(a->result, "snp.abi");
}

static void check_list(struct snp_appraisal *a, const struct appraise_list *list, struct view value,
	const char *code)
{
	if (list->count > 0 && !appraise_list_has(list, value))
		appraise_fault(a->result, code);
}

static void check_guest(struct snp_appraisal *a)
{
	const struct snp_report *report = &a->report;
	const struct appraise_policy *policy = a->input->policy;
	unsigned vmpls = policy->snp.vmpls ? policy->snp.vmpls : 1U;
	check_guest_policy(a);
	if (report->vmpl > VMPL_MAX || !(vmpls & 1U << report->vmpl))
		appraise_fault(a->result, "snp.vmpl");
	check_list(a, &policy->snp.measurement, report->measurement, "snp.measurement");
	check_list(a, &policy->snp.host_data, report->host_data, "snp.host_data");
	check_list(a, &policy->snp.id_keys, report->id_key, "snp.id_key");
	check_list(a, &policy->snp.author_keys, report->author_key, "snp.author_key");
	if (policy->report_data.size > 0 && !crypto_equal(policy->report_data, report->report_data))
		appraise_fault(a->result, "snp.report_data");
	if (report->guest_svn < policy->snp.guest_svn_min)
		appraise_fault(a->result, "snp.guest_svn");
	if ((report->launch_mitigation & policy->snp.launch_mitigations) !=
		policy->snp.launch_mitigations)
		appraise_fault(a->result, "snp.mitigation");
	if ((report->platform_info & policy->snp.platform_required) !=
			policy->snp.platform_required ||
		(report->platform_info & policy->snp.platform_forbidden))
		appraise_fault(a->result, "snp.platform_info");
}

static void show(struct snp_appraisal *a)
{
	const struct snp_report *report = &a->report;
	struct appraise_result *result = a->result;
	result->report_data = report->report_data;
	result->measurement = report->measurement;
	result->host_data = report->host_data;
	result->platform_id = report->chip_id;
	result->guest_policy = report->policy;
	result->platform_info = report->platform_info;
	result->platform_info_unknown = report->platform_info & ~platform_known;
	result->vmpl = report->vmpl;
}

static void appraise(struct snp_appraisal *a)
{
	size_t offset;
	const char *code = snp_report_parse(a->input->report, &a->report, &offset);
	if (code) {
		appraise_fault_at(a->result, code, offset);
		return;
	}
	show(a);
	if (!open_chain(a))
		return;
	a->result->product = a->product;
	check_chain(a);
	check_revocation(a);
	check_signature(a);
	check_vek(a);
	check_tcb(a);
	check_guest(a);
}

void appraise_snp(const struct appraise_snp_input *input, struct appraise_result *ret_result)
{
	*ret_result = (struct appraise_result){ .platform = APPRAISE_PLATFORM_SNP, .anchor = "" };
	auto_done(appraise_memo) own = {}; /* one key signs twice */
	struct appraise_snp_input full = *input;
	full.memo = input->memo ? input->memo : &own;
	struct snp_appraisal a = { .input = &full, .result = ret_result };
	appraise(&a);
	appraise_conclude(ret_result, input->policy, a.anchor);
}
