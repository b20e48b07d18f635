/* See local.h. */
#include "engines/cvm/local.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "kit/codec/hex.h"
#include "kit/crypto/sign.h"
#include "kit/proc/spawn.h"

enum {
	SIM_START_MS = 3000,
	FILE_MAX = 1 << 20,
	EXE_MAX = 64 << 20,
	MEASUREMENT_LINE = 2 * LOCAL_MEASUREMENT_SIZE + 1,
};

static const char *const file_names[LOCAL_FILE_COUNT] = {
	[LOCAL_TCB_INFO] = "tcb_info.json",
	[LOCAL_TCB_CHAIN] = "tcb_chain.pem",
	[LOCAL_QE_IDENTITY] = "qe_identity.json",
	[LOCAL_QE_CHAIN] = "qe_chain.pem",
	[LOCAL_ROOT_CRL] = "root_crl.der",
	[LOCAL_PCK_CRL] = "pck_crl.der",
	[LOCAL_CRL] = "crl.der",
	[LOCAL_VEK] = "vek.der",
	[LOCAL_ASK] = "ask.der",
	[LOCAL_ARK] = "ark.der",
};

static int make_directory(const char *path, struct err *err)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_sys(
			err, E_UNAVAILABLE, "making %s (is the state directory writable?)", path);
	return 0;
}

