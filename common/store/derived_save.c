/* SPDX-License-Identifier: ISC */
/*
 * derived_save.c - a mailbox's records, facts and history into the index.
 *
 * Owns:    nothing that lasts; fills struct derived anew after a commit.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing that lies in the index: another process of the user may have
 *          written there since we did.
 *
 * 1. A write transaction may run twice: until it is committed nothing in
 *    memory changes.
 * 2. The chunks are edited in place only when the head has the generation that
 *    we wrote or took; otherwise all records are written anew, with the facts
 *    that were known of them.
 * 3. While not all records are there, the head has no circumstances, so nobody
 *    takes it for true.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "store/derived_impl.h"
#include "store/modseq_floor.h"

/* New records in one transaction: some milliseconds. */
#define APPEND_MAX 8192
/* Room for facts that stays when they are written. */
#define KEEP_BYTES (64 * 1024)
#define KEEP_FACTS 256

struct item {
	uint32_t uid;
	bool vanishes, is_changed;
	bool forgets; /* facts from before `fact` */
	uint64_t modseq; /* 0: its flags are the same */
	const struct fact *fact; /* or NULL */
};

struct job {
	struct mailbox *m;
	bool with_records; /* else: facts and slots alone */
	struct index_head head;
	struct index_sums sums;
	VEC(struct item) items;
	size_t at; /* the item looked for last */
	VEC(struct index_rec) old; /* of records that are written anew */
	struct set32 vanished;
	struct set32 others; /* UIDs that are of other messages now */
	struct buf side;
	size_t next; /* in m->recs */
	uint32_t appended, top;
	bool is_whole, again;
	uint64_t fresh; /* for what is found different in old records */
};

/* ---- items --------------------------------------------------------------- */

