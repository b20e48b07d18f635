/* What verify.c and verify_quote.c share: everything read so far of one certificate. */
#ifndef RULES_CERT_INTERNAL_H
#define RULES_CERT_INTERNAL_H

#include "kit/crypto/dsse.h"
#include "rules/cert/verify.h"

struct cert_state {
	const struct cert_verify_input *in;
	struct cert_verification *out;
	struct dsse envelope;
	struct json *statement; /* owner of the borrowed members below */
	const struct json *subjects, *inputs, *outcome, *run, *evidence, *assurance;
	struct buf spki;
	struct buf quote;
	bool is_snp; /* by format */
	uint8_t report_data[CERT_REPORT_DATA_SIZE];
	uint8_t claim_digest[SHA256_SIZE];
	bool is_hardware_type;   /* by predicateType */
	bool is_hardware_anchor; /* by the chain of the quote */
};

/* Collateral of the evidence's platform was given. */
bool cert_has_collateral(const struct cert_state *state);

/* The checks quote, tcb and measurement; sets is_hardware_anchor and the anchor's label. */
void cert_check_quote(struct cert_state *state);

/* The check files. */
int cert_check_files(struct cert_state *state, struct err *err) MUST_CHECK;

/* Exactly size bytes in lower case: one value has one text. E_INVALID. */
int cert_decode_hex(struct view text, uint8_t *ret_bytes, size_t size, struct err *err) MUST_CHECK;

#endif
