/*
 * The assembler of the system call filters; it runs at build time (filter_make.c).
 *
 * Two stages: the supervisor takes on the first while it waits for PID 1 to build, the payload
 * inherits it and adds the second, a third of the size, on the way to its exec. So the supervisor,
 * which handles a stranger's bytes, has an allow-list as well. The kernel runs both; the stricter
 * answer counts. Everything unknown and every foreign interface is the first stage's.
 *
 * Installing a filter costs by its shape: a linear list of 300 comparisons 228 us, a binary search
 * tree over number ranges about 50 us, because the kernel runs the filter once per number to fill
 * its cache. So the table becomes ranges of equal action, the ranges a balanced tree of "jump if
 * greater or equal", and the few calls that need a look at an argument one short tail each. Jumps
 * in classic BPF reach 255 instructions forward: the whole program stays below that.
 *
 * Arguments are compared in their low 32 bits, because the kernel truncates exactly these there
 * (a high bit in an ioctl number once fooled others: CVE-2019-10063).
 */
#include "engines/sandbox/filter.h"

#include <assert.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "engines/sandbox/filter_numbers.h"
#include "kit/base/attr.h"

#ifndef __x86_64__
#error "the table of system calls is for x86-64; add one for this machine"
#endif

enum {
	KNOWN_LAST = 469, /* file_setattr, Linux 6.17 */
	NUMBERS = KNOWN_LAST + 2,
	GAP_FIRST = 335, /* none of a program; 335 and 336 are of uprobes, past all filters */
	GAP_LAST = 423,
	RANGES_MAX = 128,
	FIXUPS_MAX = 512,
};

enum action {
	ACTION_UNNAMED, /* not in the table: EPERM in the first stage, ALLOW in the second */
	ACTION_EPERM,
	ACTION_ALLOW,
	ACTION_ENOSYS,
	ACTION_FAKE, /* answers success without doing it */
	ACTION_EAFNOSUPPORT,
	ACTION_ENOTSUP,
	ACTION_ENOMEM,
	ACTION_EINVAL,
	ACTION_KILL,
	ACTION_CLONE_FILES, /* from here on: a tail looks at an argument */
	ACTION_CLONE_NO_FILES,
	ACTION_CLONE_THREAD, /* after those that it leads to: jumps only go forward */
	ACTION_CLONE,
	ACTION_FCNTL,
	ACTION_SOCKET,
	ACTION_IOCTL_SOCKET,
	ACTION_IOCTL,
	ACTION_MMAP,
	ACTION_MEMFD,
	ACTION_PERSONALITY,
	ACTION_PRCTL,
	ACTION_SETRLIMIT,
	ACTION_PRLIMIT_HIGH,
	ACTION_PRLIMIT_LOW,
	ACTION_PRLIMIT,
	ACTION_SOCKOPT,
	ACTION_COUNT,
};

#define ALLOW(name) [SYS_##name] = ACTION_ALLOW,
#define CHECK(name, rule) [SYS_##name] = ACTION_##rule,
#define FAKE(name) [SYS_##name] = ACTION_FAKE,
#define NOSYS(name) [SYS_##name] = ACTION_ENOSYS,
#define NOTSUP(name) [SYS_##name] = ACTION_ENOTSUP,
#define LATER(name, rule) [SYS_##name] = ACTION_ALLOW,

static const uint8_t base[NUMBERS] = {
	[GAP_FIRST... GAP_LAST] = ACTION_ENOSYS,
#include "engines/sandbox/filter_table.h"
	[KNOWN_LAST + 1] = ACTION_ENOSYS, /* and everything above */
};

#undef ALLOW
#undef CHECK
#undef FAKE
#undef NOSYS
#undef NOTSUP
#undef LATER
#define ALLOW(name)
#define CHECK(name, rule)
#define FAKE(name)
#define NOSYS(name)
#define NOTSUP(name)
#define LATER(name, rule) [SYS_##name] = ACTION_##rule,

