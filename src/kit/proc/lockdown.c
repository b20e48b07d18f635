/* See lockdown.h. */
#include "kit/proc/lockdown.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CAPABILITY_MAX = 63 };

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

int proc_become_nobody(struct err *err)
{
	const unsigned id = PROC_NOBODY_ID;
	if (geteuid() != 0)
		return 0;
	if (setgroups(0, NULL) == 0 && setresgid(id, id, id) == 0 && setresuid(id, id, id) == 0)
		return 0;
	if (errno == EINVAL) /* root of a namespace without such an id */
		return 0;
	return err_sys(err, E_UNAVAILABLE, "becoming a user without anything");
}

int proc_keep_rights(const int *kept, size_t count, struct err *err)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct now[2] = {};
	struct __user_cap_data_struct sets[2] = {};
	uint64_t wanted = 0;
	if (syscall(SYS_capget, &head, now) < 0)
		return err_sys(err, E_UNAVAILABLE, "capget");
	for (size_t i = 0; i < count; i++)
		wanted |= UINT64_C(1) << kept[i];
	/* Without the right to: then no_new_privs alone keeps them from coming back. */
	for (int i = 0; i <= CAPABILITY_MAX; i++)
		if (!(wanted >> i & 1) && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
			break; /* also at the first that this kernel does not know */
	for (int i = 0; i < 2; i++) {
		sets[i].permitted = now[i].permitted & (uint32_t)(wanted >> (32 * i));
		sets[i].effective = sets[i].permitted;
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
		syscall(SYS_capset, &head, sets) < 0)
		return err_sys(err, E_UNAVAILABLE, "giving up capabilities");
	return 0;
}

static void filter_done(scmp_filter_ctx *filter)
{
	if (*filter)
		seccomp_release(*filter);
}

/* Everything has default_action but the named calls. */
static int load(uint32_t default_action, uint32_t action, const char *const *names, size_t count,
	struct err *err)
{
	AUTO(filter_done) scmp_filter_ctx filter = seccomp_init(default_action);
	if (!filter)
		return err_set(err, E_INTERNAL, "libseccomp made no filter");
	for (size_t i = 0; i < count; i++) {
		int number = seccomp_syscall_resolve_name(names[i]);
		if (number == __NR_SCMP_ERROR || seccomp_rule_add(filter, action, number, 0) < 0)
			return err_set(
				err, E_INTERNAL, "libseccomp knows no system call '%s'", names[i]);
	}
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, if it can */
	if (seccomp_load(filter) < 0)
		return err_set(err, E_UNAVAILABLE, "the kernel refused the system-call filter");
	return 0;
}

int proc_filter(const char *const *names, size_t count, bool is_report_only, struct err *err)
{
	return load(is_report_only ? SCMP_ACT_LOG : SCMP_ACT_KILL_PROCESS, SCMP_ACT_ALLOW, names,
		count, err);
}

int proc_refuse(const char *const *names, size_t count, struct err *err)
{
	return load(SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(EPERM), names, count, err);
}

int proc_refuse_kernel(struct err *err)
{
	static const char *const names[] = { "bpf", "perf_event_open", "userfaultfd",
		"io_uring_setup", "io_uring_enter", "io_uring_register", "keyctl", "add_key",
		"request_key", "kexec_load", "kexec_file_load", "init_module", "finit_module",
		"delete_module", "reboot", "swapon", "swapoff", "acct", "quotactl", "settimeofday",
		"clock_settime", "clock_adjtime", "adjtimex", "iopl", "ioperm", "modify_ldt",
		"syslog", "lookup_dcookie", "vhangup", "pidfd_getfd", "open_by_handle_at",
		"move_pages", "migrate_pages", "kcmp" };
	return proc_refuse(names, ARRAY_SIZE(names), err);
}
