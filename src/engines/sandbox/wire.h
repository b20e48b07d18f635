/*
 * Messages between caller and supervisor, one per packet of the control socket. Both ends are the
 * same build on the same machine (the version word is checked), so numbers travel as they are;
 * yet every size, count and index is checked, because a mistake here must not become a hole.
 *
 *	caller to supervisor: PLAN (+ descriptors), CANCEL
 *	supervisor to caller: one struct sandbox_event, cut after its last used member; with DONE
 *	                      one descriptor when there are results
 */
#ifndef ENGINES_SANDBOX_WIRE_H
#define ENGINES_SANDBOX_WIRE_H

#include "engines/sandbox/sandbox.h"
#include "kit/base/buf.h"

enum {
	WIRE_VERSION = 4,
	WIRE_FILES = sizeof(struct sandbox_files) / sizeof(int),
};

enum wire_kind { WIRE_PREPARE = 1, WIRE_PLAN, WIRE_CANCEL };

struct wire_head {
	uint32_t version;
	uint32_t kind; /* wire_kind */
};

struct wire_plan {
	struct wire_head head;
	struct sandbox_limits limits;
	uint32_t trace;
	uint32_t tier;
	uint32_t may_lack;
	uint32_t stat_interval_ms;
	uint32_t allow_exec_in_work; /* 0 or 1 */
	uint32_t wants_results;      /* 0 or 1 */
	uint32_t private_inputs;     /* 0 or 1 */
	uint32_t file_mask;          /* bit i: member i of sandbox_files comes along, in order */
	uint32_t argc;
	uint32_t envc;
	uint32_t text_bytes; /* argv, env, cwd, hostname: NUL-terminated, in this order */
};

enum { WIRE_MESSAGE_MAX = sizeof(struct wire_plan) + SANDBOX_TEXT_BYTES_MAX };

/* A decoded plan; strings point into the message. */
struct wire_parsed {
	struct sandbox_plan plan;
	enum sandbox_tier tier;
	uint32_t file_mask;
	const char *strings[SANDBOX_STRINGS_MAX + 2]; /* argv, NULL, env, NULL */
};

/* E_LIMIT when argv and env are larger than SANDBOX_TEXT_BYTES_MAX. */
int wire_encode_plan(enum wire_kind kind, enum sandbox_tier tier, const struct sandbox_plan *plan,
	uint32_t file_mask, struct buf *buf, struct err *err) MUST_CHECK;

/* E_INTEGRITY for anything that wire_encode_plan does not make. message outlives ret_parsed. */
int wire_decode_plan(
	struct view message, struct wire_parsed *ret_parsed, struct err *err) MUST_CHECK;

/* Exactly what sandbox_cancel sends. */
bool wire_is_cancel(struct view message);

/* How many bytes of an event travel. */
size_t wire_event_size(const struct sandbox_event *event);
int wire_decode_event(
	struct view message, struct sandbox_event *ret_event, struct err *err) MUST_CHECK;

#endif
