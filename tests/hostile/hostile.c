/*
 * The payload of the sandbox tests: one static program, one verb per behaviour, good or hostile.
 * It is the only file in the image of the tests, so every process is itself under another verb.
 *
 * Exit codes: what the verb says; 0 when an attack was refused as it should be, 42 when it got
 * through; 64 for an unknown verb.
 */
#include "attacks.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/memfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { REFUSED = 0, GOT_THROUGH = 42, UNKNOWN_VERB = 64, CHUNK = 4096 };

static long number(char **argv, int index)
{
	return argv[index] ? strtol(argv[index], NULL, 10) : 0;
}

static int do_exit(char **argv)
{
	return (int)number(argv, 2);
}

static int do_echo(char **argv)
{
	for (int i = 2; argv[i]; i++)
		printf("%s%s", argv[i], argv[i + 1] ? " " : "\n");
	return 0;
}

static int do_env(char **argv)
{
	extern char **environ;
	(void)argv;
	for (char **entry = environ; *entry; entry++)
		puts(*entry);
	return 0;
}

static int do_cat(char **argv)
{
	char bytes[CHUNK];
	int fd = argv[2] ? open(argv[2], O_RDONLY) : 0;
	ssize_t got;
	if (fd < 0)
		return errno;
	while ((got = read(fd, bytes, sizeof(bytes))) > 0)
		if (write(1, bytes, (size_t)got) != got)
			return 1;
	return got < 0 ? errno : 0;
}

static int do_raise(char **argv)
{
	raise((int)number(argv, 2));
	return 0;
}

static int do_abort(char **argv)
{
	(void)argv;
	abort();
}

static int do_sleep(char **argv)
{
	(void)argv;
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	for (;;)
		pause();
}

static int do_spin(char **argv)
{
	(void)argv;
	for (volatile unsigned i = 0;; i++)
		;
}

/* Fill argv[2] MiB of memory, page by page; then exit 0. */
static int do_memory(char **argv)
{
	size_t size = (size_t)number(argv, 2) << 20;
	char *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (bytes == MAP_FAILED)
		return errno;
	for (size_t i = 0; i < size; i += CHUNK)
		bytes[i] = 1;
	return 0;
}

static int do_memfd(char **argv)
{
	static char bytes[1 << 20];
	int fd = memfd_create("hoard", 0);
	if (fd < 0)
		return errno;
	memset(bytes, 1, sizeof(bytes));
	for (long i = 0; i < number(argv, 2); i++)
		if (write(fd, bytes, sizeof(bytes)) < 0)
			return errno;
	return 0;
}

/* A child eats the memory; the first process ends well. */
static int do_memory_child(char **argv)
{
	pid_t child = fork();
	if (child == 0)
		_exit(do_memory(argv));
	waitpid(child, NULL, 0);
	return 0;
}

/* Files of argv[2] bytes each until the disk is full; prints the sum, exits with the errno. */
static int do_disk(char **argv)
{
	static char bytes[1 << 20];
	long long sum = 0;
	size_t size = (size_t)number(argv, 2);
	memset(bytes, 1, sizeof(bytes));
	for (int i = 0;; i++) {
		char name[64];
		snprintf(name, sizeof(name), "%s/f%d", argv[3] ? argv[3] : ".", i);
		int fd = open(name, O_WRONLY | O_CREAT, 0600);
		ssize_t got = fd < 0 ? -1 : write(fd, bytes, size);
		if (got > 0)
			sum += got;
		if (got != (ssize_t)size) {
			if (got > 0 && write(fd, bytes, 1) > 0)
				return 1;
			int error = errno;
			printf("%lld %d\n", sum, i);
			return error;
		}
		close(fd);
	}
}

static int do_nofile(char **argv)
{
	(void)argv;
	struct rlimit limit;
	return getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
	       printf("%llu\n", (unsigned long long)limit.rlim_max) < 0;
}

static int do_inodes(char **argv)
{
	(void)argv;
	for (int i = 0;; i++) {
		char name[64];
		snprintf(name, sizeof(name), "/tmp/i%d", i);
		int fd = open(name, O_WRONLY | O_CREAT, 0600);
		if (fd < 0) {
			int error = errno;
			printf("%d\n", i);
			return error;
		}
		close(fd);
	}
}

