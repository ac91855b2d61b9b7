/* SPDX-License-Identifier: ISC */
/*
 * derived_load.c - brings in records from the index, one or all of them.
 *
 * Owns:    nothing that lasts.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing that it reads: what can not be found is read from disk.
 */
#include <stdlib.h>

#include "store/derived_impl.h"

/* Then it is time to bring in all of them. */
#define SINGLES_MAX 1024

static size_t
single_index(const struct mailbox *m, uint32_t uid)
{
	return VEC_FIND(&m->singles, uid, uid);
}

struct msg_rec *
derived_find_single(struct mailbox *m, uint32_t uid)
{
	size_t i = single_index(m, uid);

	return i < m->singles.n && m->singles.v[i].uid == uid ? &m->singles.v[i]
							      : NULL;
}

/* The first message without \Seen from `uid` on, but for singles. */
static uint32_t
next_unseen(struct mailbox *m, uint32_t uid)
{
	struct index *ix = m->store->derived->ix;
	uint32_t box = m->derived->box;
	struct index_chunk c;
	bool more = index_box_chunk(ix, box, uid, false, &c);

	for (; more; more = index_box_next(ix, box, false, &c))
		for (uint32_t i = index_chunk_find(&c, uid); i < c.n; i++) {
			struct index_rec r = index_chunk_rec(&c, i);

			if (r.uid > m->lazy_top)
				return 0;
			if (!(r.system & FLAG_SEEN) &&
			    set32_has(&m->live, r.uid) &&
			    derived_find_single(m, r.uid) == NULL)
				return r.uid;
		}
	return 0;
}

/* It is counted by itself from now on. */
static void
take_from_base(struct mailbox *m, const struct index_rec *r)
{
	struct derived_counts *base = &m->derived->base;

	base->deleted -= (r->system & FLAG_DELETED) != 0;
	base->unseen -= !(r->system & FLAG_SEEN);
	if (base->first_unseen == r->uid)
		base->first_unseen = next_unseen(m, r->uid + 1);
}

static void
fill_rec(struct mailbox *m, struct msg_rec *to, const struct index_rec *r,
    struct str side, struct str *own)
{
	uint16_t more[DERIVED_MORE_MAX];
	size_t n;

	to->uid = r->uid;
	to->system = r->system;
	to->keywords = r->keywords;
	to->own = (unsigned)r->own & 0x3fu;
	to->state = REC_LIVE;
	n = index_side_parse(side, r->known, more, ARRAY_LEN(more), own);
	mailbox_set_more(m, to, more, n);
}

struct msg_rec *
derived_single(struct mailbox *m, uint32_t uid)
{
	struct msg_rec *to = derived_find_single(m, uid);
	struct msg_rec fresh = {0};
	const struct index_chunk *c;
	struct index_rec r;
	struct str own;
	uint32_t i;
	size_t at;

	if (to != NULL)
		return to;
	if (!m->store->ops->index_single || m->singles.n >= SINGLES_MAX ||
	    !set32_has(&m->live, uid) || !derived_is_ours(m) ||
	    (c = derived_find_rec(m, uid, true, &i)) == NULL)
		return NULL;
	r = index_chunk_rec(c, i);
	fill_rec(m, &fresh, &r, index_chunk_side(c, i), &own);
	if (!m->store->ops->index_load(m, &fresh, own))
		return NULL;
	at = single_index(m, uid);
	(void)VEC_ADD(&m->singles);
	memmove(&m->singles.v[at + 1], &m->singles.v[at],
	    (m->singles.n - 1 - at) * sizeof(fresh));
	m->singles.v[at] = fresh;
	take_from_base(m, &r);
	return &m->singles.v[at];
}

/*
 * Brings in the records of the chunks. Another process may have written them
 * meanwhile: what it found changed is news to the views here; what came new is
 * found on disk as ever.
 */
