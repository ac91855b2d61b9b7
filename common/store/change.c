/* SPDX-License-Identifier: ISC */
/*
 * change.c - STORE and EXPUNGE, a few messages at a time, and what a viewer may
 * change.
 *
 * Owns:    nothing.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing; UIDs that are not in the view are passed over.
 * Spec:    RFC 3501 section 6.4, RFC 2180, RFC 4314 section 4, RFC 4315.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/change_impl.h"
#include "store/derived.h"
#include "store/notify.h"
#include "store/rights.h"
#include "store/seen.h"

bool
change_next(
    struct view *v, const struct set32 *uids, uint32_t *at, uint32_t *uid)
{
	uint32_t u = *at == 0 ? 1 : *at;

	while (set32_next(uids, u, &u)) {
		if (set32_has(&v->uids, u)) {
			*uid = u;
			return true;
		}
		if (u == UINT32_MAX || !set32_next(&v->uids, u + 1, &u))
			return false;
	}
	return false;
}

void
change_expect(struct mailbox *m, uint32_t n)
{
	if (m->store->ops->expect != NULL)
		m->store->ops->expect(m, n);
}

int
change_may_write(struct view *v, struct err *e)
{
	if (!view_may_change(v))
		return err_set(e, ERR_READ_ONLY, "%s: read-only", v->m->name);
	return 0;
}

/* ---- rights ---------------------------------------------------------------- */

struct allowed
change_allowed(const struct mailbox *m)
{
	struct allowed a = {.is_all = m->rights == ACL_ALL};

	if (m->rights & ACL_WRITE) {
		a.system |=
		    FLAG_ANSWERED | FLAG_FLAGGED | FLAG_DRAFT | FLAG_PASSED;
		a.keywords = true;
	}
	if (m->rights & ACL_SEEN)
		a.system |= FLAG_SEEN;
	if (m->rights & ACL_DELETED)
		a.system |= FLAG_DELETED;
	return a;
}

void
change_limit(const struct allowed *a, struct flag_wish *w)
{
	if (a->is_all)
		return;
	w->system &= a->system;
	if (!a->keywords)
		w->n_keywords = 0;
}

/*
 * The same for STORE: ERR_PERM only when nothing stays (RFC 4314 section 4:
 * clients do not expect a NO).
 */
static int
limit_store(const struct allowed *a, enum store_op op, struct flag_wish *w,
    struct err *e)
{
	bool wants_none = w->system == 0 && w->n_keywords == 0;

	change_limit(a, w);
	if (a->is_all || w->system != 0 || w->n_keywords > 0)
		return 0;
	if (op == STORE_SET ? (a->system & FLAGS_STORED) != 0 : wants_none)
		return 0;
	return err_set(e, ERR_PERM, "not the right to change these flags");
}

/*
 * What he may not change stays as it is in a message. *copy, for the caller to
 * free: sets of the mailbox may move while the change is made.
 */
static void
keep_others(const struct allowed *a, const struct mailbox *m,
    const struct msg_rec *r, struct flag_change *c, uint16_t **copy)
{
	const uint16_t *more;
	size_t n;

	c->system &= a->system;
	c->system |= r->system & (uint8_t)~a->system & FLAGS_STORED;
	if (a->keywords)
		return;
	more = mailbox_more(m, r, &n);
	c->keywords = r->keywords;
	if (n > 0) {
		*copy = mem_new(n, sizeof(**copy));
		memcpy(*copy, more, n * sizeof(**copy));
	}
	c->more = *copy;
	c->n_more = n;
}

/* ---- STORE ----------------------------------------------------------------- */

/* What of a wish is the viewer's own: is \Seen touched, and how. */
struct own_seen {
	bool is_own, touches, on;
};

static struct own_seen
split_seen(const struct mailbox *m, enum store_op op, struct flag_wish *w)
{
	struct own_seen own = {.is_own = seen_is_own(m)};

	if (!own.is_own)
		return own;
	own.touches = (op == STORE_SET && (m->rights & ACL_SEEN) != 0) ||
	    w->system & FLAG_SEEN;
	own.on = w->system & FLAG_SEEN && op != STORE_REMOVE;
	w->system &= (uint8_t)~FLAG_SEEN;
	return own;
}

