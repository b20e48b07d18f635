/*
 * The simulated platform on this machine, as cced and `cupel run` need it before the first agent:
 * a mount namespace of our own with a run directory in memory, the programs' paths, what the
 * simulated TD measures, and tee-sim with its root and collateral.
 *
 * Order: local_enter, (mount the image), local_hold_image, local_start, (start cced-keys),
 * local_unlock. Between the first and the last no other process of ours starts on the same state
 * directory, so that roots and keys are made once. Everything here ends with the process, however
 * it ends.
 */
#ifndef ENGINES_CVM_LOCAL_H
#define ENGINES_CVM_LOCAL_H

#include "engines/cvm/agent.h"
#include "kit/base/buf.h"
#include "kit/crypto/hash.h"

#define LOCAL_PATH_MAX 512
#define LOCAL_MEASUREMENT_SIZE 48
#define LOCAL_MEASUREMENTS_MAX 16 /* an upgrade makes a new one; the last ones stay known */

/* Intel's documents, then AMD's; a directory holds those of one of the two, or of both. */
enum local_file {
	LOCAL_TCB_INFO,
	LOCAL_TCB_CHAIN,
	LOCAL_QE_IDENTITY,
	LOCAL_QE_CHAIN,
	LOCAL_ROOT_CRL,
	LOCAL_PCK_CRL,
	LOCAL_CRL,
	LOCAL_VEK, /* this one and the next two may be missing: reports bring them */
	LOCAL_ASK,
	LOCAL_ARK,
	LOCAL_FILE_COUNT,
};

/* STATE/tee-sim, and another directory for a simulated SEV-SNP platform. */
#define LOCAL_SIM_DIR "/tee-sim"
#define LOCAL_SIM_SNP_DIR "/tee-sim-snp"

/* What a verifier needs of a platform. */
struct local_platform {
	struct buf root; /* DER of the root certificate; empty when there is none */
	uint8_t root_sha256[SHA256_SIZE];
	struct buf files[LOCAL_FILE_COUNT];
};

struct local {
	char state_dir[LOCAL_PATH_MAX];
	char run_dir[LOCAL_PATH_MAX];   /* tmpfs of our own mount namespace */
	char vault_dir[LOCAL_PATH_MAX]; /* agents mount their memory over it */
	char sim_dir[LOCAL_PATH_MAX];
	char sim_socket[LOCAL_PATH_MAX];
	char agent_path[LOCAL_PATH_MAX], sandbox_path[LOCAL_PATH_MAX], fetch_path[LOCAL_PATH_MAX];
	char keys_path[LOCAL_PATH_MAX], sim_path[LOCAL_PATH_MAX];
	uint8_t measurement[LOCAL_MEASUREMENT_SIZE]; /* MRTD of the simulated TD */
	struct buf known; /* measurements of this state directory, ours first: see below */
	struct local_platform platform;
	pid_t sim_pid;
	int sim_pidfd;
	int lock_fd;
	bool simulates_snp; /* set before local_start: the simulated platform is SEV-SNP, not TDX */
};

/* Nothing started, no descriptor. local_end accepts it. */
#define LOCAL_NONE { .sim_pidfd = -1, .lock_fd = -1 }

/*
 * Find the programs; enter a mount namespace of our own; make the state directory (0700), take the
 * lock, mount a tmpfs at STATE/run. E_DENIED without CAP_SYS_ADMIN, E_NOT_FOUND when a program is
 * missing, E_UNAVAILABLE when a directory cannot be made.
 */
int local_enter(struct local *local, const char *state_dir, struct err *err) MUST_CHECK;

/*
 * Make clones of this (detached) mount possible, which agents need: nothing from Linux 6.15, before
 * it the mount is attached below STATE/run. E_UNAVAILABLE.
 */
int local_hold_image(struct local *local, int image_fd, struct err *err) MUST_CHECK;

/* The same for a mask that sandboxes are built with ahead; in place of the former of that number.
 */
int local_hold_mask(struct local *local, int mask_fd, size_t number, struct err *err) MUST_CHECK;

/*
 * Measure agent, supervisor and image, make the platform on first use, start tee-sim and read its
 * root and collateral. log_fd gets tee-sim's JSON lines. E_UNAVAILABLE when it does not come up.
 */
int local_start(
	struct local *local, const char *image_digest, int log_fd, struct err *err) MUST_CHECK;

/*
 * Publish what verifiers on this machine look for, and let others start: the issuer's key as
 * STATE/issuer.pem, and in STATE/measurements what this and earlier versions measured, so that a
 * certificate outlives an upgrade. E_UNAVAILABLE when they cannot be written.
 */
int local_unlock(struct local *local, struct view issuer_spki, struct err *err) MUST_CHECK;

void local_end(struct local *local);

/* Fill the fields of an agent's configuration that this file knows; the rest is the caller's. */
void local_agent_config(const struct local *local, struct agent_config *config);

/*
 * Root and collateral of a platform directory (STATE/tee-sim, or one like it: root.der and
 * collateral/), without starting anything. E_NOT_FOUND when a file is missing: collateral is all of
 * Intel's documents, or AMD's CRL, or both.
 */
int local_platform_load(
	const char *directory, struct local_platform *ret_platform, struct err *err) MUST_CHECK;
int local_collateral_load(
	const char *directory, struct local_platform *platform, struct err *err) MUST_CHECK;
/*
 * STATE/measurements: hexadecimal lines, newest first. Appended to *ret_known as bytes, one behind
 * the other. E_NOT_FOUND, E_INVALID.
 */
int local_measurements_load(
	const char *state_dir, struct buf *ret_known, struct err *err) MUST_CHECK;
void local_platform_done(struct local_platform *platform);

#endif
