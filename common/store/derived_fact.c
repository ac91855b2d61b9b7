/* SPDX-License-Identifier: ISC */
/*
 * derived_fact.c - facts about messages, on their way into the index.
 *
 * Owns:    facts and slots that wait, in struct derived.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  its callers; what it reads of the index, nothing.
 */
#include "base/assert.h"
#include "store/derived_impl.h"
#include "store/kept.h"

/* What one transaction writes in about ten milliseconds. */
/* Half of what filterbuild.c keeps before it looks whether that was written. */
#define WAITING_MAX_BYTES (256 * 1024)
#define WAITING_MAX 8192

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
	f->known &= (uint16_t)~INDEX_HAS_BOUNDS;
	f->known |= INDEX_HAS_SIZE;
	f->size = size;
	f->wire_size = wire_size;
}

void
derived_note_bounds(
    struct mailbox *m, uint32_t uid, uint64_t low, uint64_t high)
{
	struct index_rec r;
	struct fact *f;

	if (m->derived == NULL || m->store->ops->index_by_content)
		return;
	if (derived_facts(m, uid, &r) &&
	    (r.known & INDEX_HAS_SIZE ||
		(r.known & INDEX_HAS_BOUNDS && r.size == low &&
		    r.wire_size == high)))
		return;
	f = waiting_fact(m, uid);
	if (f->known & INDEX_HAS_SIZE)
		return;
	f->known |= INDEX_HAS_BOUNDS;
	f->size = low;
	f->wire_size = high;
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
	    INDEX_HEADKEYS, INDEX_BINARY};
	struct fact *f;

	if (m->derived == NULL)
		return;
	/* An empty value is one that is not known. */
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		derived_put(m, uid, all[i], STR(""));
	kept_forget(m);
	f = waiting_fact(m, uid);
	f->known = 0;
	f->forgets = true;
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
