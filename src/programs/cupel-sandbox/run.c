/* cupel-sandbox run: one program in a sandbox, its streams passed through. */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "programs/cupel-sandbox/commands.h"
#include "programs/cupel-sandbox/options.h"
#include "programs/cupel-sandbox/tier.h"
#include "engines/sandbox/collect_name.h"
#include "engines/sandbox/slot.h"
#include "kit/base/buf.h"
#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/signals.h"
#include "kit/base/str.h"

enum { FD_OUT_OF_THE_WAY = 32, SIGNAL_BASE = 128, TRACE_WAIT_MS = 1000 };

struct run {
	struct options options;
	int terminal; /* our own stderr */
	bool is_deaf; /* nobody took our last line of the trace */
	unsigned lines_lost;
	struct sandbox_result result;
};

static void print_json(const struct run *run)
{
	const struct sandbox_result *r = &run->result;
	const struct sandbox_statistics *s = &r->statistics;
	(void)dprintf(run->terminal,
		"{\"cause\":\"%s\",\"exit_code\":%d,\"signal\":%d,\"tier\":\"%s\",\"backend\":\"%"
		"s\","
		"\"wall_usec\":%llu,\"cpu_usec\":%llu,\"memory_peak_bytes\":%llu,"
		"\"disk_bytes\":%llu,\"stdout_bytes\":%llu,\"stderr_bytes\":%llu,"
		"\"processes_peak\":%u,\"processes_total\":%u,\"forks_refused\":%u,"
		"\"oom_kills\":%u,\"trace_complete\":%s,\"not_enforced\":[",
		sandbox_cause_name(r->cause), r->exit_code, r->signal, sandbox_tier_name(r->tier),
		sandbox_backend_name(r->backend), (unsigned long long)s->wall_usec,
		(unsigned long long)s->cpu_usec, (unsigned long long)s->memory_peak_bytes,
		(unsigned long long)s->disk_bytes, (unsigned long long)s->stdout_bytes,
		(unsigned long long)s->stderr_bytes, s->processes_peak, s->processes_total,
		s->forks_refused, s->oom_kills, r->trace_complete ? "true" : "false");
	const char *comma = "";
	for (unsigned i = 0; i < SANDBOX_LAYER_COUNT; i++) {
		if (r->enforced & SANDBOX_LAYER_BIT(i))
			continue;
		(void)dprintf(run->terminal, "%s\"%s\"", comma,
			sandbox_layer_name((enum sandbox_layer)i));
		comma = ",";
	}
	(void)dprintf(run->terminal, "]}\n");
}

/* A reader that pauses stops neither the events nor the clock: it loses lines. */
static void show_line(struct run *run, struct view line)
{
	while (line.size) {
		struct pollfd room = { .fd = run->terminal, .events = POLLOUT };
		run->is_deaf = poll(&room, 1, run->is_deaf ? 0 : TRACE_WAIT_MS) <= 0;
		size_t size = MIN(
			line.size, (size_t)PIPE_BUF); /* a pipe with room takes that much */
		ssize_t written = run->is_deaf ? -1 : write(run->terminal, line.data, size);
		if (written <= 0) {
			run->lines_lost++;
			return;
		}
		line = view_of(line.data + written, line.size - (size_t)written);
	}
}

/* A path is the program's to choose: escaped. */
static void show_event(struct run *run, const struct sandbox_event *event)
{
	auto_done(buf) line = {};
	auto_free char *path = NULL;
	struct err ignored;
	int status = buf_append_format(
		&line, &ignored, "[%llu us] %u", (unsigned long long)event->t_usec, event->pid);
	if (status == 0 && event->kind == SANDBOX_EVENT_EXEC) {
		path = collect_escape(view_string(event->path));
		status = buf_append_format(
			&line, &ignored, " from %u: exec %s\n", event->ppid, path);
	} else if (status == 0) {
		status = buf_append_format(&line, &ignored, ": exit %d\n", event->exit_code);
	}
	if (status == 0)
		show_line(run, buf_view(&line));
}

