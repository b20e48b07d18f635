/*
 * See verify.h. Each check is one small function over struct state; a check whose premise failed
 * stays not-checked and the verdict is failed anyway.
 */
#include "rules/cert/verify.h"

#include "kit/base/str.h"
#include "kit/codec/base64.h"
#include "kit/crypto/dsse.h"
#include "kit/crypto/sign.h"
#include "rules/cert/internal.h"
#include "rules/cert/trace.h"

enum { PROVIDER_MAX = 32 };

static const struct {
	const char *name;
	const char *meaning;
	bool is_essential;
} check_rows[CERT_CHECK_COUNT] = {
	[CERT_CHECK_ENVELOPE] = { "envelope", "a well-formed DSSE envelope with an in-toto payload",
		true },
	[CERT_CHECK_STATEMENT] = { "statement",
		"a canonical statement of a known kind, with nothing unknown in it", true },
	[CERT_CHECK_SIGNATURE] = { "signature", "signed by the key that the evidence names", true },
	[CERT_CHECK_ISSUER] = { "issuer", "countersigned by the service key you gave", false },
	[CERT_CHECK_SUBJECTS] = { "subjects",
		"inputs, claim and result digests follow from the content", true },
	[CERT_CHECK_RESULT] = { "result", "the result you hold is the certified one", false },
	[CERT_CHECK_FILES] = { "files", "the files you hold are those the run left", false },
	[CERT_CHECK_BINDING] = { "binding",
		"the evidence speaks about this claim, this run and this key", true },
	[CERT_CHECK_QUOTE] = { "quote",
		"the quote is genuine up to an anchor and carries the binding", true },
	[CERT_CHECK_TCB] = { "tcb", "the platform is neither revoked nor out of date", false },
	[CERT_CHECK_MEASUREMENT] = { "measurement", "the measured code is the one you expect",
		false },
	[CERT_CHECK_TRACE] = { "trace", "the events you hold are all recorded events of the run",
		false },
	[CERT_CHECK_TRANSPARENCY] = { "transparency", "the certificate is in a public log", false },
};

static const char *const result_names[] = {
	[CERT_PASS] = "pass",
	[CERT_FAIL] = "fail",
	[CERT_NOT_CHECKED] = "not-checked",
};

static const char *const verdict_names[] = {
	[CERT_VERDICT_FAILED] = "failed",
	[CERT_VERDICT_SIMULATED] = "simulated",
	[CERT_VERDICT_HARDWARE] = "hardware",
};

const char *cert_check_name(enum cert_check check)
{
	return check_rows[check].name;
}

const char *cert_check_meaning(enum cert_check check)
{
	return check_rows[check].meaning;
}

const char *cert_result_name(enum cert_result result)
{
	return result_names[result];
}

const char *cert_verdict_name(enum cert_verdict verdict)
{
	return verdict_names[verdict];
}

static void state_done(struct cert_state *state)
{
	dsse_done(&state->envelope);
	json_free(state->statement);
	buf_done(&state->spki);
	buf_done(&state->quote);
}

/* Record the outcome of one check; on failure the error's text becomes the detail. */
static void record(struct cert_state *state, enum cert_check check, int status, const char *good,
	const struct err *err)
{
	struct cert_finding *finding = &state->out->checks[check];
	struct err ignored;
	finding->result = status < 0 ? CERT_FAIL : CERT_PASS;
	if (str_format(finding->detail, sizeof(finding->detail), &ignored, "%.190s",
		    status < 0 ? err->message : good) < 0)
		finding->detail[0] = 0;
}

static int check_envelope(struct cert_state *state, struct err *err)
{
	TRY(dsse_decode(state->in->envelope, &state->envelope, err));
	if (!str_equal(state->envelope.payload_type, CERT_PAYLOAD_TYPE))
		return err_set(err, E_INVALID, "payload type is not " CERT_PAYLOAD_TYPE);
	cert_id(buf_view(&state->envelope.payload), state->out->id);
	return 0;
}

