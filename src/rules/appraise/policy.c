/* See policy.h. One table row per member; a row says where the value goes and how it is read. */
#include "rules/appraise/policy.h"

#include <stddef.h>

#include "kit/base/str.h"
#include "kit/codec/hex.h"
#include "kit/codec/json.h"
#include "kit/crypto/hash.h"
#include "rules/appraise/snp.h"

enum {
	POLICY_VERSION = 1,
	DIGEST_32 = 32,
	DIGEST_48 = 48,
	REPORT_DATA = 64,
	BITS_MAX = 32,
	SVN_MAX = 255,
	GRACE_MAX_S = 30 * 86400, /* one more of Intel's windows */
};

enum kind {
	KIND_FLAG,
	KIND_NUMBER_64,
	KIND_NUMBER_32,
	KIND_SECONDS_AS_MS, /* at most size, 0: any */
	KIND_HEX,           /* one value of size bytes, 0: any */
	KIND_HEX_LIST,      /* values of size bytes, 0: any */
	KIND_TEXT,
	KIND_TEXT_LIST,
	KIND_BITS,     /* list of bit numbers */
	KIND_STATUSES, /* list of Intel's words */
	KIND_PRODUCTS, /* list of product lines */
	KIND_BANK,
	KIND_TCB,
};

#define AT(field) offsetof(struct appraise_policy, field)

