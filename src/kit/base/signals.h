/*
 * The signals by which a terminal or a service manager asks a program to end: SIGHUP, SIGINT,
 * SIGQUIT, SIGTERM. Whoever had us ignore one (nohup, trap, a shell's &) wants it ignored.
 */
#ifndef KIT_BASE_SIGNALS_H
#define KIT_BASE_SIGNALS_H

#include <signal.h>

#include "kit/base/err.h"

sigset_t signals_that_end(void);

/*
 * Block them, and get a descriptor (close-on-exec, the caller's to close) that reads as a struct
 * signalfd_siginfo for each that comes. E_UNAVAILABLE.
 */
int signals_hold(int *ret_fd, struct err *err) MUST_CHECK;

/* Those that came meanwhile are forgotten, the next ends us. */
void signals_release(void);

#endif
