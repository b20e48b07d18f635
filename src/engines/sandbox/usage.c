/*
 * What the first process of a run used: as its reaping tells, or while it lives.
 *
 * A parked program tells its exit code, and its result is not kept waiting for its death, which
 * takes longer than many a job. /proc has the same counters by then: in stat, held open because
 * opening costs as much as reading, faults, and processor time in ticks, for which there is a clock
 * too; in status, as dear again, the peak of memory and the switches of one thread.
 *
 * Who reads there holds the memory of the process for a moment. If that exits meanwhile the reader
 * frees it, which is what takes long; and when it has exited, no peak is known. So it is read
 * before the program is killed, and ours wait for that.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engines/sandbox/slot.h"
#include "kit/base/fd.h"
#include "kit/base/str.h"

enum {
	PATH_BYTES = 40,
	STATUS_BYTES = 4096, /* 1500, and masks of the processors and memory nodes */
	TICK_USEC = 10000,   /* of /proc, on every machine */
	USEC_PER_S = 1000000,
	NSEC_PER_USEC = 1000,
};

static int open_proc(const struct slot *slot, pid_t pid, const char *name)
{
	char path[PATH_BYTES];
	struct err ignored;
	int fd = -1;
	if (str_format(path, sizeof(path), &ignored, "%d/%s", pid, name) == 0)
		fd = openat(slot->host_proc, path, O_RDONLY | O_CLOEXEC);
	return fd;
}

static void read_text(int fd, char *text, size_t size)
{
	ssize_t got = fd < 0 ? -1 : pread(fd, text, size - 1, 0);
	text[got > 0 ? got : 0] = 0;
}

void slot_read_status(const struct slot *slot, pid_t tid, char *text, size_t size)
{
	auto_close fd = open_proc(slot, tid, "status");
	read_text(fd, text, size);
}

uint64_t slot_find_line(const char *text, const char *name)
{
	const char *line = strstr(text, name);
	return line ? strtoull(line + strlen(name), NULL, 10) : 0;
}

static uint64_t read_clock(pid_t pid)
{
	clockid_t clock;
	struct timespec used;
	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) < 0)
		return 0;
	return (uint64_t)used.tv_sec * USEC_PER_S + (uint64_t)used.tv_nsec / NSEC_PER_USEC;
}

/* proc(5), stat: the members from here on are numbers. */
static void take_stat(const char *text, struct slot_usage *usage)
{
	enum { PPID, MINFLT = 6, CMINFLT, MAJFLT, CMAJFLT, UTIME, STIME, CUTIME, CSTIME, COUNT };
	uint64_t numbers[COUNT] = {};
	const char *name_end = strrchr(text, ')'); /* the name may have some, too */
	if (!name_end)
		return;
	char *at = (char *)(uintptr_t)name_end + strlen(") S");
	for (size_t i = PPID; i < COUNT; i++)
		numbers[i] = strtoull(at, &at, 10);
	usage->faults_minor = numbers[MINFLT] + numbers[CMINFLT];
	usage->faults_major = numbers[MAJFLT] + numbers[CMAJFLT];
	usage->cpu.usec = (numbers[CUTIME] + numbers[CSTIME]) * TICK_USEC;
	usage->cpu.system_usec = (numbers[STIME] + numbers[CSTIME]) * TICK_USEC;
}

void slot_usage_open(struct slot *slot)
{
	slot->payload_stat = open_proc(slot, slot->payload_pid, "stat");
}

void slot_usage_now(const struct slot *slot, bool with_status, struct slot_usage *ret_usage)
{
	pid_t pid = slot->payload_pid;
	char text[STATUS_BYTES];
	*ret_usage = (struct slot_usage){};
	read_text(slot->payload_stat, text, sizeof(text));
	take_stat(text, ret_usage);
	if (!with_status)
		return;
	ret_usage->cpu.usec += read_clock(pid);
	slot_read_status(slot, pid, text, sizeof(text));
	ret_usage->memory_peak_bytes = slot_find_line(text, "\nVmHWM:") * 1024u;
	ret_usage->switches_voluntary = slot_find_line(text, "\nvoluntary_ctxt_switches:");
	ret_usage->switches_involuntary = slot_find_line(text, "\nnonvoluntary_ctxt_switches:");
}

static uint64_t usec_of(struct timeval time)
{
	return (uint64_t)time.tv_sec * USEC_PER_S + (uint64_t)time.tv_usec;
}

struct slot_usage slot_usage_reaped(const struct rusage *usage)
{
	uint64_t system_usec = usec_of(usage->ru_stime);
	return (struct slot_usage){
		.cpu = { usec_of(usage->ru_utime) + system_usec, system_usec },
		.memory_peak_bytes = (uint64_t)usage->ru_maxrss * 1024u,
		.faults_minor = (uint64_t)usage->ru_minflt,
		.faults_major = (uint64_t)usage->ru_majflt,
		.switches_voluntary = (uint64_t)usage->ru_nvcsw,
		.switches_involuntary = (uint64_t)usage->ru_nivcsw,
	};
}
