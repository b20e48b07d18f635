/*
 * cert_verify() for the integration tests, next to their independent verifier:
 *
 *	cert_check ENVELOPE NAME=VALUE...    root=FILE.der (once), hardware=1, as_of_ms=N,
 *	issuer=HEX (SPKI), result=FILE, events=FILE, seed=HEX, measurement=HEX,
 *	collateral=DIR (of tee-sim)
 *
 * Prints the verification as JSON; exit 0 whatever the verdict.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kit/base/str.h"
#include "kit/codec/hex.h"
#include "rules/cert/verify.h"

enum { FILE_MAX = 4 << 20, COLLATERAL_FILES = CERT_COLLATERAL_FILES };

static struct buf read_file(const char *path)
{
	struct err err;
	struct buf buf = { .limit = FILE_MAX };
	FILE *file = fopen(path, "re");
	if (!file || buf_reserve(&buf, FILE_MAX, &err) < 0) {
		perror(path);
		exit(2);
	}
	buf.size = fread(buf.data, 1, FILE_MAX, file);
	(void)fclose(file);
	return buf;
}

static struct buf from_hex(const char *text)
{
	struct err err;
	struct buf buf = {};
	if (buf_reserve(&buf, strlen(text) / 2 + 1, &err) < 0 ||
		hex_decode(view_string(text), buf.data, strlen(text) / 2, &err) < 0)
		exit(2);
	buf.size = strlen(text) / 2;
	return buf;
}

struct options {
	struct buf envelope, root, issuer, result, files, events, seed, measurement;
	struct buf collateral[COLLATERAL_FILES];
	bool is_hardware, has_result, has_collateral;
	uint64_t as_of_ms;
};

static void read_collateral(struct options *options, const char *directory)
{
	static const char *const names[COLLATERAL_FILES] = { "tcb_info.json", "tcb_chain.pem",
		"qe_identity.json", "qe_chain.pem", "root_crl.der", "pck_crl.der", "crl.der",
		"vek.der", "ask.der", "ark.der" };
	for (size_t i = 0; i < COLLATERAL_FILES; i++) {
		struct err err;
		char path[512];
		if (str_format(path, sizeof(path), &err, "%s/%s", directory, names[i]) < 0)
			exit(2);
		if (access(path, F_OK) == 0)
			options->collateral[i] = read_file(path);
	}
	options->has_collateral = true;
}

static void read_option(struct options *options, const char *name, const char *value)
{
	struct err err;
	const struct {
		const char *name;
		struct buf *ret_buf;
		struct buf (*read)(const char *value);
	} rows[] = {
		{ "root=", &options->root, read_file },
		{ "issuer=", &options->issuer, from_hex },
		{ "result=", &options->result, read_file },
		{ "files=", &options->files, read_file },
		{ "events=", &options->events, read_file },
		{ "seed=", &options->seed, from_hex },
		{ "measurement=", &options->measurement, from_hex },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (str_starts(name, rows[i].name))
			*rows[i].ret_buf = rows[i].read(value);
	if (str_starts(name, "result="))
		options->has_result = true;
	if (str_starts(name, "hardware="))
		options->is_hardware = true;
	if (str_starts(name, "collateral="))
		read_collateral(options, value);
	if (str_starts(name, "as_of_ms=") &&
		str_parse_u64(value, 0, UINT64_MAX, &options->as_of_ms, &err) < 0)
		exit(2);
}

static void verify(const struct options *options, struct cert_verification *ret_verification)
{
	struct err err;
	auto_json *events = NULL;
	auto_json *files = NULL;
	struct appraise_anchor anchor = { "the given root", {}, !options->is_hardware };
	const struct cert_collateral collateral = cert_collateral_of(options->collateral);
	hash_bytes(HASH_SHA256, buf_view(&options->root), anchor.sha256);
	if (options->files.size &&
		json_parse(buf_view(&options->files), FILE_MAX, &files, &err) < 0)
		exit(2);
	if (options->events.size &&
		json_parse(buf_view(&options->events), FILE_MAX, &events, &err) < 0)
		exit(2);
	cert_verify(&(struct cert_verify_input){ .envelope = buf_view(&options->envelope),
			    .issuer_spki = buf_view(&options->issuer),
			    .anchors = &anchor,
			    .anchor_count = options->root.size ? 1 : 0,
			    .collateral = options->has_collateral ? &collateral : NULL,
			    .as_of_ms = options->as_of_ms,
			    .measurement = buf_view(&options->measurement),
			    .has_result = options->has_result,
			    .result = buf_view(&options->result),
			    .files = files,
			    .trace_events = events,
			    .trace_seed = buf_view(&options->seed) },
		ret_verification);
}

static void options_done(struct options *options)
{
	struct buf *const bufs[] = { &options->envelope, &options->root, &options->issuer,
		&options->result, &options->files, &options->events, &options->seed,
		&options->measurement };
	for (size_t i = 0; i < ARRAY_SIZE(bufs); i++)
		buf_done(bufs[i]);
	for (size_t i = 0; i < COLLATERAL_FILES; i++)
		buf_done(&options->collateral[i]);
}

int main(int argc, char **argv)
{
	struct err err;
	auto_done(options) options = {};
	struct cert_verification verification;
	auto_done(buf) text = {};
	if (argc < 2)
		return 2;
	json_setup();
	options.envelope = read_file(argv[1]);
	for (int i = 2; i < argc; i++)
		read_option(&options, argv[i], strchr(argv[i], '=') + 1);
	verify(&options, &verification);
	auto_json *report = cert_verification_json(&verification);
	if (json_encode(report, &text, &err) < 0)
		return 2;
	return puts(buf_string(&text)) < 0 ? 2 : 0;
}
