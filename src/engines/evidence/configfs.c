/*
 * Linux configfs-tsm (Documentation/ABI/testing/configfs-tsm): a directory is a request. Writing
 * report data to inblob makes a report, which outblob gives; generation counts writes, so that a
 * report somebody else asked for between our write and our read shows. Then we try again, a
 * bounded number of times.
 *
 * path is the tree (/sys/kernel/config/tsm/report) or an entry somebody made for us in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engines/evidence/internal.h"
#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "kit/base/time.h"

#define TSM_TREE "/sys/kernel/config/tsm/report"

enum {
	TRIES_MAX = 8,
	PAUSE_MS = 20,
	GENERATION_WAIT_MS = 250, /* the kernel counts at once; what stands in for it may not */
	NAME_SIZE = 64,
	PATH_SIZE = 512,
	NUMBER_SIZE = 32,
};

/* An entry; one we made is removed again. */
struct entry {
	int fd;
	char path[PATH_SIZE]; /* "" when it is not ours */
};

static void entry_done(struct entry *entry)
{
	fd_close(&entry->fd);
	if (entry->path[0])
		(void)rmdir(entry->path);
}

static int open_directory(const char *path, int *ret_fd, struct err *err)
{
	return fd_open(path, O_RDONLY | O_DIRECTORY, 0, ret_fd, err);
}

static int entry_open(const char *path, struct entry *entry, struct err *err)
{
	char name[NAME_SIZE];
	TRY(open_directory(path, &entry->fd, err));
	if (faccessat(entry->fd, "inblob", F_OK, 0) == 0)
		return 0;
	TRY(str_format(name, sizeof(name), err, "cupel-%d-%llu", (int)getpid(),
		(unsigned long long)time_monotonic_usec()));
	TRY(str_format(entry->path, sizeof(entry->path), err, "%s/%s", path, name));
	if (mkdir(entry->path, 0700) < 0) {
		entry->path[0] = 0;
		return err_sys(err, E_UNAVAILABLE, "making an entry in %s", path);
	}
	fd_close(&entry->fd);
	return open_directory(entry->path, &entry->fd, err);
}

static int read_attribute(
	const struct entry *entry, const char *name, size_t limit, struct buf *buf, struct err *err)
{
	auto_close fd = -1;
	TRY(fd_open_beneath(entry->fd, name, O_RDONLY, 0, &fd, err));
	return fd_read_all(fd, limit, buf, err);
}

static int read_generation(const struct entry *entry, uint64_t *ret_number, struct err *err)
{
	auto_done(buf) text = {};
	TRY(read_attribute(entry, "generation", NUMBER_SIZE, &text, err));
	if (text.size > 0 && text.data[text.size - 1] == '\n')
		text.data[--text.size] = 0;
	return str_parse_u64(buf_string(&text), 0, UINT64_MAX, ret_number, err);
}

/* One write: configfs takes the blob from a single call. */
static int write_request(
	const struct entry *entry, struct view data, bool *ret_is_busy, struct err *err)
{
	auto_close fd = -1;
	TRY(fd_open_beneath(entry->fd, "inblob", O_WRONLY | O_TRUNC, 0, &fd, err));
	ssize_t size = write(fd, data.data, data.size);
	*ret_is_busy = size < 0 && (errno == EBUSY || errno == EINTR || errno == EWOULDBLOCK);
	if (size == (ssize_t)data.size || *ret_is_busy)
		return 0;
	return err_sys(err, E_UNAVAILABLE, "writing report data");
}

static int check_provider(const struct entry *entry, bool *ret_is_tdx, struct err *err)
{
	auto_done(buf) name = {};
	char quoted[STR_QUOTE_MAX];
	TRY(read_attribute(entry, "provider", NUMBER_SIZE, &name, err));
	if (name.size > 0 && name.data[name.size - 1] == '\n')
		name.data[--name.size] = 0;
	*ret_is_tdx = view_equal_string(buf_view(&name), "tdx_guest");
	if (*ret_is_tdx || view_equal_string(buf_view(&name), "sev_guest"))
		return 0;
	return err_set(err, E_UNSUPPORTED, "provider '%s', expected tdx_guest or sev_guest",
		str_quote(buf_view(&name), quoted));
}

