/* kit/crypto: published vectors, round trips, and every refusal. */
#include "unit.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kit/base/str.h"
#include "kit/codec/hex.h"
#include "kit/crypto/dsse.h"
#include "kit/crypto/hash.h"
#include "kit/crypto/rand.h"
#include "kit/crypto/secret.h"
#include "kit/crypto/setup.h"
#include "kit/crypto/sign.h"

/* FIPS 180-4 and FIPS 202 examples for "abc". */
START_TEST(hash_vectors)
{
	static const struct {
		enum hash_kind kind;
		const char *hex;
	} rows[] = {
		{ HASH_SHA256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ HASH_SHA3_256,
			"3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532" },
		{ HASH_SHA384, "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
			       "8086072ba1e7cc2358baeca134c825a7" },
		{ HASH_SHA512, "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
			       "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t digest[HASH_SIZE_MAX];
		char text[HEX_SIZE(HASH_SIZE_MAX)];
		struct view parts[] = { view_string("a"), view_string(""), view_string("bc") };
		hash_parts(rows[i].kind, parts, 3, digest);
		ck_assert_str_eq(
			hex_encode(view_of(digest, hash_size(rows[i].kind)), text), rows[i].hex);
	}
}
END_TEST

/* RFC 4231 test case 2. */
START_TEST(hmac_vector)
{
	uint8_t mac[SHA256_SIZE];
	char text[HEX_SIZE(SHA256_SIZE)];
	hash_hmac_sha256(view_string("Jefe"), view_string("what do ya want for nothing?"), mac);
	ck_assert_str_eq(hex_encode(view_of(mac, sizeof(mac)), text),
		"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}
END_TEST

/* RFC 8032 section 7.1, test 1. */
START_TEST(ed25519_vector)
{
	struct err err;
	uint8_t seed[32];
	char text[HEX_SIZE(64)];
	auto_sign_key *key = NULL;
	auto_done(buf) signature = {};
	ck_assert_ok(
		hex_decode(
			view_string(
				"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"),
			seed, 32, &err),
		err);
	ck_assert_ok(sign_key_from_seed(view_of(seed, 32), &key, &err), err);
	ck_assert_ok(sign_message(key, view_string(""), &signature, &err), err);
	ck_assert_str_eq(hex_encode(buf_view(&signature), text),
		"e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc6"
		"1e39"
		"701cf9b46bd25bf5f0595bbe24655141438e7a100b");
	ck_assert_fails(sign_key_from_seed(view_of(seed, 31), &key, &err), E_INVALID, err);
}
END_TEST

/* Kinds for simulated platforms: sign_verify takes none of their keys. */
START_TEST(other_kinds_only_sign)
{
	for (enum sign_kind kind = SIGN_P384; kind <= SIGN_RSA_PSS; kind++) {
		struct err err;
		auto_sign_key *key = NULL;
		auto_done(buf) spki = {};
		auto_done(buf) signature = {};
		ck_assert_ok(sign_key_generate(kind, &key, &err), err);
		ck_assert(sign_key_kind(key) == kind);
		ck_assert_ok(sign_key_spki(key, &spki, &err), err);
		ck_assert_ok(sign_message(key, view_string("m"), &signature, &err), err);
		ck_assert_uint_gt(signature.size, SIGN_SIGNATURE_MAX);
		ck_assert_fails(
			sign_verify(buf_view(&spki), view_string("m"), buf_view(&signature), &err),
			E_INVALID, err);
	}
}
END_TEST

START_TEST(signatures_hold_and_break)
{
	for (size_t kind = 0; kind < SIGN_KIND_COUNT; kind++) {
		struct err err;
		auto_sign_key *key = NULL;
		auto_done(buf) spki = {};
		auto_done(buf) signature = {};
		auto_done(buf) pem = {};
		auto_done(buf) back = {};
		ck_assert_ok(sign_key_generate((enum sign_kind)kind, &key, &err), err);
		ck_assert_ok(sign_key_spki(key, &spki, &err), err);
		ck_assert_ok(sign_message(key, view_string("m"), &signature, &err), err);
		ck_assert_ok(
			sign_verify(buf_view(&spki), view_string("m"), buf_view(&signature), &err),
			err);
		ck_assert_fails(
			sign_verify(buf_view(&spki), view_string("n"), buf_view(&signature), &err),
			E_INTEGRITY, err);
		signature.data[5] ^= 1;
		ck_assert_fails(
			sign_verify(buf_view(&spki), view_string("m"), buf_view(&signature), &err),
			E_INTEGRITY, err);
		ck_assert_ok(sign_spki_to_pem(buf_view(&spki), &pem, &err), err);
		ck_assert_ok(sign_spki_from_pem(buf_view(&pem), &back, &err), err);
		ck_assert(view_equal(buf_view(&spki), buf_view(&back)));
		spki.size--;
		ck_assert_fails(
			sign_verify(buf_view(&spki), view_string("m"), buf_view(&signature), &err),
			E_INVALID, err);
		spki.data[spki.size++] = 0;
		ck_assert_ok(buf_append(&spki, view_of("", 1), &err), err);
		ck_assert_fails(
			sign_verify(buf_view(&spki), view_string("m"), buf_view(&signature), &err),
			E_INVALID, err);
		pem.size--;
		ck_assert_fails(sign_spki_from_pem(buf_view(&pem), &back, &err), E_INVALID, err);
	}
}
END_TEST

START_TEST(secrets_are_bounded_and_wiped)
{
	struct err err;
	struct secret secret = {};
	ck_assert_fails(secret_init(&secret, 0, &err), E_LIMIT, err);
	ck_assert_fails(secret_init(&secret, SECRET_SIZE_MAX + 1, &err), E_LIMIT, err);
	ck_assert_ok(secret_init(&secret, SECRET_SIZE_MAX, &err), err);
	rand_bytes(secret.data, secret.size);
	secret_done(&secret);
	ck_assert_ptr_null(secret.data);
	secret_done(&secret);
}
END_TEST

START_TEST(constant_time_compare)
{
	ck_assert(crypto_equal(view_string("abc"), view_string("abc")));
	ck_assert(!crypto_equal(view_string("abc"), view_string("abd")));
	ck_assert(!crypto_equal(view_string("abc"), view_string("ab")));
}
END_TEST

/* The example of the DSSE protocol document. */
/* What a forked process made: 16 bytes of ours, and a public key. */
struct draw {
	uint8_t bytes[16];
	uint8_t spki[64];
};

static void draw(struct draw *ret_draw)
{
	auto_sign_key *key = NULL;
	auto_done(buf) spki = {};
	struct err err;
	rand_bytes(ret_draw->bytes, sizeof(ret_draw->bytes));
	ck_assert_int_eq(sign_key_generate(SIGN_ED25519, &key, &err), 0);
	ck_assert_int_eq(sign_key_spki(key, &spki, &err), 0);
	ck_assert_uint_le(spki.size, sizeof(ret_draw->spki));
	memcpy(ret_draw->spki, spki.data, spki.size);
}

/* As a nursery forks: by the bare system call, which runs no handler of any library. */
START_TEST(forked_processes_share_no_randomness)
{
	enum { CHILDREN = 8 };
	struct draw draws[CHILDREN + 1] = {};
	crypto_warm();
	draw(&draws[CHILDREN]);
	for (int i = 0; i < CHILDREN; i++) {
		int ends[2];
		ck_assert_int_eq(pipe(ends), 0);
		long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
		ck_assert_int_ge(pid, 0);
		if (pid == 0) {
			struct draw mine = {};
			draw(&mine);
			_exit(write(ends[1], &mine, sizeof(mine)) == sizeof(mine) ? 0 : 1);
		}
		ck_assert_int_eq(read(ends[0], &draws[i], sizeof(draws[i])), sizeof(draws[i]));
		ck_assert_int_eq(waitpid((pid_t)pid, NULL, 0), pid);
		close(ends[0]);
		close(ends[1]);
	}
	for (int i = 0; i <= CHILDREN; i++)
		for (int j = 0; j < i; j++) {
			ck_assert_mem_ne(draws[i].bytes, draws[j].bytes, sizeof(draws[i].bytes));
			ck_assert_mem_ne(draws[i].spki, draws[j].spki, sizeof(draws[i].spki));
		}
}
END_TEST

START_TEST(dsse_pae_vector)
{
	struct err err;
	auto_done(buf) pae = {};
	ck_assert_ok(
		dsse_pae("http://example.com/HelloWorld", view_string("hello world"), &pae, &err),
		err);
	ck_assert_str_eq(
		buf_string(&pae), "DSSEv1 29 http://example.com/HelloWorld 11 hello world");
}
END_TEST

START_TEST(dsse_round_trip_and_faults)
{
	struct err err;
	struct dsse out = { .signature_count = 1 };
	struct dsse in = {};
	auto_done(buf) json = {};
	ck_assert_ok(buf_append_string(&out.payload, "{\"a\":1}", &err), err);
	ck_assert_ok(
		str_format(out.payload_type, sizeof(out.payload_type), &err, "application/x"), err);
	dsse_keyid(view_string("key"), out.signatures[0].keyid);
	out.signatures[0].size = 64;
	ck_assert_ok(dsse_encode(&out, &json, &err), err);
	ck_assert_ok(dsse_decode(buf_view(&json), &in, &err), err);
	ck_assert(view_equal(buf_view(&in.payload), buf_view(&out.payload)));
	ck_assert_str_eq(in.payload_type, "application/x");
	ck_assert_uint_eq(in.signature_count, 1);
	ck_assert_str_eq(in.signatures[0].keyid, out.signatures[0].keyid);
	static const char *const bad[] = {
		"{}",
		"{\"payload\":\"\",\"payloadType\":\"x\",\"signatures\":[]}",
		"{\"payload\":\"*\",\"payloadType\":\"x\",\"signatures\":[{\"keyid\":\"\",\"sig\":"
		"\"\"}]}",
		"{\"payload\":\"\",\"payloadType\":\"x\",\"signatures\":[{\"keyid\":\"\",\"sig\":"
		"\"\"}],\"x\":1}",
		"{\"payload\":\"\",\"payloadType\":\"x\",\"signatures\":[{\"sig\":\"\"}]}",
	};
	dsse_done(&in);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_fails(dsse_decode(view_string(bad[i]), &in, &err), E_INVALID, err);
	dsse_done(&out);
}
END_TEST

UNIT_MAIN("crypto", hash_vectors, hmac_vector, ed25519_vector, other_kinds_only_sign,
	signatures_hold_and_break, secrets_are_bounded_and_wiped, constant_time_compare,
	forked_processes_share_no_randomness, dsse_pae_vector, dsse_round_trip_and_faults)
