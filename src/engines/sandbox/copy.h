/* Copying the payload's streams with a cap. Internal to the engine. */
#ifndef ENGINES_SANDBOX_COPY_H
#define ENGINES_SANDBOX_COPY_H

#include "engines/sandbox/slot.h"

/*
 * Prepare to copy from one descriptor to another, both owned from now on. Pipes and terminals of
 * the caller are opened again (through host_proc) so that not blocking concerns only us.
 */
void copy_open(struct slot_copy *copy, int host_proc, int from, int to, uint64_t limit);

/* Move what can be moved without waiting. E_UNAVAILABLE when the receiver fails for good. */
int copy_pump(struct slot_copy *copy, struct err *err) MUST_CHECK;

void copy_close(struct slot_copy *copy);

#endif
