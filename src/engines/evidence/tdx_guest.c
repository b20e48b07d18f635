/*
 * TDX through /dev/tdx_guest: the device gives a TDREPORT, which only this machine can check. What
 * makes a quote of it is Intel's quote generation service (QGS) on the host, which we ask over
 * vsock. Kernels from 6.7 on do both behind configfs-tsm; this is for those without.
 *
 * path is the service: "vsock:CID:PORT" (default vsock:2:4050) or a UNIX socket. Messages: Intel
 * DCAP, qgs_msg_lib: size u32be, then {major u16, minor u16, type u32, size u32, error u32} and
 * {report size u32, id list size u32, report} or {id size u32, quote size u32, id, quote}.
 */
#include <fcntl.h>
#include <linux/ioctl.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "engines/evidence/internal.h"
#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "kit/base/time.h"

#define TDX_GUEST "/dev/tdx_guest"
#define VSOCK_PREFIX "vsock:"

enum {
	TDREPORT_SIZE = 1024,
	TDREPORT_DATA = 128, /* REPORTDATA in REPORTMACSTRUCT */
	TDREPORT_TYPE = 0x81,
	QGS_PORT = 4050,
	QGS_MAJOR = 1,
	QGS_HEADER = 16,
	QGS_REQUEST = 0,
	QGS_ANSWER = 1,
};

/* linux/tdx-guest.h (6.2), which Debian 12's headers lack. */
struct tdx_report_req {
	uint8_t reportdata[EVIDENCE_REPORT_DATA_SIZE];
	uint8_t tdreport[TDREPORT_SIZE];
};
#define TDX_CMD_GET_REPORT0 _IOWR('T', 1, struct tdx_report_req)
_Static_assert(TDX_CMD_GET_REPORT0 == 0xc4405401, "its number");

static int get_report(const struct evidence_source *source, struct view report_data,
	struct tdx_report_req *report, struct err *err)
{
	auto_close fd = -1;
	if (!source->device)
		TRY(fd_open(TDX_GUEST, O_RDWR, 0, &fd, err));
	memcpy(report->reportdata, report_data.data, sizeof(report->reportdata));
	if (evidence_control(source, fd, TDX_CMD_GET_REPORT0, report) < 0)
		return err_sys(err, E_UNAVAILABLE, "asking " TDX_GUEST " for a report");
	if (report->tdreport[0] != TDREPORT_TYPE ||
		!view_equal(
			view_of(report->tdreport + TDREPORT_DATA, report_data.size), report_data))
		return err_set(err, E_INTEGRITY, "the TD report is not about our report data");
	return 0;
}

/* "CID:PORT" */
static int parse_vsock(const char *text, struct sockaddr_vm *address, struct err *err)
{
	char cid[32];
	uint64_t number, port;
	const char *colon = strchr(text, ':');
	if (!colon)
		return err_set(err, E_INVALID, "expected vsock:CID:PORT");
	TRY(str_format(cid, sizeof(cid), err, "%.*s", (int)MIN(colon - text, 31), text));
	TRY(str_parse_u64(cid, 0, UINT32_MAX, &number, err));
	TRY(str_parse_u64(colon + 1, 1, UINT32_MAX, &port, err));
	address->svm_cid = (unsigned)number;
	address->svm_port = (unsigned)port;
	return 0;
}

static int connect_to(const char *path, int *ret_socket, struct err *err)
{
	union {
		struct sockaddr any;
		struct sockaddr_un local;
		struct sockaddr_vm vm;
	} address = {
		.vm = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = QGS_PORT }
	};
	socklen_t size = sizeof(address.vm);
	if (path && str_starts(path, VSOCK_PREFIX))
		TRY(parse_vsock(path + strlen(VSOCK_PREFIX), &address.vm, err));
	else if (path) {
		address.local = (struct sockaddr_un){ .sun_family = AF_UNIX };
		TRY(str_format(
			address.local.sun_path, sizeof(address.local.sun_path), err, "%s", path));
		size = sizeof(address.local);
	}
	auto_close fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct timeval limit = { .tv_sec = EVIDENCE_TIMEOUT_MS / 1000 };
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
		connect(fd, &address.any, size) < 0)
		return err_sys(err, E_UNAVAILABLE,
			"connecting to the quote generation service at %s (a TD report is no "
			"quote; "
			"without configfs-tsm the host must run QGS)",
			path ? path : "vsock:2:4050");
	*ret_socket = take_fd(&fd);
	return 0;
}

