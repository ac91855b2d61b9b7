/* SPDX-License-Identifier: ISC */
/*
 * mbox_index.c - what of an mbox mailbox lies in the index, and when that is
 * still true.
 *
 * Owns:    the form of what it gives to derived.c: circumstances, side bytes;
 *          slots that are in the index alone.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing that comes back: a place in the file is where a message is
 *          looked for, and believed when its From_ line and header are there.
 * Spec:    formats.md 7.8; security.md 7.2.
 *
 * What was saved is true as long as the file has the same number, size and
 * times, and was not changed within the clock's granularity of being read. When
 * it has only become longer, the messages are those that they were if the last
 * one is still where it was, with the same bytes (mbox_sync.c, rule 2); their
 * flags are looked at when somebody asks for them. Anything else: the file is
 * read. What the index knows of a message is its own only as long as the sum of
 * the message is the same (index_by_content).
 *
 * A mailbox is lazy while m->lazy_top is not 0: slots and records up to that
 * UID are not here. Slots of what has come since follow them in the file.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/derived.h"
#include "store/mbox/mbox_impl.h"

#define SAVED_VERSION 1u
/* Slots that change one by one; of more all are written again. */
#define NOTED_MAX 1000

struct saved {
	uint32_t version, size;
	struct file_stamp stamp;
	int64_t scanned_us;
	uint64_t end, last_uid_at;
	struct mbox_slot pseudo, first, last;
	uint32_t before_last, disk_last_uid, n_dirty, unsure_top, n_words;
	bool has_base, has_pseudo, has_unsaid;
};

struct side {
	uint64_t off, hash, size, sum, raw;
	uint32_t bare, date_s, head_len;
	uint16_t from_len, flags;
};

/* Marks of a slot that outlive the process. */
#define FLAGS_SAVED (SLOT_NO_UID | SLOT_OLD | SLOT_CRLF)

/* ---- circumstances ------------------------------------------------------- */

bool
mbox_index_place(struct store *s, struct str name, struct buf *out)
{
	char path[PATH_MAX];
	struct err e;

	return mbox_path(s, name, path, &e) == 0 && buf_add_c(out, path);
}

bool
mbox_index_is_settled(struct mailbox *m)
{
	const struct mbox *mb = mbox_of(m);

	return mb != NULL && !m->is_opening && mb->owner == NULL &&
	    mb->n_expunge == 0 && m->uidvalidity != 0 &&
	    mb->stamp.ino != MBOX_NO_STAMP;
}

/* Nothing has happened since we looked, or there would have been an event. */
static void
look_later(struct mailbox *m, bool *again)
{
	struct mbox *mb = mbox_of(m);
	struct file_stamp now;

	if (!mbox_is_racy(&mb->stamp, mb->scanned_us) || mb->watch == NULL ||
	    mb->scanned_us < mb->watched_us)
		return;
	if (m->store->hub != NULL)
		watch_drain(m->store->hub);
	if (mb->is_dirty || mb->watch == NULL ||
	    !file_stamp_at(mb->dirfd, mb->name, &now) ||
	    !mbox_stamp_eq(&now, &mb->stamp))
		return;
	if (clock_wall_us() - mbox_changed_us(&mb->stamp) < MBOX_RACY_US)
		*again = true;
	else
		mb->scanned_us = clock_wall_us();
}

bool
mbox_index_save(struct mailbox *m, struct buf *out, bool *again)
{
	struct mbox *mb = mbox_of(m);
	struct saved s;

	/* Flags that the file does not have: only this process knows them. */
	if (mb->base_is_dirty)
		return false;
	VEC_EACH(&mb->slots, slot)
		if (slot->flags & SLOT_DIRTY)
			return false;
	look_later(m, again);
	memset(&s, 0, sizeof(s));
	s.version = SAVED_VERSION;
	s.size = sizeof(s);
	s.stamp = mb->stamp;
	s.scanned_us = mb->scanned_us;
	s.end = mb->end;
	s.last_uid_at = mb->last_uid_at;
	s.pseudo = mb->pseudo;
	if (mbox_base_slot(m) != NULL)
		s.first = *mbox_base_slot(m);
	s.n_words = (uint32_t)mb->n_words;
	if (!mbox_last_slot(m, &s.last, &s.before_last))
		s.last.uid = 0;
	s.disk_last_uid = mb->disk_last_uid;
	s.n_dirty = mb->n_dirty;
	s.has_base = mb->has_base;
	s.has_pseudo = mb->has_pseudo;
	s.unsure_top = m->unsure_top;
	s.has_unsaid = mbox_has_taken(m);
	return buf_add(out, &s, sizeof(s));
}

static bool
parse_saved(struct str bytes, struct saved *s)
{
	if (bytes.n != sizeof(*s))
		return false;
	memcpy(s, bytes.p, sizeof(*s));
	return s->version == SAVED_VERSION && s->size == sizeof(*s);
}

