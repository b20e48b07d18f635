/*
 * cupel verify: the same pure function as on the server, with what the verifier holds: the file,
 * and, where given, result, trace, issuer, anchor, measurement, collateral. No network, no clock
 * when --as-of is given.
 */
#include <stdio.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "kit/base/time.h"
#include "kit/codec/hex.h"
#include "kit/crypto/dsse.h"
#include "programs/cupel/cupel.h"
#include "rules/cert/trace.h"

enum { VERIFY_FILE_MAX = 80 << 20, RESULT_MAX = 64 << 20 };

struct verify {
	const char *result, *files, *trace, *as_of;
	struct trust_flags trust_flags;
	struct buf envelope;
	struct buf result_bytes;
	struct json *files_document;
	struct json *trace_document;
	uint8_t seed[TRACE_SEED_SIZE];
};

static void verify_done(struct verify *verify)
{
	buf_done(&verify->envelope);
	buf_done(&verify->result_bytes);
	json_free(verify->files_document);
	json_free(verify->trace_document);
}

/* Which of the documents we hand out it is; an envelope is verified from its own bytes. */
static int find_envelope(
	struct verify *verify, struct buf *file, const struct json *document, struct err *err)
{
	const struct json *inner = json_get(document, "envelope");
	const char *id = json_as_string(json_get(document, "certificate_id"));
	if (json_get(document, "payloadType") || json_get(document, "payload"))
		return buf_append(&verify->envelope, buf_view(file), err);
	if (inner)
		return json_encode(inner, &verify->envelope, err);
	if (json_get(document, "result") && json_get(document, "proof"))
		return err_set(err, E_INVALID,
			"expected a certificate, got a reply of POST /execute, which only names "
			"it; fetch it: cupel certificate get %s --output FILE",
			id && cert_is_id(id) ? id : "ID");
	if (json_get(document, "predicateType"))
		return err_set(err, E_INVALID,
			"expected a DSSE envelope, got a bare statement without signatures");
	return err_set(err, E_INVALID,
		"expected a DSSE envelope or an answer of GET /certificate/ID; got other JSON");
}

static int read_file(const char *path, size_t limit, struct buf *ret_bytes, struct err *err)
{
	if (str_equal(path, "-"))
		return fd_read_all(STDIN_FILENO, limit, ret_bytes, err);
	return fd_read_file(path, limit, ret_bytes, err);
}

/*
 * Bytes that are no JSON document at all go to the verifier too: its check "envelope" fails then,
 * which is an answer about the file, not about the command line.
 */
static int read_certificate(struct verify *verify, const char *path, struct err *err)
{
	auto_done(buf) file = {};
	auto_json *document = NULL;
	struct err ignored;
	TRY(read_file(path, VERIFY_FILE_MAX, &file, err));
	if (json_parse(buf_view(&file), VERIFY_FILE_MAX, &document, &ignored) < 0 ||
		json_kind(document) != JSON_KIND_OBJECT)
		return buf_append(&verify->envelope, buf_view(&file), err);
	int status = find_envelope(verify, &file, document, err);
	if (status < 0)
		err_wrap(err, "%s", path);
	return status;
}

/* {"seed", "events"}, or a reply of POST /execute that holds it as "execution_trace". */
static int read_trace(struct verify *verify, struct cert_verify_input *input, struct err *err)
{
	auto_done(buf) file = {};
	TRY(read_file(verify->trace, VERIFY_FILE_MAX, &file, err));
	TRY(json_parse(buf_view(&file), VERIFY_FILE_MAX, &verify->trace_document, err));
	const struct json *inner = json_get(verify->trace_document, "execution_trace");
	const struct json *trace = inner ? inner : verify->trace_document;
	input->trace_events = json_get(trace, "events");
	if (!input->trace_events || hex_decode(json_as_view(json_get(trace, "seed")), verify->seed,
					    TRACE_SEED_SIZE, err) < 0)
		return err_set(err, E_INVALID,
			"--trace %s: expected {\"seed\": ..., \"events\": [...]} or a reply of "
			"POST /execute",
			verify->trace);
	input->trace_seed = view_of(verify->seed, TRACE_SEED_SIZE);
	input->is_reply = inner != NULL;
	return 0;
}

