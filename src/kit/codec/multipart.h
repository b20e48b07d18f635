/*
 * multipart/form-data (RFC 7578, RFC 2046 section 5.1) over a complete body: parts are views into
 * it, nothing is copied or decoded. The whole body is accepted or refused.
 *
 * Stricter than the RFCs where two readers could disagree about what a part is or who it is for:
 * no preamble, no epilogue but one CR LF, no blanks behind a boundary, no backslash and no
 * filename* in Content-Disposition, no transfer encoding but identity, each part name once.
 */
#ifndef KIT_CODEC_MULTIPART_H
#define KIT_CODEC_MULTIPART_H

#include <stdbool.h>

#include "kit/base/buf.h"

#define MULTIPART_PARTS_MAX 64
#define MULTIPART_BOUNDARY_MAX 70      /* RFC 2046 section 5.1.1 */
#define MULTIPART_HEAD_MAX 2048        /* bytes of the header fields of one part */
#define MULTIPART_NAME_MAX 255         /* bytes of a part's name or filename */
#define MULTIPART_CONTENT_TYPE_MAX 512 /* bytes of the request's header field */

struct multipart_part {
	struct view name;         /* 1..MULTIPART_NAME_MAX bytes, no controls, '"' or '\' */
	struct view filename;     /* empty without one; has_filename tells the two apart */
	struct view content_type; /* as sent; empty without one */
	struct view content;
	bool has_filename;
};

struct multipart {
	struct multipart_part parts[MULTIPART_PARTS_MAX];
	size_t count; /* at least 1 */
};

/*
 * Split body by the boundary that content_type ("multipart/form-data; boundary=...") names.
 * *ret_parts borrows from body. E_INVALID for anything malformed, with the number of the part;
 * E_LIMIT for more than MULTIPART_PARTS_MAX parts or a longer head or name than the limits.
 */
int multipart_parse(struct view body, const char *content_type, struct multipart *ret_parts,
	struct err *err) MUST_CHECK;

#endif
