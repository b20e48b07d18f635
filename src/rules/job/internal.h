/* What execute.c and execute_dataset.c share. */
#ifndef RULES_JOB_INTERNAL_H
#define RULES_JOB_INTERNAL_H

#include "rules/job/execute.h"

/* E_INVALID unless name is one plain file name; what says whose, for the message. */
int execute_check_name(const char *what, const char *name, struct err *err) MUST_CHECK;

/* The members dataset and datasets (each may be NULL); errors as execute_request_parse. */
int execute_read_datasets(const struct json *one, const struct json *many, bool is_multipart,
	struct execute_request *request, struct err *err) MUST_CHECK;

#endif
