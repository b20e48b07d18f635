/*
 * More verbs of the hostile payload: the attacks of docs/sandbox-comparison.md that need more than
 * one call. Exit codes as in hostile.c: 0 refused or in vain, 42 got through, else an errno.
 */
#include "attacks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { REFUSED = 0, SEEN = 1, GOT_THROUGH = 42, PAGE = 4096, MIB = 1 << 20 };

static long number(char **argv, int index)
{
	return argv[index] ? strtol(argv[index], NULL, 10) : 0;
}

static void fill(size_t size)
{
	char *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; bytes != MAP_FAILED && i < size; i += PAGE)
		bytes[i] = 1;
}

/* argv[2] processes take argv[3] MiB each and keep them; none alone is too big. */
static int do_memory_many(char **argv)
{
	for (long i = 0; i < number(argv, 2); i++)
		if (fork() == 0) {
			fill((size_t)number(argv, 3) * MIB);
			pause();
		}
	while (wait(NULL) > 0)
		;
	return 0;
}

/* Extended attributes until refused; prints the bytes stored. */
static int do_xattrs(char **argv)
{
	const size_t size = 60000;
	char *value = calloc(1, size);
	char name[32];
	long sum = 0;
	(void)argv;
	for (int file = 0;; file++) {
		snprintf(name, sizeof(name), "f%d", file);
		int fd = open(name, O_WRONLY | O_CREAT, 0600);
		if (fd < 0)
			break;
		if (fsetxattr(fd, "user.x", value, size, 0) < 0)
			break;
		sum += (long)size;
		close(fd);
	}
	int error = errno;
	printf("%ld\n", sum);
	return error;
}

/* A program in the kernel. */
static int do_socket_filter(char **argv)
{
	struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, 0xffffffff);
	struct sock_fprog program = { 1, &all };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	(void)argv;
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? errno
											   : 0;
}

/* Files without a name, held open, 1 MiB each. */
static int do_unlinked(char **argv)
{
	char *bytes = calloc(1, MIB);
	long count = 0;
	(void)argv;
	for (;; count++) {
		int fd = open("x", O_RDWR | O_CREAT, 0600);
		if (fd < 0 || unlink("x") < 0 || write(fd, bytes, MIB) != MIB)
			break;
	}
	int error = errno;
	printf("%ld\n", count);
	return error;
}

static long lock_ranges(char *name, long count)
{
	int fd = open(name, O_RDWR | O_CREAT, 0600);
	long taken = 0;
	for (; taken < count;
		taken++) { /* from the end: the kernel puts each at its list's front */
		struct flock range = {
			.l_type = F_WRLCK, .l_start = 2 * (count - taken), .l_len = 1
		};
		if (fcntl(fd, F_SETLK, &range) < 0)
			break;
	}
	return taken;
}

