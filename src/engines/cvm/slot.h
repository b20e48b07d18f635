/*
 * Sandboxes built ahead for jobs that look alike. Agent and control plane must mean the same
 * sandbox by the same name, so both derive name and plan from one shape here.
 */
#ifndef ENGINES_CVM_SLOT_H
#define ENGINES_CVM_SLOT_H

#include "engines/sandbox/sandbox.h"
#include "kit/codec/json.h"

#define SLOT_NAME_SIZE 33 /* hex of the first half of a SHA-256, NUL; a name of the pool */
#define SLOT_LANG_MAX 16

/* What is fixed when a sandbox is built; everything else comes with the job. */
struct slot_shape {
	char name[SLOT_NAME_SIZE];
	char lang[SLOT_LANG_MAX]; /* whose interpreter is parked; "" when none is */
	uint64_t memory_bytes;
	uint64_t disk_bytes;
	uint32_t processes;
};

/* Set shape->name from its other members, the image and the tools (sorted). */
void slot_set_name(struct slot_shape *shape, const char *image_digest, const char *const *tools,
	size_t tool_count);

/* The plan of this shape: limits, trace, layers. argv and env are the caller's. */
struct sandbox_plan slot_plan(const struct slot_shape *shape);

/* Interpreter and flags (NULL-terminated), then the bootstrap's text, into a zeroed array. */
void slot_park_argv(const char *const *interpreter, const char **ret_argv);

enum sandbox_tier slot_tier(const struct slot_shape *shape);

/* As a message body, and back. E_INVALID for anything malformed. */
struct json *slot_shape_json(const struct slot_shape *shape);
int slot_shape_parse(struct view text, struct slot_shape *ret_shape, struct err *err) MUST_CHECK;

#endif
