/*
 * The inputs of an appraisal from a case of the shared vectors: files, collateral, policy. Used by
 * the unit tests and by tests/tools/appraise_check.c.
 */
#ifndef TESTS_APPRAISE_LOAD_H
#define TESTS_APPRAISE_LOAD_H

#include "appraise_cases.h"
#include "rules/appraise/azure.h"
#include "rules/appraise/snp.h"
#include "rules/appraise/tdx.h"
#include "rules/appraise/token.h"
#include "rules/appraise/tpm.h"

struct tdx_case {
	struct appraise_tdx_input input;
	struct appraise_policy policy;
	struct appraise_anchor anchor;
};

static inline void load_tdx(struct vector_case *c, struct tdx_case *t)
{
	const struct json *files = json_get(c->json, "collateral");
	const struct json *policy = json_get(c->json, "policy");
	*t = (struct tdx_case){};
	t->input.quote = case_file(c, json_as_string(json_get(c->json, "quote")));
	struct tdx_collateral *collateral = &t->input.collateral;
	collateral->tcb_info = case_file(c, json_as_string(json_get(files, "tcb_info")));
	collateral->tcb_chain = case_file(c, json_as_string(json_get(files, "tcb_chain")));
	collateral->qe_identity = case_file(c, json_as_string(json_get(files, "qe_identity")));
	collateral->qe_chain = case_file(c, json_as_string(json_get(files, "qe_chain")));
	collateral->root_crl = case_file(c, json_as_string(json_get(files, "root_crl")));
	collateral->pck_crl = case_file(c, json_as_string(json_get(files, "pck_crl")));
	t->anchor = case_anchor(
		case_file(c, json_as_string(json_get(files, "root"))), "intel-sgx-root");
	t->policy.report_data = case_hex(c, json_get(policy, "report_data"));
	case_list(c, json_get(policy, "mrtd"), false, &t->policy.tdx.mrtd);
	t->policy.tdx.evaluation_number_min = (uint64_t)json_as_integer(
		json_get(policy, "min_tcb_eval"));
	t->policy.is_crl_optional = policy_is(policy, "crl", "optional");
	t->input.anchors = &t->anchor;
	t->input.anchor_count = 1;
	t->input.policy = &t->policy;
	t->input.as_of_ms = case_as_of(c);
}

struct snp_case {
	struct appraise_snp_input input;
	struct appraise_policy policy;
	struct appraise_anchor anchors[SNP_ROOTS_MAX];
};

static inline struct snp_tcb load_tcb(const struct json *tcb)
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

static inline void load_snp_policy(struct vector_case *c, struct appraise_policy *p)
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

static inline void load_snp(struct vector_case *c, struct snp_case *t)
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
	load_snp_policy(c, &t->policy);
	t->input.anchors = t->anchors;
	t->input.anchor_count = collateral->root_count;
	t->input.policy = &t->policy;
	t->input.as_of_ms = case_as_of(c);
}

static inline void load_pcrs(struct vector_case *c, enum appraise_bank bank, struct view *pcrs)
{
	static const char *const banks[] = { "sha256", "sha384", "sha1" };
	const struct json *values = json_get(json_get(c->json, "pcrs"), banks[bank]);
	for (size_t i = 0; values && i < TPM_PCR_COUNT; i++) {
		char name[8];
		(void)snprintf(name, sizeof(name), "%zu", i);
		pcrs[i] = case_hex(c, json_get(values, name));
	}
}

static inline enum appraise_bank bank_of(const struct json *policy)
{
	if (policy_is(policy, "bank", "sha384"))
		return APPRAISE_BANK_SHA384;
	return policy_is(policy, "bank", "sha1") ? APPRAISE_BANK_SHA1 : APPRAISE_BANK_SHA256;
}

struct tpm_case {
	struct appraise_tpm_input input;
	struct appraise_policy policy;
	struct appraise_anchor anchor;
};

static inline void load_tpm_policy(struct vector_case *c, struct appraise_policy *p)
{
	const struct json *policy = json_get(c->json, "policy");
	p->is_crl_optional = policy_is(policy, "crl", "optional");
	p->tpm.nonce = case_hex(c, json_get(policy, "nonce"));
	const struct json *min_nonce = json_get(policy, "min_nonce");
	p->tpm.is_nonce_size_free = min_nonce && json_as_integer(min_nonce) == 0;
	p->tpm.nonce_size_min = min_nonce ? (uint32_t)json_as_integer(min_nonce) : 0;
	p->tpm.bank = bank_of(policy);
	const struct json *required = json_get(policy, "required_pcrs");
	for (size_t i = 0; required && i < json_size(required); i++)
		p->tpm.required_pcrs |= 1U << json_as_integer(json_at(required, i));
	p->tpm.is_event_log_required = json_as_boolean(json_get(policy, "event_log_required"));
	p->tpm.is_log_strict = json_as_boolean(json_get(policy, "strict_log"));
	p->tpm.is_safe_clock_required = json_as_boolean(json_get(policy, "require_safe_clock"));
	const struct json *resets = json_get(policy, "expect_reset_count");
	p->tpm.has_reset_count = resets != NULL;
	p->tpm.reset_count = (uint32_t)json_as_integer(resets);
	case_list(c, json_get(policy, "trusted_ak_names"), false, &p->tpm.ak_names);
	p->tpm.may_be_endorsement_key = list_names(json_get(policy, "ak_eku"), "2.23.133.8.1");
}

