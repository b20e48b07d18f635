/* See hpke.h. Names follow RFC 9180 sections 4 and 5. */
#include "kit/crypto/hpke.h"

#include <openssl/evp.h>

#include "kit/base/mem.h"
#include "kit/crypto/aead.h"
#include "kit/crypto/hash.h"
#include "kit/crypto/rand.h"

enum {
	KEM_X25519_SHA256 = 0x0020,
	KDF_SHA256 = 0x0001,
	MODE_BASE = 0,
	EXPAND_MAX = SHA256_SIZE, /* one block is all we ever need */
	AEAD_KEY_MAX = 32,
};

static void key_done(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

static void context_done(EVP_PKEY_CTX **context)
{
	EVP_PKEY_CTX_free(*context);
}

/* Everything secret of one agreement, wiped at the end. */
struct schedule {
	uint8_t dh[HPKE_KEY_SIZE];
	uint8_t shared[SHA256_SIZE];
	uint8_t key[AEAD_KEY_MAX];
	uint8_t nonce[AEAD_NONCE_SIZE];
	size_t key_size;
};

static void schedule_done(struct schedule *schedule)
{
	mem_wipe(schedule, sizeof(*schedule));
}

struct suite {
	uint8_t id[10];
	size_t size;
};

static struct suite kem_suite(void)
{
	return (struct suite){ { 'K', 'E', 'M', 0, KEM_X25519_SHA256 }, 5 };
}

static struct suite hpke_suite(enum hpke_aead aead)
{
	return (struct suite){
		{ 'H', 'P', 'K', 'E', 0, KEM_X25519_SHA256, 0, KDF_SHA256, 0, (uint8_t)aead }, 10
	};
}

static int concat(struct buf *buf, const struct view *parts, size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++)
		TRY(buf_append(buf, parts[i], err));
	return 0;
}

/* LabeledExtract(salt, label, ikm) */
static int extract(const struct suite *suite, struct view salt, const char *label, struct view ikm,
	uint8_t ret_key[static SHA256_SIZE], struct err *err)
{
	static const uint8_t no_salt[SHA256_SIZE];
	auto_done(buf) labeled = {};
	const struct view parts[] = { view_string("HPKE-v1"), view_of(suite->id, suite->size),
		view_string(label), ikm };
	TRY(concat(&labeled, parts, ARRAY_SIZE(parts), err));
	hash_hmac_sha256(salt.size > 0 ? salt : view_of(no_salt, sizeof(no_salt)),
		buf_view(&labeled), ret_key);
	return 0;
}

/* Where expanded bytes go: at most one block of HKDF. */
struct output {
	uint8_t *bytes;
	size_t size;
};

/* LabeledExpand(prk, label, info, size). */
static int expand(const struct suite *suite, const uint8_t prk[static SHA256_SIZE],
	const char *label, struct view info, struct output ret, struct err *err)
{
	static const uint8_t block = 1;
	uint8_t output[EXPAND_MAX], size[2] = { 0, (uint8_t)ret.size };
	auto_done(buf) labeled = {};
	const struct view parts[] = { view_of(size, sizeof(size)), view_string("HPKE-v1"),
		view_of(suite->id, suite->size), view_string(label), info, view_of(&block, 1) };
	TRY(concat(&labeled, parts, ARRAY_SIZE(parts), err));
	hash_hmac_sha256(view_of(prk, SHA256_SIZE), buf_view(&labeled), output);
	memcpy(ret.bytes, output, ret.size);
	mem_wipe(output, sizeof(output));
	return 0;
}

int hpke_public(struct view secret_key, uint8_t ret_public[static HPKE_KEY_SIZE], struct err *err)
{
	AUTO(key_done)
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(
		EVP_PKEY_X25519, NULL, secret_key.data, secret_key.size);
	size_t size = HPKE_KEY_SIZE;
	if (!key || EVP_PKEY_get_raw_public_key(key, ret_public, &size) != 1)
		return err_set(err, E_INVALID, "an X25519 key has %d bytes, got %zu", HPKE_KEY_SIZE,
			secret_key.size);
	return 0;
}

int hpke_key_generate(
	struct secret *secret_key, uint8_t ret_public[static HPKE_KEY_SIZE], struct err *err)
{
	TRY(secret_init(secret_key, HPKE_KEY_SIZE, err));
	rand_bytes(secret_key->data, secret_key->size);
	return hpke_public(secret_view(secret_key), ret_public, err);
}

