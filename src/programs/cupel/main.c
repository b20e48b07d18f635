/*
 * cupel: the table of commands, and how an end becomes an exit code. Errors go to standard error
 * as "cupel COMMAND: what was expected, what came, what to do"; with --json as {"error": ...}.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engines/image/image.h"
#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "kit/base/time.h"
#include "kit/crypto/setup.h"
#include "programs/cupel/cupel.h"

#define RUN_EXITS                                                                        \
	"the script's own, or:\n"                                                        \
	"  1 failed or refused (message on standard error), 2 wrong usage,\n"            \
	"  110 wall-timeout, 111 cpu-timeout, 112 memory, 113 disk, 114 processes,\n"    \
	"  115 output, 116 denied, 117 cancelled, 119 another reason, 128+N signal N.\n" \
	"  The certificate says which it was; a script may use the same numbers."

static const struct command commands[] = {
	{ "serve", NULL, "[settings of cced]", "Run the service in the foreground",
		"Settings are those of cced (listed below), from the command line, the "
		"environment\n"
		"or a file. SIGTERM lets running jobs end.",
		"cupel serve --port 7300", "0 stopped, 1 failed", run_serve, true },
	{ "execute", NULL, "REQUEST.json | -", "Send a job to the service and show its result",
		"The result's output goes to standard output; status, certificate and the checks\n"
		"go to standard error. Large data is streamed: --data NAME=FILE adds a part that "
		"the\n"
		"request names as {\"part\": NAME}, or that is a dataset of that name when the\n"
		"request has none. A token is read from --token-file, $CUPEL_TOKEN_FILE or\n"
		"STATE-DIR/token; the service is --server, $CUPEL_URL or STATE-DIR/url.",
		"cupel execute request.json --certificate run.certificate.json",
		"0 the script ended with 0, 1 it did not or was refused, 2 wrong usage",
		run_execute },
	{ "run", NULL, "[LANG] SCRIPT... [-- ARGS]",
		"Run scripts here, without a service, and certify the run",
		"Needs root and an image. The first script is started; LANG (python, bash) is "
		"taken\n"
		"from its suffix when left out; 'cupel run python -' reads it from standard "
		"input.\n"
		"Scripts lie in /app, data in /data, the working directory is empty. Only listed\n"
		"tools exist in the sandbox: those of the scripts' languages and each --tool.\n"
		"The certificate is written beside the first script; of a pipe or standard\n"
		"input to main.certificate.json here.",
		"cupel run count.py --tool grep --data patients.csv -- --verbose", RUN_EXITS,
		run_run },
	{ "verify", NULL, "FILE | -", "Verify a certificate offline",
		"FILE is a DSSE envelope, or what GET /certificate/ID answers. Each check passes,\n"
		"fails, or was not made because something to compare with was not given. Without\n"
		"--anchor what the state directory knows is used, and said. With it only what is "
		"given.\n"
		"A simulated certificate proves nothing about hardware, however many checks pass.",
		"cupel verify count.py.certificate.json --result output.json",
		"0 verified on hardware, 3 verified on a simulated platform, 1 failed, 2 wrong "
		"usage",
		run_verify },
	{ "attest", NULL, "VERB [arguments]", "Work with quotes, measurements and event logs",
		"Verbs are those of cupel-attest, listed below.",
		"cupel attest verify quote.bin --collateral pcs/",
		"0 done or affirming, 1 refused or failed, 2 wrong usage, 3 accepted, but not "
		"hardware",
		run_attest, true },
	{ "certificate", "get", "ID", "Fetch one certificate from the service", NULL,
		"cupel certificate get cert_... --output run.certificate.json", NULL,
		run_certificate_get },
	{ "certificate", "search", "", "List certificates of the service, newest first", NULL,
		"cupel certificate search --dataset 0f3a... --verdict simulated", NULL,
		run_certificate_search },
	{ "image", "build", "", "Build the sandbox image",
		"Does nothing when the image of this recipe and these package versions is there.",
		"cupel image build", NULL, run_image_build },
	{ "image", "list", "", "List the sandbox images of this machine", NULL, "cupel image list",
		NULL, run_image_list },
	{ "image", "verify", "NAME | DIGEST", "Recompute an image's digest from its bytes", NULL,
		"cupel image verify base", NULL, run_image_verify },
	{ "keys", "show", "", "Show the issuer's public key and the simulated anchor", NULL,
		"cupel keys show > issuer.pem", NULL, run_keys_show },
	{ "doctor", NULL, "", "Show what this machine enforces, and what to do about the rest",
		"Each row: enforced, or not, and then what to do. Changes nothing.", "cupel doctor",
		"0 everything required is there, 1 something is missing, 2 wrong usage",
		run_doctor },
	{ "sandbox", NULL, "[arguments of cupel-sandbox]",
		"Run the sandbox program itself, without datasets and certificates", NULL,
		"cupel sandbox --help", "those of cupel-sandbox", run_sandbox, true },
};

static void print_usage(FILE *stream)
{
	(void)fputs("Usage: cupel COMMAND [arguments]\n\n"
		    "Runs untrusted code on data nobody may see, and certifies what ran.\n\n"
		    "Commands:\n",
		stream);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		char name[32];
		struct err ignored;
		(void)!str_format(name, sizeof(name), &ignored, "%s%s%s", commands[i].name,
			commands[i].verb ? " " : "", commands[i].verb ? commands[i].verb : "");
		(void)fprintf(stream, "  %-20s %s\n", name, commands[i].summary);
	}
	(void)fputs(
		"\n'cupel COMMAND --help' explains one, with an example and its exit codes.\n"
		"Every command but serve, attest and sandbox takes --json and --state-dir DIR.\n"
		"\nExample: cupel run hello.py\n"
		"Exit codes: 0 done, 1 failed or refused, 2 wrong usage; some commands have "
		"more.\n",
		stream);
}

/* The command that the words name; the verb counts where there is one. */
static const struct command *find_command(int argc, char **argv, int *ret_words)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!str_equal(commands[i].name, argv[1]))
			continue;
		*ret_words = commands[i].verb ? 3 : 2;
		if (!commands[i].verb || (argc > 2 && str_equal(commands[i].verb, argv[2])))
			return &commands[i];
	}
	return NULL;
}

