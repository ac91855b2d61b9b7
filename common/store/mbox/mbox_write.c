/* SPDX-License-Identifier: ISC */
/*
 * mbox_write.c - flags, keywords and UIDs of all messages that wait for it,
 * from memory to the file, in steps.
 *
 * Owns:    what of the slots is not in the file yet.
 * Runs in: imapd, pop3d, as the mail user, who holds the write lock.
 * Trusts:  no slot before mbox_header.c has looked.
 * Spec:    formats.md 6.6, 6.7, 7.3, 7.4; security.md 7.3.
 *
 *	PLAN --all written in place--> done
 *	PLAN --headers that do not fit--> MOVE --> done
 *	PLAN --only_plan--> mbox_remove.c moves it, with what goes
 *
 * What is written or planned counts as said from then on; what a session
 * changes meanwhile is unsaid again. When moving fails, the plan is taken back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/derived.h"
#include "store/mbox/mbox_impl.h"

#define PADDING 50
#define SLOTS_PER_LOOK 16 /* at the clock */

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

/* Is the last UID in the file what it is here? Not before all have theirs. */
int
mbox_write_last_uid(struct mailbox *m, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	char digits[16];
	uint32_t last = mbox_last_uid(m);

	if (!mb->has_base || mb->last_uid_at == 0 ||
	    mb->disk_last_uid >= last ||
	    (m->lazy_top != 0 && mb->lazy_dirty > 0))
		return 0;
	VEC_EACH(&mb->slots, s)
		if (s->flags & SLOT_NO_UID)
			return 0;
	mb->gen++;
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
		/* No clock that ticks gives this to who comes next. */
		if (ts[1].tv_nsec < 999999999)
			ts[1].tv_nsec++;
		ts[0] = mb->atime_before;
		if (set32_is_empty(&m->recent))
			ts[0] = ts[1];
		else if (file_time_cmp(&ts[0], &ts[1]) >= 0)
			ts[0].tv_sec = ts[1].tv_sec - 1;
		(void)futimens(mb->fd, ts);
		mb->mtime_before = ts[1];
	}
	mbox_take_stamp(m);
	/* Whoever writes within this tick sets another time: that is seen. */
	if (file_time_cmp(&mb->stamp.mtime, &mb->mtime_before) == 0)
		mb->scanned_us += MBOX_RACY_US;
}

/* Behind this little has to be moved. */
static uint64_t
eager_from(const struct mbox *mb)
{
	uint64_t bytes = mbox_tuning.eager_bytes;

	return mb->end > bytes ? mb->end - bytes : 0;
}

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

/* Which messages are to be written? */
static bool
is_wanted(const struct mailbox *m, const struct mbox_slot *s, bool all,
    bool with_uids)
{
	if (s->flags & (SLOT_EXPUNGE | SLOT_GOING))
		return false;
	if (s->flags & SLOT_DIRTY)
		return true;
	if (!all)
		return false;
	return (with_uids && s->flags & SLOT_NO_UID) ||
	    (!(s->flags & SLOT_OLD) && mbox_has_writer(m) &&
		!set32_has(&m->recent, s->uid));
}

static bool
base_is_wanted(const struct mailbox *m, bool with_uids)
{
	const struct mbox *mb = mbox_of(m);

	return with_uids &&
	    (!mb->has_base || mb->base_is_dirty ||
		(mb->last_uid_at == 0 && mb->disk_last_uid < mbox_last_uid(m)));
}

