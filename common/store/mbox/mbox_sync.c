/* SPDX-License-Identifier: ISC */
/*
 * mbox_sync.c - from what lies in the file to records with UIDs.
 *
 * Owns:    the order of reading, giving UIDs in memory, what is told as gone.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing in the file: mail that has just come may carry any of our
 *          private headers.
 * Spec:    formats.md 6.7, 7.3, 7.8; security.md 7.3.
 *
 * Rules:
 *  1. What we know of the file is true as long as its stamp is the same.
 *  2. When it has grown, and the last message lies where it lay, only what is
 *     behind it is read. Otherwise all of it is, and a message keeps its UID by
 *     X-UID, else by its content (a hash of headers that name it). Flags of
 *     those before are read when somebody asks for one (mbox_freshen).
 *  3. UIDs of new mail ascend in the order of the file, above all that were
 *     told. An X-UID in it is believed only if it is the next one, or when the
 *     file is read for the first time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/derived.h"
#include "store/mbox/mbox_impl.h"
#include "store/notify.h"

#define RETRY_MS 100
#define RACY_SIZE_MAX (4 * 1024 * 1024)
#define MOVED_MAX 1000
#define HEADERS_PIECE 2048
#define KEYWORDS_MAX 60000
#define WHOLE_BYTES (2 * 1024 * 1024)

/* ---- slots and records ----------------------------------------------------- */

struct mbox_slot *
mbox_slot_of(const struct mailbox *m, const struct msg_rec *r)
{
	return &mbox_of(m)->slots.v[r->info];
}

void
mbox_link_slots(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);

	for (size_t i = 0; i < mb->slots.n; i++) {
		struct msg_rec *r = mailbox_rec(m, mb->slots.v[i].uid);

		if (r != NULL)
			r->info = (uint32_t)i;
	}
}

void
mbox_take_stamp(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);
	struct stat st;

	mb->stamp = (struct file_stamp){0};
	mb->scanned_us = clock_wall_us();
	if (mb->fd != -1 && fstat(mb->fd, &st) == 0)
		mb->stamp = file_stamp_of(&st);
}

void
mbox_no_stamp(struct mailbox *m)
{
	mbox_of(m)->stamp = (struct file_stamp){.ino = MBOX_NO_STAMP};
}

int64_t
mbox_changed_us(const struct file_stamp *stamp)
{
	/* Not the time that a program may set: mutt puts back the old one. */
	return (int64_t)stamp->ctime.tv_sec * 1000000 +
	    stamp->ctime.tv_nsec / 1000;
}

void
mbox_count_dirty(struct mbox *mb)
{
	mb->n_dirty = mb->lazy_dirty;
	mb->n_expunge = 0;
	VEC_EACH(&mb->slots, s) {
		mb->n_dirty += (s->flags & (SLOT_NO_UID | SLOT_DIRTY)) != 0;
		mb->n_expunge += (s->flags & SLOT_EXPUNGE) != 0;
	}
}

/* Records that nobody shows any more. */
static void
purge(struct mailbox *m)
{
	size_t n = 0;

	if (m->n_expunged == 0 || !mailbox_is_all_told(m))
		return;
	for (size_t i = 0; i < m->recs.n; i++)
		if (m->recs.v[i].state != REC_EXPUNGED)
			m->recs.v[n++] = m->recs.v[i];
	m->recs.n = n;
	m->n_expunged = 0;
}

/* ---- flags from the file --------------------------------------------------- */

static int
by_number(const void *a, const void *b)
{
	return *(const uint16_t *)a - *(const uint16_t *)b;
}

/* Names that the base does not list mean nothing (formats.md 6.7). */
static void
read_keywords(const struct mailbox *m, struct str list, struct mbox_flags *out)
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

static bool
take_flags(struct mailbox *m, struct msg_rec *r, const struct mbox_flags *f)
{
	uint32_t more = r->more;
	bool changed;

	changed = r->system != f->system || r->keywords != f->keywords;
	r->system = f->system;
	r->keywords = f->keywords;
	mailbox_set_more(m, r, f->more, f->n_more);
	return changed || r->more != more;
}

