/* SPDX-License-Identifier: ISC */
/*
 * mbox_take.c - what a reading makes of each message, and of all in the end.
 *
 * Owns:    a reading until it is freed.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing in the file: mail that has just come may carry any of our
 *          private headers.
 * Spec:    formats.md 6.7, 7.3, 7.8; security.md 7.3.
 */
#include <stdlib.h>

#include "store/derived.h"
#include "store/mbox/mbox_reading.h"

#define MOVED_MAX 1000

/* ---- one message ----------------------------------------------------------- */

static uint32_t
clamp32(uint64_t v)
{
	return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

static struct mbox_slot
slot_of_msg(const struct mbox_msg *msg)
{
	return (struct mbox_slot){
	    .off = msg->off,
	    .hash = msg->state.hash,
	    .size = msg->size,
	    .sum = msg->sum,
	    .raw = msg->raw,
	    .bare = clamp32(msg->wire_size - msg->size),
	    .date_s = clamp32(msg->date_s < 0 ? 0 : (uint64_t)msg->date_s),
	    .head_len = msg->head_len,
	    .from_len = (uint16_t)msg->from_len,
	    .flags = (uint16_t)((msg->state.is_old ? SLOT_OLD : 0) |
		(msg->crlf ? SLOT_CRLF : 0)),
	};
}

/* Somebody has taken it away: what we remember of it holds. */
static int
take_kept(struct mbox_reading *r, struct err *e)
{
	const struct mbox_kept *k;

	if (r->m->uidvalidity != 0)
		return 0;
	if (mbox_kept_of(r->m) == NULL &&
	    mbox_keep_claim(r->m, r->size, e) == -1)
		return -1;
	k = mbox_kept_of(r->m);
	if (k == NULL)
		return 0;
	r->claimed_next = k->uidnext;
	/* No X-UID is to be believed there: it never had a base. */
	if (k->guid[0] == '\0' || mbox_agree_is_there(r->m))
		return 0;
	r->has_kept = true;
	r->disk_last_uid = k->uidnext - 1;
	if (k->uidnext > r->next)
		r->next = k->uidnext;
	return 0;
}

/* X-IMAPbase or X-IMAP of the first message. */
static int
take_base(struct mbox_reading *r, const struct mbox_msg *msg, struct err *e)
{
	const struct mbox_state *st = &msg->state;

	r->is_first = false;
	if (!st->has_base)
		return take_kept(r, e);
	r->has_base = true;
	if (mbox_of(r->m)->kept.uidvalidity != 0)
		mbox_agree_forget(r->m->store, mbox_of(r->m)->path);
	r->uidvalidity = st->uidvalidity;
	r->disk_last_uid = st->last_uid;
	r->last_uid_at =
	    st->last_uid_fixed ? msg->off + msg->from_len + st->last_uid_at : 0;
	mbox_learn_keywords(r->m, st->base_keywords);
	if ((r->m->uidvalidity == 0 || r->m->uidvalidity == st->uidvalidity) &&
	    st->last_uid >= r->next)
		r->next = st->last_uid + 1;
	if (st->is_pseudo) {
		r->has_pseudo = true;
		r->pseudo = slot_of_msg(msg);
	}
	return 0;
}

static bool
is_stranger(
    const struct mbox_reading *r, const struct mbox_msg *msg, uint32_t uid)
{
	const struct mbox *mb = mbox_of(r->m);

	/* One that another process has numbered, and that was moved then, is
	 * known by a UID that nobody else could have given. */
	if (r->has_base && msg->state.uid >= r->floor &&
	    msg->state.uid <= r->disk_last_uid)
		return false;
	return r->is_tail && mb->is_inbox && !mb->is_own_tail &&
	    msg->state.uid != uid;
}

/* What the index has of a message that is not what it was. */
static void
note_change(struct mbox_reading *r, const struct mbox_slot *old,
    const struct mbox_slot *new)
{
	if (old->sum != new->sum)
		derived_forget_facts(r->m, new->uid);
	if (old->off == new->off && old->sum == new->sum &&
	    old->raw == new->raw &&
	    ((old->flags ^ new->flags) &
		(SLOT_NO_UID | SLOT_OLD | SLOT_CRLF)) == 0)
		return;
	if (r->n_moved++ < MOVED_MAX)
		derived_note_side(r->m, new->uid);
}

/* The one before the tail: only to be compared. */
static void
take_known(struct mbox_reading *r, const struct mbox_msg *msg)
{
	struct mbox_slot *slot = VEC_ADD(&r->slots);

	*slot = slot_of_msg(msg);
	slot->uid = msg->state.uid;
	if (msg->state.uid != 0)
		r->prev = msg->state.uid;
}

int
mbox_take_msg(struct mbox_reading *r, const struct mbox_msg *msg, struct err *e)
{
	struct mailbox *m = r->m;
	struct mbox_slot *slot, old = {0};
	struct mbox_flags f = {.system = msg->state.flags};
	struct msg_rec *rec;
	bool is_new;
	uint32_t uid;

	if (r->is_tail && !r->is_alone && r->slots.n == 0) {
		take_known(r, msg);
		return 0;
	}
	if (r->is_first && take_base(r, msg, e) == -1)
		return -1;
	if (r->has_pseudo && msg->off == r->pseudo.off)
		return 0;
	rec = mbox_match(r, msg);
	is_new = rec == NULL;
	if (is_new) {
		if (mbox_give_uid(r, msg->state.uid, &uid, e) == -1)
			return -1;
		rec = mailbox_add_rec(m, uid);
		rec->state = REC_WAITING;
		if (!r->has_base && msg->state.uid != uid) {
			rec->own |= OWN_GIVEN;
			r->has_given = true;
		}
	} else {
		uid = rec->uid;
		if (mbox_known_slot(m, rec) != NULL)
			old = *mbox_slot_of(m, rec);
	}
	rec->own |= OWN_SEEN;
	slot = VEC_ADD(&r->slots);
	*slot = slot_of_msg(msg);
	slot->uid = uid;
	if (msg->state.uid != 0)
		r->prev = msg->state.uid;
	if (msg->state.uid != uid || !r->has_base)
		slot->flags |= SLOT_NO_UID;
	mbox_read_keywords(m, msg->state.keywords, &f);
	if (is_new && is_stranger(r, msg, uid)) {
		slot->flags &= (uint16_t)~SLOT_OLD;
		f = (struct mbox_flags){0};
	}
	if (!is_new)
		note_change(r, &old, slot);
	if (old.flags & SLOT_DIRTY)
		mbox_was_merge(m, rec, &f);
	if (mbox_adopt_flags(m, rec, &f) && !is_new)
		mailbox_note_flags(m, rec, NULL);
	return 0;
}

/* ---- the end of a reading -------------------------------------------------- */

/* A reading that failed has changed nothing but flags. */
void
mbox_forget_reading(struct mbox_reading *r)
{
	struct mailbox *m = r->m;

	while (m->recs.n > 0 && m->recs.v[m->recs.n - 1].state == REC_WAITING)
		m->recs.n--;
	VEC_EACH(&m->recs, rec)
		rec->own &= (uint8_t)~OWN_SEEN & 0x3f;
}

/* What was wished for while the file was being read. */
static void
take_marks(struct mbox_reading *r)
{
	VEC_EACH(&r->slots, s) {
		struct msg_rec *rec = mailbox_rec(r->m, s->uid);

		if (rec != NULL && rec->state == REC_LIVE &&
		    mbox_known_slot(r->m, rec) != NULL)
			s->flags |= mbox_slot_of(r->m, rec)->flags &
			    (SLOT_DIRTY | SLOT_EXPUNGE | SLOT_IF_DELETED);
	}
}

static void
adopt_slots(struct mbox_reading *r)
{
	struct mbox *mb = mbox_of(r->m);

	if (r->is_tail) {
		/* The first is one that we know, if it was read. */
		for (size_t i = r->is_alone ? 0 : 1; i < r->slots.n; i++) {
			const struct mbox_slot *s = &r->slots.v[i];

			*VEC_ADD(&mb->slots) = *s;
			mb->n_dirty += (s->flags & SLOT_NO_UID) != 0;
		}
	} else {
		take_marks(r);
		VEC_DONE(&mb->slots);
		mb->slots.v = r->slots.v;
		mb->slots.n = r->slots.n;
		mb->slots.size = r->slots.size;
		r->slots.v = NULL;
		r->slots.n = r->slots.size = 0;
		mb->has_base = r->has_base;
		mb->has_pseudo = r->has_pseudo;
		mb->pseudo = r->pseudo;
		mb->disk_last_uid = r->disk_last_uid;
		mb->last_uid_at = r->last_uid_at;
		mbox_count_dirty(mb);
	}
}

/* Tells what has come and gone. */
static void
settle(struct mbox_reading *r)
{
	struct mailbox *m = r->m;
	struct mbox *mb = mbox_of(m);
	size_t first = r->is_tail ? mb->slots.n : 0;

	if (!r->is_tail)
		VEC_EACH(&m->recs, rec)
			if (rec->state == REC_LIVE && !(rec->own & OWN_SEEN))
				mailbox_note_expunged(m, rec);
	adopt_slots(r);
	for (size_t i = first; i < mb->slots.n; i++) {
		struct mbox_slot *s = &mb->slots.v[i];
		struct msg_rec *rec = mailbox_rec(m, s->uid);

		rec->info = (uint32_t)i;
		rec->own &= (uint8_t) ~(OWN_SEEN | OWN_GIVEN) & 0x3f;
		if (rec->state == REC_WAITING)
			mailbox_note_new(m, rec, !(s->flags & SLOT_OLD));
	}
	m->uidnext = r->next;
	if (r->n_moved > MOVED_MAX)
		derived_note_sides(m);
	derived_note_state(m);
}

/*
 * An identity that we thought of for a file that was empty or not there, while
 * somebody else did the same and has written his: nobody has heard of ours but
 * by STATUS.
 */
static bool
is_untold(const struct mailbox *m)
{
	const struct mbox *mb = mbox_of(m);

	return !mb->has_base && mb->slots.n == 0 && m->lazy_top == 0 &&
	    m->uidnext == 1 && list_is_empty(&m->views);
}

static int
check_identity(struct mbox_reading *r, struct err *e)
{
	struct mailbox *m = r->m;

	if (!r->has_base || m->uidvalidity == 0 ||
	    r->uidvalidity == m->uidvalidity)
		return 0;
	if (is_untold(m)) {
		m->uidvalidity = r->uidvalidity;
		return 0;
	}
	m->is_gone = true;
	return err_set(e, ERR_GONE, "%s: UIDVALIDITY changed", m->name);
}

void
mbox_free_reading(struct mbox *mb)
{
	struct mbox_reading *r = mb->reading;

	mb->reading = NULL;
	if (r == NULL)
		return;
	if (r->is_scanning)
		mbox_scan_done(&r->scan);
	VEC_DONE(&r->slots);
	VEC_DONE(&r->known);
	VEC_DONE(&r->gone);
	buf_done(&r->window);
	free(r);
}

/* A UIDVALIDITY for a file that has none. */
void
mbox_begin_identity(struct mailbox *m)
{
	const struct mbox_kept *k = mbox_kept_of(m);

	if (m->uidvalidity != 0)
		return;
	m->uidvalidity = k != NULL ? k->uidvalidity : mbox_new_uidvalidity();
	if (k != NULL && !mbox_of(m)->is_agreed && k->uidnext > m->uidnext)
		m->uidnext = k->uidnext;
}

enum step
mbox_finish_scan(struct mbox_reading *r, int64_t until_ms, struct err *e)
{
	struct mailbox *m = r->m;

	switch (r->ending) {
	case END_IDENTITY:
		if (!r->is_tail && check_identity(r, e) == -1)
			return STEP_FAIL;
		r->ending = END_AGREE;
		/* fallthrough */
	case END_AGREE:
		if (mbox_agree(r, e) == -1)
			return STEP_FAIL;
		r->ending = END_RENUMBERED;
		/* fallthrough */
	case END_RENUMBERED:
		if (mbox_note_renumbered(r, until_ms) == STEP_MORE)
			return STEP_MORE;
		break;
	}
	if (m->uidvalidity == 0)
		m->uidvalidity = r->uidvalidity;
	settle(r);
	mbox_of(m)->end = r->scan.next;
	return STEP_DONE;
}