static int
begin(struct mbox_writing *w, struct err *e)
{
	struct mailbox *m = w->m;
	struct mbox *mb = mbox_of(m);

	w->is_begun = true;
	if (w->only_plan)
		mbox_mark_going(mb);
	while (w->only_plan && w->base_at + 1 < mb->slots.n &&
	    mb->slots.v[w->base_at].flags & SLOT_GOING)
		w->base_at++;
	w->with_uids =
	    w->all || mb->has_base || mb->end <= mbox_tuning.eager_bytes;
	/* The message that has it may go, and none of the UIDs may come again. */
	w->base = base_is_wanted(m, w->with_uids) ||
	    (w->only_plan &&
		((w->base_at > 0 && !mb->has_pseudo) ||
		    mb->disk_last_uid < mbox_last_uid(m)));
	w->eager = w->all ? 0 : eager_from(mb);
	if (mb->has_pseudo && w->base &&
	    mbox_write_header(w, &mb->pseudo, true, true, PADDING, e) == -1)
		return -1;
	if (w->edits.n > 0 && w->eager > 0) {
		w->edits.n = 0;
		w->base_is_late = true;
	}
	return 0;
}

/* What is said of the message from now on. */
static void
is_said(struct mbox_writing *w, struct mbox_slot *s)
{
	struct mailbox *m = w->m;
	struct mbox *mb = mbox_of(m);
	const struct msg_rec *r = mailbox_rec(m, s->uid);
	bool has_keywords = r->keywords != 0 || r->more != 0;

	/* Keywords that the base does not list are not said yet. */
	if (w->with_uids)
		mbox_unmark(mb, s, SLOT_NO_UID);
	if (!has_keywords || (w->with_uids && !w->base_is_late))
		mbox_unmark(mb, s, SLOT_DIRTY);
	if (!set32_has(&m->recent, s->uid))
		s->flags |= SLOT_OLD;
	s->raw = 0;
	derived_note_side(m, s->uid);
}

static int
write_slot(struct mbox_writing *w, size_t i, struct err *e)
{
	struct mailbox *m = w->m;
	struct mbox *mb = mbox_of(m);
	struct mbox_slot *s = &mb->slots.v[i];
	bool is_base = i == w->base_at && !mb->has_pseudo && m->lazy_top == 0;
	size_t planned = w->edits.n;

	if (!(is_base && w->base) &&
	    !is_wanted(m, s, w->all || planned > 0 || s->off >= w->eager,
		w->with_uids))
		return 0;
	if (mbox_write_header(w, s, is_base, false, PADDING, e) == -1)
		return -1;
	if (w->edits.n > planned && s->off < w->eager) {
		w->edits.n--; /* later */
		w->base_is_late = w->base_is_late || (is_base && w->base);
		return 0;
	}
	if (w->edits.n > planned)
		*VEC_ADD(&w->planned) = (struct mbox_planned){s->uid, s->flags};
	is_said(w, s);
	return 0;
}

/* The first slot behind `eager`. */
static size_t
first_eager(const struct mbox *mb, uint64_t eager)
{
	return VEC_FIND(&mb->slots, off, eager);
}

/*
 * The next slot that there may be something to write for, from w->at on: one
 * that was touched, or any one once bytes have to move anyway.
 */
static bool
next_slot(struct mbox_writing *w, size_t *i)
{
	struct mailbox *m = w->m;
	const struct mbox *mb = mbox_of(m);
	if (w->at >= mb->slots.n)
		return false;
	*i = w->at;
	if (w->all || w->edits.n > 0 || w->at == 0 ||
	    mb->slots.v[w->at].off >= w->eager)
		return true;
	*i = first_eager(mb, w->eager);
	for (size_t k = mbox_was_index(mb, mb->slots.v[w->at].uid);
	     k < mb->was.n; k++) {
		const struct msg_rec *r = mailbox_rec(m, mb->was.v[k].uid);

		if (r == NULL || r->state != REC_LIVE || r->info < w->at)
			continue;
		if (r->info < *i)
			*i = r->info;
		break;
	}
	return *i < mb->slots.n;
}

static enum step
plan(struct mbox_writing *w, int64_t until_ms, struct err *e)
{
	size_t i;

	for (unsigned n = 1; next_slot(w, &i); n++) {
		if (write_slot(w, i, e) == -1)
			return STEP_FAIL;
		w->at = i + 1;
		if (n % SLOTS_PER_LOOK == 0 && clock_mono_ms() >= until_ms) {
			mbox_lock_keep(w->m);
			return STEP_MORE;
		}
	}
	return STEP_DONE;
}

