/* The datasets of a request, from its JSON and from the parts of a multipart body. See execute.h.
 */
#include "kit/base/str.h"
#include "kit/codec/hex.h"
#include "rules/job/internal.h"

#define BASE64_PREFIX "base64:"

static const char *const formats[] = { "csv", "json", "txt", "bin" };

static int read_format(const struct json *format, struct execute_dataset *dataset, struct err *err)
{
	dataset->format = "bin";
	if (!format)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (str_equal(json_as_string(format), formats[i])) {
			dataset->format = formats[i];
			return 0;
		}
	return err_set(err, E_INVALID, "at dataset.format: expected csv, json, txt or bin");
}

static int read_data(const struct json *data, struct execute_dataset *dataset, struct err *err)
{
	size_t prefix = strlen(BASE64_PREFIX);
	enum json_kind kind = json_kind(data);
	struct view text = json_as_view(data);
	if (kind == JSON_KIND_OBJECT || kind == JSON_KIND_ARRAY) {
		dataset->source = EXECUTE_VALUE;
		dataset->value = data;
		return 0;
	}
	if (kind != JSON_KIND_STRING)
		return err_set(err, E_INVALID,
			"at dataset.data: expected a string (text, or \"base64:...\"), an object "
			"or an "
			"array, got %s",
			json_kind_name(kind));
	bool is_base64 = text.size >= prefix &&
			 view_equal_string(view_of(text.data, prefix), BASE64_PREFIX);
	dataset->source = is_base64 ? EXECUTE_BASE64 : EXECUTE_TEXT;
	dataset->text = is_base64 ? view_of(text.data + prefix, text.size - prefix) : text;
	return 0;
}

static int read_url(const struct json *url, struct execute_dataset *dataset, struct err *err)
{
	struct view text = json_as_view(url);
	if (text.size > EXECUTE_URL_MAX)
		return err_set(err, E_LIMIT, "at dataset.url: %zu characters, limit %d", text.size,
			EXECUTE_URL_MAX);
	for (size_t i = 0; i < text.size; i++)
		if (text.data[i] <= 0x20 || text.data[i] > 0x7e)
			return err_set(err, E_INVALID,
				"at dataset.url: character %zu is not printable ASCII; "
				"percent-encode it",
				i);
	if (!str_starts(json_as_string(url), "https://") &&
		!str_starts(json_as_string(url), "http://"))
		return err_set(err, E_INVALID, "at dataset.url: expected https://...");
	dataset->source = EXECUTE_URL;
	dataset->text = text;
	return 0;
}

static int read_source(const struct json *data, const struct json *url, const struct json *part,
	struct execute_dataset *dataset, struct err *err)
{
	if (!!data + !!url + !!part != 1)
		return err_set(err, E_INVALID,
			"at dataset: expected exactly one of data, url and part, got %d",
			!!data + !!url + !!part);
	if (data)
		return read_data(data, dataset, err);
	if (url)
		return read_url(url, dataset, err);
	dataset->source = EXECUTE_PART;
	dataset->text = json_as_view(part);
	if (dataset->text.size == 0 || dataset->text.size > EXECUTE_NAME_MAX)
		return err_set(err, E_INVALID,
			"at dataset.part: expected the name of a part, 1 to %d bytes, got %zu",
			EXECUTE_NAME_MAX, dataset->text.size);
	return 0;
}

static int read_expected_digest(
	const struct json *sha256, struct execute_dataset *dataset, struct err *err)
{
	if (!sha256)
		return 0;
	int status = hex_decode(json_as_view(sha256), dataset->sha256, SHA256_SIZE, err);
	if (status < 0)
		err_wrap(err, "at dataset.sha256");
	dataset->has_sha256 = true;
	return status;
}

static bool has_dataset(const struct execute_request *request, const char *name)
{
	for (size_t i = 0; i < request->dataset_count; i++)
		if (str_equal(request->datasets[i].name, name))
			return true;
	return false;
}

