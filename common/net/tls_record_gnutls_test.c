/* SPDX-License-Identifier: ISC */
/*
 * tls_record_gnutls_test.c - a GnuTLS client that does not notice the handover.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/buf.h"
#include "net/tls_record.h"

static const struct stack {
	const char *priority;
	uint16_t version, suite;
	gnutls_pk_algorithm_t pk;
} stacks[] = {
    {"NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM", 0x0304, 0x1301,
	GNUTLS_PK_ECDSA},
    {"NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-256-GCM", 0x0304, 0x1302,
	GNUTLS_PK_ECDSA},
    {"NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+CHACHA20-POLY1305", 0x0304,
	0x1303, GNUTLS_PK_ECDSA},
    {"NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-GCM:-KX-ALL:"
     "+ECDHE-ECDSA",
	0x0303, 0xc02b, GNUTLS_PK_ECDSA},
    {"NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-256-GCM:-KX-ALL:"
     "+ECDHE-ECDSA",
	0x0303, 0xc02c, GNUTLS_PK_ECDSA},
    {"NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+CHACHA20-POLY1305:-KX-ALL:"
     "+ECDHE-ECDSA",
	0x0303, 0xcca9, GNUTLS_PK_ECDSA},
    {"NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-GCM:-KX-ALL:"
     "+ECDHE-RSA",
	0x0303, 0xc02f, GNUTLS_PK_RSA},
    {"NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-256-GCM:-KX-ALL:"
     "+ECDHE-RSA",
	0x0303, 0xc030, GNUTLS_PK_RSA},
    {"NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+CHACHA20-POLY1305:-KX-ALL:"
     "+ECDHE-RSA",
	0x0303, 0xcca8, GNUTLS_PK_RSA},
};

struct shake {
	gnutls_session_t client, server;
	gnutls_certificate_credentials_t client_cred, server_cred;
	int fd[2]; /* client's, server's */
	uint8_t read_secret[48], write_secret[48];
	size_t secret_n;
};

static int
keep_secret(gnutls_session_t s, gnutls_record_encryption_level_t level,
    const void *rd, const void *wr, size_t n)
{
	struct shake *h = gnutls_session_get_ptr(s);

	if (level != GNUTLS_ENCRYPTION_LEVEL_APPLICATION)
		return 0;
	h->secret_n = n;
	if (rd != NULL)
		memcpy(h->read_secret, rd, n);
	if (wr != NULL)
		memcpy(h->write_secret, wr, n);
	return 0;
}

static void
add_certificate(gnutls_certificate_credentials_t cred, gnutls_pk_algorithm_t pk)
{
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;

	assert_int_equal(gnutls_x509_privkey_init(&key), 0);
	assert_int_equal(
	    gnutls_x509_privkey_generate(key, pk,
		pk == GNUTLS_PK_RSA ? 2048
				    : (unsigned)GNUTLS_CURVE_TO_BITS(
					  GNUTLS_ECC_CURVE_SECP256R1),
		0),
	    0);
	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	gnutls_x509_crt_set_version(crt, 3);
	gnutls_x509_crt_set_serial(crt, "1", 1);
	gnutls_x509_crt_set_activation_time(crt, 0);
	gnutls_x509_crt_set_expiration_time(crt, (time_t)1 << 32);
	gnutls_x509_crt_set_key(crt, key);
	assert_int_equal(
	    gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0), 0);
	assert_int_equal(
	    gnutls_certificate_set_x509_key(cred, &crt, 1, key), 0);
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(key);
}

static void
shake_hands(struct shake *h, const struct stack *k)
{
	int c = GNUTLS_E_AGAIN, s = GNUTLS_E_AGAIN;

	memset(h, 0, sizeof(*h));
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, h->fd), 0);
	assert_int_equal(
	    gnutls_certificate_allocate_credentials(&h->client_cred), 0);
	assert_int_equal(
	    gnutls_certificate_allocate_credentials(&h->server_cred), 0);
	add_certificate(h->server_cred, k->pk);
	gnutls_init(&h->client, GNUTLS_CLIENT | GNUTLS_NONBLOCK);
	gnutls_init(
	    &h->server, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_TICKETS);
	assert_int_equal(
	    gnutls_priority_set_direct(h->client, k->priority, NULL), 0);
	assert_int_equal(
	    gnutls_priority_set_direct(h->server, k->priority, NULL), 0);
	gnutls_credentials_set(
	    h->client, GNUTLS_CRD_CERTIFICATE, h->client_cred);
	gnutls_credentials_set(
	    h->server, GNUTLS_CRD_CERTIFICATE, h->server_cred);
	gnutls_transport_set_int(h->client, h->fd[0]);
	gnutls_transport_set_int(h->server, h->fd[1]);
	gnutls_session_set_ptr(h->server, h);
	gnutls_handshake_set_secret_function(h->server, keep_secret);
	while (c != 0 || s != 0) {
		if (c != 0)
			c = gnutls_handshake(h->client);
		assert_true(c == 0 || c == GNUTLS_E_AGAIN);
		if (s != 0)
			s = gnutls_handshake(h->server);
		assert_true(s == 0 || s == GNUTLS_E_AGAIN);
	}
}

