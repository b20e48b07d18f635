/*
 * A request from its first line to its end: the three callbacks of libmicrohttpd, and the body.
 *
 * libmicrohttpd calls http_request_begin with the raw target, then http_request_access once with
 * the head, once per piece of body, and once at the end of the body; then http_request_completed,
 * which always comes and is where the request dies. An unanswered request is suspended, so that
 * libmicrohttpd forgets its socket; the connection's watch notices when the client leaves.
 *
 * An answer before the body was read: a small body of known size is read and dropped, and the
 * connection goes on; otherwise the answer is sent at once and the connection closes lingeringly.
 */
#include "engines/net/http_internal.h"

#include <strings.h>
#include <unistd.h>

#include "kit/base/fd.h"
#include "kit/base/mem.h"

#define DRAIN_IN_PLACE_MAX (1 << 20) /* dropped while the answer waits, to keep the connection */

void *http_request_begin(void *server UNUSED, const char *target, struct MHD_Connection *mhd)
{
	struct http_request *request = mem_alloc(1, sizeof(*request));
	request->connection = http_connection_of(mhd);
	request->connection->request = request;
	request->sink_fd = -1;
	request->target_place = target;
	request->target_size = target ? strlen(target) : 0;
	request->target = mem_string_n(target ? target : "", request->target_size);
	return request;
}

struct view http_method(const struct http_request *request)
{
	return request->method;
}

struct view http_path(const struct http_request *request)
{
	return request->path;
}

struct view http_query(const struct http_request *request)
{
	return request->query;
}

static bool field_is(const struct http_field *field, const char *name)
{
	return field->name.size == strlen(name) &&
	       strncasecmp((const char *)field->name.data, name, field->name.size) == 0;
}

bool http_header_get(const struct http_request *request, const char *name, struct view *ret_value)
{
	for (size_t i = 0; i < request->field_count; i++) {
		if (!field_is(&request->fields[i], name))
			continue;
		*ret_value = request->fields[i].value;
		return true;
	}
	return false;
}

size_t http_header_count(const struct http_request *request, const char *name)
{
	size_t count = 0;
	for (size_t i = 0; i < request->field_count; i++)
		count += field_is(&request->fields[i], name);
	return count;
}

bool http_is_loopback(const struct http_request *request)
{
	return request->connection->is_loopback;
}

bool http_is_tls(const struct http_request *request)
{
	return request->connection->is_tls;
}

const char *http_remote(const struct http_request *request)
{
	return request->connection->remote;
}

bool http_has_body(const struct http_request *request)
{
	return request->is_chunked || request->content_length > 0;
}

bool http_content_length(const struct http_request *request, uint64_t *ret_size)
{
	if (!request->has_content_length)
		return false;
	*ret_size = request->content_length;
	return true;
}

void http_set_context(struct http_request *request, void *context)
{
	request->context = context;
}

void *http_context(const struct http_request *request)
{
	return request->context;
}

uint64_t http_body_size(const struct http_request *request)
{
	return request->body_size;
}

struct view http_body(const struct http_request *request)
{
	return buf_view(&request->body);
}

static int set_sink(
	struct http_request *request, enum http_sink sink, uint64_t limit, struct err *err)
{
	if (request->content_length > limit)
		return err_set(err, E_LIMIT, "the request body has %llu bytes, limit %llu",
			(unsigned long long)request->content_length, (unsigned long long)limit);
	request->sink = sink;
	request->sink_limit = limit;
	return 0;
}

int http_body_to_buf(struct http_request *request, size_t limit, struct err *err)
{
	TRY(set_sink(request, HTTP_SINK_BUF, limit, err));
	request->body.limit = limit;
	return request->content_length ? buf_reserve(&request->body, request->content_length, err)
				       : 0;
}

int http_body_to_fd(struct http_request *request, int fd, uint64_t limit, struct err *err)
{
	TRY(set_sink(request, HTTP_SINK_FD, limit, err));
	request->sink_fd = fd;
	return 0;
}

static int store_piece(struct http_request *request, struct view piece, struct err *err)
{
	if (request->sink == HTTP_SINK_DISCARD)
		return 0;
	if (request->body_size + piece.size > request->sink_limit)
		return err_set(err, E_LIMIT, "the request body is longer than %llu bytes",
			(unsigned long long)request->sink_limit);
	if (request->sink == HTTP_SINK_FD)
		return fd_write_all(request->sink_fd, piece, err);
	return buf_append(&request->body, piece, err);
}

/*
 * In the middle of a body libmicrohttpd takes no answer, and it has nothing to send itself: write
 * the answer to the socket and let it close.
 */
static enum MHD_Result refuse_midway(struct http_request *request, const struct err *err)
{
	bool is_limit = err->category == E_LIMIT;
	http_connection_raw_error(request->connection, is_limit ? 413 : 503,
		err_category_name(err->category),
		is_limit ? err->message : "the request body cannot be stored; try again later");
	request->connection->must_linger = true;
	request->has_end = true;
	request->end = HTTP_END_REFUSED;
	return MHD_NO;
}

