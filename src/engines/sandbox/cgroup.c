/*
 * Control groups. See cgroup.h.
 *
 * Writing cgroup.procs waits for an RCU grace period unless favordynmods is on: 15 ms on an idle
 * machine. v2 avoids it (the payload is born in its group by CLONE_INTO_CGROUP); v1 needs
 * cgroup_make_fast(). The limits are written before anybody is inside, so there is no moment
 * without them. Kills by memory are read from the kernel's counter, never guessed.
 */
#include "engines/sandbox/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/str.h"

enum {
	FILE_BYTES_MAX = 4096, /* memory.stat has about 2000 */
	GAUGE_BYTES_MAX = 512, /* cpu.stat's first lines are what counts */
	NUMBER_BYTES_MAX = 32,
	NSEC_PER_USEC = 1000,
	REMOVE_TRIES = 200,
	REMOVE_PAUSE_NSEC = 100 * 1000,
	PATH_BYTES = 512,
	CHARGE_BYTES_MAX = 2 << 20, /* a huge page: more is not asked for at once */
};

#define MOUNT_POINT "/sys/fs/cgroup"
#define SLICE "cupel"
#define FAST_MARKER "/run/cupel-favordynmods"

static const char *const v1_names[CGROUP_CONTROLLER_COUNT] = {
	[CGROUP_MEMORY] = "memory",
	[CGROUP_PIDS] = "pids",
	[CGROUP_CPU] = "cpuacct",
};

static int controller_count(enum sandbox_backend backend)
{
	return backend == SANDBOX_BACKEND_CGROUP_V2 ? 1 : CGROUP_CONTROLLER_COUNT;
}

static bool read_text(int dir, const char *file, char *text, size_t size)
{
	text[0] = 0;
	if (dir < 0)
		return false;
	auto_close fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);
	text[got > 0 ? got : 0] = 0;
	return got > 0;
}

/* v2: groups below it have memory and pids. */
static bool hands_on(int dir)
{
	char text[FILE_BYTES_MAX];
	return read_text(dir, "cgroup.subtree_control", text, sizeof(text)) &&
	       strstr(text, "memory") && strstr(text, "pids");
}

static bool is_delegated(const char *dir)
{
	auto_close fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && faccessat(fd, ".", W_OK, 0) == 0 &&
	       faccessat(fd, "cgroup.procs", W_OK, 0) == 0 && hands_on(fd);
}

/*
 * v2 without root: the nearest directory above our own group that was given to this user (systemd:
 * Delegate=yes, user@.service) and hands memory and pids on. False when there is none.
 */
static bool find_delegated(char path[static PATH_BYTES])
{
	struct err ignored;
	auto_done(buf) own = {};
	if (fd_read_file("/proc/self/cgroup", FILE_BYTES_MAX, &own, &ignored) < 0)
		return false;
	const char *start = strstr(buf_string(&own), "0::/");
	if (!start || str_format(path, PATH_BYTES, &ignored, MOUNT_POINT "%.*s",
			      (int)strcspn(start + 3, "\n"), start + 3) < 0)
		return false;
	while (!is_delegated(path)) {
		char *end = strrchr(path, '/');
		if ((size_t)(end - path) < sizeof(MOUNT_POINT))
			return false;
		*end = 0;
	}
	return true;
}

/* Where the slice of a controller is; v2 has one place for all. */
static int slice_path(
	const struct cgroup *group, int controller, char path[static PATH_BYTES], struct err *err)
{
	char base[PATH_BYTES];
	if (group->is_rootless && find_delegated(base))
		return str_format(path, PATH_BYTES, err, "%s/" SLICE, base);
	if (group->backend == SANDBOX_BACKEND_CGROUP_V2)
		return str_format(path, PATH_BYTES, err, MOUNT_POINT "/" SLICE);
	return str_format(path, PATH_BYTES, err, MOUNT_POINT "/%s/" SLICE, v1_names[controller]);
}

