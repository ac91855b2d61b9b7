/* SPDX-License-Identifier: ISC */
/*
 * view.c - what one session sees of a mailbox, and when it learns more.
 *
 * Owns:    struct view.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing from outside comes here.
 * Spec:    RFC 3501 sections 5.2 and 7.4.1, RFC 2180.
 *
 * Invariant: v->uids holds only UIDs <= v->top, and every LIVE record <= top
 * is in it or was told as expunged; new messages always have UIDs above top.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "store/mailbox_impl.h"
#include "store/notify.h"

/* Adds the LIVE messages above `top`; returns how many. */
static uint32_t
take_new(struct view *v)
{
	struct mailbox *m = v->m;
	uint32_t n = 0, top = v->top;

	for (size_t i = m->live.n; i > 0; i--) {
		struct set32_range r = m->live.r[i - 1];

		if (r.last <= top)
			break;
		if (r.first <= top)
			r.first = top + 1;
		set32_add_range(&v->uids, r.first, r.last);
		n += r.last - r.first + 1;
		if (r.last > v->top)
			v->top = r.last;
	}
	if (n == 0)
		return 0;
	for (uint32_t uid = top + 1; set32_next(&m->recent, uid, &uid); uid++) {
		set32_add(&v->recent, uid);
		if (uid == UINT32_MAX)
			break;
	}
	if (!v->read_only)
		set32_remove_range(&m->recent, top + 1, UINT32_MAX);
	return n;
}

int
view_open(struct store *s, struct str name, bool read_only, struct view **out,
    struct err *e)
{
	struct mailbox *m;
	struct view *v;

	if (mailbox_acquire_or_make(s, name, &m, e) == -1)
		return -1;
	v = mem_new(1, sizeof(*v));
	v->m = m;
	v->read_only = read_only;
	list_append(&m->views, &v->link);
	if (!view_is_read_only(v))
		m->n_writers++;
	else
		v->read_only = true;
	if (s->ops->sync(m, SYNC_NORMAL, e) == -1) {
		view_close(&v);
		return -1;
	}
	(void)take_new(v);
	v->expunge_gen = m->expunge_gen;
	v->keywords_told = m->keywords.n;
	set32_clear(&v->changed);
	*out = v;
	return 0;
}

void
view_close(struct view **vp)
{
	struct view *v = *vp;
	struct store *s;
	struct err ignored;

	*vp = NULL;
	if (v == NULL)
		return;
	s = v->m->store;
	if (!v->m->is_gone)
		(void)s->ops->flush(v->m, &ignored);
	if (v->listener != NULL)
		view_listen(v, NULL, NULL);
	list_remove(&v->link);
	if (!v->read_only)
		v->m->n_writers--;
	mailbox_release(&v->m);
	set32_done(&v->uids);
	set32_done(&v->changed);
	set32_done(&v->recent);
	free(v);
	notify_update(s);
}

struct mailbox *
view_mailbox(struct view *v)
{
	return v->m;
}

bool
view_is_read_only(const struct view *v)
{
	return v->read_only || v->m->is_read_only || v->m->is_broken;
}

uint32_t
view_count(struct view *v)
{
	return set32_count(&v->uids);
}

uint32_t
view_recent(struct view *v)
{
	return set32_count(&v->recent);
}

uint32_t
view_first_unseen(struct view *v)
{
	struct mailbox *m = v->m;

	for (size_t i = 0; i < m->recs.n; i++) {
		const struct msg_rec *r = &m->recs.v[i];
		uint32_t seq;

		if (r->system & FLAG_SEEN || r->state == REC_WAITING)
			continue;
		seq = set32_pos(&v->uids, r->uid);
		if (seq != 0)
			return seq;
	}
	return 0;
}

uint32_t
view_uid(struct view *v, uint32_t seq)
{
	return set32_at(&v->uids, seq);
}

uint32_t
view_seq(struct view *v, uint32_t uid)
{
	return set32_pos(&v->uids, uid);
}

const struct set32 *
view_uids(struct view *v)
{
	return &v->uids;
}

