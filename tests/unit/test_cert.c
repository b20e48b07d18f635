/*
 * rules/cert without verification: RFC 6962 trees, the trace, the statement and its digests.
 *
 * tests/golden/inputs.json is made and checked by tests/integration/test_golden.py, an
 * implementation that shares nothing with this one.
 */
#include "unit.h"

#include <stdio.h>

#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "kit/codec/base64.h"
#include "kit/codec/hex.h"
#include "rules/cert/statement.h"
#include "rules/cert/trace.h"
#include "rules/cert/tree.h"
#include "rules/cert/verify.h"

enum { TREE_TEST_MAX = 70, PROOF_TEST_MAX = 40, FILE_MAX = 1 << 20 };

typedef uint8_t digest[SHA256_SIZE];

/* The test of the certificate-transparency project (merkle_tree_test.cc). */
static const char *const reference_leaves[] = { "", "00", "10", "2021", "3031", "40414243",
	"5051525354555657", "606162636465666768696a6b6c6d6e6f" };
static const char *const reference_roots[] = {
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
	"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
	"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
	"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
	"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
	"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
	"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
	"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
};

static void expect_hex(const uint8_t *bytes, const char *hex)
{
	char text[HEX_SIZE(SHA512_SIZE)];
	ck_assert_str_eq(hex_encode(view_of(bytes, strlen(hex) / 2), text), hex);
}

START_TEST(tree_reference_vectors)
{
	struct tree tree = {};
	digest root;
	tree_root(&tree, root);
	expect_hex(root, reference_roots[0]);
	for (size_t i = 0; i < ARRAY_SIZE(reference_leaves); i++) {
		struct err err;
		uint8_t leaf[16], hash[SHA256_SIZE];
		size_t size = strlen(reference_leaves[i]) / 2;
		ck_assert_ok(hex_decode(view_string(reference_leaves[i]), leaf, size, &err), err);
		tree_leaf_hash(view_of(leaf, size), hash);
		tree_append(&tree, hash);
		tree_root(&tree, root);
		expect_hex(root, reference_roots[i + 1]);
	}
}
END_TEST

static void make_leaves(digest *leaves, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint8_t content = (uint8_t)i;
		tree_leaf_hash(view_of(&content, 1), leaves[i]);
	}
}

/* MTH as RFC 6962 section 2.1 defines it. */
static void defined_root(const digest *leaves, size_t size, uint8_t *ret_root)
{
	digest left, right;
	size_t split = 1;
	if (size == 0)
		return hash_bytes(HASH_SHA256, (struct view){}, ret_root);
	if (size == 1) {
		memcpy(ret_root, leaves[0], SHA256_SIZE);
		return;
	}
	while (split * 2 < size)
		split *= 2;
	defined_root(leaves, split, left);
	defined_root(leaves + split, size - split, right);
	struct view parts[] = { view_of("\1", 1), view_of(left, SHA256_SIZE),
		view_of(right, SHA256_SIZE) };
	hash_parts(HASH_SHA256, parts, 3, ret_root);
}

START_TEST(compact_range_is_the_definition)
{
	digest leaves[TREE_TEST_MAX], expected, root;
	struct tree tree = {};
	make_leaves(leaves, TREE_TEST_MAX);
	for (size_t size = 0; size <= TREE_TEST_MAX; size++) {
		ck_assert_uint_eq(tree.size, size);
		tree_root(&tree, root);
		defined_root(leaves, size, expected);
		ck_assert_mem_eq(root, expected, SHA256_SIZE);
		if (size < TREE_TEST_MAX)
			tree_append(&tree, leaves[size]);
	}
}
END_TEST