static int agree(struct view secret_key, struct view public_key, uint8_t *ret_dh, struct err *err)
{
	AUTO(key_done)
	EVP_PKEY *ours = EVP_PKEY_new_raw_private_key(
		EVP_PKEY_X25519, NULL, secret_key.data, secret_key.size);
	AUTO(key_done)
	EVP_PKEY *theirs = EVP_PKEY_new_raw_public_key(
		EVP_PKEY_X25519, NULL, public_key.data, public_key.size);
	AUTO(context_done) EVP_PKEY_CTX *context = ours ? EVP_PKEY_CTX_new(ours, NULL) : NULL;
	size_t size = HPKE_KEY_SIZE;
	if (!ours || !theirs || !context || EVP_PKEY_derive_init(context) != 1 ||
		EVP_PKEY_derive_set_peer(context, theirs) != 1)
		return err_set(err, E_INVALID, "not an X25519 key");
	/* OpenSSL refuses the all-zero result that points of small order give (RFC 7748 6.1). */
	if (EVP_PKEY_derive(context, ret_dh, &size) != 1)
		return err_set(err, E_INVALID, "an X25519 key of small order");
	return 0;
}

/* ExtractAndExpand(dh, enc || pkR), then KeySchedule. */
static int derive(const struct hpke_message *message, const uint8_t *enc, const uint8_t *public_key,
	struct schedule *s, struct err *err)
{
	const struct suite kem = kem_suite(), suite = hpke_suite(message->aead);
	uint8_t prk[SHA256_SIZE], context[1 + 2 * SHA256_SIZE] = { MODE_BASE };
	uint8_t kem_context[HPKE_ENC_SIZE + HPKE_KEY_SIZE];
	memcpy(kem_context, enc, HPKE_ENC_SIZE);
	memcpy(kem_context + HPKE_ENC_SIZE, public_key, HPKE_KEY_SIZE);
	TRY(extract(&kem, (struct view){}, "eae_prk", view_of(s->dh, sizeof(s->dh)), prk, err));
	TRY(expand(&kem, prk, "shared_secret", view_of(kem_context, sizeof(kem_context)),
		(struct output){ s->shared, sizeof(s->shared) }, err));
	TRY(extract(&suite, (struct view){}, "psk_id_hash", (struct view){}, context + 1, err));
	TRY(extract(&suite, (struct view){}, "info_hash", message->info, context + 1 + SHA256_SIZE,
		err));
	TRY(extract(&suite, view_of(s->shared, sizeof(s->shared)), "secret", (struct view){}, prk,
		err));
	s->key_size = message->aead == HPKE_AES_256_GCM ? 32 : 16;
	struct view schedule_context = view_of(context, sizeof(context));
	TRY(expand(
		&suite, prk, "key", schedule_context, (struct output){ s->key, s->key_size }, err));
	TRY(expand(&suite, prk, "base_nonce", schedule_context,
		(struct output){ s->nonce, sizeof(s->nonce) }, err));
	mem_wipe(prk, sizeof(prk));
	return 0;
}

int hpke_seal(const struct hpke_message *message, struct view public_key, struct view plaintext,
	uint8_t ret_enc[static HPKE_ENC_SIZE], struct buf *sealed, struct err *err)
{
	const struct secret *ephemeral = message->ephemeral;
	AUTO(schedule_done) struct schedule s = {};
	AUTO(secret_done) struct secret fresh = {};
	if (public_key.size != HPKE_KEY_SIZE)
		return err_set(err, E_INVALID, "an X25519 key has %d bytes, got %zu", HPKE_KEY_SIZE,
			public_key.size);
	if (ephemeral)
		TRY(hpke_public(secret_view(ephemeral), ret_enc, err));
	else
		TRY(hpke_key_generate(&fresh, ret_enc, err));
	TRY(agree(secret_view(ephemeral ? ephemeral : &fresh), public_key, s.dh, err));
	TRY(derive(message, ret_enc, public_key.data, &s, err));
	const struct aead_key key = { view_of(s.key, s.key_size), view_of(s.nonce, sizeof(s.nonce)),
		message->additional };
	return aead_seal(&key, plaintext, sealed, err);
}

int hpke_open(const struct hpke_message *message, struct view secret_key, struct view enc,
	struct view sealed, struct buf *plaintext, struct err *err)
{
	AUTO(schedule_done) struct schedule s = {};
	uint8_t public_key[HPKE_KEY_SIZE];
	if (enc.size != HPKE_ENC_SIZE)
		return err_set(err, E_INVALID, "an encapsulated key has %d bytes, got %zu",
			HPKE_ENC_SIZE, enc.size);
	TRY(hpke_public(secret_key, public_key, err));
	TRY(agree(secret_key, enc, s.dh, err));
	TRY(derive(message, enc.data, public_key, &s, err));
	const struct aead_key key = { view_of(s.key, s.key_size), view_of(s.nonce, sizeof(s.nonce)),
		message->additional };
	return aead_open(&key, sealed, plaintext, err);
}
