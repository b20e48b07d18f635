/* See jws.h. */
#include "rules/appraise/jws.h"

#include "kit/codec/base64.h"
#include "kit/crypto/hash.h"

enum {
	NUMBER_BYTES_MAX = 1100,
	NONCE_BYTES_MAX = 256,
	SECONDS_MAX_BITS = 40,
	P256_HALF = 32,
	P384_HALF = 48,
};

static const struct algorithm {
	const char *name;
	const char *key_type;
	const char *curve;
	size_t half;
	enum verify_scheme scheme;
} algorithms_known[] = {
	{ "RS256", "RSA", NULL, 0, VERIFY_RSA_PKCS1_SHA256 },
	{ "ES256", "EC", "P-256", P256_HALF, VERIFY_ECDSA_SHA256 },
	{ "ES384", "EC", "P-384", P384_HALF, VERIFY_ECDSA_SHA384 },
};

void jws_done(struct jws *jws)
{
	buf_done(&jws->header);
	buf_done(&jws->payload);
	buf_done(&jws->signature);
	for (size_t i = 0; i < ARRAY_SIZE(jws->key); i++)
		buf_done(&jws->key[i]);
}

static bool stop(struct appraise_result *result, const char *code)
{
	appraise_fault(result, code);
	return false;
}

/* header.payload.signature, each canonical base64url. ret_signed is what the signature covers. */
static bool split(struct view token, struct jws *jws, struct view *ret_signed)
{
	struct buf *const parts[] = { &jws->header, &jws->payload, &jws->signature };
	struct err ignored;
	size_t begin = 0;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		size_t end = begin;
		while (end < token.size && token.data[end] != '.')
			end++;
		bool is_last = i + 1 == ARRAY_SIZE(parts);
		if ((end == token.size) != is_last ||
			base64_decode(BASE64_URL, view_of(token.data + begin, end - begin),
				parts[i], &ignored) < 0)
			return false;
		if (is_last)
			*ret_signed = view_of(token.data, begin - 1);
		begin = end + 1;
	}
	return true;
}

static const struct algorithm *find_algorithm(struct jspan name, const char *const *allowed)
{
	for (size_t i = 0; i < ARRAY_SIZE(algorithms_known); i++) {
		if (!jspan_is(name, algorithms_known[i].name))
			continue;
		for (; *allowed; allowed++)
			if (strcmp(*allowed, algorithms_known[i].name) == 0)
				return &algorithms_known[i];
	}
	return NULL;
}

/* The one key that kid selects; without kid the only key of the set. */
static bool select_key(struct jspan keys, struct jspan kid, struct jspan *ret_key)
{
	struct view wanted = {};
	struct jspan each, found = {};
	size_t count = 0, matches = 0;
	bool has_kid = kid.type != JSPAN_NONE;
	if (has_kid && !jspan_string(kid, &wanted))
		return false;
	for (size_t position = 0; jspan_next(keys, &position, NULL, &each); count++) {
		struct view name;
		bool is_match = !has_kid || (jspan_string(jspan_get(each, "kid"), &name) &&
						    view_equal(name, wanted));
		if (count == TOKEN_KEYS_MAX)
			return false;
		if (!is_match)
			continue;
		matches++;
		found = each;
	}
	*ret_key = found;
	return matches == 1;
}

static bool take_number(struct jspan value, struct buf *buf)
{
	struct view text;
	struct err ignored;
	buf->limit = NUMBER_BYTES_MAX;
	return jspan_string(value, &text) && base64_decode(BASE64_URL, text, buf, &ignored) == 0 &&
	       buf->size > 0;
}

/* RSA numbers of the entry, or of its certificate; when both are there they must agree. */
static bool rsa_key(struct jspan entry, struct jws *jws, struct verify_key *ret_key)
{
	struct jspan chain = jspan_get(entry, "x5c"), first;
	struct x509 certificate = {};
	struct view text;
	struct err ignored;
	size_t position = 0;
	bool has_numbers = jspan_get(entry, "n").type != JSPAN_NONE;
	bool has_chain = chain.type != JSPAN_NONE;
	if (has_chain) {
		jws->key[2].limit = X509_CERTIFICATE_MAX;
		if (!jspan_next(chain, &position, NULL, &first) || !jspan_string(first, &text) ||
			base64_decode(BASE64_STANDARD, text, &jws->key[2], &ignored) < 0 ||
			x509_parse(buf_view(&jws->key[2]), &certificate, &ignored) < 0 ||
			certificate.key.type != VERIFY_KEY_RSA)
			return false;
		*ret_key = certificate.key;
	}
	if (!has_numbers)
		return has_chain;
	if (!take_number(jspan_get(entry, "n"), &jws->key[0]) ||
		!take_number(jspan_get(entry, "e"), &jws->key[1]))
		return false;
	*ret_key = (struct verify_key){ .type = VERIFY_KEY_RSA,
		.modulus = buf_view(&jws->key[0]),
		.exponent = buf_view(&jws->key[1]) };
	return !has_chain || (view_equal(ret_key->modulus, certificate.key.modulus) &&
				     view_equal(ret_key->exponent, certificate.key.exponent));
}

static bool ec_key(struct jspan entry, const struct algorithm *algorithm, struct jws *jws,
	struct verify_key *ret_key)
{
	struct err ignored;
	if (!take_number(jspan_get(entry, "x"), &jws->key[0]) ||
		!take_number(jspan_get(entry, "y"), &jws->key[1]) ||
		jws->key[0].size != algorithm->half || jws->key[1].size != algorithm->half)
		return false;
	return buf_append(&jws->key[0], buf_view(&jws->key[1]), &ignored) == 0 &&
	       verify_key_of_point(buf_view(&jws->key[0]), ret_key, &ignored) == 0;
}