/* Longer than it was, and at the old end something begins. */
static bool
may_have_grown(const struct saved *s, const struct stat *st)
{
	return s->stamp.ino != 0 && st->st_ino == s->stamp.ino &&
	    st->st_dev == s->stamp.dev && st->st_size > s->stamp.size &&
	    (s->last.uid != 0 || s->has_pseudo);
}

bool
mbox_index_take(struct mailbox *m, struct str bytes)
{
	struct mbox *mb = mbox_of(m);
	struct file_stamp now = {0};
	struct saved s;
	struct stat st;
	struct err e;

	if (!parse_saved(bytes, &s) || mbox_peek(m, &e) == -1)
		return false;
	if (mb->fd != -1) {
		if (fstat(mb->fd, &st) == -1)
			return false;
		now = file_stamp_of(&st);
	} else if (!mb->is_inbox) {
		return false;
	}
	if (mbox_is_racy(&s.stamp, s.scanned_us))
		return false;
	if (!mbox_stamp_eq(&now, &s.stamp) &&
	    (mb->fd == -1 || !may_have_grown(&s, &st)))
		return false;
	mb->stamp = s.stamp;
	mb->scanned_us = s.scanned_us;
	mb->end = s.end;
	mb->last_uid_at = s.last_uid_at;
	mb->pseudo = s.pseudo;
	mb->first = s.first;
	mb->last = s.last;
	mb->n_words = s.n_words;
	mb->before_last = s.before_last;
	mb->disk_last_uid = s.disk_last_uid;
	mb->n_dirty = mb->lazy_dirty = s.n_dirty;
	mb->lazy_recent = set32_count(&m->recent);
	mb->lazy_unsaid = s.has_unsaid;
	mb->has_base = s.has_base;
	mb->has_pseudo = s.has_pseudo;
	/* As behind the delivery that has made them unsure. */
	mb->freshen_at_ms = clock_mono_ms() + mbox_tuning.freshen_ms;
	m->unsure_top = s.unsure_top;
	m->is_read_only = mb->fd != -1 && !mb->can_write;
	return true;
}

bool
mbox_index_is_true(UNUSED struct store *s, UNUSED struct str name,
    struct str place, struct str bytes)
{
	char path[PATH_MAX];
	struct file_stamp now;
	struct saved saved;

	return parse_saved(bytes, &saved) && saved.unsure_top == 0 &&
	    str_to_c(place, path, sizeof(path)) &&
	    file_stamp_at(AT_FDCWD, path, &now) && now.ino != 0 &&
	    mbox_stamp_eq(&now, &saved.stamp) &&
	    !mbox_is_racy(&saved.stamp, saved.scanned_us);
}

/* ---- records ------------------------------------------------------------- */

uint64_t
mbox_index_side(struct mailbox *m, const struct msg_rec *r, struct buf *out)
{
	const struct mbox_slot *s = mbox_slot_of(m, r);
	struct side side;

	memset(&side, 0, sizeof(side));
	side.off = s->off;
	side.hash = s->hash;
	side.size = s->size;
	side.sum = s->sum;
	side.raw = s->raw;
	side.bare = s->bare;
	side.date_s = s->date_s;
	side.head_len = s->head_len;
	side.from_len = s->from_len;
	side.flags = s->flags & FLAGS_SAVED;
	(void)buf_add(out, &side, sizeof(side));
	return s->sum;
}

static bool
slot_of_side(uint32_t uid, struct str bytes, struct mbox_slot *out)
{
	struct side side;

	if (bytes.n != sizeof(side))
		return false;
	memcpy(&side, bytes.p, sizeof(side));
	*out = (struct mbox_slot){
	    .off = side.off,
	    .hash = side.hash,
	    .size = side.size,
	    .sum = side.sum,
	    .raw = side.raw,
	    .bare = side.bare,
	    .date_s = side.date_s,
	    .head_len = side.head_len,
	    .from_len = side.from_len,
	    .flags = side.flags & FLAGS_SAVED,
	    .uid = uid,
	};
	return true;
}

void
mbox_index_facts(
    struct mailbox *m, const struct msg_rec *r, struct index_rec *out)
{
	const struct mbox_slot *s = mbox_slot_of(m, r);

	out->known |= INDEX_HAS_DATE;
	out->date_s = s->date_s;
	if (s->bare == UINT32_MAX)
		return;
	out->known |= INDEX_HAS_SIZE;
	out->size = s->size;
	out->wire_size = s->size + s->bare;
}

bool
mbox_index_is_recent(struct mailbox *m, const struct msg_rec *r)
{
	return !(mbox_slot_of(m, r)->flags & SLOT_OLD);
}

bool
mbox_index_load(struct mailbox *m, struct msg_rec *r, struct str bytes)
{
	struct mbox *mb = mbox_of(m);
	struct mbox_slot s;

	r->own = 0;
	r->info = UINT32_MAX;
	if (bytes.n == 0)
		return true; /* of a message that has vanished */
	if (!slot_of_side(r->uid, bytes, &s))
		return false;
	*VEC_ADD(&mb->loading) = s;
	return true;
}

