/* See mem.h. malloc_usable_size is glibc's; it lets mem_free wipe without a header per block. */
#include "kit/base/mem.h"

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

NORETURN static void mem_exhausted(size_t count, size_t size)
{
	(void)fprintf(stderr, "cupel: out of memory allocating %zu * %zu bytes\n", count, size);
	abort();
}

void *mem_alloc(size_t count, size_t size)
{
	void *memory = calloc(count ? count : 1, size ? size : 1);
	if (!memory)
		mem_exhausted(count, size);
	return memory;
}

void *mem_resize(void *old, size_t old_size, size_t count, size_t size)
{
	void *memory = mem_alloc(count, size);
	if (old)
		memcpy(memory, old, MIN(old_size, count * size));
	mem_free(old);
	return memory;
}

void mem_free(void *memory)
{
	if (!memory)
		return;
	mem_wipe(memory, malloc_usable_size(memory));
	free(memory);
}

char *mem_string(const char *text)
{
	return text ? mem_string_n(text, strlen(text)) : NULL;
}

char *mem_string_n(const char *text, size_t size)
{
	char *copy = mem_alloc(size + 1, 1);
	memcpy(copy, text, size);
	return copy;
}

void mem_wipe(void *memory, size_t size)
{
	explicit_bzero(memory, size);
}
