/*
 * The sandbox: run one untrusted program on a read-only image, with nothing else in reach.
 *
 * Theory. A sandbox is one supervisor process (program cupel-sandbox) reached by one
 * SOCK_SEQPACKET socket, the *control* descriptor. Everything goes over it: the plan and its
 * descriptors in, events and one result out. Closing the control descriptor (the last copy of it:
 * fork() makes some) kills the sandbox and removes everything it made. Every handle is a
 * descriptor; put it into any event loop.
 *
 *	int control;
 *	sandbox_open(&config, &control, &err);
 *	sandbox_start(control, &plan, &files, &err);
 *	do sandbox_receive(control, 0, &event, &err); while (event.kind != SANDBOX_EVENT_GONE);
 *	close(control);
 *
 * What the payload sees: the image (seen through its own read-only overlay), /app and /data
 * (read-only, if given), one size-limited tmpfs as /work, /tmp, /dev/shm, /home and /run, five
 * devices, a /proc of its own processes, no network, user 1000 without any privilege. What it
 * may do: the system calls of filter_table.h. What the machine cannot enforce is a missing bit in
 * result.enforced; a run that needs it is refused unless plan.may_lack allows it.
 *
 * The functions are not thread-safe per control descriptor; different descriptors are
 * independent. Needs root (CAP_SYS_ADMIN and friends) for everything it promises. As an ordinary
 * user it lacks SANDBOX_LAYERS_ROOT: memory is then limited per process (RLIMIT_DATA), processor
 * time per process, the payload has the user's uid and groups, and trace FILES is not to be had.
 */
#ifndef ENGINES_SANDBOX_SANDBOX_H
#define ENGINES_SANDBOX_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kit/base/err.h"

enum {
	SANDBOX_TEXT_BYTES_MAX = 128 * 1024, /* one message: argv, env, and 4 KiB for the rest */
	SANDBOX_STRINGS_MAX = 4096,          /* argv and env members together */
	SANDBOX_PATH_MAX = 1024,             /* path in an exec event, cut beyond */
	SANDBOX_CAUSE_TEXT_MAX = 256,
	SANDBOX_TRACE_EVENTS_MAX = 199000, /* then it is truncated; the agent adds its own */
	SANDBOX_UID_INSIDE = 1000,
	SANDBOX_UID_BASE = 2000000, /* host uid of a payload: base + pid of its supervisor */
};

/*
 * Sizes are multiples of 4096 (the kernel counts pages); of memory, disk and a file at most 1 TiB.
 * File locks and connections that wait are kernel memory that it charges to nobody: more than 4096
 * locks or 16,384 UNIX sockets (two for a connection that waits) at once end a run as more memory
 * does; so do, for the sake of flock(), more than 65,536 descriptors and mappings of files of all
 * processes, or 1024 for each of limits.processes. A caller whose own hard limits (ulimit) are
 * lower, or has one on address space, is refused, unless its supervisor has CAP_SYS_RESOURCE; but a
 * program has no more descriptors than the caller may.
 */
struct sandbox_limits {
	uint64_t wall_ms;      /* from start to kill; 1 to 7 days */
	uint64_t cpu_ms;       /* user + system of all processes; 1 to 7168 days */
	uint64_t memory_bytes; /* all processes, their tmpfs, memfds, charged kernel memory; from 1
				  MiB */
	uint64_t disk_bytes;   /* all writable paths together; from 4096 */
	uint64_t disk_files;   /* files and directories made there, SANDBOX_RESULTS included; 16 to
				  2^24 */
	uint64_t file_bytes;   /* one file; from 4096 */
	uint64_t output_bytes; /* stdout and stderr, each; 1 to 4 GiB */
	uint32_t processes;    /* processes, not threads; 1 to 4096 */
	uint32_t tasks;        /* threads of all processes together; from processes to 32768 */
};

#define SANDBOX_LIMITS_DEFAULT                       \
	((struct sandbox_limits){ .wall_ms = 300000, \
		.cpu_ms = 600000,                    \
		.memory_bytes = 512ull << 20,        \
		.disk_bytes = 100ull << 20,          \
		.disk_files = 8192,                  \
		.file_bytes = 10ull << 20,           \
		.output_bytes = 10ull << 20,         \
		.processes = 10,                     \
		.tasks = 64 })

