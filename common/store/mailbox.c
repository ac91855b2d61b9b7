/* SPDX-License-Identifier: ISC */
/*
 * mailbox.c - the one instance of an open mailbox that all sessions share.
 *
 * Owns:    struct mailbox and its records.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  its backend, which has checked what comes from disk.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/bounds.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/derived.h"
#include "store/mailbox_impl.h"
#include "store/notify.h"
#include "store/rights.h"
#include "store/seen.h"
#include "store/space.h"
#include "store/tree.h"

#define KEPT_MAX 4
#define KEPT_MS 60000
#define KEPT_MESSAGES_MAX 50000

struct mailbox *
mailbox_find_open(struct store *s, struct str name)
{
	LIST_EACH(&s->mailboxes, l) {
		struct mailbox *m = LIST_OF(l, struct mailbox, link);

		if (!m->is_gone && str_eq(str_of(m->name), name))
			return m;
	}
	return NULL;
}

static void
destroy(struct mailbox *m)
{
	seen_close(m);
	/* What it still writes is to be known to the index. */
	if (m->impl != NULL && !m->is_gone && !m->is_opening &&
	    m->store->ops->before_close != NULL)
		m->store->ops->before_close(m);
	derived_done(m);
	list_remove(&m->link);
	if (m->impl != NULL)
		m->store->ops->close(m);
	VEC_EACH(&m->keywords, k)
		free(*k);
	VEC_DONE(&m->keywords);
	VEC_DONE(&m->recs);
	VEC_DONE(&m->singles);
	VEC_DONE(&m->more_sets);
	set32_done(&m->live);
	set32_done(&m->recent);
	set32_done(&m->sized);
	free(m->name);
	free(m);
}

/* Is there nothing to be written first, in its own time? */
static bool
may_close(struct mailbox *m)
{
	return m->is_gone || m->is_broken || m->is_opening ||
	    m->store->ops->may_close == NULL || m->store->ops->may_close(m);
}

void
mailbox_close_idle(struct store *s, bool all)
{
	int64_t now = clock_mono_ms();

	LIST_EACH(&s->mailboxes, l) {
		struct mailbox *m = LIST_OF(l, struct mailbox, link);

		if (m->n_users == 0 &&
		    (all ||
			(now - m->idle_since_ms >= KEPT_MS && may_close(m))))
			destroy(m);
	}
}

/* The one that has been idle longest, when there are too many. */
static void
close_surplus(struct store *s)
{
	struct mailbox *oldest = NULL;
	unsigned n = 0;

	LIST_EACH(&s->mailboxes, l) {
		struct mailbox *m = LIST_OF(l, struct mailbox, link);

		if (m->n_users > 0)
			continue;
		n++;
		if (oldest == NULL || m->idle_since_ms < oldest->idle_since_ms)
			oldest = m;
	}
	if (n > KEPT_MAX && may_close(oldest))
		destroy(oldest);
}

static struct mailbox *
find_usable(struct store *s, struct str name)
{
	struct mailbox *m = mailbox_find_open(s, name);

	if (m == NULL || m->n_users > 0)
		return m;
	if (!m->is_broken && s->ops->is_current(m))
		return m;
	destroy(m);
	return NULL;
}

/* *out begins as NULL and is the state. */
enum step
mailbox_acquire(
    struct store *s, struct str name, struct mailbox **out, struct err *e)
{
	struct mailbox *m = *out;
	enum step step = STEP_DONE;
	bool is_first = m == NULL, is_new = false;

	if (m == NULL)
		m = find_usable(s, name);
	if (m == NULL) {
		m = mem_new(1, sizeof(*m));
		m->store = s;
		m->name = str_to_heap(name);
		m->is_opening = true;
		list_init(&m->views);
		list_append(&s->mailboxes, &m->link);
		*VEC_ADD(&m->more_sets) = 0;
		is_new = true;
	}
	if (*out == NULL)
		m->n_users++;
	*out = m;
	/* Our own do not change while we have them open. */
	if (is_first && (is_new || s->head != NULL) &&
	    rights_take(m, e) == -1) {
		if (is_new)
			m->is_gone = true;
		mailbox_release(out);
		return STEP_FAIL;
	}
	if (m->is_opening && m->is_gone) {
		/* Somebody else's attempt failed: one of our own. */
		mailbox_release(out);
		return STEP_MORE;
	}
	if (m->is_opening)
		step = s->ops->open(m, e);
	if (step == STEP_DONE) {
		m->is_opening = false;
		seen_open(m);
	}
	if (step != STEP_FAIL)
		return step;
	m->is_gone = true; /* nobody finds this one any more */
	mailbox_release(out);
	return STEP_FAIL;
}

