/*
 * Verification of an execution certificate: one pure function, used by the server, the CLI and the
 * tests. It returns a list of checks, each pass, fail or not-checked, and one verdict; there is
 * never a single green tick. The order is: signatures over the original bytes, then the inside.
 */
#ifndef RULES_CERT_VERIFY_H
#define RULES_CERT_VERIFY_H

#include "kit/base/buf.h"
#include "rules/appraise/snp.h"
#include "rules/appraise/tdx.h"
#include "rules/cert/statement.h"

enum cert_result { CERT_PASS, CERT_FAIL, CERT_NOT_CHECKED };

enum cert_check {
	CERT_CHECK_ENVELOPE,  /* DSSE with an in-toto payload */
	CERT_CHECK_STATEMENT, /* canonical bytes, known members and predicate type */
	CERT_CHECK_SIGNATURE, /* by the attested key named in the evidence binding */
	CERT_CHECK_ISSUER,    /* by the service key given to the verifier */
	CERT_CHECK_SUBJECTS,  /* inputsDigest and claimDigest recomputed */
	CERT_CHECK_RESULT,    /* the result bytes given to the verifier */
	CERT_CHECK_FILES,     /* the collected files given to the verifier */
	CERT_CHECK_BINDING,   /* report data recomputed from claim, run and key */
	CERT_CHECK_QUOTE, /* evidence: structure, chain to an anchor, QE, signature, report data */
	CERT_CHECK_TCB,   /* collateral: revocation and TCB status */
	CERT_CHECK_MEASUREMENT,  /* measured code is one the verifier expects */
	CERT_CHECK_TRACE,        /* the disclosed trace has the certified root */
	CERT_CHECK_TRANSPARENCY, /* inclusion in a log, witnesses */
	CERT_CHECK_COUNT,
};

enum cert_verdict { CERT_VERDICT_FAILED, CERT_VERDICT_SIMULATED, CERT_VERDICT_HARDWARE };

/* What the makers publish: all of one platform, or nothing of it. */
struct cert_collateral {
	struct tdx_collateral tdx;
	struct snp_collateral snp; /* certificates only stand in for those the evidence lacks */
};

/*
 * Of files in this order: tcb_info.json, tcb_chain.pem, qe_identity.json, qe_chain.pem,
 * root_crl.der, pck_crl.der; crl.der, vek.der, ask.der, ark.der. Borrows them.
 */
#define CERT_COLLATERAL_FILES 10
struct cert_collateral cert_collateral_of(const struct buf files[static CERT_COLLATERAL_FILES]);

struct cert_verify_input {
	struct view envelope;    /* DSSE JSON */
	struct view issuer_spki; /* empty: issuer not checked */
	const struct appraise_anchor *anchors;
	size_t anchor_count;                      /* 0: quote chain not checked, never hardware */
	const struct cert_collateral *collateral; /* NULL: tcb not checked */
	uint64_t as_of_ms;
	/* Expected MRTDs or launch digests of 48 bytes, one behind the other, at most 16; empty:
	 * not checked. */
	struct view measurement;
	bool has_result;
	struct view result;       /* released bytes to compare */
	const struct json *files; /* array of {path, bytes, sha256, maybe encoding and content};
				     NULL: not checked */
	const struct json *trace_events; /* NULL: not checked */
	bool is_reply;                   /* these are of a reply: at most TRACE_SHOWN_MAX */
	struct view trace_seed;
};

struct cert_finding {
	enum cert_result result;
	char detail[200];
};

struct cert_verification {
	enum cert_verdict verdict;
	struct cert_finding checks[CERT_CHECK_COUNT];
	char id[CERT_ID_SIZE]; /* "" when there is no statement */
	char anchor[64];       /* label of the anchor that ended the chain */
	char anchor_sha256[CERT_DIGEST_TEXT];
};

/*
 * Total: whatever is wrong becomes a failed check. The verdict is failed if any check failed or one
 * of envelope, statement, signature, subjects, binding, quote was not checked; hardware only with a
 * hardware anchor and predicate, TCB included; else simulated.
 */
void cert_verify(const struct cert_verify_input *input, struct cert_verification *ret_verification);

const char *cert_check_name(enum cert_check check);       /* "signature", ... */
const char *cert_check_meaning(enum cert_check check);    /* one sentence for people */
const char *cert_result_name(enum cert_result result);    /* "pass", "fail", "not-checked" */
const char *cert_verdict_name(enum cert_verdict verdict); /* "failed", "simulated", "hardware" */

/* {certificate_id, verdict, anchor, checks: [{name, result, detail, meaning}]} */
struct json *cert_verification_json(const struct cert_verification *verification);

#endif
