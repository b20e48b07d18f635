/*
 * The vTPM provider against swtpm, started here, and its quote under our own appraisal. Skipped
 * where swtpm is not installed.
 */
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engines/evidence/evidence.h"
#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "kit/base/time.h"
#include "kit/crypto/hash.h"
#include "rules/appraise/bundle.h"
#include "rules/appraise/tpm.h"
#include "unit.h"

#define SWTPM "/usr/bin/swtpm"

static char directory[64];
static char tcti[64];

static bool is_listening(unsigned port)
{
	const struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	auto_close fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
}

static pid_t start(void)
{
	char state[96], server[64], control[64];
	unsigned port = 20000 + (unsigned)getpid() % 20000;
	struct err err;
	ck_assert_ok(str_format(directory, sizeof(directory), &err, "/tmp/swtpm.XXXXXX"), err);
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_ok(str_format(state, sizeof(state), &err, "dir=%s", directory), err);
	ck_assert_ok(str_format(server, sizeof(server), &err, "type=tcp,port=%u", port), err);
	ck_assert_ok(str_format(control, sizeof(control), &err, "type=tcp,port=%u", port + 1), err);
	ck_assert_ok(
		str_format(tcti, sizeof(tcti), &err, "swtpm:host=127.0.0.1,port=%u", port), err);
	pid_t pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)execl(SWTPM, "swtpm", "socket", "--tpm2", "--tpmstate", state, "--server",
			server, "--ctrl", control, "--flags", "not-need-init,startup-clear",
			(char *)NULL);
		_exit(127);
	}
	for (size_t i = 0; i < 500 && !is_listening(port + 1); i++)
		(void)usleep(10000);
	return pid;
}

static int remove_entry(
	const char *path, const struct stat *status UNUSED, int type UNUSED, struct FTW *at UNUSED)
{
	return remove(path);
}

static void stop(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	(void)nftw(directory, remove_entry, 4, FTW_DEPTH | FTW_PHYS);
}

static uint8_t report_data[EVIDENCE_REPORT_DATA_SIZE] = { 1, 2, 3 };

static int ask(struct buf *quote, struct err *err)
{
	const struct evidence_source source = { .kind = EVIDENCE_VTPM, .path = tcti };
	const struct evidence_request request = { .report_data = view_of(
							  report_data, sizeof(report_data)) };
	return evidence_get(&source, &request, quote, err);
}

/* The name of the key, as a policy would list it: SHA-256 of its public area. */
static struct view name_of(struct view public, uint8_t name[static 34])
{
	name[0] = 0;
	name[1] = 0x0b;
	hash_bytes(HASH_SHA256, public, name + 2);
	return view_of(name, 34);
}

START_TEST(quotes_are_accepted_by_name_and_nonce)
{
	static struct policy_document policy;
	static struct appraise_result result;
	auto_done(buf) quote = {};
	struct bundle bundle;
	struct view evidence;
	uint8_t nonce[SHA256_SIZE], name[34];
	struct err err;
	if (access(SWTPM, X_OK) < 0) {
		printf("swtpm is not installed: skipped\n");
		return;
	}
	pid_t pid = start();
	int status = ask(&quote, &err);
	stop(pid);
	ck_assert_msg(status == 0, "%s", status ? err.message : "");
	ck_assert_ok(bundle_parse(buf_view(&quote), &bundle, &err), err);
	hash_bytes(HASH_SHA256, view_of(report_data, sizeof(report_data)), nonce);
	policy.policy.tpm.nonce = view_of(nonce, sizeof(nonce));
	policy.policy.tpm.required_pcrs = 0xffff;
	ck_assert_ok(bundle_appraise(&bundle, &policy, 0, &result, &evidence, &err), err);
	ck_assert_str_eq(result.reasons[0].code, "ak.untrusted_root"); /* nobody vouches for it */
	policy.policy.tpm.ak_names =
		(struct appraise_list){ { name_of(bundle.items[BUNDLE_AK_PUBLIC], name) }, 1 };
	ck_assert_ok(bundle_appraise(&bundle, &policy, 0, &result, &evidence, &err), err);
	ck_assert_msg(result.is_accepted, "%s", result.reasons[0].code);
	ck_assert_str_eq(result.anchor, "tpm-ak-name");
	nonce[0] ^= 1;
	ck_assert_ok(bundle_appraise(&bundle, &policy, 0, &result, &evidence, &err), err);
	ck_assert_str_eq(result.reasons[0].code, "tpm.nonce");
}
END_TEST

START_TEST(no_tpm_is_said)
{
	auto_done(buf) quote = {};
	struct err err;
	(void)snprintf(tcti, sizeof(tcti), "swtpm:host=127.0.0.1,port=1");
	ck_assert_fails(ask(&quote, &err), E_UNAVAILABLE, err);
}
END_TEST

UNIT_MAIN("evidence_vtpm", quotes_are_accepted_by_name_and_nonce, no_tpm_is_said)
