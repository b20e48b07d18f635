/*
 * /dev/sev-guest and /dev/tdx_guest played by functions that keep to the drivers' protocol, and the
 * quote generation service played by a child; all of them misbehave as well.
 */
#include <errno.h>
#include <linux/ioctl.h>
#include <linux/sev-guest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engines/evidence/evidence.h"
#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "unit.h"

enum {
	PAGE = 4096,
	SNP_DATA_AT = 0x50,
	QUOTE_SIZE = 700,
	TDX_DATA_AT = 48 + 520,
	VMM_INVALID_LENGTH = 1,
	VMM_BUSY = 2,
};

static uint8_t report_data[EVIDENCE_REPORT_DATA_SIZE] = { 9, 8, 7 };

/* A hypervisor: how often it is busy, what table it has, what it gets wrong. */
struct host {
	unsigned busy;
	int busy_errno;
	uint32_t table_size;  /* 0: it has no certificates */
	uint32_t claims_size; /* instead of table_size, when it asks for more room */
	bool keeps_asking;
	bool has_no_extended;
	uint32_t fw_error;
	uint32_t status, report_size;
	bool is_other, is_no_report;
	unsigned calls;
};

static void fill_report(const struct host *host, const struct snp_report_req *request,
	struct snp_report_resp *response)
{
	const uint32_t head[] = { host->status,
		host->report_size ? host->report_size : EVIDENCE_SNP_REPORT_SIZE };
	memset(response, 0, sizeof(*response));
	memcpy(response->data, head, sizeof(head));
	response->data[32] = host->is_no_report ? 9 : 3;
	memcpy(response->data + 32 + SNP_DATA_AT, request->user_data, sizeof(request->user_data));
	if (host->is_other)
		response->data[32 + SNP_DATA_AT] ^= 1;
}

static int fail_with(int number)
{
	errno = number;
	return -1;
}

static int sev_control(void *context, unsigned long number, void *argument)
{
	struct host *host = context;
	struct snp_guest_request_ioctl *call = argument;
	struct snp_report_resp *response = (void *)(uintptr_t)call->resp_data;
	struct snp_ext_report_req *extended = (void *)(uintptr_t)call->req_data;
	host->calls++;
	ck_assert_uint_eq(call->msg_version, 1);
	ck_assert(number == SNP_GET_REPORT || number == SNP_GET_EXT_REPORT);
	ck_assert_uint_eq(extended->data.vmpl, 0);
	call->exitinfo2 = 0;
	if (host->busy > 0) {
		host->busy--;
		call->vmm_error = host->busy_errno ? 0 : VMM_BUSY;
		return fail_with(host->busy_errno ? host->busy_errno : EIO);
	}
	call->fw_error = host->fw_error;
	if (host->fw_error)
		return fail_with(EIO);
	if (number == SNP_GET_REPORT) {
		fill_report(host, (void *)(uintptr_t)call->req_data, response);
		return 0;
	}
	if (host->has_no_extended)
		return fail_with(ENOTTY);
	ck_assert_uint_eq(extended->certs_len % PAGE, 0);
	if (extended->certs_len < host->table_size || host->keeps_asking) {
		extended->certs_len = host->claims_size ? host->claims_size : host->table_size;
		call->vmm_error = VMM_INVALID_LENGTH;
		return fail_with(EIO);
	}
	if (host->table_size > 0)
		memset((void *)(uintptr_t)extended->certs_address, 'c', host->table_size);
	fill_report(host, &extended->data, response);
	return 0;
}

static int ask_sev(struct host *host, struct buf *quote, struct err *err)
{
	const struct evidence_device device = { sev_control, host };
	const struct evidence_source source = {
		.kind = EVIDENCE_SEV_GUEST, .socket = -1, .device = &device
	};
	const struct evidence_request request = { .report_data = view_of(
							  report_data, sizeof(report_data)) };
	return evidence_get(&source, &request, quote, err);
}

