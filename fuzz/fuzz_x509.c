/* kit/crypto x509: certificates, CRLs and PEM from anywhere. */
#include "fuzz.h"

#include "kit/crypto/x509.h"

FUZZ_INITIALIZE

static bool is_inside(struct view part, struct view whole)
{
	return part.size == 0 ||
	       (part.data >= whole.data && part.data + part.size <= whole.data + whole.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view bytes = view_of(data, size), value;
	struct view certificates[X509_CHAIN_MAX];
	struct x509 certificate;
	struct x509_crl crl;
	struct err err;
	auto_done(buf) der = {};
	size_t count;
	static const uint8_t oid[] = { 0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01 };
	if (x509_parse(bytes, &certificate, &err) == 0) {
		MUST(is_inside(certificate.tbs, bytes) && is_inside(certificate.spki, bytes));
		MUST(is_inside(certificate.key.modulus, bytes));
		if (x509_extension(&certificate, view_of(oid, sizeof(oid)), &value))
			MUST(is_inside(value, bytes));
		(void)x509_name_is(certificate.subject, "Intel SGX Root CA");
		(void)x509_has_extended_usage(&certificate, view_of(oid, sizeof(oid)));
		(void)x509_verify(&certificate, &certificate.key, &err);
	}
	if (x509_crl_parse(bytes, &crl, &err) == 0)
		(void)x509_crl_lists(&crl, view_of(oid, sizeof(oid)));
	if (x509_pem(bytes, &der, certificates, X509_CHAIN_MAX, &count, &err) == 0)
		for (size_t i = 0; i < count; i++)
			(void)x509_parse(certificates[i], &certificate, &err);
	return 0;
}
