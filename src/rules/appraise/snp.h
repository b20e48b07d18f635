/*
 * Appraisal of AMD SEV-SNP attestation reports, version 2 to 5, of Milan, Genoa and Turin, signed
 * by a VCEK or a VLEK.
 *
 * Order: structure, certificate chain to a pinned ARK, CRL, the VEK's extensions against the
 * report, the report's signature, then what the policy says. A root is never taken from the
 * evidence: a given ARK counts when its hash is an anchor's.
 */
#ifndef RULES_APPRAISE_SNP_H
#define RULES_APPRAISE_SNP_H

#include "rules/appraise/appraise.h"

#define SNP_REPORT_SIZE 1184
#define SNP_ROOTS_MAX 8
#define SNP_MEASUREMENT_SIZE 48

struct snp_collateral {
	struct view vek;          /* DER of VCEK or VLEK */
	struct view intermediate; /* DER of ASK or ASVK */
	struct view
		roots[SNP_ROOTS_MAX]; /* DER of ARKs to choose from, by the intermediate's issuer */
	size_t root_count;
	struct view crl; /* DER, by the ARK; empty is "absent" */
};

struct appraise_snp_input {
	struct view report; /* exactly SNP_REPORT_SIZE bytes */
	struct snp_collateral collateral;
	const struct appraise_anchor *anchors;
	size_t anchor_count;
	const struct appraise_policy *policy;
	uint64_t as_of_ms;
	struct appraise_memo *memo; /* may be NULL */
};

/* Appraise one report. Total: every input gives a result that borrows from the report. */
void appraise_snp(const struct appraise_snp_input *input, struct appraise_result *ret_result);

/*
 * The certificate table of an extended report (SEV-ES GHCB 2.0, section 4.1.8.1): fills what it
 * finds. False when an entry points outside the table or a known certificate comes twice.
 */
bool snp_certificates_parse(struct view table, struct snp_collateral *collateral);

const char *snp_product_name(enum snp_product product); /* "milan", "genoa", "turin", "unknown" */

#endif
