/* SPDX-License-Identifier: ISC */
/*
 * derived.c - a store's index, and what a mailbox reads from it.
 *
 * Owns:    struct derived_store, struct derived; when the index is opened.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing that it reads: a head counts when the backend finds its
 *          circumstances unchanged on disk; a record that can not be found
 *          makes the mailbox be read from disk.
 */
#include <stdlib.h>
#include <strings.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/derived_impl.h"
#include "store/kept.h"
#include "store/modseq_floor.h"
#include "store/object.h"

#define SAVE_AFTER_MS 1500
/* Each write costs as much as hundreds of facts in it. */
#define FACTS_AFTER_MS 100
#define WAITING_MAX_BYTES (256 * 1024)
#define WAITING_MAX 2048
#define MORE_MAX 1024

/* ---- the store's --------------------------------------------------------- */

struct mailbox *
derived_next_open(struct derived_store *ds, struct mailbox *m)
{
	struct store *s = m == NULL ? ds->s : m->store;
	struct list *at = m == NULL ? &s->mailboxes : &m->link;

	while (at->next == &s->mailboxes) {
		struct list *next =
		    s == ds->s ? ds->s->spaces.next : s->link.next;

		if (next == &ds->s->spaces)
			return NULL;
		s = LIST_OF(next, struct store, link);
		at = &s->mailboxes;
	}
	return LIST_OF(at->next, struct mailbox, link);
}

/*
 * The index is about to begin anew; those whose records are there alone take
 * them from what is still open.
 */
static void
load_all_lazy(struct derived_store *ds)
{
	struct err e;

	for (struct mailbox *m = NULL; (m = derived_next_open(ds, m)) != NULL;)
		if (m->lazy_top != 0 && mailbox_load(m, &e) == -1)
			store_warn(m->store, "mailbox=%s: %s", m->name, e.text);
}

/* Nothing is held any more. */
static void
end_step(struct derived_store *ds)
{
	uint64_t epoch;

	if (ds->ix == NULL)
		return;
	if (index_is_stale(ds->ix))
		load_all_lazy(ds);
	epoch = index_epoch(ds->ix);
	index_pause(ds->ix);
	if (epoch == index_epoch(ds->ix))
		return;
	for (struct mailbox *m = NULL; (m = derived_next_open(ds, m)) != NULL;)
		if (m->derived != NULL)
			derived_note_state(m);
}

static void
arm(struct derived_store *ds, ev_timer *t, double after_s)
{
	if (ds->s->loop == NULL || ev_is_active(t))
		return;
	ev_timer_set(t, after_s, 0.);
	ev_timer_start(ds->s->loop, t);
	ev_unref(ds->s->loop);
}

static void
disarm(struct derived_store *ds, ev_timer *t)
{
	if (!ev_is_active(t))
		return;
	ev_ref(ds->s->loop);
	ev_timer_stop(ds->s->loop, t);
}

static void
on_prepare(struct ev_loop *loop, ev_prepare *w, UNUSED int events)
{
	struct derived_store *ds = w->data;

	ev_ref(loop);
	ev_prepare_stop(loop, w);
	if (ds->is_urgent)
		derived_pause(ds->s);
	else
		end_step(ds);
}

static void
on_facts(struct ev_loop *loop, ev_timer *t, UNUSED int events)
{
	struct derived_store *ds = t->data;

	ev_ref(loop); /* libev has stopped it */
	derived_pause(ds->s);
}

static bool
is_due(const struct derived *d, int64_t now_ms)
{
	return d->is_dirty && now_ms - d->changed_ms >= SAVE_AFTER_MS;
}

static void
on_save(struct ev_loop *loop, ev_timer *w, UNUSED int events)
{
	struct derived_store *ds = w->data;
	int64_t now_ms = clock_mono_ms();
	double again_s = -1.;

	ev_ref(loop); /* libev has stopped it */
	for (struct mailbox *m = NULL;
	     (m = derived_next_open(ds, m)) != NULL;) {
		if (m->derived == NULL || !m->derived->is_dirty)
			continue;
		if (!is_due(m->derived, now_ms))
			again_s = again_s < 0 ? SAVE_AFTER_MS / 1000. : again_s;
		else if (derived_save(m) == STEP_MORE)
			again_s = 0.002;
	}
	derived_pause(ds->s);
	if (again_s >= 0)
		arm(ds, &ds->save, again_s);
}

