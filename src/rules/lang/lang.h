/*
 * Languages as one table: how a script becomes a command line. A row more is a language more.
 */
#ifndef RULES_LANG_LANG_H
#define RULES_LANG_LANG_H

#include <stddef.h>

/* In the environment of every job; what is parked starts with them, or it would start anew. */
#define LANG_HOME "HOME=/work"
#define LANG_LOCALE "LANG=C.UTF-8"

#define LANG_ARGV_MAX 6 /* interpreter and its flags, before the script's path */

struct lang {
	const char *name;                /* also the tool that must be listed */
	const char *suffix;              /* of a script, e.g. ".py" */
	const char *argv[LANG_ARGV_MAX]; /* NULL-terminated; the script's path follows */
	const char *environment[6];      /* NAME=value, what makes runs repeatable */
	/*
	 * How the interpreter is started to be parked: warmed up before any code or data is there,
	 * used once. The bootstrap's text follows. First NULL: it cannot be parked.
	 */
	const char *park_argv[LANG_ARGV_MAX];
	const char *own_env; /* prefix of variables the interpreter reads only when it starts */
};

/* The language of a script name by its suffix, or by its own name ("python"); NULL if none. */
const struct lang *lang_of_script(const char *script);
const struct lang *lang_by_name(const char *name);

/* Row index of the table, NULL behind the last. */
const struct lang *lang_at(size_t index);

#endif
