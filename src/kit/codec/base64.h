/*
 * Base64 of RFC 4648: section 4 (standard, padded) and section 5 (URL-safe, unpadded). Decoding is
 * canonical: no white space, exact padding, unused bits zero, so one value has one text.
 */
#ifndef KIT_CODEC_BASE64_H
#define KIT_CODEC_BASE64_H

#include "kit/base/buf.h"

enum base64_kind { BASE64_STANDARD, BASE64_URL };

/* Append the text of bytes. E_LIMIT as buf_append. */
int base64_encode(
	enum base64_kind kind, struct view bytes, struct buf *buf, struct err *err) MUST_CHECK;

/* Append the bytes of text. E_INVALID names the offset of the first wrong character. */
int base64_decode(
	enum base64_kind kind, struct view text, struct buf *buf, struct err *err) MUST_CHECK;

#endif
