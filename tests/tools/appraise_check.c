/*
 * A suite of attestation cases in the form of the shared vectors, judged by the core: one line per
 * case with the verdict and all reasons, for tests/integration/oracle to compare with its own.
 *   appraise_check tdx|snp|tpm|azure|jwt FOLDER      (reads FOLDER/cases.json)
 */
#include <stdlib.h>

#include "unit.h"

/* The loaders are the unit tests'; outside a test their assertions end the program. */
#undef ck_assert_msg
#define ck_assert_msg(holds, ...) ((holds) ? (void)0 : abort())

#include "appraise_load.h"

#define SUITE_BYTES_MAX (64 << 20)

static void appraise_case(struct vector_case *c, const char *kind, struct appraise_result *result)
{
	static struct tdx_case tdx; /* large, all of them */
	static struct snp_case snp;
	static struct tpm_case tpm;
	static struct azure_case azure;
	static struct token_case token;
	if (str_equal(kind, "tdx")) {
		load_tdx(c, &tdx);
		appraise_tdx(&tdx.input, result);
	} else if (str_equal(kind, "snp")) {
		load_snp(c, &snp);
		appraise_snp(&snp.input, result);
	} else if (str_equal(kind, "azure")) {
		load_azure(c, &azure);
		appraise_azure(&azure.input, result);
	} else if (str_equal(kind, "jwt")) {
		load_token(c, &token);
		token.appraise(&token.input, result);
	} else {
		load_tpm(c, &tpm);
		appraise_tpm(&tpm.input, result);
	}
}

static void show(const struct vector_case *c, const struct appraise_result *result)
{
	printf("%s\t%s\t", json_as_string(json_get(c->json, "id")),
		result->is_accepted ? "valid" : "refused");
	for (size_t i = 0; i < MIN(result->reason_count, (size_t)APPRAISE_REASONS_MAX); i++)
		printf("%s%s", i ? " " : "", result->reasons[i].code);
	printf("\n");
}

int main(int count, char **arguments)
{
	char path[512];
	struct err err;
	auto_done(buf) text = {};
	auto_json *cases = NULL;
	if (count != 3)
		return 2;
	if (str_format(path, sizeof(path), &err, "%s/cases.json", arguments[2]) < 0 ||
		fd_read_file(path, SUITE_BYTES_MAX, &text, &err) < 0 ||
		json_parse(buf_view(&text), SUITE_BYTES_MAX, &cases, &err) < 0) {
		(void)fprintf(stderr, "appraise_check: %s\n", err.message);
		return 1;
	}
	for (size_t i = 0; i < json_size(cases); i++) {
		static struct vector_case c;
		c = (struct vector_case){
			.root = arguments[2], .folder = ".", .json = json_at(cases, i)
		};
		static struct appraise_result result;
		appraise_case(&c, arguments[1], &result);
		show(&c, &result);
		for (size_t f = 0; f < c.file_count; f++)
			buf_done(&c.files[f]);
	}
	return 0;
}
