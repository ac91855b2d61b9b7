/* SPDX-License-Identifier: ISC */
/*
 * mbox_header.c - the hidden fields of a message: composed, and written in
 * their place or planned as an edit.
 *
 * Owns:    nothing; the caller has the lock.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  a slot only after its header has been read again and is still that
 *          of the same message.
 * Spec:    formats.md 6.6, 6.7, 7.4; security.md 7.3.
 *
 * The hidden fields are written anew as one block. When it has the length of
 * the old one, thanks to the spaces in it, it is put in its place by one write.
 * Otherwise everything behind has to move (mbox_shift.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/mbox/mbox_impl.h"
#include "text/ascii.h"

/* ---- words ----------------------------------------------------------------- */

static void
add_name(const struct mailbox *m, struct buf *b, size_t number)
{
	struct str name = mailbox_keyword_name(m, number);

	if (name.n == 0)
		return;
	if (b->n > 0)
		(void)buf_add_byte(b, ' ');
	(void)buf_add_str(b, name);
}

struct str
mbox_keywords_of(
    const struct mailbox *m, const struct msg_rec *r, struct arena *a)
{
	size_t n_more;
	const uint16_t *more = mailbox_more(m, r, &n_more);
	struct str text;
	struct buf b;

	if (r->keywords == 0 && n_more == 0)
		return STR("");
	buf_init(&b, MBOX_HEADER_MAX);
	for (size_t i = 0; i < KEYWORD_LETTERS; i++)
		if (r->keywords & 1u << i)
			add_name(m, &b, i);
	for (size_t i = 0; i < n_more; i++)
		add_name(m, &b, more[i]);
	text = arena_str(a, buf_str(&b));
	buf_done(&b);
	return text;
}

struct str
mbox_base_keywords(const struct mailbox *m, struct arena *a)
{
	struct str text;
	struct buf b;

	buf_init(&b, 8 * MBOX_HEADER_MAX);
	for (size_t i = 0; i < m->keywords.n; i++) {
		(void)buf_add_byte(&b, ' ');
		(void)buf_add_str(&b, mailbox_keyword_name(m, i));
	}
	text = arena_str(a, buf_str(&b));
	buf_done(&b);
	return text;
}

void
mbox_pseudo_write(const struct store *s, uint32_t uidvalidity,
    uint32_t last_uid, struct str base_keywords, struct buf *out)
{
	const struct mbox_words w = {
	    .is_pseudo = true,
	    .uidvalidity = uidvalidity,
	    .last_uid = last_uid,
	    .base_keywords = base_keywords,
	    .flags = FLAG_SEEN,
	    .is_old = true,
	};
	int64_t now = clock_wall_s();
	time_t t = (time_t)now;
	struct tm tm;
	char date[64];

	if (gmtime_r(&t, &tm) == NULL ||
	    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S +0000", &tm) ==
		0)
		date[0] = '\0';
	mbox_from_write(out, STR("MAILER_DAEMON"), now);
	(void)buf_addf(out,
	    "Date: %s\nFrom: Mail System Internal Data <MAILER-DAEMON@%s>\n"
	    "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n"
	    "Message-ID: <%lld@%s>\n",
	    date, s->host, (long long)now, s->host);
	mbox_state_write(out, &w, 0);
	(void)buf_add_c(out,
	    "\nThis text is part of the internal format of your mail folder, "
	    "and is not\na real message.  It is created automatically by the "
	    "mail system software.\nIf deleted, important folder data will be "
	    "lost, and it will be re-created\nwith the data reset to initial "
	    "values.\n\n");
}

uint32_t
mbox_last_uid(const struct mailbox *m)
{
	return m->uidnext == 0 ? 0 : m->uidnext - 1;
}

/* ---- one header ------------------------------------------------------------ */

/*
 * Does what was read end where a header does? Else somebody has made it longer,
 * and what we would write would end in its middle.
 */
