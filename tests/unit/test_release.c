/* Key-release pieces: JWE and report data of the key-broker vectors, HPKE of RFC 9180 A.1. */
#include "appraise_cases.h"
#include "kit/codec/base64.h"
#include "kit/codec/jcs.h"
#include "kit/crypto/hpke.h"
#include "kit/crypto/jwe.h"

static struct json *load_vectors(void)
{
	auto_done(buf) text = {};
	struct json *root = NULL;
	struct err err;
	ck_assert_ok(fd_read_file(VECTORS "/kbs/kbs.json", 1 << 20, &text, &err), err);
	ck_assert_ok(json_parse(buf_view(&text), 1 << 20, &root, &err), err);
	return root;
}

static int run_jwe(const struct json *row)
{
	auto_done(buf) jwk = {};
	auto_done(buf) message = {};
	auto_done(buf) expected = {};
	auto_done(buf) plaintext = {};
	auto_jwe_key *key = NULL;
	struct err err = {};
	const char *expect = json_as_string(json_get(row, "expect"));
	ck_assert_ok(json_encode(json_get(row, "private_jwk"), &jwk, &err), err);
	ck_assert_ok(json_encode(json_get(row, "response"), &message, &err), err);
	ck_assert_ok(jwe_key_read(buf_view(&jwk), &key, &err), err);
	int status = jwe_decrypt(key, buf_view(&message), &plaintext, &err);
	if (!str_equal(expect, "valid")) {
		bool is_right = status < 0 && str_starts(err.message, expect) && !plaintext.size;
		if (!is_right)
			printf("%s: expected %s, got %s\n", json_as_string(json_get(row, "id")),
				expect, status ? err.message : "valid");
		return is_right ? 0 : 1;
	}
	ck_assert_msg(status == 0, "%s: %s", json_as_string(json_get(row, "id")), err.message);
	ck_assert_ok(base64_decode(BASE64_STANDARD, json_as_view(json_get(row, "plaintext")),
			     &expected, &err),
		err);
	ck_assert(view_equal(buf_view(&plaintext), buf_view(&expected)));
	return 0;
}

START_TEST(jwe_vectors)
{
	auto_json *root = load_vectors();
	const struct json *rows = json_get(root, "jwe");
	int wrong = 0;
	for (size_t i = 0; i < json_size(rows); i++)
		wrong += run_jwe(json_at(rows, i));
	printf("kbs jwe: %zu cases, %d wrong\n", json_size(rows), wrong);
	ck_assert_uint_gt(json_size(rows), 0);
	ck_assert_int_eq(wrong, 0);
}
END_TEST

static int run_canonical(const struct json *row)
{
	auto_json *input = NULL;
	auto_done(buf) canonical = {};
	uint8_t digest[SHA256_SIZE];
	char hex[HEX_SIZE(SHA256_SIZE)];
	struct err err;
	ck_assert_ok(json_parse(json_as_view(json_get(row, "input")), 4096, &input, &err), err);
	ck_assert_ok(jcs_encode(input, &canonical, &err), err);
	hash_bytes(HASH_SHA256, buf_view(&canonical), digest);
	hex_encode(view_of(digest, sizeof(digest)), hex);
	bool is_right = policy_is(row, "canonical", buf_string(&canonical)) &&
			policy_is(row, "digest", hex);
	if (!is_right)
		printf("%s: %s\n", json_as_string(json_get(row, "id")), buf_string(&canonical));
	return is_right ? 0 : 1;
}

