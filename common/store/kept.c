/* SPDX-License-Identifier: ISC */
/*
 * kept.c - answers about a whole mailbox, in its index.
 *
 * Owns:    the facts INDEX_KEPT: pieces of answers, under numbers that stand
 *          where those of messages have a UID.
 * Runs in: imapd, as the mail user.
 * Trusts:  no form of what comes from the index; pieces of two answers may lie
 *          there side by side, so each says to which it belongs.
 */
#include "store/kept.h"

#include "store/derived.h"

#define FORM 1u
#define PIECES_MAX 0xffffu

struct front {
	uint32_t form;
	uint32_t total; /* bytes of question and answer */
	uint64_t sum; /* of them */
};

#define PIECE_MAX (CACHE_VALUE_MAX - sizeof(struct front))

/* Where a piece of an answer is kept. */
static uint32_t
number_of(unsigned place, size_t piece)
{
	return (uint32_t)place << 16 | (uint32_t)(piece + 1);
}

static unsigned
place_of(struct str question)
{
	return (unsigned)(index_sum(0, question) % KEPT_PLACES);
}

/* A piece that belongs to the first one. False: not there, or of another. */
static bool
get_piece(struct mailbox *m, unsigned place, size_t piece, struct front *first,
    struct buf *out)
{
	struct front f;
	struct str value;

	if (!derived_get(m, number_of(place, piece), INDEX_KEPT, &value) ||
	    value.n <= sizeof(f))
		return false;
	memcpy(&f, value.p, sizeof(f));
	if (f.form != FORM || f.total > KEPT_MAX_BYTES)
		return false;
	if (piece == 0)
		*first = f;
	else if (f.total != first->total || f.sum != first->sum)
		return false;
	return buf_add_str(out, str_skip(value, sizeof(f)));
}

bool
kept_get(struct view *v, struct str question, struct buf *out)
{
	unsigned place = place_of(question);
	struct mailbox *m = view_mailbox(v);
	struct front first = {0};
	struct str whole;
	struct buf b;
	bool ok;

	buf_init(&b, KEPT_MAX_BYTES + PIECE_MAX);
	ok = get_piece(m, place, 0, &first, &b);
	for (size_t i = 1; ok && b.n < first.total; i++)
		ok = i < PIECES_MAX && get_piece(m, place, i, &first, &b);
	whole = buf_str(&b);
	ok = ok && whole.n == first.total &&
	    index_sum(FORM, whole) == first.sum &&
	    str_starts(whole, question) && whole.n > question.n &&
	    whole.p[question.n] == '\0' &&
	    buf_add_str(out, str_skip(whole, question.n + 1));
	buf_done(&b);
	return ok;
}

void
kept_put(struct view *v, struct str question, struct str answer)
{
	unsigned place = place_of(question);
	struct mailbox *m = view_mailbox(v);
	struct front f = {.form = FORM};
	struct buf whole, piece;
	struct str rest;

	if (question.n + 1 + answer.n > KEPT_MAX_BYTES)
		return;
	buf_init(&whole, KEPT_MAX_BYTES);
	buf_init(&piece, CACHE_VALUE_MAX);
	(void)buf_add_str(&whole, question);
	(void)buf_add_byte(&whole, '\0');
	(void)buf_add_str(&whole, answer);
	rest = buf_str(&whole);
	f.total = (uint32_t)rest.n;
	f.sum = index_sum(FORM, rest);
	for (size_t i = 0; rest.n > 0; i++) {
		struct str head = str_head(rest, PIECE_MAX);

		buf_clear(&piece);
		(void)buf_add(&piece, &f, sizeof(f));
		(void)buf_add_str(&piece, head);
		derived_put(
		    m, number_of(place, i), INDEX_KEPT, buf_str(&piece));
		rest = str_skip(rest, head.n);
	}
	buf_done(&piece);
	buf_done(&whole);
}

void
kept_forget(struct mailbox *m)
{
	/* An empty value is one that is not known. */
	for (unsigned place = 0; place < KEPT_PLACES; place++)
		derived_put(m, number_of(place, 0), INDEX_KEPT, STR(""));
}
