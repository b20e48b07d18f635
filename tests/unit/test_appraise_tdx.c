/* TDX appraisal against the shared vectors, then properties of it. */
#include "appraise_load.h"
#include "rules/appraise/dstack_log.h"

static struct appraise_memo shared_memo;

static int run_tdx(struct vector_case *c)
{
	static struct tdx_case t; /* large */
	struct appraise_result result, warm;
	load_tdx(c, &t);
	appraise_tdx(&t.input, &result);
	t.input.memo = &shared_memo; /* a memo never changes the verdict */
	appraise_tdx(&t.input, &warm);
	ck_assert_int_eq(result.is_accepted, warm.is_accepted);
	ck_assert_uint_eq(result.reason_count, warm.reason_count);
	const char *status = json_as_string(json_get(json_get(c->json, "info"), "status"));
	const char *fmspc = json_as_string(json_get(json_get(c->json, "info"), "fmspc"));
	if (fmspc && result.fmspc.size) {
		char hex[HEX_SIZE(6)];
		ck_assert_str_eq(hex_encode(result.fmspc, hex), fmspc);
	}
	if (status && result.platform == APPRAISE_PLATFORM_TDX && result.fmspc.size)
		ck_assert_msg(
			result.status == TCB_UNKNOWN ||
				str_equal(status, tcb_status_name(result.status)) ||
				json_get(json_get(c->json, "info"), "platform_status") == NULL,
			"%s: status %s, expected %s", json_as_string(json_get(c->json, "id")),
			tcb_status_name(result.status), status);
	return case_disagrees(c, result.is_accepted, first_reason(&result));
}

START_TEST(real_quotes)
{
	ck_assert_uint_gt(run_suite("tdx", "real.json", run_tdx), 0);
}
END_TEST

START_TEST(simulated_quotes)
{
	ck_assert_uint_gt(run_suite("tdx/sim", "cases.json", run_tdx), 0);
}
END_TEST

static const char *wanted_case, *log_file;
static bool is_dstack, is_found;

/* The wanted case with its event log: accepted as it is, refused when anything of it changes. */
static int run_log(struct vector_case *c)
{
	static struct tdx_case t;
	struct appraise_result result;
	if (!str_equal(json_as_string(json_get(c->json, "id")), wanted_case))
		return 0;
	is_found = true;
	load_tdx(c, &t);
	t.policy.tdx.is_event_log_required = true;
	appraise_tdx(&t.input, &result);
	ck_assert_str_eq(first_reason(&result), "eventlog.missing");
	struct view *log = is_dstack ? &t.input.dstack_log : &t.input.event_log;
	*log = case_file(c, log_file);
	appraise_tdx(&t.input, &result);
	ck_assert_msg(result.is_accepted, "%s", first_reason(&result));
	struct buf *file = &c->files[c->file_count - 1];
	t.input.memo = &shared_memo;
	size_t refused = 0, tried = 0;
	for (size_t at = 40; at < file->size; at += 101) {
		file->data[at] ^= 1;
		appraise_tdx(&t.input, &result);
		refused += result.is_accepted ? 0 : 1;
		tried++;
		file->data[at] ^= 1;
	}
	/* Not all of a log is covered by digests (EV_IPL texts, payloads of boot events). */
	ck_assert_msg(refused > tried / 8, "%zu of %zu", refused, tried);
	log->size -= 3;
	appraise_tdx(&t.input, &result);
	ck_assert_str_eq(first_reason(&result), "eventlog.format");
	return 0;
}

START_TEST(ccel_replays_to_the_quote)
{
	wanted_case = "tdx-real/tdx4-gcp-cos113";
	log_file = "../tpm/eventlogs/cos-113-ccel.bin";
	run_suite("tdx", "real.json", run_log);
	if (!is_found)
		printf("%s is not in this set\n", wanted_case);
}
END_TEST

START_TEST(dstack_log_replays_to_the_quote)
{
	wanted_case = "tdx-real/tdx4-dstack-report";
	log_file = "quotes/v4-90c06f-dstack.eventlog.json";
	is_dstack = true;
	run_suite("tdx", "real.json", run_log);
	if (!is_found)
		printf("%s is not in this set\n", wanted_case);
}
END_TEST