/* Not to be kept for those who come back. */
static bool
is_too_much(const struct mailbox *m)
{
	return m->is_gone || m->is_broken || m->is_opening ||
	    m->store->loop == NULL || m->recs.n > KEPT_MESSAGES_MAX;
}

void
mailbox_work_done(struct mailbox *m)
{
	if (m->n_users > 0)
		return;
	if (is_too_much(m) && may_close(m))
		destroy(m);
	else
		notify_idle(m->store, KEPT_MS);
}

void
mailbox_release(struct mailbox **mp)
{
	struct mailbox *m = *mp;
	struct store *s;

	*mp = NULL;
	if (m == NULL)
		return;
	s = m->store;
	ASSERT(m->n_users > 0);
	if (--m->n_users > 0)
		return;
	if (is_too_much(m) && may_close(m)) {
		destroy(m);
		return;
	}
	m->idle_since_ms = clock_mono_ms();
	close_surplus(s); /* it may be the one that goes */
	notify_idle(s, KEPT_MS);
}

/* ---- sync ---------------------------------------------------------------- */

enum step
mailbox_sync(struct mailbox *m, struct sync_mark *mark, struct err *e)
{
	const struct store_ops *ops = m->store->ops;
	int64_t until = clock_mono_ms() + STEP_SLICE_MS;
	enum step step;

	if (!mark->begun)
		*mark = (struct sync_mark){true, ops->is_syncing(m)};
	for (;;) {
		step = ops->sync(m, SYNC_NORMAL, e);
		if (step == STEP_DONE && mark->joined) {
			mark->joined = false;
			step = STEP_MORE;
		}
		if (step != STEP_MORE || store_must_wait(m->store) ||
		    clock_mono_ms() >= until)
			break;
	}
	if (step != STEP_MORE)
		*mark = (struct sync_mark){0};
	if (step == STEP_DONE) {
		/* Its GUID may have come into being with the first sync. */
		seen_open(m);
		seen_sync(m);
	}
	return step;
}

void
mailbox_sync_end(struct mailbox *m, struct sync_mark *mark)
{
	if (mark->begun)
		m->store->ops->abandon(m);
	*mark = (struct sync_mark){0};
}

/* ---- records ------------------------------------------------------------- */

