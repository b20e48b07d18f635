/*
 * Read an image into the page cache once, on the platform's account. Pages of a file belong to the
 * memory cgroup that touches them first: without this the first sandbox pays for the interpreter's
 * text (research/sandbox.md section 3), and its memory peak says something else than the next
 * one's.
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <unistd.h>

#include "engines/image/image.h"
#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"

enum { PRELOAD_STEP = 1 << 20 };

static void fts_done(FTS **walk)
{
	if (*walk)
		(void)fts_close(*walk);
}

static int read_through(const char *path, uint8_t *block, uint64_t *bytes, struct err *err)
{
	auto_close fd = -1;
	TRY(fd_open(path, O_RDONLY | O_NOFOLLOW, 0, &fd, err));
	for (;;) {
		ssize_t got = read(fd, block, PRELOAD_STEP);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(err, E_UNAVAILABLE, "read %s of the image", path);
		if (got == 0)
			return 0;
		*bytes += (uint64_t)got;
	}
}

int image_preload(const struct image *image, uint64_t *ret_bytes, struct err *err)
{
	char root[64];
	uint64_t bytes = 0;
	TRY(str_format(root, sizeof(root), err, "/proc/self/fd/%d/.", image_root_fd(image)));
	char *const paths[] = { root, NULL };
	AUTO(fts_done) FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
	if (!walk)
		return err_sys(err, E_UNAVAILABLE, "walk the image");
	auto_free uint8_t *block = mem_alloc(PRELOAD_STEP, 1);
	for (;;) {
		errno = 0;
		const FTSENT *entry = fts_read(walk);
		if (!entry && errno == 0)
			break;
		if (!entry || entry->fts_info == FTS_ERR || entry->fts_info == FTS_DNR)
			return err_sys(err, E_UNAVAILABLE, "walk the image");
		if (entry->fts_info == FTS_F)
			TRY(read_through(entry->fts_path, block, &bytes, err));
	}
	*ret_bytes = bytes;
	return 0;
}
