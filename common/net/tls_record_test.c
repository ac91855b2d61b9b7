/* SPDX-License-Identifier: ISC */
/*
 * tls_record_test.c - known answers, everything illegal, and a GnuTLS client
 * that does not notice the handover.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"
#include "net/tls_record.h"
#include "tests/lib/tls_craft.h"

static const char message[] = "* 1 FETCH (FLAGS (\\Seen))\r\n";

static size_t
from_hex(const char *hex, uint8_t *out)
{
	size_t n = 0;
	uint64_t byte;

	for (; hex[0] != '\0'; hex += 2) {
		assert_true(num_parse_hex64(str_make(hex, 2), &byte));
		out[n++] = (uint8_t)byte;
	}
	return n;
}

/* ---- known answers ------------------------------------------------------- */

/*
 * Records made by another implementation (OpenSSL's AEADs through a script,
 * labels expanded there). 1.3: the secret is 00 01 02 ...; 1.2: the key is
 * 40 41 42 ..., the nonce c8 c9 ca ...
 */
static const struct answer {
	uint16_t version, suite;
	uint64_t seq;
	const char *key, *iv, *record;
} answers[] = {
    {0x0304, 0x1301, 7, "9c9783cf77ea32d44f369da41f19f3cc",
	"2f41c846a431a163814bcd71",
	"170303002c58a5d8126e0dc718e5bfffbd38df9d7d4fd17650f48ad988829a867248"
	"b712eea59afb2d10fc1dceb5e651c9"},
    {0x0304, 0x1302, 7,
	"6877d022f1c61d24ebb7487c16752d9a4798e40431c75b39320e537c90e23225",
	"42822531a0fe88648fc09e9f",
	"170303002ce447031bbecf960db2c3161c4319746423b067d93862ae00d5f8d315d6"
	"3801f42d4da9cdca94262c2adf0bc5"},
    {0x0304, 0x1303, 7,
	"2ffbc449e87844051c7768f61ffd8ad070830f01ec2c520ef65f08e8296dffa0",
	"2f41c846a431a163814bcd71",
	"170303002c046d949e2b605b972f9fcda34b7e040d5f6df9c3ba4af7aee6adccf319"
	"ef57ecb2c49f9e44d2f36a04eeb8fe"},
    {0x0303, 0xc02f, 7, "404142434445464748494a4b4c4d4e4f", "c8c9cacb",
	"170303003300000000000000076ae6b9910e45b9595d85939d5d80d5ae2f10973cde"
	"14727d7dc65e695cefbf3ca42fd3f72615ca7d8914f3"},
    {0x0303, 0xc02c, 7,
	"404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f",
	"c8c9cacb",
	"170303003300000000000000074e93c2e0f6e4e2b99635a0f9f8a48630b9b9b6e341"
	"cc6f714842337d4935f41860355ef3a7624bee10d944"},
    {0x0303, 0xcca9, 7,
	"404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f",
	"c8c9cacbcccdcecfd0d1d2d3",
	"170303002bf90437c1b201cee56028539ef6702e42548f2897210adf18b309dfc9cf"
	"2cb7b784d22e9eea64c07d6d42f3"},
};

static struct tls_direction
direction(const struct answer *a)
{
	struct tls_direction d = {.seq = a->seq};
	size_t i;

	d.key_len = (uint8_t)from_hex(a->key, d.key);
	(void)from_hex(a->iv, d.iv);
	if (a->version == 0x0304) {
		d.secret_len = a->suite == 0x1302 ? 48 : 32;
		for (i = 0; i < d.secret_len; i++)
			d.secret[i] = (uint8_t)i;
	}
	return d;
}

static struct tls_record *
record_for(const struct answer *a)
{
	struct tls_state st = {
	    .version = a->version,
	    .suite = a->suite,
	    .read = direction(a),
	    .write = direction(a),
	};
	struct tls_record *t;
	struct err e;

	assert_int_equal(tls_record_new(&st, &t, &e), 0);
	return t;
}