static int write_value(int dir, const char *file, uint64_t value, struct err *err)
{
	char text[24];
	auto_close fd = openat(dir, file, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, E_UNAVAILABLE, "cgroup file %s", file);
	TRY(str_format(text, sizeof(text), err, "%llu", (unsigned long long)value));
	if (write(fd, text, strlen(text)) < 0)
		return err_sys(err, E_UNAVAILABLE, "cgroup file %s = %s", file, text);
	return 0;
}

static uint64_t read_value(int dir, const char *file)
{
	char text[NUMBER_BYTES_MAX];
	return read_text(dir, file, text, sizeof(text)) ? strtoull(text, NULL, 10) : 0;
}

/* The number behind "key " at the start of a line; 0 when there is none. */
static uint64_t find_value(const char *text, const char *key)
{
	size_t size = strlen(key);
	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, size) == 0 && line[size] == ' ')
			return strtoull(line + size, NULL, 10);
	}
	return 0;
}

static int set_limits_v1(struct cgroup *group, const struct sandbox_limits *limits, struct err *err)
{
	struct err ignored;
	int memory = group->dirs[CGROUP_MEMORY];
	int status = write_value(memory, "memory.limit_in_bytes", limits->memory_bytes, err);
	if (status < 0) { /* raising: the sum with swap must be raised first */
		(void)write_value(
			memory, "memory.memsw.limit_in_bytes", limits->memory_bytes, &ignored);
		TRY(write_value(memory, "memory.limit_in_bytes", limits->memory_bytes, err));
	}
	/* Absent when the kernel accounts no swap: then there is none to give. */
	(void)write_value(memory, "memory.memsw.limit_in_bytes", limits->memory_bytes, &ignored);
	return write_value(group->dirs[CGROUP_PIDS], "pids.max", limits->tasks, err);
}

static int set_limits_v2(struct cgroup *group, const struct sandbox_limits *limits, struct err *err)
{
	struct err ignored;
	int dir = group->dirs[0];
	TRY(write_value(dir, "memory.max", limits->memory_bytes, err));
	(void)write_value(dir, "memory.swap.max", 0, &ignored); /* absent without swap accounting */
	TRY(write_value(dir, "memory.oom.group", 1, err));
	return write_value(dir, "pids.max", limits->tasks, err);
}

int cgroup_set_limits(struct cgroup *group, const struct sandbox_limits *limits, struct err *err)
{
	if (group->backend == SANDBOX_BACKEND_CGROUP_V2)
		return set_limits_v2(group, limits, err);
	if (group->backend == SANDBOX_BACKEND_CGROUP_V1)
		return set_limits_v1(group, limits, err);
	return 0;
}

bool cgroup_set_tasks(const struct cgroup *group, uint64_t tasks)
{
	struct err ignored;
	bool is_v2 = group->backend == SANDBOX_BACKEND_CGROUP_V2;
	return group->backend != SANDBOX_BACKEND_NONE &&
	       write_value(group->dirs[is_v2 ? 0 : CGROUP_PIDS], "pids.max", tasks, &ignored) == 0;
}

/* Of cpu nothing is limited, and its use is always counted. */
static int enable_controllers(const char *path, struct err *err)
{
	static const char wanted[] = "+memory +pids";
	char file[PATH_BYTES];
	TRY(str_format(file, sizeof(file), err, "%s/cgroup.subtree_control", path));
	auto_close fd = -1;
	TRY(fd_open(file, O_WRONLY, 0, &fd, err));
	if (write(fd, wanted, strlen(wanted)) < 0)
		return err_sys(err, E_UNAVAILABLE, "enabling %s in %s", wanted, path);
	return 0;
}

/* In a container the group that it sees as the root may not, or has processes of its own. */
static bool can_hand_on(const char *path)
{
	struct err ignored;
	auto_close fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return hands_on(fd) || enable_controllers(path, &ignored) == 0;
}

