/*
 * The whole of RFC 8785 (JCS), for hashes over documents of others: numbers are IEEE doubles in
 * ECMAScript's shortest form and names may be any text. Our own documents use json_encode(), which
 * refuses what people get wrong.
 */
#ifndef KIT_CODEC_JCS_H
#define KIT_CODEC_JCS_H

#include "kit/codec/json.h"

/*
 * Canonical form appended. E_UNSUPPORTED for names beyond the basic multilingual plane or in its
 * private area, where UTF-16 order differs from ours; E_INVALID for numbers no double can hold.
 */
int jcs_encode(const struct json *value, struct buf *buf, struct err *err) MUST_CHECK;

/* One number, appended. E_INVALID for infinities and NaN. */
int jcs_number(double number, struct buf *buf, struct err *err) MUST_CHECK;

#endif
