/*
 * See launch.h: launch digests of IGVM files (Independent Guest Virtual Machine, microsoft/igvm).
 * Pages are measured in the order of the headers; a header whose compatibility mask lacks the
 * platform is not for it; a required header that is not known is an error.
 */
#include "rules/appraise/launch_internal.h"

enum {
	FIXED_SIZE_1 = 24,
	FIXED_SIZE_2 = 32,
	CHECKSUM_AT = 20,
	HEADERS_SIZE_MAX = 1 << 20,
	HEADER_OPTIONAL_SHIFT = 31,
	PLATFORM_SNP = 2,
	PLATFORM_TDX = 3,
	TYPE_PLATFORM = 0x1,
	TYPE_POLICY = 0x101,
	TYPE_AREA = 0x301,
	TYPE_PAGE = 0x302,
	TYPE_INSERT = 0x303,
	TYPE_CONTEXT = 0x304,
	TYPE_REQUIRED_MEMORY = 0x305,
	TYPE_VP_COUNT = 0x307,
	TYPE_ID_BLOCK = 0x30b,
	TYPE_ENVIRONMENT = 0x313,
	SIZE_ID_BLOCK = 696,
	ID_BLOCK_DIGEST_AT = 8,
	FLAG_2MB = 1,
	FLAG_UNMEASURED = 2,
	FLAG_SHARED = 4,
	DATA_NORMAL = 0,
	DATA_SECRETS = 1,
	DATA_CPUID = 2,
	DATA_CPUID_XF = 3,
	AREAS_MAX = 64,
	AREA_SIZE_MAX = 16 << 20,
	PAGES_MAX = 64 << 10, /* of all headers: 256 MiB, well below a second */
};

static const uint32_t igvm_magic = 0x4d564749;

struct igvm {
	const struct launch_igvm *input;
	uint32_t mask;
	bool has_policy;
	size_t page_count;
	size_t context_count;
	bool is_context_last;
	struct {
		uint32_t index;
		uint64_t size;
	} areas[AREAS_MAX];
	size_t area_count;
	struct launch_chain chain;
	struct hash_stream *mrtd;
	struct view id_block_digest;
	size_t data_at; /* first byte behind the headers */
};

/* One variable header. */
struct header {
	uint32_t type;
	struct view data;
};

/* CRC-32 of IEEE 802.3, as zlib's; the checksum field counts as zero. */
static uint32_t checksum(struct view headers)
{
	uint32_t crc = UINT32_MAX;
	for (size_t i = 0; i < headers.size; i++) {
		bool is_field = i >= CHECKSUM_AT && i < CHECKSUM_AT + 4;
		crc ^= is_field ? 0 : headers.data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320U : 0);
	}
	return ~crc;
}

static const char *open_file(struct igvm *g, struct reader *ret_headers)
{
	struct view file = g->input->file;
	struct reader reader = reader_of(file);
	uint64_t magic = reader_le(&reader, 4);
	uint64_t version = reader_le(&reader, 4);
	uint64_t offset = reader_le(&reader, 4);
	uint64_t size = reader_le(&reader, 4);
	uint64_t total = reader_le(&reader, 4);
	uint64_t crc = reader_le(&reader, 4);
	if (reader.failed || magic != igvm_magic || version < 1 || version > 2)
		return "igvm.magic";
	if (offset != (version == 1 ? FIXED_SIZE_1 : FIXED_SIZE_2) || total != file.size ||
		size > HEADERS_SIZE_MAX || offset + size > file.size ||
		file.size > LAUNCH_FIRMWARE_MAX)
		return "igvm.size";
	g->data_at = (size_t)(offset + size);
	if (crc != checksum(view_of(file.data, g->data_at)))
		return "igvm.checksum";
	*ret_headers = reader_of(view_of(file.data + offset, (size_t)size));
	return NULL;
}

