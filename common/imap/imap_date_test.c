/* SPDX-License-Identifier: ISC */
/* imap_date_test.c - dates in both directions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <cmocka.h>

#include "imap/imap_date.h"

static void
test_dates(UNUSED void **state)
{
	static const struct {
		const char *text;
		int32_t day;
	} good[] = {
	    {"1-Jan-1970", 0},
	    {"01-jan-1970", 0},
	    {"31-DEC-1969", -1},
	    {"29-Feb-2000", 11016},
	    {"1-Feb-1994", 8797},
	    {"01-Jan-0000", -719528},
	    {"31-Dec-9999", 2932896},
	};
	static const char *const bad[] = {"", "1", "1-", "1-Jan", "1-Jan-",
	    "1-Jan-70", "1-Jan-19700", "0-Jan-1970", "32-Jan-1970",
	    "31-Apr-1970", "29-Feb-1900", "29-Feb-1999", "001-Jan-1970",
	    "1-Foo-1970", "1 Jan 1970", " 1-Jan-1970", "1-Jan-1970 ",
	    "-1-Jan-1970", "1-Jan-+970", "1-1-1970", "+1-Jan-1970"};
	int32_t day;
	size_t i;

	for (i = 0; i < ARRAY_LEN(good); i++) {
		assert_true(imap_date_parse(str_of(good[i].text), &day));
		assert_int_equal(day, good[i].day);
	}
	for (i = 0; i < ARRAY_LEN(bad); i++)
		if (imap_date_parse(str_of(bad[i]), &day))
			fail_msg("%s", bad[i]);
}

static void
test_date_times(UNUSED void **state)
{
	static const struct {
		const char *text;
		int64_t time_s;
		int zone_min;
	} good[] = {
	    {" 7-Feb-1994 21:52:25 -0800", 760686745, -480},
	    {"17-Jul-1996 02:44:25 -0700", 837596665, -420},
	    {" 1-Jan-1970 00:00:00 +0000", 0, 0},
	    {"31-Dec-1969 23:59:59 +0000", -1, 0},
	    {" 1-Jan-1970 05:30:00 +0530", 0, 330},
	    {"29-Feb-2024 12:00:00 +1400", 1709157600, 840},
	    {" 1-Jan-0000 00:00:00 +0000", INT64_C(-719528) * 86400, 0},
	};
	static const char *const bad[] = {"", "-Feb-1994 21:52:25 -0800",
	    " 7-Feb-1994 21:52:25", " 7-Feb-1994 21:52:25 ",
	    " 7-Feb-1994 21:52:25 0800", " 7-Feb-1994 21:52:25 -800",
	    " 7-Feb-1994 21:52:25 -08000", " 7-Feb-1994 24:00:00 +0000",
	    " 7-Feb-1994 23:60:00 +0000", " 7-Feb-1994 23:00:61 +0000",
	    " 7-Feb-1994 1:00:00 +0000", "  7-Feb-1994 01:00:00 +0000",
	    "30-Feb-1994 01:00:00 +0000", " 7-Feb-1994  1:00:00 +0000",
	    " 7-Feb-1994 01:00:00 GMT", " 7-Feb-1994 01:00:00 +2400",
	    " 7-Feb-1994 01:00:00 +0060", "07-Feb-94 01:00:00 +0000",
	    "\t7-Feb-1994 01:00:00 +0000"};
	char out[IMAP_DATE_TIME_SIZE];
	int64_t t;
	int zone;
	size_t i;

	for (i = 0; i < ARRAY_LEN(good); i++) {
		assert_true(
		    imap_date_time_parse(str_of(good[i].text), &t, &zone));
		assert_true(t == good[i].time_s);
		assert_int_equal(zone, good[i].zone_min);
		imap_date_time_write(t, zone, out);
		assert_string_equal(out, good[i].text);
	}
	for (i = 0; i < ARRAY_LEN(bad); i++)
		if (imap_date_time_parse(str_of(bad[i]), &t, &zone))
			fail_msg("%s", bad[i]);
	/* A leap second is legal; it is the next one. */
	assert_true(
	    imap_date_time_parse(STR("31-Dec-2016 23:59:60 +0000"), &t, &zone));
	assert_true(t == 1483228800);
	/* As some clients write it. */
	assert_true(
	    imap_date_time_parse(STR("7-Feb-1994 21:52:25 -0800"), &t, &zone));
	assert_true(t == 760686745);
}

static void
test_against_the_c_library(UNUSED void **state)
{
	char out[IMAP_DATE_TIME_SIZE], want[64];
	int64_t t;
	time_t tt;
	struct tm tm;

	for (t = INT64_C(-62135596800); t < INT64_C(253402300800);
	     t += INT64_C(86400) * 13 + 3607) {
		tt = (time_t)t;
		assert_non_null(gmtime_r(&tt, &tm));
		(void)strftime(want, sizeof(want), "%H:%M:%S +0000", &tm);
		imap_date_time_write(t, 0, out);
		assert_string_equal(out + 12, want);
		assert_int_equal(out[1] - '0', tm.tm_mday % 10);
		assert_int_equal((out[7] - '0') * 1000 + (out[8] - '0') * 100 +
			(out[9] - '0') * 10 + (out[10] - '0'),
		    tm.tm_year + 1900);
		int64_t day = t >= 0 ? t / 86400 : -((-t + 86399) / 86400);
		assert_int_equal(imap_date_day(t, 0), day);
	}
	/* Beyond what can be written. */
	imap_date_time_write(INT64_MAX, 60, out);
	assert_string_equal(out, "31-Dec-9999 23:59:59 +0100");
	imap_date_time_write(INT64_MIN, -60, out);
	assert_string_equal(out, " 1-Jan-0000 00:00:00 -0100");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_dates),
	    cmocka_unit_test(test_date_times),
	    cmocka_unit_test(test_against_the_c_library),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
