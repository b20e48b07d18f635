/* See attest.h. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "programs/cupel-attest/attest.h"
#include "rules/appraise/snp.h"

enum {
	PATH_SIZE = 1024,
	QUOTE_HEADER = 48, /* version, key type, type: 2, 2 and 4 bytes; vendor at 12 */
	QUOTE_TYPE_AT = 4,
	QUOTE_TYPE_SGX = 0,
	QUOTE_TYPE_TDX = 0x81,
	QUOTE_VENDOR_AT = 12,
};

void loaded_done(struct loaded *loaded)
{
	for (size_t i = 0; i < loaded->count; i++)
		buf_done(&loaded->files[i]);
	loaded->count = 0;
}

int load_file(struct loaded *loaded, const char *path, struct view *ret_bytes, struct err *err)
{
	if (loaded->count == ARRAY_SIZE(loaded->files))
		return err_set(err, E_LIMIT, "more than %zu files", ARRAY_SIZE(loaded->files));
	struct buf *file = &loaded->files[loaded->count++];
	TRY(fd_read_file(path, BUNDLE_SIZE_MAX, file, err));
	*ret_bytes = buf_view(file);
	return 0;
}

int load_directory(struct loaded *loaded, const char *path, struct err *err)
{
	for (size_t i = 0; i < BUNDLE_ITEM_COUNT; i++) {
		char name[PATH_SIZE];
		TRY(str_format(name, sizeof(name), err, "%s/%s", path,
			bundle_item_name((enum bundle_item)i)));
		if (access(name, F_OK) < 0)
			continue;
		TRY(load_file(loaded, name, &loaded->bundle.items[i], err));
	}
	return 0;
}

/* Of TDX, or of SGX: that one is no stranger, the appraisal refuses it by name. */
static bool looks_like_quote(struct view bytes)
{
	static const uint8_t intel[] = { 0x93, 0x9a, 0x72, 0x33 };
	if (bytes.size < QUOTE_HEADER || bytes.data[1] != 0)
		return false;
	if (bytes.data[QUOTE_TYPE_AT] == QUOTE_TYPE_SGX)
		return view_equal(view_of(bytes.data + QUOTE_VENDOR_AT, sizeof(intel)),
			view_of(intel, sizeof(intel)));
	return bytes.data[QUOTE_TYPE_AT] == QUOTE_TYPE_TDX;
}

static bool looks_like_snp(struct view bytes)
{
	return bytes.size >= SNP_REPORT_SIZE && bytes.data[0] >= 2 && bytes.data[0] <= 5 &&
	       bytes.data[1] == 0 && bytes.data[2] == 0 && bytes.data[3] == 0;
}

static bool begins(struct view bytes, const char *text)
{
	size_t size = strlen(text);
	return bytes.size >= size && view_equal_string(view_of(bytes.data, size), text);
}

/* A token's kind stands in its claims only; the file name says it here. */
static int place_token(struct loaded *loaded, const char *path, struct view bytes, struct err *err)
{
	while (bytes.size > 0 && bytes.data[bytes.size - 1] == '\n')
		bytes.size--;
	if (str_ends(path, ".ear"))
		loaded->bundle.items[BUNDLE_EAR_TOKEN] = bytes;
	else if (str_ends(path, ".maa"))
		loaded->bundle.items[BUNDLE_MAA_TOKEN] = bytes;
	else
		return err_set(err, E_INVALID,
			"a token's file name ends in .maa or .ear, so that its kind is known");
	return 0;
}

static int place(struct loaded *loaded, const char *path, struct view bytes, struct err *err)
{
	struct view *items = loaded->bundle.items;
	if (begins(bytes, BUNDLE_MAGIC))
		return bundle_parse(bytes, &loaded->bundle, err);
	if (begins(bytes, "HCLA"))
		items[BUNDLE_HCL] = bytes;
	else if (begins(bytes, "eyJ"))
		return place_token(loaded, path, bytes, err);
	else if (looks_like_quote(bytes))
		items[BUNDLE_QUOTE] = bytes;
	else if (looks_like_snp(bytes)) {
		items[BUNDLE_REPORT] = view_of(bytes.data, SNP_REPORT_SIZE);
		if (bytes.size > SNP_REPORT_SIZE)
			items[BUNDLE_CERTIFICATES] = view_of(
				bytes.data + SNP_REPORT_SIZE, bytes.size - SNP_REPORT_SIZE);
	} else
		return err_set(err, E_INVALID,
			"%s is no TDX quote, SNP report, HCL report, token or bundle", path);
	return 0;
}

int load_evidence(struct loaded *loaded, const char *path, struct err *err)
{
	struct stat status;
	struct view bytes;
	if (stat(path, &status) < 0)
		return err_sys(err, errno == ENOENT ? E_NOT_FOUND : E_UNAVAILABLE, "%s", path);
	if (S_ISDIR(status.st_mode))
		return load_directory(loaded, path, err);
	TRY(load_file(loaded, path, &bytes, err));
	return place(loaded, path, bytes, err);
}
