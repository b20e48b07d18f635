/*
 * Sandbox images: find, check, mount, and hide the tools a request did not list.
 *
 * An image is one EROFS file named by its SHA-256, made by tools/image.sh (images/README.md has
 * the format of its manifest). Mounts made here are detached: a descriptor is the only thing that
 * holds them, there is no mount point, and they vanish with the last process that has it, however
 * it dies. From Linux 6.15 overlayfs takes such a mount as a layer, by the path /proc/self/fd/N and
 * from any mount namespace; older kernels want it attached first (image_attach).
 *
 * The tool table is read from inside the image, so the digest pins what a tool name stands for.
 * Call json_setup() once before. Needs CAP_SYS_ADMIN in the first user namespace where noted.
 */
#ifndef ENGINES_IMAGE_IMAGE_H
#define ENGINES_IMAGE_IMAGE_H

#include "kit/base/buf.h"
#include "kit/codec/json.h"

#define IMAGE_STATE_DEFAULT "/var/lib/cupel"
#define IMAGE_DIGEST_SIZE 65              /* 64 lower-case hex digits and NUL */
#define IMAGE_MANIFEST_MAX (1024 * 1024)  /* bytes; the present one has 22 KiB */
#define IMAGE_TOOLS_MAX 1024              /* tools of one image */
#define IMAGE_TOOL_PATHS_MAX 512          /* files of one tool */
#define IMAGE_TOOL_NAME_MAX 32            /* bytes, [a-z0-9][a-z0-9._+-]* */
#define IMAGE_MASK_BYTES_MAX (256 * 1024) /* tmpfs limit of one mask; whiteouts have no content */

struct image; /* an open image: root descriptor, digest, tool table */

enum image_flags {
	IMAGE_VERIFY = 1 << 0, /* recompute the digest before mounting (about 60 ms) */
	IMAGE_LOOP = 1 << 1,   /* mount by a loop device even where the kernel needs none */
};

/* The directory images lie below: $CUPEL_STATE_DIR when set and not empty, else the default. */
const char *image_state_dir(void);

/* Where the images for a service's state directory are: there when it has images/, else as above.
 */
const char *image_state_for(const char *state_dir);

/*
 * Find, mount (read-only, nosuid, nodev; detached) and read one image. Needs CAP_SYS_ADMIN.
 *
 * state_dir  directory that holds images/, borrowed; NULL means image_state_dir()
 * name       64 hex digits, a reference such as "base", or a path with '/' of an image file
 *            (whose digest is then always computed)
 * flags      of enum image_flags
 *
 * The file is mounted as such from Linux 6.12, else through a loop device that goes with the mount.
 * E_INVALID for a name of another form, E_NOT_FOUND when there is no such image (the message says
 * how to build it), E_INTEGRITY when size, digest or manifest do not hold, E_DENIED without the
 * privilege, E_UNAVAILABLE when the kernel does not mount it. Close with image_close.
 */
int image_open(const char *state_dir, const char *name, unsigned flags, struct image **ret_image,
	struct err *err) MUST_CHECK;

/*
 * The same from a root descriptor that another process received from image_root_fd(), without any
 * privilege. Takes root_fd on success. The digest is the sender's word. Errors of the manifest as
 * above.
 */
int image_adopt(
	int root_fd, const char *digest, struct image **ret_image, struct err *err) MUST_CHECK;

void image_close(struct image *image); /* accepts NULL */
static inline void image_close_pointer(struct image **image)
{
	image_close(*image);
}
#define auto_image AUTO(image_close_pointer) struct image

int image_root_fd(const struct image *image);                 /* borrowed; directory, O_PATH */
const char *image_digest(const struct image *image);          /* 64 hex digits, borrowed */
const struct json *image_manifest(const struct image *image); /* {packages, scripts, tools} */

struct image_tool {
	const char *version; /* of the Debian package; both borrowed from the image */
	const char *sha256;  /* 64 hex digits, see images/README.md */
};

/* E_INVALID with the known names when there is no such tool. */
int image_tool_info(const struct image *image, const char *name, struct image_tool *ret_tool,
	struct err *err) MUST_CHECK;

/*
 * A read-only detached tmpfs with a whiteout for every program that no listed tool owns, and for
 * every listed script whose interpreter is not listed. Used as `lowerdir=mask:image` of an overlay:
 * what is not listed does not exist then, under none of its paths. Libraries and the dynamic loader
 * stay. One mask serves any number of sandboxes with the same tools: keep it. Needs CAP_SYS_ADMIN
 * and CAP_MKNOD.
 *
 * tools, count  names in any order, duplicates allowed, 0..IMAGE_TOOLS_MAX; none hides everything
 *
 * E_INVALID for an unknown tool, with the known ones; E_LIMIT for too many; E_DENIED without the
 * privilege; E_UNAVAILABLE for a failing system call.
 */
int image_mask(const struct image *image, const char *const *tools, size_t count, int *ret_mask_fd,
	struct err *err) MUST_CHECK;

/*
 * Read every file of the image once, so that its pages are in the cache and on the account of the
 * caller's memory cgroup, not on that of the first sandbox. About 50 ms; worth it once per service.
 * ret_bytes is what was read. E_UNAVAILABLE.
 */
int image_preload(const struct image *image, uint64_t *ret_bytes, struct err *err) MUST_CHECK;

/*
 * Attach a detached mount (image or mask) to a directory of the caller's mount namespace, for
 * kernels whose overlayfs refuses detached layers. The descriptor stays valid; whoever made the
 * namespace private decides how long the mount lives. E_DENIED, E_UNAVAILABLE.
 */
int image_attach(int mount_fd, const char *directory, struct err *err) MUST_CHECK;

/*
 * Another detached mount of the same: before Linux 6.15 a sandbox consumes the mount it is given,
 * and only an attached mount can be cloned, by whoever is in its namespace. E_UNAVAILABLE.
 */
int image_clone(int mount_fd, int *ret_fd, struct err *err) MUST_CHECK;

/*
 * Recompute an image's digest from its file; no privilege, no mount.
 * name as in image_open, without paths. E_INTEGRITY when the bytes are not those of the name or the
 * manifest beside it disagrees; else as image_open.
 */
int image_verify(const char *state_dir, const char *name, char ret_digest[static IMAGE_DIGEST_SIZE],
	struct err *err) MUST_CHECK;

/*
 * What is there, as an array in order of digest:
 * [{"digest", "names": [...], "packages": [{name, version}], "recipe", "size", "tools": [...]}]
 * An image whose manifest is missing or broken has "fault": text instead of the last four.
 * Empty when there is no image directory. Release with json_free.
 */
int image_list(const char *state_dir, struct json **ret_list, struct err *err) MUST_CHECK;

#endif