/* In the kernel: who rests is not looked at, for he can have taken but little. */
static void be_busy(long ms)
{
	struct timespec now, end;
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_nsec += ms % 1000 * 1000000;
	end.tv_sec += ms / 1000 + end.tv_nsec / 1000000000;
	end.tv_nsec %= 1000000000;
	do {
		for (int i = 0; i < 1000; i++)
			(void)syscall(SYS_getppid);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (
		now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
}

/* argv[2] sockets, most of them in connections that nobody accepts, held for argv[3] ms. */
static int do_connections(char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	long rest = number(argv, 2);
	while (rest > 0) {
		int listener = socket(AF_UNIX, SOCK_STREAM, 0);
		int size = snprintf(
			address.sun_path + 1, sizeof(address.sun_path) - 1, "%ld", rest--);
		socklen_t length = offsetof(struct sockaddr_un, sun_path) + 1 + size;
		if (bind(listener, (struct sockaddr *)&address, length) < 0 ||
			listen(listener, 4096) < 0)
			return errno;
		for (bool is_full = false; rest >= 2 && !is_full; rest -= is_full ? 0 : 2) {
			int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
			is_full = connect(fd, (struct sockaddr *)&address, length) < 0;
			close(fd);
		}
	}
	printf("made\n");
	fflush(stdout);
	be_busy(number(argv, 3));
	return 0;
}

/* Execute ourselves again and again with 6 MB of arguments, in argv[2] processes. */
static int do_large_exec(char **argv)
{
	enum { WORDS = 46, WORD_BYTES = 130000 };
	static char word[WORD_BYTES];
	char *words[WORDS + 4] = { "/bin/hostile", "large-exec", "1" };
	struct rlimit stack;
	memset(word, 'a', sizeof(word) - 1);
	for (int i = 0; i < WORDS; i++)
		words[3 + i] = word;
	getrlimit(RLIMIT_STACK, &stack);
	stack.rlim_cur = stack.rlim_max;
	setrlimit(RLIMIT_STACK, &stack);
	for (long i = 1; i < number(argv, 2); i++)
		if (fork() == 0)
			break;
	execv(words[0], words);
	return errno;
}

/* argv[3] locks on each of argv[2] files, held for argv[4] ms; argv[5] children do the same. */
static int do_locks(char **argv)
{
	char name[32];
	long taken = 0;
	for (long i = 0; i < number(argv, 5); i++)
		if (fork() == 0)
			break;
	for (long file = 0; file < number(argv, 2); file++) {
		snprintf(name, sizeof(name), "%d-%ld", (int)getpid(), file);
		taken += lock_ranges(name, number(argv, 3));
	}
	printf("%ld\n", taken);
	fflush(stdout);
	be_busy(number(argv, 4));
	return 0;
}

static void flock_all(const int *fds, long count)
{
	for (long i = 0; i < count; i++)
		(void)flock(fds[i], LOCK_SH);
}

/*
 * argv[2] locks by flock(), each on a file opened anew and held by a mapping alone, in each of
 * argv[3] processes; with "dead", taken by one that is no more. Held for argv[5] ms.
 */
static int do_mapped_locks(char **argv)
{
	enum { BATCH = 2000 };
	int fds[BATCH];
	char name[32];
	long taken = 0;
	for (long i = 1; i < number(argv, 3); i++)
		if (fork() == 0)
			break;
	while (taken < number(argv, 2)) {
		for (int i = 0; i < BATCH; i++) { /* each lock makes the next of its file slower */
			snprintf(name, sizeof(name), "locked-%d-%d", (int)getpid(), i / 5);
			fds[i] = open(name, O_RDONLY | O_CREAT, 0600);
		}
		if (strcmp(argv[4], "dead") != 0)
			flock_all(fds, BATCH);
		else if (fork() == 0) {
			flock_all(fds, BATCH);
			_exit(0);
		} else {
			wait(NULL);
		}
		for (int i = 0; i < BATCH; i++) { /* every second so: no two in one mapping */
			int rights = i % 2 ? PROT_READ : PROT_NONE;
			taken += mmap(NULL, 4096, rights, MAP_SHARED, fds[i], 0) != MAP_FAILED;
			close(fds[i]);
		}
	}
	be_busy(number(argv, 5));
	return 0;
}

/* A message with argv[2] bytes of control data without a meaning, then one with 253 descriptors. */
static int do_control_data(char **argv)
{
	static union {
		struct cmsghdr head;
		char bytes[128 * 1024];
	} control;
	control.head = (struct cmsghdr){ .cmsg_level = 99, .cmsg_len = number(argv, 2) };
	struct iovec part = { "x", 1 };
	struct msghdr message = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = control.head.cmsg_len };
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0)
		return errno;
	int error = sendmsg(pair[0], &message, 0) < 0 ? errno : 0;
	control.head = (struct cmsghdr){ CMSG_LEN(253 * sizeof(int)), .cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS };
	message.msg_controllen = control.head.cmsg_len;
	return sendmsg(pair[0], &message, 0) < 0 ? errno + 100 : error;
}

static int do_open_file_lock(char **argv)
{
	struct flock range = { .l_type = F_WRLCK, .l_len = 1 };
	(void)argv;
	int fd = open("locked", O_RDWR | O_CREAT, 0600);
	return fcntl(fd, 37 /* F_OFD_SETLK */, &range) < 0 ? errno : GOT_THROUGH;
}

