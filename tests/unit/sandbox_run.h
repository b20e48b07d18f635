/*
 * Around the sandbox tests: an image made of the one program `hostile`, and one function that
 * runs a verb of it and keeps everything that came out.
 */
#ifndef TESTS_UNIT_SANDBOX_RUN_H
#define TESTS_UNIT_SANDBOX_RUN_H

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engines/sandbox/sandbox.h"
#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "unit.h"

#ifndef SUPERVISOR_PATH
#define SUPERVISOR_PATH SUPERVISOR
#endif

enum { RUN_EXECS_MAX = 64, RUN_ARGS_MAX = 8 };

struct run {
	struct sandbox_plan plan;
	struct sandbox_files files;
	struct sandbox_result result;
	struct sandbox_event execs[RUN_EXECS_MAX];
	size_t exec_count;
	struct sandbox_event exits[RUN_EXECS_MAX];
	size_t exit_count;
	size_t stat_count;
	bool has_started;
	bool is_gone;
	struct buf out;
	struct buf error;
};

static const char *const run_env[] = { "LANG=C.UTF-8", NULL };

static void copy_file(const char *from, const char *to, mode_t mode)
{
	struct err err;
	auto_done(buf) bytes = {};
	ck_assert_ok(fd_read_file(from, 64u << 20, &bytes, &err), err);
	auto_close fd = -1;
	ck_assert_ok(fd_open(to, O_WRONLY | O_CREAT | O_TRUNC, mode, &fd, &err), err);
	ck_assert_ok(fd_write_all(fd, buf_view(&bytes), &err), err);
	ck_assert_int_eq(fchmod(fd, mode), 0);
}

static char run_image_path[] = "/tmp/cupel-test-image-XXXXXX";

static int remove_name(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
	(void)status, (void)kind, (void)walk;
	return remove(path);
}

