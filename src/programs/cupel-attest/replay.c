/*
 * cupel attest replay: the registers that an event log comes to. TCG logs (a vTPM's, or CCEL with
 * --cc) are binary; dstack's is JSON and extends the four RTMRs.
 */
#include <getopt.h>
#include <stdio.h>

#include "kit/base/str.h"
#include "kit/codec/json.h"
#include "programs/cupel-attest/attest.h"
#include "rules/appraise/dstack_log.h"
#include "rules/appraise/eventlog.h"

static int parse_bank(const char *name, enum hash_kind *ret_hash, struct err *err)
{
	static const struct {
		const char *name;
		enum hash_kind hash;
	} banks[] = { { "sha1", HASH_SHA1 }, { "sha256", HASH_SHA256 }, { "sha384", HASH_SHA384 } };
	for (size_t i = 0; i < ARRAY_SIZE(banks); i++)
		if (str_equal(name, banks[i].name)) {
			*ret_hash = banks[i].hash;
			return 0;
		}
	return err_set(err, E_INVALID, "expected bank sha1, sha256 or sha384");
}

static int set_register(
	struct json *registers, size_t index, const uint8_t *bytes, size_t size, struct err *err)
{
	char name[4];
	TRY(str_format(name, sizeof(name), err, "%zu", index));
	json_set_hex(registers, name, view_of(bytes, size));
	return 0;
}

static int replay_dstack(struct view log, struct json *root, bool *ret_has_fault, struct err *err)
{
	struct dstack_replay replay;
	if (!dstack_log_replay(log, &replay))
		return err_set(err, E_INVALID, "eventlog.format: no event log of dstack");
	const struct {
		const char *name;
		struct view text;
	} names[] = { { "appId", replay.app_id }, { "composeHash", replay.compose_hash },
		{ "instanceId", replay.instance_id }, { "keyProvider", replay.key_provider } };
	struct json *registers = json_new_object();
	json_set(root, "registers", registers);
	for (size_t i = 0; i < DSTACK_REGISTERS; i++)
		TRY(set_register(registers, i, replay.rtmr[i], SHA384_SIZE, err));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].text.size > 0)
			json_set(root, names[i].name, json_new_string(names[i].text));
	*ret_has_fault = replay.has_data_fault;
	return 0;
}

static int replay_tcg(struct view log, enum hash_kind hash, bool is_cc, struct json *root,
	bool *ret_has_fault, struct err *err)
{
	struct eventlog_replay replay;
	if (!eventlog_replay(log, hash, is_cc, &replay))
		return err_set(err, E_INVALID, "eventlog.format: no event log of this bank");
	struct json *registers = json_new_object();
	json_set_integer(root, "events", (int64_t)replay.event_count);
	json_set(root, "registers", registers);
	for (size_t i = 0; i < EVENTLOG_REGISTERS; i++)
		if (replay.touched & 1U << i)
			TRY(set_register(registers, i, replay.registers[i], hash_size(hash), err));
	*ret_has_fault = replay.has_data_fault;
	return 0;
}

int attest_replay(int argc, char **argv, struct err *err)
{
	enum { OPTION_BANK = 1, OPTION_CC };
	static const struct option names[] = { { "bank", required_argument, NULL, OPTION_BANK },
		{ "cc", no_argument, NULL, OPTION_CC }, { NULL, 0, NULL, 0 } };
	enum hash_kind hash = HASH_SHA256;
	auto_done(loaded) loaded = {};
	auto_json *root = json_new_object();
	struct view log;
	bool is_cc = false, has_fault = false;
	int each;
	while ((each = getopt_long(argc, argv, "", names, NULL)) >= 0) {
		if (each == OPTION_BANK)
			TRY(parse_bank(optarg, &hash, err));
		else if (each == OPTION_CC)
			is_cc = true;
		else
			return err_set(err, E_INVALID, "unknown option; see cupel attest --help");
	}
	if (optind + 1 != argc)
		return err_set(err, E_INVALID, "expected one LOG");
	TRY(load_file(&loaded, argv[optind], &log, err));
	if (is_cc && hash == HASH_SHA256)
		hash = HASH_SHA384;
	if (log.size > 0 && log.data[0] == '[')
		TRY(replay_dstack(log, root, &has_fault, err));
	else
		TRY(replay_tcg(log, hash, is_cc, root, &has_fault, err));
	json_set_boolean(root, "dataDigestsHold", !has_fault);
	TRY(attest_print(root, err));
	return has_fault ? ATTEST_EXIT_REFUSED : ATTEST_EXIT_DONE;
}
