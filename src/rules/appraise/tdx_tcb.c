/*
 * TCB levels: which level a platform has reached, what its TDX module says, and how the two are
 * one status (Intel SGX and TDX PCS, "Get TDX TCB Info"; convergence and relaunch as in Intel's
 * Quote Verification Library).
 *
 * Levels are listed by Intel from high to low, but nothing says so; the highest level that matches
 * is looked for over all of them.
 */
#include "rules/appraise/tdx_internal.h"

enum {
	SVN_MAX = 255,
	PCESVN_MAX = 65535,
	ISVSVN_MAX = 65535,
	LEVELS_MAX = 256,
	FMSPC_SIZE = 6,
	PCEID_SIZE = 2,
	MODULE_ID_SIZE = 7, /* "TDX_xx" */
	ATTRIBUTES_SIZE = 8,
	LATE_MICROCODE = 2, /* first TDX component that the module identity does not replace */
};

static const char format_fault[] = "tcb_info.format";

enum {
	INFO_FMSPC,
	INFO_PCEID,
	INFO_TYPE,
	INFO_NUMBER,
	INFO_LEVELS,
	INFO_MODULE,
	INFO_IDENTITIES,
	INFO_COUNT
};
static const char *const info_names[INFO_COUNT] = { "fmspc", "pceId", "tcbType",
	"tcbEvaluationDataNumber", "tcbLevels", "tdxModule", "tdxModuleIdentities" };

struct level {
	uint8_t sgx[TCB_COMPONENTS];
	unsigned pcesvn;
	uint8_t tdx[TCB_COMPONENTS];
	enum tcb_status status;
	struct view date;
	struct view advisories;
};

enum tcb_status tdx_status_of(struct jspan word)
{
	for (enum tcb_status s = TCB_UP_TO_DATE; s <= TCB_REVOKED; s++)
		if (jspan_is(word, tcb_status_name(s)))
			return s;
	return TCB_UNKNOWN;
}

static bool read_components(struct jspan array, uint8_t ret_svns[static TCB_COMPONENTS])
{
	struct jspan each;
	size_t count = 0;
	if (array.type != JSPAN_ARRAY)
		return false;
	for (size_t position = 0; jspan_next(array, &position, NULL, &each); count++) {
		int64_t svn;
		if (count == TCB_COMPONENTS ||
			!jspan_integer(jspan_get(each, "svn"), 0, SVN_MAX, &svn))
			return false;
		ret_svns[count] = (uint8_t)svn;
	}
	return count == TCB_COMPONENTS;
}

/* Members that every level has, of platform, module and QE. */
static bool read_level_common(struct jspan value, struct level *level, struct jspan *ret_tcb)
{
	enum { TCB, DATE, STATUS, ADVISORIES, COUNT };
	static const char *const names[COUNT] = { "tcb", "tcbDate", "tcbStatus", "advisoryIDs" };
	struct jspan members[COUNT], *advisories = &members[ADVISORIES];
	uint64_t date_ms;
	jspan_members(value, names, COUNT, members);
	if (!jspan_time(members[DATE], &date_ms) || !jspan_string(members[DATE], &level->date) ||
		(advisories->type != JSPAN_NONE && advisories->type != JSPAN_ARRAY))
		return false;
	level->advisories = advisories->text;
	level->status = tdx_status_of(members[STATUS]);
	*ret_tcb = members[TCB];
	return level->status != TCB_UNKNOWN;
}

static bool read_level(struct jspan value, struct level *ret_level)
{
	enum { SGX, TDX, PCESVN, COUNT };
	static const char *const names[COUNT] = { "sgxtcbcomponents", "tdxtcbcomponents",
		"pcesvn" };
	struct level level = {};
	struct jspan tcb, members[COUNT];
	int64_t pcesvn;
	if (!read_level_common(value, &level, &tcb))
		return false;
	jspan_members(tcb, names, COUNT, members);
	if (!read_components(members[SGX], level.sgx) ||
		!read_components(members[TDX], level.tdx) ||
		!jspan_integer(members[PCESVN], 0, PCESVN_MAX, &pcesvn))
		return false;
	level.pcesvn = (unsigned)pcesvn;
	*ret_level = level;
	return true;
}

