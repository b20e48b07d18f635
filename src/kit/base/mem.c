/* See mem.h. malloc_usable_size is glibc's; it lets mem_free wipe without a header per block. */
#include "kit/base/mem.h"

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

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

void *mem_shared(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		mem_exhausted(1, size);
	return memory;
}

void mem_unshare(void *memory, size_t size)
{
	mem_wipe(memory, size);
	(void)munmap(memory, size);
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
