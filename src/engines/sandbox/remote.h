/* System calls made by a stopped tracee, for the supervisor. Internal to the engine. */
#ifndef ENGINES_SANDBOX_REMOTE_H
#define ENGINES_SANDBOX_REMOTE_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#include "engines/sandbox/slot.h"

struct remote {
	pid_t tid;
	uint64_t room; /* address in the tracee for the bytes its calls need */
	struct user_regs_struct own;
};

struct remote_call {
	const char *name; /* for the message of a refusal */
	long number;
	uint64_t arguments[5];
};

/*
 * tid stands in the stop of its birth by fork(). Find room for data_size bytes below its stack.
 * E_UNAVAILABLE when it died or stands somewhere else.
 */
int remote_open(pid_t tid, size_t data_size, struct remote *ret_remote, struct err *err) MUST_CHECK;

/*
 * Write data to the room and have the calls made in order. Afterwards the registers are as they
 * were: PTRACE_CONT lets the tracee return from its fork. E_UNAVAILABLE when it died, or a call
 * answered with an error.
 */
int remote_make(const struct slot *slot, const struct remote *remote, struct view data,
	const struct remote_call *calls, size_t count, struct err *err) MUST_CHECK;

#endif
