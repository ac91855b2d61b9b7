/* SPDX-License-Identifier: ISC */
/* date822.h - the Date field (RFC 5322 sections 3.3 and 4.3, lenient). */
#ifndef MIME_DATE822_H
#define MIME_DATE822_H

#include "base/str.h"

struct date822 {
	int64_t unix_s; /* seconds since 1970-01-01 UTC; may be negative */
	int64_t local_day; /* days since 1970-01-01 where it was written */
	int32_t zone_s; /* east of UTC is positive; unknown zones are 0 */
};

/*
 * Parses an unfolded or folded date. Tolerated: comments, missing or wrong day
 * of the week, missing seconds or time or zone (UTC), years of two or three
 * digits (RFC 5322 4.3), named zones, "1-Jan-2020", "Jan 1 2020", the order of
 * asctime, ISO 8601, any case, garbage behind the date. False: no date.
 */
bool date822_parse(struct str s, struct date822 *out);

/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar. */
int64_t date822_days(int64_t year, unsigned month, unsigned day);

#endif
