/* See trace.h. */
#include "rules/cert/trace.h"

#include "kit/base/str.h"

void trace_init(struct trace *trace, const uint8_t seed[static TRACE_SEED_SIZE])
{
	*trace = (struct trace){ .shown = json_new_array() };
	memcpy(trace->seed, seed, TRACE_SEED_SIZE);
}

void trace_done(struct trace *trace)
{
	json_free(trace->shown);
	*trace = (struct trace){};
}

void trace_salt(const uint8_t seed[static TRACE_SEED_SIZE], uint64_t index,
	uint8_t ret_salt[static TRACE_SALT_SIZE])
{
	uint8_t position[8], mac[SHA256_SIZE];
	for (size_t i = 0; i < sizeof(position); i++)
		position[i] = (uint8_t)(index >> (8 * (7 - i)));
	hash_hmac_sha256(view_of(seed, TRACE_SEED_SIZE), view_of(position, sizeof(position)), mac);
	memcpy(ret_salt, mac, TRACE_SALT_SIZE);
}

static int leaf_of(const struct json *event, const uint8_t *seed, uint64_t index,
	uint8_t ret_hash[static SHA256_SIZE], struct err *err)
{
	auto_done(buf) content = {};
	uint8_t salt[TRACE_SALT_SIZE];
	trace_salt(seed, index, salt);
	TRY(buf_append(&content, view_of(salt, sizeof(salt)), err));
	TRY(json_encode(event, &content, err));
	tree_leaf_hash(buf_view(&content), ret_hash);
	return 0;
}

static int count_kind(struct trace *trace, const char *kind, struct err *err)
{
	for (size_t i = 0; i < trace->kind_count; i++)
		if (str_equal(trace->counts[i].kind, kind)) {
			trace->counts[i].count++;
			return 0;
		}
	if (trace->kind_count == TRACE_KINDS_MAX)
		return err_set(err, E_LIMIT, "more than %d kinds of events", TRACE_KINDS_MAX);
	struct trace_count *row = &trace->counts[trace->kind_count];
	TRY(str_format(row->kind, sizeof(row->kind), err, "%s", kind));
	row->count = 1;
	trace->kind_count++;
	return 0;
}

static int append(struct trace *trace, const char *kind, const struct json *event, struct err *err)
{
	uint8_t hash[SHA256_SIZE];
	TRY(leaf_of(event, trace->seed, trace->tree.size, hash, err));
	TRY(count_kind(trace, kind, err)); /* last that can fail: counts add up to the size */
	tree_append(&trace->tree, hash);
	if (json_size(trace->shown) < TRACE_SHOWN_MAX)
		json_append(trace->shown, json_share(event));
	return 0;
}

int trace_append(
	struct trace *trace, const char *kind, int64_t t_us, struct json *event, struct err *err)
{
	auto_json *owned = event;
	if (trace->tree.size >= TRACE_EVENTS_MAX) {
		trace->is_truncated = true;
		trace->lost++;
		return 0;
	}
	json_set_integer(event, "seq", (int64_t)trace->tree.size);
	json_set_integer(event, "t_us", t_us);
	json_set_string(event, "kind", kind);
	return append(trace, kind, owned, err);
}

void trace_note_lost(struct trace *trace, uint32_t lost, bool is_truncated)
{
	trace->lost += lost;
	trace->is_truncated |= is_truncated;
}

struct json *trace_summary(
	const struct trace *trace, const char *level, const char *backend, bool is_complete)
{
	uint8_t root[SHA256_SIZE];
	struct json *summary = json_new_object();
	struct json *counts = json_new_object();
	tree_root(&trace->tree, root);
	for (size_t i = 0; i < trace->kind_count; i++)
		json_set_integer(counts, trace->counts[i].kind, trace->counts[i].count);
	json_set_hex(summary, "root", view_of(root, sizeof(root)));
	json_set_integer(summary, "size", (int64_t)trace->tree.size);
	json_set_string(summary, "level", level);
	json_set_string(summary, "backend", backend);
	json_set_boolean(
		summary, "complete", is_complete && trace->lost == 0 && !trace->is_truncated);
	json_set_integer(summary, "lost", trace->lost);
	json_set_boolean(summary, "truncated", trace->is_truncated);
	json_set(summary, "counts", counts);
	return summary;
}

int trace_check(const struct json *events, const uint8_t seed[static TRACE_SEED_SIZE],
	const uint8_t root[static SHA256_SIZE], struct err *err)
{
	struct tree tree = {};
	uint8_t computed[SHA256_SIZE];
	if (json_kind(events) != JSON_KIND_ARRAY)
		return err_set(err, E_INVALID, "expected the events as an array, got %s",
			json_kind_name(json_kind(events)));
	for (size_t i = 0; i < json_size(events); i++) {
		uint8_t hash[SHA256_SIZE];
		TRY(leaf_of(json_at(events, i), seed, i, hash, err));
		tree_append(&tree, hash);
	}
	tree_root(&tree, computed);
	if (!view_equal(view_of(computed, sizeof(computed)), view_of(root, SHA256_SIZE)))
		return err_set(err, E_INTEGRITY,
			"the %zu events given do not have the certified root", json_size(events));
	return 0;
}
