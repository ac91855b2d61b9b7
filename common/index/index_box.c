/* SPDX-License-Identifier: ISC */
/*
 * index_box.c - chunks of records: found, edited, appended.
 *
 * Owns:    nothing that lasts.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  a chunk's form, once index_key.c has accepted it; no number in it.
 *
 * A chunk stays under the UID that it began with, also when that message has
 * gone; one that becomes empty is removed. Neighbours are not joined: a mailbox
 * whose chunks have become too small is written anew by its owner.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "index/index_box.h"

bool
index_box_head(struct index *ix, struct str place, struct index_head *out)
{
	struct index_key k = index_key_head(place);
	struct str value;

	if (!index_get(ix, &k, &value))
		return false;
	if (!index_head_parse(value, out)) {
		index_note_damage(ix, "head");
		return false;
	}
	return str_eq(out->place, place); /* else two with one hash */
}

/* ---- reading ------------------------------------------------------------- */

static bool
take_chunk(
    struct index *ix, struct str key, struct str value, struct index_chunk *c)
{
	if (!index_chunk_parse(value, c)) {
		index_note_damage(ix, "chunk");
		return false;
	}
	c->first_uid = index_key_uid(key);
	return true;
}

bool
index_box_side(struct index *ix, uint32_t box, struct index_chunk *c)
{
	struct index_key k = index_key_of(box, INDEX_SIDE, c->first_uid);

	return c->side.p != NULL || index_get(ix, &k, &c->side);
}

/* The chunk at or before `uid`, then at or behind it. */
static bool
seek_chunk(struct index *ix, uint32_t box, uint32_t uid, struct index_chunk *c)
{
	struct index_key k = index_key_of(box, INDEX_RECS, uid);
	struct index_key kind = index_key_kind(box, INDEX_RECS);
	struct str key, value;

	if (index_seek_back(ix, &k, &kind, &key, &value)) {
		if (!take_chunk(ix, key, value, c))
			return false;
		if (index_chunk_find(c, uid) < c->n)
			return true;
	}
	return index_seek(ix, &k, &kind, &key, &value) &&
	    take_chunk(ix, key, value, c);
}

bool
index_box_chunk(struct index *ix, uint32_t box, uint32_t uid, bool with_side,
    struct index_chunk *c)
{
	return seek_chunk(ix, box, uid, c) &&
	    (!with_side || index_box_side(ix, box, c));
}

bool
index_box_next(
    struct index *ix, uint32_t box, bool with_side, struct index_chunk *c)
{
	uint32_t last = index_chunk_rec(c, c->n - 1).uid;

	if (last == UINT32_MAX)
		return false;
	return index_box_chunk(ix, box, last + 1, with_side, c);
}

bool
index_box_rec(
    struct index *ix, uint32_t box, uint32_t uid, struct index_rec *out)
{
	struct index_chunk c;
	uint32_t i;

	if (!seek_chunk(ix, box, uid, &c))
		return false;
	i = index_chunk_find(&c, uid);
	if (i == c.n)
		return false;
	*out = index_chunk_rec(&c, i);
	return out->uid == uid;
}

bool
index_box_has_hash(struct index *ix, uint32_t box, uint64_t hash)
{
	struct index_key kind = index_key_kind(box, INDEX_RECS);
	struct str key, value;
	struct index_chunk c;
	bool more = index_seek(ix, &kind, &kind, &key, &value);

	while (more) {
		if (!take_chunk(ix, key, value, &c))
			return false;
		for (uint32_t i = 0; i < c.n; i++) {
			uint64_t h;

			memcpy(&h,
			    c.recs + (size_t)i * sizeof(struct index_rec) +
				offsetof(struct index_rec, hash),
			    sizeof(h));
			if (h == hash)
				return true;
		}
		more = index_next(ix, &kind, &key, &value);
	}
	return false;
}

/* ---- side bytes ---------------------------------------------------------- */

void
index_side_write(struct buf *b, const uint16_t *more, size_t n, struct str own)
{
	uint16_t count = (uint16_t)n;

	if (n > 0) {
		(void)buf_add(b, &count, sizeof(count));
		(void)buf_add(b, more, n * sizeof(*more));
	}
	(void)buf_add_str(b, own);
}

size_t
index_side_parse(struct str side, unsigned known, uint16_t *more, size_t max,
    struct str *own)
{
	uint16_t n;

