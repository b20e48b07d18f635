/*
 * A simulated SEV-SNP platform: ARK, ASK and VCEK with AMD's names for their roles, formats and
 * extensions, of the organisation "Cupel Simulation". Reports are those of version 3 from a Genoa.
 * Layouts: rules/appraise/snp_report.c, snp_table.c, snp_vek.c.
 */
#include "kit/base/fd.h"
#include "kit/codec/der_write.h"
#include "kit/crypto/rand.h"
#include "programs/tee-sim/internal.h"
#include "programs/tee-sim/pki.h"

enum {
	SCALAR_SIZE = 48,
	REPORT_SIZE = 1184,
	SIGNED_SIZE = 0x2a0,
	SIGNATURE_FIELD = 72,
	GUID_SIZE = 16,
	TABLE_ENTRY_SIZE = GUID_SIZE + 8,
	CHIP_ID_SIZE = 64,
	REPORT_VERSION = 3,
	ALGORITHM_P384 = 1,
	ABI_MINOR = 55,
	POLICY = 0x30000, /* bit 17, which is always one, and SMT */
};

/* Genoa: boot loader, TEE, four reserved, SNP, microcode. */
static const uint8_t tcb[8] = { 10, 0, 0, 0, 0, 0, 23, 84 };
static const uint8_t cpuid[3] = { 0x19, 0x11, 1 }; /* family, model, stepping */

/* ARK, ASK, VCEK: in this order each signs the next. */
enum role { ARK, ASK, VCEK, ROLE_COUNT };

static const struct {
	const char *name;
	const char *file;
	uint8_t guid[GUID_SIZE];
} roles[ROLE_COUNT] = {
	[ARK] = { "ARK-Genoa", "collateral/ark.der",
		{ 0xc0, 0xb4, 0x06, 0xa4, 0xa8, 0x03, 0x49, 0x52, 0x97, 0x43, 0x3f, 0xb6, 0x01,
			0x4c, 0xd0, 0xae } },
	[ASK] = { "SEV-Genoa", "collateral/ask.der",
		{ 0x4a, 0xb7, 0xb3, 0x79, 0xbb, 0xac, 0x4f, 0xe4, 0xa0, 0x2f, 0x05, 0xae, 0xf3,
			0x27, 0xc7, 0x82 } },
	[VCEK] = { "SEV-VCEK", "collateral/vek.der",
		{ 0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9, 0x3b,
			0xe8, 0xac, 0xcd } },
};

struct maker {
	const char *directory;
	uint64_t from_ms, to_ms;
	uint8_t chip_id[CHIP_ID_SIZE];
	struct sign_key *keys[ROLE_COUNT];
	struct buf der[ROLE_COUNT];
};

static void maker_done(struct maker *m)
{
	for (size_t i = 0; i < ROLE_COUNT; i++) {
		sign_key_free(m->keys[i]);
		buf_done(&m->der[i]);
	}
}

/* 1.3.6.1.4.1.3704.1 and up to two arcs below. */
static int put_extension(
	struct buf *list, const uint8_t *arcs, size_t count, struct view value, struct err *err)
{
	static const uint8_t prefix[] = { 0x2b, 0x06, 0x01, 0x04, 0x01, 0x9c, 0x78, 0x01 };
	auto_done(buf) oid = {};
	TRY(buf_append(&oid, view_of(prefix, sizeof(prefix)), err));
	TRY(buf_append(&oid, view_of(arcs, count), err));
	return pki_extension(buf_view(&oid), value, list, err);
}

static int make_extensions(const struct maker *m, struct buf *list, struct err *err)
{
	static const uint8_t product_arc = 2, hardware_id_arc = 4;
	static const struct {
		uint8_t arcs[2], svn;
	} svns[] = { { { 3, 1 }, tcb[0] }, { { 3, 2 }, tcb[1] }, { { 3, 3 }, tcb[6] },
		{ { 3, 8 }, tcb[7] } };
	auto_done(buf) product = {};
	TRY(der_put(&product, DER_IA5_STRING, view_string("Genoa-B1"), err));
	TRY(put_extension(list, &product_arc, 1, buf_view(&product), err));
	for (size_t i = 0; i < ARRAY_SIZE(svns); i++) {
		auto_done(buf) number = {};
		TRY(der_put_unsigned(&number, svns[i].svn, err));
		TRY(put_extension(
			list, svns[i].arcs, sizeof(svns[i].arcs), buf_view(&number), err));
	}
	return put_extension(list, &hardware_id_arc, 1, view_of(m->chip_id, CHIP_ID_SIZE), err);
}

static int make_certificates(struct maker *m, struct err *err)
{
	auto_done(buf) extensions = {};
	TRY(make_extensions(m, &extensions, err));
	for (size_t i = 0; i < ROLE_COUNT; i++) {
		size_t issuer = i == ARK ? ARK : i - 1;
		const struct pki_certificate certificate = {
			.common_name = roles[i].name,
			.issuer_name = roles[issuer].name,
			.serial = i + 1,
			.is_ca = i != VCEK,
			.path_length = i == ARK,
			.not_before_ms = m->from_ms,
			.not_after_ms = m->to_ms,
			.key = m->keys[i],
			.issuer_key = m->keys[issuer],
			.extensions = i == VCEK ? buf_view(&extensions) : (struct view){},
		};
		TRY(pki_certificate(&certificate, &m->der[i], err));
		TRY(platform_write(m->directory, roles[i].file, buf_view(&m->der[i]), 0644, err));
	}
	return 0;
}

