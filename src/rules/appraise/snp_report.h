/*
 * An SNP report as views and numbers: structure only. Layout: SEV-SNP firmware ABI, table
 * ATTESTATION_REPORT; offsets confirmed on real reports of versions 2, 3 and 5.
 */
#ifndef RULES_APPRAISE_SNP_REPORT_H
#define RULES_APPRAISE_SNP_REPORT_H

#include "rules/appraise/snp.h"

enum snp_signing_key { SNP_SIGNED_BY_VCEK = 0, SNP_SIGNED_BY_VLEK = 1 };

struct snp_report {
	unsigned version;
	uint32_t guest_svn;
	uint64_t policy;
	uint32_t vmpl;
	uint64_t platform_info;
	unsigned signing_key;
	enum snp_product product; /* NONE for version 2, which does not say, and for unknown ones */
	bool has_cpuid;           /* version 3 and later */
	struct view current_tcb, reported_tcb, committed_tcb, launch_tcb; /* 8 raw bytes */
	uint32_t current_version, committed_version; /* major << 16 | minor << 8 | build */
	struct view report_data, measurement, host_data, id_key, author_key, chip_id;
	uint64_t launch_mitigation; /* version 5 */
	struct view signed_part;
	struct view r, s; /* 72 bytes, little-endian */
};

/* NULL with the report, else the first parse.* code and its offset. */
const char *snp_report_parse(struct view bytes, struct snp_report *ret_report, size_t *ret_offset);

/* The raw eight bytes in the layout of a product line. */
struct snp_tcb snp_tcb_of(struct view raw, enum snp_product product);

#endif
