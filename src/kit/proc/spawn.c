/*
 * See spawn.h. posix_spawn (vfork inside glibc) keeps the cost independent of our own size. Sources
 * are first copied above the target range so that no dup2 overwrites a source still needed.
 */
#include "kit/proc/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/str.h"

enum { HIGH_FD = 64, SLOT_COUNT = PROC_FIRST_FD + PROC_FD_COUNT_MAX };

struct copies {
	int fds[SLOT_COUNT];
	size_t count;
};

static void copies_done(struct copies *copies)
{
	for (size_t i = 0; i < copies->count; i++)
		fd_close(&copies->fds[i]);
}

static int copy_one(struct copies *copies, int fd, struct err *err)
{
	int copy = fd < 0 ? open("/dev/null", O_RDWR | O_CLOEXEC)
			  : fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
	if (copy >= 0 && copy < HIGH_FD) {
		int high = fcntl(copy, F_DUPFD_CLOEXEC, HIGH_FD);
		(void)close(copy);
		copy = high;
	}
	if (copy < 0)
		return err_sys(err, E_UNAVAILABLE, "copying descriptor %d", fd);
	copies->fds[copies->count++] = copy;
	return 0;
}

static int copy_all(const struct proc_spawn *spawn, struct copies *copies, struct err *err)
{
	TRY(copy_one(copies, spawn->stdin_fd, err));
	TRY(copy_one(copies, spawn->stdout_fd, err));
	TRY(copy_one(copies, spawn->stderr_fd, err));
	for (size_t i = 0; i < spawn->fd_count; i++)
		TRY(copy_one(copies, spawn->fds[i], err));
	return 0;
}

/* No signal blocked or ignored; a group of its own, so that Ctrl-C reaches only the parent. */
static int set_attributes(posix_spawnattr_t *attributes)
{
	sigset_t none, all;
	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	return posix_spawnattr_init(attributes) | posix_spawnattr_setsigmask(attributes, &none) |
	       posix_spawnattr_setsigdefault(attributes, &all) |
	       posix_spawnattr_setpgroup(attributes, 0) |
	       posix_spawnattr_setflags(attributes,
		       POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
}

int proc_spawn(const struct proc_spawn *spawn, pid_t *ret_pid, int *ret_pidfd, struct err *err)
{
	static const char *const no_environment[] = { NULL };
	const char *const *envp = spawn->envp ? spawn->envp : no_environment;
	auto_done(copies) copies = {};
	posix_spawn_file_actions_t actions;
	pid_t pid = 0;
	if (spawn->fd_count > PROC_FD_COUNT_MAX)
		return err_set(err, E_LIMIT, "%zu descriptors for a child, limit %d",
			spawn->fd_count, PROC_FD_COUNT_MAX);
	TRY(copy_all(spawn, &copies, err));
	posix_spawnattr_t attributes;
	(void)posix_spawn_file_actions_init(&actions);
	int failed = set_attributes(&attributes);
	for (size_t i = 0; i < copies.count; i++)
		failed |= posix_spawn_file_actions_adddup2(&actions, copies.fds[i], (int)i);
	failed |= posix_spawn_file_actions_addclosefrom_np(&actions, (int)copies.count);
	if (!failed)
		failed = posix_spawn(&pid, spawn->path, &actions, &attributes,
			(char *const *)(uintptr_t)spawn->argv, (char *const *)(uintptr_t)envp);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)posix_spawnattr_destroy(&attributes);
	if (failed) {
		errno = failed;
		return err_sys(err, E_UNAVAILABLE, "starting %s", spawn->path);
	}
	*ret_pidfd = pidfd_open(pid, 0);
	if (*ret_pidfd < 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		return err_sys(err, E_UNAVAILABLE, "pidfd of %s", spawn->path);
	}
	*ret_pid = pid;
	return 0;
}

int proc_wait(pid_t pid, int *ret_code, struct err *err)
{
	int status;
	pid_t got;
	do
		got = waitpid(pid, &status, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return err_sys(err, E_INTERNAL, "waiting for process %d", pid);
	*ret_code = WIFEXITED(status) ? WEXITSTATUS(status) : PROC_SIGNALLED + WTERMSIG(status);
	return 0;
}

int proc_sibling(const char *name, char *ret_path, size_t size, struct err *err)
{
	char own[512];
	const char *given = secure_getenv("CUPEL_LIBEXEC");
	if (given) {
		TRY(str_format(ret_path, size, err, "%s/%s", given, name));
		if (access(ret_path, X_OK) == 0)
			return 0;
		return err_set(err, E_NOT_FOUND, "CUPEL_LIBEXEC is set, but %s is not executable",
			ret_path);
	}
	ssize_t got = readlink("/proc/self/exe", own, sizeof(own) - 1);
	if (got < 0)
		return err_sys(err, E_UNAVAILABLE, "reading /proc/self/exe");
	own[got] = 0;
	char *slash = strrchr(own, '/');
	if (slash)
		*slash = 0;
	static const char *const places[] = { "", "/../libexec/cupel", "/.." };
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		bool is_build_tree = str_equal(places[i], "/..");
		TRY(str_format(ret_path, size, err, "%s%s/%s%s%s", own, places[i],
			is_build_tree ? name : "", is_build_tree ? "/" : "", name));
		if (access(ret_path, X_OK) == 0)
			return 0;
	}
	return err_set(err, E_NOT_FOUND,
		"program %s not found beside %s; install cupel whole or set CUPEL_LIBEXEC", name,
		own);
}
