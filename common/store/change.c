/* SPDX-License-Identifier: ISC */
/*
 * change.c - STORE, EXPUNGE, COPY, MOVE and APPEND, a few messages at a time.
 *
 * Owns:    struct copy_job.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing; UIDs that are not in the view are passed over.
 * Spec:    RFC 3501 section 6.4, RFC 2180, RFC 4314 section 4, RFC 4315,
 *          RFC 6851.
 *
 * struct copy_job:
 *
 *	OPENING --> STAGING --all there--> CHECKING --> COMMITTING --COPY--> done
 *	                                       COMMITTING --MOVE--> REMOVING --> done
 *	                                       COMMITTING --no links--> OPENING
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/derived.h"
#include "store/mailbox_impl.h"
#include "store/notify.h"
#include "store/quota.h"
#include "store/rights.h"
#include "store/seen.h"

#define COPY_PIECE (64 * 1024)

/* Next UID of `uids` that the view has, from *at on; false at the end. */
static bool
next_in_view(
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

static void
expect(struct mailbox *m, uint32_t n)
{
	if (m->store->ops->expect != NULL)
		m->store->ops->expect(m, n);
}

static int
may_write(struct view *v, struct err *e)
{
	if (!view_may_change(v))
		return err_set(e, ERR_READ_ONLY, "%s: read-only", v->m->name);
	return 0;
}

/* ---- rights ---------------------------------------------------------------- */

/* The flags that the viewer may set or clear in a mailbox. */
struct allowed {
	bool is_all, keywords;
	uint8_t system;
};

static struct allowed
allowed_in(const struct mailbox *m)
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

/* The flags that stay of a wish. */
static void
limit_wish(const struct allowed *a, struct flag_wish *w)
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

	limit_wish(a, w);
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

/* ---- STORE --------------------------------------------------------------- */

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
	const struct allowed allowed = allowed_in(m);
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
	if ((in_files || view_is_read_only(v)) && may_write(v, e) == -1)
		return STEP_FAIL;
	if (*at == 0 && view_freshen(v, uids, 0) == STEP_MORE)
		return STEP_MORE;
	arena_init(&a);
	result = mailbox_resolve(m, op, &rest, &a, &c, e);
	if (*at == 0 && in_files)
		expect(m, set32_count(uids));
	while (result == STEP_DONE && next_in_view(v, uids, at, &uid)) {
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
	if (result != STEP_FAIL &&
	    (m->store->ops->flush(m, e) == -1 || seen_save(m, e) == -1))
		result = STEP_FAIL;
	if (result == STEP_DONE && m->store->ops->settle != NULL)
		result = m->store->ops->settle(m, e);
	if (result != STEP_MORE)
		expect(m, 0);
	arena_done(&a);
	return result;
}

/* ---- EXPUNGE ------------------------------------------------------------- */

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

/* Removes messages for EXPUNGE and, with all their flags, for MOVE. */
static enum step
remove_some(struct view *v, const struct set32 *uids, bool only_deleted,
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
	while (result == STEP_DONE && next_in_view(v, uids, at, &uid)) {
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
		expect(m, 0);
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
	    may_write(v, e) == -1)
		return STEP_FAIL;
	if (*at == 0 && mailbox_freshen_some(v->m, 0) == STEP_MORE)
		return STEP_MORE;
	mailbox_freshen(v->m, 0);
	if (*at == 0) {
		expect(v->m, count_deleted(v->m));
		v->finish_mark = 0; /* *at may rise before remove_some() */
	}
	/* Nothing to look for among those that are not even loaded. */
	if (derived_counts(v->m).deleted == 0 && *at <= v->m->lazy_top &&
	    v->m->lazy_top < UINT32_MAX)
		*at = v->m->lazy_top + 1;
	if (uids != NULL)
		return remove_some(v, uids, true, at, e);
	set32_init(&all);
	set32_copy(&all, &v->uids);
	result = remove_some(v, &all, true, at, e);
	set32_done(&all);
	return result;
}

/* ---- APPEND -------------------------------------------------------------- */

static enum step
append_open(
    struct store *s, struct str mailbox, struct append **out, struct err *e)
{
	struct append *a = *out;
	enum step step;

	if (a == NULL)
		a = *out = mem_new(1, sizeof(*a));
	step = mailbox_acquire_or_make(s, mailbox, &a->m, e);
	if (step != STEP_DONE)
		goto out;
	step = STEP_FAIL;
	if (rights_need(a->m->rights, ACL_INSERT, e) == -1)
		goto out;
	if (a->m->is_read_only || a->m->is_broken)
		(void)err_set(e, ERR_READ_ONLY, "%s: read-only", a->m->name);
	else if (a->m->store->ops->append->begin(a, e) == 0)
		step = STEP_DONE;
out:
	if (step == STEP_FAIL)
		append_free(out);
	return step;
}

enum step
append_begin(
    struct store *s, struct str mailbox, struct append **out, struct err *e)
{
	store_begin_step(s);
	return append_open(s, mailbox, out, e);
}

/* The message that comes next is seen by who adds it, and by nobody else. */
static void
take_seen(struct append *a, uint32_t nth, struct flag_wish *w)
{
	if (!seen_is_own(a->m))
		return;
	/* Another one may have been tried for this place, and was gone. */
	set32_remove(&a->seen, nth);
	if (w->system & FLAG_SEEN)
		set32_add(&a->seen, nth);
	w->system &= (uint8_t)~FLAG_SEEN;
}

int
append_message(struct append *a, const struct flag_wish *w, int64_t date_s,
    uint64_t size, struct err *e)
{
	const struct allowed allowed = allowed_in(a->m);
	struct flag_wish stored = *w;

	if (a->left > 0)
		return err_set(e, ERR_SYNTAX, "append: message too short");
	stored.system &= FLAGS_STORED;
	limit_wish(&allowed, &stored);
	take_seen(a, (uint32_t)a->count + 1, &stored);
	if (a->m->store->ops->append->message(a, &stored, date_s, e) == -1)
		return -1;
	a->left = size;
	a->bytes += size;
	a->count++;
	a->in_message = true;
	return 0;
}

enum step
append_may_add(struct append *a, uint64_t size, struct err *e)
{
	uint64_t bytes = a->bytes + size, count = a->count + 1;

	bytes -= bytes < a->bytes_go ? bytes : a->bytes_go;
	count -= count < a->count_go ? count : a->count_go;
	return store_quota_may_add(
	    a->m->store, mailbox_name(a->m), bytes, count, e);
}

int
append_scratch(struct append *a, struct err *e)
{
	return a->m->store->ops->append->scratch(a, e);
}

int
append_data(struct append *a, struct str bytes, struct err *e)
{
	if (!a->in_message || bytes.n > a->left)
		return err_set(e, ERR_SYNTAX, "append: message too long");
	a->left -= bytes.n;
	return a->m->store->ops->append->data(a, bytes, e);
}

static enum step
commit_some(
    struct append *a, uint32_t *uidvalidity, struct set32 *uids, struct err *e)
{
	enum step step = a->m->store->ops->append->commit(a, e);
	struct err why;

	if (step != STEP_DONE)
		return step;
	*uidvalidity = set32_is_empty(&a->uids) ? 0 : a->m->uidvalidity;
	set32_copy(uids, &a->uids);
	for (uint32_t n = 1; set32_next(&a->seen, n, &n); n++)
		if (!set32_has(&a->dropped, n))
			(void)seen_change(a->m,
			    set32_at(uids, n - set32_count_le(&a->dropped, n)),
			    true);
	/* The messages are there; that they are seen is not worth a failure. */
	if (seen_save(a->m, &why) == -1)
		store_warn(a->m->store, "%s: %s", a->m->name, why.text);
	return STEP_DONE;
}

enum step
append_commit(
    struct append *a, uint32_t *uidvalidity, struct set32 *uids, struct err *e)
{
	store_begin_step(a->m->store);
	if (a->left == 0)
		return commit_some(a, uidvalidity, uids, e);
	(void)err_set(e, ERR_SYNTAX, "append: message too short");
	return STEP_FAIL;
}

bool
append_yields(const struct append *a)
{
	return a->yields;
}

void
append_free(struct append **ap)
{
	struct append *a = *ap;

	*ap = NULL;
	if (a == NULL)
		return;
	if (a->impl != NULL)
		a->m->store->ops->append->free(a);
	mailbox_release(&a->m);
	set32_done(&a->uids);
	set32_done(&a->seen);
	set32_done(&a->dropped);
	free(a);
}

/* For the quota: what the name says, or the file system. */
static uint64_t
size_of(struct mailbox *m, uint32_t uid)
{
	struct msg_file f = {.fd = -1};
	struct msg_facts facts;
	struct err e;
	uint64_t size;

	if (m->store->ops->quota == NULL)
		return 0;
	if (m->store->ops->msg_facts(m, uid, &facts) && facts.size > 0)
		return facts.size;
	if (m->store->ops->msg_stat(m, uid, &f, &e) == -1)
		return 0;
	size = f.size;
	msg_file_close(m, &f);
	return size;
}

/*
 * Who is over quota must be able to tidy up: what moves within a quota uses no
 * more of it (RFC 9208 section 4.3.1 is about what does). Trash is not counted,
 * so what comes back from there does.
 */
static bool
is_counted_with(const struct mailbox *from, const struct mailbox *to)
{
	return from->store == to->store &&
	    !str_eq(str_of(from->name), STR("Trash"));
}

/* ---- REPLACE, DELE of POP3 ----------------------------------------------- */

int
view_can_remove(struct view *v, uint32_t uid, struct err *e)
{
	const struct msg_rec *r;

	if (rights_need(v->m->rights, ACL_DELETED | ACL_EXPUNGE, e) == -1 ||
	    may_write(v, e) == -1)
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
	    may_write(v, e) == -1)
		return STEP_FAIL;
	if (*at == 0)
		expect(v->m, set32_count(uids));
	return remove_some(v, uids, false, at, e);
}

