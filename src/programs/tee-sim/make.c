/*
 * Making a simulated platform: keys, certificates, QE report, collateral. Everything has Intel's
 * formats and names for the roles, but hangs on a root of its own that says what it is.
 */
#include <errno.h>
#include <sys/stat.h>

#include "kit/base/fd.h"
#include "kit/base/str.h"
#include "kit/base/time.h"
#include "kit/codec/der_write.h"
#include "kit/codec/hex.h"
#include "kit/crypto/hash.h"
#include "kit/crypto/rand.h"
#include "kit/crypto/secret.h"
#include "programs/tee-sim/internal.h"
#include "programs/tee-sim/pki.h"
#include "programs/tee-sim/platform.h"

#define CA_NAME "Intel SGX PCK Platform CA"
#define LEAF_NAME "Intel SGX PCK Certificate"
#define SIGNER_NAME "Intel SGX TCB Signing"
#define ROOT_NAME "Cupel Simulated Root"
#define FMSPC_TEXT "00ca9e100000"

enum {
	SCALAR_SIZE = 32,
	NAME_SIZE = 64,
	PATH_SIZE = 512,
	ROOT_ID_SIZE = 8,
	QE_REPORT_SIZE = 384,
	QE_AUTH_SIZE = 32,
	QE_ISVSVN = 6,
	QE_PRODUCT = 2,
	PCESVN = 13,
	CERTIFICATION_QE_REPORT = 6,
	CERTIFICATION_PCK_CHAIN = 5,
};

const uint8_t platform_tee_svn[PLATFORM_SVN_COUNT] = { 6, 1, 4 };
const uint8_t platform_sgx_svn[PLATFORM_SVN_COUNT] = { 5, 5, 2, 2, 4, 1, 0, 5 };

/* Everything alive while the directory is made. */
struct maker {
	const char *directory;
	uint64_t from_ms;
	uint64_t to_ms;
	char root_name[NAME_SIZE];
	struct sign_key *root, *ca, *pck, *signer, *attestation;
	struct buf root_der, ca_der, leaf_der, signer_der;
	struct buf pck_chain, signer_chain;
	uint8_t qe_signer[SHA256_SIZE];
};

static void maker_done(struct maker *m)
{
	struct sign_key *const keys[] = { m->root, m->ca, m->pck, m->signer, m->attestation };
	struct buf *const bufs[] = { &m->root_der, &m->ca_der, &m->leaf_der, &m->signer_der,
		&m->pck_chain, &m->signer_chain };
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		sign_key_free(keys[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bufs); i++)
		buf_done(bufs[i]);
}

int platform_write(
	const char *directory, const char *name, struct view bytes, mode_t mode, struct err *err)
{
	char path[PATH_SIZE];
	TRY(platform_path(directory, name, path, sizeof(path), err));
	return fd_write_file_atomic(path, bytes, mode, err);
}

static int write_file(
	const struct maker *m, const char *name, struct view bytes, mode_t mode, struct err *err)
{
	return platform_write(m->directory, name, bytes, mode, err);
}

int platform_make_key(const char *directory, const char *name, size_t scalar_size,
	struct sign_key **ret_key, struct err *err)
{
	AUTO(secret_done) struct secret scalar = {};
	TRY(secret_init(&scalar, scalar_size, err));
	int status = E_INVALID;
	while (status == E_INVALID) { /* out of range about once in 2^32 */
		rand_bytes(scalar.data, scalar.size);
		status = sign_key_from_scalar(secret_view(&scalar), ret_key, err);
	}
	TRY(status);
	return platform_write(directory, name, secret_view(&scalar), 0600, err);
}

