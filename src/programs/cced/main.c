/*
 * cced: start in order (own mount namespace, image, keys, platform, store, server), run the loop,
 * stop in reverse. Everything this process makes lives below its state directory or in its own
 * mount namespace, so kill -9 leaves nothing mounted and nothing running.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "engines/sandbox/sandbox.h"
#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/prompt.h"
#include "kit/base/str.h"
#include "kit/base/time.h"
#include "kit/crypto/setup.h"
#include "kit/proc/lockdown.h"
#include "programs/cced/cced.h"

enum { SWEEP_MS = 10000, LOCK_TRIES = 50, LOCK_PAUSE_USEC = 20000 };

/* One cced per state directory; the lock goes with the process. */
static int lock_state(const char *state_dir, struct err *err)
{
	char path[CCED_PATH_MAX];
	auto_close fd = -1;
	TRY(str_format(path, sizeof(path), err, "%s/cced.lock", state_dir));
	TRY(fd_open(path, O_RDWR | O_CREAT, 0600, &fd, err));
	/* A child that one killed a moment ago was just starting holds it until its exec. */
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
			(void)take_fd(&fd); /* held until the end */
			return 0;
		}
		(void)usleep(LOCK_PAUSE_USEC);
	}
	return err_set(err, E_CONFLICT, "another cced already serves %s", state_dir);
}

static int open_store(struct cced *cced, struct err *err)
{
	char path[CCED_PATH_MAX];
	TRY(str_format(path, sizeof(path), err, "%s/cced.sqlite", cced->config.state_dir));
	return store_open(path, &cced->store, err);
}

/* tee-sim and cced-keys; what they make on first use is made by one process at a time. */
bool cced_is_simulated(const struct cced *cced)
{
	return str_starts(cced->config.platform, "simulated");
}

static int check_platform(const struct cced *cced, struct err *err)
{
	static const char *const names[] = { "simulated", "simulated-snp", "configfs-tsm", "dstack",
		"sev-guest", "tdx-guest" };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (str_equal(cced->config.platform, names[i]))
			return 0;
	return err_set(err, E_INVALID,
		"setting platform: expected simulated, simulated-snp, configfs-tsm, dstack, "
		"sev-guest "
		"or tdx-guest");
}

static int start_platform(struct cced *cced, struct err *err)
{
	char path[CCED_PATH_MAX];
	struct local *local = &cced->local;
	TRY(local_hold_image(local, image_root_fd(cced->image), err));
	TRY(check_platform(cced, err));
	if (cced_is_simulated(cced)) {
		local->simulates_snp = str_equal(cced->config.platform, "simulated-snp");
		TRY(local_start(local, image_digest(cced->image), cced->log.fd, err));
		cced->anchor = (struct appraise_anchor){
			.label = "simulated:local",
			.is_simulated = true,
		};
		memcpy(cced->anchor.sha256, local->platform.root_sha256, SHA256_SIZE);
	} else if (*cced->config.collateral_dir) {
		TRY(local_collateral_load(cced->config.collateral_dir, &local->platform, err));
	}
	TRY(str_format(path, sizeof(path), err, "%s/keys", cced->config.state_dir));
	TRY(keys_start(local->keys_path, path, cced->log.fd, &cced->keys, err));
	TRY(keys_public(&cced->keys, &cced->issuer_spki, err));
	return local_unlock(local, buf_view(&cced->issuer_spki), err);
}

static int start_tls(struct cced *cced, struct err *err)
{
	uint8_t digest[SHA256_SIZE];
	char hex[CERT_DIGEST_TEXT], path[CCED_PATH_MAX];
	auto_done(buf) pem = {};
	const struct config *config = &cced->config;
	if (*config->tls_certificate)
		return http_tls_new(config->tls_certificate, config->tls_key, &cced->tls, err);
	if (!config->has_tls)
		return 0;
	TRY(http_tls_new_self_signed(NULL, digest, &cced->tls, err));
	log_event(&cced->log, LOG_INFO, "self_signed_certificate", "sha256",
		hex_encode(view_of(digest, sizeof(digest)), hex), NULL);
	TRY(http_tls_certificate(cced->tls, &pem, err));
	TRY(str_format(path, sizeof(path), err, "%s/tls.pem", config->state_dir));
	return fd_write_file_atomic(path, buf_view(&pem), 0644, err);
}