static void
learn_keywords(struct mailbox *m, struct str list)
{
	struct str name;
	size_t number;

	while (mbox_keyword_next(&list, &name))
		if (name.n <= 255 && m->keywords.n < KEYWORDS_MAX &&
		    !mailbox_keyword_find(m, name, &number))
			mailbox_set_keyword(m, m->keywords.n, name);
}

/* ---- matching -------------------------------------------------------------- */

/* A message that we know, by its content. */
struct known {
	uint64_t hash;
	uint32_t uid;
};

struct reading {
	struct mailbox *m;
	VEC(struct mbox_slot) slots;
	VEC(struct known) known; /* sorted by hash, then UID */
	struct mbox_slot pseudo;
	bool has_pseudo, has_base, is_first, is_tail, was_known;
	bool order_broken;
	bool is_blind; /* what the records' messages were is not known */
	uint32_t blind_uid; /* the last that was found so */
	uint32_t n_moved;
	uint32_t disk_last_uid, uidvalidity;
	uint64_t last_uid_at;
	uint32_t floor; /* no new message is below */
	uint32_t prev; /* X-UID of the message before */
	size_t first_new; /* index of records made in this reading */
};

static int
by_hash(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

static void
remember_known(struct reading *r)
{
	const struct mbox *mb = mbox_of(r->m);

	VEC_EACH(&mb->slots, s)
		*VEC_ADD(&r->known) = (struct known){s->hash, s->uid};
	if (r->known.n > 1)
		qsort(r->known.v, r->known.n, sizeof(*r->known.v), by_hash);
}

static struct msg_rec *
live_unseen(struct reading *r, uint32_t uid)
{
	struct msg_rec *rec = uid == 0 ? NULL : mailbox_rec(r->m, uid);

	return rec != NULL && rec->state == REC_LIVE && !(rec->own & OWN_SEEN)
	    ? rec
	    : NULL;
}

static const struct mbox_slot *
known_slot(const struct mailbox *m, const struct msg_rec *rec)
{
	return rec->info < mbox_of(m)->slots.n ? mbox_slot_of(m, rec) : NULL;
}

/* The next record that no message of the file may claim by its X-UID. */
static struct msg_rec *
match_order(struct reading *r)
{
	uint32_t uid = r->blind_uid;

	if (r->has_base && uid < r->disk_last_uid)
		uid = r->disk_last_uid;
	if (uid == UINT32_MAX || !set32_next(&r->m->live, uid + 1, &uid))
		return NULL;
	r->blind_uid = uid;
	return live_unseen(r, uid);
}

static struct msg_rec *
match_content(struct reading *r, uint64_t hash)
{
	size_t lo = 0, hi = r->known.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (r->known.v[mid].hash < hash)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < r->known.n && r->known.v[lo].hash == hash; lo++) {
		struct msg_rec *rec = live_unseen(r, r->known.v[lo].uid);

		if (rec != NULL)
			return rec;
	}
	return NULL;
}

/* May a new message have the UID that it says? */
static bool
is_believed(const struct reading *r, uint32_t uid)
{
	if (uid == 0 || !r->has_base || r->order_broken || uid <= r->prev)
		return false;
	if (r->was_known)
		return uid >= r->floor &&
		    (uid == r->m->uidnext || uid <= r->disk_last_uid);
	return uid <= r->m->uidnext;
}

/*
 * The record of a message that we know, or NULL. With X-UID, also when its
 * headers have been changed, unless it stands among mail that has just come. By
 * its content only if no other process has given it another UID: it was moved
 * away and back.
 */
