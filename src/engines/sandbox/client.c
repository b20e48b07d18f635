/*
 * The caller's end: start a supervisor, send the plan, receive events. See sandbox.h.
 *
 * The supervisor is a child of the caller, made on borrowed memory as vfork does (hence the raw
 * system calls). The control descriptor stays the only handle: GONE tells whose child it was, and
 * sandbox_receive() waits for it then, so that no caller has a zombie to care for.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engines/sandbox/cgroup.h"
#include "engines/sandbox/client.h"
#include "engines/sandbox/sandbox.h"
#include "engines/sandbox/sys.h"
#include "engines/sandbox/wire.h"
#include "kit/base/fd.h"

enum {
	CONTROL_FD = 3, /* of the supervisor */
	STACK_BYTES = 8192,
};

struct birth {
	const char *path;
	const char *verb;
	int control; /* the supervisor's end */
	int error;   /* positive errno when the program could not be executed */
	bool has_no_streams;
};

/* Runs on borrowed memory, becomes the supervisor. */
static int become_supervisor(void *argument)
{
	struct birth *birth = argument;
	const char *argv[] = { "cupel-sandbox", birth->verb, NULL };
	const char *env[] = { NULL };
	uint64_t no_signals = 0;
	long moved = sys3(fcntl, birth->control, F_DUPFD_CLOEXEC, CONTROL_FD + 1);
	long null = sys4(openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC, 0);
	long status = moved < 0 ? moved : null < 0 ? null : 0;
	birth->has_no_streams = null < 0;
	for (int fd = 0; status >= 0 && fd <= 2; fd++)
		status = null == fd ? sys3(fcntl, fd, F_SETFD, 0) : sys3(dup3, null, fd, 0);
	if (status >= 0)
		status = sys3(dup3, moved, CONTROL_FD, 0);
	if (status >= 0)
		status = sys3(close_range, CONTROL_FD + 1, ~0u, 0);
	if (status >= 0)
		status = sys0(setsid);
	if (status >= 0)
		status = sys4(rt_sigprocmask, SIG_SETMASK, &no_signals, 0, sizeof(no_signals));
	if (status >= 0)
		status = sys3(execve, birth->path, argv, env);
	birth->error = (int)-status;
	return 1;
}

/* Fails when somebody else waited, or SIGCHLD is ignored: then there is nothing to do. */
static void wait_for(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

int client_spawn(
	const struct sandbox_config *config, const char *verb, int *ret_control, struct err *err)
{
	uint8_t stack[STACK_BYTES] __attribute__((aligned(16)));
	int pair[2];
	TRY(fd_socketpair(SOCK_SEQPACKET, pair, err));
	auto_close ours = pair[0];
	auto_close theirs = pair[1];
	struct birth birth = { config->supervisor_path, verb, theirs, 0, false };
	struct clone_args args = {
		/* A handler of the caller's must not run in there: it has the caller's memory. */
		.flags = CLONE_VM | CLONE_VFORK | CLONE_CLEAR_SIGHAND,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)stack,
		.stack_size = sizeof(stack),
	};
	long pid = sys_spawn(&args, become_supervisor, &birth);
	if (pid < 0) {
		errno = (int)-pid;
		return err_sys(err, E_UNAVAILABLE, "starting a process");
	}
	if (birth.error) {
		wait_for((pid_t)pid);
		errno = birth.error;
		if (birth.has_no_streams)
			return err_sys(err, E_UNAVAILABLE, "/dev/null for the supervisor");
		return err_sys(err, birth.error == ENOENT ? E_NOT_FOUND : E_UNAVAILABLE,
			"starting %s", config->supervisor_path);
	}
	*ret_control = take_fd(&ours);
	return 0;
}

int sandbox_open(const struct sandbox_config *config, int *ret_control, struct err *err)
{
	return client_spawn(config, "slot", ret_control, err);
}

void client_collect_files(const struct sandbox_files *files, int ret_fds[static WIRE_FILES],
	size_t *ret_count, uint32_t *ret_mask)
{
	const int members[WIRE_FILES] = { files->root_fd, files->mask_fd, files->app_fd,
		files->data_fd, files->stdin_fd, files->stdout_fd, files->stderr_fd };
	*ret_count = 0;
	*ret_mask = 0;
	for (size_t i = 0; i < WIRE_FILES; i++) {
		if (members[i] < 0)
			continue;
		ret_fds[(*ret_count)++] = members[i];
		*ret_mask |= 1u << i;
	}
}

