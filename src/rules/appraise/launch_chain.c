/* See launch_internal.h. */
#include "rules/appraise/launch_internal.h"

enum {
	PAGE_INFO_SIZE = 0x70,
	TD_RECORD_SIZE = 128,
	TD_GPA_AT = 16,
	TD_CHUNK = 256,
	GUID_SIZE = 16,
	OVMF_TAIL = 32, /* reset vector */
	OVMF_ENTRY_HEADER = 2 + GUID_SIZE,
	OVMF_ENTRIES_MAX = 64,
};

static void put_le(uint8_t *to, uint64_t value, size_t width)
{
	for (size_t i = 0; i < width; i++)
		to[i] = (uint8_t)(value >> (8 * i));
}

/* SEV-SNP ABI, PAGE_INFO: the chain value, the contents' hash, then what the page is. */
void launch_chain_page(
	struct launch_chain *chain, enum launch_page_type type, uint64_t gpa, struct view contents)
{
	uint8_t info[PAGE_INFO_SIZE] = {};
	memcpy(info, chain->digest, LAUNCH_DIGEST_SIZE);
	if (contents.size > 0)
		hash_bytes(HASH_SHA384, contents, info + LAUNCH_DIGEST_SIZE);
	put_le(info + 0x60, PAGE_INFO_SIZE, 2);
	info[0x62] = (uint8_t)type;
	put_le(info + 0x68, gpa, 8);
	hash_bytes(HASH_SHA384, view_of(info, sizeof(info)), chain->digest);
}

void launch_chain_range(
	struct launch_chain *chain, enum launch_page_type type, uint64_t gpa, uint64_t size)
{
	for (uint64_t at = 0; at < size; at += LAUNCH_PAGE_SIZE)
		launch_chain_page(chain, type, gpa + at, (struct view){});
}

static void td_record(struct hash_stream *mrtd, const char *name, uint64_t gpa)
{
	uint8_t record[TD_RECORD_SIZE] = {};
	memcpy(record, name, strlen(name));
	put_le(record + TD_GPA_AT, gpa, 8);
	hash_stream_update(mrtd, view_of(record, sizeof(record)));
}

void launch_td_add(struct hash_stream *mrtd, uint64_t gpa)
{
	td_record(mrtd, "MEM.PAGE.ADD", gpa);
}

void launch_td_extend(struct hash_stream *mrtd, uint64_t gpa, struct view contents)
{
	uint8_t page[LAUNCH_PAGE_SIZE] = {};
	if (contents.size > 0)
		memcpy(page, contents.data, MIN(contents.size, sizeof(page)));
	for (size_t at = 0; at < sizeof(page); at += TD_CHUNK) {
		td_record(mrtd, "MR.EXTEND", gpa + at);
		hash_stream_update(mrtd, view_of(page + at, TD_CHUNK));
	}
}

static const uint8_t guid_footer[GUID_SIZE] = { 0xde, 0x82, 0xb5, 0x96, 0xb2, 0x1f, 0xf7, 0x45,
	0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d };

/* The entry that ends at `end`: its size and GUID stand behind its data. */
static bool entry_before(struct view table, size_t end, struct view *ret_guid,
	struct view *ret_data, size_t *ret_start)
{
	if (end < OVMF_ENTRY_HEADER)
		return false;
	struct reader reader = reader_of(
		view_of(table.data + end - OVMF_ENTRY_HEADER, OVMF_ENTRY_HEADER));
	size_t size = (size_t)reader_le(&reader, 2);
	*ret_guid = reader_take(&reader, GUID_SIZE);
	if (size < OVMF_ENTRY_HEADER || size > end)
		return false;
	*ret_start = end - size;
	*ret_data = view_of(table.data + *ret_start, size - OVMF_ENTRY_HEADER);
	return true;
}

bool launch_ovmf_entry(struct view firmware, const uint8_t guid[16], struct view *ret_data)
{
	struct view found, data;
	size_t start;
	if (firmware.size < OVMF_TAIL + OVMF_ENTRY_HEADER)
		return false;
	size_t end = firmware.size - OVMF_TAIL;
	if (!entry_before(firmware, end, &found, &data, &start) ||
		!view_equal(found, view_of(guid_footer, GUID_SIZE)))
		return false;
	struct view table = view_of(firmware.data + start, data.size);
	end = table.size;
	for (size_t i = 0; end >= OVMF_ENTRY_HEADER && i < OVMF_ENTRIES_MAX; i++) {
		if (!entry_before(table, end, &found, &data, &start))
			return false;
		if (view_equal(found, view_of(guid, GUID_SIZE))) {
			*ret_data = data;
			return true;
		}
		end = start;
	}
	return false;
}
