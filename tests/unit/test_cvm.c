/* engines/cvm: files that verifiers on this machine read; who else is refused. */
#include "unit.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engines/cvm/local.h"
#include "kit/base/fd.h"
#include "kit/base/str.h"

static char folder[64];

static void write_file(const char *name, struct view bytes)
{
	char path[128];
	struct err err;
	ck_assert_ok(str_format(path, sizeof(path), &err, "%s/%s", folder, name), err);
	ck_assert_ok(fd_write_file_atomic(path, bytes, 0600, &err), err);
}

static void make_folder(void)
{
	(void)snprintf(folder, sizeof(folder), "/tmp/test-cvm-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void remove_folder(void)
{
	char command[128];
	(void)snprintf(command, sizeof(command), "rm -r %s", folder);
	ck_assert_int_eq(system(command), 0);
}

/* count lines; the last one gets `last` as its last digit */
static void write_lines(size_t count, char last)
{
	auto_done(buf) text = {};
	struct err err;
	for (size_t i = 0; i < count; i++)
		ck_assert_ok(
			buf_append_format(&text, &err, "%0*zx%c\n", 2 * LOCAL_MEASUREMENT_SIZE - 1,
				i, i + 1 == count ? last : '0'),
			err);
	write_file("measurements", buf_view(&text));
}

START_TEST(measurements_are_read)
{
	struct err err;
	auto_done(buf) known = {};
	make_folder();
	ck_assert_fails(local_measurements_load(folder, &known, &err), E_NOT_FOUND, err);
	for (size_t count = 0; count <= LOCAL_MEASUREMENTS_MAX; count += 8) {
		buf_done(&known);
		write_lines(count, 'f');
		ck_assert_ok(local_measurements_load(folder, &known, &err), err);
		ck_assert_uint_eq(known.size, count * LOCAL_MEASUREMENT_SIZE);
		ck_assert(count == 0 || (known.data[known.size - 1] & 15) == 15);
	}
	remove_folder();
}
END_TEST

START_TEST(measurements_are_refused)
{
	struct err err;
	auto_done(buf) known = {};
	make_folder();
	write_lines(LOCAL_MEASUREMENTS_MAX + 1, '0');
	ck_assert_fails(local_measurements_load(folder, &known, &err), E_LIMIT, err);
	write_lines(2, 'g');
	ck_assert_fails(local_measurements_load(folder, &known, &err), E_INVALID, err);
	write_file("measurements", view_string("short\n"));
	ck_assert_fails(local_measurements_load(folder, &known, &err), E_INVALID, err);
	remove_folder();
}
END_TEST

static const char *const collateral_names[LOCAL_FILE_COUNT] = { "collateral/tcb_info.json",
	"collateral/tcb_chain.pem", "collateral/qe_identity.json", "collateral/qe_chain.pem",
	"collateral/root_crl.der", "collateral/pck_crl.der", "collateral/crl.der",
	"collateral/vek.der", "collateral/ask.der", "collateral/ark.der" };

START_TEST(a_platform_is_read_whole)
{
	struct err err;
	char path[128];
	auto_done(local_platform) platform = {};
	make_folder();
	ck_assert_fails(local_platform_load(folder, &platform, &err), E_NOT_FOUND, err);
	write_file("root.der", view_string("root"));
	ck_assert_ok(str_format(path, sizeof(path), &err, "%s/collateral", folder), err);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	for (size_t i = 0; i < LOCAL_CRL; i++) {
		ck_assert_fails(local_platform_load(folder, &platform, &err), E_NOT_FOUND, err);
		ck_assert_uint_eq(platform.root.size, 0); /* written on success only */
		write_file(collateral_names[i], view_string(collateral_names[i]));
	}
	for (size_t i = LOCAL_CRL; i < LOCAL_FILE_COUNT; i++) { /* Intel's are enough */
		local_platform_done(&platform);
		ck_assert_ok(local_platform_load(folder, &platform, &err), err);
		ck_assert_uint_eq(platform.files[i].size, 0);
		write_file(collateral_names[i], view_string(collateral_names[i]));
	}
	local_platform_done(&platform);
	ck_assert_ok(local_platform_load(folder, &platform, &err), err);
	ck_assert(view_equal_string(buf_view(&platform.root), "root"));
	for (size_t i = 0; i < LOCAL_FILE_COUNT; i++)
		ck_assert(view_equal_string(buf_view(&platform.files[i]), collateral_names[i]));
	local_platform_done(&platform);
	ck_assert_ok(
		str_format(path, sizeof(path), &err, "%s/collateral/tcb_info.json", folder), err);
	ck_assert_int_eq(unlink(path), 0); /* AMD's CRL is enough too; half of Intel's is not */
	ck_assert_ok(local_platform_load(folder, &platform, &err), err);
	local_platform_done(&platform);
	ck_assert_ok(str_format(path, sizeof(path), &err, "%s/collateral/crl.der", folder), err);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_fails(local_platform_load(folder, &platform, &err), E_NOT_FOUND, err);
	remove_folder();
}
END_TEST

START_TEST(ending_what_never_started)
{
	struct local local = LOCAL_NONE;
	struct agent agent = { .pidfd = -1, .socket = -1 };
	local_end(&local);
	local_end(&local);
	agent_end(&agent);
}
END_TEST

UNIT_MAIN("cvm", measurements_are_read, measurements_are_refused, a_platform_is_read_whole,
	ending_what_never_started)
