/*
 * Appraisal of attestation evidence: what every platform shares.
 *
 * An appraisal is a pure, total function of (evidence, collateral, anchors, policy, as_of). It
 * never fails: whatever is wrong becomes a reason in the result, and one reason is enough to
 * refuse. It fails closed: collateral that is missing is a reason, unless the policy makes it
 * optional; then it is listed in `unchecked`, never silent. Codes are those of
 * docs/reference/reasons.md. Views in the result borrow from the evidence and the collateral.
 *
 * Call:  struct appraise_result result;
 *        appraise_tdx(&input, &result);          (tdx.h; snp.h, tpm.h, azure.h alike)
 *        if (result.is_accepted) ...             nothing else decides
 */
#ifndef RULES_APPRAISE_APPRAISE_H
#define RULES_APPRAISE_APPRAISE_H

#include "kit/base/buf.h"
#include "kit/crypto/verify.h"

#define APPRAISE_EVIDENCE_MAX (64 << 10) /* one quote or report with its certificates */
#define APPRAISE_JSON_MAX (256 << 10)    /* TCB info, QE identity */
#define APPRAISE_LOG_MAX (1 << 20)       /* event log */
#define APPRAISE_REASONS_MAX 48
#define APPRAISE_UNCHECKED_MAX 16
#define APPRAISE_LIST_MAX 16
#define APPRAISE_MEMO_MAX 32
#define APPRAISE_DECODED_MAX 512
#define APPRAISE_DIGEST_SIZE 32

/* A root we were told to trust, known by the SHA-256 of its certificate's DER. */
struct appraise_anchor {
	const char *label; /* "intel-sgx-root", "amd-ark-milan", "simulated:<name>", ... */
	uint8_t sha256[APPRAISE_DIGEST_SIZE];
	bool is_simulated; /* refused unless the policy names its hash */
};

/* Allowed values; an empty list means "not compared" where it is a list of expectations. */
struct appraise_list {
	struct view items[APPRAISE_LIST_MAX];
	size_t count;
};

/* Intel's words for the state of a platform, module or QE. Order: no meaning. */
enum tcb_status {
	TCB_UNKNOWN, /* not determined */
	TCB_UP_TO_DATE,
	TCB_SW_HARDENING_NEEDED,
	TCB_CONFIGURATION_NEEDED,
	TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED,
	TCB_OUT_OF_DATE,
	TCB_OUT_OF_DATE_CONFIGURATION_NEEDED,
	TCB_REVOKED,
	TCB_TD_RELAUNCH_ADVISED,
	TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED,
	TCB_STATUS_COUNT,
};

const char *tcb_status_name(enum tcb_status status);

/* Security versions of AMD firmware; fmc only on Turin. */
struct snp_tcb {
	uint8_t fmc, boot_loader, tee, snp, microcode;
};

/* PCR banks that may decide; SHA-1 never does. */
enum appraise_bank { APPRAISE_BANK_SHA256, APPRAISE_BANK_SHA384, APPRAISE_BANK_SHA1 };
#define APPRAISE_NONCE_MIN 16

enum snp_product {
	SNP_PRODUCT_NONE,
	SNP_PRODUCT_MILAN,
	SNP_PRODUCT_GENOA,
	SNP_PRODUCT_TURIN,
	SNP_PRODUCT_COUNT,
};

/* Everything that may weaken or sharpen an appraisal. All zeros is the strict profile. */
struct appraise_policy {
	bool is_collateral_optional; /* absent collateral is "unchecked" instead of a reason */
	bool is_crl_optional;        /* the same for absent CRLs alone */
	struct appraise_list simulated_roots; /* SHA-256 of simulated roots that are accepted */
	struct view report_data;              /* 64 bytes, or empty: not compared */
	uint64_t collateral_age_max_ms;       /* since issue; 0: only the signed dates count */
	uint64_t collateral_grace_ms; /* documents and CRLs that ended so long ago are accepted,
				       * and listed as unchecked; certificates never are */

	struct {
		unsigned accepted_statuses; /* bits 1 << enum tcb_status beside UpToDate */
		bool is_event_log_required;
		bool may_clear_sept_ve_disable; /* Azure's TDs */
		struct appraise_list mrtd;
		struct appraise_list rtmr[4];
		struct appraise_list mr_config_id;
		struct appraise_list mr_owner;
		struct appraise_list mr_owner_config;
		struct appraise_list service_tds; /* MRSERVICETD beside zero; allows migration */
		struct appraise_list platforms;   /* SHA-256 of accepted PPIDs */
		uint64_t evaluation_number_min;
	} tdx;

	struct {
		bool may_be_provisional;   /* committed TCB below current */
		unsigned vmpls;            /* bits 1 << VMPL; 0 means VMPL 0 only */
		unsigned refused_products; /* bits 1 << enum snp_product */
		bool is_smt_refused;
		bool is_single_socket_required;
		uint64_t platform_required; /* bits of PLATFORM_INFO */
		uint64_t platform_forbidden;
		struct snp_tcb tcb_min; /* reported */
		struct snp_tcb launch_tcb_min;
		unsigned abi_major_min, abi_minor_min; /* of the guest policy */
		uint32_t guest_svn_min;
		uint64_t launch_mitigations; /* bits that must be set at launch */
		struct appraise_list measurement;
		struct appraise_list host_data;
		struct appraise_list id_keys;
		struct appraise_list author_keys;
		struct appraise_list csp_ids; /* text of the VLEK's extension; a VCEK has none */
		struct appraise_list chips;   /* accepted CHIP_IDs */
	} snp;

