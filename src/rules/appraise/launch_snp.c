/*
 * See launch.h: SEV-SNP and SEV-ES launch digests of an OVMF boot. Pages of the firmware, then the
 * sections its metadata names, then one VMSA per vCPU.
 */
#include "rules/appraise/launch_internal.h"

enum {
	SECTION_MEMORY = 1,
	SECTION_SECRETS = 2,
	SECTION_CPUID = 3,
	SECTION_SVSM_CAA = 4,
	SECTION_KERNEL_HASHES = 0x10,
	SECTION_SIZE = 12,
	SECTIONS_MAX = 64,
	METADATA_HEADER = 16,
	HASH_ENTRY = 50,
	HASH_TABLE = 168,
	HASH_TABLE_PADDED = 176,
	MEMORY_MAX = 64 << 20, /* of all sections: far above any OVMF, far below a second */
};

static const uint64_t four_gib = 1ULL << 32;
static const uint64_t vmsa_gpa = 0xfffffffff000;
static const uint32_t bsp_reset = 0xfffffff0;

/* EFI GUIDs, as they stand in memory. */
static const uint8_t guid_hash_table_area[16] = { 0x1f, 0x37, 0x55, 0x72, 0x3b, 0x3a, 0x04, 0x4b,
	0x92, 0x7b, 0x1d, 0xa6, 0xef, 0xa8, 0xd4, 0x54 };
static const uint8_t guid_reset_block[16] = { 0xde, 0x71, 0xf7, 0x00, 0x7e, 0x1a, 0xcb, 0x4f, 0x89,
	0x0e, 0x68, 0xc7, 0x7e, 0x2f, 0xb4, 0x4e };
static const uint8_t guid_metadata[16] = { 0x66, 0x65, 0x88, 0xdc, 0x4a, 0x98, 0x98, 0x47, 0xa7,
	0x5e, 0x55, 0x85, 0xa7, 0xbf, 0x67, 0xcc };
static const uint8_t guid_hash_table[16] = { 0x06, 0xd6, 0x38, 0x94, 0x22, 0x4f, 0xc9, 0x4c, 0xb4,
	0x79, 0xa7, 0x93, 0xd4, 0x11, 0xfd, 0x21 };
static const uint8_t guid_kernel[16] = { 0x37, 0x94, 0xe7, 0x4d, 0xd2, 0xab, 0x7f, 0x42, 0xb8, 0x35,
	0xd5, 0xb1, 0x72, 0xd2, 0x04, 0x5b };
static const uint8_t guid_initrd[16] = { 0x31, 0xf7, 0xba, 0x44, 0x2f, 0x3a, 0xd7, 0x4b, 0x9a, 0xf1,
	0x41, 0xe2, 0x91, 0x69, 0x78, 0x1d };
static const uint8_t guid_cmdline[16] = { 0xd8, 0x2d, 0xd0, 0x97, 0x20, 0xbd, 0x94, 0x4c, 0xaa,
	0x78, 0xe7, 0x71, 0x4d, 0x36, 0xab, 0x2a };

struct sections {
	struct {
		uint32_t gpa, size, type;
	} items[SECTIONS_MAX];
	size_t count;
};

static const struct {
	const char *name;
	uint32_t signature;
} models[] = {
	{ "EPYC", 0x800f12 },
	{ "EPYC-v1", 0x800f12 },
	{ "EPYC-v2", 0x800f12 },
	{ "EPYC-v3", 0x800f12 },
	{ "EPYC-v4", 0x800f12 },
	{ "EPYC-Rome", 0x830f10 },
	{ "EPYC-Milan", 0xa00f11 },
	{ "EPYC-Milan-v2", 0xa00f11 },
	{ "EPYC-Genoa", 0xa10f10 },
	{ "EPYC-Turin", 0xb00f00 },
};

uint32_t launch_vcpu_signature(const char *model)
{
	for (size_t i = 0; i < ARRAY_SIZE(models); i++)
		if (strcmp(models[i].name, model) == 0)
			return models[i].signature;
	return 0;
}

static uint32_t le32(struct view bytes)
{
	struct reader reader = reader_of(bytes);
	return (uint32_t)reader_le(&reader, 4);
}