static enum step
set_flags(struct mailbox *m, uint32_t uid, const struct flag_change *c,
    const struct own_seen *own, const struct allowed *allowed, bool in_files,
    bool *changed, struct err *e)
{
	bool asks = own->is_own || (!allowed->is_all && c->op == STORE_SET);
	const struct msg_rec *r = asks ? mailbox_rec(m, uid) : NULL;
	struct flag_change with = *c;
	enum step step = STEP_DONE;
	uint16_t *copy = NULL;

	*changed = false;
	if (asks && (r == NULL || r->state != REC_LIVE)) {
		(void)err_set(e, ERR_GONE, "message is gone");
		return STEP_FAIL;
	}
	/* In the file it stays what its owner sees. */
	if (own->is_own && c->op == STORE_SET)
		with.system |= r->system & FLAG_SEEN;
	if (!allowed->is_all && c->op == STORE_SET)
		keep_others(allowed, m, r, &with, &copy);
	if (in_files)
		step = m->store->ops->set_flags(m, uid, &with, changed, e);
	free(copy);
	if (step == STEP_DONE && own->touches && seen_change(m, uid, own->on))
		*changed = true;
	return step;
}

enum step
view_store(struct view *v, const struct set32 *uids, enum store_op op,
    const struct flag_wish *w, bool silent, uint32_t *at, struct set32 *gone,
    struct err *e)
{
	struct mailbox *m = v->m;
	int64_t until = clock_mono_ms() + STEP_SLICE_MS;
	const struct allowed allowed = change_allowed(m);
	struct flag_wish rest = *w;
	struct own_seen own;
	struct flag_change c;
	struct arena a;
	enum step result = STEP_FAIL, one;
	uint32_t uid;
	bool changed, in_files;

	store_begin_step(m->store);
	if (!v->read_only && limit_store(&allowed, op, &rest, e) == -1)
		return STEP_FAIL;
	own = split_seen(m, op, &rest);
	in_files = !own.touches || rest.system != 0 || rest.n_keywords > 0 ||
	    (op == STORE_SET && (m->rights & ACL_CHANGES_FLAGS) != 0);
	if ((in_files || view_is_read_only(v)) && change_may_write(v, e) == -1)
		return STEP_FAIL;
	if (*at == 0 && view_freshen(v, uids, 0) == STEP_MORE)
		return STEP_MORE;
	arena_init(&a);
	result = mailbox_resolve(m, op, &rest, &a, &c, e);
	if (*at == 0 && in_files)
		change_expect(m, set32_count(uids));
	while (result == STEP_DONE && change_next(v, uids, at, &uid)) {
		one = set_flags(
		    m, uid, &c, &own, &allowed, in_files, &changed, e);
		if (one == STEP_MORE ||
		    (one == STEP_FAIL && e->code != ERR_GONE)) {
			result = one;
			break;
		}
		if (one == STEP_FAIL && gone != NULL)
			set32_add(gone, uid);
		if (one == STEP_DONE && changed)
			mailbox_note_flags(m, mailbox_rec(m, uid), v);
		/* Not silent: told even when nothing changed. */
		if (one == STEP_DONE && !silent)
			set32_add(&v->changed, uid);
		*at = uid + 1;
		if (clock_mono_ms() >= until)
			result = STEP_MORE;
	}
	if (result != STEP_FAIL && m->store->ops->flush(m, e) == -1)
		result = STEP_FAIL;
	if (result == STEP_DONE)
		result = seen_save(m, e);
	if (result == STEP_DONE && m->store->ops->settle != NULL)
		result = m->store->ops->settle(m, e);
	if (result != STEP_MORE)
		change_expect(m, 0);
	arena_done(&a);
	return result;
}

/* ---- EXPUNGE, DELE of POP3 ------------------------------------------------- */

/*
 * What was to go is gone from our view, but not from the mailbox: another
 * process has given it another UID. It must not seem to be removed.
 */
static int
check_renumbered(
    const struct view *v, const struct set32 *uids, bool marked, struct err *e)
{
	struct mailbox *m = v->m;
	const struct set32 *all = m->store->ops->renumbered != NULL
	    ? m->store->ops->renumbered(m)
	    : NULL;
	uint32_t uid = 0;

	if (all == NULL)
		return 0;
	while (set32_next(all, uid, &uid)) {
		const struct msg_rec *r = mailbox_rec(m, uid);

		if (set32_has(uids, uid) && set32_has(&v->uids, uid) &&
		    (!marked || (r != NULL && r->system & FLAG_DELETED)))
			return err_set(e, ERR_IN_USE,
			    "%s: another process has numbered messages anew",
			    m->name);
		if (uid++ == UINT32_MAX)
			break;
	}
	return 0;
}

