/*
 * What this machine can enforce. Every row is tried, not guessed from versions: namespaces in a
 * child on borrowed memory, the rest by the call itself. Nothing stays behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engines/sandbox/apparmor.h"
#include "engines/sandbox/cgroup.h"
#include "engines/sandbox/sandbox.h"
#include "engines/sandbox/sys.h"
#include "kit/base/fd.h"
#include "kit/base/str.h"

enum { STACK_BYTES = 8192, FSOPEN_CLOEXEC_FLAG = 1 };

struct probe {
	struct sandbox_capability *list;
	size_t count;
};

static bool is_optional(const char *name)
{
	static const char *const names[] = { "landlock", "memfd-noexec", "apparmor",
		"fast-cgroup-join" };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (str_equal(names[i], name))
			return true;
	return false;
}

/* Where an ordinary user lacks it, root may not: we cannot tell. */
static const char *advise(const char *advice)
{
	return geteuid() == 0 ? advice : "run as root, then ask again what is still missing";
}

static void add(struct probe *probe, const char *name, bool is_there, const char *detail,
	const char *advice)
{
	struct sandbox_capability *row = &probe->list[probe->count++];
	size_t size = MIN(strlen(detail), sizeof(row->detail) - 1);
	row->name = name;
	row->is_there = is_there;
	row->advice = advice;
	row->is_optional = is_optional(name);
	memcpy(row->detail, detail, size);
	row->detail[size] = 0;
}

static int exit_at_once(void *argument)
{
	(void)argument;
	return 0;
}

/* A child with these new namespaces; 0 or positive errno. */
static int try_clone(uint64_t flags, int (*function)(void *), void *argument)
{
	uint8_t stack[STACK_BYTES] __attribute__((aligned(16)));
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_CLEAR_SIGHAND | flags,
		.stack = (uintptr_t)stack,
		.stack_size = sizeof(stack),
	};
	long pid = sys_spawn(&args, function, argument);
	if (pid < 0)
		return (int)-pid;
	while (waitpid((pid_t)pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	return 0;
}

/* An ordinary user has all others in a user namespace of his own, or none. */
static uint64_t own_user_namespace(void)
{
	return geteuid() == 0 ? 0 : CLONE_NEWUSER;
}

static void probe_namespaces(struct probe *probe)
{
	static const struct {
		const char *name;
		uint64_t flag;
	} rows[] = {
		{ "user-namespace", CLONE_NEWUSER },
		{ "pid-namespace", CLONE_NEWPID },
		{ "mount-namespace", CLONE_NEWNS },
		{ "net-namespace", CLONE_NEWNET },
		{ "ipc-namespace", CLONE_NEWIPC },
		{ "uts-namespace", CLONE_NEWUTS },
		{ "cgroup-namespace", CLONE_NEWCGROUP },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int error = try_clone(rows[i].flag | own_user_namespace(), exit_at_once, NULL);
		add(probe, rows[i].name, error == 0, error ? strerror(error) : "made and left",
			"run as root, or allow it in the container or kernel that hosts us (sysctl "
			"user.max_*_namespaces, kernel.unprivileged_userns_clone)");
	}
}

static void probe_cgroups(struct probe *probe)
{
	enum sandbox_backend backend = cgroup_detect(geteuid() != 0);
	add(probe, "cgroups", backend != SANDBOX_BACKEND_NONE, sandbox_backend_name(backend),
		advise("mount cgroup2 at /sys/fs/cgroup (in a container: with memory and pids "
		       "delegated, and no process in its root group itself), or v1 with memory, "
		       "pids and cpuacct"));
	bool is_v2 = backend == SANDBOX_BACKEND_CGROUP_V2;
	bool is_fast = is_v2 || (backend == SANDBOX_BACKEND_CGROUP_V1 && cgroup_make_fast());
	add(probe, "fast-cgroup-join", is_fast,
		is_v2     ? "CLONE_INTO_CGROUP"
		: is_fast ? "favordynmods"
			  : "15 ms per run when idle",
		advise("use cgroup v2, or a kernel from 6.0 for favordynmods"));
}

static const char *const filesystems[] = { "overlay", "tmpfs", "proc", "erofs" };

struct mount_probe {
	long results[ARRAY_SIZE(filesystems)];
};

/* Runs on borrowed memory. */
static int try_filesystems(void *argument)
{
	struct mount_probe *probe = argument;
	for (size_t i = 0; i < ARRAY_SIZE(filesystems); i++) {
		probe->results[i] = sys2(fsopen, filesystems[i], FSOPEN_CLOEXEC_FLAG);
		if (probe->results[i] >= 0)
			(void)sys1(close, probe->results[i]);
	}
	return 0;
}

static void probe_mounts(struct probe *probe)
{
	struct mount_probe mounts = {};
	int error = try_clone(own_user_namespace() | CLONE_NEWNS, try_filesystems, &mounts);
	for (size_t i = 0; i < ARRAY_SIZE(filesystems); i++) {
		bool is_there = error == 0 && mounts.results[i] >= 0;
		if (geteuid() != 0 && str_equal(filesystems[i], "erofs")) {
			add(probe, "erofs", false, "only root mounts it",
				"run as root, or give the image as a directory");
			continue;
		}
		add(probe, filesystems[i], is_there,
			is_there ? "fsopen works"
				 : strerror(error ? error : -(int)mounts.results[i]),
			"load the module, or use a kernel from 5.2 that has it");
	}
	bool has_sysctl = access("/proc/sys/vm/memfd_noexec", W_OK) == 0;
	add(probe, "memfd-noexec", has_sysctl,
		has_sysctl ? "vm.memfd_noexec per pid namespace" : "the tracer kills instead",
		advise("use a kernel from 6.3; until then the exec tracer kills what runs from a "
		       "memfd"));
}

static void probe_lsm(struct probe *probe)
{
	struct err text; /* used for its text only */
	err_format(&text, 0, "not in this kernel, or not enabled");
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* version */);
	if (abi > 0)
		err_format(&text, 0, "ABI %ld", abi);
	add(probe, "landlock", abi > 0, text.message,
		"boot with lsm=landlock,...; mounts and overlay hold without it");
	enum apparmor_state state = apparmor_state();
	add(probe, "apparmor", state == APPARMOR_ENFORCED, apparmor_state_text(state),
		apparmor_state_advice(state));
	uint32_t action = SECCOMP_RET_KILL_PROCESS;
	bool has_filter = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
	add(probe, "seccomp", has_filter, has_filter ? "filters with kill-process" : "missing",
		"use a kernel from 4.14 with CONFIG_SECCOMP_FILTER");
}

