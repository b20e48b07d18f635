/*
 * The five TPM structures a verifier needs (TPM 2.0 Library, part 2), big-endian, as views.
 */
#ifndef RULES_APPRAISE_TPM_STRUCTURES_H
#define RULES_APPRAISE_TPM_STRUCTURES_H

#include "kit/crypto/hash.h"
#include "kit/crypto/verify.h"
#include "rules/appraise/tpm.h"

#define TPM_MAGIC 0xff544347U /* TPM_GENERATED: a restricted key signs nothing foreign with it */
#define TPM_ST_ATTEST_QUOTE 0x8018
#define TPM_SELECTIONS_MAX 4
#define TPM_NAME_MAX 50

enum tpm_algorithm {
	TPM_ALG_RSA = 0x0001,
	TPM_ALG_SHA1 = 0x0004,
	TPM_ALG_SHA256 = 0x000b,
	TPM_ALG_SHA384 = 0x000c,
	TPM_ALG_NULL = 0x0010,
	TPM_ALG_RSASSA = 0x0014,
	TPM_ALG_RSAPSS = 0x0016,
	TPM_ALG_ECDSA = 0x0018,
	TPM_ALG_ECC = 0x0023,
};

struct tpm_attest {
	uint32_t magic;
	uint16_t type;
	struct view extra_data;
	uint32_t reset_count;
	bool is_clock_safe;
	size_t selection_count;
	struct {
		uint16_t algorithm;
		uint32_t pcrs; /* bits */
	} selections[TPM_SELECTIONS_MAX];
	struct view pcr_digest;
};

/*
 * Decode a TPMS_ATTEST completely. False when malformed. With another magic or type only these two
 * are set and the rest is not looked at.
 */
bool tpm_attest_parse(struct view bytes, struct tpm_attest *ret_attest);

struct tpm_signature {
	uint16_t algorithm;
	uint16_t hash;
	struct view rsa;
	struct view r, s;
};

/* Decode a TPMT_SIGNATURE. False when malformed; algorithm and hash are set all the same. */
bool tpm_signature_parse(struct view bytes, struct tpm_signature *ret_signature);

struct tpm_public {
	uint16_t name_algorithm;
	uint32_t attributes;
	struct verify_key key;
	uint8_t exponent[4]; /* key.exponent points here */
	uint8_t point[96];   /* key.point points here */
};

/* Decode a TPMT_PUBLIC. The key points into *ret_public: do not copy it. */
bool tpm_public_parse(struct view bytes, struct tpm_public *ret_public);

/* nameAlg || H(TPMT_PUBLIC); the size, 0 for a hash that is not ours. */
size_t tpm_name(struct view public_area, uint16_t name_algorithm, uint8_t ret_name[TPM_NAME_MAX]);

/* SHA-256 or SHA-384; false for others. */
bool tpm_hash_of(uint16_t algorithm, enum hash_kind *ret_hash);

#endif
