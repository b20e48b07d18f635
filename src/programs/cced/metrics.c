/* Prometheus text (exposition format 0.0.4). Names follow its conventions: unit, _total. */
#include "kit/base/time.h"
#include "programs/cced/cced.h"

static const uint64_t bounds_ms[] = { 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 30000, 300000 };

void metrics_observe(struct metrics *metrics, uint64_t elapsed_ms)
{
	metrics->execute_count++;
	metrics->execute_ms_sum += elapsed_ms;
	for (size_t i = 0; i < ARRAY_SIZE(bounds_ms); i++)
		if (elapsed_ms <= bounds_ms[i])
			metrics->execute_buckets[i]++;
}

static int render_histogram(const struct metrics *metrics, struct buf *text, struct err *err)
{
	TRY(buf_append_string(text,
		"# HELP cupel_execute_seconds Time from acceptance to the stored certificate.\n"
		"# TYPE cupel_execute_seconds histogram\n",
		err));
	for (size_t i = 0; i < ARRAY_SIZE(bounds_ms); i++)
		TRY(buf_append_format(text, err, "cupel_execute_seconds_bucket{le=\"%g\"} %llu\n",
			(double)bounds_ms[i] / 1000,
			(unsigned long long)metrics->execute_buckets[i]));
	return buf_append_format(text, err,
		"cupel_execute_seconds_bucket{le=\"+Inf\"} %llu\n"
		"cupel_execute_seconds_sum %.3f\ncupel_execute_seconds_count %llu\n",
		(unsigned long long)metrics->execute_count, (double)metrics->execute_ms_sum / 1000,
		(unsigned long long)metrics->execute_count);
}

int metrics_render(struct cced *cced, struct buf *ret_text, struct err *err)
{
	struct http_stats http;
	struct store_counts store = {};
	http_server_stats(cced->server, &http);
	TRY(store_count(cced->store, &store, err));
	const struct {
		const char *name, *type, *help;
		uint64_t value;
	} rows[] = {
		{ "cupel_jobs_accepted_total", "counter", "Jobs accepted for running.",
			cced->metrics.jobs_accepted },
		{ "cupel_jobs_done_total", "counter", "Jobs that ended with a certificate.",
			cced->metrics.jobs_done },
		{ "cupel_jobs_refused_total", "counter", "Requests refused as invalid.",
			cced->metrics.jobs_refused },
		{ "cupel_jobs_rejected_total", "counter", "Requests turned away with 429.",
			cced->metrics.jobs_rejected },
		{ "cupel_jobs_lost_total", "counter", "Runs that broke off.",
			cced->metrics.jobs_lost },
		{ "cupel_jobs_cancelled_total", "counter", "Jobs that were to end early.",
			cced->metrics.jobs_cancelled },
		{ "cupel_jobs_running", "gauge", "Jobs running now.", cced->running },
		{ "cupel_jobs_active", "gauge", "Jobs receiving, queued or running.",
			cced->active },
		{ "cupel_agents_ready", "gauge", "Agents waiting for a job.", cced->ready_count },
		{ "cupel_sandboxes_taken_total", "counter",
			"Sandboxes taken that were built ahead.", cced->metrics.slots_taken },
		{ "cupel_sandboxes_missed_total", "counter", "Sandboxes built for their job.",
			cced->metrics.slots_missed },
		{ "cupel_certificates", "gauge", "Certificates stored.", store.certificates },
		{ "cupel_http_requests_total", "counter", "HTTP requests.", http.requests },
		{ "cupel_http_connections", "gauge", "Open HTTP connections.", http.connections },
		{ "cupel_http_connections_refused_total", "counter", "Connections over the limit.",
			http.refused },
		{ "cupel_uptime_seconds", "gauge", "Seconds since the start.",
			(time_monotonic_ms() - cced->started_ms) / 1000 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		TRY(buf_append_format(ret_text, err, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n",
			rows[i].name, rows[i].help, rows[i].name, rows[i].type, rows[i].name,
			(unsigned long long)rows[i].value));
	return render_histogram(&cced->metrics, ret_text, err);
}
