/* rules/appraise: TCB info and QE identity behind their signature, CRLs and chains before it. */
#include "fuzz.h"

#include "rules/appraise/tdx_internal.h"

FUZZ_INITIALIZE

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t zeros[TDX_QE_REPORT_SIZE];
	static const uint8_t svn[16] = { 5, 1, 4 };
	struct view bytes = view_of(data, size);
	const struct appraise_policy policy = {};
	const struct appraise_tdx_input input = { .policy = &policy,
		.collateral = { .tcb_info = bytes, .tcb_chain = bytes } };
	struct appraise_result result = {};
	struct tdx_appraisal a = { .input = &input, .result = &result, .has_pck = true };
	struct jspan body;
	struct err err;
	a.quote.tee_tcb_svn = view_of(svn, sizeof(svn));
	a.quote.tee_tcb_svn2 = a.quote.tee_tcb_svn;
	a.quote.mr_signer_seam = view_of(zeros, TDX_MEASUREMENT_SIZE);
	a.quote.seam_attributes = view_of(zeros, 8);
	a.quote.qe_report = view_of(zeros, sizeof(zeros));
	memset(a.pck.components, 5, sizeof(a.pck.components));
	a.pck.pcesvn = 13;
	a.pck.fmspc = view_of(zeros, 6);
	a.pck.pceid = view_of(zeros, 2);
	if (jspan_check(bytes, APPRAISE_JSON_MAX, &body, &err) < 0)
		return 0;
	/* Whole documents, and bodies alone. */
	struct jspan inner = jspan_get(body, "tcbInfo");
	tdx_appraise_tcb(&a, inner.type == JSPAN_OBJECT ? inner : body);
	inner = jspan_get(body, "enclaveIdentity");
	tdx_appraise_qe(&a, inner.type == JSPAN_OBJECT ? inner : body);
	return 0;
}
