/*
 * Raw system calls for tasks that run on borrowed memory.
 *
 * PID 1 and the payload-to-be share the supervisor's memory until they are finished (no copy of
 * page tables: 20 us instead of 62). They also share its thread-local errno, so they must not use
 * libc wrappers: these functions answer -errno and touch nothing but registers.
 */
#ifndef ENGINES_SANDBOX_SYS_H
#define ENGINES_SANDBOX_SYS_H

#include <linux/sched.h>
#include <stdint.h>
#include <stdbool.h>
#include <sys/syscall.h>

static inline long sys_call6(long number, long a, long b, long c, long d, long e, long f)
{
	long result;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	__asm__ volatile("syscall"
		: "=a"(result)
		: "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
		: "rcx", "r11", "memory");
	return result;
}

#define SYS_ARG(value) ((long)(value))
#define sys0(n) sys_call6(SYS_##n, 0, 0, 0, 0, 0, 0)
#define sys1(n, a) sys_call6(SYS_##n, SYS_ARG(a), 0, 0, 0, 0, 0)
#define sys2(n, a, b) sys_call6(SYS_##n, SYS_ARG(a), SYS_ARG(b), 0, 0, 0, 0)
#define sys3(n, a, b, c) sys_call6(SYS_##n, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), 0, 0, 0)
#define sys4(n, a, b, c, d) sys_call6(SYS_##n, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), SYS_ARG(d), 0, 0)
#define sys5(n, a, b, c, d, e) \
	sys_call6(SYS_##n, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), SYS_ARG(d), SYS_ARG(e), 0)

/* The kernel's sigaction; libc's has another layout. */
struct sys_sigaction {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

/* The next of several calls: -errno of the first that fails is returned, its name in *ret_step. */
#define STEP(call, name)                  \
	do {                              \
		long step_ = (call);      \
		if (step_ < 0) {          \
			*ret_step = name; \
			return step_;     \
		}                         \
	} while (0)

/* The same for a call that names its steps itself. */
#define STEPS(call)                   \
	do {                          \
		long step_ = (call);  \
		if (step_ < 0)        \
			return step_; \
	} while (0)

/*
 * clone3(first, second) or clone(first, second, 0, 0, 0), by number: the child, which has a stack
 * of its own, runs function(argument) and exits with its result. Returns the child's pid, or
 * -errno.
 */
static inline long sys_birth(
	long number, long first, long second, int (*function)(void *), void *argument)
{
	long result;
	register int (*child_function)(void *) __asm__("r12") = function;
	register void *child_argument __asm__("r13") = argument;
	register long child_tid __asm__("r10") = 0;
	register long thread_data __asm__("r8") = 0;
	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "mov %%r13, %%rdi\n\t"
			 "call *%%r12\n\t"
			 "mov %%eax, %%edi\n\t"
			 "mov $60, %%eax\n\t" /* exit */
			 "syscall\n\t"
			 "hlt\n"
			 "1:"
		: "=a"(result)
		: "a"(number), "D"(first), "S"(second), "d"(0L), "r"(child_tid), "r"(thread_data),
		"r"(child_function), "r"(child_argument)
		: "rcx", "r11", "memory");
	return result;
}

/* args must give a stack. */
static inline long sys_spawn(struct clone_args *args, int (*function)(void *), void *argument)
{
	return sys_birth(SYS_clone3, SYS_ARG(args), sizeof(*args), function, argument);
}

/* The same for who has the payload's filter, which does not know clone3. */
static inline long sys_spawn_shed(
	long flags, void *stack_end, int (*function)(void *), void *argument)
{
	return sys_birth(SYS_clone, flags, SYS_ARG(stack_end), function, argument);
}

/* A word that one task sets once and others wait for. 0 means "not yet". */
void sys_word_wait(const uint32_t *word);
/* The same for at most ms milliseconds; whether the word is set. */
bool sys_word_wait_for(const uint32_t *word, long ms);
void sys_word_set(uint32_t *word, uint32_t value);

#endif