static int make_keys(struct maker *m, struct err *err)
{
	struct sign_key **const keys[] = { &m->root, &m->ca, &m->pck, &m->signer };
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		TRY(sign_key_generate(SIGN_P256, keys[i], err));
	uint8_t point[PKI_POINT_SIZE], digest[SHA256_SIZE];
	char id[HEX_SIZE(ROOT_ID_SIZE)];
	TRY(pki_point(m->root, point, err));
	hash_bytes(HASH_SHA256, view_of(point, sizeof(point)), digest);
	hex_encode(view_of(digest, ROOT_ID_SIZE), id);
	TRY(str_format(m->root_name, sizeof(m->root_name), err, ROOT_NAME " %s", id));
	return platform_make_key(m->directory, "ak.key", SCALAR_SIZE, &m->attestation, err);
}

/* One (OID, value) pair of the PCK extension; oid ends with the arc. */
static int put_pair(
	struct buf *list, struct view prefix, unsigned arc, struct view value, struct err *err)
{
	auto_done(buf) oid = {};
	auto_done(buf) pair = {};
	TRY(buf_append(&oid, prefix, err));
	TRY(buf_append_be(&oid, arc, 1, err));
	TRY(der_put(&pair, DER_OID, buf_view(&oid), err));
	TRY(buf_append(&pair, value, err));
	return der_put(list, DER_SEQUENCE, buf_view(&pair), err);
}

static int put_number(
	struct buf *list, struct view prefix, unsigned arc, uint64_t number, struct err *err)
{
	auto_done(buf) value = {};
	TRY(der_put_unsigned(&value, number, err));
	return put_pair(list, prefix, arc, buf_view(&value), err);
}

static int put_octets(
	struct buf *list, struct view prefix, unsigned arc, struct view octets, struct err *err)
{
	auto_done(buf) value = {};
	TRY(der_put(&value, DER_OCTET_STRING, octets, err));
	return put_pair(list, prefix, arc, buf_view(&value), err);
}

/* SGX PCK Certificate Profile: PPID, TCB, PCEID, FMSPC, type, platform instance. */
static int make_pck_extension(struct view oid, struct buf *buf, struct err *err)
{
	static const uint8_t pceid[2], standard_type[] = { DER_ENUMERATED, 1, 1 };
	uint8_t ppid[16], instance[16], fmspc[6], tcb_prefix[10];
	auto_done(buf) tcb = {};
	auto_done(buf) tcb_value = {};
	auto_done(buf) list = {};
	rand_bytes(ppid, sizeof(ppid));
	rand_bytes(instance, sizeof(instance));
	TRY(hex_decode(view_string(FMSPC_TEXT), fmspc, sizeof(fmspc), err));
	memcpy(tcb_prefix, oid.data, oid.size);
	tcb_prefix[oid.size] = 2;
	struct view below_tcb = view_of(tcb_prefix, sizeof(tcb_prefix));
	for (unsigned i = 0; i < PLATFORM_SVN_COUNT; i++)
		TRY(put_number(&tcb, below_tcb, i + 1, platform_sgx_svn[i], err));
	TRY(put_number(&tcb, below_tcb, 17, PCESVN, err));
	TRY(put_octets(
		&tcb, below_tcb, 18, view_of(platform_sgx_svn, sizeof(platform_sgx_svn)), err));
	TRY(der_put(&tcb_value, DER_SEQUENCE, buf_view(&tcb), err));
	TRY(put_octets(&list, oid, 1, view_of(ppid, sizeof(ppid)), err));
	TRY(put_pair(&list, oid, 2, buf_view(&tcb_value), err));
	TRY(put_octets(&list, oid, 3, view_of(pceid, sizeof(pceid)), err));
	TRY(put_octets(&list, oid, 4, view_of(fmspc, sizeof(fmspc)), err));
	TRY(put_pair(&list, oid, 5, view_of(standard_type, sizeof(standard_type)), err));
	TRY(put_octets(&list, oid, 6, view_of(instance, sizeof(instance)), err));
	return der_put(buf, DER_SEQUENCE, buf_view(&list), err);
}

