/* Jobs: inserted when accepted, updated while they run, listed after a crash, forgotten later. */
#include "engines/store/store_internal.h"

#include "kit/base/mem.h"

#define UNFINISHED_MAX 10000

void store_job_done(struct store_job *job)
{
	mem_free(job->inputs_json);
	*job = (struct store_job){};
}

void store_jobs_done(struct store_jobs *jobs)
{
	for (size_t i = 0; i < jobs->count; i++)
		store_job_done(&jobs->jobs[i]);
	mem_free(jobs->jobs);
	*jobs = (struct store_jobs){};
}

int store_job_insert(struct store *store, const struct store_job *job, struct err *err)
{
	sqlite3_stmt *insert = store->statements[STATEMENT_JOB_INSERT];
	if (!job->id[0] || !job->state[0] || !job->principal[0])
		return err_set(err, E_INVALID, "store: a job needs id, state and principal");
	if (job->inputs_json && strlen(job->inputs_json) > STORE_INPUTS_MAX)
		return err_set(err, E_LIMIT, "store: the inputs of job %s have %zu bytes, limit %d",
			job->id, strlen(job->inputs_json), STORE_INPUTS_MAX);
	store_bind_text(insert, 1, job->id);
	store_bind_text(insert, 2, job->principal);
	store_bind_text(insert, 3, job->state);
	(void)sqlite3_bind_int(insert, 4, job->is_final);
	store_bind_time(insert, 5, job->created_ms);
	store_bind_time(insert, 6, job->updated_ms);
	store_bind_text(insert, 7, job->inputs_json);
	return store_run(store, insert, "inserting a job", err);
}

int store_job_update(struct store *store, const struct store_job *job, struct err *err)
{
	struct store_job found = {};
	sqlite3_stmt *update = store->statements[STATEMENT_JOB_UPDATE];
	store_bind_text(update, 1, job->id);
	store_bind_text(update, 2, job->state);
	(void)sqlite3_bind_int(update, 3, job->is_final);
	store_bind_time(update, 4, job->updated_ms);
	store_bind_text(update, 5, job->inputs_json);
	TRY(store_run(store, update, "updating a job", err));
	if (sqlite3_changes(store->db) > 0)
		return 0;
	TRY(store_job_get(store, job->id, &found, err));
	int status = err_set(
		err, E_CONFLICT, "store: job %s is already final (%s)", job->id, found.state);
	store_job_done(&found);
	return status;
}

static void read_job(sqlite3_stmt *row, struct store_job *ret_job)
{
	*ret_job = (struct store_job){};
	store_column_text(row, 0, ret_job->id, sizeof(ret_job->id));
	store_column_text(row, 1, ret_job->principal, sizeof(ret_job->principal));
	store_column_text(row, 2, ret_job->state, sizeof(ret_job->state));
	ret_job->is_final = sqlite3_column_int(row, 3) != 0;
	ret_job->created_ms = (uint64_t)sqlite3_column_int64(row, 4);
	ret_job->updated_ms = (uint64_t)sqlite3_column_int64(row, 5);
	ret_job->inputs_json = mem_string((const char *)sqlite3_column_text(row, 6));
	store_column_text(row, 7, ret_job->certificate_id, sizeof(ret_job->certificate_id));
}

int store_job_get(struct store *store, const char *id, struct store_job *ret_job, struct err *err)
{
	bool has_row = false;
	sqlite3_stmt *get = store->statements[STATEMENT_JOB_GET];
	store_bind_text(get, 1, id);
	TRY(store_next(store, get, &has_row, err));
	if (!has_row)
		return err_set(err, E_NOT_FOUND, "there is no job '%.80s'", id);
	read_job(get, ret_job);
	store_reset(get);
	return 0;
}

int store_jobs_unfinished(struct store *store, struct store_jobs *ret_jobs, struct err *err)
{
	struct store_jobs jobs = {};
	size_t capacity = 0;
	bool has_row = false;
	sqlite3_stmt *list = store->statements[STATEMENT_JOBS_UNFINISHED];
	(void)sqlite3_bind_int(list, 1, UNFINISHED_MAX);
	int status = store_next(store, list, &has_row, err);
	while (status == 0 && has_row) {
		if (jobs.count == capacity) {
			size_t old_size = capacity * sizeof(*jobs.jobs);
			capacity = capacity ? 2 * capacity : 16;
			jobs.jobs = mem_resize(jobs.jobs, old_size, capacity, sizeof(*jobs.jobs));
		}
		read_job(list, &jobs.jobs[jobs.count++]);
		status = store_next(store, list, &has_row, err);
	}
	if (status < 0) {
		store_jobs_done(&jobs);
		return status;
	}
	*ret_jobs = jobs;
	return 0;
}

int store_jobs_forget(struct store *store, uint64_t before_ms, uint64_t *ret_count, struct err *err)
{
	sqlite3_stmt *forget = store->statements[STATEMENT_JOBS_FORGET];
	store_bind_time(forget, 1, before_ms);
	TRY(store_run(store, forget, "forgetting jobs", err));
	*ret_count = (uint64_t)sqlite3_changes64(store->db);
	return 0;
}

static int count(
	struct store *store, enum store_statement which, uint64_t *ret_count, struct err *err)
{
	bool has_row = false;
	sqlite3_stmt *statement = store->statements[which];
	TRY(store_next(store, statement, &has_row, err));
	*ret_count = has_row ? (uint64_t)sqlite3_column_int64(statement, 0) : 0;
	store_reset(statement);
	return 0;
}

int store_count(struct store *store, struct store_counts *ret_counts, struct err *err)
{
	struct store_counts counts = {};
	TRY(count(store, STATEMENT_COUNT_CERTIFICATES, &counts.certificates, err));
	TRY(count(store, STATEMENT_COUNT_UNFINISHED, &counts.unfinished_jobs, err));
	*ret_counts = counts;
	return 0;
}