/* The order of levels: SGX components, then PCESVN, then TDX components. */
static bool is_higher(const struct level *a, const struct level *b)
{
	int order = memcmp(a->sgx, b->sgx, TCB_COMPONENTS);
	if (order != 0)
		return order > 0;
	if (a->pcesvn != b->pcesvn)
		return a->pcesvn > b->pcesvn;
	return memcmp(a->tdx, b->tdx, TCB_COMPONENTS) > 0;
}

static bool reaches(const uint8_t *have, const uint8_t *wanted, size_t from)
{
	for (size_t i = from; i < TCB_COMPONENTS; i++)
		if (have[i] < wanted[i])
			return false;
	return true;
}

/* What one pass over the levels finds. */
struct found {
	struct level latest;  /* highest of all */
	struct level sgx;     /* highest whose SGX part is reached */
	struct level matched; /* highest that is reached altogether */
	size_t count;
	bool has_sgx;
	bool has_matched;
};

static void keep_highest(const struct level *level, struct level *kept, bool *has)
{
	if (!*has || is_higher(level, kept))
		*kept = *level;
	*has = true;
}

static bool find_levels(struct tdx_appraisal *a, struct jspan levels, struct found *found)
{
	const uint8_t *svn = a->quote.tee_tcb_svn.data;
	/* With a module version, components 0 and 1 are the module's and judged by its identity. */
	size_t from = svn[1] > 0 ? LATE_MICROCODE : 0;
	struct jspan each;
	bool has_latest = false;
	if (levels.type != JSPAN_ARRAY)
		return false;
	for (size_t position = 0; jspan_next(levels, &position, NULL, &each); found->count++) {
		struct level level;
		if (found->count == LEVELS_MAX || !read_level(each, &level))
			return false;
		keep_highest(&level, &found->latest, &has_latest);
		if (!reaches(a->pck.components, level.sgx, 0) || a->pck.pcesvn < level.pcesvn)
			continue;
		keep_highest(&level, &found->sgx, &found->has_sgx);
		if (reaches(svn, level.tdx, from))
			keep_highest(&level, &found->matched, &found->has_matched);
	}
	return true;
}

/* The identity "TDX_xx" for a module major version; NONE when there is none. */
static struct jspan module_identity(const struct jspan info[INFO_COUNT], uint8_t major)
{
	static const char digits[] = "0123456789ABCDEF";
	char id[MODULE_ID_SIZE] = { 'T', 'D', 'X', '_', digits[major >> 4], digits[major & 15], 0 };
	struct jspan each;
	for (size_t position = 0; jspan_next(info[INFO_IDENTITIES], &position, NULL, &each);)
		if (jspan_is(jspan_get(each, "id"), id))
			return each;
	return (struct jspan){};
}

/* MRSIGNERSEAM and SEAMATTRIBUTES against an identity (or the base tdxModule). */
static void check_module_identity(struct tdx_appraisal *a, struct jspan identity)
{
	uint8_t signer[TDX_MEASUREMENT_SIZE], attributes[ATTRIBUTES_SIZE], mask[ATTRIBUTES_SIZE];
	if (!jspan_hex(jspan_get(identity, "mrsigner"), signer, sizeof(signer)) ||
		!jspan_hex(jspan_get(identity, "attributes"), attributes, sizeof(attributes)) ||
		!jspan_hex(jspan_get(identity, "attributesMask"), mask, sizeof(mask))) {
		appraise_fault(a->result, format_fault);
		return;
	}
	if (!view_equal(a->quote.mr_signer_seam, view_of(signer, sizeof(signer))))
		appraise_fault(a->result, "tdx_module.mrsigner");
	for (size_t i = 0; i < ATTRIBUTES_SIZE; i++)
		if ((a->quote.seam_attributes.data[i] & mask[i]) != attributes[i])
			appraise_fault(a->result, "tdx_module.attributes");
}