static void on_closed(void *user)
{
	struct cced *cced = user;
	cced->server = NULL;
	uv_stop(&cced->loop);
}

static void stop_now(struct cced *cced)
{
	if (!cced->server)
		return;
	http_server_close(cced->server, on_closed, cced);
}

static void on_drain(uv_timer_t *timer)
{
	struct cced *cced = timer->data;
	uint64_t waited_ms = time_monotonic_ms() - cced->started_ms;
	bool is_late = waited_ms > CCED_DRAIN_MS;
	if ((cced->running || cced->open_requests) && !is_late)
		return;
	(void)uv_timer_stop(timer);
	stop_now(cced);
}

static void on_signal(uv_signal_t *signal, int number)
{
	struct cced *cced = signal->data;
	(void)number;
	if (cced->is_stopping) { /* asked twice: at once */
		stop_now(cced);
		return;
	}
	cced->is_stopping = true;
	cced->started_ms = time_monotonic_ms(); /* from here the drain is counted */
	log_event(&cced->log, LOG_INFO, "stopping", NULL);
	http_server_stop_listening(cced->server);
	jobs_stop(cced);
	(void)uv_timer_init(&cced->loop, &cced->drain);
	cced->drain.data = cced;
	(void)uv_timer_start(&cced->drain, on_drain, 0, 20);
}

/*
 * Without tee-sim there is no evidence, without cced-keys no signature: nothing can be certified
 * any more. End at once, as a failure; what breaks off is certified as lost by the next start.
 */
static void on_helper_death(uv_poll_t *watch, int status, int events)
{
	struct cced *cced = watch->data;
	(void)status;
	(void)events;
	(void)uv_poll_stop(watch);
	if (cced->is_stopping)
		return;
	cced->lost_helper = watch == &cced->helpers[0] ? "tee-sim" : "cced-keys";
	log_event(&cced->log, LOG_ERROR, "helper_died", "helper", cced->lost_helper, NULL);
	cced->is_stopping = true;
	jobs_stop(cced);
	stop_now(cced);
}

static void watch_helpers(struct cced *cced)
{
	const int pidfds[] = { cced->local.sim_pidfd, cced->keys.pidfd };
	for (size_t i = 0; i < ARRAY_SIZE(pidfds); i++) {
		if (uv_poll_init(&cced->loop, &cced->helpers[i], pidfds[i]) != 0)
			continue;
		cced->helpers[i].data = cced;
		(void)uv_poll_start(&cced->helpers[i], UV_READABLE, on_helper_death);
	}
}

/* Kept replies that nobody fetched, and cgroups of supervisors that were killed. */
static void on_sweep(uv_timer_t *timer)
{
	struct cced *cced = timer->data;
	struct err err;
	uint32_t removed;
	uint64_t forgotten;
	jobs_sweep(cced, NULL);
	if (store_jobs_forget(cced->store, time_wall_ms() - CCED_JOBS_KEPT_MS, &forgotten, &err) <
		0)
		log_event(&cced->log, LOG_WARNING, "forget", "error", err.message, NULL);
	if (sandbox_sweep(&removed, &err) < 0)
		log_event(&cced->log, LOG_WARNING, "sweep", "error", err.message, NULL);
}

static void start_timers(struct cced *cced)
{
	static const int numbers[] = { SIGTERM, SIGINT };
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		(void)uv_signal_init(&cced->loop, &cced->signals[i]);
		cced->signals[i].data = cced;
		(void)uv_signal_start(&cced->signals[i], on_signal, numbers[i]);
	}
	(void)uv_timer_init(&cced->loop, &cced->sweep);
	cced->sweep.data = cced;
	(void)uv_timer_start(&cced->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
}

/* How a client on this machine reaches us: a wildcard address is none to connect to. */
static const char *local_host(const char *address)
{
	if (str_equal(address, "0.0.0.0"))
		return "127.0.0.1";
	return str_equal(address, "::") ? "::1" : address;
}