/* A proof that holds, and everything near it that must not. */
static void check_proof(const digest *leaves, uint64_t size, uint64_t index)
{
	struct err err;
	digest root;
	auto_done(buf) proof = {};
	defined_root(leaves, size, root);
	ck_assert_ok(tree_prove_inclusion(leaves, size, index, &proof, &err), err);
	ck_assert(tree_verify_inclusion(leaves[index], index, size, buf_view(&proof), root));
	for (size_t bit = 0; bit < 8 * proof.size; bit++) {
		proof.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert(
			!tree_verify_inclusion(leaves[index], index, size, buf_view(&proof), root));
		proof.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t bit = index % 16; bit < 8 * SHA256_SIZE; bit += 16) {
		digest leaf;
		memcpy(leaf, leaves[index], SHA256_SIZE);
		leaf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert(!tree_verify_inclusion(leaf, index, size, buf_view(&proof), root));
		root[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert(
			!tree_verify_inclusion(leaves[index], index, size, buf_view(&proof), root));
		root[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (uint64_t other = 0; other <= size + 1; other++)
		ck_assert(tree_verify_inclusion(leaves[index], other, size, buf_view(&proof),
				  root) == (other == index));
	for (size_t cut = 0; cut < proof.size; cut++)
		ck_assert(!tree_verify_inclusion(
			leaves[index], index, size, view_of(proof.data, cut), root));
	ck_assert(!tree_verify_inclusion(leaves[index], index, 0, buf_view(&proof), root));
	ck_assert_ok(buf_append(&proof, view_of(root, SHA256_SIZE), &err), err);
	ck_assert(!tree_verify_inclusion(leaves[index], index, size, buf_view(&proof), root));
}

START_TEST(inclusion_proofs_hold_and_break)
{
	digest leaves[PROOF_TEST_MAX];
	make_leaves(leaves, PROOF_TEST_MAX);
	for (uint64_t size = 1; size <= PROOF_TEST_MAX; size++) {
		struct err err;
		auto_done(buf) proof = {};
		for (uint64_t index = 0; index < size; index++)
			check_proof(leaves, size, index);
		ck_assert_fails(
			tree_prove_inclusion(leaves, size, size, &proof, &err), E_INVALID, err);
	}
}
END_TEST

static const uint8_t seed[TRACE_SEED_SIZE] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
	16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31 };

static struct json *event_of(int64_t number)
{
	struct json *event = json_new_object();
	json_set_integer(event, "n", number);
	return event;
}

/* HMAC-SHA-256(00..1f, 0) and (…, 2^56+2), first 16 bytes; from Python's hmac. */
START_TEST(salts_are_those_of_the_specification)
{
	uint8_t salt[TRACE_SALT_SIZE];
	trace_salt(seed, 0, salt);
	expect_hex(salt, "9f0cd9b94097fe4929918d2b8942b344");
	trace_salt(seed, 72057594037927938, salt);
	expect_hex(salt, "6b53e0c87379424a045c6273de970828");
}
END_TEST

START_TEST(trace_counts_and_discloses)
{
	static const char *const kinds[] = { "exec", "agent", "exec", "exit", "exec" };
	struct err err;
	struct trace trace;
	digest root;
	auto_done(buf) text = {};
	trace_init(&trace, seed);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		ck_assert_ok(trace_append(&trace, kinds[i], (int64_t)i, event_of(5), &err), err);
	auto_json *summary = trace_summary(&trace, "process", "ptrace-exec", true);
	ck_assert_ok(json_encode(json_get(summary, "counts"), &text, &err), err);
	ck_assert_str_eq(buf_string(&text), "{\"agent\":1,\"exec\":3,\"exit\":1}");
	ck_assert_int_eq(json_as_integer(json_get(summary, "size")), 5);
	ck_assert(json_as_boolean(json_get(summary, "complete")));
	ck_assert(!json_as_boolean(json_get(summary, "truncated")));
	ck_assert_int_eq(json_as_integer(json_get(summary, "lost")), 0);
	ck_assert_ok(
		hex_decode(json_as_view(json_get(summary, "root")), root, SHA256_SIZE, &err), err);
	ck_assert_ok(trace_check(trace.shown, seed, root, &err), err);
	root[31] ^= 1;
	ck_assert_fails(trace_check(trace.shown, seed, root, &err), E_INTEGRITY, err);
	root[31] ^= 1;
	json_append(trace.shown, event_of(6));
	ck_assert_fails(trace_check(trace.shown, seed, root, &err), E_INTEGRITY, err);
	uint8_t other[TRACE_SEED_SIZE] = { 1 };
	ck_assert_fails(trace_check(trace.shown, other, root, &err), E_INTEGRITY, err);
	ck_assert_fails(trace_check(summary, seed, root, &err), E_INVALID, err);
	trace_done(&trace);
}
END_TEST

START_TEST(trace_is_never_silently_incomplete)
{
	struct err err;
	struct trace trace;
	trace_init(&trace, seed);
	auto_json *open = trace_summary(&trace, "process", "ptrace-exec", false);
	ck_assert(!json_as_boolean(json_get(open, "complete")));
	trace.tree.size = TRACE_EVENTS_MAX - 1;
	ck_assert_ok(trace_append(&trace, "exec", 0, event_of(0), &err), err);
	ck_assert(!trace.is_truncated);
	ck_assert_uint_eq(trace.tree.size, TRACE_EVENTS_MAX);
	for (int64_t lost = 1; lost <= 2; lost++) {
		ck_assert_ok(trace_append(&trace, "exec", 0, event_of(0), &err), err);
		ck_assert(trace.is_truncated);
		ck_assert_int_eq(trace.lost, lost);
		ck_assert_uint_eq(trace.tree.size, TRACE_EVENTS_MAX);
	}
	auto_json *summary = trace_summary(&trace, "process", "ptrace-exec", true);
	ck_assert(!json_as_boolean(json_get(summary, "complete")));
	ck_assert(json_as_boolean(json_get(summary, "truncated")));
	ck_assert_int_eq(json_as_integer(json_get(summary, "lost")), 2);
	ck_assert_int_eq(json_as_integer(json_get(json_get(summary, "counts"), "exec")), 1);
	trace_done(&trace);
}
END_TEST

START_TEST(lost_events_make_a_trace_incomplete)
{
	struct trace trace;
	trace_init(&trace, seed);
	trace.lost = 1;
	auto_json *summary = trace_summary(&trace, "process", "ptrace-exec", true);
	ck_assert(!json_as_boolean(json_get(summary, "complete")));
	ck_assert(!json_as_boolean(json_get(summary, "truncated")));
	trace_done(&trace);
}
END_TEST

START_TEST(trace_shows_the_first_events)
{
	struct err err;
	struct trace trace;
	trace_init(&trace, seed);
	for (size_t i = 1; i <= TRACE_SHOWN_MAX + 1; i++) {
		ck_assert_ok(trace_append(&trace, "exec", 0, event_of(0), &err), err);
		ck_assert_uint_eq(json_size(trace.shown), MIN(i, (size_t)TRACE_SHOWN_MAX));
	}
	ck_assert_int_eq(
		json_as_integer(json_get(json_at(trace.shown, TRACE_SHOWN_MAX - 1), "seq")),
		TRACE_SHOWN_MAX - 1);
	trace_done(&trace);
}
END_TEST

/* What is refused leaves size, counts and what is shown as they were. */
START_TEST(refused_events_change_nothing)
{
	struct err err;
	struct trace trace;
	char kind[40];
	trace_init(&trace, seed);
	for (size_t i = 0; i < TRACE_KINDS_MAX; i++) {
		ck_assert_ok(str_format(kind, sizeof(kind), &err, "kind%zu", i), err);
		ck_assert_ok(trace_append(&trace, kind, 0, event_of(0), &err), err);
	}
	ck_assert_fails(trace_append(&trace, "more", 0, event_of(0), &err), E_LIMIT, err);
	ck_assert_fails(trace_append(&trace, "kind0", 0, event_of(JSON_INTEGER_MAX + 1), &err),
		E_INVALID, err);
	ck_assert_ok(trace_append(&trace, "kind0", 0, event_of(JSON_INTEGER_MAX), &err), err);
	ck_assert_uint_eq(trace.tree.size, TRACE_KINDS_MAX + 1);
	ck_assert_int_eq(trace.counts[0].count, 2);
	ck_assert_uint_eq(json_size(trace.shown), TRACE_KINDS_MAX + 1);
	trace_done(&trace);
	trace_init(&trace, seed);
	memset(kind, 'k', sizeof(kind));
	kind[sizeof(trace.counts[0].kind)] = 0;
	ck_assert_fails(trace_append(&trace, kind, 0, event_of(0), &err), E_LIMIT, err);
	kind[sizeof(trace.counts[0].kind) - 1] = 0;
	ck_assert_ok(trace_append(&trace, kind, 0, event_of(0), &err), err);
	ck_assert_uint_eq(trace.tree.size, 1);
	trace_done(&trace);
}
END_TEST

static struct json *read_golden(void)
{
	struct err err;
	struct json *golden;
	auto_done(buf) text = { .limit = FILE_MAX };
	FILE *file = fopen(SOURCE_ROOT "/tests/golden/inputs.json", "re");
	ck_assert_ptr_nonnull(file);
	ck_assert_ok(buf_reserve(&text, FILE_MAX, &err), err);
	text.size = fread(text.data, 1, FILE_MAX, file);
	ck_assert_int_eq(fclose(file), 0);
	ck_assert_ok(json_parse(buf_view(&text), FILE_MAX, &golden, &err), err);
	return golden;
}

static const char *text_at(const struct json *object, const char *name)
{
	return json_as_string(json_get(object, name));
}

static void expect_json(const struct json *value, const char *expected)
{
	struct err err;
	auto_done(buf) text = {};
	ck_assert_ok(json_encode(value, &text, &err), err);
	ck_assert_str_eq(buf_string(&text), expected);
}

static struct cert_dataset measure(const struct execute_dataset *dataset)
{
	struct err err;
	auto_done(buf) bytes = {};
	struct cert_dataset measured = { .name = dataset->name, .format = dataset->format };
	if (dataset->source == EXECUTE_BASE64)
		ck_assert_ok(base64_decode(BASE64_STANDARD, dataset->text, &bytes, &err), err);
	else
		ck_assert_ok(buf_append(&bytes, dataset->text, &err), err);
	hash_bytes(HASH_SHA256, buf_view(&bytes), measured.sha256);
	hash_bytes(HASH_SHA3_256, buf_view(&bytes), measured.sha3_256);
	measured.size_bytes = bytes.size;
	return measured;
}

/* The inputs of the golden example, made by our code from the golden request. */
static struct json *golden_inputs(const struct json *golden)
{
	struct err err;
	struct plan plan;
	struct execute_request request;
	struct cert_dataset datasets[2];
	struct cert_tool tools[2];
	auto_done(buf) body = {};
	const struct json *measured = json_get(golden, "measured");
	const struct json *rows = json_get(measured, "tools");
	ck_assert_ok(json_encode(json_get(golden, "request"), &body, &err), err);
	ck_assert_ok(execute_request_parse(buf_view(&body), FILE_MAX, false, &request, &err), err);
	ck_assert_ok(plan_make(&request, &plan, &err), err);
	ck_assert_uint_eq(request.dataset_count, 2);
	for (size_t i = 0; i < 2; i++) {
		datasets[i] = measure(&request.datasets[i]);
		tools[i] = (struct cert_tool){ text_at(json_at(rows, i), "name"),
			text_at(json_at(rows, i), "version"), text_at(json_at(rows, i), "sha256") };
	}
	struct json *inputs = cert_inputs_json(&(struct cert_inputs){
		.request = &request,
		.plan = &plan,
		.datasets = datasets,
		.dataset_count = 2,
		.tools = tools,
		.tool_count = 2,
		.rootfs_sha256 = text_at(measured, "rootfs"),
		.tier = text_at(measured, "tier"),
		.warmup_sha256 = text_at(measured, "warmup"),
		.runtime_version = text_at(measured, "version"),
	});
	plan_done(&plan);
	execute_request_done(&request);
	return inputs;
}

static struct json *golden_outcome(const struct json *golden)
{
	const struct json *measured = json_get(golden, "measured");
	struct view result = json_as_view(json_get(measured, "result"));
	struct cert_outcome outcome = { .status = text_at(measured, "status"),
		.has_exit_code = true,
		.exit_code = (int)json_as_integer(json_get(measured, "exitCode")),
		.result_bytes = result.size };
	hash_bytes(HASH_SHA256, result, outcome.result_sha256);
	return cert_outcome_json(&outcome);
}

START_TEST(golden_example_is_byte_for_byte)
{
	struct err err;
	digest bytes, inputs_digest, claim_digest;
	uint8_t report_data[CERT_REPORT_DATA_SIZE];
	char id[CERT_ID_SIZE];
	auto_done(buf) spki = {};
	auto_done(buf) statement = {};
	auto_json *golden = read_golden();
	auto_json *inputs = golden_inputs(golden);
	auto_json *outcome = golden_outcome(golden);
	expect_json(inputs, text_at(golden, "inputs"));
	expect_json(outcome, text_at(golden, "outcome"));
	ck_assert_ok(cert_digest_json(inputs, inputs_digest, &err), err);
	expect_hex(inputs_digest, text_at(golden, "inputsDigest"));
	ck_assert_ok(cert_dataset_digest(inputs, bytes, &err), err);
	expect_hex(bytes, text_at(golden, "datasetDigest"));
	ck_assert_ok(cert_digest_json(json_get(inputs, "sandbox"), bytes, &err), err);
	expect_hex(bytes, text_at(golden, "sandboxDigest"));
	ck_assert_ok(cert_claim_digest(inputs_digest, outcome, claim_digest, &err), err);
	expect_hex(claim_digest, text_at(golden, "claimDigest"));
	ck_assert_ok(
		base64_decode(BASE64_STANDARD, json_as_view(json_get(golden, "spki")), &spki, &err),
		err);
	ck_assert_ok(cert_report_data(claim_digest, json_get(golden, "run"), buf_view(&spki),
			     report_data, &err),
		err);
	expect_hex(report_data, text_at(golden, "reportData"));
	struct cert_parts parts = { inputs, outcome, json_get(golden, "run"),
		json_get(golden, "evidence"), false };
	ck_assert_ok(cert_statement(&parts, &statement, &err), err);
	ck_assert_str_eq(buf_string(&statement), text_at(golden, "statement"));
	cert_id(buf_view(&statement), id);
	ck_assert_str_eq(id, text_at(golden, "id"));
	ck_assert(cert_is_id(id));
	buf_done(&statement);
	parts.is_hardware = true;
	ck_assert_ok(cert_statement(&parts, &statement, &err), err);
	ck_assert_ptr_nonnull(strstr(buf_string(&statement), "\"" CERT_PREDICATE_HARDWARE "\""));
	cert_id(buf_view(&statement), id);
	ck_assert_str_ne(id, text_at(golden, "id"));
}
END_TEST

START_TEST(golden_trace)
{
	struct err err;
	digest root;
	struct trace trace;
	auto_json *golden = read_golden();
	const struct json *events = json_get(golden, "traceEvents");
	trace_init(&trace, seed);
	for (size_t i = 0; i < json_size(events); i++)
		ck_assert_ok(trace_append(&trace, text_at(json_at(events, i), "kind"),
				     10 * (int64_t)i, event_of((int64_t)i), &err),
			err);
	tree_root(&trace.tree, root);
	expect_hex(root, text_at(golden, "traceRoot"));
	ck_assert_ok(trace_check(events, seed, root, &err), err);
	trace_done(&trace);
}
END_TEST

START_TEST(ids_have_one_form)
{
	static const char *const bad[] = { "", "cert_", "cert_aaaaaaaaaaaaaaaaaaaaaaaaa",
		"cert_aaaaaaaaaaaaaaaaaaaaaaaaaaa", "cert_aaaaaaaaaaaaaaaaaaaaaaaaa1",
		"cert_Aaaaaaaaaaaaaaaaaaaaaaaaaa", "Cert_aaaaaaaaaaaaaaaaaaaaaaaaaa",
		"cert_aaaaaaaaaaaaaaaaaaaaaaaa/a", "cert-aaaaaaaaaaaaaaaaaaaaaaaaaa" };
	ck_assert(cert_is_id("cert_abcdefghijklmnopqrstuvwxyz"));
	ck_assert(cert_is_id("cert_234567aaaaaaaaaaaaaaaaaaaa"));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(!cert_is_id(bad[i]), "accepted %s", bad[i]);
}
END_TEST

START_TEST(dataset_digests)
{
	static const struct {
		const char *inputs, *hex;
	} rows[] = {
		/* SHA-256 of "[]" */
		{ "{\"dataset\":[]}",
			"4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945" },
		{ "{}", "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945" },
		{ "{\"dataset\":[{\"digest\":{\"sha256\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		  "aaaaaaaaaaaaaaaaaaaaaaaa\"}}]}",
			"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" },
	};
	static const char *const bad[] = {
		"{\"dataset\":[{}]}", "{\"dataset\":[1]}",
		"{\"dataset\":[{\"digest\":{\"sha256\":\"aa\"}}]}", "{\"dataset\":[{},{}]}",
		"{\"dataset\":[{\"name\":\"a\",\"digest\":{\"sha256\":\"aa\"}},{\"name\":\"b\"}]}"
	};
	struct err err;
	digest have;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_json *inputs = NULL;
		ck_assert_ok(json_parse(view_string(rows[i].inputs), FILE_MAX, &inputs, &err), err);
		ck_assert_ok(cert_dataset_digest(inputs, have, &err), err);
		expect_hex(have, rows[i].hex);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		auto_json *inputs = NULL;
		ck_assert_ok(json_parse(view_string(bad[i]), FILE_MAX, &inputs, &err), err);
		ck_assert_fails(cert_dataset_digest(inputs, have, &err), E_INVALID, err);
	}
}
END_TEST

START_TEST(what_is_not_canonical_is_refused)
{
	struct err err;
	digest have;
	uint8_t report_data[CERT_REPORT_DATA_SIZE];
	auto_done(buf) statement = {};
	auto_json *real = NULL;
	auto_json *good = json_new_object();
	ck_assert_ok(json_parse(view_string("{\"x\":1.5}"), FILE_MAX, &real, &err), err);
	ck_assert_fails(cert_digest_json(real, have, &err), E_INVALID, err);
	ck_assert_fails(cert_claim_digest(have, real, have, &err), E_INVALID, err);
	ck_assert_fails(
		cert_report_data(have, real, view_string("k"), report_data, &err), E_INVALID, err);
	struct cert_parts parts = { good, good, real, good, false };
	ck_assert_fails(cert_statement(&parts, &statement, &err), E_INVALID, err);
}
END_TEST

START_TEST(outcome_without_exit_code)
{
	struct cert_outcome outcome = { .status = "killed:memory" };
	auto_json *value = cert_outcome_json(&outcome);
	expect_json(value,
		"{\"exitCode\":null,\"gate\":null,\"result\":{\"bytes\":0,\"sha256\":\"0000000000"
		"000000000000000000000000000000000000000000000000000000\"},\"status\":\"killed:"
		"memory\"}");
}
END_TEST

/* SHA-256 of the JCS text as spec/certificate.md section 3.2 has it, made with sha256sum. */
START_TEST(files_are_certified_by_one_digest)
{
	static const char row[] =
		"{\"sha256\":\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\","
		"\"path\":\"a.txt\",\"bytes\":5,\"content\":\"not looked at\"}";
	struct err err;
	auto_json *files = NULL;
	auto_json *summary = NULL;
	auto_done(buf) text = {};
	ck_assert_ok(buf_append_format(&text, &err, "[%s]", row), err);
	ck_assert_ok(json_parse(buf_view(&text), FILE_MAX, &files, &err), err);
	ck_assert_ok(cert_files_summary(files, &summary, &err), err);
	expect_json(summary, "{\"bytes\":5,\"count\":1,\"sha256\":\"f3e203529aeb1a193472"
			     "59b26b7f5b1ed568289726de845256f9cccd1d7b3209\"}");
	struct cert_outcome outcome = { .status = "completed", .files = summary };
	auto_json *value = cert_outcome_json(&outcome);
	ck_assert_ptr_eq(json_get(value, "files"), summary);
	auto_json *none = json_new_array();
	auto_json *empty = NULL;
	ck_assert_ok(cert_files_summary(none, &empty, &err), err);
	expect_json(empty,
		"{\"bytes\":0,\"count\":0,\"sha256\":\"4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11"
		"ba873c2f11161202b945\"}");
}
END_TEST

START_TEST(files_that_are_none)
{
	static const char *const texts[] = { "{}", "[1]", "[{}]", "[{\"path\":\"a\",\"bytes\":1}]",
		"[{\"path\":\"a\",\"bytes\":1,\"sha256\":\"00\"}]",
		"[{\"path\":1,\"bytes\":1,\"sha256\":\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7"
		"425e73043362938b9824\"}]",
		"[{\"path\":\"a\",\"bytes\":-1,\"sha256\":"
		"\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c"
		"1fa7425e73043362938b9824\"}]",
		"[{\"path\":\"a\",\"bytes\":1,\"sha256\":\"2CF24dba5fb0a30e26e83b2ac5b9e29e1b161e5c"
		"1fa7425e73043362938b9824\"}]" };
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct err err;
		auto_json *files = NULL;
		struct json *summary = NULL;
		ck_assert_ok(json_parse(view_string(texts[i]), FILE_MAX, &files, &err), err);
		ck_assert_fails(cert_files_summary(files, &summary, &err), E_INVALID, err);
		ck_assert_ptr_null(summary);
	}
}
END_TEST

