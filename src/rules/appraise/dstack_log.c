/* See dstack_log.h. */
#include "rules/appraise/dstack_log.h"

#include "kit/base/str.h"
#include "kit/codec/hex.h"
#include "kit/codec/jspan.h"
#include "rules/appraise/appraise.h"

enum {
	TYPE_RUNTIME = 0x08000001,
	RUNTIME_REGISTER = 3,
	VERSION_1 = 1,
	VERSION_2 = 2,
	NAME_MAX_2 = 256,
	PREIMAGE_MAX = NAME_MAX_2 + 2 * DSTACK_PAYLOAD_MAX + 64,
};

struct event {
	int64_t imr;
	int64_t type;
	struct view digest; /* hex, may be empty for runtime events */
	struct view name;
	struct view payload; /* hex */
	int64_t version;
	struct view preimage; /* hex, of version 2; may be empty */
};

/*
 * Absent or 1, or 2 with the preimage. A name of version 1 has no ':': "a:" "b" and "a" ":b" would
 * be one digest.
 */
static bool read_version(struct jspan value, struct event *event)
{
	struct jspan version = jspan_get(value, "version"), preimage = jspan_get(value, "preimage");
	event->version = VERSION_1;
	if (version.type != JSPAN_NONE &&
		!jspan_integer(version, VERSION_1, VERSION_2, &event->version))
		return false;
	if (event->version == VERSION_2)
		return event->name.size <= NAME_MAX_2 &&
		       (preimage.type == JSPAN_NONE || jspan_string(preimage, &event->preimage));
	return preimage.type == JSPAN_NONE &&
	       (event->name.size == 0 || !memchr(event->name.data, ':', event->name.size));
}

static bool read_event(struct jspan value, struct event *ret_event)
{
	struct event event = {};
	bool is_good = jspan_integer(
			       jspan_get(value, "imr"), 0, DSTACK_REGISTERS - 1, &event.imr) &&
		       jspan_integer(jspan_get(value, "event_type"), 0, UINT32_MAX, &event.type) &&
		       jspan_string(jspan_get(value, "digest"), &event.digest) &&
		       jspan_string(jspan_get(value, "event"), &event.name) &&
		       jspan_string(jspan_get(value, "event_payload"), &event.payload);
	if (!is_good || !read_version(value, &event) ||
		event.payload.size > (size_t)2 * DSTACK_PAYLOAD_MAX)
		return false;
	*ret_event = event;
	return true;
}

static bool decode_payload(const struct event *event, uint8_t *ret_payload)
{
	struct err ignored;
	return hex_decode(event->payload, ret_payload, event->payload.size / 2, &ignored) == 0;
}

/* SHA-384 of the canonical JSON {"name", "payload", "type"}, which is the preimage if one is given.
 */
static bool runtime_digest_2(const struct event *event, struct dstack_replay *replay,
	uint8_t ret_digest[static SHA384_SIZE])
{
	uint8_t payload[DSTACK_PAYLOAD_MAX];
	char text[PREIMAGE_MAX], digits[3];
	struct err ignored;
	if (!decode_payload(event, payload) ||
		str_format(text, sizeof(text), &ignored, "{\"name\":\"%.*s\",\"payload\":\"",
			(int)event->name.size, (const char *)event->name.data) < 0)
		return false;
	size_t head = strlen(text); /* room for the largest payload and the tail is left */
	hex_encode(view_of(payload, event->payload.size / 2), text + head);
	head += event->payload.size;
	if (str_format(text + head, sizeof(text) - head, &ignored, "\",\"type\":%lld}",
		    (long long)event->type) < 0)
		return false;
	struct view preimage = view_string(text);
	bool is_given = event->preimage.size > 0;
	bool differs = is_given && event->preimage.size != 2 * preimage.size;
	for (size_t i = 0; is_given && !differs && i < preimage.size; i++) {
		hex_encode(view_of(preimage.data + i, 1), digits);
		differs = memcmp(digits, event->preimage.data + 2 * i, 2) != 0;
	}
	replay->has_data_fault |= differs;
	hash_bytes(HASH_SHA384, preimage, ret_digest);
	return true;
}

/* SHA-384(type, ':', name, ':', payload) */
static bool runtime_digest(const struct event *event, uint8_t ret_digest[static SHA384_SIZE])
{
	uint8_t payload[DSTACK_PAYLOAD_MAX], type[4];
	size_t size = event->payload.size / 2;
	if (!decode_payload(event, payload))
		return false;
	for (size_t i = 0; i < sizeof(type); i++)
		type[i] = (uint8_t)(event->type >> (8 * i));
	const struct view parts[] = { view_of(type, sizeof(type)), view_string(":"), event->name,
		view_string(":"), view_of(payload, size) };
	hash_parts(HASH_SHA384, parts, ARRAY_SIZE(parts), ret_digest);
	return true;
}

/* Identity counts once each, and only while the system starts. */
static bool note_identity(const struct event *event, struct dstack_replay *replay)
{
	const struct {
		const char *name;
		struct view *place;
	} names[] = {
		{ "app-id", &replay->app_id },
		{ "compose-hash", &replay->compose_hash },
		{ "instance-id", &replay->instance_id },
		{ "key-provider", &replay->key_provider },
	};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!view_equal_string(event->name, names[i].name))
			continue;
		if (names[i].place->size > 0)
			return false;
		*names[i].place = event->payload;
	}
	return true;
}

static bool digest_of(
	const struct event *event, struct dstack_replay *replay, uint8_t digest[static SHA384_SIZE])
{
	uint8_t given[SHA384_SIZE];
	struct err ignored;
	bool has_given = event->digest.size > 0;
	if (has_given && hex_decode(event->digest, given, sizeof(given), &ignored) < 0)
		return false;
	if (event->type != TYPE_RUNTIME) {
		memcpy(digest, given, sizeof(given));
		return has_given;
	}
	if (event->imr != RUNTIME_REGISTER ||
		!(event->version == VERSION_2 ? runtime_digest_2(event, replay, digest)
					      : runtime_digest(event, digest)))
		return false;
	if (has_given && memcmp(given, digest, sizeof(given)) != 0)
		replay->has_data_fault = true;
	return true;
}

bool dstack_log_replay(struct view text, struct dstack_replay *ret_replay)
{
	struct dstack_replay replay = {};
	struct jspan log, each;
	struct err ignored;
	size_t count = 0;
	bool is_ready = false;
	if (jspan_check(text, APPRAISE_LOG_MAX, &log, &ignored) < 0 || log.type != JSPAN_ARRAY)
		return false;
	for (size_t position = 0; jspan_next(log, &position, NULL, &each);) {
		struct event event;
		uint8_t digest[SHA384_SIZE], next[SHA384_SIZE];
		if (++count > DSTACK_EVENTS_MAX || !read_event(each, &event) ||
			!digest_of(&event, &replay, digest))
			return false;
		bool is_runtime = event.type == TYPE_RUNTIME;
		if (is_runtime && !is_ready && !note_identity(&event, &replay))
			return false;
		is_ready |= is_runtime && view_equal_string(event.name, "system-ready");
		struct view parts[] = { view_of(replay.rtmr[event.imr], SHA384_SIZE),
			view_of(digest, sizeof(digest)) };
		hash_parts(HASH_SHA384, parts, ARRAY_SIZE(parts), next);
		memcpy(replay.rtmr[event.imr], next, sizeof(next));
	}
	*ret_replay = replay;
	return true;
}
