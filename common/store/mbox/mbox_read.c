/* SPDX-License-Identifier: ISC */
/*
 * mbox_read.c - from what lies in the file to records with UIDs, in steps.
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
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/derived.h"
#include "store/mbox/mbox_impl.h"

#define MOVED_MAX 1000
#define HEADERS_PIECE 2048
#define KEYWORDS_MAX 60000
#define MESSAGES_PER_LOOK 16 /* at the clock */

struct mbox_tuning mbox_tuning = {
    .whole_bytes = UINT64_C(2) * 1024 * 1024,
    .freshen_ms = 1000,
};

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

	mb->gen++;
	mb->stamp = (struct file_stamp){0};
	mb->told_at_scan = mbox_told(m);
	mb->scanned_us = clock_wall_us();
	if (mb->fd != -1 && fstat(mb->fd, &st) == 0)
		mb->stamp = file_stamp_of(&st);
}

void
mbox_no_stamp(struct mailbox *m)
{
	mbox_of(m)->stamp = (struct file_stamp){.ino = MBOX_NO_STAMP};
	mbox_of(m)->is_true = false;
}

/* The file when a reading of it was begun. */
struct mbox_begun {
	struct file_stamp stamp;
	int64_t at_us; /* on the wall */
	uint64_t told; /* as told_at_scan */
};

/* What was read without the write lock is as old as when that was begun. */
static void
take_begun_stamp(struct mbox *mb, const struct mbox_begun *begun)
{
	mb->gen++;
	mb->stamp = begun->stamp;
	mb->scanned_us = begun->at_us;
	mb->told_at_scan = begun->told;
}