START_TEST(sev_reports)
{
	const struct {
		struct host host;
		size_t size;
		unsigned calls;
	} rows[] = {
		{ { .table_size = 0 }, EVIDENCE_SNP_REPORT_SIZE, 1 },
		{ { .table_size = PAGE }, EVIDENCE_SNP_REPORT_SIZE + PAGE, 2 },
		{ { .table_size = 4 * PAGE }, EVIDENCE_SNP_REPORT_SIZE + 4 * PAGE, 2 },
		{ { .busy = 2, .table_size = PAGE }, EVIDENCE_SNP_REPORT_SIZE + PAGE, 4 },
		{ { .busy = 2, .busy_errno = EAGAIN }, EVIDENCE_SNP_REPORT_SIZE, 3 },
		{ { .busy = 1, .busy_errno = EINTR }, EVIDENCE_SNP_REPORT_SIZE, 2 },
		{ { .has_no_extended = true }, EVIDENCE_SNP_REPORT_SIZE, 2 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct host host = rows[i].host;
		struct err err;
		auto_done(buf) quote = {};
		ck_assert_ok(ask_sev(&host, &quote, &err), err);
		ck_assert_uint_eq(quote.size, rows[i].size);
		ck_assert_uint_eq(host.calls, rows[i].calls);
		ck_assert(evidence_format_of(buf_view(&quote)) == EVIDENCE_FORMAT_SNP);
		if (quote.size > EVIDENCE_SNP_REPORT_SIZE)
			ck_assert_int_eq(quote.data[quote.size - 1], 'c');
	}
}
END_TEST

START_TEST(sev_faults)
{
	const struct {
		struct host host;
		int category;
	} rows[] = {
		{ { .fw_error = 0x16 }, E_UNAVAILABLE }, { { .status = 0x16 }, E_UNAVAILABLE },
		{ { .report_size = 1183 }, E_INTEGRITY }, { { .report_size = 4000 }, E_INTEGRITY },
		{ { .report_size = UINT32_MAX }, E_INTEGRITY },
		{ { .is_other = true }, E_INTEGRITY }, { { .is_no_report = true }, E_INTEGRITY },
		{ { .table_size = PAGE, .claims_size = PAGE + 1 }, E_INTEGRITY },
		{ { .table_size = PAGE, .claims_size = 5 * PAGE }, E_INTEGRITY },
		{ { .table_size = PAGE, .claims_size = UINT32_MAX }, E_INTEGRITY },
		{ { .table_size = PAGE, .keeps_asking = true }, E_INTEGRITY },
		{ { .keeps_asking = true }, E_INTEGRITY }, /* for nothing */
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct host host = rows[i].host;
		struct err err;
		auto_done(buf) quote = {};
		ck_assert_fails(ask_sev(&host, &quote, &err), rows[i].category, err);
		ck_assert_uint_eq(quote.size, 0);
	}
	struct err err;
	auto_done(buf) quote = {};
	struct host host = { .fw_error = 0x16 };
	ck_assert_fails(ask_sev(&host, &quote, &err), E_UNAVAILABLE, err);
	ck_assert_ptr_nonnull(strstr(err.message, "firmware 0x16"));
}
END_TEST

START_TEST(sev_waiting_has_an_end)
{
	struct host host = { .busy = UINT32_MAX };
	struct err err;
	auto_done(buf) quote = {};
	ck_assert_fails(ask_sev(&host, &quote, &err), E_UNAVAILABLE, err);
	ck_assert_uint_gt(host.calls, 10);
	ck_assert_uint_lt(host.calls, EVIDENCE_TIMEOUT_MS / 10);
}
END_TEST

START_TEST(no_device_here)
{
	const char *const path = "/nonexistent/sev-guest";
	const enum evidence_kind kinds[] = { EVIDENCE_SEV_GUEST, EVIDENCE_TDX_GUEST };
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct evidence_source source = {
			.kind = kinds[i], .path = path, .socket = -1
		};
		const struct evidence_request request = { .report_data = view_of(report_data,
								  sizeof(report_data)) };
		struct err err;
		auto_done(buf) quote = {};
		ck_assert_fails(evidence_get(&source, &request, &quote, &err), E_NOT_FOUND, err);
	}
}
END_TEST

/* The TDX driver: report data at 128 of the report. */
struct td {
	bool is_other, is_no_report;
	int error;
};

static int tdx_control(void *context, unsigned long number, void *argument)
{
	const struct td *td = context;
	uint8_t *request = argument, *report = request + sizeof(report_data);
	ck_assert_uint_eq(number, 0xc4405401);
	if (td->error)
		return fail_with(td->error);
	report[0] = td->is_no_report ? 0 : 0x81;
	memcpy(report + 128, request, sizeof(report_data));
	report[128] ^= td->is_other;
	return 0;
}

static char socket_path[64];

/* Answers one request with these bytes, after looking at it. */
static pid_t serve(struct view answer)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct err err;
	ck_assert_ok(
		str_format(socket_path, sizeof(socket_path), &err, "/tmp/qgs.%d", (int)getpid()),
		err);
	memcpy(address.sun_path, socket_path, sizeof(socket_path));
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)unlink(socket_path);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	pid_t pid = fork();
	if (pid != 0) {
		(void)close(listener);
		return pid;
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	static const uint8_t head[] = { 0, 0, 4, 24, 1, 0, 0, 0, 0, 0, 0, 0, 24, 4, 0, 0, 0, 0, 0,
		0, 0, 4, 0, 0, 0, 0, 0, 0, 0x81 };
	uint8_t request[4 + 24 + 1024];
	int client = accept(listener, NULL, NULL);
	if (fd_read_exact(client, request, sizeof(request), &err) < 0 ||
		memcmp(request, head, sizeof(head)) != 0 ||
		memcmp(request + 28 + 128, report_data, sizeof(report_data)) != 0)
		_exit(1);
	_exit(fd_write_all(client, answer, &err) < 0);
}

