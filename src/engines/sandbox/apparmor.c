/*
 * AppArmor: a second belt. The profile is named, not attached to a path: the payload-to-be asks for
 * it at its exec (payload.c), and only if the kernel says here that it is loaded and enforced; then
 * it is a failure not to get it.
 */
#include "engines/sandbox/apparmor.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "kit/base/buf.h"
#include "kit/base/fd.h"

#define PROFILES "/sys/kernel/security/apparmor/profiles"
#define ENABLED "/sys/module/apparmor/parameters/enabled"

enum { PROFILES_BYTES_MAX = 1 << 20 };

enum apparmor_state apparmor_state(void)
{
	struct err ignored;
	auto_done(buf) list = {};
	char enabled = 'N';
	auto_close fd = open(ENABLED, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, &enabled, 1) != 1 || enabled != 'Y')
		return APPARMOR_ABSENT;
	if (fd_read_file(PROFILES, PROFILES_BYTES_MAX, &list, &ignored) < 0)
		return APPARMOR_HIDDEN;
	/* Lines "name (mode)". */
	const char *at = buf_string(&list);
	for (const char *next; (next = strstr(at, APPARMOR_PROFILE " (")); at = next + 1)
		if (next == buf_string(&list) || next[-1] == '\n')
			return strncmp(strchr(next, '('), "(enforce)", strlen("(enforce)")) == 0
				       ? APPARMOR_ENFORCED
				       : APPARMOR_COMPLAINS;
	return APPARMOR_NOT_LOADED;
}

static const struct {
	const char *text;
	const char *advice;
} states[APPARMOR_STATE_COUNT] = {
	[APPARMOR_ABSENT] = { "not in this kernel, or not enabled",
		"boot with lsm=...,apparmor where the kernel has it; all other layers hold without "
		"it" },
	[APPARMOR_HIDDEN] = { "the list of profiles cannot be read",
		"run as root with securityfs mounted at /sys/kernel/security" },
	[APPARMOR_NOT_LOADED] = { "profile " APPARMOR_PROFILE " is not loaded",
		"apparmor_parser -r /etc/apparmor.d/" APPARMOR_PROFILE },
	[APPARMOR_COMPLAINS] = { "profile " APPARMOR_PROFILE " is not in enforce mode",
		"aa-enforce " APPARMOR_PROFILE },
	[APPARMOR_ENFORCED] = { "profile " APPARMOR_PROFILE " is enforced", "" },
};

const char *apparmor_state_text(enum apparmor_state state)
{
	return states[state].text;
}

const char *apparmor_state_advice(enum apparmor_state state)
{
	return states[state].advice;
}