bool tdx_isvsvn_levels(
	struct jspan levels, int64_t isvsvn, enum tcb_status *ret_status, int64_t *ret_latest)
{
	struct jspan each;
	int64_t matched = -1;
	*ret_status = TCB_UNKNOWN;
	*ret_latest = -1;
	if (levels.type != JSPAN_ARRAY)
		return false;
	for (size_t position = 0; jspan_next(levels, &position, NULL, &each);) {
		struct level level;
		struct jspan tcb;
		int64_t wanted;
		if (!read_level_common(each, &level, &tcb) ||
			!jspan_integer(jspan_get(tcb, "isvsvn"), 0, ISVSVN_MAX, &wanted))
			return false;
		*ret_latest = MAX(*ret_latest, wanted);
		if (wanted > isvsvn || wanted <= matched)
			continue;
		matched = wanted;
		*ret_status = level.status;
	}
	return true;
}

static void appraise_module(struct tdx_appraisal *a, const struct jspan info[INFO_COUNT])
{
	const uint8_t *svn = a->quote.tee_tcb_svn.data;
	int64_t latest;
	if (svn[1] == 0) { /* no version of its own: the base module, without levels */
		check_module_identity(a, info[INFO_MODULE]);
		return;
	}
	struct jspan identity = module_identity(info, svn[1]);
	if (identity.type == JSPAN_NONE) {
		appraise_fault(a->result, "tdx_module.unknown_version");
		return;
	}
	check_module_identity(a, identity);
	if (!tdx_isvsvn_levels(
		    jspan_get(identity, "tcbLevels"), svn[0], &a->result->module_status, &latest))
		appraise_fault(a->result, format_fault);
	else if (a->result->module_status == TCB_UNKNOWN)
		appraise_fault(a->result, "tdx_module.svn_unsupported");
}

/* A part (module, QE) that is out of date pulls the platform down; revoked wins. */
static enum tcb_status converge(enum tcb_status platform, enum tcb_status part)
{
	if (part == TCB_REVOKED || platform == TCB_REVOKED)
		return TCB_REVOKED;
	if (part != TCB_OUT_OF_DATE)
		return platform;
	if (platform == TCB_UP_TO_DATE || platform == TCB_SW_HARDENING_NEEDED)
		return TCB_OUT_OF_DATE;
	if (platform == TCB_CONFIGURATION_NEEDED ||
		platform == TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED)
		return TCB_OUT_OF_DATE_CONFIGURATION_NEEDED;
	return platform;
}

static bool needs_configuration(enum tcb_status status)
{
	return status == TCB_CONFIGURATION_NEEDED ||
	       status == TCB_OUT_OF_DATE_CONFIGURATION_NEEDED ||
	       status == TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED;
}

static bool is_hardware_current(enum tcb_status sgx)
{
	return sgx == TCB_UP_TO_DATE || sgx == TCB_SW_HARDENING_NEEDED ||
	       sgx == TCB_CONFIGURATION_NEEDED || sgx == TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED;
}

/*
 * A TD that was launched under an old module on a platform whose module has since been updated
 * (TEE_TCB_SVN2): the hardware is current, the TD needs a relaunch.
 */
static enum tcb_status relaunch(struct tdx_appraisal *a, const struct jspan info[INFO_COUNT],
	const struct found *found, enum tcb_status merged)
{
	const uint8_t *svn2 = a->quote.tee_tcb_svn2.data;
	bool is_candidate =
		a->quote.tee_tcb_svn2.size > 0 && a->result->qe_status != TCB_OUT_OF_DATE &&
		a->result->qe_status != TCB_REVOKED && is_hardware_current(found->sgx.status) &&
		(merged == TCB_OUT_OF_DATE || merged == TCB_OUT_OF_DATE_CONFIGURATION_NEEDED) &&
		a->result->module_status == TCB_OUT_OF_DATE;
	if (!is_candidate)
		return merged;
	int64_t wanted = found->latest.tdx[0];
	if (svn2[1] != 0) {
		enum tcb_status ignored;
		struct jspan identity = module_identity(info, svn2[1]);
		if (identity.type == JSPAN_NONE) {
			appraise_fault(a->result, "tdx_module.unknown_version");
			return merged;
		}
		if (!tdx_isvsvn_levels(jspan_get(identity, "tcbLevels"), 0, &ignored, &wanted))
			return merged;
	}
	if (svn2[0] < wanted || svn2[LATE_MICROCODE] < found->latest.tdx[LATE_MICROCODE])
		return merged;
	return needs_configuration(found->sgx.status) || needs_configuration(merged)
		       ? TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED
		       : TCB_TD_RELAUNCH_ADVISED;
}

