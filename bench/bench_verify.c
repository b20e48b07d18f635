/*
 * How long cert_verify() takes: reads one envelope from standard input, prints microseconds without
 * and with the quote's appraisal (the quote's own chain is trusted, so that all of it is walked).
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/time.h"
#include "kit/codec/json.h"
#include "rules/cert/verify.h"

enum { ROUNDS = 500 };

static double measure(const struct cert_verify_input *input)
{
	struct cert_verification verification;
	uint64_t start = time_monotonic_usec();
	for (int i = 0; i < ROUNDS; i++)
		cert_verify(input, &verification);
	return (double)(time_monotonic_usec() - start) / ROUNDS;
}

int main(int argc, char **argv)
{
	struct err err;
	auto_done(buf) envelope = {};
	auto_done(buf) root = {};
	json_setup();
	if (fd_read_all(STDIN_FILENO, 1 << 20, &envelope, &err) < 0 ||
		(argc > 1 && fd_read_file(argv[1], 1 << 16, &root, &err) < 0)) {
		(void)fprintf(stderr, "%s\n", err.message);
		return EXIT_FAILURE;
	}
	struct appraise_anchor anchor = { .label = "simulated:bench", .is_simulated = true };
	hash_bytes(HASH_SHA256, buf_view(&root), anchor.sha256);
	struct cert_verify_input input = { .envelope = buf_view(&envelope),
		.as_of_ms = time_wall_ms() };
	double without = measure(&input);
	input.anchors = &anchor;
	input.anchor_count = 1;
	printf("{\"without_quote_us\": %.1f, \"with_quote_us\": %.1f}\n", without, measure(&input));
	return EXIT_SUCCESS;
}
