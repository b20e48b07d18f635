/*
 * What every unit test needs around Check: one suite per program and checks on our error idiom.
 *
 *	START_TEST(adds) { ck_assert_ok(f(&err), err); ck_assert_fails(g(&err), E_LIMIT, err); }
 *	END_TEST
 *	UNIT_MAIN("module", adds, other)
 */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

#include <check.h>
#include <stdlib.h>

#include "kit/base/err.h"

#define ck_assert_ok(call, err)                                                     \
	do {                                                                        \
		int status_ = (call);                                               \
		ck_assert_msg(status_ == 0, "%s failed: %s", #call, (err).message); \
	} while (0)

#define ck_assert_fails(call, expected, err)                                                \
	do {                                                                                \
		int status_ = (call);                                                       \
		ck_assert_msg(status_ == (expected), "%s gave %s (%s), expected %s", #call, \
			err_category_name(status_), status_ ? (err).message : "",           \
			err_category_name(expected));                                       \
	} while (0)

#define UNIT_MAIN(name, ...)                                                  \
	int main(void)                                                        \
	{                                                                     \
		const TTest *const tests[] = { __VA_ARGS__ };                 \
		Suite *suite = suite_create(name);                            \
		TCase *tcase = tcase_create(name);                            \
		suite_add_tcase(suite, tcase);                                \
		for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) \
			tcase_add_test(tcase, tests[i]);                      \
		SRunner *runner = srunner_create(suite);                      \
		srunner_run_all(runner, CK_ENV);                              \
		int failed = srunner_ntests_failed(runner);                   \
		srunner_free(runner);                                         \
		return failed ? EXIT_FAILURE : EXIT_SUCCESS;                  \
	}

#endif