static int send_plan(int control, enum wire_kind kind, enum sandbox_tier tier,
	const struct sandbox_plan *plan, const struct sandbox_files *files, struct err *err)
{
	int fds[WIRE_FILES];
	size_t count;
	uint32_t mask;
	auto_done(buf) message = { .limit = WIRE_MESSAGE_MAX };
	TRY(sandbox_plan_check(plan, err));
	client_collect_files(files, fds, &count, &mask);
	TRY(wire_encode_plan(kind, tier, plan, mask, &message, err));
	return fd_send(control, buf_view(&message), fds, count, err);
}

int sandbox_start(int control, const struct sandbox_plan *plan, const struct sandbox_files *files,
	struct err *err)
{
	return send_plan(control, WIRE_PLAN, SANDBOX_TIER_COLD, plan, files, err);
}

int client_check_prepare(enum sandbox_tier tier, const struct sandbox_plan *plan, struct err *err)
{
	if (tier == SANDBOX_TIER_COLD || tier >= SANDBOX_TIER_COUNT)
		return err_set(err, E_INVALID,
			"expected hot, warm, parked or zygote; a cold sandbox is not prepared");
	if ((tier == SANDBOX_TIER_WARM || tier == SANDBOX_TIER_ZYGOTE) &&
		plan->trace == SANDBOX_TRACE_FILES)
		return err_set(
			err, E_INVALID, "the file set is not traced in warm and zygote sandboxes");
	return sandbox_plan_check(plan, err);
}

int sandbox_prepare(int control, enum sandbox_tier tier, const struct sandbox_plan *plan,
	const struct sandbox_files *files, struct err *err)
{
	TRY(client_check_prepare(tier, plan, err));
	return send_plan(control, WIRE_PREPARE, tier, plan, files, err);
}

int sandbox_receive(int control, int flags, struct sandbox_event *ret_event, struct err *err)
{
	struct sandbox_event event;
	int fds[FD_PASS_MAX];
	size_t fd_count;
	ssize_t size;
	TRY(fd_receive(control, &event, sizeof(event), flags & SANDBOX_DONT_WAIT ? MSG_DONTWAIT : 0,
		&size, fds, &fd_count, err));
	auto_close results = fd_count == 1 ? fds[0] : -1;
	for (size_t i = 0; i < fd_count && fd_count > 1; i++)
		fd_close(&fds[i]);
	if (fd_count > 1)
		return err_set(err, E_INTEGRITY, "sandbox message: unexpected descriptors");
	if (size < 0) {
		*ret_event = (struct sandbox_event){ .kind = SANDBOX_EVENT_NONE, .results_fd = -1 };
		return 0;
	}
	if (size == 0)
		return err_set(err, E_UNAVAILABLE,
			"the sandbox supervisor died; its sandbox died with it");
	TRY(wire_decode_event(view_of(&event, (size_t)size), &event, err));
	if (results >= 0 && event.kind != SANDBOX_EVENT_DONE)
		return err_set(err, E_INTEGRITY, "sandbox message: unexpected descriptors");
	*ret_event = event;
	ret_event->results_fd = take_fd(&results);
	if (ret_event->kind == SANDBOX_EVENT_GONE) {
		if (ret_event->ppid == (uint32_t)getpid())
			wait_for((pid_t)ret_event->pid);
		ret_event->pid = ret_event->ppid = 0; /* pids of the host are nobody's business */
	}
	return 0;
}

void sandbox_close(int *control)
{
	struct sandbox_event event = {};
	struct err ignored;
	if (*control < 0)
		return;
	(void)shutdown(*control, SHUT_WR); /* as good as closing: the supervisor ends its run */
	while (event.kind != SANDBOX_EVENT_GONE) {
		if (sandbox_receive(*control, 0, &event, &ignored) < 0)
			break;
		fd_close(&event.results_fd);
	}
	fd_close(control);
}

int sandbox_cancel(int control, struct err *err)
{
	struct wire_head head = { WIRE_VERSION, WIRE_CANCEL };
	return fd_send(control, view_of(&head, sizeof(head)), NULL, 0, err);
}

int sandbox_sweep(uint32_t *ret_removed, struct err *err)
{
	if (geteuid() != 0)
		return err_set(err, E_DENIED, "sweeping needs root");
	*ret_removed = cgroup_sweep();
	return 0;
}