/* One file of argv[2] bytes by one write after another, then truncate to one more. */
static int do_file(char **argv)
{
	char bytes[CHUNK] = { 1 };
	signal(SIGXFSZ, number(argv, 3) ? SIG_IGN : SIG_DFL);
	int fd = open("big", O_WRONLY | O_CREAT, 0600);
	long long sum = 0;
	for (;;) {
		ssize_t got = write(fd, bytes, sizeof(bytes));
		if (got < 0)
			break;
		sum += got;
	}
	printf("%lld\n", sum);
	return errno;
}

static int do_file_of_a_child(char **argv)
{
	char *of_child[] = { argv[0], argv[1], "0", "0", NULL };
	if (fork() == 0)
		_exit(do_file(of_child));
	wait(NULL);
	return (int)number(argv, 2);
}

/* Fork argv[2] children that stay; print how many were born; exit with the errno of the last. */
static int do_fork(char **argv)
{
	long wanted = number(argv, 2);
	long born = 0;
	int error = 0;
	for (; born < wanted; born++) {
		pid_t child = number(argv, 3) == 1 ? vfork() : fork();
		if (child < 0) {
			error = errno;
			break;
		}
		if (child == 0) {
			if (number(argv, 3) == 1)
				execl("/bin/hostile", "hostile", "sleep", NULL);
			for (;;)
				pause();
		}
	}
	printf("%ld\n", born);
	return error;
}

/* Children one after another: the limit is on living processes. */
static int do_fork_sequence(char **argv)
{
	for (long i = 0; i < number(argv, 2); i++) {
		pid_t child = fork();
		if (child < 0)
			return errno;
		if (child == 0)
			_exit(0);
		waitpid(child, NULL, 0);
	}
	return 0;
}

static int do_fork_bomb(char **argv)
{
	(void)argv;
	for (;;)
		(void)!fork();
}

/* Births and deaths without end, few alive at a time. */
static int do_fork_storm(char **argv)
{
	(void)argv;
	for (int i = 0; i < 6; i++)
		(void)!fork();
	for (;;) {
		pid_t child = fork();
		if (child == 0)
			_exit(0);
		(void)waitpid(child, NULL, 0);
	}
}

static void *thread_body(void *unused)
{
	pause();
	return unused;
}

/* argv[2] threads; prints how many came; exit 0. */
static int do_threads(char **argv)
{
	long count = 0;
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (; count < number(argv, 2); count++) {
		pthread_t thread;
		if (pthread_create(&thread, &attr, thread_body, NULL))
			break;
	}
	printf("%ld\n", count);
	fflush(stdout);
	_exit(0);
}

/* argv[2] forks that are refused, whose zombies nobody must take; then threads as above. */
static int do_refused_threads(char **argv)
{
	signal(SIGCHLD, SIG_IGN);
	for (long i = 0; i < number(argv, 2); i++)
		if (fork() == 0)
			pause();
	usleep(50000);
	return do_threads(argv + 1);
}

/* argv[2] bytes to stdout (argv[3] = 2: stderr), then exit 0. */
static int do_flood(char **argv)
{
	char bytes[CHUNK];
	long left = number(argv, 2);
	int fd = number(argv, 3) == 2 ? 2 : 1;
	memset(bytes, 'x', sizeof(bytes));
	while (left > 0) {
		size_t part = left < CHUNK ? (size_t)left : CHUNK;
		ssize_t got = write(fd, bytes, part);
		if (got < 0)
			return errno;
		left -= got;
	}
	return 0;
}

/* Leave a daemon behind that ignores everything, and exit 0. */
static int do_daemon(char **argv)
{
	if (fork() == 0) {
		setsid();
		if (fork() == 0)
			do_sleep(argv);
		_exit(0);
	}
	return 0;
}

static int do_orphans(char **argv)
{
	for (int i = 0; i < 5; i++)
		if (fork() == 0)
			do_sleep(argv);
	return (int)number(argv, 2);
}

static int do_exec(char **argv)
{
	execv(argv[2], argv + 2);
	return errno;
}