static bool
is_whole(
    const struct mbox *mb, const struct mbox_slot *s, const struct buf *header)
{
	struct str text = buf_str(header);
	size_t i;

	if (text.n < s->head_len || str_ends(text, STR("\n\n")) ||
	    str_ends(text, STR("\n\r\n")) || str_eq(text, STR("\n")) ||
	    str_eq(text, STR("\r\n")))
		return true;
	if (s == &mb->pseudo)
		return false;
	/* Without a body: it ends with the message. */
	i = (size_t)(s - mb->slots.v) + 1;
	return s->off + s->from_len + s->head_len >=
	    (i < mb->slots.n ? mb->slots.v[i].off : mb->end);
}

/* The header of a message that must still be the one of the slot. */
static int
load_header(struct mbox_writing *w, const struct mbox_slot *s,
    struct mbox_state *st, struct err *e)
{
	const struct mbox *mb = mbox_of(w->m);
	size_t n =
	    s->head_len < MBOX_HEADER_MAX ? s->head_len : MBOX_HEADER_MAX;
	char *room;
	size_t got;

	buf_clear(&w->header);
	room = buf_room(&w->header, n + 1);
	if (file_read_at(mb->fd, s->off + s->from_len, room, n, &got, e) == -1)
		return -1;
	w->header.n = got;
	mbox_state_parse(buf_str(&w->header), st);
	if (got != n || st->hash != s->hash || !is_whole(mb, s, &w->header))
		return err_set(
		    e, ERR_GONE, "%s: rewritten by somebody", mb->path);
	return 0;
}

static struct mbox_words
words_for(struct mbox_writing *w, const struct mbox_slot *s,
    const struct mbox_state *st, bool is_base, uint64_t body_len)
{
	struct mailbox *m = w->m;
	const struct msg_rec *r = mailbox_rec(m, s->uid);
	struct mbox_words out = {
	    .is_first = is_base && w->with_uids,
	    .uidvalidity = m->uidvalidity,
	    .last_uid = mbox_last_uid(m),
	    .base_keywords = w->base_keywords,
	    .uid = w->with_uids ? s->uid : 0,
	    .is_old = s->flags & SLOT_OLD || !set32_has(&m->recent, s->uid),
	    .flags = r->system & FLAGS_STORED,
	    .others = str_make(st->others, st->n_others),
	    .x_others = str_make(st->x_others, st->n_x_others),
	    .has_length = st->has_length,
	    .length = body_len,
	    .crlf = (s->flags & SLOT_CRLF) != 0,
	};

	if (w->with_uids)
		out.keywords = mbox_keywords_of(m, r, &w->arena);
	return out;
}

/* The hidden message only says what all need to know. */
static struct mbox_words
words_for_pseudo(struct mbox_writing *w, const struct mbox_slot *s)
{
	return (struct mbox_words){
	    .is_pseudo = true,
	    .uidvalidity = w->m->uidvalidity,
	    .last_uid = mbox_last_uid(w->m),
	    .base_keywords = w->base_keywords,
	    .flags = FLAG_SEEN,
	    .is_old = true,
	    .crlf = (s->flags & SLOT_CRLF) != 0,
	};
}

/* Where the block goes when there is none yet. */
static size_t
place_of_block(struct str header, const struct mbox_slot *s)
{
	if (header.n == s->head_len && str_ends(header, STR("\n\r\n")))
		return header.n - 2;
	if (header.n == s->head_len && str_ends(header, STR("\n\n")))
		return header.n - 1;
	/* Without an end that we know of: in front. */
	return 0;
}

/*
 * The block of hidden fields as an edit at the file's offset; *is_one: the old
 * one is one piece, so that a block of its length may replace it by one write.
 */
