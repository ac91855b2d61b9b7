/* SPDX-License-Identifier: ISC */
/*
 * derived_change.c - what has changed since the index was written.
 *
 * Owns:    lists of changes, arrivals and losses in struct derived.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  its callers; what it reads of the index, nothing.
 */
#include "base/clock.h"
#include "store/derived_impl.h"
#include "store/modseq_floor.h"

void
derived_note_state(struct mailbox *m)
{
	struct derived *d = m->derived;

	if (d == NULL || d->is_dirty)
		return;
	d->is_dirty = true;
	d->changed_ms = clock_mono_ms();
	derived_arm_save(m->store);
}

static bool
is_told(const struct mailbox *m)
{
	/* Also that there are none. */
	if (m->told_modseq != 0 && m->told_modseq == m->highest_modseq)
		return true;
	for (const struct list *l = m->views.next; l != &m->views; l = l->next)
		if (LIST_OF(l, const struct view, link)->top > 0)
			return true;
	return false;
}

/* Index of the arrival that has this UID, or of the first behind it. */
static size_t
find_arrival(const struct derived *d, uint32_t uid)
{
	return VEC_FIND(&d->arrivals, last, uid);
}

const struct arrival *
derived_arrival_of(const struct derived *d, uint32_t uid)
{
	size_t i = find_arrival(d, uid);

	return i < d->arrivals.n && d->arrivals.v[i].first <= uid
	    ? &d->arrivals.v[i]
	    : NULL;
}

static void
note_arrival(struct mailbox *m, uint32_t uid)
{
	struct derived *d = m->derived;
	struct arrival *last;
	size_t i;

	if (derived_arrival_of(d, uid) != NULL)
		return;
	last = d->arrivals.n == 0 ? NULL : &d->arrivals.v[d->arrivals.n - 1];
	/* Those that come together have one, until somebody knows it. */
	if (last != NULL && last->modseq == m->highest_modseq &&
	    m->told_modseq < m->highest_modseq && last->last < UINT32_MAX &&
	    last->last + 1 == uid) {
		last->last = uid;
		return;
	}
	m->highest_modseq = modseq_next(m->store, m->highest_modseq);
	/* Nearly always behind all others. */
	i = find_arrival(d, uid);
	(void)VEC_ADD(&d->arrivals);
	memmove(&d->arrivals.v[i + 1], &d->arrivals.v[i],
	    (d->arrivals.n - 1 - i) * sizeof(*d->arrivals.v));
	d->arrivals.v[i] = (struct arrival){
	    uid, uid, (uint32_t)clock_wall_s(), m->highest_modseq};
}

void
derived_note_new(struct mailbox *m, uint32_t uid)
{
	if (m->derived == NULL)
		return;
	derived_note_state(m);
	/* Those that were there before anybody looked are no arrivals. */
	if (m->derived->is_based || is_told(m))
		note_arrival(m, uid);
}

void
derived_note_put(struct mailbox *m, uint32_t uid)
{
	if (m->derived == NULL)
		return;
	derived_note_state(m);
	note_arrival(m, uid);
}

/* Index of the change of this message, or of the first behind it. */
static size_t
find_change(const struct derived *d, uint32_t uid)
{
	return VEC_FIND(&d->changed, uid, uid);
}

/* The entry of a message, made if need be. */
static struct change *
change_of(struct derived *d, uint32_t uid)
{
	size_t i = find_change(d, uid);

	if (i < d->changed.n && d->changed.v[i].uid == uid)
		return &d->changed.v[i];
	(void)VEC_ADD(&d->changed);
	memmove(&d->changed.v[i + 1], &d->changed.v[i],
	    (d->changed.n - 1 - i) * sizeof(*d->changed.v));
	d->changed.v[i] = (struct change){.uid = uid};
	return &d->changed.v[i];
}

void
derived_note_flags(struct mailbox *m, uint32_t uid)
{
	struct derived *d = m->derived;

	m->highest_modseq = modseq_next(m->store, m->highest_modseq);
	if (d == NULL)
		return;
	change_of(d, uid)->modseq = m->highest_modseq;
	derived_note_state(m);
}

void
derived_note_side(struct mailbox *m, uint32_t uid)
{
	struct derived *d = m->derived;

	if (d == NULL || !d->is_based || uid > d->saved_top)
		return;
	(void)change_of(d, uid);
	derived_note_state(m);
}

void
derived_note_sides(struct mailbox *m)
{
	if (m->derived == NULL)
		return;
	m->derived->is_based = false;
	derived_note_state(m);
}

void
derived_note_vanished(struct mailbox *m, uint32_t uid)
{
	m->highest_modseq = modseq_next(m->store, m->highest_modseq);
	if (m->derived == NULL)
		return;
	set32_add(&m->derived->vanished, uid);
	derived_note_state(m);
}

void
derived_note_annotation(struct mailbox *m)
{
	m->highest_modseq = modseq_next(m->store, mailbox_highest_modseq(m));
	if (m->derived != NULL)
		derived_note_state(m);
}

uint64_t
derived_modseq(struct mailbox *m, uint32_t uid)
{
	struct derived *d = m->derived;
	const struct arrival *a;
	struct index_rec r;
	size_t i;

	if (d == NULL)
		return 0;
	i = find_change(d, uid);
	if (i < d->changed.n && d->changed.v[i].uid == uid &&
	    d->changed.v[i].modseq != 0)
		return d->changed.v[i].modseq;
	a = derived_arrival_of(d, uid);
	if (a != NULL)
		return a->modseq;
	if (derived_facts(m, uid, &r) && r.modseq != 0)
		return r.modseq;
	return d->base_modseq;
}

bool
derived_save_date(struct mailbox *m, uint32_t uid, int64_t *out)
{
	const struct arrival *a;
	struct index_rec r;

	if (m->derived == NULL)
		return false;
	a = derived_arrival_of(m->derived, uid);
	if (a != NULL)
		*out = a->save_s;
	else if (derived_facts(m, uid, &r) && r.known & INDEX_HAS_SAVE)
		*out = r.save_s;
	else
		return false;
	return true;
}

bool
derived_vanished(struct mailbox *m, uint64_t modseq, struct set32 *out)
{
	struct derived *d = m->derived;

	if (!derived_has_box(m))
		return false;
	for (size_t i = 0; i < d->vanished.n; i++)
		set32_add_range(
		    out, d->vanished.r[i].first, d->vanished.r[i].last);
	derived_touch(m->store);
	return modlog_vanished(
	    m->store->derived->ix, d->box, modseq, d->vanished_from, out);
}
