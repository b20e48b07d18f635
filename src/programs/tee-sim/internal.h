/* What the files of tee-sim share. */
#ifndef PROGRAMS_TEE_SIM_INTERNAL_H
#define PROGRAMS_TEE_SIM_INTERNAL_H

#include "kit/base/buf.h"

#define PLATFORM_SVN_COUNT 16

/* Security versions of the simulated TDX module and platform; the collateral says UpToDate. */
extern const uint8_t platform_tee_svn[PLATFORM_SVN_COUNT];
extern const uint8_t platform_sgx_svn[PLATFORM_SVN_COUNT];

int platform_path(const char *directory, const char *name, char *ret_path, size_t size,
	struct err *err) MUST_CHECK;

#endif
