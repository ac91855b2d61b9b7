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
#include "store/mbox/mbox_reading.h"

#define AGREE_WAIT_MS 5000

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

	for (unsigned n = 1; !r->is_scanned; n++) {
		if (mbox_scan_next(&r->scan, &msg, &found, e) == -1) {
			(void)err_in(e, "%s", mb->path);
			return STEP_FAIL;
		}
		if (!found)
			break;
		if (mbox_take_msg(r, &msg, e) == -1)
			return STEP_FAIL;
		if (r->is_tail && !r->is_alone && r->slots.n == 1 &&
		    !is_known_tail(r))
			break;
		if (n % MBOX_MESSAGES_PER_LOOK == 0 ||
		    msg.end - msg.off > MBOX_HEADER_MAX) {
			mbox_lock_keep(r->m);
			if (clock_mono_ms() >= until_ms)
				return STEP_MORE;
		}
	}
	if (r->is_tail && !r->is_alone && !is_known_tail(r)) {
		(void)err_set(e, ERR_CORRUPT, "rewritten");
		return STEP_FAIL;
	}
	r->is_scanned = true;
	return mbox_finish_scan(r, until_ms, e);
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
	r->is_alone = mb->is_tail_alone;
	r->prev = r->is_alone ? last->uid : before;
	r->last = *last;
}

static struct mbox_reading *
begin_reading(struct mailbox *m, enum mbox_reading_kind kind, uint64_t size)
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
	buf_init(
	    &r->window, MBOX_HEADER_MAX + MBOX_FROM_MAX + MBOX_HEADERS_PIECE);
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
	mbox_remember_known(r);
	begin_scan(r, 0);
	return 0;
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

/* What was read without the write lock is as old as when that was begun. */
static void
take_begun_stamp(struct mbox *mb, const struct mbox_begun *begun)
{
	mb->gen++;
	mb->stamp = begun->stamp;
	mb->scanned_us = begun->at_us;
	mb->told_at_scan = begun->told;
}

/*
 * Who gives UIDs in another process has them under a lock, for a moment. What
 * was read meanwhile is kept; but it may have been at the first message.
 */
static enum step
wait_for_others(struct mailbox *m, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	enum step step =
	    store_lock_wait(m->store, &mb->agree_wait, AGREE_WAIT_MS, e);
	uint64_t size = mb->reading->size;

	if (step == STEP_MORE && mb->reading->is_scanned)
		return step;
	if (step == STEP_FAIL && mb->reading->is_tail && mb->is_own_tail) {
		mb->reading->is_apart = true;
		return STEP_MORE;
	}
	mbox_forget_reading(mb->reading);
	mbox_free_reading(mb);
	if (step == STEP_MORE && begin_whole(m, size, e) == -1) {
		mb->agree_wait = (struct lock_wait){0};
		return STEP_FAIL;
	}
	return step;
}

static enum step
step_reading(struct mailbox *m, int64_t until_ms, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	struct mbox_reading *r = mb->reading;
	enum step step = r->kind == READ_FLAGS
	    ? mbox_read_some_headers(r, until_ms, e)
	    : scan_some(r, until_ms, e);
	enum mbox_reading_kind kind = r->kind;
	uint64_t size = r->size;
	uint32_t top = r->floor - 1;
	struct mbox_begun begun = r->begun;

	if (step == STEP_MORE)
		return step;
	if (step == STEP_FAIL && kind != READ_FLAGS && e->code == ERR_IN_USE)
		return wait_for_others(m, e);
	mb->agree_wait = (struct lock_wait){0};
	if (step == STEP_FAIL && kind != READ_FLAGS)
		mbox_forget_reading(r);
	mbox_free_reading(mb);
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
	mbox_begin_identity(m);
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
	if (flags && mb->stamp.ino != MBOX_NO_STAMP && mbox_look_at_base(m)) {
		r = begin_reading(m, READ_FLAGS, (uint64_t)st.st_size);
		r->is_all = m->keywords.n != mb->n_words;
		mb->n_words = m->keywords.n;
	} else if (!flags && how != SYNC_FORCE && has_grown(mb, &st) &&
	    mbox_last_slot(m, &last, &before) &&
	    /* New mail may have keywords that are new there too. */
	    mbox_look_at_base(m)) {
		r = begin_reading(m, READ_TAIL, (uint64_t)st.st_size);
		begin_tail(r, &last, before);
		begin_scan(r, r->is_alone ? mb->end : last.off);
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
		mbox_free_reading(mb);
		if (read_nothing(m, e) == -1)
			return STEP_FAIL;
		mbox_begin_identity(m);
		return STEP_DONE;
	}
	if (mb->reading == NULL && begin_look(m, flags, how, e) == -1)
		return STEP_FAIL;
	do
		step = step_reading(m, until, e);
	while (step == STEP_MORE && !store_must_wait(m->store) &&
	    clock_mono_ms() < until);
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
		mbox_forget_reading(mb->reading);
	mbox_free_reading(mb);
	mb->agree_wait = (struct lock_wait){0};
}
