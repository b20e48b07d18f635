/* The measuring engines of SNP and TDX that firmware files and IGVM files feed. */
#ifndef RULES_APPRAISE_LAUNCH_INTERNAL_H
#define RULES_APPRAISE_LAUNCH_INTERNAL_H

#include "kit/crypto/hash.h"
#include "rules/appraise/launch.h"

#define LAUNCH_PAGE_SIZE 4096

enum launch_page_type {
	LAUNCH_PAGE_NORMAL = 1,
	LAUNCH_PAGE_VMSA = 2,
	LAUNCH_PAGE_ZERO = 3,
	LAUNCH_PAGE_UNMEASURED = 4,
	LAUNCH_PAGE_SECRETS = 5,
	LAUNCH_PAGE_CPUID = 6,
};

/* Running SNP digest. */
struct launch_chain {
	uint8_t digest[LAUNCH_DIGEST_SIZE];
};

/* One page; contents empty for the types that carry none (their contents count as zeros). */
void launch_chain_page(
	struct launch_chain *chain, enum launch_page_type type, uint64_t gpa, struct view contents);

/* A range of pages without contents; the last may be partial. */
void launch_chain_range(
	struct launch_chain *chain, enum launch_page_type type, uint64_t gpa, uint64_t size);

/* MEM.PAGE.ADD, and MR.EXTEND over one page (contents of at most a page, the rest zeros). */
void launch_td_add(struct hash_stream *mrtd, uint64_t gpa);
void launch_td_extend(struct hash_stream *mrtd, uint64_t gpa, struct view contents);

/* The entry of an OVMF GUID table by the GUID's bytes; false when absent or malformed. */
bool launch_ovmf_entry(struct view firmware, const uint8_t guid[16], struct view *ret_data);

#endif
