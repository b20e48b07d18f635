/* kit/codec json: what parses and is canonical stays the same bytes through another round. */
#include "fuzz.h"

FUZZ_INITIALIZE

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err;
	auto_json *value = NULL;
	auto_json *again = NULL;
	auto_json *pretty_value = NULL;
	auto_done(buf) first = {};
	auto_done(buf) second = {};
	auto_done(buf) third = {};
	auto_done(buf) pretty = {};
	if (json_parse(view_of(data, size), size, &value, &err) < 0)
		return 0;
	MUST(json_encode_pretty(value, &pretty, &err) == 0);
	if (json_encode(value, &first, &err) < 0)
		return 0;
	MUST(json_parse(buf_view(&first), first.size, &again, &err) == 0);
	MUST(json_encode(again, &second, &err) == 0);
	MUST(view_equal(buf_view(&first), buf_view(&second)));
	MUST(json_parse(buf_view(&pretty), pretty.size, &pretty_value, &err) == 0);
	MUST(json_encode(pretty_value, &third, &err) == 0);
	MUST(view_equal(buf_view(&first), buf_view(&third)));
	return 0;
}
