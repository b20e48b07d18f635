/* See agent.h. The configuration goes as argv: it holds no secret, and shows in ps what runs. */
#include "engines/cvm/agent.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "kit/codec/hex.h"
#include "kit/crypto/hash.h"
#include "kit/proc/spawn.h"

enum { NUMBER_SIZE = 24 };

/*
 * A detached mount that is the agent's alone: before Linux 6.15 a sandbox consumes the mount it is
 * given, see engines/sandbox/mounts.c.
 */
static int clone_image(int image_fd, int *ret_fd, struct err *err)
{
	*ret_fd = (int)syscall(
		SYS_open_tree, image_fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	return *ret_fd < 0 ? err_sys(err, E_UNAVAILABLE,
				     "cloning the image's mount (local_hold_image comes first)")
			   : 0;
}

static int start(const struct agent_config *config, bool is_nursery, struct agent *ret_agent,
	struct err *err)
{
	char dataset_max[NUMBER_SIZE], json_max[NUMBER_SIZE];
	int pair[2];
	TRY(str_format(dataset_max, NUMBER_SIZE, err, "%llu",
		(unsigned long long)config->dataset_bytes_max));
	TRY(str_format(
		json_max, NUMBER_SIZE, err, "%llu", (unsigned long long)config->json_bytes_max));
	auto_close image = -1;
	TRY(clone_image(config->image_fd, &image, err));
	TRY(fd_socketpair(SOCK_SEQPACKET, pair, err));
	auto_close theirs = pair[1];
	const char *argv[] = { "tee-agent", "--sandbox", config->sandbox_path, "--fetch",
		config->fetch_path, "--platform", config->platform, "--evidence",
		config->evidence_path, "--vault", config->vault_path, "--image",
		config->image_digest, "--dataset-max", dataset_max, "--json-max", json_max,
		config->has_pool ? "--pool" : "--no-pool",
		config->allows_loopback_fetch ? "--allow-loopback" : "--no-loopback",
		is_nursery ? "--nursery" : NULL, NULL };
	struct proc_spawn spawn = {
		.path = config->agent_path,
		.argv = argv,
		.fds = (int[]){ theirs, image },
		.fd_count = 2,
		.stdin_fd = -1,
		.stdout_fd = -1,
		.stderr_fd = config->log_fd,
	};
	struct agent agent = { .socket = pair[0] };
	int status = proc_spawn(&spawn, &agent.pid, &agent.pidfd, err);
	if (status < 0) {
		fd_close(&agent.socket);
		return status;
	}
	*ret_agent = agent;
	return 0;
}

int agent_spawn(const struct agent_config *config, struct agent *ret_agent, struct err *err)
{
	return start(config, false, ret_agent, err);
}

int nursery_open(const struct agent_config *config, struct agent *ret_nursery, struct err *err)
{
	return start(config, true, ret_nursery, err);
}

int nursery_bear(
	const struct agent *nursery, int image_fd, struct agent *ret_agent, struct err *err)
{
	AUTO(message_done) struct message message = {};
	int pair[2];
	auto_close image = -1;
	TRY(clone_image(image_fd, &image, err));
	TRY(fd_socketpair(SOCK_SEQPACKET, pair, err));
	auto_close ours = pair[0];
	auto_close theirs = pair[1];
	TRY(message_send(
		nursery->socket, AGENT_BEAR, view_of("", 0), (int[]){ theirs, image }, 2, err));
	TRY(message_receive(nursery->socket, 0, &message, err));
	if (message.is_end)
		return err_set(err, E_UNAVAILABLE, "the nursery of agents is gone");
	struct reader body = reader_of(buf_view(&message.body));
	uint64_t pid = reader_le(&body, sizeof(uint32_t));
	if (message.type != AGENT_BORN || body.failed || message.fd_count != 1)
		return err_set(
			err, E_CONFLICT, "message %u is not expected of a nursery", message.type);
	*ret_agent = (struct agent){ (pid_t)pid, take_fd(&message.fds[0]), take_fd(&ours) };
	return 0;
}

void agent_end(struct agent *agent)
{
	struct err ignored;
	int code;
	if (agent->pid <= 0)
		return;
	fd_close(&agent->socket);
	(void)kill(agent->pid, SIGKILL);
	if (proc_wait(agent->pid, &code, &ignored) < 0)
		code = 0; /* reaped elsewhere: nothing left to do */
	fd_close(&agent->pidfd);
	*agent = (struct agent){ .pidfd = -1, .socket = -1 };
}

int agent_send_run(
	const struct agent *agent, const struct agent_run *run, int body_fd, struct err *err)
{
	auto_json *body = json_new_object();
	auto_done(buf) text = {};
	json_set_string(body, "job_id", run->job_id);
	json_set_string(body, "principal", run->principal);
	json_set_string(body, "content_type", run->content_type);
	json_set_string(body, "certificate_base", run->certificate_base);
	json_set_integer(body, "accepted_ms", (int64_t)run->accepted_wall_ms);
	TRY(json_encode(body, &text, err));
	return message_send(agent->socket, AGENT_RUN, buf_view(&text), &body_fd, 1, err);
}

void agent_set_signature(struct json *index, const struct dsse_signature *signature)
{
	json_set_string(index, "keyid", signature->keyid);
	json_set_hex(index, "signature", view_of(signature->bytes, signature->size));
}

int agent_read_statement(const struct message *message, const char *payload_type,
	struct dsse *envelope, struct err *err)
{
	if (message->fd_count != 1 || envelope->signature_count)
		return err_set(err, E_CONFLICT, "expected one statement, in one descriptor");
	TRY(str_format(
		envelope->payload_type, sizeof(envelope->payload_type), err, "%s", payload_type));
	envelope->signature_count = 1;
	return fd_read_all(message->fds[0], DSSE_PAYLOAD_MAX, &envelope->payload, err);
}

int agent_read_signature(const struct json *index, struct dsse *envelope, struct err *err)
{
	struct view signature = json_as_view(json_get(index, "signature"));
	const char *keyid = json_as_string(json_get(index, "keyid"));
	struct dsse_signature *row = &envelope->signatures[0];
	uint8_t key_digest[SHA256_SIZE];
	if (!envelope->signature_count)
		return err_set(err, E_CONFLICT, "a signature without a statement");
	if (!keyid || !signature.size || signature.size / 2 > sizeof(row->bytes))
		return err_set(err, E_INVALID, "index without a signature and the key's id");
	row->size = signature.size / 2;
	TRY(hex_decode(signature, row->bytes, row->size, err));
	TRY(hex_decode(view_string(keyid), key_digest, sizeof(key_digest), err));
	(void)hex_encode(view_of(key_digest, sizeof(key_digest)), row->keyid);
	return 0;
}