static const uint8_t lock[NUMBERS] = {
#include "engines/sandbox/filter_table.h"
};

static const uint32_t returns[ACTION_CLONE_FILES] = {
	[ACTION_EPERM] = SECCOMP_RET_ERRNO | EPERM,
	[ACTION_ALLOW] = SECCOMP_RET_ALLOW,
	[ACTION_ENOSYS] = SECCOMP_RET_ERRNO | ENOSYS,
	[ACTION_FAKE] = SECCOMP_RET_ERRNO | 0,
	[ACTION_EAFNOSUPPORT] = SECCOMP_RET_ERRNO | EAFNOSUPPORT,
	[ACTION_ENOTSUP] = SECCOMP_RET_ERRNO | ENOTSUP,
	[ACTION_ENOMEM] = SECCOMP_RET_ERRNO | ENOMEM,
	[ACTION_EINVAL] = SECCOMP_RET_ERRNO | EINVAL,
	[ACTION_KILL] = SECCOMP_RET_KILL_PROCESS,
};

/* New namespaces; and what would leave the tracer or become the supervisor's own child. */
#define CLONE_REFUSED                                                                        \
	(0x00020000u | 0x02000000u | 0x04000000u | 0x08000000u | 0x10000000u | 0x20000000u | \
		0x40000000u /* CLONE_NEW*: NS CGROUP UTS IPC USER PID NET */ |               \
		0x00800000u /* UNTRACED */ | 0x00002000u /* PTRACE */ | 0x00008000u /* PARENT */)

/*
 * One argument test: load the low (or high) half of an argument, compare with each value in turn;
 * equal (or "any bit set") gives then, no match gives otherwise. A range has two values, the first
 * and the first behind it.
 */
struct check {
	uint8_t argument;
	bool is_mask;
	uint8_t then;
	uint8_t otherwise;
	uint8_t count;
	uint32_t values[14];
	bool is_high;
	bool is_range;
};