static const struct row {
	const char *section; /* "" for the top */
	const char *name;
	enum kind kind;
	size_t at;
	size_t size;
} rows[] = {
	{ "", "collateral_optional", KIND_FLAG, AT(is_collateral_optional), 0 },
	{ "", "crl_optional", KIND_FLAG, AT(is_crl_optional), 0 },
	{ "", "collateral_age_max_s", KIND_SECONDS_AS_MS, AT(collateral_age_max_ms), 0 },
	{ "", "collateral_grace_s", KIND_SECONDS_AS_MS, AT(collateral_grace_ms), GRACE_MAX_S },
	{ "", "report_data", KIND_HEX, AT(report_data), REPORT_DATA },
	{ "tdx", "accepted_statuses", KIND_STATUSES, AT(tdx.accepted_statuses), 0 },
	{ "tdx", "sept_ve_disable_optional", KIND_FLAG, AT(tdx.may_clear_sept_ve_disable), 0 },
	{ "tdx", "event_log_required", KIND_FLAG, AT(tdx.is_event_log_required), 0 },
	{ "tdx", "mrtd", KIND_HEX_LIST, AT(tdx.mrtd), DIGEST_48 },
	{ "tdx", "rtmr0", KIND_HEX_LIST, AT(tdx.rtmr[0]), DIGEST_48 },
	{ "tdx", "rtmr1", KIND_HEX_LIST, AT(tdx.rtmr[1]), DIGEST_48 },
	{ "tdx", "rtmr2", KIND_HEX_LIST, AT(tdx.rtmr[2]), DIGEST_48 },
	{ "tdx", "rtmr3", KIND_HEX_LIST, AT(tdx.rtmr[3]), DIGEST_48 },
	{ "tdx", "mr_config_id", KIND_HEX_LIST, AT(tdx.mr_config_id), DIGEST_48 },
	{ "tdx", "mr_owner", KIND_HEX_LIST, AT(tdx.mr_owner), DIGEST_48 },
	{ "tdx", "mr_owner_config", KIND_HEX_LIST, AT(tdx.mr_owner_config), DIGEST_48 },
	{ "tdx", "service_tds", KIND_HEX_LIST, AT(tdx.service_tds), DIGEST_48 },
	{ "tdx", "platforms", KIND_HEX_LIST, AT(tdx.platforms), DIGEST_32 },
	{ "tdx", "evaluation_number_min", KIND_NUMBER_64, AT(tdx.evaluation_number_min), 0 },
	{ "snp", "provisional_allowed", KIND_FLAG, AT(snp.may_be_provisional), 0 },
	{ "snp", "vmpls", KIND_BITS, AT(snp.vmpls), 4 },
	{ "snp", "refused_products", KIND_PRODUCTS, AT(snp.refused_products), 0 },
	{ "snp", "smt_refused", KIND_FLAG, AT(snp.is_smt_refused), 0 },
	{ "snp", "single_socket_required", KIND_FLAG, AT(snp.is_single_socket_required), 0 },
	{ "snp", "platform_required", KIND_NUMBER_64, AT(snp.platform_required), 0 },
	{ "snp", "platform_forbidden", KIND_NUMBER_64, AT(snp.platform_forbidden), 0 },
	{ "snp", "tcb_min", KIND_TCB, AT(snp.tcb_min), 0 },
	{ "snp", "launch_tcb_min", KIND_TCB, AT(snp.launch_tcb_min), 0 },
	{ "snp", "abi_major_min", KIND_NUMBER_32, AT(snp.abi_major_min), 0 },
	{ "snp", "abi_minor_min", KIND_NUMBER_32, AT(snp.abi_minor_min), 0 },
	{ "snp", "guest_svn_min", KIND_NUMBER_32, AT(snp.guest_svn_min), 0 },
	{ "snp", "launch_mitigations", KIND_NUMBER_64, AT(snp.launch_mitigations), 0 },
	{ "snp", "measurement", KIND_HEX_LIST, AT(snp.measurement), DIGEST_48 },
	{ "snp", "host_data", KIND_HEX_LIST, AT(snp.host_data), DIGEST_32 },
	{ "snp", "id_keys", KIND_HEX_LIST, AT(snp.id_keys), DIGEST_48 },
	{ "snp", "author_keys", KIND_HEX_LIST, AT(snp.author_keys), DIGEST_48 },
	{ "snp", "csp_ids", KIND_TEXT_LIST, AT(snp.csp_ids), 0 },
	{ "snp", "chips", KIND_HEX_LIST, AT(snp.chips), REPORT_DATA },
	{ "tpm", "nonce", KIND_HEX, AT(tpm.nonce), 0 },
	{ "tpm", "nonce_size_free", KIND_FLAG, AT(tpm.is_nonce_size_free), 0 },
	{ "tpm", "nonce_size_min", KIND_NUMBER_32, AT(tpm.nonce_size_min), 0 },
	{ "tpm", "bank", KIND_BANK, AT(tpm.bank), 0 },
	{ "tpm", "required_pcrs", KIND_BITS, AT(tpm.required_pcrs), 24 },
	{ "tpm", "event_log_required", KIND_FLAG, AT(tpm.is_event_log_required), 0 },
	{ "tpm", "log_strict", KIND_FLAG, AT(tpm.is_log_strict), 0 },
	{ "tpm", "safe_clock_required", KIND_FLAG, AT(tpm.is_safe_clock_required), 0 },
	{ "tpm", "endorsement_key_allowed", KIND_FLAG, AT(tpm.may_be_endorsement_key), 0 },
	{ "tpm", "ak_names", KIND_HEX_LIST, AT(tpm.ak_names), 0 },
	{ "token", "issuer", KIND_TEXT, AT(token.issuer), 0 },
	{ "token", "nonce", KIND_HEX, AT(token.nonce), 0 },
	{ "token", "age_max_s", KIND_NUMBER_64, AT(token.age_max_s), 0 },
	{ "token", "leeway_s", KIND_NUMBER_64, AT(token.leeway_s), 0 },
	{ "token", "key_sets", KIND_HEX_LIST, AT(token.key_sets), DIGEST_32 },
	{ "token", "warning_allowed", KIND_FLAG, AT(token.may_warn), 0 },
	{ "azure", "td_quote_unchecked", KIND_FLAG, AT(azure.is_td_quote_unchecked), 0 },
	{ "azure", "user_data", KIND_HEX, AT(azure.user_data), REPORT_DATA },
};

static const char *const sections[] = { "tdx", "snp", "tpm", "token", "azure" };

struct policy_reader {
	struct policy_document *document;
	const char *section;
	const char *name;
	struct err *err;
};

static int fault(const struct policy_reader *r, const char *what)
{
	return err_set(r->err, E_INVALID, "policy at %s%s%s: %s", r->section,
		r->section[0] ? "." : "", r->name, what);
}