static struct msg_rec *
match(struct reading *r, const struct mbox_msg *msg)
{
	const struct mbox_slot *slot;
	struct msg_rec *rec;

	/* All that we know lie before the tail. */
	if (!r->was_known || r->is_tail)
		return NULL;
	rec = live_unseen(r, msg->state.uid);
	if (rec == NULL && r->is_blind && msg->state.uid == 0)
		return match_order(r);
	slot = rec == NULL ? NULL : known_slot(r->m, rec);
	if (slot != NULL && slot->hash == msg->state.hash)
		return rec;
	if (rec != NULL && r->has_base && msg->state.uid > r->prev)
		return rec;
	if (is_believed(r, msg->state.uid))
		return NULL;
	return match_content(r, msg->state.hash);
}

static int
give_uid(struct reading *r, uint32_t claimed, uint32_t *out, struct err *e)
{
	struct mailbox *m = r->m;

	if (is_believed(r, claimed)) {
		*out = claimed;
	} else {
		/* Those behind it would stand below it. */
		r->order_broken =
		    r->order_broken || (claimed != 0 && claimed <= r->prev);
		*out = m->uidnext;
		if (!r->was_known && claimed != 0 && *out <= r->prev)
			r->order_broken = true;
	}
	if (m->recs.n > 0 && *out <= m->recs.v[m->recs.n - 1].uid)
		*out = m->uidnext;
	if (*out >= UINT32_MAX - 1)
		return err_set(e, ERR_LIMIT, "%s: no UID left", m->name);
	if (*out >= m->uidnext)
		m->uidnext = *out + 1;
	return 0;
}

/* ---- one message ----------------------------------------------------------- */

