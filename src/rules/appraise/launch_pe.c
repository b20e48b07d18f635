/*
 * See launch.h: Authenticode digests. Everything of the file except the checksum field, the entry
 * of the certificate table and the table itself; sections in the order of their place in the file.
 */
#include "rules/appraise/launch_internal.h"

enum {
	DOS_PE_AT = 0x3c,
	PE_HEADER = 24, /* signature and COFF header */
	SECTION_HEADER = 40,
	SECTIONS_MAX = 96,
	MAGIC_32 = 0x10b,
	MAGIC_64 = 0x20b,
	CHECKSUM_AT = 64,
	SIZE_OF_HEADERS_AT = 60,
	DIRECTORIES_32 = 96,
	DIRECTORIES_64 = 112,
	DIRECTORY_SIZE = 8,
	DIRECTORY_CERTIFICATES = 4,
};

struct range {
	size_t from, size;
};

struct image {
	struct view file;
	size_t checksum_at;
	size_t certificate_entry_at; /* 0: the image has none */
	size_t certificate_size;
	size_t headers_size;
	struct range sections[SECTIONS_MAX];
	size_t section_count;
};

static size_t number(struct view file, size_t at, size_t width)
{
	struct reader reader = reader_of(view_of(file.data + at, width));
	return (size_t)reader_le(&reader, width);
}

static bool holds(struct view file, size_t at, size_t size)
{
	return at <= file.size && size <= file.size - at;
}

/* Optional header at `at`: where what is left out stands. */
static const char *read_optional(struct image *image, size_t at, size_t size)
{
	struct view file = image->file;
	if (!holds(file, at, size) || size < DIRECTORIES_32)
		return "pe.size";
	size_t magic = number(file, at, 2);
	if (magic != MAGIC_32 && magic != MAGIC_64)
		return "pe.magic";
	size_t directories = magic == MAGIC_64 ? DIRECTORIES_64 : DIRECTORIES_32;
	if (size < directories)
		return "pe.size";
	image->checksum_at = at + CHECKSUM_AT;
	image->headers_size = number(file, at + SIZE_OF_HEADERS_AT, 4);
	size_t count = number(file, at + directories - 4, 4);
	size_t entry = directories + DIRECTORY_CERTIFICATES * DIRECTORY_SIZE;
	if (count <= DIRECTORY_CERTIFICATES)
		return NULL;
	if (size < entry + DIRECTORY_SIZE)
		return "pe.size";
	image->certificate_entry_at = at + entry;
	size_t table = number(file, at + entry, 4);
	image->certificate_size = number(file, at + entry + 4, 4);
	/* A table anywhere but at the end would leave bytes unhashed. */
	if (image->certificate_size > 0 && (!holds(file, table, image->certificate_size) ||
						   table + image->certificate_size != file.size))
		return "pe.certificates";
	return NULL;
}

static const char *read_sections(struct image *image, size_t at, size_t count)
{
	if (count > SECTIONS_MAX || !holds(image->file, at, count * SECTION_HEADER))
		return "pe.sections";
	for (size_t i = 0; i < count; i++) {
		struct range section = { number(image->file, at + i * SECTION_HEADER + 20, 4),
			number(image->file, at + i * SECTION_HEADER + 16, 4) };
		if (section.size == 0)
			continue;
		if (!holds(image->file, section.from, section.size))
			return "pe.sections";
		size_t place = image->section_count++; /* insertion sort by place in the file */
		for (; place > 0 && image->sections[place - 1].from > section.from; place--)
			image->sections[place] = image->sections[place - 1];
		image->sections[place] = section;
	}
	return NULL;
}

static const char *read_image(struct image *image)
{
	struct view file = image->file;
	if (file.size > LAUNCH_FIRMWARE_MAX || !holds(file, DOS_PE_AT, 4) ||
		!view_equal_string(view_of(file.data, 2), "MZ"))
		return "pe.magic";
	size_t at = number(file, DOS_PE_AT, 4);
	if (!holds(file, at, PE_HEADER) ||
		!view_equal(view_of(file.data + at, 4), view_of("PE\0", 4)))
		return "pe.magic";
	size_t section_count = number(file, at + 6, 2);
	size_t optional_size = number(file, at + 20, 2);
	const char *fault = read_optional(image, at + PE_HEADER, optional_size);
	if (!fault)
		fault = read_sections(image, at + PE_HEADER + optional_size, section_count);
	if (fault)
		return fault;
	size_t end_of_table = at + PE_HEADER + optional_size + section_count * SECTION_HEADER;
	if (image->headers_size < end_of_table || image->headers_size > file.size)
		return "pe.size";
	return NULL;
}

const char *launch_pe(struct view file, bool is_sha384, uint8_t *ret_digest)
{
	struct image image = { .file = file };
	const char *fault = read_image(&image);
	if (fault)
		return fault;
	auto_hash *stream = hash_stream_new(is_sha384 ? HASH_SHA384 : HASH_SHA256);
	size_t at = image.checksum_at + 4, hashed = image.headers_size;
	hash_stream_update(stream, view_of(file.data, image.checksum_at));
	if (image.certificate_entry_at) {
		hash_stream_update(
			stream, view_of(file.data + at, image.certificate_entry_at - at));
		at = image.certificate_entry_at + DIRECTORY_SIZE;
	}
	hash_stream_update(stream, view_of(file.data + at, image.headers_size - at));
	for (size_t i = 0; i < image.section_count; i++) {
		struct range section = image.sections[i];
		hash_stream_update(stream, view_of(file.data + section.from, section.size));
		hashed += section.size;
	}
	if (hashed > file.size)
		return "pe.sections"; /* they overlap */
	size_t end = file.size - image.certificate_size;
	if (hashed < end)
		hash_stream_update(stream, view_of(file.data + hashed, end - hashed));
	hash_stream_final(stream, ret_digest);
	return NULL;
}
