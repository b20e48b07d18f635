/*
 * Answers: whole ones and streams.
 *
 * An answer is made into libmicrohttpd's object at once and handed over when libmicrohttpd asks
 * (http_response_queue), which http_request_wake provokes. A stream is a callback answer: with
 * nothing to send its request is suspended, which frees the loop and arms the disconnect watch.
 */
#include "engines/net/http_internal.h"

#include "kit/base/mem.h"

#define STREAM_BLOCK 16384

static void stream_compact(struct http_request *request)
{
	struct buf *stream = &request->stream;
	if (request->stream_sent < stream->size)
		return;
	mem_wipe(stream->data, stream->size);
	stream->size = 0;
	request->stream_sent = 0;
}

static ssize_t stream_read(
	void *request_pointer, uint64_t position UNUSED, char *ret_bytes, size_t size)
{
	struct http_request *request = request_pointer;
	size_t left = request->stream.size - request->stream_sent;
	if (request->has_end)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (left == 0 && request->stream_ended)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (left == 0) {
		http_request_suspend(request);
		return 0;
	}
	size = MIN(size, left);
	memcpy(ret_bytes, request->stream.data + request->stream_sent, size);
	request->stream_sent += size;
	stream_compact(request);
	return (ssize_t)size;
}

static int add_headers(struct MHD_Response *response, const struct http_request *request,
	const struct http_header *headers, struct err *err)
{
	const struct http_server *server = request->connection->server;
	for (; headers && headers->name; headers++)
		if (MHD_add_response_header(response, headers->name, headers->value) != MHD_YES)
			return err_set(err, E_INVALID, "'%.64s' is no header field for an answer",
				headers->name);
	bool is_crowded = server->stats.connections > server->limits.keepalive_max;
	if ((is_crowded || !server->is_listening) &&
		MHD_add_response_header(response, "Connection", "close") != MHD_YES)
		return err_set(err, E_INTERNAL, "cannot mark the connection for closing");
	return 0;
}

static int set_response(struct http_request *request, int status, const struct http_header *headers,
	struct MHD_Response *response, struct err *err)
{
	if (!response)
		return err_set(err, E_INTERNAL, "libmicrohttpd makes no answer object");
	int failure = add_headers(response, request, headers, err);
	if (failure < 0) {
		MHD_destroy_response(response);
		return failure;
	}
	request->status = status;
	request->response = response;
	http_request_wake(request);
	return 0;
}

static int refuse_second(const struct http_request *request, struct err *err)
{
	if (request->response || request->has_end)
		return err_set(err, E_CONFLICT, "the request is already answered or over");
	return 0;
}

static struct MHD_Response *empty_response(void)
{
	return MHD_create_response_from_buffer(0, (void *)(uintptr_t)"", MHD_RESPMEM_PERSISTENT);
}

int http_respond(struct http_request *request, int status, const struct http_header *headers,
	struct buf *body, struct err *err)
{
	TRY(refuse_second(request, err));
	struct MHD_Response *response = NULL;
	if (body && body->size > 0) {
		response = MHD_create_response_from_buffer_with_free_callback(
			body->size, body->data, mem_free);
		if (response)
			*body = (struct buf){ .limit = body->limit };
	} else {
		response = MHD_create_response_from_buffer(
			0, (void *)(uintptr_t)"", MHD_RESPMEM_PERSISTENT);
	}
	return set_response(request, status, headers, response, err);
}

void http_respond_error_with(struct http_request *request, int status, const char *code,
	const char *message, const struct http_header *headers)
{
	enum { EXTRA_MAX = 8 };
	struct http_header all[EXTRA_MAX + 2] = { { "Content-Type", "application/json" } };
	const struct http_handler *handler = &request->connection->server->config.handler;
	struct err err;
	auto_done(buf) body = {};
	for (size_t i = 0; headers && headers[i].name && i < EXTRA_MAX; i++)
		all[i + 1] = headers[i];
	if (refuse_second(request, &err) < 0)
		return;
	handler->render_error(status, code, message, &body, handler->user);
	/* Our own header fields are well-formed; without memory for them the client gets none. */
	if (http_respond(request, status, all, &body, &err) < 0)
		http_connection_kill(request->connection);
}

void http_respond_error(
	struct http_request *request, int status, const char *code, const char *message)
{
	http_respond_error_with(request, status, code, message, NULL);
}

int http_stream_begin(struct http_request *request, int status, const struct http_header *headers,
	struct err *err)
{
	TRY(refuse_second(request, err));
	request->is_stream = true;
	/* libmicrohttpd 0.9.75 would answer HEAD with the end of a chunked body. */
	bool is_head = view_equal_string(request->method, "HEAD");
	struct MHD_Response *response = is_head ? empty_response()
						: MHD_create_response_from_callback(
							  MHD_SIZE_UNKNOWN, STREAM_BLOCK,
							  stream_read, request, NULL);
	request->stream_ended = is_head;
	return set_response(request, status, headers, response, err);
}

int http_stream_push(struct http_request *request, struct view bytes, struct err *err)
{
	if (!request->is_stream || request->stream_ended || request->has_end)
		return err_set(err, E_CONFLICT, "no stream is open for this request");
	size_t left = request->stream.size - request->stream_sent;
	if (left + bytes.size > HTTP_STREAM_BACKLOG_MAX)
		return err_set(err, E_LIMIT, "the client reads too slowly: %zu bytes wait", left);
	if (request->stream_sent > HTTP_STREAM_BACKLOG_MAX) {
		/* A reader that is never quite done: keep what was not sent, at the front. */
		memmove(request->stream.data, request->stream.data + request->stream_sent, left);
		mem_wipe(request->stream.data + left, request->stream_sent);
		request->stream.size = left;
		request->stream_sent = 0;
	}
	TRY(buf_append(&request->stream, bytes, err));
	http_request_wake(request);
	return 0;
}

void http_stream_end(struct http_request *request)
{
	if (!request->is_stream || request->stream_ended)
		return;
	request->stream_ended = true;
	http_request_wake(request);
}

enum MHD_Result http_response_queue(struct http_request *request)
{
	request->is_queued = true;
	enum MHD_Result result = MHD_queue_response(
		request->connection->mhd, (unsigned)request->status, request->response);
	MHD_destroy_response(request->response); /* libmicrohttpd holds its own reference */
	return result;
}
