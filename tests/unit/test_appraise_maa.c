/*
 * MAA tokens as an attacker or a careless service might make them, signed by a key of the test:
 * one change each to a good token, the policy that meets it, and the verdict.
 */
#include "appraise_load.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "kit/codec/base64.h"

enum { NOW_S = 1790000000 };

#define ZEROS_48                                           \
	"000000000000000000000000000000000000000000000000" \
	"000000000000000000000000000000000000000000000000"
#define ZEROS_32 "0000000000000000000000000000000000000000000000000000000000000000"

static const char nonce[] = "0123456789abcdef";

#define COMMON                                                                              \
	"\"exp\":1790000300,\"iat\":1789999990,\"nbf\":1789999990,\"iss\":\"https://maa\"," \
	"\"x-ms-compliance-status\":\"azure-compliant-cvm\","                               \
	"\"x-ms-runtime\":{\"client-payload\":{\"nonce\":\"MDEyMzQ1Njc4OWFiY2RlZg==\"}},"

static const char snp_claims[] =
	"{" COMMON "\"x-ms-attestation-type\":\"sevsnpvm\",\"x-ms-sevsnpvm-is-debuggable\":false,"
	"\"x-ms-sevsnpvm-migration-allowed\":false,\"x-ms-sevsnpvm-vmpl\":0,"
	"\"x-ms-sevsnpvm-smt-allowed\":true,\"x-ms-sevsnpvm-guestsvn\":8,"
	"\"x-ms-sevsnpvm-bootloader-svn\":3,\"x-ms-sevsnpvm-tee-svn\":0,"
	"\"x-ms-sevsnpvm-snpfw-svn\":8,\"x-ms-sevsnpvm-microcode-svn\":115,"
	"\"x-ms-sevsnpvm-hostdata\":\"" ZEROS_32 "\",\"x-ms-sevsnpvm-idkeydigest\":\"" ZEROS_48
	"\",\"x-ms-sevsnpvm-authorkeydigest\":\"" ZEROS_48
	"\",\"x-ms-sevsnpvm-launchmeasurement\":\"" ZEROS_48
	"\",\"x-ms-sevsnpvm-reportdata\":\"" ZEROS_32 ZEROS_32 "\"}";

static const char tdx_claims[] =
	"{" COMMON "\"x-ms-attestation-type\":\"tdxvm\",\"attester_tcb_status\":\"UpToDate\","
	"\"dbgstat\":\"disabled\",\"tdx_mrtd\":\"" ZEROS_48 "\",\"tdx_rtmr0\":\"" ZEROS_48
	"\",\"tdx_rtmr1\":\"" ZEROS_48 "\",\"tdx_rtmr2\":\"" ZEROS_48 "\",\"tdx_rtmr3\":\"" ZEROS_48
	"\",\"tdx_mrconfigid\":\"" ZEROS_48 "\",\"tdx_mrowner\":\"" ZEROS_48
	"\",\"tdx_mrownerconfig\":\"" ZEROS_48 "\",\"tdx_td_attributes\":\"0000001000000000\","
	"\"tdx_td_attributes_debug\":false,\"tdx_td_attributes_septve_disable\":true,"
	"\"tdx_report_data\":\"" ZEROS_32 ZEROS_32 "\"}";

static const char header[] = "{\"alg\":\"RS256\",\"kid\":\"k\"}";

static EVP_PKEY *key;
static struct buf jwks;

static void append(struct buf *buf, const char *text)
{
	struct err err;
	ck_assert_ok(buf_append_string(buf, text, &err), err);
}

static void append_base64(struct buf *buf, struct view bytes)
{
	struct err err;
	ck_assert_ok(base64_encode(BASE64_URL, bytes, buf, &err), err);
}

static void make_key(void)
{
	uint8_t bytes[256];
	BIGNUM *modulus = NULL;
	key = EVP_RSA_gen(2048);
	ck_assert_int_eq(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &modulus), 1);
	ck_assert_int_eq(BN_bn2binpad(modulus, bytes, sizeof(bytes)), sizeof(bytes));
	BN_free(modulus);
	append(&jwks, "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"k\",\"e\":\"AQAB\",\"n\":\"");
	append_base64(&jwks, view_of(bytes, sizeof(bytes)));
	append(&jwks, "\"}]}");
}

