/* See sys.h. */
#include "engines/sandbox/sys.h"

#include <linux/futex.h>

enum { SPINS = 200 }; /* about 10 us: the other side is usually that close */

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

void sys_word_set(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
	(void)sys3(futex, word, FUTEX_WAKE, 1);
}
