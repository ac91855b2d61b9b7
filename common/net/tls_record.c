/* SPDX-License-Identifier: ISC */
/*
 * tls_record.c - carries on a TLS session after the handover.
 *
 * Owns:    keys, sequence numbers and at most one partial record.
 * Runs in: imapd and pop3d, as the mail user.
 * Trusts:  nothing on the wire. What is not legal after the handover ends the
 *          session with a fatal alert.
 * Spec:    RFC 8446 sections 4.6.3, 5, 6, 7.2; RFC 5246 section 6.2.3.3;
 *          RFC 5288; RFC 7905.
 *
 * Reading:  OPEN --close_notify--> CLOSED     OPEN --anything illegal--> BROKEN
 * Keys:     in use --KeyUpdate--> next secret (1.3 only, per direction)
 *
 * Key schedules are large (4 KiB for GCM) and quickly made, so a connection
 * keeps its keys only; the two schedules used last stay in a place that all
 * connections of the process share.
 */
#include <stdlib.h>

#include <nettle/hkdf.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <nettle/nettle-meta.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/secret.h"
#include "net/tls_record.h"

#define HEADER_BYTES 5
#define PLAIN_MAX 16384
#define PROTECTED_MAX (PLAIN_MAX + 256)
#define TAG_BYTES 16
#define EXPLICIT_BYTES 8 /* TLS 1.2 GCM: the nonce part in the record */
#define SALT_BYTES 4
#define NONCE_BYTES 12
#define BLOCK_MAX 64
#define TLS12 0x0303
#define TLS13 0x0304
/* RFC 8446 section 5.5 allows 2^24.5 full records per AES-GCM key. */
#define UPDATE_AFTER_RECORDS (UINT64_C(1) << 20)
#define LIMIT_TLS12_GCM_RECORDS (UINT64_C(1) << 24)
/* Records in a row without application data. */
#define EMPTY_RECORDS_MAX 32
#define KEY_UPDATE_BYTES 5

enum record_type {
	TYPE_ALERT = 21,
	TYPE_HANDSHAKE = 22,
	TYPE_DATA = 23,
};

enum alert { /* RFC 8446 section 6 */
	ALERT_CLOSE_NOTIFY = 0,
	ALERT_UNEXPECTED_MESSAGE = 10,
	ALERT_BAD_RECORD_MAC = 20,
	ALERT_RECORD_OVERFLOW = 22,
	ALERT_ILLEGAL_PARAMETER = 47,
	ALERT_DECODE_ERROR = 50,
	ALERT_PROTOCOL_VERSION = 70,
	ALERT_USER_CANCELED = 90,
};

struct suite {
	uint16_t version, suite;
	const struct nettle_aead *aead;
	uint8_t hash_bytes; /* 1.3: length of the traffic secrets */
	bool explicit_nonce;
};

static const struct suite suites[] = {
    {TLS13, 0x1301, &nettle_gcm_aes128, 32, false},
    {TLS13, 0x1302, &nettle_gcm_aes256, 48, false},
    {TLS13, 0x1303, &nettle_chacha_poly1305, 32, false},
    {TLS12, 0xc02b, &nettle_gcm_aes128, 0, true}, /* ECDHE-ECDSA */
    {TLS12, 0xc02c, &nettle_gcm_aes256, 0, true},
    {TLS12, 0xc02f, &nettle_gcm_aes128, 0, true}, /* ECDHE-RSA */
    {TLS12, 0xc030, &nettle_gcm_aes256, 0, true},
    {TLS12, 0xcca8, &nettle_chacha_poly1305, 0, false},
    {TLS12, 0xcca9, &nettle_chacha_poly1305, 0, false},
};

struct side {
	struct tls_direction k;
	uint64_t serial; /* names these keys in the shared place */
	uint64_t records; /* protected with these keys */
};

struct tls_record {
	const struct suite *suite;
	struct side read, write;
	struct buf partial; /* the record that has not come in whole */
	uint64_t update_after;
	size_t max_plain; /* RFC 8449, RFC 6066 section 4 */
	uint8_t message[KEY_UPDATE_BYTES]; /* KeyUpdate in pieces */
	uint8_t message_n;
	unsigned empty_in_a_row;
	bool closed, broken, answer_due;
};

/* ---- key schedules ------------------------------------------------------- */

