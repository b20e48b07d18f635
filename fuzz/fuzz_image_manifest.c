/*
 * The manifest of an image: whatever the bytes, manifest_parse refuses them or yields a table on
 * which masks can be computed. Seeds: the .json of a built image, and what lies inside the image.
 */
#include "engines/image/manifest.h"
#include "kit/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const tools[] = { "python", "sh", "a" };
	auto_json *manifest = NULL;
	struct err err;
	if (size == 0)
		return 0;
	if (manifest_parse(view_of(data + 1, size - 1), data[0] & 1, &manifest, &err) < 0)
		return 0;
	auto_free struct manifest_path *paths = NULL;
	size_t count = 0;
	manifest_paths(manifest, &paths, &count);
	for (size_t i = 0; i < ARRAY_SIZE(tools); i++)
		(void)!manifest_show(manifest, &tools[i], 1, paths, count, &err);
	return 0;
}