static int name_dataset(struct execute_request *request, const struct json *name,
	struct execute_dataset *dataset, struct err *err)
{
	if (name) {
		TRY(execute_check_name("dataset name", json_as_string(name), err));
		TRY(str_format(
			dataset->name, sizeof(dataset->name), err, "%s", json_as_string(name)));
	} else {
		TRY(str_format(
			dataset->name, sizeof(dataset->name), err, "dataset.%s", dataset->format));
	}
	if (has_dataset(request, dataset->name))
		return err_set(err, E_INVALID,
			"two datasets are named '%s'; give each its own name", dataset->name);
	return 0;
}

static int read_dataset(const struct json *value, bool is_multipart,
	struct execute_request *request, struct err *err)
{
	const struct json *data, *url, *part, *name, *format, *sha256;
	const struct json_member members[] = {
		{ "data", JSON_KIND_ANY, false, &data },
		{ "url", JSON_KIND_STRING, false, &url },
		{ "part", JSON_KIND_STRING, false, &part },
		{ "name", JSON_KIND_STRING, false, &name },
		{ "format", JSON_KIND_STRING, false, &format },
		{ "sha256", JSON_KIND_STRING, false, &sha256 },
	};
	if (request->dataset_count == EXECUTE_DATASETS_MAX)
		return err_set(err, E_LIMIT, "more than %d datasets", EXECUTE_DATASETS_MAX);
	struct execute_dataset dataset = {};
	TRY(json_match(value, "dataset", members, ARRAY_SIZE(members), err));
	TRY(read_format(format, &dataset, err));
	TRY(read_source(data, url, part, &dataset, err));
	if (part && !is_multipart)
		return err_set(err, E_INVALID,
			"at dataset.part: only a multipart/form-data body has parts");
	TRY(read_expected_digest(sha256, &dataset, err));
	TRY(name_dataset(request, name, &dataset, err));
	request->datasets[request->dataset_count++] = dataset;
	return 0;
}

int execute_read_datasets(const struct json *one, const struct json *many, bool is_multipart,
	struct execute_request *request, struct err *err)
{
	if (one && many)
		return err_set(err, E_INVALID, "expected dataset or datasets, got both");
	if (one)
		return read_dataset(one, is_multipart, request, err);
	for (size_t i = 0; many && i < json_size(many); i++) {
		int status = read_dataset(json_at(many, i), is_multipart, request, err);
		if (status < 0) {
			err_wrap(err, "datasets[%zu]", i);
			return status;
		}
	}
	request->takes_all_parts = !many && is_multipart;
	return 0;
}

int execute_request_add_part(struct execute_request *request, struct view part_name,
	struct view file_name, struct err *err)
{
	char name[EXECUTE_NAME_MAX + 2] = "";
	if (request->dataset_count == EXECUTE_DATASETS_MAX)
		return err_set(err, E_LIMIT, "more than %d datasets", EXECUTE_DATASETS_MAX);
	if (file_name.size && memchr(file_name.data, 0, file_name.size)) /* ends C text early */
		return err_set(err, E_INVALID, "a part's filename holds a NUL byte");
	if (file_name.size)
		memcpy(name, file_name.data, MIN(file_name.size, sizeof(name) - 1));
	TRY(execute_check_name("dataset name", name, err));
	if (has_dataset(request, name))
		return err_set(err, E_INVALID, "two datasets are named '%s'", name);
	struct execute_dataset *dataset = &request->datasets[request->dataset_count++];
	*dataset = (struct execute_dataset){
		.source = EXECUTE_PART, .text = part_name, .format = "bin"
	};
	memcpy(dataset->name, name, sizeof(dataset->name) - 1);
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		const char *dot = strrchr(name, '.');
		if (dot && str_equal(dot + 1, formats[i]))
			dataset->format = formats[i];
	}
	return 0;
}
