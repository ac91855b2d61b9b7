/* SPDX-License-Identifier: ISC */
/*
 * derived_filter.c - the search filters of a mailbox in the index.
 *
 * Owns:    the groups of filters, and up to which UID there are all.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  a group to be whole; not its form.
 *
 * A group outlives messages of it that vanish: nobody asks for those any more.
 * With the last of them it goes.
 */
#include "store/derived_impl.h"

/* ---- reading ------------------------------------------------------------- */

bool
derived_filter_group(struct mailbox *m, uint32_t uid, struct str *group)
{
	struct index_key k, kind;
	struct str key;

	if (!derived_has_box(m))
		return false;
	derived_touch(m->store);
	k = index_key_of(m->derived->box, INDEX_FILTERS, uid);
	kind = index_key_kind(m->derived->box, INDEX_FILTERS);
	return index_seek_back(m->store->derived->ix, &k, &kind, &key, group);
}

/* Up to which UID there is no group but that of `uid`, if it has one. */
static uint32_t
before_next_group(struct mailbox *m, uint32_t uid)
{
	struct index_key k, kind;
	struct str key, value;

	if (uid == UINT32_MAX)
		return uid;
	k = index_key_of(m->derived->box, INDEX_FILTERS, uid + 1);
	kind = index_key_kind(m->derived->box, INDEX_FILTERS);
	return index_seek(m->store->derived->ix, &k, &kind, &key, &value)
	    ? index_key_uid(key) - 1
	    : UINT32_MAX;
}

/* The group that may have `uid`: the last one, mostly. */
static bool
find_group(struct mailbox *m, uint32_t uid)
{
	struct derived *d = m->derived;
	struct filter_group *g = &d->filters;
	struct str value;

	if (!derived_has_box(m))
		return false;
	if (d->filters_serial == index_serial(m->store->derived->ix) + 1 &&
	    d->filters_from <= uid && uid <= d->filters_to)
		return g->n > 0;
	if (!derived_filter_group(m, uid, &value) ||
	    !filter_group_parse(value, g))
		g->n = 0;
	d->filters_from = uid;
	if (g->n > 0 && filter_group_entry(g, 0).uid < uid)
		d->filters_from = filter_group_entry(g, 0).uid;
	d->filters_to = before_next_group(m, uid);
	/* Serials begin with 0, and so does a mailbox that knows nothing. */
	d->filters_serial = index_serial(m->store->derived->ix) + 1;
	d->filters_at = 0;
	return g->n > 0;
}

bool
derived_filter(struct mailbox *m, uint32_t uid, struct str *record)
{
	struct derived *d = m->derived;

	if (d == NULL || !find_group(m, uid) ||
	    !filter_group_find(&d->filters, uid, &d->filters_at))
		return false;
	*record = filter_group_record(&d->filters, d->filters_at);
	return record->n > 0;
}

uint32_t
derived_filtered(struct mailbox *m)
{
	struct index_key k;
	struct str value;
	uint32_t uid = 0;

	if (m->derived != NULL && m->derived->note_filtered)
		return m->derived->filtered;
	if (!derived_has_box(m))
		return 0;
	derived_touch(m->store);
	k = index_key_kind(m->derived->box, INDEX_FILTERED);
	if (index_get(m->store->derived->ix, &k, &value) &&
	    value.n == sizeof(uid))
		memcpy(&uid, value.p, sizeof(uid));
	return uid;
}

/* ---- noting -------------------------------------------------------------- */

void
derived_put_filters(struct mailbox *m, uint32_t uid, struct str group)
{
	derived_put_any(m, uid, INDEX_FILTERS, group);
}

void
derived_note_filtered(struct mailbox *m, uint32_t uid)
{
	if (m->derived == NULL)
		return;
	m->derived->filtered = uid;
	m->derived->note_filtered = true;
	derived_arm_facts(m->store);
}

/* ---- writing ------------------------------------------------------------- */

int
derived_write_filtered(
    struct index *ix, uint32_t box, uint32_t uid, struct err *e)
{
	struct index_key k = index_key_kind(box, INDEX_FILTERED);

	return uid == 0 ? index_remove(ix, &k, e)
			: index_put(ix, &k, str_make(&uid, sizeof(uid)), e);
}

int
derived_write_filters(struct index *ix, uint32_t box, uint32_t uid,
    struct str group, struct err *e)
{
	struct index_key k = index_key_of(box, INDEX_FILTERS, uid);
	struct set32 one;
	int rc;

	if (group.n > 0)
		return index_put(ix, &k, group, e);
	set32_init(&one);
	set32_add(&one, uid);
	rc = derived_drop_filters(ix, box, &one, NULL, e);
	set32_done(&one);
	return rc;
}

static bool
has_any(const struct filter_group *g, const struct set32 *live)
{
	for (uint32_t i = 0; i < g->n; i++)
		if (set32_has(live, filter_group_entry(g, i).uid))
			return true;
	return false;
}

/* From the last to the first: the way the index can be walked while it is
 * written. */
static int
drop_range(struct index *ix, uint32_t box, uint32_t first, uint32_t last,
    const struct set32 *live, struct err *e)
{
	struct index_key at = index_key_of(box, INDEX_FILTERS, last);
	struct index_key kind = index_key_kind(box, INDEX_FILTERS);
	struct str key, value;
	struct filter_group g;

	while (index_seek_back(ix, &at, &kind, &key, &value)) {
		uint32_t uid = index_key_uid(key);
		bool is_ours = filter_group_parse(value, &g);

		if (is_ours && filter_group_entry(&g, g.n - 1).uid < first)
			break;
		at = index_key_of(box, INDEX_FILTERS, uid);
		if ((!is_ours || live == NULL || !has_any(&g, live)) &&
		    index_remove(ix, &at, e) == -1)
			return -1;
		if (uid <= 1)
			break;
		at = index_key_of(box, INDEX_FILTERS, uid - 1);
	}
	return 0;
}

int
derived_drop_filters(struct index *ix, uint32_t box, const struct set32 *uids,
    const struct set32 *live, struct err *e)
{
	for (size_t i = 0; i < uids->n; i++)
		if (drop_range(ix, box, uids->r[i].first, uids->r[i].last, live,
			e) == -1)
			return -1;
	return 0;
}
