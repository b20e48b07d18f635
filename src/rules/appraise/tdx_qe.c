/*
 * The quoting enclave's report against Intel's identity of it: signer, product, masked fields,
 * level.
 */
#include "rules/appraise/tdx_internal.h"

enum {
	QE_MISCSELECT = 16,
	QE_MISCSELECT_SIZE = 4,
	QE_ATTRIBUTES = 48,
	QE_ATTRIBUTES_SIZE = 16,
	QE_MRSIGNER = 128,
	QE_MRSIGNER_SIZE = 32,
	QE_ISVPRODID = 256,
	QE_ISVSVN = 258,
	QE_MASK_MAX = 16,
	PRODUCT_MAX = 65535,
};

static int64_t qe_number(const struct tdx_appraisal *a, size_t at)
{
	const uint8_t *bytes = a->quote.qe_report.data + at;
	return bytes[0] | bytes[1] << 8;
}

/*
 * A masked field: little-endian in the report, big-endian text in `miscselect`, the order of the
 * report in `attributes`.
 */
static bool check_masked(
	struct jspan identity, const char *const names[2], struct view field, bool *ret_is_equal)
{
	uint8_t expected[QE_MASK_MAX], mask[QE_MASK_MAX];
	if (!jspan_hex(jspan_get(identity, names[0]), expected, field.size) ||
		!jspan_hex(jspan_get(identity, names[1]), mask, field.size))
		return false;
	*ret_is_equal = true;
	for (size_t i = 0; i < field.size; i++)
		if ((field.data[i] & mask[i]) != expected[i])
			*ret_is_equal = false;
	return true;
}

void tdx_appraise_qe(struct tdx_appraisal *a, struct jspan identity)
{
	static const char fault[] = "qe_identity.format";
	static const char *const misc_names[] = { "miscselect", "miscselectMask" };
	static const char *const attribute_names[] = { "attributes", "attributesMask" };
	struct appraise_result *result = a->result;
	const uint8_t *report = a->quote.qe_report.data;
	uint8_t signer[QE_MRSIGNER_SIZE], misc[QE_MISCSELECT_SIZE];
	bool has_misc, has_attributes;
	int64_t product, latest;
	for (size_t i = 0; i < sizeof(misc); i++)
		misc[i] = report[QE_MISCSELECT + sizeof(misc) - 1 - i];
	if (!jspan_hex(jspan_get(identity, "mrsigner"), signer, sizeof(signer)) ||
		!jspan_integer(jspan_get(identity, "isvprodid"), 0, PRODUCT_MAX, &product) ||
		!check_masked(identity, misc_names, view_of(misc, sizeof(misc)), &has_misc) ||
		!check_masked(identity, attribute_names,
			view_of(report + QE_ATTRIBUTES, QE_ATTRIBUTES_SIZE), &has_attributes) ||
		!tdx_isvsvn_levels(jspan_get(identity, "tcbLevels"), qe_number(a, QE_ISVSVN),
			&result->qe_status, &latest)) {
		appraise_fault(result, fault);
		return;
	}
	if (memcmp(report + QE_MRSIGNER, signer, sizeof(signer)) != 0)
		appraise_fault(result, "qe.mrsigner");
	if (qe_number(a, QE_ISVPRODID) != product)
		appraise_fault(result, "qe.isvprodid");
	if (!has_misc)
		appraise_fault(result, "qe.miscselect");
	if (!has_attributes)
		appraise_fault(result, "qe.attributes");
	if (result->qe_status == TCB_UNKNOWN)
		appraise_fault(result, "qe.svn_unsupported");
}