/* [0]: for reading, [1]: for writing */
static struct {
	void *ctx;
	size_t ctx_bytes;
	uint64_t serial; /* whose keys these are; 0: nobody's */
} schedules[2];
static uint64_t last_serial;

/* The schedule for these keys with this nonce. */
static void *
schedule(const struct tls_record *t, const struct side *s, bool writing,
    const uint8_t *nonce)
{
	const struct nettle_aead *aead = t->suite->aead;
	__typeof__(&schedules[0]) sc = &schedules[writing];

	if (sc->ctx_bytes < aead->context_size) {
		if (sc->ctx != NULL)
			explicit_bzero(sc->ctx, sc->ctx_bytes);
		free(sc->ctx);
		sc->ctx = mem_new(1, aead->context_size);
		sc->ctx_bytes = aead->context_size;
		sc->serial = 0;
	}
	if (sc->serial != s->serial) {
		if (writing)
			aead->set_encrypt_key(sc->ctx, s->k.key);
		else
			aead->set_decrypt_key(sc->ctx, s->k.key);
		sc->serial = s->serial;
	}
	aead->set_nonce(sc->ctx, nonce);
	return sc->ctx;
}

static void
forget_schedule(const struct side *s)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(schedules); i++) {
		if (schedules[i].serial != s->serial)
			continue;
		explicit_bzero(schedules[i].ctx, schedules[i].ctx_bytes);
		schedules[i].serial = 0;
	}
}

void
tls_record_trim(void)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(schedules); i++) {
		if (schedules[i].ctx != NULL)
			explicit_bzero(
			    schedules[i].ctx, schedules[i].ctx_bytes);
		free(schedules[i].ctx);
		memset(&schedules[i], 0, sizeof(schedules[i]));
	}
}

/* ---- key update ---------------------------------------------------------- */

/* HKDF-Expand-Label with an empty context (RFC 8446 section 7.1). */
static void
expand_label(const uint8_t *secret, size_t hash_bytes, const char *label,
    uint8_t *out, size_t n)
{
	uint8_t info[64];
	size_t label_n = strlen(label), info_n = 0;

	info[info_n++] = (uint8_t)(n >> 8);
	info[info_n++] = (uint8_t)n;
	info[info_n++] = (uint8_t)(6 + label_n);
	memcpy(info + info_n, "tls13 ", 6);
	memcpy(info + info_n + 6, label, label_n);
	info_n += 6 + label_n;
	info[info_n++] = 0;
	if (hash_bytes == SHA384_DIGEST_SIZE) {
		struct hmac_sha384_ctx h;

		hmac_sha384_set_key(&h, hash_bytes, secret);
		hkdf_expand(&h, (nettle_hash_update_func *)hmac_sha384_update,
		    (nettle_hash_digest_func *)hmac_sha384_digest, hash_bytes,
		    info_n, info, n, out);
		explicit_bzero(&h, sizeof(h));
	} else {
		struct hmac_sha256_ctx h;

		hmac_sha256_set_key(&h, hash_bytes, secret);
		hkdf_expand(&h, (nettle_hash_update_func *)hmac_sha256_update,
		    (nettle_hash_digest_func *)hmac_sha256_digest, hash_bytes,
		    info_n, info, n, out);
		explicit_bzero(&h, sizeof(h));
	}
}

static void
update_keys(struct tls_record *t, struct side *s)
{
	uint8_t next[TLS_SECRET_MAX];
	size_t n = t->suite->hash_bytes;

	forget_schedule(s);
	expand_label(s->k.secret, n, "traffic upd", next, n);
	memcpy(s->k.secret, next, n);
	explicit_bzero(next, sizeof(next));
	expand_label(s->k.secret, n, "key", s->k.key, s->k.key_len);
	expand_label(s->k.secret, n, "iv", s->k.iv, TLS_IV_MAX);
	s->k.seq = 0;
	s->records = 0;
	s->serial = ++last_serial;
}

/* ---- one record ---------------------------------------------------------- */

static void
put_u64(uint8_t *out, uint64_t v)
{
	int i;

	for (i = 7; i >= 0; i--) {
		out[i] = (uint8_t)v;
		v >>= 8;
	}
}

