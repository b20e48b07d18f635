/* The pool: hands out, refills, gives up on what cannot be built, dies without leaving anything. */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "engines/sandbox/pool.h"
#include "sandbox_run.h"

enum { TRIES = 2000, TRY_USEC = 1000, ANSWER_S = 10 };

static const struct sandbox_config config = { .supervisor_path = SUPERVISOR };

static int open_pool(void)
{
	struct err err;
	int pool = -1;
	ck_assert_ok(sandbox_pool_open(&config, &pool, &err), err);
	return pool;
}

static void keep(int pool, const char *name, uint32_t count)
{
	struct err err;
	struct run r;
	run_init(&r);
	r.plan.argv = ARGV("unused");
	ck_assert_ok(
		sandbox_pool_keep(pool, name, SANDBOX_TIER_HOT, count, &r.plan, &r.files, &err),
		err);
}

static void wait_ready(int pool, uint32_t count)
{
	struct sandbox_pool_status status = {};
	struct err err;
	for (int i = 0; i < TRIES && status.ready != count; i++) {
		ck_assert_ok(sandbox_pool_status(pool, &status, &err), err);
		(void)usleep(TRY_USEC);
	}
	ck_assert_uint_eq(status.ready, count);
}

/* In a sandbox of the pool's. */
static void run_from(int pool, struct run *run, const char *const *argv)
{
	struct err err;
	int control = -1;
	run_init(run);
	run->files.root_fd = -1;
	run->plan.argv = argv;
	ck_assert_ok(fd_memfd("o", &run->files.stdout_fd, &err), err);
	ck_assert_ok(fd_memfd("e", &run->files.stderr_fd, &err), err);
	ck_assert_ok(sandbox_pool_take(pool, "hostile", &control, &err), err);
	ck_assert_ok(sandbox_start(control, &run->plan, &run->files, &err), err);
	run_finish(run, control);
}

START_TEST(takes_and_refills)
{
	struct err err;
	struct sandbox_pool_status status;
	int pool = open_pool();
	keep(pool, "hostile", 3);
	for (int round = 0; round < 3; round++) {
		wait_ready(pool, 3);
		for (int i = 0; i < 3; i++) {
			auto_done(run) r;
			run_from(pool, &r, ARGV("exit", "4"));
			ck_assert_int_eq(r.result.exit_code, 4);
			ck_assert_int_eq(r.result.tier, SANDBOX_TIER_HOT);
		}
	}
	ck_assert_ok(sandbox_pool_status(pool, &status, &err), err);
	ck_assert_uint_eq(status.taken_total, 9);
	ck_assert_uint_eq(status.failed_total, 0);
	(void)close(pool);
}
END_TEST

/* What the pool was started with, not what it builds with. */
START_TEST(runs_have_the_priority_of_the_pool)
{
	auto_done(run) cold;
	auto_done(run) ready = {};
	run_init(&cold);
	ck_assert_int_eq(setpriority(PRIO_PROCESS, 0, 4), 0);
	run_verb(&cold, "nice");
	ck_assert_int_eq(cold.result.exit_code, 4);
	int pool = open_pool();
	keep(pool, "hostile", 1);
	wait_ready(pool, 1);
	run_from(pool, &ready, ARGV("nice"));
	ck_assert_int_eq(ready.result.exit_code, 4);
	(void)close(pool);
}
END_TEST

/* Of the pool's process, the only child of a test. */
static void limit_descriptors(rlim_t count)
{
	struct err err;
	struct rlimit limit;
	auto_done(buf) text = {};
	ck_assert_ok(fd_read_file("/proc/thread-self/children", 4096, &text, &err), err);
	pid_t pool = (pid_t)strtol(buf_string(&text), NULL, 10);
	ck_assert_int_eq(prlimit(pool, RLIMIT_NOFILE, NULL, &limit), 0);
	limit.rlim_cur = count;
	ck_assert_int_eq(prlimit(pool, RLIMIT_NOFILE, &limit, NULL), 0);
}

/* A guest's connection to the pool, through an abstract address of this process. */
static int visit(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int guest = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "cupel-test-%d", getpid());
	ck_assert_int_eq(connect(guest, (struct sockaddr *)&address, sizeof(address)), 0);
	return guest;
}

static void let_guests_in(int pool)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct err err;
	auto_close listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "cupel-test-%d", getpid());
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(listener, 64), 0);
	ck_assert_ok(sandbox_pool_listen(pool, listener, &err), err);
}