static int make_certificate(
	struct maker *m, struct pki_certificate certificate, struct buf *buf, struct err *err)
{
	certificate.not_before_ms = m->from_ms;
	certificate.not_after_ms = m->to_ms;
	return pki_certificate(&certificate, buf, err);
}

static int make_certificates(struct maker *m, struct err *err)
{
	static const uint8_t oid_sgx[] = { 0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01 };
	auto_done(buf) value = {};
	auto_done(buf) extension = {};
	struct view oid = view_of(oid_sgx, sizeof(oid_sgx));
	TRY(make_pck_extension(oid, &value, err));
	TRY(pki_extension(oid, buf_view(&value), &extension, err));
	struct pki_certificate root = { .common_name = m->root_name,
		.issuer_name = m->root_name,
		.serial = 1,
		.is_ca = true,
		.path_length = 1,
		.key = m->root,
		.issuer_key = m->root };
	struct pki_certificate ca = { .common_name = CA_NAME,
		.issuer_name = m->root_name,
		.serial = 2,
		.is_ca = true,
		.path_length = 0,
		.key = m->ca,
		.issuer_key = m->root };
	struct pki_certificate leaf = { .common_name = LEAF_NAME,
		.issuer_name = CA_NAME,
		.serial = 3,
		.key = m->pck,
		.issuer_key = m->ca,
		.extensions = buf_view(&extension) };
	struct pki_certificate signer = { .common_name = SIGNER_NAME,
		.issuer_name = m->root_name,
		.serial = 4,
		.key = m->signer,
		.issuer_key = m->root };
	TRY(make_certificate(m, root, &m->root_der, err));
	TRY(make_certificate(m, ca, &m->ca_der, err));
	TRY(make_certificate(m, leaf, &m->leaf_der, err));
	TRY(make_certificate(m, signer, &m->signer_der, err));
	const struct buf *const pck[] = { &m->leaf_der, &m->ca_der, &m->root_der };
	const struct buf *const tcb[] = { &m->signer_der, &m->root_der };
	for (size_t i = 0; i < ARRAY_SIZE(pck); i++)
		TRY(pki_pem(buf_view(pck[i]), &m->pck_chain, err));
	for (size_t i = 0; i < ARRAY_SIZE(tcb); i++)
		TRY(pki_pem(buf_view(tcb[i]), &m->signer_chain, err));
	return 0;
}

/* The report of the simulated quoting enclave, which binds the attestation key. */
static int make_qe_report(struct maker *m, struct view auth_data,
	uint8_t ret_report[static QE_REPORT_SIZE], struct err *err)
{
	uint8_t point[PKI_POINT_SIZE];
	memset(ret_report, 0, QE_REPORT_SIZE);
	memcpy(ret_report, platform_sgx_svn, sizeof(platform_sgx_svn));
	ret_report[48] = 0x11; /* INIT, PROVISION_KEY */
	ret_report[56] = 0xe7;
	hash_bytes(HASH_SHA256, view_string("cupel simulated quoting enclave"), ret_report + 64);
	memcpy(ret_report + 128, m->qe_signer, sizeof(m->qe_signer));
	ret_report[256] = QE_PRODUCT;
	ret_report[258] = QE_ISVSVN;
	TRY(pki_point(m->attestation, point, err));
	struct view bound[] = { view_of(point, sizeof(point)), auth_data };
	hash_parts(HASH_SHA256, bound, ARRAY_SIZE(bound), ret_report + 320);
	return 0;
}

