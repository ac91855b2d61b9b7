/* SPDX-License-Identifier: ISC */
/* imap_requote_test.c - literals become quoted strings, or nothing changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "imap/imap_requote.h"

static const struct {
	struct str in, want;
} values[] = {
    {STR_LIT(""), STR_LIT("")},
    {STR_LIT("(NIL \"a{2}\" NIL)"), STR_LIT("(NIL \"a{2}\" NIL)")},
    {STR_LIT("({2}\r\n\xc3\xbc NIL)"), STR_LIT("(\"\xc3\xbc\" NIL)")},
    {STR_LIT("({4}\r\n\"\\\xc3\xbc NIL)"),
	STR_LIT("(\"\\\"\\\\\xc3\xbc\" NIL)")},
    {STR_LIT("(\"\\\"{2}\" {2}\r\n\xc3\xbc)"),
	STR_LIT("(\"\\\"{2}\" \"\xc3\xbc\")")},
    /* no UTF-8, and what no quoted string can hold */
    {STR_LIT("({1}\r\n\xfc)"), STR_LIT("({1}\r\n\xfc)")},
    {STR_LIT("({3}\r\na\r\n)"), STR_LIT("({3}\r\na\r\n)")},
    /* other forms */
    {STR_LIT("({3}\r\n\xc3\xbc"), STR_LIT("({3}\r\n\xc3\xbc")},
    {STR_LIT("({2}\xc3\xbc)"), STR_LIT("({2}\xc3\xbc)")},
    {STR_LIT("({}\r\n)"), STR_LIT("({}\r\n)")},
    {STR_LIT("({2}\r\n\xc3\xbc \"x)"), STR_LIT("({2}\r\n\xc3\xbc \"x)")},
    {STR_LIT("{99999999999999999999}\r\n"),
	STR_LIT("{99999999999999999999}\r\n")},
};

static void
test_values(UNUSED void **state)
{
	struct buf b;

	buf_init(&b, 1000);
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		buf_clear(&b);
		buf_add_c(&b, "x ");
		imap_requote(&b, values[i].in);
		if (!str_eq(str_skip(buf_str(&b), 2), values[i].want))
			fail_msg("%zu: %.*s", i, STR_ARG(buf_str(&b)));
	}
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
