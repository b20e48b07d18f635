/* rules/appraise: tokens, and key sets behind a newline; nothing is signed by such keys. */
#include "fuzz.h"

#include "rules/appraise/token.h"

FUZZ_INITIALIZE

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct appraise_policy policy = {};
	const uint8_t *line = size ? memchr(data, '\n', size) : NULL;
	size_t first = line ? (size_t)(line - data) : size;
	const struct appraise_token_input input = {
		.token = view_of(data, first),
		.jwks = line ? view_of(line + 1, size - first - 1) : view_string("{\"keys\":[{}]}"),
		.anchor = "fuzz",
		.policy = &policy,
		.as_of_ms = 1790000000000,
	};
	struct appraise_result result;
	appraise_maa(&input, &result);
	MUST(!result.is_accepted);
	appraise_ear(&input, &result);
	MUST(!result.is_accepted);
	return 0;
}