static void check_platform(struct tdx_appraisal *a, const struct jspan info[INFO_COUNT])
{
	uint8_t fmspc[FMSPC_SIZE], pceid[PCEID_SIZE];
	int64_t type, number;
	if (!jspan_hex(info[INFO_FMSPC], fmspc, sizeof(fmspc)) ||
		!jspan_hex(info[INFO_PCEID], pceid, sizeof(pceid))) {
		appraise_fault(a->result, format_fault);
		return;
	}
	if (!view_equal(a->pck.fmspc, view_of(fmspc, sizeof(fmspc))))
		appraise_fault(a->result, "tcb_info.fmspc");
	if (!view_equal(a->pck.pceid, view_of(pceid, sizeof(pceid))))
		appraise_fault(a->result, "tcb_info.pceid");
	if (!jspan_integer(info[INFO_TYPE], 0, 0, &type))
		appraise_fault(a->result, "tcb_info.tcb_type");
	if (jspan_integer(info[INFO_NUMBER], 0, INT64_MAX, &number))
		a->result->evaluation_number = (uint64_t)number;
}

void tdx_require_status(struct tdx_appraisal *a, enum tcb_status status)
{
	static const char *const codes[TCB_STATUS_COUNT] = {
		[TCB_UNKNOWN] = "tcb.no_level",
		[TCB_SW_HARDENING_NEEDED] = "tcb.status:SWHardeningNeeded",
		[TCB_CONFIGURATION_NEEDED] = "tcb.status:ConfigurationNeeded",
		[TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED] =
			"tcb.status:ConfigurationAndSWHardeningNeeded",
		[TCB_OUT_OF_DATE] = "tcb.status:OutOfDate",
		[TCB_OUT_OF_DATE_CONFIGURATION_NEEDED] = "tcb.status:OutOfDateConfigurationNeeded",
		[TCB_REVOKED] = "tcb.revoked",
		[TCB_TD_RELAUNCH_ADVISED] = "tcb.status:TDRelaunchAdvised",
		[TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED] =
			"tcb.status:TDRelaunchAdvisedConfigurationNeeded",
	};
	unsigned accepted = a->input->policy->tdx.accepted_statuses | 1U << TCB_UP_TO_DATE;
	accepted &= ~(1U << TCB_REVOKED | 1U << TCB_UNKNOWN); /* no policy accepts these */
	if (!(accepted & 1U << status))
		appraise_fault(a->result, codes[status]);
}

void tdx_appraise_tcb(struct tdx_appraisal *a, struct jspan tcb_info)
{
	struct appraise_result *result = a->result;
	struct found found = {};
	if (!a->has_pck)
		return;
	struct jspan info[INFO_COUNT];
	jspan_members(tcb_info, info_names, INFO_COUNT, info);
	check_platform(a, info);
	if (!find_levels(a, info[INFO_LEVELS], &found)) {
		appraise_fault(result, format_fault);
		return;
	}
	appraise_module(a, info);
	if (!found.has_matched) {
		appraise_fault(result, "tcb.no_level");
		return;
	}
	result->platform_status = found.matched.status;
	result->tcb_date = found.matched.date;
	result->advisories = found.matched.advisories;
	enum tcb_status merged = converge(result->platform_status, result->module_status);
	merged = relaunch(a, info, &found, merged);
	result->status = converge(merged, result->qe_status);
	tdx_require_status(a, result->status);
	/* Words that do not converge (a module in need of configuration, say) refuse by themselves.
	 */
	if (result->status == TCB_UP_TO_DATE && result->module_status != TCB_UNKNOWN)
		tdx_require_status(a, result->module_status);
}
