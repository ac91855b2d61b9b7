/* SPDX-License-Identifier: ISC */
/*
 * mbox_remove.c - takes messages out of an mbox file, in steps.
 *
 * Owns:    the messages that are marked to go.
 * Runs in: imapd, pop3d, as the mail user, who holds the write lock.
 * Trusts:  no slot before the file was looked at below the lock.
 * Spec:    formats.md 7.4; security.md 7.3.
 *
 *	PLAN --> MOVE --some stay--> done
 *	         MOVE --all went: the hidden message is there--> LOOK --> done
 */
#include <stdlib.h>

#include "base/clock.h"
#include "store/mbox/mbox_impl.h"

struct mbox_removal {
	struct mbox_writing w;
	enum { REMOVE_PLAN, REMOVE_MOVE, REMOVE_LOOK } phase;
	bool all;
	bool is_with; /* what w had planned is done, too */
	struct buf pseudo;
};

static uint64_t
end_of(const struct mbox *mb, size_t i)
{
	return i + 1 < mb->slots.n ? mb->slots.v[i + 1].off : mb->end;
}

void
mbox_mark_going(struct mbox *mb)
{
	VEC_EACH(&mb->slots, s) {
		s->flags &= (uint16_t)~SLOT_GOING;
		if (s->flags & SLOT_EXPUNGE)
			s->flags |= SLOT_GOING;
	}
}

static void
add_edit(struct mbox_writing *w, struct mbox_edit ed)
{
	*VEC_ADD(&w->edits) = ed;
}

/* All that goes, among the edits of `before`, which ascend. */
static void
add_removals(
    struct mbox_writing *w, const struct mbox_edit *before, size_t n_before)
{
	const struct mbox *mb = mbox_of(w->m);
	size_t k = 0;

	for (size_t i = 0; i < mb->slots.n; i++) {
		const struct mbox_slot *s = &mb->slots.v[i];
		struct mbox_edit *last;

		if (!(s->flags & SLOT_GOING))
			continue;
		/* Of a message before it, if only just before. */
		while (k < n_before && before[k].off <= s->off)
			add_edit(w, before[k++]);
		last = w->edits.n > 0 ? &w->edits.v[w->edits.n - 1] : NULL;
		if (last != NULL && last->ins.n == 0 &&
		    last->off + last->del == s->off)
			last->del += end_of(mb, i) - s->off;
		else
			add_edit(w,
			    (struct mbox_edit){
				.off = s->off,
				.del = end_of(mb, i) - s->off,
			    });
	}
	while (k < n_before)
		add_edit(w, before[k++]);
}

bool
mbox_remove_with(struct mbox_writing *w, struct mbox_removal **rp)
{
	struct mbox_edit *planned = w->edits.v;
	size_t n = w->edits.n, size = w->edits.size;
	struct mbox_removal *r;

	w->edits.v = NULL;
	w->edits.n = w->edits.size = 0;
	add_removals(w, planned, n);
	if (!mbox_shift_is_one_way(w->edits.v, w->edits.n)) {
		VEC_DONE(&w->edits);
		w->edits.v = planned;
		w->edits.n = n;
		w->edits.size = size;
		return false;
	}
	free(planned);
	r = *rp = mem_new(1, sizeof(*r));
	r->w = *w;
	r->is_with = true;
	buf_init(&r->pseudo, 8 * MBOX_HEADER_MAX);
	return true;
}

