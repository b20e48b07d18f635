/* How many open files a sandbox can hold. Internal to the engine; see open_files.c. */
#ifndef ENGINES_SANDBOX_OPEN_FILES_H
#define ENGINES_SANDBOX_OPEN_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* One count, bit by bit; OPEN_FILES_LOOK before the first. */
struct open_files_look {
	pid_t *pids;  /* NULL before the first */
	size_t rest;  /* of these to look at */
	int maps;     /* of the one that is looked at; -1: none is */
	size_t count; /* descriptors and mappings of files up to now */
};

#define OPEN_FILES_LOOK ((struct open_files_look){ .maps = -1 })

/*
 * Looks at one more process of this proc, or one more page of its mappings. True while there is
 * more to look at. (No process has more than one table of descriptors: the filter sees to it.)
 */
bool open_files_look_on(struct open_files_look *look, int proc);

/* Makes it OPEN_FILES_LOOK again. */
void open_files_look_end(struct open_files_look *look);

#endif
