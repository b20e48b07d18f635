/*
 * The tool table of an image: strict reading and the two questions asked of it. Internal to
 * engines/image. The bytes come from an image file that root made, and are checked all the same:
 * its paths become names of files we create.
 */
#ifndef ENGINES_IMAGE_MANIFEST_H
#define ENGINES_IMAGE_MANIFEST_H

#include "engines/image/image.h"

/*
 * Parse and check {packages, scripts, tools}, with is_outer also {digest, recipe, size}.
 * E_INTEGRITY for anything else than the format of images/README.md.
 */
int manifest_parse(
	struct view text, bool is_outer, struct json **ret_manifest, struct err *err) MUST_CHECK;

/* The tool's object {paths, sha256, version}; E_INVALID with the known names. */
int manifest_tool(const struct json *manifest, const char *name, const struct json **ret_tool,
	struct err *err) MUST_CHECK;

/* True for 64 lower-case hex digits. */
bool manifest_is_digest(const char *text);

struct manifest_path {
	const char *path; /* absolute, borrowed from the manifest */
	bool is_visible;
};

/* Every program of the image once, in byte order. Release with mem_free. */
void manifest_paths(
	const struct json *manifest, struct manifest_path **ret_paths, size_t *ret_count);

/* Mark what the tools own, then unmark scripts whose interpreter is not visible. */
int manifest_show(const struct json *manifest, const char *const *tools, size_t tool_count,
	struct manifest_path *paths, size_t path_count, struct err *err) MUST_CHECK;

#endif
