/*
 * A process becomes a supervisor: it leaves behind what its caller was (signals, limits, groups,
 * core files, its name), and holds on to what it needs of the host as descriptors.
 */
#include "engines/sandbox/build.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engines/sandbox/apparmor.h"
#include "engines/sandbox/rootless.h"
#include "engines/sandbox/sys.h"
#include "kit/base/fd.h"
#include "kit/base/signals.h"

enum { DESCRIPTORS_MIN = 384 }; /* one for each entry at the image's top, of 255 */

int build_hide(struct err *err)
{
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return err_sys(err, E_UNAVAILABLE, "PR_SET_DUMPABLE");
	return 0;
}

/* What a service is spared when memory is short, its sandboxes are not. */
static void become_ordinary_for_oom(void)
{
	char sign = 0;
	struct err ignored;
	auto_close fd = -1;
	if (fd_open("/proc/self/oom_score_adj", O_RDWR, 0, &fd, &ignored) == 0 &&
		read(fd, &sign, 1) == 1 && sign == '-')
		(void)!pwrite(fd, "0", 1, 0);
}

/*
 * No memory of ours or of a payload in a core file: also where core_pattern names a socket, which
 * looks at no limit. Inherited by all.
 */
static void leave_no_core(void)
{
	struct err ignored;
	auto_close fd = -1;
	if (fd_open("/proc/self/coredump_filter", O_WRONLY, 0, &fd, &ignored) == 0)
		(void)!write(fd, "0", 1);
}

/* The soft limit is for programs that select(); the payload gets its own. */
static int make_room(struct err *err)
{
	struct rlimit files = {};
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	return files.rlim_cur >= DESCRIPTORS_MIN
		       ? 0
		       : err_set(err, E_LIMIT,
				 "expected room for at least %d descriptors, got %llu; raise "
				 "'ulimit -n'",
				 DESCRIPTORS_MIN, (unsigned long long)files.rlim_cur);
}

int build_become(struct slot *slot, struct err *err)
{
	sigset_t all;
	(void)sigfillset(&all);
	(void)umask(0);
	TRY(make_room(err));
	become_ordinary_for_oom();
	leave_no_core();
	slot->host_uid = SANDBOX_UID_BASE + (uint32_t)getpid();
	TRY(rootless_enter(slot, err));
	if (!slot->is_rootless)
		TRY(build_hide(err)); /* else: build_check */
	/* No groups of the caller's for the payload. */
	if (sigprocmask(SIG_SETMASK, &all, NULL) < 0 ||
		(!slot->is_rootless && setgroups(0, NULL) < 0) ||
		/* However it was started: sweeping recognises the living by this name. */
		prctl(PR_SET_NAME, "cupel-sandbox") < 0)
		return err_sys(err, E_UNAVAILABLE, "preparing the supervisor");
	slot->lifeline = (int)syscall(SYS_pidfd_open, getpid(), 0);
	return slot->lifeline < 0 ? err_sys(err, E_UNAVAILABLE, "pidfd_open") : 0;
}

/* A payload may take all that its cpuset has, also when we were started on fewer. */
static int count_processors(struct slot *slot, struct err *err)
{
	cpu_set_t ours;
	cpu_set_t all;
	memset(&all, 0xff, sizeof(all));
	if (sched_getaffinity(0, sizeof(ours), &ours) < 0 ||
		sched_setaffinity(0, sizeof(all), &all) < 0 ||
		sched_getaffinity(0, sizeof(all), &all) < 0 ||
		sched_setaffinity(0, sizeof(ours), &ours) < 0)
		return err_sys(err, E_UNAVAILABLE, "counting the processors");
	slot->processor_count = (uint64_t)CPU_COUNT(&all);
	return 0;
}

int build_hold_host(struct slot *slot, struct err *err)
{
	static const struct sys_sigaction ordinary = { .handler = SIG_DFL };
	sigset_t heard = signals_that_end();
	(void)sigaddset(&heard, SIGCHLD);
	/* Whatever the caller ignores (SIGPIPE, SIGCHLD) must reach neither us nor the payload. */
	for (int number = 1; number < _NSIG; number++)
		(void)syscall(SYS_rt_sigaction, number, &ordinary, NULL, sizeof(uint64_t));
	TRY(fd_open("/proc", O_PATH | O_DIRECTORY, 0, &slot->host_proc, err));
	TRY(fd_open("/proc/self/ns/mnt", O_RDONLY, 0, &slot->host_mounts, err));
	slot->has_apparmor = apparmor_state() == APPARMOR_ENFORCED;
	slot->memfd_sysctl = open("/proc/sys/vm/memfd_noexec", O_WRONLY | O_CLOEXEC);
	TRY(count_processors(slot, err));
	slot->signals = signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK);
	return slot->signals < 0 ? err_sys(err, E_UNAVAILABLE, "signalfd") : 0;
}
