/*
 * A simulated TDX or SEV-SNP platform: made once into a directory, then opened to sign quotes.
 *
 * TDX:
 * DIR/ak.key                 the attestation key's scalar, 0600; the only secret that is kept
 * DIR/certification          what every quote ends with: QE report, its signature, PCK chain
 * DIR/root.der               the root; its SHA-256 is what a policy names
 * DIR/collateral/            tcb_info.json tcb_chain.pem qe_identity.json qe_chain.pem
 *                            root_crl.der pck_crl.der, as Intel would answer
 *
 * SEV-SNP (which of the two a directory is, its key says):
 * DIR/vcek.key               the VCEK's scalar, 0600
 * DIR/chip_id                CHIP_ID, which the VCEK names
 * DIR/certificates           the table behind every report: VCEK, ASK, ARK
 * DIR/root.der               the ARK
 * DIR/collateral/            crl.der vek.der ask.der ark.der, as AMD would answer
 *
 * All other keys are used while making the directory and then gone.
 */
#ifndef PROGRAMS_TEE_SIM_PLATFORM_H
#define PROGRAMS_TEE_SIM_PLATFORM_H

#include "engines/evidence/sim_wire.h"
#include "kit/base/buf.h"
#include "kit/crypto/sign.h"

#define PLATFORM_MEASUREMENT_SIZE 48
#define PLATFORM_RTMR_COUNT 4
#define PLATFORM_VALIDITY_YEARS 10

/* What the simulated guest measures: MRTD or launch digest, and a TD's registers at the start. */
struct platform_td {
	uint8_t mrtd[PLATFORM_MEASUREMENT_SIZE];
	uint8_t rtmr[PLATFORM_RTMR_COUNT][PLATFORM_MEASUREMENT_SIZE];
};

struct platform {
	struct sign_key *key; /* attestation key or VCEK */
	bool is_snp;
	uint8_t point[64];        /* TDX */
	uint8_t chip_id[64];      /* SEV-SNP */
	struct buf certification; /* what every quote ends with */
};

/*
 * Make the directory (0700). now_ms is the wall clock; everything is valid from a day before it
 * for PLATFORM_VALIDITY_YEARS. E_CONFLICT when it exists and is complete.
 */
int platform_init(const char *directory, uint64_t now_ms, struct err *err) MUST_CHECK;
int platform_init_snp(const char *directory, uint64_t now_ms, struct err *err) MUST_CHECK;

/* Open it. E_NOT_FOUND when it was not made; release with platform_done. */
int platform_open(const char *directory, struct platform *platform, struct err *err) MUST_CHECK;
void platform_done(struct platform *platform);

/*
 * A TDX quote of version 4, or an SNP report of version 3 with its certificates, appended.
 * E_INVALID for a malformed request, E_UNSUPPORTED for RTMR digests on SEV-SNP.
 */
int platform_quote(const struct platform *platform, const struct platform_td *td,
	const struct sim_wire_request *request, struct buf *quote, struct err *err) MUST_CHECK;

#endif
