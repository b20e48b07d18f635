/*
 * Running the shared attestation vectors: load a suite, read the files a case names, compare the
 * verdict and the first reason with what the case accepts. One line per case that disagrees.
 */
#ifndef TESTS_APPRAISE_CASES_H
#define TESTS_APPRAISE_CASES_H

#include <stdio.h>

#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "kit/base/time.h"
#include "kit/codec/hex.h"
#include "kit/codec/json.h"
#include "kit/crypto/hash.h"
#include "kit/crypto/x509.h"
#include "rules/appraise/appraise.h"
#include "unit.h"

#define CASE_FILES_MAX 24
#define CASE_BYTES_MAX 4096

/* One case being run; owns the files it read. */
struct vector_case {
	const char *root; /* of all vectors */
	const char *folder;
	const struct json *json;
	struct buf files[CASE_FILES_MAX];
	size_t file_count;
	uint8_t bytes[CASE_BYTES_MAX]; /* decoded hex of the policy */
	size_t byte_count;
};

static inline struct view case_file(struct vector_case *c, const char *name)
{
	char path[512];
	struct err err;
	if (!name)
		return (struct view){};
	ck_assert(c->file_count < CASE_FILES_MAX);
	struct buf *file = &c->files[c->file_count++];
	ck_assert_ok(
		str_format(path, sizeof(path), &err, "%s/%s/%s", c->root, c->folder, name), err);
	ck_assert_ok(fd_read_file(path, 8 << 20, file, &err), err);
	return buf_view(file);
}

static inline struct view case_hex(struct vector_case *c, const struct json *text)
{
	struct err err;
	if (!text || json_kind(text) != JSON_KIND_STRING)
		return (struct view){};
	struct view digits = json_as_view(text);
	uint8_t *bytes = c->bytes + c->byte_count;
	ck_assert(c->byte_count + digits.size / 2 <= CASE_BYTES_MAX);
	ck_assert_ok(hex_decode(digits, bytes, digits.size / 2, &err), err);
	c->byte_count += digits.size / 2;
	return view_of(bytes, digits.size / 2);
}

/* One value or an array of them, hexadecimal or text, into a list. */
static inline void case_list(
	struct vector_case *c, const struct json *value, bool is_text, struct appraise_list *list)
{
	bool is_array = value && json_kind(value) == JSON_KIND_ARRAY;
	for (size_t i = 0; value && i < (is_array ? json_size(value) : 1); i++) {
		const struct json *item = is_array ? json_at(value, i) : value;
		struct view bytes = is_text ? json_as_view(item) : case_hex(c, item);
		if (bytes.size > 0)
			list->items[list->count++] = bytes;
	}
}

static inline uint64_t case_as_of(const struct vector_case *c)
{
	uint64_t as_of_ms;
	struct err err;
	ck_assert_ok(time_parse(json_as_string(json_get(c->json, "as_of")), &as_of_ms, &err), err);
	return as_of_ms;
}

/* A root as PEM or DER becomes an anchor. */
static inline struct appraise_anchor case_anchor(struct view root, const char *label)
{
	struct appraise_anchor anchor = { .label = label };
	auto_done(buf) der = {};
	struct view certificate = root;
	struct err err;
	size_t count;
	if (root.size > 0 && root.data[0] == '-')
		ck_assert_ok(x509_pem(root, &der, &certificate, 1, &count, &err), err);
	hash_bytes(HASH_SHA256, certificate, anchor.sha256);
	return anchor;
}

static inline bool list_names(const struct json *list, const char *code)
{
	for (size_t i = 0; i < json_size(list); i++)
		if (str_equal(json_as_string(json_at(list, i)), code))
			return true;
	return false;
}

/* 1 when the outcome is not what the case accepts; says so. */
static inline int case_disagrees(
	const struct vector_case *c, bool is_accepted, const char *first_reason)
{
	const char *expect = json_as_string(json_get(c->json, "expect"));
	bool is_valid = str_equal(expect, "valid");
	bool is_right = is_valid ? is_accepted
				 : !is_accepted &&
					   (str_equal(first_reason, expect) ||
						   list_names(json_get(c->json, "all"),
							   first_reason) ||
						   list_names(json_get(c->json, "expect_any"),
							   first_reason));
	if (!is_right)
		printf("%s: expected %s, got %s\n", json_as_string(json_get(c->json, "id")), expect,
			is_accepted ? "valid" : first_reason);
	return is_right ? 0 : 1;
}

/* Run every case of a suite; returns how many there were. All must agree. */
static inline size_t run_suite(
	const char *folder, const char *file, int (*run)(struct vector_case *))
{
	char path[512];
	struct err err;
	auto_done(buf) text = {};
	auto_json *cases = NULL;
	int wrong = 0;
	ck_assert_ok(str_format(path, sizeof(path), &err, VECTORS "/%s/%s", folder, file), err);
	ck_assert_ok(fd_read_file(path, 16 << 20, &text, &err), err);
	ck_assert_ok(json_parse(buf_view(&text), 16 << 20, &cases, &err), err);
	for (size_t i = 0; i < json_size(cases); i++) {
		struct vector_case c = {
			.root = VECTORS, .folder = folder, .json = json_at(cases, i)
		};
		wrong += run(&c);
		for (size_t f = 0; f < c.file_count; f++)
			buf_done(&c.files[f]);
	}
	printf("%s/%s: %zu cases, %d wrong\n", folder, file, json_size(cases), wrong);
	fflush(stdout);
	ck_assert_int_eq(wrong, 0);
	return json_size(cases);
}

static inline const char *first_reason(const struct appraise_result *result)
{
	return result->reason_count ? result->reasons[0].code : "";
}

static inline bool policy_is(const struct json *policy, const char *name, const char *value)
{
	const char *text = json_as_string(json_get(policy, name));
	return text && str_equal(text, value);
}

#endif
