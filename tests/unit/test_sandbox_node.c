/* The parked node: what a job sees, what its ends say. Skipped where there is no node. */
#include <string.h>
#include <sys/wait.h>

#include "sandbox_run.h"

static char node_path[] = "/tmp/cupel-test-node-XXXXXX";

static void remove_node_image(void)
{
	remove_tree(node_path);
}

/* An image with the machine's node and its libraries; -1 when there is none. Kept per process. */
static int node_image(void)
{
	char *path = node_path;
	static int fd = -1;
	char command[512];
	if (fd >= 0 || access("/usr/bin/node", X_OK) != 0)
		return fd;
	ck_assert_ptr_nonnull(mkdtemp(path));
	(void)atexit(remove_node_image);
	snprintf(command, sizeof(command),
		"chmod 755 %s && mkdir %s/etc && for f in /usr/bin/node $(ldd /usr/bin/node | "
		"grep -o '/[^ ]*') ; do mkdir -p %s${f%%/*} && ln -L $f %s$f 2>/dev/null || "
		"cp -L $f %s$f || exit 1; done",
		path, path, path, path, path);
	ck_assert_int_eq(system(command), 0);
	struct err err;
	ck_assert_ok(fd_open(path, O_RDONLY | O_DIRECTORY, 0, &fd, &err), err);
	return fd;
}

static void run_node(struct run *run, const char *const argv[])
{
	static const struct sandbox_config config = { .supervisor_path = SUPERVISOR };
	struct sandbox_files image = SANDBOX_FILES_NONE;
	struct sandbox_event event;
	struct err err;
	int control = -1;
	run_init(run);
	image.root_fd = node_image();
	run->files.root_fd = -1;
	run->plan.argv = (const char *const[]){ "node", "-e", sandbox_park_node(), NULL };
	ck_assert_ok(sandbox_open(&config, &control, &err), err);
	ck_assert_ok(sandbox_prepare(control, SANDBOX_TIER_PARKED, &run->plan, &image, &err), err);
	ck_assert_ok(sandbox_receive(control, 0, &event, &err), err);
	ck_assert_msg(event.kind == SANDBOX_EVENT_READY, "%s", event.result.text);
	ck_assert_ok(fd_memfd("out", &run->files.stdout_fd, &err), err);
	ck_assert_ok(fd_memfd("err", &run->files.stderr_fd, &err), err);
	run->plan.argv = argv;
	ck_assert_ok(sandbox_start(control, &run->plan, &run->files, &err), err);
	run_finish(run, control);
	ck_assert_cause(run, SANDBOX_CAUSE_EXITED);
	ck_assert_int_eq(run->result.tier, SANDBOX_TIER_PARKED);
}

