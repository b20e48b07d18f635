/*
 * A TPM 2.0 (vTPM): a quote over PCR 0 to 15 of the SHA-256 bank by an attestation key made in the
 * endorsement hierarchy from a fixed template, so that it is the same key each time on one TPM.
 * Evidence is a bundle (rules/appraise/bundle.h): attest.bin, signature.bin, ak_public.bin,
 * pcrs.json. Many TPMs take no 64 bytes of qualifying data, so they quote SHA-256 of the report
 * data: that is the nonce a policy expects.
 *
 * path is a TCTI of tpm2-tss, e.g. "device:/dev/tpmrm0" (the usual place) or "swtpm:port=2321".
 */
#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_tctildr.h>

#include "engines/evidence/internal.h"
#include "kit/base/fd.h"
#include "kit/codec/hex.h"
#include "kit/crypto/hash.h"

#define TCTI_USUAL "device:/dev/tpmrm0"
#define BUNDLE_MAGIC "cupelbd1"

enum {
	PCR_COUNT = 16, /* 16 to 23 can be reset by anybody */
	PCR_BYTES = 3,
	STRUCTURE_MAX = 2048,
	READS_MAX = 8,
};

/* What a quote needs of the TPM, released together. */
struct tpm {
	TSS2_TCTI_CONTEXT *tcti;
	ESYS_CONTEXT *esys;
	ESYS_TR ak;
	TPM2B_PUBLIC *public;
	TPM2B_ATTEST *attest;
	TPMT_SIGNATURE *signature;
};

static void tpm_done(struct tpm *tpm)
{
	if (tpm->esys && tpm->ak != ESYS_TR_NONE)
		(void)Esys_FlushContext(tpm->esys, tpm->ak);
	Esys_Free(tpm->public);
	Esys_Free(tpm->attest);
	Esys_Free(tpm->signature);
	if (tpm->esys)
		Esys_Finalize(&tpm->esys);
	if (tpm->tcti)
		Tss2_TctiLdr_Finalize(&tpm->tcti);
}

static int fail(struct err *err, const char *what, TSS2_RC code)
{
	return err_set(err, E_UNAVAILABLE, "%s: TPM code 0x%08x", what, code);
}

/* ECC P-256, restricted signing with ECDSA and SHA-256, bound to this TPM. */
static int make_key(struct tpm *tpm, struct err *err)
{
	const TPM2B_PUBLIC template = {
		.publicArea = {
			.type = TPM2_ALG_ECC,
			.nameAlg = TPM2_ALG_SHA256,
			.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
				TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
				TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN_ENCRYPT,
			.parameters.eccDetail = {
				.symmetric.algorithm = TPM2_ALG_NULL,
				.scheme = { .scheme = TPM2_ALG_ECDSA,
					.details.ecdsa.hashAlg = TPM2_ALG_SHA256 },
				.curveID = TPM2_ECC_NIST_P256,
				.kdf.scheme = TPM2_ALG_NULL,
			},
		},
	};
	const TPM2B_SENSITIVE_CREATE sensitive = {};
	const TPM2B_DATA outside = {};
	const TPML_PCR_SELECTION no_pcrs = {};
	TPM2B_CREATION_DATA *data = NULL;
	TPM2B_DIGEST *digest = NULL;
	TPMT_TK_CREATION *ticket = NULL;
	TSS2_RC code = Esys_CreatePrimary(tpm->esys, ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD,
		ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, &template, &outside, &no_pcrs, &tpm->ak,
		&tpm->public, &data, &digest, &ticket);
	Esys_Free(data);
	Esys_Free(digest);
	Esys_Free(ticket);
	return code == TSS2_RC_SUCCESS ? 0 : fail(err, "making an attestation key", code);
}

static int open_tpm(const char *tcti, struct tpm *tpm, struct err *err)
{
	TSS2_RC code = Tss2_TctiLdr_Initialize(tcti, &tpm->tcti);
	if (code != TSS2_RC_SUCCESS)
		return fail(err, "connecting to the TPM", code);
	code = Esys_Initialize(&tpm->esys, tpm->tcti, NULL);
	if (code != TSS2_RC_SUCCESS)
		return fail(err, "starting with the TPM", code);
	return make_key(tpm, err);
}

static int make_quote(struct tpm *tpm, struct view report_data, struct err *err)
{
	const TPMT_SIG_SCHEME scheme = { .scheme = TPM2_ALG_NULL }; /* the key's own */
	const TPML_PCR_SELECTION selection = { .count = 1,
		.pcrSelections = { { .hash = TPM2_ALG_SHA256,
			.sizeofSelect = PCR_BYTES,
			.pcrSelect = { 0xff, 0xff, 0 } } } };
	TPM2B_DATA qualifying = { .size = SHA256_SIZE };
	hash_bytes(HASH_SHA256, report_data, qualifying.buffer);
	TSS2_RC code = Esys_Quote(tpm->esys, tpm->ak, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
		&qualifying, &scheme, &selection, &tpm->attest, &tpm->signature);
	return code == TSS2_RC_SUCCESS ? 0 : fail(err, "quoting", code);
}

