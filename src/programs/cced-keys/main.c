/*
 * cced-keys: the process that holds the issuer's key. It reads its seed, warms the crypto library
 * up, gives away every system call it does not need, and answers fixed-size requests on descriptor
 * 3 until the other side closes. It links no JSON and no HTTP.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engines/keys/keys.h"
#include "kit/base/fd.h"
#include "kit/base/prompt.h"
#include "kit/base/log.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "kit/crypto/dsse.h"
#include "kit/crypto/rand.h"
#include "kit/crypto/setup.h"
#include "kit/crypto/sign.h"
#include "kit/proc/lockdown.h"

#define PAYLOAD_TYPE "application/vnd.in-toto+json"

enum { CONTROL_FD = 3 };

static const char *const allowed_calls[] = {
	"brk",
	"clock_gettime",
	"close",
	"exit",
	"exit_group",
	"futex",
	"getpid",
	"getrandom",
	"madvise",
	"mmap",
	"mprotect",
	"munlock",
	"munmap",
	"recvmsg",
	"rt_sigreturn",
	"sendmsg",
	"write",
};

/* Seed file <directory>/issuer.seed: 32 random bytes, made once, 0600. */
static int load_seed(const char *directory, struct secret *seed, struct err *err)
{
	auto_close directory_fd = -1;
	auto_close fd = -1;
	TRY(secret_init(seed, SIGN_ED25519_SEED_SIZE, err));
	if (mkdir(directory, 0700) < 0 && access(directory, F_OK) < 0)
		return err_sys(err, E_UNAVAILABLE, "making %s", directory);
	TRY(fd_open(directory, O_RDONLY | O_DIRECTORY, 0, &directory_fd, err));
	int status = fd_open_beneath(directory_fd, "issuer.seed", O_RDONLY, 0, &fd, err);
	if (status == 0)
		return fd_read_exact(fd, seed->data, seed->size, err);
	if (status != E_NOT_FOUND)
		return status;
	char path[512];
	rand_bytes(seed->data, seed->size);
	TRY(str_format(path, sizeof(path), err, "%s/issuer.seed", directory));
	return fd_write_file_atomic(path, secret_view(seed), 0600, err);
}

static int sign(const struct sign_key *key, struct view statement, struct buf *ret_signature,
	struct err *err)
{
	auto_done(buf) pae = {};
	TRY(dsse_pae(PAYLOAD_TYPE, statement, &pae, err));
	return sign_message(key, buf_view(&pae), ret_signature, err);
}

static int answer_request(const struct sign_key *key, const struct keys_request *request,
	struct buf *ret_bytes, struct err *err)
{
	if (request->magic != KEYS_MAGIC || request->size > KEYS_STATEMENT_MAX)
		return err_set(err, E_INVALID, "a malformed request");
	if (request->kind == KEYS_PUBLIC)
		return sign_key_spki(key, ret_bytes, err);
	if (request->kind == KEYS_SIGN_STATEMENT && request->size > 0)
		return sign(key, view_of(request->bytes, request->size), ret_bytes, err);
	return err_set(err, E_INVALID, "request kind %u", request->kind);
}

static int serve(const struct sign_key *key, struct err *err)
{
	auto_free struct keys_request *request = mem_alloc(1, sizeof(*request));
	for (;;) {
		auto_done(buf) bytes = { .limit = KEYS_ANSWER_MAX };
		struct keys_answer answer = { .magic = KEYS_MAGIC };
		int fds[FD_PASS_MAX];
		size_t fd_count;
		ssize_t size;
		TRY(fd_receive(
			CONTROL_FD, request, sizeof(*request), 0, &size, fds, &fd_count, err));
		if (size == 0)
			return 0;
		for (size_t i = 0; i < fd_count; i++)
			fd_close(&fds[i]);
		int status = size == sizeof(*request)
				     ? answer_request(key, request, &bytes, err)
				     : err_set(err, E_INVALID, "a request of %zd bytes", size);
		answer.status = (uint32_t)-status;
		answer.size = (uint32_t)bytes.size;
		if (bytes.size)
			memcpy(answer.bytes, bytes.data, bytes.size);
		TRY(fd_send(CONTROL_FD, view_of(&answer, sizeof(answer)), NULL, 0, err));
	}
}

static int run(const char *directory, struct err *err)
{
	AUTO(secret_done) struct secret seed = {};
	auto_sign_key *key = NULL;
	auto_done(buf) warm = {};
	crypto_setup();
	TRY(proc_harden(true, err));
	TRY(load_seed(directory, &seed, err));
	TRY(sign_key_from_seed(secret_view(&seed), &key, err));
	secret_done(&seed);
	TRY(sign(key, view_string("warm-up"), &warm, err));
	prompt_self();
	TRY(proc_keep_rights(NULL, 0, err));
	TRY(proc_filter(allowed_calls, ARRAY_SIZE(allowed_calls), false, err));
	return serve(key, err);
}

int main(int argc, char **argv)
{
	struct err err;
	const struct log log = { "cced-keys", STDERR_FILENO, LOG_INFO };
	if (argc == 2 && run(argv[1], &err) == 0)
		_exit(EXIT_SUCCESS); /* no atexit handlers behind the filter */
	log_event(&log, LOG_ERROR, "failed", "error",
		argc == 2 ? err.message : "usage: cced-keys DIRECTORY (started by cced)", NULL);
	_exit(EXIT_FAILURE);
}
