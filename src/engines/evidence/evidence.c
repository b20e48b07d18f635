/* See evidence.h: the table of providers and what holds for all of them. */
#include "engines/evidence/evidence.h"

#include <sys/ioctl.h>

#include "engines/evidence/internal.h"
#include "kit/base/str.h"

static const struct provider {
	const char *name;
	int (*get)(const struct evidence_source *source, const struct evidence_request *request,
		struct buf *quote, struct err *err);
	bool extends; /* takes digests for RTMR3 with the request */
} providers[EVIDENCE_KIND_COUNT] = {
	[EVIDENCE_SIMULATED] = { "simulated", evidence_simulated, true },
	[EVIDENCE_DSTACK] = { "dstack", evidence_dstack, false },
	[EVIDENCE_SEV_GUEST] = { "sev-guest", evidence_sev_guest, false },
	[EVIDENCE_TDX_GUEST] = { "tdx-guest", evidence_tdx_guest, false },
	[EVIDENCE_VTPM] = { "vtpm", evidence_vtpm, false },
	[EVIDENCE_CONFIGFS] = { "configfs-tsm", evidence_configfs, false },
};

const char *evidence_kind_name(enum evidence_kind kind)
{
	return providers[kind].name;
}

int evidence_kind_parse(const char *name, enum evidence_kind *ret_kind, struct err *err)
{
	for (size_t i = 0; i < EVIDENCE_KIND_COUNT; i++)
		if (str_equal(name, providers[i].name)) {
			*ret_kind = (enum evidence_kind)i;
			return 0;
		}
	return err_set(err, E_INVALID,
		"platform: expected simulated, configfs-tsm, dstack, sev-guest, tdx-guest or vtpm, "
		"got "
		"another name");
}

int evidence_control(
	const struct evidence_source *source, int fd, unsigned long number, void *argument)
{
	if (source->device)
		return source->device->control(source->device->context, number, argument);
	return ioctl(fd, number, argument);
}

enum {
	TDX_TYPE = 0x81,
	TDX_KEY_P256 = 2,
	TDX_BODY_4 = 48,
	TDX_BODY_5 = 54,
	TDX_REPORT_DATA = 520,
	SNP_REPORT_DATA = 0x50,
};

/* Version, key type and TEE type of a TD quote; the version of an SNP report is of four bytes. */
enum evidence_format evidence_format_of(struct view quote)
{
	struct reader reader = reader_of(quote);
	uint64_t version = reader_le(&reader, 2), key_type = reader_le(&reader, 2);
	uint64_t tee = reader_le(&reader, 4);
	if (reader.failed)
		return EVIDENCE_FORMAT_UNKNOWN;
	if ((version == 4 || version == 5) && key_type == TDX_KEY_P256 && tee == TDX_TYPE)
		return EVIDENCE_FORMAT_TDX;
	return version >= 2 && version <= 5 && key_type == 0 &&
			       quote.size >= EVIDENCE_SNP_REPORT_SIZE
		       ? EVIDENCE_FORMAT_SNP
		       : EVIDENCE_FORMAT_UNKNOWN;
}

struct view evidence_report_data(struct view quote)
{
	enum evidence_format format = evidence_format_of(quote);
	size_t at = SNP_REPORT_DATA;
	if (format == EVIDENCE_FORMAT_TDX)
		at = (quote.data[0] == 5 ? TDX_BODY_5 : TDX_BODY_4) + TDX_REPORT_DATA;
	if (format == EVIDENCE_FORMAT_UNKNOWN || quote.size < at + EVIDENCE_REPORT_DATA_SIZE)
		return (struct view){};
	return view_of(quote.data + at, EVIDENCE_REPORT_DATA_SIZE);
}

static int check(
	const struct provider *provider, const struct evidence_request *request, struct err *err)
{
	if (request->report_data.size != EVIDENCE_REPORT_DATA_SIZE)
		return err_set(err, E_INVALID, "report data has %d bytes, got %zu",
			EVIDENCE_REPORT_DATA_SIZE, request->report_data.size);
	if (request->extension_count > EVIDENCE_EXTENSIONS_MAX)
		return err_set(err, E_INVALID, "at most %d digests extend RTMR3, got %zu",
			EVIDENCE_EXTENSIONS_MAX, request->extension_count);
	if (request->extension_count > 0 && !provider->extends)
		return err_set(err, E_UNSUPPORTED,
			"provider %s takes no digests for RTMR3 with a request", provider->name);
	for (size_t i = 0; i < request->extension_count; i++)
		if (request->extensions[i].size != EVIDENCE_DIGEST_SIZE)
			return err_set(err, E_INVALID, "digest %zu has %zu bytes, expected %d", i,
				request->extensions[i].size, EVIDENCE_DIGEST_SIZE);
	return 0;
}

int evidence_get(const struct evidence_source *source, const struct evidence_request *request,
	struct buf *quote, struct err *err)
{
	const struct provider *provider = &providers[source->kind];
	TRY(check(provider, request, err));
	int status = provider->get(source, request, quote, err);
	if (status < 0)
		err_wrap(err, "evidence from %s", provider->name);
	return status;
}
