/*
 * cupel-sandbox: the supervisor of one sandbox, and the small command line around it.
 *
 *	cupel-sandbox slot            one sandbox, controlled over descriptor 3 (the library's use)
 *
 * A program of its own because one supervisor must not share an address space with anything else,
 * and because it is started once per run: small and static, it starts in a fraction of a
 * millisecond.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines/sandbox/slot.h"
#include "kit/base/str.h"

enum { CONTROL_FD = 3, EXIT_USAGE = 2 };

int main(int argc, char **argv)
{
	struct err err;
	if (argc == 2 && str_equal(argv[1], "slot"))
		return slot_serve(CONTROL_FD, &err) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	(void)fputs("usage: cupel-sandbox slot\n", stderr);
	return EXIT_USAGE;
}
