/* The quoting service: one process, one poll loop, fixed-size messages. */
#ifndef PROGRAMS_TEE_SIM_SERVE_H
#define PROGRAMS_TEE_SIM_SERVE_H

#include "kit/base/log.h"
#include "programs/tee-sim/platform.h"

#define SERVE_CLIENTS_MAX 256

/*
 * Answer on the socket until SIGTERM or SIGINT. The socket file is made anew (0600) and removed at
 * the end. E_UNAVAILABLE when it cannot be bound.
 */
int serve(const struct platform *platform, const struct platform_td *td, const char *path,
	const struct log *log, struct err *err) MUST_CHECK;

#endif
