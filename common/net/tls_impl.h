/* SPDX-License-Identifier: ISC */
/* tls_impl.h - what the parts of net/tls share. */
#ifndef NET_TLS_IMPL_H
#define NET_TLS_IMPL_H

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

#include "net/tls.h"

/* A private key that is elsewhere. */
struct tls_key {
	struct tls_server *server;
	unsigned cert;
	int pk; /* gnutls_pk_algorithm_t */
	unsigned bits;
};

struct tls_server {
	gnutls_certificate_credentials_t cred;
	gnutls_priority_t priority;
	gnutls_datum_t ticket_key;
	uint32_t ticket_life_s;
	bool only_tls13;
	tls_sign_fn *sign;
	void *sign_arg;
	struct err
	    sign_err; /* why the signer said no, for the handshake's err */
	struct tls_cert {
		struct tls_key key;
		gnutls_pubkey_t pubkey;
		int64_t not_before_s, not_after_s;
		char name[256];
		char ocsp_problem[200]; /* "": none */
	} certs[TLS_CERTS_MAX];
	size_t n_certs;
};

/* "what: reason of GnuTLS"; returns -1. */
int tls_err(struct err *e, enum err_code code, int ret, const char *what);

/*
 * A handle for the key of certificate `cert`, whose public half is `pub`.
 * Every signature with it asks server->sign.
 */
int tls_sign_key_new(struct tls_key *key, gnutls_privkey_t *out, struct err *e);
/* Before GnuTLS allocates anything: lets us see what it is about to sign. */
void tls_sign_watch(void);

#endif
