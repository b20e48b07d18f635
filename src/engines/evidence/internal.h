/* What the providers share inside this directory. */
#ifndef ENGINES_EVIDENCE_INTERNAL_H
#define ENGINES_EVIDENCE_INTERNAL_H

#include "engines/evidence/evidence.h"

int evidence_simulated(const struct evidence_source *source, const struct evidence_request *request,
	struct buf *quote, struct err *err) MUST_CHECK;

int evidence_dstack(const struct evidence_source *source, const struct evidence_request *request,
	struct buf *quote, struct err *err) MUST_CHECK;

int evidence_vtpm(const struct evidence_source *source, const struct evidence_request *request,
	struct buf *quote, struct err *err) MUST_CHECK;

int evidence_configfs(const struct evidence_source *source, const struct evidence_request *request,
	struct buf *quote, struct err *err) MUST_CHECK;

#endif