/* `explicit_part`: what stands in the record, TLS 1.2 GCM only. */
static void
make_nonce(const struct tls_record *t, const struct side *s,
    const uint8_t *explicit_part, uint8_t nonce[NONCE_BYTES])
{
	uint8_t seq[8];
	int i;

	memcpy(nonce, s->k.iv, NONCE_BYTES);
	if (t->suite->explicit_nonce) {
		memcpy(nonce + SALT_BYTES, explicit_part, EXPLICIT_BYTES);
		return;
	}
	put_u64(seq, s->k.seq);
	for (i = 0; i < 8; i++)
		nonce[4 + i] ^= seq[i];
}

/* Associated data: 1.3 the header, 1.2 sequence, type, version, length. */
static size_t
make_aad(const struct tls_record *t, const struct side *s,
    const uint8_t *header, size_t plain_n, uint8_t aad[13])
{
	if (t->suite->version == TLS13) {
		memcpy(aad, header, HEADER_BYTES);
		return HEADER_BYTES;
	}
	put_u64(aad, s->k.seq);
	memcpy(aad + 8, header, 3);
	aad[11] = (uint8_t)(plain_n >> 8);
	aad[12] = (uint8_t)plain_n;
	return 13;
}

/* Appends one record of at most PLAIN_MAX bytes. */
static bool
seal_record(struct tls_record *t, enum record_type type, const uint8_t *plain,
    size_t n, struct buf *wire)
{
	const struct nettle_aead *aead = t->suite->aead;
	struct side *s = &t->write;
	bool is_13 = t->suite->version == TLS13;
	size_t extra = t->suite->explicit_nonce ? EXPLICIT_BYTES : 0;
	size_t inner_n = n + is_13, body_n = extra + inner_n + TAG_BYTES;
	size_t even = n - n % BLOCK_MAX, rest = inner_n - even;
	uint8_t nonce[NONCE_BYTES], aad[13], tail[BLOCK_MAX];
	uint8_t *out = (uint8_t *)buf_room(wire, HEADER_BYTES + body_n);
	uint8_t *at;
	void *ctx;

	if (out == NULL)
		return false;
	out[0] = is_13 ? TYPE_DATA : (uint8_t)type;
	out[1] = 3;
	out[2] = 3;
	out[3] = (uint8_t)(body_n >> 8);
	out[4] = (uint8_t)body_n;
	at = out + HEADER_BYTES;
	if (extra > 0) {
		put_u64(at, s->k.seq);
		at += extra;
	}
	make_nonce(t, s, out + HEADER_BYTES, nonce);
	ctx = schedule(t, s, true, nonce);
	aead->update(ctx, make_aad(t, s, out, n, aad), aad);
	/* Whole blocks straight from the caller, the rest with the type. */
	if (even > 0)
		aead->encrypt(ctx, even, at, plain);
	at += even;
	if (rest > 0) {
		if (n > even)
			memcpy(tail, plain + even, n - even);
		if (is_13)
			tail[n - even] = (uint8_t)type;
		aead->encrypt(ctx, rest, at, tail);
		at += rest;
	}
	aead->digest(ctx, TAG_BYTES, at);
	wire->n += HEADER_BYTES + body_n;
	s->k.seq++;
	s->records++;
	return true;
}

/* Fatal: an alert for the peer, the reason for us. */
static int
refuse(struct tls_record *t, struct buf *wire, enum alert alert,
    const char *why, struct err *e)
{
	const uint8_t body[2] = {2, (uint8_t)alert};

	t->broken = true;
	(void)seal_record(t, TYPE_ALERT, body, sizeof(body), wire);
	return err_set(e, ERR_VIOLATION, "TLS: %s", why);
}

static void
send_key_update(struct tls_record *t, struct buf *wire)
{
	static const uint8_t body[KEY_UPDATE_BYTES] = {24, 0, 0, 1, 0};

	if (seal_record(t, TYPE_HANDSHAKE, body, sizeof(body), wire))
		update_keys(t, &t->write);
	t->answer_due = false;
}

/* ---- reading ------------------------------------------------------------- */

static int
take_alert(struct tls_record *t, const uint8_t *p, size_t n, struct buf *wire,
    struct err *e)
{
	if (n != 2)
		return refuse(
		    t, wire, ALERT_DECODE_ERROR, "alert of odd length", e);
	if (p[1] == ALERT_CLOSE_NOTIFY) {
		t->closed = true;
		return 0;
	}
	/* Some clients say so before close_notify. */
	if (p[1] == ALERT_USER_CANCELED)
		return 0;
	t->broken = true;
	return err_set(e, ERR_VIOLATION, "TLS: the peer sent alert %u", p[1]);
}