static void
test_known_answers(UNUSED void **state)
{
	size_t i, n;

	for (i = 0; i < ARRAY_LEN(answers); i++) {
		struct tls_record *t = record_for(&answers[i]);
		struct buf wire, plain;
		uint8_t want[256];
		struct err e;
		bool closed;

		buf_init(&wire, 1 << 20);
		buf_init(&plain, 1 << 20);
		n = from_hex(answers[i].record, want);
		assert_int_equal(
		    tls_record_seal(t, STR(message), &wire, &e), 0);
		assert_int_equal(wire.n, n);
		assert_memory_equal(wire.p, want, n);
		assert_true(wire.n <= sizeof(message) + tls_record_overhead(t));
		buf_clear(&wire);
		assert_int_equal(tls_record_open(t, str_make(want, n), &plain,
				     &wire, &closed, &e),
		    0);
		assert_true(str_eq(buf_str(&plain), STR(message)));
		assert_int_equal(wire.n, 0);
		assert_false(closed);
		tls_record_free(&t);
		buf_done(&wire);
		buf_done(&plain);
	}
}

/* RFC 8448 section 3: the client's application data. */
static void
test_rfc_8448(UNUSED void **state)
{
	static const struct answer a = {0x0304, 0x1301, 0,
	    "17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9",
	    "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b"
	    "9819a8a5b46b395bd54a9a20441e2b62974e1f5a6292a2977014bd1e3deae63aee"
	    "bb21694915e4"};
	struct tls_record *t = record_for(&a);
	struct buf wire, plain;
	uint8_t rec[256];
	size_t i, n = from_hex(a.record, rec);
	struct err e;
	bool closed;

	buf_init(&wire, 1000);
	buf_init(&plain, 1000);
	assert_int_equal(
	    tls_record_open(t, str_make(rec, n), &plain, &wire, &closed, &e),
	    0);
	assert_int_equal(plain.n, 50);
	for (i = 0; i < 50; i++)
		assert_int_equal(plain.p[i], i);
	tls_record_free(&t);
	buf_done(&wire);
	buf_done(&plain);
}

/* ---- one end against the other ------------------------------------------- */

struct pair {
	struct tls_record *us, *peer;
	struct buf plain, wire, peer_wire, peer_plain;
	struct err e;
	bool closed;
};

static void
pair_init(struct pair *p, const struct answer *a)
{
	memset(p, 0, sizeof(*p));
	p->us = record_for(a);
	p->peer = record_for(a);
	buf_init(&p->plain, 1 << 24);
	buf_init(&p->wire, 1 << 24);
	buf_init(&p->peer_wire, 1 << 24);
	buf_init(&p->peer_plain, 1 << 24);
}

static void
pair_done(struct pair *p)
{
	tls_record_free(&p->us);
	tls_record_free(&p->peer);
	buf_done(&p->plain);
	buf_done(&p->wire);
	buf_done(&p->peer_wire);
	buf_done(&p->peer_plain);
	tls_record_trim();
}

/* What the peer has written goes to us. */
static int
deliver(struct pair *p)
{
	int rc = tls_record_open(p->us, buf_str(&p->peer_wire), &p->plain,
	    &p->wire, &p->closed, &p->e);

	buf_clear(&p->peer_wire);
	return rc;
}

/* And back. */
static int
deliver_back(struct pair *p)
{
	int rc = tls_record_open(p->peer, buf_str(&p->wire), &p->peer_plain,
	    &p->peer_wire, &p->closed, &p->e);

	buf_clear(&p->wire);
	return rc;
}

