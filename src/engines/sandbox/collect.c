/*
 * See collect.h. First a list of the whole tree, breadth first, each directory opened by its path
 * from the root (so that no descriptor per level is held, and a directory moved away meanwhile is
 * seen as changed); then one pass over the sorted list that reads the files.
 */
#include "engines/sandbox/collect.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engines/sandbox/collect_hash.h"
#include "engines/sandbox/collect_name.h"
#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"

#define WHY_NONE COLLECT_WHY_COUNT

enum { CHUNK_BYTES = 65536, CAPACITY_MIN = 64 };

struct entry {
	char *path;
	struct stat stat;
	uint32_t depth;
	enum collect_why why; /* WHY_NONE: nothing against it */
};

struct tree {
	int root_fd;
	const struct collect_limits *limits;
	struct collect_sink sink;
	struct collect_report *report;
	dev_t device;
	struct entry *entries;
	size_t count;
	size_t capacity;
	uint8_t *chunk;
};

static const char *const why_names[COLLECT_WHY_COUNT] = {
	[COLLECT_SYMLINK] = "symlink",
	[COLLECT_HARD_LINK] = "hard-link",
	[COLLECT_DEVICE] = "device",
	[COLLECT_FIFO] = "fifo",
	[COLLECT_SOCKET] = "socket",
	[COLLECT_NAME] = "name",
	[COLLECT_PATH] = "path-too-long",
	[COLLECT_DEPTH] = "too-deep",
	[COLLECT_OTHER_MOUNT] = "other-mount",
	[COLLECT_UNREADABLE] = "unreadable",
	[COLLECT_CHANGED] = "changed",
	[COLLECT_FILES] = "too-many-files",
	[COLLECT_BYTES] = "too-many-bytes",
	[COLLECT_ENTRIES] = "too-many-entries",
};

const char *collect_why_name(enum collect_why why)
{
	assert(why < COLLECT_WHY_COUNT);
	return why_names[why];
}

static void tree_done(struct tree *tree)
{
	for (size_t i = 0; i < tree->count; i++)
		mem_free(tree->entries[i].path);
	mem_free(tree->entries);
	mem_free(tree->chunk);
}

static int check_limits(const struct collect_limits *limits, struct err *err)
{
	const struct {
		const char *name;
		uint64_t value, max;
	} rows[] = {
		{ "files", limits->files, COLLECT_ENTRIES_MAX },
		{ "entries", limits->entries, COLLECT_ENTRIES_MAX },
		{ "depth", limits->depth, COLLECT_DEPTH_MAX },
		{ "name_bytes", limits->name_bytes, COLLECT_NAME_MAX },
		{ "skips", limits->skips, COLLECT_ENTRIES_MAX },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].value < 1 || rows[i].value > rows[i].max)
			return err_set(err, E_INVALID, "limit %s: expected 1 to %llu, got %llu",
				rows[i].name, (unsigned long long)rows[i].max,
				(unsigned long long)rows[i].value);
	return 0;
}

/* What an errno of opening or reading says about the file; WHY_NONE when it is about us. */
static enum collect_why why_of(int error)
{
	static const struct {
		int error;
		enum collect_why why;
	} rows[] = {
		{ ELOOP, COLLECT_SYMLINK },
		{ EXDEV, COLLECT_OTHER_MOUNT },
		{ ENOENT, COLLECT_CHANGED },
		{ ENOTDIR, COLLECT_CHANGED },
		{ ESTALE, COLLECT_CHANGED },
		{ EAGAIN, COLLECT_CHANGED }, /* somebody holds a lease */
		{ ENXIO, COLLECT_CHANGED },  /* a socket or device took its place */
		{ EMFILE, WHY_NONE },
		{ ENFILE, WHY_NONE },
		{ ENOMEM, WHY_NONE },
		{ ENOSYS, WHY_NONE },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].error == error)
			return rows[i].why;
	return COLLECT_UNREADABLE;
}

/*
 * Open what was listed as entry (NULL: the root), and only that. 0 with a descriptor, 0 with -1 and
 * a reason, or an error that is about this machine.
 */
