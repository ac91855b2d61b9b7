/* SPDX-License-Identifier: ISC */
/*
 * mbox_slots.c - slots and records of an open mailbox, and what its file was
 * when they were true of it.
 *
 * Owns:    slots, the stamp of the file, X-IMAPbase.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing in the file.
 * Spec:    formats.md 6.7, 7.3.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "store/mbox/mbox_reading.h"

struct mbox_tuning mbox_tuning = {
    .whole_bytes = UINT64_C(2) * 1024 * 1024,
    .freshen_ms = 1000,
    .eager_bytes = UINT64_C(1024) * 1024,
    .told_spare = 100000,
};

struct mbox_slot *
mbox_slot_of(const struct mailbox *m, const struct msg_rec *r)
{
	return &mbox_of(m)->slots.v[r->info];
}

void
mbox_link_slots(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);

	for (size_t i = 0; i < mb->slots.n; i++) {
		struct msg_rec *r = mailbox_rec(m, mb->slots.v[i].uid);

		if (r != NULL)
			r->info = (uint32_t)i;
	}
}

void
mbox_take_stamp(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);
	struct stat st;

	mb->gen++;
	mb->stamp = (struct file_stamp){0};
	mb->told_at_scan = mbox_told(m);
	mb->scanned_us = clock_wall_us();
	if (mb->fd != -1 && fstat(mb->fd, &st) == 0)
		mb->stamp = file_stamp_of(&st);
}

void
mbox_no_stamp(struct mailbox *m)
{
	mbox_of(m)->stamp = (struct file_stamp){.ino = MBOX_NO_STAMP};
	mbox_of(m)->is_true = false;
}

bool
mbox_is_racy(const struct file_stamp *stamp, int64_t scanned_us)
{
	int64_t changed_us = mbox_changed_us(stamp);

	return stamp->ino != 0 && scanned_us - changed_us < MBOX_RACY_US &&
	    scanned_us >= changed_us;
}

int64_t
mbox_changed_us(const struct file_stamp *stamp)
{
	/* Not the time that a program may set: mutt puts back the old one. */
	return (int64_t)stamp->ctime.tv_sec * 1000000 +
	    stamp->ctime.tv_nsec / 1000;
}

void
mbox_count_dirty(struct mbox *mb)
{
	mb->n_dirty = mb->lazy_dirty;
	mb->n_expunge = 0;
	VEC_EACH(&mb->slots, s) {
		mb->n_dirty += (s->flags & (SLOT_NO_UID | SLOT_DIRTY)) != 0;
		mb->n_expunge += (s->flags & SLOT_EXPUNGE) != 0;
	}
}

void
mbox_purge(struct mailbox *m)
{
	size_t n = 0;

	if (m->n_expunged == 0 || !mailbox_is_all_told(m))
		return;
	for (size_t i = 0; i < m->recs.n; i++)
		if (m->recs.v[i].state != REC_EXPUNGED)
			m->recs.v[n++] = m->recs.v[i];
	m->recs.n = n;
	m->n_expunged = 0;
}

uint32_t
mbox_new_uidvalidity(void)
{
	static uint32_t last;
	uint32_t now = (uint32_t)clock_wall_s();

	last = now > last ? now : last + 1;
	return last;
}

/* ---- X-IMAPbase ------------------------------------------------------------ */

const struct mbox_slot *
mbox_base_slot(const struct mailbox *m)
{
	const struct mbox *mb = mbox_of(m);

	if (mb->has_pseudo)
		return &mb->pseudo;
	if (m->lazy_top != 0)
		return &mb->first;
	return mb->slots.n > 0 ? &mb->slots.v[0] : NULL;
}

int
mbox_reload_base(struct mailbox *m, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	const struct mbox_slot *slot = mbox_base_slot(m);
	bool had_base = mb->has_base;
	struct mbox_state st;
	size_t n, got;
	char *p;
	int rc;

	mb->has_base = false;
	mb->last_uid_at = 0;
	if (slot == NULL)
		return 0;
	n = slot->head_len < MBOX_HEADER_MAX ? slot->head_len : MBOX_HEADER_MAX;
	p = mem_new(1, n + 1);
	rc = file_read_at(mb->fd, slot->off + slot->from_len, p, n, &got, e);
	mbox_state_parse(str_make(p, rc == 0 ? got : 0), &st);
	if (st.has_base)
		mbox_learn_keywords(m, st.base_keywords);
	free(p);
	if (rc == -1)
		return -1;
	mb->has_base = st.has_base && st.uidvalidity == m->uidvalidity;
	if (mb->has_base && !had_base)
		mbox_agree_forget(m->store, mb->path);
	mb->disk_last_uid = st.last_uid;
	if (st.has_base && st.last_uid_fixed)
		mb->last_uid_at = slot->off + slot->from_len + st.last_uid_at;
	return 0;
}

/* False: it is not there any more. */
bool
mbox_look_at_base(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);
	bool had_base = mb->has_base;
	struct err e;

	if (!had_base)
		return true;
	return mbox_reload_base(m, &e) == 0 && mb->has_base;
}
