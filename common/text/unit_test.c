/* SPDX-License-Identifier: ISC */
/* unit_test.c - what is a number with a unit, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "text/unit.h"

static void
test_units(UNUSED void **state)
{
	static const struct {
		const char *text;
		enum unit_kind kind;
		uint64_t max, n;
		const char *why; /* NULL: a number */
	} CASES[] = {
	    {"0", UNIT_NONE, UINT64_MAX, 0, NULL},
	    {"18446744073709551615", UNIT_NONE, UINT64_MAX, UINT64_MAX, NULL},
	    {"18446744073709551616", UNIT_NONE, UINT64_MAX, 0, "must be a"},
	    {"5", UNIT_NONE, 5, 5, NULL},
	    {"6", UNIT_NONE, 5, 0, "at most 5"},
	    {"5K", UNIT_NONE, 9999, 0, "unknown unit 'K'"},
	    {"64M", UNIT_BYTES, UINT64_MAX, 67108864, NULL},
	    {"64 m", UNIT_BYTES, UINT64_MAX, 67108864, NULL},
	    {"4G", UNIT_BYTES, UINT32_MAX, 0, "at most 4294967295"},
	    {"17179869184G", UNIT_BYTES, UINT64_MAX, 0, "out of range"},
	    {"1h", UNIT_BYTES, UINT64_MAX, 0, "K, M or G"},
	    {"30m", UNIT_SECONDS, UINT64_MAX, 1800, NULL},
	    {"2 min", UNIT_SECONDS, UINT64_MAX, 120, NULL},
	    {"1D", UNIT_SECONDS, UINT64_MAX, 86400, NULL},
	    {"7s", UNIT_SECONDS, UINT64_MAX, 7, NULL},
	    {"1w", UNIT_SECONDS, UINT64_MAX, 0, "s, m, h or d"},
	    {"", UNIT_SECONDS, UINT64_MAX, 0, "must be a time"},
	    {"-1", UNIT_BYTES, UINT64_MAX, 0, "must be a size"},
	};

	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		uint64_t n = 99;
		struct err e;
		int rc = unit_parse(
		    str_of(CASES[i].text), CASES[i].kind, CASES[i].max, &n, &e);

		if (rc != (CASES[i].why == NULL ? 0 : -1))
			fail_msg("'%s': %d", CASES[i].text, rc);
		if (rc == 0)
			assert_int_equal(n, CASES[i].n);
		else {
			assert_int_equal(n, 99);
			if (strstr(e.text, CASES[i].why) == NULL)
				fail_msg("'%s': %s", CASES[i].text, e.text);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_units),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
