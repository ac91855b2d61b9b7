/* SPDX-License-Identifier: ISC */
/*
 * mbox_was.c - what the file said of messages whose flags wait in memory.
 *
 * Owns:    the list of them.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing.
 * Spec:    formats.md 6.6, 7.3.
 *
 * The flags of a message are written together. If what we have were written as
 * it is, a flag that another program has set since we read the file would be
 * lost. So it is remembered what the file said when a message's flags were
 * first changed here; when the file is read again, our changes are made to what
 * it says now.
 */
#include <stdlib.h>

#include "store/mbox/mbox_impl.h"

size_t
mbox_was_index(const struct mbox *mb, uint32_t uid)
{
	return VEC_FIND(&mb->was, uid, uid);
}

static void
set_more(struct mbox_was *w, const uint16_t *more, size_t n)
{
	free(w->more);
	w->more =
	    n > 0 ? (uint16_t *)(void *)mem_dup(more, n * sizeof(*more)) : NULL;
	w->n_more = n;
}

void
mbox_was_note(struct mailbox *m, const struct msg_rec *r)
{
	struct mbox *mb = mbox_of(m);
	size_t at = mbox_was_index(mb, r->uid), n;
	const uint16_t *more = mailbox_more(m, r, &n);

	if (at == mb->was.n || mb->was.v[at].uid != r->uid) {
		(void)VEC_ADD(&mb->was);
		memmove(&mb->was.v[at + 1], &mb->was.v[at],
		    (mb->was.n - 1 - at) * sizeof(*mb->was.v));
		mb->was.v[at] = (struct mbox_was){.uid = r->uid};
	} else if (mbox_slot_of(m, r)->flags & SLOT_DIRTY) {
		return;
	}
	/* What was written meanwhile is what the file says now. */
	mb->was.v[at].system = r->system;
	mb->was.v[at].keywords = r->keywords;
	set_more(&mb->was.v[at], more, n);
}

static bool
has(const uint16_t *v, size_t n, uint16_t number)
{
	for (size_t i = 0; i < n && v[i] <= number; i++)
		if (v[i] == number)
			return true;
	return false;
}

/* Those of the file but what we removed, and what we added; sorted. */
static size_t
merge_more(const struct mbox_was *w, const uint16_t *ours, size_t n_ours,
    const struct mbox_flags *file, uint16_t *out)
{
	size_t i = 0, k = 0, n = 0;

	while ((i < file->n_more || k < n_ours) && n < MBOX_MORE_MAX) {
		bool from_file = k == n_ours ||
		    (i < file->n_more && file->more[i] <= ours[k]);
		uint16_t number = from_file ? file->more[i] : ours[k];
		bool in_file = i < file->n_more && file->more[i] == number;
		bool in_ours = k < n_ours && ours[k] == number;
		bool was = has(w->more, w->n_more, number);

		/* Who differs from what it was has changed it. */
		if (in_ours != was ? in_ours : in_file)
			out[n++] = number;
		i += in_file;
		k += in_ours;
	}
	return n;
}

void
mbox_was_merge(struct mailbox *m, const struct msg_rec *r, struct mbox_flags *f)
{
	struct mbox *mb = mbox_of(m);
	size_t at = mbox_was_index(mb, r->uid), n_ours;
	const uint16_t *ours = mailbox_more(m, r, &n_ours);
	const struct mbox_flags file = *f;
	struct mbox_was *w;
	uint8_t system;
	uint32_t keywords;

	if (at == mb->was.n || mb->was.v[at].uid != r->uid) {
		f->system = r->system;
		f->keywords = r->keywords;
		f->n_more = n_ours < MBOX_MORE_MAX ? n_ours : MBOX_MORE_MAX;
		if (f->n_more > 0)
			memcpy(f->more, ours, f->n_more * sizeof(*ours));
		return;
	}
	w = &mb->was.v[at];
	/* The bits that are ours to say. */
	system = w->system ^ r->system;
	keywords = w->keywords ^ r->keywords;
	f->system = (file.system & (uint8_t)~system) | (r->system & system);
	f->keywords = (file.keywords & ~keywords) | (r->keywords & keywords);
	f->n_more = merge_more(w, ours, n_ours, &file, f->more);
	w->system = file.system;
	w->keywords = file.keywords;
	set_more(w, file.more, file.n_more);
}

void
mbox_was_sweep(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);
	size_t n = 0;

	for (size_t i = 0; i < mb->was.n; i++) {
		struct mbox_was *w = &mb->was.v[i];
		const struct msg_rec *r = mailbox_rec(m, w->uid);

		if (r != NULL && r->state == REC_LIVE &&
		    r->info < mb->slots.n &&
		    mbox_slot_of(m, r)->flags & SLOT_DIRTY)
			mb->was.v[n++] = *w;
		else
			free(w->more);
	}
	mb->was.n = n;
	if (n == 0)
		mb->dirty_ms = 0;
}

void
mbox_was_done(struct mbox *mb)
{
	VEC_EACH(&mb->was, w)
		free(w->more);
	VEC_DONE(&mb->was);
}
