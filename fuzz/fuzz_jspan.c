/* kit/codec jspan: whatever is accepted can be walked, and stays inside the text. */
#include "fuzz.h"

#include "kit/codec/jspan.h"

enum { VISITS_MAX = 4096 };

FUZZ_INITIALIZE

static void walk(struct jspan value, struct view whole, size_t depth, size_t *visits)
{
	struct view name, text;
	struct jspan each;
	uint8_t bytes[8];
	int64_t number;
	uint64_t wall_ms;
	MUST(depth <= JSPAN_DEPTH_MAX);
	MUST(value.text.data >= whole.data &&
		value.text.data + value.text.size <= whole.data + whole.size);
	(void)jspan_string(value, &text);
	(void)jspan_integer(value, INT64_MIN, INT64_MAX, &number);
	(void)jspan_hex(value, bytes, sizeof(bytes));
	(void)jspan_time(value, &wall_ms);
	for (size_t position = 0; jspan_next(value, &position, &name, &each);) {
		if (++*visits > VISITS_MAX)
			return;
		walk(each, whole, depth + 1, visits);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view text = view_of(data, size);
	struct jspan value;
	struct json *tree = NULL;
	struct err err;
	size_t visits = 0;
	if (jspan_check(text, 1 << 16, &value, &err) < 0)
		return 0;
	walk(value, text, 0, &visits);
	/* The other reader agrees that it is JSON, unless a number or a NUL is beyond it. */
	if (json_parse(text, 1 << 16, &tree, &err) == 0)
		json_free(tree);
	return 0;
}
