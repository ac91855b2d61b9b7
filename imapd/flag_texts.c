/* SPDX-License-Identifier: ISC */
/*
 * flag_texts.c - a small table of lists of flags as FETCH writes them.
 *
 * Owns:    the table; two combinations that meet there replace each other.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing; names of keywords pass flags.c.
 */
#include "imapd/flag_texts.h"

#include "imapd/flags.h"

#define OTHER_MAX ((size_t)1 << 24)

void
flag_texts_init(struct flag_texts *t, const struct mailbox *m)
{
	t->m = m;
	for (size_t i = 0; i < FLAG_TEXTS; i++)
		t->texts[i].n = 0;
	buf_init(&t->other, OTHER_MAX);
}

void
flag_texts_done(struct flag_texts *t)
{
	buf_done(&t->other);
}

static struct flag_text *
place_of(struct flag_texts *t, const struct flags *f)
{
	uint32_t h = (f->keywords * 0x9e3779b1u) ^ (f->system * 0x85ebca6bu);

	return &t->texts[h >> 27];
}

struct str
flag_texts_get(struct flag_texts *t, const struct flags *f)
{
	struct flag_text *place = place_of(t, f);

	if (place->n > 0 && place->system == f->system &&
	    place->keywords == f->keywords && f->n_more == 0)
		return str_make(place->text, place->n);
	buf_clear(&t->other);
	buf_add_byte(&t->other, '(');
	flags_write(&t->other, t->m, f);
	buf_add_byte(&t->other, ')');
	if (f->n_more == 0 && t->other.n <= sizeof(place->text)) {
		place->keywords = f->keywords;
		place->system = f->system;
		place->n = (uint8_t)t->other.n;
		memcpy(place->text, t->other.p, t->other.n);
	}
	return buf_str(&t->other);
}
