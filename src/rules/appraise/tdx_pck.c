/*
 * The SGX extension of PCK certificates: a SEQUENCE of (OID, value), each at most once, the TCB a
 * sequence of the same kind. CPUSVN repeats the components and must agree with them.
 */
#include "kit/codec/der.h"
#include "rules/appraise/tdx_internal.h"

enum {
	PPID_SIZE = 16,
	FMSPC_SIZE = 6,
	PCEID_SIZE = 2,
	INSTANCE_SIZE = 16,
	CPUSVN_SIZE = 16,
	ARC_PPID = 1,
	ARC_TCB = 2,
	ARC_PCEID = 3,
	ARC_FMSPC = 4,
	ARC_SGX_TYPE = 5,
	ARC_INSTANCE = 6,
	ARC_CONFIGURATION = 7,
	ARC_COUNT = 8,
	TCB_ARC_PCESVN = 17,
	TCB_ARC_CPUSVN = 18,
	TCB_ARC_COUNT = 19,
	SVN_MAX = 255,
	PCESVN_MAX = 65535,
};

/* 1.2.840.113741.1.13.1 */
static const uint8_t oid_sgx[] = { 0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01 };

/* One (OID, value) pair; the last arc below prefix, 0 when it is not below it. */
static unsigned take_pair(struct reader *list, struct view prefix, struct reader *ret_value)
{
	struct reader pair;
	struct view oid;
	struct err ignored;
	if (der_enter(list, DER_SEQUENCE, &pair, &ignored) < 0 ||
		der_take(&pair, DER_OID, &oid, &ignored) < 0)
		return 0;
	if (oid.size != prefix.size + 1 || memcmp(oid.data, prefix.data, prefix.size) != 0)
		return 0;
	*ret_value = pair;
	return oid.data[oid.size - 1];
}

static bool take_octets(struct reader *value, size_t size, struct view *ret_octets)
{
	struct err ignored;
	return der_take(value, DER_OCTET_STRING, ret_octets, &ignored) == 0 &&
	       reader_complete(value) && ret_octets->size == size;
}

static bool take_number(struct reader *value, uint64_t max, uint64_t *ret_number)
{
	struct err ignored;
	return der_take_unsigned(value, ret_number, &ignored) == 0 && reader_complete(value) &&
	       *ret_number <= max;
}

/* All components, PCESVN and CPUSVN, each once. */
static bool parse_tcb(
	struct reader *value, struct pck_extension *extension, struct view *ret_cpusvn)
{
	uint8_t prefix[sizeof(oid_sgx) + 1];
	memcpy(prefix, oid_sgx, sizeof(oid_sgx));
	prefix[sizeof(oid_sgx)] = ARC_TCB;
	struct reader list;
	struct err ignored;
	if (der_enter(value, DER_SEQUENCE, &list, &ignored) < 0 || !reader_complete(value))
		return false;
	bool is_seen[TCB_ARC_COUNT] = {};
	for (size_t count = 1; count < TCB_ARC_COUNT; count++) {
		struct reader item;
		uint64_t number = 0;
		unsigned arc = take_pair(&list, view_of(prefix, sizeof(prefix)), &item);
		if (arc == 0 || arc >= TCB_ARC_COUNT || is_seen[arc])
			return false;
		is_seen[arc] = true;
		bool is_good = arc == TCB_ARC_CPUSVN   ? take_octets(&item, CPUSVN_SIZE, ret_cpusvn)
			       : arc == TCB_ARC_PCESVN ? take_number(&item, PCESVN_MAX, &number)
						       : take_number(&item, SVN_MAX, &number);
		if (!is_good)
			return false;
		if (arc == TCB_ARC_PCESVN)
			extension->pcesvn = (unsigned)number;
		if (arc <= TCB_COMPONENTS)
			extension->components[arc - 1] = (uint8_t)number;
	}
	return reader_complete(&list);
}

static bool parse_item(unsigned arc, struct reader *value, struct pck_extension *extension,
	struct view *ret_cpusvn)
{
	struct der_element any;
	struct err ignored;
	if (arc == ARC_TCB)
		return parse_tcb(value, extension, ret_cpusvn);
	if (arc == ARC_PPID)
		return take_octets(value, PPID_SIZE, &extension->ppid);
	if (arc == ARC_PCEID)
		return take_octets(value, PCEID_SIZE, &extension->pceid);
	if (arc == ARC_FMSPC)
		return take_octets(value, FMSPC_SIZE, &extension->fmspc);
	if (arc == ARC_INSTANCE)
		return take_octets(value, INSTANCE_SIZE, &extension->instance_id);
	if (arc == ARC_SGX_TYPE)
		return der_is_next(value, DER_ENUMERATED) && der_next(value, &any, &ignored) == 0 &&
		       reader_complete(value);
	return arc == ARC_CONFIGURATION && der_next(value, &any, &ignored) == 0 &&
	       any.tag == DER_SEQUENCE && reader_complete(value);
}

const char *pck_extension_parse(const struct x509 *leaf, struct pck_extension *ret_extension)
{
	static const char fault[] = "pck.sgx_ext";
	struct pck_extension extension = {};
	struct view octets, cpusvn = {};
	struct reader list;
	struct err ignored;
	if (!x509_extension(leaf, view_of(oid_sgx, sizeof(oid_sgx)), &octets))
		return fault;
	struct reader outer = reader_of(octets);
	if (der_enter(&outer, DER_SEQUENCE, &list, &ignored) < 0 || !reader_complete(&outer))
		return fault;
	bool is_seen[ARC_COUNT] = {};
	while (list.rest.size > 0) {
		struct reader value;
		unsigned arc = take_pair(&list, view_of(oid_sgx, sizeof(oid_sgx)), &value);
		if (arc == 0 || arc >= ARC_COUNT || is_seen[arc] ||
			!parse_item(arc, &value, &extension, &cpusvn))
			return fault;
		is_seen[arc] = true;
	}
	if (!is_seen[ARC_PPID] || !is_seen[ARC_TCB] || !is_seen[ARC_PCEID] || !is_seen[ARC_FMSPC] ||
		!is_seen[ARC_SGX_TYPE])
		return fault;
	if (!view_equal(cpusvn, view_of(extension.components, TCB_COMPONENTS)))
		return "pck.cpusvn";
	*ret_extension = extension;
	return NULL;
}