static int send_report(int fd, struct view report, struct err *err)
{
	auto_done(buf) message = {};
	size_t size = QGS_HEADER + 8 + report.size;
	TRY(buf_append_be(&message, size, 4, err));
	TRY(buf_append_le(&message, QGS_MAJOR, 4, err)); /* minor 0 */
	TRY(buf_append_le(&message, QGS_REQUEST, 4, err));
	TRY(buf_append_le(&message, size, 4, err));
	TRY(buf_append_le(&message, 0, 4, err));
	TRY(buf_append_le(&message, report.size, 4, err));
	TRY(buf_append_le(&message, 0, 4, err)); /* any attestation key */
	TRY(buf_append(&message, report, err));
	return fd_write_all(fd, buf_view(&message), err);
}

/* Exactly size bytes until end_ms. */
static int receive(int fd, size_t size, uint64_t end_ms, struct buf *bytes, struct err *err)
{
	TRY(buf_reserve(bytes, size, err));
	while (size > 0) {
		uint64_t now_ms = time_monotonic_ms();
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
		if (now_ms >= end_ms || poll(&poll_fd, 1, (int)(end_ms - now_ms)) <= 0)
			return err_set(
				err, E_UNAVAILABLE, "no answer within %d ms", EVIDENCE_TIMEOUT_MS);
		ssize_t count = read(fd, bytes->data + bytes->size, size);
		if (count <= 0)
			return err_set(err, E_INTEGRITY,
				"the quote generation service closed with %zu bytes to come", size);
		bytes->size += (size_t)count;
		size -= (size_t)count;
	}
	return 0;
}

static int take_quote(int fd, struct buf *quote, struct err *err)
{
	uint64_t end_ms = time_monotonic_ms() + EVIDENCE_TIMEOUT_MS;
	auto_done(buf) length = {};
	auto_done(buf) answer = {};
	TRY(receive(fd, 4, end_ms, &length, err));
	struct reader reader = reader_of(buf_view(&length));
	uint64_t size = reader_be(&reader, 4);
	if (size < QGS_HEADER || size > EVIDENCE_MAX)
		return err_set(err, E_INTEGRITY, "an answer of %llu bytes, expected %d to %d",
			(unsigned long long)size, QGS_HEADER, EVIDENCE_MAX);
	TRY(receive(fd, (size_t)size, end_ms, &answer, err));
	reader = reader_of(buf_view(&answer));
	uint64_t major = reader_le(&reader, 2);
	(void)reader_le(&reader, 2);
	uint64_t type = reader_le(&reader, 4), inner = reader_le(&reader, 4);
	uint64_t error = reader_le(&reader, 4);
	if (major != QGS_MAJOR || type != QGS_ANSWER || inner != size)
		return err_set(err, E_INTEGRITY, "the answer is no quote of protocol version %d",
			QGS_MAJOR);
	if (error != 0)
		return err_set(err, E_UNAVAILABLE, "the quote generation service refused: 0x%llx",
			(unsigned long long)error);
	uint64_t id_size = reader_le(&reader, 4), quote_size = reader_le(&reader, 4);
	(void)reader_take(&reader, (size_t)id_size);
	struct view bytes = reader_take(&reader, (size_t)quote_size);
	if (!reader_complete(&reader) || bytes.size == 0)
		return err_set(err, E_INTEGRITY, "the sizes in the answer do not add up");
	return buf_append(quote, bytes, err);
}

int evidence_tdx_guest(const struct evidence_source *source, const struct evidence_request *request,
	struct buf *quote, struct err *err)
{
	struct tdx_report_req report = {};
	auto_close fd = -1;
	auto_done(buf) bytes = {};
	TRY(get_report(source, request->report_data, &report, err));
	TRY(connect_to(source->path, &fd, err));
	TRY(send_report(fd, view_of(report.tdreport, sizeof(report.tdreport)), err));
	TRY(take_quote(fd, &bytes, err));
	if (evidence_format_of(buf_view(&bytes)) != EVIDENCE_FORMAT_TDX ||
		!view_equal(evidence_report_data(buf_view(&bytes)), request->report_data))
		return err_set(err, E_INTEGRITY, "the quote is not about our report data");
	return buf_append(quote, buf_view(&bytes), err);
}
