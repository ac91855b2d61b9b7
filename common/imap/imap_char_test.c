/* SPDX-License-Identifier: ISC */
/* imap_char_test.c - the table against the rules it stands for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "imap/imap_char.h"

static bool
in(const char *set, int c)
{
	return c != 0 && strchr(set, c) != NULL;
}

static void
test_table(UNUSED void **state)
{
	int c;

	for (c = 0; c < 256; c++) {
		/* RFC 3501: atom-specials, resp-specials, list-wildcards. */
		bool graph = c > ' ' && c < 0x7f;
		bool text = c > 0 && c < 0x80 && c != '\r' && c != '\n';
		bool atom = graph && !in("(){%*\"\\]", c);
		unsigned v = imap_char_class[c];

		assert_int_equal((v & IMAP_CHAR_ATOM) != 0, atom);
		assert_int_equal(
		    (v & IMAP_CHAR_ASTRING) != 0, atom || c == ']');
		assert_int_equal(
		    (v & IMAP_CHAR_LIST) != 0, atom || in("%*]", c));
		assert_int_equal(
		    (v & IMAP_CHAR_TAG) != 0, (atom || c == ']') && c != '+');
		assert_int_equal((v & IMAP_CHAR_TEXT) != 0, text);
		assert_int_equal(
		    (v & IMAP_CHAR_QUOTED) != 0, text && !in("\"\\", c));
		assert_int_equal(
		    (v & IMAP_CHAR_TOKEN) != 0, graph && !in("(){\"", c));
	}
	assert_false(imap_char_all(STR(""), IMAP_CHAR_ATOM));
	assert_true(imap_char_all(STR("a-b"), IMAP_CHAR_ATOM));
	assert_false(imap_char_all(STR("a b"), IMAP_CHAR_ATOM));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