static bool
load_chunks(struct mailbox *m, struct set32 *missing, struct set32 *changed)
{
	struct index *ix = m->store->derived->ix;
	uint32_t box = m->derived->box;
	struct index_chunk c;
	bool any = index_box_chunk(ix, box, 1, true, &c);

	set32_copy(missing, &m->live);
	if (!set32_is_empty(missing))
		set32_remove_range(missing, m->lazy_top, UINT32_MAX);
	if (m->lazy_top != 0 && set32_has(&m->live, m->lazy_top))
		set32_add(missing, m->lazy_top);
	for (; any; any = index_box_next(ix, box, true, &c))
		for (uint32_t i = 0; i < c.n; i++) {
			struct index_rec r = index_chunk_rec(&c, i);
			const struct msg_rec *single;
			struct msg_rec *to;
			struct str own;

			if (r.uid > m->lazy_top)
				return true;
			if (!set32_has(missing, r.uid))
				continue;
			set32_remove(missing, r.uid);
			to = VEC_ADD(&m->recs);
			single = derived_find_single(m, r.uid);
			if (single != NULL) {
				*to = *single;
				continue;
			}
			fill_rec(m, to, &r, index_chunk_side(&c, i), &own);
			if (!m->store->ops->index_load(m, to, own))
				return false;
			if (r.modseq > m->derived->taken_modseq)
				set32_add(changed, r.uid);
		}
	return true;
}

static int
rec_order(const void *a, const void *b)
{
	const struct msg_rec *x = a, *y = b;

	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* Messages that another process saw vanish: views still show them. */
static void
add_vanished(struct mailbox *m, const struct set32 *missing)
{
	uint32_t uid = 1;

	while (set32_next(missing, uid, &uid)) {
		struct msg_rec *r = VEC_ADD(&m->recs);

		r->uid = uid;
		r->state = REC_LIVE;
		if (!m->store->ops->index_load(m, r, STR("")))
			r->name_len = 0;
		mailbox_note_expunged(m, r);
		if (uid++ == UINT32_MAX)
			break;
	}
	if (m->recs.n > 1)
		qsort(m->recs.v, m->recs.n, sizeof(*m->recs.v), rec_order);
}

/* Those that were removed one by one: views still show them. */
static void
add_expunged_singles(struct mailbox *m)
{
	size_t n = m->recs.n;

	VEC_EACH(&m->singles, r)
		if (r->state == REC_EXPUNGED)
			*VEC_ADD(&m->recs) = *r;
	if (m->recs.n > n)
		qsort(m->recs.v, m->recs.n, sizeof(*m->recs.v), rec_order);
	VEC_DONE(&m->singles);
}

static bool
load_from_index(struct mailbox *m)
{
	const struct derived_store *ds = m->store->derived;
	struct index_head h;
	struct set32 missing, changed;
	bool ok = false, is_ours;
	uint32_t uid = 1;

	if (!derived_has_box(m) ||
	    !index_box_head(ds->ix, str_of(m->derived->place), &h) ||
	    h.box != m->derived->box || h.uidvalidity != m->uidvalidity)
		return false;
	is_ours = h.generation == m->derived->generation;
	derived_touch(m->store);
	set32_init(&missing);
	set32_init(&changed);
	VEC_RESERVE(&m->recs, set32_count(&m->live));
	ok = load_chunks(m, &missing, &changed);
	/* A chunk that can not be read is not a sign of anything. */
	if (ok && !set32_is_empty(&missing) &&
	    (is_ours || index_is_stale(ds->ix)))
		ok = false;
	if (ok && h.highest_modseq > m->highest_modseq)
		m->highest_modseq = h.highest_modseq;
	if (ok) {
		m->lazy_top = 0;
		add_expunged_singles(m);
		if (!set32_is_empty(&missing))
			add_vanished(m, &missing);
		while (set32_next(&changed, uid, &uid)) {
			mailbox_note_flags(m, mailbox_rec(m, uid), NULL);
			if (uid++ == UINT32_MAX)
				break;
		}
		if (!is_ours)
			m->derived->is_based = false;
	}
	set32_done(&missing);
	set32_done(&changed);
	return ok;
}

int
mailbox_load(struct mailbox *m, struct err *e)
{
	VEC(struct msg_rec) upper;
	uint32_t top = m->lazy_top;
	bool was_ours;

	if (top == 0)
		return 0;
	upper.v = m->recs.v;
	upper.n = m->recs.n;
	upper.size = m->recs.size;
	m->recs.v = NULL;
	m->recs.n = m->recs.size = 0;
	if (!load_from_index(m)) {
		VEC_DONE(&m->recs);
		VEC_DONE(&m->singles);
		VEC_DONE(&upper);
		m->lazy_top = 0;
		m->derived->is_based = false;
		return m->store->ops->reload(m, e);
	}
	was_ours = m->derived->is_based;
	VEC_RESERVE(&m->recs, m->recs.n + upper.n);
	VEC_EACH(&upper, r)
		*VEC_ADD(&m->recs) = *r;
	VEC_DONE(&upper);
	m->store->ops->index_loaded(m, was_ours);
	return 0;
}
