/*
 * Execution certificates: an in-toto Statement v1 in a DSSE envelope. Format and reasons:
 * spec/certificate.md (research note certificates.md, section 1.3).
 *
 * Three digests: inputsDigest = SHA-256(JCS(inputs)), claimDigest = SHA-256(JCS({v, inputsDigest,
 * outcome})), and the certificate id from SHA-256 of the statement bytes. The evidence binds
 * claimDigest, the run and the signing key through its report data.
 */
#ifndef RULES_CERT_STATEMENT_H
#define RULES_CERT_STATEMENT_H

#include "kit/codec/hex.h"
#include "kit/codec/json.h"
#include "kit/crypto/hash.h"
#include "rules/job/execute.h"
#include "rules/job/plan.h"

#define CERT_STATEMENT_TYPE "https://in-toto.io/Statement/v1"
#define CERT_PAYLOAD_TYPE "application/vnd.in-toto+json"
#define CERT_PREDICATE_HARDWARE "https://cupel.dev/execution/v1"
#define CERT_PREDICATE_SIMULATED "https://cupel.dev/execution-simulated/v1"
#define CERT_BINDING_DOMAIN "cupel-execution-v1"
#define CERT_REPORT_DATA_SIZE SHA512_SIZE
#define CERT_STATEMENT_MAX 65536
#define CERT_ID_SIZE 32 /* "cert_" and 26 base32 digits (130 bits), NUL */
#define CERT_DIGEST_TEXT HEX_SIZE(SHA256_SIZE)

/* What the agent measured of one dataset. */
struct cert_dataset {
	const char *name;
	const char *format;
	uint8_t sha256[SHA256_SIZE];
	uint8_t sha3_256[SHA256_SIZE];
	uint64_t size_bytes;
};

struct cert_tool {
	const char *name;
	const char *version;
	const char *sha256; /* hex */
};

/* Everything the inputs member is made of. */
struct cert_inputs {
	const struct execute_request *request;
	const struct plan *plan;
	const struct cert_dataset *datasets;
	size_t dataset_count;
	const struct cert_tool *tools;
	size_t tool_count;
	const char *rootfs_sha256; /* hex digest of the image */
	const char *tier;          /* of the sandbox: "cold", "hot", ... */
	const char *warmup_sha256; /* hex, or NULL when nothing was warmed up */
	const char *runtime_version;
};

/* Canonical-ready inputs object. Pure; equal for equal arguments on every machine. */
struct json *cert_inputs_json(const struct cert_inputs *inputs);

/* SHA-256(JCS(value)): of inputs, of inputs.sandbox, of run. E_INVALID when not canonical. */
int cert_digest_json(const struct json *value, uint8_t ret_digest[static SHA256_SIZE],
	struct err *err) MUST_CHECK;

/*
 * A digest over all datasets for people and searches: the SHA-256 of the only dataset, else
 * SHA-256 over JCS([{name, sha256}, ...]) in the order of the inputs. E_INVALID when a dataset has
 * no name or digest.
 */
int cert_dataset_digest(const struct json *inputs, uint8_t ret_digest[static SHA256_SIZE],
	struct err *err) MUST_CHECK;

struct cert_outcome {
	const char *status; /* "completed", "nonzero", "killed:<limit>", "refused:<stage>", ... */
	bool has_exit_code;
	int exit_code;
	uint8_t result_sha256[SHA256_SIZE];
	uint64_t result_bytes;
	const struct json *files; /* cert_files_summary of what was collected; NULL: not asked */
};
struct json *cert_outcome_json(const struct cert_outcome *outcome);

/*
 * What the certificate says about collected files: {count, bytes, sha256}, the digest over
 * JCS([{path, bytes, sha256}, ...]) in their order. Paths are chosen by untrusted code and a
 * certificate is public and bounded: the list itself stays with whoever got the files.
 *
 * files  array of objects; members other than these three are not looked at
 *
 * Returns 0; E_INVALID when one has no path, no size, or no digest in lower-case hexadecimal.
 */
int cert_files_summary(
	const struct json *files, struct json **ret_summary, struct err *err) MUST_CHECK;

/* claimDigest of inputs digest and outcome. */
int cert_claim_digest(const uint8_t inputs_digest[static SHA256_SIZE], const struct json *outcome,
	uint8_t ret_digest[static SHA256_SIZE], struct err *err) MUST_CHECK;

/*
 * SHA-512(domain || 0x00 || claimDigest || SHA-256(JCS(run)) || SHA-256(SPKI)): what the evidence
 * must carry.
 */
int cert_report_data(const uint8_t claim_digest[static SHA256_SIZE], const struct json *run,
	struct view spki, uint8_t ret_report_data[static CERT_REPORT_DATA_SIZE],
	struct err *err) MUST_CHECK;

/* The four members of a predicate, borrowed. */
struct cert_parts {
	const struct json *inputs;
	const struct json *outcome;
	const struct json *run;
	const struct json *evidence;
	bool is_hardware;
};

/* The statement's canonical bytes, appended. E_LIMIT beyond CERT_STATEMENT_MAX. */
int cert_statement(
	const struct cert_parts *parts, struct buf *ret_statement, struct err *err) MUST_CHECK;

/* "cert_" and the first 130 bits of SHA-256(statement) in lower-case base32 (RFC 4648). */
void cert_id(struct view statement, char ret_id[static CERT_ID_SIZE]);

/* Whether text has the form of a certificate id. */
bool cert_is_id(const char *text);

#endif