static int do_shared_files(char **argv)
{
	(void)argv;
	long pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		_exit(0);
	return pid < 0 ? errno : GOT_THROUGH;
}

/* More than the limit on locked memory. */
static int do_mlock(char **argv)
{
	(void)argv;
	char *bytes = mmap(
		NULL, 16 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mlock(bytes, 16 * MIB) == 0 || mlockall(MCL_CURRENT | MCL_FUTURE) == 0)
		return GOT_THROUGH;
	return REFUSED;
}

/* Watches of epoll, which a machine has only so many of per user: prints how many came. */
static int do_epoll(char **argv)
{
	struct epoll_event event = { .events = EPOLLIN };
	int targets[500];
	long count = 0;
	(void)argv;
	for (int i = 0; i < 500; i++) {
		int pipes[2];
		if (pipe(pipes) < 0)
			return errno;
		close(pipes[1]);
		targets[i] = pipes[0];
	}
	for (;;) {
		int epoll = epoll_create1(0);
		if (epoll < 0)
			break;
		for (int i = 0; i < 500; i++)
			count += epoll_ctl(epoll, EPOLL_CTL_ADD, targets[i], &event) == 0;
	}
	int error = errno;
	printf("%ld\n", count);
	return error;
}

/* The parent sleeps in vfork() for as long as the child wants. */
static int do_vfork_hold(char **argv)
{
	(void)argv;
	if (vfork() == 0)
		for (;;)
			pause();
	return 0;
}

static int copy_self_to(const char *path)
{
	char bytes[PAGE];
	ssize_t got;
	int from = open("/proc/self/exe", O_RDONLY);
	int to = open(path, O_WRONLY | O_CREAT, 0700);
	while ((got = read(from, bytes, sizeof(bytes))) > 0)
		if (write(to, bytes, (size_t)got) != got)
			return -1;
	close(from);
	close(to);
	return open(path, O_RDONLY);
}

/* A program that has no name any more. */
static int do_exec_deleted(char **argv)
{
	char *args[] = { "copy", "exit", "42", NULL };
	char *env[] = { NULL };
	(void)argv;
	int fd = copy_self_to("x");
	unlink("x");
	syscall(SYS_execveat, fd, "", args, env, 0x1000 /* AT_EMPTY_PATH */);
	return errno;
}

/* A script whose first line is argv[2] bytes long. */
static int do_shebang(char **argv)
{
	size_t size = (size_t)number(argv, 2);
	char *line = malloc(size);
	char *args[] = { "x", NULL };
	char *env[] = { NULL };
	memset(line, 'a', size);
	memcpy(line, "#!/bin/hostile ", 15);
	line[size - 1] = '\n';
	int fd = open("x", O_WRONLY | O_CREAT, 0700);
	(void)!write(fd, line, size);
	close(fd);
	execve("x", args, env);
	return errno;
}

/* Itself with argv[2] arguments of argv[3] bytes each; exits 0 when they arrived whole. */
static int do_arguments(char **argv)
{
	long count = number(argv, 2);
	size_t size = (size_t)number(argv, 3);
	char *env[] = { NULL };
	if (argv[4] && strcmp(argv[4], "arrived") == 0) {
		for (long i = 0; i < count; i++)
			if (!argv[5 + i] || strlen(argv[5 + i]) != size)
				return 1;
		return 0;
	}
	char **args = calloc((size_t)count + 6, sizeof(*args));
	char *text = malloc(size + 1);
	memset(text, 'x', size);
	text[size] = 0;
	char *head[] = { "hostile", "arguments", argv[2], argv[3], "arrived" };
	memcpy(args, head, sizeof(head));
	for (long i = 0; i < count; i++)
		args[5 + i] = text;
	execve("/bin/hostile", args, env);
	return errno;
}

