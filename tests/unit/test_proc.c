/* kit/proc: spawning with an exact descriptor table, messages, lockdown. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "kit/proc/lockdown.h"
#include "kit/proc/message.h"
#include "kit/proc/spawn.h"

static int run_shell(const char *script, const int *fds, size_t count, int out)
{
	struct err err;
	pid_t pid;
	auto_close pidfd = -1;
	int code = 0;
	struct proc_spawn spawn = {
		.path = "/bin/sh",
		.argv = (const char *[]){ "sh", "-c", script, NULL },
		.fds = fds,
		.fd_count = count,
		.stdin_fd = -1,
		.stdout_fd = out,
		.stderr_fd = -1,
	};
	ck_assert_ok(proc_spawn(&spawn, &pid, &pidfd, &err), err);
	ck_assert_ok(proc_wait(pid, &code, &err), err);
	return code;
}

START_TEST(child_has_exactly_its_descriptors)
{
	int pair[2];
	char text[64] = "";
	ck_assert_int_eq(pipe(pair), 0);
	ck_assert_int_eq(run_shell("echo hello >&4; ls /proc/self/fd | wc -l; env | wc -l",
				 (int[]){ 0, pair[1] }, 2, pair[1]),
		0);
	ssize_t got = read(pair[0], text, sizeof(text) - 1);
	ck_assert_int_gt(got, 0);
	/* 0 1 2 3 4 and the descriptor of the directory itself; PWD alone, set by the shell */
	ck_assert_msg(str_starts(text, "hello\n6\n"), "%s", text);
}
END_TEST

START_TEST(exit_codes_and_signals_are_told_apart)
{
	ck_assert_int_eq(run_shell("exit 7", NULL, 0, -1), 7);
	ck_assert_int_eq(run_shell("kill -9 $$", NULL, 0, -1), 256 + SIGKILL);
}
END_TEST

START_TEST(spawn_refuses)
{
	struct err err;
	pid_t pid;
	int pidfd = -1, fds[PROC_FD_COUNT_MAX + 1] = {};
	struct proc_spawn spawn = { .path = "/nonexistent/x",
		.argv = (const char *[]){ "x", NULL },
		.stdin_fd = -1,
		.stdout_fd = -1,
		.stderr_fd = -1 };
	ck_assert_fails(proc_spawn(&spawn, &pid, &pidfd, &err), E_UNAVAILABLE, err);
	spawn.fds = fds;
	spawn.fd_count = PROC_FD_COUNT_MAX + 1;
	ck_assert_fails(proc_spawn(&spawn, &pid, &pidfd, &err), E_LIMIT, err);
	char path[512];
	ck_assert_fails(
		proc_sibling("no-such-program", path, sizeof(path), &err), E_NOT_FOUND, err);
}
END_TEST

START_TEST(messages_keep_borders)
{
	struct err err;
	int pair[2];
	struct message message;
	static uint8_t big[MESSAGE_BODY_MAX + 1];
	ck_assert_ok(fd_socketpair(SOCK_SEQPACKET, pair, &err), err);
	ck_assert_ok(message_receive(pair[1], MSG_DONTWAIT, &message, &err), err);
	ck_assert(message.is_nothing);
	for (size_t size = MESSAGE_BODY_MAX - 1; size <= MESSAGE_BODY_MAX + 1; size++)
		ck_assert_int_eq(
			message_send(pair[0], 3, view_of(big, size), (int[]){ 0 }, 1, &err),
			size > MESSAGE_BODY_MAX ? E_LIMIT : 0);
	for (size_t size = MESSAGE_BODY_MAX - 1; size <= MESSAGE_BODY_MAX; size++) {
		ck_assert_ok(message_receive(pair[1], 0, &message, &err), err);
		ck_assert_uint_eq(message.body.size, size);
		ck_assert_uint_eq(message.type, 3);
		ck_assert_uint_eq(message.fd_count, 1);
		message_done(&message);
	}
	ck_assert_ok(fd_send(pair[0], view_string("short"), NULL, 0, &err), err);
	ck_assert_fails(message_receive(pair[1], 0, &message, &err), E_INVALID, err);
	ck_assert_ok(fd_send(pair[0], view_string("wrong magic"), NULL, 0, &err), err);
	ck_assert_fails(message_receive(pair[1], 0, &message, &err), E_INVALID, err);
	fd_close(&pair[0]);
	ck_assert_ok(message_receive(pair[1], 0, &message, &err), err);
	ck_assert(message.is_end);
}
END_TEST

/* Larger than a header, from a peer that went with a message unread. */
START_TEST(last_message_is_heard)
{
	struct err err;
	int pair[2];
	struct message message;
	ck_assert_ok(fd_socketpair(SOCK_SEQPACKET, pair, &err), err);
	ck_assert_ok(message_send(pair[0], 1, view_string("unread"), NULL, 0, &err), err);
	ck_assert_ok(message_send(pair[1], 2, view_string("the last words"), NULL, 0, &err), err);
	fd_close(&pair[1]);
	ck_assert_ok(message_receive(pair[0], MSG_DONTWAIT, &message, &err), err);
	ck_assert_uint_eq(message.body.size, 14);
	message_done(&message);
	ck_assert_ok(message_receive(pair[0], MSG_DONTWAIT, &message, &err), err);
	ck_assert(message.is_end);
	fd_close(&pair[0]);
}
END_TEST