/* What isolates and what limits; bits of result.enforced and plan.may_lack. */
enum sandbox_layer {
	SANDBOX_LAYER_NAMESPACES,   /* pid, mount, net, ipc, uts, cgroup */
	SANDBOX_LAYER_USER,         /* own user namespace, distinct host uid, no capabilities */
	SANDBOX_LAYER_ROOT,         /* image through an overlay of its own; nothing of the host */
	SANDBOX_LAYER_SECCOMP,      /* system call allow-list */
	SANDBOX_LAYER_LANDLOCK,     /* path rules as second fence */
	SANDBOX_LAYER_NOEXEC,       /* nothing but the image can be executed */
	SANDBOX_LAYER_MEMFD_NOEXEC, /* memory files refused by the kernel, not only by the tracer */
	SANDBOX_LAYER_MEMORY_LIMIT, /* by cgroup, to the page */
	SANDBOX_LAYER_TASK_LIMIT,   /* by cgroup, or by the user namespace's own count */
	SANDBOX_LAYER_CPU_LIMIT,    /* by cgroup accounting of all processes */
	SANDBOX_LAYER_PROCESS_LIMIT, /* by the tracer */
	SANDBOX_LAYER_DISK_LIMIT,    /* by tmpfs */
	SANDBOX_LAYER_DEVICES,       /* device files of its own: locks on them stay inside */
	SANDBOX_LAYER_APPARMOR,      /* profile cupel-payload, where it is loaded and enforced */
	SANDBOX_LAYER_COUNT,
};

#define SANDBOX_LAYER_BIT(layer) (UINT32_C(1) << (layer))
#define SANDBOX_LAYERS_ALL (SANDBOX_LAYER_BIT(SANDBOX_LAYER_COUNT) - 1)
/* Second belts: the property holds without them, by another layer. */
#define SANDBOX_LAYERS_BELTS                                    \
	(SANDBOX_LAYER_BIT(SANDBOX_LAYER_LANDLOCK) |            \
		SANDBOX_LAYER_BIT(SANDBOX_LAYER_MEMFD_NOEXEC) | \
		SANDBOX_LAYER_BIT(SANDBOX_LAYER_APPARMOR))

/* What a supervisor that runs as an ordinary user cannot have; allow these to lack there. */
#define SANDBOX_LAYERS_ROOT                                                                 \
	(SANDBOX_LAYER_BIT(SANDBOX_LAYER_USER) | SANDBOX_LAYER_BIT(SANDBOX_LAYER_DEVICES) | \
		SANDBOX_LAYER_BIT(SANDBOX_LAYER_MEMORY_LIMIT) |                             \
		SANDBOX_LAYER_BIT(SANDBOX_LAYER_CPU_LIMIT))

enum sandbox_tier {
	SANDBOX_TIER_COLD,   /* built for this run */
	SANDBOX_TIER_WARM,   /* reused: new processes, disk emptied; same tenant */
	SANDBOX_TIER_HOT,    /* complete, built ahead, used once */
	SANDBOX_TIER_PARKED, /* hot, with a warmed interpreter waiting */
	SANDBOX_TIER_ZYGOTE, /* warm, each run a fork of one warmed interpreter; same tenant */
	SANDBOX_TIER_COUNT,
};

enum sandbox_backend {
	SANDBOX_BACKEND_CGROUP_V2,
	SANDBOX_BACKEND_CGROUP_V1,
	SANDBOX_BACKEND_NONE, /* no cgroups: rlimits and tmpfs sizes only */
	SANDBOX_BACKEND_COUNT,
};

enum sandbox_trace {
	SANDBOX_TRACE_NONE,  /* processes are still counted */
	SANDBOX_TRACE_EXEC,  /* exec and exit events */
	SANDBOX_TRACE_FILES, /* these, and at the end the set of files that were used */
	SANDBOX_TRACE_COUNT,
};