/* GUID, offset, size of each, a zero entry, then the certificates. */
static int make_table(const struct maker *m, struct buf *table, struct err *err)
{
	static const uint8_t end[TABLE_ENTRY_SIZE];
	size_t offset = (size_t)TABLE_ENTRY_SIZE * (ROLE_COUNT + 1);
	for (size_t i = ROLE_COUNT; i-- > 0;) {
		TRY(buf_append(table, view_of(roles[i].guid, GUID_SIZE), err));
		TRY(buf_append_le(table, offset, 4, err));
		TRY(buf_append_le(table, m->der[i].size, 4, err));
		offset += m->der[i].size;
	}
	TRY(buf_append(table, view_of(end, sizeof(end)), err));
	for (size_t i = ROLE_COUNT; i-- > 0;)
		TRY(buf_append(table, buf_view(&m->der[i]), err));
	return platform_write(m->directory, "certificates", buf_view(table), 0644, err);
}

int platform_init_snp(const char *directory, uint64_t now_ms, struct err *err)
{
	auto_done(buf) crl = {};
	auto_done(buf) table = {};
	AUTO(maker_done)
	struct maker m = {
		.directory = directory,
		.from_ms = platform_from_ms(now_ms),
		.to_ms = platform_to_ms(now_ms),
	};
	TRY(platform_make_directories(directory, err));
	rand_bytes(m.chip_id, sizeof(m.chip_id));
	TRY(platform_write(directory, "chip_id", view_of(m.chip_id, CHIP_ID_SIZE), 0644, err));
	TRY(sign_key_generate(SIGN_RSA_PSS, &m.keys[ARK], err));
	TRY(sign_key_generate(SIGN_RSA_PSS, &m.keys[ASK], err));
	TRY(platform_make_key(directory, "vcek.key", SCALAR_SIZE, &m.keys[VCEK], err));
	TRY(make_certificates(&m, err));
	TRY(make_table(&m, &table, err));
	TRY(pki_crl(roles[ARK].name, m.keys[ARK], m.from_ms, m.to_ms, &crl, err));
	TRY(platform_write(directory, "collateral/crl.der", buf_view(&crl), 0644, err));
	return platform_write(directory, "root.der", buf_view(&m.der[ARK]), 0644, err);
}

static void put(uint8_t *report, size_t at, struct view bytes)
{
	memcpy(report + at, bytes.data, bytes.size);
}

static void fill(const struct platform *platform, const struct platform_td *td,
	const struct sim_wire_request *request, uint8_t *report)
{
	static const uint8_t version[] = { 0, ABI_MINOR, 1 };       /* build, minor, major */
	static const size_t tcbs[] = { 0x38, 0x180, 0x1e0, 0x1f0 }; /* current to launch */
	static const size_t versions[] = { 0x1e8, 0x1ec };
	report[0x00] = REPORT_VERSION;
	report[0x0a] = POLICY >> 16;
	report[0x34] = ALGORITHM_P384;
	report[0x40] = 1; /* PLATFORM_INFO: SMT */
	put(report, 0x50, view_of(request->report_data, sizeof(request->report_data)));
	put(report, 0x90, view_of(td->mrtd, sizeof(td->mrtd)));
	put(report, 0x188, view_of(cpuid, sizeof(cpuid)));
	put(report, 0x1a0, view_of(platform->chip_id, sizeof(platform->chip_id)));
	for (size_t i = 0; i < ARRAY_SIZE(tcbs); i++)
		put(report, tcbs[i], view_of(tcb, sizeof(tcb)));
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++)
		put(report, versions[i], view_of(version, sizeof(version)));
}

int snp_report(const struct platform *platform, const struct platform_td *td,
	const struct sim_wire_request *request, struct buf *quote, struct err *err)
{
	uint8_t report[REPORT_SIZE] = {}, signature[PKI_RAW_SIGNATURE_P384_SIZE];
	if (request->extension_count > 0)
		return err_set(err, E_UNSUPPORTED, "SEV-SNP has no registers to extend");
	fill(platform, td, request, report);
	TRY(pki_sign_raw(platform->key, view_of(report, SIGNED_SIZE), signature, err));
	for (size_t i = 0; i < SCALAR_SIZE; i++) { /* r and s, little-endian */
		report[SIGNED_SIZE + i] = signature[SCALAR_SIZE - 1 - i];
		report[SIGNED_SIZE + SIGNATURE_FIELD + i] = signature[2 * SCALAR_SIZE - 1 - i];
	}
	TRY(buf_append(quote, view_of(report, sizeof(report)), err));
	return buf_append(quote, buf_view(&platform->certification), err);
}
