/*
 * Configuration: one table. Each row can be set in the file (JSON object), by an environment
 * variable and by a flag; the later in this list wins. Help and errors come from the same rows.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "programs/cced/cced.h"

enum kind { TEXT, NUMBER, SWITCH };
enum { FILE_BYTES_MAX = 65536, OPTION_BASE = 1000 };

static const struct row {
	const char *name; /* flag --name, environment CUPEL_NAME, member name */
	enum kind kind;
	size_t offset;
	const char *initial;
	uint64_t min, max;
	const char *help;
} rows[] = {
	{ "address", TEXT, offsetof(struct config, address), "127.0.0.1", 0, 0,
		"address to listen on" },
	{ "port", NUMBER, offsetof(struct config, port), "7300", 0, 65535,
		"TCP port; 0 lets the kernel choose" },
	{ "state-dir", TEXT, offsetof(struct config, state_dir), IMAGE_STATE_DEFAULT, 0, 0,
		"database, keys, tokens, images" },
	{ "image", TEXT, offsetof(struct config, image), "base", 0, 0, "sandbox image" },
	{ "platform", TEXT, offsetof(struct config, platform), "simulated", 0, 0,
		"where evidence comes from: simulated, simulated-snp, configfs-tsm, dstack, "
		"sev-guest or "
		"tdx-guest" },
	{ "evidence-path", TEXT, offsetof(struct config, evidence_path), "", 0, 0,
		"socket or tree of the platform; empty is its usual place" },
	{ "collateral-dir", TEXT, offsetof(struct config, collateral_dir), "", 0, 0,
		"collateral for verifying hardware quotes, as tee-sim lays it out" },
	{ "tls", SWITCH, offsetof(struct config, has_tls), "false", 0, 0,
		"serve HTTPS; self-signed unless a certificate is given" },
	{ "tls-certificate", TEXT, offsetof(struct config, tls_certificate), "", 0, 0,
		"PEM file of the certificate chain" },
	{ "tls-key", TEXT, offsetof(struct config, tls_key), "", 0, 0, "PEM file of its key" },
	{ "tokens", TEXT, offsetof(struct config, tokens_path), "", 0, 0,
		"token file; default STATE-DIR/tokens.json" },
	{ "public-url", TEXT, offsetof(struct config, public_url), "", 0, 0,
		"how clients reach this server; default from the request" },
	{ "concurrency", NUMBER, offsetof(struct config, concurrency), "0", 0, 256,
		"jobs that run at once; 0 is one per processor" },
	{ "queue-max", NUMBER, offsetof(struct config, queue_max), "64", 0, 10000,
		"jobs that may wait; beyond is 429" },
	{ "agents-ready", NUMBER, offsetof(struct config, agents_ready), "2", 0, CCED_AGENTS_MAX,
		"agents kept ready" },
	{ "sandboxes-ready", NUMBER, offsetof(struct config, sandboxes_ready), "2", 0, 16,
		"sandboxes kept built ahead for each kind of job seen; 0 builds each for its job" },
	{ "dataset-max-mb", NUMBER, offsetof(struct config, dataset_max_mb), "256", 1, 65536,
		"all datasets of one job" },
	{ "json-max-mb", NUMBER, offsetof(struct config, json_max_mb), "64", 1, 1024,
		"one JSON request" },
	{ "allow-loopback-fetch", SWITCH, offsetof(struct config, allows_loopback_fetch), "true", 0,
		0, "dataset URLs may name http://127.0.0.1" },
	{ "log-level", TEXT, offsetof(struct config, log_level), "info", 0, 0,
		"debug, info, warning or error" },
};

static int set_value(
	struct config *config, const struct row *row, const char *text, struct err *err)
{
	uint8_t *place = (uint8_t *)config + row->offset;
	uint64_t number = 0;
	bool is_on = str_equal(text, "true");
	if (row->kind == TEXT) {
		char *copy = mem_string(text), *former;
		memcpy(&former, place, sizeof(former));
		mem_free(former);
		memcpy(place, &copy, sizeof(copy));
		return 0;
	}
	if (row->kind == NUMBER) {
		int status = str_parse_u64(text, row->min, row->max, &number, err);
		if (status < 0)
			err_wrap(err, "setting %s", row->name);
		else
			memcpy(place, &number, sizeof(number));
		return status;
	}
	if (!is_on && !str_equal(text, "false"))
		return err_set(err, E_INVALID, "setting %s: expected true or false", row->name);
	memcpy(place, &is_on, sizeof(is_on));
	return 0;
}

static const struct row *find_row(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (str_equal(rows[i].name, name))
			return &rows[i];
	return NULL;
}

