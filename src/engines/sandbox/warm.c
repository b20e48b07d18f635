/*
 * The warm tier: one sandbox, one tenant, one run after the other.
 *
 * Theory. Nearly all that a sandbox costs is the making and the freeing of what holds no trace of a
 * run: namespaces, mounts, groups, ids, rules, filters. So it is made once, as for a hot sandbox;
 * but where that has its payload, a *spawner* stands behind all fences, its rights shed, both
 * filters and Landlock on, and makes a payload for each run by clone(): a task that has nothing
 * left to give up, and waits for its plan as in a hot sandbox. New for each run are its processes
 * and pipes. The disk is emptied (disk.c).
 *
 * The spawner is no part of what it serves. It stays in the host's pid namespace, so nobody inside
 * can name it; its memory is its own (a payload that runs out of memory must not take the
 * supervisor along: who shares memory is killed together), but for the slot; of a run it gets the
 * pipes, which it closes when its payload has them.
 *
 * A run that ended other than by its own exit, or met a limit, or left a disk that is not as before
 * after wiping, is the last: what it may have bent is thrown away with it. Whom it left alive is
 * killed, until the kernel counts the spawner only. Host uid, pid and network namespace without
 * processes (a pid says how many there were before), and the charged kernel memory of the groups
 * are what two runs have in common: enough to keep this tier inside one tenant.
 */
#include "engines/sandbox/warm.h"

#include <errno.h>
#include <sys/prctl.h>

#include "engines/sandbox/build.h"
#include "engines/sandbox/note.h"
#include "engines/sandbox/sys.h"
#include "engines/sandbox/zygote.h"
#include "kit/base/fd.h"
#include "kit/base/mem.h"

int warm_send_files(struct slot *slot, struct err *err)
{
	const struct {
		int *ours;
		bool is_read_by_us;
		bool is_copied;
	} pipes[] = { { &slot->in.to, false, true }, { &slot->out.from, true, true },
		{ &slot->error.from, true, true }, { &slot->job[1], false, false } };
	enum { NOTE_AT = ARRAY_SIZE(pipes) };
	int theirs[WARM_FILES_MAX] = { -1, -1, -1, -1, -1, slot->ruleset };
	bool is_zygote = slot->config.is_zygote;
	size_t pipe_count = is_zygote ? ARRAY_SIZE(pipes) : SLOT_STREAMS;
	/* The rules are for a zygote's child, if this kernel has Landlock. */
	size_t count = pipe_count + is_zygote + (is_zygote && slot->ruleset >= 0);
	int status = 0;
	for (size_t i = 0; status == 0 && i < pipe_count; i++)
		status = build_stream(slot, pipes[i].is_read_by_us, pipes[i].is_copied,
			pipes[i].ours, &theirs[i], err);
	if (status == 0 && is_zygote)
		status = note_open(&slot->note[0], &theirs[NOTE_AT], err);
	if (status == 0)
		status = fd_send(slot->resident_control, view_of("F", 1), theirs, count, err);
	for (size_t i = 0; i < pipe_count + is_zygote; i++)
		fd_close(&theirs[i]);
	return status;
}

/* The next payload: made while we do other things. */
static int order_next(struct slot *slot, struct err *err)
{
	slot->payload_go = slot->spawn_answer = 0;
	return warm_send_files(slot, err);
}

int warm_build(struct slot *slot, struct err *err)
{
	struct sandbox_limits *limits = &slot->parsed.plan.limits;
	if (slot->is_rootless)
		return err_set(err, E_UNSUPPORTED, "the %s tier needs root; use cold",
			sandbox_tier_name(slot->config.tier));
	/* A payload without its spawner is ours: PID 1 ends only when all were waited for. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return err_sys(err, E_UNAVAILABLE, "PR_SET_CHILD_SUBREAPER");
	slot->next_message = slot->plan_room = mem_shared(WIRE_MESSAGE_MAX);
	/* A run's plan may lower the limit of a file; no file is larger than the disk. */
	limits->file_bytes = MAX(limits->file_bytes, limits->disk_bytes);
	slot->template = slot->parsed.plan;
	TRY(build_sandbox(slot, err));
	if (slot->config.is_zygote)
		return 0;
	fd_close(&slot->job[0]); /* its own now */
	TRY(disk_note(&slot->disk_state, err));
	return order_next(slot, err);
}

int warm_begin(struct slot *slot, struct err *err)
{
	slot->next_message = slot->plan_room;
	slot->parsed.plan = slot->template;
	if (slot->config.is_zygote)
		return zygote_fork(slot, err);
	TRY(build_wait_task(slot, &slot->spawn_answer, slot->resident_pid, "spawner", err));
	TRY(build_step(slot->spawned, "starting the payload", NULL, err));
	slot->payload_pid = (pid_t)slot->spawned;
	return 0;
}

/*
 * Nothing may have been bent. Nobody is alive but who resides, or that would have ended with the
 * run (end_all in slot.c). Refused tasks are counted for ever, and also for runs that coped with
 * it; results of a run hold its tmpfs, and so the memory of the groups, until their receiver closes
 * them.
 */
static bool has_ended_well(const struct slot *slot)
{
	const struct sandbox_result *result = &slot->result;
	return slot->resident_pid && !slot->is_result_lost &&
	       result->cause == SANDBOX_CAUSE_EXITED && !result->limits_hit &&
	       !result->statistics.oom_kills && !slot->exec_error &&
	       !slot->parsed.plan.wants_results && !cgroup_task_refusals(&slot->cgroup);
}

bool warm_end(struct slot *slot)
{
	struct err ignored;
	bool is_well = has_ended_well(slot) && slot_unmount_inputs(slot);
	build_close_run(slot);
	if (!is_well || (slot_has_spawner(slot) && order_next(slot, &ignored) < 0) ||
		!disk_restore(&slot->disk_state))
		return false;
	slot->is_peak_of_all = !cgroup_reset_peak(&slot->cgroup);
	warm_reset(slot);
	return true;
}

void warm_reset(struct slot *slot)
{
	slot->result = (struct sandbox_result){ .exit_code = -1 };
	slot->payload_pid = 0;
	slot->trace_seen = 0;
	slot->waited_usec = 0;
	slot->started_usec = slot->ended_usec = 0;
	slot->has_cause = slot->payload_reaped = false;
	slot->has_note = slot->has_told_exit = false;
	slot->in.bytes = slot->out.bytes = slot->error.bytes = 0;
}