size_t
mailbox_rec_index(const struct mailbox *m, uint32_t uid)
{
	size_t lo = 0, hi = m->recs.n, at;

	/* Where it is while nothing has been expunged. */
	if (hi > 0 && uid >= m->recs.v[0].uid) {
		at = uid - m->recs.v[0].uid;
		if (at < hi && m->recs.v[at].uid == uid)
			return at;
	}
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->recs.v[mid].uid < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void
mailbox_freshen(struct mailbox *m, uint32_t uid)
{
	struct err e;

	if (m->unsure_top != 0 && uid <= m->unsure_top &&
	    m->store->ops->freshen != NULL &&
	    m->store->ops->freshen(m, &e) == -1)
		store_warn(m->store, "mailbox=%s: %s", m->name, e.text);
}

enum step
mailbox_freshen_some(struct mailbox *m, uint32_t uid)
{
	if (m->unsure_top == 0 || uid > m->unsure_top ||
	    m->store->ops->freshen_some == NULL)
		return STEP_DONE;
	return m->store->ops->freshen_some(m);
}

struct msg_rec *
mailbox_rec(struct mailbox *m, uint32_t uid)
{
	struct msg_rec *r;
	struct err e;
	size_t i;

	if (uid <= m->lazy_top) {
		r = derived_single(m, uid);
		if (r != NULL)
			return r;
		if (mailbox_load(m, &e) == -1) {
			store_warn(m->store, "mailbox=%s: %s", m->name, e.text);
			return NULL;
		}
	}
	i = mailbox_rec_index(m, uid);
	if (i == m->recs.n || m->recs.v[i].uid != uid)
		return NULL;
	return &m->recs.v[i];
}

struct msg_rec *
mailbox_add_rec(struct mailbox *m, uint32_t uid)
{
	struct msg_rec *r;

	ASSERT(m->recs.n == 0 || m->recs.v[m->recs.n - 1].uid < uid);
	r = VEC_ADD(&m->recs);
	r->uid = uid;
	return r;
}

const uint16_t *
mailbox_more(const struct mailbox *m, const struct msg_rec *r, size_t *n)
{
	*n = r->more == 0 ? 0 : m->more_sets.v[r->more];
	return r->more == 0 ? NULL : &m->more_sets.v[r->more + 1];
}

void
mailbox_set_more(
    struct mailbox *m, struct msg_rec *r, const uint16_t *more, size_t n)
{
	size_t old_n;
	const uint16_t *old = mailbox_more(m, r, &old_n);
	uint32_t place;

	if (n == old_n && (n == 0 || memcmp(old, more, n * sizeof(*more)) == 0))
		return;
	if (n == 0) {
		r->more = 0;
		return;
	}
	place = (uint32_t)m->more_sets.n;
	*VEC_ADD(&m->more_sets) = (uint16_t)n;
	for (size_t i = 0; i < n; i++)
		*VEC_ADD(&m->more_sets) = more[i];
	r->more = place;
}

/* ---- keywords ------------------------------------------------------------ */

void
mailbox_set_keyword(struct mailbox *m, size_t number, struct str name)
{
	while (m->keywords.n <= number)
		*VEC_ADD(&m->keywords) = NULL;
	free(m->keywords.v[number]);
	m->keywords.v[number] = str_to_heap(name);
	derived_note_state(m);
	if (number < KEYWORD_LETTERS)
		m->named_letters |= 1u << number;
	mailbox_note_news(m);
}

struct str
mailbox_name(const struct mailbox *m)
{
	return str_of(m->name);
}

struct str
mailbox_full_name(const struct mailbox *m, struct arena *a)
{
	struct str name = str_of(m->name);

	(void)space_name(m->store, a, &name);
	return name;
}

uint32_t
mailbox_uidvalidity(const struct mailbox *m)
{
	return m->uidvalidity;
}

uint32_t
mailbox_uidnext(const struct mailbox *m)
{
	return m->uidnext;
}

const char *
mailbox_guid(const struct mailbox *m)
{
	return m->guid;
}

size_t
mailbox_keyword_count(const struct mailbox *m)
{
	return m->keywords.n;
}

struct str
mailbox_keyword_name(const struct mailbox *m, size_t number)
{
	return number < m->keywords.n ? str_of(m->keywords.v[number])
				      : str_make(NULL, 0);
}

bool
mailbox_keyword_find(const struct mailbox *m, struct str name, size_t *number)
{
	for (size_t i = 0; i < m->keywords.n; i++) {
		if (m->keywords.v[i] == NULL ||
		    !str_eq_nocase(str_of(m->keywords.v[i]), name))
			continue;
		*number = i;
		return true;
	}
	return false;
}

/* ---- changes of flags ---------------------------------------------------- */

static int
by_number(const void *a, const void *b)
{
	return *(const uint16_t *)a - *(const uint16_t *)b;
}

enum step
mailbox_resolve(struct mailbox *m, enum store_op op, const struct flag_wish *w,
    struct arena *a, struct flag_change *out, struct err *e)
{
	uint16_t *more = arena_new(a, w->n_keywords, sizeof(*more));
	size_t n = 0, unique = 0, number;
	enum step step;

	*out = (struct flag_change){
	    .op = op,
	    .system = w->system & FLAGS_STORED,
	    .more = more,
	};
	for (size_t i = 0; i < w->n_keywords; i++) {
		struct str name = w->keywords[i];

		if (!mailbox_keyword_find(m, name, &number)) {
			if (op == STORE_REMOVE)
				continue;
			step = m->store->ops->keyword(m, name, &number, e);
			if (step != STEP_DONE)
				return step;
		}
		if (number < KEYWORD_LETTERS)
			out->keywords |= 1u << number;
		else
			more[n++] = (uint16_t)number;
	}
	qsort(more, n, sizeof(*more), by_number);
	for (size_t i = 0; i < n; i++)
		if (unique == 0 || more[unique - 1] != more[i])
			more[unique++] = more[i];
	out->n_more = unique;
	return STEP_DONE;
}

static bool
has_number(const uint16_t *v, size_t n, uint16_t x)
{
	for (size_t i = 0; i < n; i++)
		if (v[i] == x)
			return true;
	return false;
}

/* Sorted union (add) or difference of two sorted sets. */
static size_t
combine(const uint16_t *old, size_t n_old, const struct flag_change *c,
    uint16_t *out)
{
	size_t n = 0, j = 0;

	for (size_t i = 0; i < n_old; i++) {
		if (c->op == STORE_ADD)
			while (j < c->n_more && c->more[j] < old[i])
				out[n++] = c->more[j++];
		if (c->op == STORE_ADD && j < c->n_more && c->more[j] == old[i])
			j++;
		if (c->op == STORE_REMOVE &&
		    has_number(c->more, c->n_more, old[i]))
			continue;
		out[n++] = old[i];
	}
	while (c->op == STORE_ADD && j < c->n_more)
		out[n++] = c->more[j++];
	return n;
}

bool
mailbox_apply_change(const struct mailbox *m, const struct msg_rec *r,
    const struct flag_change *c, uint8_t *system, uint32_t *keywords,
    uint16_t *more, size_t *n_more)
{
	size_t n_old;
	const uint16_t *old = mailbox_more(m, r, &n_old);
	uint8_t others = r->system & (uint8_t)~FLAGS_STORED;
	uint32_t nameless = ~m->named_letters;

	switch (c->op) {
	case STORE_SET:
		/* Letters without a meaning here are not the client's to
		 * remove: it can not see them. */
		*system = c->system | others;
		*keywords = c->keywords | (r->keywords & nameless);
		*n_more = c->n_more;
		if (c->n_more > 0)
			memcpy(more, c->more, c->n_more * sizeof(*more));
		break;
	case STORE_ADD:
		*system = r->system | c->system;
		*keywords = r->keywords | c->keywords;
		*n_more = combine(old, n_old, c, more);
		break;
	case STORE_REMOVE:
		*system = r->system & (uint8_t)~c->system;
		*keywords = r->keywords & ~c->keywords;
		*n_more = combine(old, n_old, c, more);
		break;
	}
	return *system != r->system || *keywords != r->keywords ||
	    *n_more != n_old ||
	    (n_old > 0 && memcmp(old, more, n_old * sizeof(*more)) != 0);
}

/* ---- what the backend found ---------------------------------------------- */

void
mailbox_note_new(struct mailbox *m, struct msg_rec *r, bool is_recent)
{
	r->state = REC_LIVE;
	set32_add(&m->live, r->uid);
	if (is_recent)
		set32_add(&m->recent, r->uid);
	derived_note_new(m, r->uid);
	mailbox_note_news(m);
}

void
mailbox_note_flags_of(struct mailbox *m, uint32_t uid, const struct view *but)
{
	LIST_EACH(&m->views, l) {
		struct view *v = LIST_OF(l, struct view, link);

		if (v != but && set32_has(&v->uids, uid))
			set32_add(&v->changed, uid);
	}
	derived_note_flags(m, uid);
	mailbox_note_news(m);
}

void
mailbox_note_flags(
    struct mailbox *m, const struct msg_rec *r, const struct view *but)
{
	mailbox_note_flags_of(m, r->uid, but);
}

void
mailbox_note_expunged(struct mailbox *m, struct msg_rec *r)
{
	if (r->state == REC_LIVE) {
		set32_remove(&m->live, r->uid);
		set32_remove(&m->recent, r->uid);
		m->expunge_gen++;
		derived_note_vanished(m, r->uid);
		mailbox_note_news(m);
	}
	if (r->state != REC_EXPUNGED)
		m->n_expunged++;
	r->state = REC_EXPUNGED;
}

void
mailbox_known_uids(const struct mailbox *m, struct set32 *out)
{
	set32_init(out);
	set32_copy(out, &m->live);
	LIST_EACH(&m->views, l) {
		const struct view *v = LIST_OF(l, struct view, link);

		for (size_t i = 0; i < v->uids.n; i++)
			set32_add_range(
			    out, v->uids.r[i].first, v->uids.r[i].last);
	}
}

void
mailbox_note_news(struct mailbox *m)
{
	bool any = false;

	LIST_EACH(&m->views, l) {
		struct view *v = LIST_OF(l, struct view, link);

		v->is_due = v->is_due || v->listener != NULL;
		any = any || v->is_due;
	}
	if (any)
		notify_soon(m->store);
	tree_note(m);
}
