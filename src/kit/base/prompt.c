/* See prompt.h and sched_setattr(2). glibc 2.36 has neither the call nor the structure. */
#include "kit/base/prompt.h"

#include <linux/sched.h>
#include <sched.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SLICE_NSEC = 200000 }; /* the kernel takes 100 us to 100 ms */

/* sched_setattr's first version. */
struct attributes {
	uint32_t size;
	uint32_t policy; /* 0: SCHED_OTHER */
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime_nsec; /* the slice */
	uint64_t deadline_nsec;
	uint64_t period_nsec;
};

void prompt_self(void)
{
	struct attributes attributes = {
		.size = sizeof(attributes),
		.flags = SCHED_FLAG_RESET_ON_FORK,
		.nice = getpriority(PRIO_PROCESS, 0),
		.runtime_nsec = SLICE_NSEC,
	};
	if (sched_getscheduler(0) != SCHED_OTHER)
		return;                                      /* somebody chose better for us */
	(void)syscall(SYS_sched_setattr, 0, &attributes, 0); /* an older kernel ignores the slice */
}