enum sandbox_backend cgroup_detect(bool is_rootless)
{
	char base[PATH_BYTES];
	bool is_v2 = access(MOUNT_POINT "/cgroup.controllers", F_OK) == 0;
	if (is_v2)
		return (is_rootless ? find_delegated(base) : can_hand_on(MOUNT_POINT))
			       ? SANDBOX_BACKEND_CGROUP_V2
			       : SANDBOX_BACKEND_NONE;
	for (int i = 0; i < CGROUP_CONTROLLER_COUNT; i++) {
		char path[PATH_BYTES];
		struct err ignored;
		if (str_format(path, sizeof(path), &ignored, MOUNT_POINT "/%s/cgroup.procs",
			    v1_names[i]) < 0 ||
			access(path, W_OK) < 0)
			return SANDBOX_BACKEND_NONE;
	}
	return SANDBOX_BACKEND_CGROUP_V1;
}

static int make_slice(const struct cgroup *group, const char *path, struct err *err)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return err_sys(err, E_UNAVAILABLE, "mkdir %s", path);
	return group->backend == SANDBOX_BACKEND_CGROUP_V2 ? enable_controllers(path, err) : 0;
}

/* What does not fit into our buffer is there the next time. */
static void kill_listed(int dir, const char *file, int spared_pid)
{
	char text[FILE_BYTES_MAX];
	if (!read_text(dir, file, text, sizeof(text)))
		return;
	for (char *at = text, *end; *at; at = end + (*end == '\n')) {
		long pid = strtol(at, &end, 10);
		if (end == at || *end != '\n') /* cut: not the whole number */
			break;
		if (pid > 1 && pid != spared_pid)
			(void)kill((pid_t)pid, SIGKILL);
	}
}