/* KeyUpdate, the only handshake message a client may still send. */
static int
take_handshake(struct tls_record *t, const uint8_t *p, size_t n,
    struct buf *wire, struct err *e)
{
	static const uint8_t want[4] = {24, 0, 0, 1};
	size_t room = KEY_UPDATE_BYTES - t->message_n, known;

	if (t->suite->version != TLS13)
		return refuse(t, wire, ALERT_UNEXPECTED_MESSAGE,
		    "renegotiation or other handshake message", e);
	/* A key change must be at the end of a record. */
	if (n == 0 || n > room)
		return refuse(t, wire, ALERT_UNEXPECTED_MESSAGE,
		    "handshake message other than KeyUpdate", e);
	memcpy(t->message + t->message_n, p, n);
	t->message_n = (uint8_t)(t->message_n + n);
	known = t->message_n < sizeof(want) ? t->message_n : sizeof(want);
	if (memcmp(t->message, want, known) != 0)
		return refuse(t, wire, ALERT_UNEXPECTED_MESSAGE,
		    "handshake message other than KeyUpdate", e);
	if (t->message_n < KEY_UPDATE_BYTES)
		return 0;
	t->message_n = 0;
	if (t->message[4] > 1)
		return refuse(t, wire, ALERT_ILLEGAL_PARAMETER,
		    "KeyUpdate with an unknown request", e);
	update_keys(t, &t->read);
	if (t->message[4] == 1)
		t->answer_due = true;
	return 0;
}

/*
 * Decrypts the record's body into the end of `plain`, without counting it
 * there; *n bytes are at plain->p + plain->n. False: forged.
 */
static bool
open_body(struct tls_record *t, const uint8_t *header, const uint8_t *body,
    size_t body_n, struct buf *plain, size_t *n)
{
	const struct nettle_aead *aead = t->suite->aead;
	struct side *s = &t->read;
	size_t extra = t->suite->explicit_nonce ? EXPLICIT_BYTES : 0;
	uint8_t nonce[NONCE_BYTES], aad[13], tag[TAG_BYTES];
	uint8_t *out;
	void *ctx;

	*n = body_n - extra - TAG_BYTES;
	out = (uint8_t *)buf_room(plain, *n);
	if (out == NULL)
		return false;
	make_nonce(t, s, body, nonce);
	ctx = schedule(t, s, false, nonce);
	aead->update(ctx, make_aad(t, s, header, *n, aad), aad);
	aead->decrypt(ctx, *n, out, body + extra);
	aead->digest(ctx, TAG_BYTES, tag);
	if (!memeql_sec(tag, body + extra + *n, TAG_BYTES)) {
		explicit_bzero(out, *n);
		return false;
	}
	s->k.seq++;
	s->records++;
	return true;
}

static int
take_inner(struct tls_record *t, int type, size_t n, struct buf *plain,
    struct buf *wire, struct err *e)
{
	const uint8_t *p = (const uint8_t *)plain->p + plain->n;

	if (n > PLAIN_MAX)
		return refuse(t, wire, ALERT_RECORD_OVERFLOW,
		    "too many bytes in a record", e);
	if (t->message_n > 0 && type != TYPE_HANDSHAKE)
		return refuse(t, wire, ALERT_UNEXPECTED_MESSAGE,
		    "a record inside a handshake message", e);
	if (type == TYPE_DATA && n > 0) {
		t->empty_in_a_row = 0;
		plain->n += n;
		return 0;
	}
	if (++t->empty_in_a_row > EMPTY_RECORDS_MAX)
		return refuse(t, wire, ALERT_UNEXPECTED_MESSAGE,
		    "flood of records without data", e);
	switch (type) {
	case TYPE_DATA:
		return 0;
	case TYPE_ALERT:
		return take_alert(t, p, n, wire, e);
	case TYPE_HANDSHAKE:
		return take_handshake(t, p, n, wire, e);
	default:
		return refuse(t, wire, ALERT_UNEXPECTED_MESSAGE,
		    "record of a type that is over", e);
	}
}

