/*
 * The warm tier: one sandbox, one tenant, one run after the other.
 *
 * Theory. Most of what a sandbox is made of holds no trace of a run: the overlay, the network, ipc,
 * uts and user namespaces, the control groups, the supervisor with its filter. These stay. What a
 * run can leave something in is made anew for each: pid namespace with PID 1, mount namespace with
 * the writable tmpfs, proc and inputs, pipes, Landlock rules, payload; and made at once when the
 * last run is gone, to wait for the next plan as a hot sandbox does. Between two runs the
 * supervisor stands in the *base* mounts, a copy of which every PID 1 starts with.
 *
 * A run that ended other than by its own exit, or met a limit, or left somebody in its groups, is
 * the last: what it may have bent is thrown away with it. The host uid, the abstract socket names
 * of a network namespace without processes, and the charged kernel memory of the groups are what
 * two runs have in common: enough to keep this tier inside one tenant.
 */
#include "engines/sandbox/warm.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "engines/sandbox/build.h"
#include "engines/sandbox/zygote.h"
#include "kit/base/fd.h"
#include "kit/base/mem.h"

static int make_base(struct slot *slot, struct err *err)
{
	static const char doing[] = "building the sandbox: ";
	const char *step = "";
	auto_close overlay = -1;
	TRY(build_step(slot_build_root(slot, &overlay, &step), doing, &step, err));
	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0)
		return err_sys(err, E_UNAVAILABLE, "making namespaces");
	TRY(build_step(slot_enter_root(slot, overlay, &step), doing, &step, err));
	fd_close(&slot->skeleton);
	TRY(slot_landlock_scan(slot, overlay, err));
	TRY(build_step(slot_set_hostname(slot, &step), doing, &step, err));
	slot->base_mounts = openat(slot->host_proc, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
	slot->base_pids = openat(slot->host_proc, "self/ns/pid", O_RDONLY | O_CLOEXEC);
	if (slot->base_mounts < 0 || slot->base_pids < 0)
		return err_sys(err, E_UNAVAILABLE, "opening our namespaces");
	return 0;
}

int warm_build(struct slot *slot, struct err *err)
{
	if (slot->is_rootless)
		return err_set(err, E_UNSUPPORTED, "the %s tier needs root; use cold",
			sandbox_tier_name(slot->config.tier));
	TRY(build_hold_host(slot, err));
	slot->template = slot->parsed.plan;
	slot->plan_room = mem_alloc(1, WIRE_MESSAGE_MAX);
	TRY(cgroup_make(&slot->cgroup, getpid(), false, &slot->parsed.plan.limits, err));
	TRY(make_base(slot, err)); /* the groups are out of sight from now on */
	TRY(build_make_userns(slot, err));
	slot->stack_count = 0;
	TRY(build_take_filter(err));
	return build_shed_rights(slot, err);
}

int warm_begin(struct slot *slot, struct err *err)
{
	slot->next_message = slot->plan_room;
	slot->cpu_base_usec = cgroup_cpu_usec(&slot->cgroup);
	if (slot->config.is_zygote) {
		TRY(build_receive_run(slot, &slot->template, err));
		return zygote_begin(slot, err);
	}
	/* The plan may lower the limit of a file; no file is larger than the disk. */
	slot->parsed.plan = slot->template;
	slot->parsed.plan.limits.file_bytes = MAX(
		slot->template.limits.file_bytes, slot->template.limits.disk_bytes);
	return build_warm_payload(slot, err);
}

/*
 * Nothing of the run may be left, and nothing may have been bent. Refused tasks are counted for
 * ever, and also for runs that coped with it; results of a run hold its tmpfs, and so the memory of
 * the groups, until their receiver closes them.
 */
static bool is_as_before(const struct slot *slot)
{
	const struct sandbox_result *result = &slot->result;
	return result->cause == SANDBOX_CAUSE_EXITED && !result->limits_hit &&
	       !result->statistics.oom_kills && !slot->exec_error &&
	       !slot->parsed.plan.wants_results && !cgroup_task_refusals(&slot->cgroup) &&
	       cgroup_tasks(&slot->cgroup) == slot->config.is_zygote &&
	       cgroup_reset_peak(&slot->cgroup);
}

static bool end_run(struct slot *slot)
{
	if (slot->config.is_zygote)
		return zygote_end(slot);
	build_undo_run(slot);
	slot->init_stage = slot->payload_stage = (struct slot_stage){};
	slot->init_pid = 0;
	slot->payload_go = slot->payload_kit = slot->mounts_ready = 0;
	return setns(slot->base_mounts, CLONE_NEWNS) == 0 &&
	       setns(slot->base_pids, CLONE_NEWPID) == 0;
}

bool warm_end(struct slot *slot)
{
	if (!end_run(slot) || !is_as_before(slot))
		return false;
	warm_reset(slot);
	return true;
}

void warm_reset(struct slot *slot)
{
	slot->result = (struct sandbox_result){ .exit_code = -1 };
	slot->payload_pid = 0;
	slot->trace_seen = 0;
	slot->started_usec = 0;
	slot->has_cause = slot->payload_reaped = false;
	slot->has_note = slot->has_told_exit = false;
}
