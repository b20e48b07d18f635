/*
 * The certificate table of extended reports: entries of GUID, offset, length, ended by a zero GUID.
 * GUIDs are big-endian here (RFC 4122), unlike EFI's.
 */
#include "rules/appraise/snp.h"

enum { GUID_SIZE = 16, ENTRIES_MAX = 32 };

static const uint8_t guid_vcek[GUID_SIZE] = { 0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad,
	0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd };
static const uint8_t guid_vlek[GUID_SIZE] = { 0xa8, 0x07, 0x4b, 0xc2, 0xa2, 0x5a, 0x48, 0x3e, 0xaa,
	0xe6, 0x39, 0xc0, 0x45, 0xa0, 0xb8, 0xa1 };
static const uint8_t guid_ask[GUID_SIZE] = { 0x4a, 0xb7, 0xb3, 0x79, 0xbb, 0xac, 0x4f, 0xe4, 0xa0,
	0x2f, 0x05, 0xae, 0xf3, 0x27, 0xc7, 0x82 };
static const uint8_t guid_ark[GUID_SIZE] = { 0xc0, 0xb4, 0x06, 0xa4, 0xa8, 0x03, 0x49, 0x52, 0x97,
	0x43, 0x3f, 0xb6, 0x01, 0x4c, 0xd0, 0xae };

/* Only once: a second one could hide behind the first. */
static bool put(struct view *place, struct view certificate)
{
	if (place->size > 0)
		return false;
	*place = certificate;
	return true;
}

static bool put_entry(struct view guid, struct view certificate, struct snp_collateral *collateral)
{
	if (view_equal(guid, view_of(guid_vcek, GUID_SIZE)) ||
		view_equal(guid, view_of(guid_vlek, GUID_SIZE)))
		return put(&collateral->vek, certificate);
	if (view_equal(guid, view_of(guid_ask, GUID_SIZE)))
		return put(&collateral->intermediate, certificate);
	if (!view_equal(guid, view_of(guid_ark, GUID_SIZE)))
		return true; /* others (CRL, vendor data) mean nothing here */
	if (collateral->root_count == SNP_ROOTS_MAX)
		return false;
	collateral->roots[collateral->root_count++] = certificate;
	return true;
}

bool snp_certificates_parse(struct view table, struct snp_collateral *collateral)
{
	static const uint8_t zero[GUID_SIZE];
	struct reader reader = reader_of(table);
	for (size_t i = 0; i < ENTRIES_MAX; i++) {
		struct view guid = reader_take(&reader, GUID_SIZE);
		uint64_t offset = reader_le(&reader, 4);
		uint64_t size = reader_le(&reader, 4);
		if (reader.failed)
			return false;
		if (view_equal(guid, view_of(zero, GUID_SIZE)))
			return true;
		if (size == 0 || offset > table.size || size > table.size - offset ||
			!put_entry(guid, view_of(table.data + offset, (size_t)size), collateral))
			return false;
	}
	return false;
}
