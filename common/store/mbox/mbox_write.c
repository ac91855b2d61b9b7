/* SPDX-License-Identifier: ISC */
/*
 * mbox_write.c - flags, keywords, UIDs and expunges, from memory to the file.
 *
 * Owns:    what of the slots is not in the file yet.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  a slot only after its header has been read again and is still that
 *          of the same message.
 * Spec:    formats.md 6.6, 6.7, 7.3, 7.4; security.md 7.3.
 *
 * The hidden fields of a message are written anew as one block. When it has
 * the length of the old one, thanks to the spaces in it, it is put in its
 * place by one write. Otherwise everything behind has to move (mbox_shift.c):
 * that is done at once where little moves, else when the last writer closes
 * the mailbox, for all messages together.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/derived.h"
#include "store/mbox/mbox_impl.h"
#include "text/ascii.h"

#define PADDING 50
#define EAGER_BYTES (1024 * 1024)
#define UW_KEYWORDS_MAX 30
#define KEYWORDS_MAX 10000
#define KEYWORD_BYTES_MAX 255

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

/* ---- changes in memory ----------------------------------------------------- */

/* Every name that stands for itself in a line of names. */
static bool
is_keyword(struct str name)
{
	if (name.n == 0 || name.n > KEYWORD_BYTES_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (!ascii_is_graph(name.p[i]))
			return false;
	return true;
}

int
mbox_keyword(struct mailbox *m, struct str name, size_t *number, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	bool is_uw = mb->has_base && mb->last_uid_at == 0;

	if (!is_keyword(name))
		return err_set(e, ERR_BAD_NAME, "not a keyword");
	if (m->keywords.n >= (is_uw ? UW_KEYWORDS_MAX : KEYWORDS_MAX))
		return err_set(e, ERR_LIMIT, "%s: too many keywords", m->name);
	*number = m->keywords.n;
	mailbox_set_keyword(m, *number, name);
	mb->base_is_dirty = true;
	return 0;
}

static void
mark(struct mbox *mb, struct mbox_slot *s, uint16_t flags)
{
	if ((s->flags & (SLOT_NO_UID | SLOT_DIRTY)) == 0)
		mb->n_dirty++;
	s->flags |= flags;
}

static void
unmark(struct mbox *mb, struct mbox_slot *s, uint16_t flags)
{
	if ((s->flags & (SLOT_NO_UID | SLOT_DIRTY)) == 0)
		return;
	s->flags &= (uint16_t)~flags;
	if ((s->flags & (SLOT_NO_UID | SLOT_DIRTY)) == 0)
		mb->n_dirty--;
}

int
mbox_set_flags(struct mailbox *m, uint32_t uid, const struct flag_change *c,
    bool *changed, struct err *e)
{
	struct msg_rec *r;
	uint16_t *more;
	size_t n_more;
	uint32_t keywords;
	uint8_t system;

	*changed = false;
	/* All flags of the message will be written, not the change alone. */
	mailbox_freshen(m, uid);
	r = mailbox_rec(m, uid);
	if (r == NULL || r->state != REC_LIVE)
		return err_set(e, ERR_GONE, "message %u is gone", uid);
	(void)mailbox_more(m, r, &n_more);
	more = mem_new(n_more + c->n_more + 1, sizeof(*more));
	*changed =
	    mailbox_apply_change(m, r, c, &system, &keywords, more, &n_more);
	if (*changed) {
		mbox_was_note(m, r);
		r->system = system;
		r->keywords = keywords;
		mailbox_set_more(m, r, more, n_more);
		mark(mbox_of(m), mbox_slot_of(m, r), SLOT_DIRTY);
	}
	free(more);
	return 0;
}

int
mbox_expunge(struct mailbox *m, uint32_t uid, bool only_deleted, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	const struct msg_rec *r = mailbox_rec(m, uid);
	struct mbox_slot *s;

	if (r == NULL || r->state != REC_LIVE)
		return err_set(e, ERR_GONE, "message %u is gone", uid);
	s = mbox_slot_of(m, r);
	if (!(s->flags & SLOT_EXPUNGE))
		mb->n_expunge++;
	s->flags |= SLOT_EXPUNGE;
	if (only_deleted)
		s->flags |= SLOT_IF_DELETED;
	return 0;
}

/* ---- one header ------------------------------------------------------------ */

struct writing {
	struct mailbox *m;
	struct arena arena;
	struct buf header;
	bool with_uids; /* the base is there, or comes now */
	struct str base_keywords;
	VEC(struct mbox_edit) edits; /* those that make the file longer */
};

/* The header of a message that must still be the one of the slot. */
static int
load_header(struct writing *w, const struct mbox_slot *s, struct mbox_state *st,
    struct err *e)
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
	if (got != n || st->hash != s->hash)
		return err_set(
		    e, ERR_GONE, "%s: rewritten by somebody", mb->path);
	return 0;
}