static void
test_any_split(UNUSED void **state)
{
	static const size_t sizes[] = {
	    0, 1, 15, 16, 17, 63, 64, 65, 1000, 16383, 16384, 16385, 70000};
	static const size_t steps[] = {1, 2, 3, 7, 100, 4096, 65536};
	static char text[70000];
	size_t i, j, k, at;

	for (i = 0; i < sizeof(text); i++)
		text[i] = (char)(i * 31);
	for (i = 0; i < ARRAY_LEN(answers); i++) {
		struct pair p;

		pair_init(&p, &answers[i]);
		for (j = 0; j < ARRAY_LEN(sizes); j++) {
			for (k = 0; k < ARRAY_LEN(steps); k++) {
				if (steps[k] < 100 && sizes[j] > 1000)
					continue;
				assert_int_equal(tls_record_seal(p.peer,
						     str_make(text, sizes[j]),
						     &p.peer_wire, &p.e),
				    0);
				for (at = 0; at < p.peer_wire.n; at += steps[k])
					assert_int_equal(
					    tls_record_open(p.us,
						str_head(
						    str_skip(
							buf_str(&p.peer_wire),
							at),
						    steps[k]),
						&p.plain, &p.wire, &p.closed,
						&p.e),
					    0);
				assert_int_equal(p.plain.n, sizes[j]);
				if (sizes[j] > 0)
					assert_memory_equal(
					    p.plain.p, text, sizes[j]);
				buf_clear(&p.plain);
				buf_clear(&p.peer_wire);
			}
		}
		assert_int_equal(p.wire.n, 0);
		pair_done(&p);
	}
}

static void
test_every_flipped_bit_is_noticed(UNUSED void **state)
{
	size_t i, bit;
	uint8_t rec[256];

	for (i = 0; i < ARRAY_LEN(answers); i++) {
		size_t n = from_hex(answers[i].record, rec);

		for (bit = 0; bit < n * 8; bit++) {
			struct pair p;
			bool longer = bit / 8 == 3 || bit / 8 == 4;

			/* Those of the length may mean "more to come", those
			 * of the version are ignored in 1.3 but verified. */
			pair_init(&p, &answers[i]);
			rec[bit / 8] ^= (uint8_t)(1 << bit % 8);
			buf_add(&p.peer_wire, rec, n);
			if (deliver(&p) == 0)
				assert_true(longer);
			else
				assert_int_equal(p.e.code, ERR_VIOLATION);
			assert_int_equal(p.plain.n, 0);
			rec[bit / 8] ^= (uint8_t)(1 << bit % 8);
			pair_done(&p);
		}
	}
}

static void
test_replay_is_refused(UNUSED void **state)
{
	uint8_t rec[256];
	size_t i, n;

	for (i = 0; i < ARRAY_LEN(answers); i++) {
		struct pair p;

		pair_init(&p, &answers[i]);
		n = from_hex(answers[i].record, rec);
		buf_add(&p.peer_wire, rec, n);
		assert_int_equal(deliver(&p), 0);
		buf_add(&p.peer_wire, rec, n);
		assert_int_equal(deliver(&p), -1);
		/* A fatal alert is there for the peer, who understands it. */
		assert_true(p.wire.n > 0);
		assert_int_equal(deliver_back(&p), -1);
		assert_non_null(strstr(p.e.text, "sent alert 20"));
		/* And nothing is taken any more. */
		buf_clear(&p.peer_wire);
		assert_int_equal(deliver(&p), -1);
		pair_done(&p);
	}
}

static void
test_close_notify(UNUSED void **state)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(answers); i++) {
		struct pair p;

		pair_init(&p, &answers[i]);
		assert_int_equal(
		    tls_record_seal(p.peer, STR("bye"), &p.peer_wire, &p.e), 0);
		tls_record_close(p.peer, &p.peer_wire);
		buf_add_c(&p.peer_wire, "and rubbish");
		assert_int_equal(deliver(&p), 0);
		assert_true(p.closed);
		assert_true(str_eq(buf_str(&p.plain), STR("bye")));
		pair_done(&p);
	}
}

/* ---- made by hand (TLS 1.3, AES-256-GCM, sequence 7) --------------------- */

static void
test_padding_and_large_sequence(UNUSED void **state)
{
	static const struct answer a = {0x0304, 0x1302, (UINT64_C(1) << 32) + 1,
	    "6877d022f1c61d24ebb7487c16752d9a4798e40431c75b39320e537c90e23225",
	    "42822531a0fe88648fc09e9f",
	    "1703030031a6b6b757a7be64092aea63a9a3b23bc40f37b9db01a9518171ab8d1b"
	    "eff7ed65a8a5371cd17a1d670b7dbbaf53ca925318"};
	uint8_t rec[256];
	struct pair p;

	pair_init(&p, &a);
	buf_add(&p.peer_wire, rec, from_hex(a.record, rec));
	assert_int_equal(deliver(&p), 0);
	assert_true(str_eq(buf_str(&p.plain), STR(message)));
	pair_done(&p);
}

