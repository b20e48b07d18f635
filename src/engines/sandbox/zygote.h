/* The zygote tier, the supervisor's part. Internal to the engine; see zygote.c. */
#ifndef ENGINES_SANDBOX_ZYGOTE_H
#define ENGINES_SANDBOX_ZYGOTE_H

#include "engines/sandbox/slot.h"

/* In the base of a warm sandbox: start the program that will be the zygote, up to its exec. */
int zygote_build(struct slot *slot, struct err *err) MUST_CHECK;

/* It said that it is ready: take its first run's things away. */
int zygote_ready(struct slot *slot, struct err *err) MUST_CHECK;

/* The plan is there: a child, stopped before its first instruction, with all rights shed. */
int zygote_begin(struct slot *slot, struct err *err) MUST_CHECK;

/* A wait status of the zygote itself. */
void zygote_handle(struct slot *slot, int status);

/* All of the run is dead: a fresh disk for the next. False when that cannot be. */
bool zygote_end(struct slot *slot);

#endif