/* A statement of the golden example with a run padded by size letters. */
static int padded_statement(
	const struct json *golden, size_t size, size_t *ret_size, struct err *err)
{
	auto_done(buf) statement = {};
	auto_free char *letters = mem_alloc(size + 1, 1);
	auto_json *run = json_new_object();
	auto_json *outcome = golden_outcome(golden);
	memset(letters, 'a', size);
	json_set_string(run, "pad", letters);
	struct cert_parts parts = { json_get(golden, "measured"), outcome, run,
		json_get(golden, "evidence"), false };
	TRY(cert_statement(&parts, &statement, err));
	*ret_size = statement.size;
	return 0;
}

START_TEST(statement_size_is_limited)
{
	struct err err;
	size_t base, size;
	auto_json *golden = read_golden();
	ck_assert_ok(padded_statement(golden, 0, &base, &err), err);
	size_t room = CERT_STATEMENT_MAX - base;
	for (size_t pad = room - 1; pad <= room; pad++) {
		ck_assert_ok(padded_statement(golden, pad, &size, &err), err);
		ck_assert_uint_eq(size, base + pad);
	}
	ck_assert_fails(padded_statement(golden, room + 1, &size, &err), E_LIMIT, err);
}
END_TEST

static void append_rows(struct buf *body, const char *format, size_t count, int width)
{
	struct err err;
	for (size_t i = 0; i < count; i++) {
		char name[EXECUTE_NAME_MAX + 1];
		ck_assert_ok(str_format(name, sizeof(name), &err, "n%0*zu", width - 1, i), err);
		ck_assert_ok(buf_append_string(body, i ? "," : "", &err), err);
		for (const char *at = format; *at; at++)
			ck_assert_ok(*at == '#' ? buf_append_string(body, name, &err)
						: buf_append(body, view_of(at, 1), &err),
				err);
	}
}

