/*
 * Evidence end to end on the simulated platform: tee-sim makes a platform and serves it, the
 * engine asks for a quote, the rules appraise it. Then the properties of appraisal: every flipped
 * bit and every truncation is refused.
 */
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engines/evidence/evidence.h"
#include "engines/evidence/sim_wire.h"
#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "kit/base/time.h"
#include "kit/crypto/hash.h"
#include "kit/proc/spawn.h"
#include "rules/appraise/tdx.h"
#include "unit.h"

#define MRTD_TEXT                                          \
	"111111111111111111111111111111111111111111111111" \
	"111111111111111111111111111111111111111111111111"

static char directory[64];
static char socket_path[96];

struct fixture {
	pid_t server;
	struct buf files[7];
	struct buf quote;
	struct appraise_anchor anchor;
	struct appraise_policy policy;
	struct appraise_tdx_input input;
	uint8_t report_data[EVIDENCE_REPORT_DATA_SIZE];
};

static void run_program(const char *const *argv, bool is_waited, pid_t *ret_pid)
{
	char path[PATH_MAX];
	struct err err;
	int pidfd = -1, code = 0;
	ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 1);
	ck_assert(size > 0);
	path[size] = 0;
	*strrchr(path, '/') = 0;
	strncat(path, "/../../src/programs/tee-sim/tee-sim", sizeof(path) - strlen(path) - 1);
	const struct proc_spawn spawn = {
		.path = path, .argv = argv, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1
	};
	ck_assert_ok(proc_spawn(&spawn, ret_pid, &pidfd, &err), err);
	fd_close(&pidfd);
	if (!is_waited)
		return;
	ck_assert_ok(proc_wait(*ret_pid, &code, &err), err);
	ck_assert_int_eq(code, 0);
}

static void load(struct fixture *f)
{
	static const char *const names[] = { "collateral/tcb_info.json", "collateral/tcb_chain.pem",
		"collateral/qe_identity.json", "collateral/qe_chain.pem", "collateral/root_crl.der",
		"collateral/pck_crl.der", "root.der" };
	struct err err;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char path[128];
		ck_assert_ok(
			str_format(path, sizeof(path), &err, "%s/%s", directory, names[i]), err);
		ck_assert_ok(fd_read_file(path, 1 << 20, &f->files[i], &err), err);
	}
	f->input.collateral = (struct tdx_collateral){ buf_view(&f->files[0]),
		buf_view(&f->files[1]), buf_view(&f->files[2]), buf_view(&f->files[3]),
		buf_view(&f->files[4]), buf_view(&f->files[5]) };
	f->anchor = (struct appraise_anchor){ .label = "simulated:test", .is_simulated = true };
	hash_bytes(HASH_SHA256, buf_view(&f->files[6]), f->anchor.sha256);
	f->policy.simulated_roots = (struct appraise_list){
		{ view_of(f->anchor.sha256, sizeof(f->anchor.sha256)) }, 1
	};
	f->input.anchors = &f->anchor;
	f->input.anchor_count = 1;
	f->input.policy = &f->policy;
	f->input.as_of_ms = time_wall_ms();
}

static void setup(struct fixture *f)
{
	*f = (struct fixture){};
	struct err err;
	ck_assert_ok(str_format(directory, sizeof(directory), &err, "/tmp/evidence.XXXXXX"), err);
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_ok(
		str_format(socket_path, sizeof(socket_path), &err, "%s/socket", directory), err);
	const char *const init[] = { "tee-sim", "init", directory, NULL };
	run_program(init, true, &f->server);
	const char *const serve[] = { "tee-sim", "serve", "--dir", directory, "--socket",
		socket_path, "--mrtd", MRTD_TEXT, "--die-with-parent", NULL };
	run_program(serve, false, &f->server);
	for (size_t i = 0; i < 500 && access(socket_path, F_OK) < 0; i++)
		(void)usleep(10000);
	for (size_t i = 0; i < sizeof(f->report_data); i++)
		f->report_data[i] = (uint8_t)i;
	load(f);
}

static void get_quote(struct fixture *f, size_t extensions)
{
	static const uint8_t digest[EVIDENCE_DIGEST_SIZE] = { 7 };
	const struct evidence_source source = { .kind = EVIDENCE_SIMULATED, .path = socket_path };
	struct evidence_request request = { .report_data = view_of(
						    f->report_data, sizeof(f->report_data)),
		.extension_count = extensions };
	struct err err;
	for (size_t i = 0; i < extensions; i++)
		request.extensions[i] = view_of(digest, sizeof(digest));
	buf_done(&f->quote);
	ck_assert_ok(evidence_get(&source, &request, &f->quote, &err), err);
	f->input.quote = buf_view(&f->quote);
}

static int remove_entry(
	const char *path, const struct stat *status UNUSED, int type UNUSED, struct FTW *at UNUSED)
{
	return remove(path);
}

static void teardown(struct fixture *f)
{
	int code;
	struct err err;
	ck_assert_int_eq(kill(f->server, SIGTERM), 0);
	ck_assert_ok(proc_wait(f->server, &code, &err), err);
	ck_assert_int_eq(code, 0);
	for (size_t i = 0; i < ARRAY_SIZE(f->files); i++)
		buf_done(&f->files[i]);
	buf_done(&f->quote);
	ck_assert_int_eq(nftw(directory, remove_entry, 4, FTW_DEPTH | FTW_PHYS), 0);
}

