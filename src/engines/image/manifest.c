/*
 * See manifest.h. A manifest is small and read once per image, so the checked JSON tree itself is
 * the table; nothing is copied out of it.
 */
#include "engines/image/manifest.h"

#include <assert.h>
#include <stdlib.h>

#include "kit/base/mem.h"
#include "kit/base/str.h"

enum { PATH_BYTES_MAX = 255, KNOWN_BYTES_MAX = 320, VERSION_BYTES_MAX = 128 };

bool manifest_is_digest(const char *text)
{
	size_t size = text ? strlen(text) : 0;
	return size == IMAGE_DIGEST_SIZE - 1 && strspn(text, "0123456789abcdef") == size;
}

static bool is_tool_name(const char *name)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	static const char rest[] = "abcdefghijklmnopqrstuvwxyz0123456789._+-";
	size_t size = strlen(name);
	return size > 0 && size <= IMAGE_TOOL_NAME_MAX && strchr(first, name[0]) &&
	       strspn(name, rest) == size;
}

/* Below /usr, no empty component, none of only dots: safe to create below a directory. */
static bool is_program_path(const char *path)
{
	if (!path || !str_starts(path, "/usr/") || strlen(path) > PATH_BYTES_MAX)
		return false;
	for (const char *slash = path; slash; slash = strchr(slash + 1, '/')) {
		const char *name = slash + 1;
		if (*name == 0 || *name == '/' || *name == '.')
			return false;
	}
	return true;
}

static int check_tool(const char *name, const struct json *tool, struct err *err)
{
	const struct json *paths = NULL;
	const struct json *sha256 = NULL;
	const struct json *version = NULL;
	const struct json_member members[] = {
		{ "paths", JSON_KIND_ARRAY, true, &paths },
		{ "sha256", JSON_KIND_STRING, true, &sha256 },
		{ "version", JSON_KIND_STRING, true, &version },
	};
	TRY(json_match(tool, "tools", members, ARRAY_SIZE(members), err));
	if (!is_tool_name(name))
		return err_set(err, E_INVALID, "a tool's name is not well formed");
	if (!manifest_is_digest(json_as_string(sha256)))
		return err_set(err, E_INVALID, "tool %s: sha256 is no digest", name);
	if (json_as_view(version).size > VERSION_BYTES_MAX)
		return err_set(err, E_INVALID, "tool %s: version is too long", name);
	if (json_size(paths) == 0 || json_size(paths) > IMAGE_TOOL_PATHS_MAX)
		return err_set(err, E_INVALID, "tool %s: expected 1 to %d paths, got %zu", name,
			IMAGE_TOOL_PATHS_MAX, json_size(paths));
	for (size_t i = 0; i < json_size(paths); i++) {
		if (!is_program_path(json_as_string(json_at(paths, i))))
			return err_set(
				err, E_INVALID, "tool %s: path %zu is no program path", name, i);
	}
	return 0;
}

static int check_scripts(const struct json *scripts, struct err *err)
{
	for (const struct json_member_at *at = json_first(scripts); at;
		at = json_next(scripts, at)) {
		if (!is_program_path(json_name(at)) ||
			!is_program_path(json_as_string(json_value(at))))
			return err_set(err, E_INVALID, "scripts: not a path of /usr");
	}
	return 0;
}

static int check_packages(const struct json *packages, struct err *err)
{
	for (size_t i = 0; i < json_size(packages); i++) {
		const struct json_member members[] = {
			{ "name", JSON_KIND_STRING, true, NULL },
			{ "version", JSON_KIND_STRING, true, NULL },
		};
		TRY(json_match(
			json_at(packages, i), "packages", members, ARRAY_SIZE(members), err));
	}
	return 0;
}

static int check(const struct json *manifest, bool is_outer, struct err *err)
{
	const struct json *packages = NULL;
	const struct json *scripts = NULL;
	const struct json *tools = NULL;
	const struct json *digest = NULL;
	const struct json *recipe = NULL;
	const struct json_member members[] = {
		{ "packages", JSON_KIND_ARRAY, true, &packages },
		{ "scripts", JSON_KIND_OBJECT, true, &scripts },
		{ "tools", JSON_KIND_OBJECT, true, &tools },
		{ "digest", JSON_KIND_STRING, true, &digest },
		{ "recipe", JSON_KIND_STRING, true, &recipe },
		{ "size", JSON_KIND_INTEGER, true, NULL },
	};
	TRY(json_match(manifest, "", members, is_outer ? ARRAY_SIZE(members) : 3, err));
	if (is_outer && (!manifest_is_digest(json_as_string(digest)) ||
				!manifest_is_digest(json_as_string(recipe))))
		return err_set(err, E_INVALID, "digest and recipe must be 64 hex digits");
	size_t count = 0;
	for (const struct json_member_at *at = json_first(tools); at; at = json_next(tools, at)) {
		TRY(check_tool(json_name(at), json_value(at), err));
		count++;
	}
	if (count == 0 || count > IMAGE_TOOLS_MAX)
		return err_set(
			err, E_INVALID, "expected 1 to %d tools, got %zu", IMAGE_TOOLS_MAX, count);
	TRY(check_scripts(scripts, err));
	return check_packages(packages, err);
}