/* The array of files of a reply of POST /execute, or the reply. */
static int read_files(struct verify *verify, struct cert_verify_input *input, struct err *err)
{
	auto_done(buf) file = {};
	TRY(read_file(verify->files, VERIFY_FILE_MAX, &file, err));
	TRY(json_parse(buf_view(&file), VERIFY_FILE_MAX, &verify->files_document, err));
	const struct json *inner = json_get(verify->files_document, "files");
	input->files = inner ? inner : verify->files_document;
	if (json_kind(input->files) != JSON_KIND_ARRAY)
		return err_set(err, E_INVALID,
			"--files %s: expected an array of {\"path\", \"bytes\", \"sha256\"} or a "
			"reply of POST /execute with \"files\"",
			verify->files);
	return 0;
}

static int read_inputs(struct cupel *cupel, struct verify *verify, const char *path,
	struct cert_verify_input *input, struct err *err)
{
	TRY(read_certificate(verify, path, err));
	input->envelope = buf_view(&verify->envelope);
	input->as_of_ms = time_wall_ms();
	if (verify->as_of && time_parse(verify->as_of, &input->as_of_ms, err) < 0) {
		cupel->is_usage = true;
		err_wrap(err, "--as-of");
		return E_INVALID;
	}
	if (verify->result) {
		TRY(read_file(verify->result, RESULT_MAX, &verify->result_bytes, err));
		input->has_result = true;
		input->result = buf_view(&verify->result_bytes);
	}
	if (verify->files)
		TRY(read_files(verify, input, err));
	return verify->trace ? read_trace(verify, input, err) : 0;
}

static const struct {
	enum cert_verdict verdict;
	int exit_code;
} exit_rows[] = {
	{ CERT_VERDICT_FAILED, CUPEL_EXIT_FAILED },
	{ CERT_VERDICT_SIMULATED, CUPEL_EXIT_SIMULATED },
	{ CERT_VERDICT_HARDWARE, CUPEL_EXIT_OK },
};

static int show(struct cupel *cupel, const struct trust *trust,
	const struct cert_verification *verification, struct err *err)
{
	auto_json *body = cert_verification_json(verification);
	for (size_t i = 0; i < ARRAY_SIZE(exit_rows); i++)
		if (exit_rows[i].verdict == verification->verdict)
			cupel->exit_code = exit_rows[i].exit_code;
	json_set(body, "notes", json_share(trust->notes));
	if (cupel->is_json)
		return show_json(body, err);
	for (size_t i = 0; i < json_size(trust->notes); i++)
		(void)fprintf(stderr, "%s\n", json_as_string(json_at(trust->notes, i)));
	if (strstr(verification->checks[CERT_CHECK_QUOTE].detail, "untrusted_root"))
		(void)fprintf(stderr, "the quote ends in a root that is none of the anchors; if a "
				      "simulated platform made it, give that machine's "
				      "STATE-DIR/tee-sim/root.der as --anchor\n");
	printf("certificate %s\n", verification->id[0] ? verification->id : "(none in this file)");
	show_checks(body, false);
	return 0;
}

int run_verify(struct cupel *cupel, int argc, char **argv, struct err *err)
{
	auto_done(verify) verify = {};
	auto_done(trust) trust = {};
	const char *path;
	const struct flag flags[] = {
		{ "result", "FILE", FLAG_TEXT, &verify.result, "the released bytes" },
		{ "files", "FILE", FLAG_TEXT, &verify.files,
			"the collected files (or a reply that has them)" },
		{ "trace", "FILE", FLAG_TEXT, &verify.trace,
			"the disclosed trace, or a reply that has it (of at most 2000 events)" },
		{ "issuer", "PEM", FLAG_TEXT, &verify.trust_flags.issuer,
			"the service's public key" },
		{ "anchor", "DER|PEM", FLAG_TEXT, &verify.trust_flags.anchor,
			"root certificate the quote must end in" },
		{ "measurement", "HEX", FLAG_TEXT, &verify.trust_flags.measurement,
			"expected MRTD" },
		{ "collateral", "DIR", FLAG_TEXT, &verify.trust_flags.collateral,
			"tcb_info.json, qe_identity.json, CRLs, chains" },
		{ "as-of", "TIME", FLAG_TEXT, &verify.as_of, "judge as of then; default now" },
	};
	struct arguments arguments;
	struct cert_verify_input input = {};
	struct cert_verification verification;
	TRY(options_parse(cupel, argc, argv, flags, ARRAY_SIZE(flags), &arguments, err));
	if (cupel->is_help)
		return 0;
	TRY(options_one(cupel, &arguments, "one certificate file (or -)", &path, err));
	TRY(read_inputs(cupel, &verify, path, &input, err));
	TRY(trust_find(cupel, &verify.trust_flags, &trust, err));
	trust_input(&trust, &input);
	cert_verify(&input, &verification);
	return show(cupel, &trust, &verification, err);
}
