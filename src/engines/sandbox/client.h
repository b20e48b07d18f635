/* Shared by the caller's ends of sandbox and pool. Internal to the engine. */
#ifndef ENGINES_SANDBOX_CLIENT_H
#define ENGINES_SANDBOX_CLIENT_H

#include "engines/sandbox/wire.h"

/* Start cupel-sandbox with this verb; ret_control is our end of its descriptor 3. */
int client_spawn(const struct sandbox_config *config, const char *verb, int *ret_control,
	struct err *err) MUST_CHECK;

int client_check_prepare(
	enum sandbox_tier tier, const struct sandbox_plan *plan, struct err *err) MUST_CHECK;

/* The descriptors that are there, in order, and which they are. */
void client_collect_files(const struct sandbox_files *files, int ret_fds[static WIRE_FILES],
	size_t *ret_count, uint32_t *ret_mask);

#endif
