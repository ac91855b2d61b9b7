/* SPDX-License-Identifier: ISC */
/*
 * tls_server.c - what all connections of one set of certificates share.
 *
 * Owns:    struct tls_server: certificates, ticket key, priorities.
 * Runs in: login parent (made, checked, warmed) and workers (used).
 * Trusts:  the files, which master has opened; still every one is checked, so
 *          that a wrong one costs a clear sentence and not the service.
 * Spec:    security.md section 6; RFC 9325.
 */
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/ocsp.h>
#include <gnutls/x509.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "net/tls_impl.h"

#define CHAIN_MAX 16

/* AEAD with ephemeral keys and nothing else, so that every session can be
 * handed over. AES-128 first: half the rounds, and no client lacks it. */
static const char suites[] =
    ":+CTYPE-X509:+COMP-NULL:"
    "+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:+AEAD:"
    "+ECDHE-ECDSA:+ECDHE-RSA:"
    "+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:+GROUP-SECP521R1:"
    "+SIGN-ECDSA-SHA256:+SIGN-ECDSA-SECP256R1-SHA256:"
    "+SIGN-ECDSA-SHA384:+SIGN-ECDSA-SECP384R1-SHA384:"
    "+SIGN-ECDSA-SHA512:+SIGN-ECDSA-SECP521R1-SHA512:"
    "+SIGN-EDDSA-ED25519:"
    "+SIGN-RSA-PSS-RSAE-SHA256:+SIGN-RSA-PSS-RSAE-SHA384:"
    "+SIGN-RSA-PSS-RSAE-SHA512:"
    "+SIGN-RSA-SHA256:+SIGN-RSA-SHA384:+SIGN-RSA-SHA512:"
    "%SERVER_PRECEDENCE";

int
tls_err(struct err *e, enum err_code code, int ret, const char *what)
{
	return err_set(e, code, "%s: %s", what, gnutls_strerror(ret));
}

static gnutls_datum_t
datum(struct str s)
{
	return (gnutls_datum_t){(unsigned char *)(uintptr_t)s.p, (unsigned)s.n};
}

static int
read_dates(struct tls_cert *c, gnutls_pcert_st *leaf, struct err *e)
{
	gnutls_x509_crt_t crt;
	int r = gnutls_x509_crt_init(&crt);

	if (r < 0)
		return tls_err(e, ERR_OTHER, r, "x509_crt_init");
	r = gnutls_x509_crt_import(crt, &leaf->cert, GNUTLS_X509_FMT_DER);
	if (r == 0) {
		c->not_before_s = gnutls_x509_crt_get_activation_time(crt);
		c->not_after_s = gnutls_x509_crt_get_expiration_time(crt);
	}
	gnutls_x509_crt_deinit(crt);
	return r < 0 ? tls_err(e, ERR_CORRUPT, r, "certificate") : 0;
}

/* The public half decides what the key can sign. */
static int
read_pubkey(struct tls_cert *c, gnutls_pcert_st *leaf, struct err *e)
{
	unsigned usage = 0;
	int r = gnutls_pubkey_init(&c->pubkey);

	if (r < 0)
		return tls_err(e, ERR_OTHER, r, "pubkey_init");
	{
		gnutls_x509_crt_t crt;

		r = gnutls_x509_crt_init(&crt);
		if (r == 0) {
			r = gnutls_x509_crt_import(
			    crt, &leaf->cert, GNUTLS_X509_FMT_DER);
			if (r == 0)
				r = gnutls_pubkey_import_x509(
				    c->pubkey, crt, 0);
			gnutls_x509_crt_deinit(crt);
		}
	}
	if (r < 0)
		return tls_err(e, ERR_CORRUPT, r, "public key");
	c->key.pk = gnutls_pubkey_get_pk_algorithm(c->pubkey, &c->key.bits);
	if (c->key.pk != GNUTLS_PK_RSA && c->key.pk != GNUTLS_PK_ECDSA &&
	    c->key.pk != GNUTLS_PK_EDDSA_ED25519)
		return err_set(e, ERR_UNSUPPORTED,
		    "a key of type %s can not be used; ECDSA, RSA and "
		    "Ed25519 can",
		    gnutls_pk_get_name((gnutls_pk_algorithm_t)c->key.pk));
	if (gnutls_pubkey_get_key_usage(c->pubkey, &usage) == 0 && usage != 0 &&
	    (usage & GNUTLS_KEY_DIGITAL_SIGNATURE) == 0)
		return err_set(e, ERR_UNSUPPORTED,
		    "the certificate's key usage does not allow signatures");
	return 0;
}

