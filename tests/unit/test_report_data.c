/* Report data: the format byte for byte, what is refused, and that every value counts. */
#include "kit/base/buf.h"
#include "kit/crypto/hash.h"
#include "rules/appraise/report_data.h"
#include "unit.h"

static uint8_t nonce[64];

static struct report_data base(void)
{
	struct report_data data = {};
	data.values[REPORT_DATA_ROLE] = view_string("server");
	data.values[REPORT_DATA_NONCE] = view_of(nonce, 32);
	return data;
}

START_TEST(bytes_are_the_format)
{
	static const char expected[] =
		"cupel-rd-v1\0\x01\0\0\0\x06server\x02\0\0\0\x20"
		"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
		"\x06\0\0\0\x03job";
	struct report_data data = base();
	uint8_t got[REPORT_DATA_SIZE], want[REPORT_DATA_SIZE];
	struct err err;
	data.values[REPORT_DATA_JOB] = view_string("job");
	ck_assert_ok(report_data_make(&data, got, &err), err);
	hash_bytes(HASH_SHA512, view_of(expected, sizeof(expected) - 1), want);
	ck_assert_mem_eq(got, want, sizeof(got));
}
END_TEST

START_TEST(every_value_counts)
{
	uint8_t plain[REPORT_DATA_SIZE], other[REPORT_DATA_SIZE];
	struct report_data data = base();
	struct err err;
	static const uint8_t bytes[32] = { 1 };
	ck_assert_ok(report_data_make(&data, plain, &err), err);
	for (size_t tag = REPORT_DATA_SPKI; tag < REPORT_DATA_TAG_COUNT; tag++) {
		data = base();
		data.values[tag] = view_of(bytes, sizeof(bytes));
		ck_assert_ok(report_data_make(&data, other, &err), err);
		ck_assert_mem_ne(plain, other, sizeof(plain));
	}
	data = base();
	data.values[REPORT_DATA_ROLE] = view_string("client");
	ck_assert_ok(report_data_make(&data, other, &err), err);
	ck_assert_mem_ne(plain, other, sizeof(plain));
}
END_TEST

START_TEST(faults_and_limits)
{
	static const uint8_t large[REPORT_DATA_APP_MAX + 1];
	uint8_t got[REPORT_DATA_SIZE];
	struct err err;
	struct report_data data = base();
	data.values[REPORT_DATA_ROLE] = view_string("Server");
	ck_assert_fails(report_data_make(&data, got, &err), E_INVALID, err);
	for (size_t size = 31; size <= 65; size += 34) {
		data = base();
		data.values[REPORT_DATA_NONCE] = view_of(large, size);
		ck_assert_fails(report_data_make(&data, got, &err), E_INVALID, err);
	}
	data = base();
	data.values[REPORT_DATA_EXPORTER] = view_of(large, 33);
	ck_assert_fails(report_data_make(&data, got, &err), E_INVALID, err);
	data = base();
	data.values[0] = view_of(large, 1);
	ck_assert_fails(report_data_make(&data, got, &err), E_INVALID, err);
	for (size_t size = REPORT_DATA_VALUE_MAX - 1; size <= REPORT_DATA_VALUE_MAX + 1; size++) {
		data = base();
		data.values[REPORT_DATA_SPKI] = view_of(large, size);
		ck_assert_int_eq(report_data_make(&data, got, &err),
			size <= REPORT_DATA_VALUE_MAX ? 0 : E_INVALID);
	}
	ck_assert_ok(report_data_of_app(view_of(large, REPORT_DATA_APP_MAX), got, &err), err);
	ck_assert_fails(report_data_of_app(view_of(large, sizeof(large)), got, &err), E_LIMIT, err);
}
END_TEST

UNIT_MAIN("report_data", bytes_are_the_format, every_value_counts, faults_and_limits)
