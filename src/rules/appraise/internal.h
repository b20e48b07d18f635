/*
 * What the appraisers share inside this directory: putting reasons into a result, signatures with
 * the memo, roots, dates.
 */
#ifndef RULES_APPRAISE_INTERNAL_H
#define RULES_APPRAISE_INTERNAL_H

#include "kit/crypto/verify.h"
#include "kit/crypto/x509.h"
#include "rules/appraise/appraise.h"

/* The three outcomes of a step. A stopped step leaves nothing usable behind. */
void appraise_fault(struct appraise_result *result, const char *code);
void appraise_fault_at(struct appraise_result *result, const char *code, size_t offset);
void appraise_unchecked(struct appraise_result *result, const char *what);

/* Keep bytes that will not outlive the appraisal; empty when there is no room. */
struct view appraise_keep(struct appraise_result *result, struct view bytes);

/*
 * Collateral that ends at end_ms is over. Within the policy's grace it is not, and the result says
 * that it was accepted so.
 */
bool appraise_is_over(const struct appraise_policy *policy, uint64_t as_of_ms, uint64_t end_ms,
	struct appraise_result *result);

/* Ends an appraisal: simulated roots, then is_accepted. */
void appraise_conclude(struct appraise_result *result, const struct appraise_policy *policy,
	const struct appraise_anchor *anchor);

/* verify_signature() remembered in memo (may be NULL). */
bool appraise_signed(struct appraise_memo *memo, const struct verify_key *key,
	enum verify_scheme scheme, struct view message, struct view signature);

/* The same for r || s. */
bool appraise_signed_raw(struct appraise_memo *memo, const struct verify_key *key,
	enum verify_scheme scheme, struct view message, struct view r_and_s);

/* For what is new each time (quotes, reports): the key is kept, the signature always checked. */
bool appraise_signed_once(struct appraise_memo *memo, const struct verify_key *key,
	enum verify_scheme scheme, struct view message, struct view signature);
bool appraise_signed_once_raw(struct appraise_memo *memo, const struct verify_key *key,
	enum verify_scheme scheme, struct view message, struct view r_and_s);

struct appraise_anchors {
	const struct appraise_anchor *items;
	size_t count;
};

/* The anchor with this certificate, or NULL. */
const struct appraise_anchor *appraise_anchor_of(
	const struct appraise_anchors *anchors, const struct x509 *root);

/* Reason codes of one use of certificates; all set. */
struct chain_codes {
	const char *expired;
	const char *not_yet_valid;
	const char *signature;
	const char *not_ca;
};

/* Dates at as_of; false with a reason. */
bool chain_dates(const struct x509 *certificate, uint64_t as_of_ms, const struct chain_codes *codes,
	struct appraise_result *result);

/* issuer is a CA that may sign certificates, with room for `below` CAs under it. */
bool chain_is_ca(const struct x509 *issuer, int below);

/* Names link and the signature holds. */
bool chain_issued(
	struct appraise_memo *memo, const struct x509 *certificate, const struct x509 *issuer);

/*
 * The root is signed by itself. Of a root in appraise_known_anchors that is known (a test shows
 * it): its hash names the bytes, the signature among them.
 */
bool chain_root_holds(
	struct appraise_memo *memo, const struct x509 *root, const struct appraise_anchor *anchor);

struct crl_codes {
	const char *missing;
	const char *unchecked;
	const char *parse;
	const char *issuer_name;
	const char *signature;
	const char *expired;
	const char *not_yet_valid;
};

/*
 * Decode and check one CRL. False when it must not be asked: absent, malformed, of another issuer
 * or forged. Dates are a reason, but the list stays usable.
 */
struct crl_check {
	struct view der;
	const struct x509 *issuer;
	const struct crl_codes *codes;
	const struct appraise_policy *policy;
	uint64_t as_of_ms;
	struct appraise_memo *memo;
};
bool crl_open(
	const struct crl_check *check, struct x509_crl *ret_crl, struct appraise_result *result);

#endif
