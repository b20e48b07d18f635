/*
 * A TDX quote of version 4 or 5 as views: structure only, nothing is verified here.
 * Layout: Intel TDX DCAP Quoting Library API, appendix A (offsets confirmed on real quotes).
 */
#ifndef RULES_APPRAISE_TDX_QUOTE_H
#define RULES_APPRAISE_TDX_QUOTE_H

#include "rules/appraise/appraise.h"

#define TDX_QUOTE_HEADER_SIZE 48
#define TDX_QUOTE_VERSION_SGX 3 /* quotes of SGX enclaves only */
#define TDX_BODY_10_SIZE 584    /* TD report of TDX 1.0 */
#define TDX_BODY_15_SIZE 648    /* TDX 1.5 */
#define TDX_QE_REPORT_SIZE 384
#define TDX_MEASUREMENT_SIZE 48
#define TDX_REPORT_DATA_SIZE 64
#define TDX_RTMR_COUNT 4

struct tdx_quote {
	unsigned version;        /* 4 or 5 */
	struct view signed_part; /* header and body, what the attestation key signed */
	struct view body;
	struct view tee_tcb_svn; /* 16 */
	struct view mr_seam;
	struct view mr_signer_seam;
	struct view seam_attributes; /* 8 */
	struct view td_attributes;   /* 8 */
	struct view xfam;            /* 8 */
	struct view mrtd;
	struct view mr_config_id;
	struct view mr_owner;
	struct view mr_owner_config;
	struct view rtmr[TDX_RTMR_COUNT];
	struct view report_data;
	struct view tee_tcb_svn2;  /* empty for 1.0 */
	struct view mr_service_td; /* empty for 1.0 */
	struct view signature;     /* r || s by the attestation key */
	struct view attestation_key;
	struct view qe_report;
	struct view qe_report_signature;
	struct view qe_auth_data;
	struct view pck_pem;
};

/*
 * Split the quote. False with a parse.* code and the offset; *ret_quote is then not written.
 * Zero bytes behind the quote are accepted (buffers of configfs and clouds), others are
 * parse.trailing_nonzero, which does not stop the appraisal: the function still returns true and
 * sets *ret_code.
 */
bool tdx_quote_parse(
	struct view bytes, struct tdx_quote *ret_quote, const char **ret_code, size_t *ret_offset);

#endif
