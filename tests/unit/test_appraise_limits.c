/*
 * Properties of appraisals over whole files: no flipped bit and no cut of a valid TDX quote is
 * accepted; heap stays bounded; every file of the vectors, and a megabyte of garbage, in every
 * role is answered within a second.
 *
 * The heap is measured by standing in for malloc and its family, so that OpenSSL is counted too.
 * Sanitizers need those names themselves; there the measuring tests have nothing to measure.
 */
#include <dirent.h>
#include <malloc.h>
#include <sys/stat.h>
#include <time.h>

#include "appraise_load.h"
#include "kit/base/mem.h"
#include "rules/appraise/eventlog.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAS_METER 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_METER 0
#endif
#endif
#ifndef HAS_METER
#define HAS_METER 1
#endif

static size_t heap_now, heap_peak;

#if HAS_METER
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void __libc_free(void *old);

static void *count(void *got)
{
	heap_now += malloc_usable_size(got);
	heap_peak = MAX(heap_peak, heap_now);
	return got;
}

void *malloc(size_t size) /* lint: malloc because this is the meter */
{
	return count(__libc_malloc(size));
}

void *calloc(size_t number, size_t size) /* lint: malloc because this is the meter */
{
	return count(__libc_calloc(number, size));
}

void *realloc(void *old, size_t size) /* lint: malloc because this is the meter */
{
	heap_now -= malloc_usable_size(old);
	return count(__libc_realloc(old, size));
}

void free(void *old) /* lint: malloc because this is the meter */
{
	heap_now -= malloc_usable_size(old);
	__libc_free(old);
}
#endif

enum { HEAP_MAX = 64 << 10, GARBAGE_SIZE = 1 << 20, SECOND_USEC = 1000000, DEPTH_MAX = 4 };

static bool is_tried;
static size_t tried;   /* quotes */
static size_t located; /* cuts that were answered with a place */

/* A quote whose padding is cut off: from here on every byte counts. */
static size_t size_without_padding(struct view quote)
{
	size_t size = quote.size;
	while (size > 0 && quote.data[size - 1] == 0)
		size--;
	return size + 1; /* the chain may end in one NUL that is declared */
}

/* A structure that ends too early is refused by a code with its place, within what is there. */
static void must_say_where(const struct appraise_result *result, size_t cut)
{
	const struct appraise_reason *first = &result->reasons[0];
	ck_assert_uint_gt(result->reason_count, 0);
	if (strncmp(first->code, "parse.", 6) == 0) {
		ck_assert_msg(
			first->offset <= cut, "%s at %zu of %zu", first->code, first->offset, cut);
		located++;
	} else { /* it ended within the certificates, which are text */
		ck_assert_msg(strncmp(first->code, "pck_chain.", 10) == 0, "%s after %zu",
			first->code, cut);
	}
}