/* text with the first occurrence of `from` replaced; a change that changes nothing is a fault. */
static void replace(const char *text, const char *from, const char *to, struct buf *ret_text)
{
	struct err err;
	const char *at = strstr(text, from);
	ck_assert_msg(at != NULL, "%s is not in the token", from);
	ck_assert_ok(buf_append(ret_text, view_of(text, (size_t)(at - text)), &err), err);
	append(ret_text, to);
	append(ret_text, at + strlen(from));
}

static void sign(const char *head, struct view claims, struct buf *ret_token)
{
	struct err err;
	uint8_t signature[256];
	size_t size = sizeof(signature);
	append_base64(ret_token, view_string(head));
	append(ret_token, ".");
	append_base64(ret_token, claims);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	ck_assert_int_eq(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key), 1);
	ck_assert_int_eq(
		EVP_DigestSign(context, signature, &size, ret_token->data, ret_token->size), 1);
	EVP_MD_CTX_free(context);
	ck_assert_ok(buf_append_string(ret_token, ".", &err), err);
	append_base64(ret_token, view_of(signature, size));
}

static const char *judge(struct view token, const struct appraise_policy *policy, uint64_t as_of_ms)
{
	static struct appraise_result result;
	const struct appraise_token_input input = { .token = token,
		.jwks = buf_view(&jwks),
		.anchor = "azure-maa:test",
		.policy = policy,
		.as_of_ms = as_of_ms };
	appraise_maa(&input, &result);
	return result.is_accepted ? "valid" : first_reason(&result);
}

static struct appraise_policy base_policy(void)
{
	return (struct appraise_policy){ .token = {
						 .issuer = view_string("https://maa"),
						 .nonce = view_of(nonce, 16),
					 } };
}

static void expect(const char *claims, const char *from, const char *to,
	const struct appraise_policy *policy, const char *expected)
{
	auto_done(buf) text = {};
	auto_done(buf) token = {};
	replace(claims, from, to, &text);
	sign(header, buf_view(&text), &token);
	const char *got = judge(buf_view(&token), policy, NOW_S * 1000ULL);
	ck_assert_msg(
		str_equal(got, expected), "%s -> %s: %s, expected %s", from, to, got, expected);
}

START_TEST(changed_claims)
{
	static const struct {
		const char *from, *to, *expected;
	} snp[] = {
		{ "{", "{", "valid" },
		{ "-vmpl\":0", "-vmpl\":1", "snp.vmpl" },
		{ "-vmpl\":0", "-vmpl\":4", "snp.vmpl" },
		{ "-vmpl\":0", "-vmpl\":\"0\"", "snp.vmpl" },
		{ "\"x-ms-sevsnpvm-vmpl\":0,", "", "valid" },
		{ "debuggable\":false", "debuggable\":true", "maa.debug" },
		{ "debuggable\":false", "debuggable\":0", "maa.debug" },
		{ "debuggable\":false", "debuggable\":null", "maa.debug" },
		{ "migration-allowed\":false", "migration-allowed\":true", "maa.migration" },
		{ "\"sevsnpvm\"", "\"sgx\"", "maa.type" },
		{ "-cvm\"", "-cvm2\"", "maa.compliance" },
		{ "https://maa", "https://maa/", "jwt.issuer" },
		{ "MDEyMzQ1", "MDEyMzQ2", "jwt.nonce" },
		{ "client-payload\":{", "client-payload\":{\"nonce\":\"\",", "jwt.format" },
		{ "\"exp\":1790000300,", "", "jwt.format" },
		{ "\"iat\":1789999990,", "", "jwt.format" },
		{ "\"nbf\":1789999990,", "", "jwt.format" },
		{ "\"nbf\":1789999990", "\"nbf\":1789999990.0", "jwt.format" },
		{ "\"exp\":1790000300", "\"exp\":1790000300,\"exp\":1990000300", "jwt.format" },
		{ "\"iat\":1789999990", "\"iat\":1790000001", "jwt.not_yet_valid" },
		{ "\"nbf\":1789999990", "\"nbf\":1790000001", "jwt.not_yet_valid" },
	};
	static const struct {
		const char *from, *to, *expected;
	} tdx[] = {
		{ "{", "{", "valid" },
		{ "0000001000000000", "0100001000000000", "maa.debug" },
		{ "0000001000000000", "00000010000000", "maa.debug" },
		{ "0000001000000000", "0000000000000000", "maa.attributes" },
		{ "septve_disable\":true", "septve_disable\":false", "maa.attributes" },
		{ "septve_disable\":true", "perfmon\":true", "maa.attributes" },
		{ "septve_disable\":true", "key_locker\":false", "valid" },
		{ "0000001000000000", "0000003000000000", "maa.migration" },
		{ "\"disabled\"", "\"enabled\"", "maa.debug" },
		{ "UpToDate", "Uptodate", "maa.tcb" },
		{ "UpToDate", "Revoked", "maa.tcb" },
	};
	const struct appraise_policy policy = base_policy();
	make_key();
	for (size_t i = 0; i < ARRAY_SIZE(snp); i++)
		expect(snp_claims, snp[i].from, snp[i].to, &policy, snp[i].expected);
	for (size_t i = 0; i < ARRAY_SIZE(tdx); i++)
		expect(tdx_claims, tdx[i].from, tdx[i].to, &policy, tdx[i].expected);
}
END_TEST

