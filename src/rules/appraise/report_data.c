/* See report_data.h. */
#include "rules/appraise/report_data.h"

#include "kit/crypto/hash.h"

enum { NONCE_MIN = 32, NONCE_MAX = 64, EXPORTER_SIZE = 32, LENGTH_SIZE = 4 };

/* With their NUL, so that no label is the beginning of another. */
static const char domain_agent[] = "cupel-rd-v1";
static const char domain_app[] = "cupel-app-rd-v1";

static int check(const struct report_data *data, struct err *err)
{
	struct view role = data->values[REPORT_DATA_ROLE];
	struct view nonce = data->values[REPORT_DATA_NONCE];
	struct view exporter = data->values[REPORT_DATA_EXPORTER];
	if (!view_equal_string(role, "server") && !view_equal_string(role, "client"))
		return err_set(err, E_INVALID, "report data: expected the role server or client");
	if (nonce.size < NONCE_MIN || nonce.size > NONCE_MAX)
		return err_set(err, E_INVALID, "report data: a nonce has %d to %d bytes, got %zu",
			NONCE_MIN, NONCE_MAX, nonce.size);
	if (exporter.size != 0 && exporter.size != EXPORTER_SIZE)
		return err_set(err, E_INVALID, "report data: an exporter has %d bytes, got %zu",
			EXPORTER_SIZE, exporter.size);
	for (size_t tag = 0; tag < REPORT_DATA_TAG_COUNT; tag++)
		if (data->values[tag].size > (tag ? (size_t)REPORT_DATA_VALUE_MAX : 0))
			return err_set(err, E_INVALID,
				"report data: tag %zu has %zu bytes, limit %d", tag,
				data->values[tag].size, tag ? REPORT_DATA_VALUE_MAX : 0);
	return 0;
}

int report_data_make(
	const struct report_data *data, uint8_t ret_bytes[static REPORT_DATA_SIZE], struct err *err)
{
	auto_done(buf) text = {};
	TRY(check(data, err));
	TRY(buf_append(&text, view_of(domain_agent, sizeof(domain_agent)), err));
	for (size_t tag = 1; tag < REPORT_DATA_TAG_COUNT; tag++) {
		if (data->values[tag].size == 0)
			continue;
		TRY(buf_append_be(&text, tag, 1, err));
		TRY(buf_append_be(&text, data->values[tag].size, LENGTH_SIZE, err));
		TRY(buf_append(&text, data->values[tag], err));
	}
	hash_bytes(HASH_SHA512, buf_view(&text), ret_bytes);
	return 0;
}

int report_data_of_app(
	struct view bytes, uint8_t ret_bytes[static REPORT_DATA_SIZE], struct err *err)
{
	auto_done(buf) length = {};
	if (bytes.size > REPORT_DATA_APP_MAX)
		return err_set(err, E_LIMIT, "report data of a workload: %zu bytes, limit %d",
			bytes.size, REPORT_DATA_APP_MAX);
	TRY(buf_append_be(&length, bytes.size, LENGTH_SIZE, err));
	const struct view parts[] = { view_of(domain_app, sizeof(domain_app)), buf_view(&length),
		bytes };
	hash_parts(HASH_SHA512, parts, ARRAY_SIZE(parts), ret_bytes);
	return 0;
}
