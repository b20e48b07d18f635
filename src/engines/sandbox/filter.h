/* The payload's system call filter, assembled from filter_table.h. */
#ifndef ENGINES_SANDBOX_FILTER_H
#define ENGINES_SANDBOX_FILTER_H

#include <linux/filter.h>
#include <stddef.h>

enum { FILTER_INSNS_MAX = 256 };

struct filter {
	struct sock_filter insns[FILTER_INSNS_MAX];
	size_t count;
};

/* Assemble; aborts when the table does not fit (a programming mistake). Pure, about 5 us. */
void filter_build(struct filter *ret_filter);

#endif
