/* SPDX-License-Identifier: ISC */
/*
 * derived_rec.c - records that are in the index alone, read where they lie.
 *
 * Owns:    the chunk that a mailbox looked at last.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing that it reads: a record that can not be found makes the
 *          mailbox be read from disk.
 */
#include "store/derived_impl.h"

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

const struct index_chunk *
derived_find_rec(struct mailbox *m, uint32_t uid, bool with_side, uint32_t *i)
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
		if (d->none_serial == index_serial(ix) + 1 &&
		    uid >= d->none_from)
			return NULL;
		derived_touch(m->store);
		d->chunk_serial = 0;
		if (!index_box_chunk(ix, d->box, uid, false, c)) {
			d->none_serial = index_serial(ix) + 1;
			d->none_from = uid;
			return NULL;
		}
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
	c = derived_find_rec(m, uid, true, &i);
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

/* From the record of `uid` on; false: it has none. */
static bool
run_from(struct mailbox *m, uint32_t uid, struct view_run *run)
{
	const struct index_chunk *c;
	uint32_t i;

	run->n = 0;
	c = derived_find_rec(m, uid, false, &i);
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
derived_run_begin(struct mailbox *m, uint32_t uid, struct view_run *run)
{
	run->n = 0;
	return uid <= m->lazy_top && m->singles.n == 0 && run_from(m, uid, run);
}

const char *
view_run_find(struct view_run *run, uint32_t uid)
{
	uint32_t at;

	if (run->n > 0 && run->serial != index_serial(run->ix))
		run->n = 0;
	for (; run->n > 0; run->n--, run->recs += sizeof(struct index_rec)) {
		memcpy(&at, run->recs, sizeof(at));
		if (at >= uid)
			return at == uid ? run->recs : NULL;
	}
	return NULL;
}

bool
derived_flags(struct mailbox *m, uint32_t uid, struct flags *out)
{
	static uint16_t more[DERIVED_MORE_MAX];
	const struct index_chunk *c;
	struct index_rec r;
	struct str own;
	uint32_t i;

	if (derived_find_single(m, uid) != NULL)
		return false;
	c = derived_find_rec(m, uid, false, &i);
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
	if (derived_find_rec(m, uid, true, &i) == NULL)
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

bool
derived_facts(struct mailbox *m, uint32_t uid, struct index_rec *out)
{
	const struct index_chunk *c;
	uint32_t i;

	c = derived_find_rec(m, uid, false, &i);
	if (c == NULL)
		return false;
	*out = index_chunk_rec(c, i);
	return true;
}

bool
derived_facts_next(struct mailbox *m, uint32_t uid, struct view_run *run,
    struct index_rec *out)
{
	const char *rec = view_run_find(run, uid);

	if (rec == NULL && run_from(m, uid, run))
		rec = run->recs;
	if (rec == NULL)
		return false;
	memcpy(out, rec, sizeof(*out));
	return true;
}
