/* The second DSSE signature of a certificate, by the key process, over the same bytes. */
#include "engines/keys/keys.h"
#include "kit/crypto/dsse.h"

int keys_countersign(
	const struct keys *keys, struct view spki, struct dsse *envelope, struct err *err)
{
	auto_done(buf) signature = {};
	struct dsse_signature *row = &envelope->signatures[envelope->signature_count];
	if (envelope->signature_count == DSSE_SIGNATURES_MAX)
		return err_set(err, E_LIMIT, "no room for another signature");
	TRY(keys_sign_statement(keys, buf_view(&envelope->payload), &signature, err));
	dsse_keyid(spki, row->keyid);
	memcpy(row->bytes, signature.data, signature.size);
	row->size = signature.size;
	envelope->signature_count++;
	return 0;
}
