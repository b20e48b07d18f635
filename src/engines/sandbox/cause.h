/* Why a run ended. Internal to the engine; slot_end() is in slot.h. */
#ifndef ENGINES_SANDBOX_CAUSE_H
#define ENGINES_SANDBOX_CAUSE_H

#include "engines/sandbox/slot.h"

/* Ask the kernel's counter whether it killed for memory; the cause if so. */
void cause_memory(struct slot *slot);

/* A message of the caller, or its going away: asks for the end, whatever it is. */
void cause_caller(struct slot *slot);

/* Take one signal of ours. True if it asks for the end; a death does not. */
bool cause_signal(struct slot *slot);

/* The first process is dead with this wait status: the cause, if nothing else came before. */
void cause_end(struct slot *slot, int status);

#endif
