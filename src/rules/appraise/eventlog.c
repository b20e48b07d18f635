/* See eventlog.h. */
#include "rules/appraise/eventlog.h"

#include "rules/appraise/appraise.h"

enum {
	SHA1_SIZE = 20,
	SPEC_SIGNATURE_SIZE = 16,
	CC_REGISTERS = 5,
	LOCALITY_SIZE = 17,
	LOCALITY_MAX = 4,
	PADDING = 0xff,
	EVENTLOG_HEADER_TYPE = EVENTLOG_NO_ACTION,
};

static const struct {
	uint16_t id;
	enum hash_kind hash;
} algorithms[] = {
	{ 0x0004, HASH_SHA1 },
	{ 0x000b, HASH_SHA256 },
	{ 0x000c, HASH_SHA384 },
	{ 0x000d, HASH_SHA512 },
};

/* Types whose digest is always the hash of the event's data, measured on real logs. */
static const uint32_t authenticated_types[] = { EVENTLOG_SEPARATOR, 0x11, 0x80000001, 0x80000006,
	0x80000007 };

/* Spec ID Event03: which hashes each event carries. */
static bool parse_spec(struct view data, struct eventlog *log)
{
	static const char signature[SPEC_SIGNATURE_SIZE] = "Spec ID Event03";
	struct reader reader = reader_of(data);
	struct view got = reader_take(&reader, sizeof(signature));
	if (!view_equal(got, view_of(signature, sizeof(signature))))
		return false;
	(void)reader_take(&reader, 8); /* platform class, versions, size of UINTN */
	uint64_t count = reader_le(&reader, 4);
	if (reader.failed || count == 0 || count > EVENTLOG_ALGORITHMS_MAX)
		return false;
	for (size_t i = 0; i < count; i++) {
		log->algorithms[i].id = (uint16_t)reader_le(&reader, 2);
		log->algorithms[i].size = (uint16_t)reader_le(&reader, 2);
		for (size_t k = 0; k < ARRAY_SIZE(algorithms); k++)
			if (algorithms[k].id == log->algorithms[i].id &&
				hash_size(algorithms[k].hash) != log->algorithms[i].size)
				return false;
		for (size_t k = 0; k < i; k++)
			if (log->algorithms[k].id == log->algorithms[i].id)
				return false;
	}
	log->algorithm_count = (size_t)count;
	(void)reader_take(&reader, (size_t)reader_le(&reader, 1)); /* vendor information */
	return reader_complete(&reader);
}

static int take_sha1_event(struct reader *reader, struct eventlog_event *ret_event)
{
	ret_event->index = (uint32_t)reader_le(reader, 4);
	ret_event->type = (uint32_t)reader_le(reader, 4);
	ret_event->digests = reader_take(reader, SHA1_SIZE);
	ret_event->data = reader_take(reader, (size_t)reader_le(reader, 4));
	return reader->failed ? -1 : 1; /* lint: return-minus-one because it is no error code */
}

static bool is_padding(struct view rest)
{
	if (rest.size == 0)
		return true;
	uint8_t first = rest.data[0];
	if (first != 0 && first != PADDING)
		return false;
	for (size_t i = 0; i < rest.size; i++)
		if (rest.data[i] != first)
			return false;
	return true;
}

bool eventlog_open(struct view bytes, struct eventlog *ret_log, size_t *ret_offset)
{
	struct eventlog log = { .reader = reader_of(bytes) };
	struct eventlog_event first;
	*ret_offset = 0;
	if (bytes.size > APPRAISE_LOG_MAX || is_padding(bytes) ||
		take_sha1_event(&log.reader, &first) < 0)
		return false; /* padding alone is no log: it has neither header nor event */
	log.is_agile = first.type == EVENTLOG_HEADER_TYPE && parse_spec(first.data, &log);
	if (first.type == EVENTLOG_HEADER_TYPE && !log.is_agile)
		return false;
	if (!log.is_agile) { /* TPM 1.2: no header, begin again */
		log.reader = reader_of(bytes);
		log.algorithm_count = 1;
		log.algorithms[0].id = algorithms[0].id;
		log.algorithms[0].size = SHA1_SIZE;
	}
	*ret_log = log;
	return true;
}

static bool take_digests(struct eventlog *log, struct eventlog_event *event)
{
	struct reader *reader = &log->reader;
	uint64_t count = reader_le(reader, 4);
	if (reader->failed || count != log->algorithm_count)
		return false;
	struct view rest = reader->rest;
	uint32_t seen = 0;
	for (size_t i = 0; i < count; i++) {
		uint16_t id = (uint16_t)reader_le(reader, 2);
		size_t k = 0;
		while (k < log->algorithm_count && log->algorithms[k].id != id)
			k++;
		if (reader->failed || k == log->algorithm_count || (seen & 1U << k))
			return false;
		seen |= 1U << k;
		(void)reader_take(reader, log->algorithms[k].size);
	}
	event->digests = view_of(rest.data, rest.size - reader->rest.size);
	return !reader->failed;
}

