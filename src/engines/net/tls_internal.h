/* The TLS context, shared by its makers (tls_context.c) and the pump. */
#ifndef ENGINES_NET_TLS_INTERNAL_H
#define ENGINES_NET_TLS_INTERNAL_H

#include <openssl/ssl.h>

struct http_tls {
	SSL_CTX *context;
};

#endif