static int match_predicate(struct cert_state *state, const struct json *predicate, struct err *err)
{
	return json_match(predicate, "predicate",
		(struct json_member[]){
			{ "inputs", JSON_KIND_OBJECT, true, &state->inputs },
			{ "outcome", JSON_KIND_OBJECT, true, &state->outcome },
			{ "run", JSON_KIND_OBJECT, true, &state->run },
			{ "evidence", JSON_KIND_OBJECT, true, &state->evidence },
		},
		4, err);
}

static int match_statement(struct cert_state *state, struct err *err)
{
	const struct json *type, *predicate_type, *predicate;
	TRY(json_match(state->statement, "",
		(struct json_member[]){
			{ "_type", JSON_KIND_STRING, true, &type },
			{ "subject", JSON_KIND_ARRAY, true, &state->subjects },
			{ "predicateType", JSON_KIND_STRING, true, &predicate_type },
			{ "predicate", JSON_KIND_OBJECT, true, &predicate },
		},
		4, err));
	if (!str_equal(json_as_string(type), CERT_STATEMENT_TYPE))
		return err_set(err, E_INVALID, "_type is not " CERT_STATEMENT_TYPE);
	state->is_hardware_type = str_equal(
		json_as_string(predicate_type), CERT_PREDICATE_HARDWARE);
	if (!state->is_hardware_type &&
		!str_equal(json_as_string(predicate_type), CERT_PREDICATE_SIMULATED))
		return err_set(err, E_INVALID, "unknown predicateType");
	return match_predicate(state, predicate, err);
}

static int check_statement(struct cert_state *state, struct err *err)
{
	auto_done(buf) canonical = {};
	struct view payload = buf_view(&state->envelope.payload);
	TRY(json_parse(payload, CERT_STATEMENT_MAX, &state->statement, err));
	TRY(json_encode(state->statement, &canonical, err));
	if (!view_equal(buf_view(&canonical), payload))
		return err_set(err, E_INVALID, "the statement is not in canonical form");
	return match_statement(state, err);
}

int cert_decode_hex(struct view text, uint8_t *ret_bytes, size_t size, struct err *err)
{
	for (size_t i = 0; i < text.size; i++)
		if (text.data[i] >= 'A' && text.data[i] <= 'F')
			return err_set(err, E_INVALID, "expected lower-case hexadecimal");
	return hex_decode(text, ret_bytes, size, err);
}

/* What may stand in evidence.tee; a new platform is a row. */
static const struct {
	const char *mode, *assurance, *format;
	bool is_snp;
} platforms[] = {
	{ "simulated", "none", "tdx-quote", false },
	{ "simulated", "none", "snp-report", true },
	{ "tdx", "hardware", "tdx-quote", false },
	{ "sev-snp", "hardware", "snp-report", true },
};

static int check_platform(struct cert_state *state, const struct json *tee,
	const struct json *event_log, struct err *err)
{
	uint8_t digest[SHA256_SIZE];
	struct view mode = json_as_view(json_get(tee, "mode"));
	if (json_kind(event_log) != JSON_KIND_NULL)
		TRY(cert_decode_hex(json_as_view(event_log), digest, sizeof(digest), err));
	if (!str_is_file_name(json_as_view(json_get(tee, "provider")), PROVIDER_MAX))
		return err_set(err, E_INVALID, "evidence.tee.provider is no name");
	for (size_t i = 0; i < ARRAY_SIZE(platforms); i++)
		if (view_equal_string(mode, platforms[i].mode) &&
			view_equal_string(
				json_as_view(json_get(tee, "assurance")), platforms[i].assurance) &&
			view_equal_string(
				json_as_view(json_get(tee, "format")), platforms[i].format)) {
			state->is_snp = platforms[i].is_snp;
			return 0;
		}
	return err_set(err, E_INVALID,
		"evidence.tee: mode, assurance and format are not those of a known platform");
}

static int read_tee(struct cert_state *state, const struct json *tee, struct err *err)
{
	const struct json *quote, *event_log;
	TRY(json_match(tee, "evidence.tee",
		(struct json_member[]){
			{ "mode", JSON_KIND_STRING, true, NULL },
			{ "assurance", JSON_KIND_STRING, true, &state->assurance },
			{ "provider", JSON_KIND_STRING, true, NULL },
			{ "format", JSON_KIND_STRING, true, NULL },
			{ "quote", JSON_KIND_STRING, true, &quote },
			{ "eventLogDigest", JSON_KIND_ANY, true, &event_log },
		},
		6, err));
	TRY(check_platform(state, tee, event_log, err));
	return base64_decode(BASE64_STANDARD, json_as_view(quote), &state->quote, err);
}

