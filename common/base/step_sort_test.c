/* SPDX-License-Identifier: ISC */
/* step_sort_test.c - sorted as qsort does, in pieces of any size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/base.h"
#include "base/step_sort.h"

struct pair {
	uint32_t key, place;
};

static int
by_key(const void *x, const void *y, void *arg)
{
	const struct pair *a = x, *b = y;

	(*(size_t *)arg)++;
	return a->key < b->key ? -1 : a->key > b->key;
}

/* Steps of a few rows each: none does more, and together they sort. */
static void
check(size_t n, uint32_t keys, size_t steps)
{
	struct pair *rows = calloc(n + 1, sizeof(*rows));
	struct pair *spare = calloc(n + 1, sizeof(*rows));
	const struct pair *out;
	size_t compared = 0, before, calls = 0, left;
	struct step_sort s;
	uint32_t x = 12345;
	bool done;

	for (size_t i = 0; i < n; i++) {
		x = x * 1664525u + 1013904223u;
		rows[i] = (struct pair){x % keys, (uint32_t)i};
	}
	step_sort_begin(&s, rows, spare, n, sizeof(*rows), by_key, &compared);
	do {
		left = steps;
		before = compared;
		done = step_sort_go(&s, &left);
		calls++;
		assert_true(left <= steps);
		/* An inserted row is compared 16 times at most. */
		assert_true(compared - before <= steps * 16);
	} while (!done);
	if (n > steps)
		assert_true(calls >= n / steps);
	out = (const struct pair *)(const void *)s.rows;
	for (size_t i = 1; i < n; i++)
		assert_true(out[i - 1].key < out[i].key ||
		    (out[i - 1].key == out[i].key &&
			out[i - 1].place < out[i].place));
	free(rows);
	free(spare);
}

static void
test_sizes(UNUSED void **state)
{
	static const size_t sizes[] = {
	    0, 1, 2, 15, 16, 17, 31, 32, 33, 100, 1000, 4097};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		check(sizes[i], UINT32_MAX, 16);
		check(sizes[i], 7, 100);
		check(sizes[i], 1, 1000000);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_sizes)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