/* "ASEV", size, version 1, count, then sections. */
static const char *read_sections(struct view firmware, struct sections *sections)
{
	struct view entry;
	if (!launch_ovmf_entry(firmware, guid_metadata, &entry) || entry.size != 4)
		return "launch.no_metadata";
	uint32_t from_end = le32(entry);
	if (from_end > firmware.size)
		return "launch.metadata";
	struct reader reader = reader_of(
		view_of(firmware.data + firmware.size - from_end, from_end));
	struct view signature = reader_take(&reader, 4);
	uint64_t size = reader_le(&reader, 4);
	uint64_t version = reader_le(&reader, 4);
	uint64_t count = reader_le(&reader, 4);
	if (reader.failed || !view_equal_string(signature, "ASEV") || version != 1 ||
		count > SECTIONS_MAX || size != METADATA_HEADER + count * SECTION_SIZE)
		return "launch.metadata";
	uint64_t total = 0;
	for (size_t i = 0; i < count; i++) {
		sections->items[i].gpa = (uint32_t)reader_le(&reader, 4);
		sections->items[i].size = (uint32_t)reader_le(&reader, 4);
		sections->items[i].type = (uint32_t)reader_le(&reader, 4);
		total += sections->items[i].size;
		if (sections->items[i].gpa % LAUNCH_PAGE_SIZE || total > MEMORY_MAX)
			return "launch.metadata";
	}
	sections->count = (size_t)count;
	return reader.failed ? "launch.metadata" : NULL;
}

static void put_hash(uint8_t *entry, const uint8_t *guid, const struct view *parts, size_t count)
{
	memcpy(entry, guid, 16);
	entry[16] = HASH_ENTRY;
	hash_parts(HASH_SHA256, parts, count, entry + 18);
}

/* Command line with its NUL, initrd, kernel. */
static void make_hash_table(
	const struct launch_snp *input, uint8_t ret_table[static HASH_TABLE_PADDED])
{
	static const uint8_t nul = 0;
	struct view cmdline[] = { input->cmdline, view_of(&nul, 1) };
	memset(ret_table, 0, HASH_TABLE_PADDED);
	memcpy(ret_table, guid_hash_table, sizeof(guid_hash_table));
	ret_table[16] = HASH_TABLE;
	put_hash(ret_table + 18, guid_cmdline, cmdline, ARRAY_SIZE(cmdline));
	put_hash(ret_table + 18 + HASH_ENTRY, guid_initrd, &input->initrd, 1);
	put_hash(ret_table + 18 + 2 * HASH_ENTRY, guid_kernel, &input->kernel, 1);
}

static const char *add_kernel_hashes(
	struct launch_chain *chain, const struct launch_snp *input, uint32_t gpa, uint32_t size)
{
	uint8_t page[LAUNCH_PAGE_SIZE] = {};
	uint8_t table[HASH_TABLE_PADDED];
	struct view area;
	if (!input->has_kernel) {
		launch_chain_range(chain, LAUNCH_PAGE_ZERO, gpa, size);
		return NULL;
	}
	if (!launch_ovmf_entry(input->firmware, guid_hash_table_area, &area) || area.size < 8)
		return "launch.no_kernel_hashes";
	size_t at = le32(area) % LAUNCH_PAGE_SIZE;
	if (size != LAUNCH_PAGE_SIZE || le32(area) - at != gpa || at + sizeof(table) > sizeof(page))
		return "launch.metadata";
	make_hash_table(input, table);
	memcpy(page + at, table, sizeof(table));
	launch_chain_page(chain, LAUNCH_PAGE_NORMAL, gpa, view_of(page, sizeof(page)));
	return NULL;
}

