/*
 * Bearer tokens. The file holds digests only: [{"principal", "roles": [...], "sha256"}]. When there
 * is none, one token for the principal "admin" is made; its text stands in STATE-DIR/token (0600),
 * where the cupel command finds it.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "kit/codec/hex.h"
#include "kit/crypto/hash.h"
#include "kit/crypto/rand.h"
#include "programs/cced/cced.h"

#define BEARER "Bearer "
enum { TOKEN_BYTES = 32, TOKEN_FILE_MAX = 262144, TOKEN_TEXT_MAX = 512 };

static const struct {
	const char *name;
	unsigned role;
} role_rows[] = {
	{ "read", ROLE_READ },
	{ "submit", ROLE_SUBMIT },
	{ "admin", ROLE_ADMIN | ROLE_SUBMIT | ROLE_READ },
};

static int make_first_token(const char *state_dir, const char *tokens_path, struct err *err)
{
	uint8_t secret[TOKEN_BYTES], digest[SHA256_SIZE];
	char text[HEX_SIZE(TOKEN_BYTES) + 1], path[CCED_PATH_MAX];
	auto_json *rows = json_new_array();
	auto_done(buf) file = {};
	struct json *row = json_new_object();
	struct json *roles = json_new_array();
	json_append(rows, row);
	json_append(roles, json_new_string(view_string("admin")));
	rand_bytes(secret, sizeof(secret));
	(void)hex_encode(view_of(secret, sizeof(secret)), text);
	hash_bytes(HASH_SHA256, view_string(text), digest);
	json_set_string(row, "principal", "admin");
	json_set(row, "roles", roles);
	json_set_hex(row, "sha256", view_of(digest, sizeof(digest)));
	TRY(json_encode(rows, &file, err));
	TRY(str_format(path, sizeof(path), err, "%s/token", state_dir));
	TRY(fd_write_file_atomic(path, view_string(text), 0600, err));
	mem_wipe(text, sizeof(text));
	mem_wipe(secret, sizeof(secret));
	return fd_write_file_atomic(tokens_path, buf_view(&file), 0600, err);
}

static int read_roles(const struct json *names, unsigned *ret_roles, struct err *err)
{
	unsigned roles = 0;
	for (size_t i = 0; i < json_size(names); i++) {
		unsigned role = 0;
		for (size_t j = 0; j < ARRAY_SIZE(role_rows); j++)
			if (view_equal_string(json_as_view(json_at(names, i)), role_rows[j].name))
				role = role_rows[j].role;
		if (!role)
			return err_set(err, E_INVALID, "roles: expected read, submit or admin");
		roles |= role;
	}
	*ret_roles = roles;
	return 0;
}

static int read_token(const struct json *row, struct token *ret_token, struct err *err)
{
	const struct json *principal, *roles, *sha256;
	TRY(json_match(row, "[]",
		(struct json_member[]){
			{ "principal", JSON_KIND_STRING, true, &principal },
			{ "roles", JSON_KIND_ARRAY, true, &roles },
			{ "sha256", JSON_KIND_STRING, true, &sha256 },
		},
		3, err));
	TRY(str_format(ret_token->principal, sizeof(ret_token->principal), err, "%s",
		json_as_string(principal)));
	TRY(read_roles(roles, &ret_token->roles, err));
	return hex_decode(json_as_view(sha256), ret_token->sha256, SHA256_SIZE, err);
}

static int read_tokens(struct view text, struct auth *auth, struct err *err)
{
	auto_json *rows = NULL;
	TRY(json_parse(text, TOKEN_FILE_MAX, &rows, err));
	if (json_kind(rows) != JSON_KIND_ARRAY || json_size(rows) > CCED_TOKENS_MAX)
		return err_set(
			err, E_INVALID, "expected an array of at most %d tokens", CCED_TOKENS_MAX);
	for (size_t i = 0; i < json_size(rows); i++)
		TRY(read_token(json_at(rows, i), &auth->tokens[auth->count++], err));
	return 0;
}

int auth_load(
	const char *state_dir, const char *tokens_path, struct auth *ret_auth, struct err *err)
{
	char path[CCED_PATH_MAX];
	auto_done(buf) text = {};
	TRY(str_format(path, sizeof(path), err, "%s%s", *tokens_path ? tokens_path : state_dir,
		*tokens_path ? "" : "/tokens.json"));
	if (!*tokens_path && access(path, F_OK) < 0)
		TRY(make_first_token(state_dir, path, err));
	TRY(fd_read_file(path, TOKEN_FILE_MAX, &text, err));
	*ret_auth = (struct auth){};
	int status = read_tokens(buf_view(&text), ret_auth, err);
	if (status < 0)
		err_wrap(err, "%s", path);
	return status;
}

int auth_check(const struct auth *auth, struct http_request *request,
	const struct token **ret_token, struct err *err)
{
	struct view header;
	uint8_t digest[SHA256_SIZE];
	size_t prefix = strlen(BEARER);
	const struct token *found = NULL;
	if (!http_header_get(request, "Authorization", &header))
		return err_set(err, E_DENIED,
			"expected Authorization: Bearer TOKEN (the token is in STATE-DIR/token)");
	if (header.size < prefix || header.size > TOKEN_TEXT_MAX ||
		strncasecmp((const char *)header.data, BEARER, prefix) != 0)
		return err_set(err, E_DENIED, "expected the scheme Bearer");
	hash_bytes(HASH_SHA256, view_of(header.data + prefix, header.size - prefix), digest);
	for (size_t i = 0; i < auth->count; i++) /* all of them, in constant time */
		if (crypto_equal(view_of(digest, SHA256_SIZE),
			    view_of(auth->tokens[i].sha256, SHA256_SIZE)))
			found = &auth->tokens[i];
	if (!found)
		return err_set(err, E_DENIED, "this token is not known here");
	*ret_token = found;
	return 0;
}
