/* SPDX-License-Identifier: ISC */
/* deflate_test.c - COMPRESS streams: pieces, bounds, ends, other peers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>
#include <cmocka.h>

#include "base/mem.h"
#include "net/deflate.h"

static struct deflate *
make(void)
{
	struct deflate *d;
	struct err e;

	assert_int_equal(deflate_new(&d, &e), 0);
	return d;
}

static void
test_pieces(UNUSED void **state)
{
	static const size_t sizes[] = {0, 1, 100, 4095, 4096, 4097, 300000};
	struct deflate *a = make(), *b = make();
	struct buf packed, plain;
	struct str rest;
	struct err e;
	bool more;
	size_t i, k;

	buf_init(&packed, 1 << 24);
	buf_init(&plain, 1 << 24);
	for (i = 0; i < ARRAY_LEN(sizes); i++) {
		char *text = mem_new(1, sizes[i] + 1);

		for (k = 0; k < sizes[i]; k++)
			text[k] = (char)(k * k >> 3);
		buf_clear(&packed);
		buf_clear(&plain);
		assert_int_equal(deflate_pack(a, str_make(text, sizes[i]), true,
				     &packed, &e),
		    0);
		/* All of it can be read once it was flushed. */
		rest = buf_str(&packed);
		assert_int_equal(
		    deflate_unpack(b, &rest, 1 << 20, &plain, &more, &e), 0);
		assert_int_equal(rest.n, 0);
		assert_false(more);
		assert_true(str_eq(buf_str(&plain), str_make(text, sizes[i])));
		free(text);
	}
	deflate_free(&a);
	deflate_free(&b);
	deflate_free(&b); /* NULL */
	buf_done(&packed);
	buf_done(&plain);
}

static void
test_output_is_bounded(UNUSED void **state)
{
	struct deflate *a = make(), *b = make();
	struct buf packed, plain;
	struct str rest;
	struct err e;
	bool more = true;
	size_t total = 0, n = 1 << 20;
	char *zeros = mem_new(1, n);

	buf_init(&packed, 1 << 24);
	buf_init(&plain, 5000);
	assert_int_equal(
	    deflate_pack(a, str_make(zeros, n), true, &packed, &e), 0);
	assert_true(packed.n < n / 100);
	rest = buf_str(&packed);
	while (rest.n > 0 || more) {
		buf_clear(&plain);
		assert_int_equal(
		    deflate_unpack(b, &rest, 5000, &plain, &more, &e), 0);
		assert_true(plain.n <= 5000);
		total += plain.n;
	}
	assert_int_equal(total, n);
	free(zeros);
	deflate_free(&a);
	deflate_free(&b);
	buf_done(&packed);
	buf_done(&plain);
}

/* A peer with the largest window, and one that ends its stream. */
static void
test_other_peers(UNUSED void **state)
{
	struct deflate *d = make();
	struct buf plain;
	struct str rest;
	struct err e;
	bool more;
	z_stream z = {0};
	static char text[100000], packed[100000];

	buf_init(&plain, 1 << 20);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i % 30011 * 7919 >> 5);
	assert_int_equal(
	    deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (Bytef *)text;
	z.avail_in = sizeof(text);
	z.next_out = (Bytef *)packed;
	z.avail_out = sizeof(packed);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	rest = str_make(packed, sizeof(packed) - z.avail_out);
	assert_int_equal(
	    deflate_unpack(d, &rest, 1 << 20, &plain, &more, &e), 0);
	assert_int_equal(plain.n, sizeof(text));
	assert_memory_equal(plain.p, text, sizeof(text));
	assert_false(more);
	/* Nothing may come behind the end. */
	rest = STR("x");
	assert_int_equal(
	    deflate_unpack(d, &rest, 1 << 20, &plain, &more, &e), -1);
	assert_int_equal(e.code, ERR_VIOLATION);
	(void)deflateEnd(&z);
	deflate_free(&d);
	buf_done(&plain);
}

static void
test_rubbish_is_refused(UNUSED void **state)
{
	struct deflate *d = make();
	struct buf plain;
	struct str rest = STR("b NOOP\r\n");
	struct err e;
	bool more;

	buf_init(&plain, 1 << 20);
	assert_int_equal(
	    deflate_unpack(d, &rest, 1 << 20, &plain, &more, &e), -1);
	assert_int_equal(e.code, ERR_VIOLATION);
	deflate_free(&d);
	buf_done(&plain);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pieces),
	    cmocka_unit_test(test_output_is_bounded),
	    cmocka_unit_test(test_other_peers),
	    cmocka_unit_test(test_rubbish_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
