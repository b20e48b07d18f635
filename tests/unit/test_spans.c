/* DER, JSON spans, foreign signatures, certificates: right cases, each fault, limits. */
#include <stdio.h>

#include "kit/base/fd.h"
#include "kit/codec/der.h"
#include "kit/codec/der_write.h"
#include "kit/base/str.h"
#include "kit/codec/jspan.h"
#include "kit/crypto/sign.h"
#include "kit/crypto/verify.h"
#include "kit/crypto/x509.h"
#include "unit.h"

#define BYTES(text) view_of(text, sizeof(text) - 1)

START_TEST(der_refuses_what_is_not_der)
{
	static const struct {
		const char *bytes;
		size_t size;
	} bad[] = {
		{ "\x30\x80\x00\x00", 4 },             /* indefinite */
		{ "\x30\x81\x01\x00", 4 },             /* length not shortest */
		{ "\x30\x82\x00\x81", 4 },             /* leading zero in the length */
		{ "\x30\x85\x01\x00\x00\x00\x00", 7 }, /* length of five bytes */
		{ "\x1f\x81\x01\x00", 4 },             /* high tag */
		{ "\x30\x02\x00", 3 },                 /* cut */
		{ "\x30", 1 },
		{ "", 0 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct reader reader = reader_of(view_of(bad[i].bytes, bad[i].size));
		struct der_element element;
		struct err err;
		ck_assert_fails(der_next(&reader, &element, &err), E_INVALID, err);
	}
}
END_TEST

START_TEST(der_integers)
{
	static const struct {
		const char *bytes;
		size_t size;
		int status;
		uint64_t value;
	} rows[] = {
		{ "\x02\x01\x00", 3, 0, 0 },
		{ "\x02\x01\x7f", 3, 0, 127 },
		{ "\x02\x02\x00\x80", 4, 0, 128 },
		{ "\x02\x09\x00\xff\xff\xff\xff\xff\xff\xff\xff", 11, 0, UINT64_MAX },
		{ "\x02\x09\x01\x00\x00\x00\x00\x00\x00\x00\x00", 11, E_INVALID,
			0 },                             /* too large */
		{ "\x02\x02\x00\x7f", 4, E_INVALID, 0 }, /* padded */
		{ "\x02\x02\xff\x80", 4, E_INVALID, 0 }, /* padded, negative */
		{ "\x02\x01\x80", 3, E_INVALID, 0 },     /* negative */
		{ "\x02\x00", 2, E_INVALID, 0 },
		{ "\x04\x01\x00", 3, E_INVALID, 0 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct reader reader = reader_of(view_of(rows[i].bytes, rows[i].size));
		uint64_t value = 0;
		struct err err;
		ck_assert_int_eq(der_take_unsigned(&reader, &value, &err), rows[i].status);
		ck_assert_uint_eq(value, rows[i].value);
	}
}
END_TEST

START_TEST(der_times_and_round_trip)
{
	static const struct {
		const char *bytes;
		size_t size;
		int64_t seconds; /* negative: refused */
	} rows[] = {
		{ "\x17\x0d"
		  "700101000000Z",
			15, 0 },
		{ "\x17\x0d"
		  "491231235959Z",
			15, 2524607999 },
		{ "\x17\x0d"
		  "991231235959Z",
			15, 946684799 },
		{ "\x18\x0f"
		  "20500101000000Z",
			17, 2524608000 },
		{ "\x17\x0d"
		  "991331235959Z",
			15, -1 },
		{ "\x17\x0b"
		  "9912312359Z",
			13, -1 },
		{ "\x18\x11"
		  "20500101000000.0Z",
			19, -1 },
		{ "\x18\x0f"
		  "20500101000000+",
			17, -1 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct reader reader = reader_of(view_of(rows[i].bytes, rows[i].size));
		uint64_t wall_ms = 0;
		struct err err;
		int status = der_take_time(&reader, &wall_ms, &err);
		ck_assert_int_eq(status, rows[i].seconds < 0 ? E_INVALID : 0);
		if (status < 0)
			continue;
		ck_assert_uint_eq(wall_ms, (uint64_t)rows[i].seconds * 1000);
		auto_done(buf) again = {};
		ck_assert_ok(der_put_time(&again, wall_ms, &err), err);
		ck_assert(view_equal(buf_view(&again), view_of(rows[i].bytes, rows[i].size)));
	}
	for (size_t size = 0; size < 70000; size = size * 3 + 1) {
		static uint8_t content[70000];
		auto_done(buf) element = {};
		struct view got;
		struct err err;
		ck_assert_ok(
			der_put(&element, DER_OCTET_STRING, view_of(content, size), &err), err);
		struct reader reader = reader_of(buf_view(&element));
		ck_assert_ok(der_take(&reader, DER_OCTET_STRING, &got, &err), err);
		ck_assert_uint_eq(got.size, size);
		ck_assert_ok(der_end(&reader, "it", &err), err);
	}
}
END_TEST

START_TEST(jspan_refuses_what_is_not_json)
{
	static const char *const bad[] = { "", " ", "{", "}", "[", "[1,]", "[,1]", "{\"a\":1,}",
		"{\"a\"}", "{a:1}", "{\"a\":1 \"b\":2}", "[1 2]", "01", "-", "1.", "1e", ".5", "+1",
		"tru", "nul", "\"", "\"\\x\"", "\"\\u12g4\"", "\"\n\"", "\"\x80\"", "\"\xc0\xaf\"",
		"\"\xed\xa0\x80\"", "\"\xf5\x80\x80\x80\"", "1 2", "{}x", "[1]]",
		"{\"a\":1,\"a\":2}", "{\"\\u0061\":1}", "\xef\xbb\xbf{}" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct jspan value;
		struct err err;
		ck_assert_msg(jspan_check(view_string(bad[i]), 1000, &value, &err) == E_INVALID,
			"accepted: %s", bad[i]);
	}
}
END_TEST

START_TEST(jspan_limits)
{
	char deep[2 * JSPAN_DEPTH_MAX + 4] = "";
	struct jspan value;
	struct err err;
	for (size_t depth = JSPAN_DEPTH_MAX - 1; depth <= JSPAN_DEPTH_MAX + 1; depth++) {
		memset(deep, '[', depth);
		memset(deep + depth, ']', depth);
		deep[2 * depth] = 0;
		ck_assert_int_eq(jspan_check(view_string(deep), 1000, &value, &err),
			depth <= JSPAN_DEPTH_MAX ? 0 : E_LIMIT);
	}
	ck_assert_int_eq(jspan_check(BYTES("[1]"), 3, &value, &err), 0);
	ck_assert_fails(jspan_check(BYTES("[1]"), 2, &value, &err), E_LIMIT, err);
	for (size_t count = JSPAN_OPEN_NAMES_MAX - 1; count <= JSPAN_OPEN_NAMES_MAX + 1; count++) {
		auto_done(buf) text = {};
		for (size_t i = 0; i < count; i++)
			ck_assert_ok(
				buf_append_format(&text, &err, "%c\"%zu\":0", i ? ',' : '{', i),
				err);
		ck_assert_ok(buf_append_string(&text, "}", &err), err);
		ck_assert_int_eq(jspan_check(buf_view(&text), 1 << 20, &value, &err),
			count <= JSPAN_OPEN_NAMES_MAX ? 0 : E_LIMIT);
	}
}
END_TEST

START_TEST(jspan_walks_and_keeps_bytes)
{
	static const char text[] =
		" { \"a\" : [ 1 , -2,\"x]\\\"}\", {\"b\": {} }, true,null ] , "
		"\"h\":\"0aFF\",\"t\":\"2026-01-02T03:04:05Z\",\"n\":1.5,\"z\":-0 } ";
	struct jspan root, each;
	struct err err;
	uint8_t bytes[2];
	uint64_t wall_ms;
	int64_t number;
	size_t position = 0, count = 0;
	ck_assert_ok(jspan_check(view_string(text), 1000, &root, &err), err);
	struct jspan a = jspan_get(root, "a");
	ck_assert_uint_eq(jspan_count(root), 5);
	ck_assert_uint_eq(jspan_count(a), 6);
	while (jspan_next(a, &position, NULL, &each))
		count++;
	ck_assert_uint_eq(count, 6);
	position = 0;
	ck_assert(jspan_next(a, &position, NULL, &each) && jspan_integer(each, 0, 1, &number));
	ck_assert(jspan_next(a, &position, NULL, &each) && !jspan_integer(each, 0, 9, &number));
	ck_assert(jspan_integer(each, -2, -2, &number) && number == -2);
	ck_assert(jspan_next(a, &position, NULL, &each));
	ck_assert(view_equal_string(each.text, "\"x]\\\"}\""));
	ck_assert(!jspan_is(each, "x]\"}")); /* escapes are not decoded, so never equal */
	ck_assert(jspan_hex(jspan_get(root, "h"), bytes, 2) && bytes[1] == 0xff);
	ck_assert(!jspan_hex(jspan_get(root, "h"), bytes, 1));
	ck_assert(jspan_time(jspan_get(root, "t"), &wall_ms) && wall_ms == 1767323045000);
	ck_assert(!jspan_time(jspan_get(root, "h"), &wall_ms));
	ck_assert(!jspan_integer(jspan_get(root, "n"), 0, 9, &number));
	ck_assert(!jspan_integer(jspan_get(root, "z"), -1, 1, &number));
	ck_assert_int_eq(jspan_get(root, "none").type, JSPAN_NONE);
	ck_assert_int_eq(jspan_get(a, "b").type, JSPAN_NONE);
}
END_TEST

START_TEST(signatures_hold_or_not)
{
	auto_sign_key *signer = NULL;
	auto_done(buf) spki = {};
	auto_done(buf) signature = {};
	struct verify_key key;
	struct err err;
	ck_assert_ok(sign_key_generate(SIGN_P256, &signer, &err), err);
	ck_assert_ok(sign_key_spki(signer, &spki, &err), err);
	ck_assert_ok(sign_message(signer, BYTES("text"), &signature, &err), err);
	ck_assert_ok(x509_key(buf_view(&spki), &key, &err), err);
	ck_assert_int_eq(key.type, VERIFY_KEY_P256);
	struct view good = buf_view(&signature);
	ck_assert_ok(verify_signature(&key, VERIFY_ECDSA_SHA256, BYTES("text"), good, &err), err);
	ck_assert_fails(verify_signature(&key, VERIFY_ECDSA_SHA256, BYTES("texT"), good, &err),
		E_INTEGRITY, err);
	ck_assert_fails(verify_signature(&key, VERIFY_ECDSA_SHA384, BYTES("text"), good, &err),
		E_INTEGRITY, err);
	ck_assert_fails(verify_signature(&key, VERIFY_RSA_PKCS1_SHA256, BYTES("text"), good, &err),
		E_INTEGRITY, err);
	ck_assert_fails(verify_signature(&key, VERIFY_SCHEME_NONE, BYTES("text"), good, &err),
		E_INTEGRITY, err);
	ck_assert_fails(
		verify_signature(&key, VERIFY_ECDSA_SHA256, BYTES("text"), (struct view){}, &err),
		E_INTEGRITY, err);
	uint8_t off_curve[64] = { 1 };
	key.point = view_of(off_curve, sizeof(off_curve));
	ck_assert_fails(verify_signature(&key, VERIFY_ECDSA_SHA256, BYTES("text"), good, &err),
		E_INTEGRITY, err);
	ck_assert_fails(verify_key_of_point(view_of(off_curve, 63), &key, &err), E_INVALID, err);
	uint8_t der[VERIFY_ECDSA_DER_MAX], halves[134] = { 0x80 };
	size_t size;
	ck_assert_ok(verify_ecdsa_to_der(view_of(halves, 132), der, &size, &err), err);
	ck_assert_uint_le(size, VERIFY_ECDSA_DER_MAX);
	ck_assert_fails(verify_ecdsa_to_der(view_of(halves, 134), der, &size, &err), E_LIMIT, err);
	ck_assert_fails(verify_ecdsa_to_der(view_of(halves, 63), der, &size, &err), E_LIMIT, err);
}
END_TEST

START_TEST(p256_keys_from_scalars)
{
	static const uint8_t order[] = { 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9,
		0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51 };
	uint8_t scalar[32] = {};
	struct sign_key *key = NULL;
	struct err err;
	ck_assert_fails(sign_key_from_scalar(view_of(scalar, 32), &key, &err), E_INVALID, err);
	ck_assert_fails(sign_key_from_scalar(view_of(order, 32), &key, &err), E_INVALID, err);
	ck_assert_fails(sign_key_from_scalar(view_of(order, 31), &key, &err), E_INVALID, err);
	memcpy(scalar, order, sizeof(scalar));
	scalar[31]--;
	ck_assert_ok(sign_key_from_scalar(view_of(scalar, 32), &key, &err), err);
	sign_key_free(key);
}
END_TEST

static void read_vector(const char *name, struct buf *file)
{
	char path[512];
	struct err err;
	(void)snprintf(path, sizeof(path), "%s/%s", VECTORS, name);
	ck_assert_ok(fd_read_file(path, 1 << 20, file, &err), err);
}

/* Every single-bit flip of a certificate is malformed or unsigned. */
START_TEST(certificates_hold_or_not)
{
	auto_done(buf) der = {};
	struct x509 certificate;
	struct view value;
	struct err err;
	read_vector("tdx/collateral/intel_root_ca.der", &der);
	ck_assert_ok(x509_parse(buf_view(&der), &certificate, &err), err);
	ck_assert(certificate.is_ca && certificate.path_length == 1);
	ck_assert(x509_name_is(certificate.subject, "Intel SGX Root CA"));
	ck_assert(!x509_name_is(certificate.subject, "Intel SGX Root C"));
	ck_assert(x509_extension(&certificate, BYTES("\x55\x1d\x0e"), &value));
	ck_assert(!x509_extension(&certificate, BYTES("\x55\x1d\x0d"), &value));
	ck_assert_ok(x509_verify(&certificate, &certificate.key, &err), err);
	struct verify_key key = certificate.key;
	uint8_t point[64];
	memcpy(point, key.point.data, sizeof(point));
	key.point = view_of(point, sizeof(point));
	for (size_t bit = 0; bit < der.size * 8; bit += 3) {
		der.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		bool is_good = x509_parse(buf_view(&der), &certificate, &err) == 0 &&
			       x509_verify(&certificate, &key, &err) == 0;
		ck_assert_msg(!is_good, "bit %zu", bit);
		der.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	for (size_t cut = 0; cut < der.size; cut++)
		ck_assert_int_lt(x509_parse(view_of(der.data, cut), &certificate, &err), 0);
}
END_TEST

START_TEST(revocation_lists)
{
	auto_done(buf) der = {};
	struct x509_crl crl;
	struct err err;
	read_vector("tdx/collateral/b0c06f-2025-06/pck_crl.der", &der);
	ck_assert_ok(x509_crl_parse(buf_view(&der), &crl, &err), err);
	ck_assert(x509_crl_lists(&crl, BYTES("\x6f\xc3\x4e\x50\x23\xe7\x28\x92\x34\x35\xd6\x1a\xa4"
					     "\xb8\x3c\x61\x81\x66\xad\x35")));
	ck_assert(!x509_crl_lists(&crl, BYTES("\x01")));
	for (size_t cut = 0; cut < der.size; cut += 7)
		ck_assert_int_lt(x509_crl_parse(view_of(der.data, cut), &crl, &err), 0);
}
END_TEST

START_TEST(pem_chains)
{
	auto_done(buf) text = {};
	auto_done(buf) der = {};
	struct view certificates[X509_CHAIN_MAX];
	struct err err;
	size_t count;
	read_vector("tdx/sim/pck_chain.pem", &text);
	ck_assert_ok(
		x509_pem(buf_view(&text), &der, certificates, X509_CHAIN_MAX, &count, &err), err);
	ck_assert_uint_eq(count, 3);
	ck_assert_fails(
		x509_pem(buf_view(&text), &der, certificates, 2, &count, &err), E_LIMIT, err);
	static const char *const bad[] = { "x", "-----BEGIN CERTIFICATE-----",
		"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----",
		"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----",
		"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE----- x", " ", "\n\t" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(x509_pem(view_string(bad[i]), &der, certificates, X509_CHAIN_MAX,
				      &count, &err) < 0,
			"accepted: %s", bad[i]);
	ck_assert_ok(x509_pem(BYTES("\n\r\n\0\0"), &der, certificates, 1, &count, &err), err);
	ck_assert_uint_eq(count, 0);
}
END_TEST

/* Strings are skipped eight bytes at a time: every distance of marks to the words' borders. */
START_TEST(jspan_skips_strings_of_every_size)
{
	enum { PADDING_MAX = 20 };
	static const char *const marks[] = { "", "\\\"", "\\\\", "\\\\\\\"", "\\u0022",
		"\xc3\xa9" };
	for (size_t before = 0; before <= PADDING_MAX; before++)
		for (size_t after = 0; after <= PADDING_MAX; after++)
			for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
				char text[128];
				struct err err;
				struct jspan root, members[3];
				static const char *const names[] = { "b", "none", "a" };
				int64_t number;
				ck_assert_ok(str_format(text, sizeof(text), &err,
						     "{\"a\":[\"%.*s%s%.*s\"],\"b\":7}",
						     (int)before, "xxxxxxxxxxxxxxxxxxxx", marks[i],
						     (int)after, "yyyyyyyyyyyyyyyyyyyy"),
					err);
				ck_assert_ok(jspan_check(view_string(text), 200, &root, &err), err);
				jspan_members(root, names, 3, members);
				ck_assert(jspan_integer(members[0], 7, 7, &number));
				ck_assert_int_eq(members[1].type, JSPAN_NONE);
				ck_assert_int_eq(members[2].type, JSPAN_ARRAY);
				ck_assert_uint_eq(members[2].text.size,
					before + after + strlen(marks[i]) + 4);
				ck_assert_uint_eq(jspan_count(members[2]), 1);
			}
}
END_TEST

UNIT_MAIN("spans", der_refuses_what_is_not_der, der_integers, der_times_and_round_trip,
	jspan_refuses_what_is_not_json, jspan_limits, jspan_walks_and_keeps_bytes,
	signatures_hold_or_not, p256_keys_from_scalars, certificates_hold_or_not, revocation_lists,
	pem_chains, jspan_skips_strings_of_every_size)