/* Why it ended; exactly one. */
enum sandbox_cause {
	SANDBOX_CAUSE_EXITED,    /* by itself: exit_code */
	SANDBOX_CAUSE_SIGNALLED, /* by a signal that is not one of ours: signal */
	SANDBOX_CAUSE_WALL_TIMEOUT,
	SANDBOX_CAUSE_CPU_TIMEOUT,
	SANDBOX_CAUSE_MEMORY,    /* the kernel killed for memory (whatever the exit code says), or
				    too many file locks or sockets */
	SANDBOX_CAUSE_DISK,      /* file size signal, or failed with a full disk */
	SANDBOX_CAUSE_PROCESSES, /* failed after its forks were refused, or a fork flood */
	SANDBOX_CAUSE_OUTPUT,    /* wrote more than output_bytes */
	SANDBOX_CAUSE_CANCELLED, /* sandbox_cancel */
	SANDBOX_CAUSE_DENIED,    /* program not in the sandbox, or it tried what kills */
	SANDBOX_CAUSE_INTERNAL,  /* our fault or a missing mechanism; text says */
	SANDBOX_CAUSE_COUNT,
};

struct sandbox_plan {
	const char *const
		*argv;          /* NULL-terminated, >= 1; without '/' looked up in the usual path */
	const char *const *env; /* NULL-terminated "NAME=value", complete; NULL means empty */
	const char *cwd;        /* absolute, at most 4095 bytes; NULL means /work */
	const char
		*hostname; /* 1 to 63 of [A-Za-z0-9._-], not . or - first; NULL means "sandbox" */
	struct sandbox_limits limits;
	enum sandbox_trace trace;
	uint32_t may_lack;         /* layers a run may go without; normally SANDBOX_LAYERS_BELTS */
	uint32_t stat_interval_ms; /* 0: no STAT events */
	bool allow_exec_in_work;   /* false: only files of the image can be executed */
	bool wants_results;        /* make SANDBOX_RESULTS for the program; DONE brings it */
	bool private_inputs; /* app_fd, data_fd: made for this run, nobody else has them; mounted
				as they are, without an overlay */
};

#define SANDBOX_RESULTS "/work/results"

/* Descriptors of a run, all borrowed (the caller closes its own); -1 means none. */
struct sandbox_files {
	int root_fd; /* directory: the read-only image (required); at most 255 entries at its top */
	int mask_fd; /* directory laid over the image: whiteouts hide its files */
	int app_fd;  /* detached mount (open_tree or fsmount) that appears at /app, below an
			overlay: its locks, FIFOs and sockets are not the run's; moved; without
			root: a directory. One mount: what is mounted below it is not seen. Its file
			system must be one that overlayfs takes (not vfat). While the run goes on it
			should stay as it is: of names that come, go or are replaced, the run may go
			on seeing the old state */
	int data_fd; /* the same at /data */
	/*
	 * Bytes are copied by the supervisor, the payload never holds these. A receiver that takes
	 * nothing for 10 s after the program's end (100 ms after a cancel) loses the rest, and the
	 * cause is internal unless a limit or a cancel was it already. Read them while you wait for
	 * events, or give files.
	 */
	int stdin_fd;
	int stdout_fd;
	int stderr_fd;
};

#define SANDBOX_FILES_NONE ((struct sandbox_files){ -1, -1, -1, -1, -1, -1, -1 })

/*
 * Of a prepared sandbox's run alone, but that memory already in use counts. "All" are all
 * processes; without control groups, the first process and the children it waited for.
 */
struct sandbox_statistics {
	uint64_t wall_usec;
	uint64_t cpu_usec; /* of all, exact; the two parts below are what the kernel's ticks say */
	uint64_t cpu_user_usec;
	uint64_t cpu_system_usec;
	uint64_t memory_current_bytes; /* of a STAT; else 0 */
	uint64_t memory_peak_bytes;    /* raw: with kernel memory and page cache first touched here;
					  without control groups the most of one process */
	uint64_t disk_bytes;           /* in the writable tmpfs, same time */
	uint64_t faults_minor;         /* of the first process and the children it waited for */
	uint64_t faults_major;
	uint64_t switches_voluntary; /* also; where a parked program told its exit and its death was
					not waited for: 0, or without control groups of its first
					thread */
	uint64_t switches_involuntary;
	uint64_t stdin_bytes;
	uint64_t stdout_bytes;
	uint64_t stderr_bytes;
	uint32_t processes_peak;
	uint32_t processes_total;
	uint32_t forks_refused;
	uint32_t oom_kills;         /* at least one, or 0: v2 counts one process more than once */
	bool memory_peak_is_of_all; /* runs of this warm sandbox so far, as v2 before Linux 6.12 has
				       it */
};

