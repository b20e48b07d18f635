/*
 * cupel attest collateral fetch, refresh: what a quote needs from a service shaped like Intel's PCS
 * (or a PCCS), what an SNP report needs from one shaped like AMD's KDS. Everything is fetched
 * before anything is written. Nothing is believed here: the appraisal checks every signature, so a
 * lying service can only be a missing one.
 *
 * https only; http to this machine alone, for a PCCS beside us and for tests. No redirects.
 */
#include <curl/curl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "kit/base/fd.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"
#include "kit/base/time.h"
#include "kit/codec/hex.h"
#include "programs/cupel-attest/attest.h"
#include "rules/appraise/snp_report.h"
#include "rules/appraise/snp_vek.h"
#include "rules/appraise/tdx_internal.h"

enum {
	BODY_MAX = 4 << 20,
	CHAIN_MAX = 64 << 10,
	URL_SIZE = 512,
	TIMEOUT_S = 20,
	STATUS_OK = 200,
	FMSPC_SIZE = 6,
	CHIP_SIZE = 64,
	CHIP_SIZE_TURIN = 8,
	FMC_SIZE = 16,
	HOUR_MS = 3600000,
	MARGIN_HOURS = 7 * 24, /* Intel's documents last 30 days */
	MARGIN_HOURS_MAX = 10000,
};

/* One request and where its parts go. */
struct resource {
	const char *path;         /* behind the service's URL; %s: FMSPC or CA */
	const char *chain_header; /* NULL: none */
	enum bundle_item body_item;
	enum bundle_item chain_item;
	bool needs_fmspc, needs_ca;
};

static const struct resource resources[] = {
	{ "/tdx/certification/v4/tcb?fmspc=%s", "TCB-Info-Issuer-Chain", BUNDLE_TCB_INFO,
		BUNDLE_TCB_CHAIN, true, false },
	{ "/tdx/certification/v4/qe/identity", "SGX-Enclave-Identity-Issuer-Chain",
		BUNDLE_QE_IDENTITY, BUNDLE_QE_CHAIN, false, false },
	{ "/sgx/certification/v4/pckcrl?ca=%s&encoding=der", NULL, BUNDLE_PCK_CRL,
		BUNDLE_ITEM_COUNT, false, true },
	{ "/sgx/certification/v4/rootcacrl", NULL, BUNDLE_ROOT_CRL, BUNDLE_ITEM_COUNT, false,
		false },
};

struct fetch {
	CURL *curl;
	const char *service;
	const char *root_crl; /* URL of its own, or NULL */
	char fmspc[HEX_SIZE(FMSPC_SIZE)];
	const char *ca;
	const struct resource *resource;
	struct buf body, chain;
	struct buf items[BUNDLE_ITEM_COUNT];
	const char *ca_file; /* roots for https; NULL: the system's */
	uint64_t now_ms, margin_ms;
};

static void fetch_done(struct fetch *f)
{
	curl_easy_cleanup(f->curl);
	buf_done(&f->body);
	buf_done(&f->chain);
	for (size_t i = 0; i < ARRAY_SIZE(f->items); i++)
		buf_done(&f->items[i]);
}

/* The platform's FMSPC and CA, from the quote's own PCK certificate. */
static int read_platform(struct fetch *f, struct view quote_bytes, struct err *err)
{
	struct tdx_quote quote;
	struct view certificates[X509_CHAIN_MAX];
	struct x509 leaf;
	struct pck_extension pck;
	auto_done(buf) der = {};
	const char *code;
	size_t offset, count = 0;
	if (!tdx_quote_parse(quote_bytes, &quote, &code, &offset))
		return err_set(err, E_INVALID, "%s at byte %zu", code, offset);
	TRY(x509_pem(quote.pck_pem, &der, certificates, X509_CHAIN_MAX, &count, err));
	if (count == 0 || x509_parse(certificates[0], &leaf, err) < 0 ||
		pck_extension_parse(&leaf, &pck) != NULL)
		return err_set(
			err, E_INVALID, "the quote has no PCK certificate that names a platform");
	hex_encode(pck.fmspc, f->fmspc);
	f->ca = x509_name_is(leaf.issuer, "Intel SGX PCK Processor CA") ? "processor" : "platform";
	return 0;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
	struct fetch *f = context;
	struct err ignored;
	return buf_append(&f->body, view_of(bytes, size * count), &ignored) == 0 ? size * count : 0;
}

