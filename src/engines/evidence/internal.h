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

int evidence_sev_guest(const struct evidence_source *source, const struct evidence_request *request,
	struct buf *quote, struct err *err) MUST_CHECK;

int evidence_tdx_guest(const struct evidence_source *source, const struct evidence_request *request,
	struct buf *quote, struct err *err) MUST_CHECK;

/* ioctl(2) on the source's device, or what stands in for it. */
int evidence_control(
	const struct evidence_source *source, int fd, unsigned long number, void *argument);

#endif
