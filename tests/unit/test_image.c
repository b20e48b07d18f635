/*
 * Images: names, manifests, digests on made-up files; mounts, masks and the view of a sandbox on
 * the real image `base`. The latter need root and an image and are left out, aloud, otherwise.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engines/image/image.h"
#include "engines/image/manifest.h"
#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "unit.h"

#define HASH_A "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" /* "hello" */
#define HASH_B "0000000000000000000000000000000000000000000000000000000000000001"
#define TOOL(paths) "{\"paths\":[" paths "],\"sha256\":\"" HASH_A "\",\"version\":\"1\"}"
#define INNER(scripts, tools)                                                     \
	"\"packages\":[{\"name\":\"p\",\"version\":\"1\"}],\"scripts\":{" scripts \
	"},\"tools\":{" tools "}"
#define SMALL                                                                                      \
	INNER("\"/usr/bin/egrep\":\"/usr/bin/sh\"",                                                \
		"\"all\":" TOOL("\"/usr/bin/a\",\"/usr/bin/b\"") ",\"a\":" TOOL(                   \
			"\"/usr/bin/a\"") ",\"grep\":" TOOL("\"/usr/bin/egrep\",\"/usr/bin/"       \
							    "grep\"") ",\"sh\":" TOOL("\"/usr/"    \
										      "bin/"       \
										      "dash\",\"/" \
										      "usr/bin/"   \
										      "sh\""))
#define OUTER(digest, size) \
	"{\"digest\":\"" digest "\"," SMALL ",\"recipe\":\"" HASH_B "\",\"size\":" size "}"

static struct err err;

static struct json *parse(const char *text)
{
	struct json *manifest = NULL;
	json_setup();
	ck_assert_ok(manifest_parse(view_string(text), false, &manifest, &err), err);
	return manifest;
}

/* A state directory with images/ in it; removed by nobody, it lies in a private tmpfs or /tmp. */
static void make_state(char ret_path[static 64])
{
	char images[80];
	json_setup();
	memcpy(ret_path, "/tmp/test-image-XXXXXX", sizeof("/tmp/test-image-XXXXXX"));
	ck_assert_ptr_nonnull(mkdtemp(ret_path));
	ck_assert_ok(str_format(images, sizeof(images), &err, "%s/images", ret_path), err);
	ck_assert_int_eq(mkdir(images, 0755), 0);
}

static void put(const char *state, const char *name, const char *text)
{
	char path[256];
	ck_assert_ok(str_format(path, sizeof(path), &err, "%s/images/%s", state, name), err);
	ck_assert_ok(fd_write_file_atomic(path, view_string(text), 0644, &err), err);
}

static void drop_state(const char *state)
{
	static const char *const names[] = { "base", "broken", HASH_A ".erofs", HASH_A ".json",
		HASH_B ".erofs", HASH_B ".json", "", NULL };
	char path[256];
	for (const char *const *name = names; *name; name++) {
		ck_assert_ok(
			str_format(path, sizeof(path), &err, "%s/images/%s", state, *name), err);
		(void)remove(path);
	}
	ck_assert_int_eq(rmdir(state), 0);
}