/* Every expectation met by zeros, missed by others, and by a token that says nothing. */
START_TEST(expectations_of_the_policy)
{
	static const uint8_t zeros[64], others[64] = { 1 };
	struct appraise_policy p = base_policy();
	const struct {
		const char *claims, *claim, *code;
		struct appraise_list *list;
		size_t size;
	} rows[] = {
		{ snp_claims, "-launchmeasurement", "snp.measurement", &p.snp.measurement, 48 },
		{ snp_claims, "-hostdata", "snp.host_data", &p.snp.host_data, 32 },
		{ snp_claims, "-idkeydigest", "snp.id_key", &p.snp.id_keys, 48 },
		{ snp_claims, "-authorkeydigest", "snp.author_key", &p.snp.author_keys, 48 },
		{ tdx_claims, "tdx_mrtd", "td.mrtd", &p.tdx.mrtd, 48 },
		{ tdx_claims, "tdx_rtmr0", "td.rtmr0", &p.tdx.rtmr[0], 48 },
		{ tdx_claims, "tdx_rtmr3", "td.rtmr3", &p.tdx.rtmr[3], 48 },
		{ tdx_claims, "tdx_mrconfigid", "td.mr_config_id", &p.tdx.mr_config_id, 48 },
		{ tdx_claims, "tdx_mrowner", "td.mr_owner", &p.tdx.mr_owner, 48 },
		{ tdx_claims, "tdx_mrownerconfig", "td.mr_owner_config", &p.tdx.mr_owner_config,
			48 },
	};
	make_key();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		*rows[i].list = (struct appraise_list){ { view_of(zeros, rows[i].size) }, 1 };
		expect(rows[i].claims, "{", "{", &p, "valid");
		expect(rows[i].claims, rows[i].claim, "absent", &p, rows[i].code);
		rows[i].list->items[0] = view_of(others, rows[i].size);
		expect(rows[i].claims, "{", "{", &p, rows[i].code);
		rows[i].list->count = 0;
	}
	p.snp.chips = (struct appraise_list){ { view_of(zeros, 64) }, 1 };
	expect(snp_claims, "{", "{", &p, "snp.chip"); /* no claim can say */
	p = base_policy();
	p.report_data = view_of(zeros, 64);
	expect(snp_claims, "{", "{", &p, "valid");
	p.report_data = view_of(others, 64);
	expect(snp_claims, "{", "{", &p, "snp.report_data");
	expect(tdx_claims, "{", "{", &p, "td.report_data");
	p = base_policy();
	p.snp.is_smt_refused = true;
	expect(snp_claims, "{", "{", &p, "snp.smt");
	expect(snp_claims, "smt-allowed\":true", "smt-allowed\":false", &p, "valid");
	p = base_policy();
	for (p.snp.guest_svn_min = 7; p.snp.guest_svn_min <= 9; p.snp.guest_svn_min++)
		expect(snp_claims, "{", "{", &p,
			p.snp.guest_svn_min <= 8 ? "valid" : "snp.guest_svn");
	p = base_policy();
	p.snp.vmpls = 1U << 2;
	expect(snp_claims, "{", "{", &p, "snp.vmpl");
	expect(snp_claims, "vmpl\":0", "vmpl\":2", &p, "valid");
	expect(snp_claims, "\"x-ms-sevsnpvm-vmpl\":0,", "", &p, "snp.vmpl");
}
END_TEST

