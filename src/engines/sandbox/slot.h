/*
 * One sandbox from inside its supervisor. Internal to the engine; callers use sandbox.h.
 *
 * Four tasks share this structure and the memory it lies in until two of them are finished:
 *
 *	supervisor  host root; builds the root; owns cgroups, pipes, clock, tracer; copies bytes;
 *	            decides the cause
 *	init        PID 1 of the sandbox; makes namespaces and mounts, then sheds everything and
 *	            only exists: when it dies, the kernel kills all that is inside
 *	keeper      makes the payload's user namespace, and is killed when that is taken over
 *	payload     child of the supervisor, born inside the pid namespace; sheds everything, execs
 *
 * init and payload run on the supervisor's memory with raw system calls only (sys.h). In a warm
 * sandbox a fifth, the spawner, sheds everything instead, and makes the payloads: see warm.c.
 */
#ifndef ENGINES_SANDBOX_SLOT_H
#define ENGINES_SANDBOX_SLOT_H

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "engines/sandbox/cgroup.h"
#include "engines/sandbox/disk.h"
#include "engines/sandbox/sandbox.h"
#include "engines/sandbox/wire.h"

enum {
	SLOT_STACK_BYTES = 32 * 1024,
	SLOT_STACKS = 4,                      /* init, keeper, payload or spawner, its payload */
	SLOT_INIT_UID = SANDBOX_UID_BASE - 1, /* of PID 1, once it has shed its rights */
	SLOT_LIFELINE_FD = 0,                 /* in init: its only descriptor, the supervisor */
	SLOT_DEVICES = 5,
	SLOT_STREAMS = 3, /* a payload's 0, 1 and 2 */
	/* Of PID 1: setns() takes these from its pidfd. */
	SLOT_SPACES = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
	SLOT_ENTRIES_MAX = 256, /* an image, and what is at its top */
	SLOT_JOB_FD = 64,       /* in a parked program: its job; its notes */
	SLOT_NOTE_FD = 65,
	SLOT_ZYGOTE_ID = 65534,    /* of a zygote inside; its runs have SANDBOX_UID_INSIDE */
	SLOT_ZYGOTE_UID = 1 << 22, /* and outside: this above its runs', more than there are pids */
};

/* How far a shared-memory task came; set through sys_word_set. */
enum { STAGE_FAILED = 1, STAGE_READY = 2 };

struct slot_stage {
	uint32_t word; /* STAGE_* */
	int error;     /* positive errno, 0 when fine */
	const char *step;
};

/* One direction of copying; see copy.c. */
struct slot_copy {
	int from;
	int to;
	uint64_t bytes; /* delivered */
	uint64_t limit;
	bool is_over;    /* more came than limit */
	bool is_blocked; /* the receiver takes nothing at the moment */
	bool from_waits; /* a call on it could wait: look before each */
	bool from_is_stored;
	bool to_waits;
	uint8_t *held; /* read, not yet delivered */
	size_t held_size;
	size_t held_at;
};

/* A Landlock rule to be. */
struct slot_entry {
	int fd;
	uint64_t rights;
};

/* Of the first process and the children it waited for, from its birth on. */
struct slot_usage {
	struct cgroup_cpu cpu;
	uint64_t memory_peak_bytes;
	uint64_t faults_minor;
	uint64_t faults_major;
	uint64_t switches_voluntary;
	uint64_t switches_involuntary;
};

struct slot_config {
	enum sandbox_tier tier;
	const char *program; /* a parked one serves no other */
	bool allow_exec_in_work;
	bool is_prepared; /* a run's PID 1 and payload are built before its plan is known */
	bool is_warm;     /* one run after the other: see warm.c; a zygote's too */
	bool is_parked;   /* its program runs already, waiting for a job */
	bool is_zygote;   /* warm and parked: the program forks for each run, see zygote.c */
};