/* The signing key and the quote stand in the evidence member; both are needed before signatures. */
static int read_evidence(struct cert_state *state, struct err *err)
{
	const struct json *tee, *binding, *domain, *spki, *report_data;
	TRY(json_match(state->evidence, "evidence",
		(struct json_member[]){
			{ "tee", JSON_KIND_OBJECT, true, &tee },
			{ "binding", JSON_KIND_OBJECT, true, &binding },
		},
		2, err));
	TRY(json_match(binding, "evidence.binding",
		(struct json_member[]){
			{ "domain", JSON_KIND_STRING, true, &domain },
			{ "spki", JSON_KIND_STRING, true, &spki },
			{ "reportData", JSON_KIND_STRING, true, &report_data },
		},
		3, err));
	if (!str_equal(json_as_string(domain), CERT_BINDING_DOMAIN))
		return err_set(err, E_INVALID, "binding domain is not " CERT_BINDING_DOMAIN);
	TRY(cert_decode_hex(
		json_as_view(report_data), state->report_data, CERT_REPORT_DATA_SIZE, err));
	TRY(read_tee(state, tee, err));
	return base64_decode(BASE64_STANDARD, json_as_view(spki), &state->spki, err);
}

/* Exactly one signature under the key id of spki, and it holds. */
static int check_signature_of(struct cert_state *state, struct view spki, struct err *err)
{
	char keyid[DSSE_KEYID_SIZE];
	auto_done(buf) pae = {};
	dsse_keyid(spki, keyid);
	TRY(dsse_pae(CERT_PAYLOAD_TYPE, buf_view(&state->envelope.payload), &pae, err));
	const struct dsse_signature *found = NULL;
	size_t count = 0;
	for (size_t i = 0; i < state->envelope.signature_count; i++)
		if (str_equal(state->envelope.signatures[i].keyid, keyid)) {
			found = &state->envelope.signatures[i];
			count++;
		}
	if (count != 1) /* two: verifiers could disagree on which one counts */
		return err_set(err, E_INTEGRITY, "expected one signature by key %.16s..., got %zu",
			keyid, count);
	return sign_verify(spki, buf_view(&pae), view_of(found->bytes, found->size), err);
}

static int check_agent_signature(struct cert_state *state, struct err *err)
{
	return check_signature_of(state, buf_view(&state->spki), err);
}

static int check_issuer(struct cert_state *state, struct err *err)
{
	return check_signature_of(state, state->in->issuer_spki, err);
}

static int check_subject(
	const struct json *subject, const char *name, const char *hex, struct err *err)
{
	const struct json *have_name, *digest, *have;
	TRY(json_match(subject, "subject[]",
		(struct json_member[]){
			{ "name", JSON_KIND_STRING, true, &have_name },
			{ "digest", JSON_KIND_OBJECT, true, &digest },
		},
		2, err));
	TRY(json_match(digest, "subject[].digest",
		(struct json_member[]){ { "sha256", JSON_KIND_STRING, true, &have } }, 1, err));
	if (!str_equal(json_as_string(have_name), name) || !str_equal(json_as_string(have), hex))
		return err_set(
			err, E_INTEGRITY, "subject '%s' does not follow from the content", name);
	return 0;
}

static int check_subjects(struct cert_state *state, struct err *err)
{
	uint8_t inputs_digest[SHA256_SIZE], ignored[SHA256_SIZE];
	char hex[CERT_DIGEST_TEXT];
	const struct json *result = json_get(json_get(state->outcome, "result"), "sha256");
	TRY(cert_decode_hex(json_as_view(result), ignored, sizeof(ignored), err));
	TRY(cert_digest_json(state->inputs, inputs_digest, err));
	TRY(cert_claim_digest(inputs_digest, state->outcome, state->claim_digest, err));
	if (json_size(state->subjects) != 3)
		return err_set(err, E_INVALID, "expected the subjects result, claim and inputs");
	TRY(check_subject(json_at(state->subjects, 0), "result", json_as_string(result), err));
	(void)hex_encode(view_of(state->claim_digest, SHA256_SIZE), hex);
	TRY(check_subject(json_at(state->subjects, 1), "claim", hex, err));
	(void)hex_encode(view_of(inputs_digest, SHA256_SIZE), hex);
	return check_subject(json_at(state->subjects, 2), "inputs", hex, err);
}

