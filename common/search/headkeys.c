/* SPDX-License-Identifier: ISC */
/*
 * headkeys.c - the fields of a header that are searched most.
 *
 * Owns:    the form of the fact INDEX_HEADKEYS, the list of fields in it.
 * Runs in: imapd, restantectl, as the mail user.
 * Trusts:  a record to be whole, for the index has a sum of it; not its form.
 *
 *	u8  FORM
 *	u8  1: there is a Date that can be read
 *	i32 its day, from 1970-01-01
 *	for each field: u8 its number, u16 n, n bytes of its key
 *
 * A key that is too long is left out: its number has CUT, and n is 0. Numbers
 * have the machine's order, as in all values of the index.
 */
#include "search/headkeys.h"

#include "mime/date822.h"
#include "mime/header.h"
#include "text/fold.h"

#define FORM '\1'
#define KEY_MAX 2048u
#define CUT 0x80u
#define FRONT 6u
#define FIELD_HEAD 3u

/* A new one changes FORM, and place_of(). */
static const struct str kept[] = {
    STR_LIT("From"),
    STR_LIT("To"),
    STR_LIT("Cc"),
    STR_LIT("Bcc"),
    STR_LIT("Subject"),
    STR_LIT("Message-ID"),
    STR_LIT("In-Reply-To"),
    STR_LIT("Reply-To"),
    STR_LIT("Sender"),
    STR_LIT("List-Id"),
};

/* By length, of which one that has several is told apart by a letter. */
static unsigned
place_of(struct str name)
{
	switch (name.n) {
	case 2:
		return (name.p[0] | 0x20) == 't' ? 1 : 2;
	case 3:
		return 3;
	case 4:
		return 0;
	case 6:
		return 8;
	case 7:
		return (name.p[0] | 0x20) == 's' ? 4 : 9;
	case 8:
		return 7;
	case 10:
		return 5;
	case 11:
		return 6;
	default:
		return ARRAY_LEN(kept);
	}
}

unsigned
headkeys_number(struct str name)
{
	unsigned i = place_of(name);

	return i < ARRAY_LEN(kept) &&
		((name.p[0] ^ kept[i].p[0]) & ~0x20) == 0 &&
		str_eq_nocase(name, kept[i])
	    ? i + 1
	    : 0;
}

static bool
day_of(struct str value, int64_t *day)
{
	struct date822 date;

	if (!date822_parse(value, &date))
		return false;
	*day = date.local_day;
	return true;
}

bool
headkeys_find_day(struct str block, int64_t *day)
{
	struct header_field field;

	return header_find(block, STR("Date"), &field) &&
	    day_of(field.value, day);
}

static void
write_field(struct buf *out, struct arena *a, unsigned number, struct str value)
{
	struct arena_mark mark = arena_mark(a);
	size_t at = out->n, n;
	char head[FIELD_HEAD] = {0};
	struct str text;

	if (!buf_add(out, head, sizeof(head)))
		return;
	if (!header_is_plain(value, &text))
		text = header_decode(a, value);
	(void)fold_unicode(out, text);
	arena_rewind(a, mark);
	n = out->n - at - sizeof(head);
	if (n > KEY_MAX) {
		number |= CUT;
		out->n -= n;
		n = 0;
	}
	out->p[at] = (char)number;
	memcpy(out->p + at + 1, &(uint16_t){(uint16_t)n}, sizeof(uint16_t));
}

void
headkeys_write(struct buf *out, struct arena *a, struct str block)
{
	struct header_iter it;
	struct header_field f;
	const char front[FRONT] = {FORM};
	size_t at = out->n;
	bool saw_date = false;
	int64_t day;
	int32_t day32;

	(void)buf_add(out, front, sizeof(front));
	header_iter_init(&it, block);
	while (!buf_is_over(out) && header_iter_next(&it, &f)) {
		unsigned number = headkeys_number(f.name);

		if (number != 0)
			write_field(out, a, number, f.value);
		if (saw_date || f.name.n != 4 || (f.name.p[0] | 0x20) != 'd' ||
		    !str_eq_nocase(f.name, STR("Date")))
			continue;
		saw_date = true;
		if (!day_of(f.value, &day) || buf_is_over(out))
			continue;
		day32 = (int32_t)day;
		out->p[at + 1] = 1;
		memcpy(out->p + at + 2, &day32, sizeof(day32));
	}
}

static bool
is_ours(struct str record)
{
	return record.n >= FRONT && record.p[0] == FORM;
}

bool
headkeys_sent_day(struct str record, bool *has, int64_t *day)
{
	int32_t day32;

	if (!is_ours(record))
		return false;
	memcpy(&day32, record.p + 2, sizeof(day32));
	*has = record.p[1] != 0;
	*day = day32;
	return true;
}

enum query_truth
headkeys_ask(struct str record, unsigned number, struct str key)
{
	enum query_truth truth = QUERY_NO;

	if (number == 0 || !is_ours(record))
		return QUERY_UNKNOWN;
	record = str_skip(record, FRONT);
	while (record.n >= FIELD_HEAD) {
		unsigned has = (uint8_t)record.p[0];
		struct str value;
		uint16_t n;

		memcpy(&n, record.p + 1, sizeof(n));
		if (n > record.n - FIELD_HEAD)
			break;
		value = str_make(record.p + FIELD_HEAD, n);
		record = str_make(value.p + n, record.n - FIELD_HEAD - n);
		if ((has & ~CUT) != number)
			continue;
		if (key.n == 0 ||
		    (value.n >= key.n &&
			memmem(value.p, value.n, key.p, key.n) != NULL))
			return QUERY_YES;
		if (has & CUT)
			truth = QUERY_UNKNOWN;
	}
	return record.n == 0 ? truth : QUERY_UNKNOWN;
}
