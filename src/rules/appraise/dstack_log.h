/*
 * dstack's event log: a JSON array of {imr, event_type, digest, event, event_payload} and, from
 * version 2 on, {version, preimage}. Boot events
 * come with digests; runtime events (type 0x08000001, RTMR3) are recomputed from name and payload,
 * whatever digest is given, because a replay of given digests says nothing about names.
 * Source: Dstack-TEE/dstack, runtime events versions 1 and 2; docs/reference/attestation.md.
 */
#ifndef RULES_APPRAISE_DSTACK_LOG_H
#define RULES_APPRAISE_DSTACK_LOG_H

#include "kit/base/buf.h"
#include "kit/crypto/hash.h"

#define DSTACK_REGISTERS 4
#define DSTACK_PAYLOAD_MAX 4096
#define DSTACK_EVENTS_MAX 2048

struct dstack_replay {
	uint8_t rtmr[DSTACK_REGISTERS][SHA384_SIZE];
	/* Hex text of payloads, of events before "system-ready" only; empty when absent. */
	struct view app_id, compose_hash, instance_id, key_provider;
	bool has_data_fault; /* a runtime event's digest is not that of its name and payload */
};

/* False when malformed: form, ranges, names with ':' or twice, digests missing. Borrows text. */
bool dstack_log_replay(struct view text, struct dstack_replay *ret_replay);

#endif