bool
mbox_is_racy(const struct file_stamp *stamp, int64_t scanned_us)
{
	int64_t changed_us = mbox_changed_us(stamp);

	return stamp->ino != 0 && scanned_us - changed_us < MBOX_RACY_US &&
	    scanned_us >= changed_us;
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

void
mbox_purge(struct mailbox *m)
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

/*
 *	TAIL --it is not there--> WHOLE --> done
 *	FLAGS --rewritten--> WHOLE --> done
 */
struct mbox_reading {
	struct mailbox *m;
	enum reading_kind { READ_TAIL, READ_WHOLE, READ_FLAGS } kind;
	struct mbox_scan scan;
	bool is_scanning;
	uint64_t size; /* of the file */
	VEC(struct mbox_slot) slots;
	VEC(struct known) known; /* sorted by hash, then UID */
	struct mbox_slot pseudo;
	bool has_pseudo, has_base, is_first, is_tail, was_known;
	bool order_broken;
	bool is_all; /* keywords may mean something else: no short cuts */
	bool has_kept; /* no base in the file, but we remember it */
	bool is_blind; /* what the records' messages were is not known */
	uint32_t blind_uid; /* the last that was found so */
	uint32_t n_moved;
	struct mbox_slot last; /* of READ_TAIL: what must be there */
	uint32_t disk_last_uid, uidvalidity;
	uint64_t last_uid_at;
	uint32_t floor; /* no new message is below */
	uint32_t next; /* UID */
	uint32_t prev; /* X-UID of the message before */
	struct buf window; /* of READ_FLAGS: a piece of the file */
	uint64_t window_off;
	size_t at; /* its next slot */
	struct mbox_begun begun;
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
remember_known(struct mbox_reading *r)
{
	const struct mbox *mb = mbox_of(r->m);

	VEC_EACH(&mb->slots, s)
		*VEC_ADD(&r->known) = (struct known){s->hash, s->uid};
	if (r->known.n > 1)
		qsort(r->known.v, r->known.n, sizeof(*r->known.v), by_hash);
}

static struct msg_rec *
live_unseen(struct mbox_reading *r, uint32_t uid)
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
match_order(struct mbox_reading *r)
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
match_content(struct mbox_reading *r, uint64_t hash)
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
is_believed(const struct mbox_reading *r, uint32_t uid)
{
	if (uid == 0 || !(r->has_base || r->has_kept) || r->order_broken ||
	    uid <= r->prev)
		return false;
	if (r->was_known)
		return uid >= r->floor &&
		    (uid == r->next || uid <= r->disk_last_uid);
	return uid <= r->next;
}

/*
 * The record of a message that we know, or NULL. With X-UID, also when its
 * headers have been changed, unless it stands among mail that has just come. By
 * its content only if no other process has given it another UID: it was moved
 * away and back.
 */
static struct msg_rec *
match(struct mbox_reading *r, const struct mbox_msg *msg)
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
give_uid(struct mbox_reading *r, uint32_t claimed, uint32_t *out, struct err *e)
{
	struct mailbox *m = r->m;

	if (is_believed(r, claimed)) {
		*out = claimed;
	} else {
		/* Those behind it would stand below it. */
		r->order_broken =
		    r->order_broken || (claimed != 0 && claimed <= r->prev);
		*out = r->next;
		if (!r->was_known && claimed != 0 && *out <= r->prev)
			r->order_broken = true;
	}
	if (m->recs.n > 0 && *out <= m->recs.v[m->recs.n - 1].uid)
		*out = r->next;
	if (*out >= UINT32_MAX - 1)
		return err_set(e, ERR_LIMIT, "%s: no UID left", m->name);
	if (*out >= r->next)
		r->next = *out + 1;
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

/* Somebody has taken it away: what we remember of it holds. */
static void
take_kept(struct mbox_reading *r)
{
	const struct mbox_kept *k = mbox_kept_of(r->m);

	if (r->m->uidvalidity != 0 || k == NULL)
		return;
	r->has_kept = true;
	r->disk_last_uid = k->uidnext - 1;
	if (k->uidnext > r->next)
		r->next = k->uidnext;
}

/* X-IMAPbase or X-IMAP of the first message. */
static void
take_base(struct mbox_reading *r, const struct mbox_msg *msg)
{
	const struct mbox_state *st = &msg->state;

	r->is_first = false;
	if (!st->has_base) {
		take_kept(r);
		return;
	}
	r->has_base = true;
	r->uidvalidity = st->uidvalidity;
	r->disk_last_uid = st->last_uid;
	r->last_uid_at =
	    st->last_uid_fixed ? msg->off + msg->from_len + st->last_uid_at : 0;
	learn_keywords(r->m, st->base_keywords);
	if ((r->m->uidvalidity == 0 || r->m->uidvalidity == st->uidvalidity) &&
	    st->last_uid >= r->next)
		r->next = st->last_uid + 1;
	if (st->is_pseudo) {
		r->has_pseudo = true;
		r->pseudo = slot_of_msg(msg);
	}
}

static bool
is_stranger(
    const struct mbox_reading *r, const struct mbox_msg *msg, uint32_t uid)
{
	const struct mbox *mb = mbox_of(r->m);

	return r->is_tail && mb->is_inbox && !mb->is_own_tail &&
	    msg->state.uid != uid;
}

/* What the index has of a message that is not what it was. */
static void
note_change(struct mbox_reading *r, const struct mbox_slot *old,
    const struct mbox_slot *new)
{
	if (old->sum != new->sum)
		derived_forget_facts(r->m, new->uid);
	if (old->off == new->off && old->sum == new->sum &&
	    old->raw == new->raw &&
	    ((old->flags ^ new->flags) &
		(SLOT_NO_UID | SLOT_OLD | SLOT_CRLF)) == 0)
		return;
	if (r->n_moved++ < MOVED_MAX)
		derived_note_side(r->m, new->uid);
}

/* The one before the tail: only to be compared. */
static void
take_known(struct mbox_reading *r, const struct mbox_msg *msg)
{
	struct mbox_slot *slot = VEC_ADD(&r->slots);

	*slot = slot_of_msg(msg);
	slot->uid = msg->state.uid;
	if (msg->state.uid != 0)
		r->prev = msg->state.uid;
}

static int
take_msg(struct mbox_reading *r, const struct mbox_msg *msg, struct err *e)
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
	if (!is_new)
		note_change(r, &old, slot);
	if (old.flags & SLOT_DIRTY)
		mbox_was_merge(m, rec, &f);
	if (take_flags(m, rec, &f) && !is_new)
		mailbox_note_flags(m, rec, NULL);
	return 0;
}

/* ---- the end of a reading -------------------------------------------------- */

/* A reading that failed has changed nothing but flags. */
static void
forget(struct mbox_reading *r)
{
	struct mailbox *m = r->m;

	while (m->recs.n > 0 && m->recs.v[m->recs.n - 1].state == REC_WAITING)
		m->recs.n--;
	VEC_EACH(&m->recs, rec)
		rec->own &= (uint8_t)~OWN_SEEN & 0x3f;
}

/* What was wished for while the file was being read. */
static void
take_marks(struct mbox_reading *r)
{
	VEC_EACH(&r->slots, s) {
		struct msg_rec *rec = mailbox_rec(r->m, s->uid);

		if (rec != NULL && rec->state == REC_LIVE &&
		    known_slot(r->m, rec) != NULL)
			s->flags |= mbox_slot_of(r->m, rec)->flags &
			    (SLOT_DIRTY | SLOT_EXPUNGE | SLOT_IF_DELETED);
	}
}

static void
adopt_slots(struct mbox_reading *r)
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
		take_marks(r);
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
settle(struct mbox_reading *r)
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
	m->uidnext = r->next;
	if (r->n_moved > MOVED_MAX)
		derived_note_sides(m);
	derived_note_state(m);
}

static int
check_identity(struct mbox_reading *r, struct err *e)
{
	struct mailbox *m = r->m;

	if (!r->has_base || m->uidvalidity == 0 ||
	    r->uidvalidity == m->uidvalidity)
		return 0;
	m->is_gone = true;
	return err_set(e, ERR_GONE, "%s: UIDVALIDITY changed", m->name);
}

static void
free_reading(struct mbox *mb)
{
	struct mbox_reading *r = mb->reading;

	mb->reading = NULL;
	if (r == NULL)
		return;
	if (r->is_scanning)
		mbox_scan_done(&r->scan);
	VEC_DONE(&r->slots);
	VEC_DONE(&r->known);
	buf_done(&r->window);
	free(r);
}

/* A UIDVALIDITY for a file that has none. */
static void
begin_identity(struct mailbox *m)
{
	const struct mbox_kept *k = mbox_kept_of(m);

	if (m->uidvalidity != 0)
		return;
	m->uidvalidity = k != NULL ? k->uidvalidity : mbox_new_uidvalidity();
	if (k != NULL && k->uidnext > m->uidnext)
		m->uidnext = k->uidnext;
}

/* All was read. */
static int
finish_scan(struct mbox_reading *r, struct err *e)
{
	struct mailbox *m = r->m;

	if (!r->is_tail && check_identity(r, e) == -1)
		return -1;
	if (m->uidvalidity == 0)
		m->uidvalidity = r->uidvalidity;
	settle(r);
	mbox_of(m)->end = r->scan.next;
	return 0;
}

/* ---- X-IMAPbase ------------------------------------------------------------ */

const struct mbox_slot *
mbox_base_slot(const struct mailbox *m)
{
	const struct mbox *mb = mbox_of(m);

	if (mb->has_pseudo)
		return &mb->pseudo;
	if (m->lazy_top != 0)
		return &mb->first;
	return mb->slots.n > 0 ? &mb->slots.v[0] : NULL;
}

int
mbox_reload_base(struct mailbox *m, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	const struct mbox_slot *slot = mbox_base_slot(m);
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
	if (st.has_base)
		learn_keywords(m, st.base_keywords);
	free(p);
	if (rc == -1)
		return -1;
	mb->has_base = st.has_base && st.uidvalidity == m->uidvalidity;
	mb->disk_last_uid = st.last_uid;
	if (st.has_base && st.last_uid_fixed)
		mb->last_uid_at = slot->off + slot->from_len + st.last_uid_at;
	return 0;
}

/* False: it is not there any more. */
static bool
look_at_base(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);
	bool had_base = mb->has_base;
	struct err e;

	if (!had_base)
		return true;
	return mbox_reload_base(m, &e) == 0 && mb->has_base;
}