	*own = side;
	if (!(known & INDEX_HAS_MORE) || side.n < sizeof(n))
		return 0;
	memcpy(&n, side.p, sizeof(n));
	side = str_skip(side, sizeof(n));
	*own = str_make(NULL, 0);
	if (side.n < n * sizeof(*more))
		return 0;
	*own = str_skip(side, n * sizeof(*more));
	if (n > max)
		n = (uint16_t)max;
	if (n > 0)
		memcpy(more, side.p, n * sizeof(*more));
	for (uint16_t i = 1; i < n; i++)
		if (more[i] <= more[i - 1])
			return 0;
	return n;
}

/* ---- heads --------------------------------------------------------------- */

int
index_box_new(struct index *ix, uint32_t *box, struct err *e)
{
	struct index_key k = index_key_next_box();
	struct str value;
	uint32_t next = 1;

	if (index_get(ix, &k, &value) && value.n == sizeof(next))
		memcpy(&next, value.p, sizeof(next));
	if (next == 0 || next == UINT32_MAX)
		return err_set(e, ERR_CORRUPT, "index: no mailbox number left");
	*box = next++;
	return index_put(ix, &k, str_make(&next, sizeof(next)), e);
}

int
index_box_save_head(struct index *ix, const struct index_head *h, struct err *e)
{
	struct index_key k = index_key_head(h->place);
	struct buf b;
	int rc;

	buf_init(&b, UINT32_MAX / 4);
	index_head_write(&b, h);
	rc = buf_is_over(&b) ? err_set(e, ERR_LIMIT, "index: head too large")
			     : index_put(ix, &k, buf_str(&b), e);
	buf_done(&b);
	return rc;
}

int
index_box_kill(struct index *ix, uint32_t box, struct err *e)
{
	struct index_key k = index_key_dead_box(box);

	return index_put(ix, &k, STR(""), e);
}

struct burial {
	uint32_t box;
	size_t max;
	bool is_all; /* of this box */
};

static int
bury_some(struct index *ix, void *arg, struct err *e)
{
	struct burial *b = arg;
	struct index_key k = index_key_box(b->box);
	struct index_key dead = index_key_dead_box(b->box);

	if (index_remove_some(ix, &k, b->max, &b->is_all, e) == -1)
		return -1;
	return b->is_all ? index_remove(ix, &dead, e) : 0;
}

int
index_box_bury(struct index *ix, size_t max, bool *is_all, struct err *e)
{
	struct index_key dead = index_key_dead();
	struct burial b = {.max = max};
	struct str key, value;

	*is_all = true;
	if (!index_seek(ix, &dead, &dead, &key, &value))
		return 0;
	b.box = index_key_box_of_dead(key);
	*is_all = false;
	return index_write(ix, bury_some, &b, e);
}

int
index_box_remove_head(struct index *ix, struct str place, struct err *e)
{
	struct index_key k = index_key_head(place);

	return index_remove(ix, &k, e);
}

/* ---- a chunk in memory --------------------------------------------------- */

struct page {
	uint32_t first_uid;
	uint32_t n;
	struct index_rec recs[INDEX_CHUNK_MAX];
	struct buf side;
};

static struct page *
page_new(void)
{
	struct page *p = mem_new(1, sizeof(*p));

	buf_init(&p->side, SIZE_MAX / 2);
	return p;
}

static void
page_free(struct page *p)
{
	buf_done(&p->side);
	free(p);
}

/* Adds a record to the end of the page. */
static void
page_add(struct page *p, const struct index_rec *r, struct str side)
{
	struct index_rec *to = &p->recs[p->n++];

	*to = *r;
	(void)buf_add_str(&p->side, side);
	to->side_end = (uint32_t)p->side.n;
}

static void
count_chunk(struct index_sums *sums, const struct index_chunk *c, bool adds)
{
	if (adds) {
		sums->wire_sum += c->wire_sum;
		sums->unknown_sizes += c->n_unknown;
		sums->n_chunks++;
		sums->n += c->n;
	} else {
		sums->wire_sum -= c->wire_sum;
		sums->unknown_sizes -= c->n_unknown;
		sums->n_chunks--;
		sums->n -= c->n;
	}
}

/* Writes the page under its first UID; an empty one is removed. */
static int
page_save(struct index *ix, uint32_t box, const struct page *p,
    struct index_sums *sums, struct err *e)
{
	struct index_key k = index_key_of(box, INDEX_RECS, p->first_uid);
	struct index_key ks = index_key_of(box, INDEX_SIDE, p->first_uid);
	struct index_chunk c;
	struct buf b;
	int rc = -1;