static void on_event(void *context, const struct sandbox_event *event)
{
	struct run *run = context;
	bool is_of_trace = event->kind == SANDBOX_EVENT_EXEC || event->kind == SANDBOX_EVENT_EXIT;
	if (is_of_trace && run->options.show_trace)
		show_event(run, event);
	if (event->kind == SANDBOX_EVENT_DONE)
		run->result = event->result;
}

/* The payload's streams take our 0, 1 and 2: keep copies of them elsewhere. */
static int move_stdio(struct run *run, struct err *err)
{
	int *const targets[] = { &run->options.files.stdin_fd, &run->options.files.stdout_fd,
		&run->options.files.stderr_fd };
	for (int fd = 0; fd < 3; fd++) {
		*targets[fd] = fcntl(fd, F_DUPFD_CLOEXEC, FD_OUT_OF_THE_WAY);
		if (*targets[fd] < 0)
			return err_sys(err, E_UNAVAILABLE,
				"standard descriptor %d: expected room above descriptor %d; raise "
				"'ulimit -n'",
				fd, FD_OUT_OF_THE_WAY);
	}
	int terminal = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, FD_OUT_OF_THE_WAY);
	if (terminal < 0)
		return err_sys(err, E_UNAVAILABLE, "a second standard error");
	run->terminal = terminal;
	return 0;
}

static int exit_status(const struct run *run)
{
	const struct sandbox_result *result = &run->result;
	if (result->cause == SANDBOX_CAUSE_EXITED)
		return result->exit_code;
	if (result->cause == SANDBOX_CAUSE_SIGNALLED)
		return SIGNAL_BASE + result->signal;
	(void)dprintf(run->terminal, "cupel-sandbox: %s: %s\n", sandbox_cause_name(result->cause),
		result->text);
	return COMMAND_EXIT_LIMIT;
}

/* A shell's, that has become us: whom a supervisor waits for must be of its sandbox. */
static bool has_children(void)
{
	siginfo_t end;
	return waitid(P_ALL, 0, &end, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

/* Cold needs no second process: we are the supervisor, if nothing else keeps us waiting. */
static int run_plan(struct run *run, struct err *err)
{
	struct options *o = &run->options;
	if (o->pool)
		return tier_run_from_pool(o->pool, &o->plan, &o->files, on_event, run, err);
	if (o->tier == SANDBOX_TIER_COLD && !o->show_trace && !has_children())
		return slot_run_local(&o->plan, &o->files, on_event, run, err);
	return tier_run(o->tier, &o->plan, &o->files, on_event, run, err);
}

static int read_options(struct options *options, int argc, char **argv, struct err *err)
{
	TRY(options_parse(options, false, argc, argv, err));
	if (!options->plan.argv)
		return err_set(err, E_INVALID, "expected a program to run, got none");
	if (options->pool && (options->files.root_fd >= 0 || options->files.mask_fd >= 0))
		return err_set(err, E_INVALID, "--pool: its sandboxes have their root already");
	if (options->pool && options->tier != SANDBOX_TIER_COLD)
		return err_set(err, E_INVALID, "--pool: its sandboxes have their tier already");
	if (!options->pool && options->files.root_fd < 0)
		return err_set(err, E_INVALID, "--root: expected the image's directory, got none");
	return 0;
}

int command_run(int argc, char **argv)
{
	struct run run = { .terminal = STDERR_FILENO };
	struct err err;
	if (read_options(&run.options, argc, argv, &err) < 0) {
		(void)dprintf(STDERR_FILENO, "cupel-sandbox: %s\n", err.message);
		return COMMAND_EXIT_USAGE;
	}
	int status = move_stdio(&run, &err);
	if (status == 0)
		status = run_plan(&run, &err);
	signals_release(); /* the run has ended; who does not read what is left to say ends us */
	if (run.lines_lost)
		(void)dprintf(run.terminal,
			"cupel-sandbox: nobody took %u lines of the trace in time\n",
			run.lines_lost);
	if (status < 0) {
		(void)dprintf(run.terminal, "cupel-sandbox: %s\n", err.message);
		return status == E_INVALID ? COMMAND_EXIT_USAGE : COMMAND_EXIT_LIMIT;
	}
	if (run.options.show_json)
		print_json(&run);
	_exit(exit_status(&run)); /* a cold run is under the supervisor's filter: nothing more */
}
