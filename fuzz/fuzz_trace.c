/* rules/cert trace: any array of events is checked or refused, and its own root always holds. */
#include "fuzz.h"

#include "rules/cert/trace.h"

FUZZ_INITIALIZE

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t seed[TRACE_SEED_SIZE] = { 7 };
	struct err err;
	struct trace trace;
	uint8_t root[SHA256_SIZE] = {};
	auto_json *events = NULL;
	if (json_parse(view_of(data, size), size, &events, &err) < 0)
		return 0;
	if (trace_check(events, seed, root, &err) != E_INTEGRITY)
		return 0;
	trace_init(&trace, seed);
	for (size_t i = 0; i < json_size(events); i++) {
		struct json *event = json_share(json_at(events, i));
		if (json_kind(event) != JSON_KIND_OBJECT) {
			json_free(event);
			continue;
		}
		if (trace_append(&trace, "fuzz", 0, event, &err) < 0)
			break;
	}
	if (json_size(trace.shown) == trace.tree.size) {
		tree_root(&trace.tree, root);
		MUST(trace_check(trace.shown, seed, root, &err) == 0);
	}
	trace_done(&trace);
	return 0;
}
