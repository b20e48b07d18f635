/*
 * The key process and how to ask it. cced-keys holds the issuer's Ed25519 key and does two things:
 * show the public key, and sign a certificate statement. It builds the DSSE encoding itself, so
 * its key can sign nothing but in-toto statements. Messages have one fixed size in each direction.
 */
#ifndef ENGINES_KEYS_KEYS_H
#define ENGINES_KEYS_KEYS_H

#include <sys/types.h>

#include "kit/base/buf.h"

#define KEYS_MAGIC 0x79656b63U /* "ckey" */
#define KEYS_STATEMENT_MAX 65536
#define KEYS_ANSWER_MAX 256

enum keys_request_kind { KEYS_PUBLIC = 1, KEYS_SIGN_STATEMENT };

struct keys_request {
	uint32_t magic;
	uint32_t kind;
	uint32_t size; /* of bytes; 0 for KEYS_PUBLIC */
	uint8_t bytes[KEYS_STATEMENT_MAX];
};

struct keys_answer {
	uint32_t magic;
	uint32_t status; /* 0, or the negated category */
	uint32_t size;
	uint8_t bytes[KEYS_ANSWER_MAX];
};

struct keys {
	pid_t pid;
	int pidfd;
	int socket;
};

/*
 * Start cced-keys with its directory (seed file made 0600 on first use). E_UNAVAILABLE when it does
 * not come up. End with keys_end.
 */
int keys_start(const char *program_path, const char *directory, int log_fd, struct keys *ret_keys,
	struct err *err) MUST_CHECK;
void keys_end(struct keys *keys);

/* SubjectPublicKeyInfo of the issuer, appended. */
int keys_public(const struct keys *keys, struct buf *ret_spki, struct err *err) MUST_CHECK;

/* Signature over the DSSE encoding of an in-toto statement, appended. E_LIMIT when too large. */
int keys_sign_statement(const struct keys *keys, struct view statement, struct buf *ret_signature,
	struct err *err) MUST_CHECK;

/*
 * Add the issuer's signature to an envelope that the agent has signed. spki is what keys_public
 * gave. E_LIMIT when the envelope has no room for another signature or its payload is too large.
 */
struct dsse;
int keys_countersign(const struct keys *keys, struct view spki, struct dsse *envelope,
	struct err *err) MUST_CHECK;

#endif
