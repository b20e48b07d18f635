/*
 * Memory: the only user of malloc. Exhaustion ends the process (every size that came from outside
 * was compared with a named limit before). Freed memory that may have held a dataset is wiped.
 */
#ifndef KIT_BASE_MEM_H
#define KIT_BASE_MEM_H

#include <stddef.h>

#include "kit/base/attr.h"

/* Zeroed memory of count * size bytes; aborts on overflow and exhaustion. Free with mem_free. */
void *mem_alloc(size_t count, size_t size) __attribute__((malloc, alloc_size(1, 2)));

/* Grow or shrink to count * size bytes; new bytes are not zeroed. The old block is wiped. */
void *mem_resize(void *old, size_t old_size, size_t count, size_t size);

/* Release; accepts NULL. The block is wiped first. */
void mem_free(void *memory);

/* Zeroed memory that stays one with that of processes forked later; aborts on exhaustion. */
void *mem_shared(size_t size);
void mem_unshare(void *memory, size_t size); /* wiped */

/* Copies; NULL stays NULL for mem_string. Free with mem_free. */
char *mem_string(const char *text);
char *mem_string_n(const char *text, size_t size);

/* Overwrite size bytes in a way the compiler keeps. */
void mem_wipe(void *memory, size_t size);

/* Cleanup helper for auto_free. */
static inline void mem_free_pointer(void *pointer_to_pointer)
{
	mem_free(*(void **)pointer_to_pointer);
}
#define auto_free AUTO(mem_free_pointer)

#endif
