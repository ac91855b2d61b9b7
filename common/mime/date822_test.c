/* SPDX-License-Identifier: ISC */
/* date822_test.c - dates as programs write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

#include "mime/date822.h"

#define T 1577934245 /* 2020-01-02 03:04:05 UTC */

static const struct {
	const char *what, *in;
	int64_t unix_s;
	int zone_s;
} good[] = {
    {"RFC 5322", "Thu, 2 Jan 2020 03:04:05 +0000", T, 0},
    {"east", "Thu, 02 Jan 2020 04:34:05 +0130", T, 5400},
    {"west", "Wed, 1 Jan 2020 19:04:05 -0800", T, -28800},
    {"comment", "Thu, 2 Jan 2020 03:04:05 +0000 (UTC (so))", T, 0},
    {"comments inside", "Thu(x), 2 (y) Jan 2020 03:04:05 (z) +0000", T, 0},
    {"no day of the week", "2 Jan 2020 03:04:05 GMT", T, 0},
    {"wrong day of the week", "Sun, 2 Jan 2020 03:04:05 GMT", T, 0},
    {"named zone", "Wed, 1 Jan 2020 22:04:05 EST", T, -18000},
    {"unknown zone", "Thu, 2 Jan 2020 03:04:05 XYZ", T, 0},
    {"no zone", "Thu, 2 Jan 2020 03:04:05", T, 0},
    {"no seconds", "Thu, 2 Jan 2020 03:04 +0000", T - 5, 0},
    {"no time", "Thu, 2 Jan 2020", T - 11045, 0},
    {"two digits of a year", "2 Jan 20 03:04:05 +0000", T, 0},
    {"three digits of a year", "2 Jan 120 03:04:05 +0000", T, 0},
    {"four of a clock that had three", "2 Jan 0120 03:04:05 +0000", T, 0},
    {"last century", "1 Jan 70 00:00:00 +0000", 0, 0},
    {"before 1970", "31 Dec 1969 23:59:59 +0000", -1, 0},
    {"asctime", "Thu Jan  2 03:04:05 2020", T, 0},
    {"date(1)", "Thu Jan  2 03:04:05 UTC 2020", T, 0},
    {"hyphens", "2-Jan-2020 03:04:05 +0000", T, 0},
    {"month first", "Jan 2, 2020 03:04:05 GMT", T, 0},
    {"long names", "Thursday, 2 January 2020 03:04:05 GMT", T, 0},
    {"ISO 8601", "2020-01-02T03:04:05Z", T, 0},
    {"ISO 8601 with colon", "2020-01-02 04:04:05+01:00", T, 3600},
    {"fraction", "2020-01-02T03:04:05.678+0000", T, 0},
    {"AM and PM", "2 Jan 2020 03:04:05 AM", T, 0},
    {"PM", "1 Jan 2020 03:04:05 PM", T - 43200, 0},
    {"leap second", "31 Dec 2016 23:59:60 +0000", 1483228800, 0},
    {"leap day", "29 Feb 2020 00:00:00 +0000", 1582934400, 0},
    {"folded", "Thu,\r\n\t2 Jan 2020\r\n 03:04:05 +0000", T, 0},
    {"impossible zone", "2 Jan 2020 03:04:05 +9999", T, 0},
    {"upper case", "THU, 2 JAN 2020 03:04:05 GMT", T, 0},
    {"end of the year 9999", "31 Dec 9999 23:59:59 +0000", 253402300799, 0},
};

static const char *const bad[] = {"", "nonsense", "32 Jan 2020 00:00:00 +0000",
    "2 Foo 2020 00:00:00 +0000", "31 Feb 2020 00:00:00 +0000", "Jan 2020",
    "2 Jan", "12:00:00", "(2 Jan 2020)", "30 Feb 2020", "0 Jan 2020"};

static void
test_dates(UNUSED void **state)
{
	struct date822 d;
	size_t i;

	for (i = 0; i < ARRAY_LEN(good); i++) {
		if (!date822_parse(str_of(good[i].in), &d))
			fail_msg("%s: no date", good[i].what);
		if (d.unix_s != good[i].unix_s || d.zone_s != good[i].zone_s)
			fail_msg("%s: %lld %d", good[i].what,
			    (long long)d.unix_s, d.zone_s);
		/* The day where it was written. */
		if (d.local_day * 86400 > d.unix_s + d.zone_s ||
		    (d.local_day + 1) * 86400 < d.unix_s + d.zone_s)
			fail_msg("%s: day %lld", good[i].what,
			    (long long)d.local_day);
	}
	for (i = 0; i < ARRAY_LEN(bad); i++)
		if (date822_parse(str_of(bad[i]), &d))
			fail_msg("%s is a date", bad[i]);
}

/*
 * The usual form is read by itself: with a comment before it, which is not the
 * usual form, each date must mean the same, also where a byte is wrong.
 */
static void
test_usual_form(UNUSED void **state)
{
	static const char *const dates[] = {"Sat, 03 Feb 2023 04:05:06 +0100",
	    "3 Mar 0999 24:00:60 -2459", "Mar, 31 Dec 1999 23:59:59 -0000 (x)"};
	static const char bytes[] = "0139 :+-,MaJn\t(.\n";
	char text[64] = "()";
	size_t n, i, j;

	for (i = 0; i < ARRAY_LEN(dates); i++) {
		n = strlen(dates[i]);
		for (j = 0; j < n * sizeof(bytes); j++) {
			struct date822 usual = {0}, slow = {0};
			struct str s = str_make(text, n + 2);
			bool is_date;

			memcpy(text + 2, dates[i], n);
			text[2 + j / sizeof(bytes)] = bytes[j % sizeof(bytes)];
			for (; s.n > 2; s.n--) {
				is_date = date822_parse(str_skip(s, 2), &usual);
				assert_int_equal(
				    date822_parse(s, &slow), is_date);
				assert_int_equal(usual.unix_s, slow.unix_s);
				assert_int_equal(
				    usual.local_day, slow.local_day);
				assert_int_equal(usual.zone_s, slow.zone_s);
			}
		}
	}
}

static void
test_every_day_of_400_years(UNUSED void **state)
{
	int64_t day;
	struct tm tm;
	time_t t;

	for (day = -100000; day < 100000; day++) {
		t = (time_t)day * 86400;
		assert_non_null(gmtime_r(&t, &tm));
		assert_int_equal(day,
		    date822_days(tm.tm_year + 1900, (unsigned)tm.tm_mon + 1,
			(unsigned)tm.tm_mday));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_dates),
	    cmocka_unit_test(test_usual_form),
	    cmocka_unit_test(test_every_day_of_400_years),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
