/* SPDX-License-Identifier: ISC */
/*
 * mbox_flags.c - flags and keywords from headers, one by one or of all messages.
 *
 * Owns:    nothing.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing in the file: names that the base does not list mean nothing.
 * Spec:    formats.md 6.7, 7.3.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "store/derived.h"
#include "store/mbox/mbox_reading.h"

#define KEYWORDS_MAX 60000

static int
by_number(const void *a, const void *b)
{
	return *(const uint16_t *)a - *(const uint16_t *)b;
}

/* Names that the base does not list mean nothing (formats.md 6.7). */
void
mbox_read_keywords(
    const struct mailbox *m, struct str list, struct mbox_flags *out)
{
	struct str name;
	size_t number;

	while (mbox_keyword_next(&list, &name)) {
		if (!mailbox_keyword_find(m, name, &number))
			continue;
		if (number < KEYWORD_LETTERS)
			out->keywords |= 1u << number;
		else if (out->n_more < ARRAY_LEN(out->more))
			out->more[out->n_more++] = (uint16_t)number;
	}
	qsort(out->more, out->n_more, sizeof(*out->more), by_number);
}

bool
mbox_adopt_flags(
    struct mailbox *m, struct msg_rec *r, const struct mbox_flags *f)
{
	uint32_t more = r->more;
	bool changed;

	changed = r->system != f->system || r->keywords != f->keywords;
	r->system = f->system;
	r->keywords = f->keywords;
	mailbox_set_more(m, r, f->more, f->n_more);
	return changed || r->more != more;
}

void
mbox_learn_keywords(struct mailbox *m, struct str list)
{
	struct str name;
	size_t number;

	while (mbox_keyword_next(&list, &name))
		if (name.n <= 255 && m->keywords.n < KEYWORDS_MAX &&
		    !mailbox_keyword_find(m, name, &number))
			mailbox_set_keyword(m, m->keywords.n, name);
}

/* ---- flags alone ----------------------------------------------------------- */

/* A message's From_ line and header, at most MBOX_HEADER_MAX of that. */
static int
look_header(struct mbox_reading *r, const struct mbox_slot *s, struct str *from,
    struct str *header, struct err *e)
{
	const struct mbox *mb = mbox_of(r->m);
	size_t n = s->from_len +
	    (s->head_len < MBOX_HEADER_MAX ? s->head_len : MBOX_HEADER_MAX);
	size_t want = n > MBOX_HEADERS_PIECE ? n : MBOX_HEADERS_PIECE, got;

	if (s->off < r->window_off ||
	    s->off + n > r->window_off + r->window.n) {
		buf_clear(&r->window);
		r->window_off = s->off;
		if (file_read_at(mb->fd, s->off, buf_room(&r->window, want),
			want, &got, e) == -1)
			return -1;
		r->window.n = got;
	}
	*from = str_head(
	    str_skip(buf_str(&r->window), (size_t)(s->off - r->window_off)), n);
	*header = str_skip(*from, s->from_len);
	if (from->n == n)
		return 0;
	return err_set(e, ERR_CORRUPT, "rewritten");
}

void
mbox_take_flags(
    struct mailbox *m, const struct mbox_slot *s, const struct mbox_state *st)
{
	struct msg_rec *rec = mailbox_rec(m, s->uid);
	struct mbox_flags f = {.system = st->flags};

	mbox_read_keywords(m, st->keywords, &f);
	if (s->flags & SLOT_DIRTY)
		mbox_was_merge(m, rec, &f);
	if (mbox_adopt_flags(m, rec, &f))
		mailbox_note_flags(m, rec, NULL);
}

/* The flags in one header. -1: it is not there any more. */
static int
read_header(struct mbox_reading *r, struct err *e)
{
	struct mailbox *m = r->m;
	struct mbox *mb = mbox_of(m);
	struct mbox_slot *s = &mb->slots.v[r->at];
	struct mbox_state st;
	struct str from, header;

	if (look_header(r, s, &from, &header, e) == -1)
		return -1;
	if (!r->is_all && s->raw != 0 && mbox_header_sum(header) == s->raw &&
	    str_starts(from, STR("From ")))
		return 0;
	mbox_state_parse(header, &st);
	if (st.hash != s->hash || !str_starts(from, STR("From ")) ||
	    (st.uid != s->uid && !(s->flags & SLOT_NO_UID)))
		return err_set(e, ERR_CORRUPT, "rewritten");
	s->raw = mbox_header_sum(header);
	s->flags |= st.is_old ? SLOT_OLD : 0;
	derived_note_side(m, s->uid);
	mbox_take_flags(m, s, &st);
	return 0;
}

/*
 * Flags of messages that we know may have changed while others came. Reads
 * their headers, where they are.
 */
enum step
mbox_read_some_headers(struct mbox_reading *r, int64_t until_ms, struct err *e)
{
	const struct mbox *mb = mbox_of(r->m);

	while (r->at < mb->slots.n) {
		if (read_header(r, e) == -1)
			return STEP_FAIL;
		if (++r->at % MBOX_MESSAGES_PER_LOOK == 0 &&
		    clock_mono_ms() >= until_ms)
			return STEP_MORE;
	}
	return STEP_DONE;
}
