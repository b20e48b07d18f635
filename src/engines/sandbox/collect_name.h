/* Names in a collected tree. Internal to collect.c; collect_is_printable() is in collect.h. */
#ifndef ENGINES_SANDBOX_COLLECT_NAME_H
#define ENGINES_SANDBOX_COLLECT_NAME_H

#include "engines/sandbox/collect.h"

/* Printable ASCII, other bytes as \xHH, backslash doubled. Free with mem_free. */
char *collect_escape(struct view path);

#endif