void
derived_store_open(struct store *s, const char *dir)
{
	struct derived_store *ds;

	/* What the user knows of others' mail lies in his own index. */
	if (s->head != NULL)
		s->derived = s->head->derived;
	if (s->head != NULL || dir == NULL || *dir == '\0' ||
	    strcasecmp(dir, "none") == 0 || strcasecmp(dir, "memory") == 0)
		return;
	ds = mem_new(1, sizeof(*ds));
	ds->s = s;
	ds->dir = mem_strdup(dir);
	ev_prepare_init(&ds->prepare, on_prepare);
	ev_timer_init(&ds->save, on_save, 0., 0.);
	ev_timer_init(&ds->facts, on_facts, 0., 0.);
	ds->prepare.data = ds->save.data = ds->facts.data = ds;
	s->derived = ds;
}

struct index *
derived_index(struct store *s)
{
	struct derived_store *ds = s->derived;
	struct err e;

	if (ds == NULL)
		return NULL;
	if (!ds->was_tried) {
		ds->was_tried = true;
		if (index_open(ds->dir, 0, &ds->ix, &e) == -1)
			store_warn(ds->s, "working without index: %s", e.text);
		else
			derived_sweep_arm(ds->s);
	}
	return ds->ix != NULL && index_is_open(ds->ix) ? ds->ix : NULL;
}

void
derived_touch(struct store *s)
{
	struct derived_store *ds = s->derived;

	if (s->loop == NULL || ev_is_active(&ds->prepare))
		return;
	ev_prepare_start(s->loop, &ds->prepare);
	ev_unref(s->loop);
}

void
derived_pause(struct store *s)
{
	struct derived_store *ds = s->derived;

	if (ds == NULL || ds->ix == NULL)
		return;
	ds->is_urgent = false;
	for (struct mailbox *m = NULL; (m = derived_next_open(ds, m)) != NULL;)
		if (m->derived != NULL && !m->is_gone &&
		    derived_facts_wait(m->derived))
			derived_write_facts(m);
	end_step(ds);
}

void
derived_flush(struct store *s)
{
	struct mailbox *m = NULL;

	if (s->derived == NULL)
		return;
	while ((m = derived_next_open(s->derived, m)) != NULL)
		while (m->derived != NULL && m->derived->is_dirty &&
		    derived_save(m) == STEP_MORE)
			;
	derived_pause(s);
}

void
derived_store_close(struct store *s)
{
	struct derived_store *ds = s->derived;

	s->derived = NULL;
	if (ds == NULL || s->head != NULL)
		return;
	if (ev_is_active(&ds->prepare)) {
		ev_ref(s->loop);
		ev_prepare_stop(s->loop, &ds->prepare);
	}
	disarm(ds, &ds->save);
	disarm(ds, &ds->facts);
	derived_sweep_end(ds);
	if (ds->ix != NULL)
		index_close(&ds->ix);
	free(ds->dir);
	free(ds);
}

/* ---- a mailbox's beginning and end --------------------------------------- */

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
	/* What can not be written is found again. */
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

/* ---- records that are not loaded ----------------------------------------- */

/* Is it in the chunk of the last one, where or right behind that was? */
static bool
find_near(struct derived *d, uint32_t uid)
{
	const struct index_chunk *c = &d->chunk;

	for (uint32_t i = d->chunk_at; i < c->n && i <= d->chunk_at + 1; i++)
		if (index_chunk_uid(c, i) == uid) {
			d->chunk_at = i;
			return true;
		}
	d->chunk_at = index_chunk_find(c, uid);
	return uid >= c->first_uid && d->chunk_at < c->n;
}

/* The chunk with its record, which is number *i; NULL: there is none. */
static const struct index_chunk *
find_rec(struct mailbox *m, uint32_t uid, bool with_side, uint32_t *i)
{
	struct derived *d = m->derived;
	struct index *ix;
	struct index_chunk *c;

	if (!derived_has_box(m))
		return NULL;
	ix = m->store->derived->ix;
	c = &d->chunk;
	if (d->chunk_serial != index_serial(ix) || c->n == 0 ||
	    !find_near(d, uid)) {
		derived_touch(m->store);
		d->chunk_serial = 0;
		if (!index_box_chunk(ix, d->box, uid, false, c))
			return NULL;
		d->chunk_serial = index_serial(ix);
		d->chunk_at = index_chunk_find(c, uid);
	}
	*i = d->chunk_at;
	if (*i == c->n || index_chunk_uid(c, *i) != uid ||
	    (with_side && !index_box_side(ix, d->box, c)))
		return NULL;
	return c;
}

bool
derived_side(
    struct mailbox *m, uint32_t uid, struct index_rec *r, struct str *side)
{
	const struct index_chunk *c;
	uint16_t more[1];
	uint32_t i;