static int make_certification(struct maker *m, struct err *err)
{
	uint8_t report[QE_REPORT_SIZE], signature[PKI_RAW_SIGNATURE_SIZE], auth[QE_AUTH_SIZE];
	auto_done(buf) inner = {};
	auto_done(buf) outer = {};
	rand_bytes(auth, sizeof(auth));
	TRY(make_qe_report(m, view_of(auth, sizeof(auth)), report, err));
	TRY(pki_sign_raw(m->pck, view_of(report, sizeof(report)), signature, err));
	TRY(buf_append(&inner, view_of(report, sizeof(report)), err));
	TRY(buf_append(&inner, view_of(signature, sizeof(signature)), err));
	TRY(buf_append_le(&inner, sizeof(auth), 2, err));
	TRY(buf_append(&inner, view_of(auth, sizeof(auth)), err));
	TRY(buf_append_le(&inner, CERTIFICATION_PCK_CHAIN, 2, err));
	TRY(buf_append_le(&inner, m->pck_chain.size, 4, err));
	TRY(buf_append(&inner, buf_view(&m->pck_chain), err));
	TRY(buf_append_le(&outer, CERTIFICATION_QE_REPORT, 2, err));
	TRY(buf_append_le(&outer, inner.size, 4, err));
	TRY(buf_append(&outer, buf_view(&inner), err));
	return write_file(m, "certification", buf_view(&outer), 0644, err);
}

static int put_components(struct buf *json, const uint8_t *svns, struct err *err)
{
	for (size_t i = 0; i < PLATFORM_SVN_COUNT; i++)
		TRY(buf_append_format(json, err, "%s{\"svn\":%u}", i ? "," : "", svns[i]));
	return 0;
}

#define ZEROS_16 "0000000000000000"
#define ZEROS_96 ZEROS_16 ZEROS_16 ZEROS_16 ZEROS_16 ZEROS_16 ZEROS_16
#define MODULE                                                     \
	"\"mrsigner\":\"" ZEROS_96 "\",\"attributes\":\"" ZEROS_16 \
	"\",\"attributesMask\":\"FFFFFFFFFFFFFFFF\""

static int make_tcb_info(const char *date, const char *next, struct buf *json, struct err *err)
{
	TRY(buf_append_format(json, err,
		"{\"id\":\"TDX\",\"version\":3,\"issueDate\":\"%s\",\"nextUpdate\":\"%s\","
		"\"fmspc\":\"" FMSPC_TEXT "\",\"pceId\":\"0000\",\"tcbType\":0,"
		"\"tcbEvaluationDataNumber\":1,\"tdxModule\":{" MODULE "},"
		"\"tdxModuleIdentities\":[{\"id\":\"TDX_%02X\"," MODULE
		",\"tcbLevels\":[{\"tcb\":{\"isvsvn\":%u},\"tcbDate\":\"%s\","
		"\"tcbStatus\":\"UpToDate\"}]}],\"tcbLevels\":[{\"tcb\":{\"sgxtcbcomponents\":[",
		date, next, platform_tee_svn[1], platform_tee_svn[0], date));
	TRY(put_components(json, platform_sgx_svn, err));
	TRY(buf_append_format(json, err, "],\"pcesvn\":%d,\"tdxtcbcomponents\":[", PCESVN));
	TRY(put_components(json, platform_tee_svn, err));
	return buf_append_format(
		json, err, "]},\"tcbDate\":\"%s\",\"tcbStatus\":\"UpToDate\"}]}", date);
}

static int make_qe_identity(const struct maker *m, const char *date, const char *next,
	struct buf *json, struct err *err)
{
	char signer[HEX_SIZE(SHA256_SIZE)];
	hex_encode(view_of(m->qe_signer, sizeof(m->qe_signer)), signer);
	return buf_append_format(json, err,
		"{\"id\":\"TD_QE\",\"version\":2,\"issueDate\":\"%s\",\"nextUpdate\":\"%s\","
		"\"tcbEvaluationDataNumber\":1,\"miscselect\":\"00000000\","
		"\"miscselectMask\":\"FFFFFFFF\","
		"\"attributes\":\"11000000000000000000000000000000\","
		"\"attributesMask\":\"FBFFFFFFFFFFFFFF0000000000000000\",\"mrsigner\":\"%s\","
		"\"isvprodid\":%d,\"tcbLevels\":[{\"tcb\":{\"isvsvn\":%d},\"tcbDate\":\"%s\","
		"\"tcbStatus\":\"UpToDate\"}]}",
		date, next, signer, QE_PRODUCT, QE_ISVSVN, date);
}

