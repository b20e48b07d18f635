/*
 * Search with keyset paging: newest first by (created_ms, seq); the cursor names the last row of a
 * page, so that pages neither skip nor repeat while certificates are added. The statement of a
 * combination of conditions is put together from fixed texts and kept.
 */
#include "engines/store/store_internal.h"

#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "kit/codec/hex.h"

#define LIMIT_DEFAULT 20
#define CURSOR_BYTES 16

/* Parameters ?1 to ?10 as enum store_condition plus one; the cursor uses ?10 and ?11. */
static const char *const condition_texts[CONDITION_COUNT] = {
	[CONDITION_DATASET] = "c.seq IN (SELECT seq FROM certificate_dataset WHERE sha256 = ?1)",
	[CONDITION_SANDBOX] = "c.sandbox_sha256 = ?2",
	[CONDITION_RESULT] = "c.result_sha256 = ?3",
	[CONDITION_FROM] = "c.created_ms >= ?4",
	[CONDITION_TO] = "c.created_ms < ?5",
	[CONDITION_STATUS] = "c.status = ?6",
	[CONDITION_VERDICT] = "c.verdict = ?7",
	[CONDITION_TOOL] = "c.seq IN (SELECT seq FROM certificate_tool WHERE name = ?8)",
	[CONDITION_PRINCIPAL] = "c.principal = ?9",
	[CONDITION_CURSOR] = "(c.created_ms, c.seq) < (?10, ?11)",
};
#define PARAMETER_CURSOR_SEQ 11
#define PARAMETER_LIMIT 12

struct cursor {
	uint64_t created_ms, seq;
};

void store_page_done(struct store_page *page)
{
	mem_free(page->certificates);
	*page = (struct store_page){};
}

static int cursor_write(
	struct cursor cursor, char ret_text[static STORE_CURSOR_SIZE], struct err *err)
{
	return str_format(ret_text, STORE_CURSOR_SIZE, err, "%016llx%016llx",
		(unsigned long long)cursor.created_ms, (unsigned long long)cursor.seq);
}

static int cursor_read(const char *text, struct cursor *ret_cursor, struct err *err)
{
	uint8_t bytes[CURSOR_BYTES];
	if (hex_decode(view_string(text), bytes, sizeof(bytes), err) < 0)
		return err_set(err, E_INVALID,
			"the cursor is none of ours; pass the one of the page before unchanged");
	struct reader reader = reader_of(view_of(bytes, sizeof(bytes)));
	uint64_t created_ms = reader_be(&reader, 8);
	uint64_t seq = reader_be(&reader, 8);
	if (created_ms > INT64_MAX || seq > INT64_MAX)
		return err_set(err, E_INVALID,
			"the cursor is none of ours; pass the one of the page before unchanged");
	*ret_cursor = (struct cursor){ created_ms, seq };
	return 0;
}

static unsigned conditions_of(const struct store_filter *filter)
{
	const bool has[CONDITION_COUNT] = {
		[CONDITION_DATASET] = filter->dataset != NULL,
		[CONDITION_SANDBOX] = filter->sandbox != NULL,
		[CONDITION_RESULT] = filter->result != NULL,
		[CONDITION_FROM] = filter->from_ms > 0,
		[CONDITION_TO] = filter->to_ms > 0,
		[CONDITION_STATUS] = filter->status != NULL,
		[CONDITION_VERDICT] = filter->verdict != NULL,
		[CONDITION_TOOL] = filter->tool != NULL,
		[CONDITION_PRINCIPAL] = filter->principal != NULL,
		[CONDITION_CURSOR] = filter->cursor != NULL,
	};
	unsigned conditions = 0;
	for (unsigned i = 0; i < CONDITION_COUNT; i++)
		conditions |= (unsigned)has[i] << i;
	return conditions;
}

static int search_statement(
	struct store *store, unsigned conditions, sqlite3_stmt **ret_statement, struct err *err)
{
	auto_done(buf) sql = {};
	const char *joint = " WHERE ";
	if (!store->searches[conditions]) {
		TRY(buf_append_string(
			&sql, "SELECT " CERTIFICATE_COLUMNS " FROM certificate c", err));
		for (unsigned i = 0; i < CONDITION_COUNT; i++) {
			if (!(conditions & (1U << i)))
				continue;
			TRY(buf_append_format(&sql, err, "%s%s", joint, condition_texts[i]));
			joint = " AND ";
		}
		TRY(buf_append_string(
			&sql, " ORDER BY c.created_ms DESC, c.seq DESC LIMIT ?12", err));
		TRY(store_prepare(store, buf_string(&sql), &store->searches[conditions], err));
	}
	*ret_statement = store->searches[conditions];
	return 0;
}

static void bind_filter(sqlite3_stmt *search, const struct store_filter *filter)
{
	const struct store_digest *digests[] = { filter->dataset, filter->sandbox, filter->result };
	for (size_t i = 0; i < ARRAY_SIZE(digests); i++)
		if (digests[i])
			store_bind_digest(search, CONDITION_DATASET + (int)i + 1, digests[i]);
	/* A parameter that this combination lacks is refused by SQLite and not missed. */
	store_bind_time(search, CONDITION_FROM + 1, filter->from_ms);
	store_bind_time(search, CONDITION_TO + 1, filter->to_ms);
	store_bind_text(search, CONDITION_STATUS + 1, filter->status);
	store_bind_text(search, CONDITION_TOOL + 1, filter->tool);
	store_bind_text(search, CONDITION_PRINCIPAL + 1, filter->principal);
	if (filter->verdict)
		(void)sqlite3_bind_int(search, CONDITION_VERDICT + 1, (int)*filter->verdict);
}

/* One row more than asked is read to know whether there is a next page. */
static int read_page(struct store *store, sqlite3_stmt *search, size_t limit,
	struct store_page *page, struct err *err)
{
	bool has_row = false;
	int64_t seq = 0;
	TRY(store_next(store, search, &has_row, err));
	while (has_row && page->count < limit) {
		TRY(store_certificate_read(
			store, search, &page->certificates[page->count++], &seq, err));
		TRY(store_next(store, search, &has_row, err));
	}
	if (!has_row)
		return 0;
	struct cursor last = { page->certificates[page->count - 1].created_ms, (uint64_t)seq };
	return cursor_write(last, page->next, err);
}

int store_certificate_search(struct store *store, const struct store_filter *filter,
	struct store_page *ret_page, struct err *err)
{
	struct cursor cursor = {};
	sqlite3_stmt *search = NULL;
	size_t limit = filter->limit ? filter->limit : LIMIT_DEFAULT;
	if (limit > STORE_PAGE_MAX)
		return err_set(err, E_LIMIT, "a page has at most %d certificates, asked for %zu",
			STORE_PAGE_MAX, limit);
	if (filter->cursor)
		TRY(cursor_read(filter->cursor, &cursor, err));
	TRY(search_statement(store, conditions_of(filter), &search, err));
	bind_filter(search, filter);
	store_bind_time(search, CONDITION_CURSOR + 1, cursor.created_ms);
	store_bind_time(search, PARAMETER_CURSOR_SEQ, cursor.seq);
	(void)sqlite3_bind_int64(search, PARAMETER_LIMIT, (int64_t)limit + 1);
	struct store_page page = { .certificates = mem_alloc(limit, sizeof(*page.certificates)) };
	int status = read_page(store, search, limit, &page, err);
	store_reset(search);
	if (status < 0) {
		store_page_done(&page);
		return status;
	}
	*ret_page = page;
	return 0;
}