/* "cupel image" and "cupel image --help": the verbs there are. */
static bool print_verbs(const char *name, FILE *stream)
{
	bool is_group = false;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct command *command = &commands[i];
		if (!str_equal(command->name, name))
			continue;
		if (!is_group)
			(void)fprintf(stream, "Usage: cupel %s VERB\n\n", name);
		is_group = true;
		(void)fprintf(stream, "  cupel %s %-10s %s\n             Example: %s\n",
			command->name, command->verb, command->summary, command->example);
	}
	if (is_group)
		(void)fputs("Exit codes: 0 done, 1 failed or refused, 2 wrong usage\n", stream);
	return is_group;
}

static int no_command(int argc, char **argv)
{
	char quoted[STR_QUOTE_MAX];
	bool is_help = argc > 1 &&
		       (str_equal(argv[argc - 1], "--help") || str_equal(argv[argc - 1], "-h"));
	if (argc > 1 && str_equal(argv[1], "--version")) {
		printf("cupel %s\n", CUPEL_VERSION);
		return CUPEL_EXIT_OK;
	}
	if (argc == 2 && (is_help || str_equal(argv[1], "help"))) {
		print_usage(stdout);
		return CUPEL_EXIT_OK;
	}
	if (argc < 2)
		print_usage(stderr);
	else if (argc == 3 && is_help && print_verbs(argv[1], stdout))
		return CUPEL_EXIT_OK;
	else if (!print_verbs(argv[1], stderr))
		(void)fprintf(stderr, "cupel: unknown command '%s'; cupel --help lists them\n",
			str_quote(view_string(argv[1]), quoted));
	return CUPEL_EXIT_USAGE;
}

static void print_error(const struct cupel *cupel, const struct err *error)
{
	const struct command *command = cupel->command;
	if (cupel->is_json) {
		auto_json *body = json_new_object();
		struct json *object = json_new_object();
		auto_done(buf) text = {};
		struct err ignored;
		json_set_string(object, "code", err_category_name(error->category));
		json_set_string(object, "message", error->message);
		json_set(body, "error", object);
		if (json_encode_plain(body, &text, &ignored) == 0)
			(void)fprintf(stderr, "%s\n", buf_string(&text));
		return;
	}
	(void)fprintf(stderr, "cupel %s%s%s: %s\n", command->name, command->verb ? " " : "",
		command->verb ? command->verb : "", error->message);
	if (cupel->is_usage)
		(void)fprintf(stderr, "See: cupel %s%s%s --help\n", command->name,
			command->verb ? " " : "", command->verb ? command->verb : "");
}

int main(int argc, char **argv)
{
	struct err err;
	int words = 0;
	const struct command *command = argc > 1 ? find_command(argc, argv, &words) : NULL;
	if (!command)
		return no_command(argc, argv);
	struct cupel cupel = {
		.command = command,
		.state_dir = image_state_dir(),
		.started_ms = time_monotonic_ms(),
	};
	json_setup();
	crypto_setup();
	(void)signal(SIGPIPE, SIG_IGN);
	int status = fd_hold_stdio(&err);
	if (status == 0)
		status = command->run(&cupel, argc - words, argv + words, &err);
	show_progress_end(&cupel);
	if (status == 0 && (fflush(stdout) != 0 || ferror(stdout)))
		status = err_set(&err, E_UNAVAILABLE, "writing to standard output failed");
	if (status == 0)
		return cupel.exit_code;
	print_error(&cupel, &err);
	return cupel.is_usage ? CUPEL_EXIT_USAGE : CUPEL_EXIT_FAILED;
}
