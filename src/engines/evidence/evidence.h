/*
 * Evidence of the platform we run on: report data in, quote or report out. One interface over
 * every provider; the caller never learns more than the provider's name.
 *
 * Only tee-agent calls this. A workload never chooses raw report data: whoever could would have an
 * evidence factory (docs/reference/attestation.md).
 */
#ifndef ENGINES_EVIDENCE_EVIDENCE_H
#define ENGINES_EVIDENCE_EVIDENCE_H

#include "kit/base/buf.h"

#define EVIDENCE_REPORT_DATA_SIZE 64
#define EVIDENCE_MAX (64 << 10)
#define EVIDENCE_TIMEOUT_MS 10000
#define EVIDENCE_SNP_REPORT_SIZE 1184
#define EVIDENCE_EXTENSIONS_MAX 8
#define EVIDENCE_DIGEST_SIZE 48

enum evidence_kind {
	EVIDENCE_SIMULATED, /* tee-sim: path of its socket, or a connected socket */
	EVIDENCE_CONFIGFS,  /* Linux configfs-tsm: its tree, or an entry in it (TDX, SEV-SNP) */
	EVIDENCE_DSTACK,    /* dstack's guest agent: its socket */
	EVIDENCE_SEV_GUEST, /* /dev/sev-guest: another device; report and certificate table */
	EVIDENCE_TDX_GUEST, /* /dev/tdx_guest and the quote generation service at path */
	EVIDENCE_VTPM,      /* TPM 2.0 through tpm2-tss: a TCTI; evidence is a bundle */
	EVIDENCE_KIND_COUNT,
};

/* "simulated", "configfs-tsm", ... */
const char *evidence_kind_name(enum evidence_kind kind);

/* And back; E_INVALID with the known names. */
int evidence_kind_parse(const char *name, enum evidence_kind *ret_kind, struct err *err) MUST_CHECK;

/* Stands in for ioctl(2) on a device in tests: 0, or -1 with errno. */
struct evidence_device {
	int (*control)(void *context, unsigned long number, void *argument);
	void *context;
};

struct evidence_source {
	enum evidence_kind kind;
	const char *path; /* of socket, device or tree; NULL for the usual place or for socket */
	int socket;       /* simulated: an already connected socket when path is NULL */
	const struct evidence_device *device; /* NULL: the kernel's */
};

struct evidence_request {
	struct view report_data; /* exactly EVIDENCE_REPORT_DATA_SIZE bytes */
	/* Simulated only: digests that extend RTMR3 for this quote. */
	struct view extensions[EVIDENCE_EXTENSIONS_MAX];
	size_t extension_count;
};

/*
 * Get evidence over the report data; appended to quote.
 * E_INVALID for a report data or digest of another size; E_UNAVAILABLE when the platform does not
 * answer within EVIDENCE_TIMEOUT_MS or refuses; E_INTEGRITY when the answer is malformed or is not
 * about this report data; E_LIMIT when it is larger than EVIDENCE_MAX; E_UNSUPPORTED for digests
 * where the platform has its own way to extend registers.
 */
int evidence_get(const struct evidence_source *source, const struct evidence_request *request,
	struct buf *quote, struct err *err) MUST_CHECK;

/* What a provider's answer is, by its first bytes. An SNP report is followed by its certificates.
 */
enum evidence_format { EVIDENCE_FORMAT_UNKNOWN, EVIDENCE_FORMAT_TDX, EVIDENCE_FORMAT_SNP };
enum evidence_format evidence_format_of(struct view quote);

/* Its report data; empty for what is unknown or too short. */
struct view evidence_report_data(struct view quote);

#endif
