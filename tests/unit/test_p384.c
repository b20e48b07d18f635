/*
 * kit/crypto/p384.h against OpenSSL, in the manner of project Wycheproof: signatures are made for
 * chosen u1 and u2 (R = u1 G + u2 Q, r = x(R), s = r / u2, h = u1 s), so every special case of the
 * two multiplications and their sum can be had; then numbers out of range, encodings, points.
 */
#include "unit.h"

#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>

#include "kit/crypto/p384.h"

enum { POINT = 2 * P384_BYTES, DER_MAX = 160, EDGES = 18, SECRETS = 4 };

static EC_GROUP *group;
static BN_CTX *numbers;
static const BIGNUM *order;

static void start(void)
{
	group = EC_GROUP_new_by_curve_name(NID_secp384r1);
	numbers = BN_CTX_new();
	order = EC_GROUP_get0_order(group);
}

static void stop(void)
{
	BN_CTX_free(numbers);
	EC_GROUP_free(group);
}

/* What OpenSSL says; a point it refuses makes false. */
static bool openssl_verify(struct view point, struct view digest, struct view signature)
{
	uint8_t octets[1 + POINT] = { 4 };
	char name[] = "P-384";
	memcpy(octets + 1, point.data, POINT);
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, octets, sizeof(octets)),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY *key = NULL;
	EVP_PKEY_CTX *import = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL), *verify = NULL;
	bool holds = EVP_PKEY_fromdata_init(import) == 1 &&
		     EVP_PKEY_fromdata(import, &key, EVP_PKEY_PUBLIC_KEY, params) == 1 &&
		     (verify = EVP_PKEY_CTX_new(key, NULL)) && EVP_PKEY_verify_init(verify) == 1 &&
		     EVP_PKEY_verify(
			     verify, signature.data, signature.size, digest.data, digest.size) == 1;
	EVP_PKEY_CTX_free(verify);
	EVP_PKEY_CTX_free(import);
	EVP_PKEY_free(key);
	return holds;
}

static bool ours(struct view point, struct view digest, struct view signature)
{
	struct err err;
	int status = p384_verify(point, digest, signature, &err);
	ck_assert(status == 0 || status == E_INTEGRITY);
	return status == 0;
}

/* Both agree; what they say. */
static bool both(struct view point, struct view digest, struct view signature)
{
	bool holds = ours(point, digest, signature);
	ck_assert_int_eq(holds, openssl_verify(point, digest, signature));
	return holds;
}

static size_t der_of(const BIGNUM *r, const BIGNUM *s, uint8_t ret_der[static DER_MAX])
{
	ECDSA_SIG *numbers_of = ECDSA_SIG_new();
	ECDSA_SIG_set0(numbers_of, BN_dup(r), BN_dup(s));
	uint8_t *end = ret_der;
	int size = i2d_ECDSA_SIG(numbers_of, &end);
	ECDSA_SIG_free(numbers_of);
	ck_assert_int_gt(size, 0);
	return (size_t)size;
}

struct made {
	uint8_t point[POINT], digest[P384_BYTES], der[DER_MAX];
	size_t size;
	BIGNUM *r, *s;
	bool is_infinite; /* u1 G + u2 Q is no point: nothing may hold */
	bool is_double;   /* u1 G = u2 Q */
};

static void made_done(struct made *made)
{
	BN_free(made->r);
	BN_free(made->s);
}

static struct view point_of(const struct made *made)
{
	return view_of(made->point, POINT);
}

static struct view digest_of(const struct made *made)
{
	return view_of(made->digest, P384_BYTES);
}

static struct view signature_of(const struct made *made)
{
	return view_of(made->der, made->size);
}

static struct made make(const BIGNUM *secret, const BIGNUM *u1, const BIGNUM *u2)
{
	struct made made = { .r = BN_new(), .s = BN_new() };
	uint8_t octets[1 + POINT];
	EC_POINT *key = EC_POINT_new(group), *sum = EC_POINT_new(group);
	BIGNUM *h = BN_new();
	EC_POINT_mul(group, key, secret, NULL, NULL, numbers);
	EC_POINT_point2oct(
		group, key, POINT_CONVERSION_UNCOMPRESSED, octets, sizeof(octets), numbers);
	memcpy(made.point, octets + 1, POINT);
	BN_mod_mul(h, u2, secret, order, numbers);
	made.is_double = BN_cmp(h, u1) == 0;
	BN_mod_add(h, h, u1, order, numbers);
	made.is_infinite = BN_is_zero(h);
	if (made.is_infinite)
		BN_one(made.r);
	else {
		EC_POINT_mul(group, sum, h, NULL, NULL, numbers);
		EC_POINT_get_affine_coordinates(group, sum, made.r, NULL, numbers);
		BN_nnmod(made.r, made.r, order, numbers);
	}
	BN_mod_inverse(made.s, u2, order, numbers);
	BN_mod_mul(made.s, made.s, made.r, order, numbers);
	BN_mod_mul(h, u1, made.s, order, numbers);
	BN_bn2binpad(h, made.digest, P384_BYTES);
	made.size = der_of(made.r, made.s, made.der);
	BN_free(h);
	EC_POINT_free(key);
	EC_POINT_free(sum);
	return made;
}