/* A job, its exit code, its stdout (exact) and a part of its stderr. */
static const struct {
	const char *argv[6];
	int exit_code;
	const char *out;
	const char *error;
} jobs[] = {
	{ { "node", "-e", "console.log(process.argv.slice(1), process.cwd(), process.env)", "a" },
		0, "[ 'a' ] /work { LANG: 'C.UTF-8' }\n", "" },
	{ { "node", "-e",
		  "fs.writeFileSync('m.js', 'exports.x = 5'); "
		  "console.log(require('./m').x, fs.readdirSync('/tmp'))" },
		0, "5 []\n", "" },
	{ { "node", "-e",
		  "setTimeout(() => console.log('late'), 5); "
		  "process.on('exit', (c) => { process.exitCode = 7 })" },
		7, "late\n", "" },
	{ { "node", "-e", "process.stdout.write('x'.repeat(3)); process.exit(256 + 3)" }, 3, "xxx",
		"" },
	{ { "node", "-e", "throw new Error('boom')" }, 1, "", "Error: boom\n    at [eval]:1:7\n" },
	{ { "node", "-e", "Promise.reject(new Error('lost'))" }, 1, "", "Error: lost" },
	{ { "node", "-e",
		  "process.on('uncaughtException', (e) => console.log(e.message)); "
		  "setTimeout(() => { throw new Error('held') }, 1)" },
		0, "held\n", "" },
	{ { "node", "-e", "import('fs').then((m) => console.log(typeof m.readFileSync))" }, 0,
		"function\n", "" },
	/* What a listener of 'exit' leaves runs after the last of them. */
	{ { "node", "-e", "process.on('exit', async () => { throw new Error('late') })" }, 1, "",
		"Error: late" },
	{ { "node", "-e",
		  "process.on('exit', async () => { await null; console.log('late'); "
		  "process.exitCode = 9 })" },
		9, "late\n", "" },
	{ { "node", "-e",
		  "const e = process.emit; process.emit = function (n, ...a) { "
		  "const r = e.call(this, n, ...a); "
		  "if (n === 'exit') { console.log('late'); process.exitCode = 6 } return r }" },
		6, "late\n", "" },
	{ { "node", "-e",
		  "process.emit('exit', 3); "
		  "setTimeout(() => { console.log('late'); process.exitCode = 2 }, 5)" },
		2, "late\n", "" },
	/* Nor does it matter what it replaced. */
	{ { "node", "-e", "globalThis.process = { exitCode: 7 }" }, 0, "", "" },
	{ { "node", "-e", "globalThis.Number = () => 77" }, 0, "", "" },
	{ { "node", "-e",
		  "const { writeSync } = fs; "
		  "fs.writeSync = (fd, ...a) => { console.log(fd); return writeSync(fd, ...a) }" },
		0, "", "" },
	{ { "node", "-e", "process.reallyExit = (c) => console.log('mine', c); process.exit(2)" },
		2, "mine 2\n", "" },
	{ { "node", "-e",
		  "for (let i = 60; i < 80; i++) try { fs.closeSync(i) } catch { } "
		  "for (let i = 0; i < 60; i++) fs.openSync('/dev/stdout', 'w'); "
		  "process.exitCode = 65" },
		65, "", "" },
	{ { "node", "-e", "console.log(crypto.createHash('md5').update('').digest('hex'))" }, 0,
		"d41d8cd98f00b204e9800998ecf8427e\n", "" },
	{ { "node", "/nope.js" }, 1, "", "Cannot find module '/nope.js'" },
	{ { "node", "--version" }, 9, "", "expected FILE or -e CODE, got --version" },
	{ { "node", "-e" }, 9, "", "expected FILE or -e CODE, got -e" },
	{ { "node", "-e", "1", "-x" }, 9, "", "expected FILE or -e CODE, got -x" },
	{ { "node", "-e", "console.log(process.argv.slice(1))", "--", "-x" }, 0, "[ '-x' ]\n", "" },
};

START_TEST(jobs_of_a_parked_node)
{
	if (node_image() < 0) {
		puts("SKIP: no /usr/bin/node on this machine");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		auto_done(run) r = {};
		run_node(&r, jobs[i].argv);
		ck_assert_msg(r.result.exit_code == jobs[i].exit_code, "%zu: %d: %s", i,
			r.result.exit_code, buf_string(&r.error));
		ck_assert_str_eq(buf_string(&r.out), jobs[i].out);
		ck_assert_ptr_nonnull(strstr(buf_string(&r.error), jobs[i].error));
		if (!jobs[i].error[0])
			ck_assert_str_eq(buf_string(&r.error), "");
	}
}
END_TEST

/* More than a pipe holds: the loop ends when it is written (process.exit() would lose it). */
START_TEST(output_is_complete)
{
	if (node_image() < 0)
		return;
	auto_done(run) r = {};
	run_node(&r, (const char *const[]){
			     "node", "-e", "process.stdout.write('x'.repeat(1 << 20))", NULL });
	ck_assert_uint_eq(r.out.size, 1u << 20);
	ck_assert_uint_eq(r.exit_count, 1);
	ck_assert(r.result.trace_complete);
}
END_TEST

UNIT_MAIN("sandbox-node", jobs_of_a_parked_node, output_is_complete)