/* {"<member>":<body>,"signature":"<r||s over the body>"} */
static int write_document(
	struct maker *m, const char *file, const char *member, struct view body, struct err *err)
{
	uint8_t signature[PKI_RAW_SIGNATURE_SIZE];
	char text[HEX_SIZE(PKI_RAW_SIGNATURE_SIZE)];
	auto_done(buf) document = {};
	TRY(pki_sign_raw(m->signer, body, signature, err));
	hex_encode(view_of(signature, sizeof(signature)), text);
	TRY(buf_append_format(&document, err, "{\"%s\":", member));
	TRY(buf_append(&document, body, err));
	TRY(buf_append_format(&document, err, ",\"signature\":\"%s\"}", text));
	return write_file(m, file, buf_view(&document), 0644, err);
}

static int make_documents(struct maker *m, struct err *err)
{
	char from[TIME_TEXT_SIZE], to[TIME_TEXT_SIZE];
	auto_done(buf) tcb_info = {};
	auto_done(buf) identity = {};
	time_format(m->from_ms, from);
	time_format(m->to_ms, to);
	memcpy(from + 19, "Z", 2); /* whole seconds, as Intel writes them */
	memcpy(to + 19, "Z", 2);
	TRY(make_tcb_info(from, to, &tcb_info, err));
	TRY(make_qe_identity(m, from, to, &identity, err));
	TRY(write_document(m, "collateral/tcb_info.json", "tcbInfo", buf_view(&tcb_info), err));
	TRY(write_document(
		m, "collateral/qe_identity.json", "enclaveIdentity", buf_view(&identity), err));
	TRY(write_file(m, "collateral/tcb_chain.pem", buf_view(&m->signer_chain), 0644, err));
	return write_file(m, "collateral/qe_chain.pem", buf_view(&m->signer_chain), 0644, err);
}

static int make_crls(struct maker *m, struct err *err)
{
	auto_done(buf) root_crl = {};
	auto_done(buf) pck_crl = {};
	TRY(pki_crl(m->root_name, m->root, m->from_ms, m->to_ms, &root_crl, err));
	TRY(pki_crl(CA_NAME, m->ca, m->from_ms, m->to_ms, &pck_crl, err));
	TRY(write_file(m, "collateral/root_crl.der", buf_view(&root_crl), 0644, err));
	return write_file(m, "collateral/pck_crl.der", buf_view(&pck_crl), 0644, err);
}

int platform_make_directories(const char *directory, struct err *err)
{
	char path[PATH_SIZE];
	struct stat status;
	/* root.der is written last, so its presence means that the directory is complete. */
	TRY(platform_path(directory, "root.der", path, sizeof(path), err));
	if (stat(path, &status) == 0)
		return err_set(err, E_CONFLICT, "%s exists; a platform is made once", path);
	if (mkdir(directory, 0700) < 0 && errno != EEXIST)
		return err_sys(err, E_UNAVAILABLE, "making directory %s", directory);
	TRY(platform_path(directory, "collateral", path, sizeof(path), err));
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_sys(err, E_UNAVAILABLE, "making directory %s", path);
	return 0;
}

int platform_init(const char *directory, uint64_t now_ms, struct err *err)
{
	TRY(platform_make_directories(directory, err));
	AUTO(maker_done)
	struct maker m = {
		.directory = directory,
		.from_ms = platform_from_ms(now_ms),
		.to_ms = platform_to_ms(now_ms),
	};
	hash_bytes(HASH_SHA256, view_string("cupel simulated quoting enclave signer"), m.qe_signer);
	TRY(make_keys(&m, err));
	TRY(make_certificates(&m, err));
	TRY(make_certification(&m, err));
	TRY(make_documents(&m, err));
	TRY(make_crls(&m, err));
	return write_file(&m, "root.der", buf_view(&m.root_der), 0644, err);
}
