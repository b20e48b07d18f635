/*
 * cupel-sandbox pool: sandboxes kept ready for whoever may connect to a socket.
 *
 * The pool itself is a process of its own (engines/sandbox/pool.h), this one owns it: when it goes,
 * the pool goes. The socket is for its user alone (mode 0600).
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "engines/sandbox/pool.h"
#include "kit/base/fd.h"
#include "kit/base/signals.h"
#include "kit/base/str.h"
#include "programs/cupel-sandbox/commands.h"
#include "programs/cupel-sandbox/options.h"
#include "programs/cupel-sandbox/tier.h"

enum { CONTROL_FD = 3, BACKLOG = 64, PRIVATE_MASK = 0177, LOOK_MS = 2 };

static void print_status(const struct sandbox_pool_status *status)
{
	(void)printf("{\"ready\":%u,\"building\":%u,\"taken_total\":%u,\"missed_total\":%u,"
		     "\"built_total\":%u,\"failed_total\":%u}\n",
		status->ready, status->building, status->taken_total, status->missed_total,
		status->built_total, status->failed_total);
	(void)fflush(stdout);
}

static int show_status(const char *path, struct err *err)
{
	struct sandbox_pool_status status;
	auto_close pool = -1;
	TRY(tier_connect(path, &pool, err));
	TRY(sandbox_pool_status(pool, &status, err));
	print_status(&status);
	return 0;
}

/* A socket that nobody serves any more is replaced. */
static int listen_at(const char *path, int *ret_listener, struct err *err)
{
	struct sockaddr_un address;
	struct err ignored;
	auto_close fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	auto_close other = -1;
	TRY(tier_address(path, &address, err));
	if (tier_connect(path, &other, &ignored) == 0)
		return err_set(err, E_CONFLICT, "%s: another pool listens there", path);
	struct stat status;
	if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode))
		(void)unlink(path);
	mode_t former = umask(PRIVATE_MASK);
	int result = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&address, sizeof(address));
	(void)umask(former);
	if (result < 0 || listen(fd, BACKLOG) < 0)
		return err_sys(err, E_UNAVAILABLE, "listening at %s", path);
	*ret_listener = take_fd(&fd);
	return 0;
}

static int keep(int pool, const struct options *options, struct err *err)
{
	struct sandbox_plan ahead;
	const char *parked[TIER_PARKED_ARGV];
	static const char *const nothing[] = { "/", NULL };
	struct sandbox_plan plan = options->plan;
	if (!plan.argv)
		plan.argv = nothing;
	TRY(tier_plan_ahead(options->tier, &plan, parked, &ahead, err));
	return sandbox_pool_keep(pool, TIER_POOL_TEMPLATE, options->tier, (uint32_t)options->ready,
		&ahead, &options->files, err);
}

/*
 * Until all are ready, or a signal came, or the first cannot be built: that is known now, not at
 * the first run.
 */
static int wait_ready(int pool, int signals, uint64_t wanted, bool *ret_is_ready, struct err *err)
{
	struct sandbox_pool_status status = {};
	struct pollfd end = { .fd = signals, .events = POLLIN };
	auto_close control = -1;
	while (status.ready < wanted) {
		TRY(sandbox_pool_status(pool, &status, err));
		if (status.failed_total >= POOL_FAILURES_MAX && !status.ready &&
			sandbox_pool_take(pool, TIER_POOL_TEMPLATE, &control, err) == E_UNAVAILABLE)
			return E_UNAVAILABLE;
		if (poll(&end, 1, LOOK_MS) > 0)
			break;
	}
	*ret_is_ready = status.ready >= wanted;
	return 0;
}

static int wait_for_signal(int pool, int signals, struct err *err)
{
	struct pollfd fds[] = { { signals, POLLIN, 0 }, { pool, POLLIN, 0 } };
	while (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno == EINTR)
		;
	return fds[1].revents ? err_set(err, E_UNAVAILABLE, "the pool's process died") : 0;
}

static int serve_guests(
	const struct options *options, int pool, int listener, int signals, struct err *err)
{
	TRY(sandbox_pool_listen(pool, listener, err));
	(void)dprintf(STDERR_FILENO, "cupel-sandbox: %llu %s sandboxes ready at %s\n",
		(unsigned long long)options->ready, sandbox_tier_name(options->tier),
		options->listen);
	return wait_for_signal(pool, signals, err);
}

static int serve(const struct options *options, int listener, int signals, struct err *err)
{
	static const struct sandbox_config config = { .supervisor_path = "/proc/self/exe" };
	struct sandbox_pool_status status;
	bool is_ready = false;
	auto_close pool = -1;
	TRY(sandbox_pool_open(&config, &pool, err));
	TRY(keep(pool, options, err));
	TRY(wait_ready(pool, signals, options->ready, &is_ready, err));
	if (is_ready)
		TRY(serve_guests(options, pool, listener, signals, err));
	TRY(sandbox_pool_status(pool, &status, err));
	print_status(&status);
	return 0;
}

/* Without arguments: a pool for the library, which holds the other end of descriptor 3. */
static int serve_library(struct err *err)
{
	struct stat status;
	if (fstat(CONTROL_FD, &status) < 0 || !S_ISSOCK(status.st_mode))
		return err_set(err, E_INVALID,
			"pool: expected --listen SOCKET, --status SOCKET, or the library's socket "
			"as descriptor %d",
			CONTROL_FD);
	return pool_serve(CONTROL_FD, err);
}

static int pool(int argc, char **argv, struct err *err)
{
	struct options options;
	auto_close listener = -1;
	auto_close signals = -1;
	if (argc == 0)
		return serve_library(err);
	TRY(options_parse(&options, true, argc, argv, err));
	if (options.status)
		return show_status(options.status, err);
	if (!options.listen || options.files.root_fd < 0)
		return err_set(err, E_INVALID,
			"pool: expected --root DIR and --listen SOCKET, or --status SOCKET");
	if (options.tier == SANDBOX_TIER_COLD)
		options.tier = options.plan.argv ? SANDBOX_TIER_PARKED : SANDBOX_TIER_HOT;
	TRY(signals_hold(&signals, err)); /* before there is a socket to leave behind */
	TRY(listen_at(options.listen, &listener, err));
	int result = serve(&options, listener, signals, err);
	(void)unlink(options.listen);
	return result;
}

int command_pool(int argc, char **argv)
{
	struct err err;
	int result = pool(argc, argv, &err);
	if (result == 0)
		return EXIT_SUCCESS;
	(void)dprintf(STDERR_FILENO, "cupel-sandbox: %s\n", err.message);
	return result == E_INVALID ? COMMAND_EXIT_USAGE : COMMAND_EXIT_FAILED;
}
