/*
 * One computation without a service: own mounts, image, simulated platform, keys, one agent. The
 * agent's word is not taken for it: what it hands over is countersigned and then verified as any
 * verifier would, before anybody reads "simulated" or "failed".
 */
#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engines/sandbox/sandbox.h"
#include "kit/base/fd.h"
#include "kit/base/signals.h"
#include "kit/base/str.h"
#include "kit/base/time.h"
#include "kit/codec/hex.h"
#include "kit/crypto/dsse.h"
#include "kit/crypto/rand.h"
#include "kit/proc/lockdown.h"
#include "programs/cupel/run.h"
#include "rules/cert/trace.h"

enum {
	JOB_ID_BYTES = 16,
	JSON_MAX = 64 << 20,
	LOG_MAX = 65536,
	BYTES_PER_MB = 1000000,
	SAME_SIGNAL_MS = 100
};

static int start_platform(struct cupel *cupel, struct run *run, struct err *err)
{
	char keys_dir[CUPEL_PATH_MAX];
	TRY(local_enter(&run->local, cupel->state_dir, err));
	TRY(image_open(image_state_for(cupel->state_dir), run->image_name, 0, &run->image, err));
	TRY(local_hold_image(&run->local, image_root_fd(run->image), err));
	TRY(local_start(&run->local, image_digest(run->image), run->log_fd, err));
	TRY(str_format(keys_dir, sizeof(keys_dir), err, "%s/keys", cupel->state_dir));
	TRY(keys_start(run->local.keys_path, keys_dir, run->log_fd, &run->keys, err));
	TRY(keys_public(&run->keys, &run->issuer_spki, err));
	return local_unlock(&run->local, buf_view(&run->issuer_spki), err);
}

static int start_agent(struct run *run, struct err *err)
{
	struct agent_config config = {
		.image_digest = image_digest(run->image),
		.image_fd = image_root_fd(run->image),
		.dataset_bytes_max = run->data_bytes + 1,
		.json_bytes_max = JSON_MAX,
		.log_fd = run->log_fd,
	};
	local_agent_config(&run->local, &config);
	return agent_spawn(&config, &run->agent, err);
}

static int send_run(struct run *run, struct err *err)
{
	uint8_t random[JOB_ID_BYTES];
	char hex[HEX_SIZE(JOB_ID_BYTES)], id[HEX_SIZE(JOB_ID_BYTES) + 8];
	rand_bytes(random, sizeof(random));
	TRY(str_format(
		id, sizeof(id), err, "run_%s", hex_encode(view_of(random, sizeof(random)), hex)));
	struct agent_run message = {
		.job_id = id,
		.principal = "local",
		.content_type = run->content_type,
		.certificate_base = "",
		.accepted_wall_ms = time_wall_ms(),
	};
	TRY(agent_send_run(&run->agent, &message, run->body_fd, err));
	fd_close(&run->body_fd); /* the agent wipes it; ours would keep it alive */
	return 0;
}

static void on_event(struct cupel *cupel, struct view text)
{
	auto_json *event = NULL;
	struct err ignored;
	if (json_parse(text, MESSAGE_BODY_MAX, &event, &ignored) < 0 ||
		!json_get(event, "memory_bytes"))
		return;
	show_progress(cupel, "running: %lld s, %lld MB of memory, %lld bytes of output",
		(long long)(json_as_integer(json_get(event, "t_ms")) / 1000),
		(long long)(json_as_integer(json_get(event, "memory_bytes")) / BYTES_PER_MB),
		(long long)json_as_integer(json_get(event, "stdout_bytes")));
}

static int on_refused(struct view text, struct err *err)
{
	auto_json *body = NULL;
	int category = E_INVALID;
	TRY(json_parse(text, MESSAGE_BODY_MAX, &body, err));
	const char *name = json_as_string(json_get(body, "category"));
	const char *message = json_as_string(json_get(body, "message"));
	for (int i = E_INVALID; name && i >= E_UNSUPPORTED; i--)
		if (str_equal(name, err_category_name(i)))
			category = i;
	return err_set(err, category, "refused: %.480s", message ? message : "no reason given");
}

static int on_done(struct run *run, struct message *message, struct err *err)
{
	auto_done(buf) reply = {};
	auto_json *index = NULL;
	if (message->fd_count != 1)
		return err_set(err, E_INTERNAL, "DONE with %zu descriptors", message->fd_count);
	TRY(fd_read_all(message->fds[0], AGENT_REPLY_MAX, &reply, err));
	TRY(json_parse(buf_view(&message->body), MESSAGE_BODY_MAX, &index, err));
	TRY(agent_read_signature(index, &run->signed_by_agent, err));
	return json_parse(buf_view(&reply), AGENT_REPLY_MAX, &run->reply, err);
}

static int on_message(
	struct cupel *cupel, struct run *run, struct message *message, struct err *err)
{
	switch (message->type) {
	case AGENT_EVENT:
		on_event(cupel, buf_view(&message->body));
		return 0;
	case AGENT_REFUSED:
		return on_refused(buf_view(&message->body), err);
	case AGENT_STATEMENT:
		return agent_read_statement(message, CERT_PAYLOAD_TYPE, &run->signed_by_agent, err);
	case AGENT_DONE:
		return on_done(run, message, err);
	case AGENT_READY:
	case AGENT_ACCEPTED:
		return 0;
	default:
		return err_set(err, E_INTERNAL, "message %u from the agent", message->type);
	}
}

