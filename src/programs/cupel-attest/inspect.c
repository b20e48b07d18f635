/*
 * cupel attest inspect: every field of a quote or report, readable. Nothing is verified here,
 * and the output says so.
 */
#include <stdio.h>

#include "kit/base/str.h"
#include "kit/codec/hex.h"
#include "kit/codec/json.h"
#include "kit/crypto/x509.h"
#include "programs/cupel-attest/attest.h"
#include "rules/appraise/snp_report.h"
#include "rules/appraise/tdx_quote.h"
#include "rules/appraise/tpm_structures.h"

static int malformed(const char *code, size_t offset, struct err *err)
{
	return err_set(err, E_INVALID, "%s at byte %zu", code, offset);
}

static void set_subject(struct json *list, const struct x509 *certificate)
{
	struct json *each = json_new_object();
	json_set(each, "subject", json_new_string(x509_common_name(certificate->subject)));
	json_set(each, "issuer", json_new_string(x509_common_name(certificate->issuer)));
	json_set_hex(each, "serial", certificate->serial);
	json_append(list, each);
}

static struct json *chain_json(struct view pem)
{
	struct json *list = json_new_array();
	struct view certificates[X509_CHAIN_MAX];
	auto_done(buf) der = {};
	struct err ignored;
	size_t count = 0;
	if (x509_pem(pem, &der, certificates, X509_CHAIN_MAX, &count, &ignored) < 0)
		return list;
	for (size_t i = 0; i < count; i++) {
		struct x509 certificate;
		if (x509_parse(certificates[i], &certificate, &ignored) == 0)
			set_subject(list, &certificate);
	}
	return list;
}

static int inspect_tdx(struct view bytes, struct json *root, struct err *err)
{
	struct tdx_quote q;
	const char *code;
	size_t offset;
	if (!tdx_quote_parse(bytes, &q, &code, &offset)) {
		bool is_sgx = str_equal(code, "parse.version") &&
			      bytes.data[0] == TDX_QUOTE_VERSION_SGX;
		return is_sgx ? err_set(err, E_INVALID,
					"parse.version: an SGX quote (version 3); only TDX quotes "
					"are appraised")
			      : malformed(code, offset, err);
	}
	const struct {
		const char *name;
		struct view bytes;
	} fields[] = {
		{ "teeTcbSvn", q.tee_tcb_svn },
		{ "mrSeam", q.mr_seam },
		{ "mrSignerSeam", q.mr_signer_seam },
		{ "seamAttributes", q.seam_attributes },
		{ "tdAttributes", q.td_attributes },
		{ "xfam", q.xfam },
		{ "mrtd", q.mrtd },
		{ "mrConfigId", q.mr_config_id },
		{ "mrOwner", q.mr_owner },
		{ "mrOwnerConfig", q.mr_owner_config },
		{ "rtmr0", q.rtmr[0] },
		{ "rtmr1", q.rtmr[1] },
		{ "rtmr2", q.rtmr[2] },
		{ "rtmr3", q.rtmr[3] },
		{ "reportData", q.report_data },
		{ "teeTcbSvn2", q.tee_tcb_svn2 },
		{ "mrServiceTd", q.mr_service_td },
		{ "attestationKey", q.attestation_key },
		{ "qeReport", q.qe_report },
		{ "qeAuthData", q.qe_auth_data },
	};
	json_set_string(root, "kind", "tdx-quote");
	json_set_integer(root, "version", q.version);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].bytes.size > 0)
			json_set_hex(root, fields[i].name, fields[i].bytes);
	json_set(root, "pckChain", chain_json(q.pck_pem));
	if (code)
		json_set_string(root, "fault", code);
	return 0;
}

