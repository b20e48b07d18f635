/*
 * The one table of system calls (x86-64): what a payload may do. Not listed and known: EPERM;
 * number not known: ENOSYS. LATER: the supervisor needs it, so the first stage of the filter allows
 * it; what a payload gets is decided by the second. See filter.c for the meaning of the actions.
 * No include guard: it is included where ALLOW, CHECK, FAKE, NOSYS, NOTSUP and LATER are defined.
 *
 * Left out on purpose: everything that makes namespaces or mounts, ptrace and other ways into
 * foreign memory, io_uring (works past this filter), bpf, perf, userfaultfd, keys, inotify and
 * fanotify (see other sandboxes through shared inodes), mincore and cachestat (page-cache probes),
 * SysV and POSIX queues, handles, modules, clocks, new filters, memfd_secret, mempolicy. And what
 * takes memory of the kernel that no group counts: extended attributes (access lists) and filters
 * of sockets. fadvise64 does nothing: its advice could put files of the image out of the cache that
 * all share.
 */
/* clang-format off */

/* files */
ALLOW(read) ALLOW(write) ALLOW(open) ALLOW(close) ALLOW(stat) ALLOW(fstat) ALLOW(lstat)
ALLOW(poll) ALLOW(lseek) ALLOW(pread64) ALLOW(pwrite64) ALLOW(readv) ALLOW(writev) ALLOW(access)
ALLOW(pipe) ALLOW(select) ALLOW(dup) ALLOW(dup2) ALLOW(sendfile) CHECK(fcntl, FCNTL) ALLOW(flock)
ALLOW(fsync) ALLOW(fdatasync) ALLOW(truncate) ALLOW(ftruncate) ALLOW(getdents) ALLOW(getcwd)
ALLOW(chdir) ALLOW(fchdir) ALLOW(rename) ALLOW(mkdir) ALLOW(rmdir) ALLOW(creat) ALLOW(link)
ALLOW(unlink) ALLOW(symlink) ALLOW(readlink) ALLOW(chmod) ALLOW(fchmod) ALLOW(chown) ALLOW(fchown)
ALLOW(lchown) ALLOW(umask) ALLOW(utime) ALLOW(mknod) ALLOW(statfs) ALLOW(fstatfs) ALLOW(getxattr)
ALLOW(lgetxattr) ALLOW(fgetxattr) ALLOW(listxattr) ALLOW(llistxattr) ALLOW(flistxattr)
NOTSUP(setxattr) NOTSUP(lsetxattr) NOTSUP(fsetxattr) ALLOW(removexattr) ALLOW(lremovexattr)
ALLOW(fremovexattr) ALLOW(getdents64) FAKE(fadvise64) ALLOW(utimes) ALLOW(openat) ALLOW(mkdirat)
ALLOW(mknodat) ALLOW(fchownat) ALLOW(futimesat) ALLOW(newfstatat) ALLOW(unlinkat) ALLOW(renameat)
ALLOW(linkat) ALLOW(symlinkat) ALLOW(readlinkat) ALLOW(fchmodat) ALLOW(faccessat) ALLOW(pselect6)
ALLOW(ppoll) ALLOW(splice) ALLOW(tee) ALLOW(sync_file_range) ALLOW(utimensat) ALLOW(fallocate)
ALLOW(dup3) ALLOW(pipe2) ALLOW(preadv) ALLOW(pwritev) ALLOW(renameat2) ALLOW(copy_file_range)
ALLOW(statx) ALLOW(close_range) ALLOW(openat2) ALLOW(faccessat2) CHECK(ioctl, IOCTL)
NOSYS(preadv2) NOSYS(pwritev2) FAKE(sync) FAKE(syncfs)

/* waiting */
ALLOW(epoll_create) ALLOW(epoll_wait) ALLOW(epoll_ctl) ALLOW(epoll_pwait) ALLOW(epoll_create1)
ALLOW(epoll_pwait2) ALLOW(eventfd) ALLOW(eventfd2) ALLOW(signalfd) ALLOW(signalfd4)
ALLOW(timerfd_create) ALLOW(timerfd_settime) ALLOW(timerfd_gettime)

/* memory */
CHECK(mmap, MMAP) ALLOW(mprotect) ALLOW(munmap) ALLOW(brk) ALLOW(mremap) ALLOW(msync)
ALLOW(madvise) ALLOW(mlock) ALLOW(munlock) ALLOW(mlockall) ALLOW(munlockall) ALLOW(mlock2)
ALLOW(pkey_mprotect) ALLOW(pkey_alloc) ALLOW(pkey_free) ALLOW(membarrier)
CHECK(memfd_create, MEMFD)

