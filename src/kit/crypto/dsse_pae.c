/* The two parts of DSSE that need no JSON, so that the key process can link them alone. */
#include "kit/codec/hex.h"
#include "kit/crypto/dsse.h"
#include "kit/crypto/hash.h"

int dsse_pae(const char *payload_type, struct view payload, struct buf *buf, struct err *err)
{
	TRY(buf_append_format(
		buf, err, "DSSEv1 %zu %s %zu ", strlen(payload_type), payload_type, payload.size));
	return buf_append(buf, payload, err);
}

void dsse_keyid(struct view spki, char ret_keyid[static DSSE_KEYID_SIZE])
{
	uint8_t digest[SHA256_SIZE];
	hash_bytes(HASH_SHA256, spki, digest);
	(void)hex_encode(view_of(digest, sizeof(digest)), ret_keyid);
}