static const struct check checks[ACTION_COUNT] = {
	[ACTION_CLONE] = { 0, true, ACTION_EPERM, ACTION_CLONE_THREAD, 1, { CLONE_REFUSED } },
	[ACTION_CLONE_THREAD] = { 0, true, ACTION_CLONE_NO_FILES, ACTION_CLONE_FILES, 1,
		{ 0x10000 /* CLONE_THREAD */ } },
	/*
	 * A process has one table of files. Who shares its own with another process leaves it
	 * locks that bear a dead one's pid; those of a thread of its own are not counted.
	 */
	[ACTION_CLONE_FILES] = { 0, true, ACTION_EPERM, ACTION_ALLOW, 1,
		{ 0x400 /* CLONE_FILES */ } },
	[ACTION_CLONE_NO_FILES] = { 0, true, ACTION_ALLOW, ACTION_EPERM, 1,
		{ 0x400 /* CLONE_FILES */ } },
	/*
	 * F_OFD_GETLK F_OFD_SETLK F_OFD_SETLKW: locks without a pid; as before Linux 3.15.
	 * F_SETLEASE F_NOTIFY: who else opens or reads a file, in an input that others have, too.
	 */
	[ACTION_FCNTL] = { 1, false, ACTION_EINVAL, ACTION_ALLOW, 5, { 36, 37, 38, 1024, 1026 } },
	[ACTION_SOCKET] = { 0, false, ACTION_ALLOW, ACTION_EAFNOSUPPORT, 1, { 1 /* AF_UNIX */ } },
	/*
	 * TIOCSTI TIOCLINUX TIOCSETD TIOCCONS: input injection, consoles, line disciplines.
	 * FS_IOC_SETFLAGS FS_IOC_FSSETXATTR: flags of a directory that disk.c does not see.
	 */
	[ACTION_IOCTL] = { 1, false, ACTION_EPERM, ACTION_IOCTL_SOCKET, 6,
		{ 0x5412, 0x541c, 0x5423, 0x541d, 0x40086602, 0x401c5820 } },
	/*
	 * SIOCGIFBR and what follows it up to other types: bridges, VLANs, DLCI and other devices,
	 * for which the kernel loads modules, whoever asks.
	 */
	[ACTION_IOCTL_SOCKET] = { 1, false, ACTION_EPERM, ACTION_ALLOW, 2, { 0x8940, 0x8a00 },
		.is_range = true },
	[ACTION_MMAP] = { 3, true, ACTION_ENOMEM, ACTION_ALLOW, 1, { 0x40000 /* MAP_HUGETLB */ } },
	[ACTION_MEMFD] = { 1, true, ACTION_EPERM, ACTION_ALLOW, 1,
		{ 0x4 | 0x10 /* MFD_HUGETLB MFD_EXEC */ } },
	/* RLIMIT_CORE stays 1, see payload.c; without a new limit (a pointer) it is only read. */
	[ACTION_SETRLIMIT] = { 0, false, ACTION_EPERM, ACTION_ALLOW, 1, { 4 } },
	[ACTION_PRLIMIT] = { 1, false, ACTION_PRLIMIT_LOW, ACTION_ALLOW, 1, { 4 } },
	[ACTION_PRLIMIT_LOW] = { 2, false, ACTION_PRLIMIT_HIGH, ACTION_EPERM, 1, { 0 } },
	[ACTION_PRLIMIT_HIGH] = { 2, false, ACTION_ALLOW, ACTION_EPERM, 1, { 0 }, true },
	/*
	 * SO_ATTACH_FILTER, _BPF, _REUSEPORT_CBPF, _REUSEPORT_EBPF: programs compiled into memory
	 * that no group counts, of which the whole machine has so much (bpf_jit_limit).
	 */
	[ACTION_SOCKOPT] = { 2, false, ACTION_EPERM, ACTION_ALLOW, 4, { 26, 50, 51, 52 } },
	[ACTION_PERSONALITY] = { 0, false, ACTION_ALLOW, ACTION_EPERM, 2, { 0xffffffff, 0 } },
	[ACTION_PRCTL] = { 0, false, ACTION_ALLOW, ACTION_EPERM, 14,
		{ PR_SET_NAME, PR_GET_NAME, PR_SET_PDEATHSIG, PR_GET_PDEATHSIG, PR_GET_DUMPABLE,
			PR_SET_DUMPABLE, PR_CAPBSET_READ, PR_SET_VMA, PR_SET_TIMERSLACK,
			PR_GET_NO_NEW_PRIVS, PR_SET_NO_NEW_PRIVS, PR_SET_THP_DISABLE,
			PR_GET_SECCOMP, PR_SET_CHILD_SUBREAPER } },
};

struct range {
	uint32_t first;
	uint8_t action;
};

/* A jump whose target is an action's tail, resolved when the tails are placed. */
struct fixup {
	uint16_t insn;
	bool is_true;
	uint8_t action;
};

struct builder {
	struct filter *filter;
	struct range ranges[RANGES_MAX];
	size_t range_count;
	struct fixup fixups[FIXUPS_MAX];
	size_t fixup_count;
};

static size_t emit(struct builder *b, struct sock_filter insn)
{
	assert(b->filter->count < FILTER_INSNS_MAX);
	b->filter->insns[b->filter->count] = insn;
	return b->filter->count++;
}

static void aim(struct builder *b, size_t insn, bool is_true, uint8_t action)
{
	assert(b->fixup_count < FIXUPS_MAX);
	b->fixups[b->fixup_count++] = (struct fixup){ (uint16_t)insn, is_true, action };
}

static void set_offset(struct builder *b, size_t insn, bool is_true, size_t target)
{
	size_t offset = target - insn - 1;
	assert(offset <= UINT8_MAX);
	if (is_true)
		b->filter->insns[insn].jt = (uint8_t)offset;
	else
		b->filter->insns[insn].jf = (uint8_t)offset;
}

