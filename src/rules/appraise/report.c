/* See report.h. "affirming" is said of hardware alone; a simulated platform says "simulated". */
#include "rules/appraise/report.h"

#include "kit/base/time.h"
#include "kit/codec/hex.h"
#include "kit/crypto/hash.h"
#include "rules/appraise/snp.h"

enum { CLAIM_BYTES_MAX = 64 };

static const char *verdict(const struct appraise_result *result)
{
	if (!result->is_accepted)
		return "refused";
	if (result->is_simulated)
		return "simulated";
	return result->anchor[0] ? "affirming" : "unanchored";
}

/* Claims that are bytes, by name; empty ones are left out. */
struct claim {
	const char *name;
	struct view bytes;
};

static size_t byte_claims(const struct appraise_result *r, struct claim ret_claims[static 10])
{
	static const char *const rtmrs[] = { "rtmr0", "rtmr1", "rtmr2", "rtmr3" };
	size_t count = 0;
	ret_claims[count++] = (struct claim){ "measurement", r->measurement };
	ret_claims[count++] = (struct claim){ "reportData", r->report_data };
	for (size_t i = 0; i < ARRAY_SIZE(rtmrs); i++)
		ret_claims[count++] = (struct claim){ rtmrs[i], r->rtmr[i] };
	ret_claims[count++] = (struct claim){ "hostData", r->host_data };
	ret_claims[count++] = (struct claim){ "platformId", r->platform_id };
	ret_claims[count++] = (struct claim){ "fmspc", r->fmspc };
	return count;
}

static void set_hash(struct json *object, const char *name, struct view bytes)
{
	uint8_t digest[SHA256_SIZE];
	hash_bytes(HASH_SHA256, bytes, digest);
	json_set_hex(object, name, view_of(digest, sizeof(digest)));
}

static struct json *claims_json(const struct appraise_result *r)
{
	struct json *claims = json_new_object();
	struct claim each[10];
	size_t count = byte_claims(r, each);
	for (size_t i = 0; i < count; i++)
		if (each[i].bytes.size > 0)
			json_set_hex(claims, each[i].name, each[i].bytes);
	if (r->ppid.size > 0)
		set_hash(claims, "ppidSha256", r->ppid);
	if (r->platform == APPRAISE_PLATFORM_TDX && r->tcb_date.size > 0)
		json_set(claims, "tcbDate", json_new_string(r->tcb_date));
	if (r->evaluation_number > 0)
		json_set_integer(claims, "tcbEvaluationDataNumber", (int64_t)r->evaluation_number);
	if (r->product != SNP_PRODUCT_NONE) {
		json_set_string(claims, "product", snp_product_name(r->product));
		json_set_integer(claims, "vmpl", r->vmpl);
		json_set_integer(claims, "bootLoaderSvn", r->tcb.boot_loader);
		json_set_integer(claims, "teeSvn", r->tcb.tee);
		json_set_integer(claims, "snpSvn", r->tcb.snp);
		json_set_integer(claims, "microcodeSvn", r->tcb.microcode);
		json_set_integer(claims, "platformInfoUnknownBits",
			(int64_t)(r->platform_info_unknown & JSON_INTEGER_MAX));
	}
	return claims;
}

static struct json *statuses_json(const struct appraise_result *r)
{
	struct json *statuses = json_new_object();
	json_set_string(statuses, "platform", tcb_status_name(r->platform_status));
	json_set_string(statuses, "module", tcb_status_name(r->module_status));
	json_set_string(statuses, "qe", tcb_status_name(r->qe_status));
	json_set_string(statuses, "merged", tcb_status_name(r->status));
	return statuses;
}

static struct json *reasons_json(const struct appraise_result *r)
{
	struct json *reasons = json_new_array();
	for (size_t i = 0; i < MIN(r->reason_count, (size_t)APPRAISE_REASONS_MAX); i++) {
		struct json *reason = json_new_object();
		json_set_string(reason, "code", r->reasons[i].code);
		if (r->reasons[i].offset != APPRAISE_NO_OFFSET)
			json_set_integer(reason, "offset", (int64_t)r->reasons[i].offset);
		json_append(reasons, reason);
	}
	return reasons;
}

struct json *appraise_report_json(const struct appraise_report *report)
{
	const struct appraise_result *r = report->result;
	struct json *root = json_new_object();
	struct json *unchecked = json_new_array();
	char time[TIME_TEXT_SIZE];
	for (size_t i = 0; i < r->unchecked_count; i++)
		json_append(unchecked, json_new_string(view_string(r->unchecked[i])));
	time_format(report->as_of_ms, time);
	json_set_string(root, "verdict", verdict(r));
	json_set_string(root, "platform", appraise_platform_name(r->platform));
	json_set_string(root, "anchor", r->anchor);
	json_set(root, "reasons", reasons_json(r));
	json_set(root, "unchecked", unchecked);
	json_set(root, "claims", claims_json(r));
	if (r->platform == APPRAISE_PLATFORM_TDX || r->platform == APPRAISE_PLATFORM_AZURE_TDX)
		json_set(root, "tcb", statuses_json(r));
	json_set_string(root, "policy", report->policy->name);
	json_set_hex(
		root, "policySha256", view_of(report->policy->hash, sizeof(report->policy->hash)));
	set_hash(root, "evidenceSha256", report->evidence);
	json_set_string(root, "asOf", time);
	return root;
}

int appraise_report_text(const struct appraise_report *report, struct buf *buf, struct err *err)
{
	const struct appraise_result *r = report->result;
	struct claim claims[10];
	size_t count = byte_claims(r, claims);
	TRY(buf_append_format(buf, err, "verdict      %s\nplatform     %s\nanchor       %s\n",
		verdict(r), appraise_platform_name(r->platform),
		r->anchor[0] ? r->anchor : "none"));
	for (size_t i = 0; i < MIN(r->reason_count, (size_t)APPRAISE_REASONS_MAX); i++) {
		TRY(buf_append_format(buf, err, "reason       %s", r->reasons[i].code));
		if (r->reasons[i].offset != APPRAISE_NO_OFFSET)
			TRY(buf_append_format(buf, err, " at byte %zu", r->reasons[i].offset));
		TRY(buf_append_string(buf, "\n", err));
	}
	for (size_t i = 0; i < r->unchecked_count; i++)
		TRY(buf_append_format(buf, err, "not checked  %s\n", r->unchecked[i]));
	if (r->platform == APPRAISE_PLATFORM_TDX)
		TRY(buf_append_format(buf, err, "tcb          %s (platform %s, module %s, QE %s)\n",
			tcb_status_name(r->status), tcb_status_name(r->platform_status),
			tcb_status_name(r->module_status), tcb_status_name(r->qe_status)));
	for (size_t i = 0; i < count; i++) {
		char hex[HEX_SIZE(CLAIM_BYTES_MAX)];
		if (claims[i].bytes.size == 0 || claims[i].bytes.size > CLAIM_BYTES_MAX)
			continue;
		TRY(buf_append_format(
			buf, err, "%-12s %s\n", claims[i].name, hex_encode(claims[i].bytes, hex)));
	}
	return buf_append_format(buf, err, "policy       %s\n", report->policy->name);
}