static int open_entry(const struct tree *tree, const struct entry *entry, int flags, int *ret_fd,
	enum collect_why *ret_why, struct err *err)
{
	struct stat now;
	struct open_how how = {
		.flags = (unsigned)(O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC |
				    flags),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
			   RESOLVE_NO_XDEV,
	};
	*ret_why = WHY_NONE;
	auto_close fd = (int)syscall(
		SYS_openat2, tree->root_fd, entry ? entry->path : ".", &how, sizeof(how));
	if (fd < 0) {
		*ret_why = why_of(errno);
		if (*ret_why == WHY_NONE || !entry)
			return err_sys(err, E_UNAVAILABLE, "opening in the tree to collect");
		return 0;
	}
	if (fstat(fd, &now) < 0)
		return err_sys(err, E_UNAVAILABLE, "fstat");
	if (entry && (now.st_dev != entry->stat.st_dev || now.st_ino != entry->stat.st_ino ||
			     now.st_mode != entry->stat.st_mode)) {
		*ret_why = COLLECT_CHANGED;
		return 0;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

static enum collect_why judge(const struct tree *tree, const struct entry *entry, const char *name)
{
	static const struct {
		mode_t type;
		enum collect_why why;
	} types[] = {
		{ S_IFLNK, COLLECT_SYMLINK },
		{ S_IFCHR, COLLECT_DEVICE },
		{ S_IFBLK, COLLECT_DEVICE },
		{ S_IFIFO, COLLECT_FIFO },
		{ S_IFSOCK, COLLECT_SOCKET },
	};
	if (strlen(name) > tree->limits->name_bytes ||
		(!tree->limits->any_name && !collect_is_printable(view_string(name))))
		return COLLECT_NAME;
	if (strlen(entry->path) > COLLECT_PATH_MAX)
		return COLLECT_PATH;
	if (entry->stat.st_dev != tree->device)
		return COLLECT_OTHER_MOUNT;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if ((entry->stat.st_mode & S_IFMT) == types[i].type)
			return types[i].why;
	if (S_ISDIR(entry->stat.st_mode) && entry->depth >= tree->limits->depth)
		return COLLECT_DEPTH;
	return S_ISDIR(entry->stat.st_mode) || S_ISREG(entry->stat.st_mode) ? WHY_NONE
									    : COLLECT_DEVICE;
}

static int add_entry(
	struct tree *tree, int dir_fd, const char *parent, const char *name, struct err *err)
{
	auto_done(buf) path = {};
	struct entry entry = { .why = WHY_NONE, .depth = 1 };
	if (parent[0])
		TRY(buf_append_format(&path, err, "%s/", parent));
	TRY(buf_append_string(&path, name, err));
	for (const char *at = parent; *at; at++)
		entry.depth += *at == '/' || at == parent;
	entry.path = mem_string(buf_string(&path));
	if (fstatat(dir_fd, name, &entry.stat, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
		entry.why = errno == ENOENT ? COLLECT_CHANGED : COLLECT_UNREADABLE;
	else
		entry.why = judge(tree, &entry, name);
	if (tree->count == tree->capacity) {
		size_t wanted = MAX(2 * tree->capacity, (size_t)CAPACITY_MIN);
		tree->entries = mem_resize(
			tree->entries, tree->capacity * sizeof(entry), wanted, sizeof(entry));
		tree->capacity = wanted;
	}
	tree->entries[tree->count++] = entry;
	return 0;
}

static void drop_entries(struct tree *tree, size_t from)
{
	while (tree->count > from)
		mem_free(tree->entries[--tree->count].path);
}

/* By path, with '/' before every other byte: a directory's content stands together. */
static int compare_entries(const void *a, const void *b)
{
	const struct entry *left = a, *right = b;
	size_t i = 0;
	while (left->path[i] && left->path[i] == right->path[i])
		i++;
	int l = left->path[i] == '/' ? 1 : 2 * (uint8_t)left->path[i];
	int r = right->path[i] == '/' ? 1 : 2 * (uint8_t)right->path[i];
	return (l > r) - (l < r);
}

/* What stands in an open directory, sorted; all of it, or nothing and the reason. */
static int read_directory(struct tree *tree, int *dir_fd, const char *path,
	enum collect_why *ret_why, struct err *err)
{
	size_t first = tree->count;
	int status = 0;
	DIR *directory = fdopendir(*dir_fd);
	if (!directory)
		return err_sys(err, E_UNAVAILABLE, "fdopendir");
	int fd = take_fd(dir_fd);
	for (;;) {
		errno = 0;
		const struct dirent *row = readdir(directory);
		if (!row) {
			*ret_why = errno ? COLLECT_UNREADABLE : WHY_NONE;
			break;
		}
		if (str_equal(row->d_name, ".") || str_equal(row->d_name, ".."))
			continue;
		if (tree->count >= tree->limits->entries) {
			*ret_why = COLLECT_ENTRIES;
			break;
		}
		status = add_entry(tree, fd, path, row->d_name, err);
		if (status < 0)
			break;
	}
	(void)closedir(directory); /* was only read */
	if (*ret_why != WHY_NONE)
		drop_entries(tree, first);
	if (tree->count > first)
		qsort(tree->entries + first, tree->count - first, sizeof(struct entry),
			compare_entries);
	return status;
}

static int list_directory(struct tree *tree, size_t index, struct err *err)
{
	auto_close fd = -1;
	enum collect_why why;
	TRY(open_entry(tree, &tree->entries[index], O_DIRECTORY, &fd, &why, err));
	auto_free char *path = mem_string(tree->entries[index].path); /* the table moves */
	if (why == WHY_NONE)
		TRY(read_directory(tree, &fd, path, &why, err));
	tree->entries[index].why = why;
	return 0;
}

/* The root, then everything below, as it is found. */
static int list_tree(struct tree *tree, struct err *err)
{
	auto_close fd = -1;
	struct stat root;
	enum collect_why why;
	TRY(open_entry(tree, NULL, O_DIRECTORY, &fd, &why, err));
	if (fstat(fd, &root) < 0)
		return err_sys(err, E_UNAVAILABLE, "fstat");
	tree->device = root.st_dev;
	TRY(read_directory(tree, &fd, "", &why, err));
	if (why == COLLECT_UNREADABLE)
		return err_set(err, E_UNAVAILABLE, "the directory to collect cannot be read");
	if (why != WHY_NONE) {
		tree->report->why_counts[why]++;
		tree->report->is_truncated = true;
	}
	for (size_t i = 0; i < tree->count; i++)
		if (tree->entries[i].why == WHY_NONE && S_ISDIR(tree->entries[i].stat.st_mode))
			TRY(list_directory(tree, i, err));
	return 0;
}

static int compare_inodes(const void *a, const void *b)
{
	const struct entry *const *left = a, *const *right = b;
	ino_t l = (*left)->stat.st_ino, r = (*right)->stat.st_ino;
	return (l > r) - (l < r); /* all are of one device */
}

/* A file all of whose names are in the tree is an ordinary file; others reach outside. */
static void refuse_hard_links(struct tree *tree)
{
	auto_free struct entry **linked = mem_alloc(tree->count + 1, sizeof(*linked));
	size_t count = 0;
	for (size_t i = 0; i < tree->count; i++)
		if (tree->entries[i].why == WHY_NONE && S_ISREG(tree->entries[i].stat.st_mode) &&
			tree->entries[i].stat.st_nlink != 1)
			linked[count++] = &tree->entries[i];
	qsort(linked, count, sizeof(*linked), compare_inodes);
	for (size_t first = 0, end; first < count; first = end) {
		for (end = first; end < count; end++)
			if (linked[end]->stat.st_ino != linked[first]->stat.st_ino)
				break;
		for (size_t i = first; i < end; i++)
			if (linked[i]->stat.st_nlink != end - first)
				linked[i]->why = COLLECT_HARD_LINK;
	}
}

/* Exactly the bytes it had when it was listed. */
static int read_file(struct tree *tree, const struct entry *entry, int fd,
	uint8_t ret_digest[static COLLECT_DIGEST_SIZE], enum collect_why *ret_why, struct err *err)
{
	struct stat now;
	AUTO(collect_hash_done) struct collect_hash *hash = collect_hash_new();
	uint64_t left = (uint64_t)entry->stat.st_size;
	for (;;) {
		ssize_t got = read(fd, tree->chunk, CHUNK_BYTES);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 || (uint64_t)got > left) {
			*ret_why = got < 0 ? COLLECT_UNREADABLE : COLLECT_CHANGED;
			return 0;
		}
		if (got == 0)
			break;
		left -= (uint64_t)got;
		collect_hash_add(hash, view_of(tree->chunk, (size_t)got));
		if (tree->sink.bytes)
			TRY(tree->sink.bytes(
				tree->sink.context, view_of(tree->chunk, (size_t)got), err));
	}
	collect_hash_end(hash, ret_digest);
	if (fstat(fd, &now) < 0)
		return err_sys(err, E_UNAVAILABLE, "fstat");
	bool is_same = left == 0 && now.st_size == entry->stat.st_size &&
		       now.st_mtim.tv_sec == entry->stat.st_mtim.tv_sec &&
		       now.st_mtim.tv_nsec == entry->stat.st_mtim.tv_nsec &&
		       now.st_ctim.tv_sec == entry->stat.st_ctim.tv_sec &&
		       now.st_ctim.tv_nsec == entry->stat.st_ctim.tv_nsec;
	*ret_why = is_same ? WHY_NONE : COLLECT_CHANGED;
	return 0;
}

static int collect_file(struct tree *tree, struct entry *entry, struct err *err)
{
	auto_close fd = -1;
	struct collect_report *report = tree->report;
	struct collect_file file = { .path = entry->path, .bytes = (uint64_t)entry->stat.st_size };
	if (report->file_count >= tree->limits->files)
		entry->why = COLLECT_FILES;
	else if (file.bytes > tree->limits->total_bytes - report->bytes)
		entry->why = COLLECT_BYTES;
	if (entry->why != WHY_NONE)
		return 0;
	TRY(open_entry(tree, entry, 0, &fd, &entry->why, err));
	if (entry->why != WHY_NONE)
		return 0;
	TRY(read_file(tree, entry, fd, file.sha256, &entry->why, err));
	if (entry->why != WHY_NONE) {
		if (tree->sink.drop)
			tree->sink.drop(tree->sink.context);
		return 0;
	}
	if (tree->sink.end)
		TRY(tree->sink.end(tree->sink.context, &file, err));
	file.path = take_ptr(entry->path);
	report->files[report->file_count++] = file;
	report->bytes += file.bytes;
	return 0;
}

static void note_skip(struct tree *tree, const struct entry *entry)
{
	struct collect_report *report = tree->report;
	report->why_counts[entry->why]++;
	report->is_truncated |= entry->why == COLLECT_FILES || entry->why == COLLECT_BYTES ||
				entry->why == COLLECT_ENTRIES || entry->why == COLLECT_DEPTH ||
				entry->why == COLLECT_PATH ||
				report->skip_count >= tree->limits->skips;
	if (report->skip_count < tree->limits->skips)
		report->skips[report->skip_count++] = (struct collect_skip){
			collect_escape(view_string(entry->path)), entry->why
		};
}

static int read_tree(struct tree *tree, struct err *err)
{
	const char *last = NULL; /* a name can be listed twice while somebody renames */
	if (tree->count)
		qsort(tree->entries, tree->count, sizeof(struct entry), compare_entries);
	refuse_hard_links(tree);
	tree->chunk = mem_alloc(1, CHUNK_BYTES);
	tree->report->files = mem_alloc(
		MIN((size_t)tree->limits->files, tree->count) + 1, sizeof(struct collect_file));
	tree->report->skips = mem_alloc(
		MIN((size_t)tree->limits->skips, tree->count) + 1, sizeof(struct collect_skip));
	for (size_t i = 0; i < tree->count; i++) {
		struct entry *entry = &tree->entries[i];
		if (last && str_equal(last, entry->path))
			continue;
		last = entry->path;
		if (entry->why == WHY_NONE && S_ISREG(entry->stat.st_mode))
			TRY(collect_file(tree, entry, err));
		if (!entry->path)
			last = tree->report->files[tree->report->file_count - 1].path;
		if (entry->why != WHY_NONE)
			note_skip(tree, entry);
	}
	return 0;
}

int collect_tree(int dir_fd, const struct collect_limits *limits, const struct collect_sink *sink,
	struct collect_report *ret_report, struct err *err)
{
	struct stat root;
	*ret_report = (struct collect_report){};
	auto_done(tree) tree = { .root_fd = dir_fd, .limits = limits, .report = ret_report };
	if (sink)
		tree.sink = *sink;
	TRY(check_limits(limits, err));
	if (fstat(dir_fd, &root) < 0 || !S_ISDIR(root.st_mode))
		return err_set(err, E_INVALID, "expected a descriptor of a directory to collect");
	TRY(list_tree(&tree, err));
	return read_tree(&tree, err);
}

void collect_report_done(struct collect_report *report)
{
	for (size_t i = 0; i < report->file_count; i++)
		mem_free(report->files[i].path);
	for (size_t i = 0; i < report->skip_count; i++)
		mem_free(report->skips[i].path);
	mem_free(report->files);
	mem_free(report->skips);
	*report = (struct collect_report){};
}
