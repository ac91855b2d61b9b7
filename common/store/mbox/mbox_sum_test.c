/* SPDX-License-Identifier: ISC */
/* mbox_sum_test.c - one sum, however the bytes are cut into pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "store/mbox/mbox_sum.h"

#define BYTES 300

static uint64_t
sum(struct str bytes, size_t piece, unsigned drop)
{
	struct mbox_sum s;

	mbox_sum_init(&s);
	while (bytes.n > 0) {
		struct str head = str_head(bytes, piece);

		mbox_sum_add(&s, head);
		bytes = str_skip(bytes, head.n);
	}
	return mbox_sum_end(&s, drop);
}

static void
test_pieces(void **state)
{
	char bytes[BYTES];

	(void)state;
	for (size_t i = 0; i < BYTES; i++)
		bytes[i] = (char)(i * 37 + i / 7);
	for (size_t n = 0; n <= BYTES; n++) {
		struct str all = str_make(bytes, n);
		uint64_t whole = sum(all, BYTES, 0);

		for (size_t piece = 1; piece < 80; piece += 3)
			assert_true(sum(all, piece, 0) == whole);
		for (unsigned drop = 1; drop <= 2 && drop <= n; drop++)
			assert_true(sum(all, 7, drop) ==
			    sum(str_head(all, n - drop), 64, 0));
	}
}

static void
test_difference(void **state)
{
	char bytes[BYTES] = {0};
	uint64_t plain = sum(str_make(bytes, BYTES), BYTES, 0);

	(void)state;
	for (size_t i = 0; i < BYTES; i++) {
		bytes[i] = 1;
		assert_true(sum(str_make(bytes, BYTES), BYTES, 0) != plain);
		bytes[i] = 0;
		assert_true(sum(str_make(bytes, i), BYTES, 0) != plain);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pieces),
	    cmocka_unit_test(test_difference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
