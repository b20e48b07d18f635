/* The zygote tier, the supervisor's part. Internal to the engine; see zygote.c. */
#ifndef ENGINES_SANDBOX_ZYGOTE_H
#define ENGINES_SANDBOX_ZYGOTE_H

#include "engines/sandbox/slot.h"

/* The program of a warm sandbox said that it is ready: take its own streams away. */
int zygote_ready(struct slot *slot, struct err *err) MUST_CHECK;

/* A child for the next run, stopped before its first instruction, with all rights shed. */
int zygote_fork(struct slot *slot, struct err *err) MUST_CHECK;

/* A wait status of the zygote itself, or of a spawner, which has only its end. */
void zygote_handle(struct slot *slot, int status);

#endif
