/* rules/appraise: event logs in every bank. */
#include "fuzz.h"

#include "rules/appraise/eventlog.h"

FUZZ_INITIALIZE

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum hash_kind banks[] = { HASH_SHA1, HASH_SHA256, HASH_SHA384 };
	struct eventlog_replay replay;
	for (size_t i = 0; i < ARRAY_SIZE(banks); i++)
		for (int is_cc = 0; is_cc < 2; is_cc++)
			if (eventlog_replay(view_of(data, size), banks[i], is_cc, &replay))
				MUST(replay.event_count <= EVENTLOG_EVENTS_MAX);
	return 0;
}
