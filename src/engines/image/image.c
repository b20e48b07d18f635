/*
 * See image.h. The file is opened once; what is hashed is what is mounted. A reference is a small
 * file beside the images that holds a digest, so replacing an image is one rename.
 */
#include "engines/image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engines/image/manifest.h"
#include "engines/image/mount.h"
#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "kit/codec/hex.h"
#include "kit/crypto/hash.h"

#define MANIFEST_IN_IMAGE "usr/lib/cupel/image.json"

enum { PATH_BYTES_MAX = 4096, REFERENCE_BYTES_MAX = 128, NAME_BYTES_MAX = 64, HASH_STEP = 1 << 20 };

struct image {
	int root_fd;
	char digest[IMAGE_DIGEST_SIZE];
	struct json *manifest;
};

const char *image_state_dir(void)
{
	const char *chosen = secure_getenv("CUPEL_STATE_DIR");
	return chosen && *chosen ? chosen : IMAGE_STATE_DEFAULT;
}

const char *image_state_for(const char *state_dir)
{
	char path[PATH_MAX];
	struct err ignored;
	bool is_there = str_format(path, sizeof(path), &ignored, "%s/images", state_dir) == 0 &&
			access(path, F_OK) == 0;
	return is_there ? state_dir : image_state_dir();
}

void image_close(struct image *image)
{
	if (!image)
		return;
	fd_close(&image->root_fd);
	json_free(image->manifest);
	mem_free(image);
}

int image_root_fd(const struct image *image)
{
	return image->root_fd;
}

const char *image_digest(const struct image *image)
{
	return image->digest;
}

const struct json *image_manifest(const struct image *image)
{
	return image->manifest;
}

int image_tool_info(
	const struct image *image, const char *name, struct image_tool *ret_tool, struct err *err)
{
	const struct json *tool = NULL;
	TRY(manifest_tool(image->manifest, name, &tool, err));
	*ret_tool = (struct image_tool){
		.version = json_as_string(json_get(tool, "version")),
		.sha256 = json_as_string(json_get(tool, "sha256")),
	};
	return 0;
}

int image_mask(const struct image *image, const char *const *tools, size_t count, int *ret_mask_fd,
	struct err *err)
{
	if (count > IMAGE_TOOLS_MAX)
		return err_set(
			err, E_LIMIT, "expected at most %d tools, got %zu", IMAGE_TOOLS_MAX, count);
	auto_free struct manifest_path *paths = NULL;
	size_t path_count = 0;
	manifest_paths(image->manifest, &paths, &path_count);
	TRY(manifest_show(image->manifest, tools, count, paths, path_count, err));
	return mount_mask(paths, path_count, ret_mask_fd, err);
}