START_TEST(dstack_names_are_recomputed)
{
#define EVENT(name, payload, digest)                                                      \
	"{\"imr\":3,\"event_type\":134217729,\"digest\":\"" digest "\",\"event\":\"" name \
	"\",\"event_payload\":\"" payload "\"}"
	struct dstack_replay replay;
	ck_assert(dstack_log_replay(
		view_string("[" EVENT("app-id", "0a", "") "," EVENT(
			"system-ready", "", "") "," EVENT("app-id", "0b", "") "]"),
		&replay));
	ck_assert(view_equal_string(replay.app_id, "0a")); /* what comes later is the workload's */
	static const char *const bad[] = { "{}", "[1]", "[" EVENT("a:b", "", "") "]",
		"[" EVENT("a", "0", "") "]",
		"[" EVENT("app-id", "0a", "") "," EVENT("app-id", "0b", "") "]",
		"[{\"imr\":4,\"event_type\":1,\"digest\":\"\",\"event\":\"\",\"event_payload\":"
		"\"\"}]",
		"[{\"imr\":0,\"event_type\":1,\"digest\":\"\",\"event\":\"\",\"event_payload\":"
		"\"\"}]" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(!dstack_log_replay(view_string(bad[i]), &replay), "%s", bad[i]);
}
END_TEST

/* Rows of the vectors of dstack's own SDK: both versions, an empty log, a real boot. */
START_TEST(dstack_runtime_events_of_both_versions)
{
	struct err err;
	auto_done(buf) text = {};
	auto_json *rows = NULL;
	if (fd_read_file(VECTORS "/dstack-env/runtime-events.json", 4 << 20, &text, &err) < 0)
		return;
	ck_assert_ok(json_parse(buf_view(&text), 4 << 20, &rows, &err), err);
	ck_assert_uint_ge(json_size(rows), 4);
	for (size_t i = 0; i < json_size(rows); i++) {
		auto_done(buf) log = {};
		struct dstack_replay replay;
		char rtmr3[HEX_SIZE(SHA384_SIZE)];
		const struct json *row = json_at(rows, i);
		ck_assert_ok(json_encode(json_get(row, "event_log"), &log, &err), err);
		ck_assert(dstack_log_replay(buf_view(&log), &replay));
		ck_assert(!replay.has_data_fault);
		hex_encode(view_of(replay.rtmr[3], SHA384_SIZE), rtmr3);
		ck_assert_str_eq(rtmr3, json_as_string(json_get(row, "rtmr3")));
	}
}
END_TEST

#define EVENT_2(name, payload, rest)                                             \
	"[{\"imr\":3,\"event_type\":134217729,\"digest\":\"\",\"event\":\"" name \
	"\",\"event_payload\":\"" payload "\"" rest "}]"
/* {"name":"a:b","payload":"0a","type":134217729} */
#define PREIMAGE                                                           \
	"7b226e616d65223a22613a62222c227061796c6f6164223a223061222c227479" \
	"7065223a3133343231373732397d"

START_TEST(dstack_version_2_is_strict)
{
	const struct {
		const char *text;
		bool is_good, has_fault;
	} rows[] = {
		{ EVENT_2("a:b", "0a", ",\"version\":2"), true, false },
		{ EVENT_2("a:b", "0A", ",\"version\":2,\"preimage\":\"" PREIMAGE "\""), true,
			false },
		{ EVENT_2("a:c", "0a", ",\"version\":2,\"preimage\":\"" PREIMAGE "\""), true,
			true },
		{ EVENT_2("a:b", "0b", ",\"version\":2,\"preimage\":\"" PREIMAGE "\""), true,
			true },
		{ EVENT_2("a:b", "0a", ",\"version\":2,\"preimage\":\"" PREIMAGE "00\""), true,
			true },
		{ EVENT_2("a:b", "0a", ",\"version\":2,\"preimage\":1"), false, false },
		{ EVENT_2("a:b", "0a", ",\"version\":1"), false, false },
		{ EVENT_2("ab", "0a", ",\"version\":1"), true, false },
		{ EVENT_2("ab", "0a", ",\"version\":1,\"preimage\":\"" PREIMAGE "\""), false,
			false },
		{ EVENT_2("ab", "0a", ",\"preimage\":\"" PREIMAGE "\""), false, false },
		{ EVENT_2("ab", "0a", ",\"version\":3"), false, false },
		{ EVENT_2("ab", "0a", ",\"version\":0"), false, false },
		{ EVENT_2("ab", "0a", ",\"version\":\"2\""), false, false },
		{ EVENT_2("ab", "0", ",\"version\":2"), false, false },
		{ EVENT_2("a\\u0022b", "0a", ",\"version\":2"), false, false },
	};
	uint8_t first[SHA384_SIZE];
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct dstack_replay replay;
		ck_assert_msg(
			dstack_log_replay(view_string(rows[i].text), &replay) == rows[i].is_good,
			"%s", rows[i].text);
		if (rows[i].is_good)
			ck_assert_msg(
				replay.has_data_fault == rows[i].has_fault, "%s", rows[i].text);
		if (i == 0)
			memcpy(first, replay.rtmr[3], sizeof(first));
		if (i == 1) /* one event, one digest, however its payload was written */
			ck_assert(memcmp(first, replay.rtmr[3], sizeof(first)) == 0);
	}
}
END_TEST

/* What is remembered says nothing of time and policy. */
static int run_warm(struct vector_case *c)
{
	static struct tdx_case t;
	struct appraise_result result;
	load_tdx(c, &t);
	t.input.memo = &shared_memo;
	appraise_tdx(&t.input, &result);
	if (!result.is_accepted)
		return 0;
	is_found = true;
	const uint64_t moments[] = { 0, UINT64_MAX / 2 };
	for (size_t i = 0; i < ARRAY_SIZE(moments); i++) {
		struct tdx_case other = t;
		other.input.as_of_ms = moments[i];
		appraise_tdx(&other.input, &result);
		ck_assert_msg(!result.is_accepted, "accepted at %zu", i);
	}
	struct tdx_case other = t;
	static const uint8_t wrong[64] = { 1 };
	other.policy = t.policy;
	other.policy.report_data = view_of(wrong, sizeof(wrong));
	other.input.policy = &other.policy;
	appraise_tdx(&other.input, &result);
	ck_assert_str_eq(first_reason(&result), "td.report_data");
	other.input = t.input;
	other.input.anchor_count = 0;
	appraise_tdx(&other.input, &result);
	ck_assert_str_eq(first_reason(&result), "pck_chain.untrusted_root");
	appraise_tdx(&t.input, &result);
	ck_assert(result.is_accepted);
	return 0;
}

START_TEST(a_warm_memo_knows_no_time_and_no_policy)
{
	is_found = false;
	run_suite("tdx", "real.json", run_warm);
	ck_assert(is_found);
}
END_TEST

UNIT_MAIN("appraise_tdx", ccel_replays_to_the_quote, dstack_log_replays_to_the_quote,
	dstack_names_are_recomputed, dstack_runtime_events_of_both_versions,
	dstack_version_2_is_strict, real_quotes, simulated_quotes,
	a_warm_memo_knows_no_time_and_no_policy)
