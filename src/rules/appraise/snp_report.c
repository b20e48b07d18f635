/* See snp_report.h. A table of fields; what no version defines must be zero. */
#include "rules/appraise/snp_report.h"

enum {
	VERSION_MIN = 2,
	VERSION_CPUID = 3,
	VERSION_MITIGATION = 5,
	VERSION_MAX = 5,
	ALGORITHM_P384 = 1,
	AT_VERSION = 0x00,
	AT_GUEST_SVN = 0x04,
	AT_POLICY = 0x08,
	AT_VMPL = 0x30,
	AT_ALGORITHM = 0x34,
	AT_CURRENT_TCB = 0x38,
	AT_PLATFORM_INFO = 0x40,
	AT_SIGNER = 0x48,
	AT_RESERVED_4C = 0x4c,
	AT_REPORT_DATA = 0x50,
	AT_MEASUREMENT = 0x90,
	AT_HOST_DATA = 0xc0,
	AT_ID_KEY = 0xe0,
	AT_AUTHOR_KEY = 0x110,
	AT_REPORTED_TCB = 0x180,
	AT_CPUID = 0x188,
	AT_AFTER_CPUID = 0x18b,
	AT_CHIP_ID = 0x1a0,
	AT_COMMITTED_TCB = 0x1e0,
	AT_CURRENT_VERSION = 0x1e8,
	AT_COMMITTED_VERSION = 0x1ec,
	AT_LAUNCH_TCB = 0x1f0,
	AT_LAUNCH_MITIGATION = 0x1f8,
	AT_AFTER_LAUNCH_TCB = 0x1f8,
	AT_AFTER_MITIGATION = 0x208,
	AT_SIGNATURE = 0x2a0,
	SIGNATURE_HALF = 72,
	AT_AFTER_SIGNATURE = AT_SIGNATURE + 2 * SIGNATURE_HALF,
	TCB_SIZE = 8,
	SIGNER_KNOWN_BITS = 0x1f,
	SIGNER_KEY_SHIFT = 2,
	SIGNER_KEY_MASK = 7,
};

/* Families and models of each product line (CPUID, as the report gives them). */
static const struct {
	uint8_t family, model_min, model_max;
	enum snp_product product;
} lines[] = {
	{ 0x19, 0x00, 0x0f, SNP_PRODUCT_MILAN },
	{ 0x19, 0x10, 0x1f, SNP_PRODUCT_GENOA },
	{ 0x19, 0xa0, 0xaf, SNP_PRODUCT_GENOA }, /* Bergamo, Siena */
	{ 0x1a, 0x00, 0x11, SNP_PRODUCT_TURIN },
};

/* Where each component stands in the eight bytes; 0xff: not there. */
enum { ABSENT = 0xff };
static const struct {
	uint8_t fmc, boot_loader, tee, snp, microcode;
} layouts[SNP_PRODUCT_COUNT] = {
	[SNP_PRODUCT_NONE] = { ABSENT, 0, 1, 6, 7 },
	[SNP_PRODUCT_MILAN] = { ABSENT, 0, 1, 6, 7 },
	[SNP_PRODUCT_GENOA] = { ABSENT, 0, 1, 6, 7 },
	[SNP_PRODUCT_TURIN] = { 0, 1, 2, 3, 7 },
};

struct snp_tcb snp_tcb_of(struct view raw, enum snp_product product)
{
	const uint8_t *bytes = raw.data;
	return (struct snp_tcb){
		.fmc = layouts[product].fmc == ABSENT ? 0 : bytes[layouts[product].fmc],
		.boot_loader = bytes[layouts[product].boot_loader],
		.tee = bytes[layouts[product].tee],
		.snp = bytes[layouts[product].snp],
		.microcode = bytes[layouts[product].microcode],
	};
}

static uint64_t number(struct view bytes, size_t at, size_t width)
{
	struct reader reader = reader_of(view_of(bytes.data + at, width));
	return reader_le(&reader, width);
}

static struct view part(struct view bytes, size_t at, size_t size)
{
	return view_of(bytes.data + at, size);
}

/* The first byte that is not zero in [from, to); to when there is none. */
static size_t find_nonzero(struct view bytes, size_t from, size_t to)
{
	while (from < to && bytes.data[from] == 0)
		from++;
	return from;
}

