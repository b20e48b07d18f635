/*
 * rules/cert verify: any bytes get a verdict. Never hardware here (the anchor is nobody's), never
 * anything but failed without the essential checks; the same twice; a report that is canonical.
 */
#include "fuzz.h"

#include "rules/cert/verify.h"

FUZZ_INITIALIZE

static void verify(struct view envelope, struct cert_verification *ret_verification)
{
	static const struct appraise_anchor anchor = { "nobody", { 1 }, false };
	static const uint8_t mrtd[48] = { 2 };
	cert_verify(&(struct cert_verify_input){ .envelope = envelope,
			    .issuer_spki = view_of("key", 3),
			    .anchors = &anchor,
			    .anchor_count = 1,
			    .as_of_ms = 1795219200000,
			    .measurement = view_of(mrtd, sizeof(mrtd)),
			    .has_result = true,
			    .result = view_of("result", 6) },
		ret_verification);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err;
	auto_done(buf) first = {};
	auto_done(buf) second = {};
	struct cert_verification verification;
	verify(view_of(data, size), &verification);
	MUST(verification.verdict == CERT_VERDICT_FAILED);
	MUST(verification.checks[CERT_CHECK_QUOTE].result != CERT_PASS);
	auto_json *report = cert_verification_json(&verification);
	MUST(json_encode(report, &first, &err) == 0);
	verify(view_of(data, size), &verification);
	auto_json *again = cert_verification_json(&verification);
	MUST(json_encode(again, &second, &err) == 0);
	MUST(view_equal(buf_view(&first), buf_view(&second)));
	return 0;
}