START_TEST(hardened_process_is_not_dumpable)
{
	struct err err;
	ck_assert_ok(proc_harden(false, &err), err);
	ck_assert_int_eq(prctl(PR_GET_DUMPABLE), 0);
	ck_assert_int_eq(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
}
END_TEST

START_TEST(filter_ends_the_process)
{
	struct err err;
	static const char *const names[] = { "exit_group", "write" };
	static const char *const unknown[] = { "no_such_call" };
	ck_assert_fails(proc_filter(unknown, 1, false, &err), E_INTERNAL, err);
	ck_assert_ok(proc_filter(names, 2, false, &err), err);
	(void)getppid();
}
END_TEST

/* A line of /proc/self/status as a shell of ours sees it, hexadecimal. */
static unsigned long shell_status(const char *name)
{
	char script[128];
	char text[64] = "";
	int pair[2];
	ck_assert_int_eq(pipe(pair), 0);
	snprintf(script, sizeof(script), "grep '^%s:' /proc/self/status >&3", name);
	ck_assert_int_eq(run_shell(script, (int[]){ pair[1] }, 1, -1), 0);
	ck_assert_int_gt(read(pair[0], text, sizeof(text) - 1), 0);
	return strtoul(text + strlen(name) + 1, NULL, 16);
}

START_TEST(rights_do_not_come_back)
{
	static const int kept[] = { CAP_KILL, CAP_SYS_PTRACE };
	const unsigned long expected = 1ul << CAP_KILL | 1ul << CAP_SYS_PTRACE;
	struct err err;
	if (geteuid() != 0)
		return;
	ck_assert_ok(proc_harden(false, &err), err);
	ck_assert_ok(proc_keep_rights(kept, ARRAY_SIZE(kept), &err), err);
	ck_assert_uint_eq(shell_status("CapEff"), expected);
	ck_assert_uint_eq(shell_status("CapPrm"), expected);
	ck_assert_uint_eq(shell_status("CapBnd"), expected);
	ck_assert_uint_eq(shell_status("NoNewPrivs"), 1);
	ck_assert_int_ne(setuid(1), 0);
	ck_assert_ok(proc_keep_rights(NULL, 0, &err), err);
	ck_assert_uint_eq(shell_status("CapEff"), 0);
	ck_assert_uint_eq(shell_status("CapPrm"), 0);
}
END_TEST

START_TEST(nobody_owns_nothing)
{
	struct err err;
	if (geteuid() != 0)
		return;
	ck_assert_ok(proc_become_nobody(&err), err);
	ck_assert_uint_eq(getuid(), PROC_NOBODY_ID);
	ck_assert_uint_eq(getgid(), PROC_NOBODY_ID);
	ck_assert_int_eq(getgroups(0, NULL), 0);
	ck_assert_int_ne(setuid(0), 0);
	ck_assert_int_lt(open("/etc/shadow", O_RDONLY | O_CLOEXEC), 0);
	ck_assert_ok(proc_become_nobody(&err), err); /* again: nothing */
}
END_TEST

START_TEST(refused_calls)
{
	static const char *const some[] = { "getpgid" };
	static const char *const unknown[] = { "no_such_call" };
	struct err err;
	ck_assert_fails(proc_refuse(unknown, 1, &err), E_INTERNAL, err);
	ck_assert_ok(proc_refuse_kernel(&err), err);
	ck_assert_int_eq(syscall(SYS_bpf, 0, NULL, 0), -1);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_eq(syscall(SYS_io_uring_setup, 1, NULL), -1);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_gt(getpgid(0), 0);
	ck_assert_ok(proc_refuse(some, 1, &err), err);
	ck_assert_int_eq(getpgid(0), -1);
	ck_assert_int_eq(run_shell("exit 7", NULL, 0, -1), 7);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("proc");
	TCase *tcase = tcase_create("proc");
	suite_add_tcase(suite, tcase);
	tcase_add_test(tcase, child_has_exactly_its_descriptors);
	tcase_add_test(tcase, exit_codes_and_signals_are_told_apart);
	tcase_add_test(tcase, spawn_refuses);
	tcase_add_test(tcase, messages_keep_borders);
	tcase_add_test(tcase, hardened_process_is_not_dumpable);
	tcase_add_test(tcase, last_message_is_heard);
	tcase_add_test(tcase, rights_do_not_come_back);
	tcase_add_test(tcase, nobody_owns_nothing);
	tcase_add_test(tcase, refused_calls);
	tcase_add_test_raise_signal(tcase, filter_ends_the_process, SIGSYS);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
