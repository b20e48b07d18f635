/*
 * Evidence, collateral and their names in one sequence of bytes: what the verifying process is
 * given and what `cupel attest collateral export` writes. And the one entry that picks the
 * appraisal by what is there.
 *
 * Bytes: "cupelbd1", then items of name size u8, name, size u32le, content. Names are those of
 * enum bundle_item, each at most once; nothing follows the last.
 */
#ifndef RULES_APPRAISE_BUNDLE_H
#define RULES_APPRAISE_BUNDLE_H

#include "rules/appraise/policy.h"

#define BUNDLE_MAGIC "cupelbd1"
#define BUNDLE_SIZE_MAX (16 << 20)
#define BUNDLE_ITEM_MAX (4 << 20)

enum bundle_item {
	BUNDLE_QUOTE, /* TDX quote */
	BUNDLE_TCB_INFO,
	BUNDLE_TCB_CHAIN,
	BUNDLE_QE_IDENTITY,
	BUNDLE_QE_CHAIN,
	BUNDLE_ROOT_CRL,
	BUNDLE_PCK_CRL,
	BUNDLE_REPORT,       /* SNP report */
	BUNDLE_CERTIFICATES, /* certificate table of an extended report */
	BUNDLE_VEK,
	BUNDLE_INTERMEDIATE,
	BUNDLE_ARK_0,
	BUNDLE_ARK_1,
	BUNDLE_ARK_2,
	BUNDLE_CRL,
	BUNDLE_HCL,       /* Azure */
	BUNDLE_ATTEST,    /* TPMS_ATTEST */
	BUNDLE_SIGNATURE, /* TPMT_SIGNATURE; Azure: bare */
	BUNDLE_PCRS,      /* JSON {"bank":"sha256","values":{"0":"<hex>",...}} */
	BUNDLE_AK,
	BUNDLE_AK_PUBLIC,
	BUNDLE_AK_CHAIN_0,
	BUNDLE_AK_CHAIN_1,
	BUNDLE_AK_ROOT,
	BUNDLE_AK_CRL_0,
	BUNDLE_AK_CRL_1,
	BUNDLE_EVENT_LOG,
	BUNDLE_DSTACK_LOG,
	BUNDLE_MAA_TOKEN,
	BUNDLE_EAR_TOKEN,
	BUNDLE_JWKS,
	BUNDLE_POLICY, /* JSON */
	BUNDLE_ITEM_COUNT,
};

/* File name of an item: "quote.bin", "tcb_info.json", ... */
const char *bundle_item_name(enum bundle_item item);

struct bundle {
	struct view items[BUNDLE_ITEM_COUNT];
};

/* E_INVALID with the offset for a malformed sequence, E_LIMIT for sizes. Borrows bytes. */
int bundle_parse(struct view bytes, struct bundle *ret_bundle, struct err *err) MUST_CHECK;

/* The bytes of a bundle, appended. */
int bundle_encode(const struct bundle *bundle, struct buf *buf, struct err *err) MUST_CHECK;

/*
 * Appraise what the bundle holds under a policy. E_INVALID when it holds no evidence, or evidence
 * of two kinds, or malformed register values; E_UNSUPPORTED for a TPM quote over a TD quote, which
 * nothing binds together; else 0 with a result. ret_evidence is the item that
 * was judged.
 */
int bundle_appraise(const struct bundle *bundle, const struct policy_document *policy,
	uint64_t as_of_ms, struct appraise_result *ret_result, struct view *ret_evidence,
	struct err *err) MUST_CHECK;

#endif
