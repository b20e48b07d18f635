/*
 * What every one of our processes does to itself first, and what a process that holds keys or
 * reads hostile bytes does before its loop. There is a debug switch that reports instead of kills;
 * none that turns the separation off.
 */
#ifndef KIT_PROC_LOCKDOWN_H
#define KIT_PROC_LOCKDOWN_H

#include <stdbool.h>
#include <stddef.h>

#include "kit/base/err.h"

/*
 * Not dumpable, no core files, no new privileges, dies with its parent (SIGKILL) when asked,
 * SIGPIPE ignored, umask 077. E_UNAVAILABLE when the kernel refuses one.
 */
int proc_harden(bool dies_with_parent, struct err *err) MUST_CHECK;

/*
 * From now on only the named system calls; any other ends the process (SIGSYS), or is logged by
 * the kernel when is_report_only. Names are libseccomp's. E_INTERNAL for an unknown name.
 */
int proc_filter(
	const char *const *names, size_t count, bool is_report_only, struct err *err) MUST_CHECK;

#endif
