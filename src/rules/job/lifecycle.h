/*
 * The state machine of a computation, as Cocos words it (research note cocos.md section 2), and the
 * events a certificate tells. Pure: a table of state, event, next state.
 */
#ifndef RULES_JOB_LIFECYCLE_H
#define RULES_JOB_LIFECYCLE_H

#include "kit/base/err.h"

enum lifecycle_state {
	STATE_IDLE,
	STATE_RECEIVING_MANIFEST,
	STATE_RECEIVING_ALGORITHM,
	STATE_RECEIVING_DATA,
	STATE_RUNNING,
	STATE_CONSUMING_RESULTS,
	STATE_COMPLETE,
	STATE_FAILED,
	STATE_COUNT,
};

enum lifecycle_event {
	EVENT_START,
	EVENT_MANIFEST_RECEIVED,
	EVENT_ALGORITHM_RECEIVED, /* with datasets to come */
	EVENT_ALGORITHM_ONLY,     /* the manifest names no dataset */
	EVENT_DATA_RECEIVED,
	EVENT_RUN_COMPLETE,
	EVENT_RESULTS_CONSUMED,
	EVENT_RUN_FAILED,
	EVENT_COUNT,
};

/* E_CONFLICT, with both names, when the event is not expected in this state. */
int lifecycle_next(enum lifecycle_state state, enum lifecycle_event event,
	enum lifecycle_state *ret_next, struct err *err) MUST_CHECK;

/* "Idle", "ReceivingManifest" ... as Cocos prints them. */
const char *lifecycle_state_name(enum lifecycle_state state);

#endif
