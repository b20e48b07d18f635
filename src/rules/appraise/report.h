/* An appraisal's result as JSON (for machines) and as text (for people). */
#ifndef RULES_APPRAISE_REPORT_H
#define RULES_APPRAISE_REPORT_H

#include "kit/codec/json.h"
#include "rules/appraise/policy.h"

/* What a report says beside the result. */
struct appraise_report {
	const struct appraise_result *result;
	const struct policy_document *policy;
	uint64_t as_of_ms;
	struct view evidence; /* its hash goes into the report */
};

/* A new object; release with json_free. Verdict, reasons, unchecked, claims, statuses, hashes. */
struct json *appraise_report_json(const struct appraise_report *report);

/* Lines of text appended. E_LIMIT as buf_append. */
int appraise_report_text(
	const struct appraise_report *report, struct buf *buf, struct err *err) MUST_CHECK;

#endif
