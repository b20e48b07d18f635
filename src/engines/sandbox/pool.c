/*
 * The pool process. See pool.h.
 *
 * One loop over the owner's descriptor, the one sandbox that is being built, guests, and all that
 * are ready (a ready one that says anything is broken: it is dropped and replaced). A template that
 * fails to build several times in a row is given up: the reason is the answer to every take, and a
 * take has it tried once more, for the reason may be gone. The owner never waits for a sandbox; a
 * guest does, and sees nothing else.
 */
#include "engines/sandbox/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engines/sandbox/pool_wire.h"
#include "engines/sandbox/slot.h"
#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "kit/base/time.h"

enum {
	CALLERS_MAX = 1 + POOL_GUESTS_MAX,
	WATCHED_MAX = 1 /* building */ + 1 /* listener */ + CALLERS_MAX +
		      POOL_TEMPLATES_MAX * POOL_SIZE_MAX,
	NICE_WHILE_BUILDING = 10,
	REST_USEC = 6000,
	SHORTAGE_REST_MS = 10,
	RETRY_USEC = 100000,           /* after a build that failed */
	RETRY_GIVEN_UP_USEC = 1000000, /* after the last of a template that is given up */
	BUILD_MAX_USEC = 30000000,     /* a disk under the image may not answer */
	SILENT_MAX_USEC = 1000000, /* a guest that asks nothing, when others wait for its place */
};

struct caller {
	int socket; /* -1: none */
	bool is_waiting;
	uint64_t since_usec;
	char name[POOL_NAME_MAX]; /* the template it waits for */
};

struct template
{
	char name[POOL_NAME_MAX];
	struct buf message; /* PREPARE, sent to each new sandbox */
	int fds[FD_PASS_MAX];
	size_t fd_count;
	uint32_t wanted;
	int ready[POOL_SIZE_MAX];
	uint32_t ready_count;
	uint32_t failures;   /* in a row */
	uint64_t retry_usec; /* after a failure: none is built before */
	bool is_asked_for;   /* by a take, since it was given up */
	char reason[SANDBOX_CAUSE_TEXT_MAX];
};

struct pool {
	struct caller callers[CALLERS_MAX]; /* the first is the owner */
	int listener;
	struct template templates[POOL_TEMPLATES_MAX];
	size_t template_count;
	int building; /* -1 none */
	uint64_t building_since_usec;
	struct template *building_for;
	uint64_t rest_until_usec; /* only what has none left is built before */
	struct sandbox_pool_status counts;
	struct pollfd *watched;
	size_t watched_count; /* after the wait: those that have woken */
};

static struct template *find(struct pool *pool, const char *name)
{
	for (size_t i = 0; i < pool->template_count; i++)
		if (str_equal(pool->templates[i].name, name))
			return &pool->templates[i];
	return NULL;
}

/* Whoever waits for one will get one, or the reason why not. */
static bool is_coming(struct pool *pool, const char *name)
{
	struct template *template = find(pool, name);
	return template && template->wanted;
}

/* One that was set to none may be another's. */
static struct template *find_unused(struct pool *pool)
{
	for (size_t i = 0; i < pool->template_count; i++)
		if (!pool->templates[i].wanted)
			return &pool->templates[i];
	return NULL;
}

static void drop_ready(struct template *template, uint32_t index)
{
	fd_close(&template->ready[index]);
	template->ready[index] = template->ready[--template->ready_count];
}

static void clear(struct pool *pool, struct template *template)
{
	while (template->ready_count)
		drop_ready(template, template->ready_count - 1);
	for (size_t i = 0; i < template->fd_count; i++)
		fd_close(&template->fds[i]);
	template->fd_count = 0;
	buf_done(&template->message);
	if (pool->building_for == template)
		fd_close(&pool->building);
}

static bool is_given_up(const struct template *template)
{
	return template->failures >= POOL_FAILURES_MAX;
}