static uint32_t
last_uid_to_write(const struct mailbox *m)
{
	return m->uidnext == 0 ? 0 : m->uidnext - 1;
}

static struct mbox_words
words_for(struct writing *w, const struct mbox_slot *s,
    const struct mbox_state *st, bool is_base, uint64_t body_len)
{
	struct mailbox *m = w->m;
	const struct msg_rec *r = mailbox_rec(m, s->uid);
	struct mbox_words out = {
	    .is_first = is_base && w->with_uids,
	    .uidvalidity = m->uidvalidity,
	    .last_uid = last_uid_to_write(m),
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
words_for_pseudo(struct writing *w, const struct mbox_slot *s)
{
	return (struct mbox_words){
	    .is_pseudo = true,
	    .uidvalidity = w->m->uidvalidity,
	    .last_uid = last_uid_to_write(w->m),
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
compose(struct writing *w, const struct mbox_slot *s,
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
	const struct mbox *mb = mbox_of(m);
	ssize_t n = pwrite(mb->fd, ed->ins.p, ed->ins.n, (off_t)ed->off);

	if (n == -1)
		return err_sys(e, "write %s", mb->path);
	return (size_t)n == ed->ins.n
	    ? 0
	    : err_set(e, ERR_NO_SPACE, "write %s: cut short", mb->path);
}

/* ---- all of them ----------------------------------------------------------- */

static uint64_t
body_len_of(const struct writing *w, const struct mbox_slot *s)
{
	struct mbox_range r;
	uint32_t at = 0;
	uint64_t seen = s->head_len;

	while (mbox_hidden_next(buf_str(&w->header), &at, &r))
		seen -= r.len;
	return s->size > seen ? s->size - seen : 0;
}

/*
 * Writes one message's block now, or plans it among w->edits. `padding` is for
 * one that does not fit.
 */
static int
write_one(struct writing *w, struct mbox_slot *s, bool is_base, bool is_pseudo,
    size_t padding, struct err *e)
{
	struct mbox_state st;
	struct mbox_words words;
	struct mbox_edit ed;
	bool is_one;

	if (load_header(w, s, &st, e) == -1)
		return -1;
	words = is_pseudo ? words_for_pseudo(w, s)
			  : words_for(w, s, &st, is_base, body_len_of(w, s));
	ed = compose(w, s, &words, padding, &is_one);
	if (is_one && is_atomic(&ed))
		return write_in_place(w->m, &ed, e);
	*VEC_ADD(&w->edits) = ed;
	return 0;
}

/* The first slot that ends behind `off`. */
static size_t
first_behind(const struct mbox *mb, uint64_t off)
{
	size_t i = mb->slots.n;

	while (i > 0 && mb->slots.v[i - 1].off > off)
		i--;
	return i > 0 ? i - 1 : 0;
}

/* The slots after edits of headers that were made. */
static void
move_slots(struct mailbox *m, const struct mbox_edit *v, size_t n)
{
	struct mbox *mb = mbox_of(m);
	uint64_t more = 0; /* modulo 2^64 */
	size_t k = 0;

	if (mb->has_pseudo)
		for (; k < n &&
		     v[k].off < mb->pseudo.off + mb->pseudo.from_len +
			     mb->pseudo.head_len + 1;
		     k++) {
			mb->pseudo.head_len +=
			    (uint32_t)(v[k].ins.n - v[k].del);
			more += v[k].ins.n - v[k].del;
		}
	VEC_EACH(&mb->slots, s) {
		uint64_t end = s->off + s->from_len + s->head_len;

		s->off += more;
		for (; k < n && v[k].off <= end; k++) {
			s->head_len += (uint32_t)(v[k].ins.n - v[k].del);
			more += v[k].ins.n - v[k].del;
		}
	}
	mb->end += more;
	if (n > 0)
		mbox_note_moved(m, first_behind(mb, v[0].off));
}

static int
apply_edits(
    struct mailbox *m, const struct mbox_edit *v, size_t n, struct err *e)
{
	struct mbox *mb = mbox_of(m);

	if (n == 0)
		return 0;
	if (mbox_shift_apply(&mb->shift, v, n, e) == 0)
		return 0;
	/* Whatever was done of it: look again. */
	mb->stamp = (struct file_stamp){.ino = 1};
	return -1;
}

static void
writing_init(struct writing *w, struct mailbox *m)
{
	*w = (struct writing){.m = m};
	arena_init(&w->arena);
	buf_init(&w->header, MBOX_HEADER_MAX + 1);
	w->base_keywords = mbox_base_keywords(m, &w->arena);
}

static void
writing_done(struct writing *w)
{
	buf_done(&w->header);
	VEC_DONE(&w->edits);
	arena_done(&w->arena);
}

/* Is the last UID in the file what it is here? Not before all have theirs. */
int
mbox_write_last_uid(struct mailbox *m, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	char digits[16];
	uint32_t last = last_uid_to_write(m);

	if (!mb->has_base || mb->last_uid_at == 0 ||
	    mb->disk_last_uid >= last ||
	    (m->lazy_top != 0 && mb->lazy_dirty > 0))
		return 0;
	VEC_EACH(&mb->slots, s)
		if (s->flags & SLOT_NO_UID)
			return 0;
	(void)snprintf(digits, sizeof(digits), "%010u", last);
	if (pwrite(mb->fd, digits, 10, (off_t)mb->last_uid_at) != 10)
		return err_sys(e, "write %s", mb->path);
	mb->disk_last_uid = last;
	return 0;
}

/*
 * Times after our change: its second must be another than before, or Dovecot
 * does not see it; and a file with new mail is one that was not read since.
 */
void
mbox_finish_write(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);
	struct timespec ts[2];
	struct stat st;

	if (fstat(mb->fd, &st) == 0) {
		ts[1] = st.st_mtim;
		if (ts[1].tv_sec <= mb->mtime_before.tv_sec)
			ts[1].tv_sec = mb->mtime_before.tv_sec + 1;
		ts[0] = mb->atime_before;
		if (set32_is_empty(&m->recent))
			ts[0] = ts[1];
		else if (file_time_cmp(&ts[0], &ts[1]) >= 0)
			ts[0].tv_sec = ts[1].tv_sec - 1;
		(void)futimens(mb->fd, ts);
		mb->mtime_before = ts[1];
	}
	mbox_take_stamp(m);
}

/* Behind this little has to be moved. */
static uint64_t
eager_from(const struct mbox *mb)
{
	return mb->end > EAGER_BYTES ? mb->end - EAGER_BYTES : 0;
}

/* Which messages are to be written? */
static bool
is_wanted(const struct mailbox *m, const struct mbox_slot *s, bool all,
    bool with_uids)
{
	if (s->flags & SLOT_EXPUNGE)
		return false;
	if (s->flags & SLOT_DIRTY)
		return true;
	if (!all)
		return false;
	return (with_uids && s->flags & SLOT_NO_UID) ||
	    (!(s->flags & SLOT_OLD) && m->n_writers > 0 &&
		!set32_has(&m->recent, s->uid));
}

static bool
base_is_wanted(const struct mailbox *m, bool with_uids)
{
	const struct mbox *mb = mbox_of(m);

	return with_uids &&
	    (!mb->has_base || mb->base_is_dirty ||
		(mb->last_uid_at == 0 &&
		    mb->disk_last_uid < last_uid_to_write(m)));
}

/* What could not be planned because too much would move stays as it is. */
static int
write_slots(struct writing *w, bool all, struct err *e)
{
	struct mailbox *m = w->m;
	struct mbox *mb = mbox_of(m);
	bool base = base_is_wanted(m, w->with_uids);
	uint64_t eager = all ? 0 : eager_from(mb);
	VEC(uint32_t) written = {0};
	bool base_is_late = false;
	int rc = 0;

	if (mb->has_pseudo && base)
		rc = write_one(w, &mb->pseudo, true, true, PADDING, e);
	if (w->edits.n > 0 && eager > 0) {
		w->edits.n = 0;
		base_is_late = true;
	}
	for (size_t i = 0; i < mb->slots.n && rc == 0; i++) {
		struct mbox_slot *s = &mb->slots.v[i];
		bool is_base = i == 0 && !mb->has_pseudo && m->lazy_top == 0;
		size_t planned = w->edits.n;

		if (!(is_base && base) &&
		    !is_wanted(m, s, all || planned > 0 || s->off >= eager,
			w->with_uids))
			continue;
		rc = write_one(w, s, is_base, false, PADDING, e);
		if (rc == -1)
			break;
		if (w->edits.n > planned && s->off < eager) {
			w->edits.n--; /* later */
			base_is_late = base_is_late || (is_base && base);
			continue;
		}
		*VEC_ADD(&written) = (uint32_t)i;
	}
	if (rc == 0)
		rc = apply_edits(m, w->edits.v, w->edits.n, e);
	for (size_t i = 0; i < written.n && rc == 0; i++) {
		struct mbox_slot *s = &mb->slots.v[written.v[i]];
		const struct msg_rec *r = mailbox_rec(m, s->uid);

		bool has_keywords = r->keywords != 0 || r->more != 0;

		/* Keywords that the base does not list are not said yet. */
		if (w->with_uids)
			unmark(mb, s, SLOT_NO_UID);
		if (!has_keywords || (w->with_uids && !base_is_late))
			unmark(mb, s, SLOT_DIRTY);
		if (!set32_has(&m->recent, s->uid))
			s->flags |= SLOT_OLD;
		s->raw = 0;
		derived_note_side(m, s->uid);
	}
	VEC_DONE(&written);
	mbox_was_sweep(m);
	if (rc == 0) {
		move_slots(m, w->edits.v, w->edits.n);
		if (m->lazy_top == 0)
			rc = mbox_reload_base(m, e);
		if (rc == 0 && w->with_uids && mb->has_base && !base_is_late)
			mb->base_is_dirty = false;
	}
	return rc;
}

int
mbox_look_again(struct mailbox *m, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	struct stat st;
	struct file_stamp now;

	if (mb->fd == -1)
		return mbox_sync_locked(m, SYNC_NORMAL, e);
	if (fstat(mb->fd, &st) == -1)
		return err_sys(e, "fstat %s", mb->path);
	now = file_stamp_of(&st);
	if (mbox_stamp_eq(&now, &mb->stamp))
		return 0;
	return mbox_sync_locked(m, SYNC_NORMAL, e);
}

/* Is there nothing to be written among the messages that are not loaded? */
static bool
is_tail_enough(const struct mailbox *m, bool all)
{
	const struct mbox *mb = mbox_of(m);

	return m->lazy_top != 0 && !all && mb->lazy_dirty == 0 &&
	    mb->has_base && mb->last_uid_at != 0 && !mb->base_is_dirty;
}

static int
write_locked(struct mailbox *m, bool all, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	struct writing w;
	int rc = -1;

	if (mbox_look_again(m, e) == -1 ||
	    (!is_tail_enough(m, all) && mailbox_load(m, e) == -1))
		return -1;
	/* The index had them otherwise than they are. */
	if (mb->stamp.ino == MBOX_NO_STAMP && mbox_look_again(m, e) == -1)
		return -1;
	if (mb->fd == -1 || (mb->slots.n == 0 && !mb->has_pseudo))
		return 0;
	writing_init(&w, m);
	w.with_uids = all || mb->has_base || mb->end <= EAGER_BYTES;
	if (write_slots(&w, all, e) == 0 && mbox_write_last_uid(m, e) == 0)
		rc = 0;
	else if (e->code == ERR_GONE)
		mb->stamp = (struct file_stamp){.ino = 1};
	writing_done(&w);
	if (rc == 0)
		mbox_finish_write(m);
	return rc;
}

/* How many \Recent messages are loaded. */
static uint32_t
n_above(const struct mailbox *m)
{
	uint32_t n = 0, uid = m->lazy_top + 1;

	for (; set32_next(&m->recent, uid, &uid); uid++) {
		n++;
		if (uid == UINT32_MAX)
			break;
	}
	return n;
}

/* Does a close leave anything to be said? */
static bool
has_unsaid(struct mailbox *m)
{
	const struct mbox *mb = mbox_of(m);

	if (mb->n_dirty > 0 ||
	    (mb->base_is_dirty && (mb->slots.n > 0 || mb->has_pseudo)))
		return true;
	return m->n_writers > 0 && mbox_has_taken(m);
}

bool
mbox_has_taken(struct mailbox *m)
{
	const struct mbox *mb = mbox_of(m);

	if (m->lazy_top != 0 &&
	    (mb->lazy_unsaid ||
		mb->lazy_recent > set32_count(&m->recent) - n_above(m)))
		return true;
	VEC_EACH(&mb->slots, s)
		if (!(s->flags & SLOT_OLD) && !set32_has(&m->recent, s->uid))
			return true;
	return false;
}

int
mbox_write(struct mailbox *m, bool all, int64_t wait_ms, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	int rc;

	if (m->is_read_only || m->is_gone || m->is_broken ||
	    (all ? !has_unsaid(m) : mb->n_dirty == 0))
		return 0;
	if (mbox_lock(m, true, wait_ms, e) == -1)
		return -1;
	rc = write_locked(m, all, e);
	/* Rewritten by somebody since: once more, with what is there now. */
	if (rc == -1 && e->code == ERR_GONE && !m->is_gone)
		rc = write_locked(m, all, e);
	mbox_unlock(m);
	return rc;
}

/*
 * UIDs of new mail are told to clients next. If they were only in our memory,
 * another process, or the next one, would give them to other messages.
 */
bool
mbox_has_unsaid_uids(const struct mailbox *m)
{
	const struct mbox *mb = mbox_of(m);
	uint64_t eager = eager_from(mb);

	if (mb->n_dirty == 0 || (!mb->has_base && eager > 0))
		return false;
	for (size_t i = mb->slots.n; i > 0 && mb->slots.v[i - 1].off >= eager;
	     i--)
		if (mb->slots.v[i - 1].flags & SLOT_NO_UID)
			return true;
	return false;
}

/* ---- expunge --------------------------------------------------------------- */

static uint64_t
end_of(const struct mbox *mb, size_t i)
{
	return i + 1 < mb->slots.n ? mb->slots.v[i + 1].off : mb->end;
}

/* Marks that no longer hold: \Deleted was taken back by somebody. */
static void
check_marks(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);

	VEC_EACH(&mb->slots, s) {
		const struct msg_rec *r = mailbox_rec(m, s->uid);

		if (!(s->flags & SLOT_EXPUNGE) ||
		    !(s->flags & SLOT_IF_DELETED) || r->system & FLAG_DELETED)
			continue;
		s->flags &= (uint16_t) ~(SLOT_EXPUNGE | SLOT_IF_DELETED);
		mb->n_expunge--;
	}
}

static void
clear_marks(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);

	VEC_EACH(&mb->slots, s)
		s->flags &= (uint16_t) ~(SLOT_EXPUNGE | SLOT_IF_DELETED);
	mb->n_expunge = 0;
}

static void
add_removals(struct writing *w)
{
	const struct mbox *mb = mbox_of(w->m);

	for (size_t i = 0; i < mb->slots.n; i++) {
		const struct mbox_slot *s = &mb->slots.v[i];
		struct mbox_edit *last =
		    w->edits.n > 0 ? &w->edits.v[w->edits.n - 1] : NULL;

		if (!(s->flags & SLOT_EXPUNGE))
			continue;
		if (last != NULL && last->off + last->del == s->off)
			last->del += end_of(mb, i) - s->off;
		else
			*VEC_ADD(&w->edits) = (struct mbox_edit){
			    .off = s->off,
			    .del = end_of(mb, i) - s->off,
			};
	}
}

/* The new first message takes X-IMAPbase over. */
static int
add_new_base(struct writing *w, struct err *e)
{
	struct mbox *mb = mbox_of(w->m);
	size_t first = 0, n = w->edits.n;
	struct mbox_edit ed;

	if (mb->has_pseudo || !(mb->slots.v[0].flags & SLOT_EXPUNGE))
		return 0;
	while (first < mb->slots.n && mb->slots.v[first].flags & SLOT_EXPUNGE)
		first++;
	if (first == mb->slots.n)
		return 0;
	w->with_uids = true;
	/* In place, if there is room, before the old one goes. */
	if (write_one(w, &mb->slots.v[first], true, false, 0, e) == -1)
		return -1;
	if (w->edits.n == n)
		return 0;
	/* Behind the first removal. */
	ed = w->edits.v[n];
	memmove(&w->edits.v[2], &w->edits.v[1], (n - 1) * sizeof(ed));
	w->edits.v[1] = ed;
	return 0;
}

/* All that a removal leaves of the records and slots. */
static void
forget_removed(struct writing *w)
{
	struct mailbox *m = w->m;
	struct mbox *mb = mbox_of(m);
	uint64_t more = 0;
	size_t n = 0, k = 0, first = SIZE_MAX;

	for (size_t i = 0; i < mb->slots.n; i++) {
		struct mbox_slot s = mb->slots.v[i];
		uint64_t head_end = s.off + s.from_len + s.head_len;

		if (s.flags & SLOT_EXPUNGE && first > n)
			first = n;
		if (s.flags & SLOT_EXPUNGE) {
			mailbox_note_expunged(m, mailbox_rec(m, s.uid));
			mb->n_dirty -=
			    (s.flags & (SLOT_NO_UID | SLOT_DIRTY)) != 0;
			continue;
		}
		for (; k < w->edits.n && w->edits.v[k].off < s.off; k++)
			more += w->edits.v[k].ins.n - w->edits.v[k].del;
		s.off += more;
		for (; k < w->edits.n && w->edits.v[k].off <= head_end &&
		     w->edits.v[k].ins.n > 0;
		     k++) {
			s.head_len +=
			    (uint32_t)(w->edits.v[k].ins.n - w->edits.v[k].del);
			s.raw = 0;
			more += w->edits.v[k].ins.n - w->edits.v[k].del;
		}
		mb->slots.v[n++] = s;
	}
	for (; k < w->edits.n; k++)
		more += w->edits.v[k].ins.n - w->edits.v[k].del;
	mb->end += more;
	mb->slots.n = n;
	mb->n_expunge = 0;
	mbox_link_slots(m);
	mbox_note_moved(m, first < n ? first : n);
}

static int
remove_marked(struct mailbox *m, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	bool all = mb->n_expunge == mb->slots.n && !mb->has_pseudo;
	struct writing w;
	struct buf pseudo;
	int rc = -1;

	writing_init(&w, m);
	buf_init(&pseudo, 8 * MBOX_HEADER_MAX);
	add_removals(&w);
	if (all) {
		mbox_pseudo_write(m->store, m->uidvalidity,
		    last_uid_to_write(m), w.base_keywords, &pseudo);
		w.edits.v[0].ins = buf_str(&pseudo);
	} else if (add_new_base(&w, e) == -1) {
		goto out;
	}
	if (apply_edits(m, w.edits.v, w.edits.n, e) == -1)
		goto out;
	forget_removed(&w);
	rc = all ? mbox_sync_locked(m, SYNC_FORCE, e) : mbox_reload_base(m, e);
	if (rc == 0)
		rc = mbox_write_last_uid(m, e);
	mbox_finish_write(m);
out:
	buf_done(&pseudo);
	writing_done(&w);
	return rc;
}

static int
expunge_locked(struct mailbox *m, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	bool has_unsaid_uids = !mb->has_base || mb->base_is_dirty;

	if (mbox_look_again(m, e) == -1 || mailbox_load(m, e) == -1 ||
	    (mb->stamp.ino == MBOX_NO_STAMP && mbox_look_again(m, e) == -1))
		return -1;
	check_marks(m);
	if (mb->n_expunge == 0)
		return 0;
	/* An UID that goes must not be given again to one that stays. */
	VEC_EACH(&mb->slots, s)
		has_unsaid_uids =
		    has_unsaid_uids || (s->flags & SLOT_NO_UID) != 0;
	if (has_unsaid_uids && mb->n_expunge < mb->slots.n &&
	    write_locked(m, true, e) == -1)
		return -1;
	return remove_marked(m, e);
}

static int
expunge_now(struct mailbox *m, struct err *e)
{
	int rc;

	if (mbox_lock(m, true, MBOX_WAIT_READ_MS, e) == -1) {
		clear_marks(m);
		return -1;
	}
	rc = expunge_locked(m, e);
	if (rc == -1)
		clear_marks(m);
	mbox_unlock(m);
	return rc;
}

int
mbox_flush(struct mailbox *m, struct err *e)
{
	struct mbox *mb = mbox_of(m);

	if (mb->n_expunge > 0 && expunge_now(m, e) == -1)
		return -1;
	if (mb->n_dirty == 0 || m->is_read_only)
		return 0;
	if (mbox_write(m, false, MBOX_WAIT_BUSY_MS, e) == 0 ||
	    e->code == ERR_IN_USE || e->code == ERR_GONE)
		return 0;
	return -1;
}
