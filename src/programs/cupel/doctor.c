/*
 * cupel doctor: what this machine enforces. The sandbox tries its mechanisms itself; the rest is
 * read. Required rows decide the exit code, the others say what is weaker without them.
 */
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "engines/image/image.h"
#include "engines/sandbox/sandbox.h"
#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "kit/proc/spawn.h"
#include "programs/cupel/cupel.h"

enum { PROC_FILE_MAX = 65536 };

struct doctor {
	struct cupel *cupel;
	struct json *rows;
	size_t enforced, lacking, missing; /* missing: lacking and required */
};

static void add(struct doctor *doctor, const char *area, const char *name, bool is_there,
	bool is_required, const char *detail, const char *advice)
{
	struct json *row = json_new_object();
	json_set_string(row, "area", area);
	json_set_string(row, "name", name);
	json_set_boolean(row, "enforced", is_there);
	json_set_boolean(row, "required", is_required);
	json_set(row, "detail", json_new_string(view_string(detail)));
	json_set_string(row, "advice", is_there ? NULL : advice);
	json_append(doctor->rows, row);
	doctor->enforced += is_there;
	doctor->lacking += !is_there;
	doctor->missing += !is_there && is_required;
}

static int look_at_sandbox(struct doctor *doctor, struct err *err)
{
	struct sandbox_capability list[SANDBOX_CAPABILITIES_MAX];
	size_t count = 0;
	TRY(sandbox_probe(list, &count, err));
	for (size_t i = 0; i < count; i++)
		add(doctor, "sandbox", list[i].name, list[i].is_there, !list[i].is_optional,
			list[i].detail, list[i].advice);
	return 0;
}

static void look_at_programs(struct doctor *doctor)
{
	static const char *const names[] = { "cced", "cced-keys", "tee-agent", "tee-sim",
		"tee-fetch", "cupel-sandbox", "cced-verify", "cupel-attest" };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char path[CUPEL_PATH_MAX];
		struct err err;
		bool is_there = proc_sibling(names[i], path, sizeof(path), &err) == 0;
		add(doctor, "programs", names[i], is_there, true, is_there ? path : err.message,
			"install cupel whole (make install), or set CUPEL_LIBEXEC");
	}
}

static void look_at_image(struct doctor *doctor)
{
	char digest[IMAGE_DIGEST_SIZE];
	struct err err;
	bool is_there = image_verify(image_state_for(doctor->cupel->state_dir), "base", digest,
				&err) == 0;
	add(doctor, "image", "base", is_there, true, is_there ? digest : err.message,
		"cupel image build (as root)");
}

static void look_at_state(struct doctor *doctor)
{
	struct stat facts;
	const char *path = doctor->cupel->state_dir;
	if (lstat(path, &facts) < 0) {
		add(doctor, "state", "directory", true, true,
			"not there yet; the first start makes it", NULL);
		return;
	}
	bool is_ours = S_ISDIR(facts.st_mode) && facts.st_uid == geteuid() &&
		       access(path, W_OK) == 0;
	add(doctor, "state", "directory", is_ours, true, path,
		"expected a directory of the user who runs the service, writable");
	struct err err;
	char keys[CUPEL_PATH_MAX];
	bool has_keys = str_format(keys, sizeof(keys), &err, "%s/keys", path) == 0 &&
			lstat(keys, &facts) == 0;
	if (has_keys)
		add(doctor, "state", "keys", (facts.st_mode & 077) == 0, true, keys,
			"chmod 700 the directory of the keys");
}

static bool file_has(const char *path, const char *needle, bool *ret_is_readable)
{
	auto_done(buf) text = {};
	struct err ignored;
	*ret_is_readable = fd_read_file(path, PROC_FILE_MAX, &text, &ignored) == 0;
	return *ret_is_readable && text.size &&
	       memmem(text.data, text.size, needle, strlen(needle)) != NULL;
}

static char first_byte(const char *path)
{
	auto_done(buf) text = {};
	struct err ignored;
	return fd_read_file(path, PROC_FILE_MAX, &text, &ignored) == 0 && text.size
		       ? (char)text.data[0]
		       : 0;
}

/* A tmpfs that promises not to be swapped, as the agent's vault asks for. */
static bool has_noswap(void)
{
	auto_close context = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	return context >= 0 &&
	       syscall(SYS_fsconfig, context, FSCONFIG_SET_FLAG, "noswap", NULL, 0) == 0;
}