/* A whole record. */
static int
open_record(struct tls_record *t, const uint8_t *rec, size_t rec_n,
    struct buf *plain, struct buf *wire, struct err *e)
{
	const uint8_t *body = rec + HEADER_BYTES;
	size_t body_n = rec_n - HEADER_BYTES, n;
	int type = rec[0];

	if (!open_body(t, rec, body, body_n, plain, &n))
		return refuse(
		    t, wire, ALERT_BAD_RECORD_MAC, "record does not verify", e);
	if (t->suite->version == TLS13) {
		const uint8_t *p = (const uint8_t *)plain->p + plain->n;

		/* Padding counts too (section 5.4). */
		if (n > PLAIN_MAX + 1)
			return refuse(t, wire, ALERT_RECORD_OVERFLOW,
			    "too many bytes in a record", e);
		while (n > 0 && p[n - 1] == 0)
			n--;
		if (n == 0)
			return refuse(t, wire, ALERT_UNEXPECTED_MESSAGE,
			    "record without a type", e);
		type = p[--n];
	}
	return take_inner(t, type, n, plain, wire, e);
}

/* Judges the header; *n: bytes of the whole record. */
static int
check_header(struct tls_record *t, const uint8_t *h, struct buf *wire,
    size_t *n, struct err *e)
{
	size_t body_n = (size_t)h[3] << 8 | h[4], least = TAG_BYTES;

	if (t->suite->version == TLS13) {
		least++;
		/* The version field must be ignored (section 5.1). */
		if (h[0] != TYPE_DATA)
			return refuse(t, wire, ALERT_UNEXPECTED_MESSAGE,
			    "unprotected record", e);
	} else {
		if (t->suite->explicit_nonce)
			least += EXPLICIT_BYTES;
		if (h[0] != TYPE_DATA && h[0] != TYPE_ALERT &&
		    h[0] != TYPE_HANDSHAKE)
			return refuse(t, wire, ALERT_UNEXPECTED_MESSAGE,
			    "record of a type that is over", e);
		if (h[1] != 3 || h[2] != 3)
			return refuse(t, wire, ALERT_PROTOCOL_VERSION,
			    "record of another version", e);
	}
	if (body_n > PROTECTED_MAX)
		return refuse(
		    t, wire, ALERT_RECORD_OVERFLOW, "record too long", e);
	if (body_n < least)
		return refuse(
		    t, wire, ALERT_BAD_RECORD_MAC, "record too short", e);
	*n = HEADER_BYTES + body_n;
	return 0;
}

/* Moves up to `upto` bytes in all into t->partial; true when it has them. */
static bool
gather(struct tls_record *t, struct str *bytes, size_t upto)
{
	size_t n = upto - t->partial.n;

	if (t->partial.n >= upto)
		return true;
	if (n > bytes->n)
		n = bytes->n;
	(void)buf_add(&t->partial, bytes->p, n);
	*bytes = str_skip(*bytes, n);
	return t->partial.n >= upto;
}

/*
 * The next record: a slice of `bytes` when it lies there whole, else of
 * t->partial. rec->n is 0 when more must come.
 */
static int
next_record(struct tls_record *t, struct str *bytes, struct str *rec,
    struct buf *wire, struct err *e)
{
	size_t n;

	*rec = str_make(NULL, 0);
	if (t->partial.n == 0 && bytes->n >= HEADER_BYTES) {
		if (check_header(t, (const uint8_t *)bytes->p, wire, &n, e) ==
		    -1)
			return -1;
		if (bytes->n >= n) {
			*rec = str_head(*bytes, n);
			*bytes = str_skip(*bytes, n);
			return 0;
		}
	}
	if (!gather(t, bytes, HEADER_BYTES))
		return 0;
	if (check_header(t, (const uint8_t *)t->partial.p, wire, &n, e) == -1)
		return -1;
	if (gather(t, bytes, n))
		*rec = buf_str(&t->partial);
	return 0;
}

int
tls_record_open(struct tls_record *t, struct str bytes, struct buf *plain,
    struct buf *wire, bool *closed, struct err *e)
{
	struct str rec;