static int pause_forever(void *argument)
{
	(void)argument;
	for (;;)
		(void)sys0(pause);
	return 0;
}

static void probe_ptrace(struct probe *probe)
{
	uint8_t stack[STACK_BYTES] __attribute__((aligned(16)));
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_CLEAR_SIGHAND,
		.stack = (uintptr_t)stack,
		.stack_size = sizeof(stack),
	};
	long pid = sys_spawn(&args, pause_forever, NULL);
	bool can_trace = pid > 0 && ptrace(PTRACE_SEIZE, (pid_t)pid, 0, 0) == 0;
	add(probe, "ptrace", can_trace, can_trace ? "PTRACE_SEIZE works" : strerror(errno),
		"allow ptrace (kernel.yama.ptrace_scope < 3) to the service");
	if (pid > 0) {
		(void)kill((pid_t)pid, SIGKILL);
		while (waitpid((pid_t)pid, NULL, __WALL) > 0 || errno == EINTR)
			if (kill((pid_t)pid, 0) < 0)
				break;
	}
}

int sandbox_probe(struct sandbox_capability ret_list[static SANDBOX_CAPABILITIES_MAX],
	size_t *ret_count, struct err *err)
{
	struct probe probe = { .list = ret_list };
	(void)err; /* nothing here fails: what is missing is a row that says so */
	add(&probe, "root", geteuid() == 0, geteuid() == 0 ? "uid 0" : "not root",
		"run as root, which is given away before foreign code runs; an ordinary user's "
		"sandbox lacks user, devices, memory-limit, cpu-limit, memfd-noexec");
	probe_namespaces(&probe);
	probe_cgroups(&probe);
	probe_mounts(&probe);
	probe_lsm(&probe);
	probe_ptrace(&probe);
	*ret_count = probe.count;
	return 0;
}