static void build_failed(struct pool *pool, const char *reason)
{
	struct template *template = pool->building_for;
	size_t size = MIN(strlen(reason), sizeof(template->reason) - 1);
	fd_close(&pool->building);
	pool->counts.failed_total++;
	template->failures++;
	template->retry_usec = time_monotonic_usec() +
			       (is_given_up(template) ? RETRY_GIVEN_UP_USEC : RETRY_USEC);
	template->is_asked_for = false;
	memcpy(template->reason, reason, size);
	template->reason[size] = 0;
}

/*
 * A supervisor from our own memory: an exec of the same program would cost three times the fork.
 * It gives way to runs until it gets its own (build_adopt).
 */
_Noreturn static void become_supervisor(int pool_control, int control)
{
	struct err err;
	if (dup3(control, pool_control, O_CLOEXEC) < 0 ||
		close_range((unsigned)pool_control + 1, ~0u, 0) < 0)
		_exit(EXIT_FAILURE);
	(void)setsid();
	int nice = getpriority(PRIO_PROCESS, 0);
	(void)setpriority(PRIO_PROCESS, 0, MAX(nice, NICE_WHILE_BUILDING));
	_exit(slot_serve(pool_control, nice, &err) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

static int fork_supervisor(const struct pool *pool, int *ret_control, struct err *err)
{
	int pair[2];
	TRY(fd_socketpair(SOCK_SEQPACKET, pair, err));
	auto_close ours = pair[0];
	auto_close theirs = pair[1];
	pid_t pid = fork();
	if (pid < 0)
		return err_sys(err, E_UNAVAILABLE, "fork");
	if (pid == 0)
		become_supervisor(pool->callers[0].socket, theirs);
	*ret_control = take_fd(&ours);
	return 0;
}

static void start_building(struct pool *pool, struct template *template)
{
	struct err err;
	pool->building_for = template;
	pool->building_since_usec = time_monotonic_usec();
	if (fork_supervisor(pool, &pool->building, &err) < 0 ||
		fd_send(pool->building, buf_view(&template->message), template->fds,
			template->fd_count, &err) < 0)
		build_failed(pool, err.message);
}

/* When to build the next one of it; a run that has just begun is left the processors meanwhile. */
static uint64_t build_usec(const struct pool *pool, const struct template *template)
{
	if (template->wanted <= template->ready_count ||
		(is_given_up(template) && !template->is_asked_for))
		return UINT64_MAX;
	return template->ready_count ? MAX(template->retry_usec, pool->rest_until_usec)
				     : template->retry_usec;
}

/* The template that lacks most gets the next one. Returns how long to wait for anything else. */
static int refill_ms(struct pool *pool)
{
	struct template *neediest = NULL;
	uint32_t most = 0;
	uint64_t now = time_monotonic_usec();
	uint64_t next = UINT64_MAX;
	for (size_t i = 0; pool->building < 0 && i < pool->template_count; i++) {
		struct template *template = &pool->templates[i];
		uint64_t due = build_usec(pool, template);
		uint32_t lack = template->wanted - template->ready_count;
		next = MIN(next, due);
		if (due <= now && lack > most) {
			most = lack;
			neediest = template;
		}
	}
	if (neediest) {
		start_building(pool, neediest);
		return pool->building < 0 ? 0 : -1; /* 0: somebody may wait for the reason */
	}
	return next == UINT64_MAX ? -1 : (int)((next - now) / 1000) + 1;
}

static void handle_building(struct pool *pool)
{
	struct template *template = pool->building_for;
	struct sandbox_event event;
	struct err err;
	if (sandbox_receive(pool->building, SANDBOX_DONT_WAIT, &event, &err) < 0) {
		build_failed(pool, err.message);
		return;
	}
	if (event.kind == SANDBOX_EVENT_DONE) {
		build_failed(pool, event.result.text);
		return;
	}
	if (event.kind != SANDBOX_EVENT_READY)
		return;
	template->failures = 0;
	pool->counts.built_total++;
	template->ready[template->ready_count++] = take_fd(&pool->building);
}

static int keep(struct pool *pool, const struct pool_request *request, struct view plan, int *fds,
	size_t fd_count, struct err *err)
{
	struct template *template = find(pool, request->name);
	if (!template)
		template = find_unused(pool);
	if (!template && pool->template_count == POOL_TEMPLATES_MAX)
		return err_set(err, E_LIMIT, "at most %d templates", POOL_TEMPLATES_MAX);
	if (request->count > POOL_SIZE_MAX)
		return err_set(err, E_LIMIT, "at most %d ready sandboxes", POOL_SIZE_MAX);
	if (!template)
		template = &pool->templates[pool->template_count++];
	clear(pool, template);
	*template = (struct template){ .wanted = request->count, .fd_count = fd_count };
	memcpy(template->name, request->name, sizeof(template->name));
	for (size_t i = 0; i < fd_count; i++)
		template->fds[i] = take_fd(&fds[i]);
	return buf_append(&template->message, plan, err);
}

static int take(struct pool *pool, const char *name, int *ret_fd, struct err *err)
{
	struct template *template = find(pool, name);
	if (template && !template->ready_count && is_given_up(template)) {
		template->is_asked_for = true;
		return err_set(err, E_UNAVAILABLE, "template %s cannot be built: %s", name,
			template->reason);
	}
	if (!template || !template->ready_count)
		return err_set(err, E_NOT_FOUND, "no sandbox of template %s is ready", name);
	/* The oldest first: it had the most time to settle. */
	*ret_fd = template->ready[0];
	memmove(template->ready, template->ready + 1,
		--template->ready_count * sizeof(template->ready[0]));
	pool->counts.taken_total++;
	pool->rest_until_usec = time_monotonic_usec() + REST_USEC;
	return 0;
}

/* Anything else would be ready for ever and give nobody. */
static int check_listener(int fd, struct err *err)
{
	int is_listening = 0;
	int type = 0;
	socklen_t size = sizeof(int);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &size) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || !is_listening ||
		type != SOCK_SEQPACKET)
		return err_set(err, E_INVALID, "expected a listening SOCK_SEQPACKET socket");
	return 0;
}