/* The entry as a key for this algorithm; the reason otherwise. */
static const char *key_of(struct jspan entry, const struct algorithm *algorithm, struct jws *jws,
	struct verify_key *ret_key)
{
	struct jspan own = jspan_get(entry, "alg"), use = jspan_get(entry, "use");
	bool is_ec = algorithm->curve != NULL;
	if ((own.type != JSPAN_NONE && !jspan_is(own, algorithm->name)) ||
		!jspan_is(jspan_get(entry, "kty"), algorithm->key_type) ||
		(is_ec && !jspan_is(jspan_get(entry, "crv"), algorithm->curve)))
		return "jwt.alg";
	if (use.type != JSPAN_NONE && !jspan_is(use, "sig"))
		return "jwt.key";
	if (!(is_ec ? ec_key(entry, algorithm, jws, ret_key) : rsa_key(entry, jws, ret_key)))
		return "jwt.key";
	if (!is_ec && ret_key->modulus.size * 8 < VERIFY_RSA_BITS_MIN)
		return "jwt.key";
	return NULL;
}

bool jws_open(const struct appraise_token_input *input, const char *const *algorithms,
	struct jws *jws, struct appraise_result *result)
{
	struct view covered;
	struct jspan header, set, entry;
	struct verify_key key = {};
	struct err ignored;
	if (input->token.size > TOKEN_SIZE_MAX || !split(input->token, jws, &covered) ||
		jspan_check(buf_view(&jws->header), TOKEN_SIZE_MAX, &header, &ignored) < 0 ||
		header.type != JSPAN_OBJECT)
		return stop(result, "jwt.format");
	if (jspan_get(header, "crit").type != JSPAN_NONE)
		return stop(result, "jwt.crit");
	const struct algorithm *algorithm = find_algorithm(jspan_get(header, "alg"), algorithms);
	if (!algorithm)
		return stop(result, "jwt.alg");
	if (jspan_check(input->jwks, APPRAISE_JSON_MAX, &set, &ignored) < 0)
		return stop(result, "jwt.key");
	if (!select_key(jspan_get(set, "keys"), jspan_get(header, "kid"), &entry))
		return stop(result, "jwt.kid");
	const char *fault = key_of(entry, algorithm, jws, &key);
	if (fault)
		return stop(result, fault);
	struct view signature = buf_view(&jws->signature);
	bool is_good = algorithm->curve
			       ? appraise_signed_raw(
					 NULL, &key, algorithm->scheme, covered, signature)
			       : appraise_signed(NULL, &key, algorithm->scheme, covered, signature);
	if (!is_good)
		return stop(result, "jwt.signature");
	if (jspan_check(buf_view(&jws->payload), TOKEN_SIZE_MAX, &jws->claims, &ignored) < 0 ||
		jws->claims.type != JSPAN_OBJECT)
		return stop(result, "jwt.format");
	return true;
}

void jws_check_claims(const struct appraise_token_input *input, struct jspan claims,
	struct appraise_result *result)
{
	const struct appraise_policy *policy = input->policy;
	const int64_t max = 1LL << SECONDS_MAX_BITS;
	int64_t now = (int64_t)(input->as_of_ms / 1000), expires, begins, issued;
	int64_t leeway = (int64_t)MIN(policy->token.leeway_s, (uint64_t)max);
	int64_t age = (int64_t)MIN(policy->token.age_max_s, (uint64_t)max);
	if (!jspan_integer(jspan_get(claims, "exp"), 0, max, &expires) ||
		!jspan_integer(jspan_get(claims, "nbf"), 0, max, &begins) ||
		!jspan_integer(jspan_get(claims, "iat"), 0, max, &issued)) {
		appraise_fault(result, "jwt.format");
		return;
	}
	if (now >= expires + leeway) /* RFC 7519 4.1.4: "on or after" */
		appraise_fault(result, "jwt.expired");
	if (now + leeway < begins || now + leeway < issued)
		appraise_fault(result, "jwt.not_yet_valid");
	if (age > 0 && now > issued + age + leeway)
		appraise_fault(result, "jwt.age");
	struct view issuer;
	if (policy->token.issuer.size > 0 && (!jspan_string(jspan_get(claims, "iss"), &issuer) ||
						     !view_equal(issuer, policy->token.issuer)))
		appraise_fault(result, "jwt.issuer");
}

void jws_check_nonce(const struct appraise_token_input *input, struct jspan value,
	struct appraise_result *result)
{
	auto_done(buf) bytes = { .limit = NONCE_BYTES_MAX };
	struct view text;
	struct err ignored;
	bool is_equal = jspan_string(value, &text) &&
			base64_decode(BASE64_STANDARD, text, &bytes, &ignored) == 0 &&
			input->policy->token.nonce.size > 0 &&
			crypto_equal(buf_view(&bytes), input->policy->token.nonce);
	if (!is_equal)
		appraise_fault(result, "jwt.nonce");
}

struct view jws_hex(struct appraise_result *result, struct jspan value, size_t size)
{
	uint8_t *to = result->decoded + result->decoded_size;
	if (size > sizeof(result->decoded) - result->decoded_size || !jspan_hex(value, to, size))
		return (struct view){};
	result->decoded_size += size;
	return view_of(to, size);
}