void
view_replaces(struct view *v, uint32_t uid, struct append *append)
{
	if (v->m == append->m)
		append->replaces = uid;
	if (!is_counted_with(v->m, append->m))
		return;
	append->bytes_go = size_of(v->m, uid);
	append->count_go = 1;
}

/* ---- COPY, MOVE ---------------------------------------------------------- */

struct copy_job {
	struct append *to;
	struct set32 from; /* copied */
	uint32_t at, remove_at;
	enum copy_phase {
		OPENING,
		STAGING,
		CHECKING,
		COMMITTING,
		REMOVING,
	} phase;
	bool counts; /* sizes, for the quota */
	bool no_links; /* what struct append has */
	uint32_t uidvalidity;
	struct set32 uids; /* new ones */
};

/* The flags of a message by name. */
static void
flags_of(struct mailbox *from, const struct msg_rec *r, struct arena *a,
    struct flag_wish *out)
{
	size_t n_more, n = 0, bits = (size_t)__builtin_popcount(r->keywords);
	const uint16_t *more = mailbox_more(from, r, &n_more);
	struct str *names = arena_new(a, bits + n_more, sizeof(*names));

	for (size_t i = 0; i < KEYWORD_LETTERS; i++)
		if (r->keywords & 1u << i)
			names[n++] = mailbox_keyword_name(from, i);
	for (size_t i = 0; i < n_more; i++)
		names[n++] = mailbox_keyword_name(from, more[i]);
	*out = (struct flag_wish){
	    .system = r->system & (FLAGS_STORED | FLAG_PASSED),
	    .keywords = names,
	};
	if (seen_is_own(from)) {
		out->system &= (uint8_t)~FLAG_SEEN;
		out->system |= seen_has(from, r->uid) ? FLAG_SEEN : 0;
	}
	for (size_t i = 0; i < n; i++)
		if (names[i].n > 0)
			names[out->n_keywords++] = names[i];
}

