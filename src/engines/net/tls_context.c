/*
 * TLS server contexts: one certificate, TLS 1.2 and 1.3, nothing remembered between connections
 * (no tickets, no sessions), plaintext in OpenSSL's buffers wiped after use.
 */
#include "engines/net/tls_internal.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "engines/net/http_server.h"
#include "kit/base/mem.h"
#include "kit/base/str.h"

#define SELF_SIGNED_DAYS 397 /* what browsers accept at most */
#define BACKDATE_S 3600      /* for clients whose clock is late */
#define SERIAL_BYTES 16
#define SAN_MAX 320

static const char ciphers_tls12[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

static int ssl_failed(struct err *err, int category, const char *what)
{
	char reason[128] = "no reason given";
	unsigned long code = ERR_get_error();
	if (code)
		ERR_error_string_n(code, reason, sizeof(reason));
	ERR_clear_error();
	return err_set(err, category, "%s: %s", what, reason);
}

static int choose_protocol(SSL *ssl UNUSED, const unsigned char **ret_name, unsigned char *ret_size,
	const unsigned char *offered, unsigned offered_size, void *user UNUSED)
{
	static const unsigned char ours[] = "\x08http/1.1";
	unsigned char *chosen = NULL;
	int status = SSL_select_next_proto(
		&chosen, ret_size, ours, sizeof(ours) - 1, offered, offered_size);
	*ret_name = chosen;
	return status == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

void http_tls_free(struct http_tls *tls)
{
	if (!tls)
		return;
	SSL_CTX_free(tls->context);
	mem_free(tls);
}

static int new_context(struct http_tls **ret_tls, struct err *err)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	if (!context)
		return ssl_failed(err, E_INTERNAL, "OpenSSL makes no TLS context");
	struct http_tls *tls = mem_alloc(1, sizeof(*tls));
	tls->context = context;
	(void)SSL_CTX_set_options(context, SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_NO_TICKET |
						   SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
						   SSL_OP_CIPHER_SERVER_PREFERENCE);
	(void)SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
						SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	(void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
	if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
		SSL_CTX_set_num_tickets(context, 0) != 1 ||
		SSL_CTX_set_cipher_list(context, ciphers_tls12) != 1) {
		http_tls_free(tls);
		return ssl_failed(err, E_INTERNAL, "OpenSSL refuses the TLS settings");
	}
	*ret_tls = tls;
	return 0;
}

int http_tls_new(const char *certificate_path, const char *key_path, struct http_tls **ret_tls,
	struct err *err)
{
	struct http_tls *tls = NULL;
	if (access(certificate_path, R_OK) < 0 || access(key_path, R_OK) < 0)
		return err_sys(err, E_NOT_FOUND, "cannot read TLS files %.128s and %.128s",
			certificate_path, key_path);
	TRY(new_context(&tls, err));
	if (SSL_CTX_use_certificate_chain_file(tls->context, certificate_path) == 1 &&
		SSL_CTX_use_PrivateKey_file(tls->context, key_path, SSL_FILETYPE_PEM) == 1 &&
		SSL_CTX_check_private_key(tls->context) == 1) {
		*ret_tls = tls;
		return 0;
	}
	http_tls_free(tls);
	return ssl_failed(err, E_INVALID, "TLS certificate and key are no matching PEM pair");
}

static bool add_extension(X509 *certificate, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	bool is_added = extension && X509_add_ext(certificate, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return is_added;
}

static bool set_serial(X509 *certificate)
{
	unsigned char bytes[SERIAL_BYTES];
	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return false;
	bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); /* positive and of full length */
	BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
	bool is_set = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
	BN_free(number);
	return is_set;
}

static bool fill_certificate(X509 *certificate, EVP_PKEY *key, const char *names)
{
	X509_NAME *name = X509_get_subject_name(certificate);
	return X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
	       X509_gmtime_adj(X509_getm_notBefore(certificate), -BACKDATE_S) &&
	       X509_gmtime_adj(X509_getm_notAfter(certificate), SELF_SIGNED_DAYS * 86400L) &&
	       X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
		       (const unsigned char *)"cupel self-signed", -1, -1, 0) == 1 &&
	       X509_set_issuer_name(certificate, name) == 1 &&
	       X509_set_pubkey(certificate, key) == 1 &&
	       add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(certificate, NID_key_usage, "critical,digitalSignature") &&
	       add_extension(certificate, NID_ext_key_usage, "serverAuth") &&
	       add_extension(certificate, NID_subject_alt_name, names) &&
	       X509_sign(certificate, key, EVP_sha256()) > 0;
}

static int subject_names(const char *host, char ret_names[static SAN_MAX], struct err *err)
{
	static const char local[] = "DNS:localhost,IP:127.0.0.1,IP:::1";
	if (!host)
		return str_format(ret_names, SAN_MAX, err, "%s", local);
	/* The text goes into OpenSSL's configuration syntax: plain names only. */
	if (!str_is_file_name(view_string(host), 253))
		return err_set(err, E_INVALID, "'%.64s' is no host name for a certificate", host);
	return str_format(ret_names, SAN_MAX, err, "%s,DNS:%s", local, host);
}

int http_tls_new_self_signed(
	const char *host, uint8_t ret_sha256[static 32], struct http_tls **ret_tls, struct err *err)
{
	char names[SAN_MAX];
	struct http_tls *tls = NULL;
	unsigned size = 0;
	TRY(subject_names(host, names, err));
	TRY(new_context(&tls, err));
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	bool is_made = key && certificate && fill_certificate(certificate, key, names) &&
		       SSL_CTX_use_certificate(tls->context, certificate) == 1 &&
		       SSL_CTX_use_PrivateKey(tls->context, key) == 1 &&
		       X509_digest(certificate, EVP_sha256(), ret_sha256, &size) == 1;
	EVP_PKEY_free(key);
	X509_free(certificate);
	if (!is_made) {
		http_tls_free(tls);
		return ssl_failed(err, E_INTERNAL, "cannot make a self-signed certificate");
	}
	*ret_tls = tls;
	return 0;
}

int http_tls_certificate(const struct http_tls *tls, struct buf *ret_pem, struct err *err)
{
	char *text = NULL;
	BIO *bio = BIO_new(BIO_s_mem());
	bool is_written = bio &&
			  PEM_write_bio_X509(bio, SSL_CTX_get0_certificate(tls->context)) == 1;
	long size = is_written ? BIO_get_mem_data(bio, &text) : 0;
	int status = size > 0 ? buf_append(ret_pem, view_of(text, (size_t)size), err)
			      : ssl_failed(err, E_INTERNAL, "cannot write the certificate");
	BIO_free(bio);
	return status;
}