static inline void load_tpm(struct vector_case *c, struct tpm_case *t)
{
	const struct json *files = json_get(c->json, "collateral");
	struct appraise_tpm_input *input = &t->input;
	*t = (struct tpm_case){};
	load_tpm_policy(c, &t->policy);
	input->attest = case_file(c, json_as_string(json_get(c->json, "attest")));
	input->signature = case_file(c, json_as_string(json_get(c->json, "sig")));
	input->ak = case_file(c, json_as_string(json_get(files, "ak")));
	input->ak_public = case_file(c, json_as_string(json_get(files, "ak_public")));
	input->root = case_file(c, json_as_string(json_get(files, "root")));
	input->event_log = case_file(c, json_as_string(json_get(files, "log")));
	const struct json *chain = json_get(files, "chain"), *crls = json_get(files, "crls");
	for (size_t i = 0; chain && i < json_size(chain); i++)
		input->chain[input->chain_count++] = case_file(
			c, json_as_string(json_at(chain, i)));
	for (size_t i = 0; crls && i < json_size(crls); i++)
		input->crls[input->crl_count++] = case_file(c, json_as_string(json_at(crls, i)));
	input->bank = t->policy.tpm.bank;
	load_pcrs(c, input->bank, input->pcrs);
	t->anchor = case_anchor(input->root, "tpm-root");
	input->anchors = &t->anchor;
	input->anchor_count = input->root.size > 0 ? 1 : 0;
	input->policy = &t->policy;
	input->as_of_ms = case_as_of(c);
}

struct azure_case {
	struct appraise_azure_input input;
	struct appraise_policy policy;
	struct appraise_anchor anchor;
};

static inline void load_azure(struct vector_case *c, struct azure_case *t)
{
	const struct json *policy = json_get(c->json, "policy");
	struct appraise_azure_input *input = &t->input;
	struct appraise_policy *p = &t->policy;
	*t = (struct azure_case){};
	input->hcl = case_file(c, json_as_string(json_get(c->json, "hcl")));
	input->attest = case_file(c, json_as_string(json_get(c->json, "attest")));
	input->signature = case_file(c, json_as_string(json_get(c->json, "sig")));
	input->snp.vek = case_file(c, json_as_string(json_get(c->json, "vek")));
	input->snp.intermediate = case_file(c, "../../snp/ca/ask_milan.der");
	input->snp.roots[input->snp.root_count++] = case_file(c, "../../snp/ca/ark_milan.der");
	input->td_quote = case_file(c, json_as_string(json_get(c->json, "td_quote")));
	load_pcrs(c, APPRAISE_BANK_SHA256, input->pcrs);
	p->is_crl_optional = policy_is(policy, "crl", "optional");
	p->azure.is_td_quote_unchecked = policy_is(policy, "td_quote", "not_appraised");
	p->azure.user_data = case_hex(c, json_get(policy, "user_data"));
	p->tpm.nonce = case_hex(c, json_get(c->json, "nonce"));
	const struct json *vmpls = json_get(policy, "vmpl");
	for (size_t i = 0; vmpls && i < json_size(vmpls); i++)
		p->snp.vmpls |= 1U << json_as_integer(json_at(vmpls, i));
	p->tpm.is_nonce_size_free = true;
	t->anchor = case_anchor(input->snp.roots[0], "amd-ark-milan");
	input->anchors = &t->anchor;
	input->anchor_count = 1;
	input->policy = p;
	input->as_of_ms = case_as_of(c);
}

struct token_case {
	struct appraise_token_input input;
	struct appraise_policy policy;
	void (*appraise)(const struct appraise_token_input *, struct appraise_result *);
};

static inline void load_token(struct vector_case *c, struct token_case *t)
{
	const struct json *policy = json_get(c->json, "policy");
	struct appraise_policy *p = &t->policy;
	*t = (struct token_case){};
	t->appraise = policy_is(c->json, "kind", "ear") ? appraise_ear : appraise_maa;
	t->input = (struct appraise_token_input){
		.token = case_file(c, json_as_string(json_get(c->json, "token"))),
		.jwks = case_file(c, json_as_string(json_get(c->json, "jwks"))),
		.anchor = "azure-maa:test",
		.policy = p,
		.as_of_ms = case_as_of(c),
	};
	p->token.issuer = json_as_view(json_get(policy, "issuer"));
	p->token.nonce = case_hex(c, json_get(policy, "nonce"));
	p->token.age_max_s = (uint64_t)json_as_integer(json_get(policy, "max_age_s"));
	p->token.leeway_s = (uint64_t)json_as_integer(json_get(policy, "leeway_s"));
}

#endif