/* More guests than places: all get a sandbox, in their own time; those who leave hold up nobody. */
START_TEST(guests_wait_for_a_sandbox)
{
	enum { GUESTS = POOL_GUESTS_MAX + 1 };
	struct err err;
	struct sandbox_pool_status status;
	int silent[POOL_GUESTS_MAX - 1];
	int pool = open_pool();
	let_guests_in(pool);
	keep(pool, "hostile", 1);
	for (int i = 0; i < POOL_GUESTS_MAX - 1; i++)
		silent[i] = visit();
	for (int i = 0; i < GUESTS; i++) {
		auto_close guest = visit(), control = -1;
		ck_assert_ok(sandbox_pool_take(guest, "hostile", &control, &err), err);
		ck_assert_int_ge(control, 0);
	}
	for (int i = 0; i < POOL_GUESTS_MAX - 1; i++)
		(void)close(silent[i]);
	auto_close guest = visit();
	ck_assert_ok(sandbox_pool_status(guest, &status, &err), err);
	ck_assert_uint_eq(status.taken_total, GUESTS);
	(void)close(pool);
}
END_TEST

/* All places are taken by guests that ask for nothing: they make room. */
START_TEST(silent_guests_give_way)
{
	struct err err;
	int control = -1;
	int silent[POOL_GUESTS_MAX];
	int pool = open_pool();
	let_guests_in(pool);
	keep(pool, "hostile", 1);
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++)
		silent[i] = visit();
	auto_close guest = visit();
	ck_assert_ok(sandbox_pool_take(guest, "hostile", &control, &err), err);
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++)
		(void)close(silent[i]);
	(void)close(control);
	(void)close(pool);
}
END_TEST

/* What does not fit into its table is refused, and that is all. */
START_TEST(a_template_too_many_for_its_descriptors)
{
	enum { STANDARD_AND_CONTROL = 4 };
	struct err err;
	struct run r;
	struct sandbox_pool_status status;
	int pool = open_pool();
	run_init(&r);
	r.plan.argv = ARGV("unused");
	ck_assert_ok(sandbox_pool_status(pool, &status, &err), err);
	limit_descriptors(STANDARD_AND_CONTROL);
	ck_assert_fails(sandbox_pool_keep(pool, "x", SANDBOX_TIER_HOT, 1, &r.plan, &r.files, &err),
		E_LIMIT, err);
	ck_assert_ok(sandbox_pool_status(pool, &status, &err), err);
	(void)close(pool);
}
END_TEST

START_TEST(guests_may_only_take)
{
	struct err err;
	struct run r;
	int control = -1;
	int pool = open_pool();
	let_guests_in(pool);
	auto_close first = visit(), second = visit(), third = visit(), fourth = visit();
	ck_assert_fails(sandbox_pool_take(first, "nobody", &control, &err), E_NOT_FOUND, err);
	ck_assert_fails(sandbox_pool_take(first, "again", &control, &err), E_UNAVAILABLE, err);
	run_init(&r);
	r.plan.argv = ARGV("unused");
	ck_assert_fails(
		sandbox_pool_keep(second, "mine", SANDBOX_TIER_HOT, 1, &r.plan, &r.files, &err),
		E_INTEGRITY, err);
	ck_assert_fails(sandbox_pool_listen(third, pool, &err), E_INTEGRITY, err);
	ck_assert_int_eq(send(fourth, "x", 1, 0), 1);
	ck_assert_int_lt(sandbox_pool_take(fourth, "nobody", &control, &err), 0);
	(void)close(pool);
}
END_TEST

START_TEST(empty_and_unknown)
{
	struct err err;
	int control = -1;
	int pool = open_pool();
	ck_assert_fails(sandbox_pool_take(pool, "nobody", &control, &err), E_NOT_FOUND, err);
	ck_assert_fails(sandbox_pool_take(pool, "a/b", &control, &err), E_INVALID, err);
	keep(pool, "one", 1);
	wait_ready(pool, 1);
	keep(pool, "one", 0);
	wait_ready(pool, 0);
	ck_assert_fails(sandbox_pool_take(pool, "one", &control, &err), E_NOT_FOUND, err);
	let_guests_in(pool);
	auto_close guest = visit(); /* waits for what comes only */
	ck_assert_fails(sandbox_pool_take(guest, "one", &control, &err), E_NOT_FOUND, err);
	(void)close(pool);
}
END_TEST

START_TEST(gives_up_on_the_impossible)
{
	struct err err;
	struct sandbox_pool_status status = {};
	struct run r;
	int control = -1;
	int pool = open_pool();
	run_init(&r);
	r.plan.argv = ARGV("exit", "1"); /* a parked program that ends at once */
	ck_assert_ok(
		sandbox_pool_keep(pool, "bad", SANDBOX_TIER_PARKED, 2, &r.plan, &r.files, &err),
		err);
	for (int i = 0; i < TRIES && status.failed_total < POOL_FAILURES_MAX; i++) {
		ck_assert_ok(sandbox_pool_status(pool, &status, &err), err);
		(void)usleep(TRY_USEC);
	}
	ck_assert_uint_eq(status.failed_total, POOL_FAILURES_MAX);
	for (int i = 0; i < TRIES / 10; i++) {
		ck_assert_fails(sandbox_pool_take(pool, "bad", &control, &err), E_UNAVAILABLE, err);
		ck_assert_ptr_nonnull(strstr(err.message, "parking"));
		(void)usleep(TRY_USEC);
	}
	ck_assert_ok(sandbox_pool_status(pool, &status, &err), err);
	ck_assert_uint_le(status.failed_total, POOL_FAILURES_MAX + 1); /* one try a second */
	(void)close(pool);
}
END_TEST

