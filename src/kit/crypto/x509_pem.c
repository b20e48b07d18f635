/*
 * PEM (RFC 7468, strict form): "CERTIFICATE" blocks with base64 in lines, line ends between. No
 * other white space: the chain of a quote is not signed, and no bit of it may change unnoticed (a
 * NUL at its end is one bit away from a space).
 */
#include "kit/codec/base64.h"
#include "kit/crypto/x509.h"

#define PEM_BEGIN "-----BEGIN CERTIFICATE-----"
#define PEM_END "-----END CERTIFICATE-----"

static bool is_line_end(uint8_t byte)
{
	return byte == '\n' || byte == '\r';
}

static void skip_line_ends(struct reader *text)
{
	while (text->rest.size > 0 && is_line_end(text->rest.data[0]))
		(void)reader_take(text, 1);
}

static bool take_literal(struct reader *text, const char *literal)
{
	size_t size = strlen(literal);
	if (text->rest.size < size || !view_equal_string(view_of(text->rest.data, size), literal))
		return false;
	(void)reader_take(text, size);
	return true;
}

/* The base64 of one block without its line ends. */
static int take_body(struct reader *text, struct buf *ret_base64, struct err *err)
{
	while (text->rest.size > 0 && text->rest.data[0] != '-') {
		size_t size = 0;
		while (size < text->rest.size && text->rest.data[size] != '-' &&
			!is_line_end(text->rest.data[size]))
			size++;
		TRY(buf_append(ret_base64, reader_take(text, size), err));
		skip_line_ends(text);
	}
	return 0;
}

static int take_block(struct reader *text, struct buf *buf, struct err *err)
{
	auto_done(buf) base64 = { .limit = 2 * X509_CERTIFICATE_MAX };
	size_t at = text->offset;
	if (!take_literal(text, PEM_BEGIN))
		return err_set(err, E_INVALID, "PEM at %zu: expected " PEM_BEGIN, at);
	TRY(take_body(text, &base64, err));
	if (!take_literal(text, PEM_END))
		return err_set(err, E_INVALID, "PEM at %zu: expected " PEM_END, text->offset);
	return base64_decode(BASE64_STANDARD, buf_view(&base64), buf, err);
}

int x509_pem(struct view text, struct buf *buf, struct view *ret_certificates, size_t count_max,
	size_t *ret_count, struct err *err)
{
	size_t ends[X509_CHAIN_MAX], count = 0, start = buf->size;
	while (text.size > 0 && text.data[text.size - 1] == 0)
		text.size -= 1;
	struct reader reader = reader_of(text);
	for (skip_line_ends(&reader); reader.rest.size > 0; skip_line_ends(&reader)) {
		if (count == count_max || count == X509_CHAIN_MAX)
			return err_set(err, E_LIMIT, "PEM: more than %zu certificates", count);
		TRY(take_block(&reader, buf, err));
		ends[count++] = buf->size;
	}
	for (size_t i = 0; i < count; i++) { /* only now: buf no longer moves */
		ret_certificates[i] = view_of(buf->data + start, ends[i] - start);
		start = ends[i];
	}
	*ret_count = count;
	return 0;
}
