/* SPDX-License-Identifier: ISC */
/*
 * date822.c - the Date field.
 *
 * Runs in: imapd sessions (SENTON and its like, SORT).
 * Trusts:  nothing; what is no date is none.
 * Spec:    RFC 5322 sections 3.3 and 4.3.
 *
 * The text is cut into tokens; numbers and names find their place by their
 * form, so that the orders which programs use need no grammar of their own.
 */
#include "mime/date822.h"

#include "base/num.h"
#include "text/ascii.h"

struct fields {
	int64_t year;
	unsigned month, day, hour, minute, second;
	bool has_year, has_month, has_day, has_time, has_zone;
	bool is_pm, is_am;
	int32_t zone_s;
};

static const char months[] = "janfebmaraprmayjunjulaugsepoctnovdec";

static const struct {
	const char *name;
	int hours;
} zones[] = {
    /* RFC 5322: obs-zone; military letters mean nothing and are UTC. */
    {"ut", 0},
    {"utc", 0},
    {"gmt", 0},
    {"z", 0},
    {"est", -5},
    {"edt", -4},
    {"cst", -6},
    {"cdt", -5},
    {"mst", -7},
    {"mdt", -6},
    {"pst", -8},
    {"pdt", -7},
    {"wet", 0},
    {"bst", 1},
    {"cet", 1},
    {"met", 1},
    {"mez", 1},
    {"cest", 2},
    {"mest", 2},
    {"eet", 2},
    {"eest", 3},
    {"msk", 3},
    {"jst", 9},
    {"kst", 9},
};

