/*
 * What a parked interpreter tells its supervisor on descriptor SLOT_NOTE_FD: that it is ready, then
 * the exit code of its job. Internal to the engine.
 *
 * A socket, not a pipe: the kernel says who wrote, so that a child, which may have inherited the
 * descriptor, does not speak for its parent; and nobody can open it by its name in /proc.
 */
#ifndef ENGINES_SANDBOX_NOTE_H
#define ENGINES_SANDBOX_NOTE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "kit/base/err.h"

/* Both ends; the first is ours. E_UNAVAILABLE. */
int note_open(int *ret_ours, int *ret_theirs, struct err *err) MUST_CHECK;

/* Take one without waiting: its byte, and whose it is (0: of nobody that counts). False when there
 * will be no more. */
bool note_take(int ours, uint8_t *ret_note, pid_t *ret_sender);

#endif
