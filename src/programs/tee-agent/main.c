/*
 * tee-agent: waits, ready, for one message; does one computation; ends. Descriptor 3 is the control
 * plane, descriptor 4 the root of the sandbox image. The table below is everything it accepts.
 */
#include <getopt.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kit/base/prompt.h"
#include "kit/base/str.h"
#include "kit/crypto/setup.h"
#include "kit/proc/lockdown.h"
#include "programs/tee-agent/agent.h"

enum { CONTROL_FD = 3, IMAGE_FD = 4 };

static const struct {
	uint32_t type;
	int (*handle)(struct job *job, struct message *message, struct err *err);
} accepted[] = {
	{ AGENT_RUN, job_execute },
	{ AGENT_CERTIFY_LOST, job_certify_lost },
};

static int parse_options(int argc, char **argv, struct options *options, struct err *err)
{
	static const struct option rows[] = {
		{ "sandbox", required_argument, NULL, 's' },
		{ "fetch", required_argument, NULL, 'f' },
		{ "platform", required_argument, NULL, 'P' },
		{ "evidence", required_argument, NULL, 'e' },
		{ "vault", required_argument, NULL, 'v' },
		{ "image", required_argument, NULL, 'i' },
		{ "dataset-max", required_argument, NULL, 'd' },
		{ "json-max", required_argument, NULL, 'j' },
		{ "pool", no_argument, NULL, 'p' },
		{ "no-pool", no_argument, NULL, 'n' },
		{ "allow-loopback", no_argument, NULL, 'l' },
		{ "no-loopback", no_argument, NULL, 'L' },
		{ "nursery", no_argument, NULL, 'N' },
		{},
	};
	for (int option; (option = getopt_long(argc, argv, "", rows, NULL)) != -1;) {
		const char **text = option == 's'   ? &options->sandbox_path
				    : option == 'f' ? &options->fetch_path
				    : option == 'e' ? &options->evidence_path
				    : option == 'v' ? &options->vault_path
				    : option == 'i' ? &options->image_digest
						    : NULL;
		uint64_t *number = option == 'd'   ? &options->dataset_bytes_max
				   : option == 'j' ? &options->json_bytes_max
						   : NULL;
		if (text)
			*text = optarg;
		else if (number)
			TRY(str_parse_u64(optarg, 1, 1ULL << 40, number, err));
		else if (option == 'P')
			TRY(evidence_kind_parse(optarg, &options->platform, err));
		else if (option == 'p' || option == 'n')
			options->has_pool = option == 'p';
		else if (option == 'l' || option == 'L')
			options->allows_loopback_fetch = option == 'l';
		else if (option == 'N')
			options->is_nursery = true;
		else
			return err_set(err, E_INVALID, "unknown option");
	}
	if (!options->sandbox_path || !options->fetch_path || !options->evidence_path ||
		!options->vault_path || !options->image_digest || !options->dataset_bytes_max ||
		!options->json_bytes_max)
		return err_set(err, E_INVALID,
			"tee-agent is started by cced or cupel run, with all of its options");
	return 0;
}

static int serve_one(struct job *job, struct err *err)
{
	AUTO(message_done) struct message message;
	TRY(message_receive(job->socket, 0, &message, err));
	if (message.is_end)
		return 0; /* not needed any more */
	prompt_self();    /* somebody waits now */
	for (size_t i = 0; i < ARRAY_SIZE(accepted); i++)
		if (accepted[i].type == message.type)
			return accepted[i].handle(job, &message, err);
	return err_set(err, E_CONFLICT, "message %u is not expected when idle", message.type);
}

static int run(int argc, char **argv, const struct log *log, struct err *err)
{
	static struct job job; /* large, and there is only one */
	struct options options = {};
	struct image *image = NULL;
	TRY(parse_options(argc, argv, &options, err));
	TRY(proc_harden(true, err));
	json_setup();
	crypto_setup();
	TRY(image_adopt(IMAGE_FD, options.image_digest, &image, err));
	if (options.is_nursery) {
		bool is_agent;
		TRY(nursery_serve(CONTROL_FD, IMAGE_FD, &is_agent, err));
		if (!is_agent)
			return 0;
		TRY(proc_harden(true, err)); /* a fork loses the parent-death signal */
	}
	TRY(job_prepare(&job, &options, log, image, CONTROL_FD, err));
	return serve_one(&job, err);
}

int main(int argc, char **argv)
{
	struct err err;
	const struct log log = { "tee-agent", STDERR_FILENO, LOG_INFO };
	if (run(argc, argv, &log, &err) == 0)
		_exit(EXIT_SUCCESS); /* the kernel frees memory in a tenth of the time of libcrypto
				      */
	log_event(&log, LOG_ERROR, "failed", "category", err_category_name(err.category), "error",
		err.message, NULL);
	return EXIT_FAILURE;
}