static void remove_tree(const char *path)
{
	(void)nftw(path, remove_name, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static void run_remove_image(void)
{
	remove_tree(run_image_path);
}

/* A directory with bin/hostile and etc/passwd; returned as descriptor, kept per process. */
static int run_image(void)
{
	const char *path = run_image_path;
	static int fd = -1;
	char name[128];
	if (fd >= 0)
		return fd;
	ck_assert_ptr_nonnull(mkdtemp(run_image_path));
	(void)atexit(run_remove_image);
	ck_assert_int_eq(chmod(path, 0755), 0);
	static const char *const dirs[] = { "bin", "etc", "usr" };
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		snprintf(name, sizeof(name), "%s/%s", path, dirs[i]);
		ck_assert_int_eq(mkdir(name, 0755), 0);
	}
	snprintf(name, sizeof(name), "%s/bin/hostile", path);
	copy_file(HOSTILE, name, 0755);
	snprintf(name, sizeof(name), "%s/bin/exposure", path);
	copy_file(EXPOSURE, name, 0755);
	char hidden[128];
	snprintf(hidden, sizeof(hidden), "%s/.tools", path);
	ck_assert_int_eq(mkdir(hidden, 0755), 0);
	snprintf(hidden, sizeof(hidden), "%s/.tools/exposure", path);
	ck_assert_int_eq(link(name, hidden), 0);
	snprintf(name, sizeof(name), "%s/etc/passwd", path);
	copy_file("/etc/passwd", name, 0644);
	struct err err;
	ck_assert_ok(fd_open(path, O_RDONLY | O_DIRECTORY, 0, &fd, &err), err);
	return fd;
}

static void run_init(struct run *run)
{
	*run = (struct run){ .files = SANDBOX_FILES_NONE };
	run->plan.env = run_env;
	run->plan.limits = SANDBOX_LIMITS_DEFAULT;
	run->plan.limits.wall_ms = 20000;
	run->plan.trace = SANDBOX_TRACE_EXEC;
	run->plan.may_lack = SANDBOX_LAYERS_BELTS;
	run->files.root_fd = run_image();
}

static void run_done(struct run *run)
{
	buf_done(&run->out);
	buf_done(&run->error);
}

static void run_take_event(struct run *run, const struct sandbox_event *event)
{
	run->has_started |= event->kind == SANDBOX_EVENT_STARTED;
	run->is_gone |= event->kind == SANDBOX_EVENT_GONE;
	run->stat_count += event->kind == SANDBOX_EVENT_STAT;
	if (event->kind == SANDBOX_EVENT_EXEC && run->exec_count < RUN_EXECS_MAX)
		run->execs[run->exec_count++] = *event;
	if (event->kind == SANDBOX_EVENT_EXIT && run->exit_count < RUN_EXECS_MAX)
		run->exits[run->exit_count++] = *event;
	if (event->kind == SANDBOX_EVENT_DONE)
		run->result = event->result;
}

/* The same tests in another tier: RUN_TIER=hot, warm or zygote in the environment. */
UNUSED static bool run_is_tier(const char *name)
{
	const char *tier = getenv("RUN_TIER");
	return tier && str_equal(tier, name);
}

/* One that becomes any program must have its name. */
static const char *run_zygote_name(const char *program)
{
	static char inside[64];
	char from[128], to[128];
	if (str_ends(program, "/hostile"))
		return program;
	snprintf(to, sizeof(to), "%s/zygote", run_image_path);
	(void)mkdir(to, 0755);
	snprintf(inside, sizeof(inside), "/zygote%s", strrchr(program, '/'));
	snprintf(from, sizeof(from), "%s/bin/hostile", run_image_path);
	snprintf(to, sizeof(to), "%s%s", run_image_path, inside);
	(void)!link(from, to);
	return inside;
}

static void run_build_ahead(int control, const struct run *run, struct sandbox_files *files)
{
	const char *name = getenv("RUN_TIER");
	struct sandbox_files image = SANDBOX_FILES_NONE;
	struct sandbox_plan plan = run->plan;
	enum sandbox_tier tier = SANDBOX_TIER_COLD;
	struct sandbox_event event;
	struct err err;
	if (!name)
		return;
	while (!str_equal(sandbox_tier_name(tier), name))
		tier++;
	const char *zygote[] = { run_zygote_name(run->plan.argv[0]), "zygote", NULL };
	if (tier == SANDBOX_TIER_ZYGOTE)
		plan.argv = zygote;
	image.root_fd = files->root_fd;
	image.mask_fd = files->mask_fd;
	files->root_fd = files->mask_fd = -1;
	ck_assert_ok(sandbox_prepare(control, tier, &plan, &image, &err), err);
	ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
	ck_assert_msg(event.kind == SANDBOX_EVENT_READY, "%s", event.result.text);
}

static int run_start(struct run *run)
{
	static const struct sandbox_config config = { .supervisor_path = SUPERVISOR_PATH };
	struct err err;
	struct sandbox_files files = run->files;
	int control = -1;
	ck_assert_ok(sandbox_open(&config, &control, &err), err);
	run_build_ahead(control, run, &files);
	ck_assert_ok(sandbox_start(control, &run->plan, &files, &err), err);
	return control;
}

/* Receive until nothing of the run is left. */
static void run_receive_all(struct run *run, int control)
{
	struct err err;
	struct sandbox_event event;
	do {
		ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
		run_take_event(run, &event);
	} while (!run->is_gone && event.kind != SANDBOX_EVENT_READY);
	sandbox_close(&control); /* READY: a warm one would go on */
}

/* And read what the run wrote. */
static void run_finish(struct run *run, int control)
{
	struct err err;
	run_receive_all(run, control);
	ck_assert_int_eq(lseek(run->files.stdout_fd, 0, SEEK_SET), 0);
	ck_assert_int_eq(lseek(run->files.stderr_fd, 0, SEEK_SET), 0);
	ck_assert_ok(fd_read_all(run->files.stdout_fd, 64u << 20, &run->out, &err), err);
	ck_assert_ok(fd_read_all(run->files.stderr_fd, 64u << 20, &run->error, &err), err);
	fd_close(&run->files.stdout_fd);
	fd_close(&run->files.stderr_fd);
}

UNUSED static int run_begin(struct run *run, const char *const argv[])
{
	struct err err;
	run->plan.argv = argv;
	ck_assert_ok(fd_memfd("out", &run->files.stdout_fd, &err), err);
	ck_assert_ok(fd_memfd("err", &run->files.stderr_fd, &err), err);
	return run_start(run);
}

/* The host pid of the process whose arguments end with this tag, and of its parent. */
UNUSED static bool run_find_tagged(const char *tag, long *ret_pid, long *ret_parent)
{
	DIR *proc = opendir("/proc");
	bool is_found = false;
	for (struct dirent *entry = readdir(proc); entry && !is_found; entry = readdir(proc)) {
		char path[300];
		char text[512] = "";
		struct err err;
		auto_done(buf) bytes = {};
		snprintf(path, sizeof(path), "/proc/%s/cmdline", entry->d_name);
		if (entry->d_name[0] < '0' || entry->d_name[0] > '9' ||
			fd_read_file(path, 1 << 20, &bytes, &err) < 0 ||
			bytes.size < strlen(tag) + 1 ||
			strcmp((char *)bytes.data + bytes.size - strlen(tag) - 1, tag) != 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
		FILE *file = fopen(path, "re");
		is_found = file && fgets(text, sizeof(text), file);
		if (file)
			fclose(file);
		*ret_pid = atol(entry->d_name);
		*ret_parent = is_found ? atol(strrchr(text, ')') + 4) : 0;
	}
	closedir(proc);
	return is_found;
}

/* Soon: one forked from a zygote has to execute its program first. */
UNUSED static void run_await_tagged(const char *tag, long *ret_pid, long *ret_parent)
{
	bool is_there = false;
	for (int i = 0; i < 2000 && !is_there; i++) {
		is_there = run_find_tagged(tag, ret_pid, ret_parent);
		(void)usleep(is_there ? 0 : 1000);
	}
	ck_assert(is_there);
}

#define ARGV(...) ((const char *const[]){ "/bin/hostile", __VA_ARGS__, NULL })

UNUSED static void run_argv(struct run *run, const char *const argv[])
{
	run_finish(run, run_begin(run, argv));
}

/* What the exposure probe gets through; the fourth only where Landlock does not stop it. */
UNUSED static const char *run_expected_exposure(const struct run *run)
{
	static const char names[] = "through memfd_create\nthrough socket_unix\n"
				    "through socketpair\n\0through write_own_memory\n";
	static char expected[sizeof(names)];
	bool is_stopped = run->result.enforced & SANDBOX_LAYER_BIT(SANDBOX_LAYER_LANDLOCK);
	snprintf(expected, sizeof(expected), "%s%s", names,
		is_stopped ? "" : names + strlen(names) + 1);
	return expected;
}

/* Of a run that used 50 ms and touched some pages after a warm-up of 100 ms and 100 pages. */
UNUSED static void run_check_statistics(const struct sandbox_statistics *statistics)
{
	uint64_t parts = statistics->cpu_user_usec + statistics->cpu_system_usec;
	ck_assert_uint_ge(statistics->cpu_usec, 40000);
	ck_assert_uint_lt(statistics->cpu_usec, 90000);
	ck_assert_uint_eq(parts, statistics->cpu_usec);
	ck_assert_uint_gt(statistics->cpu_user_usec, 0);
	ck_assert_uint_gt(statistics->faults_minor, 0);
	ck_assert_uint_gt(statistics->memory_peak_bytes, 0);
}

#define run_verb(run, ...) run_argv(run, ARGV(__VA_ARGS__))

#define ck_assert_cause(run, expected)                                                 \
	ck_assert_msg((run)->result.cause == (expected), "cause %s (%s), expected %s", \
		sandbox_cause_name((run)->result.cause), (run)->result.text,           \
		sandbox_cause_name(expected))

/* It did not run, and the text says why. */
#define ck_assert_refused(run, why)                                               \
	do {                                                                      \
		ck_assert_cause(run, SANDBOX_CAUSE_INTERNAL);                     \
		ck_assert_msg(strstr((run)->result.text, why), "%s, expected %s", \
			(run)->result.text, why);                                 \
	} while (0)

#endif
