/* SPDX-License-Identifier: ISC */
/*
 * tls.c - one TLS connection of a login worker, up to the handover.
 *
 * GnuTLS is given bytes only when a whole record lies in our buffer, so it
 * never holds part of a record, and what it has not been given is known
 * (tls-handover.md). Output is collected and sent before we wait for input.
 *
 * NEW --tls_handshake--> OPEN --tls_export--> EXPORTED --tls_resume--> OPEN
 *
 * Owns:    struct tls with its GnuTLS session.
 * Runs in: login workers, confined, one connection at a time.
 * Trusts:  nothing from the wire.
 * Spec:    RFC 8446, RFC 5246, RFC 7627, RFC 9266; security.md section 6.
 */
#include <errno.h>
#include <gnutls/crypto.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/secret.h"
#include "net/tls_impl.h"

#define HEADER 5
#define PLAIN_MAX 16384
#define EXT_MAX_FRAGMENT 1
#define EXT_RECORD_SIZE_LIMIT 28
#define RECORD_MAX (HEADER + PLAIN_MAX + 2048)
#define OUT_MAX (256 * 1024)
#define OUT_FLUSH (16 * 1024)
#define HANDSHAKE_MESSAGE_MAX (32 * 1024)
#define UPDATES_MAX 64

struct tls {
	struct tls_server *server;
	gnutls_session_t session;
	int fd, stop_fd;
	int64_t deadline_ms;
	struct buf out;
	unsigned size_limit; /* the client's record_size_limit, 0: none */
	unsigned max_fragment; /* its max_fragment_length code, 0: none */
	struct err io; /* why the transport failed, when it did */
	bool io_failed;
	bool is_open; /* the handshake is done */
	bool is_closed; /* gate: no further record for GnuTLS */
	uint8_t read_secret[TLS_SECRET_MAX], write_secret[TLS_SECRET_MAX];
	uint8_t n_read_secret, n_write_secret;
	size_t allowed; /* of the record at raw + start, still to give out */
	size_t start, end;
	uint8_t raw[RECORD_MAX];
};

/* ---- transport ------------------------------------------------------------ */

static int
io_fail(struct tls *t, enum err_code code, const char *what)
{
	t->io_failed = true;
	return err_set(&t->io, code, "%s", what);
}

static int
wait_for(struct tls *t, short events)
{
	struct pollfd p[2] = {{.fd = t->fd, .events = events},
	    {.fd = t->stop_fd, .events = POLLRDHUP}};
	int64_t left;
	int r;

	do {
		left = t->deadline_ms - clock_mono_ms();
		if (left <= 0)
			return io_fail(t, ERR_TIMEOUT, "took too long");
		r = poll(p, 2, left > INT32_MAX ? INT32_MAX : (int)left);
	} while (r == 0 || (r == -1 && errno == EINTR));
	if (r == -1)
		return io_fail(t, ERR_SYS, "poll");
	if (p[0].revents == 0)
		return io_fail(t, ERR_TIMEOUT, "not waited any longer");
	return 0;
}