/* Descriptors that are not ours to have, through their names in /proc. */
static int do_reopen(char **argv)
{
	char path[64];
	(void)argv;
	int fd = open("/etc/passwd", O_RDONLY);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fd < 0 || open(path, O_RDWR) >= 0 || open(path, O_WRONLY | O_TRUNC) >= 0)
		return GOT_THROUGH;
	for (int pid = 1; pid < 3; pid++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/0", pid == 1 ? 1 : getppid());
		if (open(path, O_RDONLY) >= 0)
			return GOT_THROUGH;
	}
	return REFUSED;
}

static int do_lease(char **argv)
{
	int fd = open(argv[2], O_RDONLY);
	return fcntl(fd, F_SETLEASE, F_RDLCK) == 0 ? GOT_THROUGH : REFUSED;
}

/* Which pages of a shared file are in memory? */
static int do_page_cache(char **argv)
{
	unsigned char pages[16];
	char byte;
	struct iovec part = { &byte, 1 };
	int fd = open(argv[2], O_RDONLY);
	void *map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	if (fd < 0 || map == MAP_FAILED)
		return 1;
	if (mincore(map, PAGE, pages) == 0 ||
		syscall(SYS_preadv2, fd, &part, 1, 0, 0, 8 /* RWF_NOWAIT */) >= 0)
		return GOT_THROUGH;
	return REFUSED;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in a directory, sorted, in one line. */
static int do_list(char **argv)
{
	char *names[256];
	size_t count = 0;
	DIR *dir = opendir(argv[2]);
	for (struct dirent *entry; dir && count < 256 && (entry = readdir(dir));)
		if (entry->d_name[0] != '.')
			names[count++] = strdup(entry->d_name);
	if (!dir)
		return errno;
	closedir(dir);
	qsort(names, count, sizeof(*names), compare);
	for (size_t i = 0; i < count; i++)
		printf("%s ", names[i]);
	printf("\n");
	return 0;
}

/* Descriptors that are open here, without the one that looks. */
static int do_list_fds(char **argv)
{
	(void)argv;
	for (int fd = 0; fd < 4096; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf("%d ", fd);
	printf("\n");
	return 0;
}

/* An abstract socket name: hold it, or find it held or answered. */
static int do_abstract(char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "\0cupel-test" };
	socklen_t size = offsetof(struct sockaddr_un, sun_path) + 11;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&address, size) == 0)
		return GOT_THROUGH;
	if (bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 1) < 0)
		return errno;
	printf("bound\n");
	fflush(stdout);
	if (number(argv, 2))
		sleep((unsigned)number(argv, 2));
	return 0;
}

/* A socket, a FIFO and a lock of the host, in a directory that both have: errno, bytes read, errno.
 */
static int do_meet(char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (chdir(argv[2]) < 0)
		return errno;
	strcpy(address.sun_path, "socket");
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	printf("%d", connect(fd, (struct sockaddr *)&address, sizeof(address)) ? errno : 0);
	printf(" %d", (int)read(open("fifo", O_RDONLY | O_NONBLOCK), &address, 1));
	fd = open("file", O_RDONLY);
	printf(" %d\n", fd < 0 || flock(fd, LOCK_SH | LOCK_NB) ? errno : 0);
	return 0;
}

/* Write the memory of a process of one's own: what a debugger does, and a forger of arguments. */
static int do_sibling_memory(char **argv)
{
	char path[64];
	(void)argv;
	pid_t child = fork();
	if (child == 0)
		for (;;)
			pause();
	snprintf(path, sizeof(path), "/proc/%d/mem", child);
	int through = open(path, O_RDWR) >= 0 || open("/proc/self/mem", O_WRONLY) >= 0;
	kill(child, SIGKILL);
	return through ? GOT_THROUGH : REFUSED;
}

static int do_signal_parent(char **argv)
{
	(void)argv;
	const pid_t targets[] = { 1, getppid() }; /* the supervisor is outside and has no number */
	const int signals[] = { 0, SIGCONT, SIGTERM, SIGKILL };
	for (size_t t = 0; t < sizeof(targets) / sizeof(targets[0]); t++)
		for (size_t s = 0; s < sizeof(signals) / sizeof(signals[0]); s++)
			if (targets[t] && kill(targets[t], signals[s]) == 0)
				return GOT_THROUGH;
	return getppid() == 0 ? REFUSED : SEEN;
}