static const char *add_sections(
	struct launch_chain *chain, const struct launch_snp *input, const struct sections *sections)
{
	bool has_hashes = false;
	for (size_t i = 0; i < sections->count; i++) {
		uint32_t gpa = sections->items[i].gpa, size = sections->items[i].size;
		const char *fault = NULL;
		if (sections->items[i].type == SECTION_MEMORY ||
			sections->items[i].type == SECTION_SVSM_CAA)
			launch_chain_range(chain, LAUNCH_PAGE_ZERO, gpa, size);
		else if (sections->items[i].type == SECTION_SECRETS)
			launch_chain_range(chain, LAUNCH_PAGE_SECRETS, gpa, LAUNCH_PAGE_SIZE);
		else if (sections->items[i].type == SECTION_CPUID)
			launch_chain_range(chain, LAUNCH_PAGE_CPUID, gpa,
				input->vmm == LAUNCH_VMM_EC2 ? 0 : LAUNCH_PAGE_SIZE);
		else if (sections->items[i].type == SECTION_KERNEL_HASHES)
			fault = add_kernel_hashes(chain, input, gpa, size);
		else
			fault = "launch.section_type";
		if (fault)
			return fault;
		has_hashes |= sections->items[i].type == SECTION_KERNEL_HASHES;
	}
	/* EC2 imports the CPUID page last. */
	for (size_t i = 0; input->vmm == LAUNCH_VMM_EC2 && i < sections->count; i++)
		if (sections->items[i].type == SECTION_CPUID)
			launch_chain_page(
				chain, LAUNCH_PAGE_CPUID, sections->items[i].gpa, (struct view){});
	return input->has_kernel && !has_hashes ? "launch.no_kernel_hashes" : NULL;
}

/* ---- the save area of a vCPU at reset ------------------------------------------------------ */

static const struct {
	uint16_t code, stack, task;
	bool passes_signature; /* in RDX */
	uint32_t rdx;
	uint32_t mxcsr;
	uint16_t fcw;
	uint64_t pat;
} reset_states[LAUNCH_VMM_COUNT] = {
	[LAUNCH_VMM_QEMU] = { 0x9b, 0x93, 0x8b, true, 0, 0x1f80, 0x37f, 0x7040600070406 },
	[LAUNCH_VMM_EC2] = { 0x9b, 0x92, 0x83, false, 0, 0, 0, 0x7040600070406 },
};

static void put(uint8_t *page, size_t at, uint64_t value, size_t width)
{
	for (size_t i = 0; i < width; i++)
		page[at + i] = (uint8_t)(value >> (8 * i));
}

static void put_segment(
	uint8_t *page, size_t at, uint16_t selector, uint16_t attributes, uint64_t base)
{
	put(page, at, selector, 2);
	put(page, at + 2, attributes, 2);
	put(page, at + 4, 0xffff, 4);
	put(page, at + 8, base, 8);
}

/* AMD APM 2, table B-4 (state save area for SEV-ES). */
static void make_vmsa(const struct launch_snp *input, uint32_t reset, uint64_t features,
	uint8_t page[static LAUNCH_PAGE_SIZE])
{
	/* EC2's boot processor begins with another code segment than its others. */
	uint16_t code = reset_states[input->vmm].code;
	if (input->vmm == LAUNCH_VMM_EC2 && reset == bsp_reset)
		code = 0x9a;
	const uint16_t data = 0x93;
	memset(page, 0, LAUNCH_PAGE_SIZE);
	put_segment(page, 0x00, 0, data, 0);                           /* ES */
	put_segment(page, 0x10, 0xf000, code, reset & 0xffff0000);     /* CS */
	put_segment(page, 0x20, 0, reset_states[input->vmm].stack, 0); /* SS */
	put_segment(page, 0x30, 0, data, 0);                           /* DS */
	put_segment(page, 0x40, 0, data, 0);                           /* FS */
	put_segment(page, 0x50, 0, data, 0);                           /* GS */
	put_segment(page, 0x60, 0, 0, 0);                              /* GDTR */
	put_segment(page, 0x70, 0, 0x82, 0);                           /* LDTR */
	put_segment(page, 0x80, 0, 0, 0);                              /* IDTR */
	put_segment(page, 0x90, 0, reset_states[input->vmm].task, 0);  /* TR */
	put(page, 0xd0, 0x1000, 8);                                    /* EFER.SVME */
	put(page, 0x148, 0x40, 8);                                     /* CR4.MCE */
	put(page, 0x158, 0x10, 8);                                     /* CR0.ET */
	put(page, 0x160, 0x400, 8);                                    /* DR7 */
	put(page, 0x168, 0xffff0ff0, 8);                               /* DR6 */
	put(page, 0x170, 0x2, 8);                                      /* RFLAGS */
	put(page, 0x178, reset & 0xffff, 8);                           /* RIP */
	put(page, 0x268, reset_states[input->vmm].pat, 8);
	put(page, 0x310,
		reset_states[input->vmm].passes_signature ? input->vcpu_signature
							  : reset_states[input->vmm].rdx,
		8);
	put(page, 0x3b0, features, 8);
	put(page, 0x3e8, 1, 8); /* XCR0: x87 */
	put(page, 0x408, reset_states[input->vmm].mxcsr, 4);
	put(page, 0x410, reset_states[input->vmm].fcw, 2);
}

