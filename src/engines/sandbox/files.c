/*
 * See files.h. Rows are appended as events come and merged when their number has doubled: sorting
 * now and then costs no more than a table, and names chosen to collide gain nothing.
 *
 * Events carry descriptors, whose names /proc gives relative to our root, which is the sandbox's:
 * file handles would need a decoder that overlayfs does not offer. A descriptor pins its file until
 * it is read. In a writable directory that would keep removed files on the disk limit, and a file
 * could be renamed before its event is read; in the read-only ones neither can happen, and the
 * number of names is that of the image.
 */
#include "engines/sandbox/files.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engines/sandbox/collect.h"
#include "engines/sandbox/collect_name.h"
#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"

enum {
	ROWS_MAX = 65536, /* different files */
	ROWS_FIRST = 1024,
	TEXT_BYTES_MAX = 16 << 20, /* of their names */
	BUFFER_BYTES = 4096,       /* each event in it has a descriptor */
	PROC_PATH_BYTES = 40,
	PATH_BYTES = 4096,
	READS_AT_ONCE = 64,
	WALK_DEPTH = COLLECT_DEPTH_MAX,
};

#define EVENTS (FAN_OPEN | FAN_OPEN_EXEC)

struct row {
	char *path; /* escaped */
	uint32_t access;
	uint8_t sha256[COLLECT_DIGEST_SIZE];
};

struct files {
	int group;
	int host_proc; /* the slot's */
	struct row *rows;
	size_t count;
	size_t capacity;
	size_t merged; /* the first of them are sorted and different */
	size_t text_bytes;
	uint32_t lost;
	bool is_truncated;
};

static const char *const writable[] = { "/work", "/tmp", "/dev/shm", "/home", "/run" };

static int compare_rows(const void *a, const void *b)
{
	const struct row *left = a, *right = b;
	return strcmp(left->path, right->path);
}

static void merge(struct files *files)
{
	size_t kept = 0;
	if (files->count)
		qsort(files->rows, files->count, sizeof(struct row), compare_rows);
	for (size_t i = 0; i < files->count; i++) {
		struct row *row = &files->rows[i];
		struct row *last = kept ? &files->rows[kept - 1] : NULL;
		if (!last || !str_equal(last->path, row->path)) {
			files->rows[kept++] = *row;
			continue;
		}
		last->access |= row->access;
		if (row->access & SANDBOX_ACCESS_HAS_DIGEST)
			memcpy(last->sha256, row->sha256, sizeof(last->sha256));
		files->text_bytes -= strlen(row->path) + 1;
		mem_free(row->path);
	}
	files->count = files->merged = kept;
}

static bool is_full(const struct files *files, size_t size)
{
	return files->count >= 2 * (size_t)ROWS_MAX || files->text_bytes + size > TEXT_BYTES_MAX;
}

static void add_row(struct files *files, char *path, uint32_t access, const uint8_t *sha256)
{
	size_t size = strlen(path) + 1;
	if (files->count >= MAX(2 * files->merged, (size_t)ROWS_FIRST))
		merge(files);
	if (is_full(files, size) && !files->is_truncated) /* else that was in vain before */
		merge(files);
	if (is_full(files, size)) {
		files->is_truncated = true;
		mem_free(path);
		return;
	}
	if (files->count == files->capacity) {
		size_t wanted = MAX(2 * files->capacity, (size_t)ROWS_FIRST);
		files->rows = mem_resize(files->rows, files->capacity * sizeof(struct row), wanted,
			sizeof(struct row));
		files->capacity = wanted;
	}
	struct row row = { .path = path, .access = access };
	if (sha256) {
		row.access |= SANDBOX_ACCESS_HAS_DIGEST;
		memcpy(row.sha256, sha256, sizeof(row.sha256));
	}
	files->text_bytes += size;
	files->rows[files->count++] = row;
}

static void take_event(struct files *files, const struct fanotify_event_metadata *event)
{
	char link[PROC_PATH_BYTES];
	char path[PATH_BYTES];
	struct err ignored;
	auto_close fd = event->fd;
	ssize_t size = -1;
	if (fd >= 0 && str_format(link, sizeof(link), &ignored, "self/fd/%d", fd) == 0)
		size = readlinkat(files->host_proc, link, path, sizeof(path));
	if (size <= 0 || path[0] != '/') {
		files->lost++; /* also when the kernel's queue overflowed: it has no descriptor */
		return;
	}
	uint32_t access = event->mask & FAN_OPEN ? SANDBOX_ACCESS_OPENED : 0;
	access |= event->mask & FAN_OPEN_EXEC ? SANDBOX_ACCESS_EXECUTED : 0;
	add_row(files, collect_escape(view_of(path, (size_t)size)), access, NULL);
}

/* At most reads times; false when nothing is left. */
static bool drain(struct files *files, unsigned reads)
{
	uint8_t buffer[BUFFER_BYTES] __attribute__((aligned(8)));
	for (unsigned i = 0; i < reads; i++) {
		struct pollfd waiting = { .fd = files->group, .events = POLLIN };
		if (poll(&waiting, 1, 0) <= 0)
			return false;
		ssize_t size = read(files->group, buffer, sizeof(buffer));
		if (size <= 0) { /* this event could not be given a descriptor; it is gone */
			files->lost++;
			continue;
		}
		struct fanotify_event_metadata *event = (void *)buffer;
		for (ssize_t rest = size; FAN_EVENT_OK(event, rest);
			event = FAN_EVENT_NEXT(event, rest))
			take_event(files, event);
	}
	return true;
}