/* A tree with known shape: each level forks, execs the next, waits. */
static int do_tree(char **argv)
{
	long depth = number(argv, 2);
	if (depth <= 0)
		return 7;
	char next[16];
	snprintf(next, sizeof(next), "%ld", depth - 1);
	pid_t child = fork();
	if (child == 0) {
		execl("/bin/hostile", "hostile", "tree", next, NULL);
		_exit(1);
	}
	int status;
	waitpid(child, &status, 0);
	return WEXITSTATUS(status);
}

/* Copy ourselves somewhere and try to run the copy. */
static int copy_self(int to)
{
	char bytes[CHUNK];
	int from = open("/bin/hostile", O_RDONLY);
	ssize_t got;
	while ((got = read(from, bytes, sizeof(bytes))) > 0)
		if (write(to, bytes, (size_t)got) != got)
			return -1;
	return (int)got;
}

static int do_exec_copy(char **argv)
{
	char *args[] = { "copy", "exit", "42", NULL };
	char *env[] = { NULL };
	for (char *slash = strchr(argv[2] + 6, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		(void)mkdir(argv[2], 0700);
		*slash = '/';
	}
	int fd = open(argv[2], O_WRONLY | O_CREAT, 0700);
	if (fd < 0 || copy_self(fd) < 0)
		return 1;
	close(fd);
	chmod(argv[2], 0755);
	execv(argv[2], args);
	fd = open(argv[2], O_RDONLY);
	syscall(SYS_execveat, fd, "", args, env, AT_EMPTY_PATH);
	return REFUSED;
}

static int do_exec_memfd(char **argv)
{
	char *args[] = { "copy", "exit", "42", NULL };
	char *env[] = { NULL };
	unsigned flags = (unsigned)number(argv, 2);
	int fd = memfd_create("copy", flags);
	if (fd < 0)
		return REFUSED;
	if (copy_self(fd) < 0)
		return 1;
	fchmod(fd, 0755);
	syscall(SYS_execveat, fd, "", args, env, AT_EMPTY_PATH);
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	execv(path, args);
	return REFUSED;
}

/* Map a file of the writable disk executable: what a loader would do. */
static int do_map_exec(char **argv)
{
	int fd = open(argv[2], O_RDWR | O_CREAT, 0700);
	if (fd < 0 || copy_self(fd) < 0)
		return 1;
	void *map = mmap(NULL, CHUNK, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	return map == MAP_FAILED ? REFUSED : GOT_THROUGH;
}

static int do_stop_self(char **argv)
{
	(void)argv;
	raise(SIGSTOP);
	return 0;
}

/* A child stops itself; we see the stop, continue it, see the exit: job control works. */
static int do_job_control(char **argv)
{
	int status;
	(void)argv;
	pid_t child = fork();
	if (child == 0) {
		raise(SIGSTOP);
		_exit(5);
	}
	if (waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status))
		return 1;
	kill(child, SIGCONT);
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return 2;
	return WEXITSTATUS(status);
}

static int do_ids(char **argv)
{
	(void)argv;
	printf("%d %d %d %d\n", (int)getuid(), (int)getgid(), (int)getpid(), (int)getppid());
	return 0;
}

static int do_write(char **argv)
{
	int fd = open(argv[2], O_WRONLY | O_CREAT, 0600);
	if (fd < 0)
		return errno;
	return write(fd, "x", 1) == 1 ? 0 : errno;
}

static int do_stat(char **argv)
{
	struct stat status;
	return stat(argv[2], &status) < 0 ? errno : 0;
}

/* So many entries below a directory: every fourth one a directory with the rest in it. */
static int do_litter(char **argv)
{
	int count = atoi(argv[3]);
	char name[24];
	if (chdir(argv[2]) < 0)
		return errno;
	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%d", i);
		int kind = i % 4;
		int status = kind == 0   ? mkdir(name, 0700)
			     : kind == 1 ? symlink("/work", name)
			     : kind == 2 ? mkfifo(name, 0)
					 : open(name, O_CREAT | O_EXCL | O_CLOEXEC, 0);
		if (status < 0 || (kind == 0 && chdir(name) < 0))
			return errno;
		if (kind == 3)
			(void)close(status);
	}
	return 0;
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	write(fd, text, strlen(text));
	close(fd);
}

