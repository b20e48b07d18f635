/*
 * Event logs of a TD against its RTMRs: CCEL (registers 1..4 of the log are RTMR0..3) or dstack's
 * JSON. A log proves what the registers hold; without equality it proves nothing.
 */
#include "rules/appraise/dstack_log.h"
#include "rules/appraise/eventlog.h"
#include "rules/appraise/tdx_internal.h"

enum { CC_RTMR0 = 1 };

static void compare(struct tdx_appraisal *a, size_t index, const uint8_t *value)
{
	if (!view_equal(a->quote.rtmr[index], view_of(value, TDX_MEASUREMENT_SIZE)))
		appraise_fault(a->result, "eventlog.replay");
}

static void check_ccel(struct tdx_appraisal *a)
{
	struct eventlog_replay replay;
	if (!eventlog_replay(a->input->event_log, HASH_SHA384, true, &replay)) {
		appraise_fault(a->result, "eventlog.format");
		return;
	}
	for (size_t i = 0; i < TDX_RTMR_COUNT; i++)
		compare(a, i, replay.registers[CC_RTMR0 + i]);
	if (replay.has_data_fault)
		appraise_fault_at(a->result, "eventlog.data_digest", replay.fault_offset);
}

static void check_dstack(struct tdx_appraisal *a)
{
	struct dstack_replay replay;
	if (!dstack_log_replay(a->input->dstack_log, &replay)) {
		appraise_fault(a->result, "eventlog.format");
		return;
	}
	for (size_t i = 0; i < TDX_RTMR_COUNT; i++)
		compare(a, i, replay.rtmr[i]);
	if (replay.has_data_fault)
		appraise_fault(a->result, "eventlog.data_digest");
}

void tdx_appraise_log(struct tdx_appraisal *a)
{
	bool has_ccel = a->input->event_log.size > 0, has_dstack = a->input->dstack_log.size > 0;
	if (has_ccel)
		check_ccel(a);
	if (has_dstack)
		check_dstack(a);
	if (!has_ccel && !has_dstack && a->input->policy->tdx.is_event_log_required)
		appraise_fault(a->result, "eventlog.missing");
}