void
mbox_write_take_back(struct mbox_writing *w)
{
	struct mailbox *m = w->m;

	VEC_EACH(&w->planned, p) {
		const struct msg_rec *r = mailbox_rec(m, p->uid);

		if (r != NULL && r->state == REC_LIVE &&
		    r->info < mbox_of(m)->slots.n)
			mbox_mark(mbox_of(m), mbox_slot_of(m, r),
			    p->flags & (SLOT_NO_UID | SLOT_DIRTY));
	}
	w->planned.n = 0;
}

static int
begin_move(struct mbox_writing *w, struct err *e)
{
	struct mbox *mb = mbox_of(w->m);

	w->phase = MBOX_WRITE_MOVE;
	if (mbox_shift_begin(&mb->shift, w->edits.v, w->edits.n, e) == -1)
		return -1;
	mb->is_moving = w->edits.n > 0;
	return 0;
}

static enum step
move(struct mbox_writing *w, int64_t until_ms, struct err *e)
{
	enum step step;

	do
		step = mbox_shift_step(&mbox_of(w->m)->shift, e);
	while (step == STEP_MORE && clock_mono_ms() < until_ms);
	return step;
}

static int
finish(struct mbox_writing *w, struct err *e)
{
	struct mailbox *m = w->m;
	struct mbox *mb = mbox_of(m);

	mb->is_moving = false;
	move_slots(m, w->edits.v, w->edits.n);
	if (mbox_reload_base(m, e) == -1)
		return -1;
	if (w->with_uids && mb->has_base && !w->base_is_late)
		mb->base_is_dirty = false;
	if (mbox_write_last_uid(m, e) == -1)
		return -1;
	mbox_was_sweep(m);
	mbox_finish_write(m);
	return 0;
}

static enum step
fail(struct mbox_writing *w, const struct err *e)
{
	struct mbox *mb = mbox_of(w->m);

	mbox_write_take_back(w);
	/* Whatever was done of it: look again. */
	if (w->phase == MBOX_WRITE_MOVE || e->code == ERR_GONE) {
		mbox_no_stamp(w->m);
	}
	mb->is_moving = false;
	return STEP_FAIL;
}

/* Is there nothing to be written among the messages that are not loaded? */
static bool
is_tail_enough(const struct mailbox *m, bool all)
{
	const struct mbox *mb = mbox_of(m);

	return m->lazy_top != 0 && !all && mb->lazy_dirty == 0 &&
	    mb->has_base && mb->last_uid_at != 0 && !mb->base_is_dirty;
}

enum step
mbox_write_step(struct mbox_writing *w, struct err *e)
{
	struct mbox *mb = mbox_of(w->m);
	int64_t until = clock_mono_ms() + STEP_SLICE_MS;
	enum step step;

	if (!w->is_begun && !is_tail_enough(w->m, w->all)) {
		step = mbox_load(w->m, e);
		if (step != STEP_DONE)
			return step;
	}
	if (mb->fd == -1 || (mb->slots.n == 0 && !mb->has_pseudo))
		return STEP_DONE;
	if (!w->is_begun && begin(w, e) == -1)
		return fail(w, e);
	if (w->phase == MBOX_WRITE_PLAN) {
		step = plan(w, until, e);
		if (step == STEP_DONE && !w->only_plan &&
		    begin_move(w, e) == -1)
			step = STEP_FAIL;
		if (step != STEP_DONE || w->only_plan)
			return step == STEP_FAIL ? fail(w, e) : step;
	}
	step = move(w, until, e);
	if (step == STEP_DONE && finish(w, e) == -1)
		step = STEP_FAIL;
	return step == STEP_FAIL ? fail(w, e) : step;
}
