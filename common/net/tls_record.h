/* SPDX-License-Identifier: ISC */
/*
 * tls_record.h - the record layer that carries on a TLS session after login
 * made its handshake (RFC 8446 section 5, RFC 5246 section 6.2.3.3, RFC 7905).
 * Pure: bytes in, bytes out, no I/O.
 */
#ifndef NET_TLS_RECORD_H
#define NET_TLS_RECORD_H

#include "base/buf.h"
#include "base/err.h"

#define TLS_KEY_MAX 32
#define TLS_IV_MAX 12
#define TLS_SECRET_MAX 48

/* One direction of an exported session. */
struct tls_direction {
	uint8_t key[TLS_KEY_MAX], key_len;
	uint8_t
	    iv[TLS_IV_MAX]; /* TLS 1.2 GCM: the first 4 bytes are the salt */
	uint8_t secret[TLS_SECRET_MAX], secret_len; /* TLS 1.3 traffic secret */
	uint64_t seq; /* of the next record */
};

struct tls_state {
	uint16_t version; /* 0x0303, 0x0304; 0: no TLS */
	uint16_t suite; /* IANA cipher suite number */
	/* The client takes no more plain bytes in a record (RFC 8449, RFC 6066
	 * section 4); 0: 2^14. */
	uint16_t max_plain;
	struct tls_direction read, write;
};

struct tls_record;

/* Copies the state; fails with ERR_UNSUPPORTED for what we do not carry on. */
int tls_record_new(
    const struct tls_state *st, struct tls_record **out, struct err *e);
/* Wipes. */
void tls_record_free(struct tls_record **t);

/*
 * Takes bytes from the wire; appends application data to `plain`, and what
 * must be answered (KeyUpdate, alerts) to `wire`. Keeps at most one partial
 * record. *closed: the peer sent close_notify. Fails with ERR_VIOLATION for
 * anything that is not legal after the handover; a fatal alert is in `wire`.
 */
int tls_record_open(struct tls_record *t, struct str bytes, struct buf *plain,
    struct buf *wire, bool *closed, struct err *e);
/* Protects `plain` into records appended to `wire`. ERR_LIMIT: keys used up. */
int tls_record_seal(
    struct tls_record *t, struct str plain, struct buf *wire, struct err *e);
/* Appends close_notify. */
void tls_record_close(struct tls_record *t, struct buf *wire);
/* Tests: send a KeyUpdate after so many records instead of 2^20. */
void tls_record_set_update_after(struct tls_record *t, uint64_t records);
/* True for a suite that tls_record_new takes; login offers no others. */
bool tls_record_knows(uint16_t version, uint16_t suite);
/* Wipes and frees key schedules kept for speed; they are made anew. */
void tls_record_trim(void);
/* Bytes of memory that a record of `n` plain bytes needs at most. */
size_t tls_record_overhead(const struct tls_record *t);

#endif