START_TEST(manifest_accepts_and_refuses)
{
	static const char *const bad[] = {
		"",
		"{}",
		"[]",
		"{" INNER("", "") "}",
		"{" SMALL ",\"more\":1}",
		"{" SMALL "} x",
		"{" INNER("", "\"Bad\":" TOOL("\"/usr/bin/a\"")) "}",
		"{" INNER("", "\".a\":" TOOL("\"/usr/bin/a\"")) "}",
		"{" INNER("", "\"a\":" TOOL("")) "}",
		"{" INNER("", "\"a\":" TOOL("\"/bin/a\"")) "}",
		"{" INNER("", "\"a\":" TOOL("\"/usr/../a\"")) "}",
		"{" INNER("", "\"a\":" TOOL("\"/usr/bin/\"")) "}",
		"{" INNER("", "\"a\":" TOOL("\"/usr//a\"")) "}",
		"{" INNER("", "\"a\":" TOOL("7")) "}",
		"{" INNER("", "\"a\":{\"paths\":[\"/usr/bin/"
			      "a\"],\"sha256\":\"00\",\"version\":\"1\"}") "}",
		"{" INNER("", "\"a\":{\"paths\":[\"/usr/bin/a\"],\"version\":\"1\"}") "}",
		"{" INNER("\"/usr/bin/x\":\"sh\"", "\"a\":" TOOL("\"/usr/bin/a\"")) "}",
		"{\"packages\":[{\"name\":1}],\"scripts\":{},\"tools\":{\"a\":" TOOL(
			"\"/usr/bin/a\"") "}}",
	};
	auto_json *good = parse("{" SMALL "}");
	ck_assert_ptr_nonnull(good);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct json *manifest = NULL;
		int status = manifest_parse(view_string(bad[i]), false, &manifest, &err);
		ck_assert_msg(status == E_INTEGRITY, "case %zu: %d", i, status);
		ck_assert_ptr_null(manifest);
	}
	struct json *outer = NULL;
	ck_assert_fails(
		manifest_parse(view_string("{" SMALL "}"), true, &outer, &err), E_INTEGRITY, err);
	ck_assert_ok(manifest_parse(view_string(OUTER(HASH_A, "5")), true, &outer, &err), err);
	json_free(outer);
}
END_TEST

START_TEST(tool_list_decides_what_shows)
{
	static const struct {
		const char *tools[3];
		size_t count;
		const char *visible; /* of a b dash egrep grep sh, in order */
	} cases[] = {
		{ {}, 0, "......" },
		{ { "a" }, 1, "a....." },
		{ { "all" }, 1, "ab...." },
		{ { "a", "all" }, 2, "ab...." },
		{ { "grep" }, 1, "....g." }, /* egrep's interpreter is missing */
		{ { "sh", "grep", "sh" }, 3, "..degs" },
	};
	auto_json *manifest = parse("{" SMALL "}");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		auto_free struct manifest_path *paths = NULL;
		size_t count = 0;
		char seen[8] = {};
		manifest_paths(manifest, &paths, &count);
		ck_assert_uint_eq(count, 6);
		ck_assert_ok(
			manifest_show(manifest, cases[i].tools, cases[i].count, paths, count, &err),
			err);
		for (size_t p = 0; p < count; p++)
			seen[p] = paths[p].is_visible ? paths[p].path[strlen("/usr/bin/")] : '.';
		ck_assert_str_eq(seen, cases[i].visible);
	}
	const struct json *tool = NULL;
	ck_assert_fails(manifest_tool(manifest, "perl\n", &tool, &err), E_INVALID, err);
	ck_assert_ptr_nonnull(
		strstr(err.message, "unknown tool \"perl?\": expected one of all grep sh,"));
}
END_TEST

START_TEST(verify_tells_each_fault)
{
	char state[64];
	char digest[IMAGE_DIGEST_SIZE];
	make_state(state);
	ck_assert_fails(image_verify(state, "base", digest, &err), E_NOT_FOUND, err);
	ck_assert_ptr_nonnull(strstr(err.message, "cupel image build"));
	ck_assert_fails(image_verify(state, HASH_A, digest, &err), E_NOT_FOUND, err);
	ck_assert_fails(image_verify(state, "../base", digest, &err), E_INVALID, err);
	ck_assert_fails(image_verify(state, "", digest, &err), E_INVALID, err);
	put(state, "base", "hello\n");
	ck_assert_fails(image_verify(state, "base", digest, &err), E_INTEGRITY, err);
	put(state, "base", HASH_A "\n");
	ck_assert_fails(image_verify(state, "base", digest, &err), E_NOT_FOUND, err);
	put(state, HASH_A ".erofs", "hello");
	ck_assert_fails(image_verify(state, "base", digest, &err), E_NOT_FOUND, err);
	put(state, HASH_A ".json", OUTER(HASH_A, "6"));
	ck_assert_fails(image_verify(state, "base", digest, &err), E_INTEGRITY, err);
	put(state, HASH_A ".json", OUTER(HASH_B, "5"));
	ck_assert_fails(image_verify(state, "base", digest, &err), E_INTEGRITY, err);
	put(state, HASH_A ".json", OUTER(HASH_A, "5"));
	ck_assert_ok(image_verify(state, "base", digest, &err), err);
	ck_assert_str_eq(digest, HASH_A);
	put(state, HASH_A ".erofs", "hellO");
	ck_assert_fails(image_verify(state, HASH_A, digest, &err), E_INTEGRITY, err);
	drop_state(state);
}
END_TEST

