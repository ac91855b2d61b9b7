/* SPDX-License-Identifier: ISC */
/*
 * tls.h - TLS of a login worker, by GnuTLS: from the ClientHello until the
 * session is exported for the user's process (net/tls_record.h carries on).
 *
 * One connection at a time, straight-line: every call waits for the peer, at
 * most until the deadline.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/buf.h"
#include "base/err.h"
#include "net/tls_record.h"

#define TLS_CERTS_MAX 32
#define TLS_TICKET_KEY_BYTES 64
#define TLS_SIGN_INPUT_MAX 512
#define TLS_SIGNATURE_MAX 1024
#define TLS_BINDING_MAX 64

struct tls_server;
struct tls;

/* A certificate with the chain up to, not including, the root. */
struct tls_cert_bytes {
	struct str chain_pem;
	struct str ocsp_der; /* a response to staple, or empty */
	const char *name; /* for the log: the file it came from */
};

struct tls_server_settings {
	const struct tls_cert_bytes *certs; /* the first one is the default */
	size_t n_certs;
	struct str ticket_key; /* TLS_TICKET_KEY_BYTES, or empty: no tickets */
	uint32_t ticket_life_s; /* 0: no tickets */
	bool only_tls13;
};

/*
 * Signs `input`, which is the whole content of a CertificateVerify (RFC 8446
 * section 4.4.3) or ServerKeyExchange (RFC 8422 section 5.4) signature, with
 * the key of certificate `cert` and the IANA signature scheme `scheme`.
 */
typedef int tls_sign_fn(void *arg, unsigned cert, uint16_t scheme,
    struct str input, struct buf *signature, struct err *e);

/*
 * Reads the certificates; nothing of `settings` is kept. Private keys are not
 * here: set the signer before the first handshake. Fails with ERR_CORRUPT for
 * a certificate that can not be used.
 */
int tls_server_new(const struct tls_server_settings *settings,
    struct tls_server **out, struct err *e);
void tls_server_free(struct tls_server **ts);
/* What an administrator may have to know of certificate `i`. */
struct tls_cert_info {
	const char *name;
	int64_t not_before_s, not_after_s; /* wall time */
	const char *ocsp_problem; /* why it is not stapled, or "" */
};
/* False: there are no more. Its strings live as long as `ts`. */
bool tls_server_cert(
    const struct tls_server *ts, size_t i, struct tls_cert_info *out);
/* From now on signatures come from `sign`; after a fork set it again. */
void tls_server_set_signer(struct tls_server *ts, tls_sign_fn *sign, void *arg);
/*
 * Every key belongs to its certificate. Asks the signer once per certificate.
 * Dates are the caller's: see tls_server_cert().
 */
int tls_server_check(struct tls_server *ts, struct err *e);
/*
 * Shakes hands with itself, in every version and with every kind of key, so
 * that what GnuTLS sets up at first use is there before the fork, and so that
 * a certificate that no client can use is found before a client comes.
 */
int tls_server_warm(struct tls_server *ts, struct err *e);

/* `fd` stays the caller's; `alpn` is "imap" or "pop3". */
int tls_new(struct tls_server *ts, int fd, const char *alpn, struct tls **out,
    struct err *e);
/* Wipes; sends nothing. */
void tls_free(struct tls **t);
/* Absolute, of clock_mono_ms(), for all that follows. */
void tls_set_deadline(struct tls *t, int64_t mono_ms);
/* Time is also over when the peer of this socket has closed it; -1: none. */
void tls_set_stop(struct tls *t, int stop_fd);
/*
 * ERR_TIMEOUT, ERR_CLOSED (the peer went away), ERR_VIOLATION (an alert was
 * sent or received).
 */
int tls_handshake(struct tls *t, struct err *e);
/*
 * Waits for 1 to `size` bytes; *n 0: the peer closed its side. After
 * ERR_TIMEOUT something can still be sent, as far as that works at once.
 */
int tls_recv(struct tls *t, char *p, size_t size, size_t *n, struct err *e);
/* Collects; tls_flush() or the next tls_recv() sends. */
int tls_send(struct tls *t, struct str s, struct err *e);
int tls_flush(struct tls *t, struct err *e);
/* Sends close_notify, as far as that works at once; nothing once exported. */
void tls_close(struct tls *t);

/*
 * The session at a record boundary, to be carried on elsewhere: `st`, bytes
 * already decrypted and not yet given out (appended to `plain`), bytes from
 * the wire not yet decrypted (*raw, which lives as long as `t`). Nothing may
 * be sent or received through `t` afterwards, unless the handover is
 * refused: then tls_resume() first. ERR_UNSUPPORTED: it can not be exported.
 */
int tls_export(struct tls *t, struct tls_state *st, struct buf *plain,
    struct str *raw, struct err *e);
/* The handover was refused: sending works again, receiving too. */
void tls_resume(struct tls *t);

/* Channel bindings (RFC 9266, RFC 5929); empty where there is none. */
struct tls_bindings {
	char exporter[TLS_BINDING_MAX], unique[TLS_BINDING_MAX];
	size_t n_exporter, n_unique;
};
/* Is there any? Cheaper than to get them. */
bool tls_has_binding(const struct tls *t);
void tls_get_bindings(struct tls *t, struct tls_bindings *out);
/* "TLS1.3 AES-256-GCM" */
void tls_text(const struct tls *t, char *out, size_t size);
bool tls_is_resumed(const struct tls *t);

#endif