int64_t
date822_days(int64_t year, unsigned month, unsigned day)
{
	/* Years begin in March, so that a leap day is the last one. */
	int64_t y = month > 2 ? year : year - 1;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400;
	int64_t month_from_march = (month + 9) % 12;
	int64_t of_year = (153 * month_from_march + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 +
	    of_year - 719468;
}

static bool
month_of(struct str name, unsigned *month)
{
	char three[3];
	unsigned i;

	if (name.n < 3)
		return false;
	for (i = 0; i < 3; i++)
		three[i] = ascii_lower(name.p[i]);
	for (i = 0; i < 12; i++)
		if (months[i * 3 + 2] == three[2] &&
		    months[i * 3 + 1] == three[1] &&
		    months[i * 3] == three[0]) {
			*month = i + 1;
			return true;
		}
	return false;
}

static struct str
cut_while(struct str *s, bool (*is)(char))
{
	struct str head;
	size_t i = 0;

	while (i < s->n && is(s->p[i]))
		i++;
	head = str_head(*s, i);
	*s = str_skip(*s, i);
	return head;
}

static void
skip_comment(struct str *s)
{
	size_t depth = 0, i;

	for (i = 0; i < s->n; i++) {
		if (s->p[i] == '\\')
			i++;
		else if (s->p[i] == '(')
			depth++;
		else if (s->p[i] == ')' && --depth == 0)
			break;
	}
	*s = str_skip(*s, i + 1);
}

/* "hh:mm", "hh:mm:ss", "hh:mm:ss.fraction"; the hour is already cut. */
static void
read_time(struct fields *f, struct str hour, struct str *s)
{
	uint32_t h, m, sec = 0;
	struct str digits;

	*s = str_skip(*s, 1);
	digits = cut_while(s, ascii_is_digit);
	if (f->has_time || !num_parse_u32(hour, 0, 24, &h) ||
	    !num_parse_u32(digits, 0, 59, &m))
		return;
	if (s->n > 1 && s->p[0] == ':') {
		*s = str_skip(*s, 1);
		digits = cut_while(s, ascii_is_digit);
		/* 60 is a leap second. */
		if (!num_parse_u32(digits, 0, 60, &sec))
			return;
		if (s->n > 1 && s->p[0] == '.' && ascii_is_digit(s->p[1])) {
			*s = str_skip(*s, 1);
			(void)cut_while(s, ascii_is_digit);
		}
	}
	f->hour = h;
	f->minute = m;
	f->second = sec;
	f->has_time = true;
}

/* "+0100", "+01:00", "+1"; the sign is at s->p[0]. */
static void
read_zone(struct fields *f, struct str *s)
{
	int32_t sign = s->p[0] == '-' ? -1 : 1;
	struct str digits;
	uint32_t v, minutes;

	*s = str_skip(*s, 1);
	digits = cut_while(s, ascii_is_digit);
	if (digits.n == 0 || digits.n > 4 || f->has_zone ||
	    !num_parse_u32(digits, 0, 9999, &v))
		return;
	if (digits.n <= 2) {
		v *= 100;
		if (s->n > 2 && s->p[0] == ':' &&
		    num_parse_u32(
			str_head(str_skip(*s, 1), 2), 0, 59, &minutes)) {
			v += minutes;
			*s = str_skip(*s, 3);
		}
	}
	f->has_zone = true;
	/* Nobody lives there: the number is wrong, the time is not. */
	if (v / 100 <= 24 && v % 100 < 60)
		f->zone_s = sign * (int32_t)(v / 100 * 3600 + v % 100 * 60);
}

static void
read_name(struct fields *f, struct str name)
{
	unsigned month;
	size_t i;

	if (!f->has_month && month_of(name, &month)) {
		f->month = month;
		f->has_month = true;
		return;
	}
	if (!f->has_time)
		return;
	f->is_am |= str_eq_nocase(name, STR("am"));
	f->is_pm |= str_eq_nocase(name, STR("pm"));
	for (i = 0; i < ARRAY_LEN(zones) && !f->has_zone; i++)
		if (str_eq_nocase(name, str_of(zones[i].name))) {
			f->zone_s = zones[i].hours * 3600;
			f->has_zone = true;
		}
}

static void
set_year(struct fields *f, struct str digits, uint32_t v)
{
	if (digits.n == 2)
		v += v < 50 ? 2000 : 1900;
	else if (v < 1000) /* "102", and "0102", which was the year 2002 too */
		v += 1900;
	f->year = v;
	f->has_year = true;
}

/* "2020-01-31": true when *s, behind `year`, goes on like this. */
static bool
read_iso(struct fields *f, struct str year, struct str *s)
{
	uint32_t y, m, d;

	if (year.n != 4 || s->n < 6 || s->p[0] != '-' || s->p[3] != '-' ||
	    !num_parse_u32(year, 0, 9999, &y) ||
	    !num_parse_u32(str_make(s->p + 1, 2), 1, 12, &m) ||
	    !num_parse_u32(str_make(s->p + 4, 2), 1, 31, &d))
		return false;
	*s = str_skip(*s, 6);
	if (s->n > 0 && ascii_lower(s->p[0]) == 't')
		*s = str_skip(*s, 1);
	f->year = y;
	f->month = m;
	f->day = d;
	f->has_year = f->has_month = f->has_day = true;
	return true;
}

static void
read_number(struct fields *f, struct str digits, struct str *s)
{
	uint32_t v;

	if (s->n > 1 && s->p[0] == ':') {
		read_time(f, digits, s);
		return;
	}
	if (!f->has_day && read_iso(f, digits, s))
		return;
	if (digits.n > 4 || !num_parse_u32(digits, 0, 9999, &v))
		return;
	if (!f->has_day && digits.n <= 2 && v >= 1 && v <= 31) {
		f->day = v;
		f->has_day = true;
	} else if (!f->has_year && digits.n >= 2) {
		set_year(f, digits, v);
	}
}

static bool
read_token(struct fields *f, struct str *s)
{
	char c = s->p[0];

	if (c == '(') {
		skip_comment(s);
	} else if (ascii_is_digit(c)) {
		struct str digits = cut_while(s, ascii_is_digit);

		read_number(f, digits, s);
	} else if (ascii_is_alpha(c)) {
		read_name(f, cut_while(s, ascii_is_alpha));
	} else if ((c == '+' || c == '-') && f->has_time) {
		read_zone(f, s);
	} else {
		*s = str_skip(*s, 1);
	}
	return s->n > 0 &&
	    !(f->has_zone && f->has_year && f->has_month && f->has_day);
}

static bool
two_digits(const char *p, unsigned *out)
{
	if (!ascii_is_digit(p[0]) || !ascii_is_digit(p[1]))
		return false;
	*out = (unsigned)(p[0] - '0') * 10 + (unsigned)(p[1] - '0');
	return true;
}

/* "03 Feb 2023 04:05:06 +0100", what all programs write that are in order. */
#define USUAL_LENGTH 26

/*
 * Such a date, perhaps behind "Sat, ", perhaps with one digit for the day. What
 * lies behind it is not looked at, as below. False: something else.
 */
static bool
read_usual(struct fields *f, struct str s)
{
	unsigned century, of_century, zone_hours, zone_minutes, weekday;
	const char *p;
	struct str tail;

	while (s.n > 0 && s.p[0] == ' ')
		s = str_skip(s, 1);
	if (s.n > 5 && s.p[3] == ',' && s.p[4] == ' ' &&
	    ascii_is_alpha(s.p[0]) && ascii_is_alpha(s.p[1]) &&
	    ascii_is_alpha(s.p[2]) && !month_of(str_head(s, 3), &weekday))
		s = str_skip(s, 5);
	if (s.n > 1 && ascii_is_digit(s.p[0]) && s.p[1] == ' ') {
		f->day = (unsigned)(s.p[0] - '0');
		tail = str_skip(s, 1);
	} else if (s.n > 2 && two_digits(s.p, &f->day)) {
		tail = str_skip(s, 2);
	} else {
		return false;
	}
	if (tail.n < USUAL_LENGTH - 2 ||
	    (tail.n > USUAL_LENGTH - 2 &&
		ascii_is_digit(tail.p[USUAL_LENGTH - 2])))
		return false;
	p = tail.p;
	if (p[0] != ' ' || p[4] != ' ' || p[9] != ' ' || p[12] != ':' ||
	    p[15] != ':' || p[18] != ' ' || (p[19] != '+' && p[19] != '-') ||
	    !month_of(str_make(p + 1, 3), &f->month) ||
	    !two_digits(p + 5, &century) || !two_digits(p + 7, &of_century) ||
	    !two_digits(p + 10, &f->hour) || !two_digits(p + 13, &f->minute) ||
	    !two_digits(p + 16, &f->second) ||
	    !two_digits(p + 20, &zone_hours) ||
	    !two_digits(p + 22, &zone_minutes))
		return false;
	if (f->day < 1 || f->day > 31 || century < 10 || f->hour > 24 ||
	    f->minute > 59 || f->second > 60 || zone_hours > 24 ||
	    zone_minutes > 59)
		return false;
	f->year = century * 100 + of_century;
	f->zone_s = (int32_t)(zone_hours * 3600 + zone_minutes * 60);
	if (p[19] == '-')
		f->zone_s = -f->zone_s;
	f->has_year = f->has_month = f->has_day = true;
	return true;
}

static bool
is_day_of_month(const struct fields *f)
{
	static const uint8_t days[] = {
	    31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return f->day >= 1 && f->day <= days[f->month - 1];
}

bool
date822_parse(struct str s, struct date822 *out)
{
	struct fields f = {0};
	int64_t day;

	if (!read_usual(&f, s)) {
		f = (struct fields){0};
		while (s.n > 0 && read_token(&f, &s))
			;
	}
	if (!f.has_year || !f.has_month || !f.has_day || !is_day_of_month(&f))
		return false;
	if (f.is_pm && f.hour < 12)
		f.hour += 12;
	if (f.is_am && f.hour == 12)
		f.hour = 0;
	day = date822_days(f.year, f.month, f.day);
	out->local_day = day;
	out->zone_s = f.zone_s;
	out->unix_s = day * 86400 + (int64_t)f.hour * 3600 +
	    (int64_t)f.minute * 60 + f.second - f.zone_s;
	return true;
}