static void
test_key_update_known_answer(UNUSED void **state)
{
	/* update_requested at 7, then a record with the next keys at 0 */
	static const char both[] =
	    "1703030016d667323af99c3dc783e6666d10a70a1e912c96404ac4"
	    "170303002c06b592a7c143cb35e2ef17960591f95983556f5a20b52bd394ec4ef6"
	    "b0c5740a7cec29e1f93abaf2bfce6729";
	static const char after[] =
	    "170303002c06b592a7c143cb35e2ef17960591f95983556f5a20b52bd394ec4ef6"
	    "b0c5740a7cec29e1f93abaf2bfce6729";
	uint8_t rec[256];
	struct pair p;
	size_t n;

	pair_init(&p, &answers[1]);
	buf_add(&p.peer_wire, rec, from_hex(both, rec));
	assert_int_equal(deliver(&p), 0);
	assert_true(str_eq(buf_str(&p.plain), STR(message)));
	/* Our answer has gone out with the old keys... */
	assert_int_equal(p.wire.n, 5 + 5 + 1 + 16);
	/* ...and what follows comes with the new ones. */
	buf_clear(&p.wire);
	assert_int_equal(tls_record_seal(p.us, STR(message), &p.wire, &p.e), 0);
	n = from_hex(after, rec);
	assert_int_equal(p.wire.n, n);
	assert_memory_equal(p.wire.p, rec, n);
	pair_done(&p);
}

static void
craft(struct pair *p, const struct answer *a, uint64_t *seq, uint8_t type,
    const void *bytes, size_t n, size_t padding)
{
	struct tls_direction d = direction(a);

	tls_craft(a->version, a->suite, &d, (*seq)++, type, str_make(bytes, n),
	    padding, &p->peer_wire);
}

static void
test_what_is_legal_and_what_is_not(UNUSED void **state)
{
	static const struct {
		const char *what;
		uint8_t type;
		const char *bytes;
		size_t n;
		int rc13, rc12;
		const char *why;
	} cases[] = {
	    {"data", 23, "x", 1, 0, 0, NULL},
	    {"empty data", 23, "", 0, 0, 0, NULL},
	    {"change cipher spec", 20, "\1", 1, -1, -1, "type that is over"},
	    {"heartbeat", 24, "\1\0\0", 3, -1, -1, "type that is over"},
	    {"type 0", 255, "", 0, -1, -1, "type that is over"},
	    {"key update", 22, "\30\0\0\1\0", 5, 0, -1, "renegotiation"},
	    {"key update 2", 22, "\30\0\0\1\2", 5, -1, -1, "TLS: "},
	    {"two key updates", 22, "\30\0\0\1\0\30\0\0\1\0", 10, -1, -1,
		"handshake"},
	    {"client hello", 22, "\1\0\0\5", 4, -1, -1, "handshake"},
	    {"empty handshake", 22, "", 0, -1, -1, "handshake"},
	    {"long key update", 22, "\30\0\0\2\0", 5, -1, -1, "handshake"},
	    {"close", 21, "\1\0", 2, 0, 0, NULL},
	    {"user canceled", 21, "\1\132", 2, 0, 0, NULL},
	    {"fatal", 21, "\2\50", 2, -1, -1, "sent alert 40"},
	    {"no renegotiation", 21, "\1\144", 2, -1, -1, "sent alert 100"},
	    {"short alert", 21, "\1", 1, -1, -1, "odd length"},
	    {"two alerts", 21, "\1\0\1\0", 4, -1, -1, "odd length"},
	    {"empty alert", 21, "", 0, -1, -1, "odd length"},
	};
	static const size_t which[] = {0, 1, 2, 4};
	size_t i, k;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		for (k = 0; k < ARRAY_LEN(which); k++) {
			const struct answer *a = &answers[which[k]];
			bool is_13 = a->version == 0x0304;
			uint64_t seq = 7;
			struct pair p;
			int rc;

			pair_init(&p, a);
			craft(&p, a, &seq, cases[i].type, cases[i].bytes,
			    cases[i].n, 0);
			rc = deliver(&p);
			if (rc != (is_13 ? cases[i].rc13 : cases[i].rc12))
				fail_msg("%s on %04x: %d %s", cases[i].what,
				    a->suite, rc, p.e.text);
			if (rc == -1 && strstr(p.e.text, cases[i].why) == NULL)
				fail_msg("%s: %s", cases[i].what, p.e.text);
			pair_done(&p);
		}
	}
}

