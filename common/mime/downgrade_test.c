/* SPDX-License-Identifier: ISC */
/* downgrade_test.c - headers in UTF-8 as ASCII (RFC 6858). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mime/downgrade.h"

static void
test_fields(UNUSED void **state)
{
	static const struct {
		const char *in, *out; /* NULL: as it is */
	} cases[] = {
	    {"Subject: plain\n", NULL},
	    {"Subject: \xe4\n", NULL}, /* Latin-1, perhaps */
	    {"Subject: \xc3\xa4\n", "Subject: =?utf-8?B?w6Q=?=\n"},
	    {"Subject: =?utf-8?q?=C3=A4?= \xc3\xa4\r\n\r\n",
		"Subject: =?utf-8?B?w6Qgw6Q=?=\n\n"},
	    {"X-Note: \xc3\xa4\nTo: a@b\n", "To: a@b\n"},
	    {"From: J\xc3\xb6 <j@x.de>\n",
		"From: =?utf-8?B?SsO2?=\n <j@x.de>\n"},
	    {"To: Ann <a@x>, \"B, C\" <b@y>, \xc3\xa4 <c@z>\n",
		"To: Ann\n <a@x>,\n \"B, C\"\n <b@y>,\n =?utf-8?B?w6Q=?=\n"
		" <c@z>\n"},
	    /* RFC 6858 section 2.1 */
	    {"From: Fred <fred@\xc3\xa4.de>\n",
		"From: =?utf-8?B?RnJlZCBmcmVkQMOkLmRl?=\n"
		" <invalid@internationalized-address.invalid>\n"},
	    {"Content-Type: text/plain; name=\"\xc3\xa4 b.txt\"; x=y\n",
		"Content-Type: text/plain;\n name*=utf-8''%C3%A4%20b.txt;\n"
		" x=y\n"},
	    {"Content-Disposition: attachment; filename=FOO\n", NULL},
	    {"Content-Disposition: \xc3\xa4; filename=FOO\n", ""},
	    {"To: \xc3\xa4: a@b, c@d;\n",
		"To: =?utf-8?B?w6Q=?=:\n <a@b>,\n <c@d>;\n"},
	};
	struct arena a;
	struct buf b;

	arena_init(&a);
	buf_init(&b, 10000);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *want =
		    cases[i].out == NULL ? cases[i].in : cases[i].out;

		assert_int_equal(downgrade_is_needed(str_of(cases[i].in)),
		    cases[i].out != NULL);
		buf_clear(&b);
		downgrade_header(&a, str_of(cases[i].in), &b);
		buf_add_byte(&b, '\0');
		assert_string_equal(b.p, want);
	}
	buf_done(&b);
	arena_done(&a);
}

/* No line is longer than RFC 2047 lets it be. */
static void
test_long(UNUSED void **state)
{
	struct arena a;
	struct buf in, out;
	struct str rest, line;

	arena_init(&a);
	buf_init(&in, 100000);
	buf_init(&out, 1000000);
	buf_add_c(&in, "Subject: ");
	for (int i = 0; i < 5000; i++)
		buf_add_c(&in, "\xe6\x97\xa5 ");
	buf_add_c(&in, "\n");
	downgrade_header(&a, buf_str(&in), &out);
	rest = buf_str(&out);
	while (str_cut(&rest, '\n', &line))
		assert_true(line.n <= 90);
	assert_false(downgrade_is_needed(buf_str(&out)));
	buf_done(&in);
	buf_done(&out);
	arena_done(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_fields),
	    cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
