/* SPDX-License-Identifier: ISC */
/*
 * tls_record_peer_test.c - what a peer may send and what not, made by hand
 * (TLS 1.3, AES-256-GCM, sequence 7); our own key updates and limits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/lib/tls_pair.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
