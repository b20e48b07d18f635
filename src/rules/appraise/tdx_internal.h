/*
 * The parts of a TDX appraisal and what they hand to each other: the PCK certificate's extension,
 * the two signed documents, levels.
 */
#ifndef RULES_APPRAISE_TDX_INTERNAL_H
#define RULES_APPRAISE_TDX_INTERNAL_H

#include "kit/codec/jspan.h"
#include "rules/appraise/internal.h"
#include "rules/appraise/tdx.h"
#include "rules/appraise/tdx_quote.h"

#define TCB_COMPONENTS 16
#define TDX_CHAIN_BYTES_MAX (16 << 10)

enum tdx_chain { TDX_CHAIN_PCK, TDX_CHAIN_TCB, TDX_CHAIN_QE, TDX_CHAIN_COUNT };

/* Intel's extension of the PCK certificate (SGX PCK Certificate Profile, 1.2.840.113741.1.13.1). */
struct pck_extension {
	struct view ppid;        /* 16 */
	struct view fmspc;       /* 6 */
	struct view pceid;       /* 2 */
	struct view instance_id; /* 16, or empty */
	uint8_t components[TCB_COMPONENTS];
	unsigned pcesvn;
};

/* NULL when everything is there and agrees, else pck.sgx_ext or pck.cpusvn. */
const char *pck_extension_parse(const struct x509 *leaf, struct pck_extension *ret_extension);

/* Everything an appraisal carries along. */
struct tdx_appraisal {
	const struct appraise_tdx_input *input;
	struct appraise_result *result;
	struct tdx_quote quote;
	struct buf chains[TDX_CHAIN_COUNT]; /* DER of the PEM chains; views point into them */
	struct x509 leaf;
	struct x509 ca;
	struct x509 root;
	const struct appraise_anchor *anchor;
	struct x509_crl root_crl;
	bool has_root_crl;
	struct pck_extension pck;
	bool has_pck;
	struct view signer_pem; /* what the next two were decoded from; Intel sends it twice */
	struct x509 signer;
	struct x509 signer_root;
};

/* Reason codes of TCB info or QE identity. */
struct document_codes {
	const char *missing;
	const char *unchecked;
	const char *format;
	const char *signature;
	const char *id;
	const char *expired;
	const char *issued_in_future;
	const char *eval_number;
	const char *signer_role;
	const char *untrusted_root;
	const char *chain_parse;
	const char *chain_revoked;
	struct chain_codes chain;
};

/* One signed document of Intel, for open_document(). */
struct document {
	struct view text;
	struct view chain_pem;
	const char *member; /* of the signed body */
	const char *id;
	int64_t version;
	enum tdx_chain chain;
	const struct document_codes *codes;
};

/*
 * Verify signer chain, signature, id, dates and evaluation number. True with the body when it may
 * be used; false with reasons otherwise.
 */
bool tdx_document_open(
	struct tdx_appraisal *a, const struct document *document, struct jspan *ret_body);

/* UNKNOWN for a word that is none of Intel's for levels. */
enum tcb_status tdx_status_of(struct jspan word);

/* TCB info: levels, module, convergence, relaunch. Writes the platform and module statuses. */
void tdx_appraise_tcb(struct tdx_appraisal *a, struct jspan tcb_info);

/*
 * The highest level of an identity that isvsvn reaches, and the highest of all. False when the
 * list is malformed. *ret_status is UNKNOWN when none is reached.
 */
bool tdx_isvsvn_levels(
	struct jspan levels, int64_t isvsvn, enum tcb_status *ret_status, int64_t *ret_latest);

/* QE report against QE identity. Writes qe_status. */
void tdx_appraise_qe(struct tdx_appraisal *a, struct jspan identity);

/* What the policy says of the TD: attributes, measurements, report data. */
void tdx_appraise_td(struct tdx_appraisal *a);

/* Event logs against the RTMRs. */
void tdx_appraise_log(struct tdx_appraisal *a);

/* A status other than UpToDate that policy does not accept becomes its reason. */
void tdx_require_status(struct tdx_appraisal *a, enum tcb_status status);

#endif
