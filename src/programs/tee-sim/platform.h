/*
 * A simulated TDX platform: made once into a directory, then opened to sign quotes.
 *
 * DIR/ak.key                 the attestation key's scalar, 0600; the only secret that is kept
 * DIR/certification          what every quote ends with: QE report, its signature, PCK chain
 * DIR/root.der               the root; its SHA-256 is what a policy names
 * DIR/collateral/            tcb_info.json tcb_chain.pem qe_identity.json qe_chain.pem
 *                            root_crl.der pck_crl.der, as Intel would answer
 *
 * The keys of root, PCK CA, PCK and TCB signer are used while making the directory and then gone.
 */
#ifndef PROGRAMS_TEE_SIM_PLATFORM_H
#define PROGRAMS_TEE_SIM_PLATFORM_H

#include "engines/evidence/sim_wire.h"
#include "kit/base/buf.h"
#include "kit/crypto/sign.h"

#define PLATFORM_MEASUREMENT_SIZE 48
#define PLATFORM_RTMR_COUNT 4
#define PLATFORM_VALIDITY_YEARS 10

/* What the simulated TD measures: MRTD and the registers at the start. */
struct platform_td {
	uint8_t mrtd[PLATFORM_MEASUREMENT_SIZE];
	uint8_t rtmr[PLATFORM_RTMR_COUNT][PLATFORM_MEASUREMENT_SIZE];
};

struct platform {
	struct sign_key *key; /* attestation key */
	uint8_t point[64];
	struct buf certification;
};

/*
 * Make the directory (0700). now_ms is the wall clock; everything is valid from a day before it
 * for PLATFORM_VALIDITY_YEARS. E_CONFLICT when it exists and is complete.
 */
int platform_init(const char *directory, uint64_t now_ms, struct err *err) MUST_CHECK;

/* Open it. E_NOT_FOUND when it was not made; release with platform_done. */
int platform_open(const char *directory, struct platform *platform, struct err *err) MUST_CHECK;
void platform_done(struct platform *platform);

/* A version 4 quote for a request, appended. E_INVALID for a malformed request. */
int platform_quote(const struct platform *platform, const struct platform_td *td,
	const struct sim_wire_request *request, struct buf *quote, struct err *err) MUST_CHECK;

#endif