/* Bytes into the storage, which was reserved whole and never moves. */
static int keep(struct policy_reader *r, struct view bytes, struct view *ret_kept)
{
	struct buf *storage = &r->document->storage;
	size_t at = storage->size;
	TRY(buf_append(storage, bytes, r->err));
	*ret_kept = view_of(storage->data + at, bytes.size);
	return 0;
}

static int keep_hex(
	struct policy_reader *r, const struct json *text, size_t size, struct view *ret_kept)
{
	struct buf *storage = &r->document->storage;
	struct err ignored;
	struct view digits = json_as_view(text);
	if (json_kind(text) != JSON_KIND_STRING)
		return fault(r, "expected hexadecimal text");
	if (size == 0)
		size = digits.size / 2;
	if (storage->size + size > storage->capacity ||
		hex_decode(digits, storage->data + storage->size, size, &ignored) < 0)
		return fault(r, "expected hexadecimal text of the field's length");
	*ret_kept = view_of(storage->data + storage->size, size);
	storage->size += size;
	return 0;
}

static int read_list(struct policy_reader *r, const struct row *row, const struct json *value,
	struct appraise_list *list)
{
	if (json_kind(value) != JSON_KIND_ARRAY)
		return fault(r, "expected an array");
	/* An empty list would read like "anything"; leave the member out for that. */
	if (json_size(value) == 0 || json_size(value) > APPRAISE_LIST_MAX)
		return fault(r, "expected 1 to 16 items");
	for (size_t i = 0; i < json_size(value); i++) {
		const struct json *item = json_at(value, i);
		if (row->kind == KIND_HEX_LIST)
			TRY(keep_hex(r, item, row->size, &list->items[list->count]));
		else if (json_kind(item) == JSON_KIND_STRING)
			TRY(keep(r, json_as_view(item), &list->items[list->count]));
		else
			return fault(r, "expected text");
		list->count++;
	}
	return 0;
}

/* Number of a word in a table of names; count when it is none of them. */
static size_t word_index(const struct json *word, size_t count, const char *(*name_of)(size_t))
{
	const char *text = json_as_string(word);
	size_t i = 0;
	while (text && i < count && !str_equal(text, name_of(i)))
		i++;
	return text ? i : count;
}

static const char *status_word(size_t i)
{
	return tcb_status_name((enum tcb_status)i);
}

static const char *product_word(size_t i)
{
	return snp_product_name((enum snp_product)i);
}

static const char *bank_word(size_t i)
{
	static const char *const names[] = { "sha256", "sha384" };
	return names[i];
}

/* A list of words or numbers as bits. */
static int read_bits(struct policy_reader *r, const struct row *row, const struct json *value,
	unsigned *ret_bits)
{
	unsigned bits = 0;
	if (json_kind(value) != JSON_KIND_ARRAY || json_size(value) > BITS_MAX)
		return fault(r, "expected an array");
	for (size_t i = 0; i < json_size(value); i++) {
		const struct json *item = json_at(value, i);
		size_t limit = row->kind == KIND_STATUSES   ? (size_t)TCB_STATUS_COUNT
			       : row->kind == KIND_PRODUCTS ? (size_t)SNP_PRODUCT_COUNT
							    : row->size;
		size_t bit = row->kind == KIND_STATUSES   ? word_index(item, limit, status_word)
			     : row->kind == KIND_PRODUCTS ? word_index(item, limit, product_word)
							  : (size_t)json_as_integer(item);
		bool is_kind = row->kind != KIND_BITS || json_kind(item) == JSON_KIND_INTEGER;
		if (!is_kind || bit >= limit)
			return fault(r, "an item is not one of the known ones");
		bits |= 1U << bit;
	}
	*ret_bits = bits;
	return 0;
}

static int read_number(
	struct policy_reader *r, const struct json *value, int64_t max, int64_t *ret_number)
{
	if (json_kind(value) != JSON_KIND_INTEGER || json_as_integer(value) < 0 ||
		json_as_integer(value) > max)
		return fault(r, "expected a number in range");
	*ret_number = json_as_integer(value);
	return 0;
}

