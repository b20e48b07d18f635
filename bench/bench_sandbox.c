/*
 * Time sandboxes and their peers, interleaved in one process: round by round every contender runs
 * once, so that whatever else the machine does falls on all alike.
 *
 *	bench_sandbox latency ROUNDS GAP_MS < contenders
 *	bench_sandbox throughput SECONDS WORKERS < contenders
 *	bench_sandbox kill ROUNDS 0 < contenders
 *	bench_sandbox hold COUNT 0 < contender
 *
 * A contender is a line: name, kind, root directory, program, arguments; separated by tabs.
 * Kinds: bare (posix_spawn and wait; root unused), cold, warm, hot, zygote (python), parked-python,
 * parked-node (our tiers). In a tight loop each runs twice and the second counts, so caches know a
 * bare program, but never a sandbox that was built since; bare-once runs once, so its caches are
 * those that the contender before it left. A bare program runs in the ordinary class, as one in a
 * sandbox does, whatever class we are in.
 * Latency prints "name what p50 p99 min" in microseconds; what is "done" (result known) or "gone"
 * (nothing left). Kill waits for the program's first line, ends it (bare: SIGKILL; ours:
 * sandbox_close()) and prints the same with "dead", when no process of it is left; bare: when
 * nobody holds its output any more, which is a little sooner. Throughput prints "name
 * runs-per-second".
 */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engines/sandbox/sandbox.h"

enum { CONTENDERS_MAX = 32, ARGS_MAX = 32, LINE_MAX_BYTES = 4096, FIELDS_BEFORE_ARGS = 3 };

struct contender {
	char line[LINE_MAX_BYTES];
	const char *name;
	const char *kind;
	int root;
	int warm; /* control of the sandbox that stays; -1 before its first run */
	char *argv[ARGS_MAX + 1];
	double *done;
	double *gone;
};

static double now_usec(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void fail(const char *what, const struct err *err)
{
	fprintf(stderr, "%s: %s\n", what, err ? err->message : "failed");
	exit(1);
}

static void run_bare(const struct contender *c, double *ret_done, double *ret_gone)
{
	char *env[] = { "PATH=/usr/bin:/bin:/usr/sbin", "HOME=/root", NULL };
	const struct sched_param ordinary = {};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	pid_t pid;
	int status;
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSCHEDULER);
	posix_spawnattr_setschedpolicy(&attributes, SCHED_OTHER);
	posix_spawnattr_setschedparam(&attributes, &ordinary);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	double start = now_usec();
	if (posix_spawn(&pid, c->argv[0], &actions, &attributes, c->argv, env) != 0)
		fail(c->name, NULL);
	waitpid(pid, &status, 0);
	*ret_done = *ret_gone = now_usec() - start;
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail(c->name, NULL);
}

static void wait_event(int control, enum sandbox_event_kind kind, const char *name)
{
	struct sandbox_event event;
	struct err err;
	do {
		if (sandbox_receive(control, 0, &event, &err) < 0)
			fail(name, &err);
		if (event.kind == SANDBOX_EVENT_DONE &&
			(event.result.cause != SANDBOX_CAUSE_EXITED || event.result.exit_code)) {
			fprintf(stderr, "%s: %s\n", name, event.result.text);
			exit(1);
		}
	} while (event.kind != kind);
}

static struct sandbox_plan plan_of(const struct contender *c)
{
	bool is_traced = strstr(c->name, "traced");
	return (struct sandbox_plan){
		.argv = (const char *const *)c->argv,
		.limits = SANDBOX_LIMITS_DEFAULT,
		.trace = is_traced ? SANDBOX_TRACE_EXEC : SANDBOX_TRACE_NONE,
		.may_lack = SANDBOX_LAYERS_BELTS,
	};
}

static int prepare(const struct contender *c, const struct sandbox_config *config)
{
	bool is_node = strcmp(c->kind, "parked-node") == 0;
	const char *park[] = { is_node ? "node" : "python3", is_node ? "-e" : "-c",
		is_node ? sandbox_park_node() : sandbox_park_python(), NULL };
	enum sandbox_tier tier = strcmp(c->kind, "hot") == 0      ? SANDBOX_TIER_HOT
				 : strcmp(c->kind, "warm") == 0   ? SANDBOX_TIER_WARM
				 : strcmp(c->kind, "zygote") == 0 ? SANDBOX_TIER_ZYGOTE
								  : SANDBOX_TIER_PARKED;
	struct sandbox_files image = SANDBOX_FILES_NONE;
	struct sandbox_plan plan = plan_of(c);
	struct err err;
	int control;
	image.root_fd = c->root;
	if (tier == SANDBOX_TIER_PARKED || tier == SANDBOX_TIER_ZYGOTE)
		plan.argv = park;
	if (sandbox_open(config, &control, &err) < 0 ||
		sandbox_prepare(control, tier, &plan, &image, &err) < 0)
		fail(c->name, &err);
	wait_event(control, SANDBOX_EVENT_READY, c->name);
	return control;
}

