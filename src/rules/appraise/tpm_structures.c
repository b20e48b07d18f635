/* See tpm_structures.h. Every structure is read to its last byte. */
#include "rules/appraise/tpm_structures.h"

enum {
	SELECT_BYTES_MAX = 4,
	CLOCK_SIZE = 8,
	FIRMWARE_SIZE = 8,
	CURVE_P256 = 0x0003,
	CURVE_P384 = 0x0004,
	RSA_EXPONENT_DEFAULT = 65537,
};

/* A TPM2B: size and bytes. */
static struct view take_sized(struct reader *reader)
{
	return reader_take(reader, (size_t)reader_be(reader, 2));
}

bool tpm_hash_of(uint16_t algorithm, enum hash_kind *ret_hash)
{
	if (algorithm != TPM_ALG_SHA256 && algorithm != TPM_ALG_SHA384)
		return false;
	*ret_hash = algorithm == TPM_ALG_SHA256 ? HASH_SHA256 : HASH_SHA384;
	return true;
}

static bool take_selections(struct reader *reader, struct tpm_attest *attest)
{
	uint64_t count = reader_be(reader, 4);
	if (reader->failed || count > TPM_SELECTIONS_MAX)
		return false;
	for (size_t i = 0; i < count; i++) {
		attest->selections[i].algorithm = (uint16_t)reader_be(reader, 2);
		uint64_t size = reader_be(reader, 1);
		if (reader->failed || size > SELECT_BYTES_MAX)
			return false;
		attest->selections[i].pcrs = (uint32_t)reader_le(reader, (size_t)size);
	}
	attest->selection_count = (size_t)count;
	return !reader->failed;
}

bool tpm_attest_parse(struct view bytes, struct tpm_attest *ret_attest)
{
	struct reader reader = reader_of(bytes);
	struct tpm_attest attest = {};
	attest.magic = (uint32_t)reader_be(&reader, 4);
	attest.type = (uint16_t)reader_be(&reader, 2);
	if (reader.failed)
		return false;
	*ret_attest = attest;
	if (attest.magic != TPM_MAGIC || attest.type != TPM_ST_ATTEST_QUOTE)
		return true;
	(void)take_sized(&reader); /* qualified signer */
	attest.extra_data = take_sized(&reader);
	(void)reader_take(&reader, CLOCK_SIZE);
	attest.reset_count = (uint32_t)reader_be(&reader, 4);
	(void)reader_be(&reader, 4); /* restart count */
	uint64_t safe = reader_be(&reader, 1);
	(void)reader_take(&reader, FIRMWARE_SIZE);
	attest.is_clock_safe = safe == 1;
	if (reader.failed || safe > 1 || !take_selections(&reader, &attest))
		return false;
	attest.pcr_digest = take_sized(&reader);
	if (!reader_complete(&reader))
		return false;
	*ret_attest = attest;
	return true;
}

bool tpm_signature_parse(struct view bytes, struct tpm_signature *ret_signature)
{
	struct reader reader = reader_of(bytes);
	struct tpm_signature signature = {};
	signature.algorithm = (uint16_t)reader_be(&reader, 2);
	signature.hash = (uint16_t)reader_be(&reader, 2);
	*ret_signature = signature;
	if (signature.algorithm == TPM_ALG_ECDSA) {
		signature.r = take_sized(&reader);
		signature.s = take_sized(&reader);
	} else {
		signature.rsa = take_sized(&reader);
	}
	if (!reader_complete(&reader))
		return false;
	*ret_signature = signature;
	return true;
}

/* Symmetric and scheme: both algorithms, the second with its hash unless it is null. */
static bool take_schemes(struct reader *reader)
{
	if (reader_be(reader, 2) != TPM_ALG_NULL) /* a symmetric key belongs to storage keys */
		return false;
	if (reader_be(reader, 2) != TPM_ALG_NULL)
		(void)reader_be(reader, 2);
	return !reader->failed;
}

static bool take_rsa(struct reader *reader, struct tpm_public *public)
{
	(void)reader_be(reader, 2); /* key bits; the modulus says so itself */
	uint32_t exponent = (uint32_t)reader_be(reader, 4);
	if (exponent == 0)
		exponent = RSA_EXPONENT_DEFAULT;
	for (size_t i = 0; i < sizeof(public->exponent); i++)
	public->exponent[i] = (uint8_t)(exponent >> (8 * (sizeof(public->exponent) - 1 - i)));
	public->key = (struct verify_key){
		.type = VERIFY_KEY_RSA,
		.modulus = take_sized(reader),
		.exponent = view_of(public->exponent, sizeof(public->exponent)),
	};
	return !reader->failed;
}

static bool take_point(struct reader *reader, struct tpm_public *public)
{
	uint64_t curve = reader_be(reader, 2);
	if (reader_be(reader, 2) != TPM_ALG_NULL)
		(void)reader_be(reader, 2); /* key derivation's hash */
	size_t half = curve == CURVE_P256 ? 32 : 48;
	struct view x = take_sized(reader), y = take_sized(reader);
	if (reader->failed || (curve != CURVE_P256 && curve != CURVE_P384) || x.size > half ||
		y.size > half)
		return false;
	memset(public->point, 0, sizeof(public->point));
	memcpy(public->point + half - x.size, x.data, x.size);
	memcpy(public->point + 2 * half - y.size, y.data, y.size);
	public->key = (struct verify_key){
		.type = curve == CURVE_P256 ? VERIFY_KEY_P256 : VERIFY_KEY_P384,
		.point = view_of(public->point, 2 * half),
	};
	return true;
}

bool tpm_public_parse(struct view bytes, struct tpm_public *ret_public)
{
	struct reader reader = reader_of(bytes);
	uint64_t type = reader_be(&reader, 2);
	ret_public->name_algorithm = (uint16_t)reader_be(&reader, 2);
	ret_public->attributes = (uint32_t)reader_be(&reader, 4);
	(void)take_sized(&reader); /* authorisation policy */
	if (!take_schemes(&reader))
		return false;
	bool is_good = type == TPM_ALG_RSA   ? take_rsa(&reader, ret_public)
		       : type == TPM_ALG_ECC ? take_point(&reader, ret_public)
					     : false;
	return is_good && reader_complete(&reader);
}

size_t tpm_name(struct view public_area, uint16_t name_algorithm, uint8_t ret_name[TPM_NAME_MAX])
{
	enum hash_kind hash;
	if (!tpm_hash_of(name_algorithm, &hash))
		return 0;
	ret_name[0] = (uint8_t)(name_algorithm >> 8);
	ret_name[1] = (uint8_t)name_algorithm;
	hash_bytes(hash, public_area, ret_name + 2);
	return 2 + hash_size(hash);
}
