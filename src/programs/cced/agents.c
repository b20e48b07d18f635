/*
 * Agents kept ready: a computation never waits for a process to start. A taken agent is replaced
 * from a timer, so that the refill never stands in the way of the answer. Dead ones are reaped from
 * the loop, never waited for.
 *
 * They are born by a nursery (engines/cvm/agent.h) and so have a memory layout in common. To guess
 * it, an attacker would have to crash some: a crash ends the nursery, and so does old age.
 */
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "programs/cced/cced.h"

enum { REFILL_SOON_MS = 1, REFILL_REST_MS = 6, REFILL_FAILED_MS = 500, NURSERY_BIRTHS_MAX = 256 };

static void refill(uv_timer_t *timer);

static int open_nursery(struct cced *cced, struct err *err)
{
	struct agent_config config = {
		.image_digest = image_digest(cced->image),
		.image_fd = image_root_fd(cced->image),
		.dataset_bytes_max = cced->config.dataset_max_mb << 20,
		.json_bytes_max = cced->config.json_max_mb << 20,
		.allows_loopback_fetch = cced->config.allows_loopback_fetch,
		.log_fd = cced->log.fd,
	};
	config.has_pool = cced->pool >= 0;
	local_agent_config(&cced->local, &config);
	if (!cced_is_simulated(cced)) {
		config.platform = cced->config.platform;
		config.evidence_path = cced->config.evidence_path;
	}
	cced->births = 0;
	return nursery_open(&config, &cced->nursery, err);
}

static int bear(struct cced *cced, struct agent *ret_agent, struct err *err)
{
	if (cced->births == NURSERY_BIRTHS_MAX)
		agent_end(&cced->nursery);
	if (cced->nursery.pid <= 0)
		TRY(open_nursery(cced, err));
	cced->births++;
	return nursery_bear(&cced->nursery, image_root_fd(cced->image), ret_agent, err);
}

/* A nursery that is gone gets a successor, once. */
static int spawn(struct cced *cced, struct agent *ret_agent, struct err *err)
{
	if (bear(cced, ret_agent, err) == 0)
		return 0;
	log_event(&cced->log, LOG_WARNING, "nursery", "error", err->message, NULL);
	agent_end(&cced->nursery);
	return bear(cced, ret_agent, err);
}

static void schedule_refill(struct cced *cced, uint64_t delay_ms)
{
	if (!cced->is_stopping)
		(void)uv_timer_start(&cced->refill, refill, delay_ms, 0);
}

static void refill(uv_timer_t *timer)
{
	struct cced *cced = timer->data;
	struct err err;
	if (cced->ready_count >= cced->config.agents_ready || cced->is_stopping)
		return;
	if (spawn(cced, &cced->ready[cced->ready_count], &err) < 0) {
		log_event(&cced->log, LOG_ERROR, "agent_spawn", "error", err.message, NULL);
		cced->refill_failures++;
		schedule_refill(cced, REFILL_FAILED_MS);
		return;
	}
	cced->ready_count++;
	schedule_refill(cced, REFILL_SOON_MS);
}

void agents_start(struct cced *cced)
{
	(void)uv_timer_init(&cced->loop, &cced->refill);
	cced->refill.data = cced;
	schedule_refill(cced, 0);
}

/* Its pidfd becomes readable when a process ends. */
static bool is_alive(const struct agent *agent)
{
	struct pollfd end = { .fd = agent->pidfd, .events = POLLIN };
	return poll(&end, 1, 0) == 0;
}

int agents_take(struct cced *cced, struct agent *ret_agent, struct err *err)
{
	/* A short job keeps the processors to itself, unless the next would have to wait. */
	schedule_refill(cced, cced->ready_count > 1 ? REFILL_REST_MS : REFILL_SOON_MS);
	while (cced->ready_count) {
		*ret_agent = cced->ready[0];
		memmove(&cced->ready[0], &cced->ready[1],
			--cced->ready_count * sizeof(cced->ready[0]));
		if (is_alive(ret_agent))
			return 0;
		agents_bury(cced, ret_agent);
	}
	return spawn(cced, ret_agent, err);
}

struct grave {
	struct cced *cced;
	uv_poll_t poll;
	pid_t pid;
	int pidfd;
};

static void grave_closed(uv_handle_t *handle)
{
	struct grave *grave = handle->data;
	fd_close(&grave->pidfd);
	mem_free(grave);
}

static void grave_ready(uv_poll_t *poll, int status, int events)
{
	struct grave *grave = poll->data;
	int end = 0;
	(void)status;
	(void)events;
	(void)waitpid(grave->pid, &end, WNOHANG);
	if (WIFSIGNALED(end) && WTERMSIG(end) != SIGKILL) {
		log_event(&grave->cced->log, LOG_ERROR, "agent_crash", "signal",
			strsignal(WTERMSIG(end)), NULL);
		agent_end(&grave->cced->nursery);
	}
	uv_close((uv_handle_t *)poll, grave_closed);
}

void agents_bury(struct cced *cced, struct agent *agent)
{
	if (agent->pid <= 0)
		return;
	struct grave *grave = mem_alloc(1, sizeof(*grave));
	fd_close(&agent->socket);
	(void)kill(agent->pid, SIGKILL); /* it is done, or it is to be done */
	*grave = (struct grave){ .cced = cced, .pid = agent->pid, .pidfd = take_fd(&agent->pidfd) };
	grave->poll.data = grave;
	if (uv_poll_init(&cced->loop, &grave->poll, grave->pidfd) != 0 ||
		uv_poll_start(&grave->poll, UV_READABLE, grave_ready) != 0)
		log_event(&cced->log, LOG_ERROR, "reap", NULL);
	*agent = (struct agent){ .pidfd = -1, .socket = -1 };
}

void agents_stop(struct cced *cced)
{
	(void)uv_timer_stop(&cced->refill);
	while (cced->ready_count)
		agent_end(&cced->ready[--cced->ready_count]);
	agent_end(&cced->nursery);
}