struct sandbox_result {
	enum sandbox_cause cause;
	int exit_code;                     /* of the first process; -1 when it did not exit */
	int signal;                        /* 0 when it was not ended by a signal */
	char text[SANDBOX_CAUSE_TEXT_MAX]; /* one sentence for people */
	struct sandbox_statistics statistics;
	enum sandbox_tier tier;
	enum sandbox_backend backend;
	uint32_t enforced; /* layers */
	uint32_t
		limits_hit; /* causes that occurred without ending the run: bit per sandbox_cause */
	enum sandbox_trace trace;
	uint32_t trace_events;
	uint32_t trace_lost;
	bool trace_truncated;
	bool trace_complete; /* asked for, nothing lost, nothing truncated */
};

enum sandbox_event_kind {
	SANDBOX_EVENT_NONE,    /* nothing there (SANDBOX_DONT_WAIT) */
	SANDBOX_EVENT_READY,   /* a prepared one waits for its plan */
	SANDBOX_EVENT_STARTED, /* the program is being executed */
	SANDBOX_EVENT_EXEC,
	SANDBOX_EVENT_EXIT,
	SANDBOX_EVENT_FILE, /* SANDBOX_TRACE_FILES: one file, once, before DONE; by path */
	SANDBOX_EVENT_STAT,
	SANDBOX_EVENT_DONE, /* the result; outputs are complete; processes may still be dying */
	SANDBOX_EVENT_GONE, /* nothing is alive, mounted or stored any more; the last event */
	SANDBOX_EVENT_COUNT,
};

/*
 * What was done to a file: bits of sandbox_event.access. OPENED, EXECUTED: a file of the image, of
 * /app or /data. LEFT: it stands in a writable directory at the end, whoever made it and however it
 * got its name; regular ones with their digest. What was made there and removed again is not told.
 */
enum sandbox_access {
	SANDBOX_ACCESS_OPENED = 1,
	SANDBOX_ACCESS_EXECUTED = 2,
	SANDBOX_ACCESS_LEFT = 4,
	SANDBOX_ACCESS_HAS_DIGEST = 8,
};

/*
 * pid and ppid count the processes of the run from 1 in order of birth (0: none): they are the
 * same in every run of a deterministic program, and name no pid of the host.
 *
 * results_fd is the directory SANDBOX_RESULTS, opened when every process of the run was dead; the
 * receiver owns it, and what stands in it stays stored until it is closed. -1 also when the program
 * left no directory there. Everything below it is hostile: read it with collect_tree (collect.h).
 */
struct sandbox_event {
	enum sandbox_event_kind kind;
	uint64_t t_usec; /* since the start of the run */
	uint32_t pid;
	uint32_t ppid;
	int exit_code;               /* EXIT: code, or 128 + signal */
	int results_fd;              /* DONE, if the plan wants_results: below; else -1 */
	uint32_t access;             /* FILE: sandbox_access */
	uint8_t argv_sha256[32];     /* EXEC: over the NUL-terminated arguments, as the kernel holds
					them */
	uint8_t file_sha256[32];     /* FILE, if it has a digest */
	char path[SANDBOX_PATH_MAX]; /* EXEC, FILE: inside the sandbox; FILE: bytes that are not
					printable ASCII as \xHH */
	struct sandbox_statistics statistics; /* STAT */
	struct sandbox_result result;         /* DONE */
};

/*
 * The capabilities a caller's process must leave to its supervisors (CAP_SYS_RESOURCE too, if
 * limits of its own would bind: see struct sandbox_limits), for their building alone: namespaces
 * and mounts; leaving a mount namespace; tracing; ending the payload; the payload's ids;
 * directories and devices of the sandbox and reading what a payload left whatever its mode;
 * priority. Numbers of linux/capability.h.
 */
