/* SPDX-License-Identifier: ISC */
/*
 * mbox_from.c - recognises and writes From_ lines.
 *
 * Owns:    nothing.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing.
 * Spec:    formats.md 6.2, 6.3.
 */
#include <stdio.h>
#include <time.h>

#include "base/num.h"
#include "mime/date822.h"
#include "store/mbox/mbox_from.h"
#include "text/ascii.h"

#define DATE_MIN 21 /* "Mon Mar  2 10:01 2026" */
#define SENDER_TOKENS_MAX 16
#define ZONE_WORDS_MAX 2

struct date {
	unsigned day, month, hour, minute, second;
	unsigned year;
	bool has_zone;
	int zone_s;
};

static const struct {
	const char *name;
	int hours;
} zones[] = {
    {"UT", 0},
    {"UTC", 0},
    {"GMT", 0},
    {"EST", -5},
    {"EDT", -4},
    {"CST", -6},
    {"CDT", -5},
    {"MST", -7},
    {"MDT", -6},
    {"PST", -8},
    {"PDT", -7},
};

static bool
cut_spaces(struct str *s)
{
	size_t n = 0;

	while (n < s->n && s->p[n] == ' ')
		n++;
	*s = str_skip(*s, n);
	return n > 0;
}

/* From `min` to `max` digits, and no digit behind them. */
static bool
cut_digits(struct str *s, size_t min, size_t max, unsigned *out)
{
	size_t n = 0;
	uint32_t v;

	while (n < s->n && n <= max && ascii_is_digit(s->p[n]))
		n++;
	if (n < min || n > max ||
	    !num_parse_u32(str_head(*s, n), 0, UINT32_MAX, &v))
		return false;
	*out = v;
	*s = str_skip(*s, n);
	return true;
}

static bool
cut_byte(struct str *s, char c)
{
	if (s->n == 0 || *s->p != c)
		return false;
	*s = str_skip(*s, 1);
	return true;
}

static bool
cut_month(struct str *s, unsigned *out)
{
	static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";

	for (unsigned i = 0; i < 12 && s->n >= 3; i++) {
		if (!str_eq_nocase(
			str_head(*s, 3), str_make(names + (size_t)i * 3, 3)))
			continue;
		*s = str_skip(*s, 3);
		*out = i + 1;
		return true;
	}
	return false;
}

static bool
cut_time(struct str *s, struct date *d)
{
	if (!cut_digits(s, 2, 2, &d->hour) || !cut_byte(s, ':') ||
	    !cut_digits(s, 2, 2, &d->minute))
		return false;
	d->second = 0;
	return !cut_byte(s, ':') || cut_digits(s, 2, 2, &d->second);
}

/* "+0200"; what stands behind it must be no digit. */
static bool
cut_offset(struct str *s, struct date *d)
{
	struct str t = *s;
	bool minus = t.n > 0 && *t.p == '-';
	unsigned v;

	if (!cut_byte(&t, minus ? '-' : '+') || !cut_digits(&t, 4, 4, &v))
		return false;
	d->has_zone = true;
	d->zone_s = (int)(v / 100 * 3600 + v % 100 * 60) * (minus ? -1 : 1);
	*s = t;
	return true;
}

static bool
is_end(struct str s)
{
	return s.n == 0 || ascii_is_space(*s.p);
}

/* A zone before the year: digits, or a name that we may know. */
static bool
cut_zone(struct str *s, struct date *d)
{
	size_t n = 0;

	if (cut_offset(s, d))
		return true;
	while (n < s->n && (ascii_is_alpha(s->p[n]) || s->p[n] == '-'))
		n++;
	if (n == 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
		if (!str_eq_nocase(str_head(*s, n), str_of(zones[i].name)))
			continue;
		d->has_zone = true;
		d->zone_s = zones[i].hours * 3600;
	}
	*s = str_skip(*s, n);
	return true;
}

/* "Mar  2 10:01:00 [zone] 2026 [+0200]", behind the day of the week. */
static bool
parse_ctime(struct str s, struct date *d)
{
	struct str rest;

	if (!cut_month(&s, &d->month) || !cut_spaces(&s) ||
	    !cut_digits(&s, 1, 2, &d->day) || !cut_spaces(&s) ||
	    !cut_time(&s, d) || !cut_spaces(&s))
		return false;
	for (int i = 0; i < ZONE_WORDS_MAX; i++) {
		if (s.n > 0 && ascii_is_digit(*s.p))
			break;
		if (!cut_zone(&s, d) || !cut_spaces(&s))
			return false;
	}
	if (!cut_digits(&s, 4, 4, &d->year) || !is_end(s))
		return false;
	rest = s;
	if (cut_spaces(&rest))
		(void)cut_offset(&rest, d);
	return true;
}

/* "2 Mar 2026 10:01:00 [+0200]", behind the day of the week and its comma. */
static bool
parse_822(struct str s, struct date *d)
{
	if (!cut_digits(&s, 1, 2, &d->day) || !cut_spaces(&s) ||
	    !cut_month(&s, &d->month) || !cut_spaces(&s) ||
	    !cut_digits(&s, 4, 4, &d->year) || !cut_spaces(&s) ||
	    !cut_time(&s, d) || !is_end(s))
		return false;
	if (cut_spaces(&s) && !cut_offset(&s, d))
		(void)cut_zone(&s, d);
	return true;
}

