/* See dsse.h. */
#include "kit/crypto/dsse.h"

#include "kit/base/str.h"
#include "kit/codec/base64.h"
#include "kit/codec/json.h"

static int set_base64(struct json *object, const char *name, struct view bytes, struct err *err)
{
	auto_done(buf) text = {};
	TRY(base64_encode(BASE64_STANDARD, bytes, &text, err));
	json_set(object, name, json_new_string(buf_view(&text)));
	return 0;
}

int dsse_encode(const struct dsse *envelope, struct buf *buf, struct err *err)
{
	auto_json *root = json_new_object();
	struct json *signatures = json_new_array();
	json_set(root, "signatures", signatures);
	json_set_string(root, "payloadType", envelope->payload_type);
	TRY(set_base64(root, "payload", buf_view(&envelope->payload), err));
	for (size_t i = 0; i < envelope->signature_count; i++) {
		const struct dsse_signature *signature = &envelope->signatures[i];
		struct json *row = json_new_object();
		json_append(signatures, row);
		json_set_string(row, "keyid", signature->keyid);
		TRY(set_base64(row, "sig", view_of(signature->bytes, signature->size), err));
	}
	return json_encode(root, buf, err);
}

static int decode_signature(
	const struct json *row, struct dsse_signature *ret_signature, struct err *err)
{
	const struct json *keyid, *sig;
	auto_done(buf) bytes = { .limit = sizeof(ret_signature->bytes) };
	TRY(json_match(row, "signatures[]",
		(struct json_member[]){
			{ "keyid", JSON_KIND_STRING, true, &keyid },
			{ "sig", JSON_KIND_STRING, true, &sig },
		},
		2, err));
	TRY(str_format(ret_signature->keyid, DSSE_KEYID_SIZE, err, "%s", json_as_string(keyid)));
	TRY(base64_decode(BASE64_STANDARD, json_as_view(sig), &bytes, err));
	memcpy(ret_signature->bytes, bytes.data, bytes.size);
	ret_signature->size = bytes.size;
	return 0;
}

static int decode_members(const struct json *root, struct dsse *envelope, struct err *err)
{
	const struct json *payload, *type, *signatures;
	TRY(json_match(root, "",
		(struct json_member[]){
			{ "payload", JSON_KIND_STRING, true, &payload },
			{ "payloadType", JSON_KIND_STRING, true, &type },
			{ "signatures", JSON_KIND_ARRAY, true, &signatures },
		},
		3, err));
	TRY(str_format(envelope->payload_type, sizeof(envelope->payload_type), err, "%s",
		json_as_string(type)));
	envelope->payload.limit = DSSE_PAYLOAD_MAX + 2; /* base64 reserves its padding */
	TRY(base64_decode(BASE64_STANDARD, json_as_view(payload), &envelope->payload, err));
	size_t count = json_size(signatures);
	if (count == 0 || count > DSSE_SIGNATURES_MAX)
		return err_set(err, E_INVALID, "expected 1 to %d signatures, got %zu",
			DSSE_SIGNATURES_MAX, count);
	for (size_t i = 0; i < count; i++)
		TRY(decode_signature(json_at(signatures, i), &envelope->signatures[i], err));
	envelope->signature_count = count;
	return 0;
}

int dsse_decode(struct view json, struct dsse *ret_envelope, struct err *err)
{
	auto_json *root = NULL;
	struct dsse envelope = {};
	TRY(json_parse(json, DSSE_ENVELOPE_MAX, &root, err));
	int status = decode_members(root, &envelope, err);
	if (status < 0) {
		dsse_done(&envelope);
		err_wrap(err, "DSSE envelope");
		return status;
	}
	*ret_envelope = envelope;
	return 0;
}

void dsse_done(struct dsse *envelope)
{
	buf_done(&envelope->payload);
	*envelope = (struct dsse){};
}