#define SANDBOX_RIGHTS                                                                   \
	CAP_SYS_ADMIN, CAP_SYS_CHROOT, CAP_SYS_PTRACE, CAP_KILL, CAP_SETUID, CAP_SETGID, \
		CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_MKNOD, CAP_SYS_NICE

struct sandbox_config {
	const char *supervisor_path; /* cupel-sandbox; its directory must be root's */
};

enum { SANDBOX_DONT_WAIT = 1 };

/*
 * Start a supervisor; the sandbox is built when its plan comes.
 *
 * config       borrowed
 * ret_control  the control descriptor, close-on-exec; close it to end everything
 *
 * Returns 0; E_NOT_FOUND when the program is not there; E_UNAVAILABLE when the machine gives no
 * process or descriptor. The supervisor is a child of the caller; receiving GONE waits for it, and
 * so does sandbox_close(). A supervisor that was killed tells no GONE: it, and that of a caller who
 * only close()s, stays a zombie until the caller's waitpid(-1), its end, or if it ignores SIGCHLD.
 */
int sandbox_open(const struct sandbox_config *config, int *ret_control, struct err *err) MUST_CHECK;

/*
 * Send the plan and start the run. Once per control descriptor.
 *
 * plan, files  borrowed for the call
 *
 * Returns 0; E_INVALID for a plan outside its limits (see sandbox_plan_check); E_UNAVAILABLE when
 * the supervisor is gone, or a descriptor is none. Everything that goes wrong later, a second plan
 * too, is in the result, with cause internal.
 */
int sandbox_start(int control, const struct sandbox_plan *plan, const struct sandbox_files *files,
	struct err *err) MUST_CHECK;

/*
 * Have the sandbox built now, for a plan that comes later with sandbox_start: READY (or DONE with
 * the reason) tells when. Once per control descriptor, before sandbox_start.
 *
 * plan    its limits, host name, trace, may_lack and allow_exec_in_work bind the later plan, which
 *         may differ in argv, env, cwd, stat interval, results, in wall and output limits, and
 *         have a smaller file limit (warm, zygote: up to the disk's); and another cpu limit,
 *         an ordinary user's a smaller one
 * files   root_fd and mask_fd; -1 for the others, which come later
 * tier    SANDBOX_TIER_HOT: argv is not used (give any).
 *         SANDBOX_TIER_PARKED: argv is an interpreter with a trusted bootstrap that runs now,
 *         warms up, writes one byte to descriptor 65, then reads its job from descriptor 64 to the
 *         end: NUL-terminated strings cwd, the number of arguments, argv..., env.... When done it
 *         writes its exit code as one byte to descriptor 65 and waits a little: what it used is
 *         looked up, and it is killed. The later argv names the same program.
 *
 *         SANDBOX_TIER_WARM: as hot, but for many runs of ONE tenant, one after the other. A run
 *         ends with READY instead of GONE: nothing of it is left but the numbers the kernel has
 *         come to (of processes, inodes, places in a directory), and sandbox_start may follow. It
 *         ends with GONE when it was the last: it did not end by its own exit, met a limit, had
 *         results, left more than 1,024 files or changed one of the writable directories itself
 *         (mode, attributes), or the caller closed. No SANDBOX_TRACE_FILES. Without root or
 *         control groups DONE says so (cause internal).
 *
 *         SANDBOX_TIER_ZYGOTE: as warm, with the bootstrap of a parked program, which here finds a
 *         SOCK_SEQPACKET socket at descriptor 64. It writes its byte to 65 and closes that, ignores
 *         SIGCHLD, and then, with nothing open but 64 and 0, 1 and 2, receives a message for each
 *         run: one byte and six descriptors, those for 0, 1, 2, 64 and 65 of a child it forks then,
 *         and one that it only closes (the supervisor sees by it that it was received). The child
 *         goes on as a parked program that was told its job. All runs share a layout of addresses.
 *
 * Errors as sandbox_start. Any other prepared sandbox serves one run and is gone.
 */
int sandbox_prepare(int control, enum sandbox_tier tier, const struct sandbox_plan *plan,
	const struct sandbox_files *files, struct err *err) MUST_CHECK;

