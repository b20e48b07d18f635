/*
 * See platform.h: the open platform, quoting. Layout of version 4 quotes as in
 * rules/appraise/tdx_quote.c.
 */
#include "programs/tee-sim/platform.h"

#include <fcntl.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "kit/crypto/hash.h"
#include "kit/crypto/secret.h"
#include "programs/tee-sim/internal.h"
#include "programs/tee-sim/pki.h"

enum {
	SCALAR_SIZE = 32,
	SNP_SCALAR_SIZE = 48,
	CERTIFICATION_MAX = 6000,
	PATH_SIZE = 512,
	QUOTE_VERSION = 4,
	KEY_TYPE_P256 = 2,
	TEE_TDX = 0x81,
	USER_DATA_SIZE = 20,
};

static const uint8_t vendor_intel[] = { 0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a,
	0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07 };

int platform_path(
	const char *directory, const char *name, char *ret_path, size_t size, struct err *err)
{
	return str_format(ret_path, size, err, "%s/%s", directory, name);
}

static int load_key(const char *directory, const char *name, size_t scalar_size,
	struct sign_key **ret_key, struct err *err)
{
	char path[PATH_SIZE];
	TRY(platform_path(directory, name, path, sizeof(path), err));
	AUTO(secret_done) struct secret scalar = {};
	TRY(secret_init(&scalar, scalar_size, err));
	auto_close fd = -1;
	TRY(fd_open(path, O_RDONLY | O_CLOEXEC, 0, &fd, err));
	TRY(fd_read_exact(fd, scalar.data, scalar.size, err));
	return sign_key_from_scalar(secret_view(&scalar), ret_key, err);
}

static int open_snp(const char *directory, struct platform *platform, struct err *err)
{
	char path[PATH_SIZE];
	auto_close fd = -1;
	platform->is_snp = true;
	TRY(platform_path(directory, "certificates", path, sizeof(path), err));
	TRY(fd_read_file(path, CERTIFICATION_MAX, &platform->certification, err));
	TRY(platform_path(directory, "chip_id", path, sizeof(path), err));
	TRY(fd_open(path, O_RDONLY, 0, &fd, err));
	TRY(fd_read_exact(fd, platform->chip_id, sizeof(platform->chip_id), err));
	return load_key(directory, "vcek.key", SNP_SCALAR_SIZE, &platform->key, err);
}

int platform_open(const char *directory, struct platform *platform, struct err *err)
{
	char path[PATH_SIZE];
	*platform = (struct platform){};
	TRY(platform_path(directory, "vcek.key", path, sizeof(path), err));
	if (access(path, F_OK) == 0)
		return open_snp(directory, platform, err);
	TRY(platform_path(directory, "certification", path, sizeof(path), err));
	TRY(fd_read_file(path, CERTIFICATION_MAX, &platform->certification, err));
	TRY(load_key(directory, "ak.key", SCALAR_SIZE, &platform->key, err));
	return pki_point(platform->key, platform->point, err);
}

void platform_done(struct platform *platform)
{
	sign_key_free(platform->key);
	buf_done(&platform->certification);
	*platform = (struct platform){};
}

static int put_zeros(struct buf *buf, size_t size, struct err *err)
{
	static const uint8_t zeros[PLATFORM_MEASUREMENT_SIZE * 3];
	return buf_append(buf, view_of(zeros, size), err);
}

static int put_header(struct buf *quote, struct err *err)
{
	TRY(buf_append_le(quote, QUOTE_VERSION, 2, err));
	TRY(buf_append_le(quote, KEY_TYPE_P256, 2, err));
	TRY(buf_append_le(quote, TEE_TDX, 4, err));
	TRY(buf_append_le(quote, 0, 4, err));
	TRY(buf_append(quote, view_of(vendor_intel, sizeof(vendor_intel)), err));
	return put_zeros(quote, USER_DATA_SIZE, err);
}

/* RTMR3 after the digests of the request: each is hashed behind the register. */
static void extend(const struct sim_wire_request *request, uint8_t *rtmr)
{
	for (size_t i = 0; i < request->extension_count; i++) {
		struct view parts[] = { view_of(rtmr, PLATFORM_MEASUREMENT_SIZE),
			view_of(request->extensions[i], SIM_WIRE_DIGEST_SIZE) };
		uint8_t extended[SHA384_SIZE];
		hash_parts(HASH_SHA384, parts, ARRAY_SIZE(parts), extended);
		memcpy(rtmr, extended, sizeof(extended));
	}
}

static int put_body(const struct platform_td *td, const struct sim_wire_request *request,
	struct buf *quote, struct err *err)
{
	/* ATTRIBUTES: SEPT_VE_DISABLE. XFAM: x87, SSE, AVX, AVX-512, PKRU. */
	static const uint8_t attributes[8] = { 0, 0, 0, 0x10 };
	static const uint8_t xfam[8] = { 0xe7, 0x02, 0x06 };
	uint8_t rtmr[PLATFORM_RTMR_COUNT][PLATFORM_MEASUREMENT_SIZE];
	memcpy(rtmr, td->rtmr, sizeof(rtmr));
	extend(request, rtmr[PLATFORM_RTMR_COUNT - 1]);
	TRY(buf_append(quote, view_of(platform_tee_svn, sizeof(platform_tee_svn)), err));
	TRY(put_zeros(quote, (size_t)2 * PLATFORM_MEASUREMENT_SIZE, err)); /* MRSEAM, its signer */
	TRY(put_zeros(quote, 8, err));                                     /* SEAMATTRIBUTES */
	TRY(buf_append(quote, view_of(attributes, sizeof(attributes)), err));
	TRY(buf_append(quote, view_of(xfam, sizeof(xfam)), err));
	TRY(buf_append(quote, view_of(td->mrtd, sizeof(td->mrtd)), err));
	TRY(put_zeros(quote, (size_t)3 * PLATFORM_MEASUREMENT_SIZE, err)); /* MRCONFIGID, owners */
	TRY(buf_append(quote, view_of(rtmr, sizeof(rtmr)), err));
	return buf_append(quote, view_of(request->report_data, sizeof(request->report_data)), err);
}

int platform_quote(const struct platform *platform, const struct platform_td *td,
	const struct sim_wire_request *request, struct buf *quote, struct err *err)
{
	uint8_t signature[PKI_RAW_SIGNATURE_SIZE];
	if (request->magic != SIM_WIRE_MAGIC || request->version != SIM_WIRE_VERSION ||
		request->extension_count > SIM_WIRE_EXTENSIONS_MAX)
		return err_set(err, E_INVALID, "a request of version %u with %u digests",
			request->version, request->extension_count);
	if (platform->is_snp)
		return snp_report(platform, td, request, quote, err);
	TRY(put_header(quote, err));
	TRY(put_body(td, request, quote, err));
	TRY(pki_sign_raw(platform->key, buf_view(quote), signature, err));
	TRY(buf_append_le(quote,
		sizeof(signature) + sizeof(platform->point) + platform->certification.size, 4,
		err));
	TRY(buf_append(quote, view_of(signature, sizeof(signature)), err));
	TRY(buf_append(quote, view_of(platform->point, sizeof(platform->point)), err));
	return buf_append(quote, buf_view(&platform->certification), err);
}
