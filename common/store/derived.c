/* SPDX-License-Identifier: ISC */
/*
 * derived.c - what a mailbox takes from the index when it is opened.
 *
 * Owns:    struct derived.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing that it reads: a head counts when the backend finds its
 *          circumstances unchanged on disk.
 */
#include <stdlib.h>

#include "store/derived_impl.h"
#include "store/modseq_floor.h"
#include "store/object.h"

bool
derived_has_box(const struct mailbox *m)
{
	const struct derived *d = m->derived;
	const struct derived_store *ds = m->store->derived;

	return d != NULL && d->box != 0 && ds->ix != NULL &&
	    index_is_open(ds->ix) && d->epoch == index_epoch(ds->ix);
}

static struct derived *
make(struct mailbox *m, struct str place)
{
	struct derived *d = mem_new(1, sizeof(*d));

	d->place = str_to_heap(place);
	set32_init(&d->vanished);
	buf_init(&d->bytes, SIZE_MAX / 2);
	m->derived = d;
	return d;
}

static void
drop(struct mailbox *m)
{
	struct derived *d = m->derived;

	if (d == NULL)
		return;
	VEC_DONE(&d->changed);
	VEC_DONE(&d->arrivals);
	VEC_DONE(&d->facts);
	VEC_DONE(&d->slots);
	set32_done(&d->vanished);
	buf_done(&d->bytes);
	free(d->place);
	MEM_FREE(m->derived);
}

void
derived_done(struct mailbox *m)
{
	if (m->derived == NULL)
		return;
	if (!m->is_gone && !m->is_broken && m->derived->is_dirty)
		while (derived_save(m) == STEP_MORE)
			;
	if (!m->is_gone && derived_facts_wait(m->derived))
		derived_write_facts(m);
	drop(m);
}

static bool
take_head(struct mailbox *m, const struct index_head *h)
{
	struct str names = h->keywords;

	if (!index_set_parse(h->live, &m->live) ||
	    !index_set_parse(h->recents, &m->recent) ||
	    set32_count(&m->live) != h->messages)
		return false;
	m->uidvalidity = h->uidvalidity;
	m->uidnext = h->uidnext;
	memcpy(m->guid, h->guid, sizeof(m->guid));
	for (size_t i = 0; names.n > 0; i++) {
		struct str name = str_of(names.p);

		if (name.n > 0)
			mailbox_set_keyword(m, i, name);
		names = str_skip(names, name.n + 1);
	}
	if (m->live.n > 0)
		m->lazy_top = m->live.r[m->live.n - 1].last;
	m->highest_modseq = h->highest_modseq;
	return true;
}

/* Back to a mailbox of which nothing is known. */
static void
untake(struct mailbox *m)
{
	set32_clear(&m->live);
	set32_clear(&m->recent);
	VEC_EACH(&m->keywords, k)
		free(*k);
	m->keywords.n = 0;
	m->named_letters = 0;
	m->uidvalidity = m->uidnext = m->lazy_top = 0;
	m->guid[0] = '\0';
}

bool
derived_take(struct mailbox *m, struct str place)
{
	struct index *ix = derived_index(m->store);
	struct index_head h;
	struct derived *d;

	if (ix == NULL || !index_box_head(ix, place, &h))
		return false;
	derived_touch(m->store);
	if (h.backend.n == 0 || !take_head(m, &h) ||
	    !m->store->ops->index_take(m, h.backend)) {
		untake(m);
		return false;
	}
	d = make(m, place);
	d->box = h.box;
	d->epoch = index_epoch(ix);
	d->generation = h.generation;
	d->is_based = true;
	d->saved_top = m->lazy_top;
	d->base_modseq = d->taken_modseq = h.highest_modseq;
	d->vanished_from = h.vanished_from;
	d->base = (struct derived_counts){h.unseen, h.deleted, h.first_unseen};
	return true;
}

static int
put_floor(struct index *ix, void *arg, struct err *e)
{
	struct index_key k = index_key_floor();

	return index_put(ix, &k, str_make(arg, sizeof(uint64_t)), e);
}

/*
 * No mailbox of which the index knows nothing begins below that. An index that
 * has just begun takes it from the state folder, and keeps it.
 */
static uint64_t
floor_of(struct store *s, struct index *ix)
{
	struct index_key k = index_key_floor();
	struct str value;
	uint64_t floor;
	struct err e;

	if (ix == NULL)
		return modseq_floor(s);
	derived_touch(s);
	if (index_get(ix, &k, &value) && value.n == sizeof(floor)) {
		memcpy(&floor, value.p, sizeof(floor));
		return floor;
	}
	floor = modseq_floor(s);
	/* What can not be written is found again; what could not be read is
	 * none. */
	if (store_head(s)->modseq_is_read)
		(void)index_write(ix, put_floor, &floor, &e);
	return floor;
}

void
derived_attach(struct mailbox *m, struct str place)
{
	struct index *ix = derived_index(m->store);
	struct index_head h;
	struct derived *d;
	uint64_t floor;

	if (m->derived != NULL)
		return;
	floor = floor_of(m->store, ix);
	if (floor > m->highest_modseq)
		m->highest_modseq = floor;
	m->highest_modseq = modseq_next(m->store, m->highest_modseq);
	if (ix == NULL)
		return;
	d = make(m, place);
	d->epoch = index_epoch(ix);
	d->base_modseq = d->vanished_from = m->highest_modseq;
	derived_touch(m->store);
	if (!index_box_head(ix, place, &h) || h.uidvalidity != m->uidvalidity)
		return;
	/* Else it is to be seen first which messages are the same still. */
	if (!m->store->ops->index_by_content)
		d->box = h.box;
	if (h.highest_modseq > m->highest_modseq)
		m->highest_modseq = h.highest_modseq;
}

/* ---- without opening ----------------------------------------------------- */

bool
derived_status(struct store *s, struct str name, struct str place,
    bool with_size, struct mailbox_status *out)
{
	struct index *ix = derived_index(s);
	struct index_head h;

	if (ix == NULL || s->ops->index_is_true == NULL)
		return false;
	derived_touch(s);
	if (!index_box_head(ix, place, &h) || h.backend.n == 0 ||
	    (with_size && h.unknown_sizes > 0) ||
	    !s->ops->index_is_true(s, name, place, h.backend))
		return false;
	*out = (struct mailbox_status){
	    .messages = h.messages,
	    .recent = h.recent,
	    .unseen = h.unseen,
	    .deleted = h.deleted,
	    .uidnext = h.uidnext,
	    .uidvalidity = h.uidvalidity,
	    .size = h.wire_sum,
	    .highest_modseq = h.highest_modseq,
	};
	object_mailbox_id(h.guid, h.uidvalidity, place, out->mailbox_id);
	return true;
}