static int
add_chain(struct tls_server *ts, struct tls_cert *c, struct str pem,
    struct str ocsp, struct err *e)
{
	gnutls_pcert_st chain[CHAIN_MAX];
	gnutls_privkey_t key;
	gnutls_datum_t d = datum(pem);
	unsigned n = CHAIN_MAX;
	int index, r;

	if (str_find_str(pem, STR("PRIVATE KEY-----")) != pem.n)
		return err_set(e, ERR_CORRUPT,
		    "a private key must not reach this process");
	r = gnutls_pcert_list_import_x509_raw(
	    chain, &n, &d, GNUTLS_X509_FMT_PEM, GNUTLS_X509_CRT_LIST_SORT);
	if (r < 0 || n == 0)
		return tls_err(e, ERR_CORRUPT, r, "certificate chain");
	if (read_dates(c, &chain[0], e) == -1 ||
	    read_pubkey(c, &chain[0], e) == -1 ||
	    tls_sign_key_new(&c->key, &key, e) == -1)
		goto fail;
	/* Takes the key and what is in the chain. */
	index =
	    gnutls_certificate_set_key(ts->cred, NULL, 0, chain, (int)n, key);
	if (index < 0) {
		gnutls_privkey_deinit(key);
		(void)tls_err(e, ERR_CORRUPT, index, "certificate");
		goto fail;
	}
	if (ocsp.n > 0) {
		d = datum(ocsp);
		r = gnutls_certificate_set_ocsp_status_request_mem(
		    ts->cred, &d, (unsigned)index, GNUTLS_X509_FMT_DER);
		/* Only stapling is lost: clients can ask for themselves. */
		if (r < 0)
			(void)snprintf(c->ocsp_problem, sizeof(c->ocsp_problem),
			    "%s", gnutls_strerror(r));
	}
	return 0;
fail:
	for (unsigned i = 0; i < n; i++)
		gnutls_pcert_deinit(&chain[i]);
	return -1;
}

static int
add_certs(struct tls_server *ts, const struct tls_server_settings *settings,
    struct err *e)
{
	if (settings->n_certs == 0 || settings->n_certs > TLS_CERTS_MAX)
		return err_set(e, ERR_LIMIT, "%zu certificates, 1 to %d can be",
		    settings->n_certs, TLS_CERTS_MAX);
	for (size_t i = 0; i < settings->n_certs; i++) {
		const struct tls_cert_bytes *from = &settings->certs[i];
		struct tls_cert *c = &ts->certs[i];

		c->key = (struct tls_key){.server = ts, .cert = (unsigned)i};
		(void)snprintf(c->name, sizeof(c->name), "%s",
		    from->name != NULL ? from->name : "certificate");
		ts->n_certs = i + 1;
		if (add_chain(ts, c, from->chain_pem, from->ocsp_der, e) == -1)
			return err_in(e, "%s", c->name);
	}
	return 0;
}

static int
set_up(struct tls_server *ts, const struct tls_server_settings *settings,
    struct err *e)
{
	char priorities[sizeof(suites) + 40];
	const char *at;
	int r;

	(void)snprintf(priorities, sizeof(priorities), "NONE:+VERS-TLS1.3%s%s",
	    settings->only_tls13 ? "" : ":+VERS-TLS1.2", suites);
	ts->only_tls13 = settings->only_tls13;
	ts->ticket_life_s = settings->ticket_life_s;
	r = gnutls_certificate_allocate_credentials(&ts->cred);
	if (r < 0)
		return tls_err(e, ERR_OTHER, r, "credentials");
	/* tls_server_check() does it, and knows how to say what is wrong. */
	gnutls_certificate_set_flags(
	    ts->cred, GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH);
	r = gnutls_priority_init(&ts->priority, priorities, &at);
	if (r < 0)
		return tls_err(e, ERR_OTHER, r, at);
	if (settings->ticket_life_s == 0)
		return add_certs(ts, settings, e);
	if (settings->ticket_key.n == TLS_TICKET_KEY_BYTES) {
		ts->ticket_key.data = mem_new(1, TLS_TICKET_KEY_BYTES);
		ts->ticket_key.size = TLS_TICKET_KEY_BYTES;
		memcpy(ts->ticket_key.data, settings->ticket_key.p,
		    TLS_TICKET_KEY_BYTES);
	} else if (settings->ticket_key.n != 0)
		return err_set(e, ERR_OTHER, "ticket key of %zu bytes",
		    settings->ticket_key.n);
	return add_certs(ts, settings, e);
}

int
tls_server_new(const struct tls_server_settings *settings,
    struct tls_server **out, struct err *e)
{
	struct tls_server *ts = mem_new(1, sizeof(*ts));