/* 1 with the next header, 0 at the end, negative when it does not fit. */
static int next_header(struct reader *headers, struct header *ret_header)
{
	if (headers->rest.size == 0)
		return 0;
	ret_header->type = (uint32_t)reader_le(headers, 4);
	size_t size = (size_t)reader_le(headers, 4);
	ret_header->data = reader_take(headers, size);
	size_t padding = (8 - size % 8) % 8;
	if (padding > headers->rest.size) /* the last one may end unpadded */
		padding = headers->rest.size;
	(void)reader_take(headers, padding);
	return headers->failed ? E_INVALID : 1;
}

static uint64_t field(struct view data, size_t at, size_t width)
{
	struct reader reader = reader_of(view_of(data.data + at, width));
	return reader_le(&reader, width);
}

/* A page of the file; an empty view when the header names none. */
static const char *page_at(const struct igvm *g, uint64_t offset, struct view *ret_page)
{
	struct view file = g->input->file;
	*ret_page = (struct view){};
	if (offset == 0)
		return NULL;
	if (offset < g->data_at || offset > file.size || file.size - offset < LAUNCH_PAGE_SIZE)
		return "igvm.file_offset";
	*ret_page = view_of(file.data + offset, LAUNCH_PAGE_SIZE);
	return NULL;
}

static bool is_for_us(const struct igvm *g, struct view data, size_t mask_at)
{
	return (field(data, mask_at, 4) & g->mask) != 0;
}

static const char *on_platform(struct igvm *g, struct view data)
{
	uint64_t wanted = g->input->is_tdx ? PLATFORM_TDX : PLATFORM_SNP;
	uint32_t mask = (uint32_t)field(data, 0, 4);
	if (field(data, 5, 1) != wanted ||
		(g->input->platform_mask && g->input->platform_mask != mask))
		return NULL;
	g->mask = mask;
	return NULL;
}

static const char *on_policy(struct igvm *g, struct view data)
{
	g->has_policy |= is_for_us(g, data, 8);
	return NULL;
}

static const char *on_area(struct igvm *g, struct view data)
{
	uint64_t size = field(data, 0, 8), offset = field(data, 12, 4);
	uint32_t index = (uint32_t)field(data, 8, 4);
	if (size == 0 || size % LAUNCH_PAGE_SIZE || size > AREA_SIZE_MAX ||
		g->area_count == AREAS_MAX)
		return "igvm.parameter_area";
	if (offset != 0 && (offset < g->data_at || offset > g->input->file.size ||
				   size > g->input->file.size - offset))
		return "igvm.file_offset";
	for (size_t i = 0; i < g->area_count; i++)
		if (g->areas[i].index == index)
			return "igvm.parameter_area";
	g->areas[g->area_count].index = index;
	g->areas[g->area_count++].size = size;
	return NULL;
}

/* The area with this index; 0 when there is none. */
static uint64_t area_size(const struct igvm *g, uint32_t index)
{
	for (size_t i = 0; i < g->area_count; i++)
		if (g->areas[i].index == index)
			return g->areas[i].size;
	return 0;
}

static const char *on_usage(struct igvm *g, struct view data)
{
	return area_size(g, (uint32_t)field(data, 0, 4)) ? NULL : "igvm.parameter_area";
}

/* Type of an SNP page by its data type; NORMAL for what is measured with contents. */
static const char *snp_type(uint64_t data_type, bool is_unmeasured, enum launch_page_type *ret_type)
{
	static const enum launch_page_type types[] = { LAUNCH_PAGE_NORMAL, LAUNCH_PAGE_SECRETS,
		LAUNCH_PAGE_CPUID, LAUNCH_PAGE_CPUID };
	if (data_type >= ARRAY_SIZE(types))
		return "igvm.data_type";
	*ret_type = data_type == DATA_NORMAL && is_unmeasured ? LAUNCH_PAGE_UNMEASURED
							      : types[data_type];
	return NULL;
}

