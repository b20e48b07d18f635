/*
 * One run in a chosen tier. Prepared tiers are built, waited for, and then given the plan: what a
 * pool does ahead of time happens here at once, so the run is the same, only later.
 */
#include "programs/cupel-sandbox/tier.h"

#include <string.h>

#include "kit/base/fd.h"
#include "kit/base/str.h"

static const struct sandbox_config config = { .supervisor_path = "/proc/self/exe" };

int tier_parse(const char *name, enum sandbox_tier *ret_tier, struct err *err)
{
	for (unsigned i = 0; i < SANDBOX_TIER_COUNT; i++) {
		if (!str_equal(name, sandbox_tier_name((enum sandbox_tier)i)))
			continue;
		*ret_tier = (enum sandbox_tier)i;
		return 0;
	}
	return err_set(err, E_INVALID, "tier: expected cold, warm, hot or parked, got %s", name);
}

/* What waits in a parked sandbox for this program. */
static int park(const char *program, const char *ret_argv[static 4], struct err *err)
{
	const char *slash = strrchr(program, '/');
	const char *name = slash ? slash + 1 : program;
	bool is_node = str_equal(name, "node");
	if (!is_node && !str_equal(name, "python3"))
		return err_set(err, E_INVALID,
			"parked: expected python3 or node as the program, got %s; use hot",
			program);
	ret_argv[0] = program;
	ret_argv[1] = is_node ? "-e" : "-c";
	ret_argv[2] = is_node ? sandbox_park_node() : sandbox_park_python();
	ret_argv[3] = NULL;
	return 0;
}

/* Build ahead; ret_files are those that come with the run. */
static int prepare(int control, enum sandbox_tier tier, const struct sandbox_plan *plan,
	struct sandbox_files *files, struct err *err)
{
	struct sandbox_files image = SANDBOX_FILES_NONE;
	struct sandbox_plan ahead = *plan;
	struct sandbox_event event;
	const char *parked[4];
	ahead.env = NULL;
	if (tier == SANDBOX_TIER_PARKED) {
		TRY(park(plan->argv[0], parked, err));
		ahead.argv = parked;
	}
	image.root_fd = take_fd(&files->root_fd);
	image.mask_fd = take_fd(&files->mask_fd);
	TRY(sandbox_prepare(control, tier, &ahead, &image, err));
	TRY(sandbox_receive(control, 0, &event, err));
	if (event.kind == SANDBOX_EVENT_READY)
		return 0;
	return err_set(err, E_UNAVAILABLE, "%s sandbox: %s", sandbox_tier_name(tier),
		event.kind == SANDBOX_EVENT_DONE ? event.result.text : "not built");
}

static int run(int control, enum sandbox_tier tier, const struct sandbox_plan *plan,
	struct sandbox_files files, struct err *err)
{
	if (tier != SANDBOX_TIER_COLD)
		TRY(prepare(control, tier, plan, &files, err));
	return sandbox_start(control, plan, &files, err);
}

int tier_run(enum sandbox_tier tier, const struct sandbox_plan *plan,
	const struct sandbox_files *files,
	void (*sink)(void *context, const struct sandbox_event *event), void *context,
	struct err *err)
{
	struct sandbox_event event = { .kind = SANDBOX_EVENT_NONE };
	int control;
	TRY(sandbox_open(&config, &control, err));
	int status = run(control, tier, plan, *files, err);
	/* READY: a sandbox of the warm tier could serve another run. */
	while (status == 0 && event.kind != SANDBOX_EVENT_GONE &&
		event.kind != SANDBOX_EVENT_READY) {
		status = sandbox_receive(control, 0, &event, err);
		if (status == 0)
			sink(context, &event);
	}
	sandbox_close(&control);
	return status;
}
