/* See lockdown.h. */
#include "kit/proc/lockdown.h"

#include <seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

int proc_harden(bool dies_with_parent, struct err *err)
{
	/* 1, not 0: a core_pattern that pipes to a program ignores 0 and skips 1 (core(5)). */
	struct rlimit core = {};
	(void)getrlimit(RLIMIT_CORE, &core);
	core.rlim_max = MIN(core.rlim_max, 1);
	core.rlim_cur = core.rlim_max;
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || setrlimit(RLIMIT_CORE, &core) < 0)
		return err_sys(err, E_UNAVAILABLE, "switching core dumps off");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, E_UNAVAILABLE, "no_new_privs");
	if (dies_with_parent && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_sys(err, E_UNAVAILABLE, "parent-death signal");
	(void)signal(SIGPIPE, SIG_IGN);
	(void)umask(077);
	return 0;
}

static void filter_done(scmp_filter_ctx *filter)
{
	if (*filter)
		seccomp_release(*filter);
}

int proc_filter(const char *const *names, size_t count, bool is_report_only, struct err *err)
{
	AUTO(filter_done)
	scmp_filter_ctx filter = seccomp_init(
		is_report_only ? SCMP_ACT_LOG : SCMP_ACT_KILL_PROCESS);
	if (!filter)
		return err_set(err, E_INTERNAL, "libseccomp made no filter");
	for (size_t i = 0; i < count; i++) {
		int number = seccomp_syscall_resolve_name(names[i]);
		if (number == __NR_SCMP_ERROR ||
			seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0) < 0)
			return err_set(
				err, E_INTERNAL, "libseccomp knows no system call '%s'", names[i]);
	}
	if (seccomp_load(filter) < 0)
		return err_set(err, E_UNAVAILABLE, "the kernel refused the system-call filter");
	return 0;
}
