/*
 * See tdx_quote.h. Every length is read where it stands and must use up what contains it.
 */
#include "rules/appraise/tdx_quote.h"

enum {
	VERSION_4 = 4,
	VERSION_5 = 5,
	KEY_ECDSA_P256 = 2,
	TEE_TDX = 0x81,
	BODY_TDX_10 = 2,
	BODY_TDX_15 = 3,
	CERT_QE_REPORT = 6,
	CERT_PCK_CHAIN = 5,
	SVN_SIZE = 16,
	ATTRIBUTES_SIZE = 8,
	SIGNATURE_SIZE = 64,
	KEY_SIZE = 64,
	VENDOR_SIZE = 16,
	USER_DATA_SIZE = 20,
};

/* Intel's quoting enclave: 939a7233-f79c-4ca9-940a-0db3957f0607. */
static const uint8_t vendor_intel[VENDOR_SIZE] = { 0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
	0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07 };

/* The first fault of a parse: code and place. */
struct fault {
	const char *code;
	size_t offset;
};

static bool fail(struct fault *fault, const char *code, size_t offset)
{
	*fault = (struct fault){ code, offset };
	return false;
}

static bool parse_header(struct reader *reader, struct tdx_quote *quote, struct fault *fault)
{
	if (reader->rest.size < TDX_QUOTE_HEADER_SIZE)
		return fail(fault, "parse.truncated", reader->rest.size);
	quote->version = (unsigned)reader_le(reader, 2);
	uint64_t key_type = reader_le(reader, 2);
	uint64_t tee_type = reader_le(reader, 4);
	(void)reader_take(reader, 4); /* reserved; SVNs of QE and PCE in old headers; signed */
	struct view vendor = reader_take(reader, VENDOR_SIZE);
	(void)reader_take(reader, USER_DATA_SIZE);
	if (quote->version == TDX_QUOTE_VERSION_SGX && tee_type == TEE_TDX)
		return fail(fault, "parse.version_tee", 4);
	if (quote->version != VERSION_4 && quote->version != VERSION_5)
		return fail(fault, "parse.version", 0);
	if (tee_type != TEE_TDX)
		return fail(fault, "parse.version_tee", 4);
	if (key_type != KEY_ECDSA_P256)
		return fail(fault, "parse.att_key_type", 2);
	if (!view_equal(vendor, view_of(vendor_intel, sizeof(vendor_intel))))
		return fail(fault, "parse.qe_vendor", 12);
	return true;
}

/* Which body, by version or by the type and size that version 5 puts before it. */
static bool take_body(struct reader *reader, struct tdx_quote *quote, struct fault *fault)
{
	size_t size = TDX_BODY_10_SIZE, at = reader->offset;
	if (quote->version == VERSION_5) {
		uint64_t type = reader_le(reader, 2);
		uint64_t declared = reader_le(reader, 4);
		if (reader->failed)
			return fail(fault, "parse.truncated", at);
		if (type != BODY_TDX_10 && type != BODY_TDX_15)
			return fail(fault, "parse.body_type", at);
		size = type == BODY_TDX_10 ? TDX_BODY_10_SIZE : TDX_BODY_15_SIZE;
		if (declared != size)
			return fail(fault, "parse.body_type", at + 2);
	}
	at = reader->offset;
	quote->body = reader_take(reader, size);
	if (reader->failed)
		return fail(fault, "parse.truncated", at);
	return true;
}

