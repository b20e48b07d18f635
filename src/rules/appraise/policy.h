/*
 * Appraisal policies as documents: strict JSON, hashed. Everything that weakens or sharpens an
 * appraisal stands in the document, so its hash in a result says under which rules it was reached.
 * Members are those of struct appraise_policy; docs/reference/attestation.md lists them.
 */
#ifndef RULES_APPRAISE_POLICY_H
#define RULES_APPRAISE_POLICY_H

#include "rules/appraise/appraise.h"

#define POLICY_SIZE_MAX (64 << 10)
#define POLICY_NAME_MAX 64
#define POLICY_ANCHORS_MAX 24

struct policy_document {
	char name[POLICY_NAME_MAX + 1];
	uint8_t hash[APPRAISE_DIGEST_SIZE]; /* SHA-256 of the canonical document */
	struct appraise_policy policy;      /* its views point into storage */
	struct appraise_anchor anchors[POLICY_ANCHORS_MAX];
	size_t anchor_count;
	struct buf storage;
};

/*
 * Read a document. E_INVALID with the place for malformed JSON, unknown members, wrong kinds and
 * unknown names; E_LIMIT for more than POLICY_SIZE_MAX bytes or too many list items.
 * Release with policy_document_done.
 */
int policy_document_read(
	struct view text, struct policy_document *ret_document, struct err *err) MUST_CHECK;
void policy_document_done(struct policy_document *document);

/* The roots this program knows by label: hash of the maker's published root certificate. */
extern const struct appraise_anchor appraise_known_anchors[];
extern const size_t appraise_known_anchor_count;

#endif
