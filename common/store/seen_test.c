/* SPDX-License-Identifier: ISC */
/* seen_test.c - the file of a viewer's own \Seen, both directions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "store/seen.h"

static const struct {
	const char *what, *in, *want; /* NULL: refused */
} cases[] = {
    {"ranges", "restante-seen 1 7\n1:5,7,9:12\n", "1:5,7,9:12"},
    {"nothing seen", "restante-seen 1 7\n\n", ""},
    {"no second line", "restante-seen 1 7\n", ""},
    {"of an earlier mailbox", "restante-seen 1 6\n1:5\n", ""},
    {"neighbours become one", "restante-seen 1 7\n1,2,3\n", "1:3"},
    {"the largest", "restante-seen 1 7\n4294967295\n", "4294967295"},
    {"cut off in a number: it is another one", "restante-seen 1 7\n1:5,7,9:1",
	NULL},
    {"backwards", "restante-seen 1 7\n5:1\n", NULL},
    {"zero", "restante-seen 1 7\n0\n", NULL},
    {"too large", "restante-seen 1 7\n4294967296\n", NULL},
    {"junk", "restante-seen 1 7\n1,x\n", NULL},
    {"another version", "restante-seen 2 7\n1\n", NULL},
    {"no UIDVALIDITY", "restante-seen 1 \n1\n", NULL},
    {"empty file", "", NULL},
};

static void
test_files(void **state)
{
	struct set32 got;
	struct buf b;
	struct str want;

	(void)state;
	set32_init(&got);
	buf_init(&b, 1000);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		bool ok = seen_parse(str_of(cases[i].in), 7, &got);

		if (ok != (cases[i].want != NULL))
			fail_msg("%s", cases[i].what);
		if (!ok) {
			assert_true(set32_is_empty(&got));
			continue;
		}
		buf_clear(&b);
		seen_write(&got, 7, &b);
		assert_true(
		    str_starts(buf_str(&b), STR("restante-seen 1 7\n")));
		want = str_skip(buf_str(&b), 18);
		want.n--;
		if (!str_eq(want, str_of(cases[i].want)))
			fail_msg("%s: %.*s", cases[i].what, STR_ARG(want));
	}
	buf_done(&b);
	set32_done(&got);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
