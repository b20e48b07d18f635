/*
 * Bytes. struct view borrows, struct buf owns and has a maximum, struct reader consumes a view
 * and remembers its first failure, so that a parser checks once at the end.
 */
#ifndef KIT_BASE_BUF_H
#define KIT_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kit/base/err.h"

struct view {
	const uint8_t *data;
	size_t size;
};

static inline struct view view_of(const void *data, size_t size)
{
	return (struct view){ data, size };
}

static inline struct view view_string(const char *text)
{
	return view_of(text, strlen(text));
}

static inline bool view_equal(struct view a, struct view b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool view_equal_string(struct view a, const char *text)
{
	return view_equal(a, view_string(text));
}

struct buf {
	uint8_t *data;
	size_t size;
	size_t capacity;
	size_t limit; /* appending beyond fails with E_LIMIT; 0 means no own limit */
};

/* Append bytes. E_LIMIT when the buffer would grow beyond its limit; it is unchanged then. */
int buf_append(struct buf *buf, struct view bytes, struct err *err) MUST_CHECK;
int buf_append_string(struct buf *buf, const char *text, struct err *err) MUST_CHECK;
int buf_append_format(struct buf *buf, struct err *err, const char *format, ...)
	PRINTF(3, 4) MUST_CHECK;

/* Unsigned integers in big-endian (network) or little-endian order, 1 to 8 bytes wide. */
int buf_append_be(struct buf *buf, uint64_t value, size_t width, struct err *err) MUST_CHECK;
int buf_append_le(struct buf *buf, uint64_t value, size_t width, struct err *err) MUST_CHECK;

/* Room for size more bytes at buf->data + buf->size; the caller adds to buf->size. */
int buf_reserve(struct buf *buf, size_t size, struct err *err) MUST_CHECK;

/* Wipe and release; the buffer is empty and reusable afterwards, its limit kept. */
void buf_done(struct buf *buf);

static inline struct view buf_view(const struct buf *buf)
{
	return view_of(buf->data, buf->size);
}

/* The content as a C string (a NUL is kept behind the content); "" when empty. */
const char *buf_string(struct buf *buf);

struct reader {
	struct view rest;
	size_t offset; /* of rest within the original view */
	bool failed;   /* sticks; every later read yields zero */
};

static inline struct reader reader_of(struct view bytes)
{
	return (struct reader){ .rest = bytes };
}

/* Take size bytes; an empty view and failed=true when fewer are left. */
struct view reader_take(struct reader *reader, size_t size);
uint64_t reader_le(struct reader *reader, size_t width);
uint64_t reader_be(struct reader *reader, size_t width);

/* True when nothing failed and nothing is left over. */
static inline bool reader_complete(const struct reader *reader)
{
	return !reader->failed && reader->rest.size == 0;
}

#endif
