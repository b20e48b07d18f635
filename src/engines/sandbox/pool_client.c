/* The caller's end of the pool. See pool.h. */
#include <string.h>

#include "engines/sandbox/client.h"
#include "engines/sandbox/pool_wire.h"
#include "kit/base/fd.h"
#include "kit/base/str.h"

int sandbox_pool_open(const struct sandbox_config *config, int *ret_pool, struct err *err)
{
	return client_spawn(config, "pool", ret_pool, err);
}

static int make_request(enum pool_kind kind, const char *name, uint32_t count,
	struct pool_request *ret_request, struct err *err)
{
	*ret_request = (struct pool_request){ WIRE_VERSION, (uint32_t)kind, count, "" };
	if (!str_is_file_name(view_string(name), POOL_NAME_MAX - 1))
		return err_set(err, E_INVALID, "pool name: expected [A-Za-z0-9._-], 1 to %d bytes",
			POOL_NAME_MAX - 1);
	return str_format(ret_request->name, sizeof(ret_request->name), err, "%s", name);
}

/* Send a request, receive its answer; ret_fd is -1 when none came. */
static int ask(int pool, struct view request, const int *fds, size_t fd_count,
	struct pool_reply *ret_reply, int *ret_fd, struct err *err)
{
	int received[FD_PASS_MAX];
	size_t count = 0;
	ssize_t size;
	TRY(fd_send(pool, request, fds, fd_count, err));
	TRY(fd_receive(pool, ret_reply, sizeof(*ret_reply), 0, &size, received, &count, err));
	*ret_fd = count > 0 ? received[0] : -1;
	for (size_t i = 1; i < count; i++)
		fd_close(&received[i]);
	if (size == 0)
		return err_set(err, E_UNAVAILABLE, "the sandbox pool died");
	if (size != sizeof(*ret_reply))
		return err_set(err, E_INTEGRITY, "sandbox pool: an answer of the wrong size");
	ret_reply->message[sizeof(ret_reply->message) - 1] = 0;
	if (ret_reply->status < 0)
		return err_set(err, ret_reply->status, "%s", ret_reply->message);
	return 0;
}

int sandbox_pool_keep(int pool, const char *name, enum sandbox_tier tier, uint32_t count,
	const struct sandbox_plan *plan, const struct sandbox_files *files, struct err *err)
{
	struct pool_request request;
	struct pool_reply reply;
	int fds[WIRE_FILES];
	size_t fd_count = 0;
	uint32_t mask = 0;
	auto_close unexpected = -1;
	auto_done(buf) message = { .limit = POOL_MESSAGE_MAX };
	if (count > POOL_SIZE_MAX)
		return err_set(
			err, E_LIMIT, "at most %d ready sandboxes, got %u", POOL_SIZE_MAX, count);
	TRY(make_request(POOL_KEEP, name, count, &request, err));
	if (tier == SANDBOX_TIER_WARM || tier == SANDBOX_TIER_ZYGOTE)
		return err_set(err, E_INVALID,
			"a pool serves anybody: expected hot or parked, got %s",
			sandbox_tier_name(tier));
	TRY(client_check_prepare(tier, plan, err));
	client_collect_files(files, fds, &fd_count, &mask);
	TRY(buf_append(&message, view_of(&request, sizeof(request)), err));
	TRY(wire_encode_plan(WIRE_PREPARE, tier, plan, mask, &message, err));
	return ask(pool, buf_view(&message), fds, fd_count, &reply, &unexpected, err);
}

int sandbox_pool_take(int pool, const char *name, int *ret_control, struct err *err)
{
	struct pool_request request;
	struct pool_reply reply;
	auto_close control = -1;
	TRY(make_request(POOL_TAKE, name, 0, &request, err));
	TRY(ask(pool, view_of(&request, sizeof(request)), NULL, 0, &reply, &control, err));
	if (control < 0)
		return err_set(err, E_INTEGRITY, "sandbox pool: no descriptor came");
	*ret_control = take_fd(&control);
	return 0;
}

int sandbox_pool_status(int pool, struct sandbox_pool_status *ret_status, struct err *err)
{
	struct pool_request request = { WIRE_VERSION, POOL_STATUS, 0, "" };
	struct pool_reply reply;
	auto_close unexpected = -1;
	TRY(ask(pool, view_of(&request, sizeof(request)), NULL, 0, &reply, &unexpected, err));
	*ret_status = reply.counts;
	return 0;
}

int sandbox_pool_listen(int pool, int listener, struct err *err)
{
	struct pool_request request = { WIRE_VERSION, POOL_LISTEN, 0, "" };
	struct pool_reply reply;
	auto_close unexpected = -1;
	return ask(
		pool, view_of(&request, sizeof(request)), &listener, 1, &reply, &unexpected, err);
}