int manifest_parse(struct view text, bool is_outer, struct json **ret_manifest, struct err *err)
{
	auto_json *manifest = NULL;
	int status = json_parse(text, IMAGE_MANIFEST_MAX, &manifest, err);
	if (status == 0)
		status = check(manifest, is_outer, err);
	if (status < 0) {
		err_wrap(err, "image manifest");
		err->category = E_INTEGRITY;
		return E_INTEGRITY;
	}
	*ret_manifest = take_ptr(manifest);
	return 0;
}

static bool owns(const struct json *tool, const char *path)
{
	const struct json *paths = json_get(tool, "paths");
	for (size_t i = 0; i < json_size(paths); i++) {
		if (str_equal(json_as_string(json_at(paths, i)), path))
			return true;
	}
	return false;
}

/* A tool that is one program of a bigger one (cat of coreutils) needs no mention in a message. */
static bool is_part_of_another(const struct json *tools, const struct json *tool)
{
	const struct json *paths = json_get(tool, "paths");
	const char *path = json_as_string(json_at(paths, 0));
	for (const struct json_member_at *at = json_first(tools); at; at = json_next(tools, at)) {
		const struct json *other = json_value(at);
		if (json_size(json_get(other, "paths")) > json_size(paths) && owns(other, path))
			return true;
	}
	return false;
}

/* The names for a message, as many as fit. */
static void list_known(const struct json *tools, char ret_text[static KNOWN_BYTES_MAX])
{
	size_t used = 0;
	ret_text[0] = 0;
	for (const struct json_member_at *at = json_first(tools); at; at = json_next(tools, at)) {
		size_t size = strlen(json_name(at));
		if (is_part_of_another(tools, json_value(at)))
			continue;
		if (used + size + sizeof(" ...") > KNOWN_BYTES_MAX - 1) {
			memcpy(ret_text + used, " ...", sizeof(" ..."));
			return;
		}
		if (used)
			ret_text[used++] = ' ';
		memcpy(ret_text + used, json_name(at), size + 1);
		used += size;
	}
}

int manifest_tool(const struct json *manifest, const char *name, const struct json **ret_tool,
	struct err *err)
{
	const struct json *tools = json_get(manifest, "tools");
	const struct json *tool = json_get(tools, name);
	if (!tool) {
		char quoted[STR_QUOTE_MAX];
		char known[KNOWN_BYTES_MAX];
		list_known(tools, known);
		return err_set(err, E_INVALID,
			"unknown tool \"%s\": expected one of %s, or a program of coreutils, "
			"diffutils or findutils by its own name",
			str_quote(view_string(name), quoted), known);
	}
	*ret_tool = tool;
	return 0;
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(
		((const struct manifest_path *)a)->path, ((const struct manifest_path *)b)->path);
}

void manifest_paths(
	const struct json *manifest, struct manifest_path **ret_paths, size_t *ret_count)
{
	const struct json *tools = json_get(manifest, "tools");
	size_t all = 0;
	for (const struct json_member_at *at = json_first(tools); at; at = json_next(tools, at))
		all += json_size(json_get(json_value(at), "paths"));
	struct manifest_path *paths = mem_alloc(all, sizeof(*paths));
	size_t used = 0;
	for (const struct json_member_at *at = json_first(tools); at; at = json_next(tools, at)) {
		const struct json *owned = json_get(json_value(at), "paths");
		for (size_t i = 0; i < json_size(owned); i++)
			paths[used++].path = json_as_string(json_at(owned, i));
	}
	qsort(paths, used, sizeof(*paths), compare_paths);
	size_t count = 0;
	for (size_t i = 0; i < used; i++) {
		if (count == 0 || !str_equal(paths[count - 1].path, paths[i].path))
			paths[count++] = paths[i];
	}
	*ret_paths = paths;
	*ret_count = count;
}

static struct manifest_path *find_path(struct manifest_path *paths, size_t count, const char *path)
{
	const struct manifest_path wanted = { .path = path };
	return bsearch(&wanted, paths, count, sizeof(*paths), compare_paths);
}

int manifest_show(const struct json *manifest, const char *const *tools, size_t tool_count,
	struct manifest_path *paths, size_t path_count, struct err *err)
{
	for (size_t t = 0; t < tool_count; t++) {
		const struct json *tool = NULL;
		TRY(manifest_tool(manifest, tools[t], &tool, err));
		const struct json *owned = json_get(tool, "paths");
		for (size_t i = 0; i < json_size(owned); i++) {
			struct manifest_path *path = find_path(
				paths, path_count, json_as_string(json_at(owned, i)));
			assert(path); /* manifest_paths has every path of every tool */
			path->is_visible = true;
		}
	}
	const struct json *scripts = json_get(manifest, "scripts");
	for (const struct json_member_at *at = json_first(scripts); at;
		at = json_next(scripts, at)) {
		struct manifest_path *script = find_path(paths, path_count, json_name(at));
		const struct manifest_path *interpreter = find_path(
			paths, path_count, json_as_string(json_value(at)));
		if (script && (!interpreter || !interpreter->is_visible))
			script->is_visible = false;
	}
	return 0;
}