static int
flush(struct tls *t)
{
	size_t sent = 0;

	while (sent < t->out.n) {
		ssize_t n = send(t->fd, t->out.p + sent, t->out.n - sent,
		    MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0) {
			sent += (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return io_fail(t, ERR_CLOSED, "peer is gone");
		if (wait_for(t, POLLOUT) == -1)
			return -1;
	}
	buf_clear(&t->out);
	return 0;
}

static ssize_t
push(gnutls_transport_ptr_t p, const void *from, size_t n)
{
	struct tls *t = p;

	if (t->io_failed || !buf_add(&t->out, from, n)) {
		errno = EPIPE;
		return -1;
	}
	return (ssize_t)n;
}

static size_t
buffered(const struct tls *t)
{
	return t->end - t->start;
}

/* The record's length with its header; 0: not yet known. */
static size_t
record_bytes(const struct tls *t)
{
	const uint8_t *p = t->raw + t->start;

	return buffered(t) < HEADER ? 0 : HEADER + (size_t)(p[3] << 8 | p[4]);
}

/* GnuTLS would wait for the body of what can not be a record. */
static bool
is_nonsense(const struct tls *t)
{
	const uint8_t *p = t->raw + t->start;

	return (buffered(t) >= 1 && (p[0] < 20 || p[0] > 24)) ||
	    (buffered(t) >= 2 && p[1] != 3) || record_bytes(t) > RECORD_MAX;
}

static bool
has_record(const struct tls *t)
{
	size_t n = record_bytes(t);

	return n != 0 && buffered(t) >= n;
}

/* One read; 1, or 0 at the end of the stream, or -1. */
static int
fill(struct tls *t)
{
	ssize_t n;

	if (t->start > 0) {
		memmove(t->raw, t->raw + t->start, buffered(t));
		t->end -= t->start;
		t->start = 0;
	}
	for (;;) {
		/* Also one who never lets us wait has no more time. */
		if (clock_mono_ms() >= t->deadline_ms)
			return io_fail(t, ERR_TIMEOUT, "took too long");
		n = recv(t->fd, t->raw + t->end, sizeof(t->raw) - t->end,
		    MSG_DONTWAIT);
		if (n > 0) {
			t->end += (size_t)n;
			return 1;
		}
		if (n == 0)
			return 0;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return io_fail(t, ERR_CLOSED, "peer is gone");
		if (wait_for(t, POLLIN) == -1)
			return -1;
	}
}

static ssize_t
pull(gnutls_transport_ptr_t p, void *to, size_t n)
{
	struct tls *t = p;

	if (t->allowed == 0) {
		if (t->is_closed) {
			errno = EAGAIN;
			return -1;
		}
		while (!has_record(t)) {
			int r;

			if (is_nonsense(t))
				r = io_fail(t, ERR_VIOLATION, "not TLS");
			else
				r = flush(t) == -1 ? -1 : fill(t);
			if (r == 0)
				return 0;
			if (r == -1) {
				/* After a timeout there are last words. */
				errno = t->is_open && t->io.code == ERR_TIMEOUT
				    ? EAGAIN
				    : ECONNRESET;
				return -1;
			}
		}
		t->allowed = record_bytes(t);
	}
	if (n > t->allowed)
		n = t->allowed;
	memcpy(to, t->raw + t->start, n);
	t->start += n;
	t->allowed -= n;
	return (ssize_t)n;
}

/* ---- the session ---------------------------------------------------------- */

static int
keep_secrets(gnutls_session_t session, gnutls_record_encryption_level_t level,
    const void *read_secret, const void *write_secret, size_t n)
{
	struct tls *t = gnutls_session_get_ptr(session);

	if (level != GNUTLS_ENCRYPTION_LEVEL_APPLICATION || n > TLS_SECRET_MAX)
		return 0;
	if (read_secret != NULL) {
		memcpy(t->read_secret, read_secret, n);
		t->n_read_secret = (uint8_t)n;
	}
	if (write_secret != NULL) {
		memcpy(t->write_secret, write_secret, n);
		t->n_write_secret = (uint8_t)n;
	}
	return 0;
}

static int
note_extension(
    void *arg, unsigned number, const unsigned char *data, unsigned n)
{
	struct tls *t = arg;

	if (number == EXT_RECORD_SIZE_LIMIT && n == 2)
		t->size_limit = (unsigned)(data[0] << 8 | data[1]);
	else if (number == EXT_MAX_FRAGMENT && n == 1)
		t->max_fragment = data[0];
	return 0;
}

/* GnuTLS keeps to the limits that a client asks for, but does not tell them;
 * the session process has to keep to them too. */
static int
read_hello(gnutls_session_t session, UNUSED unsigned type, UNUSED unsigned when,
    unsigned incoming, const gnutls_datum_t *message)
{
	struct tls *t = gnutls_session_get_ptr(session);

	if (incoming)
		(void)gnutls_ext_raw_parse(t, note_extension, message,
		    GNUTLS_EXT_RAW_FLAG_TLS_CLIENT_HELLO);
	return 0;
}

static uint16_t
max_plain_of(const struct tls *t, uint16_t version)
{
	/* In TLS 1.3 the limit counts the content type (RFC 8449 section 4). */
	unsigned limit = version == 0x0304 ? t->size_limit - 1 : t->size_limit;

	if (t->size_limit != 0)
		return limit < PLAIN_MAX ? (uint16_t)limit : 0;
	if (t->max_fragment >= 1 && t->max_fragment <= 4)
		return (uint16_t)(256u << t->max_fragment);
	return 0;
}

static int
set_session(struct tls *t, const char *alpn, struct err *e)
{
	struct tls_server *ts = t->server;
	gnutls_session_t s;
	gnutls_datum_t protocol;
	int r = gnutls_init(&t->session, GNUTLS_SERVER | GNUTLS_NO_SIGNAL);

	if (r < 0)
		return tls_err(e, ERR_OTHER, r, "session");
	s = t->session;
	protocol = (gnutls_datum_t){
	    (unsigned char *)(uintptr_t)alpn, (unsigned)strlen(alpn)};
	if ((r = gnutls_priority_set(s, ts->priority)) < 0 ||
	    (r = gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, ts->cred)) <
		0 ||
	    (r = gnutls_alpn_set_protocols(
		 s, &protocol, 1, GNUTLS_ALPN_MANDATORY)) < 0)
		return tls_err(e, ERR_OTHER, r, "session");
	if (ts->ticket_key.data != NULL) {
		r = gnutls_session_ticket_enable_server(s, &ts->ticket_key);
		if (r < 0)
			return tls_err(e, ERR_OTHER, r, "tickets");
		gnutls_db_set_cache_expiration(s, (int)ts->ticket_life_s);
	}
	gnutls_session_set_ptr(s, t);
	gnutls_handshake_set_secret_function(s, keep_secrets);
	gnutls_handshake_set_hook_function(
	    s, GNUTLS_HANDSHAKE_CLIENT_HELLO, GNUTLS_HOOK_PRE, read_hello);
	gnutls_handshake_set_max_packet_length(s, HANDSHAKE_MESSAGE_MAX);
	gnutls_transport_set_ptr(s, t);
	gnutls_transport_set_pull_function(s, pull);
	gnutls_transport_set_push_function(s, push);
	return 0;
}

int
tls_new(struct tls_server *ts, int fd, const char *alpn, struct tls **out,
    struct err *e)
{
	struct tls *t = mem_new(1, sizeof(*t));

	t->server = ts;
	t->fd = fd;
	t->stop_fd = -1;
	t->deadline_ms = INT64_MAX;
	buf_init(&t->out, OUT_MAX);
	if (set_session(t, alpn, e) == -1) {
		tls_free(&t);
		return -1;
	}
	*out = t;
	return 0;
}

void
tls_free(struct tls **t)
{
	if (*t == NULL)
		return;
	if ((*t)->session != NULL)
		gnutls_deinit((*t)->session);
	buf_wipe(&(*t)->out);
	buf_done(&(*t)->out);
	secret_wipe(*t, offsetof(struct tls, raw) + (*t)->end);
	MEM_FREE(*t);
}

void
tls_set_deadline(struct tls *t, int64_t mono_ms)
{
	t->deadline_ms = mono_ms;
}

void
tls_set_stop(struct tls *t, int stop_fd)
{
	t->stop_fd = stop_fd;
}

static bool
is_again(int r)
{
	return r == GNUTLS_E_AGAIN || r == GNUTLS_E_INTERRUPTED;
}

/*
 * What GnuTLS says of the handshakes that fail most often names neither cause
 * nor cure. A client that rejects our certificate says so in the clear, where
 * TLS 1.3 has its keys already (OpenSSL does): seen from here that is a record
 * that does not decrypt.
 */
static const char *
reason_of(struct tls *t, int r)
{
	if (t->is_open)
		return gnutls_strerror(r);
	switch (r) {
	case GNUTLS_E_DECRYPTION_FAILED:
		return "the client gave up: it probably does not trust the "
		       "certificate (tls_cert)";
	case GNUTLS_E_UNSUPPORTED_VERSION_PACKET:
		return "the client offers no version of TLS that is allowed "
		       "(tls_min_version)";
	case GNUTLS_E_NO_CIPHER_SUITES:
		return "the client offers no cipher suite that is allowed or "
		       "fits the key (tls_key)";
	default:
		return gnutls_strerror(r);
	}
}

/* Tells the peer if it can still be told, and us why. */
static int
session_failed(struct tls *t, int r, const char *what, struct err *e)
{
	if (t->io_failed) {
		*e = t->io;
		return err_in(e, "%s", what);
	}
	if (r == GNUTLS_E_PREMATURE_TERMINATION)
		return err_set(e, ERR_CLOSED, "%s: peer closed", what);
	if (r == GNUTLS_E_FATAL_ALERT_RECEIVED)
		return err_set(e, ERR_VIOLATION, "%s: peer's alert: %s", what,
		    gnutls_alert_get_name(gnutls_alert_get(t->session)));
	(void)gnutls_alert_send_appropriate(t->session, r);
	(void)flush(t);
	if (t->server->sign_err.text[0] != '\0')
		return err_set(e, ERR_OTHER, "%s: no signature: %s", what,
		    t->server->sign_err.text);
	return err_set(e, ERR_VIOLATION, "%s: %s", what, reason_of(t, r));
}

int
tls_handshake(struct tls *t, struct err *e)
{
	int r;

	t->server->sign_err.text[0] = '\0';
	do {
		r = gnutls_handshake(t->session);
	} while (r < 0 && !t->io_failed && !gnutls_error_is_fatal(r));
	if (r < 0)
		return session_failed(t, r, "TLS handshake", e);
	/* The answer's last flight leaves with the greeting. */
	t->is_open = true;
	return 0;
}

int
tls_recv(struct tls *t, char *p, size_t size, size_t *n, struct err *e)
{
	ssize_t r;

	do {
		r = gnutls_record_recv(t->session, p, size);
	} while (r < 0 && !t->io_failed && is_again((int)r));
	if (r < 0 && r == GNUTLS_E_PREMATURE_TERMINATION && !t->io_failed)
		r = 0;
	/* GNUTLS_E_REHANDSHAKE, which is not fatal for GnuTLS, is for us. */
	if (r < 0) {
		(void)session_failed(t, (int)r, "TLS", e);
		if (t->io_failed && is_again((int)r))
			t->io_failed = false;
		return -1;
	}
	*n = (size_t)r;
	return 0;
}

int
tls_send(struct tls *t, struct str s, struct err *e)
{
	while (s.n > 0) {
		ssize_t r = gnutls_record_send(t->session, s.p, s.n);

		if (r < 0 && !is_again((int)r))
			return session_failed(t, (int)r, "TLS", e);
		if (r > 0)
			s = str_skip(s, (size_t)r);
		if (t->out.n >= OUT_FLUSH && tls_flush(t, e) == -1)
			return -1;
	}
	return 0;
}

int
tls_flush(struct tls *t, struct err *e)
{
	if (flush(t) == -1) {
		*e = t->io;
		return err_in(e, "TLS");
	}
	return 0;
}

void
tls_close(struct tls *t)
{
	/* What has been exported may be somebody else's by now: two records of
	 * one number under one key would give the key's secrets away. */
	if (t->io_failed || !t->is_open || t->is_closed)
		return;
	(void)gnutls_bye(t->session, GNUTLS_SHUT_WR);
	(void)flush(t);
}

/* ---- export --------------------------------------------------------------- */

static uint16_t
suite_of(gnutls_session_t s)
{
	static const struct {
		gnutls_cipher_algorithm_t cipher;
		uint16_t tls13, ecdsa, rsa;
	} suites[] = {
	    {GNUTLS_CIPHER_AES_128_GCM, 0x1301, 0xc02b, 0xc02f},
	    {GNUTLS_CIPHER_AES_256_GCM, 0x1302, 0xc02c, 0xc030},
	    {GNUTLS_CIPHER_CHACHA20_POLY1305, 0x1303, 0xcca9, 0xcca8},
	};

	for (size_t i = 0; i < ARRAY_LEN(suites); i++) {
		if (suites[i].cipher != gnutls_cipher_get(s))
			continue;
		if (gnutls_protocol_get_version(s) == GNUTLS_TLS1_3)
			return suites[i].tls13;
		return gnutls_kx_get(s) == GNUTLS_KX_ECDHE_RSA
		    ? suites[i].rsa
		    : suites[i].ecdsa;
	}
	return 0;
}

/* HKDF-Expand-Label with an empty context (RFC 8446 section 7.1). */
static int
expand_label(gnutls_mac_algorithm_t hash, const uint8_t *secret,
    size_t n_secret, const char *label, uint8_t *out, size_t n)
{
	uint8_t info[32];
	size_t n_label = strlen(label);
	gnutls_datum_t key = {
	    (unsigned char *)(uintptr_t)secret, (unsigned)n_secret};
	gnutls_datum_t d = {info, (unsigned)(10 + n_label)};

	info[0] = (uint8_t)(n >> 8);
	info[1] = (uint8_t)n;
	info[2] = (uint8_t)(6 + n_label);
	memcpy(info + 3, "tls13 ", 6);
	memcpy(info + 9, label, n_label);
	info[9 + n_label] = 0;
	return gnutls_hkdf_expand(hash, &key, &d, out, n);
}

/*
 * GnuTLS tells the first secret; after a KeyUpdate during login the one in
 * use is a few steps further. The key in use tells how many.
 */
static int
follow_updates(gnutls_session_t s, uint8_t *secret, size_t n_secret,
    const struct tls_direction *d, struct err *e)
{
	gnutls_mac_algorithm_t hash =
	    (gnutls_mac_algorithm_t)gnutls_prf_hash_get(s);
	uint8_t key[TLS_KEY_MAX], next[TLS_SECRET_MAX];

	for (int i = 0; i <= UPDATES_MAX; i++) {
		if (expand_label(
			hash, secret, n_secret, "key", key, d->key_len) < 0)
			break;
		if (memcmp(key, d->key, d->key_len) == 0)
			return 0;
		if (expand_label(hash, secret, n_secret, "traffic upd", next,
			n_secret) < 0)
			break;
		memcpy(secret, next, n_secret);
	}
	return err_set(e, ERR_UNSUPPORTED, "traffic secret not known");
}

static int
export_direction(struct tls *t, unsigned read, uint8_t *secret,
    uint8_t n_secret, struct tls_direction *out, struct err *e)
{
	gnutls_datum_t mac, iv, key;
	unsigned char seq[8];
	int r = gnutls_record_get_state(t->session, read, &mac, &iv, &key, seq);

	if (r < 0)
		return tls_err(e, ERR_UNSUPPORTED, r, "record state");
	if (key.size > TLS_KEY_MAX || iv.size < 4)
		return err_set(e, ERR_UNSUPPORTED, "unknown cipher shape");
	*out = (struct tls_direction){.key_len = (uint8_t)key.size};
	memcpy(out->key, key.data, key.size);
	memcpy(out->iv, iv.data, iv.size < TLS_IV_MAX ? iv.size : TLS_IV_MAX);
	for (size_t i = 0; i < sizeof(seq); i++)
		out->seq = out->seq << 8 | seq[i];
	if (gnutls_protocol_get_version(t->session) != GNUTLS_TLS1_3)
		return 0;
	if (n_secret == 0)
		return err_set(e, ERR_UNSUPPORTED, "no traffic secret");
	if (follow_updates(t->session, secret, n_secret, out, e) == -1)
		return -1;
	memcpy(out->secret, secret, n_secret);
	out->secret_len = n_secret;
	return 0;
}

/* Decrypted bytes that GnuTLS still holds, at most one record. */
static int
drain(struct tls *t, struct buf *plain, struct err *e)
{
	size_t left;

	while ((left = gnutls_record_check_pending(t->session)) > 0) {
		char *room = buf_room(plain, left);
		ssize_t r;

		if (room == NULL)
			return err_set(e, ERR_LIMIT, "too much unread input");
		r = gnutls_record_recv(t->session, room, left);
		if (r <= 0)
			return tls_err(e, ERR_OTHER, (int)r, "unread input");
		plain->n += (size_t)r;
	}
	return 0;
}

int
tls_export(struct tls *t, struct tls_state *st, struct buf *plain,
    struct str *raw, struct err *e)
{
	ASSERT(t->is_open);
	if (t->allowed != 0)
		return err_set(e, ERR_UNSUPPORTED, "inside a record");
	if (tls_flush(t, e) == -1)
		return -1;
	t->is_closed = true;
	*st = (struct tls_state){.suite = suite_of(t->session)};
	st->version = gnutls_protocol_get_version(t->session) == GNUTLS_TLS1_3
	    ? 0x0304
	    : 0x0303;
	if (st->suite == 0)
		return err_set(e, ERR_UNSUPPORTED, "cipher suite");
	st->max_plain = max_plain_of(t, st->version);
	if (export_direction(
		t, 1, t->read_secret, t->n_read_secret, &st->read, e) == -1 ||
	    export_direction(t, 0, t->write_secret, t->n_write_secret,
		&st->write, e) == -1 ||
	    drain(t, plain, e) == -1)
		return -1;
	*raw = str_make(t->raw + t->start, buffered(t));
	return 0;
}

void
tls_resume(struct tls *t)
{
	t->is_closed = false;
}

/* ---- facts ---------------------------------------------------------------- */

static size_t
binding(struct tls *t, gnutls_channel_binding_t type, char out[TLS_BINDING_MAX])
{
	gnutls_datum_t d = {0};
	size_t n = 0;

	if (gnutls_session_channel_binding(t->session, type, &d) < 0)
		return 0;
	if (d.size <= TLS_BINDING_MAX) {
		memcpy(out, d.data, d.size);
		n = d.size;
	}
	gnutls_free(d.data);
	return n;
}

static bool
is_tls13(const struct tls *t)
{
	return gnutls_protocol_get_version(t->session) == GNUTLS_TLS1_3;
}

bool
tls_has_binding(const struct tls *t)
{
	/* Without the extended master secret a man in the middle can make two
	 * sessions share one (RFC 7627). */
	return is_tls13(t) ||
	    gnutls_session_ext_master_secret_status(t->session) != 0;
}

void
tls_get_bindings(struct tls *t, struct tls_bindings *out)
{
	*out = (struct tls_bindings){0};
	if (!tls_has_binding(t))
		return;
	out->n_exporter = binding(t, GNUTLS_CB_TLS_EXPORTER, out->exporter);
	if (!is_tls13(t))
		out->n_unique = binding(t, GNUTLS_CB_TLS_UNIQUE, out->unique);
}

void
tls_text(const struct tls *t, char *out, size_t size)
{
	struct buf b;

	buf_init(&b, size);
	buf_add_c(&b,
	    gnutls_protocol_get_name(gnutls_protocol_get_version(t->session)));
	buf_add_byte(&b, ' ');
	buf_add_c(&b, gnutls_cipher_get_name(gnutls_cipher_get(t->session)));
	if (!str_to_c(buf_str(&b), out, size))
		out[0] = '\0';
	buf_done(&b);
}

bool
tls_is_resumed(const struct tls *t)
{
	return gnutls_session_is_resumed(t->session) != 0;
}
