/*
 * What images there are. Reads the directory and the manifests, never the images: listing is fast
 * and needs no privilege. A broken image is listed with its fault, since it must be seen to be
 * repaired.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engines/image/image.h"
#include "engines/image/manifest.h"
#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"

enum { IMAGES_MAX = 4096, REFERENCE_BYTES_MAX = 128 };

struct listing {
	int directory;
	struct dirent **entries;
	int count;
};

static void listing_done(struct listing *listing)
{
	for (int i = 0; i < listing->count; i++)
		free(listing->entries[i]); /* lint: malloc because scandir(3) allocated it */
	free(listing->entries);            /* lint: malloc because scandir(3) allocated it */
	fd_close(&listing->directory);
}

static int read_beneath(
	int directory, const char *name, size_t limit, struct buf *text, struct err *err)
{
	auto_close fd = -1;
	TRY(fd_open_beneath(directory, name, O_RDONLY | O_NONBLOCK, 0, &fd, err));
	return fd_read_all(fd, limit, text, err);
}

/* References are the small files whose content is the digest. */
static struct json *names_of(const struct listing *listing, const char *digest)
{
	struct json *names = json_new_array();
	for (int i = 0; i < listing->count; i++) {
		const char *name = listing->entries[i]->d_name;
		auto_done(buf) text = {};
		struct err ignored;
		if (!str_is_file_name(view_string(name), NAME_MAX))
			continue;
		if (read_beneath(listing->directory, name, REFERENCE_BYTES_MAX, &text, &ignored) <
				0 ||
			text.size != IMAGE_DIGEST_SIZE || memcmp(text.data, digest, 64) != 0)
			continue;
		json_append(names, json_new_string(view_string(name)));
	}
	return names;
}

static int read_manifest(const struct listing *listing, const char *digest,
	struct json **ret_manifest, struct err *err)
{
	char name[IMAGE_DIGEST_SIZE + sizeof(".erofs")];
	auto_done(buf) text = {};
	auto_json *manifest = NULL;
	struct stat facts;
	TRY(str_format(name, sizeof(name), err, "%s.json", digest));
	TRY(read_beneath(listing->directory, name, IMAGE_MANIFEST_MAX, &text, err));
	TRY(manifest_parse(buf_view(&text), true, &manifest, err));
	TRY(str_format(name, sizeof(name), err, "%s.erofs", digest));
	if (fstatat(listing->directory, name, &facts, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, E_UNAVAILABLE, "stat %s", name);
	if (!str_equal(json_as_string(json_get(manifest, "digest")), digest) ||
		json_as_integer(json_get(manifest, "size")) != facts.st_size)
		return err_set(err, E_INTEGRITY, "digest or size differ from the manifest");
	*ret_manifest = take_ptr(manifest);
	return 0;
}

static struct json *describe(const struct listing *listing, const char *digest)
{
	struct json *row = json_new_object();
	auto_json *manifest = NULL;
	struct err err;
	json_set_string(row, "digest", digest);
	json_set(row, "names", names_of(listing, digest));
	if (read_manifest(listing, digest, &manifest, &err) < 0) {
		json_set_string(row, "fault", err.message);
		return row;
	}
	struct json *tools = json_new_array();
	const struct json *table = json_get(manifest, "tools");
	for (const struct json_member_at *at = json_first(table); at; at = json_next(table, at))
		json_append(tools, json_new_string(view_string(json_name(at))));
	json_set(row, "packages", json_share(json_get(manifest, "packages")));
	json_set_string(row, "recipe", json_as_string(json_get(manifest, "recipe")));
	json_set_integer(row, "size", json_as_integer(json_get(manifest, "size")));
	json_set(row, "tools", tools);
	return row;
}

int image_list(const char *state_dir, struct json **ret_list, struct err *err)
{
	char path[PATH_MAX];
	auto_done(listing) listing = { .directory = -1 };
	auto_json *list = json_new_array();
	TRY(str_format(
		path, sizeof(path), err, "%s/images", state_dir ? state_dir : image_state_dir()));
	int status = fd_open(path, O_RDONLY | O_DIRECTORY, 0, &listing.directory, err);
	if (status == 0) {
		listing.count = scandir(path, &listing.entries, NULL, alphasort);
		if (listing.count < 0) {
			listing.count = 0;
			return err_sys(err, E_UNAVAILABLE, "read %s", path);
		}
		if (listing.count > IMAGES_MAX)
			return err_set(err, E_LIMIT, "%s: more than %d entries", path, IMAGES_MAX);
	} else if (status != E_NOT_FOUND) {
		return status;
	}
	for (int i = 0; i < listing.count; i++) {
		char digest[IMAGE_DIGEST_SIZE] = {};
		const char *name = listing.entries[i]->d_name;
		if (!str_ends(name, ".erofs") ||
			strlen(name) != IMAGE_DIGEST_SIZE - 1 + strlen(".erofs"))
			continue;
		memcpy(digest, name, IMAGE_DIGEST_SIZE - 1);
		if (manifest_is_digest(digest))
			json_append(list, describe(&listing, digest));
	}
	*ret_list = take_ptr(list);
	return 0;
}
