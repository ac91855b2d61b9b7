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

#include "base/clock.h"
#include "base/mem.h"
#include "store/derived.h"
#include "store/mailbox_impl.h"
#include "store/notify.h"
#include "store/rights.h"
#include "store/seen.h"

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

/* The mailbox is open: takes part in it. */
static void
join(struct view *v)
{
	list_append(&v->m->views, &v->link);
	v->is_linked = true;
	v->is_writer = view_may_change(v);
	if (v->is_writer)
		v->m->n_writers++;
	else if (view_is_read_only(v))
		v->read_only = true;
}

/* And no more. */
static void
leave(struct view *v)
{
	struct mailbox *m = v->m;
	struct err ignored;

	if (v->is_linked)
		mailbox_sync_end(m, &v->sync);
	if (v->is_linked && !m->is_gone)
		(void)m->store->ops->flush(m, &ignored);
	if (v->is_linked && !m->is_gone && !v->read_only && m->n_writers == 1 &&
	    m->store->ops->leave != NULL)
		m->store->ops->leave(m);
	if (v->listener != NULL)
		view_listen(v, NULL, NULL);
	if (v->is_linked) {
		list_remove(&v->link);
		if (v->is_writer)
			m->n_writers--;
	}
	v->is_linked = v->is_writer = false;
	mailbox_release(&v->m);
}

enum step
view_open(struct store *s, struct str name, bool read_only, struct view **out,
    struct err *e)
{
	struct view *v = *out;
	enum step step = STEP_DONE;

	store_begin_step(s);
	if (v == NULL) {
		v = *out = mem_new(1, sizeof(*v));
		v->store = s;
		v->read_only = v->is_examined = read_only;
		v->work = VIEW_OPENING;
	}
	if (v->work == VIEW_OPENING) {
		step = mailbox_acquire_or_make(s, name, &v->m, e);
		if (step == STEP_DONE &&
		    rights_need(v->m->rights, ACL_READ, e) == -1)
			step = STEP_FAIL;
		if (step == STEP_DONE) {
			v->work = VIEW_FIRST_SYNC;
			join(v);
		}
	}
	if (step == STEP_DONE)
		step = mailbox_sync(v->m, &v->sync, e);
	/* What was kept open is no more what lies there: once from the start. */
	if (step == STEP_FAIL && v->m != NULL && v->m->is_gone &&
	    !v->is_second_try) {
		leave(v);
		v->is_second_try = true;
		v->work = VIEW_OPENING;
		return STEP_MORE;
	}
	if (step == STEP_FAIL)
		view_close(out);
	if (step != STEP_DONE)
		return step;
	(void)take_new(v);
	v->expunge_gen = v->m->expunge_gen;
	v->keywords_told = v->m->keywords.n;
	v->rights_told = v->m->rights;
	set32_clear(&v->changed);
	v->told_modseq = v->m->highest_modseq;
	v->work = VIEW_IDLE;
	return STEP_DONE;
}

