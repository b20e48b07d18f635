/*
 * The messages between tee-sim and those who want quotes of it: SOCK_SEQPACKET, one fixed-size
 * request, one answer. Both ends run on one machine; integers are in host order.
 */
#ifndef ENGINES_EVIDENCE_SIM_WIRE_H
#define ENGINES_EVIDENCE_SIM_WIRE_H

#include <stdint.h>

#define SIM_WIRE_MAGIC 0x6d697374U /* "tsim" */
#define SIM_WIRE_VERSION 1
#define SIM_WIRE_QUOTE_MAX 8192
#define SIM_WIRE_EXTENSIONS_MAX 8
#define SIM_WIRE_DIGEST_SIZE 48
#define SIM_WIRE_REPORT_DATA_SIZE 64

struct sim_wire_request {
	uint32_t magic;
	uint32_t version;
	uint8_t report_data[SIM_WIRE_REPORT_DATA_SIZE];
	/* RTMR3 of this quote: each digest extends it in order, beginning from the served value. */
	uint32_t extension_count;
	uint8_t extensions[SIM_WIRE_EXTENSIONS_MAX][SIM_WIRE_DIGEST_SIZE];
};

struct sim_wire_answer {
	uint32_t magic;
	int32_t status; /* 0, or an error category */
	uint32_t quote_size;
	uint8_t quote[SIM_WIRE_QUOTE_MAX];
};

#endif