/* 0, 1, 2, 3, some powers of two, and all of these from the order downwards. */
static void edges(BIGNUM *ret_numbers[static EDGES])
{
	static const int bits[] = { -1, 0, 1, -2, 63, 64, 191, 320, 383 };
	for (size_t i = 0; i < EDGES / 2; i++) {
		BIGNUM *edge = BN_new(), *below = BN_new();
		BN_zero(edge);
		if (bits[i] == -2)
			BN_set_word(edge, 3);
		else if (bits[i] >= 0)
			BN_set_bit(edge, bits[i]);
		BN_mod_sub(below, order, edge, order, numbers);
		ret_numbers[2 * i] = edge;
		ret_numbers[2 * i + 1] = below;
	}
}

/*
 * nettle 3.8 adds the two products by a formula that does not double: a signature with u1 G = u2 Q,
 * which only who knows the secret can make on purpose, is refused. Nothing wrong is accepted.
 */
START_TEST(special_multiples)
{
	start();
	BIGNUM *edge[EDGES], *secret[SECRETS] = { BN_new(), BN_new(), BN_new(), BN_new() };
	size_t held = 0, infinite = 0, doubles = 0;
	edges(edge);
	BN_one(secret[0]);
	BN_sub(secret[1], order, secret[0]);
	BN_set_word(secret[2], 0x1234567);
	BN_rshift1(secret[3], order);
	for (size_t at = 0; at < (size_t)SECRETS * EDGES * EDGES; at++) {
		const BIGNUM *u2 = edge[at / SECRETS % EDGES];
		if (BN_is_zero(u2))
			continue;
		struct made made = make(secret[at % SECRETS], edge[at / SECRETS / EDGES], u2);
		bool holds = ours(point_of(&made), digest_of(&made), signature_of(&made));
		ck_assert(made.is_double || holds == !made.is_infinite);
		ck_assert_int_eq(!made.is_infinite,
			openssl_verify(point_of(&made), digest_of(&made), signature_of(&made)));
		held += holds;
		infinite += made.is_infinite;
		doubles += made.is_double;
		made_done(&made);
	}
	ck_assert_uint_gt(held, 1000);
	ck_assert_uint_gt(infinite, 10);
	ck_assert_uint_gt(doubles, 10);
	for (size_t i = 0; i < EDGES; i++)
		BN_free(edge[i]);
	for (size_t i = 0; i < SECRETS; i++)
		BN_free(secret[i]);
	stop();
}
END_TEST

static struct made ordinary(void)
{
	BIGNUM *secret = BN_new(), *u1 = BN_new(), *u2 = BN_new();
	BN_set_word(secret, 0x1234567);
	BN_rshift(u1, order, 2);
	BN_rshift(u2, order, 3);
	struct made made = make(secret, u1, u2);
	BN_free(secret);
	BN_free(u1);
	BN_free(u2);
	return made;
}

/* Each number replaced by 0, by itself plus the order, by the order and beyond. */
START_TEST(numbers_out_of_range)
{
	start();
	struct made made = ordinary();
	BIGNUM *wrong[8];
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		wrong[i] = BN_new();
	BN_zero(wrong[0]);
	BN_one(wrong[1]);
	BN_copy(wrong[2], order);
	BN_sub(wrong[3], order, wrong[1]);
	BN_add(wrong[4], order, wrong[1]);
	BN_set_bit(wrong[5], 384);
	BN_sub(wrong[6], wrong[5], wrong[1]);
	BN_set_bit(wrong[7], 520);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		made.size = der_of(wrong[i], made.s, made.der);
		ck_assert(!both(point_of(&made), digest_of(&made), signature_of(&made)));
		made.size = der_of(made.r, wrong[i], made.der);
		ck_assert(!both(point_of(&made), digest_of(&made), signature_of(&made)));
		made.size = der_of(wrong[i], wrong[i], made.der);
		ck_assert(!both(point_of(&made), digest_of(&made), signature_of(&made)));
	}
	for (size_t i = 0; i < 2; i++) { /* r + n, s + n */
		BIGNUM *sums[] = { wrong[0], wrong[1] };
		BN_copy(sums[0], made.r);
		BN_copy(sums[1], made.s);
		BN_add(sums[i], sums[i], order);
		made.size = der_of(sums[0], sums[1], made.der);
		ck_assert(!both(point_of(&made), digest_of(&made), signature_of(&made)));
	}
	BN_sub(wrong[1], order, made.s); /* n - s holds by design; no use is made of uniqueness */
	made.size = der_of(made.r, wrong[1], made.der);
	ck_assert(both(point_of(&made), digest_of(&made), signature_of(&made)));
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		BN_free(wrong[i]);
	made_done(&made);
	stop();
}
END_TEST

