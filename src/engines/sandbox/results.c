/*
 * The directory in which a program leaves files for its caller. Both functions run in the
 * supervisor, which is inside the sandbox's mount namespace: the first before the program starts,
 * the second when every process of the run is dead. In between the program owns everything below
 * /work; what stands at the name in the end is opened only if it is a directory of that very tmpfs.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engines/sandbox/build.h"
#include "kit/base/fd.h"

#define RESULTS_NAME "results" /* of SANDBOX_RESULTS, below /work */

static int open_work(void)
{
	return open("/work", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int build_results(struct slot *slot, struct err *err)
{
	if (!slot->parsed.plan.wants_results)
		return 0;
	auto_close work = open_work();
	if (work < 0 || mkdirat(work, RESULTS_NAME, 0755) < 0 ||
		fchownat(work, RESULTS_NAME, slot->host_uid, slot->host_uid, AT_SYMLINK_NOFOLLOW) <
			0)
		return err_sys(err, E_UNAVAILABLE, "making " SANDBOX_RESULTS);
	return 0;
}

void build_open_results(struct slot *slot)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
			   RESOLVE_NO_XDEV,
	};
	if (!slot->parsed.plan.wants_results || !slot->started_usec)
		return;
	auto_close work = open_work();
	slot->results_fd = (int)syscall(SYS_openat2, work, RESULTS_NAME, &how, sizeof(how));
	if (slot->results_fd < 0)
		slot->results_fd = -1; /* the program put something else there: no results */
}
