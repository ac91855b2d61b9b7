/* SPDX-License-Identifier: ISC */
/* fold_test.c - what is equal without regard to case, and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "text/fold.h"

static void
test_equal_forms(UNUSED void **state)
{
	static const struct {
		const char *a, *b;
		bool equal;
	} cases[] = {
	    {"Hello", "hELLO", true},
	    {"hello", "hallo", false},
	    {"\xc3\xa9t\xc3\xa9", "E\xcc\x81T\xc3\x89",
		true}, /* é, E + acute */
	    {"\xc3\xa9", "e", false},
	    {"\xd0\x9f\xd1\x80", "\xd0\xbf\xd0\xa0", true}, /* Cyrillic */
	    /* RFC 5051 maps before it decomposes: the parts stay small. */
	    {"\xef\xac\x81", "fi", false},
	    {"\xef\xac\x81", "\xef\xac\x81", true},
	    {"\xef\xbc\xa1", "a", true}, /* full-width A */
	    {"\xe6\x97\xa5", "\xe6\x9c\xac", false},
	};
	struct arena a;
	size_t i;

	arena_init(&a);
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		struct str x, y;

		assert_true(fold_key(&a, str_of(cases[i].a), &x));
		assert_true(fold_key(&a, str_of(cases[i].b), &y));
		if (str_eq(x, y) != cases[i].equal)
			fail_msg("%s and %s", cases[i].a, cases[i].b);
	}
	arena_done(&a);
}

static void
test_bad_utf8(UNUSED void **state)
{
	struct arena a;
	struct str out;
	struct buf b;

	arena_init(&a);
	assert_false(fold_key(&a, STR("a\xff"), &out));
	assert_false(fold_key(&a, STR("\xc3"), &out));
	buf_init(&b, 100);
	assert_true(fold_append(&b,
	    STR("a\xff"
		"b")));
	assert_true(str_eq(buf_str(&b),
	    STR("A\xef\xbf\xbd"
		"B")));
	buf_done(&b);
	arena_done(&a);
}

/* A long text folded in cut pieces is the text folded whole. */
static void
test_pieces(UNUSED void **state)
{
	struct buf text, whole, pieces;
	struct str rest;
	size_t i;

	buf_init(&text, 100000);
	buf_init(&whole, 400000);
	buf_init(&pieces, 400000);
	for (i = 0; i < 700; i++)
		assert_true(buf_add_c(&text,
		    i % 3 ? "word "
			  : "\xd0\xbf\xd1\x80"
			    "e\xcc\x81"
			    "\xcc\xa3"
			    " ab"));
	assert_true(fold_append(&whole, buf_str(&text)));
	for (rest = buf_str(&text); rest.n > 0;) {
		size_t n = rest.n > 37 ? fold_cut(str_head(rest, 37)) : rest.n;

		assert_true(n > 0);
		assert_true(fold_append(&pieces, str_head(rest, n)));
		rest = str_skip(rest, n);
	}
	assert_true(str_eq(buf_str(&whole), buf_str(&pieces)));
	buf_done(&text);
	buf_done(&whole);
	buf_done(&pieces);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_equal_forms),
	    cmocka_unit_test(test_bad_utf8),
	    cmocka_unit_test(test_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
