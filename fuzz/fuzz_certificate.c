/*
 * rules/cert verify: input that begins with 'S' is a statement, signed here by the key that the
 * seeds name, so that the inside is reached; everything else is an envelope. Any bytes get a
 * verdict. Never hardware here (the anchor is nobody's), never anything but failed without the
 * essential checks; the same twice; a report that is canonical.
 */
#include "fuzz.h"

#include "kit/crypto/dsse.h"
#include "kit/crypto/sign.h"
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

static int sign_statement(struct view statement, struct buf *ret_envelope, struct err *err)
{
	static const uint8_t seed[SIGN_ED25519_SEED_SIZE] = { 7 };
	auto_sign_key *key = NULL;
	auto_done(buf) spki = {};
	auto_done(buf) pae = {};
	auto_done(buf) signature = {};
	auto_done(dsse) envelope = { .payload_type = CERT_PAYLOAD_TYPE, .signature_count = 1 };
	TRY(sign_key_from_seed(view_of(seed, sizeof(seed)), &key, err));
	TRY(sign_key_spki(key, &spki, err));
	TRY(dsse_pae(CERT_PAYLOAD_TYPE, statement, &pae, err));
	TRY(sign_message(key, buf_view(&pae), &signature, err));
	TRY(buf_append(&envelope.payload, statement, err));
	dsse_keyid(buf_view(&spki), envelope.signatures[0].keyid);
	memcpy(envelope.signatures[0].bytes, signature.data, signature.size);
	envelope.signatures[0].size = signature.size;
	return dsse_encode(&envelope, ret_envelope, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_done(buf) signed_envelope = {};
	struct view envelope = view_of(data, size);
	struct err err;
	auto_done(buf) first = {};
	auto_done(buf) second = {};
	struct cert_verification verification;
	if (size && data[0] == 'S') {
		MUST(sign_statement(view_of(data + 1, size - 1), &signed_envelope, &err) == 0);
		envelope = buf_view(&signed_envelope);
	}
	verify(envelope, &verification);
	MUST(verification.verdict == CERT_VERDICT_FAILED);
	MUST(verification.checks[CERT_CHECK_QUOTE].result != CERT_PASS);
	auto_json *report = cert_verification_json(&verification);
	MUST(json_encode(report, &first, &err) == 0);
	verify(envelope, &verification);
	auto_json *again = cert_verification_json(&verification);
	MUST(json_encode(again, &second, &err) == 0);
	MUST(view_equal(buf_view(&first), buf_view(&second)));
	return 0;
}
