/* See launch.h: MRTD of a TDVF and the registers of a direct boot. */
#include "rules/appraise/launch_internal.h"

enum {
	SECTIONS_MAX = 64,
	SECTION_SIZE = 32,
	HEADER_SIZE = 16,
	ATTRIBUTE_EXTEND = 1,
	ATTRIBUTE_AUG = 2,
	MEMORY_MAX = 64 << 20, /* of all sections together */
	CMDLINE_MAX = 64 << 10,
};

/* e47a6535-984a-4798-865e-4685a7bf8ec2 */
static const uint8_t guid_metadata[16] = { 0x35, 0x65, 0x7a, 0xe4, 0x4a, 0x98, 0x98, 0x47, 0x86,
	0x5e, 0x46, 0x85, 0xa7, 0xbf, 0x8e, 0xc2 };

struct section {
	struct view data;
	uint64_t gpa;
	uint64_t size;
	uint32_t attributes;
};

static struct view page_of(const struct section *section, uint64_t at)
{
	if (at >= section->data.size)
		return (struct view){};
	return view_of(section->data.data + at,
		MIN(section->data.size - (size_t)at, (size_t)LAUNCH_PAGE_SIZE));
}

static void measure(struct hash_stream *mrtd, const struct section *section, bool is_two_pass)
{
	bool is_extended = section->attributes & ATTRIBUTE_EXTEND;
	if (section->attributes & ATTRIBUTE_AUG)
		return; /* added after launch, not measured */
	for (uint64_t at = 0; at < section->size; at += LAUNCH_PAGE_SIZE) {
		launch_td_add(mrtd, section->gpa + at);
		if (is_extended && !is_two_pass)
			launch_td_extend(mrtd, section->gpa + at, page_of(section, at));
	}
	for (uint64_t at = 0; is_extended && is_two_pass && at < section->size;
		at += LAUNCH_PAGE_SIZE)
		launch_td_extend(mrtd, section->gpa + at, page_of(section, at));
}

static const char *take_section(
	struct reader *reader, struct view firmware, struct section *ret_section)
{
	uint64_t offset = reader_le(reader, 4);
	uint64_t raw_size = reader_le(reader, 4);
	struct section section = { .gpa = reader_le(reader, 8), .size = reader_le(reader, 8) };
	(void)reader_le(reader, 4); /* type: measured alike */
	section.attributes = (uint32_t)reader_le(reader, 4);
	if (reader->failed || section.gpa % LAUNCH_PAGE_SIZE || section.size % LAUNCH_PAGE_SIZE ||
		section.size > MEMORY_MAX || raw_size > section.size)
		return "launch.metadata";
	if (offset > firmware.size || raw_size > firmware.size - offset)
		return "launch.tdvf_section_outside_file";
	section.data = view_of(firmware.data + offset, (size_t)raw_size);
	*ret_section = section;
	return NULL;
}

const char *launch_mrtd(
	struct view firmware, bool is_two_pass, uint8_t ret_digest[LAUNCH_DIGEST_SIZE])
{
	struct view entry;
	if (firmware.size > LAUNCH_FIRMWARE_MAX)
		return "launch.firmware_size";
	if (!launch_ovmf_entry(firmware, guid_metadata, &entry) || entry.size != 4)
		return "launch.no_metadata";
	struct reader number = reader_of(entry);
	size_t from_end = (size_t)reader_le(&number, 4);
	if (from_end > firmware.size)
		return "launch.metadata";
	struct reader reader = reader_of(
		view_of(firmware.data + firmware.size - from_end, from_end));
	struct view signature = reader_take(&reader, 4);
	uint64_t size = reader_le(&reader, 4);
	uint64_t version = reader_le(&reader, 4);
	uint64_t count = reader_le(&reader, 4);
	if (reader.failed || !view_equal_string(signature, "TDVF") || version != 1 ||
		count > SECTIONS_MAX || size != HEADER_SIZE + count * SECTION_SIZE)
		return "launch.metadata";
	auto_hash *mrtd = hash_stream_new(HASH_SHA384);
	uint64_t total = 0;
	for (size_t i = 0; i < count; i++) {
		struct section section;
		const char *fault = take_section(&reader, firmware, &section);
		if (fault)
			return fault;
		total += section.size;
		if (total > MEMORY_MAX)
			return "launch.metadata";
		measure(mrtd, &section, is_two_pass);
	}
	hash_stream_final(mrtd, ret_digest);
	return NULL;
}

static void extend(uint8_t *value, const uint8_t *digest)
{
	struct view parts[] = { view_of(value, LAUNCH_DIGEST_SIZE),
		view_of(digest, LAUNCH_DIGEST_SIZE) };
	uint8_t next[SHA384_SIZE];
	hash_parts(HASH_SHA384, parts, ARRAY_SIZE(parts), next);
	memcpy(value, next, sizeof(next));
}

static void extend_hash(uint8_t *value, struct view bytes)
{
	uint8_t digest[SHA384_SIZE];
	hash_bytes(HASH_SHA384, bytes, digest);
	extend(value, digest);
}

void launch_rtmr1(const uint8_t kernel_hash[LAUNCH_DIGEST_SIZE], uint8_t ret[LAUNCH_DIGEST_SIZE])
{
	static const uint8_t separator[4];
	uint8_t value[LAUNCH_DIGEST_SIZE] = {};
	extend(value, kernel_hash);
	extend_hash(value, view_string("Calling EFI Application from Boot Option"));
	extend_hash(value, view_of(separator, sizeof(separator)));
	extend_hash(value, view_string("Exit Boot Services Invocation"));
	extend_hash(value, view_string("Exit Boot Services Returned with Success"));
	memcpy(ret, value, sizeof(value));
}

/* OVMF appends " initrd=initrd" and measures UTF-16LE with its NUL. */
const char *launch_rtmr2(
	struct view cmdline, struct view initrd, uint8_t ret_digest[LAUNCH_DIGEST_SIZE])
{
	static const uint8_t nul[2];
	uint8_t value[LAUNCH_DIGEST_SIZE] = {}, digest[SHA384_SIZE];
	const struct view texts[] = { cmdline, view_string(" initrd=initrd") };
	if (cmdline.size > CMDLINE_MAX)
		return "launch.cmdline";
	auto_hash *stream = hash_stream_new(HASH_SHA384);
	for (size_t t = 0; t < ARRAY_SIZE(texts); t++)
		for (size_t i = 0; i < texts[t].size; i++) {
			uint8_t unit[2] = { texts[t].data[i], 0 };
			if (unit[0] < 0x20 || unit[0] > 0x7e)
				return "launch.cmdline";
			hash_stream_update(stream, view_of(unit, sizeof(unit)));
		}
	hash_stream_update(stream, view_of(nul, sizeof(nul)));
	hash_stream_final(stream, digest);
	extend(value, digest);
	extend_hash(value, initrd);
	memcpy(ret_digest, value, sizeof(value));
	return NULL;
}
