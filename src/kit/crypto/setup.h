/* The crypto library, made ready once per program. */
#ifndef KIT_CRYPTO_SETUP_H
#define KIT_CRYPTO_SETUP_H

/*
 * Before any other use: OpenSSL reads no configuration file, so what stands in /etc changes neither
 * what we compute nor how long a process takes to start.
 */
void crypto_setup(void);

#endif
