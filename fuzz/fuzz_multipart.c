/* kit/codec/multipart: parts lie inside the body, in order, apart, and hold no delimiter. */
#include "fuzz.h"

#include "kit/codec/multipart.h"

FUZZ_INITIALIZE

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char type[] = "multipart/form-data; boundary=XX";
	struct err err;
	struct multipart parts;
	char text[64] = "";
	/* first byte: the fixed boundary, or a Content-Type made of the next bytes */
	if (size > 40 && data[0] == '?') {
		memcpy(text, data + 1, 39);
		(void)multipart_parse(view_of(data + 40, size - 40), text, &parts, &err);
		return 0;
	}
	if (multipart_parse(view_of(data, size), type, &parts, &err) < 0)
		return 0;
	const uint8_t *at = data;
	MUST(parts.count >= 1 && parts.count <= MULTIPART_PARTS_MAX);
	for (size_t i = 0; i < parts.count; i++) {
		const struct multipart_part *part = &parts.parts[i];
		MUST(part->name.size >= 1 && part->name.size <= MULTIPART_NAME_MAX);
		MUST(part->name.data > at && part->content.data > part->name.data);
		at = part->content.data + part->content.size;
		MUST(at <= data + size - 8);
		MUST(at[0] == '\r' && at[1] == '\n' && at[2] == '-' && at[4] == 'X');
		MUST(!part->content.size ||
			!memmem(part->content.data, part->content.size, "\r\n--XX", 6));
	}
	return 0;
}
