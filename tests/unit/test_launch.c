/* Launch measurement against the shared vectors. */
#include <errno.h>
#include <unistd.h>

#include "appraise_cases.h"
#include "kit/base/mem.h"
#include "rules/appraise/launch.h"

#define DEBIAN_OVMF "/usr/share/ovmf/OVMF.fd"
#define DEBIAN_OVMF_CODE "/usr/share/OVMF/OVMF_CODE.fd"

/* "empty", "ascii:...\n" or null. */
static struct view content(const struct json *text, struct buf *buf)
{
	struct view view = text ? json_as_view(text) : (struct view){};
	struct err err;
	if (view.size < 6 || !view_equal_string(view_of(view.data, 6), "ascii:"))
		return view_of("", 0);
	for (size_t i = 6; i < view.size; i++) {
		bool is_escape = view.data[i] == '\\' && i + 1 < view.size &&
				 view.data[i + 1] == 'n';
		ck_assert_ok(
			buf_append(buf, is_escape ? view_string("\n") : view_of(view.data + i, 1),
				&err),
			err);
		i += is_escape;
	}
	return buf_view(buf);
}

/* A firmware of the vectors, or of Debian's package when this machine has the same one. */
static bool firmware_of(struct vector_case *c, struct view *ret_firmware)
{
	const char *name = json_as_string(json_get(c->json, "firmware"));
	const char *path = str_starts(name, "OVMF.fd")      ? DEBIAN_OVMF
			   : str_starts(name, "/OVMF_CODE") ? DEBIAN_OVMF_CODE
							    : NULL;
	uint8_t digest[SHA256_SIZE];
	struct err err;
	if (!path) {
		*ret_firmware = case_file(c, name);
	} else {
		struct buf *file = &c->files[c->file_count++];
		if (access(path, R_OK) < 0)
			return false;
		ck_assert_ok(fd_read_file(path, 16 << 20, file, &err), err);
		*ret_firmware = buf_view(file);
	}
	hash_bytes(HASH_SHA256, *ret_firmware, digest);
	return view_equal(
		case_hex(c, json_get(c->json, "firmware_sha256")), view_of(digest, sizeof(digest)));
}

static int differs(
	struct vector_case *c, const char *fault, const char *name, const uint8_t *digest)
{
	struct view expected = case_hex(c, json_get(c->json, name));
	const char *id = json_as_string(json_get(c->json, "id"));
	if (!fault && expected.size && view_equal(expected, view_of(digest, expected.size)))
		return 0;
	printf("%s: %s differs (%s)\n", id, name, fault ? fault : "digest");
	return 1;
}

static int must_fail(struct vector_case *c, const char *fault)
{
	if (fault)
		return 0;
	printf("%s: expected an error\n", json_as_string(json_get(c->json, "id")));
	return 1;
}

static int skipped;

static int run_snp(struct vector_case *c)
{
	auto_done(buf) kernel = {};
	auto_done(buf) initrd = {};
	const struct json *kernel_text = json_get(c->json, "kernel");
	struct launch_snp input = {
		.has_kernel = json_as_string(kernel_text) != NULL,
		.kernel = content(kernel_text, &kernel),
		.initrd = content(json_get(c->json, "initrd"), &initrd),
		.cmdline = json_as_view(json_get(c->json, "cmdline")),
		.vcpus = (unsigned)json_as_integer(json_get(c->json, "vcpus")),
		.vcpu_signature = (uint32_t)strtoul(
			json_as_string(json_get(c->json, "vcpu_sig")), NULL, 16),
		.guest_features = strtoul(
			json_as_string(json_get(c->json, "guest_features")), NULL, 16),
	};
	uint8_t digest[LAUNCH_DIGEST_SIZE];
	ck_assert_uint_eq(input.vcpu_signature,
		launch_vcpu_signature(json_as_string(json_get(c->json, "vcpu_type"))));
	if (!firmware_of(c, &input.firmware)) {
		skipped++;
		return 0;
	}
	input.firmware_hash = case_hex(c, json_get(c->json, "ovmf_page_hash"));
	const char *fault = policy_is(c->json, "mode", "SEV_ES") ? launch_sev_es(&input, digest)
								 : launch_snp(&input, digest);
	return json_get(c->json, "error") ? must_fail(c, fault)
					  : differs(c, fault, "digest", digest);
}