static int
by_off(const void *a, const void *b)
{
	const struct mbox_slot *x = a, *y = b;

	return x->off < y->off ? -1 : x->off > y->off;
}

/* The slots that were loaded come before those that are here. */
static void
merge_slots(struct mbox *mb)
{
	bool is_sorted = true;

	for (size_t i = 1; i < mb->loading.n; i++)
		is_sorted = is_sorted &&
		    mb->loading.v[i - 1].off < mb->loading.v[i].off;
	if (!is_sorted)
		qsort(mb->loading.v, mb->loading.n, sizeof(*mb->loading.v),
		    by_off);
	VEC_EACH(&mb->slots, s)
		*VEC_ADD(&mb->loading) = *s;
	VEC_DONE(&mb->slots);
	mb->slots.v = mb->loading.v;
	mb->slots.n = mb->loading.n;
	mb->slots.size = mb->loading.size;
	mb->loading.v = NULL;
	mb->loading.n = mb->loading.size = 0;
}

void
mbox_index_loaded(struct mailbox *m, bool is_ours)
{
	struct mbox *mb = mbox_of(m);

	merge_slots(mb);
	mbox_link_slots(m);
	mbox_forget_lazy(mb);
	mbox_count_dirty(mb);
	/* Where they lie is what somebody else has seen: look again. */
	if (!is_ours)
		mbox_no_stamp(m);
}

void
mbox_forget_lazy(struct mbox *mb)
{
	mb->lazy_dirty = mb->lazy_recent = 0;
	mb->lazy_unsaid = false;
}

/* ---- a message that is not loaded ---------------------------------------- */

bool
mbox_find_slot(struct mailbox *m, uint32_t uid, struct mbox_slot *out)
{
	const struct msg_rec *r;
	struct index_rec ir;
	struct str side;

	if (uid <= m->lazy_top && set32_has(&m->live, uid) &&
	    derived_is_ours(m) && derived_side(m, uid, &ir, &side) &&
	    slot_of_side(uid, side, out))
		return true;
	r = mailbox_rec(m, uid);
	if (r == NULL || r->state != REC_LIVE || r->info >= mbox_of(m)->slots.n)
		return false;
	*out = *mbox_slot_of(m, r);
	return true;
}

bool
mbox_last_slot(struct mailbox *m, struct mbox_slot *out, uint32_t *before)
{
	const struct mbox *mb = mbox_of(m);
	size_t n = mb->slots.n;

	*before = 0;
	if (n == 0 && (m->lazy_top == 0 || mb->last.uid == 0))
		return false;
	*out = n > 0 ? mb->slots.v[n - 1] : mb->last;
	if (n > 1)
		*before = mb->slots.v[n - 2].uid;
	else if (m->lazy_top != 0)
		*before = n == 1 ? mb->last.uid : mb->before_last;
	return true;
}

void
mbox_note_moved(struct mailbox *m, size_t first)
{
	const struct mbox *mb = mbox_of(m);

	if (mb->slots.n - first > NOTED_MAX) {
		derived_note_sides(m);
		return;
	}
	for (size_t i = first; i < mb->slots.n; i++)
		derived_note_side(m, mb->slots.v[i].uid);
}

/* ---- without the index --------------------------------------------------- */

/*
 * The index has failed: records of what views know, which find their messages
 * again by their UIDs, or, where the file does not have these, in their order.
 */
int
mbox_reload(struct mailbox *m, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	struct set32 known;
	uint32_t uid = 1;
	enum step step;

	mb->loading.n = mb->slots.n = 0;
	m->n_expunged = 0;
	mbox_forget_lazy(mb);
	mb->n_dirty = mb->n_expunge = 0;
	mailbox_known_uids(m, &known);
	for (; set32_next(&known, uid, &uid); uid++) {
		struct msg_rec *r = mailbox_add_rec(m, uid);

		r->state = REC_LIVE;
		r->info = UINT32_MAX;
		if (!set32_has(&m->live, uid))
			mailbox_note_expunged(m, r);
		if (uid == UINT32_MAX)
			break;
	}
	set32_done(&known);
	mbox_no_stamp(m);
	/* Who is at work there looks again. */
	if (mb->owner != NULL)
		return 0;
	if (mbox_lock_now(m, &mb->loading, MBOX_READ,
		mbox_lock_ms(m, MBOX_READ), e) == -1)
		return -1;
	/* Others who give UIDs are not waited for here. */
	store_forget_wait(m->store);
	do
		step = mbox_look(m, SYNC_FORCE, e);
	while (step == STEP_MORE && !store_must_wait(m->store));
	mbox_look_end(m);
	mbox_unlock(m);
	return step == STEP_DONE ? 0 : -1;
}