static void split_body(struct tdx_quote *quote)
{
	struct reader body = reader_of(quote->body);
	struct {
		struct view *field;
		size_t size;
	} const fields[] = {
		{ &quote->tee_tcb_svn, SVN_SIZE },
		{ &quote->mr_seam, TDX_MEASUREMENT_SIZE },
		{ &quote->mr_signer_seam, TDX_MEASUREMENT_SIZE },
		{ &quote->seam_attributes, ATTRIBUTES_SIZE },
		{ &quote->td_attributes, ATTRIBUTES_SIZE },
		{ &quote->xfam, ATTRIBUTES_SIZE },
		{ &quote->mrtd, TDX_MEASUREMENT_SIZE },
		{ &quote->mr_config_id, TDX_MEASUREMENT_SIZE },
		{ &quote->mr_owner, TDX_MEASUREMENT_SIZE },
		{ &quote->mr_owner_config, TDX_MEASUREMENT_SIZE },
		{ &quote->rtmr[0], TDX_MEASUREMENT_SIZE },
		{ &quote->rtmr[1], TDX_MEASUREMENT_SIZE },
		{ &quote->rtmr[2], TDX_MEASUREMENT_SIZE },
		{ &quote->rtmr[3], TDX_MEASUREMENT_SIZE },
		{ &quote->report_data, TDX_REPORT_DATA_SIZE },
	};
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		*fields[i].field = reader_take(&body, fields[i].size);
	if (body.rest.size == 0)
		return;
	quote->tee_tcb_svn2 = reader_take(&body, SVN_SIZE);
	quote->mr_service_td = reader_take(&body, TDX_MEASUREMENT_SIZE);
}

/* Type and size of certification data; the data itself is left in *ret_data. */
static bool take_certification(struct reader *reader, unsigned type, const char *type_code,
	struct reader *ret_data, struct fault *fault)
{
	size_t at = reader->offset;
	uint64_t got = reader_le(reader, 2);
	uint64_t size = reader_le(reader, 4);
	if (reader->failed)
		return fail(fault, "parse.truncated", at);
	if (got != type)
		return fail(fault, type_code, at);
	at = reader->offset;
	struct view data = reader_take(reader, (size_t)size);
	if (reader->failed)
		return fail(fault, "parse.truncated", at);
	if (reader->rest.size > 0)
		return fail(fault, "parse.auth_trailing", reader->offset);
	*ret_data = reader_of(data);
	ret_data->offset = at;
	return true;
}

static bool parse_signature_data(struct reader *auth, struct tdx_quote *quote, struct fault *fault)
{
	struct reader qe, chain;
	size_t at = auth->offset;
	quote->signature = reader_take(auth, SIGNATURE_SIZE);
	quote->attestation_key = reader_take(auth, KEY_SIZE);
	if (auth->failed)
		return fail(fault, "parse.truncated", at);
	if (!take_certification(auth, CERT_QE_REPORT, "parse.cert_type", &qe, fault))
		return false;
	at = qe.offset;
	quote->qe_report = reader_take(&qe, TDX_QE_REPORT_SIZE);
	quote->qe_report_signature = reader_take(&qe, SIGNATURE_SIZE);
	quote->qe_auth_data = reader_take(&qe, (size_t)reader_le(&qe, 2));
	if (qe.failed)
		return fail(fault, "parse.truncated", at);
	if (!take_certification(&qe, CERT_PCK_CHAIN, "parse.cert_type_inner", &chain, fault))
		return false;
	quote->pck_pem = chain.rest;
	return true;
}

static bool parse(struct view bytes, struct tdx_quote *quote, struct fault *fault)
{
	struct reader reader = reader_of(bytes);
	if (bytes.size > APPRAISE_EVIDENCE_MAX)
		return fail(fault, "parse.length", APPRAISE_EVIDENCE_MAX);
	if (!parse_header(&reader, quote, fault) || !take_body(&reader, quote, fault))
		return false;
	quote->signed_part = view_of(bytes.data, reader.offset);
	split_body(quote);
	size_t at = reader.offset;
	size_t size = (size_t)reader_le(&reader, 4);
	struct reader auth = reader_of(reader_take(&reader, size));
	if (reader.failed)
		return fail(fault, "parse.truncated", at);
	auth.offset = at + 4;
	if (!parse_signature_data(&auth, quote, fault))
		return false;
	for (size_t i = 0; i < reader.rest.size; i++)
		if (reader.rest.data[i] != 0) {
			(void)fail(fault, "parse.trailing_nonzero", reader.offset + i);
			break;
		}
	return true;
}

bool tdx_quote_parse(
	struct view bytes, struct tdx_quote *ret_quote, const char **ret_code, size_t *ret_offset)
{
	struct tdx_quote quote = {};
	struct fault fault = {};
	bool is_parsed = parse(bytes, &quote, &fault);
	*ret_code = fault.code;
	*ret_offset = fault.offset;
	if (is_parsed)
		*ret_quote = quote;
	return is_parsed;
}