/* RFC 7519: not on or after exp, not before nbf; leeway widens both. */
START_TEST(times_to_the_second)
{
	static const struct {
		int64_t now_s;
		uint64_t leeway_s;
		const char *expected;
	} rows[] = {
		{ 1789999989, 0, "jwt.not_yet_valid" },
		{ 1789999990, 0, "valid" },
		{ 1789999979, 10, "jwt.not_yet_valid" },
		{ 1789999980, 10, "valid" },
		{ 1790000299, 0, "valid" },
		{ 1790000300, 0, "jwt.expired" },
		{ 1790000301, 0, "jwt.expired" },
		{ 1790000309, 10, "valid" },
		{ 1790000310, 10, "jwt.expired" },
	};
	make_key();
	auto_done(buf) token = {};
	sign(header, view_string(snp_claims), &token);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct appraise_policy policy = base_policy();
		policy.token.leeway_s = rows[i].leeway_s;
		ck_assert_str_eq(judge(buf_view(&token), &policy, (uint64_t)rows[i].now_s * 1000),
			rows[i].expected);
	}
}
END_TEST

START_TEST(headers)
{
	static const struct {
		const char *header, *expected;
	} rows[] = {
		{ "{\"alg\":\"RS256\"}", "valid" },
		{ "{\"alg\":\"RS256\",\"kid\":\"K\"}", "jwt.kid" },
		{ "{\"alg\":\"RS256\",\"kid\":\"\"}", "jwt.kid" },
		{ "{\"alg\":\"RS256\",\"kid\":1}", "jwt.kid" },
		{ "{\"alg\":\"rs256\",\"kid\":\"k\"}", "jwt.alg" },
		{ "{\"alg\":\"none\",\"kid\":\"k\"}", "jwt.alg" },
		{ "{\"alg\":\"None\",\"kid\":\"k\"}", "jwt.alg" },
		{ "{\"alg\":\"PS256\",\"kid\":\"k\"}", "jwt.alg" },
		{ "{\"alg\":\"ES256\",\"kid\":\"k\"}", "jwt.alg" },
		{ "{\"alg\":[\"RS256\"],\"kid\":\"k\"}", "jwt.alg" },
		{ "{\"kid\":\"k\"}", "jwt.alg" },
		{ "{\"alg\":\"RS256\",\"alg\":\"none\",\"kid\":\"k\"}", "jwt.format" },
		{ "{\"alg\":\"RS256\",\"kid\":\"k\",\"crit\":[\"b64\"],\"b64\":false}",
			"jwt.crit" },
		{ "{\"alg\":\"RS256\",\"kid\":\"k\",\"crit\":[]}", "jwt.crit" },
		{ "[]", "jwt.format" },
	};
	const struct appraise_policy policy = base_policy();
	make_key();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_done(buf) token = {};
		sign(rows[i].header, view_string(snp_claims), &token);
		const char *got = judge(buf_view(&token), &policy, NOW_S * 1000ULL);
		ck_assert_msg(str_equal(got, rows[i].expected), "%s: %s", rows[i].header, got);
	}
}
END_TEST

UNIT_MAIN("appraise_maa", changed_claims, expectations_of_the_policy, times_to_the_second, headers)