/* Reads the message and appends its bytes, where no link is possible. */
static enum step
copy_bytes(struct append *to, struct mailbox *from, uint32_t uid,
    const struct flag_wish *w, struct err *e)
{
	const struct append_ops *ops = to->m->store->ops->append;
	struct msg_file f = {.fd = -1};
	char *piece;
	size_t got;
	enum step step = STEP_FAIL;

	if (from->store->ops->msg_open(from, uid, &f, e) == -1)
		return STEP_FAIL;
	piece = mem_new(1, COPY_PIECE);
	if (ops->message(to, w, f.date_s, e) == -1)
		goto out;
	for (uint64_t off = 0; off < f.size; off += got) {
		if (msg_file_read(from, &f, off, piece, COPY_PIECE, &got, e) ==
		    -1)
			goto out;
		if (got == 0)
			break;
		if (ops->data(to, str_make(piece, got), e) == -1)
			goto out;
	}
	step = STEP_DONE;
out:
	free(piece);
	msg_file_close(from, &f);
	return step;
}

static enum step
stage_one(
    struct copy_job *job, struct mailbox *from, uint32_t uid, struct err *e)
{
	const struct allowed allowed = allowed_in(job->to->m);
	const struct msg_rec *r;
	struct flag_wish w;
	struct arena a;
	enum step step;

	if (from->store->ops->ready != NULL) {
		step = from->store->ops->ready(from, uid, e);
		if (step != STEP_DONE)
			return step;
	}
	if (mailbox_freshen_some(from, uid) == STEP_MORE)
		return STEP_MORE;
	mailbox_freshen(from, uid);
	r = mailbox_rec(from, uid);
	if (r == NULL || r->state != REC_LIVE) {
		(void)err_set(e, ERR_GONE, "message is gone");
		return STEP_FAIL;
	}
	arena_init(&a);
	flags_of(from, r, &a, &w);
	limit_wish(&allowed, &w);
	take_seen(job->to, set32_count(&job->from) + 1, &w);
	step = job->to->m->store->ops->append->copy(job->to, from, uid, &w, e);
	if (step == STEP_FAIL && e->code == ERR_UNSUPPORTED)
		step = copy_bytes(job->to, from, uid, &w, e);
	if (step == STEP_DONE) {
		if (job->counts)
			job->to->bytes += size_of(from, uid);
		job->to->count++;
	}
	arena_done(&a);
	return step;
}