void
view_close(struct view **vp)
{
	struct view *v = *vp;
	struct store *s;

	*vp = NULL;
	if (v == NULL)
		return;
	s = v->m != NULL ? v->m->store : v->store;
	leave(v);
	VEC_DONE(&v->gone);
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
view_may_change(const struct view *v)
{
	return !v->read_only && !v->m->is_read_only && !v->m->is_broken &&
	    (v->m->rights & (ACL_CHANGES_FLAGS | ACL_EXPUNGE)) != 0;
}

bool
view_is_read_only(const struct view *v)
{
	return v->read_only ||
	    (!view_may_change(v) &&
		!(seen_is_own(v->m) && (v->m->rights & ACL_SEEN) != 0));
}

/* RFC 4314 section 5.2; \Seen is nobody else's business here. */
bool
view_is_read_write(const struct view *v)
{
	return !v->is_examined && !v->m->is_read_only && !v->m->is_broken &&
	    (v->m->rights & (ACL_CHANGES_FLAGS | ACL_INSERT | ACL_EXPUNGE)) !=
	    0;
}

unsigned
view_rights(const struct view *v)
{
	return v->m->rights;
}

bool
view_keeps(const struct view *v, uint8_t *system)
{
	bool in_files = view_may_change(v);
	unsigned rights = v->m->rights;

	*system = 0;
	if (!v->read_only && (in_files || seen_is_own(v->m)) &&
	    (rights & ACL_SEEN) != 0)
		*system |= FLAG_SEEN;
	if (in_files && (rights & ACL_DELETED) != 0)
		*system |= FLAG_DELETED;
	if (!in_files || (rights & ACL_WRITE) == 0)
		return false;
	*system |= FLAG_ANSWERED | FLAG_FLAGGED | FLAG_DRAFT;
	return true;
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
	uint32_t uid = derived_counts(m).first_unseen, seq;

	if (seen_is_own(m)) {
		for (uid = 0; set32_next(&v->uids, uid, &uid); uid++)
			if (!seen_has(m, uid))
				return set32_pos(&v->uids, uid);
		return 0;
	}
	if (uid != 0 && (seq = set32_pos(&v->uids, uid)) != 0)
		return seq;
	for (size_t i = 0; i < m->recs.n; i++) {
		const struct msg_rec *r = &m->recs.v[i];

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

static void
take_own_seen(const struct view *v, uint32_t uid, struct flags *out)
{
	if (!seen_is_own(v->m))
		return;
	out->system &= (uint8_t)~FLAG_SEEN;
	out->system |= seen_has(v->m, uid) ? FLAG_SEEN : 0;
}

/* A record, looked for at *at and behind it first. */
static const struct msg_rec *
rec_near(struct mailbox *m, uint32_t uid, size_t *at)
{
	const struct msg_rec *r;

	for (size_t i = *at; i < m->recs.n && i <= *at + 1; i++)
		if (m->recs.v[i].uid == uid) {
			*at = i;
			return &m->recs.v[i];
		}
	r = mailbox_rec(m, uid);
	if (r != NULL && uid > m->lazy_top)
		*at = (size_t)(r - m->recs.v);
	return r;
}

/* Of a message in the view. */
static bool
flags_of(struct view *v, uint32_t uid, size_t *at, struct flags *out)
{
	const struct msg_rec *r;
	size_t n;

	mailbox_freshen(v->m, uid);
	if (uid > v->m->lazy_top || !derived_flags(v->m, uid, out)) {
		r = rec_near(v->m, uid, at);
		if (r == NULL)
			return false;
		out->system = r->system & FLAGS_STORED;
		out->keywords = r->keywords & v->m->named_letters;
		out->more = mailbox_more(v->m, r, &n);
		out->n_more = (uint16_t)n;
	}
	if (!set32_is_empty(&v->recent) && set32_has(&v->recent, uid))
		out->system |= FLAG_RECENT;
	take_own_seen(v, uid, out);
	return true;
}

enum step
view_freshen(struct view *v, const struct set32 *uids, uint32_t from)
{
	uint32_t uid;

	if (v->m->unsure_top == 0 ||
	    !set32_next(uids, from == 0 ? 1 : from, &uid))
		return STEP_DONE;
	store_begin_step(v->store);
	return mailbox_freshen_some(v->m, uid);
}

bool
view_flags(struct view *v, uint32_t uid, struct flags *out)
{
	size_t at = 0;

	return set32_has(&v->uids, uid) && flags_of(v, uid, &at, out);
}

void
view_walk_begin(struct view_walk *w, struct view *v, const struct set32 *uids,
    uint32_t from)
{
	*w = (struct view_walk){
	    .v = v,
	    .uids = uids,
	    .from = from,
	    .is_plain = v->m->unsure_top == 0 && set32_is_empty(&v->recent) &&
		!seen_is_own(v->m),
	};
	if (from == 0)
		return;
	w->at = set32_range_of(uids, from);
	w->range = set32_range_of(&v->uids, from);
	w->before = set32_count_le(&v->uids, from - 1);
	if (w->range < v->uids.n && v->uids.r[w->range].first < from)
		w->before -= from - v->uids.r[w->range].first;
}

bool
view_walk_next(struct view_walk *w)
{
	const struct set32 *in = &w->v->uids;

	for (;;) {
		while (w->at < w->uids->n && w->uids->r[w->at].last < w->from)
			w->at++;
		if (w->at == w->uids->n)
			return false;
		if (w->from < w->uids->r[w->at].first)
			w->from = w->uids->r[w->at].first;
		while (w->range < in->n && in->r[w->range].last < w->from) {
			w->before +=
			    in->r[w->range].last - in->r[w->range].first + 1;
			w->range++;
		}
		if (w->range == in->n)
			return false;
		if (in->r[w->range].first <= w->from)
			break;
		w->from = in->r[w->range].first;
	}
	w->uid = (uint32_t)w->from++;
	w->seq = w->before + (w->uid - in->r[w->range].first) + 1;
	return true;
}

/*
 * Most messages stand one behind the other in the index, and all that is to be
 * known of their flags stands there.
 */
static bool
plain_flags(struct view_walk *w, struct flags *out)
{
	struct mailbox *m = w->v->m;
	const char *rec;
	struct index_rec r;

	if (!w->is_plain || m->singles.n > 0 || w->uid > m->lazy_top)
		return false;
	rec = view_run_find(&w->run, w->uid);
	if (rec == NULL && derived_run_begin(m, w->uid, &w->run))
		rec = w->run.recs;
	if (rec == NULL)
		return false;
	memcpy(&r, rec, sizeof(r));
	*out = (struct flags){
	    .system = r.system & FLAGS_STORED,
	    .keywords = r.keywords & m->named_letters,
	};
	return !(r.known & INDEX_HAS_MORE);
}

bool
view_walk_flags(struct view_walk *w, struct flags *out)
{
	return plain_flags(w, out) || flags_of(w->v, w->uid, &w->rec, out);
}

/* ---- what changed -------------------------------------------------------- */

/* So many are told before the clock is asked. */
#define TOLD_PER_LOOK 256

static bool
is_gone(const struct view *v, const struct msg_rec *r)
{
	return r->state == REC_EXPUNGED && r->uid <= v->top &&
	    set32_has(&v->uids, r->uid);
}

static void
collect_gone(struct view *v)
{
	struct mailbox *m = v->m;

	/* All of these are below all of those. */
	VEC_EACH(&m->singles, r)
		if (is_gone(v, r))
			*VEC_ADD(&v->gone) = r->uid;
	for (size_t i = 0; i < m->recs.n; i++)
		if (is_gone(v, &m->recs.v[i]))
			*VEC_ADD(&v->gone) = m->recs.v[i].uid;
	v->expunge_gen = m->expunge_gen;
}

/* Tells the messages that are no longer there, from the last to the first, so
 * that the numbers are those of the set before the first was removed. */
static void
tell_expunges(struct view *v, const struct view_sink *sink, void *arg)
{
	size_t n = v->gone.n < TOLD_PER_LOOK ? v->gone.n : TOLD_PER_LOOK;
	const uint32_t *uids = v->gone.v + v->gone.n - n;
	uint32_t seqs[TOLD_PER_LOOK];

	for (size_t i = 0; i < n; i++)
		seqs[i] = set32_pos(&v->uids, uids[i]);
	v->gone.n -= n;
	while (n-- > 0) {
		set32_remove(&v->uids, uids[n]);
		set32_remove(&v->recent, uids[n]);
		set32_remove(&v->changed, uids[n]);
		if (seqs[n] != 0 && sink->expunge != NULL)
			sink->expunge(arg, seqs[n], uids[n]);
	}
}

static void
tell_flags(struct view *v, const struct view_sink *sink, void *arg)
{
	uint32_t uid;

	for (size_t n = TOLD_PER_LOOK;
	     n > 0 && set32_next(&v->changed, 1, &uid); n--) {
		uint32_t seq = set32_pos(&v->uids, uid);

		set32_remove(&v->changed, uid);
		if (seq != 0 && set32_has(&v->m->live, uid) &&
		    sink->flags != NULL)
			sink->flags(arg, seq, uid);
	}
}

/* Those that the view still shows. */
static void
note_gone(struct view *v, const struct view_sink *sink, void *arg)
{
	const struct set32 *live = &v->m->live;
	struct set32 gone;

	v->gone_gen = v->m->expunge_gen;
	set32_init(&gone);
	set32_copy(&gone, &v->uids);
	for (size_t i = 0; i < live->n; i++)
		set32_remove_range(&gone, live->r[i].first, live->r[i].last);
	sink->gone(arg, &gone);
	set32_done(&gone);
}

/* A piece of what is pending; false: nothing is. */
static bool
tell(struct view *v, bool may_expunge, const struct view_sink *sink, void *arg)
{
	struct mailbox *m = v->m;

	if (v->keywords_told != m->keywords.n || v->rights_told != m->rights) {
		v->keywords_told = m->keywords.n;
		v->rights_told = m->rights;
		if (sink->keywords != NULL)
			sink->keywords(arg);
	}
	if (sink->gone != NULL && v->gone_gen != m->expunge_gen)
		note_gone(v, sink, arg);
	if (may_expunge && v->gone.n == 0 && v->expunge_gen != m->expunge_gen)
		collect_gone(v);
	if (may_expunge && v->gone.n > 0) {
		tell_expunges(v, sink, arg);
		return true;
	}
	if (!v->is_held && take_new(v) > 0) {
		if (sink->exists != NULL)
			sink->exists(arg, view_count(v));
		if (sink->recent != NULL)
			sink->recent(arg, view_recent(v));
	}
	if (set32_is_empty(&v->changed))
		return false;
	tell_flags(v, sink, arg);
	return !set32_is_empty(&v->changed);
}

enum step
view_sync(struct view *v, bool may_expunge, const struct view_sink *sink,
    void *arg, struct err *e)
{
	int64_t until = clock_mono_ms() + STEP_SLICE_MS;
	enum step step;

	store_begin_step(v->store);
	if (v->work != VIEW_TELL) {
		step = mailbox_sync(v->m, &v->sync, e);
		if (step != STEP_DONE)
			return step;
		v->work = VIEW_TELL;
		(void)rights_look(v->m);
	}
	/* What has happened since the look is another call's; where it is
	 * polled for, the next poll's. */
	v->is_due = v->is_due && v->store->hub != NULL &&
	    v->m->store->ops->may_have_news(v->m);
	while (tell(v, may_expunge, sink, arg))
		if (clock_mono_ms() >= until)
			return STEP_MORE;
	if (v->gone.n == 0 && v->expunge_gen == v->m->expunge_gen)
		v->told_modseq = v->m->highest_modseq;
	v->work = VIEW_IDLE;
	return STEP_DONE;
}

void
view_hold(struct view *v, bool on)
{
	v->is_held = on;
}

bool
view_has_news(struct view *v)
{
	struct mailbox *m = v->m;

	/* What view_sync has begun it has to finish. */
	return v->sync.begun || v->work == VIEW_TELL ||
	    !set32_is_empty(&v->changed) || v->gone.n > 0 ||
	    v->expunge_gen != m->expunge_gen ||
	    v->keywords_told != m->keywords.n || v->rights_told != m->rights ||
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
	LIST_EACH(&m->views, l) {
		const struct view *v = LIST_OF(l, struct view, link);

		if (v->expunge_gen != m->expunge_gen || v->gone.n > 0)
			return false;
	}
	return true;
}
