/*
 * PID 1 of the sandbox, and the keeper of its user namespace. Raw calls only (see sys.h).
 *
 * PID 1 is a task of ours, not the payload: a payload that is PID 1 would ignore its own abort()
 * and SIGTERM, and orphans would have no reaper. Ours lets the kernel reap them (SIGCHLD ignored)
 * and sleeps on the lifeline, a pidfd of the supervisor. Supervisor dead, for whatever reason and
 * at whatever time: PID 1 exits, the kernel kills everything inside. Whoever waits for the
 * supervisor looks at the lifeline too.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "engines/sandbox/slot.h"
#include "engines/sandbox/sys.h"

enum { LOOK_MS = 5, FOREVER_MS = -1, FEW_TASKS = 256 };

static bool is_orphan(int lifeline, long timeout_ms)
{
	struct pollfd supervisor = { .fd = lifeline, .events = POLLIN };
	return sys3(poll, &supervisor, 1, timeout_ms) == 1;
}

/* The supervisor makes them meanwhile. */
static long await_mounts(const struct slot *slot, const char **ret_step)
{
	*ret_step = "waiting for the mounts";
	while (!sys_word_wait_for(&slot->mounts_ready, LOOK_MS))
		if (is_orphan(slot->lifeline, 0))
			return -EOWNERDEAD;
	return 0;
}

static long set_hostname(const struct slot *slot, const char **ret_step)
{
	const char *name = slot->parsed.plan.hostname;
	*ret_step = "sethostname";
	size_t size = 0;
	while (name[size])
		size++;
	return sys2(sethostname, name, size);
}

/* Of a namespace that is ours; where it has none the machine's stays. */
static void set_sysctl(const struct slot *slot, const char *path, const char *value, size_t size)
{
	long fd = sys4(openat, slot->host_proc, path, O_WRONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)sys3(write, fd, value, size);
	(void)sys1(close, fd);
}

/*
 * What control data of a message may take, in memory that no group counts, while its sender waits:
 * enough for all descriptors that one message can bring. Few tasks cannot have much (128 KiB each),
 * and it takes 25 us. Before Linux 6.7 this is the machine's.
 */
static void bound_messages(const struct slot *slot)
{
	static const char bytes[] = "8192";
	if (slot->parsed.plan.limits.tasks > FEW_TASKS)
		set_sysctl(slot, "sys/net/core/optmem_max", bytes, sizeof(bytes) - 1);
}

static long build(struct slot *slot, const char **ret_step)
{
	if (slot->is_rootless)
		STEPS(slot_take_devices(slot, ret_step));
	/* Here, because an ordinary user may only have a proc where he sees one already. */
	long proc = slot_make_proc(true, ret_step);
	STEPS(proc);
	long whole = slot_make_proc(false, ret_step);
	STEPS(whole);
	slot->whole_proc = (int)whole;
	/* The longest step of all. */
	STEP(sys1(unshare, CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS), "unshare");
	bound_messages(slot);
	STEPS(await_mounts(slot, ret_step));
	STEPS(slot_enter_root(slot, slot->overlay, ret_step));
	if (slot->is_rootless)
		STEPS(slot_mount_devices(slot, ret_step));
	STEPS(slot_mount_proc((int)proc, ret_step));
	STEPS(slot_mount_writable(slot, ret_step));
	STEPS(slot_mount_inputs(slot, ret_step));
	/* Executable memory files become impossible in this pid namespace (2 = refuse). */
	if (slot->memfd_sysctl >= 0 && !slot->config.allow_exec_in_work &&
		sys3(write, slot->memfd_sysctl, "2", 1) == 1)
		slot->enforced |= SANDBOX_LAYER_BIT(SANDBOX_LAYER_MEMFD_NOEXEC);
	return set_hostname(slot, ret_step);
}

/* Rootless there is but one uid: then only its rights go. */
static bool drop_ids(const struct slot *slot)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = {};
	if (slot->is_rootless)
		return sys2(capset, &head, none) == 0;
	return sys3(setresgid, SLOT_INIT_UID, SLOT_INIT_UID, SLOT_INIT_UID) == 0 &&
	       sys3(setresuid, SLOT_INIT_UID, SLOT_INIT_UID, SLOT_INIT_UID) == 0;
}

/* No rights, no descriptors but the lifeline. False when one of these cannot be. */
static bool shed(const struct slot *slot)
{
	struct sys_sigaction ignore = { .handler = SIG_IGN };
	(void)sys4(rt_sigaction, SIGCHLD, &ignore, 0, sizeof(ignore.mask));
	return sys1(unshare, CLONE_FILES) == 0 &&
	       sys3(dup3, slot->lifeline, SLOT_LIFELINE_FD, O_CLOEXEC) == SLOT_LIFELINE_FD &&
	       sys3(close_range, SLOT_LIFELINE_FD + 1, ~0u, 0) == 0 && drop_ids(slot) &&
	       sys5(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       sys2(prctl, PR_SET_PDEATHSIG, SIGKILL) == 0;
}

int slot_init_main(void *argument)
{
	struct slot *slot = argument;
	const char *step = "";
	long status = build(slot, &step);
	if (status < 0) {
		slot->init_stage.error = (int)-status;
		slot->init_stage.step = step;
		sys_word_set(&slot->init_stage.word, STAGE_FAILED);
		return 1;
	}
	bool is_safe = shed(slot);
	slot->init_stage.step = "giving up privileges";
	sys_word_set(&slot->init_stage.word, is_safe ? STAGE_READY : STAGE_FAILED);
	while (is_safe && !is_orphan(SLOT_LIFELINE_FD, FOREVER_MS))
		; /* interrupted */
	return 0;
}

/*
 * Born in a new user namespace. Nobody in there may make further ones: the last word on user
 * namespaces, should the filter ever be passed. Then it waits to be killed.
 */
int slot_keeper_main(void *argument)
{
	struct slot *slot = argument;
	set_sysctl(slot, "sys/user/max_user_namespaces", "0", 1);
	sys_word_set(&slot->keeper_done, 1);
	while (!is_orphan(slot->lifeline, FOREVER_MS))
		;
	return 0;
}