struct slot {
	int control; /* -1 once the caller is gone */
	int nice;    /* of ours while a run lasts */
	int signals; /* a signalfd: deaths and stops, and whoever asks us to end */
	void (*sink)(void *context, const struct sandbox_event *event); /* instead of control */
	void *sink_context;
	struct wire_parsed parsed;
	struct sandbox_files files;
	struct slot_config config;

	/* the host, held open before the supervisor moves into the sandbox's namespaces */
	int host_proc;
	int host_mounts;
	int memfd_sysctl;   /* vm.memfd_noexec, -1 before Linux 6.3 */
	int sandbox_mounts; /* rootless: to come back from host_mounts */

	bool has_apparmor;         /* the profile of payloads is loaded and enforced */
	bool is_rootless;          /* see rootless.c */
	int devices[SLOT_DEVICES]; /* rootless: of the host, to be bound */

	struct cgroup cgroup;
	uint32_t enforced;
	uint32_t host_uid;

	int lifeline; /* our own pidfd: what others know that we live by */
	pid_t init_pid;
	int init_pidfd;
	struct slot_stage init_stage;
	int overlay;           /* the root, not attached yet; -1 */
	int skeleton;          /* one of its layers; -1 */
	int disk;              /* the tmpfs, of which a run sees five directories; -1 */
	int whole_proc;        /* of the sandbox's pid namespace, attached nowhere: locks.c; -1 */
	uint32_t mounts_ready; /* init may attach them */

	pid_t resident_pid;   /* spawner or zygote; 0 until it is ready, and when it is dead */
	int resident_control; /* it gets each run's descriptors here */
	struct sandbox_plan template;
	uint8_t *plan_room;           /* of every run's plan */
	struct disk_state disk_state; /* as every run finds it */
	bool is_peak_of_all;          /* the kernel cannot begin another for the next run */
	uint32_t spawn_answer;        /* spawner: it has made the next payload */
	long spawned;                 /* its pid, or -errno */
	void *payload_stack;          /* its end, in the spawner's memory */

	pid_t keeper_pid;
	uint32_t keeper_done;
	int userns;

	pid_t payload_pid;
	uint32_t payload_kit;            /* its streams and Landlock rules are there */
	struct slot_stage payload_stage; /* READY: everything shed, waiting for go */
	uint32_t payload_go;
	int exec_error;
	bool has_no_cwd; /* what exec_error is about */

	int job[2];  /* parked: we write the job to job[1], the program reads it (SLOT_JOB_FD) */
	int note[2]; /* parked: the program writes "ready", then its exit code */
	bool has_note;
	bool has_told_exit;
	int payload_stat;                 /* parked: its /proc/PID/stat; -1 */
	struct sandbox_event parked_exec; /* seen before the run began, reported when it does */

	struct files *files_used;                    /* files.c; NULL unless traced */
	int results_fd;                              /* what the program left, for DONE; -1 none */
	struct slot_entry entries[SLOT_ENTRIES_MAX]; /* of the image; held as long as we live */
	size_t entry_count;
	int ruleset; /* Landlock, -1 none */
	int landlock_abi;
	struct statx root; /* of the overlay: whatever is entered must be this */
	uint64_t root_mount_id;
	uint64_t processor_count;
	uint8_t *next_message; /* room for a plan that comes later */

	void *stacks[SLOT_STACKS]; /* of the tasks on our memory */
	size_t stack_count;
	bool has_stdio; /* our 0, 1 and 2 are the payload's */
	struct slot_copy in;
	struct slot_copy out;
	struct slot_copy error;

	struct buf queue;     /* events.c */
	bool is_deaf;         /* the caller did not take an event in time */
	uint64_t waited_usec; /* for it to take the trace */
	bool is_result_lost;  /* nor DONE: a GONE without it would look like an end */
	uint64_t queue_since_usec;
	uint32_t trace_seen;
	uint64_t started_usec;
	uint64_t ended_usec; /* on the slot's clock: its death, or the decision; 0 before */
	struct sandbox_result result;
	bool has_cause;
	bool payload_reaped;
	bool is_stopping;
};

