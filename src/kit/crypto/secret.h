/*
 * Secrets: bytes on their own locked pages, left out of core dumps, wiped when released.
 * Not printable, never in argv or environment.
 */
#ifndef KIT_CRYPTO_SECRET_H
#define KIT_CRYPTO_SECRET_H

#include "kit/base/buf.h"

struct secret {
	uint8_t *data;
	size_t size;
	size_t mapped;  /* bytes of the mapping, whole pages */
	bool is_locked; /* false when the memory-lock limit was reached */
};

#define SECRET_SIZE_MAX 65536

/* A zeroed secret of 1..SECRET_SIZE_MAX bytes. E_LIMIT beyond, E_UNAVAILABLE without memory. */
int secret_init(struct secret *secret, size_t size, struct err *err) MUST_CHECK;

/* Wipe and unmap; accepts an empty secret. */
void secret_done(struct secret *secret);

static inline struct view secret_view(const struct secret *secret)
{
	return view_of(secret->data, secret->size);
}

#endif
