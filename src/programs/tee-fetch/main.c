/*
 * tee-fetch: fetch one URL for the agent, in a process of its own that holds nothing else.
 *
 *	tee-fetch max_bytes=N timeout_ms=N connect_timeout_ms=N [--allow-loopback]
 *	          [--allow-private] [ca_file=PATH]
 *
 * The URL comes on standard input (a process list shows arguments), the body leaves on standard
 * output; after a failure it may hold a part of the body, which the caller drops. Standard error
 * gets a line of JSON for each request before it is sent, {"to":"host:port","bytes":N}, and as the
 * last one a failure: {"category":"denied","message":"..."}; the exit code is the
 * negated category of kit/base/err.h (1 invalid, 2 denied, 3 not-found, 5 limit, 6 unavailable,
 * 7 integrity, 8 internal), 0 when everything was written.
 */
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kit/base/buf.h"
#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "kit/proc/lockdown.h"
#include "programs/tee-fetch/fetch.h"

#define MEMORY_MAX (512UL << 20) /* address space; libcurl, OpenSSL and a resolver thread */
#define FILES_MAX 64
#define CA_BYTES_MAX (1UL << 20)
#define TIMEOUT_MS_MAX 3600000
#define BYTES_MAX (1ULL << 40)
#define CPU_S_PER_GIB 30 /* generous for TLS; plus the base below */
#define CPU_S_BASE 20

static int parse_number(
	const char *arg, const char *name, uint64_t max, uint64_t *value, struct err *err)
{
	if (!str_starts(arg, name))
		return err_set(err, E_NOT_FOUND, "another argument");
	return str_parse_u64(arg + strlen(name), 1, max, value, err);
}

static int parse_argument(
	const char *arg, struct fetch_limits *limits, const char **ret_ca_file, struct err *err)
{
	struct {
		const char *name;
		uint64_t max;
		uint64_t *value;
	} numbers[] = { { "max_bytes=", BYTES_MAX, &limits->bytes_max },
		{ "timeout_ms=", TIMEOUT_MS_MAX, &limits->timeout_ms },
		{ "connect_timeout_ms=", TIMEOUT_MS_MAX, &limits->connect_timeout_ms } };
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		int status = parse_number(
			arg, numbers[i].name, numbers[i].max, numbers[i].value, err);
		if (status != E_NOT_FOUND)
			return status;
	}
	if (str_starts(arg, "ca_file="))
		*ret_ca_file = arg + strlen("ca_file=");
	else if (str_equal(arg, "--allow-loopback"))
		limits->policy.allow_loopback = true;
	else if (str_equal(arg, "--allow-private"))
		limits->policy.allow_private = true;
	else
		return err_set(err, E_INVALID, "unknown argument '%.64s'", arg);
	return 0;
}

static int parse_arguments(
	char *const *argv, struct fetch_limits *limits, const char **ret_ca_file, struct err *err)
{
	for (char *const *arg = argv + 1; *arg; arg++)
		TRY(parse_argument(*arg, limits, ret_ca_file, err));
	if (!limits->bytes_max || !limits->timeout_ms || !limits->connect_timeout_ms)
		return err_set(err, E_INVALID,
			"max_bytes=, timeout_ms= and connect_timeout_ms= are all needed");
	return 0;
}

static int limit_self(const struct fetch_limits *limits, struct err *err)
{
	rlim_t cpu_s = CPU_S_BASE + (limits->bytes_max >> 30) * CPU_S_PER_GIB;
	const struct {
		__rlimit_resource_t resource;
		rlim_t value;
	} table[] = { { RLIMIT_AS, MEMORY_MAX }, { RLIMIT_NOFILE, FILES_MAX },
		{ RLIMIT_CPU, cpu_s } };
	/* Files are not its business, nor are other programs. */
	static const char *const refused[] = { "execve", "execveat", "fork", "vfork", "ptrace",
		"process_vm_readv", "process_vm_writev", "unshare", "setns", "mount", "chroot",
		"pivot_root" };
	TRY(proc_become_nobody(err));
	TRY(proc_harden(true, err));
	TRY(proc_keep_rights(NULL, 0, err));
	TRY(proc_refuse(refused, ARRAY_SIZE(refused), err));
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct rlimit limit = { table[i].value, table[i].value };
		if (setrlimit(table[i].resource, &limit) < 0)
			return err_sys(err, E_UNAVAILABLE, "cannot limit this process");
	}
	return 0;
}

static int read_url(struct buf *url, struct err *err)
{
	if (fd_read_all(STDIN_FILENO, FETCH_URL_MAX + 1, url, err) < 0)
		return err_set(err, E_INVALID,
			"the dataset URL is not usable: it is longer than %d bytes", FETCH_URL_MAX);
	if (url->size > 0 && url->data[url->size - 1] == '\n')
		url->size--;
	for (size_t i = 0; i < url->size; i++)
		if (url->data[i] <= 0x20 || url->data[i] == 0x7f)
			return err_set(err, E_INVALID,
				"the dataset URL is not usable: it has a blank or control "
				"character");
	return 0;
}

static int run(char *const *argv, struct err *err)
{
	struct fetch_limits limits = {};
	auto_done(buf) url = {};
	auto_done(buf) ca = {};
	const char *ca_file = NULL;
	TRY(parse_arguments(argv, &limits, &ca_file, err));
	if (ca_file) /* now, while we may read it */
		TRY(fd_read_file(ca_file, CA_BYTES_MAX, &ca, err));
	limits.ca = buf_view(&ca);
	TRY(limit_self(&limits, err));
	TRY(read_url(&url, err));
	return fetch_url(buf_string(&url), &limits, STDOUT_FILENO, STDERR_FILENO, err);
}

/* Messages quote at most host names, made printable before; only JSON's own characters matter. */
static void report(const struct err *err)
{
	struct err ignored;
	auto_done(buf) line = {};
	char message[ERR_MESSAGE_MAX];
	memcpy(message, err->message, sizeof(message));
	for (char *c = message; *c; c++)
		if (*c == '"' || *c == '\\' || (unsigned char)*c < 0x20 ||
			(unsigned char)*c >= 0x7f)
			*c = '?';
	if (buf_append_format(&line, &ignored, "{\"category\":\"%s\",\"message\":\"%s\"}\n",
		    err_category_name(err->category), message) == 0)
		/* Without standard error the exit code has to do. */
		if (fd_write_all(STDERR_FILENO, buf_view(&line), &ignored) < 0)
			return;
}

int main(int argc UNUSED, char **argv)
{
	struct err err;
	int status = run(argv, &err);
	if (status == 0)
		return 0;
	report(&err);
	return -status;
}
