/*
 * Sandboxes built ahead. Agents ask for one by the name of its shape; what they had to build
 * themselves they offer as a template, so that the next job like it finds one ready. The least
 * recently used template gives way. No sandbox is ever used twice: the pool builds new ones.
 */
#include <poll.h>
#include <unistd.h>

#include "engines/sandbox/pool.h"
#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "kit/base/time.h"
#include "programs/cced/cced.h"

int slots_start(struct cced *cced, struct err *err)
{
	const struct sandbox_config config = { cced->local.sandbox_path };
	cced->pool = -1;
	return cced->config.sandboxes_ready ? sandbox_pool_open(&config, &cced->pool, err) : 0;
}

static struct slot_template *find(struct cced *cced, const char *name)
{
	for (size_t i = 0; i < CCED_TEMPLATES_MAX; i++)
		if (str_equal(cced->templates[i].name, name))
			return &cced->templates[i];
	return NULL;
}

/*
 * A template that fails is no reason to lose the others. A pool that died (unasked it says nothing
 * but its end) is given up: every sandbox is then built for its job.
 */
static void report_failure(struct cced *cced, const struct err *err)
{
	struct pollfd end = { .fd = cced->pool, .events = POLLIN };
	log_event(&cced->log, LOG_ERROR, "pool", "error", err->message, NULL);
	if (poll(&end, 1, 0) == 0)
		return;
	fd_close(&cced->pool);
	memset(cced->templates, 0, sizeof(cced->templates));
}

static void answer(struct cjob *job, int control)
{
	struct cced *cced = job->cced;
	struct err err;
	if (message_send(job->agent.socket, AGENT_SLOT, (struct view){}, &control,
		    control >= 0 ? 1 : 0, &err) < 0)
		log_event(
			&cced->log, LOG_ERROR, "slot", "job", job->id, "error", err.message, NULL);
	cced->metrics.slots_taken += control >= 0;
	cced->metrics.slots_missed += control < 0;
}

void slots_take(struct cjob *job, struct view name_bytes)
{
	struct cced *cced = job->cced;
	struct err err;
	char name[SLOT_NAME_SIZE] = "";
	auto_close control = -1;
	if (name_bytes.size == SLOT_NAME_SIZE - 1)
		memcpy(name, name_bytes.data, name_bytes.size);
	struct slot_template *known = name[0] && cced->pool >= 0 ? find(cced, name) : NULL;
	if (known) {
		known->used_ms = time_monotonic_ms();
		int status = sandbox_pool_take(cced->pool, name, &control, &err);
		if (status < 0 && status != E_NOT_FOUND)
			report_failure(cced, &err);
	}
	answer(job, control);
}

static struct slot_template *least_recently_used(struct cced *cced)
{
	struct slot_template *oldest = &cced->templates[0];
	for (size_t i = 1; i < CCED_TEMPLATES_MAX; i++)
		if (cced->templates[i].used_ms < oldest->used_ms)
			oldest = &cced->templates[i];
	return oldest;
}

/* Tell the pool: count sandboxes of this shape under this name. */
static int keep(struct cced *cced, const char *name, const struct slot_shape *shape, uint32_t count,
	int mask_fd, struct err *err)
{
	const char *argv[LANG_ARGV_MAX + 1] = { "none" };
	const struct lang *lang = shape->lang[0] ? lang_by_name(shape->lang) : NULL;
	struct sandbox_plan plan = slot_plan(shape);
	struct sandbox_files files = SANDBOX_FILES_NONE;
	if (shape->lang[0] && (!lang || !lang->park_argv[0]))
		return err_set(err, E_INVALID, "no language '%s' to park", shape->lang);
	if (lang)
		slot_park_argv(lang->park_argv, argv);
	plan.argv = argv;
	plan.env = lang ? lang->environment : NULL;
	files.root_fd = image_root_fd(cced->image);
	files.mask_fd = mask_fd;
	return sandbox_pool_keep(cced->pool, name, slot_tier(shape), count, &plan, &files, err);
}

static int replace(struct cced *cced, const struct slot_shape *shape, int mask_fd, struct err *err)
{
	struct slot_template *place = least_recently_used(cced);
	if (place->name[0])
		TRY(keep(cced, place->name, shape, 0, mask_fd, err));
	place->name[0] = 0;
	TRY(local_hold_mask(&cced->local, mask_fd, (size_t)(place - cced->templates), err));
	TRY(keep(cced, shape->name, shape, (uint32_t)cced->config.sandboxes_ready, mask_fd, err));
	place->used_ms = time_monotonic_ms();
	return str_format(place->name, sizeof(place->name), err, "%s", shape->name);
}

void slots_keep(struct cjob *job, struct message *message)
{
	struct cced *cced = job->cced;
	struct slot_shape shape;
	struct err err;
	if (cced->pool < 0 || message->fd_count != 1)
		return;
	int status = slot_shape_parse(buf_view(&message->body), &shape, &err);
	if (status < 0)
		log_event(
			&cced->log, LOG_ERROR, "slot", "job", job->id, "error", err.message, NULL);
	else if (!find(cced, shape.name) && replace(cced, &shape, message->fds[0], &err) < 0)
		report_failure(cced, &err);
}

void slots_stop(struct cced *cced)
{
	fd_close(&cced->pool);
}