static enum MHD_Result take_piece(struct http_request *request, const char *upload, size_t size)
{
	struct err err;
	int status = store_piece(request, view_of(upload, size), &err);
	/* The piece lies in libmicrohttpd's buffer, which is ours to write; it may be data. */
	mem_wipe((void *)(uintptr_t)upload, size);
	if (status < 0)
		return refuse_midway(request, &err);
	request->body_size += size;
	request->connection->window_bytes += size;
	return MHD_YES;
}

static void announce(struct http_request *request)
{
	const struct http_handler *handler = &request->connection->server->config.handler;
	request->is_announced = true;
	request->connection->server->stats.requests++;
	handler->on_head(request, handler->user);
}

static enum MHD_Result answer_early(struct http_request *request)
{
	bool is_small = request->has_content_length && !request->expects_continue &&
			request->content_length <= DRAIN_IN_PLACE_MAX;
	if (is_small) {
		request->sink = HTTP_SINK_DISCARD;
		http_connection_phase(request->connection, HTTP_PHASE_BODY);
		return MHD_YES;
	}
	request->connection->must_linger = true;
	http_connection_phase(request->connection, HTTP_PHASE_WORK);
	return http_response_queue(request);
}

static enum MHD_Result on_first_call(
	struct http_request *request, const char *method, const char *version)
{
	struct http_fault fault = http_head_check(request, method, version);
	request->is_headed = true;
	if (fault.status) {
		/* Where a malformed request ends is unknown: never read on behind it. */
		request->connection->must_linger = true;
		http_connection_phase(request->connection, HTTP_PHASE_WORK);
		http_respond_error(request, fault.status, fault.code, fault.message);
		return http_response_queue(request);
	}
	announce(request);
	if (!http_has_body(request))
		return MHD_YES; /* called again at once */
	if (request->response)
		return answer_early(request);
	http_connection_phase(request->connection, HTTP_PHASE_BODY);
	http_ack_now(request->connection->fd);
	return MHD_YES;
}

static enum MHD_Result on_complete(struct http_request *request)
{
	const struct http_handler *handler = &request->connection->server->config.handler;
	if (request->has_end)
		return MHD_NO; /* gone while suspended */
	if (!request->is_received) {
		request->is_received = true;
		http_connection_phase(request->connection, HTTP_PHASE_WORK);
		if (!request->response)
			handler->on_body(request, handler->user);
	}
	if (request->response)
		return http_response_queue(request);
	http_request_suspend(request);
	return MHD_YES;
}

enum MHD_Result http_request_access(void *server UNUSED, struct MHD_Connection *mhd UNUSED,
	const char *url UNUSED, const char *method, const char *version, const char *upload,
	size_t *upload_size, void **context)
{
	struct http_request *request = *context;
	if (!request->is_headed)
		return on_first_call(request, method, version);
	if (*upload_size > 0) {
		size_t size = *upload_size;
		*upload_size = 0;
		return take_piece(request, upload, size);
	}
	return on_complete(request);
}

void http_request_suspend(struct http_request *request)
{
	request->is_suspended = true;
	MHD_suspend_connection(request->connection->mhd);
	http_connection_watch(request->connection);
}

void http_request_wake(struct http_request *request)
{
	if (!request->is_suspended)
		return;
	request->is_suspended = false;
	http_connection_unwatch(request->connection);
	MHD_resume_connection(request->connection->mhd);
	http_server_run_soon(request->connection->server);
}

void http_request_gone(struct http_request *request, enum http_end end)
{
	if (!request->has_end) {
		request->has_end = true;
		request->end = end;
	}
	http_request_wake(request);
}

static enum http_end end_of(enum MHD_RequestTerminationCode code)
{
	if (code == MHD_REQUEST_TERMINATED_COMPLETED_OK)
		return HTTP_END_ANSWERED;
	if (code == MHD_REQUEST_TERMINATED_TIMEOUT_REACHED)
		return HTTP_END_TIMEOUT;
	if (code == MHD_REQUEST_TERMINATED_DAEMON_SHUTDOWN)
		return HTTP_END_SHUTDOWN;
	return HTTP_END_CLIENT_GONE;
}

void http_request_completed(void *server_pointer, struct MHD_Connection *mhd UNUSED, void **context,
	enum MHD_RequestTerminationCode code)
{
	struct http_server *server = server_pointer;
	struct http_request *request = *context;
	if (!request)
		return;
	struct http_connection *connection = request->connection;
	http_connection_unwatch(connection);
	if (!request->has_end) /* set before on_end: it is too late to answer */
		request->end = end_of(code);
	request->has_end = true;
	if (request->is_announced)
		server->config.handler.on_end(request, request->end, server->config.handler.user);
	connection->request = NULL;
	http_connection_phase(connection, HTTP_PHASE_HEAD);
	connection->deadline_ms += server->limits.idle_ms;
	if (request->response && !request->is_queued)
		MHD_destroy_response(request->response);
	buf_done(&request->body);
	buf_done(&request->stream);
	mem_free(request->target);
	mem_free(request);
	*context = NULL;
}