/* 0 when a directory of ours was changed, 1 when the kernel refused. */
static int do_bend(char **argv)
{
	/* POSIX ACL, version 2: owner, a named user, group, mask, others. */
	static const uint8_t acl[] = { 2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 7, 0, 0xe8,
		3, 0, 0, 4, 0, 5, 0, 255, 255, 255, 255, 16, 0, 7, 0, 255, 255, 255, 255, 32, 0, 5,
		0, 255, 255, 255, 255 };
	const char *dir = argv[2];
	const char *how = argv[3];
	struct timespec long_ago[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	long flags = 0x80; /* FS_NOATIME_FL */
	int status = -1;
	if (strcmp(how, "mode") == 0)
		status = chmod(dir, 01777);
	if (strcmp(how, "owner") == 0)
		status = chown(dir, 0, 0);
	if (strcmp(how, "attribute") == 0)
		status = setxattr(dir, "user.x", "y", 1, 0);
	if (strcmp(how, "acl") == 0)
		status = setxattr(dir, "system.posix_acl_access", acl, sizeof(acl), 0);
	if (strcmp(how, "time") == 0)
		status = utimensat(AT_FDCWD, dir, long_ago, 0);
	if (strcmp(how, "now") == 0)
		status = utimensat(AT_FDCWD, dir, NULL, 0);
	if (strcmp(how, "flags") == 0)
		status = ioctl(open(dir, O_RDONLY | O_CLOEXEC), FS_IOC_SETFLAGS, &flags);
	return status < 0;
}

static int do_is_of_today(char **argv)
{
	struct stat status;
	return stat(argv[2], &status) < 0 || status.st_mtime < time(NULL) - 86400 ||
	       status.st_atime < time(NULL) - 86400;
}

/* Print the change time of a directory, with "touch" after choosing it. */
static int do_change_time(char **argv)
{
	struct stat status;
	if (argv[3] && chmod(argv[2], 0755) < 0)
		return 1;
	if (stat(argv[2], &status) < 0)
		return 1;
	printf("%lld.%09ld\n", (long long)status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
	return usleep(20000) < 0;
}

/* 0 when nothing of a caller's priority, class or personality was inherited. */
static int do_is_ordinary(char **argv)
{
	(void)argv;
	struct sigaction last;
	return sched_getscheduler(0) != SCHED_OTHER || getpriority(PRIO_PROCESS, 0) < 0 ||
	       personality(0xffffffff) != 0 || sigaction(SIGRTMAX, NULL, &last) < 0 ||
	       last.sa_handler != SIG_DFL;
}

static int do_nice(char **argv)
{
	(void)argv;
	return getpriority(PRIO_PROCESS, 0);
}

/* Where a walk that looks at names, or at too many of them, might not find it. */
static int do_hide(char **argv)
{
	(void)argv;
	if (mkdir("\xff", 0755) < 0 || mkdir("x\xe2\x80\x8b", 0755) < 0)
		return 1;
	put("\xff/evil", "hello\n");
	put("x\xe2\x80\x8b/evil", "hello\n");
	put("bad\xfe", "hello\n");
	return link("bad\xfe", "good") < 0;
}

/* Names that have much in common, of which each takes a kilobyte in a report. */
static int do_long_names(char **argv)
{
	char name[256];
	memset(name, 0xe2, 248);
	name[248] = 0;
	for (int depth = 0; depth < 3; depth++)
		if (mkdir(name, 0755) < 0 || chdir(name) < 0)
			return 1;
	for (int i = 0, count = atoi(argv[2]); i < count; i++) {
		snprintf(name + 240, sizeof(name) - 240, "%06d", i * 7919 % count);
		int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			return errno;
		(void)close(fd);
	}
	return 0;
}

static int do_int80(char **argv)
{
	long result;
	(void)argv;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(20 /* getpid */) : "memory");
	return result > 0 ? GOT_THROUGH : REFUSED;
}

static int do_untraced(char **argv)
{
	(void)argv;
	long pid = syscall(SYS_clone, 0x00800000 | SIGCHLD, 0, 0, 0, 0); /* CLONE_UNTRACED */
	if (pid == 0)
		_exit(0);
	return pid < 0 ? REFUSED : GOT_THROUGH;
}

/* A process dressed as a thread's event and the other way round; counted right or refused. */
static int do_odd_clones(char **argv)
{
	signal(SIGUSR1, SIG_IGN); /* what a refused child sends at its end */
	long born = 0;
	for (; born < number(argv, 2); born++) {
		long pid = syscall(SYS_clone, SIGUSR1, 0, 0, 0, 0);
		if (pid < 0)
			break;
		if (pid == 0)
			for (;;)
				pause();
	}
	printf("%ld\n", born);
	return 0;
}

static int do_stdin_close(char **argv)
{
	(void)argv;
	close(0);
	return do_exit(argv);
}

static int do_no_stdout(char **argv)
{
	close(1);
	close(2);
	sleep(0);
	return (int)number(argv, 2);
}

/* Signal everything one may: only this process itself should be in reach. */
static int do_kill_all(char **argv)
{
	(void)argv;
	kill(1, SIGKILL);
	kill(-1, SIGKILL);
	return 0;
}

static int do_zombies(char **argv)
{
	(void)argv;
	for (int i = 0; i < 2000; i++) {
		pid_t child = fork();
		if (child == 0)
			_exit(0);
		if (child < 0)
			return errno;
	}
	return 0;
}

static int do_fds(char **argv)
{
	int count = 0;
	(void)argv;
	while (open("/dev/null", O_RDONLY) >= 0)
		count++;
	int error = errno;
	printf("%d\n", count);
	return error;
}

/* Descriptors in flight, which no descriptor limit counts: sockets in sockets. */
static int do_scm_bomb(char **argv)
{
	(void)argv;
	for (int i = 0; i < 100000; i++) {
		int pair[2];
		char control[CMSG_SPACE(sizeof(int) * 2)] = { 0 };
		struct iovec part = { "x", 1 };
		struct msghdr header = { .msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control) };
		static int last[2] = { -1, -1 };
		if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0)
			return errno;
		struct cmsghdr *c = CMSG_FIRSTHDR(&header);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * 2);
		memcpy(CMSG_DATA(c), last[0] < 0 ? pair : last, sizeof(last));
		if (sendmsg(pair[0], &header, MSG_DONTWAIT) < 0)
			return errno;
		if (last[0] >= 0) {
			close(last[0]);
			close(last[1]);
		}
		last[0] = pair[0];
		last[1] = pair[1];
	}
	return 0;
}