/* ---- reading --------------------------------------------------------------- */

/* Is the first the message that we know, at the same place? */
static bool
is_known_tail(const struct mbox_reading *r)
{
	const struct mbox_slot *now = r->slots.v, *was = &r->last;

	return r->slots.n > 0 && now->sum == was->sum &&
	    now->hash == was->hash && now->head_len == was->head_len &&
	    now->from_len == was->from_len &&
	    (now->uid == was->uid ||
		(now->uid == 0 && was->flags & SLOT_NO_UID));
}

static enum step
scan_some(struct mbox_reading *r, int64_t until_ms, struct err *e)
{
	struct mbox *mb = mbox_of(r->m);
	struct mbox_msg msg;
	bool found;

	for (unsigned n = 1;; n++) {
		if (mbox_scan_next(&r->scan, &msg, &found, e) == -1) {
			(void)err_in(e, "%s", mb->path);
			return STEP_FAIL;
		}
		if (!found)
			break;
		if (take_msg(r, &msg, e) == -1)
			return STEP_FAIL;
		if (r->is_tail && r->slots.n == 1 && !is_known_tail(r))
			break;
		if (n % MESSAGES_PER_LOOK == 0 ||
		    msg.end - msg.off > MBOX_HEADER_MAX) {
			mbox_lock_keep(r->m);
			if (clock_mono_ms() >= until_ms)
				return STEP_MORE;
		}
	}
	if (r->is_tail && !is_known_tail(r)) {
		(void)err_set(e, ERR_CORRUPT, "rewritten");
		return STEP_FAIL;
	}
	return finish_scan(r, e) == -1 ? STEP_FAIL : STEP_DONE;
}

