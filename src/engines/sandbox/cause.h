/* Why a run ended. Internal to the engine; slot_end() is in slot.h. */
#ifndef ENGINES_SANDBOX_CAUSE_H
#define ENGINES_SANDBOX_CAUSE_H

#include "engines/sandbox/slot.h"

/* Ask the kernel's counter whether it killed for memory; the cause if so. */
void cause_memory(struct slot *slot);

/* The first process is dead with this wait status: the cause, if nothing else came before. */
void cause_end(struct slot *slot, int status);

#endif