/* init.c: entry of PID 1. argument is the slot. */
int slot_init_main(void *argument);
int slot_keeper_main(void *argument);

/* mounts.c: raw system calls; return 0 (make_proc: a descriptor) or -errno and name the step. */
long slot_build_root(struct slot *slot, int *ret_overlay, const char **ret_step);
long slot_enter_root(const struct slot *slot, int overlay, const char **ret_step);
long slot_make_writable(const struct slot *slot, const char **ret_step); /* a descriptor too */
long slot_mount_writable(const struct slot *slot, const char **ret_step);
long slot_take_devices(struct slot *slot, const char **ret_step);
long slot_mount_devices(const struct slot *slot, const char **ret_step);
long slot_make_proc(bool is_payloads, const char **ret_step);
long slot_mount_proc(int proc, const char **ret_step);
long slot_mount_inputs(const struct slot *slot, const char **ret_step);
bool slot_unmount_inputs(const struct slot *slot); /* false: something is left of them */

/* payload.c: entry of the payload-to-be, and of the spawner. */
int slot_payload_main(void *argument);

/*
 * landlock.c: the ruleset; 0 when the kernel has none. What is in root, the image, entered or not,
 * is looked up once; a ruleset begins with the rules for that, and those for what is mounted follow
 * once we are inside.
 */
int slot_landlock_scan(struct slot *slot, int root, struct err *err) MUST_CHECK;
int slot_landlock_begin(struct slot *slot, struct err *err) MUST_CHECK;
int slot_landlock_finish(struct slot *slot, struct err *err) MUST_CHECK;
int slot_landlock_abi(void);

/* As a shell tells what it could not execute. */
static inline int slot_exit_code(int exec_error)
{
	return exec_error == ENOENT ? 127 : 126;
}

/*
 * usage.c: what the first process used, while it is there (from slot_usage_open on; 0 is unknown;
 * switches, peak and exact processor time with_status only) and when it is reaped. The text of
 * /proc/TID/status, empty when it cannot be read; the number behind a name in it, or 0.
 */
void slot_usage_open(struct slot *slot);
void slot_usage_now(const struct slot *slot, bool with_status, struct slot_usage *ret_usage);
struct slot_usage slot_usage_reaped(const struct rusage *usage);
void slot_read_status(const struct slot *slot, pid_t tid, char *text, size_t size);
uint64_t slot_find_line(const char *text, const char *name);

/*
 * slot.c: serve one sandbox over control until it is gone, runs with that nice value. With a local
 * run (no control), plan and files are given and sink is called for each event.
 */
int slot_serve(int control, int nice, struct err *err) MUST_CHECK;
int slot_run_local(const struct sandbox_plan *plan, const struct sandbox_files *files,
	void (*sink)(void *context, const struct sandbox_event *event), void *context,
	struct err *err) MUST_CHECK;
void slot_send(struct slot *slot, struct sandbox_event *event);
void slot_end(struct slot *slot, enum sandbox_cause cause, const char *text);
uint64_t slot_usec(const struct slot *slot);
uint64_t slot_wall_usec(const struct slot *slot); /* the same, but it stops at the end of the run */

/* A spawner makes the payloads; a zygote forks them. */
static inline bool slot_has_spawner(const struct slot *slot)
{
	return slot->config.is_warm && !slot->config.is_zygote;
}

/* Of each process, in place of control groups. */
static inline struct rlimit slot_cpu_rlimit(const struct sandbox_limits *limits)
{
	enum { MS_PER_S = 1000 };
	rlim_t seconds = (limits->cpu_ms + MS_PER_S - 1) / MS_PER_S;
	return (struct rlimit){ seconds, seconds + 1 };
}

/* Who resides is a task more than a run may have. */
static inline uint64_t slot_tasks_max(const struct slot *slot)
{
	return (uint64_t)slot->parsed.plan.limits.tasks + slot->config.is_warm;
}

#endif