static int run_td(struct vector_case *c)
{
	auto_done(buf) initrd = {};
	uint8_t digest[LAUNCH_DIGEST_SIZE];
	if (policy_is(c->json, "what", "RTMR1")) {
		launch_rtmr1(
			case_hex(c, json_get(c->json, "kernel_authenticode_sha384")).data, digest);
		return differs(c, NULL, "value", digest);
	}
	if (policy_is(c->json, "what", "RTMR2")) {
		const char *fault = launch_rtmr2(json_as_view(json_get(c->json, "cmdline")),
			content(json_get(c->json, "initrd"), &initrd), digest);
		return json_get(c->json, "error_or_value") ? must_fail(c, fault)
							   : differs(c, fault, "value", digest);
	}
	struct view firmware;
	if (!firmware_of(c, &firmware)) {
		skipped++;
		return 0;
	}
	const char *fault = launch_mrtd(firmware, false, digest);
	if (json_get(c->json, "error"))
		return fault && str_equal(fault, json_as_string(json_get(c->json, "error"))) ? 0
											     : 1;
	int wrong = differs(c, fault, "single_pass", digest);
	fault = launch_mrtd(firmware, true, digest);
	return wrong + differs(c, fault, "two_pass", digest);
}

static int run_pe(struct vector_case *c)
{
	char path[64];
	uint8_t digest[SHA384_SIZE];
	(void)snprintf(path, sizeof(path), "pe/%s", json_as_string(json_get(c->json, "file")));
	struct view file = case_file(c, path);
	int wrong = differs(c, launch_pe(file, false, digest), "sha256", digest);
	wrong += differs(c, launch_pe(file, true, digest), "sha384", digest);
	for (size_t cut = 0; cut < file.size; cut++)
		(void)launch_pe(view_of(file.data, cut), true, digest);
	return wrong;
}

static int run_igvm(struct vector_case *c)
{
	struct launch_igvm input = {
		.file = case_file(c, json_as_string(json_get(c->json, "file"))),
		.is_tdx = policy_is(c->json, "platform", "tdx"),
		.is_kvm = policy_is(c->json, "check", "kvm"),
		.platform_mask = (uint32_t)json_as_integer(json_get(c->json, "mask")),
	};
	uint8_t digest[LAUNCH_DIGEST_SIZE];
	const char *fault = launch_igvm(&input, digest);
	if (!policy_is(c->json, "expect", "valid")) {
		int wrong = case_disagrees(c, !fault, fault ? fault : "");
		input.is_kvm = false;
		fault = launch_igvm(&input, digest);
		return wrong +
		       (json_get(c->json, "check") ? differs(c, fault, "digest", digest) : 0);
	}
	int wrong = differs(c, fault, "digest", digest);
	input.native_zero = true;
	if (json_get(c->json, "digest_native_zero")) {
		fault = launch_igvm(&input, digest);
		wrong += differs(c, fault, "digest_native_zero", digest);
	}
	for (size_t cut = 0; cut < MIN(input.file.size, (size_t)600); cut++) {
		struct launch_igvm part = input;
		part.file.size = cut;
		ck_assert_ptr_nonnull(launch_igvm(&part, digest));
	}
	return wrong;
}

START_TEST(snp_digests)
{
	ck_assert_uint_gt(run_suite("launch", "snp_launch.json", run_snp), 0);
	printf("%d skipped: this machine lacks Debian's ovmf package\n", skipped);
}
END_TEST

START_TEST(td_measurements)
{
	ck_assert_uint_gt(run_suite("launch", "td_launch.json", run_td), 0);
}
END_TEST

START_TEST(pe_digests)
{
	ck_assert_uint_gt(run_suite("launch", "pe.json", run_pe), 0);
}
END_TEST

START_TEST(igvm_digests)
{
	ck_assert_uint_gt(run_suite("igvm/sim", "cases.json", run_igvm), 0);
}
END_TEST

UNIT_MAIN("launch", snp_digests, td_measurements, pe_digests, igvm_digests)