static bool
parse_date(struct str s, struct date *d)
{
	*d = (struct date){0};
	if (s.n < DATE_MIN || !ascii_is_alpha(s.p[0]) ||
	    !ascii_is_alpha(s.p[1]) || !ascii_is_alpha(s.p[2]))
		return false;
	s = str_skip(s, 3);
	if (cut_byte(&s, ','))
		return cut_spaces(&s) && parse_822(s, d);
	return cut_spaces(&s) && parse_ctime(s, d);
}

/*
 * The moment at which a clock on the wall here shows these seconds since 1970.
 * mktime() would look for another time zone on the disk, for each message. An
 * hour that is left out in spring has no such moment: one close to it.
 */
static int64_t
from_local(int64_t wall_s)
{
	time_t t = (time_t)wall_s;
	int64_t off = 1;
	struct tm tm;

	for (int i = 0; i < 3 && off != 0; i++) {
		if (localtime_r(&t, &tm) == NULL)
			return wall_s;
		off = wall_s - (t + tm.tm_gmtoff);
		t += off;
	}
	return t;
}

static int64_t
to_unix(const struct date *d)
{
	int64_t s;

	if (d->day < 1 || d->day > 31 || d->hour > 23 || d->minute > 59 ||
	    d->second > 60 || d->year < 1970)
		return 0;
	s = date822_days(d->year, d->month, d->day) * 86400 + d->hour * 3600 +
	    d->minute * 60 + d->second;
	s = d->has_zone ? s - d->zone_s : from_local(s);
	return s < 0 ? 0 : s;
}

/* Length of the sender: "quoted"@host, or bytes up to a space. */
static size_t
sender_len(struct str s)
{
	size_t i = 0;

	if (s.n > 0 && s.p[0] == '"') {
		for (i = 1; i < s.n && s.p[i] != '"'; i++)
			if (s.p[i] == '\\')
				i++;
		if (i >= s.n)
			return s.n;
	}
	while (i < s.n && s.p[i] != ' ')
		i++;
	return i;
}

bool
mbox_from_parse(struct str line, bool lenient, struct mbox_from *out)
{
	struct str s, rest;
	struct date d;
	size_t n;

	if (!str_starts(line, STR("From ")) || line.n > MBOX_FROM_MAX)
		return false;
	s = str_skip(line, 5);
	while (s.n > 0 && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r'))
		s.n--;
	n = sender_len(s);
	for (int i = 0; i < SENDER_TOKENS_MAX && n < s.n; i++) {
		rest = str_skip(s, n);
		(void)cut_spaces(&rest);
		if (parse_date(rest, &d)) {
			if (out != NULL) {
				out->sender = str_head(s, n);
				out->date_s = to_unix(&d);
			}
			return true;
		}
		if (!lenient || rest.n == 0)
			return false;
		n = s.n - rest.n;
		n += str_find(rest, ' ');
	}
	return false;
}

void
mbox_from_write(struct buf *out, struct str sender, int64_t date_s)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t t = (time_t)date_s;
	struct tm tm;

	if (t < 0 || localtime_r(&t, &tm) == NULL || tm.tm_year + 1900 > 9999)
		tm = (struct tm){.tm_year = 70, .tm_mday = 1, .tm_wday = 4};
	(void)buf_addf(out, "From %.*s  %.3s %.3s %02d %02d:%02d:%02d %04d\n",
	    STR_ARG(sender), days + (size_t)tm.tm_wday * 3,
	    months + (size_t)tm.tm_mon * 3, tm.tm_mday, tm.tm_hour, tm.tm_min,
	    tm.tm_sec, tm.tm_year + 1900);
}

/* " 2-Nov-2025 20:14:04 +0000,1234;000000000000-00000001" */
static bool
is_mtx(struct str line)
{
	struct str date, size;
	size_t colons = 0, dashes = 0;

	if (!str_cut(&line, ',', &date) || !str_cut(&line, ';', &size) ||
	    date.n < 20 || date.n > 26 || size.n == 0)
		return false;
	for (size_t i = 0; i < date.n; i++) {
		colons += date.p[i] == ':';
		dashes += i < 8 && date.p[i] == '-';
	}
	for (size_t i = 0; i < size.n; i++)
		if (!ascii_is_digit(size.p[i]))
			return false;
	return colons == 2 && dashes == 2;
}

const char *
mbox_other_format(struct str line)
{
	static const struct {
		const char *begin, *name;
	} formats[] = {
	    {"*mbx*", "UW-IMAP's mbx format"},
	    {"\001\001\001\001", "the MMDF format"},
	    {"BABYL OPTIONS:", "the Babyl format"},
	};

	for (size_t i = 0; i < ARRAY_LEN(formats); i++)
		if (str_starts(line, str_of(formats[i].begin)))
			return formats[i].name;
	return is_mtx(line) ? "UW-IMAP's mtx or tenex format" : NULL;
}
