/*
 * Collecting the files that untrusted code left behind.
 *
 * The tree is hostile: whoever made it chose every name, link, size and depth, and may still be
 * changing it. So it is listed first (names sorted, nothing opened but directories, no recursion),
 * then each regular file is opened below the given descriptor without crossing a link or a mount,
 * checked to be the one that was listed, and read to exactly the size it had. Whatever is not a
 * plain file of the tree is left where it is and reported by its escaped name and one reason.
 *
 * The same tree gives the same report and the same bytes in the same order: by path, '/' before
 * every other byte. Nothing is written, nothing waits (FIFOs, devices), nothing outside is read.
 *
 * The tree should be mounted nodev, as a sandbox's is: then not even a device that takes the place
 * of a file between two system calls is opened.
 */
#ifndef ENGINES_SANDBOX_COLLECT_H
#define ENGINES_SANDBOX_COLLECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kit/base/buf.h"

enum {
	COLLECT_PATH_MAX = 1024,     /* bytes of a path below the root; longer ones are reported */
	COLLECT_NAME_MAX = 255,      /* what file systems allow */
	COLLECT_DEPTH_MAX = 256,     /* names in a path */
	COLLECT_ENTRIES_MAX = 65536, /* of all kinds; each costs the collector its path */
	COLLECT_DIGEST_SIZE = 32,
};

/* Each at least 1 (total_bytes: 0) and at most its COLLECT_..._MAX, the rest as noted. */
struct collect_limits {
	uint64_t total_bytes; /* of all collected files, by apparent size: holes count */
	uint32_t files;       /* collected; at most COLLECT_ENTRIES_MAX */
	uint32_t entries;     /* looked at, of any kind */
	uint32_t depth;       /* names in a path: 1 is a file in the root of the tree */
	uint32_t name_bytes;  /* one name */
	bool any_name;        /* also what is no printable UTF-8: collect_file.path is raw then */
	uint32_t skips;       /* rows of the report on what was left; at most COLLECT_ENTRIES_MAX */
};

#define COLLECT_LIMITS_DEFAULT                                \
	((struct collect_limits){ .total_bytes = 10ull << 20, \
		.files = 1024,                                \
		.entries = 16384,                             \
		.depth = 32,                                  \
		.name_bytes = COLLECT_NAME_MAX,               \
		.skips = 256 })

/* Why something was left where it is. */
enum collect_why {
	COLLECT_SYMLINK,
	COLLECT_HARD_LINK, /* has another name outside of the tree */
	COLLECT_DEVICE,
	COLLECT_FIFO,
	COLLECT_SOCKET,
	COLLECT_NAME,        /* no printable UTF-8, or too long */
	COLLECT_PATH,        /* longer than COLLECT_PATH_MAX: a limit, which sets is_truncated */
	COLLECT_DEPTH,       /* a directory at the greatest depth: the same */
	COLLECT_OTHER_MOUNT, /* another file system is mounted there */
	COLLECT_UNREADABLE,  /* the collector may not, or the disk fails */
	COLLECT_CHANGED,     /* it was removed, replaced, or written while it was read */
	COLLECT_FILES,       /* and these */
	COLLECT_BYTES,
	COLLECT_ENTRIES, /* a directory with more entries than are left */
	COLLECT_WHY_COUNT,
};

struct collect_file {
	char *path; /* relative, printable UTF-8, no "." or ".." */
	uint64_t bytes;
	uint8_t sha256[COLLECT_DIGEST_SIZE];
};

struct collect_skip {
	char *path; /* escaped: printable ASCII, other bytes as \xHH, backslash doubled */
	enum collect_why why;
};

struct collect_report {
	struct collect_file *files; /* by path */
	size_t file_count;
	uint64_t bytes;
	struct collect_skip *skips;           /* by path */
	size_t skip_count;                    /* rows */
	size_t why_counts[COLLECT_WHY_COUNT]; /* all of them, with a row or without */
	bool is_truncated;                    /* a limit left something out, or rows are missing */
};

/*
 * Where the bytes go. Bytes of one file come in order, then end() with its name and digest, or
 * drop() when it turned out to have changed: forget what came since the last end(). A failing
 * callback ends the collection with its error. Any of them may be NULL.
 */
struct collect_sink {
	void *context;
	int (*bytes)(void *context, struct view bytes, struct err *err);
	int (*end)(void *context, const struct collect_file *file, struct err *err);
	void (*drop)(void *context);
};

/*
 * Collect the tree below a directory.
 *
 * dir_fd      open directory (not O_PATH), borrowed; its file offset is not used
 * limits      borrowed
 * sink        borrowed; NULL: only the report is wanted
 * ret_report  release with collect_report_done, also after an error
 *
 * Returns 0, also when everything was skipped; E_INVALID for a limit out of range or a descriptor
 * that is no directory; E_UNAVAILABLE when the root directory cannot be read; what the sink says.
 * Memory: the paths of at most limits->entries entries.
 */
int collect_tree(int dir_fd, const struct collect_limits *limits, const struct collect_sink *sink,
	struct collect_report *ret_report, struct err *err) MUST_CHECK;

void collect_report_done(struct collect_report *report);

/* For people and reports, e.g. "symlink", "too-many-bytes". */
const char *collect_why_name(enum collect_why why);

/* Whether a name can be shown as it is: UTF-8 without controls, and what hides or turns text. */
bool collect_is_printable(struct view name);

#endif