static int name_paths(struct local *local, const char *state_dir, struct err *err)
{
	static const struct {
		const char *format;
		size_t offset;
	} rows[] = {
		{ "", offsetof(struct local, state_dir) },
		{ "/run", offsetof(struct local, run_dir) },
		{ "/run/vault", offsetof(struct local, vault_dir) },
		{ "/run/tee-sim.sock", offsetof(struct local, sim_socket) },
		{ LOCAL_SIM_DIR, offsetof(struct local, sim_dir) },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		TRY(str_format((char *)local + rows[i].offset, LOCAL_PATH_MAX, err, "%s%s",
			state_dir, rows[i].format));
	TRY(proc_sibling("tee-agent", local->agent_path, LOCAL_PATH_MAX, err));
	TRY(proc_sibling("cupel-sandbox", local->sandbox_path, LOCAL_PATH_MAX, err));
	TRY(proc_sibling("tee-fetch", local->fetch_path, LOCAL_PATH_MAX, err));
	TRY(proc_sibling("cced-keys", local->keys_path, LOCAL_PATH_MAX, err));
	return proc_sibling("tee-sim", local->sim_path, LOCAL_PATH_MAX, err);
}

static int lock(struct local *local, struct err *err)
{
	char path[LOCAL_PATH_MAX];
	TRY(str_format(path, sizeof(path), err, "%s/start.lock", local->state_dir));
	TRY(fd_open(path, O_RDWR | O_CREAT, 0600, &local->lock_fd, err));
	while (flock(local->lock_fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return err_sys(err, E_UNAVAILABLE, "locking %s", path);
	return 0;
}

int local_enter(struct local *local, const char *state_dir, struct err *err)
{
	TRY(name_paths(local, state_dir, err));
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(err, E_DENIED,
			"own mount namespace: expected the rights of root; run as root (see cupel "
			"doctor)");
	TRY(make_directory(state_dir, err));
	TRY(make_directory(local->run_dir, err));
	TRY(lock(local, err));
	if (mount("cupel", local->run_dir, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		    "size=1m,mode=0700") < 0)
		return err_sys(err, E_UNAVAILABLE, "tmpfs at %s", local->run_dir);
	return make_directory(local->vault_dir, err);
}

/* Attached, unless the kernel clones detached mounts. */
static int hold(int mount_fd, const char *path, struct err *err)
{
	auto_close clone = (int)syscall(
		SYS_open_tree, mount_fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (clone >= 0)
		return 0;
	TRY(make_directory(path, err));
	(void)umount2(path, MNT_DETACH); /* the former, if there is one */
	if (syscall(SYS_move_mount, mount_fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(err, E_UNAVAILABLE, "attaching a mount at %s", path);
	return 0;
}

int local_hold_image(struct local *local, int image_fd, struct err *err)
{
	char path[LOCAL_PATH_MAX];
	TRY(str_format(path, sizeof(path), err, "%s/image", local->run_dir));
	return hold(image_fd, path, err);
}

int local_hold_mask(struct local *local, int mask_fd, size_t number, struct err *err)
{
	char path[LOCAL_PATH_MAX];
	TRY(str_format(path, sizeof(path), err, "%s/mask-%zu", local->run_dir, number));
	return hold(mask_fd, path, err);
}

/* What the simulated TD measures: the agent and the supervisor programs and the image. */
static int measure(struct local *local, const char *image_digest, struct err *err)
{
	const char *const paths[] = { local->agent_path, local->sandbox_path };
	auto_hash *stream = hash_stream_new(HASH_SHA384);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		auto_done(buf) program = {};
		uint8_t digest[SHA384_SIZE];
		TRY(fd_read_file(paths[i], EXE_MAX, &program, err));
		hash_bytes(HASH_SHA384, buf_view(&program), digest);
		hash_stream_update(stream, view_of(digest, sizeof(digest)));
	}
	hash_stream_update(stream, view_string(image_digest));
	hash_stream_final(stream, local->measurement);
	return 0;
}

static int run_to_end(const char *path, const char *const *argv, int log_fd, struct err *err)
{
	pid_t pid;
	auto_close pidfd = -1;
	int code;
	struct proc_spawn spawn = {
		.path = path, .argv = argv, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = log_fd
	};
	TRY(proc_spawn(&spawn, &pid, &pidfd, err));
	TRY(proc_wait(pid, &code, err));
	if (code != 0)
		return err_set(err, E_UNAVAILABLE, "%s %s ended with %d", path, argv[1], code);
	return 0;
}

int local_collateral_load(const char *directory, struct local_platform *platform, struct err *err)
{
	char path[LOCAL_PATH_MAX];
	TRY(str_format(path, sizeof(path), err, "%s/%s", directory, file_names[LOCAL_CRL]));
	bool has_crl = access(path, F_OK) == 0;
	TRY(str_format(path, sizeof(path), err, "%s/%s", directory, file_names[LOCAL_TCB_INFO]));
	bool has_tdx = !has_crl || access(path, F_OK) == 0;
	for (size_t i = 0; i < LOCAL_FILE_COUNT; i++) {
		bool is_required = i < LOCAL_CRL ? has_tdx : i == LOCAL_CRL && has_crl;
		TRY(str_format(path, sizeof(path), err, "%s/%s", directory, file_names[i]));
		buf_done(&platform->files[i]);
		if (is_required || access(path, F_OK) == 0)
			TRY(fd_read_file(path, FILE_MAX, &platform->files[i], err));
	}
	return 0;
}

int local_platform_load(const char *directory, struct local_platform *ret_platform, struct err *err)
{
	char path[LOCAL_PATH_MAX];
	auto_done(local_platform) platform = {};
	TRY(str_format(path, sizeof(path), err, "%s/root.der", directory));
	TRY(fd_read_file(path, FILE_MAX, &platform.root, err));
	hash_bytes(HASH_SHA256, buf_view(&platform.root), platform.root_sha256);
	TRY(str_format(path, sizeof(path), err, "%s/collateral", directory));
	TRY(local_collateral_load(path, &platform, err));
	*ret_platform = platform;
	platform = (struct local_platform){};
	return 0;
}

void local_platform_done(struct local_platform *platform)
{
	buf_done(&platform->root);
	for (size_t i = 0; i < LOCAL_FILE_COUNT; i++)
		buf_done(&platform->files[i]);
}

static int wait_for_socket(const struct local *local, struct err *err)
{
	for (int waited = 0; access(local->sim_socket, F_OK) < 0; waited++) {
		if (waited == SIM_START_MS)
			return err_set(err, E_UNAVAILABLE,
				"tee-sim did not open its socket in %d ms (its log line says why)",
				SIM_START_MS);
		(void)usleep(1000);
	}
	return 0;
}

int local_start(struct local *local, const char *image_digest, int log_fd, struct err *err)
{
	char mrtd[HEX_SIZE(LOCAL_MEASUREMENT_SIZE)], root[LOCAL_PATH_MAX];
	TRY(measure(local, image_digest, err));
	if (local->simulates_snp)
		TRY(str_format(local->sim_dir, sizeof(local->sim_dir), err, "%s" LOCAL_SIM_SNP_DIR,
			local->state_dir));
	TRY(str_format(root, sizeof(root), err, "%s/root.der", local->sim_dir));
	if (access(root, F_OK) < 0)
		TRY(run_to_end(local->sim_path,
			(const char *[]){ "tee-sim", "init", local->sim_dir,
				local->simulates_snp ? "snp" : NULL, NULL },
			log_fd, err));
	(void)hex_encode(view_of(local->measurement, sizeof(local->measurement)), mrtd);
	struct proc_spawn spawn = {
		.path = local->sim_path,
		.argv = (const char *[]){ "tee-sim", "serve", "--dir", local->sim_dir, "--socket",
			local->sim_socket, "--mrtd", mrtd, "--die-with-parent", NULL },
		.stdin_fd = -1,
		.stdout_fd = -1,
		.stderr_fd = log_fd,
	};
	TRY(proc_spawn(&spawn, &local->sim_pid, &local->sim_pidfd, err));
	TRY(wait_for_socket(local, err));
	return local_platform_load(local->sim_dir, &local->platform, err);
}

int local_measurements_load(const char *state_dir, struct buf *ret_known, struct err *err)
{
	char path[LOCAL_PATH_MAX];
	auto_done(buf) text = {};
	TRY(str_format(path, sizeof(path), err, "%s/measurements", state_dir));
	TRY(fd_read_file(path, LOCAL_MEASUREMENTS_MAX * MEASUREMENT_LINE, &text, err));
	if (text.size % MEASUREMENT_LINE != 0)
		return err_set(err, E_INVALID, "%s: expected lines of %d hexadecimal digits", path,
			MEASUREMENT_LINE - 1);
	for (size_t at = 0; at < text.size; at += MEASUREMENT_LINE) {
		uint8_t one[LOCAL_MEASUREMENT_SIZE];
		TRY(hex_decode(
			view_of(text.data + at, MEASUREMENT_LINE - 1), one, sizeof(one), err));
		TRY(buf_append(ret_known, view_of(one, sizeof(one)), err));
	}
	return 0;
}

/* Ours first, then the others that are known, without a second one of ours. */
static int publish_measurements(struct local *local, struct err *err)
{
	char path[LOCAL_PATH_MAX], line[HEX_SIZE(LOCAL_MEASUREMENT_SIZE)];
	auto_done(buf) old = {};
	auto_done(buf) text = {};
	struct view own = view_of(local->measurement, LOCAL_MEASUREMENT_SIZE);
	int status = local_measurements_load(local->state_dir, &old, err);
	if (status < 0 && status != E_NOT_FOUND)
		return status;
	TRY(buf_append(&local->known, own, err));
	for (size_t at = 0; at < old.size; at += LOCAL_MEASUREMENT_SIZE) {
		struct view one = view_of(old.data + at, LOCAL_MEASUREMENT_SIZE);
		if (!view_equal(one, own) && local->known.size < LOCAL_MEASUREMENTS_MAX * own.size)
			TRY(buf_append(&local->known, one, err));
	}
	for (size_t at = 0; at < local->known.size; at += LOCAL_MEASUREMENT_SIZE) {
		(void)hex_encode(view_of(local->known.data + at, LOCAL_MEASUREMENT_SIZE), line);
		TRY(buf_append_format(&text, err, "%s\n", line));
	}
	TRY(str_format(path, sizeof(path), err, "%s/measurements", local->state_dir));
	return fd_write_file_atomic(path, buf_view(&text), 0644, err);
}

int local_unlock(struct local *local, struct view issuer_spki, struct err *err)
{
	char path[LOCAL_PATH_MAX];
	auto_done(buf) pem = {};
	TRY(sign_spki_to_pem(issuer_spki, &pem, err));
	TRY(str_format(path, sizeof(path), err, "%s/issuer.pem", local->state_dir));
	TRY(fd_write_file_atomic(path, buf_view(&pem), 0644, err));
	if (local->sim_pid > 0) /* a hardware platform measures by itself */
		TRY(publish_measurements(local, err));
	fd_close(&local->lock_fd);
	return 0;
}

void local_end(struct local *local)
{
	struct err ignored;
	int code;
	fd_close(&local->lock_fd);
	local_platform_done(&local->platform);
	buf_done(&local->known);
	if (local->sim_pid <= 0)
		return;
	(void)kill(local->sim_pid, SIGKILL);
	if (proc_wait(local->sim_pid, &code, &ignored) < 0)
		code = 0; /* reaped elsewhere: nothing left to do */
	fd_close(&local->sim_pidfd);
	local->sim_pid = 0;
}

void local_agent_config(const struct local *local, struct agent_config *config)
{
	config->agent_path = local->agent_path;
	config->sandbox_path = local->sandbox_path;
	config->fetch_path = local->fetch_path;
	config->platform = "simulated";
	config->evidence_path = local->sim_socket;
	config->vault_path = local->vault_dir;
}
