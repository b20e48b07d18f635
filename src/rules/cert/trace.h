/*
 * The trace of a run: every logged event is a leaf of an RFC 6962 tree. Leaf content is
 * salt(16) || canonical JSON of the event, with salt_i = first 16 bytes of
 * HMAC-SHA-256(seed, be64(i)), so that one event can be disclosed without guessing at the rest.
 * The public sees root, size and counts; who holds the seed can open everything.
 * Format: spec/trace.md.
 */
#ifndef RULES_CERT_TRACE_H
#define RULES_CERT_TRACE_H

#include "kit/codec/json.h"
#include "rules/cert/tree.h"

#define TRACE_EVENTS_MAX 200000 /* beyond, truncated becomes true: never silent */
#define TRACE_SHOWN_MAX 2000    /* events kept for the reply to the owner */
#define TRACE_KINDS_MAX 32
#define TRACE_SEED_SIZE 32
#define TRACE_SALT_SIZE 16

struct trace_count {
	char kind[32];
	int64_t count;
};

struct trace {
	uint8_t seed[TRACE_SEED_SIZE];
	struct tree tree;
	struct json *shown; /* array of the first TRACE_SHOWN_MAX events */
	struct trace_count counts[TRACE_KINDS_MAX];
	size_t kind_count;
	int64_t lost;
	bool is_truncated;
};

void trace_init(struct trace *trace, const uint8_t seed[static TRACE_SEED_SIZE]);
void trace_done(struct trace *trace);

/*
 * Append one event {seq, t_us, kind, ...}; the object belongs to the trace afterwards, also on
 * error. kind is a member of our own vocabulary. E_INVALID when it is not canonical; E_LIMIT when
 * there are more kinds than TRACE_KINDS_MAX. Beyond TRACE_EVENTS_MAX the event is dropped and
 * is_truncated set.
 */
int trace_append(struct trace *trace, const char *kind, int64_t t_us, struct json *event,
	struct err *err) MUST_CHECK;

/* The source of events says that it lost some, or left some out: the summary says so too. */
void trace_note_lost(struct trace *trace, uint32_t lost, bool is_truncated);

/* Salt of leaf index. */
void trace_salt(const uint8_t seed[static TRACE_SEED_SIZE], uint64_t index,
	uint8_t ret_salt[static TRACE_SALT_SIZE]);

/* {root, size, level, backend, complete, lost, truncated, counts}: the member of the certificate.
 */
struct json *trace_summary(
	const struct trace *trace, const char *level, const char *backend, bool is_complete);

/*
 * Recompute the root over events and seed (a full disclosure). E_INTEGRITY when it is not root;
 * E_INVALID when events is no array or an event is not canonical.
 */
int trace_check(const struct json *events, const uint8_t seed[static TRACE_SEED_SIZE],
	const uint8_t root[static SHA256_SIZE], struct err *err) MUST_CHECK;

#endif