static void look_at_memory(struct doctor *doctor)
{
	bool can_read;
	bool is_zeroed = file_has("/proc/cmdline", "init_on_free=1", &can_read);
	add(doctor, "memory", "init-on-free", is_zeroed, false,
		is_zeroed ? "freed pages are zeroed" : "not on the kernel's command line",
		"boot with init_on_free=1: memory of ended processes is zeroed at once");
	bool has_swap = file_has("/proc/swaps", "\n/", &can_read);
	add(doctor, "memory", "no-swap", !has_swap, false,
		has_swap ? "swap is on (/proc/swaps)" : "no swap area",
		"swapoff -a, or encrypt swap: pages of a running job may reach the disk");
	bool is_kept = has_noswap();
	add(doctor, "memory", "tmpfs-noswap", is_kept || !has_swap, false,
		is_kept ? "datasets lie in a tmpfs that is never swapped" : "kernel without it",
		"use a kernel from 6.4, or no swap");
	bool is_piped = first_byte("/proc/sys/kernel/core_pattern") == '|';
	add(doctor, "memory", "core-pattern", !is_piped, false,
		is_piped ? "a program collects core dumps; ours forbid them for themselves"
			 : "no program collects core dumps",
		"sysctl kernel.core_pattern=core: a collector sees memory of crashed programs");
	char scope = first_byte("/proc/sys/kernel/yama/ptrace_scope");
	add(doctor, "memory", "ptrace-scope", scope >= '1' && scope <= '2', false,
		scope ? "kernel.yama.ptrace_scope" : "no Yama in this kernel",
		"sysctl kernel.yama.ptrace_scope=1 (not 3: the exec tracer needs ptrace)");
}

/* Mechanisms are enforced; programs and files are just there. */
static const char *state_of(const struct json *row)
{
	const char *area = json_as_string(json_get(row, "area"));
	bool is_mechanism = str_equal(area, "sandbox") || str_equal(area, "memory");
	if (json_as_boolean(json_get(row, "enforced")))
		return is_mechanism ? "enforced" : "ok";
	return json_as_boolean(json_get(row, "required")) ? "MISSING" : "not enforced";
}

static void show_row(const struct json *row)
{
	const char *advice = json_as_string(json_get(row, "advice"));
	printf("  %-12s  %-17s  %s\n", state_of(row), json_as_string(json_get(row, "name")),
		json_as_string(json_get(row, "detail")));
	if (advice)
		printf("  %-12s  %-17s  -> %s\n", "", "", advice);
}

static void show(const struct doctor *doctor)
{
	struct utsname kernel;
	const char *area = "";
	if (uname(&kernel) == 0)
		printf("Linux %s, %s\n", kernel.release, kernel.machine);
	for (size_t i = 0; i < json_size(doctor->rows); i++) {
		const struct json *row = json_at(doctor->rows, i);
		const char *own = json_as_string(json_get(row, "area"));
		if (!str_equal(own, area))
			printf("%s\n", own);
		area = own;
		show_row(row);
	}
	printf("%zu enforced, %zu not; %s\n", doctor->enforced, doctor->lacking,
		doctor->missing ? "jobs cannot run here until what is MISSING is there"
				: "everything required is there");
	if (geteuid() != 0)
		printf("most rows only say that you are not root: run it again as root\n");
	printf("platform: simulated (no TEE driver yet): evidence proves nothing about hardware\n");
}

int run_doctor(struct cupel *cupel, int argc, char **argv, struct err *err)
{
	struct arguments arguments;
	auto_json *rows = json_new_array();
	struct doctor doctor = { .cupel = cupel, .rows = rows };
	TRY(options_parse(cupel, argc, argv, NULL, 0, &arguments, err));
	if (cupel->is_help)
		return 0;
	TRY(options_none(cupel, &arguments, err));
	TRY(look_at_sandbox(&doctor, err));
	look_at_programs(&doctor);
	look_at_image(&doctor);
	look_at_state(&doctor);
	look_at_memory(&doctor);
	cupel->exit_code = doctor.missing ? CUPEL_EXIT_FAILED : CUPEL_EXIT_OK;
	if (!cupel->is_json) {
		show(&doctor);
		return 0;
	}
	auto_json *body = json_new_object();
	json_set(body, "rows", json_share(rows));
	json_set_boolean(body, "ready", doctor.missing == 0);
	json_set_string(body, "platform", "simulated");
	return show_json(body, err);
}
