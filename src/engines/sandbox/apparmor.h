/* The AppArmor profile of payloads (packaging/apparmor): is it there? Internal to the engine. */
#ifndef ENGINES_SANDBOX_APPARMOR_H
#define ENGINES_SANDBOX_APPARMOR_H

#define APPARMOR_PROFILE "cupel-payload"

enum apparmor_state {
	APPARMOR_ABSENT,     /* not in this kernel, or not enabled */
	APPARMOR_HIDDEN,     /* enabled, but its list of profiles is not for us */
	APPARMOR_NOT_LOADED, /* enabled, without our profile */
	APPARMOR_COMPLAINS,  /* our profile is loaded, but only logs */
	APPARMOR_ENFORCED,
	APPARMOR_STATE_COUNT,
};

enum apparmor_state apparmor_state(void);
const char *apparmor_state_text(enum apparmor_state state);
const char *apparmor_state_advice(enum apparmor_state state);

#endif
