/*
 * Files that a run left behind, as its certificate speaks about them: one digest over their list.
 * See cert_files_summary() in statement.h.
 */
#include "kit/base/str.h"
#include "kit/codec/base64.h"
#include "rules/cert/internal.h"

static int append_row(
	const struct json *file, size_t index, struct json *rows, uint64_t *bytes, struct err *err)
{
	uint8_t digest[SHA256_SIZE];
	const struct json *path = json_get(file, "path"), *size = json_get(file, "bytes");
	const struct json *sha256 = json_get(file, "sha256");
	int64_t value;
	if (json_kind(path) != JSON_KIND_STRING || json_kind(size) != JSON_KIND_INTEGER)
		return err_set(err, E_INVALID, "file %zu has no path or size", index);
	TRY(json_range(size, "files[].bytes", 0, JSON_INTEGER_MAX, &value, err));
	TRY(cert_decode_hex(json_as_view(sha256), digest, sizeof(digest), err));
	struct json *row = json_new_object();
	json_set(row, "path", json_share(path));
	json_set(row, "bytes", json_share(size));
	json_set(row, "sha256", json_share(sha256));
	json_append(rows, row);
	*bytes += (uint64_t)value;
	if (*bytes > JSON_INTEGER_MAX)
		return err_set(err, E_INVALID, "the files have more bytes than can be counted");
	return 0;
}

int cert_files_summary(const struct json *files, struct json **ret_summary, struct err *err)
{
	uint8_t digest[SHA256_SIZE];
	uint64_t bytes = 0;
	auto_json *rows = json_new_array();
	if (json_kind(files) != JSON_KIND_ARRAY)
		return err_set(err, E_INVALID, "files: expected an array, got %s",
			json_kind_name(json_kind(files)));
	for (size_t i = 0; i < json_size(files); i++)
		TRY(append_row(json_at(files, i), i, rows, &bytes, err));
	TRY(cert_digest_json(rows, digest, err));
	*ret_summary = json_new_object();
	json_set_integer(*ret_summary, "count", (int64_t)json_size(files));
	json_set_integer(*ret_summary, "bytes", (int64_t)bytes);
	json_set_hex(*ret_summary, "sha256", view_of(digest, sizeof(digest)));
	return 0;
}

/* Where a file comes with its content, that is what its digest is about. */
static int check_content(const struct json *file, size_t index, struct err *err)
{
	uint8_t digest[SHA256_SIZE];
	char hex[CERT_DIGEST_TEXT];
	auto_done(buf) decoded = {};
	const struct json *content = json_get(file, "content");
	struct view encoding = json_as_view(json_get(file, "encoding"));
	struct view bytes = json_as_view(content);
	if (!content)
		return 0;
	if (json_kind(content) != JSON_KIND_STRING ||
		(!view_equal_string(encoding, "utf-8") && !view_equal_string(encoding, "base64")))
		return err_set(err, E_INVALID, "file %zu: content in no known encoding", index);
	if (view_equal_string(encoding, "base64")) {
		TRY(base64_decode(BASE64_STANDARD, bytes, &decoded, err));
		bytes = buf_view(&decoded);
	}
	hash_bytes(HASH_SHA256, bytes, digest);
	(void)hex_encode(view_of(digest, sizeof(digest)), hex);
	bool is_size = (uint64_t)json_as_integer(json_get(file, "bytes")) == bytes.size;
	if (!is_size || !view_equal_string(json_as_view(json_get(file, "sha256")), hex))
		return err_set(err, E_INTEGRITY, "file %zu: content has SHA-256 %s, not its own",
			index, hex);
	return 0;
}

int cert_check_files(struct cert_state *state, struct err *err)
{
	auto_json *summary = NULL;
	auto_done(buf) have = {};
	auto_done(buf) want = {};
	const struct json *files = state->in->files;
	const struct json *certified = json_get(state->outcome, "files");
	if (!certified)
		return err_set(err, E_INTEGRITY, "the certificate speaks about no files");
	TRY(cert_files_summary(files, &summary, err));
	for (size_t i = 0; i < json_size(files); i++)
		TRY(check_content(json_at(files, i), i, err));
	TRY(json_encode(summary, &have, err));
	TRY(json_encode(certified, &want, err));
	if (!view_equal(buf_view(&have), buf_view(&want)))
		return err_set(err, E_INTEGRITY,
			"the files given are %zu with another digest than the %lld certified",
			json_size(files), (long long)json_as_integer(json_get(certified, "count")));
	return 0;
}
