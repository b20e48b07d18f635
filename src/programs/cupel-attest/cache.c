/*
 * A directory of collateral kept fresh: until when it is valid, and putting another in its place as
 * a whole, so that nobody ever reads half of two. Dates only; whether a document is genuine, the
 * appraisal says each time, and it never uses one beyond its dates.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "kit/base/time.h"
#include "kit/crypto/x509.h"
#include "programs/cupel-attest/attest.h"
#include "rules/appraise/appraise.h"

enum { PATH_SIZE = 1024, FILES_MAX = 256 };

static void narrow(struct cache_span *span, uint64_t from_ms, uint64_t to_ms)
{
	span->from_ms = MAX(span->from_ms, from_ms);
	span->to_ms = MIN(span->to_ms, to_ms);
}

static int of_document(
	struct view text, const char *member, struct cache_span *span, struct err *err)
{
	auto_json *root = NULL;
	uint64_t from_ms, to_ms;
	TRY(json_parse(text, APPRAISE_JSON_MAX, &root, err));
	const struct json *body = json_get(root, member);
	const char *from = json_as_string(json_get(body, "issueDate"));
	const char *to = json_as_string(json_get(body, "nextUpdate"));
	if (!from || !to)
		return err_set(err, E_INVALID, "no %s with issueDate and nextUpdate", member);
	TRY(time_parse(from, &from_ms, err));
	TRY(time_parse(to, &to_ms, err));
	narrow(span, from_ms, to_ms);
	return 0;
}

static int of_tcb_info(struct view bytes, struct cache_span *span, struct err *err)
{
	return of_document(bytes, "tcbInfo", span, err);
}

static int of_identity(struct view bytes, struct cache_span *span, struct err *err)
{
	return of_document(bytes, "enclaveIdentity", span, err);
}

static int of_crl(struct view bytes, struct cache_span *span, struct err *err)
{
	struct x509_crl crl;
	TRY(x509_crl_parse(bytes, &crl, err));
	narrow(span, crl.this_update_ms, crl.next_update_ms);
	return 0;
}

static int of_certificate(struct view bytes, struct cache_span *span, struct err *err)
{
	struct x509 certificate;
	TRY(x509_parse(bytes, &certificate, err));
	narrow(span, certificate.not_before_ms, certificate.not_after_ms);
	return 0;
}

static int of_chain(struct view bytes, struct cache_span *span, struct err *err)
{
	struct view certificates[X509_CHAIN_MAX];
	auto_done(buf) der = {};
	size_t count = 0;
	TRY(x509_pem(bytes, &der, certificates, X509_CHAIN_MAX, &count, err));
	for (size_t i = 0; i < count; i++)
		TRY(of_certificate(certificates[i], span, err));
	return 0;
}

static const struct {
	enum bundle_item item;
	int (*read)(struct view bytes, struct cache_span *span, struct err *err);
} rows[] = {
	{ BUNDLE_TCB_INFO, of_tcb_info },
	{ BUNDLE_QE_IDENTITY, of_identity },
	{ BUNDLE_TCB_CHAIN, of_chain },
	{ BUNDLE_QE_CHAIN, of_chain },
	{ BUNDLE_ROOT_CRL, of_crl },
	{ BUNDLE_PCK_CRL, of_crl },
	{ BUNDLE_CRL, of_crl },
	{ BUNDLE_VEK, of_certificate },
	{ BUNDLE_INTERMEDIATE, of_certificate },
	{ BUNDLE_ARK_0, of_certificate },
};

int cache_span(const struct bundle *bundle, struct cache_span *ret_span, struct err *err)
{
	struct cache_span span = { 0, UINT64_MAX };
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct view bytes = bundle->items[rows[i].item];
		if (bytes.size == 0)
			continue;
		int status = rows[i].read(bytes, &span, err);
		if (status < 0) {
			err_wrap(err, "%s", bundle_item_name(rows[i].item));
			return status;
		}
	}
	if (span.to_ms == UINT64_MAX)
		return err_set(err, E_NOT_FOUND, "no collateral with a date");
	*ret_span = span;
	return 0;
}

/* Regular files of a directory that are no item of a bundle, or no longer one, come along. */
static int link_rest(const char *from, const char *to, struct err *err)
{
	DIR *directory = opendir(from);
	if (!directory)
		return errno == ENOENT ? 0 : err_sys(err, E_UNAVAILABLE, "opening %s", from);
	int target = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC), status = 0;
	const struct dirent *entry;
	for (size_t i = 0; status == 0 && (entry = readdir(directory)); i++) {
		struct stat info;
		if (i == FILES_MAX)
			status = err_set(err, E_LIMIT, "%s has over %d files", from, FILES_MAX);
		else if (fstatat(dirfd(directory), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) ==
				 0 &&
			 S_ISREG(info.st_mode) &&
			 linkat(dirfd(directory), entry->d_name, target, entry->d_name, 0) < 0 &&
			 errno != EEXIST)
			status = err_sys(err, E_UNAVAILABLE, "keeping %s", entry->d_name);
	}
	(void)closedir(directory);
	fd_close(&target);
	return status;
}

static void remove_directory(const char *path)
{
	DIR *directory = opendir(path);
	const struct dirent *entry;
	while (directory && (entry = readdir(directory)))
		(void)unlinkat(dirfd(directory), entry->d_name, 0);
	if (directory)
		(void)closedir(directory);
	(void)rmdir(path);
}

static int fill(const char *path, const struct bundle *bundle, struct err *err)
{
	for (size_t i = 0; i < BUNDLE_ITEM_COUNT; i++) {
		char name[PATH_SIZE];
		if (bundle->items[i].size == 0)
			continue;
		TRY(str_format(name, sizeof(name), err, "%s/%s", path,
			bundle_item_name((enum bundle_item)i)));
		TRY(fd_write_file_atomic(name, bundle->items[i], 0644, err));
	}
	return 0;
}

/* The new one takes the name; what had it is then under the other name. */
static int exchange(const char *fresh, const char *directory, struct err *err)
{
	if (renameat2(AT_FDCWD, fresh, AT_FDCWD, directory, RENAME_EXCHANGE) == 0 ||
		(errno == ENOENT && rename(fresh, directory) == 0))
		return 0;
	return err_sys(err, E_UNAVAILABLE, "putting %s in place", directory);
}

int cache_install(const struct bundle *bundle, const char *given, struct err *err)
{
	char directory[PATH_SIZE], fresh[PATH_SIZE];
	TRY(str_format(directory, sizeof(directory), err, "%s", given));
	for (size_t end = strlen(directory); end > 1 && directory[end - 1] == '/';)
		directory[--end] = 0;
	TRY(str_format(fresh, sizeof(fresh), err, "%s.%d.new", directory, (int)getpid()));
	if (mkdir(fresh, 0755) < 0)
		return err_sys(err, E_UNAVAILABLE, "making %s", fresh);
	int status = fill(fresh, bundle, err);
	if (status == 0)
		status = link_rest(directory, fresh, err);
	if (status == 0)
		status = exchange(fresh, directory, err);
	remove_directory(fresh); /* the former collateral now, or what could not be put in place */
	return status;
}