static int check_binding(struct cert_state *state, struct err *err)
{
	uint8_t expected[CERT_REPORT_DATA_SIZE];
	TRY(cert_report_data(
		state->claim_digest, state->run, buf_view(&state->spki), expected, err));
	if (!view_equal(view_of(expected, sizeof(expected)),
		    view_of(state->report_data, sizeof(state->report_data))))
		return err_set(
			err, E_INTEGRITY, "report data does not follow from claim, run and key");
	bool says_hardware = view_equal_string(json_as_view(state->assurance), "hardware");
	if (says_hardware != state->is_hardware_type)
		return err_set(err, E_INTEGRITY, "assurance and predicateType disagree");
	return 0;
}

static int check_result(struct cert_state *state, struct err *err)
{
	uint8_t digest[SHA256_SIZE];
	char hex[CERT_DIGEST_TEXT];
	hash_bytes(HASH_SHA256, state->in->result, digest);
	(void)hex_encode(view_of(digest, sizeof(digest)), hex);
	if (!view_equal_string(
		    json_as_view(json_get(json_get(state->outcome, "result"), "sha256")), hex))
		return err_set(err, E_INTEGRITY,
			"the result given has SHA-256 %s, certified is another", hex);
	return 0;
}

static int check_trace(struct cert_state *state, struct err *err)
{
	uint8_t root[SHA256_SIZE];
	const struct json *trace = json_get(state->run, "trace");
	int64_t size = json_as_integer(json_get(trace, "size"));
	if (size < 0 || (uint64_t)size != json_size(state->in->trace_events))
		return err_set(err, E_INTEGRITY, "%zu events given, %lld certified",
			json_size(state->in->trace_events), (long long)size);
	if (state->in->trace_seed.size != TRACE_SEED_SIZE)
		return err_set(err, E_INVALID, "a trace seed has %d bytes", TRACE_SEED_SIZE);
	TRY(cert_decode_hex(json_as_view(json_get(trace, "root")), root, sizeof(root), err));
	return trace_check(state->in->trace_events, state->in->trace_seed.data, root, err);
}

static int check_content(struct cert_state *state, struct err *err)
{
	TRY(check_statement(state, err));
	return read_evidence(state, err);
}

/* In the order of enum cert_check; the quote speaks about three checks and records them itself. */
static const struct {
	enum cert_check check;
	int (*run)(struct cert_state *state, struct err *err);
	const char *good;
} steps[] = {
	{ CERT_CHECK_ENVELOPE, check_envelope, "DSSE, " CERT_PAYLOAD_TYPE },
	{ CERT_CHECK_STATEMENT, check_content, "canonical, nothing unknown" },
	{ CERT_CHECK_SIGNATURE, check_agent_signature, "holds under the key in the evidence" },
	{ CERT_CHECK_ISSUER, check_issuer, "countersigned by the given key" },
	{ CERT_CHECK_SUBJECTS, check_subjects, "inputs, claim and result digests recomputed" },
	{ CERT_CHECK_RESULT, check_result, "the bytes given are the certified result" },
	{ CERT_CHECK_FILES, cert_check_files,
		"the files given are the certified ones, all of them" },
	{ CERT_CHECK_BINDING, check_binding, "report data recomputed from claim, run and key" },
	{ CERT_CHECK_QUOTE, NULL, NULL },
	{ CERT_CHECK_TRACE, check_trace, "all recorded events given; see complete and lost" },
};

/* A reply holds no more events; only the certificate says whether there were more. */
static bool is_trace_cut(const struct cert_state *state)
{
	int64_t size = json_as_integer(json_get(json_get(state->run, "trace"), "size"));
	return state->in->is_reply && size > TRACE_SHOWN_MAX &&
	       json_size(state->in->trace_events) == TRACE_SHOWN_MAX;
}

