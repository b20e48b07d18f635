/*
 * Where things are on this machine: the service and its token, and what a verifier may take as
 * given. Nothing is trusted silently: every anchor and key comes with a note that says from where.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "kit/codec/hex.h"
#include "kit/crypto/sign.h"
#include "kit/crypto/x509.h"
#include "programs/cupel/cupel.h"
#include "rules/appraise/policy.h"

#define DEFAULT_URL "http://127.0.0.1:7300"

enum { SMALL_FILE_MAX = 65536 };

/* A small text file without the line end; E_NOT_FOUND is left to the caller. */
static int read_line(const char *path, char *ret_text, size_t size, struct err *err)
{
	auto_done(buf) text = {};
	TRY(fd_read_file(path, size, &text, err));
	while (text.size && (text.data[text.size - 1] == '\n' || text.data[text.size - 1] == '\r'))
		text.size--;
	return str_format(ret_text, size, err, "%.*s", (int)text.size, (const char *)text.data);
}

static int find_url(
	const struct cupel *cupel, const char *flag, char *ret_url, size_t size, struct err *err)
{
	char path[CUPEL_PATH_MAX];
	struct err ignored;
	const char *given = flag ? flag : getenv("CUPEL_URL");
	if (given)
		return str_format(ret_url, size, err, "%s", given);
	TRY(str_format(path, sizeof(path), err, "%s/url", cupel->state_dir));
	if (read_line(path, ret_url, size, &ignored) < 0)
		return str_format(ret_url, size, err, "%s", DEFAULT_URL);
	return 0;
}

static int find_token(
	const struct cupel *cupel, const char *flag, struct service *service, struct err *err)
{
	char path[CUPEL_PATH_MAX];
	const char *given = flag ? flag : getenv("CUPEL_TOKEN_FILE");
	TRY(str_format(path, sizeof(path), err, "%s%s", given ? given : cupel->state_dir,
		given ? "" : "/token"));
	service->has_token = given || access(path, R_OK) == 0;
	return service->has_token ? read_line(path, service->token, CUPEL_TOKEN_MAX, err) : 0;
}

/* A certificate that the service of this state directory signed itself is pinned by its file. */
static int find_ca(const struct cupel *cupel, struct service *service, struct err *err)
{
	if (service->ca_file || !str_starts(service->url, "https:"))
		return 0;
	TRY(str_format(
		service->pinned, sizeof(service->pinned), err, "%s/tls.pem", cupel->state_dir));
	bool is_there = access(service->pinned, R_OK) == 0;
	service->ca_file = is_there ? service->pinned : NULL;
	return 0;
}

int service_find(const struct cupel *cupel, const struct service_flags *flags,
	struct service *ret_service, struct err *err)
{
	*ret_service = (struct service){ .ca_file = flags->ca_file };
	if (!ret_service->ca_file)
		ret_service->ca_file = getenv("CUPEL_CA_FILE");
	TRY(find_url(cupel, flags->server, ret_service->url, sizeof(ret_service->url), err));
	size_t size = strlen(ret_service->url);
	while (size && ret_service->url[size - 1] == '/')
		ret_service->url[--size] = 0;
	TRY(find_ca(cupel, ret_service, err));
	return find_token(cupel, flags->token_file, ret_service, err);
}

static const struct {
	int status;
	int category;
} status_rows[] = {
	{ 400, E_INVALID },
	{ 401, E_DENIED },
	{ 403, E_DENIED },
	{ 404, E_NOT_FOUND },
	{ 409, E_CONFLICT },
	{ 413, E_LIMIT },
	{ 422, E_INTEGRITY },
	{ 429, E_LIMIT },
	{ 501, E_UNSUPPORTED },
	{ 503, E_UNAVAILABLE },
};

static int refused(const struct service *service, const struct http_answer *answer, struct err *err)
{
	auto_json *body = NULL;
	struct err ignored;
	int category = E_INTERNAL;
	const char *message = NULL, *id = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(status_rows); i++)
		if (status_rows[i].status == answer->status)
			category = status_rows[i].category;
	if (json_parse(buf_view(&answer->body), CUPEL_ANSWER_MAX, &body, &ignored) == 0) {
		message = json_as_string(json_get(json_get(body, "error"), "message"));
		id = json_as_string(json_get(body, "certificate_id"));
	}
	err_format(err, category, "%s answers %d: %.300s%s%s%s", service->url, answer->status,
		message ? message : "no message; is this cced?", id ? " (certificate " : "",
		id ? id : "", id ? ")" : "");
	if (answer->status == 401 && !service->has_token)
		err_format(err, category,
			"%s wants a token: expected one in --token-file, $CUPEL_TOKEN_FILE or "
			"STATE-DIR/token, found none that is readable",
			service->url);
	return category;
}

