/* See setup.h. */
#include "kit/crypto/setup.h"

#include <assert.h>
#include <openssl/crypto.h>

void crypto_setup(void)
{
	int done = OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	assert(done == 1);
	(void)done;
}