static int serve(struct pool *pool, struct caller *caller, struct view message, int *fds,
	size_t fd_count, int *ret_fd, struct err *err)
{
	struct pool_request request;
	bool is_owner = caller == &pool->callers[0];
	struct reader reader = reader_of(message);
	struct view head = reader_take(&reader, sizeof(request));
	if (reader.failed)
		return err_set(err, E_INTEGRITY, "sandbox pool: a request that is too short");
	memcpy(&request, head.data, sizeof(request));
	request.name[sizeof(request.name) - 1] = 0;
	if (request.version != WIRE_VERSION)
		return err_set(err, E_INTEGRITY, "sandbox pool: another version");
	if (request.kind == POOL_STATUS)
		return 0;
	if (request.kind == POOL_TAKE) {
		memcpy(caller->name, request.name, sizeof(caller->name));
		int status = take(pool, request.name, ret_fd, err);
		pool->counts.missed_total += status == E_NOT_FOUND;
		caller->is_waiting = !is_owner && status == E_NOT_FOUND &&
				     is_coming(pool, request.name);
		return status;
	}
	if (request.kind == POOL_KEEP && is_owner)
		return keep(pool, &request, reader.rest, fds, fd_count, err);
	if (request.kind == POOL_LISTEN && is_owner && fd_count == 1) {
		TRY(check_listener(fds[0], err));
		fd_close(&pool->listener);
		pool->listener = take_fd(&fds[0]);
		return 0;
	}
	return err_set(err, E_INTEGRITY, "sandbox pool: an unknown request");
}