/* A chain of argv[2] processes that block every signal; the last says so. For bench/sandbox.py. */
static int do_chain(char **argv)
{
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	for (long i = 1; i < number(argv, 2); i++) {
		pid_t child = fork();
		if (child < 0)
			return errno;
		if (child > 0)
			for (;;)
				pause();
	}
	(void)!write(1, "ready\n", 6);
	for (;;)
		pause();
}

/* argv[2] children one after the other, each perhaps killed by another before its parent knows it.
 */
static int do_kill_births(char **argv)
{
	volatile pid_t *last = mmap(
		NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t killer = fork();
	*last = getpid() + 2;
	if (killer == 0)
		for (;;)
			for (pid_t pid = *last + 1; pid < *last + 3; pid++)
				kill(pid, SIGKILL);
	*last = killer;
	for (long i = 0; i < number(argv, 2); i++) {
		pid_t child = fork();
		if (child == 0)
			_exit(0);
		if (child < 0)
			return errno;
		waitpid(child, NULL, 0);
		*last = child;
	}
	kill(killer, SIGKILL);
	waitpid(killer, NULL, 0);
	return 0;
}

/* argv[2] parents killed while they fork; whoever they left behind must come to its end. */
static int do_orphan_births(char **argv)
{
	for (long i = 0; i < number(argv, 2); i++) {
		int ends[2];
		char byte;
		if (pipe(ends) < 0)
			return errno;
		pid_t parent = fork();
		while (parent == 0)
			if (fork() == 0)
				_exit(0);
			else
				waitpid(-1, NULL, 0);
		usleep((useconds_t)(i * 37 % 1000));
		kill(parent, SIGKILL);
		waitpid(parent, NULL, 0);
		close(ends[1]);
		while (read(ends[0], &byte, 1) > 0)
			;
		close(ends[0]);
	}
	return 0;
}

/* argv[2] programs of 64 KiB of words, killed as soon as their exec is known of (Popen().kill()).
 */
static int do_kill_execs(char **argv)
{
	enum { WORDS = 64, WORD_BYTES = 1024 };
	static char word[WORD_BYTES];
	char *words[WORDS + 3] = { "/bin/hostile", "sleep" };
	memset(word, 'a', sizeof(word) - 1);
	for (int i = 0; i < WORDS; i++)
		words[2 + i] = word;
	for (long i = 0; i < number(argv, 2); i++) {
		int ends[2];
		char byte;
		if (pipe2(ends, O_CLOEXEC) < 0)
			return errno;
		pid_t child = fork();
		if (child == 0) {
			execv(words[0], words);
			_exit(errno);
		}
		close(ends[1]);
		(void)!read(ends[0], &byte, 1);
		close(ends[0]);
		usleep((useconds_t)(i % 8 * 20));
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	return 0;
}

static volatile int children_gone;

static void note_child(int signal)
{
	(void)signal;
	children_gone++;
}

/* Forks argv[2] times where one process more is one too many; how often that disturbed later. */
static int do_refused_forks(char **argv)
{
	struct sigaction note = { .sa_handler = note_child }; /* no SA_RESTART */
	sigaction(SIGCHLD, &note, NULL);
	int late = 0;
	for (long i = 0; i < number(argv, 2); i++) {
		int before = children_gone;
		if (fork() != -1)
			return 99;
		int error = errno;
		late += children_gone != before + 1 || usleep(3000) != 0 || error != EAGAIN;
		waitpid(-1, NULL, WNOHANG);
	}
	return late;
}

static void *make_threads(void *depth)
{
	pthread_t thread;
	while (depth)
		if (pthread_create(&thread, NULL, make_threads, NULL) == 0)
			pthread_detach(thread);
	return NULL;
}

/* argv[2] processes killed while their threads make threads. */
static int do_kill_threads(char **argv)
{
	for (long i = 0; i < number(argv, 2); i++) {
		pid_t child = fork();
		pthread_t thread;
		if (child == 0) {
			for (int j = 0; j < 2; j++)
				if (pthread_create(&thread, NULL, make_threads, &i) != 0)
					_exit(errno);
			pause();
		}
		usleep((useconds_t)(500 + i * 37 % 1000));
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	return 0;
}

/* The job of a zygote's child, as park_python.py reads it: directory, count, arguments,
 * environment. */
static int become_job(void)
{
	char *job = calloc(4, MIB); /* not static: our data counts against limits */
	char **words = calloc(MIB, sizeof(*words));
	size_t size = 0, count = 0;
	for (ssize_t got; (got = read(64, job + size, 4 * MIB - 1 - size)) > 0;)
		size += (size_t)got;
	for (char *at = job; at < job + size; at += strlen(at) + 1)
		words[count++] = at;
	size_t argc = strtoul(words[1], NULL, 10);
	char *argv[512] = { NULL };
	memcpy(argv, words + 2, argc * sizeof(*argv));
	if (chdir(words[0]) < 0)
		return errno;
	close(64);
	close(65); /* whatever it becomes has no such end to tell */
	execve(argv[0], argv, words + 2 + argc);
	return errno;
}

/* A zygote for the other verbs: see sandbox_prepare(). */
static int do_zygote(char **argv)
{
	char byte;
	char control[CMSG_SPACE(16 * sizeof(int))];
	(void)argv;
	signal(SIGCHLD, SIG_IGN);
	for (int fd = 0; fd <= 2; fd++)
		dup2(open("/dev/null", O_RDWR), fd);
	close_range(3, 63, 0);
	(void)!write(65, "R", 1);
	close(65);
	for (;;) {
		struct iovec part = { &byte, 1 };
		struct msghdr message = { .msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control) };
		if (recvmsg(64, &message, MSG_CMSG_CLOEXEC) <= 0)
			return 0;
		struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
		int fds[16];
		size_t count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(rights), count * sizeof(int));
		static const int places[] = { 0, 1, 2, 64, 65 };
		if (fork() == 0) {
			signal(SIGCHLD, SIG_DFL);
			for (size_t i = 0; i < 5; i++)
				dup2(fds[i], places[i]);
			return become_job();
		}
		for (size_t i = 0; i < count; i++)
			close(fds[i]);
	}
}

static const struct {
	const char *name;
	int (*run)(char **argv);
} verbs[] = {
	{ "zygote", do_zygote },
	{ "memory-many", do_memory_many },
	{ "xattrs", do_xattrs },
	{ "socket-filter", do_socket_filter },
	{ "unlinked", do_unlinked },
	{ "locks", do_locks },
	{ "connections", do_connections },
	{ "large-exec", do_large_exec },
	{ "mapped-locks", do_mapped_locks },
	{ "control-data", do_control_data },
	{ "open-file-lock", do_open_file_lock },
	{ "shared-files", do_shared_files },
	{ "mlock", do_mlock },
	{ "epoll", do_epoll },
	{ "vfork-hold", do_vfork_hold },
	{ "exec-deleted", do_exec_deleted },
	{ "shebang", do_shebang },
	{ "arguments", do_arguments },
	{ "reopen", do_reopen },
	{ "lease", do_lease },
	{ "page-cache", do_page_cache },
	{ "list", do_list },
	{ "list-fds", do_list_fds },
	{ "abstract", do_abstract },
	{ "meet", do_meet },
	{ "sibling-memory", do_sibling_memory },
	{ "chain", do_chain },
	{ "kill-births", do_kill_births },
	{ "kill-execs", do_kill_execs },
	{ "refused-forks", do_refused_forks },
	{ "kill-threads", do_kill_threads },
	{ "orphan-births", do_orphan_births },
	{ "signal-parent", do_signal_parent },
};

int attack_run(char **argv, int *ret_code)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].name, argv[1]) == 0) {
			*ret_code = verbs[i].run(argv);
			return 1;
		}
	return 0;
}
