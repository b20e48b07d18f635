/* The warm tier, the supervisor's part. Internal to the engine; see warm.c. */
#ifndef ENGINES_SANDBOX_WARM_H
#define ENGINES_SANDBOX_WARM_H

#include "engines/sandbox/slot.h"

/* What stays between runs, to a spawner or a zygote. E_UNSUPPORTED without root or groups. */
int warm_build(struct slot *slot, struct err *err) MUST_CHECK;

/* The next run, up to a payload that waits for its plan. */
int warm_begin(struct slot *slot, struct err *err) MUST_CHECK;

/* All of the run is dead: remove the rest of it. True when another may follow. */
bool warm_end(struct slot *slot);

enum { WARM_FILES_MAX = SLOT_STREAMS + 3 }; /* a zygote's child has job, notes and rules, too */

/* A run's pipes: our ends into the slot, the others to who resides. */
int warm_send_files(struct slot *slot, struct err *err) MUST_CHECK;

/* What the slot says of a run: as before the first. */
void warm_reset(struct slot *slot);

#endif