/* hash(canonical JSON), zero-padded to 64 bytes. */
static int run_report_data(const struct json *row)
{
	static const char *const names[] = { "sha256", "sha384", "sha512" };
	auto_done(buf) canonical = {};
	uint8_t digest[64] = {};
	char hex[HEX_SIZE(64)];
	struct err err;
	if (!json_get(row, "value"))
		return run_canonical(row);
	ck_assert_ok(jcs_encode(json_get(row, "value"), &canonical, &err), err);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (policy_is(row, "hash", names[i]))
			hash_bytes((enum hash_kind)i, buf_view(&canonical), digest);
	hex_encode(view_of(digest, sizeof(digest)), hex);
	bool is_right = policy_is(row, "canonical", buf_string(&canonical)) &&
			policy_is(row, "report_data", hex);
	if (!is_right)
		printf("%s: %s %s\n", json_as_string(json_get(row, "id")), buf_string(&canonical),
			hex);
	return is_right ? 0 : 1;
}

START_TEST(report_data_vectors)
{
	auto_json *root = load_vectors();
	const struct json *rows = json_get(root, "runtime_data");
	int wrong = 0;
	for (size_t i = 0; i < json_size(rows); i++)
		wrong += run_report_data(json_at(rows, i));
	printf("kbs runtime data: %zu cases, %d wrong\n", json_size(rows), wrong);
	ck_assert_int_eq(wrong, 0);
}
END_TEST

/* RFC 8785 appendix B and its neighbourhood. */
START_TEST(jcs_numbers)
{
	static const struct {
		double number;
		const char *text;
	} rows[] = { { 0, "0" }, { -0.0, "0" }, { 5e-324, "5e-324" }, { -5e-324, "-5e-324" },
		{ 1.7976931348623157e308, "1.7976931348623157e+308" },
		{ 9007199254740992, "9007199254740992" },
		{ 295147905179352830000.0, "295147905179352830000" },
		{ 9.999999999999997e22, "9.999999999999997e+22" }, { 1e23, "1e+23" },
		{ 999999999999999700000.0, "999999999999999700000" }, { 1e21, "1e+21" },
		{ 9.999999999999997e-7, "9.999999999999997e-7" }, { 0.000001, "0.000001" },
		{ 333333333.3333332, "333333333.3333332" },
		{ -0.0000033333333333333333, "-0.0000033333333333333333" },
		{ 1424953923781206.2, "1424953923781206.2" } };
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_done(buf) text = {};
		struct err err;
		ck_assert_ok(jcs_number(rows[i].number, &text, &err), err);
		ck_assert_str_eq(buf_string(&text), rows[i].text);
	}
}
END_TEST

START_TEST(jwe_round_trip)
{
	auto_jwe_key *key = NULL;
	auto_done(buf) jwk = {};
	struct err err;
	ck_assert_ok(jwe_key_generate(&key, &err), err);
	ck_assert_ok(jwe_key_public(key, &jwk, &err), err);
	auto_jwe_key *public = NULL;
	ck_assert_ok(jwe_key_read(buf_view(&jwk), &public, &err), err);
	for (size_t size = 0; size < 70; size += 23) {
		uint8_t secret[70] = { 1, 2, 3 };
		auto_done(buf) message = {};
		auto_done(buf) plaintext = {};
		ck_assert_ok(jwe_encrypt(public, view_of(secret, size), &message, &err), err);
		ck_assert_ok(jwe_decrypt(key, buf_view(&message), &plaintext, &err), err);
		ck_assert(view_equal(buf_view(&plaintext), view_of(secret, size)));
	}
	auto_jwe_key *other = NULL;
	auto_done(buf) message = {};
	auto_done(buf) plaintext = {};
	ck_assert_ok(jwe_key_generate(&other, &err), err);
	ck_assert_ok(jwe_encrypt(public, view_string("x"), &message, &err), err);
	ck_assert_fails(jwe_decrypt(other, buf_view(&message), &plaintext, &err), E_INTEGRITY, err);
	for (size_t cut = 0; cut < message.size; cut++)
		ck_assert_int_lt(jwe_decrypt(key, view_of(message.data, cut), &plaintext, &err), 0);
}
END_TEST

