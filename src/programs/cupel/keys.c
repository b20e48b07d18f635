/* cupel keys show: what a verifier elsewhere needs of this machine. Secrets stay in cced-keys. */
#include <stdio.h>

#include "kit/base/str.h"
#include "kit/codec/hex.h"
#include "kit/crypto/dsse.h"
#include "kit/crypto/sign.h"
#include "programs/cupel/cupel.h"

int run_keys_show(struct cupel *cupel, int argc, char **argv, struct err *err)
{
	struct arguments arguments;
	auto_done(trust) trust = {};
	auto_done(buf) pem = {};
	char keyid[DSSE_KEYID_SIZE], anchor[HEX_SIZE(SHA256_SIZE)];
	TRY(options_parse(cupel, argc, argv, NULL, 0, &arguments, err));
	if (cupel->is_help)
		return 0;
	TRY(options_none(cupel, &arguments, err));
	TRY(trust_find(cupel, &(struct trust_flags){}, &trust, err));
	if (!trust.issuer_spki.size)
		return err_set(err, E_NOT_FOUND,
			"expected %s/issuer.pem, which is readable there once cced or cupel run "
			"has started (as root)",
			cupel->state_dir);
	TRY(sign_spki_to_pem(buf_view(&trust.issuer_spki), &pem, err));
	dsse_keyid(buf_view(&trust.issuer_spki), keyid);
	(void)hex_encode(view_of(trust.platform.root_sha256, SHA256_SIZE), anchor);
	bool has_anchor = trust.platform.root.size > 0;
	if (cupel->is_json) {
		auto_json *body = json_new_object();
		json_set_string(body, "issuer", buf_string(&pem));
		json_set_string(body, "keyid", keyid);
		json_set_string(body, "simulated_anchor_sha256", has_anchor ? anchor : NULL);
		return show_json(body, err);
	}
	printf("%s", buf_string(&pem));
	(void)fprintf(stderr, "key id %s\n", keyid);
	if (has_anchor)
		(void)fprintf(stderr, "simulated anchor %s/tee-sim/root.der, SHA-256 %s\n",
			cupel->state_dir, anchor);
	return 0;
}
