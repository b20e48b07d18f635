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

UNIT_MAIN("appraise_tdx", ccel_replays_to_the_quote, dstack_log_replays_to_the_quote,
	dstack_names_are_recomputed, real_quotes, simulated_quotes)
