/* engines/sandbox names of collected files: what is shown as it is, and that escaping loses
 * nothing. */
#include "fuzz.h"

#include "engines/sandbox/collect_name.h"
#include "kit/base/mem.h"

FUZZ_INITIALIZE

static uint8_t digit(char c)
{
	return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static void check_escape(struct view name)
{
	auto_free char *text = collect_escape(name);
	size_t at = 0;
	for (size_t i = 0; text[i]; i++, at++) {
		uint8_t byte = (uint8_t)text[i];
		MUST(at < name.size && byte >= 0x20 && byte < 0x7f);
		if (byte == '\\' && text[++i] == 'x') {
			byte = (uint8_t)(digit(text[i + 1]) << 4 | digit(text[i + 2]));
			i += 2;
		}
		MUST(name.data[at] == byte);
	}
	MUST(at == name.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view name = view_of(data, size);
	check_escape(name);
	if (!collect_is_printable(name))
		return 0;
	MUST(json_is_text(name)); /* another reader of UTF-8, that of jansson */
	for (size_t i = 0; i < size; i++)
		MUST(data[i] >= 0x20 && data[i] != 0x7f);
	return 0;
}
