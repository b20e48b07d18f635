/* See lifecycle.h. */
#include "rules/job/lifecycle.h"

#include <stddef.h>

static const char *const state_names[STATE_COUNT] = {
	[STATE_IDLE] = "Idle",
	[STATE_RECEIVING_MANIFEST] = "ReceivingManifest",
	[STATE_RECEIVING_ALGORITHM] = "ReceivingAlgorithm",
	[STATE_RECEIVING_DATA] = "ReceivingData",
	[STATE_RUNNING] = "Running",
	[STATE_CONSUMING_RESULTS] = "ConsumingResults",
	[STATE_COMPLETE] = "Complete",
	[STATE_FAILED] = "Failed",
};

static const char *const event_names[EVENT_COUNT] = {
	[EVENT_START] = "Start",
	[EVENT_MANIFEST_RECEIVED] = "ManifestReceived",
	[EVENT_ALGORITHM_RECEIVED] = "AlgorithmReceived",
	[EVENT_ALGORITHM_ONLY] = "AlgorithmReceived (no data)",
	[EVENT_DATA_RECEIVED] = "DataReceived",
	[EVENT_RUN_COMPLETE] = "RunComplete",
	[EVENT_RESULTS_CONSUMED] = "ResultsConsumed",
	[EVENT_RUN_FAILED] = "RunFailed",
};

static const struct {
	enum lifecycle_state from;
	enum lifecycle_event event;
	enum lifecycle_state to;
} transitions[] = {
	{ STATE_IDLE, EVENT_START, STATE_RECEIVING_MANIFEST },
	{ STATE_RECEIVING_MANIFEST, EVENT_MANIFEST_RECEIVED, STATE_RECEIVING_ALGORITHM },
	{ STATE_RECEIVING_ALGORITHM, EVENT_ALGORITHM_RECEIVED, STATE_RECEIVING_DATA },
	{ STATE_RECEIVING_ALGORITHM, EVENT_ALGORITHM_ONLY, STATE_RUNNING },
	{ STATE_RECEIVING_DATA, EVENT_DATA_RECEIVED, STATE_RUNNING },
	{ STATE_RUNNING, EVENT_RUN_COMPLETE, STATE_CONSUMING_RESULTS },
	{ STATE_CONSUMING_RESULTS, EVENT_RESULTS_CONSUMED, STATE_COMPLETE },
	{ STATE_RECEIVING_ALGORITHM, EVENT_RUN_FAILED, STATE_FAILED },
	{ STATE_RECEIVING_DATA, EVENT_RUN_FAILED, STATE_FAILED },
	{ STATE_RUNNING, EVENT_RUN_FAILED, STATE_FAILED },
};

const char *lifecycle_state_name(enum lifecycle_state state)
{
	return state_names[state];
}

int lifecycle_next(enum lifecycle_state state, enum lifecycle_event event,
	enum lifecycle_state *ret_next, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(transitions); i++)
		if (transitions[i].from == state && transitions[i].event == event) {
			*ret_next = transitions[i].to;
			return 0;
		}
	return err_set(err, E_CONFLICT, "event %s is not expected in state %s", event_names[event],
		state_names[state]);
}
