/* Hexadecimal text: lower case out, strict lower or upper case in. */
#ifndef KIT_CODEC_HEX_H
#define KIT_CODEC_HEX_H

#include "kit/base/buf.h"

/* Room for the text of size bytes and its NUL. */
#define HEX_SIZE(size) (2 * (size) + 1)

/* Write 2 * bytes.size digits and a NUL; ret_text holds HEX_SIZE(bytes.size). Returns ret_text. */
char *hex_encode(struct view bytes, char *ret_text);

/* Exactly size bytes; E_INVALID for another length or a byte that is no digit. */
int hex_decode(struct view text, uint8_t *ret_bytes, size_t size, struct err *err) MUST_CHECK;

#endif