	tls_sign_watch();
	if (set_up(ts, settings, e) == -1) {
		tls_server_free(&ts);
		return -1;
	}
	*out = ts;
	return 0;
}

void
tls_server_free(struct tls_server **ts)
{
	if (*ts == NULL)
		return;
	for (size_t i = 0; i < (*ts)->n_certs; i++) {
		if ((*ts)->certs[i].pubkey != NULL)
			gnutls_pubkey_deinit((*ts)->certs[i].pubkey);
	}
	if ((*ts)->cred != NULL)
		gnutls_certificate_free_credentials((*ts)->cred);
	if ((*ts)->priority != NULL)
		gnutls_priority_deinit((*ts)->priority);
	if ((*ts)->ticket_key.data != NULL) {
		gnutls_memset(
		    (*ts)->ticket_key.data, 0, (*ts)->ticket_key.size);
		MEM_FREE((*ts)->ticket_key.data);
	}
	MEM_FREE(*ts);
}

bool
tls_server_cert(
    const struct tls_server *ts, size_t i, struct tls_cert_info *out)
{
	const struct tls_cert *c = &ts->certs[i];

	if (i >= ts->n_certs)
		return false;
	*out = (struct tls_cert_info){.name = c->name,
	    .not_before_s = c->not_before_s,
	    .not_after_s = c->not_after_s,
	    .ocsp_problem = c->ocsp_problem};
	return true;
}

void
tls_server_set_signer(struct tls_server *ts, tls_sign_fn *sign, void *arg)
{
	ts->sign = sign;
	ts->sign_arg = arg;
}

/* ---- checks --------------------------------------------------------------- */

static void
choose_scheme(
    const struct tls_key *key, uint16_t *scheme, gnutls_sign_algorithm_t *sign)
{
	if (key->pk == GNUTLS_PK_RSA) {
		*scheme = 0x0804;
		*sign = GNUTLS_SIGN_RSA_PSS_RSAE_SHA256;
	} else if (key->pk == GNUTLS_PK_EDDSA_ED25519) {
		*scheme = 0x0807;
		*sign = GNUTLS_SIGN_EDDSA_ED25519;
	} else if (key->bits >= 512) {
		*scheme = 0x0603;
		*sign = GNUTLS_SIGN_ECDSA_SHA512;
	} else if (key->bits >= 384) {
		*scheme = 0x0503;
		*sign = GNUTLS_SIGN_ECDSA_SHA384;
	} else {
		*scheme = 0x0403;
		*sign = GNUTLS_SIGN_ECDSA_SHA256;
	}
}

/* A signature over a handshake that never was, under the public key. */
static int
check_key(struct tls_server *ts, struct tls_cert *c, struct err *e)
{
	static const char context[] = "TLS 1.3, server CertificateVerify";
	char input[64 + sizeof(context) + 32];
	gnutls_sign_algorithm_t sign;
	gnutls_datum_t data, sig;
	uint16_t scheme;
	struct buf out;
	int r, rc = -1;

	memset(input, ' ', 64);
	memcpy(input + 64, context, sizeof(context));
	r = gnutls_rnd(GNUTLS_RND_NONCE, input + 64 + sizeof(context), 32);
	if (r < 0)
		return tls_err(e, ERR_OTHER, r, "random");
	choose_scheme(&c->key, &scheme, &sign);
	buf_init(&out, TLS_SIGNATURE_MAX);
	data = datum(str_make(input, sizeof(input)));
	if (ts->sign(ts->sign_arg, c->key.cert, scheme,
		str_make(input, sizeof(input)), &out, e) == 0) {
		sig = datum(buf_str(&out));
		r = gnutls_pubkey_verify_data2(c->pubkey, sign, 0, &data, &sig);
		if (r < 0)
			(void)tls_err(e, ERR_CORRUPT, r,
			    "the private key does not belong to the "
			    "certificate");
		else
			rc = 0;
	}
	buf_done(&out);
	return rc;
}

int
tls_server_check(struct tls_server *ts, struct err *e)
{
	ASSERT(ts->sign != NULL);
	for (size_t i = 0; i < ts->n_certs; i++)
		if (check_key(ts, &ts->certs[i], e) == -1)
			return err_in(e, "%s", ts->certs[i].name);
	return 0;
}

/* ---- warming -------------------------------------------------------------- */

/* Two ends in one process, joined by two buffers. */
struct pipe_end {
	struct buf *in, *out;
};

static ssize_t
pipe_push(gnutls_transport_ptr_t p, const void *from, size_t n)
{
	struct pipe_end *end = p;

	return buf_add(end->out, from, n) ? (ssize_t)n : -1;
}

