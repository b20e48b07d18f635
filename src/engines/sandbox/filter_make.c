/* Build time: print both filters as C. See filter.h. */
#include <stdio.h>

#include "engines/sandbox/filter.h"

static void print(enum filter_stage stage, const char *name)
{
	struct filter filter;
	filter_build(stage, &filter);
	(void)printf("static struct sock_filter %s[] = {\n", name);
	for (size_t i = 0; i < filter.count; i++)
		(void)printf("\t{ %u, %u, %u, %uu },\n", filter.insns[i].code, filter.insns[i].jt,
			filter.insns[i].jf, filter.insns[i].k);
	(void)printf("};\n");
}

int main(void)
{
	(void)printf("#include \"engines/sandbox/filter.h\"\n");
	print(FILTER_BASE, "base");
	print(FILTER_LOCK, "lock");
	return printf("const struct sock_fprog filter_programs[FILTER_STAGE_COUNT] = {\n"
		      "\t[FILTER_BASE] = { sizeof(base) / sizeof(base[0]), base },\n"
		      "\t[FILTER_LOCK] = { sizeof(lock) / sizeof(lock[0]), lock },\n};\n") < 0;
}
