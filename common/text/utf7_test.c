/* SPDX-License-Identifier: ISC */
/* utf7_test.c - names in both spellings, and what is no name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "text/utf7.h"

static const struct {
	const char *utf8, *utf7;
} pairs[] = {
    {"", ""},
    {"INBOX", "INBOX"},
    {"R&D", "R&-D"},
    {"&", "&-"},
    {"~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa"
     "\x9e",
	"~peter/mail/&U,BTFw-/&ZeVnLIqe-"},
    {"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", "&ZeVnLIqe-"},
    {"uni-\xe6\x97\xa5\xe6\x9c\xac", "uni-&ZeVnLA-"},
    {"Entw\xc3\xbcrfe", "Entw&APw-rfe"},
    {"\xf0\x9f\x98\x80", "&2D3eAA-"},
    {"a\xf0\x9f\x98\x80\xc3\xa4-&x", "a&2D3eAADk--&-x"},
    {"\x01", "&AAE-"},
    {"\x7f", "&AH8-"},
};

static void
test_pairs(UNUSED void **state)
{
	struct buf b;

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		buf_init(&b, 1000);
		assert_true(utf7_encode(&b, str_of(pairs[i].utf8)));
		assert_true(str_eq(buf_str(&b), str_of(pairs[i].utf7)));
		buf_clear(&b);
		assert_true(utf7_decode(&b, str_of(pairs[i].utf7)));
		assert_true(str_eq(buf_str(&b), str_of(pairs[i].utf8)));
		buf_done(&b);
	}
}

static void
test_bad_utf7(UNUSED void **state)
{
	static const char *const bad[] = {
	    "&",
	    "a&",
	    "&ZeVnLIqe", /* no end */
	    "&AGE-", /* ASCII must stand for itself */
	    "&ZeU-&ZyyKng-", /* two runs that should be one */
	    "&AP0A-x", /* torn unit */
	    "&APx-", /* unused bits not zero */
	    "&A-",
	    "&2D0-", /* half a surrogate pair */
	    "&3gA-", /* low one first */
	    "&2D0AYQ-",
	    "&AP/-", /* / belongs to the other base64 */
	    "\xc3\xbc",
	    "a\tb",
	    "a\x7f",
	    "&ZeV nLIqe-",
	};
	struct buf b;

	buf_init(&b, 1000);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_false(utf7_decode(&b, str_of(bad[i])));
		assert_int_equal(b.n, 0);
		assert_false(utf7_is_valid(str_of(bad[i])));
	}
	assert_false(utf7_encode(&b, STR("a\xff")));
	assert_false(utf7_encode(&b, STR("\xed\xa0\x80")));
	assert_int_equal(b.n, 0);
	buf_done(&b);
}

static void
test_full(UNUSED void **state)
{
	struct buf b;

	buf_init(&b, 4);
	assert_true(buf_add_byte(&b, 'x'));
	assert_false(utf7_encode(&b, STR("\xc3\xbc\xc3\xbc")));
	assert_int_equal(b.n, 1);
	buf_clear(&b);
	assert_false(utf7_decode(&b, STR("&ZeVnLIqe-")));
	assert_int_equal(b.n, 0);
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pairs),
	    cmocka_unit_test(test_bad_utf7),
	    cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
