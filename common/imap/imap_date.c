/* SPDX-License-Identifier: ISC */
/*
 * imap_date.c - date and date-time, both directions.
 *
 * Owns:    nothing.
 * Runs in: imapd.
 * Trusts:  nothing; the text is the client's.
 * Spec:    RFC 3501 section 9: date-text, date-time, zone. Dates are those of
 *          the Gregorian calendar in every year from 0 to 9999.
 */
#include "imap/imap_date.h"

#include <time.h>

#include "base/num.h"

enum { DAY_S = 86400, DAYS_0000 = -719528, DAYS_9999 = 2932896 };

static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static bool
is_leap(uint32_t y)
{
	return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static uint32_t
days_in_month(uint32_t y, uint32_t m)
{
	static const uint8_t days[12] = {
	    31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[m - 1] + (m == 2 && is_leap(y) ? 1u : 0u);
}

/* Days from 1970-01-01 to the first day of year `y`. */
static int32_t
days_to_year(uint32_t y)
{
	int32_t leap;

	if (y == 0)
		return DAYS_0000;
	leap = (int32_t)((y - 1) / 4 - (y - 1) / 100 + (y - 1) / 400 + 1);
	return DAYS_0000 + (int32_t)y * 365 + leap;
}

static int32_t
days_of(uint32_t y, uint32_t m, uint32_t d)
{
	int32_t days = days_to_year(y) + (int32_t)d - 1;

	while (--m > 0)
		days += (int32_t)days_in_month(y, m);
	return days;
}

static void
date_of(int32_t days, uint32_t *y, uint32_t *m, uint32_t *d)
{
	*y = (uint32_t)((int64_t)(days - DAYS_0000) * 400 / 146097);
	while (*y < 9999 && days_to_year(*y + 1) <= days)
		(*y)++;
	while (*y > 0 && days_to_year(*y) > days)
		(*y)--;
	days -= days_to_year(*y);
	for (*m = 1; days >= (int32_t)days_in_month(*y, *m); (*m)++)
		days -= (int32_t)days_in_month(*y, *m);
	*d = (uint32_t)days + 1;
}

/* Takes exactly `n` digits with a value in [min, max]. */
static bool
digits_cut(struct str *s, size_t n, uint32_t min, uint32_t max, uint32_t *out)
{
	if (s->n < n || !num_parse_u32(str_head(*s, n), min, max, out))
		return false;
	*s = str_skip(*s, n);
	return true;
}

static bool
byte_cut(struct str *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return false;
	*s = str_skip(*s, 1);
	return true;
}

static bool
month_cut(struct str *s, uint32_t *m)
{
	for (*m = 1; *m <= 12; (*m)++) {
		if (!str_eq_nocase(str_head(*s, 3), str_of(months[*m - 1])))
			continue;
		*s = str_skip(*s, 3);
		return true;
	}
	return false;
}

/* "-Feb-1994" behind the day. */
static bool
month_year_cut(struct str *s, uint32_t day, int32_t *days)
{
	uint32_t m, y;

	if (!byte_cut(s, '-') || !month_cut(s, &m) || !byte_cut(s, '-') ||
	    !digits_cut(s, 4, 0, 9999, &y) || day > days_in_month(y, m))
		return false;
	*days = days_of(y, m, day);
	return true;
}

bool
imap_date_parse(struct str s, int32_t *day)
{
	uint32_t d;
	int32_t days;
	size_t n = s.n > 1 && s.p[1] != '-' ? 2 : 1;

	if (!digits_cut(&s, n, 1, 31, &d) || !month_year_cut(&s, d, &days) ||
	    s.n > 0)
		return false;
	*day = days;
	return true;
}

/* RFC 3501: zone = ("+" / "-") 4DIGIT, hours and minutes. */
static bool
zone_parse(struct str s, int *zone_min)
{
	bool west = s.n > 0 && s.p[0] == '-';
	uint32_t hours, minutes;

	if (!byte_cut(&s, west ? '-' : '+') ||
	    !digits_cut(&s, 2, 0, 23, &hours) ||
	    !digits_cut(&s, 2, 0, 59, &minutes) || s.n > 0)
		return false;
	*zone_min = (int)(hours * 60 + minutes) * (west ? -1 : 1);
	return true;
}

bool
imap_date_time_parse(struct str s, int64_t *time_s, int *zone_min)
{
	uint32_t d, hour, minute, second;
	int32_t days;
	int zone;
	/* date-day-fixed = (SP DIGIT) / 2DIGIT; some clients leave out the SP. */
	size_t n = byte_cut(&s, ' ') || (s.n > 1 && s.p[1] == '-') ? 1 : 2;

	if (!digits_cut(&s, n, 1, 31, &d) || !month_year_cut(&s, d, &days) ||
	    !byte_cut(&s, ' ') || !digits_cut(&s, 2, 0, 23, &hour) ||
	    !byte_cut(&s, ':') || !digits_cut(&s, 2, 0, 59, &minute) ||
	    !byte_cut(&s, ':') || !digits_cut(&s, 2, 0, 60, &second) ||
	    !byte_cut(&s, ' ') || !zone_parse(s, &zone))
		return false;
	*time_s = (int64_t)days * DAY_S + hour * 3600 + minute * 60 + second -
	    zone * 60;
	*zone_min = zone;
	return true;
}

/* Whole days and the seconds of the day in a zone, within 0000..9999. */
static int32_t
split(int64_t time_s, int zone_min, uint32_t *second)
{
	const int64_t first = (int64_t)DAYS_0000 * DAY_S;
	const int64_t last = (int64_t)(DAYS_9999 + 1) * DAY_S - 1;
	int64_t local;

	if (!num_add(time_s, (int64_t)zone_min * 60, &local))
		local = time_s;
	if (local < first)
		local = first;
	if (local > last)
		local = last;
	local -= first;
	*second = (uint32_t)(local % DAY_S);
	return (int32_t)(local / DAY_S) + DAYS_0000;
}

int32_t
imap_date_day(int64_t time_s, int zone_min)
{
	uint32_t second;

	return split(time_s, zone_min, &second);
}

/* Two digits; the first may be a blank instead of 0. */
static char *
put_two(char *p, uint32_t v, char zero)
{
	p[0] = v < 10 ? zero : (char)('0' + v / 10);
	p[1] = (char)('0' + v % 10);
	return p + 2;
}

static char *
put_byte(char *p, char c)
{
	*p = c;
	return p + 1;
}

void
imap_date_time_write(
    int64_t time_s, int zone_min, char out[IMAP_DATE_TIME_SIZE])
{
	uint32_t y, m, d, second, zone;
	char *p = out;

	date_of(split(time_s, zone_min, &second), &y, &m, &d);
	zone = (uint32_t)(zone_min < 0 ? -zone_min : zone_min);
	p = put_byte(put_two(p, d, ' '), '-');
	memcpy(p, months[m - 1], 3);
	p = put_two(put_byte(p + 3, '-'), y / 100, '0');
	p = put_byte(put_two(p, y % 100, '0'), ' ');
	p = put_byte(put_two(p, second / 3600, '0'), ':');
	p = put_byte(put_two(p, second / 60 % 60, '0'), ':');
	p = put_byte(put_two(p, second % 60, '0'), ' ');
	p = put_byte(p, zone_min < 0 ? '-' : '+');
	p = put_two(p, zone / 60 % 24, '0');
	*put_two(p, zone % 60, '0') = '\0';
}

void
imap_date_time_write_local(int64_t time_s, char out[IMAP_DATE_TIME_SIZE])
{
	time_t t = (time_t)time_s;
	struct tm tm;
	int zone = 0;

	if (localtime_r(&t, &tm) != NULL)
		zone = (int)(tm.tm_gmtoff / 60);
	imap_date_time_write(time_s, zone, out);
}