int service_call(const struct service *service, struct http_call *call, const char *path,
	struct http_answer *ret_answer, struct err *err)
{
	char url[1024];
	TRY(str_format(url, sizeof(url), err, "%s%s", service->url, path));
	call->url = url;
	call->token = service->has_token ? service->token : NULL;
	call->ca_file = service->ca_file;
	call->answer_max = CUPEL_ANSWER_MAX;
	TRY(http_client_call(call, ret_answer, err));
	if (ret_answer->status >= 200 && ret_answer->status < 300)
		return 0;
	int status = refused(service, ret_answer, err);
	http_answer_done(ret_answer);
	return status;
}

int service_get_json(
	const struct service *service, const char *path, struct json **ret_value, struct err *err)
{
	struct http_call call = { .method = "GET" };
	AUTO(http_answer_done) struct http_answer answer = {};
	TRY(service_call(service, &call, path, &answer, err));
	return json_parse(buf_view(&answer.body), CUPEL_ANSWER_MAX, ret_value, err);
}

static void note(struct trust *trust, const char *format, const char *what)
{
	auto_done(buf) text = {};
	struct err ignored;
	if (buf_append_format(&text, &ignored, "%s%s", format, what) == 0)
		json_append(trust->notes, json_new_string(buf_view(&text)));
}

static void add_anchor(struct trust *trust, const char *label,
	const uint8_t sha256[static SHA256_SIZE], bool is_simulated)
{
	struct appraise_anchor *anchor = &trust->anchors[trust->anchor_count++];
	*anchor = (struct appraise_anchor){ .label = label, .is_simulated = is_simulated };
	memcpy(anchor->sha256, sha256, SHA256_SIZE);
}

/*
 * A root the user names. It counts as a hardware maker's only if it is one we know; any other, by
 * whoever made, is an anchor of a simulated platform.
 */
static int read_anchor(const char *path, struct trust *trust, struct err *err)
{
	auto_done(buf) file = {};
	auto_done(buf) der = {};
	struct view root;
	struct x509 certificate;
	size_t count = 1;
	uint8_t digest[SHA256_SIZE];
	TRY(fd_read_file(path, SMALL_FILE_MAX, &file, err));
	root = buf_view(&file);
	int status = 0;
	if (root.size > 5 && memmem(root.data, root.size, "-----BEGIN", 10))
		status = x509_pem(buf_view(&file), &der, &root, 1, &count, err);
	if (status == 0)
		status = count == 1 ? x509_parse(root, &certificate, err)
				    : err_set(err, E_INVALID, "expected one certificate");
	if (status < 0) {
		err_wrap(err, "--anchor %s: expected one X.509 certificate, DER or PEM", path);
		return status;
	}
	hash_bytes(HASH_SHA256, root, digest);
	bool is_known = false;
	for (size_t i = 0; i < appraise_known_anchor_count; i++)
		is_known |= view_equal(view_of(digest, SHA256_SIZE),
			view_of(appraise_known_anchors[i].sha256, SHA256_SIZE));
	if (!is_known)
		add_anchor(trust, "simulated:given", digest, true);
	note(trust, "anchor: ", path);
	return 0;
}

static int find_anchor(
	const struct cupel *cupel, const char *given, struct trust *trust, struct err *err)
{
	const struct {
		const char *directory, *label;
		struct local_platform *platform;
	} rows[] = { { LOCAL_SIM_DIR, "simulated:local", &trust->platform },
		{ LOCAL_SIM_SNP_DIR, "simulated:local-snp", &trust->snp_platform } };
	for (size_t i = 0; i < appraise_known_anchor_count; i++)
		add_anchor(trust, appraise_known_anchors[i].label, appraise_known_anchors[i].sha256,
			false);
	if (given)
		return read_anchor(given, trust, err);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char path[CUPEL_PATH_MAX];
		struct err ignored;
		TRY(str_format(
			path, sizeof(path), err, "%s%s", cupel->state_dir, rows[i].directory));
		if (local_platform_load(path, rows[i].platform, &ignored) < 0)
			continue;
		add_anchor(trust, rows[i].label, rows[i].platform->root_sha256, true);
		trust->has_collateral = true;
		note(trust, "anchor and collateral: this machine's simulated platform, ", path);
	}
	if (!trust->has_collateral)
		note(trust, "anchors: Intel's, AMD's and Google's; no simulated one in ",
			cupel->state_dir);
	return 0;
}

