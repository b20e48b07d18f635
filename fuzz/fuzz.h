/*
 * What every fuzz target needs. A target gets bytes and must neither crash, leak, hang nor break a
 * property it states with MUST.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "kit/base/buf.h"
#include "kit/codec/json.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property of the code under test; abort() makes libFuzzer keep the input. */
#define MUST(condition)                                                                       \
	do {                                                                                  \
		if (!(condition)) {                                                           \
			(void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                              \
		}                                                                             \
	} while (0)

/* As programs do first: the JSON library's memory goes through wiping memory. */
#define FUZZ_INITIALIZE                                   \
	int LLVMFuzzerInitialize(int *argc, char ***argv) \
	{                                                 \
		(void)argc;                               \
		(void)argv;                               \
		json_setup();                             \
		return 0;                                 \
	}

#endif
