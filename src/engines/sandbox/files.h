/*
 * Which files a run used: the set, not the sequence. Internal to the engine.
 *
 * fanotify marks on the read-only mounts of the sandbox (image, /app, /data) tell of each file that
 * was opened or opened for execution, by the file itself: what the kernel opened, however the
 * program asked. The kernel merges equal events, so counts would be lies and a set is not. The
 * writable directories are walked at the end, when all is dead (collect.h), and what stands there
 * gets its digest; files made and removed during the run are nobody's evidence.
 */
#ifndef ENGINES_SANDBOX_FILES_H
#define ENGINES_SANDBOX_FILES_H

#include "engines/sandbox/slot.h"

enum { FILES_DRAIN_USEC = 20000 }; /* how long events may wait in the kernel */

struct files;

/*
 * Mark the mounts that are there now, if the plan traces files; again after more were mounted.
 * E_UNAVAILABLE when the machine has no fanotify: such a run is refused.
 */
int files_start(struct slot *slot, struct err *err) MUST_CHECK;

/* Take what the kernel has, or a good part of it: a flood must not stop the clock. Accepts NULL. */
void files_drain(struct files *files);

/* All is dead: send the set as events, by path; what was lost or cut goes into the result. */
void files_report(struct slot *slot);

void files_free(struct files *files);

#endif
