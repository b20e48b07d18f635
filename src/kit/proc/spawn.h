/*
 * Starting our own executables: an exact descriptor table, an exact environment, a pidfd.
 */
#ifndef KIT_PROC_SPAWN_H
#define KIT_PROC_SPAWN_H

#include <sys/types.h>

#include "kit/base/err.h"

#define PROC_FIRST_FD 3     /* the child's first inherited descriptor */
#define PROC_FD_COUNT_MAX 8 /* inherited descriptors besides 0, 1, 2 */

struct proc_spawn {
	const char *path;        /* executable, trusted */
	const char *const *argv; /* NULL-terminated */
	const char *const *envp; /* NULL-terminated; NULL means empty */
	const int *fds;          /* become 3, 4, ... in the child */
	size_t fd_count;
	int stdin_fd;  /* negative: /dev/null */
	int stdout_fd; /* negative: /dev/null */
	int stderr_fd; /* negative: /dev/null */
};

/*
 * Start it; every other descriptor is closed in the child, no signal is blocked or ignored, and it
 * leads a process group of its own (a terminal's Ctrl-C is the parent's business). The pidfd
 * becomes readable when the child ends; reap with proc_wait. E_LIMIT for too many descriptors,
 * E_UNAVAILABLE otherwise.
 */
int proc_spawn(
	const struct proc_spawn *spawn, pid_t *ret_pid, int *ret_pidfd, struct err *err) MUST_CHECK;

enum { PROC_SIGNALLED = 256 };

/* Wait for the end. Exit code 0..255, or PROC_SIGNALLED + signal number. */
int proc_wait(pid_t pid, int *ret_code, struct err *err) MUST_CHECK;

/*
 * Path of a sibling program: $CUPEL_LIBEXEC/name, else the directory of /proc/self/exe and its
 * ../<name>/ (build tree), else ../libexec/cupel. E_NOT_FOUND names what was tried.
 */
int proc_sibling(const char *name, char *ret_path, size_t size, struct err *err) MUST_CHECK;

#endif
