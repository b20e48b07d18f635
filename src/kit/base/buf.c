/* See buf.h. Capacity doubles; the old block is wiped by mem_resize. */
#include "kit/base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "kit/base/checked.h"
#include "kit/base/mem.h"

enum { BUF_CAPACITY_MIN = 256, BUF_WIDTH_MAX = 8 };

int buf_reserve(struct buf *buf, size_t size, struct err *err)
{
	size_t wanted;
	if (checked_add(buf->size, size, &wanted) || (buf->limit && wanted > buf->limit))
		return err_set(err, E_LIMIT, "buffer of %zu bytes cannot take %zu more, limit %zu",
			buf->size, size, buf->limit);
	if (wanted + 1 <= buf->capacity)
		return 0;
	size_t capacity = MAX(buf->capacity * 2, (size_t)BUF_CAPACITY_MIN);
	if (capacity < wanted + 1)
		capacity = wanted + 1;
	buf->data = mem_resize(buf->data, buf->size, capacity, 1);
	buf->capacity = capacity;
	return 0;
}

int buf_append(struct buf *buf, struct view bytes, struct err *err)
{
	TRY(buf_reserve(buf, bytes.size, err));
	if (bytes.size)
		memcpy(buf->data + buf->size, bytes.data, bytes.size);
	buf->size += bytes.size;
	return 0;
}

int buf_append_string(struct buf *buf, const char *text, struct err *err)
{
	return buf_append(buf, view_string(text), err);
}

int buf_append_format(struct buf *buf, struct err *err, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int size = vsnprintf(NULL, 0, format, args);
	va_end(args);
	assert(size >= 0);
	TRY(buf_reserve(buf, (size_t)size, err));
	va_start(args, format);
	(void)vsnprintf((char *)buf->data + buf->size, (size_t)size + 1, format, args);
	va_end(args);
	buf->size += (size_t)size;
	return 0;
}

int buf_append_be(struct buf *buf, uint64_t value, size_t width, struct err *err)
{
	uint8_t bytes[BUF_WIDTH_MAX];
	assert(width <= sizeof(bytes));
	for (size_t i = 0; i < width; i++)
		bytes[i] = (uint8_t)(value >> (8 * (width - 1 - i)));
	return buf_append(buf, view_of(bytes, width), err);
}

int buf_append_le(struct buf *buf, uint64_t value, size_t width, struct err *err)
{
	uint8_t bytes[BUF_WIDTH_MAX];
	assert(width <= sizeof(bytes));
	for (size_t i = 0; i < width; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
	return buf_append(buf, view_of(bytes, width), err);
}

void buf_done(struct buf *buf)
{
	mem_free(buf->data);
	*buf = (struct buf){ .limit = buf->limit };
}

const char *buf_string(struct buf *buf)
{
	if (!buf->data)
		return "";
	buf->data[buf->size] = 0;
	return (const char *)buf->data;
}

struct view reader_take(struct reader *reader, size_t size)
{
	if (reader->failed || size > reader->rest.size) {
		reader->failed = true;
		return (struct view){};
	}
	struct view taken = view_of(reader->rest.data, size);
	reader->rest = view_of(reader->rest.data + size, reader->rest.size - size);
	reader->offset += size;
	return taken;
}

uint64_t reader_le(struct reader *reader, size_t width)
{
	struct view bytes = reader_take(reader, width);
	uint64_t value = 0;
	assert(width <= BUF_WIDTH_MAX);
	for (size_t i = bytes.size; i > 0; i--)
		value = value << 8 | bytes.data[i - 1];
	return value;
}

uint64_t reader_be(struct reader *reader, size_t width)
{
	struct view bytes = reader_take(reader, width);
	uint64_t value = 0;
	assert(width <= BUF_WIDTH_MAX);
	for (size_t i = 0; i < bytes.size; i++)
		value = value << 8 | bytes.data[i];
	return value;
}
