/* SPDX-License-Identifier: ISC */
/* utf8_test.c - every code point, and every kind of wrong byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "text/utf8.h"

static void
test_every_code_point(UNUSED void **state)
{
	uint32_t code, got;
	char p[UTF8_CHAR_MAX];
	size_t n;

	for (code = 0; code < 0x110100; code++) {
		n = utf8_encode(code, p);
		if ((code >= 0xd800 && code < 0xe000) || code > 0x10ffff) {
			assert_int_equal(n, 0);
			continue;
		}
		assert_int_equal(utf8_decode(str_make(p, n), &got), n);
		assert_int_equal(got, code);
		assert_true(utf8_is_valid(str_make(p, n)));
		if (n > 1) {
			assert_true(utf8_is_prefix(str_make(p, n - 1)));
			assert_false(utf8_is_valid(str_make(p, n - 1)));
		}
		assert_false(utf8_is_prefix(str_make(p, n)));
	}
}

static void
test_wrong_bytes(UNUSED void **state)
{
	static const char *const bad[] = {
	    "\x80",
	    "\xbf",
	    "\xc0\x80",
	    "\xc1\xbf",
	    "\xe0\x9f\xbf",
	    "\xed\xa0\x80",
	    "\xf0\x8f\xbf\xbf",
	    "\xf4\x90\x80\x80",
	    "\xf5\x80\x80\x80",
	    "\xff",
	    "\xc3(",
	    "a\xe2\x82",
	    "12345678\xfe",
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(utf8_is_valid(str_of(bad[i])));
	assert_true(utf8_is_valid(STR("")));
	assert_true(utf8_is_valid(STR("gr\xc3\xbc\xc3\x9f dich 0123456789")));
	assert_false(utf8_is_prefix(STR("\xc0")));
	assert_false(utf8_is_prefix(STR("\xe0\x80")));
	assert_false(utf8_is_prefix(STR("")));
}

static void
test_cut_and_clean(UNUSED void **state)
{
	struct str s = STR("a\xc3\xbc\xe2\x82\xac");
	static const size_t want[] = {0, 1, 1, 3, 3, 3, 6, 6};
	struct buf b;
	size_t i;

	for (i = 0; i < ARRAY_LEN(want); i++)
		assert_int_equal(utf8_head(s, i).n, want[i]);
	buf_init(&b, 100);
	assert_true(utf8_add_clean(&b, STR("x\xe2\x82y\xc3\xbc\xff")));
	assert_true(str_eq(buf_str(&b),
	    STR("x" UTF8_REPLACEMENT UTF8_REPLACEMENT
		"y\xc3\xbc" UTF8_REPLACEMENT)));
	buf_done(&b);
	assert_int_equal(utf8_ascii_length(STR("0123456789\xc3")), 10);
	assert_int_equal(utf8_ascii_length(STR("0123\xc3")), 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_code_point),
	    cmocka_unit_test(test_wrong_bytes),
	    cmocka_unit_test(test_cut_and_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