static void
test_sizes_at_the_limit(UNUSED void **state)
{
	static char text[17000];
	static const struct {
		size_t n, padding;
		int rc;
	} cases[] = {
	    {16384, 0, 0},
	    {16385, 0, -1},
	    {16384, 1, -1}, /* padding counts (RFC 8446 section 5.4) */
	    {16000, 384, 0},
	    {0, 16384, 0},
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t seq = 7;
		struct pair p;

		pair_init(&p, &answers[1]);
		craft(&p, &answers[1], &seq, 23, text, cases[i].n,
		    cases[i].padding);
		assert_int_equal(deliver(&p), cases[i].rc);
		pair_done(&p);
	}
	/* A record of zeros alone has no type. */
	{
		uint64_t seq = 7;
		struct pair p;

		pair_init(&p, &answers[1]);
		craft(&p, &answers[1], &seq, 0, "", 0, 10);
		assert_int_equal(deliver(&p), -1);
		assert_non_null(strstr(p.e.text, "without a type"));
		pair_done(&p);
	}
}

static void
test_floods_are_cut(UNUSED void **state)
{
	const struct answer *a = &answers[1];
	uint64_t seq = 7;
	struct pair p;
	int i, rc = 0;

	pair_init(&p, a);
	for (i = 0; i < 100 && rc == 0; i++) {
		craft(&p, a, &seq, 23, "", 0, 0);
		rc = deliver(&p);
	}
	assert_int_equal(rc, -1);
	assert_int_equal(i, 33);
	pair_done(&p);
	/* Data in between is fine. */
	pair_init(&p, a);
	seq = 7;
	for (i = 0; i < 100; i++) {
		craft(&p, a, &seq, 23, "", 0, 0);
		craft(&p, a, &seq, 23, "x", 1, 0);
		assert_int_equal(deliver(&p), 0);
	}
	pair_done(&p);
}

/* Who asks for updates and never reads does not make us pile up answers. */
static void
test_answers_do_not_pile_up(UNUSED void **state)
{
	static const uint8_t ask[5] = {24, 0, 0, 1, 1};
	const struct answer *a = &answers[1];
	uint64_t seq = 7;
	struct pair p;

	pair_init(&p, a);
	buf_add_c(&p.wire, "not sent yet");
	craft(&p, a, &seq, 22, ask, 5, 0);
	assert_int_equal(deliver(&p), 0);
	assert_true(str_eq(buf_str(&p.wire), STR("not sent yet")));
	/* It goes before the next data. */
	assert_int_equal(tls_record_seal(p.us, STR("x"), &p.wire, &p.e), 0);
	assert_int_equal(p.wire.n, 12 + 27 + 23);
	pair_done(&p);
}

static void
test_key_update_in_pieces(UNUSED void **state)
{
	const struct answer *a = &answers[1];
	uint64_t seq = 7;
	struct pair p;

	pair_init(&p, a);
	craft(&p, a, &seq, 22, "\30\0", 2, 0);
	craft(&p, a, &seq, 22, "\0\1\1", 3, 0);
	assert_int_equal(deliver(&p), 0);
	assert_int_equal(p.wire.n, 5 + 5 + 1 + 16);
	pair_done(&p);
	/* Nothing may stand between them. */
	pair_init(&p, a);
	seq = 7;
	craft(&p, a, &seq, 22, "\30\0", 2, 0);
	craft(&p, a, &seq, 23, "x", 1, 0);
	assert_int_equal(deliver(&p), -1);
	pair_done(&p);
}

