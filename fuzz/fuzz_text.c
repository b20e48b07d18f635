/* kit/codec base64 and hex: one value has one text, and every value comes back. */
#include "fuzz.h"

#include "kit/base/mem.h"
#include "kit/codec/base64.h"
#include "kit/codec/hex.h"

FUZZ_INITIALIZE

static void check_base64(enum base64_kind kind, struct view input)
{
	struct err err;
	auto_done(buf) text = {};
	auto_done(buf) bytes = {};
	auto_done(buf) back = {};
	MUST(base64_encode(kind, input, &text, &err) == 0);
	MUST(base64_decode(kind, buf_view(&text), &bytes, &err) == 0);
	MUST(view_equal(buf_view(&bytes), input));
	buf_done(&bytes);
	if (base64_decode(kind, input, &bytes, &err) < 0)
		return;
	MUST(base64_encode(kind, buf_view(&bytes), &back, &err) == 0);
	MUST(view_equal(buf_view(&back), input));
}

static void check_hex(struct view input)
{
	struct err err;
	auto_free char *text = mem_alloc(HEX_SIZE(input.size), 1);
	auto_free uint8_t *bytes = mem_alloc(input.size + 1, 1);
	(void)hex_encode(input, text);
	MUST(hex_decode(view_string(text), bytes, input.size, &err) == 0);
	MUST(view_equal(view_of(bytes, input.size), input));
	if (hex_decode(input, bytes, input.size / 2, &err) < 0)
		return;
	(void)hex_encode(view_of(bytes, input.size / 2), text);
	for (size_t i = 0; i < input.size; i++)
		MUST(text[i] == (char)(input.data[i] >= 'A' && input.data[i] <= 'F'
						? input.data[i] + 32
						: input.data[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_base64(BASE64_STANDARD, view_of(data, size));
	check_base64(BASE64_URL, view_of(data, size));
	check_hex(view_of(data, size));
	return 0;
}