	/* One that is loaded may not be called so any more. */
	if (derived_find_single(m, uid) != NULL)
		return false;
	c = find_rec(m, uid, true, &i);
	if (c == NULL)
		return false;
	*r = index_chunk_rec(c, i);
	(void)index_side_parse(index_chunk_side(c, i), r->known, more, 0, side);
	return true;
}

bool
derived_is_ours(struct mailbox *m)
{
	struct derived *d = m->derived;
	struct index_head h;
	struct index *ix;

	if (!derived_has_box(m) || !d->is_based)
		return false;
	ix = m->store->derived->ix;
	if (d->ours_serial == index_serial(ix))
		return true;
	derived_touch(m->store);
	if (!index_box_head(ix, str_of(d->place), &h) || h.box != d->box ||
	    h.generation != d->generation)
		return false;
	d->ours_serial = index_serial(ix);
	return true;
}

bool
derived_may_have(struct mailbox *m, uint64_t hash)
{
	if (m->lazy_top == 0)
		return false;
	if (!derived_has_box(m))
		return true;
	derived_touch(m->store);
	return index_box_has_hash(m->store->derived->ix, m->derived->box, hash);
}

bool
derived_run_begin(struct mailbox *m, uint32_t uid, struct view_run *run)
{
	const struct index_chunk *c;
	uint32_t i;

	run->n = 0;
	if (uid > m->lazy_top || m->singles.n > 0)
		return false;
	c = find_rec(m, uid, false, &i);
	if (c == NULL)
		return false;
	*run = (struct view_run){
	    .ix = m->store->derived->ix,
	    .serial = m->derived->chunk_serial,
	    .recs = c->recs + (size_t)i * sizeof(struct index_rec),
	    .n = c->n - i,
	};
	return true;
}

bool
derived_flags(struct mailbox *m, uint32_t uid, struct flags *out)
{
	static uint16_t more[MORE_MAX];
	const struct index_chunk *c;
	struct index_rec r;
	struct str own;
	uint32_t i;

	if (derived_find_single(m, uid) != NULL)
		return false;
	c = find_rec(m, uid, false, &i);
	if (c == NULL)
		return false;
	r = index_chunk_rec(c, i);
	*out = (struct flags){
	    .system = r.system & FLAGS_STORED,
	    .keywords = r.keywords & m->named_letters,
	    .more = more,
	};
	if (!(r.known & INDEX_HAS_MORE))
		return true;
	if (find_rec(m, uid, true, &i) == NULL)
		return false;
	out->n_more = (uint16_t)index_side_parse(
	    index_chunk_side(c, i), r.known, more, ARRAY_LEN(more), &own);
	return true;
}

struct derived_counts
derived_counts(const struct mailbox *m)
{
	struct derived_counts all = {0};

	if (m->lazy_top == 0)
		return all;
	all = m->derived->base;
	for (size_t i = 0; i < m->singles.n; i++) {
		const struct msg_rec *r = &m->singles.v[i];

		if (r->state != REC_LIVE)
			continue;
		all.deleted += (r->system & FLAG_DELETED) != 0;
		if (r->system & FLAG_SEEN)
			continue;
		all.unseen++;
		if (all.first_unseen == 0 || r->uid < all.first_unseen)
			all.first_unseen = r->uid;
	}
	return all;
}

/* ---- one record ---------------------------------------------------------- */

/* Then it is time to bring in all of them. */
#define SINGLES_MAX 1024

static size_t
single_index(const struct mailbox *m, uint32_t uid)
{
	size_t lo = 0, hi = m->singles.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->singles.v[mid].uid < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
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
	uint16_t more[MORE_MAX];
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
	    (c = find_rec(m, uid, true, &i)) == NULL)
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

/* ---- changes ------------------------------------------------------------- */

void
derived_note_state(struct mailbox *m)
{
	struct derived *d = m->derived;

	if (d == NULL || d->is_dirty)
		return;
	d->is_dirty = true;
	d->changed_ms = clock_mono_ms();
	arm(m->store->derived, &m->store->derived->save, SAVE_AFTER_MS / 1000.);
}

static bool
is_told(const struct mailbox *m)
{
	for (const struct list *l = m->views.next; l != &m->views; l = l->next)
		if (LIST_OF(l, const struct view, link)->top > 0)
			return true;
	return false;
}

