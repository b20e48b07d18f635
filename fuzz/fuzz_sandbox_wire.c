/*
 * engines/sandbox messages: a plan that decodes encodes again to one that decodes to the same; an
 * event that decodes has NUL-terminated texts and enumerators in range.
 */
#include "fuzz.h"

#include "engines/sandbox/sandbox.h"
#include "engines/sandbox/wire.h"

FUZZ_INITIALIZE

static void check_plan(struct view message)
{
	static struct wire_parsed parsed;
	static struct wire_parsed again;
	struct err err;
	auto_done(buf) encoded = {};
	if (wire_decode_plan(message, &parsed, &err) < 0) {
		MUST(err.category == E_INTEGRITY);
		return;
	}
	MUST(parsed.plan.cwd && parsed.plan.hostname);
	MUST(wire_encode_plan(
		     WIRE_PLAN, parsed.tier, &parsed.plan, parsed.file_mask, &encoded, &err) == 0);
	MUST(wire_decode_plan(buf_view(&encoded), &again, &err) == 0);
	for (size_t i = 0; parsed.plan.argv[i]; i++)
		MUST(strcmp(parsed.plan.argv[i], again.plan.argv[i]) == 0);
	MUST(strcmp(parsed.plan.hostname, again.plan.hostname) == 0);
	if (parsed.plan.argv[0])
		(void)!sandbox_plan_check(&parsed.plan, &err);
}

static void check_event(struct view message)
{
	struct sandbox_event event;
	struct err err;
	if (wire_decode_event(message, &event, &err) < 0)
		return;
	MUST(strnlen(event.path, sizeof(event.path)) < sizeof(event.path));
	MUST(strnlen(event.result.text, sizeof(event.result.text)) < sizeof(event.result.text));
	MUST(sandbox_cause_name(event.result.cause));
	MUST(wire_event_size(&event) == message.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_plan(view_of(data, size));
	check_event(view_of(data, size));
	return 0;
}