START_TEST(list_shows_good_and_broken)
{
	char state[64];
	struct json *list = NULL;
	make_state(state);
	ck_assert_ok(image_list("/nonexistent", &list, &err), err);
	ck_assert_uint_eq(json_size(list), 0);
	json_free(list);
	put(state, "base", HASH_A "\n");
	put(state, HASH_A ".erofs", "hello");
	put(state, HASH_A ".json", OUTER(HASH_A, "5"));
	put(state, HASH_B ".erofs", "other");
	ck_assert_ok(image_list(state, &list, &err), err);
	ck_assert_uint_eq(json_size(list), 2);
	const struct json *broken = json_at(list, 0);
	const struct json *good = json_at(list, 1);
	ck_assert_str_eq(json_as_string(json_get(broken, "digest")), HASH_B);
	ck_assert_ptr_nonnull(json_get(broken, "fault"));
	ck_assert_str_eq(json_as_string(json_get(good, "digest")), HASH_A);
	ck_assert_str_eq(json_as_string(json_at(json_get(good, "names"), 0)), "base");
	ck_assert_uint_eq(json_size(json_get(good, "tools")), 4);
	ck_assert_int_eq(json_as_integer(json_get(good, "size")), 5);
	json_free(list);
	drop_state(state);
}
END_TEST

/* The real image, or NULL (said aloud) where there is none or we may not mount. */
static struct image *open_base(unsigned flags)
{
	struct image *image = NULL;
	json_setup();
	int status = image_open(NULL, "base", flags, &image, &err);
	if (status == E_NOT_FOUND || status == E_DENIED) {
		(void)fprintf(stderr, "image: left out: %s\n", err.message);
		return NULL;
	}
	ck_assert_ok(status, err);
	return image;
}

static int make_overlay(const struct image *image, int mask_fd)
{
	char layers[64];
	ck_assert_ok(str_format(layers, sizeof(layers), &err, "/proc/self/fd/%d:/proc/self/fd/%d",
			     mask_fd, image_root_fd(image)),
		err);
	auto_close context = fsopen("overlay", FSOPEN_CLOEXEC);
	ck_assert_int_ge(context, 0);
	ck_assert_int_eq(fsconfig(context, FSCONFIG_SET_STRING, "lowerdir", layers, 0), 0);
	ck_assert_int_eq(fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0), 0);
	int fd = fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY);
	ck_assert_int_ge(fd, 0);
	return fd;
}

/* Exit status of a program run below root_fd; 127 when it cannot be executed. */
static int run(int root_fd, const char *const *argv)
{
	pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		char *const environment[] = { NULL };
		if (fchdir(root_fd) == 0 && chroot(".") == 0)
			(void)execve(argv[0], (char *const *)(uintptr_t)argv, environment);
		_exit(127);
	}
	int status = 0;
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

#define RUN(root_fd, ...) run(root_fd, (const char *const[]){ __VA_ARGS__, NULL })

