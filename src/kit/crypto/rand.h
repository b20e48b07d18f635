/* Random bytes from the kernel. The one source of randomness; rules never include it. */
#ifndef KIT_CRYPTO_RAND_H
#define KIT_CRYPTO_RAND_H

#include <stddef.h>

/* Fill with unpredictable bytes (getrandom); aborts when the kernel has none. */
void rand_bytes(void *ret_bytes, size_t size);

#endif