enum step
change_remove(struct view *v, const struct set32 *uids, bool only_deleted,
    uint32_t *at, struct err *e)
{
	struct mailbox *m = v->m;
	int64_t until = clock_mono_ms() + STEP_SLICE_MS;
	enum step result = STEP_DONE;
	uint32_t uid;

	if (*at == 0)
		v->finish_mark = 0;
	if (only_deleted)
		mailbox_freshen(m, 0);
	while (result == STEP_DONE && change_next(v, uids, at, &uid)) {
		const struct msg_rec *r = mailbox_rec(m, uid);

		if (r != NULL && r->state == REC_LIVE &&
		    (!only_deleted || r->system & FLAG_DELETED)) {
			result =
			    m->store->ops->expunge(m, uid, only_deleted, e);
			if (result == STEP_MORE)
				break;
			if (result == STEP_FAIL && e->code == ERR_GONE)
				result = STEP_DONE;
		}
		*at = uid + 1;
		if (result == STEP_DONE && clock_mono_ms() >= until)
			result = STEP_MORE;
	}
	if (result != STEP_MORE)
		change_expect(m, 0);
	if (m->store->ops->finish != NULL && result == STEP_DONE)
		result = m->store->ops->finish(m, &v->finish_mark, e);
	else if (m->store->ops->finish == NULL &&
	    m->store->ops->flush(m, e) == -1)
		result = STEP_FAIL;
	if (result == STEP_DONE &&
	    check_renumbered(v, uids, only_deleted, e) == -1)
		result = STEP_FAIL;
	return result;
}

static uint32_t
count_deleted(const struct mailbox *m)
{
	uint32_t n = derived_counts(m).deleted; /* of those not loaded */

	for (size_t i = 0; i < m->recs.n; i++)
		n += m->recs.v[i].state == REC_LIVE &&
		    m->recs.v[i].system & FLAG_DELETED;
	return n;
}

enum step
view_expunge(
    struct view *v, const struct set32 *uids, uint32_t *at, struct err *e)
{
	enum step result;
	struct set32 all;

	store_begin_step(v->store);
	if (rights_need(v->m->rights, ACL_EXPUNGE, e) == -1 ||
	    change_may_write(v, e) == -1)
		return STEP_FAIL;
	if (*at == 0 && mailbox_freshen_some(v->m, 0) == STEP_MORE)
		return STEP_MORE;
	mailbox_freshen(v->m, 0);
	if (*at == 0) {
		change_expect(v->m, count_deleted(v->m));
		v->finish_mark = 0; /* *at may rise before change_remove() */
	}
	/* Nothing to look for among those that are not even loaded. */
	if (derived_counts(v->m).deleted == 0 && *at <= v->m->lazy_top &&
	    v->m->lazy_top < UINT32_MAX)
		*at = v->m->lazy_top + 1;
	if (uids != NULL)
		return change_remove(v, uids, true, at, e);
	set32_init(&all);
	set32_copy(&all, &v->uids);
	result = change_remove(v, &all, true, at, e);
	set32_done(&all);
	return result;
}

int
view_can_remove(struct view *v, uint32_t uid, struct err *e)
{
	const struct msg_rec *r;

	if (rights_need(v->m->rights, ACL_DELETED | ACL_EXPUNGE, e) == -1 ||
	    change_may_write(v, e) == -1)
		return -1;
	mailbox_freshen(v->m, uid);
	r = mailbox_rec(v->m, uid);
	if (view_seq(v, uid) == 0 || r == NULL || r->state != REC_LIVE)
		return err_set(e, ERR_GONE, "message is gone");
	return 0;
}

enum step
view_remove(
    struct view *v, const struct set32 *uids, uint32_t *at, struct err *e)
{
	store_begin_step(v->store);
	if (rights_need(v->m->rights, ACL_DELETED | ACL_EXPUNGE, e) == -1 ||
	    change_may_write(v, e) == -1)
		return STEP_FAIL;
	if (*at == 0)
		change_expect(v->m, set32_count(uids));
	return change_remove(v, uids, false, at, e);
}