	*closed = t->closed;
	if (t->broken)
		return err_set(e, ERR_VIOLATION, "TLS: broken before");
	/* What comes behind close_notify is ignored (section 6.1). */
	while (bytes.n > 0 && !t->closed) {
		if (next_record(t, &bytes, &rec, wire, e) == -1)
			return -1;
		if (rec.n == 0)
			break;
		if (open_record(
			t, (const uint8_t *)rec.p, rec.n, plain, wire, e) == -1)
			return -1;
		if (rec.p == t->partial.p)
			buf_done(&t->partial);
	}
	/*
	 * The answer to requested KeyUpdates waits while something else waits
	 * to be sent: a peer that does not read can not make us pile them up.
	 */
	if (t->answer_due && wire->n == 0)
		send_key_update(t, wire);
	*closed = t->closed;
	return 0;
}

/* ---- for callers --------------------------------------------------------- */

static const struct suite *
find_suite(uint16_t version, uint16_t suite)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(suites); i++) {
		if (suites[i].version == version && suites[i].suite == suite)
			return &suites[i];
	}
	return NULL;
}

bool
tls_record_knows(uint16_t version, uint16_t suite)
{
	return find_suite(version, suite) != NULL;
}

static bool
is_plausible(const struct suite *s, const struct tls_direction *d)
{
	return d->key_len == s->aead->key_size && d->seq < UINT64_MAX / 2 &&
	    d->secret_len == s->hash_bytes;
}

int
tls_record_new(
    const struct tls_state *st, struct tls_record **out, struct err *e)
{
	const struct suite *s = find_suite(st->version, st->suite);
	struct tls_record *t;

	if (s == NULL)
		return err_set(e, ERR_UNSUPPORTED,
		    "TLS version %04x suite %04x", st->version, st->suite);
	if (!is_plausible(s, &st->read) || !is_plausible(s, &st->write))
		return err_set(e, ERR_UNSUPPORTED,
		    "TLS state does not fit suite %04x", st->suite);
	t = mem_new(1, sizeof(*t));
	t->suite = s;
	t->read.k = st->read;
	t->write.k = st->write;
	t->read.serial = ++last_serial;
	t->write.serial = ++last_serial;
	/* In 1.2 the keys have served since the handshake. */
	t->write.records = st->write.seq;
	t->update_after = UPDATE_AFTER_RECORDS;
	t->max_plain = st->max_plain == 0 || st->max_plain > PLAIN_MAX
	    ? PLAIN_MAX
	    : st->max_plain;
	buf_init(&t->partial, HEADER_BYTES + PROTECTED_MAX);
	*out = t;
	return 0;
}

void
tls_record_free(struct tls_record **tp)
{
	struct tls_record *t = *tp;

	if (t == NULL)
		return;
	*tp = NULL;
	forget_schedule(&t->read);
	forget_schedule(&t->write);
	buf_done(&t->partial);
	explicit_bzero(t, sizeof(*t));
	free(t);
}

/* Before more is written: fresh keys, or the end where there are none. */
static int
check_limits(struct tls_record *t, struct buf *wire, struct err *e)
{
	if (t->suite->version == TLS13) {
		if (t->answer_due || t->write.records >= t->update_after)
			send_key_update(t, wire);
	} else if (t->suite->explicit_nonce &&
	    t->write.records >= LIMIT_TLS12_GCM_RECORDS) {
		return err_set(e, ERR_LIMIT, "TLS 1.2 keys are used up");
	}
	return 0;
}

int
tls_record_seal(
    struct tls_record *t, struct str plain, struct buf *wire, struct err *e)
{
	size_t n;

	while (plain.n > 0) {
		n = plain.n < t->max_plain ? plain.n : t->max_plain;
		if (check_limits(t, wire, e) == -1)
			return -1;
		if (!seal_record(
			t, TYPE_DATA, (const uint8_t *)plain.p, n, wire))
			return err_set(e, ERR_LIMIT, "TLS: output too large");
		plain = str_skip(plain, n);
	}
	return 0;
}

void
tls_record_close(struct tls_record *t, struct buf *wire)
{
	static const uint8_t body[2] = {1, ALERT_CLOSE_NOTIFY};

	(void)seal_record(t, TYPE_ALERT, body, sizeof(body), wire);
}

void
tls_record_set_update_after(struct tls_record *t, uint64_t records)
{
	t->update_after = records;
}

size_t
tls_record_overhead(UNUSED const struct tls_record *t)
{
	return HEADER_BYTES + EXPLICIT_BYTES + 1 + TAG_BYTES;
}
