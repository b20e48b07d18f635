/*
 * EAT attestation results (draft-fv-rats-ear; trust tiers of AR4SI). Every submodule must be good:
 * one that is missing, "none" or better than its own vector is a failure.
 */
#include "rules/appraise/jws.h"

enum { SUBMODULES_MAX = 16 };

static const char *const ear_algorithms[] = { "ES256", "ES384", NULL };

static const char *const profiles[] = {
	"tag:github.com,2024:confidential-containers/Trustee",
	"tag:github.com,2023:veraison/ear",
};

/* Tiers of trust, worse is higher. NONE is no statement and never enough. */
enum tier { TIER_AFFIRMING, TIER_WARNING, TIER_CONTRAINDICATED, TIER_NONE };

static enum tier tier_of_status(struct jspan status)
{
	static const char *const names[] = { "affirming", "warning", "contraindicated" };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (jspan_is(status, names[i]))
			return (enum tier)i;
	return TIER_NONE;
}

/* AR4SI section 2.3.2: magnitudes 2..31 affirm, 32..95 warn, 96.. contraindicate. */
static enum tier tier_of_value(int64_t value)
{
	int64_t magnitude = value < 0 ? -value - 1 : value;
	if (magnitude >= 96)
		return TIER_CONTRAINDICATED;
	if (magnitude >= 32)
		return TIER_WARNING;
	return TIER_AFFIRMING; /* or no statement (-1..1), which takes nothing away */
}

/* The worst claim of a vector; NONE when there is no vector or no number in it. */
static enum tier tier_of_vector(struct jspan vector)
{
	enum tier worst = TIER_AFFIRMING;
	struct jspan each;
	bool has_statement = false;
	if (vector.type != JSPAN_OBJECT)
		return TIER_NONE;
	for (size_t position = 0; jspan_next(vector, &position, NULL, &each);) {
		int64_t value;
		if (!jspan_integer(each, INT8_MIN, INT8_MAX, &value))
			return TIER_NONE;
		worst = MAX(worst, tier_of_value(value));
		has_statement |= value < -1 || value > 1;
	}
	return has_statement ? worst : TIER_NONE;
}

static void check_submodule(const struct appraise_token_input *input, struct jspan submodule,
	struct appraise_result *result)
{
	enum tier status = tier_of_status(jspan_get(submodule, "ear.status"));
	enum tier vector = tier_of_vector(jspan_get(submodule, "ear.trustworthiness-vector"));
	enum tier wanted = input->policy->token.may_warn ? TIER_WARNING : TIER_AFFIRMING;
	if (status > wanted)
		appraise_fault(result, "ear.status");
	else if (vector > status)
		appraise_fault(result, "ear.vector");
}

static void check_claims(const struct appraise_token_input *input, struct jspan claims,
	struct appraise_result *result)
{
	struct jspan submodules = jspan_get(claims, "submods"), each;
	struct jspan profile = jspan_get(claims, "eat_profile");
	size_t count = 0;
	bool is_known = false;
	jws_check_claims(input, claims, result);
	for (size_t i = 0; i < ARRAY_SIZE(profiles); i++)
		is_known |= jspan_is(profile, profiles[i]);
	if (!is_known)
		appraise_fault(result, "ear.profile");
	if (input->policy->report_data.size > 0) /* somebody else saw it; the nonce binds here */
		appraise_fault(result, "ear.report_data");
	for (size_t position = 0; jspan_next(submodules, &position, NULL, &each); count++) {
		struct jspan evidence = jspan_get(each, "ear.veraison.annotated-evidence");
		struct jspan runtime = jspan_get(evidence, "runtime_data_claims");
		if (count == SUBMODULES_MAX)
			break;
		check_submodule(input, each, result);
		if (count == 0 || runtime.type != JSPAN_NONE)
			jws_check_nonce(input, jspan_get(runtime, "nonce"), result);
	}
	if (count == 0 || count == SUBMODULES_MAX)
		appraise_fault(result, "ear.status");
}

void appraise_ear(const struct appraise_token_input *input, struct appraise_result *ret_result)
{
	*ret_result = (struct appraise_result){ .platform = APPRAISE_PLATFORM_EAR, .anchor = "" };
	struct appraise_anchor anchor = { .label = input->anchor };
	auto_done(jws) jws = {};
	bool is_open = jws_open(input, ear_algorithms, &jws, ret_result);
	if (is_open)
		check_claims(input, jws.claims, ret_result);
	appraise_conclude(ret_result, input->policy, is_open ? &anchor : NULL);
}