static int read_tcb(struct policy_reader *r, const struct json *value, struct snp_tcb *tcb)
{
	const struct {
		const char *name;
		uint8_t *svn;
	} parts[] = { { "fmc", &tcb->fmc }, { "boot_loader", &tcb->boot_loader },
		{ "tee", &tcb->tee }, { "snp", &tcb->snp }, { "microcode", &tcb->microcode } };
	size_t found = 0;
	if (json_kind(value) != JSON_KIND_OBJECT)
		return fault(r, "expected an object");
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		const struct json *part = json_get(value, parts[i].name);
		int64_t svn;
		if (!part)
			continue;
		TRY(read_number(r, part, SVN_MAX, &svn));
		*parts[i].svn = (uint8_t)svn;
		found++;
	}
	return found == json_size(value) ? 0 : fault(r, "unknown component");
}

static int read_scalar(
	struct policy_reader *r, const struct row *row, const struct json *value, void *field)
{
	int64_t number = 0;
	if (row->kind == KIND_FLAG) {
		if (json_kind(value) != JSON_KIND_BOOLEAN)
			return fault(r, "expected true or false");
		*(bool *)field = json_as_boolean(value);
		return 0;
	}
	if (row->kind == KIND_BANK) {
		size_t bank = word_index(value, 2, bank_word);
		if (bank == 2)
			return fault(r, "expected sha256 or sha384");
		*(enum appraise_bank *)field = (enum appraise_bank)bank;
		return 0;
	}
	if (row->kind == KIND_NUMBER_32) {
		TRY(read_number(r, value, UINT32_MAX, &number));
		*(uint32_t *)field = (uint32_t)number;
		return 0;
	}
	TRY(read_number(
		r, value, row->size > 0 ? (int64_t)row->size : JSON_INTEGER_MAX / 1000, &number));
	*(uint64_t *)field = (uint64_t)number * (row->kind == KIND_SECONDS_AS_MS ? 1000 : 1);
	return 0;
}

static int read_text(struct policy_reader *r, const struct json *value, struct view *ret_text)
{
	if (json_kind(value) != JSON_KIND_STRING)
		return fault(r, "expected text");
	return keep(r, json_as_view(value), ret_text);
}

static int read_row(struct policy_reader *r, const struct row *row, const struct json *value)
{
	void *field = (uint8_t *)&r->document->policy + row->at;
	if (row->kind == KIND_HEX_LIST || row->kind == KIND_TEXT_LIST)
		return read_list(r, row, value, field);
	if (row->kind == KIND_HEX)
		return keep_hex(r, value, row->size, field);
	if (row->kind == KIND_TEXT)
		return read_text(r, value, field);
	if (row->kind == KIND_BITS || row->kind == KIND_STATUSES || row->kind == KIND_PRODUCTS)
		return read_bits(r, row, value, field);
	if (row->kind == KIND_TCB)
		return read_tcb(r, value, field);
	return read_scalar(r, row, value, field);
}

static const struct row *find_row(const char *section, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (str_equal(rows[i].section, section) && str_equal(rows[i].name, name))
			return &rows[i];
	return NULL;
}

static int read_section(struct policy_reader *r, const struct json *section)
{
	if (json_kind(section) != JSON_KIND_OBJECT)
		return fault(r, "expected an object");
	for (const struct json_member_at *at = json_first(section); at;
		at = json_next(section, at)) {
		r->name = json_name(at);
		const struct row *row = find_row(r->section, r->name);
		if (!row)
			return fault(r, "unknown member");
		TRY(read_row(r, row, json_value(at)));
	}
	return 0;
}

static int add_anchor(struct policy_reader *r, struct appraise_anchor anchor)
{
	if (r->document->anchor_count == POLICY_ANCHORS_MAX)
		return fault(r, "too many anchors");
	r->document->anchors[r->document->anchor_count++] = anchor;
	return 0;
}

