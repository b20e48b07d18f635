/*
 * TCG event logs: the crypto-agile format of TPM 2.0 and of CCEL, and the SHA-1 format of TPM 1.2.
 * Reading and replaying; a log proves nothing by itself, its replayed registers must equal quoted
 * ones. Source: TCG PC Client Platform Firmware Profile, section 10; facts in
 * docs/reference/attestation.md.
 *
 * EV_IPL data (boot loader texts) is not covered by any digest and never used.
 */
#ifndef RULES_APPRAISE_EVENTLOG_H
#define RULES_APPRAISE_EVENTLOG_H

#include "kit/base/buf.h"
#include "kit/crypto/hash.h"

#define EVENTLOG_EVENTS_MAX 20000
#define EVENTLOG_ALGORITHMS_MAX 8
#define EVENTLOG_REGISTERS 24

enum { EVENTLOG_NO_ACTION = 3, EVENTLOG_SEPARATOR = 4 };

struct eventlog {
	struct reader reader; /* behind the header */
	bool is_agile;
	size_t algorithm_count;
	struct {
		uint16_t id;
		uint16_t size;
	} algorithms[EVENTLOG_ALGORITHMS_MAX];
};

struct eventlog_event {
	uint32_t index; /* PCR, or CC measurement register */
	uint32_t type;
	struct view digests; /* raw list */
	struct view data;
};

/* False with the offset when the header is malformed. The log's first event is the header. */
bool eventlog_open(struct view bytes, struct eventlog *ret_log, size_t *ret_offset);

/*
 * 1 with the next event, 0 at the end (or at padding of zeros or 0xff), -1 when malformed; the
 * place is log->reader.offset.
 */
int eventlog_next(struct eventlog *log, struct eventlog_event *ret_event);

/* The event's digest of one hash; empty when the log has no such bank. */
struct view eventlog_digest(
	const struct eventlog *log, const struct eventlog_event *event, enum hash_kind hash);

struct eventlog_replay {
	uint8_t registers[EVENTLOG_REGISTERS][HASH_SIZE_MAX];
	uint32_t touched;    /* registers that an event extended */
	size_t event_count;  /* without the header */
	bool has_data_fault; /* an authenticated event's data does not hash to its digest */
	size_t fault_offset;
};

/*
 * Replay one bank. is_cc: registers are CC measurement registers (index 0 is MRTD and must have no
 * events, 1..4 are RTMR0..3). False when malformed, of a bank the log lacks, or too long.
 */
bool eventlog_replay(
	struct view bytes, enum hash_kind hash, bool is_cc, struct eventlog_replay *ret_replay);

#endif
