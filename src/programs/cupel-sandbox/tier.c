/*
 * One run in a chosen tier. Prepared tiers are built, waited for, and then given the plan: what a
 * pool does ahead of time happens here at once, so the run is the same, only later.
 */
#include "programs/cupel-sandbox/tier.h"

#include <poll.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "engines/sandbox/pool.h"
#include "kit/base/fd.h"
#include "kit/base/signals.h"
#include "kit/base/str.h"

static const struct sandbox_config config = { .supervisor_path = "/proc/self/exe" };

int tier_parse(const char *name, enum sandbox_tier *ret_tier, struct err *err)
{
	for (unsigned i = 0; i < SANDBOX_TIER_COUNT; i++) {
		if (!str_equal(name, sandbox_tier_name((enum sandbox_tier)i)))
			continue;
		*ret_tier = (enum sandbox_tier)i;
		return 0;
	}
	return err_set(
		err, E_INVALID, "tier: expected cold, warm, hot, parked or zygote, got %s", name);
}

/* What waits in a parked sandbox for this program. */
static int park(enum sandbox_tier tier, const char *program,
	const char *ret_argv[static TIER_PARKED_ARGV], struct err *err)
{
	const char *slash = strrchr(program, '/');
	const char *name = slash ? slash + 1 : program;
	bool is_node = str_equal(name, "node");
	if (is_node && tier == SANDBOX_TIER_ZYGOTE)
		return err_set(err, E_INVALID,
			"zygote: expected python3 as the program, got %s; use parked", program);
	if (!is_node && !str_equal(name, "python3"))
		return err_set(err, E_INVALID,
			"%s: expected python3%s as the program, got %s; use hot",
			sandbox_tier_name(tier), tier == SANDBOX_TIER_PARKED ? " or node" : "",
			program);
	ret_argv[0] = program;
	ret_argv[1] = is_node ? "-e" : "-c";
	ret_argv[2] = is_node ? sandbox_park_node() : sandbox_park_python();
	ret_argv[3] = NULL;
	return 0;
}

int tier_plan_ahead(enum sandbox_tier tier, const struct sandbox_plan *plan,
	const char *ret_parked[static TIER_PARKED_ARGV], struct sandbox_plan *ret_ahead,
	struct err *err)
{
	*ret_ahead = *plan;
	if (tier != SANDBOX_TIER_PARKED && tier != SANDBOX_TIER_ZYGOTE)
		return 0;
	TRY(park(tier, plan->argv[0], ret_parked, err));
	ret_ahead->argv = ret_parked;
	ret_ahead->cwd = NULL; /* the run's may lie in /app, which comes with the run */
	return 0;
}

/* Build ahead; files are then those that come with the run. */
static int prepare(int control, enum sandbox_tier tier, const struct sandbox_plan *plan,
	struct sandbox_files *files, struct err *err)
{
	struct sandbox_files image = SANDBOX_FILES_NONE;
	struct sandbox_plan ahead;
	struct sandbox_event event;
	const char *parked[TIER_PARKED_ARGV];
	TRY(tier_plan_ahead(tier, plan, parked, &ahead, err));
	image.root_fd = take_fd(&files->root_fd);
	image.mask_fd = take_fd(&files->mask_fd);
	TRY(sandbox_prepare(control, tier, &ahead, &image, err));
	TRY(sandbox_receive(control, 0, &event, err));
	if (event.kind == SANDBOX_EVENT_READY)
		return 0;
	return err_set(err, E_UNAVAILABLE, "%s sandbox: %s", sandbox_tier_name(tier),
		event.kind == SANDBOX_EVENT_DONE ? event.result.text : "not built");
}

/* Until there is something to receive. Asked to end, we end the run and tell how it ended. */
static void wait_for_event(int control, int signals)
{
	struct pollfd fds[] = { { .fd = control, .events = POLLIN },
		{ .fd = signals, .events = POLLIN } };
	struct signalfd_siginfo info;
	struct err ignored;
	while (fds[0].revents == 0) {
		if (poll(fds, ARRAY_SIZE(fds), -1) > 0 && fds[1].revents &&
			fd_read_exact(signals, &info, sizeof(info), &ignored) == 0)
			(void)!sandbox_cancel(control, &ignored);
	}
}

/* READY at the end: a sandbox of the warm or zygote tier could serve another run. It goes when it
 * is closed, and that is waited for. */
static int run(int control, const struct sandbox_plan *plan, const struct sandbox_files *files,
	tier_sink *sink, void *context, struct err *err)
{
	struct sandbox_event event = { .kind = SANDBOX_EVENT_NONE };
	auto_close signals = -1;
	TRY(signals_hold(&signals, err));
	TRY(sandbox_start(control, plan, files, err));
	while (event.kind != SANDBOX_EVENT_GONE && event.kind != SANDBOX_EVENT_READY) {
		wait_for_event(control, signals);
		TRY(sandbox_receive(control, 0, &event, err));
		sink(context, &event);
	}
	return 0;
}

int tier_run(enum sandbox_tier tier, const struct sandbox_plan *plan,
	const struct sandbox_files *files, tier_sink *sink, void *context, struct err *err)
{
	struct sandbox_files rest = *files;
	AUTO(sandbox_close) int control = -1;
	TRY(sandbox_open(&config, &control, err));
	if (tier != SANDBOX_TIER_COLD)
		TRY(prepare(control, tier, plan, &rest, err));
	return run(control, plan, &rest, sink, context, err);
}

int tier_run_from_pool(const char *path, const struct sandbox_plan *plan,
	const struct sandbox_files *files, tier_sink *sink, void *context, struct err *err)
{
	auto_close pool = -1;
	AUTO(sandbox_close) int control = -1;
	TRY(tier_connect(path, &pool, err));
	TRY(sandbox_pool_take(pool, TIER_POOL_TEMPLATE, &control, err));
	return run(control, plan, files, sink, context, err);
}

int tier_address(const char *path, struct sockaddr_un *ret_address, struct err *err)
{
	size_t size = strlen(path);
	*ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (size == 0 || size >= sizeof(ret_address->sun_path))
		return err_set(err, E_INVALID, "path of a socket: expected 1 to %zu bytes, got %zu",
			sizeof(ret_address->sun_path) - 1, size);
	memcpy(ret_address->sun_path, path, size);
	return 0;
}

int tier_connect(const char *path, int *ret_socket, struct err *err)
{
	struct sockaddr_un address;
	auto_close fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	TRY(tier_address(path, &address, err));
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return err_sys(err, E_UNAVAILABLE,
			"%s: expected the socket of a running 'cupel-sandbox pool'", path);
	*ret_socket = take_fd(&fd);
	return 0;
}