/* Kill what is inside a stale group and remove it. */
static bool remove_group(int slice, const char *name)
{
	struct timespec pause = { .tv_nsec = REMOVE_PAUSE_NSEC };
	for (int i = 0; i < REMOVE_TRIES; i++) {
		if (unlinkat(slice, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			return true;
		char file[PATH_BYTES];
		struct err ignored;
		if (str_format(file, sizeof(file), &ignored, "%s/cgroup.procs", name) == 0)
			kill_listed(slice, file, 0);
		(void)nanosleep(&pause, NULL);
	}
	return false;
}

/*
 * v2: a slice that stands may be one whose maker has not enabled its controllers yet, or died
 * before. Then the files of the limits are missing, and it is done again.
 */
static int set_first_limits(
	struct cgroup *group, const struct sandbox_limits *limits, struct err *err)
{
	char slice[PATH_BYTES];
	int status = cgroup_set_limits(group, limits, err);
	if (status == 0 || group->backend != SANDBOX_BACKEND_CGROUP_V2)
		return status;
	TRY(slice_path(group, 0, slice, err));
	TRY(make_slice(group, slice, err));
	return cgroup_set_limits(group, limits, err);
}

static int make_one(struct cgroup *group, int controller, struct err *err)
{
	char slice[PATH_BYTES];
	TRY(slice_path(group, controller, slice, err));
	auto_close dir = open(slice, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		TRY(make_slice(group, slice, err));
		TRY(fd_open(slice, O_PATH | O_DIRECTORY, 0, &dir, err));
	}
	int status = mkdirat(dir, group->name, 0755);
	if (status < 0 && errno == EEXIST && remove_group(dir, group->name))
		status = mkdirat(dir, group->name, 0755);
	if (status < 0)
		return err_sys(err, E_UNAVAILABLE, "mkdir %s/%s", slice, group->name);
	TRY(fd_open_beneath(
		dir, group->name, O_RDONLY | O_DIRECTORY, 0, &group->dirs[controller], err));
	TRY(fd_open_beneath(group->dirs[controller], "cgroup.procs", O_WRONLY, 0,
		&group->procs[controller], err));
	return 0;
}

static const struct {
	int controller;
	const char *file;
} gauge_files[2][CGROUP_GAUGE_COUNT] = {
	{
		[CGROUP_GAUGE_OOM] = { 0, "memory.events" },
		[CGROUP_GAUGE_CPU] = { 0, "cpu.stat" },
		[CGROUP_GAUGE_SYSTEM] = { 0, NULL }, /* in cpu.stat, too */
		[CGROUP_GAUGE_PEAK] = { 0, "memory.peak" },
		[CGROUP_GAUGE_TASKS] = { 0, "pids.current" },
		[CGROUP_GAUGE_REFUSALS] = { 0, "pids.events" },
	},
	{
		[CGROUP_GAUGE_OOM] = { CGROUP_MEMORY, "memory.oom_control" },
		[CGROUP_GAUGE_CPU] = { CGROUP_CPU, "cpuacct.usage" },
		[CGROUP_GAUGE_SYSTEM] = { CGROUP_CPU, "cpuacct.usage_sys" },
		[CGROUP_GAUGE_PEAK] = { CGROUP_MEMORY, "memory.max_usage_in_bytes" },
		[CGROUP_GAUGE_TASKS] = { CGROUP_PIDS, "pids.current" },
		[CGROUP_GAUGE_REFUSALS] = { CGROUP_PIDS, "pids.events" },
	},
};

static void open_gauges(struct cgroup *group)
{
	bool is_v1 = group->backend == SANDBOX_BACKEND_CGROUP_V1;
	struct err ignored; /* memory.peak is younger than v2; a missing gauge reads 0 */
	for (int i = 0; i < CGROUP_GAUGE_COUNT; i++) {
		int dir = group->dirs[gauge_files[is_v1][i].controller];
		const char *file = gauge_files[is_v1][i].file;
		int *gauge = &group->gauges[i];
		if (!file)
			continue;
		bool is_written = i == CGROUP_GAUGE_PEAK; /* cgroup_reset_peak */
		if ((!is_written || fd_open_beneath(dir, file, O_RDWR, 0, gauge, &ignored) < 0) &&
			fd_open_beneath(dir, file, O_RDONLY, 0, gauge, &ignored) < 0)
			*gauge = -1;
	}
}

int cgroup_make(struct cgroup *ret_group, int pid, bool is_rootless,
	const struct sandbox_limits *limits, struct err *err)
{
	struct cgroup group = CGROUP_NONE;
	group.is_rootless = is_rootless;
	group.backend = cgroup_detect(is_rootless);
	if (group.backend == SANDBOX_BACKEND_NONE) {
		*ret_group = group;
		return 0;
	}
	if (group.backend == SANDBOX_BACKEND_CGROUP_V1)
		(void)cgroup_make_fast();
	TRY(str_format(group.name, sizeof(group.name), err, "s%d", pid));
	int status = 0;
	for (int i = 0; status == 0 && i < controller_count(group.backend); i++)
		status = make_one(&group, i, err);
	if (status == 0)
		status = set_first_limits(&group, limits, err);
	if (status == 0)
		open_gauges(&group);
	if (status < 0) {
		(void)cgroup_remove(&group);
		return status;
	}
	*ret_group = group;
	return 0;
}

static bool read_gauge(
	const struct cgroup *group, enum cgroup_gauge gauge, char text[static GAUGE_BYTES_MAX])
{
	ssize_t got = -1;
	if (group->gauges[gauge] >= 0)
		got = pread(group->gauges[gauge], text, GAUGE_BYTES_MAX - 1, 0);
	text[got > 0 ? got : 0] = 0;
	return got > 0;
}

uint32_t cgroup_oom_kills(const struct cgroup *group)
{
	char text[GAUGE_BYTES_MAX];
	if (!read_gauge(group, CGROUP_GAUGE_OOM, text))
		return 0;
	return (uint32_t)find_value(text, "oom_kill");
}

bool cgroup_is_at_limit(const struct cgroup *group)
{
	char text[GAUGE_BYTES_MAX];
	uint64_t limit;
	if (group->backend == SANDBOX_BACKEND_CGROUP_V2)
		return read_gauge(group, CGROUP_GAUGE_OOM, text) && find_value(text, "oom");
	/* memory.failcnt stays 0 in kernels of today */
	limit = read_value(group->dirs[CGROUP_MEMORY], "memory.limit_in_bytes");
	return read_gauge(group, CGROUP_GAUGE_PEAK, text) &&
	       strtoull(text, NULL, 10) + CHARGE_BYTES_MAX >= limit;
}

uint32_t cgroup_task_refusals(const struct cgroup *group)
{
	char text[GAUGE_BYTES_MAX];
	if (!read_gauge(group, CGROUP_GAUGE_REFUSALS, text))
		return 0;
	return (uint32_t)find_value(text, "max");
}

struct cgroup_cpu cgroup_cpu(const struct cgroup *group)
{
	char text[GAUGE_BYTES_MAX];
	struct cgroup_cpu cpu = {};
	if (!read_gauge(group, CGROUP_GAUGE_CPU, text))
		return cpu;
	if (group->backend == SANDBOX_BACKEND_CGROUP_V2)
		return (struct cgroup_cpu){ find_value(text, "usage_usec"),
			find_value(text, "system_usec") };
	cpu.usec = strtoull(text, NULL, 10) / NSEC_PER_USEC;
	if (read_gauge(group, CGROUP_GAUGE_SYSTEM, text))
		cpu.system_usec = strtoull(text, NULL, 10) / NSEC_PER_USEC;
	return cpu;
}

uint64_t cgroup_memory(const struct cgroup *group)
{
	bool is_v2 = group->backend == SANDBOX_BACKEND_CGROUP_V2;
	int dir = group->dirs[CGROUP_MEMORY]; /* the first: also v2's */
	return read_value(dir, is_v2 ? "memory.current" : "memory.usage_in_bytes");
}

void cgroup_usage(const struct cgroup *group, struct cgroup_usage *ret_usage)
{
	char text[GAUGE_BYTES_MAX];
	*ret_usage = (struct cgroup_usage){ .cpu = cgroup_cpu(group) };
	if (read_gauge(group, CGROUP_GAUGE_PEAK, text))
		ret_usage->memory_peak_bytes = strtoull(text, NULL, 10);
}

uint32_t cgroup_tasks(const struct cgroup *group)
{
	char text[GAUGE_BYTES_MAX];
	if (group->backend == SANDBOX_BACKEND_NONE)
		return 0;
	if (!read_gauge(group, CGROUP_GAUGE_TASKS, text))
		return CGROUP_TASKS_UNKNOWN;
	return (uint32_t)strtoul(text, NULL, 10);
}

void cgroup_kill_others(const struct cgroup *group, int spared_pid)
{
	bool is_v2 = group->backend == SANDBOX_BACKEND_CGROUP_V2;
	kill_listed(group->dirs[is_v2 ? 0 : CGROUP_PIDS], "cgroup.procs", spared_pid);
}

/* v2 resets what the writing descriptor reads, from Linux 6.12; v1 what everybody reads. */
bool cgroup_reset_peak(const struct cgroup *group)
{
	return group->backend == SANDBOX_BACKEND_NONE ||
	       write(group->gauges[CGROUP_GAUGE_PEAK], "0", 1) == 1;
}

/*
 * Give the page cache it was charged for back to the root, or the group lingers. That takes longer
 * than all the rest of the removal, so only if there is some.
 */
static void empty_memory(const struct cgroup *group)
{
	char text[FILE_BYTES_MAX];
	struct err ignored;
	int dir = group->dirs[CGROUP_MEMORY];
	if (group->backend == SANDBOX_BACKEND_CGROUP_V1 &&
		read_text(dir, "memory.stat", text, sizeof(text)) &&
		(find_value(text, "cache") || find_value(text, "rss")))
		(void)write_value(dir, "memory.force_empty", 0, &ignored);
}

bool cgroup_remove(struct cgroup *group)
{
	bool all_gone = true;
	for (int i = 0; i < CGROUP_GAUGE_COUNT; i++)
		fd_close(&group->gauges[i]);
	empty_memory(group);
	for (int i = 0; i < controller_count(group->backend); i++) {
		fd_close(&group->procs[i]);
		if (group->dirs[i] < 0)
			continue;
		fd_close(&group->dirs[i]);
		struct err missing;
		char path[PATH_BYTES];
		auto_close slice = -1;
		int status = slice_path(group, i, path, &missing);
		if (status == 0)
			status = fd_open(path, O_PATH | O_DIRECTORY, 0, &slice, &missing);
		all_gone = status == 0 && remove_group(slice, group->name) && all_gone;
	}
	return all_gone;
}

/* "s123" belongs to a supervisor that lives when process 123 is one and no zombie. */
static bool is_stale(const char *name)
{
	char path[PATH_BYTES];
	char stat[128] = "";
	uint64_t pid;
	struct err ignored;
	if (name[0] != 's' || str_parse_u64(name + 1, 1, 1u << 30, &pid, &ignored) < 0)
		return false;
	if (str_format(path, sizeof(path), &ignored, "/proc/%llu/stat", (unsigned long long)pid) <
		0)
		return false;
	auto_close fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) /* whoever cannot look (EMFILE) does not know */
		return errno == ENOENT;
	if (read(fd, stat, sizeof(stat) - 1) <= 0)
		return errno == ESRCH;
	return !strstr(stat, " (cupel-sandbox) ") || strstr(stat, ") Z ");
}

uint32_t cgroup_sweep(void)
{
	uint32_t removed = 0;
	struct cgroup group = CGROUP_NONE;
	struct err ignored;
	char path[PATH_BYTES];
	group.backend = cgroup_detect(false);
	if (group.backend == SANDBOX_BACKEND_NONE)
		return 0;
	for (int i = 0; i < controller_count(group.backend); i++) {
		DIR *slice = NULL;
		if (slice_path(&group, i, path, &ignored) == 0)
			slice = opendir(path);
		if (!slice)
			continue;
		for (struct dirent *entry = readdir(slice); entry; entry = readdir(slice))
			if (entry->d_type == DT_DIR && is_stale(entry->d_name) &&
				remove_group(dirfd(slice), entry->d_name))
				removed++;
		(void)closedir(slice);
	}
	return removed;
}

static int make_fast_hierarchy(void)
{
	auto_close context = (int)syscall(SYS_fsopen, "cgroup", 1 /* FSOPEN_CLOEXEC */);
	if (context < 0 || syscall(SYS_fsconfig, context, FSCONFIG_SET_FLAG, "none", NULL, 0) < 0 ||
		syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "name", "cupel", 0) < 0 ||
		syscall(SYS_fsconfig, context, FSCONFIG_SET_FLAG, "favordynmods", NULL, 0) < 0 ||
		syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return E_UNAVAILABLE;
	auto_close mounted = (int)syscall(SYS_fsmount, context, 1 /* FSMOUNT_CLOEXEC */, 0);
	if (mounted < 0)
		return E_UNAVAILABLE;
	/* A hierarchy with a child stays when its last mount goes, and with it the flag. */
	if (mkdirat(mounted, "keep", 0755) < 0 && errno != EEXIST)
		return E_UNAVAILABLE;
	return 0;
}

bool cgroup_make_fast(void)
{
	if (access(FAST_MARKER, F_OK) == 0) /* /run is empty after a boot, as the flag is */
		return true;
	if (make_fast_hierarchy() < 0)
		return false;
	auto_close marker = open(FAST_MARKER, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	return marker >= 0;
}
