/*
 * SEV-SNP through /dev/sev-guest (linux/sev-guest.h): the extended report, whose certificate table
 * the host fills, else the plain one. The table's size is learnt by a first call without room for
 * it, which the host refuses with the length it needs. A host may throttle; then we wait, in
 * bounds. VMPL 0, as verifiers ask for by default.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <linux/sev-guest.h>
#include <poll.h>

#include "engines/evidence/internal.h"
#include "kit/base/fd.h"
#include "kit/base/time.h"

#define SEV_GUEST "/dev/sev-guest"

enum {
	MESSAGE_VERSION = 1,
	PAUSE_MS = 20,
	GROWTHS_MAX = 3,
	PAGE = 4096,
	TABLE_MAX = 0x4000, /* SEV_FW_BLOB_MAX_SIZE of the driver; a multiple of pages */
	RESPONSE_REPORT_AT = 32,
	VMM_INVALID_LENGTH = 1,
	VMM_BUSY = 2,
};

_Static_assert(sizeof(struct snp_report_req) == 96, "MSG_REPORT_REQ");
_Static_assert(sizeof(struct snp_report_resp) == 4000, "room for MSG_REPORT_RSP");
_Static_assert(sizeof(struct snp_guest_request_ioctl) == 32, "linux/sev-guest.h");
_Static_assert(offsetof(struct snp_guest_request_ioctl, fw_error) == 24, "exitinfo2");
_Static_assert(sizeof(struct snp_ext_report_req) == 112, "linux/sev-guest.h");
_Static_assert(SNP_GET_REPORT == 0xc0205300 && SNP_GET_EXT_REPORT == 0xc0205302, "their numbers");
_Static_assert(TABLE_MAX + EVIDENCE_SNP_REPORT_SIZE <= EVIDENCE_MAX, "fits");

struct guest {
	const struct evidence_source *source;
	int fd;
	uint64_t end_ms;
	struct snp_ext_report_req request;
	struct snp_report_resp response;
	struct buf table;
};

static void guest_done(struct guest *guest)
{
	fd_close(&guest->fd);
	buf_done(&guest->table);
}

/* One call, again while the host or the firmware is busy. The driver's errors; 0 when it is done.
 */
static int call(struct guest *guest, unsigned long number, uint64_t *ret_exit_info, int *ret_errno)
{
	bool is_extended = number == SNP_GET_EXT_REPORT;
	for (;;) {
		struct snp_guest_request_ioctl argument = {
			.msg_version = MESSAGE_VERSION,
			.req_data = (uint64_t)(uintptr_t)(is_extended
								  ? (void *)&guest->request
								  : (void *)&guest->request.data),
			.resp_data = (uint64_t)(uintptr_t)&guest->response,
		};
		int status = evidence_control(guest->source, guest->fd, number, &argument);
		*ret_errno = status < 0 ? errno : 0;
		*ret_exit_info = argument.exitinfo2;
		bool is_busy = argument.vmm_error == VMM_BUSY || *ret_errno == EAGAIN ||
			       *ret_errno == EINTR || *ret_errno == EBUSY;
		if (status == 0 || !is_busy || time_monotonic_ms() >= guest->end_ms)
			return status;
		(void)poll(NULL, 0, PAUSE_MS);
	}
}

static int refuse(uint64_t exit_info, int number, struct err *err)
{
	errno = number;
	return err_sys(err, E_UNAVAILABLE,
		"asking for a report (firmware 0x%llx, hypervisor 0x%llx)",
		(unsigned long long)(exit_info & UINT32_MAX),
		(unsigned long long)(exit_info >> 32));
}

/* Room for what the host says it needs. */
static int grow(struct guest *guest, struct err *err)
{
	uint32_t size = guest->request.certs_len;
	if (size <= guest->table.size || size > TABLE_MAX || size % PAGE != 0)
		return err_set(err, E_INTEGRITY,
			"the host asks for a certificate table of %u bytes, expected whole pages "
			"up "
			"to %d and more than the %zu it had",
			size, TABLE_MAX, guest->table.size);
	TRY(buf_reserve(&guest->table, size - guest->table.size, err));
	memset(guest->table.data, 0, size);
	guest->table.size = size;
	guest->request.certs_address = (uint64_t)(uintptr_t)guest->table.data;
	return 0;
}

static int ask(struct guest *guest, struct err *err)
{
	uint64_t exit_info = 0;
	int number = 0;
	for (size_t i = 0; i <= GROWTHS_MAX; i++) {
		if (call(guest, SNP_GET_EXT_REPORT, &exit_info, &number) == 0)
			return 0;
		if (exit_info >> 32 != VMM_INVALID_LENGTH)
			break;
		TRY(grow(guest, err));
	}
	buf_done(&guest->table); /* the host gives no certificates; verifiers fetch them */
	if (call(guest, SNP_GET_REPORT, &exit_info, &number) < 0)
		return refuse(exit_info, number, err);
	return 0;
}

/* MSG_REPORT_RSP: status, size, 24 reserved, report. */
static int take(const struct guest *guest, struct view *ret_report, struct err *err)
{
	struct reader reader = reader_of(
		view_of(guest->response.data, sizeof(guest->response.data)));
	uint64_t status = reader_le(&reader, 4), size = reader_le(&reader, 4);
	if (status != 0)
		return err_set(err, E_UNAVAILABLE, "the firmware's report has status 0x%llx",
			(unsigned long long)status);
	if (size != EVIDENCE_SNP_REPORT_SIZE)
		return err_set(err, E_INTEGRITY, "a report of %llu bytes, expected %d",
			(unsigned long long)size, EVIDENCE_SNP_REPORT_SIZE);
	*ret_report = view_of(guest->response.data + RESPONSE_REPORT_AT, (size_t)size);
	return 0;
}

int evidence_sev_guest(const struct evidence_source *source, const struct evidence_request *request,
	struct buf *quote, struct err *err)
{
	AUTO(guest_done)
	struct guest guest = {
		.source = source, .fd = -1, .end_ms = time_monotonic_ms() + EVIDENCE_TIMEOUT_MS
	};
	struct view report;
	if (!source->device)
		TRY(fd_open(source->path ? source->path : SEV_GUEST, O_RDWR, 0, &guest.fd, err));
	memcpy(guest.request.data.user_data, request->report_data.data,
		sizeof(guest.request.data.user_data));
	TRY(ask(&guest, err));
	TRY(take(&guest, &report, err));
	if (evidence_format_of(report) != EVIDENCE_FORMAT_SNP ||
		!view_equal(evidence_report_data(report), request->report_data))
		return err_set(err, E_INTEGRITY, "the report is not about our report data");
	TRY(buf_append(quote, report, err));
	return buf_append(quote, buf_view(&guest.table), err);
}