static int do_pipes(char **argv)
{
	static char bytes[1 << 20];
	(void)argv;
	for (;;) {
		int ends[2];
		if (pipe2(ends, O_NONBLOCK) < 0)
			return errno;
		fcntl(ends[1], 1031 /* F_SETPIPE_SZ */, 1 << 20);
		while (write(ends[1], bytes, sizeof(bytes)) > 0)
			;
	}
}

static int do_deep_directories(char **argv)
{
	int depth = 0;
	(void)argv;
	while (mkdir("d", 0700) == 0 && chdir("d") == 0)
		depth++;
	int error = errno;
	printf("%d\n", depth);
	return error;
}

static int do_timers(char **argv)
{
	timer_t timer;
	int count = 0;
	(void)argv;
	while (timer_create(CLOCK_MONOTONIC, NULL, &timer) == 0)
		count++;
	int error = errno;
	printf("%d\n", count);
	return error;
}

static int do_sigqueue(char **argv)
{
	sigset_t all;
	union sigval value = { 0 };
	(void)argv;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	for (int i = 0; i < 100000; i++)
		if (sigqueue(getpid(), SIGRTMIN, value) < 0)
			return errno;
	return 0;
}

/* Hold or try a lock on a file of the image: it must not be seen by another sandbox. */
static int do_flock(char **argv)
{
	int fd = open(argv[2], O_RDONLY);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno;
	printf("locked\n");
	fflush(stdout);
	if (number(argv, 3))
		sleep((unsigned)number(argv, 3));
	return 0;
}

