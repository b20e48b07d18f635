/* cupel run: the command line of a computation here, and how its end is shown. See run.h. */
#include "programs/cupel/run.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/signals.h"
#include "kit/base/str.h"

/* [LANG] SCRIPT...; a language's name is never taken for a file (write ./python for that). */
static int read_words(
	struct cupel *cupel, struct run *run, const struct arguments *arguments, struct err *err)
{
	const struct list *words = &arguments->words;
	size_t first = 0;
	if (words->count && lang_by_name(words->items[0]))
		run->lang = lang_by_name(words->items[first++]);
	for (size_t i = first; i < words->count; i++)
		run->scripts.items[run->scripts.count++] = words->items[i];
	if (run->scripts.count == 0)
		return usage_set(cupel, err, "expected a script%s",
			run->lang ? " (or - for standard input)" : ", like hello.py");
	if (str_equal(run->scripts.items[0], "-") && !run->lang)
		return usage_set(cupel, err, "expected LANG before -, like: cupel run python -");
	if (run->stdin_path && str_equal(run->stdin_path, "-") &&
		str_equal(run->scripts.items[0], "-"))
		return usage_set(cupel, err, "script and --stdin both from standard input");
	run->args = arguments->rest;
	return 0;
}

/* Beside the first script, if that is a file; where it cannot be written is found out before the
 * run. */
static int choose_certificate_path(struct run *run, struct err *err)
{
	struct stat status;
	const char *script = run->scripts.items[0];
	bool is_file = stat(script, &status) == 0 && S_ISREG(status.st_mode);
	TRY(str_format(run->default_path, sizeof(run->default_path), err, "%s.certificate.json",
		is_file ? script : "main"));
	if (!run->certificate_path)
		run->certificate_path = run->default_path;
	int checked = fd_check_output(run->certificate_path, err);
	if (checked < 0)
		err_wrap(err, "the certificate (see --certificate)");
	return checked;
}

/*
 * The result is not lost with its certificate. A signal that is still about the run does not stop
 * it from being written, but one that waits for a reader can be stopped.
 */
static int write_certificate(struct cupel *cupel, struct run *run, struct err *err)
{
	struct err ignored;
	struct stat there;
	if (stat(run->certificate_path, &there) == 0 && !S_ISREG(there.st_mode))
		signals_release();
	int status = fd_write_output(run->certificate_path, buf_view(&run->envelope), err);
	if (status < 0)
		err_wrap(err, "the certificate (see --certificate)");
	signals_release();
	if (status < 0 && !cupel->is_json)
		(void)!show_streams(json_get(run->reply, "result"), NULL, &ignored);
	return status;
}

static int show_end(struct cupel *cupel, struct run *run, struct err *err)
{
	const char *status = json_as_string(json_get(run->reply, "status"));
	const char *detail = json_as_string(json_get(run->reply, "status_detail"));
	const char *verdict = cert_verdict_name(run->verification.verdict);
	bool is_ours = status && (str_starts(status, "refused:") || str_starts(status, "failed:"));
	bool is_broken = run->verification.verdict == CERT_VERDICT_FAILED;
	cupel->exit_code = is_ours || is_broken ? CUPEL_EXIT_FAILED : show_exit_code(run->reply);
	if (cupel->is_json) {
		json_set_string(run->reply, "certificate_file", run->certificate_path);
		json_set(run->reply, "verification", cert_verification_json(&run->verification));
		return show_json(run->reply, err);
	}
	TRY(show_streams(json_get(run->reply, "result"), NULL, err));
	if (status && !str_equal(status, "completed") && !str_equal(status, "nonzero"))
		(void)fprintf(stderr, "cupel: %s%s%s\n", status, detail && *detail ? ": " : "",
			detail ? detail : "");
	(void)fprintf(
		stderr, "cupel: %s %s %s\n", run->verification.id, verdict, run->certificate_path);
	if (is_broken) {
		auto_json *body = cert_verification_json(&run->verification);
		show_checks(body, true);
	}
	return 0;
}

static int run_all(struct cupel *cupel, struct run *run, int argc, char **argv, struct err *err)
{
	const struct flag flags[] = {
		{ "data", "[NAME=]FILE", FLAG_LIST, &run->data,
			"dataset, read-only at /data/NAME; may be repeated" },
		{ "tool", "NAME", FLAG_LIST, &run->tools,
			"one more tool of the image, like grep; may be repeated" },
		{ "env", "NAME[=VALUE]", FLAG_LIST, &run->env,
			"environment; certified in clear; without VALUE ours" },
		{ "secret-env", "NAME[=VALUE]", FLAG_LIST, &run->secret_env,
			"the same, but only a digest is certified" },
		{ "stdin", "FILE", FLAG_TEXT, &run->stdin_path,
			"standard input of the script (text; - is ours)" },
		{ "timeout", "SECONDS", FLAG_NUMBER, &run->timeout_s, "wall clock (default: 300)",
			1, EXECUTE_TIMEOUT_SECONDS_MAX },
		{ "memory", "MB", FLAG_NUMBER, &run->memory_mb, "of everything (default: 512)",
			EXECUTE_MEMORY_MB_MIN, EXECUTE_MEMORY_MB_MAX },
		{ "image", "NAME", FLAG_TEXT, &run->image_name, "sandbox image (default: base)" },
		{ "certificate", "FILE", FLAG_TEXT, &run->certificate_path,
			"where the certificate goes" },
	};
	struct arguments arguments;
	TRY(options_parse(cupel, argc, argv, flags, ARRAY_SIZE(flags), &arguments, err));
	if (cupel->is_help)
		return 0;
	TRY(read_words(cupel, run, &arguments, err));
	TRY(choose_certificate_path(run, err));
	TRY(run_make_request(cupel, run, err));
	TRY(run_on_agent(cupel, run, err));
	TRY(write_certificate(cupel, run, err));
	return show_end(cupel, run, err);
}

int run_run(struct cupel *cupel, int argc, char **argv, struct err *err)
{
	static struct run run; /* large, and there is only one */
	run = (struct run){
		.timeout_s = EXECUTE_TIMEOUT_SECONDS_MAX,
		.memory_mb = EXECUTE_MEMORY_MB_MAX,
		.image_name = "base",
		.local = LOCAL_NONE,
		.keys = { .pidfd = -1, .socket = -1 },
		.agent = { .pidfd = -1, .socket = -1 },
		.body_fd = -1,
		.log_fd = -1,
		.signal_fd = -1,
	};
	int status = run_all(cupel, &run, argc, argv, err);
	buf_done(&run.issuer_spki);
	buf_done(&run.envelope);
	dsse_done(&run.signed_by_agent);
	json_free(run.reply);
	return status;
}
