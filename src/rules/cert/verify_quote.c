/*
 * The seam to rules/appraise: one appraisal of a TDX quote or SNP report, its reasons sorted into
 * the three checks quote, tcb and measurement. Simulated roots are admitted here because the
 * verdict names them; a policy that must refuse them looks at the verdict.
 */
#include "kit/base/str.h"
#include "rules/appraise/tdx.h"
#include "rules/cert/internal.h"

enum { DETAIL_CODES = 4, QUOTE_REPORT_DATA_SIZE = 64, MEASUREMENT_SIZE = 48 };

/* What a reason code speaks about; anything else is about the quote itself. */
static const struct {
	const char *prefix;
	enum cert_check check;
} code_rows[] = {
	{ "td.mrtd", CERT_CHECK_MEASUREMENT },
	{ "snp.measurement", CERT_CHECK_MEASUREMENT },
	{ "tcb", CERT_CHECK_TCB },
	{ "qe_identity", CERT_CHECK_TCB },
	{ "qe.svn", CERT_CHECK_TCB },
	{ "pck_crl", CERT_CHECK_TCB },
	{ "root_crl", CERT_CHECK_TCB },
	{ "pck_chain.revoked", CERT_CHECK_TCB },
	{ "tdx_module", CERT_CHECK_TCB },
	{ "crl.", CERT_CHECK_TCB },
	{ "chain.revoked", CERT_CHECK_TCB },
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

/* The first reason that speaks about a check; NULL when there is none. */
static const char *reason_for(const struct appraise_result *result, enum cert_check check)
{
	for (size_t i = 0; i < MIN(result->reason_count, (size_t)APPRAISE_REASONS_MAX); i++)
		if (check_of(result->reasons[i].code) == check)
			return result->reasons[i].code;
	if (check != CERT_CHECK_QUOTE)
		return NULL;
	if (result->reason_count > APPRAISE_REASONS_MAX) /* the others could be about the quote */
		return "refused for more reasons than are kept";
	return result->is_accepted || result->reason_count ? NULL : "refused without a reason";
}

static void set_by_reason(struct cert_state *state, const struct appraise_result *result,
	enum cert_check check, const char *good)
{
	const char *reason = reason_for(result, check);
	set(state, check, reason ? CERT_FAIL : CERT_PASS, reason ? reason : good);
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

bool cert_has_collateral(const struct cert_state *state)
{
	const struct cert_collateral *collateral = state->in->collateral;
	return collateral &&
	       (state->is_snp ? collateral->snp.crl : collateral->tdx.tcb_info).size > 0;
}

struct cert_collateral cert_collateral_of(const struct buf files[static CERT_COLLATERAL_FILES])
{
	return (struct cert_collateral){
		.tdx = { buf_view(&files[0]), buf_view(&files[1]), buf_view(&files[2]),
			buf_view(&files[3]), buf_view(&files[4]), buf_view(&files[5]) },
		.snp = { .crl = buf_view(&files[6]),
			.vek = buf_view(&files[7]),
			.intermediate = buf_view(&files[8]),
			.roots = { buf_view(&files[9]) },
			.root_count = files[9].size > 0 },
	};
}

/* TCB and measurement are only looked at in a quote that holds. */
static void judge(struct cert_state *state, const struct appraise_result *result)
{
	set_by_reason(state, result, CERT_CHECK_QUOTE, result->anchor);
	if (state->out->checks[CERT_CHECK_QUOTE].result == CERT_FAIL)
		return;
	note_anchor(state, result);
	if (state->is_hardware_anchor != state->is_hardware_type) {
		set(state, CERT_CHECK_QUOTE, CERT_FAIL,
			"the anchor does not fit the predicateType");
		return;
	}
	if (state->in->measurement.size)
		set_by_reason(state, result, CERT_CHECK_MEASUREMENT,
			state->is_snp ? "the launch digest is the expected one"
				      : "MRTD is the expected one");
	if (result->unchecked_count) {
		if (cert_has_collateral(state))
			set(state, CERT_CHECK_TCB, CERT_NOT_CHECKED, result->unchecked[0]);
		return;
	}
	if (cert_has_collateral(state))
		set_by_reason(state, result, CERT_CHECK_TCB, tcb_status_name(result->status));
}

/* A rest of another size stays in the list: it matches nothing. */
static void expect_measurements(struct view all, struct appraise_list *list)
{
	while (all.size && list->count < APPRAISE_LIST_MAX) {
		size_t size = MIN(all.size, (size_t)MEASUREMENT_SIZE);
		list->items[list->count++] = view_of(all.data, size);
		all = view_of(all.data + size, all.size - size);
	}
}

static void run_tdx(struct cert_state *state, const struct appraise_policy *policy,
	struct appraise_result *ret_result)
{
	static const struct tdx_collateral none;
	const struct appraise_tdx_input input = {
		.quote = buf_view(&state->quote),
		.collateral = state->in->collateral ? state->in->collateral->tdx : none,
		.anchors = state->in->anchors,
		.anchor_count = state->in->anchor_count,
		.policy = policy,
		.as_of_ms = state->in->as_of_ms,
	};
	appraise_tdx(&input, ret_result);
}

/* The report, then its certificate table, in which what is there goes before the collateral. */
static void run_snp(struct cert_state *state, const struct appraise_policy *policy,
	struct appraise_result *ret_result)
{
	struct view all = buf_view(&state->quote);
	struct reader reader = reader_of(all);
	struct appraise_snp_input input = {
		.report = all.size > SNP_REPORT_SIZE ? reader_take(&reader, SNP_REPORT_SIZE) : all,
		.anchors = state->in->anchors,
		.anchor_count = state->in->anchor_count,
		.policy = policy,
		.as_of_ms = state->in->as_of_ms,
	};
	static const struct cert_collateral none;
	const struct snp_collateral *given = state->in->collateral ? &state->in->collateral->snp
								   : &none.snp;
	struct snp_collateral *use = &input.collateral;
	bool is_sound = reader.rest.size == 0 || all.size <= SNP_REPORT_SIZE ||
			snp_certificates_parse(reader.rest, use);
	if (!is_sound)
		*use = (struct snp_collateral){}; /* the chain is missing then */
	if (is_sound && use->vek.size == 0)
		use->vek = given->vek;
	if (is_sound && use->intermediate.size == 0)
		use->intermediate = given->intermediate;
	for (size_t i = 0; i < given->root_count && use->root_count < SNP_ROOTS_MAX; i++)
		use->roots[use->root_count++] = given->roots[i];
	use->crl = given->crl;
	appraise_snp(&input, ret_result);
}

void cert_check_quote(struct cert_state *state)
{
	struct appraise_result result = {};
	struct appraise_policy policy = {
		.is_collateral_optional = !cert_has_collateral(state),
		.report_data = view_of(state->report_data, QUOTE_REPORT_DATA_SIZE),
	};
	for (size_t i = 0; i < state->in->anchor_count; i++)
		if (state->in->anchors[i].is_simulated &&
			policy.simulated_roots.count < APPRAISE_LIST_MAX)
			policy.simulated_roots.items[policy.simulated_roots.count++] = view_of(
				state->in->anchors[i].sha256, APPRAISE_DIGEST_SIZE);
	expect_measurements(
		state->in->measurement, state->is_snp ? &policy.snp.measurement : &policy.tdx.mrtd);
	(state->is_snp ? run_snp : run_tdx)(state, &policy, &result);
	judge(state, &result);
}
