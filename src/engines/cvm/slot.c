/* See slot.h. */
#include "engines/cvm/slot.h"

#include "kit/base/str.h"
#include "kit/codec/hex.h"
#include "kit/crypto/hash.h"

enum { SHAPE_BYTES_MAX = 1024, SLOT_BYTES_MAX = 1 << 30, SLOT_PROCESSES_MAX = 1024 };

void slot_set_name(struct slot_shape *shape, const char *image_digest, const char *const *tools,
	size_t tool_count)
{
	uint8_t digest[SHA256_SIZE];
	uint64_t numbers[] = { shape->memory_bytes, shape->disk_bytes, shape->processes };
	auto_hash *stream = hash_stream_new(HASH_SHA256);
	hash_stream_update(stream, view_of(shape->lang, strlen(shape->lang) + 1));
	hash_stream_update(stream, view_of(numbers, sizeof(numbers)));
	hash_stream_update(stream, view_of(image_digest, strlen(image_digest) + 1));
	for (size_t i = 0; i < tool_count; i++)
		hash_stream_update(stream, view_of(tools[i], strlen(tools[i]) + 1));
	hash_stream_final(stream, digest);
	(void)hex_encode(view_of(digest, sizeof(digest) / 2), shape->name);
}

struct sandbox_plan slot_plan(const struct slot_shape *shape)
{
	struct sandbox_plan plan = {
		.limits = SANDBOX_LIMITS_DEFAULT,
		.trace = SANDBOX_TRACE_EXEC,
		.may_lack = SANDBOX_LAYERS_BELTS,
	};
	plan.limits.memory_bytes = shape->memory_bytes;
	plan.limits.disk_bytes = shape->disk_bytes;
	plan.limits.processes = shape->processes;
	return plan;
}

void slot_park_argv(const char *const *interpreter, const char **ret_argv)
{
	size_t count = 0;
	for (; interpreter[count]; count++)
		ret_argv[count] = interpreter[count];
	ret_argv[count] = sandbox_park_python();
}

enum sandbox_tier slot_tier(const struct slot_shape *shape)
{
	return shape->lang[0] ? SANDBOX_TIER_PARKED : SANDBOX_TIER_HOT;
}

struct json *slot_shape_json(const struct slot_shape *shape)
{
	struct json *object = json_new_object();
	json_set_string(object, "name", shape->name);
	json_set_string(object, "lang", shape->lang);
	json_set_integer(object, "memory_bytes", (int64_t)shape->memory_bytes);
	json_set_integer(object, "disk_bytes", (int64_t)shape->disk_bytes);
	json_set_integer(object, "processes", shape->processes);
	return object;
}

int slot_shape_parse(struct view text, struct slot_shape *ret_shape, struct err *err)
{
	const struct json *name, *lang, *memory, *disk, *processes;
	int64_t numbers[3];
	auto_json *root = NULL;
	TRY(json_parse(text, SHAPE_BYTES_MAX, &root, err));
	TRY(json_match(root, "slot",
		(struct json_member[]){
			{ "name", JSON_KIND_STRING, true, &name },
			{ "lang", JSON_KIND_STRING, true, &lang },
			{ "memory_bytes", JSON_KIND_INTEGER, true, &memory },
			{ "disk_bytes", JSON_KIND_INTEGER, true, &disk },
			{ "processes", JSON_KIND_INTEGER, true, &processes },
		},
		5, err));
	TRY(json_range(memory, "memory_bytes", 1, SLOT_BYTES_MAX, &numbers[0], err));
	TRY(json_range(disk, "disk_bytes", 1, SLOT_BYTES_MAX, &numbers[1], err));
	TRY(json_range(processes, "processes", 1, SLOT_PROCESSES_MAX, &numbers[2], err));
	*ret_shape = (struct slot_shape){ .memory_bytes = (uint64_t)numbers[0],
		.disk_bytes = (uint64_t)numbers[1],
		.processes = (uint32_t)numbers[2] };
	TRY(str_format(ret_shape->name, sizeof(ret_shape->name), err, "%s", json_as_string(name)));
	return str_format(
		ret_shape->lang, sizeof(ret_shape->lang), err, "%s", json_as_string(lang));
}