static int
item_order(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* A search goes through the messages one by one, as their facts then come. */
static bool
is_in_order(const struct job *j)
{
	for (size_t i = 1; i < j->items.n; i++)
		if (j->items.v[i - 1].uid > j->items.v[i].uid)
			return false;
	return true;
}

/* All that is known to be different, one item for each message. */
static void
collect(struct job *j)
{
	const struct derived *d = j->m->derived;
	size_t n = 0;

	j->items.n = 0;
	if (j->with_records) {
		VEC_EACH(&d->changed, c)
			*VEC_ADD(&j->items) = (struct item){
			    .uid = c->uid,
			    .is_changed = true,
			    .modseq = c->modseq,
			};
		for (size_t i = 0; i < d->vanished.n; i++)
			for (uint32_t uid = d->vanished.r[i].first;; uid++) {
				*VEC_ADD(&j->items) =
				    (struct item){.uid = uid, .vanishes = true};
				if (uid == d->vanished.r[i].last)
					break;
			}
	}
	VEC_EACH(&d->facts, f)
		*VEC_ADD(&j->items) = (struct item){
		    .uid = f->uid, .fact = f, .forgets = f->forgets};
	if (!is_in_order(j))
		qsort(j->items.v, j->items.n, sizeof(*j->items.v), item_order);
	VEC_EACH(&j->items, it) {
		struct item *last = n == 0 ? NULL : &j->items.v[n - 1];

		if (last == NULL || last->uid != it->uid) {
			j->items.v[n++] = *it;
			continue;
		}
		last->vanishes = last->vanishes || it->vanishes;
		last->is_changed = last->is_changed || it->is_changed;
		last->forgets = last->forgets || it->forgets;
		if (it->modseq > last->modseq)
			last->modseq = it->modseq;
		/* Of two facts the later in the list is the newer. */
		if (last->fact == NULL || it->fact > last->fact)
			last->fact = it->fact != NULL ? it->fact : last->fact;
	}
	j->items.n = n;
}

static void
apply_fact(struct index_rec *r, const struct item *it)
{
	const struct fact *f = it->fact;

	if (it->forgets)
		r->known &= (uint16_t) ~(
		    INDEX_HAS_SIZE | INDEX_HAS_BOUNDS | INDEX_HAS_DATE);
	if (f->known & INDEX_HAS_SIZE ||
	    (f->known & INDEX_HAS_BOUNDS && !(r->known & INDEX_HAS_SIZE))) {
		r->size = f->size;
		r->wire_size = f->wire_size;
	}
	if (f->known & INDEX_HAS_DATE)
		r->date_s = f->date_s;
	r->known |= f->known;
	if (r->known & INDEX_HAS_SIZE)
		r->known &= (uint16_t)~INDEX_HAS_BOUNDS;
}

/* Flags and side bytes as the record has them now. */
static void
apply_record(struct job *j, const struct msg_rec *rec, struct index_rec *r,
    struct str *side)
{
	struct mailbox *m = j->m;
	size_t n;
	const uint16_t *more = mailbox_more(m, rec, &n);

	r->system = rec->system;
	r->keywords = rec->keywords;
	r->own = rec->own;
	r->known &= (uint16_t)~INDEX_HAS_MORE;
	if (n > 0)
		r->known |= INDEX_HAS_MORE;
	buf_clear(&j->side);
	index_side_write(&j->side, more, n, STR(""));
	r->hash = m->store->ops->index_side(m, rec, &j->side);
	if (m->store->ops->index_facts != NULL)
		m->store->ops->index_facts(m, rec, r);
	*side = buf_str(&j->side);
}

static enum index_edit
edit_rec(void *arg, struct index_rec *r, struct str *side)
{
	struct job *j = arg;
	const struct item *it;
	const struct msg_rec *rec;

	while (j->at < j->items.n && j->items.v[j->at].uid < r->uid)
		j->at++;
	if (j->at == j->items.n || j->items.v[j->at].uid != r->uid)
		return INDEX_EDIT_KEEP;
	it = &j->items.v[j->at];
	if (it->vanishes)
		return INDEX_EDIT_DROP;
	if (it->fact != NULL)
		apply_fact(r, it);
	if (!it->is_changed)
		return INDEX_EDIT_CHANGED;
	if (it->modseq != 0)
		r->modseq = it->modseq;
	/* One that is not loaded has changed in nothing but a viewer's own
	 * \Seen; and nothing can be loaded in the middle of a write. */
	rec = r->uid <= j->m->lazy_top ? derived_find_single(j->m, r->uid)
				       : mailbox_rec(j->m, r->uid);
	if (rec == NULL || rec->state != REC_LIVE)
		return INDEX_EDIT_CHANGED;
	apply_record(j, rec, r, side);
	return INDEX_EDIT_CHANGED;
}

/* ---- new records --------------------------------------------------------- */

static const struct item *
item_of(struct job *j, uint32_t uid)
{
	while (j->at < j->items.n && j->items.v[j->at].uid < uid)
		j->at++;
	return j->at < j->items.n && j->items.v[j->at].uid == uid
	    ? &j->items.v[j->at]
	    : NULL;
}

/* What was known of it before all is written anew. */
static const struct index_rec *
old_of(const struct job *j, uint32_t uid)
{
	size_t i = VEC_FIND(&j->old, uid, uid);

	return i < j->old.n && j->old.v[i].uid == uid ? &j->old.v[i] : NULL;
}

static void
take_old(struct index_rec *r, const struct index_rec *old)
{
	uint16_t fresh = old->known & (uint16_t)~r->known;

	if (r->known & INDEX_HAS_SIZE)
		fresh &= (uint16_t)~INDEX_HAS_BOUNDS;
	if (fresh & (INDEX_HAS_SIZE | INDEX_HAS_BOUNDS)) {
		r->size = old->size;
		r->wire_size = old->wire_size;
	}
	if (fresh & INDEX_HAS_DATE)
		r->date_s = old->date_s;
	if (fresh & INDEX_HAS_SAVE)
		r->save_s = old->save_s;
	r->known |= fresh &
	    (INDEX_HAS_SIZE | INDEX_HAS_BOUNDS | INDEX_HAS_DATE |
		INDEX_HAS_SAVE);
}

static bool
is_as_old(const struct index_rec *r, const struct index_rec *old)
{
	return old->system == r->system && old->keywords == r->keywords &&
	    !((old->known | r->known) & INDEX_HAS_MORE);
}

static bool
next_new(void *arg, struct index_rec *r, struct str *side)
{
	struct job *j = arg;
	struct mailbox *m = j->m;
	const struct msg_rec *rec;
	const struct arrival *a;
	const struct index_rec *old;
	const struct item *it;

	while (j->next < m->recs.n && m->recs.v[j->next].state != REC_LIVE)
		j->next++;
	if (j->next == m->recs.n)
		return false;
	if (j->appended == APPEND_MAX) {
		j->is_whole = false;
		return false;
	}
	rec = &m->recs.v[j->next++];
	j->appended++;
	j->top = rec->uid;
	*r = (struct index_rec){
	    .uid = rec->uid, .modseq = m->derived->base_modseq};
	a = derived_arrival_of(m->derived, rec->uid);
	if (a != NULL) {
		r->modseq = a->modseq;
		r->save_s = a->save_s;
		r->known |= INDEX_HAS_SAVE;
	}
	apply_record(j, rec, r, side);
	old = old_of(j, rec->uid);
	if (old != NULL) {
		if (old->hash == r->hash)
			take_old(r, old);
		r->modseq = is_as_old(r, old) ? old->modseq : j->fresh;
	}
	it = item_of(j, rec->uid);
	if (it != NULL && it->fact != NULL)
		apply_fact(r, it);
	if (it != NULL && it->modseq != 0)
		r->modseq = it->modseq;
	return true;
}

/* ---- the transaction ----------------------------------------------------- */

/* The mailbox's number, made if need be; j->head is as it was. */
static int
find_box(struct index *ix, struct job *j, struct err *e)
{
	struct mailbox *m = j->m;
	struct str place = str_of(m->derived->place);
	bool is_there = index_box_head(ix, place, &j->head);

	if (is_there && j->head.uidvalidity == m->uidvalidity)
		return 0;
	/* Of another UIDVALIDITY: nothing of it is true of these messages. */
	if (is_there) {
		if (index_box_kill(ix, j->head.box, e) == -1)
			return -1;
		derived_sweep_soon(m->store);
	}
	if (index_box_new(ix, &j->head.box, e) == -1)
		return -1;
	j->head = (struct index_head){
	    .box = j->head.box,
	    .uidvalidity = m->uidvalidity,
	    .uidnext = m->uidnext,
	    .highest_modseq = m->highest_modseq,
	    .vanished_from = m->derived->vanished_from,
	    .place = place,
	};
	return 0;
}

/* Old records whose messages are not those of their UIDs any more. */
static void
find_others(struct job *j)
{
	struct mailbox *m = j->m;

	set32_clear(&j->others);
	if (!m->store->ops->index_by_content)
		return;
	VEC_EACH(&j->old, old) {
		size_t i = mailbox_rec_index(m, old->uid);
		const struct msg_rec *r = i < m->recs.n ? &m->recs.v[i] : NULL;

		if (r == NULL || r->uid != old->uid || r->state != REC_LIVE)
			continue;
		buf_clear(&j->side);
		if (m->store->ops->index_side(m, r, &j->side) != old->hash)
			set32_add(&j->others, old->uid);
	}
}

/* All records are to be written anew: keeps what was known of them. */
static int
clear_records(struct index *ix, struct job *j, struct err *e)
{
	uint32_t box = j->head.box;
	struct index_key recs = index_key_kind(box, INDEX_RECS);
	struct index_key sides = index_key_kind(box, INDEX_SIDE);
	struct index_key at = index_key_of(box, INDEX_RECS, UINT32_MAX);
	struct str key, value;
	struct index_chunk c;
	size_t first = 0;

	/* From the last chunk to the first: the way the index can be walked
	 * while it is written. */
	while (index_seek_back(ix, &at, &recs, &key, &value) &&
	    index_chunk_parse(value, &c)) {
		uint32_t uid = index_key_uid(key);

		for (uint32_t i = c.n; i > 0; i--)
			*VEC_ADD(&j->old) = index_chunk_rec(&c, i - 1);
		if (uid <= 1)
			break;
		at = index_key_of(box, INDEX_RECS, uid - 1);
	}
	for (size_t i = j->old.n; first + 1 < i; first++, i--) {
		struct index_rec r = j->old.v[first];

		j->old.v[first] = j->old.v[i - 1];
		j->old.v[i - 1] = r;
	}
	VEC_EACH(&j->old, r)
		if (!set32_has(&j->m->live, r->uid))
			set32_add(&j->vanished, r->uid);
	j->sums = (struct index_sums){0};
	if (index_remove_all(ix, &recs, e) == -1 ||
	    index_remove_all(ix, &sides, e) == -1)
		return -1;
	find_others(j);
	if (set32_is_empty(&j->others))
		return 0;
	if (derived_drop_filters(ix, box, &j->others, NULL, e) == -1 ||
	    derived_write_filtered(ix, box, 0, e) == -1)
		return -1;
	return cache_remove(ix, box, &j->others, e);
}

/* Above `top` there are no records: none is looked for there. */
static int
edit_records(struct index *ix, struct job *j, uint32_t top, struct err *e)
{
	uint32_t *uids;
	size_t n = 0;
	int rc;

	if (j->items.n == 0 || j->items.v[0].uid > top)
		return 0;
	uids = mem_new(j->items.n, sizeof(*uids));
	for (; n < j->items.n && j->items.v[n].uid <= top; n++)
		uids[n] = j->items.v[n].uid;
	j->at = 0;
	rc = index_box_edit(ix, j->head.box, uids, n, edit_rec, j, &j->sums, e);
	free(uids);
	return rc;
}

static int
put_slots(struct index *ix, struct job *j, struct err *e)
{
	const struct derived *d = j->m->derived;

	if (d->note_filtered &&
	    derived_write_filtered(ix, j->head.box, d->filtered, e) == -1)
		return -1;
	VEC_EACH(&d->slots, s) {
		struct str value = str_make(d->bytes.p + s->off, s->n);
		int rc = 0;

		if (s->kind == INDEX_FILTERS)
			rc = derived_write_filters(
			    ix, j->head.box, s->uid, value, e);
		/* What went since it was read would stay for ever. */
		else if (s->kind == INDEX_KEPT ||
		    set32_has(&j->m->live, s->uid))
			rc = cache_put(ix, j->head.box,
			    (enum index_slot)s->kind, s->uid, value, e);
		if (rc == -1)
			return -1;
	}
	return 0;
}

static void
count_flags(const struct mailbox *m, struct index_head *h)
{
	struct derived_counts base = derived_counts(m);

	h->unseen = base.unseen;
	h->deleted = base.deleted;
	h->first_unseen = base.first_unseen;
	for (size_t i = 0; i < m->recs.n; i++) {
		const struct msg_rec *r = &m->recs.v[i];

		if (r->state != REC_LIVE)
			continue;
		h->deleted += (r->system & FLAG_DELETED) != 0;
		if (r->system & FLAG_SEEN)
			continue;
		h->unseen++;
		if (h->first_unseen == 0)
			h->first_unseen = r->uid;
	}
}

static void
keep_recents(struct mailbox *m, const struct set32_range *r, struct set32 *kept)
{
	uint32_t first = r->first;

	if (first <= m->lazy_top) {
		uint32_t last = r->last < m->lazy_top ? r->last : m->lazy_top;

		set32_add_range(kept, first, last);
		if (last == r->last)
			return;
		first = last + 1;
	}
	for (size_t i = mailbox_rec_index(m, first);
	     i < m->recs.n && m->recs.v[i].uid <= r->last; i++)
		if (m->store->ops->index_is_recent(m, &m->recs.v[i]))
			set32_add(kept, m->recs.v[i].uid);
}

/* Those that are \Recent also when the index is lost. */
static uint32_t
write_recents(struct mailbox *m, struct buf *out)
{
	struct set32 kept;
	uint32_t n;

	set32_init(&kept);
	for (size_t i = 0; i < m->recent.n; i++)
		keep_recents(m, &m->recent.r[i], &kept);
	index_set_write(out, &kept);
	n = set32_count(&kept);
	set32_done(&kept);
	return n;
}

static int
save_head(struct index *ix, struct job *j, struct err *e)
{
	struct mailbox *m = j->m;
	struct index_head *h = &j->head;
	struct buf names, backend, live, recents;
	int rc;

	buf_init(&names, 1 << 24);
	buf_init(&backend, 1 << 20);
	buf_init(&live, 1 << 28);
	buf_init(&recents, 1 << 28);
	VEC_EACH(&m->keywords, k) {
		(void)buf_add_c(&names, *k == NULL ? "" : *k);
		(void)buf_add_byte(&names, '\0');
	}
	j->again = false;
	if (j->is_whole && !m->store->ops->index_save(m, &backend, &j->again))
		buf_clear(&backend);
	h->recent = h->messages = h->unseen = h->deleted = h->first_unseen = 0;
	/* Nobody takes one without circumstances, and a head as long as the
	 * mailbox for each part of it would be the square of its length. */
	if (j->is_whole) {
		index_set_write(&live, &m->live);
		h->recent = write_recents(m, &recents);
		count_flags(m, h);
		h->messages = set32_count(&m->live);
	}
	h->place = str_of(m->derived->place);
	h->generation++;
	h->uidvalidity = m->uidvalidity;
	h->uidnext = m->uidnext;
	/* Other processes tell it from there. */
	h->highest_modseq = mailbox_highest_modseq(m);
	memcpy(h->guid, m->guid, sizeof(h->guid));
	h->keywords = buf_str(&names);
	h->backend = buf_str(&backend);
	h->live = buf_str(&live);
	h->recents = buf_str(&recents);
	rc = index_box_save_head(ix, h, e);
	buf_done(&names);
	buf_done(&backend);
	buf_done(&live);
	buf_done(&recents);
	return rc;
}

static void
sums_of_head(const struct index_head *h, struct index_sums *s)
{
	*s = (struct index_sums){
	    .wire_sum = h->wire_sum,
	    .unknown_sizes = h->unknown_sizes,
	    .n_chunks = h->n_chunks,
	};
}

static void
sums_to_head(const struct index_sums *s, struct index_head *h)
{
	h->wire_sum = s->wire_sum;
	h->unknown_sizes = s->unknown_sizes;
	h->n_chunks = s->n_chunks;
}

static bool
is_based(const struct job *j)
{
	const struct derived *d = j->m->derived;

	return d->is_based && d->box == j->head.box &&
	    d->generation == j->head.generation;
}

static int
write_records(struct index *ix, void *arg, struct err *e)
{
	struct job *j = arg;
	struct mailbox *m = j->m;
	uint32_t top = m->derived->saved_top;

	j->is_whole = true;
	j->appended = 0;
	j->old.n = 0;
	set32_copy(&j->vanished, &m->derived->vanished);
	if (find_box(ix, j, e) == -1)
		return -1;
	sums_of_head(&j->head, &j->sums);
	if (j->head.highest_modseq > m->highest_modseq)
		m->highest_modseq = j->head.highest_modseq;
	if (!is_based(j)) {
		if (m->lazy_top != 0)
			return err_set(e, ERR_IN_USE, "written meanwhile");
		m->highest_modseq = modseq_next(m->store, m->highest_modseq);
		j->fresh = m->highest_modseq;
		if (clear_records(ix, j, e) == -1)
			return -1;
		top = 0;
	} else if (edit_records(ix, j, top, e) == -1) {
		return -1;
	}
	j->top = top;
	j->next = mailbox_rec_index(m, top + 1);
	j->at = 0;
	if (index_box_append(ix, j->head.box, next_new, j, &j->sums, e) == -1)
		return -1;
	if (!set32_is_empty(&j->vanished) &&
	    (modlog_add(ix, j->head.box, m->highest_modseq, &j->vanished,
		 &j->head.vanished_from, e) == -1 ||
		cache_remove(ix, j->head.box, &j->vanished, e) == -1 ||
		derived_drop_filters(
		    ix, j->head.box, &j->vanished, &m->live, e) == -1))
		return -1;
	if (put_slots(ix, j, e) == -1)
		return -1;
	sums_to_head(&j->sums, &j->head);
	return save_head(ix, j, e);
}

static int
write_facts(struct index *ix, void *arg, struct err *e)
{
	struct job *j = arg;
	struct index_key k;
	struct buf copy;
	struct str value;
	int rc = -1;

	if (find_box(ix, j, e) == -1)
		return -1;
	/* Its slices must outlive the first change. */
	buf_init(&copy, SIZE_MAX / 2);
	k = index_key_head(j->head.place);
	if (index_get(ix, &k, &value)) {
		(void)buf_add_str(&copy, value);
		if (!index_head_parse(buf_str(&copy), &j->head)) {
			buf_done(&copy);
			return err_set(e, ERR_CORRUPT, "index: head");
		}
	}
	sums_of_head(&j->head, &j->sums);
	if (edit_records(ix, j, UINT32_MAX, e) == 0 &&
	    put_slots(ix, j, e) == 0) {
		sums_to_head(&j->sums, &j->head);
		rc = index_box_save_head(ix, &j->head, e);
	}
	buf_done(&copy);
	return rc;
}

/* ---- the two occasions --------------------------------------------------- */

static void
job_init(struct job *j, struct mailbox *m, bool with_records)
{
	*j = (struct job){.m = m, .with_records = with_records};
	buf_init(&j->side, SIZE_MAX / 2);
	set32_init(&j->vanished);
	set32_init(&j->others);
	collect(j);
}

static void
job_done(struct job *j)
{
	VEC_DONE(&j->items);
	VEC_DONE(&j->old);
	set32_done(&j->vanished);
	set32_done(&j->others);
	buf_done(&j->side);
}

/* Facts about messages above `top` wait for their records. */
static void
facts_are_written(struct derived *d, uint32_t top)
{
	size_t n = 0;

	VEC_EACH(&d->facts, f)
		if (f->uid > top)
			d->facts.v[n++] = *f;
	d->facts.n = n;
	d->slots.n = 0;
	d->note_filtered = false;
	buf_clear(&d->bytes);
	/* A listing of all that has come to its end. */
	if (d->bytes.size > KEEP_BYTES) {
		buf_done(&d->bytes);
		buf_init(&d->bytes, SIZE_MAX / 2);
		VEC_DONE(&d->slots);
	}
	if (n == 0 && d->facts.size > KEEP_FACTS)
		VEC_DONE(&d->facts);
}

/* Records first: facts lie in them. */
static bool
needs_records(struct mailbox *m)
{
	const struct derived *d = m->derived;

	if (!d->is_dirty || m->store->ops->index_is_settled == NULL ||
	    !m->store->ops->index_is_settled(m))
		return false;
	if (!d->is_based || !derived_has_box(m))
		return true;
	for (size_t i = d->facts.n; i > 0; i--)
		if (d->facts.v[i - 1].uid > d->saved_top)
			return true;
	return false;
}

void
derived_write_facts(struct mailbox *m)
{
	struct index *ix = derived_index(m->store);
	struct job j;
	struct err e;

	if (ix != NULL && needs_records(m) && derived_save(m) != STEP_FAIL)
		return;
	job_init(&j, m, false);
	/* One that is gone would come back as a head without a mailbox. */
	if (ix != NULL && !m->is_gone &&
	    index_write(ix, write_facts, &j, &e) == 0) {
		m->derived->box = j.head.box;
		m->derived->epoch = index_epoch(ix);
	}
	job_done(&j);
	/* What could not be written is found again when it is needed. */
	facts_are_written(m->derived, UINT32_MAX);
}

enum step
derived_save(struct mailbox *m)
{
	struct derived *d = m->derived;
	struct index *ix = derived_index(m->store);
	struct index_head h;
	enum step result = STEP_FAIL;
	struct job j;
	struct err e;

	if (ix == NULL || m->is_gone || m->is_broken ||
	    m->store->ops->index_is_settled == NULL ||
	    !m->store->ops->index_is_settled(m))
		return STEP_FAIL;
	derived_touch(m->store);
	if (d->epoch != index_epoch(ix)) {
		d->is_based = false;
		d->box = 0;
		d->epoch = index_epoch(ix);
		/* Nobody knows any more what changed when. */
		m->highest_modseq = modseq_next(m->store, m->highest_modseq);
		d->base_modseq = d->vanished_from = m->highest_modseq;
	}
	/* Somebody else has written: all must be there to write it anew. */
	if (m->lazy_top != 0 &&
	    (!d->is_based || !index_box_head(ix, str_of(d->place), &h) ||
		h.generation != d->generation) &&
	    mailbox_load(m, &e) == -1)
		return STEP_FAIL;
	job_init(&j, m, true);
	if (index_write(ix, write_records, &j, &e) == 0) {
		d->box = j.head.box;
		d->generation = j.head.generation;
		d->vanished_from = j.head.vanished_from;
		d->is_based = true;
		d->saved_top = j.top;
		d->changed.n = 0;
		if (j.is_whole)
			d->arrivals.n = 0;
		set32_clear(&d->vanished);
		facts_are_written(d, j.is_whole ? UINT32_MAX : j.top);
		d->is_dirty = !j.is_whole || j.again;
		d->changed_ms = clock_mono_ms();
		result = j.is_whole ? STEP_DONE : STEP_MORE;
	}
	job_done(&j);
	return result;
}