/* Why a check cannot be made with what was given; NULL when it can. */
static const char *lacks(const struct cert_state *state, enum cert_check check)
{
	const struct cert_verify_input *in = state->in;
	const char *const reasons[CERT_CHECK_COUNT] = {
		[CERT_CHECK_ISSUER] = in->issuer_spki.size ? NULL : "no service key was given",
		[CERT_CHECK_RESULT] = in->has_result ? NULL : "no result was given",
		[CERT_CHECK_FILES] = in->files ? NULL : "no files were given",
		[CERT_CHECK_QUOTE] = in->anchor_count ? NULL : "no anchor was given",
		[CERT_CHECK_TCB] = cert_has_collateral(state) ? NULL : "no collateral was given",
		[CERT_CHECK_MEASUREMENT] = in->measurement.size
						   ? NULL
						   : "no expected measurement was given",
		[CERT_CHECK_TRACE] = !in->trace_events ? "no trace was given"
				     : is_trace_cut(state)
					     ? "the reply holds the first 2000 events only"
					     : NULL,
		[CERT_CHECK_TRANSPARENCY] = "this version keeps no log",
	};
	return reasons[check];
}

static void leave(struct cert_finding *finding, const char *reason)
{
	struct err ignored;
	finding->result = CERT_NOT_CHECKED;
	(void)!str_format(finding->detail, sizeof(finding->detail), &ignored, "%s", reason);
}

/* One after the other; behind an essential check that failed nothing is looked at. */
static void run_steps(struct cert_state *state)
{
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct err err;
		enum cert_check check = steps[i].check;
		const char *reason = lacks(state, check);
		if (reason) {
			leave(&state->out->checks[check], reason);
			continue;
		}
		if (steps[i].run)
			record(state, check, steps[i].run(state, &err), steps[i].good, &err);
		else
			cert_check_quote(state);
		if (check_rows[check].is_essential && state->out->checks[check].result != CERT_PASS)
			return;
	}
}

static enum cert_verdict judge(const struct cert_state *state)
{
	const struct cert_finding *checks = state->out->checks;
	for (size_t i = 0; i < CERT_CHECK_COUNT; i++)
		if (checks[i].result == CERT_FAIL ||
			(check_rows[i].is_essential && checks[i].result != CERT_PASS))
			return CERT_VERDICT_FAILED;
	bool is_hardware = state->is_hardware_type && state->is_hardware_anchor &&
			   checks[CERT_CHECK_TCB].result == CERT_PASS;
	return is_hardware ? CERT_VERDICT_HARDWARE : CERT_VERDICT_SIMULATED;
}

void cert_verify(const struct cert_verify_input *input, struct cert_verification *ret_verification)
{
	struct cert_state AUTO(state_done) state = { .in = input, .out = ret_verification };
	*ret_verification = (struct cert_verification){};
	for (size_t i = 0; i < CERT_CHECK_COUNT; i++) {
		const char *reason = lacks(&state, (enum cert_check)i);
		leave(&ret_verification->checks[i], reason ? reason : "an earlier check failed");
	}
	run_steps(&state);
	ret_verification->verdict = judge(&state);
}

struct json *cert_verification_json(const struct cert_verification *verification)
{
	struct json *object = json_new_object();
	struct json *checks = json_new_array();
	for (size_t i = 0; i < CERT_CHECK_COUNT; i++) {
		struct json *row = json_new_object();
		json_set_string(row, "name", check_rows[i].name);
		json_set_string(row, "result", result_names[verification->checks[i].result]);
		json_set_string(row, "detail", verification->checks[i].detail);
		json_set_string(row, "meaning", check_rows[i].meaning);
		json_append(checks, row);
	}
	json_set_string(object, "certificate_id", verification->id[0] ? verification->id : NULL);
	json_set_string(object, "verdict", verdict_names[verification->verdict]);
	json_set_string(object, "anchor", verification->anchor[0] ? verification->anchor : NULL);
	json_set(object, "checks", checks);
	return object;
}