struct service {
	size_t size;                                             /* of the outer length; 0: right */
	uint32_t major, type, inner, error, id_size, quote_size; /* 0: right */
	size_t cut;
	bool is_other, is_no_quote;
};

static void make_answer(const struct service *s, struct buf *answer)
{
	struct err err;
	uint8_t quote[QUOTE_SIZE] = { s->is_no_quote ? 3 : 4, 0, 2, 0, 0x81 };
	memcpy(quote + TDX_DATA_AT, report_data, sizeof(report_data));
	quote[TDX_DATA_AT] ^= s->is_other;
	size_t size = 24 + sizeof(quote);
	ck_assert_ok(buf_append_be(answer, s->size ? s->size : size, 4, &err), err);
	const uint64_t fields[] = { s->major ? s->major : 1, s->type ? s->type : 1,
		s->inner ? s->inner : size, s->error, s->id_size,
		s->quote_size ? s->quote_size : sizeof(quote) };
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		ck_assert_ok(buf_append_le(answer, fields[i], 4, &err), err);
	ck_assert_ok(buf_append(answer, view_of(quote, sizeof(quote)), &err), err);
	answer->size -= s->cut;
}

static int ask_tdx(struct td *td, const struct service *service, struct buf *quote, struct err *err)
{
	auto_done(buf) answer = {};
	const struct evidence_device device = { tdx_control, td };
	make_answer(service, &answer);
	pid_t pid = serve(buf_view(&answer));
	const struct evidence_source source = {
		.kind = EVIDENCE_TDX_GUEST, .path = socket_path, .socket = -1, .device = &device
	};
	const struct evidence_request request = { .report_data = view_of(
							  report_data, sizeof(report_data)) };
	int status = evidence_get(&source, &request, quote, err);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	(void)unlink(socket_path);
	return status;
}

START_TEST(tdx_quotes)
{
	struct td td = {};
	struct err err;
	auto_done(buf) quote = {};
	ck_assert_ok(ask_tdx(&td, &(struct service){}, &quote, &err), err);
	ck_assert_uint_eq(quote.size, QUOTE_SIZE);
	ck_assert(evidence_format_of(buf_view(&quote)) == EVIDENCE_FORMAT_TDX);
}
END_TEST

START_TEST(tdx_faults)
{
	const struct {
		struct td td;
		struct service service;
		int category;
	} rows[] = {
		{ { .is_other = true }, {}, E_INTEGRITY },
		{ { .is_no_report = true }, {}, E_INTEGRITY },
		{ { .error = EIO }, {}, E_UNAVAILABLE },
		{ {}, { .size = 15 }, E_INTEGRITY },
		{ {}, { .size = EVIDENCE_MAX + 1 }, E_INTEGRITY },
		{ {}, { .size = 2000 }, E_INTEGRITY },
		{ {}, { .size = 100 }, E_INTEGRITY },
		{ {}, { .major = 2 }, E_INTEGRITY },
		{ {}, { .type = 3 }, E_INTEGRITY },
		{ {}, { .inner = 99 }, E_INTEGRITY },
		{ {}, { .error = 0x12001 }, E_UNAVAILABLE },
		{ {}, { .id_size = 16 }, E_INTEGRITY },
		{ {}, { .id_size = UINT32_MAX }, E_INTEGRITY },
		{ {}, { .quote_size = QUOTE_SIZE - 1 }, E_INTEGRITY },
		{ {}, { .quote_size = UINT32_MAX }, E_INTEGRITY },
		{ {}, { .cut = 1 }, E_INTEGRITY },
		{ {}, { .cut = 720 }, E_INTEGRITY },
		{ {}, { .is_other = true }, E_INTEGRITY },
		{ {}, { .is_no_quote = true }, E_INTEGRITY },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct td td = rows[i].td;
		struct err err;
		auto_done(buf) quote = {};
		ck_assert_fails(
			ask_tdx(&td, &rows[i].service, &quote, &err), rows[i].category, err);
		ck_assert_uint_eq(quote.size, 0);
	}
}
END_TEST

START_TEST(services_are_named)
{
	const char *const bad[] = { "vsock:", "vsock:2", "vsock:x:1", "vsock:2:0", "vsock:2:x",
		"vsock:4294967296:1", "vsock:2:4294967296" };
	struct td td = {};
	const struct evidence_device device = { tdx_control, &td };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const struct evidence_source source = {
			.kind = EVIDENCE_TDX_GUEST, .path = bad[i], .socket = -1, .device = &device
		};
		const struct evidence_request request = { .report_data = view_of(report_data,
								  sizeof(report_data)) };
		struct err err;
		auto_done(buf) quote = {};
		ck_assert_fails(evidence_get(&source, &request, &quote, &err), E_INVALID, err);
	}
}
END_TEST

UNIT_MAIN("evidence_device", sev_reports, sev_faults, sev_waiting_has_an_end, no_device_here,
	tdx_quotes, tdx_faults, services_are_named)
