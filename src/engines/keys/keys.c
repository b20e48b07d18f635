/* See keys.h. */
#include "engines/keys/keys.h"

#include <signal.h>
#include <sys/socket.h>

#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/proc/spawn.h"

int keys_start(const char *program_path, const char *directory, int log_fd, struct keys *ret_keys,
	struct err *err)
{
	int pair[2];
	TRY(fd_socketpair(SOCK_SEQPACKET, pair, err));
	auto_close theirs = pair[1];
	struct keys keys = { .pidfd = -1, .socket = pair[0] };
	struct proc_spawn spawn = {
		.path = program_path,
		.argv = (const char *[]){ "cced-keys", directory, NULL },
		.fds = &theirs,
		.fd_count = 1,
		.stdin_fd = -1,
		.stdout_fd = -1,
		.stderr_fd = log_fd,
	};
	auto_done(buf) spki = {};
	int status = proc_spawn(&spawn, &keys.pid, &keys.pidfd, err);
	fd_close(&theirs);
	if (status == 0)
		status = keys_public(&keys, &spki, err);
	if (status < 0) {
		keys_end(&keys);
		err_wrap(err, "cced-keys did not start (see the log)");
		return status;
	}
	*ret_keys = keys;
	return 0;
}

void keys_end(struct keys *keys)
{
	struct err ignored;
	int code;
	fd_close(&keys->socket);
	if (keys->pid > 0) {
		(void)kill(keys->pid, SIGTERM);
		if (proc_wait(keys->pid, &code, &ignored) < 0)
			code = 0;
	}
	fd_close(&keys->pidfd);
	*keys = (struct keys){ .pidfd = -1, .socket = -1 };
}

static int ask(const struct keys *keys, enum keys_request_kind kind, struct view bytes,
	struct buf *ret_bytes, struct err *err)
{
	auto_free struct keys_request *request = mem_alloc(1, sizeof(*request));
	struct keys_answer answer;
	int fds[FD_PASS_MAX];
	size_t fd_count;
	ssize_t size;
	if (bytes.size > KEYS_STATEMENT_MAX)
		return err_set(err, E_LIMIT, "a statement of %zu bytes, limit %d", bytes.size,
			KEYS_STATEMENT_MAX);
	*request = (struct keys_request){
		.magic = KEYS_MAGIC, .kind = kind, .size = (uint32_t)bytes.size
	};
	if (bytes.size)
		memcpy(request->bytes, bytes.data, bytes.size);
	TRY(fd_send(keys->socket, view_of(request, sizeof(*request)), NULL, 0, err));
	TRY(fd_receive(keys->socket, &answer, sizeof(answer), 0, &size, fds, &fd_count, err));
	if (size != sizeof(answer) || answer.magic != KEYS_MAGIC || answer.size > KEYS_ANSWER_MAX)
		return err_set(err, E_UNAVAILABLE, "the key process did not answer");
	if (answer.status)
		return err_set(err, E_INTERNAL, "the key process refused (%u)", answer.status);
	return buf_append(ret_bytes, view_of(answer.bytes, answer.size), err);
}

int keys_public(const struct keys *keys, struct buf *ret_spki, struct err *err)
{
	return ask(keys, KEYS_PUBLIC, (struct view){}, ret_spki, err);
}

int keys_sign_statement(
	const struct keys *keys, struct view statement, struct buf *ret_signature, struct err *err)
{
	return ask(keys, KEYS_SIGN_STATEMENT, statement, ret_signature, err);
}