static int receive(struct cupel *cupel, struct run *run, struct err *err)
{
	AUTO(message_done) struct message message = {};
	TRY(message_receive(run->agent.socket, 0, &message, err));
	if (message.is_end)
		return err_set(err, E_UNAVAILABLE, "tee-agent ended without an answer");
	return on_message(cupel, run, &message, err);
}

/*
 * Ctrl-C once: the run is cancelled and certified as such. Twice: everything ends at once; but
 * timeout(1) signals its child and then its group, which is once.
 */
static int on_signal(struct run *run, uint64_t *cancelled_ms, struct err *err)
{
	struct signalfd_siginfo info;
	uint64_t now_ms = time_monotonic_ms();
	TRY(fd_read_exact(run->signal_fd, &info, sizeof(info), err));
	if (*cancelled_ms && now_ms - *cancelled_ms < SAME_SIGNAL_MS)
		return 0;
	if (*cancelled_ms)
		return err_set(err, E_CONFLICT, "stopped by a second signal; no certificate");
	*cancelled_ms = now_ms;
	return message_send(run->agent.socket, AGENT_CANCEL, (struct view){}, NULL, 0, err);
}

static int wait_for_end(struct cupel *cupel, struct run *run, struct err *err)
{
	uint64_t cancelled_ms = 0;
	while (!run->reply) {
		struct pollfd fds[] = {
			{ .fd = run->agent.socket, .events = POLLIN },
			{ .fd = run->signal_fd, .events = POLLIN },
		};
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return err_sys(err, E_INTERNAL, "poll");
		if (fds[1].revents)
			TRY(on_signal(run, &cancelled_ms, err));
		if (fds[0].revents)
			TRY(receive(cupel, run, err));
	}
	show_progress_end(cupel);
	return 0;
}

static int countersign(struct run *run, struct err *err)
{
	TRY(keys_countersign(&run->keys, buf_view(&run->issuer_spki), &run->signed_by_agent, err));
	return dsse_encode(&run->signed_by_agent, &run->envelope, err);
}

static int verify(struct run *run, struct err *err)
{
	auto_done(buf) output = {};
	const struct cert_collateral collateral = cert_collateral_of(run->local.platform.files);
	struct appraise_anchor anchor = { .label = "simulated:local", .is_simulated = true };
	memcpy(anchor.sha256, run->local.platform.root_sha256, SHA256_SIZE);
	const struct json *trace = json_get(run->reply, "execution_trace");
	uint8_t seed[TRACE_SEED_SIZE];
	TRY(hex_decode(json_as_view(json_get(trace, "seed")), seed, sizeof(seed), err));
	TRY(show_result_bytes(json_get(run->reply, "result"), "output", "encoding", &output, err));
	const struct cert_verify_input input = {
		.envelope = buf_view(&run->envelope),
		.issuer_spki = buf_view(&run->issuer_spki),
		.anchors = &anchor,
		.anchor_count = 1,
		.collateral = &collateral,
		.as_of_ms = time_wall_ms(),
		.measurement = view_of(run->local.measurement, LOCAL_MEASUREMENT_SIZE),
		.has_result = true,
		.result = buf_view(&output),
		.trace_events = json_get(trace, "events"),
		.is_reply = true,
		.trace_seed = view_of(seed, sizeof(seed)),
	};
	cert_verify(&input, &run->verification);
	return 0;
}

static int do_all(struct cupel *cupel, struct run *run, struct err *err)
{
	const int kept[] = { SANDBOX_RIGHTS, CAP_IPC_LOCK };
	TRY(proc_harden(false, err));
	TRY(proc_keep_rights(kept, ARRAY_SIZE(kept), err));
	TRY(fd_memfd("log", &run->log_fd, err));
	TRY(signals_hold(&run->signal_fd, err));
	TRY(start_platform(cupel, run, err));
	TRY(start_agent(run, err));
	TRY(send_run(run, err));
	TRY(wait_for_end(cupel, run, err));
	TRY(countersign(run, err));
	return verify(run, err);
}

/* What our processes logged: only worth a user's time when something failed inside. */
static void show_log(const struct run *run)
{
	auto_done(buf) text = {};
	struct err ignored;
	if (run->log_fd >= 0 && lseek(run->log_fd, 0, SEEK_SET) == 0 &&
		fd_read_all(run->log_fd, LOG_MAX, &text, &ignored) == 0)
		(void)!fd_write_all(STDERR_FILENO, buf_view(&text), &ignored);
}

int run_on_agent(struct cupel *cupel, struct run *run, struct err *err)
{
	int status = do_all(cupel, run, err);
	show_progress_end(cupel);
	if (status == E_INTERNAL || status == E_UNAVAILABLE)
		show_log(run);
	agent_end(&run->agent);
	keys_end(&run->keys);
	image_close(run->image);
	local_end(&run->local);
	fd_close(&run->body_fd);
	fd_close(&run->log_fd);
	fd_close(&run->signal_fd);
	return status;
}