static struct view hex(const char *text, uint8_t *bytes)
{
	struct err err;
	size_t size = strlen(text) / 2;
	ck_assert_ok(hex_decode(view_string(text), bytes, size, &err), err);
	return view_of(bytes, size);
}

/* RFC 9180 A.1.1.1: base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, sequence 0. */
START_TEST(hpke_rfc_vector)
{
	uint8_t sk[32], pk[32], expected_enc[32], info[32], pt[64], aad[16], ct[64], enc[32];
	AUTO(secret_done) struct secret ephemeral = {};
	auto_done(buf) sealed = {};
	auto_done(buf) opened = {};
	struct err err;
	ck_assert_ok(secret_init(&ephemeral, 32, &err), err);
	(void)hex(
		"52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736", ephemeral.data);
	struct view secret_key = hex(
		"4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8", sk);
	struct view public_key = hex(
		"3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d", pk);
	struct hpke_message message = {
		.aead = HPKE_AES_128_GCM,
		.info = hex("4f6465206f6e2061204772656369616e2055726e", info),
		.additional = hex("436f756e742d30", aad),
		.ephemeral = &ephemeral,
	};
	struct view plaintext = hex(
		"4265617574792069732074727574682c20747275746820626561757479", pt);
	ck_assert_ok(hpke_seal(&message, public_key, plaintext, enc, &sealed, &err), err);
	ck_assert(view_equal(view_of(enc, sizeof(enc)),
		hex("37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431",
			expected_enc)));
	ck_assert(view_equal(buf_view(&sealed), hex("f938558b5d72f1a23810b4be2ab4f84331acc02fc97bab"
						    "c53a52ae8218a355a96d8770ac83d07bea87e1"
						    "3c512a",
							ct)));
	ck_assert_ok(hpke_open(&message, secret_key, view_of(enc, sizeof(enc)), buf_view(&sealed),
			     &opened, &err),
		err);
	ck_assert(view_equal(buf_view(&opened), plaintext));
}
END_TEST

START_TEST(hpke_round_trip_and_faults)
{
	AUTO(secret_done) struct secret key = {};
	uint8_t public_key[HPKE_KEY_SIZE], enc[HPKE_ENC_SIZE], zeros[HPKE_KEY_SIZE] = {};
	auto_done(buf) sealed = {};
	auto_done(buf) opened = {};
	struct err err;
	struct hpke_message message = { .aead = HPKE_AES_256_GCM,
		.info = view_string("cupel test") };
	struct view pk = view_of(public_key, sizeof(public_key)), e = view_of(enc, sizeof(enc));
	ck_assert_ok(hpke_key_generate(&key, public_key, &err), err);
	ck_assert_ok(hpke_seal(&message, pk, view_string("secret"), enc, &sealed, &err), err);
	ck_assert_ok(
		hpke_open(&message, secret_view(&key), e, buf_view(&sealed), &opened, &err), err);
	ck_assert_str_eq(buf_string(&opened), "secret");
	for (size_t bit = 0; bit < sealed.size * 8; bit++) {
		sealed.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		ck_assert_fails(
			hpke_open(&message, secret_view(&key), e, buf_view(&sealed), &opened, &err),
			E_INTEGRITY, err);
		sealed.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	message.info = view_string("cupel tesT");
	ck_assert_fails(hpke_open(&message, secret_view(&key), e, buf_view(&sealed), &opened, &err),
		E_INTEGRITY, err);
	ck_assert_fails(hpke_seal(&message, view_of(zeros, sizeof(zeros)), pk, enc, &sealed, &err),
		E_INVALID, err);
	ck_assert_fails(
		hpke_open(&message, secret_view(&key), view_of(zeros, 31), pk, &opened, &err),
		E_INVALID, err);
}
END_TEST

UNIT_MAIN("release", jwe_vectors, report_data_vectors, jcs_numbers, jwe_round_trip, hpke_rfc_vector,
	hpke_round_trip_and_faults)