/* The largest inputs: every count and name at its limit. */
static struct json *largest_inputs(void)
{
	struct err err;
	struct plan plan;
	struct execute_request request;
	static struct cert_dataset datasets[EXECUTE_DATASETS_MAX];
	static struct cert_tool tools[EXECUTE_TOOLS_MAX];
	static const char hex[] =
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	auto_done(buf) body = {};
	ck_assert_ok(buf_append_string(&body, "{\"datasets\":[", &err), err);
	append_rows(&body, "{\"data\":\"\",\"format\":\"json\",\"name\":\"#\"}",
		EXECUTE_DATASETS_MAX, EXECUTE_NAME_MAX);
	ck_assert_ok(buf_append_string(&body,
			     "],\"sandbox\":{\"tools\":[\"bash\"],\"entrypoint\":\"main.sh\","
			     "\"collect\":true,"
			     "\"scripts\":{\"main.sh\":\"\",",
			     &err),
		err);
	append_rows(&body, "\"#\":\"\"", EXECUTE_SCRIPTS_MAX - 1, EXECUTE_NAME_MAX);
	ck_assert_ok(buf_append_string(&body, "},\"env\":{", &err), err);
	append_rows(&body, "\"#\":{\"secret\":\"\"}", EXECUTE_ENV_MAX, 99);
	ck_assert_ok(buf_append_string(&body, "},\"args\":[\"", &err), err);
	for (size_t i = 0; i < 430; i++) /* fills the room for values */
		ck_assert_ok(buf_append_string(&body, "a", &err), err);
	ck_assert_ok(buf_append_string(&body, "\"]}}", &err), err);
	ck_assert_ok(execute_request_parse(buf_view(&body), FILE_MAX, false, &request, &err), err);
	ck_assert_ok(plan_make(&request, &plan, &err), err);
	for (size_t i = 0; i < EXECUTE_DATASETS_MAX; i++) {
		datasets[i] = measure(&request.datasets[i]);
		datasets[i].size_bytes = JSON_INTEGER_MAX;
	}
	for (size_t i = 0; i < EXECUTE_TOOLS_MAX; i++)
		tools[i] = (struct cert_tool){ "a-tool-with-a-long-name", "1:12.3.4-5+deb12u6",
			hex };
	struct json *inputs = cert_inputs_json(&(struct cert_inputs){ .request = &request,
		.plan = &plan,
		.datasets = datasets,
		.dataset_count = EXECUTE_DATASETS_MAX,
		.tools = tools,
		.tool_count = EXECUTE_TOOLS_MAX,
		.rootfs_sha256 = hex,
		.tier = "parked",
		.warmup_sha256 = hex,
		.runtime_version = "0.1.0" });
	plan_done(&plan);
	execute_request_done(&request);
	return inputs;
}