/*
 * The bootstrap for SANDBOX_TIER_PARKED and ZYGOTE with CPython 3.8 or newer: argv is { "python3",
 * "-c", this }. It runs "python3 FILE ARG..." and "python3 -c CODE ARG..." as the interpreter
 * would; for all other uses, and with a PYTHON* environment that is not its own, it executes that
 * (which is slower, and in the trace). At the end memory is not freed, where nobody could tell.
 * What can be told: its frames below those of the program (which may nest five calls less), its
 * modules in sys.modules, descriptor 65. Hash it into whatever names the sandbox: it is code that
 * ran inside (park_python.py, as bytecode for the version it was built with, and as source for
 * others; see tools/embed.py).
 */
const char *sandbox_park_python(void);

/*
 * The same for Node.js 16 or newer: argv is { "node", "-e", this }. It runs "node FILE ARG..." and
 * "node -e CODE ARG...", to the end of the event loop. Differences: no top-level await and import
 * in CODE, NODE_* environment has no effect, performance.timeOrigin and process.uptime() count from
 * the warm-up, a worker thread's process.execArgv is our bootstrap's, and nothing is torn down at
 * the end. The frames of a stack trace below the program's own are others; process.emit is ours.
 * Options of node are refused, exit code 9. An uncaught exception is told by the death of the
 * process, some ms later.
 */
const char *sandbox_park_node(void);

/* Check a plan without running it. E_INVALID names the member and what it may be. */
int sandbox_plan_check(const struct sandbox_plan *plan, struct err *err) MUST_CHECK;

/*
 * Receive the next event. Read them promptly: when the socket is full, the traced tasks stand
 * still for a second, the clock for a second in all; what is not taken then, or slowly for ten
 * seconds, is counted as lost. STAT events are left out at once. DONE and GONE wait for you. Other
 * tasks work on meanwhile: a run may exceed its processor time by what they used in such a wait.
 *
 * flags      0 or SANDBOX_DONT_WAIT (then kind NONE when nothing is there)
 *
 * Returns 0; E_UNAVAILABLE when the supervisor died without GONE (its sandbox died with it);
 * E_INTEGRITY for a message that is none; E_LIMIT when DONE brings results and the caller has no
 * free descriptor: that DONE is lost.
 */
int sandbox_receive(
	int control, int flags, struct sandbox_event *ret_event, struct err *err) MUST_CHECK;

/* End the sandbox, wait until it is gone, close. Accepts -1; sets *control to -1. */
void sandbox_close(int *control);

/*
 * Ask for an end with cause "cancelled"; DONE and GONE still come. E_UNAVAILABLE when gone. One
 * that comes after the DONE of a warm sandbox or a zygote ends that: its next run is cancelled.
 */
int sandbox_cancel(int control, struct err *err) MUST_CHECK;

/*
 * Remove what supervisors that were killed left behind (their empty cgroups; their processes and
 * mounts died with them). Call at service start. ret_removed counts cgroups.
 */
int sandbox_sweep(uint32_t *ret_removed, struct err *err) MUST_CHECK;

struct sandbox_capability {
	const char *name;
	bool is_there;
	bool is_optional;   /* a second belt, or speed: no run is refused without it */
	char detail[160];   /* what was found */
	const char *advice; /* what to do when it is not there; never NULL */
};

enum { SANDBOX_CAPABILITIES_MAX = 24 };

/* Find out what this machine can enforce; for `cupel doctor`. Changes nothing. */
int sandbox_probe(struct sandbox_capability ret_list[static SANDBOX_CAPABILITIES_MAX],
	size_t *ret_count, struct err *err) MUST_CHECK;

/* Names for certificates and people, e.g. "wall-timeout", "memory-limit", "cgroup-v1", "cold". */
const char *sandbox_cause_name(enum sandbox_cause cause);
const char *sandbox_layer_name(enum sandbox_layer layer);
const char *sandbox_tier_name(enum sandbox_tier tier);
const char *sandbox_backend_name(enum sandbox_backend backend);
const char *sandbox_trace_name(enum sandbox_trace trace);

#endif
