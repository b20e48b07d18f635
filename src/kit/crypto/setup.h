/* The crypto library, made ready once per program. */
#ifndef KIT_CRYPTO_SETUP_H
#define KIT_CRYPTO_SETUP_H

/*
 * Before any other use: OpenSSL reads no configuration file, so what stands in /etc changes neither
 * what we compute nor how long a process takes to start.
 */
void crypto_setup(void);

/*
 * Do once what a process does that hashes and signs, for a process that will be forked: everything
 * the library looks up and allocates at first use is there then. No key survives.
 */
void crypto_warm(void);

#endif
