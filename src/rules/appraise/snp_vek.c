/* See snp_vek.h. Values are DER, except the hardware id, which AMD writes raw. */
#include "rules/appraise/snp_vek.h"

#include "kit/codec/der.h"

enum { HARDWARE_ID_SIZE = 64, HARDWARE_ID_TURIN_SIZE = 8, SVN_MAX = 255, ARCS_MAX = 2 };

static const uint8_t fmc_arcs[] = { 3, 9 }, hardware_id_arc = 4, csp_id_arc = 5;

/* The arcs below 1.3.6.1.4.1.3704.1. */
static bool find(
	const struct x509 *certificate, const uint8_t *arcs, size_t count, struct view *ret_value)
{
	static const uint8_t prefix[] = { 0x2b, 0x06, 0x01, 0x04, 0x01, 0x9c, 0x78, 0x01 };
	uint8_t oid[sizeof(prefix) + ARCS_MAX];
	memcpy(oid, prefix, sizeof(prefix));
	memcpy(oid + sizeof(prefix), arcs, count);
	return x509_extension(certificate, view_of(oid, sizeof(prefix) + count), ret_value);
}

static bool has(const struct x509 *certificate, const uint8_t *arcs, size_t count)
{
	struct view ignored;
	return find(certificate, arcs, count, &ignored);
}

static bool find_svn(const struct x509 *certificate, uint8_t arc, uint8_t *ret_svn)
{
	const uint8_t arcs[] = { 3, arc };
	struct view value;
	struct err ignored;
	uint64_t svn;
	if (!find(certificate, arcs, sizeof(arcs), &value))
		return false;
	struct reader reader = reader_of(value);
	if (der_take_unsigned(&reader, &svn, &ignored) < 0 || !reader_complete(&reader) ||
		svn > SVN_MAX)
		return false;
	*ret_svn = (uint8_t)svn;
	return true;
}

static bool find_text(const struct x509 *certificate, uint8_t arc, struct view *ret_text)
{
	struct view value;
	struct err ignored;
	if (!find(certificate, &arc, 1, &value))
		return false;
	struct reader reader = reader_of(value);
	return der_take(&reader, DER_IA5_STRING, ret_text, &ignored) == 0 &&
	       reader_complete(&reader);
}

/* Raw, or wrapped in an OCTET STRING by newer key servers. */
static bool find_hardware_id(const struct x509 *certificate, struct view *ret_id)
{
	struct view value;
	struct err ignored;
	if (!find(certificate, &hardware_id_arc, 1, &value))
		return false;
	if (value.size != HARDWARE_ID_SIZE && value.size != HARDWARE_ID_TURIN_SIZE) {
		struct reader reader = reader_of(value);
		if (der_take(&reader, DER_OCTET_STRING, &value, &ignored) < 0 ||
			!reader_complete(&reader))
			return false;
	}
	*ret_id = value;
	return value.size == HARDWARE_ID_SIZE || value.size == HARDWARE_ID_TURIN_SIZE;
}

/* "Milan-B0", "Genoa": the line and, behind a hyphen, a stepping. */
static enum snp_product product_of(struct view name)
{
	static const char *const names[SNP_PRODUCT_COUNT] = {
		[SNP_PRODUCT_MILAN] = "Milan",
		[SNP_PRODUCT_GENOA] = "Genoa",
		[SNP_PRODUCT_TURIN] = "Turin",
	};
	for (enum snp_product p = SNP_PRODUCT_MILAN; p < SNP_PRODUCT_COUNT; p++) {
		size_t size = strlen(names[p]);
		if (name.size >= size && memcmp(name.data, names[p], size) == 0 &&
			(name.size == size || name.data[size] == '-'))
			return p;
	}
	return SNP_PRODUCT_NONE;
}

bool snp_vek_parse(const struct x509 *certificate, bool is_vlek, struct snp_vek *ret_vek)
{
	struct snp_vek vek = {};
	struct view name, csp_id = {}, hardware_id = {};
	if (!find_text(certificate, 2, &name) || !find_svn(certificate, 1, &vek.tcb.boot_loader) ||
		!find_svn(certificate, 2, &vek.tcb.tee) ||
		!find_svn(certificate, 3, &vek.tcb.snp) ||
		!find_svn(certificate, 8, &vek.tcb.microcode))
		return false;
	vek.product = product_of(name);
	vek.has_fmc = vek.product == SNP_PRODUCT_TURIN;
	/* What belongs to another kind must be absent; malformed is not absent. */
	if (has(certificate, fmc_arcs, sizeof(fmc_arcs)) != vek.has_fmc ||
		has(certificate, &hardware_id_arc, 1) == is_vlek ||
		has(certificate, &csp_id_arc, 1) != is_vlek)
		return false;
	if (vek.has_fmc && !find_svn(certificate, fmc_arcs[1], &vek.tcb.fmc))
		return false;
	if (is_vlek ? !find_text(certificate, csp_id_arc, &csp_id)
		    : !find_hardware_id(certificate, &hardware_id))
		return false;
	vek.hardware_id = hardware_id;
	vek.csp_id = csp_id;
	*ret_vek = vek;
	return true;
}