/* "anchors": labels of known roots, or {"label","sha256"} of others; simulated ones say so. */
static int read_anchors(struct policy_reader *r, const struct json *list)
{
	if (json_kind(list) != JSON_KIND_ARRAY)
		return fault(r, "expected an array");
	for (size_t i = 0; i < json_size(list); i++) {
		const struct json *item = json_at(list, i);
		struct appraise_anchor anchor = {};
		struct view label, hash;
		if (json_kind(item) == JSON_KIND_STRING) {
			size_t k = 0;
			while (k < appraise_known_anchor_count &&
				!str_equal(json_as_string(item), appraise_known_anchors[k].label))
				k++;
			if (k == appraise_known_anchor_count)
				return fault(r, "unknown root");
			TRY(add_anchor(r, appraise_known_anchors[k]));
			continue;
		}
		const struct json *text = NULL, *digest = NULL;
		const struct json_member members[] = {
			{ "label", JSON_KIND_STRING, true, &text },
			{ "sha256", JSON_KIND_STRING, true, &digest },
		};
		TRY(json_match(item, "anchors", members, ARRAY_SIZE(members), r->err));
		TRY(keep(r, view_of(json_as_string(text), json_as_view(text).size + 1), &label));
		TRY(keep_hex(r, digest, APPRAISE_DIGEST_SIZE, &hash));
		anchor.label = (const char *)label.data;
		anchor.is_simulated = str_starts(anchor.label, "simulated:");
		memcpy(anchor.sha256, hash.data, sizeof(anchor.sha256));
		struct appraise_list *simulated = &r->document->policy.simulated_roots;
		if (anchor.is_simulated && simulated->count == APPRAISE_LIST_MAX)
			return fault(r, "too many simulated roots");
		if (anchor.is_simulated) /* named here by its hash, and so accepted */
			simulated->items[simulated->count++] = hash;
		TRY(add_anchor(r, anchor));
	}
	return 0;
}

static int read_top_member(struct policy_reader *r, const struct json *value)
{
	struct policy_reader inner = *r;
	if (str_equal(r->name, "version") || str_equal(r->name, "name"))
		return 0; /* read before */
	if (str_equal(r->name, "anchors"))
		return read_anchors(r, value);
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		if (str_equal(r->name, sections[i])) {
			inner.section = sections[i];
			inner.name = "";
			return read_section(&inner, value);
		}
	const struct row *row = find_row("", r->name);
	return row ? read_row(r, row, value) : fault(r, "unknown member");
}

static int read_document(struct policy_reader *r, const struct json *root)
{
	if (json_kind(root) != JSON_KIND_OBJECT)
		return fault(r, "expected an object");
	const char *name = json_as_string(json_get(root, "name"));
	r->name = "version";
	const struct json *version = json_get(root, "version");
	if (!version || json_kind(version) != JSON_KIND_INTEGER ||
		json_as_integer(version) != POLICY_VERSION)
		return fault(r, "expected 1");
	r->name = "name";
	if (!name || !str_is_file_name(view_string(name), POLICY_NAME_MAX))
		return fault(r, "expected a name of letters, digits, dot, hyphen");
	memcpy(r->document->name, name, strlen(name) + 1);
	for (const struct json_member_at *at = json_first(root); at; at = json_next(root, at)) {
		r->name = json_name(at);
		TRY(read_top_member(r, json_value(at)));
	}
	return 0;
}

int policy_document_read(struct view text, struct policy_document *ret_document, struct err *err)
{
	auto_json *root = NULL;
	auto_done(buf) canonical = {};
	struct policy_document document = {};
	TRY(json_parse(text, POLICY_SIZE_MAX, &root, err));
	TRY(json_encode(root, &canonical, err));
	hash_bytes(HASH_SHA256, buf_view(&canonical), document.hash);
	/* Nothing read is longer than its text, so this never grows and views stay. */
	TRY(buf_reserve(&document.storage, text.size + 1, err));
	document.storage.limit = document.storage.capacity - 1;
	struct policy_reader reader = { &document, "", "", err };
	int status = read_document(&reader, root);
	if (status < 0) {
		buf_done(&document.storage);
		return status;
	}
	*ret_document = document;
	return 0;
}

void policy_document_done(struct policy_document *document)
{
	buf_done(&document->storage);
}