static void add_range(struct builder *b, uint32_t first, uint8_t action)
{
	if (b->range_count && b->ranges[b->range_count - 1].action == action)
		return;
	assert(b->range_count < RANGES_MAX);
	b->ranges[b->range_count++] = (struct range){ first, action };
}

/* The tree over ranges first..last (at least two); depth is log2 of their number. */
static void emit_tree(struct builder *b, size_t first, size_t last)
{
	size_t middle = first + (last - first + 1) / 2;
	size_t jump = emit(b, (struct sock_filter)BPF_JUMP(
				      BPF_JMP | BPF_JGE | BPF_K, b->ranges[middle].first, 0, 0));
	if (middle - first > 1)
		emit_tree(b, first, middle - 1); /* follows at once: offset 0 */
	else
		aim(b, jump, false, b->ranges[first].action);
	if (last > middle) {
		set_offset(b, jump, true, b->filter->count);
		emit_tree(b, middle, last);
	} else {
		aim(b, jump, true, b->ranges[middle].action);
	}
}

static void emit_range(struct builder *b, const struct check *check)
{
	static const uint16_t code = BPF_JMP | BPF_JGE | BPF_K;
	size_t first = emit(b, (struct sock_filter){ code, 0, 0, check->values[0] });
	size_t behind = emit(b, (struct sock_filter){ code, 0, 0, check->values[1] });
	aim(b, first, false, check->otherwise);
	aim(b, behind, true, check->otherwise);
	aim(b, behind, false, check->then);
}

static void emit_check(struct builder *b, const struct check *check)
{
	uint32_t at = (uint32_t)offsetof(struct seccomp_data, args) + 8u * check->argument +
		      4u * check->is_high;
	uint16_t code = BPF_JMP | BPF_K | (check->is_mask ? BPF_JSET : BPF_JEQ);
	emit(b, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at));
	if (check->is_range) {
		emit_range(b, check);
		return;
	}
	for (size_t i = 0; i < check->count; i++) {
		size_t jump = emit(b, (struct sock_filter){ code, 0, 0, check->values[i] });
		aim(b, jump, true, check->then);
		if (i + 1 == check->count)
			aim(b, jump, false, check->otherwise);
	}
}

/* Checks first (they jump on to returns), returns last. */
static void emit_tails(struct builder *b)
{
	for (int pass = ACTION_COUNT - 1; pass >= 0; pass--) {
		uint8_t action = (uint8_t)pass;
		size_t target = b->filter->count;
		size_t known = b->fixup_count;
		bool is_wanted = false;
		for (size_t i = 0; i < known; i++) {
			if (b->fixups[i].action != action)
				continue;
			set_offset(b, b->fixups[i].insn, b->fixups[i].is_true, target);
			is_wanted = true;
		}
		if (!is_wanted)
			continue;
		if (action >= ACTION_CLONE_FILES)
			emit_check(b, &checks[action]);
		else
			emit(b, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, returns[action]));
	}
}

static void emit_arch(struct builder *b)
{
	emit(b, (struct sock_filter)BPF_STMT(
			BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
	size_t jump = emit(b,
		(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 0));
	aim(b, jump, false, ACTION_KILL);
}

void filter_build(enum filter_stage stage, struct filter *ret_filter)
{
	struct builder b = { .filter = ret_filter };
	const uint8_t *actions = stage == FILTER_BASE ? base : lock;
	uint8_t unnamed = stage == FILTER_BASE ? ACTION_EPERM : ACTION_ALLOW;
	ret_filter->count = 0;
	for (uint32_t number = 0; number < NUMBERS; number++)
		add_range(&b, number, actions[number] ? actions[number] : unnamed);
	if (stage == FILTER_BASE)
		emit_arch(&b);
	emit(&b, (struct sock_filter)BPF_STMT(
			 BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
	emit_tree(&b, 0, b.range_count - 1);
	emit_tails(&b);
}