START_TEST(quotes_are_accepted_when_policy_names_the_root)
{
	struct fixture f;
	struct appraise_result result;
	setup(&f);
	get_quote(&f, 0);
	f.policy.report_data = view_of(f.report_data, sizeof(f.report_data));
	appraise_tdx(&f.input, &result);
	ck_assert_msg(result.is_accepted, "%s", result.reasons[0].code);
	ck_assert(result.is_simulated);
	ck_assert_str_eq(result.anchor, "simulated:test");
	ck_assert_uint_eq(result.unchecked_count, 0);
	ck_assert_int_eq(result.status, TCB_UP_TO_DATE);
	ck_assert_int_eq(result.measurement.data[0], 0x11);

	f.policy.simulated_roots.count = 0; /* the strict profile */
	appraise_tdx(&f.input, &result);
	ck_assert(!result.is_accepted);
	ck_assert_str_eq(result.reasons[0].code, "anchor.simulated");
	teardown(&f);
}
END_TEST

START_TEST(absent_collateral_is_refused_or_said)
{
	struct fixture f;
	struct appraise_result result;
	setup(&f);
	get_quote(&f, 0);
	f.input.collateral = (struct tdx_collateral){};
	appraise_tdx(&f.input, &result);
	ck_assert(!result.is_accepted);
	ck_assert_str_eq(result.reasons[0].code, "root_crl.missing");
	f.policy.is_collateral_optional = true;
	appraise_tdx(&f.input, &result);
	ck_assert_msg(result.is_accepted, "%s", result.reasons[0].code);
	ck_assert_uint_eq(result.unchecked_count, 4);
	ck_assert_int_eq(result.status, TCB_UNKNOWN);
	teardown(&f);
}
END_TEST

START_TEST(digests_extend_rtmr3)
{
	struct fixture f;
	struct appraise_result result;
	uint8_t expected[SHA384_SIZE] = {}, digest[SHA384_SIZE] = { 7 };
	setup(&f);
	get_quote(&f, 2);
	appraise_tdx(&f.input, &result);
	ck_assert(result.is_accepted);
	for (size_t i = 0; i < 2; i++) {
		struct view parts[] = { view_of(expected, sizeof(expected)),
			view_of(digest, sizeof(digest)) };
		uint8_t next[SHA384_SIZE];
		hash_parts(HASH_SHA384, parts, 2, next);
		memcpy(expected, next, sizeof(next));
	}
	ck_assert(view_equal(result.rtmr[3], view_of(expected, sizeof(expected))));
	teardown(&f);
}
END_TEST

/* One bit of each byte; CUPEL_SLOW asks for all eight. */
START_TEST(no_flipped_bit_and_no_truncation_is_accepted)
{
	struct fixture f;
	struct appraise_result result;
	auto_done(appraise_memo) memo = {};
	setup(&f);
	get_quote(&f, 0);
	f.input.memo = &memo;
	size_t step = getenv("CUPEL_SLOW") ? 1 : 8, size = f.quote.size;
	auto_free uint8_t *copy = mem_alloc(size, 1);
	for (size_t bit = 0; bit < size * 8; bit += step) {
		size_t at = step == 1 ? bit : bit + (bit / 8 * 5) % 8;
		memcpy(copy, f.quote.data, size);
		copy[at / 8] ^= (uint8_t)(1U << at % 8);
		f.input.quote = view_of(copy, size);
		appraise_tdx(&f.input, &result);
		ck_assert_msg(!result.is_accepted, "bit %zu flipped and accepted", at);
	}
	for (size_t cut = 0; cut < size; cut++) {
		/* Exactly sized, so that reading beyond shows under a sanitizer. */
		auto_free uint8_t *part = mem_alloc(cut + 1, 1);
		memcpy(part, f.quote.data, cut);
		f.input.quote = view_of(part, cut);
		appraise_tdx(&f.input, &result);
		ck_assert_msg(!result.is_accepted, "cut after %zu bytes and accepted", cut);
	}
	teardown(&f);
}
END_TEST

START_TEST(server_refuses_malformed_requests_and_lives)
{
	struct fixture f;
	struct err err;
	setup(&f);
	const struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct sockaddr_un to = address;
	ck_assert_ok(str_format(to.sun_path, sizeof(to.sun_path), &err, "%s", socket_path), err);
	static const size_t sizes[] = { 1, 4, sizeof(struct sim_wire_request) - 1,
		sizeof(struct sim_wire_request) + 1 };
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint8_t junk[sizeof(struct sim_wire_request) + 1] = { 1 };
		auto_close fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
		ck_assert_int_eq(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
		ck_assert_int_eq(send(fd, junk, sizes[i], MSG_NOSIGNAL), (ssize_t)sizes[i]);
		ck_assert_int_eq(recv(fd, junk, sizeof(junk), 0), 0); /* closed */
	}
	get_quote(&f, 0); /* still there */
	const struct evidence_source source = { .kind = EVIDENCE_SIMULATED,
		.path = "/nonexistent" };
	struct evidence_request request = { .report_data = view_of("short", 5) };
	ck_assert_fails(evidence_get(&source, &request, &f.quote, &err), E_INVALID, err);
	request.report_data = view_of(f.report_data, sizeof(f.report_data));
	ck_assert_fails(evidence_get(&source, &request, &f.quote, &err), E_UNAVAILABLE, err);
	const struct evidence_source vtpm = { .kind = EVIDENCE_VTPM };
	ck_assert_fails(evidence_get(&vtpm, &request, &f.quote, &err), E_UNSUPPORTED, err);
	request.extension_count = EVIDENCE_EXTENSIONS_MAX + 1;
	ck_assert_fails(evidence_get(&source, &request, &f.quote, &err), E_INVALID, err);
	teardown(&f);
}
END_TEST

UNIT_MAIN("evidence", quotes_are_accepted_when_policy_names_the_root,
	absent_collateral_is_refused_or_said, digests_extend_rtmr3,
	no_flipped_bit_and_no_truncation_is_accepted, server_refuses_malformed_requests_and_lives)