static int hex_digit(char digit)
{
	const char *digits = "0123456789abcdef", *found = strchr(digits, digit | 0x20);
	return digit && found ? (int)(found - digits)
			      : -1; /* lint: return-minus-one because none */
}

/* The issuer chain comes as a percent-encoded header. */
static int put_decoded(struct buf *chain, struct view text, struct err *err)
{
	for (size_t i = 0; i < text.size; i++) {
		uint8_t byte = text.data[i];
		bool is_escape = byte == '%' && i + 2 < text.size;
		int high = is_escape ? hex_digit((char)text.data[i + 1]) : 0;
		int low = is_escape ? hex_digit((char)text.data[i + 2]) : 0;
		if (byte == '\r' || byte == '\n')
			continue;
		if (high < 0 || low < 0)
			return err_set(err, E_INTEGRITY, "a chain header is malformed");
		if (is_escape) {
			byte = (uint8_t)(high << 4 | low);
			i += 2;
		}
		TRY(buf_append(chain, view_of(&byte, 1), err));
	}
	return 0;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *context)
{
	struct fetch *f = context;
	const char *name = f->resource->chain_header;
	struct view line = view_of(bytes, size * count);
	struct err ignored;
	size_t name_size = name ? strlen(name) : 0;
	bool is_chain = name && line.size > name_size + 2 &&
			strncasecmp(bytes, name, name_size) == 0 && bytes[name_size] == ':';
	if (!is_chain)
		return line.size;
	size_t at = name_size + 1;
	while (at < line.size && bytes[at] == ' ')
		at++;
	return put_decoded(&f->chain, view_of(line.data + at, line.size - at), &ignored) == 0
		       ? line.size
		       : 0;
}

static bool is_allowed(const char *url)
{
	return str_starts(url, "https://") || str_starts(url, "http://127.0.0.1:") ||
	       str_starts(url, "http://[::1]:") || str_starts(url, "http://localhost:");
}