/* From the last message that we know on. */
static void
begin_tail(
    struct mbox_reading *r, const struct mbox_slot *last, uint32_t before)
{
	const struct mbox *mb = mbox_of(r->m);

	r->is_tail = true;
	r->has_base = mb->has_base;
	r->disk_last_uid = mb->disk_last_uid;
	/* Some may have come, been numbered, and gone. */
	if (mb->has_base && mb->disk_last_uid >= r->next)
		r->next = mb->disk_last_uid + 1;
	r->uidvalidity = r->m->uidvalidity;
	r->prev = before;
	r->last = *last;
}

static struct mbox_reading *
begin_reading(struct mailbox *m, enum reading_kind kind, uint64_t size)
{
	struct mbox *mb = mbox_of(m);
	struct mbox_reading *r = mem_new(1, sizeof(*r));
	struct stat st;

	mb->reading = r;
	r->m = m;
	r->kind = kind;
	r->size = size;
	r->floor = r->next = m->uidnext;
	r->was_known = mb->stamp.ino != 0 || mb->slots.n > 0;
	r->begun.told = mbox_told(m);
	r->begun.at_us = clock_wall_us();
	if (fstat(mb->fd, &st) == 0)
		r->begun.stamp = file_stamp_of(&st);
	buf_init(&r->window, MBOX_HEADER_MAX + MBOX_FROM_MAX + HEADERS_PIECE);
	return r;
}

static void
begin_scan(struct mbox_reading *r, uint64_t off)
{
	mbox_scan_init(
	    &r->scan, mbox_read_fd, &mbox_of(r->m)->fd, r->size, off);
	r->is_scanning = true;
}