/* Index of the arrival that has this UID, or of the first behind it. */
static size_t
find_arrival(const struct derived *d, uint32_t uid)
{
	size_t lo = 0, hi = d->arrivals.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (d->arrivals.v[mid].last < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
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
	if (last != NULL && last->modseq == m->highest_modseq &&
	    last->last < UINT32_MAX && last->last + 1 == uid) {
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
	size_t lo = 0, hi = d->changed.n;

	/* A STORE goes from the first to the last. */
	if (hi > 0 && d->changed.v[hi - 1].uid < uid)
		return hi;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (d->changed.v[mid].uid < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
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

/* ---- facts --------------------------------------------------------------- */

bool
derived_facts(struct mailbox *m, uint32_t uid, struct index_rec *out)
{
	const struct index_chunk *c;
	uint32_t i;

	c = find_rec(m, uid, false, &i);
	if (c == NULL)
		return false;
	*out = index_chunk_rec(c, i);
	return true;
}

void
derived_arm_facts(struct store *s)
{
	arm(s->derived, &s->derived->facts, FACTS_AFTER_MS / 1000.);
}

/* The waiting facts of a message; those of the last one most of the time. */
static struct fact *
waiting_fact(struct mailbox *m, uint32_t uid)
{
	struct derived *d = m->derived;
	struct fact *f;

	if (d->facts.n > 0 && d->facts.v[d->facts.n - 1].uid == uid)
		return &d->facts.v[d->facts.n - 1];
	if (d->facts.n >= WAITING_MAX)
		derived_write_facts(m);
	f = VEC_ADD(&d->facts);
	f->uid = uid;
	derived_arm_facts(m->store);
	return f;
}

void
derived_note_size(
    struct mailbox *m, uint32_t uid, uint64_t size, uint64_t wire_size)
{
	struct index_rec r;
	struct fact *f;
	bool was_known;

	if (m->derived == NULL || m->store->ops->index_by_content)
		return;
	was_known = derived_facts(m, uid, &r) && r.known & INDEX_HAS_SIZE;
	if (was_known && r.size == size && r.wire_size == wire_size)
		return;
	if (was_known)
		kept_forget(m);
	f = waiting_fact(m, uid);
	f->known |= INDEX_HAS_SIZE;
	f->size = size;
	f->wire_size = wire_size;
}

void
derived_note_date(struct mailbox *m, uint32_t uid, int64_t date_s)
{
	struct index_rec r;
	struct fact *f;
	bool was_known;

	if (m->derived == NULL || m->store->ops->index_by_content)
		return;
	was_known = derived_facts(m, uid, &r) && r.known & INDEX_HAS_DATE;
	if (was_known && r.date_s == date_s)
		return;
	if (was_known)
		kept_forget(m);
	f = waiting_fact(m, uid);
	f->known |= INDEX_HAS_DATE;
	f->date_s = date_s;
}

void
derived_forget_facts(struct mailbox *m, uint32_t uid)
{
	static const enum index_slot all[] = {INDEX_ENVELOPE,
	    INDEX_BODYSTRUCTURE, INDEX_BODY, INDEX_FIELDS, INDEX_PREVIEW,
	    INDEX_SUBJECT, INDEX_THREAD, INDEX_EMAILID, INDEX_THREADID,
	    INDEX_HEADKEYS};

	if (m->derived == NULL)
		return;
	/* An empty value is one that is not known. */
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		derived_put(m, uid, all[i], STR(""));
	kept_forget(m);
	waiting_fact(m, uid)->known = 0;
	derived_put_filters(m, uid, STR(""));
	derived_note_filtered(m, 0);
	m->store->derived->is_urgent = true;
	derived_touch(m->store);
}

bool
derived_get(
    struct mailbox *m, uint32_t uid, enum index_slot slot, struct str *value)
{
	if (!derived_has_box(m))
		return false;
	derived_touch(m->store);
	return cache_get(
		   m->store->derived->ix, m->derived->box, slot, uid, value) &&
	    value->n > 0;
}

void
derived_put_any(struct mailbox *m, uint32_t uid, int kind, struct str value)
{
	struct derived *d = m->derived;

	if (d == NULL || value.n > CACHE_VALUE_MAX)
		return;
	if (d->bytes.n + value.n > WAITING_MAX_BYTES ||
	    d->slots.n >= WAITING_MAX)
		derived_write_facts(m);
	*VEC_ADD(&d->slots) = (struct slot){
	    .uid = uid,
	    .kind = kind,
	    .off = (uint32_t)d->bytes.n,
	    .n = (uint32_t)value.n,
	};
	(void)buf_add_str(&d->bytes, value);
	derived_arm_facts(m->store);
}

void
derived_put(
    struct mailbox *m, uint32_t uid, enum index_slot slot, struct str value)
{
	derived_put_any(m, uid, (int)slot, value);
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
