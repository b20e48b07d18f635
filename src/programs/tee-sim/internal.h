/* What the files of tee-sim share. */
#ifndef PROGRAMS_TEE_SIM_INTERNAL_H
#define PROGRAMS_TEE_SIM_INTERNAL_H

#include <sys/types.h>

#include "kit/base/buf.h"
#include "kit/crypto/sign.h"
#include "programs/tee-sim/platform.h"

#define PLATFORM_SVN_COUNT 16

/* Security versions of the simulated TDX module and platform; the collateral says UpToDate. */
extern const uint8_t platform_tee_svn[PLATFORM_SVN_COUNT];
extern const uint8_t platform_sgx_svn[PLATFORM_SVN_COUNT];

int platform_path(const char *directory, const char *name, char *ret_path, size_t size,
	struct err *err) MUST_CHECK;

/* A file of the directory, replaced as a whole. */
int platform_write(const char *directory, const char *name, struct view bytes, mode_t mode,
	struct err *err) MUST_CHECK;

/* DIR and DIR/collateral; E_CONFLICT when root.der, which is written last, is there. */
int platform_make_directories(const char *directory, struct err *err) MUST_CHECK;

/* The one key that stays, as its scalar in a file of mode 0600. */
int platform_make_key(const char *directory, const char *name, size_t scalar_size,
	struct sign_key **ret_key, struct err *err) MUST_CHECK;

/* What everything that is made is valid from and to, in whole seconds. */
static inline uint64_t platform_from_ms(uint64_t now_ms)
{
	return now_ms / 1000 * 1000 - 86400000;
}
static inline uint64_t platform_to_ms(uint64_t now_ms)
{
	return now_ms / 1000 * 1000 + PLATFORM_VALIDITY_YEARS * 31557600000ULL;
}

/* A report over the request's report data with its certificate table, appended. */
int snp_report(const struct platform *platform, const struct platform_td *td,
	const struct sim_wire_request *request, struct buf *quote, struct err *err) MUST_CHECK;

#endif