static int
begin_whole(struct mailbox *m, uint64_t size, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	struct mbox_reading *r;

	if (mailbox_load(m, e) == -1)
		return -1;
	r = begin_reading(m, READ_WHOLE, size);
	r->is_first = true;
	r->is_blind = mb->slots.n == 0 && m->recs.n > 0;
	remember_known(r);
	begin_scan(r, 0);
	return 0;
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
	size_t want = n > HEADERS_PIECE ? n : HEADERS_PIECE, got;

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

	read_keywords(m, st->keywords, &f);
	if (s->flags & SLOT_DIRTY)
		mbox_was_merge(m, rec, &f);
	if (take_flags(m, rec, &f))
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
static enum step
read_some_headers(struct mbox_reading *r, int64_t until_ms, struct err *e)
{
	const struct mbox *mb = mbox_of(r->m);

	while (r->at < mb->slots.n) {
		if (read_header(r, e) == -1)
			return STEP_FAIL;
		if (++r->at % MESSAGES_PER_LOOK == 0 &&
		    clock_mono_ms() >= until_ms)
			return STEP_MORE;
	}
	return STEP_DONE;
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
	m->unsure_top = 0;
	VEC_EACH(&m->recs, rec)
		if (rec->state == REC_LIVE)
			mailbox_note_expunged(m, rec);
	mb->slots.n = 0;
	mb->end = 0;
	mb->has_base = mb->has_pseudo = false;
	mb->n_dirty = mb->n_expunge = 0;
	mbox_take_stamp(m);
	return 0;
}

/* Flags of messages up to `top` are looked at later. */
static void
put_off_flags(struct mailbox *m, uint32_t top)
{
	struct mbox *mb = mbox_of(m);
	int64_t at_ms = clock_mono_ms() + mbox_tuning.freshen_ms;

	if (m->unsure_top == 0 && mb->freshen_at_ms < at_ms)
		mb->freshen_at_ms = at_ms;
	m->unsure_top = top;
}

static enum step
step_reading(struct mailbox *m, int64_t until_ms, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	struct mbox_reading *r = mb->reading;
	enum step step = r->kind == READ_FLAGS
	    ? read_some_headers(r, until_ms, e)
	    : scan_some(r, until_ms, e);
	enum reading_kind kind = r->kind;
	uint64_t size = r->size;
	uint32_t top = r->floor - 1;
	struct mbox_begun begun = r->begun;

	if (step == STEP_MORE)
		return step;
	if (step == STEP_FAIL && kind != READ_FLAGS)
		forget(r);
	free_reading(mb);
	if (step == STEP_FAIL && kind != READ_WHOLE)
		return begin_whole(m, size, e) == -1 ? STEP_FAIL : STEP_MORE;
	if (step == STEP_FAIL)
		return step;
	if (kind == READ_WHOLE)
		mb->n_words = m->keywords.n;
	if (kind != READ_TAIL)
		m->unsure_top = 0;
	else if (!mb->is_own_tail)
		put_off_flags(m, top);
	if (kind == READ_FLAGS)
		return step;
	begin_identity(m);
	if (mb->is_exclusive)
		mbox_take_stamp(m);
	else
		take_begun_stamp(mb, &begun);
	mbox_purge(m);
	return step;
}

/* Has it grown behind what we know, as far as its stamp tells? */
static bool
has_grown(const struct mbox *mb, const struct stat *st)
{
	return ((uint64_t)st->st_size > mbox_tuning.whole_bytes ||
		   mb->is_own_tail) &&
	    st->st_ino == mb->stamp.ino && st->st_dev == mb->stamp.dev &&
	    st->st_size > mb->stamp.size && (uint64_t)st->st_size > mb->end;
}

static int
begin_look(struct mailbox *m, bool flags, enum sync_how how, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	struct mbox_reading *r;
	struct mbox_slot last;
	struct stat st;
	uint32_t before;

	if (fstat(mb->fd, &st) == -1)
		return err_sys(e, "fstat %s", mb->path);
	m->is_read_only = !mb->can_write;
	if (flags && mb->stamp.ino != MBOX_NO_STAMP && look_at_base(m)) {
		r = begin_reading(m, READ_FLAGS, (uint64_t)st.st_size);
		r->is_all = m->keywords.n != mb->n_words;
		mb->n_words = m->keywords.n;
	} else if (!flags && how != SYNC_FORCE && has_grown(mb, &st) &&
	    mbox_last_slot(m, &last, &before) &&
	    /* New mail may have keywords that are new there too. */
	    look_at_base(m)) {
		r = begin_reading(m, READ_TAIL, (uint64_t)st.st_size);
		begin_tail(r, &last, before);
		begin_scan(r, last.off);
	} else {
		return begin_whole(m, (uint64_t)st.st_size, e);
	}
	return 0;
}

static enum step
look(struct mailbox *m, bool flags, enum sync_how how, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	int64_t until = clock_mono_ms() + STEP_SLICE_MS;
	enum step step;

	if (m->uidnext == 0)
		m->uidnext = 1;
	if (mb->fd == -1) {
		free_reading(mb);
		if (read_nothing(m, e) == -1)
			return STEP_FAIL;
		begin_identity(m);
		return STEP_DONE;
	}
	if (mb->reading == NULL && begin_look(m, flags, how, e) == -1)
		return STEP_FAIL;
	do
		step = step_reading(m, until, e);
	while (step == STEP_MORE && clock_mono_ms() < until);
	mbox_lock_keep(m);
	if (step == STEP_DONE)
		mb->is_true = mb->is_exclusive;
	return step;
}

enum step
mbox_look(struct mailbox *m, enum sync_how how, struct err *e)
{
	return look(m, false, how, e);
}

enum step
mbox_look_at_flags(struct mailbox *m, struct err *e)
{
	return look(m, true, SYNC_NORMAL, e);
}

enum step
mbox_look_again(struct mailbox *m, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	enum sync_how how = SYNC_NORMAL;
	struct file_stamp now;
	struct stat st;

	if (mb->is_true && mb->stamp.ino != MBOX_NO_STAMP)
		return STEP_DONE;
	if (mb->fd != -1 && mb->reading == NULL) {
		if (fstat(mb->fd, &st) == -1) {
			(void)err_sys(e, "fstat %s", mb->path);
			return STEP_FAIL;
		}
		now = file_stamp_of(&st);
		how =
		    mbox_stamp_eq(&now, &mb->stamp) ? SYNC_FORCE : SYNC_NORMAL;
		/* Somebody whose lock does not keep readers out may have
		 * written on within the same tick of the clock. */
		if (how == SYNC_FORCE &&
		    (!mbox_is_racy(&mb->stamp, mb->scanned_us) ||
			mbox_is_quiet(m))) {
			mb->is_true = true;
			return STEP_DONE;
		}
	}
	return mbox_look(m, how, e);
}

enum step
mbox_load(struct mailbox *m, struct err *e)
{
	if (mbox_of(m)->reading == NULL && mailbox_load(m, e) == -1)
		return STEP_FAIL;
	/* The index had them otherwise than they are. */
	return mbox_of(m)->stamp.ino == MBOX_NO_STAMP ? mbox_look_again(m, e)
						      : STEP_DONE;
}

void
mbox_look_end(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);

	if (mb->reading != NULL && mb->reading->kind != READ_FLAGS)
		forget(mb->reading);
	free_reading(mb);
}

uint32_t
mbox_new_uidvalidity(void)
{
	static uint32_t last;
	uint32_t now = (uint32_t)clock_wall_s();

	last = now > last ? now : last + 1;
	return last;
}