bool
view_flags(struct view *v, uint32_t uid, struct flags *out)
{
	const struct msg_rec *r = mailbox_rec(v->m, uid);
	size_t n;

	if (r == NULL || !set32_has(&v->uids, uid))
		return false;
	out->system = r->system & FLAGS_STORED;
	if (set32_has(&v->recent, uid))
		out->system |= FLAG_RECENT;
	out->keywords = r->keywords & v->m->named_letters;
	out->more = mailbox_more(v->m, r, &n);
	out->n_more = (uint16_t)n;
	return true;
}

/* ---- what changed -------------------------------------------------------- */

struct gone {
	uint32_t uid, seq;
};

/* Tells the messages that are no longer there, from the last to the first, so
 * that the numbers are those of the set before the first was removed. */
static void
tell_expunges(struct view *v, const struct view_sink *sink, void *arg)
{
	struct mailbox *m = v->m;
	VEC(struct gone) gone = {0};

	for (size_t i = 0; i < m->recs.n; i++) {
		const struct msg_rec *r = &m->recs.v[i];
		uint32_t seq;

		if (r->state != REC_EXPUNGED || r->uid > v->top)
			continue;
		seq = set32_pos(&v->uids, r->uid);
		if (seq != 0)
			*VEC_ADD(&gone) = (struct gone){r->uid, seq};
	}
	v->expunge_gen = m->expunge_gen;
	for (size_t i = gone.n; i > 0; i--) {
		struct gone *g = &gone.v[i - 1];

		set32_remove(&v->uids, g->uid);
		set32_remove(&v->recent, g->uid);
		set32_remove(&v->changed, g->uid);
		if (sink->expunge != NULL)
			sink->expunge(arg, g->seq, g->uid);
	}
	VEC_DONE(&gone);
}

static void
tell_flags(struct view *v, const struct view_sink *sink, void *arg)
{
	struct set32 changed = v->changed;
	uint32_t uid = 1;

	set32_init(&v->changed);
	while (set32_next(&changed, uid, &uid)) {
		uint32_t seq = set32_pos(&v->uids, uid);

		if (seq != 0 && set32_has(&v->m->live, uid) &&
		    sink->flags != NULL)
			sink->flags(arg, seq, uid);
		if (uid++ == UINT32_MAX)
			break;
	}
	set32_done(&changed);
}

static void
tell(struct view *v, bool may_expunge, const struct view_sink *sink, void *arg)
{
	struct mailbox *m = v->m;

	if (v->keywords_told != m->keywords.n) {
		v->keywords_told = m->keywords.n;
		if (sink->keywords != NULL)
			sink->keywords(arg);
	}
	if (may_expunge && v->expunge_gen != m->expunge_gen)
		tell_expunges(v, sink, arg);
	if (take_new(v) > 0) {
		if (sink->exists != NULL)
			sink->exists(arg, view_count(v));
		if (sink->recent != NULL)
			sink->recent(arg, view_recent(v));
	}
	if (!set32_is_empty(&v->changed))
		tell_flags(v, sink, arg);
}

int
view_sync(struct view *v, bool may_expunge, const struct view_sink *sink,
    void *arg, struct err *e)
{
	if (v->m->store->ops->sync(v->m, SYNC_NORMAL, e) == -1)
		return -1;
	v->is_due = false;
	tell(v, may_expunge, sink, arg);
	return 0;
}

bool
view_has_news(struct view *v)
{
	struct mailbox *m = v->m;

	return !set32_is_empty(&v->changed) ||
	    v->expunge_gen != m->expunge_gen ||
	    v->keywords_told != m->keywords.n ||
	    (m->live.n > 0 && m->live.r[m->live.n - 1].last > v->top) ||
	    m->store->ops->may_have_news(m);
}

void
view_listen(struct view *v, void (*fn)(void *arg), void *arg)
{
	v->listener = fn;
	v->listener_arg = arg;
	v->is_due = false;
	notify_update(v->m->store);
	if (fn != NULL && view_has_news(v)) {
		v->is_due = true;
		notify_soon(v->m->store);
	}
}

bool
mailbox_is_all_told(struct mailbox *m)
{
	LIST_EACH(&m->views, l)
		if (LIST_OF(l, struct view, link)->expunge_gen !=
		    m->expunge_gen)
			return false;
	return true;
}