/* Whatever request is accepted can be certified: 3 KiB are left for run, 8 KiB for the quote. */
START_TEST(largest_request_has_a_certificate)
{
	struct err err;
	size_t size;
	auto_done(buf) statement = {};
	auto_json *golden = read_golden();
	auto_json *inputs = largest_inputs();
	auto_json *outcome = golden_outcome(golden);
	struct cert_parts parts = { inputs, outcome, json_get(golden, "run"),
		json_get(golden, "evidence"), false };
	ck_assert_ok(cert_statement(&parts, &statement, &err), err);
	size = statement.size;
	ck_assert_msg(
		size + (11 << 10) <= CERT_STATEMENT_MAX, "%zu bytes without run and quote", size);
}
END_TEST

/* Whole certificates: tests/integration/test_verifier.py, with both verifiers. */
START_TEST(verification_is_total_and_named)
{
	static const char *const envelopes[] = { "", "{}", "[]", "null", "\xff" };
	for (size_t i = 0; i < ARRAY_SIZE(envelopes); i++) {
		struct cert_verification found;
		struct cert_verify_input input = { .envelope = view_string(envelopes[i]) };
		cert_verify(&input, &found);
		ck_assert_int_eq(found.verdict, CERT_VERDICT_FAILED);
		ck_assert_int_eq(found.checks[CERT_CHECK_ENVELOPE].result, CERT_FAIL);
		for (int check = CERT_CHECK_STATEMENT; check < CERT_CHECK_COUNT; check++)
			ck_assert_int_eq(found.checks[check].result, CERT_NOT_CHECKED);
		ck_assert_str_eq(
			found.checks[CERT_CHECK_STATEMENT].detail, "an earlier check failed");
		ck_assert_str_eq(
			found.checks[CERT_CHECK_ISSUER].detail, "no service key was given");
		auto_json *report = cert_verification_json(&found);
		ck_assert_int_eq(json_kind(json_get(report, "certificate_id")), JSON_KIND_NULL);
		ck_assert_str_eq(text_at(report, "verdict"), "failed");
	}
	ck_assert_str_eq(cert_check_name(CERT_CHECK_QUOTE), "quote");
	ck_assert_ptr_nonnull(strstr(cert_check_meaning(CERT_CHECK_RESULT), "the result you hold"));
	ck_assert_str_eq(cert_result_name(CERT_NOT_CHECKED), "not-checked");
	ck_assert_str_eq(cert_verdict_name(CERT_VERDICT_HARDWARE), "hardware");
}
END_TEST

UNIT_MAIN("cert", tree_reference_vectors, compact_range_is_the_definition,
	inclusion_proofs_hold_and_break, salts_are_those_of_the_specification,
	trace_counts_and_discloses, trace_is_never_silently_incomplete,
	lost_events_make_a_trace_incomplete, trace_shows_the_first_events,
	refused_events_change_nothing, golden_example_is_byte_for_byte, golden_trace,
	ids_have_one_form, dataset_digests, what_is_not_canonical_is_refused,
	outcome_without_exit_code, files_are_certified_by_one_digest, files_that_are_none,
	statement_size_is_limited, largest_request_has_a_certificate,
	verification_is_total_and_named)