static int find_issuer(
	const struct cupel *cupel, const char *given, struct trust *trust, struct err *err)
{
	char path[CUPEL_PATH_MAX];
	auto_done(buf) pem = {};
	TRY(str_format(path, sizeof(path), err, "%s%s", given ? given : cupel->state_dir,
		given ? "" : "/issuer.pem"));
	if (!given && access(path, R_OK) < 0)
		return 0;
	TRY(fd_read_file(path, SMALL_FILE_MAX, &pem, err));
	int status = sign_spki_from_pem(buf_view(&pem), &trust->issuer_spki, err);
	if (status < 0)
		err_wrap(err, "%s: expected one PEM public key", path);
	else
		note(trust, "issuer: ", path);
	return status;
}

/* The given directory's, which is read into the first; else that of each simulated platform. */
static void fill_collateral(struct trust *trust, bool is_given)
{
	trust->collateral = cert_collateral_of(trust->platform.files);
	if (!is_given)
		trust->collateral.snp = cert_collateral_of(trust->snp_platform.files).snp;
}

static int find_measurements(
	const struct cupel *cupel, const char *given, struct trust *trust, struct err *err)
{
	uint8_t one[LOCAL_MEASUREMENT_SIZE];
	struct err ignored;
	if (!given) {
		if (local_measurements_load(cupel->state_dir, &trust->measurements, &ignored) == 0)
			note(trust, "measurements: what this machine has run, ", cupel->state_dir);
		return 0;
	}
	int status = hex_decode(view_string(given), one, sizeof(one), err);
	if (status < 0) {
		err_wrap(err, "--measurement: expected 96 hexadecimal digits");
		return status;
	}
	return buf_append(&trust->measurements, view_of(one, sizeof(one)), err);
}

int trust_find(const struct cupel *cupel, const struct trust_flags *flags, struct trust *ret_trust,
	struct err *err)
{
	bool is_local = !flags->anchor; /* with a foreign anchor nothing of this machine fits */
	*ret_trust = (struct trust){ .notes = json_new_array() };
	TRY(find_anchor(cupel, flags->anchor, ret_trust, err));
	if (flags->issuer || is_local)
		TRY(find_issuer(cupel, flags->issuer, ret_trust, err));
	if (flags->collateral) {
		TRY(local_collateral_load(flags->collateral, &ret_trust->platform, err));
		ret_trust->has_collateral = true;
		note(ret_trust, "collateral: ", flags->collateral);
	}
	fill_collateral(ret_trust, flags->collateral != NULL);
	if (flags->measurement || is_local)
		return find_measurements(cupel, flags->measurement, ret_trust, err);
	return 0;
}

void trust_input(const struct trust *trust, struct cert_verify_input *input)
{
	input->issuer_spki = buf_view(&trust->issuer_spki);
	input->anchors = trust->anchors;
	input->anchor_count = trust->anchor_count;
	input->collateral = trust->has_collateral ? &trust->collateral : NULL;
	input->measurement = buf_view(&trust->measurements);
}

void trust_done(struct trust *trust)
{
	local_platform_done(&trust->platform);
	local_platform_done(&trust->snp_platform);
	buf_done(&trust->issuer_spki);
	buf_done(&trust->measurements);
	json_free(trust->notes);
}

/* images/build.py: installed beside the programs, or in the source tree above the build tree. */
int place_recipe(char *ret_path, size_t size, struct err *err)
{
	char own[CUPEL_PATH_MAX];
	ssize_t got = readlink("/proc/self/exe", own, sizeof(own) - 1);
	if (got < 0)
		return err_sys(err, E_UNAVAILABLE, "reading /proc/self/exe");
	own[got] = 0;
	for (char *slash = strrchr(own, '/'); slash; slash = strrchr(own, '/')) {
		static const char *const places[] = { "libexec/cupel/images", "images" };
		*slash = 0;
		for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
			TRY(str_format(ret_path, size, err, "%s/%s/build.py", own, places[i]));
			if (access(ret_path, R_OK) == 0)
				return 0;
		}
	}
	return err_set(err, E_NOT_FOUND,
		"images/build.py is not beside this program; install cupel whole, or run "
		"tools/image.sh in the source tree");
}