static void set_tcb(struct json *root, const char *name, struct view raw, enum snp_product product)
{
	struct snp_tcb tcb = snp_tcb_of(raw, product);
	struct json *parts = json_new_object();
	json_set_hex(parts, "raw", raw);
	json_set_integer(parts, "fmc", tcb.fmc);
	json_set_integer(parts, "bootLoader", tcb.boot_loader);
	json_set_integer(parts, "tee", tcb.tee);
	json_set_integer(parts, "snp", tcb.snp);
	json_set_integer(parts, "microcode", tcb.microcode);
	json_set(root, name, parts);
}

static int inspect_snp(struct view bytes, struct json *root, struct err *err)
{
	struct snp_report r;
	size_t offset;
	const char *code = snp_report_parse(bytes, &r, &offset);
	char policy[19];
	if (code)
		return malformed(code, offset, err);
	json_set_string(root, "kind", "snp-report");
	json_set_integer(root, "version", r.version);
	json_set_string(root, "product", snp_product_name(r.product));
	json_set_integer(root, "guestSvn", r.guest_svn);
	TRY(str_format(policy, sizeof(policy), err, "0x%llx", (unsigned long long)r.policy));
	json_set_string(root, "policy", policy);
	json_set_integer(root, "vmpl", r.vmpl);
	json_set_integer(root, "platformInfo", (int64_t)(r.platform_info & JSON_INTEGER_MAX));
	json_set_string(root, "signedBy", r.signing_key == SNP_SIGNED_BY_VLEK ? "VLEK" : "VCEK");
	set_tcb(root, "currentTcb", r.current_tcb, r.product);
	set_tcb(root, "reportedTcb", r.reported_tcb, r.product);
	set_tcb(root, "committedTcb", r.committed_tcb, r.product);
	set_tcb(root, "launchTcb", r.launch_tcb, r.product);
	json_set_hex(root, "reportData", r.report_data);
	json_set_hex(root, "measurement", r.measurement);
	json_set_hex(root, "hostData", r.host_data);
	json_set_hex(root, "idKeyDigest", r.id_key);
	json_set_hex(root, "authorKeyDigest", r.author_key);
	json_set_hex(root, "chipId", r.chip_id);
	return 0;
}

static int inspect_attest(struct view bytes, struct json *root, struct err *err)
{
	struct tpm_attest attest;
	struct json *selections = json_new_array();
	if (!tpm_attest_parse(bytes, &attest) || attest.magic != TPM_MAGIC ||
		attest.type != TPM_ST_ATTEST_QUOTE) {
		json_free(selections);
		return malformed("tpm.format", 0, err);
	}
	json_set_string(root, "kind", "tpm-quote");
	json_set_hex(root, "extraData", attest.extra_data);
	json_set_integer(root, "resetCount", attest.reset_count);
	json_set_boolean(root, "clockSafe", attest.is_clock_safe);
	for (size_t i = 0; i < attest.selection_count; i++) {
		struct json *each = json_new_object();
		json_set_integer(each, "algorithm", attest.selections[i].algorithm);
		json_set_integer(each, "pcrs", attest.selections[i].pcrs);
		json_append(selections, each);
	}
	json_set(root, "selections", selections);
	json_set_hex(root, "pcrDigest", attest.pcr_digest);
	return 0;
}

int attest_inspect(int argc, char **argv, struct err *err)
{
	auto_done(loaded) loaded = {};
	auto_json *root = json_new_object();
	const struct view *items = loaded.bundle.items;
	if (argc != 2)
		return err_set(err, E_INVALID, "expected: inspect FILE");
	TRY(load_evidence(&loaded, argv[1], err));
	json_set_boolean(root, "verified", false);
	if (items[BUNDLE_QUOTE].size > 0)
		TRY(inspect_tdx(items[BUNDLE_QUOTE], root, err));
	else if (items[BUNDLE_REPORT].size > 0)
		TRY(inspect_snp(items[BUNDLE_REPORT], root, err));
	else if (items[BUNDLE_ATTEST].size > 0)
		TRY(inspect_attest(items[BUNDLE_ATTEST], root, err));
	else
		return err_set(err, E_UNSUPPORTED, "%s holds nothing that inspect shows", argv[1]);
	return attest_print(root, err);
}