static const char *add_snp_page(
	struct igvm *g, uint64_t gpa, uint64_t data_type, bool is_unmeasured, struct view page)
{
	static const uint8_t zeros[LAUNCH_PAGE_SIZE];
	enum launch_page_type type;
	const char *fault = snp_type(data_type, is_unmeasured, &type);
	if (fault)
		return fault;
	if (type == LAUNCH_PAGE_NORMAL && page.size == 0) {
		if (g->input->native_zero)
			type = LAUNCH_PAGE_ZERO;
		else
			page = view_of(zeros, sizeof(zeros));
	}
	launch_chain_page(
		&g->chain, type, gpa, type == LAUNCH_PAGE_NORMAL ? page : (struct view){});
	return NULL;
}

static const char *on_page(struct igvm *g, struct view data)
{
	struct view page;
	uint64_t gpa = field(data, 0, 8), flags = field(data, 16, 4), type = field(data, 20, 2);
	if (gpa % LAUNCH_PAGE_SIZE)
		return "igvm.gpa";
	const char *fault = page_at(g, field(data, 12, 4), &page);
	if (fault)
		return fault;
	if (!is_for_us(g, data, 8) || (flags & FLAG_SHARED))
		return NULL;
	if (flags & FLAG_2MB)
		return "igvm.page_size";
	if (++g->page_count > PAGES_MAX)
		return "igvm.size";
	bool is_unmeasured = flags & FLAG_UNMEASURED;
	g->is_context_last = false;
	if (!g->input->is_tdx)
		return add_snp_page(g, gpa, type, is_unmeasured, page);
	if (type != DATA_NORMAL)
		return "igvm.data_type";
	launch_td_add(g->mrtd, gpa);
	if (!is_unmeasured)
		launch_td_extend(g->mrtd, gpa, page);
	return NULL;
}

static const char *on_insert(struct igvm *g, struct view data)
{
	uint64_t gpa = field(data, 0, 8), size = area_size(g, (uint32_t)field(data, 12, 4));
	if (gpa % LAUNCH_PAGE_SIZE)
		return "igvm.gpa";
	if (size == 0)
		return "igvm.parameter_area";
	if (!is_for_us(g, data, 8))
		return NULL;
	g->page_count += size / LAUNCH_PAGE_SIZE;
	if (g->page_count > PAGES_MAX)
		return "igvm.size";
	g->is_context_last = false;
	if (!g->input->is_tdx) {
		launch_chain_range(&g->chain, LAUNCH_PAGE_UNMEASURED, gpa, size);
		return NULL;
	}
	for (uint64_t at = 0; at < size; at += LAUNCH_PAGE_SIZE)
		launch_td_add(g->mrtd, gpa + at);
	return NULL;
}

static const char *on_context(struct igvm *g, struct view data)
{
	struct view page;
	uint64_t gpa = field(data, 0, 8);
	const char *fault = page_at(g, field(data, 12, 4), &page);
	if (fault || !is_for_us(g, data, 8))
		return fault;
	if (gpa % LAUNCH_PAGE_SIZE)
		return "igvm.gpa";
	if (page.size == 0)
		return "igvm.file_offset";
	g->context_count++;
	g->is_context_last = true;
	if (!g->input->is_tdx) /* TDX processors begin in a state the module fixes */
		launch_chain_page(&g->chain, LAUNCH_PAGE_VMSA, gpa, page);
	return NULL;
}

static const char *on_required_memory(struct igvm *g, struct view data)
{
	(void)g;
	return field(data, 0, 8) % LAUNCH_PAGE_SIZE ? "igvm.gpa" : NULL;
}

static const char *on_id_block(struct igvm *g, struct view data)
{
	if (is_for_us(g, data, 0) && !g->input->is_tdx)
		g->id_block_digest = view_of(data.data + ID_BLOCK_DIGEST_AT, LAUNCH_DIGEST_SIZE);
	return NULL;
}

