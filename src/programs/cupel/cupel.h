/*
 * cupel: the command line. main.c holds the one table of commands and turns results into exit
 * codes; options.c parses flags and writes help from the same rows; place.c knows where this
 * machine keeps things; show.c prints. Each other file is one command.
 *
 * A command parses its arguments, does its work, prints, and sets cupel->exit_code; an error it
 * returns is printed by main.c and ends with 1, or 2 when the command line was wrong.
 */
#ifndef PROGRAMS_CUPEL_CUPEL_H
#define PROGRAMS_CUPEL_CUPEL_H

#include <stdbool.h>
#include <stdint.h>

#include "engines/cvm/local.h"
#include "engines/net/http_client.h"
#include "kit/codec/json.h"
#include "rules/cert/verify.h"

#define CUPEL_VERSION "0.1.0"
#define CUPEL_LIST_MAX 128
#define CUPEL_PATH_MAX 512
#define CUPEL_TOKEN_MAX 512
#define CUPEL_ANSWER_MAX (80 << 20) /* a reply with its output and trace */

enum cupel_exit {
	CUPEL_EXIT_OK = 0,
	CUPEL_EXIT_FAILED = 1,
	CUPEL_EXIT_USAGE = 2,
	CUPEL_EXIT_SIMULATED = 3, /* of verify */
};

struct cupel {
	const struct command *command;
	bool is_json;
	bool is_help;          /* help was printed: nothing else is to be done */
	bool is_usage;         /* the error is one of the command line */
	const char *state_dir; /* --state-dir, CUPEL_STATE_DIR or the default */
	int exit_code;
	uint64_t started_ms;
	bool has_progress; /* a progress line stands on the terminal */
};

struct command {
	const char *name;      /* "certificate" */
	const char *verb;      /* "get"; NULL when the command is one word */
	const char *arguments; /* behind the command in the usage line */
	const char *summary;   /* one line */
	const char *about;     /* paragraphs for --help; may be NULL */
	const char *example;   /* one command line */
	const char *exits;     /* exit codes; NULL: the ordinary ones */
	int (*run)(struct cupel *cupel, int argc, char **argv, struct err *err);
	bool is_start; /* becomes another program, whose options follow */
};

struct list {
	const char *items[CUPEL_LIST_MAX];
	size_t count;
};

enum flag_kind { FLAG_SWITCH, FLAG_TEXT, FLAG_NUMBER, FLAG_LIST };

struct flag {
	const char *name;  /* without "--" */
	const char *value; /* what the value is, for help; NULL for a switch */
	enum flag_kind kind;
	void *place; /* bool, const char *, uint64_t, struct list */
	const char *help;
	uint64_t min, max; /* of a number */
};

struct arguments {
	struct list words; /* before "--" */
	struct list rest;  /* behind it */
	bool has_rest;
};

/* The ends of options.c. Also take --json, --state-dir and --help. Errors are of usage. */
int options_parse(struct cupel *cupel, int argc, char **argv, const struct flag *flags,
	size_t count, struct arguments *ret_arguments, struct err *err) MUST_CHECK;

/* Exactly one word, named what for the message. */
int options_one(struct cupel *cupel, const struct arguments *arguments, const char *what,
	const char **ret_word, struct err *err) MUST_CHECK;
int options_none(
	struct cupel *cupel, const struct arguments *arguments, struct err *err) MUST_CHECK;
void options_help(const struct command *command, const struct flag *flags, size_t count);

/* An error of the command line: exit 2 and a pointer to --help. */
#define usage_set(cupel, err, ...) \
	((cupel)->is_usage = true, err_format((err), E_INVALID, __VA_ARGS__), E_INVALID)

/* place.c: the service, and what this machine trusts. */
struct service {
	char url[256]; /* without a slash at the end */
	char token[CUPEL_TOKEN_MAX];
	bool has_token;
	const char *ca_file;
	char pinned[CUPEL_PATH_MAX]; /* what ca_file points to, unless given */
};
struct service_flags {
	const char *server, *token_file, *ca_file;
};
int service_find(const struct cupel *cupel, const struct service_flags *flags,
	struct service *ret_service, struct err *err) MUST_CHECK;
/* One call; any status but 2xx becomes an error with the server's message. */
int service_call(const struct service *service, struct http_call *call, const char *path,
	struct http_answer *ret_answer, struct err *err) MUST_CHECK;
int service_get_json(const struct service *service, const char *path, struct json **ret_value,
	struct err *err) MUST_CHECK;

struct trust {
	struct local_platform platform, snp_platform; /* this machine's simulated ones */
	struct cert_collateral collateral;
	bool has_collateral;
	struct appraise_anchor anchors[8];
	size_t anchor_count;
	struct buf issuer_spki;
	struct buf measurements; /* one behind the other */
	struct json *notes;      /* array of texts: where each of these came from */
};
struct trust_flags {
	const char *issuer, *anchor, *measurement, *collateral;
};
int trust_find(const struct cupel *cupel, const struct trust_flags *flags, struct trust *ret_trust,
	struct err *err) MUST_CHECK;
void trust_input(const struct trust *trust, struct cert_verify_input *input);
void trust_done(struct trust *trust);

/* A program's path beside ours or a file of the image recipe; E_NOT_FOUND. */
int place_recipe(char *ret_path, size_t size, struct err *err) MUST_CHECK;

/* show.c */
int show_json(const struct json *value, struct err *err) MUST_CHECK;
/* A reader that left is no error: it has what it wanted. */
int show_bytes(int fd, struct view bytes, struct err *err) MUST_CHECK;
/* The checks as lines "  pass  name  detail" and the verdict, from what cert_verification_json
 * makes, here or on the server. */
void show_checks(const struct json *verification, bool is_on_stderr);
/* One line that is overwritten, on a terminal, once a second has gone by. */
void show_progress(struct cupel *cupel, const char *format, ...) PRINTF(2, 3);
void show_progress_end(struct cupel *cupel);
/* Text of result.output or result.stderr as bytes (base64 undone). */
int show_result_bytes(const struct json *result, const char *name, const char *encoding,
	struct buf *ret_bytes, struct err *err) MUST_CHECK;
/* Both streams, standard output into the file at path unless that is NULL. */
int show_streams(const struct json *result, const char *path, struct err *err) MUST_CHECK;
/* Exit code of a run: what `cupel run --help` lists. */
int show_exit_code(const struct json *reply);

/* Commands. */
int run_attest(struct cupel *cupel, int argc, char **argv, struct err *err);
int run_certificate_get(struct cupel *cupel, int argc, char **argv, struct err *err);
int run_certificate_search(struct cupel *cupel, int argc, char **argv, struct err *err);
int run_doctor(struct cupel *cupel, int argc, char **argv, struct err *err);
int run_execute(struct cupel *cupel, int argc, char **argv, struct err *err);
int run_image_build(struct cupel *cupel, int argc, char **argv, struct err *err);
int run_image_list(struct cupel *cupel, int argc, char **argv, struct err *err);
int run_image_verify(struct cupel *cupel, int argc, char **argv, struct err *err);
int run_keys_show(struct cupel *cupel, int argc, char **argv, struct err *err);
int run_run(struct cupel *cupel, int argc, char **argv, struct err *err);
int run_sandbox(struct cupel *cupel, int argc, char **argv, struct err *err);
int run_serve(struct cupel *cupel, int argc, char **argv, struct err *err);
int run_verify(struct cupel *cupel, int argc, char **argv, struct err *err);

#endif
