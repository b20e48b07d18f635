/* Sending events to the caller. Internal to the engine; slot_send() is in slot.h. */
#ifndef ENGINES_SANDBOX_EVENTS_H
#define ENGINES_SANDBOX_EVENTS_H

#include "engines/sandbox/slot.h"

enum { EVENTS_WAIT_USEC = 3000 }; /* how long an event may wait for company */

void events_flush(struct slot *slot);

/* Flush when the oldest has waited long enough. */
void events_flush_old(struct slot *slot);

#endif