static int do_sparse_map(char **argv)
{
	int fd = open("sparse", O_RDWR | O_CREAT, 0600);
	(void)argv;
	if (ftruncate(fd, 8 << 20) < 0)
		return errno;
	volatile char *map = mmap(NULL, 64u << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (size_t i = 0; i < 8u << 20; i += CHUNK)
		map[i] = 1;
	return 0;
}

static int do_exec_loop(char **argv)
{
	long left = number(argv, 2);
	char next[32];
	if (left == 0)
		return 3;
	snprintf(next, sizeof(next), "%ld", left - 1);
	execl("/bin/hostile", "hostile", "exec-loop", next, NULL);
	return errno;
}

/* Many threads that exec at once: one wins, everything is still counted. */
static void *exec_body(void *unused)
{
	execl("/bin/hostile", "hostile", "exit", "9", NULL);
	return unused;
}

static int do_thread_exec(char **argv)
{
	(void)argv;
	for (int i = 0; i < 8; i++) {
		pthread_t thread;
		pthread_create(&thread, NULL, exec_body, NULL);
	}
	pause();
	return 0;
}

/* So much processor time, and some pages. */
static void burn(long ms)
{
	struct timespec used;
	size_t size = (size_t)ms * CHUNK;
	char *pages = mmap(
		NULL, size + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; i < size; i += CHUNK)
		pages[i] = 1;
	do {
		for (volatile int i = 0; i < 100000; i++)
			;
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	} while (used.tv_sec * 1000 + used.tv_nsec / 1000000 < ms);
}

/*
 * The other side of SANDBOX_TIER_PARKED: prints its job line by line, exits with its last word. It
 * burns argv[2] ms before it is ready, and 50 more in a job "burn"; "leave" makes it exit untold.
 */
static int do_park(char **argv)
{
	char job[CHUNK];
	size_t size = 0;
	ssize_t got;
	char code = 0;
	burn(number(argv, 2));
	if (write(65, "R", 1) != 1)
		return 1;
	while ((got = read(64, job + size, sizeof(job) - size)) > 0)
		size += (size_t)got;
	for (size_t i = 0; i < size; i += strlen(job + i) + 1) {
		puts(job + i);
		if (job[i] >= '0' && job[i] <= '9')
			code = (char)atoi(job + i);
		if (strcmp(job + i, "burn") == 0)
			burn(number(argv, 2) + 50);
		if (strcmp(job + i, "leave") == 0)
			exit(0);
	}
	fflush(stdout);
	if (write(65, &code, 1) != 1)
		return 1;
	while (code == 'w' - 'a') /* 22: it said that it is done, and writes on */
		(void)write(1, job, sizeof(job));
	for (;;)
		pause();
}

/* Never stops writing into the results; survives its parents. */
static void keep_changing(void)
{
	if (fork() || fork())
		return;
	setsid();
	for (;;) {
		put("/work/results/changing", "before");
		put("/work/results/changing", "and after");
		rename("/work/results/changing", "/work/results/renamed");
	}
}

/* Leave something for the caller: plain, hostile, or no directory at all. */
static int do_results(char **argv)
{
	if (chdir("/work/results") < 0)
		return 3;
	put("a.txt", "hello\n");
	mkdir("sub", 0700);
	put("sub/b.bin", "\xff");
	if (strcmp(argv[2], "hostile") == 0) {
		symlink("/etc/passwd", "link");
		symlink("/work", "directory");
		mkfifo("fifo", 0600);
		put("new\nline", "x");
		put("/work/outside", "x");
		link("/work/outside", "hard");
		put("secret-mode", "x");
		chmod("secret-mode", 0);
		truncate("a.txt", 1 << 20);
	}
	if (strcmp(argv[2], "daemon") == 0)
		keep_changing();
	if (strcmp(argv[2], "sleep") == 0)
		pause();
	if (strcmp(argv[2], "link") == 0 && rename("/work/results", "/work/x") == 0)
		symlink("/work/x", "/work/results");
	if (strcmp(argv[2], "file") == 0 && rename("/work/results", "/work/x") == 0)
		put("/work/results", "x");
	if (strcmp(argv[2], "gone") == 0)
		rename("/work/results", "/work/x");
	if (strcmp(argv[2], "replaced") == 0 && rename("/work/results", "/work/x") == 0)
		rename("/work/x/sub", "/work/results");
	return 0;
}

/* Names that never come again: as many as asked for, each made and removed. */
static int do_names(char **argv)
{
	char path[64];
	for (long i = 0; i < number(argv, 2); i++) {
		snprintf(path, sizeof(path), "/work/%ld", i);
		int fd = open(path, O_WRONLY | O_CREAT, 0600);
		if (fd < 0)
			return errno;
		close(fd);
		unlink(path);
	}
	return 0;
}

static int do_open_flood(char **argv)
{
	for (long i = 0; i < number(argv, 2); i++)
		if (fork() == 0)
			break;
	for (;;)
		close(open("/etc/passwd", O_RDONLY));
}

static char flip_path[64];
static char *const *flip_names;

static void *flip_body(void *unused)
{
	for (unsigned i = 0;; i++)
		memcpy(flip_path, flip_names[i & 1], strlen(flip_names[i & 1]) + 1);
	return unused;
}

/* Open while another thread rewrites the path; until both files were met. */
static int do_path_flip(char **argv)
{
	pthread_t thread;
	ino_t met[2] = {};
	struct stat status;
	flip_names = argv + 2;
	memcpy(flip_path, flip_names[0], strlen(flip_names[0]) + 1);
	pthread_create(&thread, NULL, flip_body, NULL);
	for (int i = 0; i < 1000000; i++) {
		int fd = open(flip_path, O_RDONLY);
		if (fd < 0)
			continue;
		fstat(fd, &status);
		close(fd);
		met[met[0] && met[0] != status.st_ino] = status.st_ino;
		if (met[1])
			return 0;
	}
	return GOT_THROUGH;
}

static const struct {
	const char *name;
	int (*run)(char **argv);
} verbs[] = {
	{ "park", do_park },
	{ "exit", do_exit },
	{ "echo", do_echo },
	{ "env", do_env },
	{ "cat", do_cat },
	{ "raise", do_raise },
	{ "abort", do_abort },
	{ "sleep", do_sleep },
	{ "spin", do_spin },
	{ "memory", do_memory },
	{ "memfd", do_memfd },
	{ "memory-child", do_memory_child },
	{ "disk", do_disk },
	{ "inodes", do_inodes },
	{ "nofile", do_nofile },
	{ "file", do_file },
	{ "file-of-a-child", do_file_of_a_child },
	{ "fork", do_fork },
	{ "fork-sequence", do_fork_sequence },
	{ "fork-bomb", do_fork_bomb },
	{ "fork-storm", do_fork_storm },
	{ "threads", do_threads },
	{ "refused-threads", do_refused_threads },
	{ "flood", do_flood },
	{ "daemon", do_daemon },
	{ "orphans", do_orphans },
	{ "exec", do_exec },
	{ "tree", do_tree },
	{ "exec-copy", do_exec_copy },
	{ "exec-memfd", do_exec_memfd },
	{ "map-exec", do_map_exec },
	{ "stop-self", do_stop_self },
	{ "job-control", do_job_control },
	{ "ids", do_ids },
	{ "write", do_write },
	{ "stat", do_stat },
	{ "litter", do_litter },
	{ "bend", do_bend },
	{ "is-of-today", do_is_of_today },
	{ "change-time", do_change_time },
	{ "is-ordinary", do_is_ordinary },
	{ "nice", do_nice },
	{ "hide", do_hide },
	{ "long-names", do_long_names },
	{ "int80", do_int80 },
	{ "untraced", do_untraced },
	{ "odd-clones", do_odd_clones },
	{ "stdin-close", do_stdin_close },
	{ "no-stdout", do_no_stdout },
	{ "kill-all", do_kill_all },
	{ "zombies", do_zombies },
	{ "fds", do_fds },
	{ "scm-bomb", do_scm_bomb },
	{ "pipes", do_pipes },
	{ "deep-directories", do_deep_directories },
	{ "timers", do_timers },
	{ "sigqueue", do_sigqueue },
	{ "flock", do_flock },
	{ "sparse-map", do_sparse_map },
	{ "exec-loop", do_exec_loop },
	{ "thread-exec", do_thread_exec },
	{ "results", do_results },
	{ "names", do_names },
	{ "open-flood", do_open_flood },
	{ "path-flip", do_path_flip },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].name, argv[1]) == 0)
			return verbs[i].run(argv);
	int code;
	return argc > 1 && attack_run(argv, &code) ? code : UNKNOWN_VERB;
}
