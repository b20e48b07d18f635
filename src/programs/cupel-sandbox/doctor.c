/* cupel-sandbox doctor: what this machine enforces, what not, what to do. */
#include <stdio.h>

#include "programs/cupel-sandbox/commands.h"
#include "engines/sandbox/sandbox.h"
#include "kit/base/str.h"

int command_doctor(int argc, char **argv)
{
	struct sandbox_capability list[SANDBOX_CAPABILITIES_MAX];
	size_t count = 0;
	struct err err;
	bool is_json = argc == 1 && str_equal(argv[0], "--json");
	bool has_all = true;
	if (argc > 1 || (argc == 1 && !is_json)) {
		(void)fprintf(stderr, "cupel-sandbox: doctor: expected --json or nothing, got %s\n",
			argv[argc - 1]);
		return COMMAND_EXIT_USAGE;
	}
	if (sandbox_probe(list, &count, &err) < 0) {
		(void)fprintf(stderr, "cupel-sandbox: %s\n", err.message);
		return COMMAND_EXIT_FAILED;
	}
	if (is_json)
		(void)printf("[");
	for (size_t i = 0; i < count; i++) {
		const struct sandbox_capability *row = &list[i];
		has_all = has_all && (row->is_there || row->is_optional);
		if (is_json)
			(void)printf("%s{\"name\":\"%s\",\"enforced\":%s,\"detail\":\"%s\","
				     "\"advice\":\"%s\"}",
				i ? "," : "", row->name, row->is_there ? "true" : "false",
				row->detail, row->advice);
		else
			(void)printf("%-4s %-18s %s\n", row->is_there ? "yes" : "NO", row->name,
				row->is_there ? row->detail : row->advice);
	}
	if (is_json)
		(void)printf("]\n");
	return has_all ? 0 : COMMAND_EXIT_FAILED;
}
