/* See sys.h. */
#include "engines/sandbox/sys.h"

#include <limits.h>
#include <linux/futex.h>
#include <time.h>

enum {
	SPINS = 100
}; /* a few microseconds: the other side is often that close; more starves it when busy */

void sys_word_wait(const uint32_t *word)
{
	for (int i = 0; i < SPINS; i++) {
		if (__atomic_load_n(word, __ATOMIC_ACQUIRE))
			return;
		__builtin_ia32_pause();
	}
	while (!__atomic_load_n(word, __ATOMIC_ACQUIRE))
		(void)sys_call6(SYS_futex, SYS_ARG(word), FUTEX_WAIT, 0, 0, 0, 0);
}

bool sys_word_wait_for(const uint32_t *word, long ms)
{
	struct timespec limit = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
	for (int i = 0; i < SPINS; i++) {
		if (__atomic_load_n(word, __ATOMIC_ACQUIRE))
			return true;
		__builtin_ia32_pause();
	}
	(void)sys_call6(SYS_futex, SYS_ARG(word), FUTEX_WAIT, 0, SYS_ARG(&limit), 0, 0);
	return __atomic_load_n(word, __ATOMIC_ACQUIRE) != 0;
}

void sys_word_set(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
	(void)sys3(futex, word, FUTEX_WAKE, INT_MAX);
}
