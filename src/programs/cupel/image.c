/* cupel image list|verify. Building is images/build.py (start.c). */
#include <stdio.h>

#include "engines/image/image.h"
#include "kit/base/str.h"
#include "programs/cupel/cupel.h"

enum { BYTES_PER_MIB = 1 << 20 };

static void show_image(const struct json *row)
{
	const char *digest = json_as_string(json_get(row, "digest"));
	const char *fault = json_as_string(json_get(row, "fault"));
	const struct json *names = json_get(row, "names");
	printf("%s ", digest ? digest : "?");
	for (size_t i = 0; i < json_size(names); i++)
		printf(" %s", json_as_string(json_at(names, i)));
	if (fault)
		printf("  BROKEN: %s\n", fault);
	else
		printf("  %lld MiB, %zu tools, %zu packages\n",
			(long long)(json_as_integer(json_get(row, "size")) / BYTES_PER_MIB),
			json_size(json_get(row, "tools")), json_size(json_get(row, "packages")));
}

int run_image_list(struct cupel *cupel, int argc, char **argv, struct err *err)
{
	struct arguments arguments;
	auto_json *list = NULL;
	TRY(options_parse(cupel, argc, argv, NULL, 0, &arguments, err));
	if (cupel->is_help)
		return 0;
	TRY(options_none(cupel, &arguments, err));
	TRY(image_list(image_state_for(cupel->state_dir), &list, err));
	if (cupel->is_json)
		return show_json(list, err);
	for (size_t i = 0; i < json_size(list); i++)
		show_image(json_at(list, i));
	if (json_size(list) == 0)
		(void)fprintf(stderr, "no image in %s/images; make one: cupel image build\n",
			cupel->state_dir);
	return 0;
}

int run_image_verify(struct cupel *cupel, int argc, char **argv, struct err *err)
{
	struct arguments arguments;
	const char *name;
	char digest[IMAGE_DIGEST_SIZE];
	TRY(options_parse(cupel, argc, argv, NULL, 0, &arguments, err));
	if (cupel->is_help)
		return 0;
	TRY(options_one(cupel, &arguments, "one image name or digest", &name, err));
	TRY(image_verify(image_state_for(cupel->state_dir), name, digest, err));
	if (cupel->is_json) {
		auto_json *body = json_new_object();
		json_set_string(body, "name", name);
		json_set_string(body, "digest", digest);
		return show_json(body, err);
	}
	printf("%s is sha256:%s\n", name, digest);
	return 0;
}
