/* SPDX-License-Identifier: ISC */
/*
 * tls_record_test.c - known answers, records cut and changed anywhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/lib/tls_pair.h"

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