static bool has_reserved(struct view bytes, unsigned version, size_t *ret_offset)
{
	const struct {
		size_t from, to;
	} reserved[] = {
		{ AT_RESERVED_4C, AT_REPORT_DATA },
		{ version >= VERSION_CPUID ? AT_AFTER_CPUID : AT_CPUID, AT_CHIP_ID },
		{ AT_CURRENT_VERSION + 3, AT_COMMITTED_VERSION },
		{ AT_COMMITTED_VERSION + 3, AT_LAUNCH_TCB },
		{ version >= VERSION_MITIGATION ? AT_AFTER_MITIGATION : AT_AFTER_LAUNCH_TCB,
			AT_SIGNATURE },
		{ AT_AFTER_SIGNATURE, SNP_REPORT_SIZE },
	};
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
		*ret_offset = find_nonzero(bytes, reserved[i].from, reserved[i].to);
		if (*ret_offset < reserved[i].to)
			return true;
	}
	*ret_offset = AT_SIGNER;
	return (number(bytes, AT_SIGNER, 4) & ~(uint64_t)SIGNER_KNOWN_BITS) != 0;
}

static enum snp_product product_of(struct view bytes)
{
	uint8_t family = bytes.data[AT_CPUID], model = bytes.data[AT_CPUID + 1];
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		if (family == lines[i].family && model >= lines[i].model_min &&
			model <= lines[i].model_max)
			return lines[i].product;
	return SNP_PRODUCT_NONE;
}

/* build, minor, major in this order of bytes. */
static uint32_t version_of(struct view bytes, size_t at)
{
	return (uint32_t)number(bytes, at, 3);
}

static void split(struct view bytes, struct snp_report *report)
{
	report->guest_svn = (uint32_t)number(bytes, AT_GUEST_SVN, 4);
	report->policy = number(bytes, AT_POLICY, 8);
	report->vmpl = (uint32_t)number(bytes, AT_VMPL, 4);
	report->platform_info = number(bytes, AT_PLATFORM_INFO, 8);
	report->has_cpuid = report->version >= VERSION_CPUID;
	report->product = report->has_cpuid ? product_of(bytes) : SNP_PRODUCT_NONE;
	report->current_tcb = part(bytes, AT_CURRENT_TCB, TCB_SIZE);
	report->reported_tcb = part(bytes, AT_REPORTED_TCB, TCB_SIZE);
	report->committed_tcb = part(bytes, AT_COMMITTED_TCB, TCB_SIZE);
	report->launch_tcb = part(bytes, AT_LAUNCH_TCB, TCB_SIZE);
	report->current_version = version_of(bytes, AT_CURRENT_VERSION);
	report->committed_version = version_of(bytes, AT_COMMITTED_VERSION);
	report->report_data = part(bytes, AT_REPORT_DATA, 64);
	report->measurement = part(bytes, AT_MEASUREMENT, SNP_MEASUREMENT_SIZE);
	report->host_data = part(bytes, AT_HOST_DATA, 32);
	report->id_key = part(bytes, AT_ID_KEY, 48);
	report->author_key = part(bytes, AT_AUTHOR_KEY, 48);
	report->chip_id = part(bytes, AT_CHIP_ID, 64);
	if (report->version >= VERSION_MITIGATION)
		report->launch_mitigation = number(bytes, AT_LAUNCH_MITIGATION, 8);
	report->signed_part = part(bytes, 0, AT_SIGNATURE);
	report->r = part(bytes, AT_SIGNATURE, SIGNATURE_HALF);
	report->s = part(bytes, AT_SIGNATURE + SIGNATURE_HALF, SIGNATURE_HALF);
}

const char *snp_report_parse(struct view bytes, struct snp_report *ret_report, size_t *ret_offset)
{
	struct snp_report report = {};
	*ret_offset = bytes.size;
	if (bytes.size != SNP_REPORT_SIZE)
		return "parse.length";
	*ret_offset = AT_VERSION;
	report.version = (unsigned)number(bytes, AT_VERSION, 4);
	if (report.version < VERSION_MIN || report.version > VERSION_MAX)
		return "parse.version";
	*ret_offset = AT_ALGORITHM;
	if (number(bytes, AT_ALGORITHM, 4) != ALGORITHM_P384)
		return "parse.algo";
	if (has_reserved(bytes, report.version, ret_offset))
		return "parse.reserved";
	*ret_offset = AT_SIGNER;
	report.signing_key = (unsigned)number(bytes, AT_SIGNER, 4) >> SIGNER_KEY_SHIFT &
			     SIGNER_KEY_MASK;
	if (report.signing_key != SNP_SIGNED_BY_VCEK && report.signing_key != SNP_SIGNED_BY_VLEK)
		return "parse.signer";
	split(bytes, &report);
	*ret_report = report;
	return NULL;
}