static void run_ours(const struct contender *c, const struct sandbox_config *config, int gap_ms,
	double *ret_done, double *ret_gone)
{
	struct sandbox_files files = SANDBOX_FILES_NONE;
	struct sandbox_plan plan = plan_of(c);
	struct err err;
	int control = -1;
	bool is_cold = strcmp(c->kind, "cold") == 0;
	if (!is_cold) {
		control = prepare(c, config);
		usleep((useconds_t)gap_ms * 1000);
	}
	double start = now_usec();
	if (is_cold) {
		files.root_fd = c->root;
		if (sandbox_open(config, &control, &err) < 0)
			fail(c->name, &err);
	}
	if (sandbox_start(control, &plan, &files, &err) < 0)
		fail(c->name, &err);
	wait_event(control, SANDBOX_EVENT_DONE, c->name);
	*ret_done = now_usec() - start;
	wait_event(control, SANDBOX_EVENT_GONE, c->name);
	*ret_gone = now_usec() - start;
	close(control);
}

/* Until the sandbox is ready for the next run, that is until nothing of this one is left. */
static void run_warm(struct contender *c, const struct sandbox_config *config, double *ret_done,
	double *ret_gone)
{
	struct sandbox_files files = SANDBOX_FILES_NONE;
	struct sandbox_plan plan = plan_of(c);
	struct err err;
	if (c->warm < 0)
		c->warm = prepare(c, config);
	double start = now_usec();
	if (sandbox_start(c->warm, &plan, &files, &err) < 0)
		fail(c->name, &err);
	wait_event(c->warm, SANDBOX_EVENT_DONE, c->name);
	*ret_done = now_usec() - start;
	wait_event(c->warm, SANDBOX_EVENT_READY, c->name);
	*ret_gone = now_usec() - start;
}

static bool is_bare(const struct contender *c)
{
	return strcmp(c->kind, "bare") == 0 || strcmp(c->kind, "bare-once") == 0;
}

static void run_once(struct contender *c, const struct sandbox_config *config, int gap_ms,
	double *ret_done, double *ret_gone)
{
	if (is_bare(c))
		run_bare(c, ret_done, ret_gone);
	else if (strcmp(c->kind, "warm") == 0 || strcmp(c->kind, "zygote") == 0)
		run_warm(c, config, ret_done, ret_gone);
	else
		run_ours(c, config, gap_ms, ret_done, ret_gone);
}

