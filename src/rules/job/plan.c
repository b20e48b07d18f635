/* See plan.h. What the caller sets wins over our defaults; CUPEL_* is ours (execute.c refuses it).
 */
#include "rules/job/plan.h"

#include <stdlib.h>

#include "kit/base/mem.h"
#include "kit/base/str.h"

static const char *const fixed_env[] = {
	LANG_HOME,
	LANG_LOCALE,
	"PATH=/usr/bin:/bin",
	"SOURCE_DATE_EPOCH=0",
	"TMPDIR=/tmp",
	"TZ=UTC",
	"CUPEL_DATA=" PLAN_DATA_DIRECTORY,
};

static bool has_name(const struct plan *plan, const char *pair)
{
	size_t size = (size_t)(strchr(pair, '=') - pair) + 1;
	for (size_t i = 0; i < plan->env_count; i++)
		if (strncmp(plan->env[i], pair, size) == 0)
			return true;
	return false;
}

static int add_pair(struct plan *plan, const char *name, struct view value, struct err *err)
{
	auto_done(buf) pair = {};
	TRY(buf_append_string(&pair, name, err));
	TRY(buf_append(&pair, value, err));
	if (plan->env_count + 1 == PLAN_ENV_MAX)
		return err_set(err, E_LIMIT, "more than %d environment values", PLAN_ENV_MAX - 1);
	if (!has_name(plan, buf_string(&pair)))
		plan->env[plan->env_count++] = mem_string(buf_string(&pair));
	return 0;
}

static int compare_pairs(const void *a, const void *b)
{
	const char *const *left = a, *const *right = b;
	return strcmp(*left, *right);
}

static int make_env(const struct execute_request *request, struct plan *plan, struct err *err)
{
	for (size_t i = 0; i < request->env_count; i++) {
		auto_done(buf) name = {};
		TRY(buf_append_format(&name, err, "%s=", request->env[i].name));
		TRY(add_pair(plan, buf_string(&name), request->env[i].value, err));
	}
	if (request->dataset_count)
		TRY(add_pair(plan, "CUPEL_DATASET=" PLAN_DATA_DIRECTORY "/",
			view_string(request->datasets[0].name), err));
	for (size_t i = 0; i < ARRAY_SIZE(fixed_env); i++)
		TRY(add_pair(plan, fixed_env[i], (struct view){}, err));
	for (size_t i = 0; request->lang->environment[i]; i++)
		TRY(add_pair(plan, request->lang->environment[i], (struct view){}, err));
	qsort(plan->env, plan->env_count, sizeof(plan->env[0]), compare_pairs);
	return 0;
}

static int make_argv(const struct execute_request *request, struct plan *plan, struct err *err)
{
	auto_done(buf) path = {};
	TRY(buf_append_format(&path, err, PLAN_APP_DIRECTORY "/%s", request->entrypoint));
	plan->script_path = mem_string(buf_string(&path));
	for (size_t i = 0; request->lang->argv[i]; i++)
		plan->argv[plan->argc++] = request->lang->argv[i];
	plan->argv[plan->argc++] = plan->script_path;
	for (size_t i = 0; i < request->arg_count; i++)
		plan->argv[plan->argc++] = request->args[i];
	return 0;
}

static bool can_be_parked(const struct execute_request *request)
{
	bool can = request->lang->park_argv[0] != NULL;
	for (size_t i = 0; can && i < request->env_count; i++)
		can = !str_starts(request->env[i].name, request->lang->own_env);
	return can;
}

int plan_make(const struct execute_request *request, struct plan *ret_plan, struct err *err)
{
	*ret_plan = (struct plan){ .is_parked = can_be_parked(request) };
	int status = make_argv(request, ret_plan, err);
	if (status == 0)
		status = make_env(request, ret_plan, err);
	if (status < 0)
		plan_done(ret_plan);
	return status;
}

void plan_done(struct plan *plan)
{
	for (size_t i = 0; i < plan->env_count; i++)
		mem_free(plan->env[i]);
	mem_free(plan->script_path);
	*plan = (struct plan){};
}
