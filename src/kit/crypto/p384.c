/*
 * See p384.h. Ranges are checked here and again by nettle: 0 < r, s < n before anything is
 * computed, x and y below p and on the curve when the point is set. P-384 has cofactor 1, so a
 * point on the curve is in the group; the point at infinity has no such encoding.
 */
#include "kit/crypto/p384.h"

#include <nettle/ecc-curve.h>
#include <nettle/ecdsa.h>

#include "kit/codec/der.h"

/* The order of the group, SEC 2 version 2, 2.5.1. */
static const char order_hex[] = "ffffffffffffffffffffffffffffffffffffffffffffffff"
				"c7634d81f4372ddf581a0db248b0a77aecec196accc52973";

static int read_scalars(struct view signature, struct view ret_scalars[static 2], struct err *err)
{
	struct reader whole = reader_of(signature), inner;
	if (der_enter(&whole, DER_SEQUENCE, &inner, err) < 0 ||
		der_take_magnitude(&inner, &ret_scalars[0], err) < 0 ||
		der_take_magnitude(&inner, &ret_scalars[1], err) < 0 ||
		der_end(&inner, "r and s", err) < 0 || der_end(&whole, "the signature", err) < 0 ||
		ret_scalars[0].size > P384_BYTES || ret_scalars[1].size > P384_BYTES)
		return err_set(err, E_INTEGRITY, "the signature is not the DER of r and s");
	return 0;
}

static void set_number(mpz_t number, struct view big_endian)
{
	mpz_import(number, big_endian.size, 1, 1, 1, 0, big_endian.data);
}

static bool is_in_range(const struct dsa_signature *numbers)
{
	mpz_t order;
	mpz_init_set_str(order, order_hex, 16);
	bool is_in = mpz_sgn(numbers->r) > 0 && mpz_cmp(numbers->r, order) < 0 &&
		     mpz_sgn(numbers->s) > 0 && mpz_cmp(numbers->s, order) < 0;
	mpz_clear(order);
	return is_in;
}

static bool set_point(struct ecc_point *key, struct view x_and_y)
{
	mpz_t x, y;
	mpz_inits(x, y, NULL);
	set_number(x, view_of(x_and_y.data, P384_BYTES));
	set_number(y, view_of(x_and_y.data + P384_BYTES, P384_BYTES));
	bool is_on_curve = ecc_point_set(key, x, y) == 1;
	mpz_clears(x, y, NULL);
	return is_on_curve;
}

int p384_verify(struct view point, struct view digest, struct view signature, struct err *err)
{
	struct view scalars[2];
	TRY(read_scalars(signature, scalars, err));
	if (point.size != (size_t)2 * P384_BYTES)
		return err_set(
			err, E_INTEGRITY, "public key refused: the point has the wrong size");
	struct ecc_point key;
	struct dsa_signature numbers;
	ecc_point_init(&key, nettle_get_secp_384r1());
	dsa_signature_init(&numbers);
	set_number(numbers.r, scalars[0]);
	set_number(numbers.s, scalars[1]);
	bool is_on_curve = set_point(&key, point);
	bool holds = is_on_curve && is_in_range(&numbers) &&
		     ecdsa_verify(&key, digest.size, digest.data, &numbers) == 1;
	dsa_signature_clear(&numbers);
	ecc_point_clear(&key);
	if (!is_on_curve)
		return err_set(err, E_INTEGRITY, "public key refused: not a point of its curve");
	return holds ? 0 : err_set(err, E_INTEGRITY, "the signature does not hold");
}