static enum step
stage_some(struct copy_job *job, struct view *v, const struct set32 *uids,
    bool move, struct err *e)
{
	int64_t until = clock_mono_ms() + STEP_SLICE_MS;
	uint32_t uid;

	while (next_in_view(v, uids, &job->at, &uid)) {
		enum step step = stage_one(job, v->m, uid, e);

		if (step == STEP_DONE)
			set32_add(&job->from, uid);
		else if (step == STEP_MORE || !move || e->code != ERR_GONE)
			return step;
		job->at = uid + 1;
		if (clock_mono_ms() >= until)
			return STEP_MORE;
	}
	return STEP_DONE;
}

static enum step
open_target(struct copy_job *job, struct view *v, struct str dest, bool move,
    struct err *e)
{
	enum step step = append_open(v->store, dest, &job->to, e);

	if (step != STEP_DONE)
		return step;
	job->to->may_drop = job->to->moves = move;
	job->to->no_links = job->no_links;
	job->counts = (!move || !is_counted_with(v->m, job->to->m)) &&
	    quota_is_kept(job->to->m->store);
	return step;
}

/* Those whose messages were gone before they could be copied. */
static void
forget_dropped(struct copy_job *job)
{
	struct set32 *dropped = &job->to->dropped, gone;
	uint32_t n, uid;

	set32_init(&gone);
	for (n = 1; set32_next(dropped, n, &n); n++)
		set32_add(&gone, set32_at(&job->from, n));
	for (uid = 1; set32_next(&gone, uid, &uid); uid++)
		set32_remove(&job->from, uid);
	set32_done(&gone);
}

static enum step
commit_copies(struct copy_job *job, struct err *e)
{
	enum step step = commit_some(job->to, &job->uidvalidity, &job->uids, e);

	if (step == STEP_DONE)
		forget_dropped(job);
	if (step != STEP_FAIL || e->code != ERR_UNSUPPORTED || job->no_links)
		return step;
	/* Not all can be linked to their place: once more, by way of tmp/. */
	append_free(&job->to);
	set32_clear(&job->from);
	job->at = 0;
	job->no_links = true;
	job->phase = OPENING;
	return STEP_MORE;
}

enum step
view_copy(struct view *v, const struct set32 *uids, struct str dest, bool move,
    struct copy_job **jobp, struct copy_result *out, struct err *e)
{
	struct copy_job *job = *jobp;
	enum step step = STEP_DONE;

	store_begin_step(v->store);
	if (move &&
	    (rights_need(v->m->rights, ACL_DELETED | ACL_EXPUNGE, e) == -1 ||
		may_write(v, e) == -1))
		return STEP_FAIL;
	if (job == NULL)
		job = *jobp = mem_new(1, sizeof(*job));
	switch (job->phase) {
	case OPENING:
		step = open_target(job, v, dest, move, e);
		break;
	case STAGING:
		step = stage_some(job, v, uids, move, e);
		break;
	case CHECKING:
		if (job->counts)
			step = store_quota_may_add(job->to->m->store,
			    mailbox_name(job->to->m), job->to->bytes,
			    job->to->count, e);
		break;
	case COMMITTING:
		if (move)
			expect(v->m, set32_count(&job->from));
		step = commit_copies(job, e);
		if (move && step == STEP_FAIL)
			expect(v->m, 0);
		break;
	case REMOVING:
		step = remove_some(v, &job->from, false, &job->remove_at, e);
		break;
	}
	if (step != STEP_DONE)
		return step;
	if (job->phase < (move ? REMOVING : COMMITTING)) {
		job->phase++;
		return STEP_MORE;
	}
	out->uidvalidity = job->uidvalidity;
	set32_copy(&out->from, &job->from);
	set32_copy(&out->to, &job->uids);
	return STEP_DONE;
}

uint32_t
copy_job_count(const struct copy_job *job)
{
	return job != NULL ? set32_count(&job->from) : 0;
}

void
copy_job_free(struct copy_job **jp)
{
	struct copy_job *job = *jp;

	*jp = NULL;
	if (job == NULL)
		return;
	append_free(&job->to);
	set32_done(&job->from);
	set32_done(&job->uids);
	free(job);
}