	if (p->n == 0)
		return index_remove(ix, &k, e) == -1 ? -1
						     : index_remove(ix, &ks, e);
	buf_init(&b, SIZE_MAX / 2);
	index_chunk_write(&b, p->recs, p->n);
	if (index_put(ix, &k, buf_str(&b), e) == 0 &&
	    index_put(ix, &ks, buf_str(&p->side), e) == 0)
		rc = 0;
	if (rc == 0 && index_chunk_parse(buf_str(&b), &c))
		count_chunk(sums, &c, true);
	buf_done(&b);
	return rc;
}

/* ---- editing ------------------------------------------------------------- */

struct edit {
	const uint32_t *uids;
	size_t n, at;
	index_edit_fn *fn;
	void *arg;
};

/* The chunk with the edits, in `p`; true: it has become another. */
static bool
edit_chunk(struct edit *ed, const struct index_chunk *c, struct page *p)
{
	bool changed = false;

	p->first_uid = c->first_uid;
	p->n = 0;
	buf_clear(&p->side);
	for (uint32_t i = 0; i < c->n; i++) {
		struct index_rec r = index_chunk_rec(c, i);
		struct str side = index_chunk_side(c, i);
		enum index_edit what = INDEX_EDIT_KEEP;

		while (ed->at < ed->n && ed->uids[ed->at] < r.uid)
			ed->at++;
		if (ed->at < ed->n && ed->uids[ed->at] == r.uid)
			what = ed->fn(ed->arg, &r, &side);
		changed = changed || what != INDEX_EDIT_KEEP;
		if (what != INDEX_EDIT_DROP)
			page_add(p, &r, side);
	}
	return changed;
}

int
index_box_edit(struct index *ix, uint32_t box, const uint32_t *uids, size_t n,
    index_edit_fn *fn, void *arg, struct index_sums *sums, struct err *e)
{
	struct edit ed = {.uids = uids, .n = n, .fn = fn, .arg = arg};
	struct index_key kind = index_key_kind(box, INDEX_RECS);
	struct page *p = page_new();
	int rc = 0;

	while (rc == 0 && ed.at < n) {
		struct index_key k = index_key_of(box, INDEX_RECS, uids[ed.at]);
		struct str key, value;
		struct index_chunk c;
		size_t was = ed.at;

		if (!index_seek_back(ix, &k, &kind, &key, &value)) {
			ed.at++;
			continue;
		}
		if (!take_chunk(ix, key, value, &c) ||
		    !index_box_side(ix, box, &c)) {
			rc = err_set(e, ERR_CORRUPT, "index: chunk");
			break;
		}
		if (edit_chunk(&ed, &c, p)) {
			count_chunk(sums, &c, false);
			rc = page_save(ix, box, p, sums, e);
		}
		/* Those up to the last of this chunk are done. */
		if (ed.at == was ||
		    (ed.at < n && p->n > 0 &&
			uids[ed.at] <= p->recs[p->n - 1].uid))
			ed.at++;
	}
	page_free(p);
	return rc;
}

/* ---- appending ----------------------------------------------------------- */

/* The last chunk, when there is room in it: it is filled up first. */
static int
load_last(struct index *ix, uint32_t box, struct page *p,
    struct index_sums *sums, struct err *e)
{
	struct index_key k = index_key_of(box, INDEX_RECS, UINT32_MAX);
	struct index_key kind = index_key_kind(box, INDEX_RECS);
	struct str key, value;
	struct index_chunk c;

	if (!index_seek_back(ix, &k, &kind, &key, &value))
		return 0;
	if (!take_chunk(ix, key, value, &c))
		return err_set(e, ERR_CORRUPT, "index: chunk");
	if (c.n == INDEX_CHUNK_MAX)
		return 0;
	if (!index_box_side(ix, box, &c))
		return err_set(e, ERR_CORRUPT, "index: side bytes");
	p->first_uid = c.first_uid;
	for (uint32_t i = 0; i < c.n; i++) {
		struct index_rec r = index_chunk_rec(&c, i);

		page_add(p, &r, index_chunk_side(&c, i));
	}
	count_chunk(sums, &c, false);
	return 0;
}

int
index_box_append(struct index *ix, uint32_t box, index_source_fn *fn, void *arg,
    struct index_sums *sums, struct err *e)
{
	struct page *p = page_new();
	struct index_rec r;
	struct str side;
	int rc = load_last(ix, box, p, sums, e);

	while (rc == 0 && fn(arg, &r, &side)) {
		if (p->n == INDEX_CHUNK_MAX) {
			rc = page_save(ix, box, p, sums, e);
			p->n = 0;
			buf_clear(&p->side);
		}
		if (p->n == 0)
			p->first_uid = r.uid;
		page_add(p, &r, side);
	}
	if (rc == 0 && p->n > 0)
		rc = page_save(ix, box, p, sums, e);
	page_free(p);
	return rc;
}