void files_drain(struct files *files)
{
	if (files)
		(void)drain(files, READS_AT_ONCE);
}

int files_start(struct slot *slot, struct err *err)
{
	static const char *const mounts[] = { "/", "/app", "/data" };
	if (slot->parsed.plan.trace != SANDBOX_TRACE_FILES)
		return 0;
	if (!slot->files_used) {
		slot->files_used = mem_alloc(1, sizeof(*slot->files_used));
		slot->files_used->host_proc = slot->host_proc;
		slot->files_used->group = fanotify_init(
			FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE,
			O_RDONLY | O_CLOEXEC | O_LARGEFILE | O_NONBLOCK | O_NOATIME);
	}
	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++)
		if (slot->files_used->group < 0 ||
			fanotify_mark(slot->files_used->group, FAN_MARK_ADD | FAN_MARK_MOUNT,
				EVENTS, AT_FDCWD, mounts[i]) < 0)
			return err_sys(err, E_UNAVAILABLE, "tracing files with fanotify");
	return 0;
}

static char *join(const char *directory, const char *path)
{
	struct err ignored;
	auto_done(buf) joined = {};
	if (buf_append_format(&joined, &ignored, "%s/%s", directory, path) < 0)
		abort(); /* it has no limit */
	return mem_string(buf_string(&joined));
}

/* Who cancels or goes away does not wait for digests. */
static int check_caller(void *context, struct view bytes, struct err *err)
{
	const struct slot *slot = context;
	struct pollfd caller = { .fd = slot->control, .events = POLLIN };
	(void)bytes;
	return poll(&caller, 1, 0) > 0 ? err_set(err, E_UNAVAILABLE, "cancelled") : 0;
}

/*
 * Everything that stands in a writable directory now; what is no plain file without a digest. All
 * directories share the bytes: holes count, so that the time for it is bounded.
 */
static void walk(struct slot *slot, const char *directory, uint64_t *bytes)
{
	struct files *files = slot->files_used;
	const struct collect_sink sink = { .context = slot, .bytes = check_caller };
	struct err err;
	auto_done(collect_report) report = {};
	const struct collect_limits limits = { .total_bytes = *bytes,
		.any_name = true,
		.files = COLLECT_ENTRIES_MAX,
		.entries = COLLECT_ENTRIES_MAX,
		.depth = WALK_DEPTH,
		.name_bytes = COLLECT_NAME_MAX,
		.skips = COLLECT_ENTRIES_MAX };
	auto_close fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || collect_tree(fd, &limits, &sink, &report, &err) < 0) {
		files->is_truncated = true;
		return;
	}
	files->is_truncated |= report.is_truncated || report.why_counts[COLLECT_UNREADABLE] ||
			       report.why_counts[COLLECT_CHANGED];
	*bytes -= report.bytes;
	for (size_t i = 0; i < report.file_count; i++) {
		auto_free char *path = join(directory, report.files[i].path);
		add_row(files, collect_escape(view_string(path)), SANDBOX_ACCESS_LEFT,
			report.files[i].sha256);
	}
	for (size_t i = 0; i < report.skip_count; i++)
		add_row(files, join(directory, report.skips[i].path), SANDBOX_ACCESS_LEFT, NULL);
}

static void send_row(struct slot *slot, const struct row *row)
{
	struct sandbox_event event = { .kind = SANDBOX_EVENT_FILE, .access = row->access };
	size_t size = MIN(strlen(row->path), sizeof(event.path) - 1);
	if (row->path[size])
		slot->result.trace_truncated = true;
	memcpy(event.path, row->path, size);
	memcpy(event.file_sha256, row->sha256, sizeof(event.file_sha256));
	slot_send(slot, &event);
}

void files_report(struct slot *slot)
{
	struct files *files = slot->files_used;
	if (!files || !slot->started_usec)
		return;
	while (drain(files, READS_AT_ONCE)) /* ends: nobody is left to add to it */
		;
	fd_close(&files->group); /* the walk is ours, not the program's */
	uint64_t bytes = slot->parsed.plan.limits.disk_bytes;
	for (size_t i = 0; i < ARRAY_SIZE(writable); i++)
		walk(slot, writable[i], &bytes);
	merge(files);
	if (files->count > ROWS_MAX) {
		files->is_truncated = true;
		files->lost += (uint32_t)(files->count - ROWS_MAX);
	}
	for (size_t i = 0; i < MIN(files->count, (size_t)ROWS_MAX); i++)
		send_row(slot, &files->rows[i]);
	slot->result.trace_lost += files->lost;
	slot->result.trace_truncated |= files->is_truncated;
}

void files_free(struct files *files)
{
	if (!files)
		return;
	for (size_t i = 0; i < files->count; i++)
		mem_free(files->rows[i].path);
	mem_free(files->rows);
	fd_close(&files->group);
	mem_free(files);
}