static int run_tdx_flips(struct vector_case *c)
{
	static struct tdx_case t;
	static struct appraise_memo memo;
	struct appraise_result result;
	load_tdx(c, &t);
	appraise_tdx(&t.input, &result);
	if (!result.is_accepted)
		return 0;
	size_t stride = getenv("CUPEL_SLOW") || tried % 7 == 0 ? 1 : 3, phase = tried++ % 3;
	t.input.memo = &memo;
	struct view original = t.input.quote;
	size_t size = MIN(size_without_padding(original), original.size);
	size_t last = (size - 64) * 8; /* where the chain ends and padding begins: all of it */
	bool is_slow = getenv("CUPEL_SLOW") != NULL;
	auto_free uint8_t *copy = mem_alloc(size, 1);
	memcpy(copy, original.data, size);
	t.input.quote = view_of(copy, size);
	for (size_t bit = 0; bit < size * 8; bit++) {
		if (!is_slow && bit < last && bit % 8 != (bit / 8 * 5) % 8)
			continue; /* one bit of each byte */
		if (bit < last && bit / 8 % stride != phase % stride)
			continue; /* of every third in most quotes */
		copy[bit / 8] ^= (uint8_t)(1U << bit % 8);
		appraise_tdx(&t.input, &result);
		ck_assert_msg(!result.is_accepted, "bit %zu flipped and accepted", bit);
		copy[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	for (size_t cut = phase; cut + 1 < size; cut += stride) {
		t.input.quote = view_of(copy, cut);
		appraise_tdx(&t.input, &result);
		ck_assert_msg(!result.is_accepted, "cut after %zu accepted", cut);
		must_say_where(&result, cut);
	}
	return 0;
}

START_TEST(no_flipped_bit_and_no_cut_of_a_quote_is_accepted)
{
	run_suite("tdx", "real.json", run_tdx_flips);
	ck_assert_uint_eq(tried, 5);
	run_suite("tdx/sim", "cases.json", run_tdx_flips);
	ck_assert_uint_eq(tried, 5 + 7);
	ck_assert_uint_gt(located, 2000);
}
END_TEST

/* Each length in a quote set to the most it can say: refused, and nothing is reserved for it. */
static int run_lengths(struct vector_case *c)
{
	static struct tdx_case t;
	struct appraise_result result;
	load_tdx(c, &t);
	appraise_tdx(&t.input, &result);
	if (!result.is_accepted)
		return 0;
	size_t size = t.input.quote.size;
	auto_free uint8_t *copy = mem_alloc(size, 1);
	memcpy(copy, t.input.quote.data, size);
	size_t auth = copy[0] == 5 ? 54 + (size_t)(copy[50] | copy[51] << 8)
				   : 632; /* behind the body */
	size_t qe_auth = auth + 4 + 64 + 64 + 6 + 384 + 64;
	size_t inner = qe_auth + 2 + (size_t)(copy[qe_auth] | copy[qe_auth + 1] << 8) + 2;
	const struct {
		size_t at, width;
	} lengths[] = { { auth, 4 }, { auth + 4 + 128 + 2, 4 }, { qe_auth, 2 }, { inner, 4 } };
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		memset(copy + lengths[i].at, 0xff, lengths[i].width);
		t.input.quote = view_of(copy, size);
		size_t before = heap_now;
		heap_peak = heap_now;
		appraise_tdx(&t.input, &result);
		ck_assert_msg(strncmp(first_reason(&result), "parse.", 6) == 0, "length %zu: %s", i,
			first_reason(&result));
		ck_assert_uint_le(heap_peak - before, HEAP_MAX);
		memcpy(copy + lengths[i].at, c->files[0].data + lengths[i].at, lengths[i].width);
	}
	tried++;
	return 0;
}

START_TEST(declared_lengths_reserve_nothing)
{
	run_suite("tdx", "real.json", run_lengths);
	run_suite("tdx/sim", "cases.json", run_lengths);
	ck_assert_uint_eq(tried, 5 + 7);
}
END_TEST

static size_t heap_most;

static void meter_begin(void)
{
	heap_peak = heap_now;
}

static void meter_end(const struct vector_case *c, size_t before)
{
	size_t used = heap_peak - before;
	heap_most = MAX(heap_most, used);
	ck_assert_msg(used <= HEAP_MAX, "%s used %zu bytes of heap",
		json_as_string(json_get(c->json, "id")), used);
	ck_assert_msg(heap_now == before, "%s leaked", json_as_string(json_get(c->json, "id")));
}

static int run_tdx_heap(struct vector_case *c)
{
	static struct tdx_case t;
	struct appraise_result result;
	load_tdx(c, &t);
	size_t before = heap_now;
	meter_begin();
	appraise_tdx(&t.input, &result);
	if (is_tried) /* the first one pays for OpenSSL's own tables */
		meter_end(c, before);
	is_tried = true;
	return 0;
}

static int run_snp_heap(struct vector_case *c)
{
	struct snp_case t;
	struct appraise_result result;
	load_snp(c, &t);
	size_t before = heap_now;
	meter_begin();
	appraise_snp(&t.input, &result);
	if (is_tried)
		meter_end(c, before);
	is_tried = true;
	return 0;
}

static int run_tpm_heap(struct vector_case *c)
{
	struct tpm_case t;
	struct appraise_result result;
	load_tpm(c, &t);
	size_t before = heap_now;
	meter_begin();
	appraise_tpm(&t.input, &result);
	if (is_tried)
		meter_end(c, before);
	is_tried = true;
	return 0;
}

START_TEST(heap_of_every_appraisal_is_bounded)
{
	const struct {
		const char *folder, *file;
		int (*run)(struct vector_case *);
	} suites[] = {
		{ "tdx", "real.json", run_tdx_heap },
		{ "tdx/sim", "cases.json", run_tdx_heap },
		{ "snp", "real.json", run_snp_heap },
		{ "snp/sim", "cases.json", run_snp_heap },
		{ "tpm", "real.json", run_tpm_heap },
		{ "tpm/sim", "cases.json", run_tpm_heap },
	};
	for (size_t i = 0; i < ARRAY_SIZE(suites); i++) {
		is_tried = false;
		heap_most = 0;
		run_suite(suites[i].folder, suites[i].file, suites[i].run);
		printf("%s: at most %zu bytes of heap\n", suites[i].folder, heap_most);
	}
}
END_TEST

/* Of this process alone: a busy machine makes nothing slower. */
static uint64_t cpu_usec(void)
{
	struct timespec now;
	ck_assert_int_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* The bytes in every role there is, one appraisal each. */
static void appraise_everywhere(struct view bytes, const char *what)
{
	static struct appraise_policy policy = { .tpm.is_event_log_required = true };
	static struct appraise_result result;
	const struct appraise_tdx_input tdx = { .quote = bytes,
		.policy = &policy,
		.collateral = { bytes, bytes, bytes, bytes, bytes, bytes } };
	const struct appraise_snp_input snp = { .report = bytes,
		.policy = &policy,
		.collateral = { .vek = bytes,
			.intermediate = bytes,
			.roots = { bytes },
			.root_count = 1,
			.crl = bytes } };
	const struct appraise_tpm_input tpm = { .attest = bytes,
		.signature = bytes,
		.event_log = bytes,
		.ak = bytes,
		.root = bytes,
		.crls = { bytes },
		.crl_count = 1,
		.policy = &policy };
	const struct appraise_tpm_input named = { .attest = bytes,
		.signature = bytes,
		.event_log = bytes,
		.ak_public = bytes,
		.policy = &policy };
	uint64_t start = cpu_usec();
	appraise_tdx(&tdx, &result);
	ck_assert_msg(!result.is_accepted, "%s accepted as a quote", what);
	appraise_snp(&snp, &result);
	ck_assert_msg(!result.is_accepted, "%s accepted as a report", what);
	appraise_tpm(&tpm, &result);
	ck_assert_msg(!result.is_accepted, "%s accepted as a TPM quote", what);
	appraise_tpm(&named, &result);
	ck_assert_msg(!result.is_accepted, "%s accepted as a named TPM quote", what);
	/* Replays have no other limit than the log's size. */
	struct eventlog_replay replay;
	(void)eventlog_replay(bytes, HASH_SHA256, false, &replay);
	(void)eventlog_replay(bytes, HASH_SHA384, true, &replay);
	ck_assert_msg(cpu_usec() - start < SECOND_USEC, "%s took over a second", what);
}

static size_t appraise_folder(const char *folder, size_t depth)
{
	size_t files = 0;
	DIR *entries = opendir(folder);
	ck_assert_ptr_nonnull(entries);
	for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
		char path[1024];
		auto_done(buf) bytes = {};
		struct stat info;
		struct err err;
		if (entry->d_name[0] == '.')
			continue;
		ck_assert_ok(
			str_format(path, sizeof(path), &err, "%s/%s", folder, entry->d_name), err);
		ck_assert_int_eq(stat(path, &info), 0);
		if (S_ISDIR(info.st_mode)) {
			files += depth > 0 ? appraise_folder(path, depth - 1) : 0;
			continue;
		}
		ck_assert_ok(fd_read_file(path, 64 << 20, &bytes, &err), err);
		appraise_everywhere(buf_view(&bytes), path);
		files++;
	}
	closedir(entries);
	return files;
}

START_TEST(every_file_is_answered_in_time)
{
	size_t files = appraise_folder(VECTORS, DEPTH_MAX);
	printf("%zu files in every role\n", files);
	ck_assert_uint_gt(files, 100);
}
END_TEST

START_TEST(garbage_is_answered_in_time)
{
	auto_free uint8_t *garbage = mem_alloc(GARBAGE_SIZE, 1);
	const uint8_t fills[] = { 0x00, 0xff, 0x30, '[', '{', '"', 'A', '-' };
	for (size_t i = 0; i < ARRAY_SIZE(fills); i++) {
		memset(garbage, fills[i], GARBAGE_SIZE);
		appraise_everywhere(view_of(garbage, GARBAGE_SIZE), "a megabyte of one byte");
	}
	uint32_t state = 1;
	for (size_t i = 0; i < GARBAGE_SIZE; i++)
		garbage[i] = (uint8_t)((state = state * 1664525 + 1013904223) >> 24);
	appraise_everywhere(view_of(garbage, GARBAGE_SIZE), "a megabyte of garbage");
}
END_TEST

UNIT_MAIN("appraise_limits", no_flipped_bit_and_no_cut_of_a_quote_is_accepted,
	declared_lengths_reserve_nothing, heap_of_every_appraisal_is_bounded,
	every_file_is_answered_in_time, garbage_is_answered_in_time)
