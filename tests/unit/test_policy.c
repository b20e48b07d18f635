/* Appraisal policies as documents, and bundles of evidence. */
#include "appraise_cases.h"
#include "rules/appraise/bundle.h"
#include "rules/appraise/report.h"

static int read_policy(const char *text, struct policy_document *document, struct err *err)
{
	return policy_document_read(view_string(text), document, err);
}

START_TEST(shipped_policies_are_good)
{
	static const char *const names[] = { "strict", "azure-snp", "azure-tdx", "aws-snp",
		"gcp-tdx", "gcp-snp", "gcp-vtpm", "simulated-development" };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char path[512];
		struct err err;
		auto_done(buf) text = {};
		auto_done(policy_document) document = {};
		ck_assert_ok(str_format(path, sizeof(path), &err,
				     SOURCE_ROOT "/policies/attest/%s.json", names[i]),
			err);
		ck_assert_ok(fd_read_file(path, POLICY_SIZE_MAX, &text, &err), err);
		ck_assert_ok(policy_document_read(buf_view(&text), &document, &err), err);
		ck_assert_str_eq(document.name, names[i]);
		ck_assert_uint_eq(document.policy.simulated_roots.count, 0);
		for (size_t k = 0; k < document.anchor_count; k++)
			ck_assert(!document.anchors[k].is_simulated);
	}
}
END_TEST

START_TEST(members_arrive)
{
	struct err err;
	auto_done(policy_document) d = {};
	ck_assert_ok(
		read_policy(
			"{\"version\":1,\"name\":\"x\",\"crl_optional\":true,"
			"\"anchors\":[\"intel-sgx-root\",{\"label\":\"simulated:me\",\"sha256\":"
			"\"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"}],"
			"\"tdx\":{\"accepted_statuses\":[\"SWHardeningNeeded\"],"
			"\"evaluation_number_min\":17},"
			"\"snp\":{\"vmpls\":[0,2],\"refused_products\":[\"milan\"],"
			"\"csp_ids\":[\"CN=a\",\"CN=b\"],\"tcb_min\":{\"snp\":9,\"microcode\":200}}"
			","
			"\"tpm\":{\"bank\":\"sha384\",\"required_pcrs\":[0,7,23],\"nonce\":"
			"\"00ff\"},"
			"\"token\":{\"issuer\":\"https://i\",\"leeway_s\":60}}",
			&d, &err),
		err);
	const struct appraise_policy *p = &d.policy;
	ck_assert(p->is_crl_optional && !p->is_collateral_optional);
	ck_assert_uint_eq(d.anchor_count, 2);
	ck_assert(d.anchors[1].is_simulated && !d.anchors[0].is_simulated);
	ck_assert_uint_eq(p->simulated_roots.count, 1);
	ck_assert_uint_eq(p->tdx.accepted_statuses, 1U << TCB_SW_HARDENING_NEEDED);
	ck_assert_uint_eq(p->tdx.evaluation_number_min, 17);
	ck_assert_uint_eq(p->snp.vmpls, 5);
	ck_assert_uint_eq(p->snp.refused_products, 1U << SNP_PRODUCT_MILAN);
	ck_assert(view_equal_string(p->snp.csp_ids.items[1], "CN=b"));
	ck_assert_uint_eq(p->snp.tcb_min.microcode, 200);
	ck_assert_int_eq(p->tpm.bank, APPRAISE_BANK_SHA384);
	ck_assert_uint_eq(p->tpm.required_pcrs, 1U << 0 | 1U << 7 | 1U << 23);
	ck_assert_uint_eq(p->tpm.nonce.size, 2);
	ck_assert(view_equal_string(p->token.issuer, "https://i"));
}
END_TEST

static void hash_of(const char *text, uint8_t ret_hash[static APPRAISE_DIGEST_SIZE])
{
	auto_done(policy_document) document = {};
	struct err err;
	ck_assert_ok(read_policy(text, &document, &err), err);
	memcpy(ret_hash, document.hash, sizeof(document.hash));
}

START_TEST(hash_is_of_the_meaning)
{
	uint8_t a[APPRAISE_DIGEST_SIZE], b[APPRAISE_DIGEST_SIZE], c[APPRAISE_DIGEST_SIZE];
	hash_of("{\"version\":1,\"name\":\"x\"}", a);
	hash_of("{ \"name\" : \"x\", \"version\" : 1 }", b);
	hash_of("{\"version\":1,\"name\":\"x\",\"crl_optional\":false}", c);
	ck_assert_mem_eq(a, b, sizeof(a));
	ck_assert_mem_ne(a, c, sizeof(a));
}
END_TEST

