/*
 * The seam to rules/appraise: one TDX appraisal, its reasons sorted into the three checks quote,
 * tcb and measurement. Simulated roots are admitted here because the verdict names them; a policy
 * that must refuse them looks at the verdict.
 */
#include "kit/base/str.h"
#include "rules/appraise/tdx.h"
#include "rules/cert/internal.h"

enum { DETAIL_CODES = 4, QUOTE_REPORT_DATA_SIZE = 64 };

/* What a reason code speaks about; anything else is about the quote itself. */
static const struct {
	const char *prefix;
	enum cert_check check;
} code_rows[] = {
	{ "td.mrtd", CERT_CHECK_MEASUREMENT },
	{ "tcb", CERT_CHECK_TCB },
	{ "qe_identity", CERT_CHECK_TCB },
	{ "qe.svn", CERT_CHECK_TCB },
	{ "pck_crl", CERT_CHECK_TCB },
	{ "root_crl", CERT_CHECK_TCB },
	{ "pck_chain.revoked", CERT_CHECK_TCB },
	{ "tdx_module", CERT_CHECK_TCB },
};

static enum cert_check check_of(const char *code)
{
	for (size_t i = 0; i < ARRAY_SIZE(code_rows); i++)
		if (str_starts(code, code_rows[i].prefix))
			return code_rows[i].check;
	return CERT_CHECK_QUOTE;
}

static void set(struct cert_state *state, enum cert_check check, enum cert_result result,
	const char *detail)
{
	struct cert_finding *finding = &state->out->checks[check];
	struct err ignored;
	finding->result = result;
	if (str_format(finding->detail, sizeof(finding->detail), &ignored, "%.190s", detail) < 0)
		finding->detail[0] = 0;
}

static void fail(struct cert_state *state, const struct appraise_result *result)
{
	for (size_t i = 0; i < MIN(result->reason_count, (size_t)APPRAISE_REASONS_MAX); i++) {
		enum cert_check check = check_of(result->reasons[i].code);
		if (state->out->checks[check].result != CERT_FAIL)
			set(state, check, CERT_FAIL, result->reasons[i].code);
	}
}

static const struct appraise_anchor *find_anchor(
	const struct cert_verify_input *in, const char *label)
{
	for (size_t i = 0; i < in->anchor_count; i++)
		if (str_equal(in->anchors[i].label, label))
			return &in->anchors[i];
	return NULL;
}

static void note_anchor(struct cert_state *state, const struct appraise_result *result)
{
	struct err ignored;
	const struct appraise_anchor *anchor = find_anchor(state->in, result->anchor);
	if (!anchor)
		return;
	if (str_format(state->out->anchor, sizeof(state->out->anchor), &ignored, "%s",
		    anchor->label) < 0)
		return;
	(void)hex_encode(view_of(anchor->sha256, APPRAISE_DIGEST_SIZE), state->out->anchor_sha256);
	state->is_hardware_anchor = !result->is_simulated;
}

static bool has_collateral(const struct cert_verify_input *in)
{
	return in->collateral && in->collateral->tcb_info.size;
}

static void judge(struct cert_state *state, const struct appraise_result *result)
{
	note_anchor(state, result);
	if (!result->is_accepted) {
		fail(state, result);
		return;
	}
	bool matches = state->is_hardware_anchor == state->is_hardware_type;
	set(state, CERT_CHECK_QUOTE, matches ? CERT_PASS : CERT_FAIL,
		matches ? result->anchor : "the anchor does not fit the predicateType");
	if (state->in->measurement.size)
		set(state, CERT_CHECK_MEASUREMENT, CERT_PASS, "MRTD is the expected one");
	if (has_collateral(state->in) && result->unchecked_count == 0)
		set(state, CERT_CHECK_TCB, CERT_PASS, tcb_status_name(result->status));
}

void cert_check_quote(struct cert_state *state)
{
	static const struct tdx_collateral no_collateral;
	struct appraise_result result = {};
	struct appraise_policy policy = {
		.is_collateral_optional = !has_collateral(state->in),
		.report_data = view_of(state->report_data, QUOTE_REPORT_DATA_SIZE),
	};
	if (state->in->anchor_count == 0) {
		set(state, CERT_CHECK_QUOTE, CERT_NOT_CHECKED, "no anchor was given");
		return;
	}
	for (size_t i = 0; i < state->in->anchor_count; i++)
		if (state->in->anchors[i].is_simulated &&
			policy.simulated_roots.count < APPRAISE_LIST_MAX)
			policy.simulated_roots.items[policy.simulated_roots.count++] = view_of(
				state->in->anchors[i].sha256, APPRAISE_DIGEST_SIZE);
	if (state->in->measurement.size) {
		policy.tdx.mrtd.items[0] = state->in->measurement;
		policy.tdx.mrtd.count = 1;
	}
	struct appraise_tdx_input input = {
		.quote = buf_view(&state->quote),
		.collateral = state->in->collateral ? *state->in->collateral : no_collateral,
		.anchors = state->in->anchors,
		.anchor_count = state->in->anchor_count,
		.policy = &policy,
		.as_of_ms = state->in->as_of_ms,
	};
	appraise_tdx(&input, &result);
	judge(state, &result);
}