static int set_from_json(
	struct config *config, const char *name, const struct json *value, struct err *err)
{
	char number[24], quoted[STR_QUOTE_MAX];
	const struct row *row = find_row(name);
	enum json_kind kind = json_kind(value);
	if (!row)
		return err_set(err, E_INVALID, "unknown setting '%s'; see cced --help",
			str_quote(view_string(name), quoted));
	if (row->kind == NUMBER && kind == JSON_KIND_INTEGER) {
		TRY(str_format(
			number, sizeof(number), err, "%lld", (long long)json_as_integer(value)));
		return set_value(config, row, number, err);
	}
	if (row->kind == SWITCH && kind == JSON_KIND_BOOLEAN)
		return set_value(config, row, json_as_boolean(value) ? "true" : "false", err);
	if (row->kind == TEXT && kind == JSON_KIND_STRING)
		return set_value(config, row, json_as_string(value), err);
	return err_set(err, E_INVALID, "setting %s is %s", name, json_kind_name(kind));
}

static int load_file(struct config *config, const char *path, struct err *err)
{
	auto_done(buf) text = {};
	auto_json *root = NULL;
	TRY(fd_read_file(path, FILE_BYTES_MAX, &text, err));
	int status = json_parse(buf_view(&text), FILE_BYTES_MAX, &root, err);
	if (status == 0 && json_kind(root) != JSON_KIND_OBJECT)
		status = err_set(err, E_INVALID, "expected an object");
	for (const struct json_member_at *at = status == 0 ? json_first(root) : NULL;
		at && status == 0; at = json_next(root, at))
		status = set_from_json(config, json_name(at), json_value(at), err);
	if (status < 0)
		err_wrap(err, "%s", path);
	return status;
}

static int load_environment(struct config *config, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char name[64];
		TRY(str_format(name, sizeof(name), err, "CUPEL_%s", rows[i].name));
		for (char *at = name; *at; at++)
			*at = (char)(*at == '-' ? '_' : *at >= 'a' && *at <= 'z' ? *at - 32 : *at);
		const char *value = getenv(name);
		if (value)
			TRY(set_value(config, &rows[i], value, err));
	}
	return 0;
}

static void print_help(void)
{
	printf("Usage: cced [--config FILE] [settings]\n\n"
	       "The control plane: takes jobs, runs each in a fresh tee-agent, certifies them.\n\n"
	       "  --config FILE               JSON object of the settings below (or "
	       "$CUPEL_CONFIG)\n");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		printf("  --%-25s %s (default: %s)\n", rows[i].name, rows[i].help,
			*rows[i].initial ? rows[i].initial : "none");
	printf("  --help, --version\n\n"
	       "Each setting may also stand in the environment as CUPEL_NAME "
	       "(CUPEL_QUEUE_MAX=10).\n"
	       "Precedence: flag, environment, file, default.\n\n"
	       "Example: cced --port 7300 --state-dir /var/lib/cupel\n"
	       "Exit codes: 0 stopped by SIGTERM or SIGINT, 1 failed (the last log line says "
	       "why)\n");
}

static int parse_flags(int argc, char **argv, struct config *config, bool *ret_is_help,
	const char **ret_file, struct err *err)
{
	struct option options[ARRAY_SIZE(rows) + 4] = {
		[ARRAY_SIZE(rows)] = { "config", required_argument, NULL, 'c' },
		[ARRAY_SIZE(rows) + 1] = { "help", no_argument, NULL, 'h' },
		[ARRAY_SIZE(rows) + 2] = { "version", no_argument, NULL, 'V' },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		options[i] = (struct option){ rows[i].name,
			rows[i].kind == SWITCH ? optional_argument : required_argument, NULL,
			OPTION_BASE + (int)i };
	optind = 0;
	opterr = 0;
	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		*ret_is_help |= option == 'h' || option == 'V';
		if (option == 'h' && !ret_file)
			print_help();
		else if (option == 'V' && !ret_file)
			printf("cced %s\n", CCED_VERSION);
		else if (option == 'c' && ret_file)
			*ret_file = optarg;
		else if (option == '?')
			return err_set(err, E_INVALID, "unknown option %s; see cced --help",
				argv[optind - 1]);
		else if (option >= OPTION_BASE && !ret_file)
			TRY(set_value(config, &rows[option - OPTION_BASE], optarg ? optarg : "true",
				err));
	}
	if (optind < argc)
		return err_set(
			err, E_INVALID, "unexpected argument %s; see cced --help", argv[optind]);
	return 0;
}

int config_load(
	int argc, char **argv, struct config *ret_config, bool *ret_is_help, struct err *err)
{
	const char *file = getenv("CUPEL_CONFIG");
	*ret_config = (struct config){};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		TRY(set_value(ret_config, &rows[i], rows[i].initial, err));
	TRY(parse_flags(argc, argv, ret_config, ret_is_help, &file, err)); /* only --config */
	if (file && !*ret_is_help)
		TRY(load_file(ret_config, file, err));
	TRY(load_environment(ret_config, err));
	return parse_flags(argc, argv, ret_config, ret_is_help, NULL, err);
}