static ssize_t
pipe_pull(gnutls_transport_ptr_t p, void *to, size_t n)
{
	struct pipe_end *end = p;

	if (end->in->n == 0) {
		errno = EAGAIN;
		return -1;
	}
	if (n > end->in->n)
		n = end->in->n;
	memcpy(to, end->in->p, n);
	buf_drop(end->in, n);
	return (ssize_t)n;
}

static int
shake(gnutls_session_t client, gnutls_session_t server)
{
	int c = GNUTLS_E_AGAIN, s = GNUTLS_E_AGAIN;

	for (int i = 0; i < 20 && (c != 0 || s != 0); i++) {
		if (c != 0)
			c = gnutls_handshake(client);
		if (c != 0 && gnutls_error_is_fatal(c))
			return c;
		if (s != 0)
			s = gnutls_handshake(server);
		if (s != 0 && gnutls_error_is_fatal(s))
			return s;
	}
	return c != 0 ? c : s;
}

static void
set_pipe(gnutls_session_t session, struct pipe_end *end)
{
	gnutls_transport_set_ptr(session, end);
	gnutls_transport_set_push_function(session, pipe_push);
	gnutls_transport_set_pull_function(session, pipe_pull);
}

static int
shake_once(struct tls_server *ts, gnutls_certificate_credentials_t nothing,
    const char *client_priorities)
{
	gnutls_session_t client = NULL, server = NULL;
	struct buf up, down;
	struct pipe_end at_client = {&down, &up}, at_server = {&up, &down};
	int r;

	buf_init(&up, 256 * 1024);
	buf_init(&down, 256 * 1024);
	if ((r = gnutls_init(&client, GNUTLS_CLIENT | GNUTLS_NONBLOCK)) < 0 ||
	    (r = gnutls_init(&server, GNUTLS_SERVER | GNUTLS_NONBLOCK)) < 0 ||
	    (r = gnutls_priority_set_direct(client, client_priorities, NULL)) <
		0 ||
	    (r = gnutls_priority_set(server, ts->priority)) < 0 ||
	    (r = gnutls_credentials_set(
		 client, GNUTLS_CRD_CERTIFICATE, nothing)) < 0 ||
	    (r = gnutls_credentials_set(
		 server, GNUTLS_CRD_CERTIFICATE, ts->cred)) < 0)
		goto out;
	if (ts->ticket_key.data != NULL &&
	    (r = gnutls_session_ticket_enable_server(server, &ts->ticket_key)) <
		0)
		goto out;
	set_pipe(client, &at_client);
	set_pipe(server, &at_server);
	r = shake(client, server);
out:
	if (client != NULL)
		gnutls_deinit(client);
	if (server != NULL)
		gnutls_deinit(server);
	buf_done(&up);
	buf_done(&down);
	return r;
}

static bool
has_pk(const struct tls_server *ts, bool rsa)
{
	for (size_t i = 0; i < ts->n_certs; i++) {
		if ((ts->certs[i].key.pk == GNUTLS_PK_RSA) == rsa)
			return true;
	}
	return false;
}

int
tls_server_warm(struct tls_server *ts, struct err *e)
{
	static const struct {
		const char *priorities;
		bool rsa, tls12;
	} ways[] = {
	    {"NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-X25519:"
	     "-SIGN-ALL:+SIGN-ECDSA-SECP256R1-SHA256:"
	     "+SIGN-ECDSA-SECP384R1-SHA384:+SIGN-ECDSA-SECP521R1-SHA512:"
	     "+SIGN-EDDSA-ED25519",
		false, false},
	    {"NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA", false, true},
	    {"NORMAL:-VERS-ALL:+VERS-TLS1.3:-SIGN-ALL:"
	     "+SIGN-RSA-PSS-RSAE-SHA256",
		true, false},
	    {"NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+ECDHE-RSA", true, true},
	};
	gnutls_certificate_credentials_t nothing;
	int r = gnutls_certificate_allocate_credentials(&nothing);

	if (r < 0)
		return tls_err(e, ERR_OTHER, r, "credentials");
	for (size_t i = 0; i < ARRAY_LEN(ways) && r == 0; i++) {
		if (!has_pk(ts, ways[i].rsa) ||
		    (ways[i].tls12 && ts->only_tls13))
			continue;
		ts->sign_err.text[0] = '\0';
		r = shake_once(ts, nothing, ways[i].priorities);
	}
	gnutls_certificate_free_credentials(nothing);
	if (r == 0)
		return 0;
	(void)tls_err(e, ERR_CORRUPT, r, "handshake with itself");
	if (ts->sign_err.text[0] != '\0')
		(void)err_in(e, "%s", ts->sign_err.text);
	return -1;
}