int eventlog_next(struct eventlog *log, struct eventlog_event *ret_event)
{
	const int malformed = -1;
	struct eventlog_event event = {};
	if (is_padding(log->reader.rest))
		return 0;
	if (!log->is_agile)
		return take_sha1_event(&log->reader, ret_event);
	event.index = (uint32_t)reader_le(&log->reader, 4);
	event.type = (uint32_t)reader_le(&log->reader, 4);
	if (!take_digests(log, &event))
		return malformed;
	event.data = reader_take(&log->reader, (size_t)reader_le(&log->reader, 4));
	if (log->reader.failed)
		return malformed;
	*ret_event = event;
	return 1;
}

struct view eventlog_digest(
	const struct eventlog *log, const struct eventlog_event *event, enum hash_kind hash)
{
	struct reader reader = reader_of(event->digests);
	if (!log->is_agile)
		return hash == HASH_SHA1 ? event->digests : (struct view){};
	while (reader.rest.size > 0 && !reader.failed) {
		uint16_t id = (uint16_t)reader_le(&reader, 2);
		size_t size = 0;
		for (size_t k = 0; k < log->algorithm_count; k++)
			if (log->algorithms[k].id == id)
				size = log->algorithms[k].size;
		struct view digest = reader_take(&reader, size);
		for (size_t k = 0; k < ARRAY_SIZE(algorithms); k++)
			if (algorithms[k].id == id && algorithms[k].hash == hash)
				return digest;
	}
	return (struct view){};
}

static bool is_authenticated(uint32_t type)
{
	for (size_t i = 0; i < ARRAY_SIZE(authenticated_types); i++)
		if (authenticated_types[i] == type)
			return true;
	return false;
}

/* "StartupLocality\0" and the locality: PCR 0 began with it in its last byte. */
static void note_locality(
	const struct eventlog_event *event, enum hash_kind hash, struct eventlog_replay *replay)
{
	static const char name[] = "StartupLocality";
	if (event->index != 0 || event->data.size != LOCALITY_SIZE ||
		!view_equal(view_of(event->data.data, sizeof(name)), view_of(name, sizeof(name))))
		return;
	uint8_t locality = event->data.data[LOCALITY_SIZE - 1];
	if (locality <= LOCALITY_MAX && !(replay->touched & 1))
		replay->registers[0][hash_size(hash) - 1] = locality;
}

static void extend(uint8_t *value, enum hash_kind hash, struct view digest)
{
	uint8_t next[HASH_SIZE_MAX];
	struct view parts[] = { view_of(value, hash_size(hash)), digest };
	hash_parts(hash, parts, ARRAY_SIZE(parts), next);
	memcpy(value, next, hash_size(hash));
}

static bool replay_event(struct eventlog *log, const struct eventlog_event *event,
	enum hash_kind hash, struct eventlog_replay *replay)
{
	uint8_t expected[HASH_SIZE_MAX];
	struct view digest = eventlog_digest(log, event, hash);
	if (digest.size != hash_size(hash))
		return false;
	if (is_authenticated(event->type)) {
		hash_bytes(hash, event->data, expected);
		if (!view_equal(digest, view_of(expected, digest.size)) &&
			!replay->has_data_fault) {
			replay->has_data_fault = true;
			replay->fault_offset = log->reader.offset - event->data.size;
		}
	}
	extend(replay->registers[event->index], hash, digest);
	replay->touched |= 1U << event->index;
	return true;
}

bool eventlog_replay(
	struct view bytes, enum hash_kind hash, bool is_cc, struct eventlog_replay *ret_replay)
{
	struct eventlog log;
	struct eventlog_event event;
	size_t offset;
	uint32_t register_count = is_cc ? CC_REGISTERS : EVENTLOG_REGISTERS;
	int more;
	*ret_replay = (struct eventlog_replay){};
	if (!eventlog_open(bytes, &log, &offset))
		return false;
	size_t count = 0;
	while ((more = eventlog_next(&log, &event)) > 0) {
		if (++count > EVENTLOG_EVENTS_MAX)
			return false;
		if (event.type == EVENTLOG_NO_ACTION) {
			if (!is_cc)
				note_locality(&event, hash, ret_replay);
			continue;
		}
		if (event.index >= register_count || (is_cc && event.index == 0) ||
			!replay_event(&log, &event, hash, ret_replay))
			return false;
	}
	ret_replay->event_count = count;
	return more == 0;
}
