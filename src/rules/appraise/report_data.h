/*
 * Report data: what a quote of ours binds. SHA-512("cupel-rd-v1\0" || TLVs), a TLV being tag u8,
 * length u32be, value; tags ascending, each at most once. The verifier rebuilds it from its own
 * view of the connection and the job; nothing in the evidence is input to the binding.
 *
 * A workload never chooses raw report data. Where it may bind something of its own, that is
 * SHA-512("cupel-app-rd-v1\0" || length || data), which no TLV scheme can equal.
 */
#ifndef RULES_APPRAISE_REPORT_DATA_H
#define RULES_APPRAISE_REPORT_DATA_H

#include "kit/base/buf.h"

#define REPORT_DATA_SIZE 64
#define REPORT_DATA_VALUE_MAX 4096
#define REPORT_DATA_APP_MAX 65536

/* The tags; the numbers are the format. */
enum report_data_tag {
	REPORT_DATA_ROLE = 1,        /* "server" or "client": against reflection */
	REPORT_DATA_NONCE = 2,       /* the verifier's, 32..64 bytes: against replay */
	REPORT_DATA_SPKI = 3,        /* own public key, DER */
	REPORT_DATA_EXPORTER = 4,    /* TLS exporter, 32 bytes: against relay */
	REPORT_DATA_RELEASE_KEY = 5, /* public key that released secrets are sealed to */
	REPORT_DATA_JOB = 6,         /* job id: against diversion */
	REPORT_DATA_CREDENTIAL = 7,  /* digest of the job credential */
	REPORT_DATA_MANIFEST = 8,    /* digest of the manifest */
	REPORT_DATA_LOG = 9,         /* head of the event log */
	REPORT_DATA_POLICY = 10,     /* hash of the policy the agent enforces */
	REPORT_DATA_TAG_COUNT,
};

/* Values by tag; an empty one is absent. */
struct report_data {
	struct view values[REPORT_DATA_TAG_COUNT];
};

/*
 * The 64 bytes. E_INVALID for another role, a nonce or exporter of the wrong size, or values above
 * REPORT_DATA_VALUE_MAX; a role and a nonce are required.
 */
int report_data_make(const struct report_data *data, uint8_t ret_bytes[static REPORT_DATA_SIZE],
	struct err *err) MUST_CHECK;

/* Of a workload's own bytes, at most REPORT_DATA_APP_MAX. E_LIMIT beyond. */
int report_data_of_app(
	struct view bytes, uint8_t ret_bytes[static REPORT_DATA_SIZE], struct err *err) MUST_CHECK;

#endif