	struct {
		struct view nonce;       /* the verifier's own; extraData must be exactly it */
		bool is_nonce_size_free; /* else at least nonce_size_min bytes */
		uint32_t nonce_size_min; /* 0: APPRAISE_NONCE_MIN */
		enum appraise_bank bank;
		uint32_t required_pcrs; /* bits */
		bool is_event_log_required;
		bool is_log_strict; /* no event for a register outside the quote */
		bool is_safe_clock_required;
		bool has_reset_count;
		uint32_t reset_count;
		bool may_be_endorsement_key;   /* EKU 2.23.133.8.1 beside 8.3 (Google) */
		struct appraise_list ak_names; /* TPM names accepted without a certificate */
	} tpm;

	struct {
		struct view issuer;            /* "iss" must equal it; empty: not compared (EAR) */
		struct view nonce;             /* what the token must have been asked for with */
		uint64_t age_max_s;            /* since "iat"; 0: only "exp" counts */
		uint64_t leeway_s;             /* for clocks that disagree */
		struct appraise_list key_sets; /* SHA-256 of pinned key sets (bundle.h) */
		bool may_warn; /* EAR status "warning" is accepted beside "affirming" */
	} token;

	struct {
		bool is_td_quote_unchecked; /* the TD quote binds only; listed as unchecked */
		struct view user_data;      /* 64 bytes the runtime claims must hold; or empty */
	} azure;
};

struct appraise_reason {
	const char *code; /* static text */
	size_t offset;    /* in the evidence; APPRAISE_NO_OFFSET when it has no place */
};
#define APPRAISE_NO_OFFSET SIZE_MAX

enum appraise_platform {
	APPRAISE_PLATFORM_NONE,
	APPRAISE_PLATFORM_TDX,
	APPRAISE_PLATFORM_SNP,
	APPRAISE_PLATFORM_TPM,
	APPRAISE_PLATFORM_AZURE_SNP,
	APPRAISE_PLATFORM_AZURE_TDX,
	APPRAISE_PLATFORM_MAA,
	APPRAISE_PLATFORM_EAR,
	APPRAISE_PLATFORM_COUNT,
};

const char *appraise_platform_name(enum appraise_platform platform); /* "tdx", "sev-snp", ... */

struct appraise_result {
	bool is_accepted;
	bool is_simulated;  /* the anchor that ended the chain is no hardware maker's */
	const char *anchor; /* its label; "" when none was reached */
	enum appraise_platform platform;
	struct appraise_reason reasons[APPRAISE_REASONS_MAX]; /* in the order found */
	size_t reason_count; /* more than the maximum are counted, not kept */
	const char *unchecked[APPRAISE_UNCHECKED_MAX];
	size_t unchecked_count;

	/* What the evidence says; believed only when is_accepted. */
	struct view report_data;
	struct view measurement; /* MRTD, SNP launch digest */
	struct view rtmr[4];
	struct view host_data;   /* MRCONFIGID, HOST_DATA */
	struct view platform_id; /* platform instance or chip id */
	struct view fmspc;
	struct view ppid; /* shown as its hash only */

	/* Statuses apart, then merged. */
	enum tcb_status platform_status;
	enum tcb_status module_status; /* UNKNOWN when the module has none of its own */
	enum tcb_status qe_status;
	enum tcb_status status;
	struct view tcb_date;   /* text of the matched level's date */
	struct view advisories; /* JSON array of the matched level; empty when none */
	uint64_t evaluation_number;

	/* SNP. */
	enum snp_product product;
	struct snp_tcb tcb; /* reported */
	uint64_t guest_policy;
	uint64_t platform_info;         /* all bits as they came */
	uint64_t platform_info_unknown; /* those without a meaning here */
	unsigned vmpl;

	/* What was decoded from text; views above may point here, so copy results with
	 * appraise_result_copy(). */
	uint8_t decoded[APPRAISE_DECODED_MAX];
	size_t decoded_size;
};

/* Copy a result; its views into `decoded` follow. */
void appraise_result_copy(const struct appraise_result *from, struct appraise_result *ret_copy);

/*
 * Signatures already checked and keys made ready, so that warm appraisals do not repeat those over
 * certificates and collateral. Owned by the caller, all zeros at first, ended by
 * appraise_memo_done(); it never changes a verdict.
 */
struct appraise_memo {
	uint8_t digests[APPRAISE_MEMO_MAX][APPRAISE_DIGEST_SIZE];
	size_t next;
	struct verify_cache keys;
};
void appraise_memo_done(struct appraise_memo *memo);

/* True when the list holds value (compared without secret-dependent time). */
bool appraise_list_has(const struct appraise_list *list, struct view value);

#endif