/* The values of one answer, in the order of its selection. */
static int put_values(const TPML_PCR_SELECTION *got, const TPML_DIGEST *values, uint32_t *missing,
	struct buf *json, struct err *err)
{
	size_t next = 0;
	for (size_t pcr = 0; got->count == 1 && pcr < PCR_COUNT; pcr++) {
		char hex[HEX_SIZE(sizeof(TPMU_HA))];
		if (!(got->pcrSelections[0].pcrSelect[pcr / 8] & 1U << pcr % 8))
			continue;
		if (next == values->count || values->digests[next].size != SHA256_SIZE)
			return err_set(err, E_INTEGRITY, "the TPM's register values are malformed");
		hex_encode(view_of(values->digests[next].buffer, SHA256_SIZE), hex);
		next++;
		TRY(buf_append_format(json, err, "%s\"%zu\":\"%s\"",
			*missing == (1U << PCR_COUNT) - 1 ? "" : ",", pcr, hex));
		*missing &= ~(1U << pcr);
	}
	return 0;
}

/* A TPM gives eight values at a time. */
static int read_registers(struct tpm *tpm, struct buf *json, struct err *err)
{
	uint32_t missing = (1U << PCR_COUNT) - 1;
	TRY(buf_append_string(json, "{\"bank\":\"sha256\",\"values\":{", err));
	for (size_t i = 0; missing && i < READS_MAX; i++) {
		const TPML_PCR_SELECTION wanted = { .count = 1,
			.pcrSelections = { { .hash = TPM2_ALG_SHA256,
				.sizeofSelect = PCR_BYTES,
				.pcrSelect = { missing & 0xff, missing >> 8 & 0xff, 0 } } } };
		TPML_PCR_SELECTION *got = NULL;
		TPML_DIGEST *values = NULL;
		TSS2_RC code = Esys_PCR_Read(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
			&wanted, NULL, &got, &values);
		int status = code == TSS2_RC_SUCCESS ? put_values(got, values, &missing, json, err)
						     : fail(err, "reading registers", code);
		Esys_Free(got);
		Esys_Free(values);
		TRY(status);
	}
	if (missing)
		return err_set(err, E_UNAVAILABLE, "the TPM has no SHA-256 bank");
	return buf_append_string(json, "}}", err);
}

static int put_item(struct buf *bundle, const char *name, struct view content, struct err *err)
{
	TRY(buf_append_be(bundle, strlen(name), 1, err));
	TRY(buf_append_string(bundle, name, err));
	TRY(buf_append_le(bundle, content.size, 4, err));
	return buf_append(bundle, content, err);
}

static int put_bundle(struct tpm *tpm, struct view registers, struct buf *bundle, struct err *err)
{
	uint8_t signature[STRUCTURE_MAX], public[STRUCTURE_MAX];
	size_t signature_size = 0, public_size = 0;
	TSS2_RC code = Tss2_MU_TPMT_SIGNATURE_Marshal(
		tpm->signature, signature, sizeof(signature), &signature_size);
	if (code == TSS2_RC_SUCCESS)
		code = Tss2_MU_TPMT_PUBLIC_Marshal(
			&tpm->public->publicArea, public, sizeof(public), &public_size);
	if (code != TSS2_RC_SUCCESS)
		return fail(err, "encoding the quote", code);
	TRY(buf_append_string(bundle, BUNDLE_MAGIC, err));
	TRY(put_item(bundle, "attest.bin", view_of(tpm->attest->attestationData, tpm->attest->size),
		err));
	TRY(put_item(bundle, "signature.bin", view_of(signature, signature_size), err));
	TRY(put_item(bundle, "pcrs.json", registers, err));
	return put_item(bundle, "ak_public.bin", view_of(public, public_size), err);
}

int evidence_vtpm(const struct evidence_source *source, const struct evidence_request *request,
	struct buf *quote, struct err *err)
{
	AUTO(tpm_done) struct tpm tpm = { .ak = ESYS_TR_NONE };
	auto_done(buf) registers = {};
	TRY(open_tpm(source->path ? source->path : TCTI_USUAL, &tpm, err));
	TRY(make_quote(&tpm, request->report_data, err));
	TRY(read_registers(&tpm, &registers, err));
	return put_bundle(&tpm, buf_view(&registers), quote, err);
}
