/*
 * The local driver of tee-agents: one process per computation on this machine, one SEQPACKET
 * socket to it. The message vocabulary stands here because both ends include it; the agent's own
 * table of what is allowed when is in programs/tee-agent.
 *
 * Life of an agent: spawned ahead, READY; RUN (or CERTIFY_LOST) once; ACCEPTED or REFUSED; EVENTs;
 * DONE; it ends by itself. Closing the socket kills it and everything it made.
 */
#ifndef ENGINES_CVM_AGENT_H
#define ENGINES_CVM_AGENT_H

#include <sys/types.h>

#include "kit/codec/json.h"
#include "kit/crypto/dsse.h"
#include "kit/proc/message.h"

enum agent_message {
	/* to the agent */
	AGENT_RUN = 1,      /* body: see agent_run; descriptor: the body's memory file */
	AGENT_CANCEL,       /* no body */
	AGENT_SLOT,         /* answer to TAKE; no body; descriptor: a sandbox's control, or none */
	AGENT_CERTIFY_LOST, /* body: {job_id, principal, created_ms, reason, inputs or null} */
	AGENT_BEAR, /* to a nursery; no body; descriptors: the agent's socket, its clone of the
		       image */
	/* from the agent */
	AGENT_READY = 16, /* no body */
	AGENT_ACCEPTED,   /* body: {inputs}: the request is valid and its datasets are loaded */
	AGENT_EVENT,      /* body: one JSON object for the caller's event stream */
	AGENT_REFUSED,    /* body: {category, message}: no certificate */
	AGENT_TAKE,       /* body: a slot's name; asks for a sandbox built ahead */
	AGENT_KEEP,       /* body: slot shape; descriptor: mask. Others like this job may come */
	AGENT_BORN,       /* from a nursery; body: pid, 4 bytes little endian; descriptor: pidfd */
	AGENT_STATEMENT, /* once, before DONE; no body; descriptor: the certificate's statement in a
			    memory file, not signed yet: others sign it at the same time */
	AGENT_DONE, /* body: index, see agent_read_signature; descriptor: reply (memory file) */
};

/* Two streams and files of 10 MiB each, in JSON up to 7/3 of that; and 2,000 rows of a trace. */
#define AGENT_REPLY_MAX (128 << 20)

/* What an agent is told when it starts. All paths are trusted and borrowed. */
struct agent_config {
	const char *agent_path;    /* tee-agent executable */
	const char *sandbox_path;  /* cupel-sandbox executable */
	const char *fetch_path;    /* tee-fetch executable */
	const char *platform;      /* provider of evidence: "simulated", "configfs-tsm", "dstack" */
	const char *evidence_path; /* its socket or tree; "" for the usual place */
	const char *vault_path;    /* an existing directory the agent may mount its memory over */
	const char *image_digest;
	int image_fd;               /* root of the mounted image; every agent gets a clone */
	uint64_t dataset_bytes_max; /* all datasets of one job */
	uint64_t json_bytes_max;    /* the JSON document of one request */
	bool allows_loopback_fetch;
	bool has_pool; /* TAKE is answered: there are sandboxes built ahead */
	int log_fd;    /* JSON lines */
};

struct agent {
	pid_t pid;
	int pidfd;  /* readable when it ended */
	int socket; /* messages; SOCK_SEQPACKET */
};

/* Spawn one. E_UNAVAILABLE. Release with agent_done. */
int agent_spawn(
	const struct agent_config *config, struct agent *ret_agent, struct err *err) MUST_CHECK;

/*
 * A nursery: an agent's process that never gets a job, but forks agents when asked. What all have
 * in common (libraries, the image's manifest) is loaded once; what makes an agent one (its key, its
 * memory) comes after the fork. Nothing of any job was ever in it.
 *
 * config          as for agent_spawn; of all agents
 * ret_nursery     end it with agent_end(); the agents it bore live on
 */
int nursery_open(
	const struct agent_config *config, struct agent *ret_nursery, struct err *err) MUST_CHECK;

/* An agent as agent_spawn makes it, a child of ours. E_UNAVAILABLE: the nursery is gone. */
int nursery_bear(const struct agent *nursery, int image_fd, struct agent *ret_agent,
	struct err *err) MUST_CHECK;

/* Close the socket, kill if alive, reap. Accepts an agent that was never spawned (pid 0). */
void agent_end(struct agent *agent);

/* Send RUN. */
struct agent_run {
	const char *job_id;
	const char *principal;
	const char *content_type;     /* of the body */
	const char *certificate_base; /* URL before the certificate id; "" when there is none */
	uint64_t accepted_wall_ms;
};
int agent_send_run(const struct agent *agent, const struct agent_run *run, int body_fd,
	struct err *err) MUST_CHECK;

/*
 * The certificate as it arrives: STATEMENT has the statement's bytes, the index of DONE has
 * "signature" (hex) and "keyid". Raw, because base64 in JSON costs a third of a millisecond to take
 * apart again.
 *
 * payload_type  what the statement is
 * envelope      empty before the first; afterwards row 0 of its signatures is the agent's, to be
 *               filled by the second. Nothing is verified. Release with dsse_done
 *
 * E_CONFLICT: a second statement, or a signature of none. E_INVALID, E_LIMIT: something else.
 */
int agent_read_statement(const struct message *message, const char *payload_type,
	struct dsse *envelope, struct err *err) MUST_CHECK;
int agent_read_signature(
	const struct json *index, struct dsse *envelope, struct err *err) MUST_CHECK;

/* The agent's side: set both members. */
void agent_set_signature(struct json *index, const struct dsse_signature *signature);

#endif
