/*
 * Names chosen by untrusted code: which can be shown as they are, and how to show the others.
 *
 * UTF-8 is checked as Unicode's table 3-7 has it (no overlong forms, no surrogates). Refused on
 * top: controls, characters without width, those that turn the direction of the text around them,
 * line ends, tags and noncharacters: with these one name can look like another.
 */
#include "engines/sandbox/collect_name.h"

#include "kit/base/mem.h"

static const struct {
	uint32_t first, last;
} hidden[] = {
	{ 0x0000, 0x001f }, { 0x007f, 0x009f }, { 0x00ad, 0x00ad }, { 0x061c, 0x061c },
	{ 0x115f, 0x1160 }, { 0x17b4, 0x17b5 }, { 0x180b, 0x180f }, { 0x200b, 0x200f },
	{ 0x2028, 0x202e }, { 0x2060, 0x206f }, { 0x3164, 0x3164 },
	{ 0xd800, 0xf8ff },                     /* surrogates, private use */
	{ 0xfdd0, 0xfdef }, { 0xfe00, 0xfe0f }, /* variation selectors */
	{ 0xfeff, 0xfeff }, { 0xffa0, 0xffa0 }, { 0xfff0, 0xfffb },
	{ 0xe0000, 0x10ffff }, /* tags, more selectors, private use */
};

static const struct {
	uint8_t first, last; /* lead byte */
	uint8_t more;        /* bytes behind it */
	uint8_t low, high;   /* of the first of them */
} forms[] = {
	{ 0x00, 0x7f, 0, 0, 0 },
	{ 0xc2, 0xdf, 1, 0x80, 0xbf },
	{ 0xe0, 0xe0, 2, 0xa0, 0xbf },
	{ 0xe1, 0xec, 2, 0x80, 0xbf },
	{ 0xed, 0xed, 2, 0x80, 0x9f },
	{ 0xee, 0xef, 2, 0x80, 0xbf },
	{ 0xf0, 0xf0, 3, 0x90, 0xbf },
	{ 0xf1, 0xf3, 3, 0x80, 0xbf },
	{ 0xf4, 0xf4, 3, 0x80, 0x8f },
};

/* Take one character; false when the bytes are no UTF-8. */
static bool take_character(struct reader *reader, uint32_t *ret_character)
{
	uint8_t lead = (uint8_t)reader_be(reader, 1);
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		if (lead < forms[i].first || lead > forms[i].last)
			continue;
		uint32_t value = forms[i].more ? lead & (0x3fu >> forms[i].more) : lead;
		for (unsigned n = 0; n < forms[i].more; n++) {
			uint8_t low = n ? 0x80 : forms[i].low, high = n ? 0xbf : forms[i].high;
			uint8_t byte = (uint8_t)reader_be(reader, 1);
			if (byte < low || byte > high)
				return false; /* also at the end: 0 is below every low */
			value = value << 6 | (byte & 0x3fu);
		}
		*ret_character = value;
		return true;
	}
	return false;
}

bool collect_is_printable(struct view name)
{
	struct reader reader = reader_of(name);
	while (reader.rest.size) {
		uint32_t character;
		if (!take_character(&reader, &character) || (character & 0xfffe) == 0xfffe)
			return false;
		for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
			if (character >= hidden[i].first && character <= hidden[i].last)
				return false;
	}
	return name.size > 0;
}

char *collect_escape(struct view path)
{
	static const char digits[] = "0123456789abcdef";
	enum { ESCAPE_BYTES = 4 };
	char *text = mem_alloc(path.size * ESCAPE_BYTES + 1, 1);
	size_t size = 0;
	for (size_t i = 0; i < path.size; i++) {
		uint8_t byte = path.data[i];
		bool is_plain = byte >= 0x20 && byte < 0x7f;
		if (is_plain && byte != '\\') {
			text[size++] = (char)byte;
			continue;
		}
		text[size++] = '\\';
		text[size++] = is_plain ? '\\' : 'x';
		if (is_plain)
			continue;
		text[size++] = digits[byte >> 4];
		text[size++] = digits[byte & 15];
	}
	return text;
}