static void announce(struct cced *cced)
{
	char url[160];
	struct err ignored;
	const char *host = local_host(cced->config.address);
	bool is_v6 = strchr(host, ':') != NULL;
	(void)!str_format(url, sizeof(url), &ignored, "%s://%s%s%s:%u",
		cced->tls ? "https" : "http", is_v6 ? "[" : "", host, is_v6 ? "]" : "",
		http_server_port(cced->server));
	log_event(&cced->log, LOG_INFO, "listening", "url", url, "state_dir",
		cced->config.state_dir, "platform", cced->config.platform, "image",
		image_digest(cced->image), NULL);
	char path[CCED_PATH_MAX];
	(void)!str_format(path, sizeof(path), &ignored, "%s/url", cced->config.state_dir);
	if (fd_write_file_atomic(path, view_string(url), 0644, &ignored) < 0)
		log_event(&cced->log, LOG_WARNING, "url_file", "error", ignored.message, NULL);
}

/* What cced, its agents and its sandboxes need of root; and secrets of any size locked. */
static int keep_rights(bool is_starting, struct err *err)
{
	const int kept[] = { SANDBOX_RIGHTS, CAP_IPC_LOCK, CAP_NET_BIND_SERVICE };
	return proc_keep_rights(kept, ARRAY_SIZE(kept) - !is_starting, err);
}

static int start(struct cced *cced, struct err *err)
{
	uint32_t swept = 0;
	uint64_t preloaded_bytes;
	char image_state[CCED_PATH_MAX];
	if (cced->config.concurrency == 0)
		cced->config.concurrency = (uint64_t)get_nprocs();
	TRY(proc_harden(false, err));
	TRY(keep_rights(true, err));
	TRY(proc_refuse_kernel(err));
	TRY(local_enter(&cced->local, cced->config.state_dir, err));
	TRY(lock_state(cced->config.state_dir, err));
	TRY(auth_load(cced->config.state_dir, cced->config.tokens_path, &cced->auth, err));
	TRY(str_format(image_state, sizeof(image_state), err, "%s",
		image_state_for(cced->config.state_dir)));
	TRY(image_open(image_state, cced->config.image, 0, &cced->image, err));
	TRY(image_preload(cced->image, &preloaded_bytes, err));
	TRY(start_platform(cced, err));
	TRY(open_store(cced, err));
	TRY(sandbox_sweep(&swept, err));
	TRY(start_tls(cced, err));
	TRY(api_start(cced, err));
	TRY(keep_rights(false, err)); /* it listens now */
	TRY(slots_start(cced, err));
	agents_start(cced);
	start_timers(cced);
	watch_helpers(cced);
	jobs_recover(cced);
	prompt_self();
	announce(cced);
	return 0;
}

static void stop(struct cced *cced)
{
	struct err ignored;
	uint32_t removed;
	slots_stop(cced);
	agents_stop(cced);
	jobs_free_all(cced);
	if (sandbox_sweep(&removed, &ignored) < 0) /* the next start does it again */
		removed = 0;
	local_end(&cced->local);
	keys_end(&cced->keys);
	store_close(cced->store);
	http_tls_free(cced->tls);
	image_close(cced->image);
}

static int run(struct cced *cced, struct err *err)
{
	int status = start(cced, err);
	if (status == 0) {
		(void)uv_run(&cced->loop, UV_RUN_DEFAULT);
		log_event(&cced->log, LOG_INFO, "stopped", NULL);
	}
	stop(cced);
	if (status == 0 && cced->lost_helper)
		return err_set(err, E_UNAVAILABLE,
			"%s died; start cced again, which certifies the jobs that broke off",
			cced->lost_helper);
	return status;
}

int main(int argc, char **argv)
{
	static struct cced cced; /* large, and there is only one */
	struct err err;
	bool is_help = false;
	cced.log = (struct log){ "cced", STDERR_FILENO, LOG_INFO };
	json_setup();
	crypto_setup();
	int status = fd_hold_stdio(&err);
	if (status == 0)
		status = config_load(argc, argv, &cced.config, &is_help, &err);
	if (status == 0)
		status = log_level_parse(cced.config.log_level, &cced.log.level, &err);
	if (is_help && status == 0)
		return EXIT_SUCCESS;
	cced.started_ms = time_monotonic_ms();
	cced.keys.socket = -1;
	cced.local = (struct local)LOCAL_NONE;
	if (status == 0 && uv_loop_init(&cced.loop) != 0)
		status = err_set(&err, E_INTERNAL, "libuv did not start");
	if (status == 0)
		status = run(&cced, &err);
	if (status == 0)
		return EXIT_SUCCESS;
	log_event(&cced.log, LOG_ERROR, "failed", "category", err_category_name(err.category),
		"error", err.message, NULL);
	return EXIT_FAILURE;
}
