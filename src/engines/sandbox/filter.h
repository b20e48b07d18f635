/* The system call filters, assembled from filter_table.h. */
#ifndef ENGINES_SANDBOX_FILTER_H
#define ENGINES_SANDBOX_FILTER_H

#include <linux/filter.h>
#include <stddef.h>

enum { FILTER_INSNS_MAX = 256 };

struct filter {
	struct sock_filter insns[FILTER_INSNS_MAX];
	size_t count;
};

/*
 * Two stages. BASE: taken on by the supervisor and inherited by the payload: nothing but what these
 * two ever need. LOCK: taken on by the payload: what only the supervisor needs.
 */
enum filter_stage { FILTER_BASE, FILTER_LOCK, FILTER_STAGE_COUNT };

/* Assemble; aborts when the table does not fit (a programming mistake). Pure; at build time. */
void filter_build(enum filter_stage stage, struct filter *ret_filter);

/* What was assembled at build time. */
extern const struct sock_fprog filter_programs[FILTER_STAGE_COUNT];

#endif