/* It needs no more descriptors than it holds; one that can no longer wait ends. */
START_TEST(few_descriptors_are_enough)
{
	enum { FEW = 48, READY = 32 };
	struct err err;
	struct sandbox_pool_status status;
	int result = 0;
	int pool = open_pool();
	limit_descriptors(FEW);
	keep(pool, "x", READY);
	wait_ready(pool, READY);
	limit_descriptors(1);
	for (int i = 0; i < 2; i++) /* the first finds it waiting, as it did before */
		result = sandbox_pool_status(pool, &status, &err);
	ck_assert_fails(result, E_UNAVAILABLE, err);
	(void)close(pool);
}
END_TEST

/* A guest that waits is told although nothing else happens; later takes find that it is over. */
START_TEST(a_shortage_passes)
{
	/* 0 to 3, the listener, the image and a guest: none is left for a sandbox. */
	enum { TOO_FEW = 7, ENOUGH = 64 };
	static const struct timeval patience = { .tv_sec = ANSWER_S };
	struct err err;
	int control = -1;
	int pool = open_pool();
	let_guests_in(pool);
	limit_descriptors(TOO_FEW);
	keep(pool, "x", 1);
	auto_close guest = visit();
	ck_assert_int_eq(
		setsockopt(guest, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	ck_assert_fails(sandbox_pool_take(guest, "x", &control, &err), E_UNAVAILABLE, err);
	ck_assert_ptr_nonnull(strstr(err.message, "socketpair"));
	limit_descriptors(ENOUGH);
	for (int i = 0; i < TRIES && control < 0; i++) {
		(void)usleep(TRY_USEC);
		(void)!sandbox_pool_take(pool, "x", &control, &err);
	}
	ck_assert_int_ge(control, 0);
	(void)close(control);
	(void)close(pool);
}
END_TEST

START_TEST(only_a_listening_socket_lets_guests_in)
{
	struct err err;
	int pool = open_pool();
	const int sockets[] = { open("/dev/null", O_RDWR | O_CLOEXEC),
		socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0),
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	for (size_t i = 0; i < ARRAY_SIZE(sockets); i++) {
		ck_assert_fails(sandbox_pool_listen(pool, sockets[i], &err), E_INVALID, err);
		(void)close(sockets[i]);
	}
	(void)close(pool);
}
END_TEST

/* An empty path would be an address that everybody may connect to. */
START_TEST(the_command_listens_at_paths_only)
{
	static const char *const arguments[] = { "pool --root / --listen ''", "pool --status ''",
		"run --pool '' /bin/true" };
	char line[512];
	for (size_t i = 0; i < ARRAY_SIZE(arguments); i++) {
		snprintf(line, sizeof(line), "%s %s 2>/dev/null", SUPERVISOR, arguments[i]);
		int status = system(line);
		ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 2, "%s: %x", arguments[i],
			(unsigned)status);
	}
}
END_TEST

START_TEST(a_taken_one_outlives_the_pool)
{
	struct err err;
	auto_done(run) r;
	int control = -1;
	int pool = open_pool();
	keep(pool, "x", 2);
	wait_ready(pool, 2);
	run_init(&r);
	r.files.root_fd = -1;
	ck_assert_ok(sandbox_pool_take(pool, "x", &control, &err), err);
	(void)close(pool);
	(void)usleep(15000);
	r.plan.argv = ARGV("exit", "6");
	ck_assert_ok(fd_memfd("o", &r.files.stdout_fd, &err), err);
	ck_assert_ok(fd_memfd("e", &r.files.stderr_fd, &err), err);
	ck_assert_ok(sandbox_start(control, &r.plan, &r.files, &err), err);
	run_finish(&r, control);
	ck_assert_int_eq(r.result.exit_code, 6);
}
END_TEST

UNIT_MAIN("sandbox_pool", takes_and_refills, runs_have_the_priority_of_the_pool,
	guests_wait_for_a_sandbox, guests_may_only_take, silent_guests_give_way,
	a_template_too_many_for_its_descriptors, empty_and_unknown, gives_up_on_the_impossible,
	few_descriptors_are_enough, a_shortage_passes, only_a_listening_socket_lets_guests_in,
	the_command_listens_at_paths_only, a_taken_one_outlives_the_pool)
