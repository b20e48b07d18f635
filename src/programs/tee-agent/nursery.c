/*
 * The nursery: a tee-agent that waits in the state just before an agent becomes one, and forks.
 *
 * To start a tee-agent by exec costs 7 ms of processor time: relocating and initialising libcrypto,
 * reading the image's manifest. Here it is done once. An agent is born as a child of our parent
 * (CLONE_PARENT), so that the control plane waits for it and nothing hangs on our life.
 *
 * Siblings share an address layout and a stack guard. To guess these takes crashes, and the control
 * plane ends a nursery when one of its agents crashed (docs/decisions/0006). Randomness is not
 * shared: libcrypto's generator seeds itself anew in a process of another pid, and our own draws
 * come from the kernel.
 */
#include <endian.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kit/crypto/setup.h"
#include "programs/tee-agent/agent.h"

/* fork() with a pidfd, as a child of our parent. This process has one thread: nothing to lock. */
static pid_t fork_sibling(int *ret_pidfd)
{
	struct clone_args args = {
		.flags = CLONE_PARENT | CLONE_PIDFD,
		.pidfd = (uintptr_t)ret_pidfd,
	};
	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static int take_places(int control, int image_fd, const struct message *message, struct err *err)
{
	if (dup3(message->fds[0], control, O_CLOEXEC) < 0 ||
		dup3(message->fds[1], image_fd, O_CLOEXEC) < 0)
		return err_sys(err, E_UNAVAILABLE, "taking the agent's descriptors");
	return 0;
}

static int bear(int control, int image_fd, const struct message *message, bool *ret_is_agent,
	struct err *err)
{
	auto_close pidfd = -1;
	if (message->type != AGENT_BEAR || message->fd_count != 2)
		return err_set(
			err, E_CONFLICT, "message %u is not expected by a nursery", message->type);
	pid_t pid = fork_sibling(&pidfd);
	if (pid < 0)
		return err_sys(err, E_UNAVAILABLE, "fork");
	*ret_is_agent = pid == 0;
	if (pid == 0)
		return take_places(control, image_fd, message, err);
	uint32_t number = htole32((uint32_t)pid);
	return message_send(control, AGENT_BORN, view_of(&number, sizeof(number)), &pidfd, 1, err);
}

int nursery_serve(int control, int image_fd, bool *ret_is_agent, struct err *err)
{
	crypto_warm();
	tzset(); /* gmtime_r() reads a file the first time */
	*ret_is_agent = false;
	while (!*ret_is_agent) {
		AUTO(message_done) struct message message = {};
		TRY(message_receive(control, 0, &message, err));
		if (message.is_end)
			return 0;
		TRY(bear(control, image_fd, &message, ret_is_agent, err));
	}
	return 0;
}