/* Where application processors begin. */
static const char *ap_reset(struct view firmware, uint32_t *ret_reset)
{
	struct view block;
	if (!launch_ovmf_entry(firmware, guid_reset_block, &block) || block.size < 4)
		return "launch.no_reset_block";
	*ret_reset = le32(block);
	return NULL;
}

static const char *check(const struct launch_snp *input)
{
	if (input->firmware.size == 0 || input->firmware.size > LAUNCH_FIRMWARE_MAX ||
		input->firmware.size % LAUNCH_PAGE_SIZE)
		return "launch.firmware_size";
	if (input->vcpus == 0 || input->vcpus > LAUNCH_VCPUS_MAX)
		return "launch.vcpus";
	if (input->firmware_hash.size != 0 && input->firmware_hash.size != LAUNCH_DIGEST_SIZE)
		return "launch.firmware_hash";
	return NULL;
}

const char *launch_snp(const struct launch_snp *input, uint8_t ret_digest[LAUNCH_DIGEST_SIZE])
{
	struct launch_chain chain = {};
	struct sections sections = {};
	uint32_t reset = 0;
	uint8_t page[LAUNCH_PAGE_SIZE];
	const char *fault = check(input);
	if (!fault)
		fault = read_sections(input->firmware, &sections);
	if (!fault)
		fault = ap_reset(input->firmware, &reset);
	if (fault)
		return fault;
	uint64_t base = four_gib - input->firmware.size;
	if (input->firmware_hash.size > 0)
		memcpy(chain.digest, input->firmware_hash.data, sizeof(chain.digest));
	for (size_t at = 0; !input->firmware_hash.size && at < input->firmware.size;
		at += LAUNCH_PAGE_SIZE)
		launch_chain_page(&chain, LAUNCH_PAGE_NORMAL, base + at,
			view_of(input->firmware.data + at, LAUNCH_PAGE_SIZE));
	fault = add_sections(&chain, input, &sections);
	if (fault)
		return fault;
	for (unsigned i = 0; i < input->vcpus; i++) {
		if (i < 2)
			make_vmsa(input, i == 0 ? bsp_reset : reset, input->guest_features, page);
		launch_chain_page(&chain, LAUNCH_PAGE_VMSA, vmsa_gpa, view_of(page, sizeof(page)));
	}
	memcpy(ret_digest, chain.digest, sizeof(chain.digest));
	return NULL;
}

const char *launch_sev_es(
	const struct launch_snp *input, uint8_t ret_digest[LAUNCH_SEV_ES_DIGEST_SIZE])
{
	uint8_t page[LAUNCH_PAGE_SIZE], table[HASH_TABLE_PADDED];
	struct view area;
	uint32_t reset = 0;
	const char *fault = check(input);
	if (!fault)
		fault = ap_reset(input->firmware, &reset);
	if (fault)
		return fault;
	if (input->has_kernel && !launch_ovmf_entry(input->firmware, guid_hash_table_area, &area))
		return "launch.no_kernel_hashes";
	auto_hash *stream = hash_stream_new(HASH_SHA256);
	hash_stream_update(stream, input->firmware);
	if (input->has_kernel) {
		make_hash_table(input, table);
		hash_stream_update(stream, view_of(table, sizeof(table)));
	}
	for (unsigned i = 0; i < input->vcpus; i++) {
		make_vmsa(input, i == 0 ? bsp_reset : reset, 0, page);
		hash_stream_update(stream, view_of(page, sizeof(page)));
	}
	hash_stream_final(stream, ret_digest);
	return NULL;
}
