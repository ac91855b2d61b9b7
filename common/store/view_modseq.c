/* SPDX-License-Identifier: ISC */
/*
 * view_modseq.c - mod-sequences as a session sees them.
 *
 * Owns:    nothing.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing from outside comes here.
 * Spec:    RFC 7162 sections 3.1.2.1, 3.2, 3.2.5.1.
 */
#include "store/view_modseq.h"

#include "store/derived.h"
#include "store/modseq_floor.h"

/* Said to a client: RFC 7162 section 3.1.1, what comes now is above it. */
static uint64_t
tell(struct mailbox *m, uint64_t modseq)
{
	if (modseq > m->told_modseq)
		m->told_modseq = modseq;
	return modseq;
}

uint64_t
mailbox_highest_modseq(struct mailbox *m)
{
	if (m->highest_modseq == 0)
		m->highest_modseq =
		    modseq_next(m->store, modseq_floor(m->store));
	return tell(m, m->highest_modseq);
}

uint64_t
view_highest_modseq(struct view *v)
{
	return mailbox_highest_modseq(v->m);
}

uint64_t
view_modseq(struct view *v, uint32_t uid)
{
	uint64_t own = derived_modseq(v->m, uid);

	/* Without an index every message is as new as the last change. */
	return own != 0 ? tell(v->m, own) : view_highest_modseq(v);
}

bool
view_keeps_back(struct view *v)
{
	return v->gone.n > 0 || v->expunge_gen != v->m->expunge_gen;
}

uint64_t
view_told_modseq(struct view *v)
{
	return view_keeps_back(v) && v->told_modseq != 0
	    ? tell(v->m, v->told_modseq)
	    : view_highest_modseq(v);
}

void
view_vanished(struct view *v, uint64_t modseq, struct set32 *out)
{
	uint32_t next = mailbox_uidnext(v->m), from = 1;
	const struct set32_range *r;

	if (derived_vanished(v->m, modseq, out))
		return;
	for (size_t i = 0; i < v->uids.n; i++) {
		r = &v->uids.r[i];
		if (r->first > from)
			set32_add_range(out, from, r->first - 1);
		if (r->last == UINT32_MAX)
			return;
		from = r->last + 1;
	}
	if (next > from)
		set32_add_range(out, from, next - 1);
}

enum step
view_refresh(struct view *v, struct err *e)
{
	store_begin_step(v->store);
	return mailbox_sync(v->m, &v->sync, e);
}
