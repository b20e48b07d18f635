/* See setup.h. */
#include "kit/crypto/setup.h"

#include <assert.h>
#include <openssl/crypto.h>

#include "kit/crypto/hash.h"
#include "kit/crypto/sign.h"

void crypto_setup(void)
{
	int done = OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	assert(done == 1);
	(void)done;
}

void crypto_warm(void)
{
	struct err ignored;
	uint8_t digest[HASH_SIZE_MAX];
	auto_done(buf) signature = {};
	auto_done(buf) spki = {};
	auto_sign_key *key = NULL;
	for (int kind = 0; kind < HASH_KIND_COUNT; kind++) {
		auto_hash *stream = hash_stream_new((enum hash_kind)kind);
		hash_stream_final(stream, digest);
	}
	if (sign_key_generate(SIGN_ED25519, &key, &ignored) < 0 ||
		sign_key_spki(key, &spki, &ignored) < 0 ||
		sign_message(key, view_string("warm"), &signature, &ignored) < 0)
		return; /* who needs it will hear of it */
}