static int view_of_tools(const struct image *image, const char *const *tools, size_t count)
{
	auto_close mask = -1;
	ck_assert_ok(image_mask(image, tools, count, &mask, &err), err);
	/* nothing can be added to a mask later */
	ck_assert_int_eq(mkdirat(mask, "more", 0755), -1);
	ck_assert_int_eq(errno, EROFS);
	return make_overlay(image, mask);
}

START_TEST(listed_tools_run_and_others_do_not_exist)
{
	auto_image *image = open_base(IMAGE_VERIFY);
	if (!image)
		return;
	static const char *const tools[] = { "python", "bash", "grep" };
	auto_close root = view_of_tools(image, tools, ARRAY_SIZE(tools));
	ck_assert_int_eq(RUN(root, "/usr/bin/python3", "-c", "import json, csv, re, hashlib"), 0);
	ck_assert_int_eq(RUN(root, "/bin/python", "-c", "raise SystemExit(7)"), 7);
	ck_assert_int_eq(RUN(root, "/bin/bash", "-c", "exit 5"), 5);
	ck_assert_int_eq(RUN(root, "/usr/bin/grep", "-q", "sandbox", "/etc/passwd"), 0);
	static const char *const hidden[] = { "usr/bin/sh", "bin/sh", "usr/bin/dash", "usr/bin/cat",
		"bin/ls", "usr/bin/jq", "usr/bin/awk", "usr/bin/mawk", "usr/bin/egrep",
		"usr/bin/rgrep", "usr/sbin/chroot", "sbin/chroot", "usr/bin/[", "usr/bin/find",
		"usr/bin/md5sum.textutils" };
	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++) {
		struct stat facts;
		ck_assert_int_eq(faccessat(image_root_fd(image), hidden[i], X_OK, 0), 0);
		ck_assert_msg(fstatat(root, hidden[i], &facts, AT_SYMLINK_NOFOLLOW) < 0 &&
				      errno == ENOENT,
			"%s is still there", hidden[i]);
	}
	ck_assert_int_eq(RUN(root, "/bin/sh", "-c", "exit 0"), 127);
	ck_assert_int_eq(
		RUN(root, "/lib64/ld-linux-x86-64.so.2", "/usr/bin/cat", "/etc/passwd"), 127);
}
END_TEST

START_TEST(every_single_tool_shows_itself_only)
{
	auto_image *image = open_base(0);
	if (!image)
		return;
	const struct json *table = json_get(image_manifest(image), "tools");
	auto_free struct manifest_path *paths = NULL;
	size_t count = 0;
	manifest_paths(image_manifest(image), &paths, &count);
	ck_assert_uint_gt(count, 100);
	for (const struct json_member_at *at = json_first(table); at; at = json_next(table, at)) {
		const char *const tools[] = { json_name(at) };
		struct image_tool tool;
		auto_close root = view_of_tools(image, tools, 1);
		ck_assert_ok(image_tool_info(image, tools[0], &tool, &err), err);
		ck_assert_uint_eq(strlen(tool.sha256), 64);
		for (size_t p = 0; p < count; p++)
			paths[p].is_visible = false;
		ck_assert_ok(
			manifest_show(image_manifest(image), tools, 1, paths, count, &err), err);
		for (size_t p = 0; p < count; p++)
			ck_assert_msg((faccessat(root, paths[p].path + 1, X_OK, 0) == 0) ==
					      paths[p].is_visible,
				"%s with tool %s", paths[p].path, tools[0]);
	}
}
END_TEST