static uint32_t
clamp32(uint64_t v)
{
	return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

static struct mbox_slot
slot_of_msg(const struct mbox_msg *msg)
{
	return (struct mbox_slot){
	    .off = msg->off,
	    .hash = msg->state.hash,
	    .size = msg->size,
	    .sum = msg->sum,
	    .raw = msg->raw,
	    .bare = clamp32(msg->wire_size - msg->size),
	    .date_s = clamp32(msg->date_s < 0 ? 0 : (uint64_t)msg->date_s),
	    .head_len = msg->head_len,
	    .from_len = (uint16_t)msg->from_len,
	    .flags = (uint16_t)((msg->state.is_old ? SLOT_OLD : 0) |
		(msg->crlf ? SLOT_CRLF : 0)),
	};
}

/* X-IMAPbase or X-IMAP of the first message. */
static void
take_base(struct reading *r, const struct mbox_msg *msg)
{
	const struct mbox_state *st = &msg->state;

	r->is_first = false;
	if (!st->has_base)
		return;
	r->has_base = true;
	r->uidvalidity = st->uidvalidity;
	r->disk_last_uid = st->last_uid;
	r->last_uid_at =
	    st->last_uid_fixed ? msg->off + msg->from_len + st->last_uid_at : 0;
	learn_keywords(r->m, st->base_keywords);
	if (r->m->uidvalidity == 0)
		r->m->uidvalidity = st->uidvalidity;
	if (r->m->uidvalidity == st->uidvalidity &&
	    st->last_uid >= r->m->uidnext)
		r->m->uidnext = st->last_uid + 1;
	if (st->is_pseudo) {
		r->has_pseudo = true;
		r->pseudo = slot_of_msg(msg);
	}
}

static bool
is_stranger(const struct reading *r, const struct mbox_msg *msg, uint32_t uid)
{
	const struct mbox *mb = mbox_of(r->m);

	return r->is_tail && mb->is_inbox && !mb->is_own_tail &&
	    msg->state.uid != uid;
}

/* What the index has of a message that is not what it was. */
static void
note_change(
    struct reading *r, const struct mbox_slot *old, const struct mbox_slot *new)
{
	if (old->sum != new->sum)
		derived_forget_facts(r->m, new->uid);
	if (old->off == new->off && old->sum == new->sum &&
	    old->raw == new->raw && old->flags == new->flags)
		return;
	if (r->n_moved++ < MOVED_MAX)
		derived_note_side(r->m, new->uid);
}

/* The one before the tail: only to be compared. */
static void
take_known(struct reading *r, const struct mbox_msg *msg)
{
	struct mbox_slot *slot = VEC_ADD(&r->slots);

	*slot = slot_of_msg(msg);
	slot->uid = msg->state.uid;
	if (msg->state.uid != 0)
		r->prev = msg->state.uid;
}

static int
take_msg(struct reading *r, const struct mbox_msg *msg, struct err *e)
{
	struct mailbox *m = r->m;
	struct mbox_slot *slot, old = {0};
	struct mbox_flags f = {.system = msg->state.flags};
	struct msg_rec *rec;
	bool is_new;
	uint32_t uid;

	if (r->is_tail && r->slots.n == 0) {
		take_known(r, msg);
		return 0;
	}
	if (r->is_first)
		take_base(r, msg);
	if (r->has_pseudo && msg->off == r->pseudo.off)
		return 0;
	rec = match(r, msg);
	is_new = rec == NULL;
	if (is_new) {
		if (give_uid(r, msg->state.uid, &uid, e) == -1)
			return -1;
		rec = mailbox_add_rec(m, uid);
		rec->state = REC_WAITING;
	} else {
		uid = rec->uid;
		if (known_slot(m, rec) != NULL)
			old = *mbox_slot_of(m, rec);
	}
	rec->own |= OWN_SEEN;
	slot = VEC_ADD(&r->slots);
	*slot = slot_of_msg(msg);
	slot->uid = uid;
	if (msg->state.uid != 0)
		r->prev = msg->state.uid;
	if (msg->state.uid != uid || !r->has_base)
		slot->flags |= SLOT_NO_UID;
	read_keywords(m, msg->state.keywords, &f);
	if (is_new && is_stranger(r, msg, uid)) {
		slot->flags &= (uint16_t)~SLOT_OLD;
		f = (struct mbox_flags){0};
	}
	slot->flags |=
	    old.flags & (SLOT_DIRTY | SLOT_EXPUNGE | SLOT_IF_DELETED);
	if (!is_new)
		note_change(r, &old, slot);
	if (old.flags & SLOT_DIRTY)
		mbox_was_merge(m, rec, &f);
	if (take_flags(m, rec, &f) && !is_new)
		mailbox_note_flags(m, rec, NULL);
	return 0;
}

/* ---- reading --------------------------------------------------------------- */

static int
scan(struct reading *r, uint64_t from, uint64_t size, uint64_t *end,
    struct err *e)
{
	struct mbox *mb = mbox_of(r->m);
	struct mbox_scan s;
	struct mbox_msg msg;
	bool found;
	int rc;

	mbox_scan_init(&s, mbox_read_fd, &mb->fd, size, from);
	while ((rc = mbox_scan_next(&s, &msg, &found, e)) == 0 && found) {
		rc = take_msg(r, &msg, e);
		if (rc == -1)
			break;
		spool_lock_keep(&mb->dot);
	}
	*end = s.next;
	mbox_scan_done(&s);
	return rc == -1 ? err_in(e, "%s", mb->path) : rc;
}

/* A reading that failed has changed nothing but flags. */
static void
forget(struct reading *r)
{
	struct mailbox *m = r->m;

	while (m->recs.n > 0 && m->recs.v[m->recs.n - 1].state == REC_WAITING)
		m->recs.n--;
	/* Nobody was told of the UIDs that it gave. */
	m->uidnext = r->floor;
	VEC_EACH(&m->recs, rec)
		rec->own &= (uint8_t)~OWN_SEEN & 0x3f;
}

static void
adopt_slots(struct reading *r)
{
	struct mbox *mb = mbox_of(r->m);

	if (r->is_tail) {
		/* The first is one that we know. */
		for (size_t i = 1; i < r->slots.n; i++) {
			const struct mbox_slot *s = &r->slots.v[i];

			*VEC_ADD(&mb->slots) = *s;
			mb->n_dirty += (s->flags & SLOT_NO_UID) != 0;
		}
	} else {
		VEC_DONE(&mb->slots);
		mb->slots.v = r->slots.v;
		mb->slots.n = r->slots.n;
		mb->slots.size = r->slots.size;
		r->slots.v = NULL;
		r->slots.n = r->slots.size = 0;
		mb->has_base = r->has_base;
		mb->has_pseudo = r->has_pseudo;
		mb->pseudo = r->pseudo;
		mb->disk_last_uid = r->disk_last_uid;
		mb->last_uid_at = r->last_uid_at;
		mbox_count_dirty(mb);
	}
}

/* Tells what has come and gone. */
static void
settle(struct reading *r)
{
	struct mailbox *m = r->m;
	struct mbox *mb = mbox_of(m);
	size_t first = r->is_tail ? mb->slots.n : 0;

	if (!r->is_tail)
		VEC_EACH(&m->recs, rec)
			if (rec->state == REC_LIVE && !(rec->own & OWN_SEEN))
				mailbox_note_expunged(m, rec);
	adopt_slots(r);
	for (size_t i = first; i < mb->slots.n; i++) {
		struct mbox_slot *s = &mb->slots.v[i];
		struct msg_rec *rec = mailbox_rec(m, s->uid);

		rec->info = (uint32_t)i;
		rec->own &= (uint8_t)~OWN_SEEN & 0x3f;
		if (rec->state == REC_WAITING)
			mailbox_note_new(m, rec, !(s->flags & SLOT_OLD));
	}
	if (r->n_moved > MOVED_MAX)
		derived_note_sides(m);
	derived_note_state(m);
}

static int
check_identity(struct reading *r, struct err *e)
{
	struct mailbox *m = r->m;

	if (!r->has_base || r->uidvalidity == m->uidvalidity)
		return 0;
	m->is_gone = true;
	return err_set(e, ERR_GONE, "%s: UIDVALIDITY changed", m->name);
}

/* Is it the message that we know, at the same place? */
static bool
is_same(const struct mbox_slot *now, const struct mbox_slot *was)
{
	return now->sum == was->sum && now->hash == was->hash &&
	    now->head_len == was->head_len && now->from_len == was->from_len &&
	    (now->uid == was->uid ||
		(now->uid == 0 && was->flags & SLOT_NO_UID));
}

/* Reads from the last message that we know on; -1: it is not there. */
static int
read_tail(struct mailbox *m, const struct mbox_slot *last, uint32_t before,
    uint64_t size, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	struct reading r = {
	    .m = m,
	    .was_known = true,
	    .is_tail = true,
	    .has_base = mb->has_base,
	    .disk_last_uid = mb->disk_last_uid,
	    .uidvalidity = m->uidvalidity,
	    .prev = before,
	    .floor = m->uidnext,
	};
	uint64_t end;
	int rc;

	rc = scan(&r, last->off, size, &end, e);
	if (rc == 0 && (r.slots.n == 0 || !is_same(&r.slots.v[0], last)))
		rc = err_set(e, ERR_CORRUPT, "rewritten");
	if (rc == 0) {
		settle(&r);
		mb->end = end;
	} else {
		forget(&r);
	}
	VEC_DONE(&r.slots);
	VEC_DONE(&r.known);
	return rc;
}

static int
read_whole(struct mailbox *m, uint64_t size, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	struct reading r = {
	    .m = m,
	    .is_first = true,
	    .floor = m->uidnext,
	    .was_known = mb->stamp.ino != 0 || mb->slots.n > 0,
	    .is_blind = mb->slots.n == 0 && m->recs.n > 0,
	};
	uint64_t end;
	int rc;

	remember_known(&r);
	rc = scan(&r, 0, size, &end, e);
	if (rc == 0)
		rc = check_identity(&r, e);
	if (rc == 0) {
		settle(&r);
		mb->end = end;
	} else {
		forget(&r);
	}
	VEC_DONE(&r.slots);
	VEC_DONE(&r.known);
	return rc;
}

/* ---- flags alone ----------------------------------------------------------- */

struct headers {
	struct mailbox *m;
	struct buf window; /* of the file */
	uint64_t off;
};

/* A message's From_ line and header, at most MBOX_HEADER_MAX of that. */
static int
look_header(struct headers *h, const struct mbox_slot *s, struct str *from,
    struct str *header, struct err *e)
{
	const struct mbox *mb = mbox_of(h->m);
	size_t n = s->from_len +
	    (s->head_len < MBOX_HEADER_MAX ? s->head_len : MBOX_HEADER_MAX);
	size_t want = n > HEADERS_PIECE ? n : HEADERS_PIECE, got;

	if (s->off < h->off || s->off + n > h->off + h->window.n) {
		buf_clear(&h->window);
		h->off = s->off;
		if (file_read_at(mb->fd, s->off, buf_room(&h->window, want),
			want, &got, e) == -1)
			return -1;
		h->window.n = got;
	}
	*from = str_head(
	    str_skip(buf_str(&h->window), (size_t)(s->off - h->off)), n);
	*header = str_skip(*from, s->from_len);
	if (from->n == n)
		return 0;
	return err_set(e, ERR_CORRUPT, "rewritten");
}

static int
read_one_header(struct headers *h, size_t i, struct err *e)
{
	struct mailbox *m = h->m;
	struct mbox *mb = mbox_of(m);
	struct mbox_slot *s = &mb->slots.v[i];
	struct msg_rec *rec;
	struct mbox_flags f = {0};
	struct mbox_state st;
	struct str from, header;

	if (look_header(h, s, &from, &header, e) == -1)
		return -1;
	if (s->raw != 0 && mbox_header_sum(header) == s->raw &&
	    str_starts(from, STR("From ")))
		return 0;
	mbox_state_parse(header, &st);
	if (st.hash != s->hash || !str_starts(from, STR("From ")) ||
	    (st.uid != s->uid && !(s->flags & SLOT_NO_UID)))
		return err_set(e, ERR_CORRUPT, "rewritten");
	if (i == 0 && !mb->has_pseudo)
		learn_keywords(m, st.base_keywords);
	s->raw = mbox_header_sum(header);
	s->flags |= st.is_old ? SLOT_OLD : 0;
	derived_note_side(m, s->uid);
	rec = mailbox_rec(m, s->uid);
	f.system = st.flags;
	read_keywords(m, st.keywords, &f);
	if (s->flags & SLOT_DIRTY)
		mbox_was_merge(m, rec, &f);
	if (take_flags(m, rec, &f))
		mailbox_note_flags(m, rec, NULL);
	return 0;
}

/*
 * Flags of messages that we know may have changed while others came. Reads
 * their headers, where they are. -1: they are not there any more.
 */
static int
read_headers(struct mailbox *m, struct err *e)
{
	struct headers h = {.m = m};
	int rc = 0;

	buf_init(&h.window, MBOX_HEADER_MAX + MBOX_FROM_MAX + HEADERS_PIECE);
	for (size_t i = 0; i < mbox_of(m)->slots.n && rc == 0; i++)
		rc = read_one_header(&h, i, e);
	buf_done(&h.window);
	return rc;
}

/* There is no file: an INBOX to which nothing has come, or a removed one. */
static int
read_nothing(struct mailbox *m, struct err *e)
{
	struct mbox *mb = mbox_of(m);

	if (!mb->is_inbox) {
		m->is_gone = true;
		return err_set(e, ERR_NOT_FOUND, "%s: file is gone", m->name);
	}
	if (mailbox_load(m, e) == -1)
		return -1;
	VEC_EACH(&m->recs, rec)
		if (rec->state == REC_LIVE)
			mailbox_note_expunged(m, rec);
	m->unsure_top = 0;
	mb->slots.n = 0;
	mb->end = 0;
	mb->has_base = mb->has_pseudo = false;
	mb->n_dirty = mb->n_expunge = 0;
	mbox_take_stamp(m);
	return 0;
}

/* Changed so shortly before we read it that more may have come unseen. */
static bool
is_racy(const struct mbox *mb)
{
	int64_t changed_us = mbox_changed_us(&mb->stamp);

	return mb->stamp.size <= RACY_SIZE_MAX &&
	    mb->scanned_us - changed_us < MBOX_RACY_US &&
	    mb->scanned_us >= changed_us &&
	    clock_wall_us() - changed_us >= MBOX_RACY_US;
}

static bool
has_changed(const struct mbox *mb)
{
	struct file_stamp now;

	if (!file_stamp_at(mb->dirfd, mb->name, &now))
		return true;
	if (!mbox_stamp_eq(&now, &mb->stamp))
		return true;
	return now.ino != 0 && is_racy(mb);
}

uint32_t
mbox_new_uidvalidity(void)
{
	static uint32_t last;
	uint32_t now = (uint32_t)clock_wall_s();

	last = now > last ? now : last + 1;
	return last;
}

/* A UIDVALIDITY for a file that has none. */
static void
begin_identity(struct mailbox *m)
{
	if (m->uidvalidity == 0)
		m->uidvalidity = mbox_new_uidvalidity();
}

/* Has it only become longer since, as far as its stamp tells? */
static bool
has_grown(const struct mbox *mb, const struct stat *st)
{
	return (st->st_size > WHOLE_BYTES || mb->is_own_tail) &&
	    st->st_ino == mb->stamp.ino && st->st_dev == mb->stamp.dev &&
	    st->st_size > mb->stamp.size && (uint64_t)st->st_size > mb->end;
}

int
mbox_sync_locked(struct mailbox *m, enum sync_how how, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	struct mbox_slot last;
	struct stat st;
	uint32_t before, top;
	int rc = -1;

	if (m->uidnext == 0)
		m->uidnext = 1;
	top = m->uidnext - 1;
	if (mb->fd == -1) {
		rc = read_nothing(m, e);
		begin_identity(m);
		return rc;
	}
	if (fstat(mb->fd, &st) == -1)
		return err_sys(e, "fstat %s", mb->path);
	m->is_read_only = !mb->can_write;
	if (how != SYNC_FORCE && has_grown(mb, &st) &&
	    mbox_last_slot(m, &last, &before))
		rc = read_tail(m, &last, before, (uint64_t)st.st_size, e);
	if (rc == 0 && !mb->is_own_tail)
		m->unsure_top = top;
	else if (rc == -1 && mailbox_load(m, e) == 0 &&
	    (rc = read_whole(m, (uint64_t)st.st_size, e)) == 0)
		m->unsure_top = 0;
	if (rc == -1)
		return -1;
	begin_identity(m);
	mbox_take_stamp(m);
	purge(m);
	return 0;
}

int
mbox_freshen(struct mailbox *m, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	int rc;

	if (mbox_lock(m, false, MBOX_WAIT_BUSY_MS, e) == -1)
		return e->code == ERR_IN_USE ? 0 : -1;
	m->unsure_top = 0;
	rc = mailbox_load(m, e);
	if (rc == 0 &&
	    (mb->fd == -1 || mb->stamp.ino == MBOX_NO_STAMP ||
		read_headers(m, e) == -1))
		rc = mbox_sync_locked(m, SYNC_FORCE, e);
	mbox_unlock(m);
	return rc;
}

/* What can not be written now will be later. */
static void
say_uids(struct mailbox *m)
{
	struct err ignored;

	if (mbox_has_unsaid_uids(m))
		(void)mbox_write(m, false, 0, &ignored);
}

int
mbox_sync(struct mailbox *m, enum sync_how how, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	bool is_first = m->uidvalidity == 0;
	int rc;

	if (m->is_gone)
		return err_set(e, ERR_GONE, "%s: mailbox removed", m->name);
	if (!list_is_empty(&m->views))
		(void)mbox_watch(m, true);
	if (m->store->hub != NULL)
		watch_drain(m->store->hub);
	mb->is_dirty = false;
	if (!is_first && how == SYNC_NORMAL && !has_changed(mb)) {
		say_uids(m);
		purge(m);
		return 0;
	}
	if (mbox_lock(m, false,
		is_first ? MBOX_WAIT_READ_MS : MBOX_WAIT_BUSY_MS, e) == -1) {
		if (e->code != ERR_IN_USE || is_first)
			return -1;
		/* Somebody is writing: look again soon. */
		mb->is_dirty = true;
		notify_within(m->store, RETRY_MS);
		return 0;
	}
	if (mb->fd != -1 && mb->can_write &&
	    mbox_shift_is_pending(&mb->shift)) {
		/* Half a change lies there; who may write finishes it. */
		mbox_unlock(m);
		if (mbox_lock(m, true, MBOX_WAIT_READ_MS, e) == -1)
			return -1;
	}
	rc = mbox_sync_locked(m, how, e);
	mbox_unlock(m);
	if (rc == 0)
		say_uids(m);
	return rc;
}

int
mbox_reload_base(struct mailbox *m, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	const struct mbox_slot *slot = mb->has_pseudo ? &mb->pseudo
	    : mb->slots.n > 0                         ? &mb->slots.v[0]
						      : NULL;
	struct mbox_state st;
	size_t n, got;
	char *p;
	int rc;

	mb->has_base = false;
	mb->last_uid_at = 0;
	if (slot == NULL)
		return 0;
	n = slot->head_len < MBOX_HEADER_MAX ? slot->head_len : MBOX_HEADER_MAX;
	p = mem_new(1, n + 1);
	rc = file_read_at(mb->fd, slot->off + slot->from_len, p, n, &got, e);
	mbox_state_parse(str_make(p, rc == 0 ? got : 0), &st);
	free(p);
	if (rc == -1)
		return -1;
	mb->has_base = st.has_base;
	mb->disk_last_uid = st.last_uid;
	if (st.has_base && st.last_uid_fixed)
		mb->last_uid_at = slot->off + slot->from_len + st.last_uid_at;
	return 0;
}

bool
mbox_may_have_news(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);

	if (m->store->hub != NULL)
		watch_drain(m->store->hub);
	return mb->is_dirty || has_changed(mb);
}

