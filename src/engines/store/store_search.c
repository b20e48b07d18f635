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

/*
 * Where a search walks: the index of the most selective condition, in the order of the answer, so
 * that a page costs what it shows and nothing is sorted.
 */
enum driver { DRIVER_DATASET, DRIVER_TOOL, DRIVER_CERTIFICATE, DRIVER_COUNT };

#define SELECT_FROM "SELECT " CERTIFICATE_COLUMNS " FROM "
#define ORDER_OF(table) " ORDER BY " table ".created_ms DESC, " table ".seq DESC LIMIT ?12"

static const struct {
	const char *select, *order;
} driver_texts[DRIVER_COUNT] = {
	[DRIVER_DATASET] = { SELECT_FROM
		"certificate_dataset d CROSS JOIN certificate c ON c.seq = d.seq",
		ORDER_OF("d") },
	[DRIVER_TOOL] = { SELECT_FROM
		"certificate_tool t CROSS JOIN certificate c ON c.seq = t.seq",
		ORDER_OF("t") },
	[DRIVER_CERTIFICATE] = { SELECT_FROM "certificate c", ORDER_OF("c") },
};

/* The likelihoods keep the planner from preferring these fields to a digest. */
#define TIMES_OF(table)                                                                          \
	[CONDITION_FROM] = table ".created_ms >= ?4", [CONDITION_TO] = table ".created_ms < ?5", \
	[CONDITION_CURSOR] = "(" table ".created_ms, " table ".seq) < (?10, ?11)"
#define FIELDS                                                   \
	[CONDITION_SANDBOX] = "c.sandbox_sha256 = ?2",           \
	[CONDITION_RESULT] = "c.result_sha256 = ?3",             \
	[CONDITION_STATUS] = "likelihood(c.status = ?6, 0.5)",   \
	[CONDITION_VERDICT] = "likelihood(c.verdict = ?7, 0.9)", \
	[CONDITION_PRINCIPAL] = "likelihood(c.principal = ?9, 0.5)"
#define HAS_TOOL                                                             \
	[CONDITION_TOOL] = "EXISTS (SELECT 1 FROM certificate_tool t WHERE " \
			   "t.seq = c.seq AND t.name = ?8)"

/* Parameters ?1 to ?10 as enum store_condition plus one; the cursor uses ?10 and ?11. */
static const char *const condition_texts[DRIVER_COUNT][CONDITION_COUNT] = {
	[DRIVER_DATASET] = { [CONDITION_DATASET] = "d.is_first = 1 AND d.sha256 = ?1",
		TIMES_OF("d"),
		FIELDS,
		HAS_TOOL },
	[DRIVER_TOOL] = { [CONDITION_TOOL] = "t.is_first = 1 AND t.name = ?8",
		TIMES_OF("t"),
		FIELDS },
	[DRIVER_CERTIFICATE] = { TIMES_OF("c"), FIELDS, HAS_TOOL },
};
#define PARAMETER_CURSOR_SEQ 11
#define PARAMETER_LIMIT 12

/* A search blocks the event loop: steps of SQLite's machine until it is broken off, ~0.2 s. */
#define STEPS_PER_CALL 100000
#define CALLS_MAX 100

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

/* Digests select few certificates, a tool few or many; the other fields have indexes in c. */
static enum driver driver_of(unsigned conditions)
{
	const unsigned digests = 1U << CONDITION_SANDBOX | 1U << CONDITION_RESULT;
	if (conditions & 1U << CONDITION_DATASET)
		return DRIVER_DATASET;
	if ((conditions & 1U << CONDITION_TOOL) && !(conditions & digests))
		return DRIVER_TOOL;
	return DRIVER_CERTIFICATE;
}

static int count_call(void *calls)
{
	return ++*(int *)calls > CALLS_MAX;
}

static int search_statement(
	struct store *store, unsigned conditions, sqlite3_stmt **ret_statement, struct err *err)
{
	auto_done(buf) sql = {};
	const char *joint = " WHERE ";
	enum driver driver = driver_of(conditions);
	if (!store->searches[conditions]) {
		TRY(buf_append_string(&sql, driver_texts[driver].select, err));
		for (unsigned i = 0; i < CONDITION_COUNT; i++) {
			if (!(conditions & (1U << i)))
				continue;
			TRY(buf_append_format(
				&sql, err, "%s%s", joint, condition_texts[driver][i]));
			joint = " AND ";
		}
		TRY(buf_append_string(&sql, driver_texts[driver].order, err));
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
	int calls = 0;
	sqlite3_progress_handler(store->db, STEPS_PER_CALL, count_call, &calls);
	int status = read_page(store, search, limit, &page, err);
	sqlite3_progress_handler(store->db, 0, NULL, NULL);
	store_reset(search);
	if (status < 0) {
		store_page_done(&page);
		return status;
	}
	*ret_page = page;
	return 0;
}
