/* SPDX-License-Identifier: ISC */
/* imap_set_test.c - sets as text, there and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "imap/imap_set.h"

static void
test_sets(UNUSED void **state)
{
	static const struct {
		const char *in;
		uint32_t star;
		const char *want; /* NULL: refused */
	} rows[] = {
	    {"1", 9, "1"},
	    {"*", 9, "9"},
	    {"1,3,5", 9, "1,3,5"},
	    {"5,3,1,2", 9, "1:3,5"},
	    {"2:4", 9, "2:4"},
	    {"4:2", 9, "2:4"},
	    {"7:*", 9, "7:9"},
	    {"*:7", 9, "7:9"},
	    {"11:*", 9, "9:11"},
	    {"*:*", 9, "9"},
	    {"1,1,1:2,2", 9, "1:2"},
	    {"4294967295", 9, "4294967295"},
	    {"1:4294967295", 9, "1:4294967295"},
	    /* Nothing to point to. */
	    {"*", 0, ""},
	    {"1:*,3", 0, "3"},
	    {"", 9, NULL},
	    {"0", 9, NULL},
	    {"01", 9, NULL},
	    {"1:0", 9, NULL},
	    {"4294967296", 9, NULL},
	    {"1,", 9, NULL},
	    {",1", 9, NULL},
	    {"1,,2", 9, NULL},
	    {"1:", 9, NULL},
	    {":1", 9, NULL},
	    {"1:2:3", 9, NULL},
	    {"1-2", 9, NULL},
	    {"1 2", 9, NULL},
	    {"**", 9, NULL},
	    {"1*", 9, NULL},
	    {"a", 9, NULL},
	    {"+1", 9, NULL},
	    {"$", 9, NULL},
	};
	struct set32 s;
	struct buf b;
	size_t i;

	set32_init(&s);
	buf_init(&b, 1000);
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		bool ok =
		    imap_set_parse(str_of(rows[i].in), rows[i].star, 10, &s);

		if (ok != (rows[i].want != NULL))
			fail_msg("%s", rows[i].in);
		if (!ok)
			continue;
		buf_clear(&b);
		imap_set_write(&b, &s);
		if (!str_eq(buf_str(&b), str_of(rows[i].want)))
			fail_msg("%s: %.*s", rows[i].in, STR_ARG(buf_str(&b)));
	}
	assert_true(imap_set_parse(STR("1,3,5"), 9, 3, &s));
	assert_false(imap_set_parse(STR("1,3,5,7"), 9, 3, &s));
	set32_done(&s);
	buf_done(&b);
}

static void
test_worst_order(UNUSED void **state)
{
	struct set32 s;
	struct buf b;
	uint32_t v;

	set32_init(&s);
	buf_init(&b, 1000000);
	for (v = 20000; v > 0; v -= 2)
		buf_addf(&b, "%s%u", v == 20000 ? "" : ",", v);
	assert_true(imap_set_parse(buf_str(&b), 9, 10000, &s));
	assert_int_equal(set32_count(&s), 10000);
	assert_int_equal(set32_at(&s, 10000), 20000);
	set32_done(&s);
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sets),
	    cmocka_unit_test(test_worst_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
