/* SPDX-License-Identifier: ISC */
/*
 * mbox_match.c - which message of the file is which one that we know, and
 * UIDs for those that we do not.
 *
 * Owns:    nothing.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  no X-UID that the rules of mbox_read.c do not allow.
 * Spec:    formats.md 6.7, 7.3; security.md 7.3.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "store/mbox/mbox_reading.h"

#define NOTED_PER_LOOK 512 /* at the clock */

static int
by_hash(const void *a, const void *b)
{
	const struct mbox_known *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

void
mbox_remember_known(struct mbox_reading *r)
{
	const struct mbox *mb = mbox_of(r->m);

	VEC_EACH(&mb->slots, s)
		*VEC_ADD(&r->known) = (struct mbox_known){s->hash, s->uid, 0};
	if (r->known.n > 1)
		qsort(r->known.v, r->known.n, sizeof(*r->known.v), by_hash);
}

static struct msg_rec *
live_unseen(struct mbox_reading *r, uint32_t uid)
{
	struct msg_rec *rec = uid == 0 ? NULL : mailbox_rec(r->m, uid);

	return rec != NULL && rec->state == REC_LIVE && !(rec->own & OWN_SEEN)
	    ? rec
	    : NULL;
}

const struct mbox_slot *
mbox_known_slot(const struct mailbox *m, const struct msg_rec *rec)
{
	return rec->info < mbox_of(m)->slots.n ? mbox_slot_of(m, rec) : NULL;
}

/* The next record that no message of the file may claim by its X-UID. */
static struct msg_rec *
match_order(struct mbox_reading *r)
{
	uint32_t uid = r->blind_uid;

	if (r->has_base && uid < r->disk_last_uid)
		uid = r->disk_last_uid;
	if (uid == UINT32_MAX || !set32_next(&r->m->live, uid + 1, &uid))
		return NULL;
	r->blind_uid = uid;
	return live_unseen(r, uid);
}

/* The first that we know with this hash; r->known.n: none is. */
static size_t
first_known(const struct mbox_reading *r, uint64_t hash)
{
	return VEC_FIND(&r->known, hash, hash);
}

/* Of messages that are alike the next; there may be very many. */
static struct msg_rec *
match_content(struct mbox_reading *r, uint64_t hash)
{
	size_t first = first_known(r, hash), i = first;
	struct msg_rec *rec = NULL;

	if (first == r->known.n || r->known.v[first].hash != hash)
		return NULL;
	for (i += r->known.v[first].n_met;
	     i < r->known.n && r->known.v[i].hash == hash; i++) {
		rec = live_unseen(r, r->known.v[i].uid);
		if (rec != NULL)
			break;
	}
	r->known.v[first].n_met = (uint32_t)(i - first);
	return rec;
}

static int
by_content(const void *a, const void *b)
{
	const struct mbox_gone *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->sum < y->sum ? -1 : x->sum > y->sum;
}

/* r->known is sorted by the hash: what is left is among those that share it. */
static void
sort_alike(struct mbox_reading *r)
{
	size_t n = r->gone.n - r->gone_alike;

	if (n > 1)
		qsort(r->gone.v + r->gone_alike, n, sizeof(*r->gone.v),
		    by_content);
	r->gone_alike = r->gone.n;
}

static void
find_gone(struct mbox_reading *r, const struct mbox_known *k)
{
	const struct msg_rec *rec = live_unseen(r, k->uid);
	const struct mbox_slot *old =
	    rec == NULL ? NULL : mbox_known_slot(r->m, rec);

	if (old == NULL)
		return;
	if (r->gone.n > r->gone_alike &&
	    r->gone.v[r->gone.n - 1].hash != k->hash)
		sort_alike(r);
	*VEC_ADD(&r->gone) =
	    (struct mbox_gone){k->hash, old->sum, k->uid, false};
}

/* Those of the content of `s` have come again. */
static void
note_come_again(struct mbox_reading *r, const struct mbox_slot *s)
{
	const struct mbox_gone key = {s->hash, s->sum, 0, false};
	size_t lo = 0, hi = r->gone.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (by_content(&r->gone.v[mid], &key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == r->gone.n || r->gone.v[lo].is_noted ||
	    by_content(&r->gone.v[lo], &key) != 0)
		return;
	for (hi = lo; hi < r->gone.n && by_content(&r->gone.v[hi], &key) == 0;
	     hi++)
		set32_add(&mbox_of(r->m)->renumbered, r->gone.v[hi].uid);
	r->gone.v[lo].is_noted = true;
}

static bool
is_time_up(size_t n, int64_t until_ms)
{
	return n % NOTED_PER_LOOK == 0 && clock_mono_ms() >= until_ms;
}

enum step
mbox_note_renumbered(struct mbox_reading *r, int64_t until_ms)
{
	if (!r->was_known || r->is_tail)
		return STEP_DONE;
	while (r->known_at < r->known.n) {
		find_gone(r, &r->known.v[r->known_at++]);
		if (is_time_up(r->known_at, until_ms))
			return STEP_MORE;
	}
	sort_alike(r);
	while (r->gone.n > 0 && r->slot_at < r->slots.n) {
		const struct mbox_slot *s = &r->slots.v[r->slot_at++];

		if (s->uid >= r->floor &&
		    mailbox_rec(r->m, s->uid)->state == REC_WAITING)
			note_come_again(r, s);
		if (is_time_up(r->slot_at, until_ms))
			return STEP_MORE;
	}
	return STEP_DONE;
}

/* May a new message have the UID that it says? */
static bool
is_believed(const struct mbox_reading *r, uint32_t uid)
{
	if (uid == 0 || !(r->has_base || r->has_kept) || r->order_broken ||
	    uid <= r->prev)
		return false;
	if (r->was_known)
		return uid >= r->floor &&
		    (uid == r->next || uid <= r->disk_last_uid);
	return uid <= r->next;
}

/*
 * The record of a message that we know, or NULL. With X-UID, also when its
 * headers have been changed, unless it stands among mail that has just come. By
 * its content only if no other process has given it another UID: it was moved
 * away and back.
 */
struct msg_rec *
mbox_match(struct mbox_reading *r, const struct mbox_msg *msg)
{
	const struct mbox_slot *slot;
	struct msg_rec *rec;

	/* All that we know lie before the tail. */
	if (!r->was_known || r->is_tail)
		return NULL;
	rec = live_unseen(r, msg->state.uid);
	if (rec == NULL && r->is_blind && msg->state.uid == 0)
		return match_order(r);
	slot = rec == NULL ? NULL : mbox_known_slot(r->m, rec);
	if (slot != NULL && slot->hash == msg->state.hash)
		return rec;
	if (rec != NULL && r->has_base && msg->state.uid > r->prev)
		return rec;
	if (is_believed(r, msg->state.uid))
		return NULL;
	return match_content(r, msg->state.hash);
}

int
mbox_give_uid(
    struct mbox_reading *r, uint32_t claimed, uint32_t *out, struct err *e)
{
	struct mailbox *m = r->m;

	if (is_believed(r, claimed)) {
		*out = claimed;
	} else {
		/* Those behind it would stand below it. */
		r->order_broken =
		    r->order_broken || (claimed != 0 && claimed <= r->prev);
		*out = r->next;
		if (!r->was_known && claimed != 0 && *out <= r->prev)
			r->order_broken = true;
	}
	if (m->recs.n > 0 && *out <= m->recs.v[m->recs.n - 1].uid)
		*out = r->next;
	if (*out >= UINT32_MAX - 1)
		return err_set(e, ERR_LIMIT, "%s: no UID left", m->name);
	if (*out >= r->next)
		r->next = *out + 1;
	return 0;
}