START_TEST(faults_are_refused)
{
#define BASE "{\"version\":1,\"name\":\"x\","
	static const char *const texts[] = { "", "[]", "{}", "{\"version\":2,\"name\":\"x\"}",
		"{\"version\":1}", "{\"version\":1,\"name\":\"../x\"}", BASE "\"unknown\":1}",
		BASE "\"crl_optional\":1}", BASE "\"crl_optional\":\"true\"}",
		BASE "\"tdx\":{\"mrtd\":[]}}", BASE "\"tdx\":{\"mrtd\":[\"00\"]}}",
		BASE "\"tdx\":{\"mrtd\":\"00\"}}", BASE "\"tdx\":{\"debug\":true}}",
		BASE "\"tdx\":{\"accepted_statuses\":[\"Fine\"]}}", BASE "\"tdx\":[]}",
		BASE "\"snp\":{\"vmpls\":[4]}}", BASE "\"snp\":{\"vmpls\":[-1]}}",
		BASE "\"snp\":{\"tcb_min\":{\"x\":1}}}",
		BASE "\"snp\":{\"tcb_min\":{\"snp\":256}}}",
		BASE "\"snp\":{\"refused_products\":[\"rome\"]}}",
		BASE "\"tpm\":{\"bank\":\"sha1\"}}", BASE "\"tpm\":{\"required_pcrs\":[24]}}",
		BASE "\"tpm\":{\"nonce\":\"0\"}}", BASE "\"anchors\":[\"my-root\"]}",
		BASE "\"anchors\":[{\"label\":\"x\"}]}",
		BASE "\"anchors\":[{\"label\":\"x\",\"sha256\":\"00\"}]}", BASE "\"name\":\"y\"}",
		BASE "\"token\":{\"leeway_s\":-1}}" };
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct policy_document document;
		struct err err;
		ck_assert_msg(read_policy(texts[i], &document, &err) < 0, "accepted: %s", texts[i]);
	}
}
END_TEST

/* Expected values of another size are errors of the policy, never cut or padded to fit. */
START_TEST(expected_values_are_neither_cut_nor_padded)
{
	static const struct {
		const char *section, *member;
		size_t size;
		bool is_list;
	} rows[] = { { "", "report_data", 64, false }, { "tdx", "mrtd", 48, true },
		{ "tdx", "rtmr3", 48, true }, { "tdx", "mr_config_id", 48, true },
		{ "tdx", "platforms", 32, true }, { "snp", "measurement", 48, true },
		{ "snp", "host_data", 32, true }, { "snp", "id_keys", 48, true },
		{ "snp", "chips", 64, true }, { "token", "key_sets", 32, true },
		{ "azure", "user_data", 64, false } };
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (size_t size = 0; size <= 2 * rows[i].size; size++) {
			char text[512], hex[HEX_SIZE(128)];
			uint8_t zeros[128] = {};
			struct policy_document document;
			struct err err;
			bool has_section = rows[i].section[0] != 0;
			const char *open = rows[i].is_list ? "[" : "",
				   *close = rows[i].is_list ? "]" : "";
			ck_assert_ok(
				str_format(text, sizeof(text), &err,
					BASE "%s%s%s\"%s\":%s\"%s\"%s%s}", has_section ? "\"" : "",
					rows[i].section, has_section ? "\":{" : "", rows[i].member,
					open, hex_encode(view_of(zeros, size), hex), close,
					has_section ? "}" : ""),
				err);
			int status = read_policy(text, &document, &err);
			ck_assert_msg((status == 0) == (size == rows[i].size), "%s: %s", text,
				status ? err.message : "accepted");
			if (status == 0)
				policy_document_done(&document);
		}
}
END_TEST

START_TEST(bundles)
{
	struct bundle bundle = {}, again;
	struct policy_document policy = {};
	struct appraise_result result;
	struct view evidence;
	struct err err;
	auto_done(buf) bytes = {};
	ck_assert_fails(
		bundle_appraise(&bundle, &policy, 0, &result, &evidence, &err), E_INVALID, err);
	bundle.items[BUNDLE_QUOTE] = view_string("not a quote");
	bundle.items[BUNDLE_PCK_CRL] = view_string("crl");
	ck_assert_ok(bundle_encode(&bundle, &bytes, &err), err);
	ck_assert_ok(bundle_parse(buf_view(&bytes), &again, &err), err);
	ck_assert(view_equal(again.items[BUNDLE_PCK_CRL], bundle.items[BUNDLE_PCK_CRL]));
	ck_assert_ok(bundle_appraise(&again, &policy, 0, &result, &evidence, &err), err);
	ck_assert(!result.is_accepted);
	ck_assert_str_eq(result.reasons[0].code, "parse.truncated");
	for (size_t cut = 0; cut < bytes.size; cut++)
		if (bundle_parse(view_of(bytes.data, cut), &again, &err) == 0)
			ck_assert(again.items[BUNDLE_PCK_CRL].size == 0); /* between two items */
	ck_assert_ok(buf_append(&bytes, view_of(bytes.data + 8, 1 + 9 + 4 + 11), &err), err);
	ck_assert_fails(bundle_parse(buf_view(&bytes), &again, &err), E_INVALID, err); /* twice */
	bundle.items[BUNDLE_REPORT] = view_string("x");
	ck_assert_fails(
		bundle_appraise(&bundle, &policy, 0, &result, &evidence, &err), E_INVALID, err);
}
END_TEST

UNIT_MAIN("policy", shipped_policies_are_good, members_arrive, hash_is_of_the_meaning,
	faults_are_refused, expected_values_are_neither_cut_nor_padded, bundles)