static size_t read_contenders(struct contender *list)
{
	size_t count = 0;
	while (count < CONTENDERS_MAX && fgets(list[count].line, LINE_MAX_BYTES, stdin)) {
		struct contender *c = &list[count++];
		char *fields[FIELDS_BEFORE_ARGS + ARGS_MAX + 1] = { NULL };
		char *rest = c->line;
		rest[strcspn(rest, "\n")] = 0;
		for (size_t i = 0; rest && i < FIELDS_BEFORE_ARGS + ARGS_MAX; i++)
			fields[i] = strsep(&rest, "\t");
		c->name = fields[0];
		c->kind = fields[1];
		c->warm = -1;
		c->root = is_bare(c) ? -1 : open(fields[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		memcpy(c->argv, fields + FIELDS_BEFORE_ARGS, sizeof(c->argv));
	}
	return count;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;
	return (x > y) - (x < y);
}

static void print_latency(const struct contender *c, const char *what, double *values, size_t n)
{
	qsort(values, n, sizeof(*values), compare);
	printf("%s\t%s\t%.0f\t%.0f\t%.0f\n", c->name, what, values[n / 2], values[n * 99 / 100],
		values[0]);
}

static void measure_latency(struct contender *list, size_t count, size_t rounds, int gap_ms,
	const struct sandbox_config *config)
{
	for (size_t i = 0; i < count; i++) {
		list[i].done = calloc(rounds, sizeof(double));
		list[i].gone = calloc(rounds, sizeof(double));
	}
	for (size_t round = 0; round < rounds; round++)
		for (size_t i = 0; i < count; i++) {
			usleep((useconds_t)gap_ms * 1000);
			if (gap_ms == 0 && strcmp(list[i].kind, "bare-once") != 0)
				run_once(&list[i], config, 0, &list[i].done[round],
					&list[i].gone[round]);
			run_once(&list[i], config, gap_ms, &list[i].done[round],
				&list[i].gone[round]);
		}
	for (size_t i = 0; i < count; i++) {
		print_latency(&list[i], "done", list[i].done, rounds);
		print_latency(&list[i], "gone", list[i].gone, rounds);
	}
}

/* Its output is a pipe that everybody in it holds. */
static double kill_bare(const struct contender *c, const int ends[static 2])
{
	char *env[] = { "PATH=/usr/bin:/bin:/usr/sbin", "HOME=/root", NULL };
	posix_spawn_file_actions_t actions;
	char bytes[64];
	pid_t pid;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	if (posix_spawn(&pid, c->argv[0], &actions, NULL, c->argv, env) != 0)
		fail(c->name, NULL);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	if (read(ends[0], bytes, sizeof(bytes)) <= 0)
		fail(c->name, NULL);
	double start = now_usec();
	kill(pid, SIGKILL);
	while (read(ends[0], bytes, sizeof(bytes)) > 0)
		;
	double dead = now_usec() - start;
	waitpid(pid, NULL, 0);
	return dead;
}

static double kill_ours(
	const struct contender *c, const struct sandbox_config *config, const int ends[static 2])
{
	struct sandbox_files files = SANDBOX_FILES_NONE;
	struct sandbox_plan plan = plan_of(c);
	struct err err;
	char bytes[64];
	int control;
	files.root_fd = c->root;
	files.stdout_fd = ends[1];
	plan.limits.processes = plan.limits.tasks = 64;
	if (sandbox_open(config, &control, &err) < 0 ||
		sandbox_start(control, &plan, &files, &err) < 0)
		fail(c->name, &err);
	close(ends[1]);
	if (read(ends[0], bytes, sizeof(bytes)) <= 0)
		fail(c->name, NULL);
	double start = now_usec();
	sandbox_close(&control); /* returns when all are dead and reaped */
	return now_usec() - start;
}

static void measure_kill(
	struct contender *list, size_t count, size_t rounds, const struct sandbox_config *config)
{
	for (size_t i = 0; i < count; i++)
		list[i].done = calloc(rounds, sizeof(double));
	for (size_t round = 0; round < rounds; round++)
		for (size_t i = 0; i < count; i++) {
			int ends[2];
			if (pipe2(ends, O_CLOEXEC) < 0)
				fail("pipe", NULL);
			list[i].done[round] = strcmp(list[i].kind, "bare") == 0
						      ? kill_bare(&list[i], ends)
						      : kill_ours(&list[i], config, ends);
			close(ends[0]);
		}
	for (size_t i = 0; i < count; i++)
		print_latency(&list[i], "dead", list[i].done, rounds);
}

static void work(
	struct contender *c, const struct sandbox_config *config, double until, long *counter)
{
	double done;
	double gone;
	while (now_usec() < until) {
		run_once(c, config, 0, &done, &gone);
		(*counter)++;
	}
	_exit(0);
}

static void measure_throughput(
	struct contender *c, int seconds, int workers, const struct sandbox_config *config)
{
	long *counters = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double start = now_usec();
	long sum = 0;
	for (int i = 0; i < workers; i++)
		if (fork() == 0)
			work(c, config, start + seconds * 1e6, &counters[i]);
	while (wait(NULL) > 0)
		;
	for (int i = 0; i < workers; i++)
		sum += counters[i];
	printf("%s\t%.0f\n", c->name, (double)sum / ((now_usec() - start) / 1e6));
	fflush(stdout);
}

/* Hold count ready sandboxes until killed, so that somebody can weigh them. */
static void hold(const struct contender *c, int count, const struct sandbox_config *config)
{
	for (int i = 0; i < count; i++)
		(void)prepare(c, config);
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	static struct contender list[CONTENDERS_MAX];
	struct sandbox_config config = { .supervisor_path = getenv("CUPEL_SANDBOX") };
	if (argc != 4 || !config.supervisor_path) {
		fprintf(stderr, "usage: CUPEL_SANDBOX=PATH bench_sandbox "
				"latency|throughput|kill|hold N N\n");
		return 2;
	}
	size_t count = read_contenders(list);
	int first = atoi(argv[2]);
	int second = atoi(argv[3]);
	if (strcmp(argv[1], "latency") == 0)
		measure_latency(list, count, (size_t)first, second, &config);
	if (strcmp(argv[1], "kill") == 0)
		measure_kill(list, count, (size_t)first, &config);
	if (strcmp(argv[1], "hold") == 0)
		hold(&list[0], first, &config);
	for (size_t i = 0; strcmp(argv[1], "throughput") == 0 && i < count; i++)
		measure_throughput(&list[i], first, second, &config);
	return 0;
}