static void
export_direction(gnutls_session_t s, unsigned reading, struct tls_direction *d)
{
	gnutls_datum_t mac, iv, key;
	unsigned char seq[8];
	int i;

	assert_int_equal(
	    gnutls_record_get_state(s, reading, &mac, &iv, &key, seq), 0);
	assert_true(key.size <= TLS_KEY_MAX && iv.size <= TLS_IV_MAX);
	memcpy(d->key, key.data, key.size);
	d->key_len = (uint8_t)key.size;
	memcpy(d->iv, iv.data, iv.size);
	for (i = 0; i < 8; i++)
		d->seq = d->seq << 8 | seq[i];
}

static struct tls_record *
hand_over(struct shake *h, const struct stack *k)
{
	struct tls_state st = {.version = k->version, .suite = k->suite};
	struct tls_record *t;
	struct err e;

	export_direction(h->server, 1, &st.read);
	export_direction(h->server, 0, &st.write);
	if (k->version == 0x0304) {
		memcpy(st.read.secret, h->read_secret, h->secret_n);
		memcpy(st.write.secret, h->write_secret, h->secret_n);
		st.read.secret_len = st.write.secret_len = (uint8_t)h->secret_n;
	}
	assert_int_equal(tls_record_new(&st, &t, &e), 0);
	return t;
}

/* Reads what the client has sent, through the record layer. */
static void
serve_input(struct shake *h, struct tls_record *t, struct buf *plain,
    struct buf *wire, bool *closed)
{
	char block[20000];
	ssize_t n = read(h->fd[1], block, sizeof(block));
	struct err e;

	if (n > 0)
		assert_int_equal(tls_record_open(t, str_make(block, (size_t)n),
				     plain, wire, closed, &e),
		    0);
	if (wire->n > 0) {
		assert_int_equal(write(h->fd[1], wire->p, wire->n), wire->n);
		buf_clear(wire);
	}
}

/* Sends `text` from the server, and lets the client read it. */
static void
client_gets(struct shake *h, struct tls_record *t, struct str text)
{
	char got[70000];
	struct buf wire;
	struct err e;
	size_t have = 0;
	ssize_t n;

	buf_init(&wire, 1 << 20);
	assert_int_equal(tls_record_seal(t, text, &wire, &e), 0);
	assert_int_equal(write(h->fd[1], wire.p, wire.n), wire.n);
	while (have < text.n) {
		n = gnutls_record_recv(h->client, got + have, text.n - have);
		if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
			continue;
		assert_true(n > 0);
		have += (size_t)n;
	}
	assert_memory_equal(got, text.p, text.n);
	buf_done(&wire);
}

static void
client_sends(struct shake *h, struct tls_record *t, struct str text)
{
	struct buf plain, wire;
	bool closed = false;

	buf_init(&plain, 1 << 20);
	buf_init(&wire, 1 << 20);
	assert_int_equal(gnutls_record_send(h->client, text.p, text.n), text.n);
	while (plain.n < text.n)
		serve_input(h, t, &plain, &wire, &closed);
	assert_true(str_eq(buf_str(&plain), text));
	buf_done(&plain);
	buf_done(&wire);
}

static void
talk(const struct stack *k)
{
	static char large[60000];
	struct shake h;
	struct tls_record *t;
	struct buf plain, wire;
	bool closed = false;

	shake_hands(&h, k);
	/* Some records by GnuTLS itself first, so that numbers are not 0. */
	assert_int_equal(gnutls_record_send(h.server, "* OK\r\n", 6), 6);
	assert_int_equal(gnutls_record_recv(h.client, large, 100), 6);
	memset(large, 'x', sizeof(large));
	t = hand_over(&h, k);
	client_sends(&h, t, STR("a LOGIN\r\n"));
	client_gets(&h, t, STR("a OK\r\n"));
	client_gets(&h, t, str_make(large, sizeof(large)));
	client_sends(&h, t, str_make(large, 16384));
	if (k->version == 0x0304) {
		/* The client updates its keys, then asks us to update ours. */
		assert_int_equal(gnutls_session_key_update(h.client, 0), 0);
		client_sends(&h, t, STR("b NOOP\r\n"));
		assert_int_equal(
		    gnutls_session_key_update(h.client, GNUTLS_KU_PEER), 0);
		client_sends(&h, t, STR("c NOOP\r\n"));
		client_gets(&h, t, STR("c OK\r\n"));
		/* And we do it by ourselves. */
		tls_record_set_update_after(t, 2);
		client_gets(&h, t, str_make(large, sizeof(large)));
		client_gets(&h, t, STR("d OK\r\n"));
		client_sends(&h, t, STR("e NOOP\r\n"));
	}
	buf_init(&plain, 1000);
	buf_init(&wire, 1000);
	gnutls_bye(h.client, GNUTLS_SHUT_WR);
	while (!closed)
		serve_input(&h, t, &plain, &wire, &closed);
	tls_record_close(t, &wire);
	assert_int_equal(write(h.fd[1], wire.p, wire.n), wire.n);
	/* 0: a proper end, not a cut connection. */
	assert_int_equal(gnutls_record_recv(h.client, large, 100), 0);
	buf_done(&plain);
	buf_done(&wire);
	tls_record_free(&t);
	gnutls_deinit(h.client);
	gnutls_deinit(h.server);
	gnutls_certificate_free_credentials(h.client_cred);
	gnutls_certificate_free_credentials(h.server_cred);
	close(h.fd[0]);
	close(h.fd[1]);
}

static void
test_gnutls_does_not_notice(UNUSED void **state)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(stacks); i++)
		talk(&stacks[i]);
	tls_record_trim();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_gnutls_does_not_notice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
