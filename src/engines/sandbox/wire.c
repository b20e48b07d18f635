/* See wire.h. */
#include "engines/sandbox/wire.h"

#include <string.h>

static size_t count_strings(const char *const *list)
{
	size_t count = 0;
	while (list && list[count])
		count++;
	return count;
}

static int append_strings(const char *const *list, struct buf *buf, struct err *err)
{
	for (size_t i = 0; list && list[i]; i++)
		TRY(buf_append(buf, view_of(list[i], strlen(list[i]) + 1), err));
	return 0;
}

int wire_encode_plan(enum wire_kind kind, enum sandbox_tier tier, const struct sandbox_plan *plan,
	uint32_t file_mask, struct buf *buf, struct err *err)
{
	const char *const tail[] = {
		plan->cwd ? plan->cwd : "/work",
		plan->hostname ? plan->hostname : "sandbox",
		NULL,
	};
	auto_done(buf) text = { .limit = SANDBOX_TEXT_BYTES_MAX };
	struct wire_plan head = {
		.head = { WIRE_VERSION, (uint32_t)kind },
		.limits = plan->limits,
		.trace = plan->trace,
		.tier = tier,
		.may_lack = plan->may_lack,
		.stat_interval_ms = plan->stat_interval_ms,
		.allow_exec_in_work = plan->allow_exec_in_work,
		.wants_results = plan->wants_results,
		.private_inputs = plan->private_inputs,
		.file_mask = file_mask,
		.argc = (uint32_t)count_strings(plan->argv),
		.envc = (uint32_t)count_strings(plan->env),
	};
	int status = append_strings(plan->argv, &text, err);
	if (status == 0)
		status = append_strings(plan->env, &text, err);
	if (status == 0)
		status = append_strings(tail, &text, err);
	if (status < 0) {
		err_wrap(err, "arguments and environment together");
		return status;
	}
	head.text_bytes = (uint32_t)text.size;
	TRY(buf_append(buf, view_of(&head, sizeof(head)), err));
	return buf_append(buf, buf_view(&text), err);
}

static int broken(struct err *err, const char *what)
{
	return err_set(err, E_INTEGRITY, "sandbox message: %s", what);
}

/* Take one NUL-terminated string; NULL when there is none. */
static const char *take_string(struct view *text)
{
	const uint8_t *end = text->size ? memchr(text->data, 0, text->size) : NULL;
	if (!end)
		return NULL;
	const char *string = (const char *)text->data;
	size_t size = (size_t)(end - text->data) + 1;
	*text = view_of(text->data + size, text->size - size);
	return string;
}

static int take_list(struct view *text, uint32_t count, const char **ret_list, struct err *err)
{
	for (uint32_t i = 0; i < count; i++) {
		ret_list[i] = take_string(text);
		if (!ret_list[i])
			return broken(err, "fewer strings than announced");
	}
	ret_list[count] = NULL;
	return 0;
}

static int check_head(const struct wire_plan *head, size_t text_size, struct err *err)
{
	if (head->head.version != WIRE_VERSION)
		return broken(err, "other version; install library and supervisor together");
	if (head->head.kind != WIRE_PLAN && head->head.kind != WIRE_PREPARE)
		return broken(err, "not a plan");
	if (head->text_bytes != text_size || text_size > SANDBOX_TEXT_BYTES_MAX)
		return broken(err, "wrong size");
	if (head->argc > SANDBOX_STRINGS_MAX || head->envc > SANDBOX_STRINGS_MAX ||
		head->argc + head->envc > SANDBOX_STRINGS_MAX)
		return broken(err, "too many strings");
	if (head->trace >= SANDBOX_TRACE_COUNT || head->tier >= SANDBOX_TIER_COUNT ||
		head->allow_exec_in_work > 1 || head->wants_results > 1 ||
		head->private_inputs > 1 || (head->may_lack & ~SANDBOX_LAYERS_ALL) ||
		(head->file_mask >> WIRE_FILES))
		return broken(err, "a member out of range");
	return 0;
}

bool wire_is_cancel(struct view message)
{
	struct wire_head head;
	if (message.size != sizeof(head))
		return false;
	memcpy(&head, message.data, sizeof(head));
	return head.version == WIRE_VERSION && head.kind == WIRE_CANCEL;
}

int wire_decode_plan(struct view message, struct wire_parsed *ret_parsed, struct err *err)
{
	struct wire_plan head;
	if (message.size < sizeof(head))
		return broken(err, "too short");
	memcpy(&head, message.data, sizeof(head));
	struct view text = view_of(message.data + sizeof(head), message.size - sizeof(head));
	TRY(check_head(&head, text.size, err));
	const char **env = ret_parsed->strings + head.argc + 1;
	TRY(take_list(&text, head.argc, ret_parsed->strings, err));
	TRY(take_list(&text, head.envc, env, err));
	const char *cwd = take_string(&text);
	const char *hostname = take_string(&text);
	if (!hostname || text.size)
		return broken(err, "strings do not fill it");
	ret_parsed->plan = (struct sandbox_plan){
		.argv = ret_parsed->strings,
		.env = env,
		.cwd = cwd,
		.hostname = hostname,
		.limits = head.limits,
		.trace = (enum sandbox_trace)head.trace,
		.may_lack = head.may_lack,
		.stat_interval_ms = head.stat_interval_ms,
		.allow_exec_in_work = head.allow_exec_in_work,
		.wants_results = head.wants_results,
		.private_inputs = head.private_inputs,
	};
	ret_parsed->tier = (enum sandbox_tier)head.tier;
	ret_parsed->file_mask = head.file_mask;
	return 0;
}

size_t wire_event_size(const struct sandbox_event *event)
{
	if (event->kind == SANDBOX_EVENT_EXEC || event->kind == SANDBOX_EVENT_FILE)
		return offsetof(struct sandbox_event, path) + strlen(event->path) + 1;
	if (event->kind == SANDBOX_EVENT_STAT)
		return offsetof(struct sandbox_event, result);
	if (event->kind == SANDBOX_EVENT_DONE)
		return sizeof(*event);
	return offsetof(struct sandbox_event, path);
}

int wire_decode_event(struct view message, struct sandbox_event *ret_event, struct err *err)
{
	struct sandbox_event event = {};
	if (message.size < offsetof(struct sandbox_event, path) || message.size > sizeof(event))
		return broken(err, "an event of an impossible size");
	memcpy(&event, message.data, message.size);
	if (event.kind == SANDBOX_EVENT_NONE || event.kind >= SANDBOX_EVENT_COUNT)
		return broken(err, "an unknown event");
	event.results_fd = -1; /* a number of the sender's; the receiver's comes apart */
	event.path[sizeof(event.path) - 1] = 0;
	event.result.text[sizeof(event.result.text) - 1] = 0;
	if (message.size != wire_event_size(&event))
		return broken(err, "an event of the wrong size");
	if (event.result.cause >= SANDBOX_CAUSE_COUNT || event.result.tier >= SANDBOX_TIER_COUNT ||
		event.result.backend >= SANDBOX_BACKEND_COUNT ||
		event.result.trace >= SANDBOX_TRACE_COUNT)
		return broken(err, "a result out of range");
	*ret_event = event;
	return 0;
}