static void count_now(struct pool *pool)
{
	pool->counts.ready = 0;
	pool->counts.building = pool->building >= 0;
	for (size_t i = 0; i < pool->template_count; i++)
		pool->counts.ready += pool->templates[i].ready_count;
}

static int reply(struct pool *pool, const struct caller *caller, int status, int given,
	const struct err *why)
{
	struct pool_reply reply = { .status = status };
	struct err err;
	if (status < 0)
		memcpy(reply.message, why->message, sizeof(reply.message));
	count_now(pool);
	reply.counts = pool->counts;
	return fd_send(caller->socket, view_of(&reply, sizeof(reply)), &given, given >= 0, &err);
}

/* One request and its answer, or a guest that waits for one; then the guest is done. */
static void handle_caller(struct pool *pool, struct caller *caller, uint8_t *message)
{
	struct err err = {};
	int fds[FD_PASS_MAX];
	size_t count = 0;
	ssize_t size;
	auto_close given = -1;
	int status = E_CONFLICT; /* who waits has nothing to say */
	if (!caller->is_waiting)
		status = fd_receive(
			caller->socket, message, POOL_MESSAGE_MAX, 0, &size, fds, &count, &err);
	if ((status < 0 && status != E_LIMIT) || (status == 0 && size <= 0)) {
		fd_close(&caller->socket);
		return;
	}
	if (status == 0) /* else its descriptors did not fit into our table: a reason to say so */
		status = serve(
			pool, caller, view_of(message, (size_t)size), fds, count, &given, &err);
	for (size_t i = 0; i < count; i++)
		fd_close(&fds[i]);
	if (caller->is_waiting)
		return;
	if (reply(pool, caller, status, given, &err) < 0 || caller != &pool->callers[0])
		fd_close(&caller->socket);
}

static void serve_waiting(struct pool *pool)
{
	for (struct caller *caller = pool->callers; caller < pool->callers + CALLERS_MAX;
		caller++) {
		struct err err = {};
		auto_close given = -1;
		if (caller->socket < 0 || !caller->is_waiting)
			continue;
		int status = take(pool, caller->name, &given, &err);
		if (status == E_NOT_FOUND && is_coming(pool, caller->name))
			continue;
		(void)reply(pool, caller, status, given, &err);
		fd_close(&caller->socket);
	}
}

static struct caller *free_caller(struct pool *pool)
{
	for (size_t i = 1; i < CALLERS_MAX; i++)
		if (pool->callers[i].socket < 0)
			return &pool->callers[i];
	return NULL;
}

static void let_in(struct pool *pool)
{
	struct caller *place = free_caller(pool);
	int guest = place ? accept4(pool->listener, NULL, NULL, SOCK_CLOEXEC) : -1;
	if (guest >= 0)
		*place = (struct caller){ .socket = guest, .since_usec = time_monotonic_usec() };
	else if (place && (errno == EMFILE || errno == ENFILE))
		(void)poll(NULL, 0, SHORTAGE_REST_MS); /* it is ready until there is room */
}

static void watch(struct pool *pool, int fd)
{
	if (fd >= 0)
		pool->watched[pool->watched_count++] = (struct pollfd){ fd, POLLIN, 0 };
}

static void watch_all(struct pool *pool)
{
	pool->watched_count = 0;
	watch(pool, pool->building);
	if (free_caller(pool))
		watch(pool, pool->listener);
	for (size_t i = 0; i < CALLERS_MAX; i++)
		watch(pool, pool->callers[i].socket);
	for (size_t t = 0; t < pool->template_count; t++)
		for (uint32_t i = 0; i < pool->templates[t].ready_count; i++)
			watch(pool, pool->templates[t].ready[i]);
}

