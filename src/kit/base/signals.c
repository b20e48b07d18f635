/* See signals.h. */
#include "kit/base/signals.h"

#include <sys/signalfd.h>
#include <time.h>

#include "kit/base/attr.h"

sigset_t signals_that_end(void)
{
	static const int numbers[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
	struct sigaction action;
	sigset_t set;
	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			(void)sigaddset(&set, numbers[i]);
	return set;
}

int signals_hold(int *ret_fd, struct err *err)
{
	const sigset_t set = signals_that_end();
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_sys(err, E_UNAVAILABLE, "blocking signals");
	*ret_fd = signalfd(-1, &set, SFD_CLOEXEC);
	return *ret_fd < 0 ? err_sys(err, E_UNAVAILABLE, "signalfd") : 0;
}

void signals_release(void)
{
	const sigset_t set = signals_that_end();
	const struct timespec now = {};
	while (sigtimedwait(&set, NULL, &now) > 0)
		;
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
}
