/* See rand.h. */
#include "kit/crypto/rand.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

void rand_bytes(void *ret_bytes, size_t size)
{
	uint8_t *at = ret_bytes;
	while (size) {
		ssize_t got = getrandom(at, size, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			abort();
		at += got;
		size -= (size_t)got;
	}
}