START_TEST(mask_refuses)
{
	auto_image *image = open_base(0);
	if (!image)
		return;
	static const char *const unknown[] = { "python", "perl" };
	static const char *many[IMAGE_TOOLS_MAX + 1];
	int mask = -1;
	ck_assert_fails(image_mask(image, unknown, 2, &mask, &err), E_INVALID, err);
	ck_assert_ptr_nonnull(strstr(err.message, "\"perl\""));
	ck_assert_ptr_nonnull(strstr(err.message, " python "));
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = "jq";
	ck_assert_fails(image_mask(image, many, IMAGE_TOOLS_MAX + 1, &mask, &err), E_LIMIT, err);
	ck_assert_int_eq(mask, -1);
	ck_assert_ok(image_mask(image, many, IMAGE_TOOLS_MAX, &mask, &err), err);
	fd_close(&mask);
	auto_close nothing = view_of_tools(image, NULL, 0);
	ck_assert_int_eq(faccessat(nothing, "usr/bin/python3", F_OK, 0), -1);
	ck_assert_int_eq(faccessat(nothing, "lib64/ld-linux-x86-64.so.2", X_OK, 0), 0);
}
END_TEST

START_TEST(opens_by_loop_path_and_descriptor)
{
	auto_image *first = open_base(0);
	if (!first)
		return;
	char path[512];
	ck_assert_ok(str_format(path, sizeof(path), &err, "%s/images/%s.erofs", image_state_dir(),
			     image_digest(first)),
		err);
	struct image *by_path = NULL;
	ck_assert_ok(image_open(NULL, path, 0, &by_path, &err), err);
	ck_assert_str_eq(image_digest(by_path), image_digest(first));
	image_close(by_path);
	if (access("/dev/loop-control", R_OK | W_OK) == 0) {
		auto_image *by_loop = open_base(IMAGE_LOOP);
		ck_assert_int_eq(RUN(image_root_fd(by_loop), "/usr/bin/true"), 0);
	}
	struct image *adopted = NULL;
	auto_close copy = fcntl(image_root_fd(first), F_DUPFD_CLOEXEC, 0);
	ck_assert_fails(image_adopt(copy, "base", &adopted, &err), E_INVALID, err);
	ck_assert_ok(image_adopt(take_fd(&copy), image_digest(first), &adopted, &err), err);
	image_close(adopted);
	auto_close elsewhere = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	ck_assert_fails(
		image_adopt(elsewhere, image_digest(first), &adopted, &err), E_INTEGRITY, err);
	ck_assert_fails(image_open(NULL, "/dev/null", 0, &adopted, &err), E_INVALID, err);
	ck_assert_fails(
		image_open(NULL, "/proc/self/nothing", 0, &adopted, &err), E_NOT_FOUND, err);
	ck_assert_fails(
		image_open(NULL, SOURCE_ROOT "/LICENSE", 0, &adopted, &err), E_INTEGRITY, err);
}
END_TEST

START_TEST(preloads_every_file)
{
	auto_image *image = open_base(0);
	if (!image)
		return;
	uint64_t bytes = 0;
	ck_assert_ok(image_preload(image, &bytes, &err), err);
	ck_assert_uint_gt(bytes, 20 << 20);
}
END_TEST

START_TEST(attaches_to_a_directory)
{
	auto_image *image = open_base(0);
	if (!image)
		return;
	char state[64];
	make_state(state);
	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	char path[80];
	ck_assert_ok(str_format(path, sizeof(path), &err, "%s/images", state), err);
	ck_assert_ok(image_attach(image_root_fd(image), path, &err), err);
	ck_assert_ok(str_format(path, sizeof(path), &err, "%s/images/usr/bin/bash", state), err);
	ck_assert_int_eq(access(path, X_OK), 0);
	ck_assert_fails(
		image_attach(image_root_fd(image), "/nonexistent", &err), E_UNAVAILABLE, err);
	ck_assert_ok(str_format(path, sizeof(path), &err, "%s/images", state), err);
	ck_assert_int_eq(umount2(path, MNT_DETACH), 0);
	drop_state(state);
}
END_TEST

UNIT_MAIN("image", manifest_accepts_and_refuses, tool_list_decides_what_shows,
	verify_tells_each_fault, list_shows_good_and_broken,
	listed_tools_run_and_others_do_not_exist, every_single_tool_shows_itself_only, mask_refuses,
	opens_by_loop_path_and_descriptor, preloads_every_file, attaches_to_a_directory)
