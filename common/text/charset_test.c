/* SPDX-License-Identifier: ISC */
/* charset_test.c - charsets of mail, whole and in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "text/charset.h"
#include "text/utf8.h"

#define BAD UTF8_REPLACEMENT

static const struct {
	const char *name;
	struct str in;
	const char *want;
} cases[] = {
    {"utf-8", STR_LIT("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f"},
    {"UTF-8", STR_LIT("a\xffz\xe2\x82"), "a" BAD "z" BAD},
    {"us-ascii", STR_LIT("abc \xc3\xbc \xfc"), "abc \xc3\xbc " BAD},
    {"ISO-8859-1", STR_LIT("M\xfcll"), "M\xc3\xbcll"},
    /* Declared as Latin 1, in truth Windows: curly quotes. */
    {"iso-8859-1", STR_LIT("\x93x\x94"), "\xe2\x80\x9cx\xe2\x80\x9d"},
    {"windows-1252", STR_LIT("\x80\x81"), "\xe2\x82\xac" BAD},
    {"koi8-r", STR_LIT("\xf0\xf2\xe9"), "\xd0\x9f\xd0\xa0\xd0\x98"},
    /* glibc takes this name for UTF-8, and lets more pass than there is */
    {"+utf-8", STR_LIT("a\xf4\x90\x80\x80"), "a" BAD BAD BAD BAD},
    {"iso-2022-jp", STR_LIT("\x1b$B%O%m\x1b(B!"), "\xe3\x83\x8f\xe3\x83\xad!"},
    {"Shift_JIS", STR_LIT("\x83n\x83\x8d\x81"), "\xe3\x83\x8f\xe3\x83\xad" BAD},
    {"gb2312", STR_LIT("\xc4\xe3\xba\xc3"), "\xe4\xbd\xa0\xe5\xa5\xbd"},
    {"big5", STR_LIT("\xa7\x41\xa6\x6e"), "\xe4\xbd\xa0\xe5\xa5\xbd"},
    {"ks_c_5601-1987", STR_LIT("\xb0\xa1"), "\xea\xb0\x80"},
    {"utf-7", STR_LIT("Hi Mom +Jjo-!"), "Hi Mom \xe2\x98\xba!"},
    {"utf-16", STR_LIT("\xff\xfe\xfc\0a\0"),
	"\xc3\xbc"
	"a"},
    {"utf-16", STR_LIT("\xfe\xff\0\xfc\0a"),
	"\xc3\xbc"
	"a"},
    {"utf-16", STR_LIT("\0\xfc\0a"),
	"\xc3\xbc"
	"a"},
    {"utf-16", STR_LIT("a\0\xfc\0"), "a\xc3\xbc"},
    {"utf-16", STR_LIT("\x16\x04\x38\x04"), "\xd0\x96\xd0\xb8"},
    {"utf-16le", STR_LIT("\x3d\xd8\x00\xde"), "\xf0\x9f\x98\x80"},
    {"unknown-8bit", STR_LIT("x\xff"), "x" BAD},
};

static void
test_whole_and_pieces(UNUSED void **state)
{
	struct charset *c;
	struct buf b;
	struct str s;
	size_t i, piece;

	buf_init(&b, 1000);
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		buf_clear(&b);
		assert_true(
		    charset_to_utf8(str_of(cases[i].name), cases[i].in, &b));
		if (!str_eq(buf_str(&b), str_of(cases[i].want)))
			fail_msg("%zu %s: got %.*s", i, cases[i].name,
			    STR_ARG(buf_str(&b)));
		for (piece = 1; piece < 6; piece++) {
			buf_clear(&b);
			c = charset_open(str_of(cases[i].name));
			assert_non_null(c);
			for (s = cases[i].in; s.n > 0; s = str_skip(s, piece))
				assert_true(
				    charset_feed(c, str_head(s, piece), &b));
			assert_true(charset_finish(c, &b));
			charset_close(&c);
			if (!str_eq(buf_str(&b), str_of(cases[i].want)))
				fail_msg("%zu %s by %zu: got %.*s", i,
				    cases[i].name, piece, STR_ARG(buf_str(&b)));
		}
	}
	buf_done(&b);
}

static void
test_names(UNUSED void **state)
{
	static const char *const bad[] = {"", "x-nonsense", "utf-8//IGNORE",
	    "latin1//TRANSLIT", "../x", "iso 8859", "a,b",
	    "iso-8859-1-iso-8859-1-iso-8859-1-iso-8859-1", "/", "utf-8\n\nx"};
	static const char *const good[] = {"latin1", "CP1252", "cp-1252",
	    "ISO-8859-15", "euc-jp", "GB18030", " utf-8 ", "iso-8859-8-i",
	    "hz-gb-2312", "x-mac-cyrillic"};
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++)
		if (charset_is_known(str_of(bad[i])))
			fail_msg("%s is known", bad[i]);
	for (i = 0; i < ARRAY_LEN(good); i++)
		if (!charset_is_known(str_of(good[i])))
			fail_msg("%s is not known", good[i]);
}

static void
test_unknown_keeps_what_is_utf8(UNUSED void **state)
{
	struct buf b;

	buf_init(&b, 100);
	assert_false(
	    charset_to_utf8(STR("x-nonsense"), STR("a\xc3\xbc\xfc"), &b));
	assert_true(str_eq(buf_str(&b), STR("a\xc3\xbc" BAD)));
	buf_done(&b);
}

static void
test_full_output(UNUSED void **state)
{
	struct buf b;

	buf_init(&b, 5);
	assert_false(
	    charset_to_utf8(STR("koi8-r"), STR("\xf0\xf2\xe9\xf0"), &b));
	assert_true(buf_is_over(&b));
	assert_true(b.n <= 5);
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_whole_and_pieces),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_unknown_keeps_what_is_utf8),
	    cmocka_unit_test(test_full_output),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
