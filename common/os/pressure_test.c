/* SPDX-License-Identifier: ISC */
/* pressure_test.c - the machine's pressure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "os/pressure.h"

static void
test_meminfo(UNUSED void **state)
{
	uint64_t n = 0;

	assert_true(pressure_parse_meminfo(
	    STR("MemTotal:  100 kB\nMemAvailable:   7 kB\nX: 1 kB\n"), &n));
	assert_true(n == 7 * 1024);
	assert_false(pressure_parse_meminfo(STR("MemTotal: 1 kB\n"), &n));
	assert_false(pressure_parse_meminfo(STR("MemAvailable: x kB\n"), &n));
	assert_false(pressure_parse_meminfo(STR(""), &n));
}

static void
test_thresholds(UNUSED void **state)
{
	assert_false(pressure_is_high(0, 0));
	assert_false(pressure_is_high(UINT32_MAX, 1));
	/* Nobody has so much. */
	assert_true(pressure_is_high(0, UINT64_MAX));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_meminfo),
	    cmocka_unit_test(test_thresholds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