int image_attach(int mount_fd, const char *directory, struct err *err)
{
	if (move_mount(mount_fd, "", AT_FDCWD, directory, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(err, errno == EPERM ? E_DENIED : E_UNAVAILABLE,
			"attach a mount to %s", directory);
	return 0;
}

int image_clone(int mount_fd, int *ret_fd, struct err *err)
{
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH;
	int fd = open_tree(mount_fd, "", flags);
	if (fd < 0)
		return err_sys(err, E_UNAVAILABLE, "clone a mount (attach it first)");
	*ret_fd = fd;
	return 0;
}

/* SHA-256 of the whole file from its start, by pread: the offset stays. */
static int hash_file(
	int fd, uint64_t size, char ret_digest[static IMAGE_DIGEST_SIZE], struct err *err)
{
	auto_free uint8_t *block = mem_alloc(HASH_STEP, 1);
	auto_hash *stream = hash_stream_new(HASH_SHA256);
	uint8_t digest[SHA256_SIZE];
	for (uint64_t offset = 0; offset < size;) {
		ssize_t got = pread(fd, block, HASH_STEP, (off_t)offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(err, E_UNAVAILABLE, "read the image");
		if (got == 0)
			return err_set(err, E_INTEGRITY, "the image became shorter while read");
		hash_stream_update(stream, view_of(block, (size_t)got));
		offset += (uint64_t)got;
	}
	hash_stream_final(stream, digest);
	hex_encode(view_of(digest, sizeof(digest)), ret_digest);
	return 0;
}

/* An open image file and what is claimed of it. */
struct image_file {
	int fd;
	uint64_t size;
	char digest[IMAGE_DIGEST_SIZE];
};

static void image_file_done(struct image_file *file)
{
	fd_close(&file->fd);
}

static int open_file(const char *path, struct image_file *file, struct err *err)
{
	struct stat facts;
	TRY(fd_open(path, O_RDONLY | O_NONBLOCK, 0, &file->fd, err));
	if (fstat(file->fd, &facts) < 0)
		return err_sys(err, E_UNAVAILABLE, "stat %s", path);
	if (!S_ISREG(facts.st_mode) || facts.st_size <= 0)
		return err_set(err, E_INVALID, "%s: expected an image file", path);
	file->size = (uint64_t)facts.st_size;
	return 0;
}

static int no_such_image(const char *what, struct err *err)
{
	char quoted[STR_QUOTE_MAX];
	return err_set(err, E_NOT_FOUND,
		"no image \"%s\": build it with `cupel image build` (from a clone: tools/image.sh)",
		str_quote(view_string(what), quoted));
}

/* The digest a reference stands for. */
static int read_reference(const char *state_dir, const char *name,
	char ret_digest[static IMAGE_DIGEST_SIZE], struct err *err)
{
	char path[PATH_BYTES_MAX];
	auto_done(buf) text = {};
	TRY(str_format(path, sizeof(path), err, "%s/images/%s", state_dir, name));
	int status = fd_read_file(path, REFERENCE_BYTES_MAX, &text, err);
	if (status == E_NOT_FOUND)
		return no_such_image(name, err);
	TRY(status);
	if (text.size != IMAGE_DIGEST_SIZE || text.data[text.size - 1] != '\n')
		return err_set(err, E_INTEGRITY, "%s: expected one digest and a newline", path);
	text.data[text.size - 1] = 0;
	if (!manifest_is_digest(buf_string(&text)))
		return err_set(err, E_INTEGRITY, "%s: expected a digest", path);
	memcpy(ret_digest, text.data, IMAGE_DIGEST_SIZE);
	return 0;
}

static int read_outer(
	const char *state_dir, const char *digest, struct json **ret_manifest, struct err *err)
{
	char path[PATH_BYTES_MAX];
	auto_done(buf) text = {};
	auto_json *manifest = NULL;
	TRY(str_format(path, sizeof(path), err, "%s/images/%s.json", state_dir, digest));
	TRY(fd_read_file(path, IMAGE_MANIFEST_MAX, &text, err));
	TRY(manifest_parse(buf_view(&text), true, &manifest, err));
	if (!str_equal(json_as_string(json_get(manifest, "digest")), digest))
		return err_set(err, E_INTEGRITY, "%s: names another digest", path);
	*ret_manifest = take_ptr(manifest);
	return 0;
}

/* A digest or a reference: the file, its size checked against the manifest beside it. */
static int find_by_name(
	const char *state_dir, const char *name, struct image_file *file, struct err *err)
{
	char path[PATH_BYTES_MAX];
	auto_json *outer = NULL;
	if (manifest_is_digest(name))
		memcpy(file->digest, name, IMAGE_DIGEST_SIZE);
	else if (str_is_file_name(view_string(name), NAME_BYTES_MAX))
		TRY(read_reference(state_dir, name, file->digest, err));
	else
		return err_set(err, E_INVALID,
			"image name: expected 64 hex digits or a name such as \"base\"");
	TRY(str_format(path, sizeof(path), err, "%s/images/%s.erofs", state_dir, file->digest));
	int status = open_file(path, file, err);
	if (status == E_NOT_FOUND)
		return no_such_image(name, err);
	TRY(status);
	TRY(read_outer(state_dir, file->digest, &outer, err));
	if (json_as_integer(json_get(outer, "size")) != (int64_t)file->size)
		return err_set(err, E_INTEGRITY,
			"image %.12s: %llu bytes, the manifest says %lld; run `cupel image build`",
			file->digest, (unsigned long long)file->size,
			(long long)json_as_integer(json_get(outer, "size")));
	return 0;
}

static int check_digest(const struct image_file *file, struct err *err)
{
	char computed[IMAGE_DIGEST_SIZE];
	TRY(hash_file(file->fd, file->size, computed, err));
	if (!str_equal(computed, file->digest))
		return err_set(err, E_INTEGRITY,
			"image %.12s: its bytes have the digest %.12s; remove the file and run "
			"`cupel image build`",
			file->digest, computed);
	return 0;
}

int image_verify(const char *state_dir, const char *name, char ret_digest[static IMAGE_DIGEST_SIZE],
	struct err *err)
{
	auto_done(image_file) file = { .fd = -1 };
	TRY(find_by_name(state_dir ? state_dir : image_state_dir(), name, &file, err));
	TRY(check_digest(&file, err));
	memcpy(ret_digest, file.digest, IMAGE_DIGEST_SIZE);
	return 0;
}

int image_adopt(int root_fd, const char *digest, struct image **ret_image, struct err *err)
{
	auto_done(buf) text = {};
	auto_close manifest_fd = -1;
	auto_json *manifest = NULL;
	if (!manifest_is_digest(digest))
		return err_set(err, E_INVALID, "image digest: expected 64 hex digits");
	int status = fd_open_beneath(root_fd, MANIFEST_IN_IMAGE, O_RDONLY, 0, &manifest_fd, err);
	if (status == E_NOT_FOUND || status == E_DENIED)
		return err_set(err, E_INTEGRITY, "not a cupel image: it has no " MANIFEST_IN_IMAGE);
	TRY(status);
	TRY(fd_read_all(manifest_fd, IMAGE_MANIFEST_MAX, &text, err));
	TRY(manifest_parse(buf_view(&text), false, &manifest, err));
	struct image *image = mem_alloc(1, sizeof(*image));
	image->root_fd = root_fd;
	memcpy(image->digest, digest, IMAGE_DIGEST_SIZE);
	image->manifest = take_ptr(manifest);
	*ret_image = image;
	return 0;
}

int image_open(const char *state_dir, const char *name, unsigned flags, struct image **ret_image,
	struct err *err)
{
	auto_done(image_file) file = { .fd = -1 };
	auto_close root_fd = -1;
	if (strchr(name, '/')) {
		TRY(open_file(name, &file, err));
		TRY(hash_file(file.fd, file.size, file.digest, err));
	} else {
		TRY(find_by_name(state_dir ? state_dir : image_state_dir(), name, &file, err));
		if (flags & IMAGE_VERIFY)
			TRY(check_digest(&file, err));
	}
	TRY(mount_erofs(file.fd, flags & IMAGE_LOOP, &root_fd, err));
	TRY(image_adopt(root_fd, file.digest, ret_image, err));
	(void)take_fd(&root_fd); /* the image has it now */
	return 0;
}