/* ---- events ---------------------------------------------------------------- */

static void
on_change(void *arg, uint32_t mask, uint32_t cookie, struct str name)
{
	struct mailbox *m = arg;
	struct mbox *mb = mbox_of(m);

	(void)cookie;
	if (name.n > 0 && !str_eq(name, str_of(mb->name)))
		return;
	if (mask & IN_IGNORED)
		watch_remove(&mb->watch);
	if (!(mask & (IN_IGNORED | IN_Q_OVERFLOW)) && !has_changed(mb))
		return;
	mb->is_dirty = true;
	mailbox_note_news(m);
}

bool
mbox_watch(struct mailbox *m, bool on)
{
	const uint32_t mask = IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB |
	    IN_MOVE_SELF | IN_DELETE_SELF;
	const uint32_t dir_mask = IN_CREATE | IN_MOVED_TO;
	struct mbox *mb = mbox_of(m);
	char dir[PATH_MAX];
	struct err e;

	if (!on || m->store->hub == NULL || mb->watch_failed)
		return false;
	if (mb->watch_dir == NULL) {
		(void)snprintf(dir, sizeof(dir), "%.*s",
		    (int)(mb->name - mb->path), mb->path);
		if (watch_add(m->store->hub, dir, dir_mask, on_change, m,
			&mb->watch_dir, &e) == -1) {
			mb->watch_failed = true;
			return false;
		}
	}
	if (mb->watch == NULL) {
		mb->watched_us = clock_wall_us();
		if (watch_add(m->store->hub, mb->path, mask, on_change, m,
			&mb->watch, &e) == -1)
			mb->watch = NULL;
		mb->is_dirty = mb->is_dirty || has_changed(mb);
	}
	return true;
}