static struct mbox_edit
compose(struct mbox_writing *w, const struct mbox_slot *s,
    const struct mbox_words *words, size_t padding, bool *is_one)
{
	struct str header = buf_str(&w->header), between;
	struct mbox_range r;
	struct mbox_edit out = {0};
	struct buf block, seen;
	uint32_t at = 0;
	uint64_t start = 0, end = 0;
	unsigned n = 0;
	size_t room;

	buf_init(&block, 16 * MBOX_HEADER_MAX);
	buf_init(&seen, MBOX_HEADER_MAX);
	while (mbox_hidden_next(header, &at, &r)) {
		if (n++ == 0)
			start = r.off;
		else
			(void)buf_add(&seen, header.p + end, r.off - end);
		end = (uint64_t)r.off + r.len;
	}
	if (n == 0)
		start = end = place_of_block(header, s);
	between = buf_str(&seen);
	room = (size_t)(end - start) - between.n;
	mbox_state_write(&block, words, 0);
	if (block.n <= room)
		padding = room - block.n;
	buf_clear(&block);
	(void)buf_add_str(&block, between);
	mbox_state_write(&block, words, padding);
	out.off = s->off + s->from_len + start;
	out.del = end - start;
	out.ins = arena_str(&w->arena, buf_str(&block));
	*is_one = n == 1;
	buf_done(&block);
	buf_done(&seen);
	return out;
}

/*
 * Within one page a write is done or not; over its end it could break off, and
 * that is for the journal.
 */
static bool
is_atomic(const struct mbox_edit *ed)
{
	return ed->ins.n == ed->del &&
	    ed->off / 4096 == (ed->off + ed->del - 1) / 4096;
}

static int
write_in_place(struct mailbox *m, const struct mbox_edit *ed, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	ssize_t n = pwrite(mb->fd, ed->ins.p, ed->ins.n, (off_t)ed->off);

	if (n == -1)
		return err_sys(e, "write %s", mb->path);
	mb->gen++;
	return (size_t)n == ed->ins.n
	    ? 0
	    : err_set(e, ERR_NO_SPACE, "write %s: cut short", mb->path);
}

static uint64_t
body_len_of(const struct mbox_writing *w, const struct mbox_slot *s)
{
	struct mbox_range r;
	uint32_t at = 0;
	uint64_t seen = s->head_len;

	while (mbox_hidden_next(buf_str(&w->header), &at, &r))
		seen -= r.len;
	return s->size > seen ? s->size - seen : 0;
}

/*
 * A file may end with a From_ line that was cut off in front of its line end.
 * It gets that before fields follow, or they would be part of it.
 */
static int
end_from_line(struct mbox *mb, struct mbox_slot *s, struct err *e)
{
	uint64_t at = s->off + s->from_len;
	size_t got;
	char last;

	if (s->head_len > 0 || at != mb->end || s->from_len == 0)
		return 0;
	if (file_read_at(mb->fd, at - 1, &last, 1, &got, e) == -1)
		return -1;
	if (got != 1 || last == '\n')
		return 0;
	if (pwrite(mb->fd, "\n", 1, (off_t)at) != 1)
		return err_sys(e, "write %s", mb->path);
	mb->gen++;
	mb->end++;
	s->from_len++;
	return 0;
}

int
mbox_write_header(struct mbox_writing *w, struct mbox_slot *s, bool is_base,
    bool is_pseudo, size_t padding, struct err *e)
{
	struct mbox_state st;
	struct mbox_words words;
	struct mbox_edit ed;
	bool is_one;

	if (load_header(w, s, &st, e) == -1 ||
	    end_from_line(mbox_of(w->m), s, e) == -1)
		return -1;
	/* All are written: those of others, too, are to stay. */
	if (!is_pseudo && s->uid <= w->m->unsure_top)
		mbox_take_flags(w->m, s, &st);
	words = is_pseudo ? words_for_pseudo(w, s)
			  : words_for(w, s, &st, is_base, body_len_of(w, s));
	ed = compose(w, s, &words, padding, &is_one);
	if (is_one && is_atomic(&ed))
		return write_in_place(w->m, &ed, e);
	*VEC_ADD(&w->edits) = ed;
	return 0;
}

void
mbox_writing_init(struct mbox_writing *w, struct mailbox *m, bool all)
{
	*w = (struct mbox_writing){.m = m, .all = all};
	arena_init(&w->arena);
	buf_init(&w->header, MBOX_HEADER_MAX + 1);
	w->base_keywords = mbox_base_keywords(m, &w->arena);
}

void
mbox_writing_done(struct mbox_writing *w)
{
	buf_done(&w->header);
	VEC_DONE(&w->edits);
	VEC_DONE(&w->planned);
	arena_done(&w->arena);
}