/* The new first message takes X-IMAPbase over. */
static int
add_new_base(struct mbox_writing *w, struct err *e)
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
	if (mbox_write_header(w, &mb->slots.v[first], true, false, 0, e) == -1)
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
forget_removed(struct mbox_writing *w)
{
	struct mailbox *m = w->m;
	struct mbox *mb = mbox_of(m);
	uint64_t more = 0;
	size_t n = 0, k = 0, first = SIZE_MAX;

	if (mb->has_pseudo)
		for (; k < w->edits.n &&
		     w->edits.v[k].off < mb->pseudo.off + mb->pseudo.from_len +
			     mb->pseudo.head_len + 1 &&
		     w->edits.v[k].ins.n > 0;
		     k++) {
			mb->pseudo.head_len +=
			    (uint32_t)(w->edits.v[k].ins.n - w->edits.v[k].del);
			more += w->edits.v[k].ins.n - w->edits.v[k].del;
		}
	for (size_t i = 0; i < mb->slots.n; i++) {
		struct mbox_slot s = mb->slots.v[i];
		uint64_t head_end = s.off + s.from_len + s.head_len;

		if (first > n &&
		    (s.flags & SLOT_GOING || more != 0 ||
			(k < w->edits.n && w->edits.v[k].off <= head_end)))
			first = n;
		if (s.flags & SLOT_GOING) {
			mb->n_expunge--;
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
	mbox_link_slots(m);
	mbox_note_moved(m, first < n ? first : n);
}

static int
plan(struct mailbox *m, struct mbox_removal *r, struct err *e)
{
	struct mbox *mb = mbox_of(m);

	/* An UID that goes must not come again. */
	if (mbox_write_last_uid(m, e) == -1)
		return -1;
	if (!r->is_with) {
		r->all = mb->n_expunge == mb->slots.n && !mb->has_pseudo;
		mbox_mark_going(mb);
		add_removals(&r->w, NULL, 0);
	}
	if (r->all) {
		mbox_pseudo_write(m->store, m->uidvalidity, mbox_last_uid(m),
		    r->w.base_keywords, &r->pseudo);
		r->w.edits.v[0].ins = buf_str(&r->pseudo);
	} else if (!r->is_with && add_new_base(&r->w, e) == -1) {
		return -1;
	}
	if (mbox_shift_begin(&mb->shift, r->w.edits.v, r->w.edits.n, e) == -1)
		return -1;
	mb->is_moving = true;
	r->phase = REMOVE_MOVE;
	return 0;
}

/* All bytes are where they belong. */
static int
settle(struct mailbox *m, struct mbox_removal *r, struct err *e)
{
	struct mbox *mb = mbox_of(m);

	mb->is_moving = false;
	forget_removed(&r->w);
	mbox_take_stamp(m);
	if (r->all) {
		r->phase = REMOVE_LOOK;
		return 0;
	}
	if (mbox_reload_base(m, e) == -1)
		return -1;
	if (!r->is_with)
		return 0;
	if (mb->has_base && !r->w.base_is_late)
		mb->base_is_dirty = false;
	mbox_was_sweep(m);
	return mbox_write_last_uid(m, e);
}

static enum step
advance(struct mailbox *m, struct mbox_removal *r, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	int64_t until = clock_mono_ms() + STEP_SLICE_MS;
	enum step step;

	if (r->phase == REMOVE_PLAN && plan(m, r, e) == -1)
		return STEP_FAIL;
	if (r->phase == REMOVE_LOOK)
		return mbox_look(m, SYNC_FORCE, e);
	do
		step = mbox_shift_step(&mb->shift, e);
	while (step == STEP_MORE && clock_mono_ms() < until);
	if (step == STEP_DONE && settle(m, r, e) == -1)
		step = STEP_FAIL;
	return step == STEP_DONE && r->phase == REMOVE_LOOK ? STEP_MORE : step;
}

enum step
mbox_remove_step(struct mailbox *m, struct mbox_removal **rp, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	struct mbox_removal *r = *rp;
	enum step step;

	if (r == NULL) {
		r = *rp = mem_new(1, sizeof(*r));
		mbox_writing_init(&r->w, m, false);
		buf_init(&r->pseudo, 8 * MBOX_HEADER_MAX);
	}
	step = advance(m, r, e);
	if (step == STEP_MORE)
		return step;
	if (step == STEP_FAIL) {
		/* Whatever was done of it: look again. */
		mbox_write_take_back(&r->w);
		mbox_no_stamp(m);
		mb->is_moving = false;
	}
	if (step == STEP_DONE || r->phase == REMOVE_LOOK)
		mbox_finish_write(m);
	mbox_removal_free(rp);
	return step;
}

void
mbox_removal_free(struct mbox_removal **rp)
{
	struct mbox_removal *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	mbox_writing_done(&r->w);
	buf_done(&r->pseudo);
	free(r);
}