/* Until the write shows in the generation; kernels count it at once, fakes may need a moment. */
static int wait_generation(const struct entry *entry, uint64_t before, struct err *err)
{
	uint64_t now = before;
	for (size_t i = 0; i < GENERATION_WAIT_MS && now == before; i++) {
		if (i > 0)
			(void)poll(NULL, 0, 1);
		TRY(read_generation(entry, &now, err));
	}
	return 0;
}

/* Try once; *ret_is_ours when the report answers our write and nothing came between. */
static int try_once(const struct entry *entry, struct view data, bool is_tdx, struct buf *report,
	bool *ret_is_ours, struct err *err)
{
	uint64_t before = 0, after = 0;
	bool is_busy;
	*ret_is_ours = false;
	TRY(read_generation(entry, &before, err));
	TRY(write_request(entry, data, &is_busy, err));
	if (is_busy)
		return 0;
	TRY(wait_generation(entry, before, err));
	buf_done(report);
	int status = read_attribute(entry, "outblob", EVIDENCE_MAX, report, err);
	if (status == E_LIMIT)
		return status;
	if (status < 0) /* EBUSY, EWOULDBLOCK: the generation changed while it was made */
		return 0;
	TRY(read_generation(entry, &after, err));
	enum evidence_format format = is_tdx ? EVIDENCE_FORMAT_TDX : EVIDENCE_FORMAT_SNP;
	*ret_is_ours = after == before + 1 && evidence_format_of(buf_view(report)) == format &&
		       view_equal(evidence_report_data(buf_view(report)), data);
	return 0;
}

/* The certificate table behind an SNP report, where the host gives one. */
static int add_certificates(const struct entry *entry, struct buf *report, struct err *err)
{
	auto_done(buf) table = {};
	int status = read_attribute(entry, "auxblob", EVIDENCE_MAX, &table, err);
	if (status == E_LIMIT)
		return status;
	if (status == 0 && table.size > EVIDENCE_MAX - report->size)
		return err_set(
			err, E_LIMIT, "report and certificates are over %d bytes", EVIDENCE_MAX);
	return status < 0 ? 0 : buf_append(report, buf_view(&table), err);
}

int evidence_configfs(const struct evidence_source *source, const struct evidence_request *request,
	struct buf *quote, struct err *err)
{
	AUTO(entry_done) struct entry entry = { .fd = -1 };
	auto_done(buf) report = {};
	bool is_tdx = false, is_ours = false;
	TRY(entry_open(source->path ? source->path : TSM_TREE, &entry, err));
	TRY(check_provider(&entry, &is_tdx, err));
	uint64_t begin_ms = time_monotonic_ms();
	for (size_t i = 0; i < TRIES_MAX && !is_ours; i++) {
		if (i > 0)
			(void)poll(NULL, 0, PAUSE_MS);
		if (time_monotonic_ms() - begin_ms > EVIDENCE_TIMEOUT_MS)
			break;
		TRY(try_once(&entry, request->report_data, is_tdx, &report, &is_ours, err));
	}
	if (!is_ours)
		return err_set(err, E_INTEGRITY,
			"no report over our report data after %d tries: others use this entry, or "
			"the platform is at fault",
			TRIES_MAX);
	if (!is_tdx && report.size != EVIDENCE_SNP_REPORT_SIZE)
		return err_set(err, E_INTEGRITY, "an SNP report of %zu bytes, expected %d",
			report.size, EVIDENCE_SNP_REPORT_SIZE);
	if (!is_tdx)
		TRY(add_certificates(&entry, &report, err));
	return buf_append(quote, buf_view(&report), err);
}
