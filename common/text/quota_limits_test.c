/* SPDX-License-Identifier: ISC */
/* quota_limits_test.c - what other programs write, and what people mistype. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "text/quota_limits.h"

static const struct {
	const char *text;
	bool parses, is_setting;
	uint64_t bytes, count;
} cases[] = {
    {"", true, true, 0, 0},
    {"1000S", true, true, 1000, 0},
    {" 20000C , 1000S ", true, true, 1000, 20000},
    {"0S,0C", true, true, 0, 0},
    {"1000S,,5C", true, true, 1000, 5},
    {"10M", true, false, 0, 0},
    {"1000S,7X", true, false, 1000, 0},
    {"1000", true, false, 0, 0},
    {"S", false, false, 0, 0},
    {"-5S", false, false, 0, 0},
    {"10 S", false, false, 0, 0},
    {"99999999999999999999S", false, false, 0, 0},
    {"lots", false, false, 0, 0},
};

static void
test_limits(void **state)
{
	struct quota_limits l;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str text = str_of(cases[i].text);
		bool ok = quota_limits_parse(text, &l, &e) == 0;

		if (ok != cases[i].parses)
			fail_msg("%s", cases[i].text);
		if ((quota_limits_check(text, &e) == 0) != cases[i].is_setting)
			fail_msg("setting %s", cases[i].text);
		if (ok &&
		    (l.bytes != cases[i].bytes || l.count != cases[i].count))
			fail_msg("%s: %llu %llu", cases[i].text,
			    (unsigned long long)l.bytes,
			    (unsigned long long)l.count);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