/* poll() refuses a list longer than RLIMIT_NOFILE, so only what is open is in it. */
static int wait_for_any(struct pool *pool, int timeout_ms, struct err *err)
{
	size_t woken = 0;
	watch_all(pool);
	if (poll(pool->watched, pool->watched_count, timeout_ms) < 0 && errno != EINTR)
		return err_sys(err, E_UNAVAILABLE, "poll of %zu descriptors", pool->watched_count);
	for (size_t i = 0; i < pool->watched_count; i++)
		if (pool->watched[i].revents)
			pool->watched[woken++] = pool->watched[i];
	pool->watched_count = woken;
	return 0;
}

static bool has_woken(const struct pool *pool, int fd)
{
	for (size_t i = 0; i < pool->watched_count; i++)
		if (pool->watched[i].fd == fd)
			return true;
	return false;
}

/* A ready sandbox has nothing to say; one that does is broken. */
static void drop_broken(struct pool *pool)
{
	for (size_t t = 0; t < pool->template_count; t++)
		for (uint32_t i = pool->templates[t].ready_count; i-- > 0;)
			if (has_woken(pool, pool->templates[t].ready[i]))
				drop_ready(&pool->templates[t], i);
}

/* How long to wait at most, when wait_ms (-1: for ever) is enough for the rest. */
static int rest_ms(struct pool *pool, int wait_ms)
{
	enum { LOOK_MS = 1000 };
	bool is_looking = pool->building >= 0 || !free_caller(pool);
	return is_looking && (wait_ms < 0 || wait_ms > LOOK_MS) ? LOOK_MS : wait_ms;
}

static void end_late(struct pool *pool)
{
	uint64_t now = time_monotonic_usec();
	if (pool->building >= 0 && !has_woken(pool, pool->building) &&
		now - pool->building_since_usec > BUILD_MAX_USEC)
		build_failed(pool, "not ready in time, as where a disk does not answer");
	if (free_caller(pool))
		return;
	for (struct caller *caller = pool->callers + 1; caller < pool->callers + CALLERS_MAX;
		caller++)
		if (!caller->is_waiting && !has_woken(pool, caller->socket) &&
			now - caller->since_usec > SILENT_MAX_USEC)
			fd_close(&caller->socket);
}

/*
 * What is closed here may give its number to what is opened after it, which has not woken. So
 * guests are let in before anything is closed, what has just been built is not among the ready ones
 * when these are looked at, and what requests bring is not asked for in the same round.
 */
static int serve_once(struct pool *pool, uint8_t *message, struct err *err)
{
	TRY(wait_for_any(pool, rest_ms(pool, refill_ms(pool)), err));
	end_late(pool);
	if (has_woken(pool, pool->listener))
		let_in(pool);
	drop_broken(pool);
	if (has_woken(pool, pool->building))
		handle_building(pool);
	serve_waiting(pool);
	for (size_t i = 0; i < CALLERS_MAX; i++)
		if (has_woken(pool, pool->callers[i].socket))
			handle_caller(pool, &pool->callers[i], message);
	return 0;
}

int pool_serve(int control, struct err *err)
{
	struct rlimit files;
	struct pool *pool = mem_alloc(1, sizeof(*pool));
	auto_free uint8_t *message = mem_alloc(1, POOL_MESSAGE_MAX);
	for (size_t i = 0; i < CALLERS_MAX; i++)
		pool->callers[i].socket = i == 0 ? control : -1;
	pool->listener = pool->building = -1;
	pool->watched = mem_alloc(WATCHED_MAX, sizeof(*pool->watched));
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	(void)signal(SIGCHLD, SIG_IGN); /* supervisors are our children; nobody waits for them */
	int status = 0;
	while (status == 0 && pool->callers[0].socket >= 0)
		status = serve_once(pool, message, err);
	for (size_t t = 0; t < pool->template_count; t++)
		clear(pool, &pool->templates[t]);
	for (size_t i = 0; i < CALLERS_MAX; i++)
		fd_close(&pool->callers[i].socket);
	fd_close(&pool->listener);
	mem_free(pool->watched);
	mem_free(pool);
	return status;
}
