/* SPDX-License-Identifier: ISC */
/* nfc_test.c - names in Normalisation Form C, and what no name may hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "text/nfc.h"

static const struct {
	struct str in, want;
} forms[] = {
    {STR_LIT(""), STR_LIT("")},
    {STR_LIT("INBOX"), STR_LIT("INBOX")},
    {STR_LIT("Entw\xc3\xbcrfe"), STR_LIT("Entw\xc3\xbcrfe")},
    {STR_LIT("Entwu\xcc\x88rfe"), STR_LIT("Entw\xc3\xbcrfe")},
    /* Hangul, a character with two marks in the wrong order, Angstrom */
    {STR_LIT("\xe1\x84\x80\xe1\x85\xa1"), STR_LIT("\xea\xb0\x80")},
    {STR_LIT("a\xcc\x87\xcc\xa3"), STR_LIT("\xe1\xba\xa1\xcc\x87")},
    {STR_LIT("\xe2\x84\xab"), STR_LIT("\xc3\x85")},
    /* A ligature is no canonical variant of its letters. */
    {STR_LIT("\xef\xac\x81"), STR_LIT("\xef\xac\x81")},
};

static void
test_forms(UNUSED void **state)
{
	struct buf b;

	buf_init(&b, 1000);
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		buf_clear(&b);
		assert_true(nfc_write(&b, forms[i].in));
		assert_true(str_eq(buf_str(&b), forms[i].want));
		assert_int_equal(nfc_is_normal(forms[i].in),
		    str_eq(forms[i].in, forms[i].want));
		assert_true(nfc_is_normal(forms[i].want));
	}
	buf_clear(&b);
	assert_false(nfc_write(&b, STR("a\xff")));
	assert_false(nfc_is_normal(STR("a\xff")));
	assert_int_equal(b.n, 0);
	buf_done(&b);
}

static void
test_names(UNUSED void **state)
{
	static const struct str good[] = {STR_LIT("a b"), STR_LIT("\xc2\xa0"),
	    STR_LIT("\xe2\x80\xa7"), STR_LIT("\xf0\x9f\x93\xa7")};
	static const struct str bad[] = {STR_LIT("a\tb"), STR_LIT("\x7f"),
	    STR_LIT("\xc2\x80"), STR_LIT("\xc2\x9f"), STR_LIT("\xe2\x80\xa8"),
	    STR_LIT("\xe2\x80\xa9"), STR_LIT("\xff"), STR_LIT("\xc3")};

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(nfc_may_be_name(good[i]));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(nfc_may_be_name(bad[i]));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_forms),
	    cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