static int perform(struct fetch *f, const char *url, struct err *err)
{
	char message[CURL_ERROR_SIZE] = "";
	long status = 0;
	if (!is_allowed(url))
		return err_set(
			err, E_DENIED, "expected https (http only to this machine): %.64s", url);
	f->body.size = 0;
	f->chain.size = 0;
	curl_easy_reset(f->curl);
	(void)curl_easy_setopt(f->curl, CURLOPT_URL, url);
	(void)curl_easy_setopt(f->curl, CURLOPT_PROTOCOLS_STR, "https,http");
	(void)curl_easy_setopt(f->curl, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(f->curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
	(void)curl_easy_setopt(f->curl, CURLOPT_NOSIGNAL, 1L);
	if (f->ca_file)
		(void)curl_easy_setopt(f->curl, CURLOPT_CAINFO, f->ca_file);
	(void)curl_easy_setopt(f->curl, CURLOPT_ERRORBUFFER, message);
	(void)curl_easy_setopt(f->curl, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(f->curl, CURLOPT_WRITEDATA, f);
	(void)curl_easy_setopt(f->curl, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(f->curl, CURLOPT_HEADERDATA, f);
	CURLcode code = curl_easy_perform(f->curl);
	if (code != CURLE_OK)
		return err_set(err, E_UNAVAILABLE, "%.200s: %.100s", url,
			message[0] ? message : curl_easy_strerror(code));
	(void)curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status != STATUS_OK)
		return err_set(err, E_UNAVAILABLE, "%.200s: status %ld, expected 200", url, status);
	if (f->body.size == 0)
		return err_set(err, E_INTEGRITY, "%.200s: an empty answer", url);
	return 0;
}

/* A PCCS gives the root CRL as hexadecimal text, Intel as DER. */
static int keep_body(struct fetch *f, enum bundle_item item, struct err *err)
{
	struct view text = buf_view(&f->body);
	struct buf *to = &f->items[item];
	struct err ignored;
	if (item != BUNDLE_ROOT_CRL || text.size % 2)
		return buf_append(to, text, err);
	TRY(buf_reserve(to, text.size / 2, err));
	if (hex_decode(text, to->data, text.size / 2, &ignored) < 0)
		return buf_append(to, text, err);
	to->size = text.size / 2;
	return 0;
}

static int get(struct fetch *f, const struct resource *resource, struct err *err)
{
	char url[URL_SIZE], path[URL_SIZE];
	const char *part = resource->needs_fmspc ? f->fmspc : f->ca;
	const char *at = strstr(resource->path, "%s");
	if (at)
		TRY(str_format(path, sizeof(path), err, "%.*s%s%s", (int)(at - resource->path),
			resource->path, part, at + 2));
	else
		TRY(str_format(path, sizeof(path), err, "%s", resource->path));
	bool has_own_url = resource->body_item == BUNDLE_ROOT_CRL && f->root_crl;
	TRY(str_format(url, sizeof(url), err, "%s%s", has_own_url ? f->root_crl : f->service,
		has_own_url ? "" : path));
	f->resource = resource;
	TRY(perform(f, url, err));
	TRY(keep_body(f, resource->body_item, err));
	if (!resource->chain_header)
		return 0;
	if (f->chain.size == 0)
		return err_set(
			err, E_INTEGRITY, "%.200s: no header %s", url, resource->chain_header);
	return buf_append(&f->items[resource->chain_item], buf_view(&f->chain), err);
}

/* ---- AMD: VCEK by chip and reported TCB, ASK and ARK, CRL ----------------------------------- */

static int get_from(struct fetch *f, struct err *err, const char *format, ...) PRINTF(3, 4);

static int get_from(struct fetch *f, struct err *err, const char *format, ...)
{
	static const struct resource plain = {};
	auto_done(buf) url = {};
	char path[URL_SIZE];
	va_list args;
	va_start(args, format);
	int size = vsnprintf(path, sizeof(path), format, args);
	va_end(args);
	if (size < 0 || (size_t)size >= sizeof(path))
		return err_set(err, E_LIMIT, "an address of %d bytes", size);
	f->resource = &plain;
	TRY(buf_append_format(&url, err, "%s%s", f->service, path));
	return perform(f, buf_string(&url), err);
}

/* cert_chain is PEM: ASK, then ARK. */
static int keep_chain(struct fetch *f, struct err *err)
{
	struct view certificates[X509_CHAIN_MAX];
	auto_done(buf) der = {};
	size_t count = 0;
	TRY(x509_pem(buf_view(&f->body), &der, certificates, X509_CHAIN_MAX, &count, err));
	if (count != 2)
		return err_set(err, E_INTEGRITY,
			"a chain of %zu certificates, expected ASK and ARK", count);
	TRY(buf_append(&f->items[BUNDLE_INTERMEDIATE], certificates[0], err));
	return buf_append(&f->items[BUNDLE_ARK_0], certificates[1], err);
}

/*
 * The product a report does not name (version 2), its VEK may. A VLEK is given to the host only;
 * there is none to be fetched, so it must come with the report.
 */
static int find_product(const struct bundle *evidence, const struct snp_report *report,
	enum snp_product *ret_product, struct err *err)
{
	struct snp_collateral given = { .vek = evidence->items[BUNDLE_VEK] };
	struct view table = evidence->items[BUNDLE_CERTIFICATES];
	bool is_vlek = report->signing_key == SNP_SIGNED_BY_VLEK;
	struct x509 certificate;
	struct snp_vek vek;
	if (table.size > 0)
		given.vek = (struct view){};
	if (table.size > 0 && !snp_certificates_parse(table, &given))
		return err_set(err, E_INVALID, "malformed certificate table");
	*ret_product = report->product;
	if (given.vek.size == 0 && is_vlek)
		return err_set(err, E_UNSUPPORTED,
			"the report is signed by a VLEK, which only its host has; give the report "
			"with its certificate table");
	if (*ret_product == SNP_PRODUCT_NONE && given.vek.size > 0 &&
		x509_parse(given.vek, &certificate, err) == 0 &&
		snp_vek_parse(&certificate, is_vlek, &vek))
		*ret_product = vek.product;
	if (*ret_product == SNP_PRODUCT_NONE)
		return err_set(err, E_UNSUPPORTED,
			"a version 2 report does not name its product; give it with its VCEK");
	return 0;
}

static int get_vcek(struct fetch *f, const struct snp_report *report, enum snp_product product,
	const char *name, struct err *err)
{
	char chip[HEX_SIZE(CHIP_SIZE)], fmc[FMC_SIZE] = "";
	bool is_turin = product == SNP_PRODUCT_TURIN;
	struct snp_tcb tcb = snp_tcb_of(report->reported_tcb, product);
	hex_encode(view_of(report->chip_id.data, is_turin ? CHIP_SIZE_TURIN : CHIP_SIZE), chip);
	if (is_turin)
		TRY(str_format(fmc, sizeof(fmc), err, "fmcSPL=%u&", tcb.fmc));
	TRY(get_from(f, err, "/vcek/v1/%s/%s?%sblSPL=%u&teeSPL=%u&snpSPL=%u&ucodeSPL=%u", name,
		chip, fmc, tcb.boot_loader, tcb.tee, tcb.snp, tcb.microcode));
	return buf_append(&f->items[BUNDLE_VEK], buf_view(&f->body), err);
}

static int get_amd(struct fetch *f, const struct bundle *evidence, struct err *err)
{
	static const char *const products[SNP_PRODUCT_COUNT] = { NULL, "Milan", "Genoa", "Turin" };
	struct snp_report report;
	enum snp_product product;
	size_t offset;
	const char *code = snp_report_parse(evidence->items[BUNDLE_REPORT], &report, &offset);
	if (code)
		return err_set(err, E_INVALID, "%s at byte %zu", code, offset);
	TRY(find_product(evidence, &report, &product, err));
	bool is_vlek = report.signing_key == SNP_SIGNED_BY_VLEK;
	const char *kind = is_vlek ? "vlek" : "vcek", *name = products[product];
	if (!is_vlek)
		TRY(get_vcek(f, &report, product, name, err));
	TRY(get_from(f, err, "/%s/v1/%s/cert_chain", kind, name));
	TRY(keep_chain(f, err));
	TRY(get_from(f, err, "/%s/v1/%s/crl", kind, name));
	return buf_append(&f->items[BUNDLE_CRL], buf_view(&f->body), err);
}

static int get_intel(struct fetch *f, struct view quote, struct err *err)
{
	TRY(read_platform(f, quote, err));
	for (size_t i = 0; i < ARRAY_SIZE(resources); i++)
		TRY(get(f, &resources[i], err));
	return 0;
}

static int get_all(struct fetch *f, const struct bundle *evidence, struct err *err)
{
	f->curl = curl_easy_init();
	if (!f->curl)
		return err_set(err, E_INTERNAL, "libcurl could not start");
	return evidence->items[BUNDLE_REPORT].size > 0
		       ? get_amd(f, evidence, err)
		       : get_intel(f, evidence->items[BUNDLE_QUOTE], err);
}

/* Fetched items over those that were there. */
static void overlay(const struct fetch *f, struct bundle *bundle)
{
	for (size_t i = 0; i < BUNDLE_ITEM_COUNT; i++)
		if (f->items[i].size > 0)
			bundle->items[i] = buf_view(&f->items[i]);
}

/* Valid now and no shorter than what it replaces: a service may not take us back. */
static int check_newer(const struct fetch *f, const struct bundle *bundle,
	const struct cache_span *former, struct err *err)
{
	struct cache_span span;
	if (cache_span(bundle, &span, err) < 0) {
		err_wrap(err, "what the service gives");
		return err->category = E_INTEGRITY;
	}
	if (span.from_ms > f->now_ms || span.to_ms < f->now_ms)
		return err_set(err, E_INTEGRITY, "what the service gives is not valid now");
	if (span.to_ms < former->to_ms)
		return err_set(err, E_INTEGRITY, "what the service gives is older than ours");
	return 0;
}

/*
 * Keep a directory fresh: nothing to do before the margin, and a failure is one only when what is
 * there has ended.
 */
static int refresh(
	struct fetch *f, const struct bundle *evidence, const char *directory, struct err *err)
{
	auto_done(loaded) loaded = {};
	struct cache_span former = {};
	struct err why;
	char until[TIME_TEXT_SIZE];
	TRY(load_directory(&loaded, directory, err));
	if (cache_span(&loaded.bundle, &former, &why) < 0)
		former = (struct cache_span){}; /* nothing usable: as if it had ended */
	time_format(former.to_ms, until);
	bool is_valid = former.from_ms <= f->now_ms && f->now_ms <= former.to_ms;
	if (is_valid && former.to_ms - f->now_ms > f->margin_ms) {
		printf("fresh until %s\n", until);
		return 0;
	}
	int status = get_all(f, evidence, err);
	overlay(f, &loaded.bundle);
	if (status == 0)
		status = check_newer(f, &loaded.bundle, &former, err);
	if (status == 0)
		status = cache_install(&loaded.bundle, directory, err);
	if (status == 0) {
		printf("refreshed\n");
		return 0;
	}
	if (!is_valid)
		return status;
	(void)fprintf(stderr, "cupel attest: %s; kept, valid until %s\n", err->message, until);
	return 0;
}

enum option_id {
	OPTION_SERVICE = 1,
	OPTION_ROOT_CRL,
	OPTION_CA,
	OPTION_AS_OF,
	OPTION_MARGIN,
};

static int parse(int argc, char **argv, struct fetch *f, struct err *err)
{
	static const struct option names[] = { { "pcs", required_argument, NULL, OPTION_SERVICE },
		{ "kds", required_argument, NULL, OPTION_SERVICE },
		{ "root-crl", required_argument, NULL, OPTION_ROOT_CRL },
		{ "ca", required_argument, NULL, OPTION_CA },
		{ "as-of", required_argument, NULL, OPTION_AS_OF },
		{ "margin-hours", required_argument, NULL, OPTION_MARGIN }, { NULL, 0, NULL, 0 } };
	int each;
	while ((each = getopt_long(argc, argv, "", names, NULL)) >= 0) {
		uint64_t hours;
		if (each == OPTION_SERVICE)
			f->service = optarg;
		else if (each == OPTION_ROOT_CRL)
			f->root_crl = optarg;
		else if (each == OPTION_CA)
			f->ca_file = optarg;
		else if (each == OPTION_AS_OF)
			TRY(time_parse(optarg, &f->now_ms, err));
		else if (each == OPTION_MARGIN) {
			TRY(str_parse_u64(optarg, 0, MARGIN_HOURS_MAX, &hours, err));
			f->margin_ms = hours * HOUR_MS;
		} else
			return err_set(err, E_INVALID, "unknown option; see cupel attest --help");
	}
	if (!f->service || optind + 2 != argc)
		return err_set(err, E_INVALID,
			"expected: collateral fetch|refresh --pcs URL QUOTE DIR, or --kds URL "
			"REPORT DIR");
	return 0;
}

int attest_fetch(int argc, char **argv, struct err *err)
{
	AUTO(fetch_done)
	struct fetch f = { .body.limit = BODY_MAX,
		.chain.limit = CHAIN_MAX,
		.now_ms = time_wall_ms(),
		.margin_ms = (uint64_t)MARGIN_HOURS * HOUR_MS };
	auto_done(loaded) loaded = {};
	struct bundle bundle = {};
	TRY(parse(argc, argv, &f, err));
	TRY(load_evidence(&loaded, argv[optind], err));
	if (str_equal(argv[0], "refresh"))
		return refresh(&f, &loaded.bundle, argv[optind + 1], err);
	TRY(get_all(&f, &loaded.bundle, err));
	overlay(&f, &bundle);
	return cache_install(&bundle, argv[optind + 1], err);
}