static void
test_update_limit(UNUSED void **state)
{
	static char text[100 * 16384];
	struct pair p;
	size_t i;

	for (i = 0; i < 3; i++) {
		size_t before;

		pair_init(&p, &answers[i]);
		tls_record_set_update_after(p.peer, 10);
		assert_int_equal(
		    tls_record_seal(p.peer, str_make(text, sizeof(text)),
			&p.peer_wire, &p.e),
		    0);
		before = p.peer_wire.n;
		/* 100 records of data and 9 or 10 of KeyUpdate */
		assert_true(before > sizeof(text) + 109 * 22);
		assert_int_equal(deliver(&p), 0);
		assert_int_equal(p.plain.n, sizeof(text));
		/* Nobody asked us to update ours. */
		assert_int_equal(p.wire.n, 0);
		pair_done(&p);
	}
}

static void
test_records_are_as_short_as_the_client_wants(UNUSED void **state)
{
	struct tls_state st = {.version = 0x0304,
	    .suite = 0x1302,
	    .max_plain = 511,
	    .read = direction(&answers[1]),
	    .write = direction(&answers[1])};
	static char text[2000];
	struct pair p;

	pair_init(&p, &answers[1]);
	tls_record_free(&p.us);
	assert_int_equal(tls_record_new(&st, &p.us, &p.e), 0);
	assert_int_equal(
	    tls_record_seal(p.us, str_make(text, sizeof(text)), &p.wire, &p.e),
	    0);
	assert_int_equal(p.wire.n, 2000 + 4 * 22);
	assert_int_equal(
	    (uint8_t)p.wire.p[3] << 8 | (uint8_t)p.wire.p[4], 511 + 17);
	pair_done(&p);
}

static void
test_tls12_ends_at_the_limit(UNUSED void **state)
{
	struct answer a = answers[3];
	struct pair p;

	a.seq = UINT64_C(1) << 24;
	pair_init(&p, &a);
	assert_int_equal(tls_record_seal(p.us, STR("x"), &p.wire, &p.e), -1);
	assert_int_equal(p.e.code, ERR_LIMIT);
	pair_done(&p);
}

static void
test_bad_states_are_refused(UNUSED void **state)
{
	struct tls_state st = {.version = 0x0304, .suite = 0x1302};
	struct tls_record *t;
	struct err e;

	assert_int_equal(tls_record_new(&st, &t, &e), -1);
	st.read.key_len = st.write.key_len = 32;
	assert_int_equal(tls_record_new(&st, &t, &e), -1);
	st.read.secret_len = st.write.secret_len = 48;
	assert_int_equal(tls_record_new(&st, &t, &e), 0);
	tls_record_free(&t);
	st.suite = 0x002f; /* TLS_RSA_WITH_AES_128_CBC_SHA */
	assert_int_equal(tls_record_new(&st, &t, &e), -1);
	assert_int_equal(e.code, ERR_UNSUPPORTED);
	assert_true(tls_record_knows(0x0303, 0xcca8));
	assert_false(tls_record_knows(0x0304, 0xcca8));
}

/* ---- GnuTLS ---------------------------------------------------------------- */

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
	    cmocka_unit_test(test_known_answers),
	    cmocka_unit_test(test_rfc_8448),
	    cmocka_unit_test(test_any_split),
	    cmocka_unit_test(test_every_flipped_bit_is_noticed),
	    cmocka_unit_test(test_replay_is_refused),
	    cmocka_unit_test(test_close_notify),
	    cmocka_unit_test(test_padding_and_large_sequence),
	    cmocka_unit_test(test_key_update_known_answer),
	    cmocka_unit_test(test_what_is_legal_and_what_is_not),
	    cmocka_unit_test(test_sizes_at_the_limit),
	    cmocka_unit_test(test_floods_are_cut),
	    cmocka_unit_test(test_answers_do_not_pile_up),
	    cmocka_unit_test(test_key_update_in_pieces),
	    cmocka_unit_test(test_update_limit),
	    cmocka_unit_test(test_records_are_as_short_as_the_client_wants),
	    cmocka_unit_test(test_tls12_ends_at_the_limit),
	    cmocka_unit_test(test_bad_states_are_refused),
	    cmocka_unit_test(test_gnutls_does_not_notice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