/* Known headers; those that only tell the loader where to write share on_usage. */
static const struct known {
	uint32_t from, to;
	size_t size;
	const char *(*handle)(struct igvm *g, struct view data);
} known_headers[] = {
	{ TYPE_PLATFORM, TYPE_PLATFORM, 16, on_platform },
	{ TYPE_POLICY, TYPE_POLICY, 16, on_policy },
	{ TYPE_AREA, TYPE_AREA, 16, on_area },
	{ TYPE_PAGE, TYPE_PAGE, 24, on_page },
	{ TYPE_INSERT, TYPE_INSERT, 16, on_insert },
	{ TYPE_CONTEXT, TYPE_CONTEXT, 20, on_context },
	{ TYPE_REQUIRED_MEMORY, TYPE_REQUIRED_MEMORY, 24, on_required_memory },
	{ TYPE_VP_COUNT, TYPE_VP_COUNT + 3, 8, on_usage },
	{ TYPE_ID_BLOCK, TYPE_ID_BLOCK, SIZE_ID_BLOCK, on_id_block },
	{ TYPE_ID_BLOCK + 1, TYPE_ID_BLOCK + 1, 8, on_usage },
	{ 0x30e, 0x310, 8, on_usage },
	{ 0x312, TYPE_ENVIRONMENT, 8, on_usage },
};

static const char *handle(struct igvm *g, const struct header *header)
{
	for (size_t i = 0; i < ARRAY_SIZE(known_headers); i++) {
		const struct known *known = &known_headers[i];
		if (header->type < known->from || header->type > known->to)
			continue;
		return header->data.size == known->size ? known->handle(g, header->data)
							: "igvm.size";
	}
	return header->type >> HEADER_OPTIONAL_SHIFT ? NULL : "igvm.header_type";
}

/* Platform headers first: everything else is judged by the mask they give. */
static const char *find_platform(struct igvm *g, struct reader headers)
{
	struct header header;
	int more;
	while ((more = next_header(&headers, &header)) > 0) {
		if (header.type != TYPE_PLATFORM)
			continue;
		if (header.data.size != known_headers[0].size)
			return "igvm.size";
		(void)on_platform(g, header.data);
	}
	if (more < 0)
		return "igvm.size";
	return g->mask ? NULL : "igvm.platform";
}

static const char *conclude(struct igvm *g, uint8_t ret_digest[LAUNCH_DIGEST_SIZE])
{
	if (!g->input->is_tdx && !g->has_policy)
		return "igvm.policy";
	if (g->input->is_kvm && !g->input->is_tdx && g->context_count != 1)
		return "igvm.kvm_vmsa_count";
	if (g->input->is_kvm && !g->input->is_tdx && !g->is_context_last)
		return "igvm.kvm_vmsa_order";
	uint8_t digest[SHA384_SIZE];
	if (g->input->is_tdx)
		hash_stream_final(g->mrtd, digest);
	else
		memcpy(digest, g->chain.digest, sizeof(digest));
	if (g->id_block_digest.size > 0 &&
		!view_equal(g->id_block_digest, view_of(digest, sizeof(digest))))
		return "igvm.id_block";
	memcpy(ret_digest, digest, sizeof(digest));
	return NULL;
}

const char *launch_igvm(const struct launch_igvm *input, uint8_t ret_digest[LAUNCH_DIGEST_SIZE])
{
	struct igvm g = { .input = input };
	struct reader headers;
	struct header header;
	const char *fault = open_file(&g, &headers);
	if (!fault)
		fault = find_platform(&g, headers);
	if (fault)
		return fault;
	auto_hash *mrtd = hash_stream_new(HASH_SHA384);
	g.mrtd = mrtd;
	while (next_header(&headers, &header) > 0) {
		fault = handle(&g, &header);
		if (fault)
			return fault;
	}
	return conclude(&g, ret_digest);
}
