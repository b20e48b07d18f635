/* kit/crypto jwe: messages and keys from anywhere; nothing decrypts under a key of ours. */
#include "fuzz.h"

#include "kit/crypto/jwe.h"

static struct jwe_key *ours;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct err err;
	(void)argc;
	(void)argv;
	json_setup();
	return jwe_key_generate(&ours, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_done(buf) plaintext = {};
	auto_jwe_key *theirs = NULL;
	struct err err;
	MUST(jwe_decrypt(ours, view_of(data, size), &plaintext, &err) < 0);
	(void)!jwe_key_read(view_of(data, size), &theirs, &err);
	return 0;
}