/* Every bit of signature, digest and point flipped, every length cut, one byte more. */
START_TEST(encodings)
{
	start();
	struct made made = ordinary();
	ck_assert(both(point_of(&made), digest_of(&made), signature_of(&made)));
	for (size_t i = 0; i <= made.size + 1; i++)
		if (i != made.size)
			ck_assert(!both(point_of(&made), digest_of(&made), view_of(made.der, i)));
	uint8_t *const parts[] = { made.der, made.digest, made.point };
	const size_t sizes[] = { made.size, P384_BYTES, POINT };
	for (size_t part = 0; part < ARRAY_SIZE(parts); part++)
		for (size_t bit = 0; bit < 8 * sizes[part]; bit++) {
			parts[part][bit / 8] ^= (uint8_t)(1U << bit % 8);
			ck_assert(!ours(point_of(&made), digest_of(&made), signature_of(&made)));
			if (bit % 5 == 0)
				ck_assert(!openssl_verify(
					point_of(&made), digest_of(&made), signature_of(&made)));
			parts[part][bit / 8] ^= (uint8_t)(1U << bit % 8);
		}
	uint8_t longer[DER_MAX] = { 0x30, 0x81 }; /* a length in two bytes where one will do */
	memcpy(longer + 2, made.der + 1, made.size - 1);
	ck_assert(!both(point_of(&made), digest_of(&made), view_of(longer, made.size + 1)));
	uint8_t padded[DER_MAX] = { 0x30, (uint8_t)(made.der[1] + 1), 0x02,
		(uint8_t)(made.der[3] + 1), 0x00 }; /* a leading zero in r, not needed or doubled */
	memcpy(padded + 5, made.der + 4, made.size - 4);
	ck_assert(!both(point_of(&made), digest_of(&made), view_of(padded, made.size + 1)));
	made_done(&made);
	stop();
}
END_TEST

/* Longer and shorter digests count by their leftmost 384 bits in both libraries. */
START_TEST(digests_of_other_sizes)
{
	start();
	struct made made = ordinary();
	uint8_t bytes[64];
	memset(bytes, 0xff, sizeof(bytes));
	memcpy(bytes, made.digest, P384_BYTES);
	ck_assert(both(point_of(&made), view_of(bytes, 64), signature_of(&made)));
	ck_assert(!both(point_of(&made), view_of(bytes, 32), signature_of(&made)));
	ck_assert(!both(point_of(&made), view_of(bytes + 16, 48), signature_of(&made)));
	made_done(&made);
	stop();
}
END_TEST

/* No point, the neutral element's customary zeros, coordinates of the field's size and above. */
START_TEST(points)
{
	start();
	struct made made = ordinary();
	BIGNUM *field = BN_new(), *number = BN_new();
	EC_GROUP_get_curve(group, field, NULL, NULL, numbers);
	uint8_t point[POINT];
	for (size_t half = 0; half < 2; half++)
		for (int add = -1; add <= 1; add++) {
			memcpy(point, made.point, POINT);
			BN_copy(number, field);
			ck_assert(add < 0 ? BN_sub_word(number, 1)
					  : BN_add_word(number, (BN_ULONG)add));
			BN_bn2binpad(number, point + half * P384_BYTES, P384_BYTES);
			ck_assert(!both(
				view_of(point, POINT), digest_of(&made), signature_of(&made)));
		}
	memset(point, 0, POINT);
	ck_assert(!both(view_of(point, POINT), digest_of(&made), signature_of(&made)));
	memset(point, 0xff, POINT);
	ck_assert(!both(view_of(point, POINT), digest_of(&made), signature_of(&made)));
	memcpy(point, made.point, POINT); /* -Q: another key */
	BN_bin2bn(point + P384_BYTES, P384_BYTES, number);
	BN_sub(number, field, number);
	BN_bn2binpad(number, point + P384_BYTES, P384_BYTES);
	ck_assert(!both(view_of(point, POINT), digest_of(&made), signature_of(&made)));
	ck_assert(!ours(view_of(made.point, POINT - 1), digest_of(&made), signature_of(&made)));
	ck_assert(!ours((struct view){}, digest_of(&made), signature_of(&made)));
	BN_free(field);
	BN_free(number);
	made_done(&made);
	stop();
}
END_TEST

UNIT_MAIN(
	"p384", special_multiples, numbers_out_of_range, encodings, digests_of_other_sizes, points)
