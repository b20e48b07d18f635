/* kit/crypto dsse: an envelope that is read is written and read as the same envelope. */
#include "fuzz.h"

#include "kit/base/str.h"
#include "kit/crypto/dsse.h"

FUZZ_INITIALIZE

static void check_same(const struct dsse *a, const struct dsse *b)
{
	MUST(view_equal(buf_view(&a->payload), buf_view(&b->payload)));
	MUST(str_equal(a->payload_type, b->payload_type));
	MUST(a->signature_count == b->signature_count);
	for (size_t i = 0; i < a->signature_count; i++) {
		const struct dsse_signature *x = &a->signatures[i], *y = &b->signatures[i];
		MUST(str_equal(x->keyid, y->keyid));
		MUST(view_equal(view_of(x->bytes, x->size), view_of(y->bytes, y->size)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err;
	auto_done(dsse) envelope = {};
	auto_done(dsse) again = {};
	auto_done(buf) json = {};
	auto_done(buf) pae = {};
	if (dsse_decode(view_of(data, size), &envelope, &err) < 0)
		return 0;
	MUST(envelope.signature_count >= 1 && envelope.signature_count <= DSSE_SIGNATURES_MAX);
	MUST(envelope.payload.size <= DSSE_PAYLOAD_MAX);
	MUST(dsse_pae(envelope.payload_type, buf_view(&envelope.payload), &pae, &err) == 0);
	MUST(dsse_encode(&envelope, &json, &err) == 0);
	MUST(dsse_decode(buf_view(&json), &again, &err) == 0);
	check_same(&envelope, &again);
	return 0;
}
