/* Sending events to the caller. Internal to the engine; slot_send() is in slot.h. */
#ifndef ENGINES_SANDBOX_EVENTS_H
#define ENGINES_SANDBOX_EVENTS_H

#include "engines/sandbox/slot.h"

enum { EVENTS_WAIT_USEC = 3000 }; /* how long an event may wait for company */

/* All; or until that made us wait once: the clock is to be looked at between two waits. */
void events_flush(struct slot *slot, bool is_all);

/* Flush when the oldest has waited long enough. */
void events_flush_old(struct slot *slot);

#endif
