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

/* The same the other way round: these system calls answer EPERM, all others work. */
int proc_refuse(const char *const *names, size_t count, struct err *err) MUST_CHECK;

/*
 * proc_refuse for what no program of ours and none of its children needs: BPF, io_uring, modules,
 * keys, clocks and the like. Inherited: call it once, in the first process.
 */
int proc_refuse_kernel(struct err *err) MUST_CHECK;

enum { PROC_NOBODY_ID = 1999998 }; /* host user and group id that own nothing */

/*
 * As root: become that user, without groups. Otherwise nothing. Before proc_harden, which the
 * kernel partly undoes at a change of user. E_UNAVAILABLE when the kernel refuses.
 */
int proc_become_nobody(struct err *err) MUST_CHECK;

/*
 * Keep these capabilities (those of them that are there), give up all others for this process and,
 * after proc_harden, for everything it executes. E_UNAVAILABLE when the kernel refuses.
 */
int proc_keep_rights(const int *kept, size_t count, struct err *err) MUST_CHECK;

#endif
