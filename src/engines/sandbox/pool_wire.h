/* Messages of the pool, one per packet. Same rules as wire.h. */
#ifndef ENGINES_SANDBOX_POOL_WIRE_H
#define ENGINES_SANDBOX_POOL_WIRE_H

#include "engines/sandbox/pool.h"
#include "engines/sandbox/wire.h"

enum pool_kind { POOL_KEEP = 1, POOL_TAKE, POOL_STATUS, POOL_LISTEN };

/* KEEP is followed by a PREPARE message and brings its descriptors; LISTEN brings a socket. */
struct pool_request {
	uint32_t version;
	uint32_t kind;
	uint32_t count;
	char name[POOL_NAME_MAX]; /* NUL-terminated */
};

/* An answer to TAKE brings the control descriptor. */
struct pool_reply {
	int32_t status; /* 0 or an error category */
	char message[ERR_MESSAGE_MAX];
	struct sandbox_pool_status counts;
};

enum { POOL_MESSAGE_MAX = sizeof(struct pool_request) + WIRE_MESSAGE_MAX };

#endif