/* processes, threads, signals */
CHECK(clone, CLONE) ALLOW(fork) ALLOW(vfork) ALLOW(execve) ALLOW(execveat)
ALLOW(exit) ALLOW(exit_group) ALLOW(wait4) ALLOW(waitid) ALLOW(kill) ALLOW(tkill) ALLOW(tgkill)
ALLOW(rt_sigaction) ALLOW(rt_sigprocmask) ALLOW(rt_sigreturn) ALLOW(rt_sigpending)
ALLOW(rt_sigtimedwait) ALLOW(rt_sigqueueinfo) ALLOW(rt_tgsigqueueinfo) ALLOW(rt_sigsuspend)
ALLOW(sigaltstack) ALLOW(restart_syscall) ALLOW(pause) ALLOW(alarm) ALLOW(getitimer)
ALLOW(setitimer) ALLOW(timer_create) ALLOW(timer_settime) ALLOW(timer_gettime)
ALLOW(timer_getoverrun) ALLOW(timer_delete) ALLOW(nanosleep) ALLOW(clock_nanosleep)
ALLOW(sched_yield) ALLOW(sched_getaffinity) ALLOW(sched_setaffinity) ALLOW(sched_getparam)
ALLOW(sched_getscheduler) ALLOW(sched_setscheduler) ALLOW(sched_get_priority_max)
ALLOW(sched_get_priority_min) ALLOW(sched_rr_get_interval) ALLOW(sched_getattr) ALLOW(getpriority)
ALLOW(setpriority) ALLOW(futex) ALLOW(set_robust_list) ALLOW(get_robust_list)
ALLOW(set_tid_address) ALLOW(rseq) ALLOW(arch_prctl) ALLOW(pidfd_open) ALLOW(pidfd_send_signal)
NOSYS(futex_waitv) CHECK(personality, PERSONALITY)

/* who and when am I */
ALLOW(getpid) ALLOW(gettid) ALLOW(getppid) ALLOW(getuid) ALLOW(geteuid) ALLOW(getgid)
ALLOW(getegid) ALLOW(getresuid) ALLOW(getresgid) ALLOW(getgroups) ALLOW(setuid) ALLOW(setgid)
ALLOW(setreuid) ALLOW(setregid) ALLOW(setresuid) ALLOW(setresgid) ALLOW(setfsuid) ALLOW(setfsgid)
ALLOW(setpgid) ALLOW(getpgid) ALLOW(getpgrp) ALLOW(setsid) ALLOW(getsid) ALLOW(capget)
ALLOW(uname) ALLOW(sysinfo) ALLOW(times) ALLOW(getrusage) ALLOW(getrlimit) CHECK(setrlimit, SETRLIMIT)
ALLOW(time) ALLOW(gettimeofday) ALLOW(clock_gettime) ALLOW(clock_getres)
ALLOW(getcpu) ALLOW(getrandom)

/* local sockets */
CHECK(socket, SOCKET) CHECK(socketpair, SOCKET) ALLOW(bind) ALLOW(connect) ALLOW(listen)
ALLOW(accept) ALLOW(accept4) ALLOW(shutdown) ALLOW(getsockname) ALLOW(getpeername) ALLOW(sendto)
ALLOW(recvfrom) ALLOW(sendmsg) ALLOW(recvmsg) ALLOW(sendmmsg) ALLOW(recvmmsg) ALLOW(getsockopt)
CHECK(setsockopt, SOCKOPT)

/* newer than the oldest headers we build with: by number, see filter_numbers.h */
ALLOW(fchmodat2) ALLOW(map_shadow_stack) ALLOW(futex_wake) ALLOW(futex_wait) ALLOW(futex_requeue)
ALLOW(mseal)

/* of the supervisor: building, tracing, and what the payload does to itself before its exec */
LATER(clone3, ENOSYS) LATER(prctl, PRCTL) LATER(prlimit64, PRLIMIT) LATER(ptrace, EPERM)
LATER(unshare, EPERM) LATER(setns, EPERM) LATER(mount, EPERM) LATER(umount2, EPERM)
LATER(pivot_root, EPERM) LATER(sethostname, EPERM) LATER(fsopen, EPERM) LATER(fsconfig, EPERM)
LATER(fsmount, EPERM) LATER(open_tree, EPERM) LATER(move_mount, EPERM) LATER(mount_setattr, EPERM)
LATER(setgroups, EPERM) LATER(capset, EPERM) LATER(seccomp, EPERM) LATER(sched_setattr, EPERM)
LATER(landlock_create_ruleset, EPERM) LATER(landlock_add_rule, EPERM)
LATER(landlock_restrict_self, EPERM) LATER(fanotify_init, EPERM) LATER(fanotify_mark, EPERM)
	/* clang-format on */
