/* SPDX-License-Identifier: ISC */
/* imap_write_test.c - each value in the one form that is right for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "imap/imap_write.h"

typedef void write_fn(struct buf *b, struct str s);

static void
check(write_fn *fn, struct str in, const char *want, int line)
{
	struct buf b;

	buf_init(&b, 100000);
	fn(&b, in);
	if (!str_eq(buf_str(&b), str_of(want)))
		fail_msg("line %d: %.*s", line, STR_ARG(buf_str(&b)));
	buf_done(&b);
}

#define CHECK(fn, in, want) check(fn, STR(in), want, __LINE__)

static void
test_strings(UNUSED void **state)
{
	CHECK(imap_write_string, "", "\"\"");
	CHECK(imap_write_string, "a", "\"a\"");
	CHECK(imap_write_string, "a\"\\", "\"a\\\"\\\\\"");
	CHECK(imap_write_string, "a\tb", "\"a\tb\"");
	CHECK(imap_write_string, "a\r\nb", "{4}\r\na\r\nb");
	CHECK(imap_write_string, "\n", "{1}\r\n\n");
	CHECK(imap_write_string, "\xc3\xa4", "{2}\r\n\xc3\xa4");
	CHECK(imap_write_string, "a\0b",
	    "{3}\r\na\x80"
	    "b");
	check(imap_write_nstring, str_make(NULL, 0), "NIL", __LINE__);
	CHECK(imap_write_nstring, "", "\"\"");
	CHECK(imap_write_astring, "INBOX", "INBOX");
	CHECK(imap_write_astring, "a]", "a]");
	CHECK(imap_write_astring, "", "\"\"");
	CHECK(imap_write_astring, "nil", "\"nil\"");
	CHECK(imap_write_astring, "a b", "\"a b\"");
	CHECK(imap_write_astring, "a*", "\"a*\"");
	CHECK(imap_write_astring, "a{1}", "\"a{1}\"");
	CHECK(imap_write_astring, "\\x", "\"\\\\x\"");
	CHECK(imap_write_text, "a\r\n* BYE\xe4", "a??* BYE?");
}

static void
test_long_strings_are_literals(UNUSED void **state)
{
	struct buf in, out;
	size_t i;

	buf_init(&in, 10000);
	buf_init(&out, 10000);
	for (i = 0; i < 5000; i++)
		buf_add_byte(&in, 'x');
	imap_write_string(&out, buf_str(&in));
	assert_true(str_starts(buf_str(&out), STR("{5000}\r\nxxx")));
	assert_int_equal(out.n, 5008);
	buf_done(&in);
	buf_done(&out);
}

static void
test_utf8(UNUSED void **state)
{
	CHECK(imap_write_astring_utf8, "INBOX", "INBOX");
	CHECK(imap_write_astring_utf8, "a&b", "a&b");
	CHECK(imap_write_astring_utf8, "NIL", "\"NIL\"");
	CHECK(imap_write_astring_utf8, "\xe6\x97\xa5 \"",
	    "\"\xe6\x97\xa5 \\\"\"");
	CHECK(imap_write_astring_utf8, "\xff", "{1}\r\n\xff");
	CHECK(imap_write_string_utf8, "a\n\xc3\xbc", "{4}\r\na\n\xc3\xbc");
	CHECK(imap_write_string_utf8, "", "\"\"");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_strings),
	    cmocka_unit_test(test_long_strings_are_literals),
	    cmocka_unit_test(test_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
