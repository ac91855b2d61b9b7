/* SPDX-License-Identifier: ISC */
/* fold_test.c - keys and search without regard to case. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "text/fold.h"

static const struct {
	const char *in, *key;
} keys[] = {
    {"", ""}, {"Hello, World 1", "HELLO, WORLD 1"},
    /* RFC 5051 section 2: U+01C4 is D, z and a caron. */
    {"\xc7\x84", "Dz\xcc\x8c"},
    {"\xc3\xbc", "U\xcc\x88"}, /* u umlaut, composed */
    {"u\xcc\x88", "U\xcc\x88"}, /* and decomposed */
    {"\xc3\x9f", "\xc3\x9f"}, /* sharp s has no single titlecase */
    {"\xd0\xbf\xd1\x80\xd0\xb8", "\xd0\x9f\xd0\xa0\xd0\x98"}, /* Cyrillic */
    {"\xcf\x83\xcf\x82", "\xce\xa3\xce\xa3"}, /* both small sigmas */
    {"\xef\xbc\xa1", "A"}, /* full width A */
    {"\xef\xac\x81", "fi"}, /* ligature: decomposed, not mapped */
    {"\xea\xb0\x80", "\xe1\x84\x80\xe1\x85\xa1"}, /* Hangul syllable */
    {"a\xff"
     "b\xc3",
	"A\xff"
	"B\xc3"}, /* no UTF-8 */
};

static void
test_keys(UNUSED void **state)
{
	struct buf b;
	size_t i;
	int again;

	buf_init(&b, 1000);
	for (again = 0; again < 2; again++) /* the second time by the table */
		for (i = 0; i < ARRAY_LEN(keys); i++) {
			buf_clear(&b);
			assert_true(fold_unicode(&b, str_of(keys[i].in)));
			if (!str_eq(buf_str(&b), str_of(keys[i].key)))
				fail_msg("%s: %.*s", keys[i].in,
				    STR_ARG(buf_str(&b)));
		}
	buf_clear(&b);
	assert_true(fold_ascii(&b, STR("aZ\xc3\xbc")));
	assert_true(str_eq(buf_str(&b), STR("AZ\xc3\xbc")));
	buf_clear(&b);
	/* The longest of all decompositions. */
	assert_true(fold_unicode(&b, STR("\xef\xb7\xba")));
	assert_int_equal(b.n, 33);
	buf_done(&b);
}

/* One byte of a text of `q`. */
static void
fold_one_byte(struct buf *b, size_t n, size_t at, int c)
{
	char in[64];

	memset(in, 'q', sizeof(in));
	in[at] = (char)c;
	buf_clear(b);
	assert_true(fold_ascii(b, str_make(in, n)));
	memset(in, 'Q', sizeof(in));
	in[at] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
	assert_true(str_eq(buf_str(b), str_make(in, n)));
}

/* Blocks, all that may be left of them, and all bytes in every place. */
static void
test_all_bytes(UNUSED void **state)
{
	struct buf b;

	buf_init(&b, 1000);
	for (size_t n = 1; n <= 48; n++)
		for (size_t at = 0; at < n; at++)
			for (int c = 0; c < 256; c++)
				fold_one_byte(&b, n, at, c);
	buf_done(&b);
}

static const struct {
	const char *needle, *hay;
	bool found;
} searches[] = {
    {"", "", true},
    {"a", "", false},
    {"abc", "xxABCxx", true},
    {"M\xc3\x9cLL", "der m\xc3\xbcll", true},
    {"mu\xcc\x88ll", "der M\xc3\x9cLL", true},
    {"mull", "der m\xc3\xbcll", false},
    {"\xd0\x9f\xd0\xa0\xd0\x98\xd0\x92\xd0\x95\xd0\xa2",
	"- \xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82!", true},
    {"aab", "aaaaaaaaab", true},
    {"aac", "aaaaaaaaab", false},
    {"b\xff",
	"a\xc3"
	"b\xff",
	true},
    {"\xe2\x82", "a\xe2\x82", true},
    {"\xe2\x82\xac", "\xe2\x82 \xe2\x82\xac", true},
};

static void
test_search_in_pieces(UNUSED void **state)
{
	struct fold_search f;
	struct str hay;
	size_t i, piece;
	bool found;

	for (i = 0; i < ARRAY_LEN(searches); i++) {
		fold_search_init(&f, str_of(searches[i].needle));
		assert_int_equal(fold_search_in(&f, str_of(searches[i].hay)),
		    searches[i].found);
		for (piece = 1; piece < 8; piece++) {
			fold_search_reset(&f);
			hay = str_of(searches[i].hay);
			found = fold_search_feed(&f, STR(""));
			for (; hay.n > 0; hay = str_skip(hay, piece))
				found =
				    fold_search_feed(&f, str_head(hay, piece));
			found = fold_search_finish(&f);
			if (found != searches[i].found)
				fail_msg("%s in %s by %zu", searches[i].needle,
				    searches[i].hay, piece);
		}
		fold_search_done(&f);
	}
}

static void
test_long_text(UNUSED void **state)
{
	static char text[100003];
	struct fold_search f;
	size_t i;

	/* Euro signs, so that inner pieces tear one. */
	for (i = 0; i + 3 <= sizeof(text); i += 3)
		memcpy(text + i, "\xe2\x82\xac", 3);
	memcpy(text + 90000, "xYz", 3);
	fold_search_init(&f, STR("\xe2\x82\xacXyZ\xe2\x82\xac"));
	assert_true(fold_search_in(&f, str_make(text, sizeof(text))));
	assert_false(fold_search_in(&f, str_make(text, 90003)));
	fold_search_done(&f);
	fold_search_init(&f, STR("\xe2\x82\xac\xe2\x82\xac!"));
	assert_false(fold_search_in(&f, str_make(text, sizeof(text))));
	assert_true(f.window.keys.size < 100000);
	fold_search_done(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_keys),
	    cmocka_unit_test(test_all_bytes),
	    cmocka_unit_test(test_search_in_pieces),
	    cmocka_unit_test(test_long_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
