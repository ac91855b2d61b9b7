/* SPDX-License-Identifier: ISC */
/*
 * change.c - STORE, EXPUNGE, COPY, MOVE and APPEND, a few messages at a time.
 *
 * Owns:    struct copy_job.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing; UIDs that are not in the view are passed over.
 * Spec:    RFC 3501 section 6.4, RFC 2180, RFC 4315, RFC 6851.
 *
 * struct copy_job:
 *
 *	STAGING --all there--> committed --COPY--> done
 *	                       committed --MOVE--> REMOVING --all gone--> done
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/mailbox_impl.h"
#include "store/notify.h"

#define SLICE_MS 4
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

static int
may_write(struct view *v, struct err *e)
{
	if (view_is_read_only(v))
		return err_set(e, ERR_READ_ONLY, "%s: read-only", v->m->name);
	return 0;
}

/* ---- STORE --------------------------------------------------------------- */

enum step
view_store(struct view *v, const struct set32 *uids, enum store_op op,
    const struct flag_wish *w, bool silent, uint32_t *at, struct set32 *gone,
    struct err *e)
{
	struct mailbox *m = v->m;
	int64_t until = clock_mono_ms() + SLICE_MS;
	struct flag_change c;
	struct arena a;
	enum step result = STEP_FAIL;
	uint32_t uid;
	bool changed;

	arena_init(&a);
	if (may_write(v, e) == -1 || mailbox_resolve(m, op, w, &a, &c, e) == -1)
		goto out;
	while (next_in_view(v, uids, at, &uid)) {
		if (m->store->ops->set_flags(m, uid, &c, &changed, e) == 0) {
			if (changed)
				mailbox_note_flags(m, mailbox_rec(m, uid), v);
			/* Not silent: told even when nothing changed. */
			if (!silent)
				set32_add(&v->changed, uid);
		} else if (e->code == ERR_GONE) {
			if (gone != NULL)
				set32_add(gone, uid);
		} else {
			goto out;
		}
		*at = uid + 1;
		if (clock_mono_ms() >= until) {
			result = STEP_MORE;
			goto out;
		}
	}
	result = STEP_DONE;
out:
	if (result != STEP_FAIL && m->store->ops->flush(m, e) == -1)
		result = STEP_FAIL;
	arena_done(&a);
	return result;
}

/* ---- EXPUNGE ------------------------------------------------------------- */

/* Removes messages for EXPUNGE and, with all their flags, for MOVE. */
static enum step
remove_some(struct view *v, const struct set32 *uids, bool only_deleted,
    uint32_t *at, struct err *e)
{
	struct mailbox *m = v->m;
	int64_t until = clock_mono_ms() + SLICE_MS;
	enum step result = STEP_DONE;
	uint32_t uid;

	while (result == STEP_DONE && next_in_view(v, uids, at, &uid)) {
		const struct msg_rec *r = mailbox_rec(m, uid);

		*at = uid + 1;
		if (r == NULL || r->state != REC_LIVE ||
		    (only_deleted && !(r->system & FLAG_DELETED)))
			continue;
		if (m->store->ops->expunge(m, uid, only_deleted, e) == -1 &&
		    e->code != ERR_GONE)
			result = STEP_FAIL;
		else if (clock_mono_ms() >= until)
			result = STEP_MORE;
	}
	if (m->store->ops->flush(m, e) == -1)
		result = STEP_FAIL;
	return result;
}

enum step
view_expunge(
    struct view *v, const struct set32 *uids, uint32_t *at, struct err *e)
{
	enum step result;
	struct set32 all;

	if (may_write(v, e) == -1)
		return STEP_FAIL;
	if (uids != NULL)
		return remove_some(v, uids, true, at, e);
	set32_init(&all);
	set32_copy(&all, &v->uids);
	result = remove_some(v, &all, true, at, e);
	set32_done(&all);
	return result;
}

/* ---- APPEND -------------------------------------------------------------- */

static int
append_open(
    struct store *s, struct str mailbox, struct append **out, struct err *e)
{
	struct append *a = mem_new(1, sizeof(*a));

	if (mailbox_acquire_or_make(s, mailbox, &a->m, e) == -1)
		goto fail;
	if (a->m->is_read_only || a->m->is_broken) {
		(void)err_set(e, ERR_READ_ONLY, "%s: read-only", a->m->name);
		goto fail;
	}
	if (s->ops->append->begin(a, e) == -1)
		goto fail;
	*out = a;
	return 0;
fail:
	append_free(&a);
	return -1;
}

int
append_begin(
    struct store *s, struct str mailbox, struct append **out, struct err *e)
{
	return append_open(s, mailbox, out, e);
}

int
append_message(struct append *a, const struct flag_wish *w, int64_t date_s,
    uint64_t size, struct err *e)
{
	struct flag_change c;
	struct arena arena;
	int rc = -1;

	if (a->left > 0)
		return err_set(e, ERR_SYNTAX, "append: message too short");
	arena_init(&arena);
	if (mailbox_resolve(a->m, STORE_SET, w, &arena, &c, e) == 0)
		rc = a->m->store->ops->append->message(a, &c, date_s, e);
	arena_done(&arena);
	if (rc == 0) {
		a->left = size;
		a->in_message = true;
	}
	return rc;
}

int
append_data(struct append *a, struct str bytes, struct err *e)
{
	if (!a->in_message || bytes.n > a->left)
		return err_set(e, ERR_SYNTAX, "append: message too long");
	a->left -= bytes.n;
	return a->m->store->ops->append->data(a, bytes, e);
}

int
append_commit(
    struct append *a, uint32_t *uidvalidity, struct set32 *uids, struct err *e)
{
	if (a->left > 0)
		return err_set(e, ERR_SYNTAX, "append: message too short");
	if (a->m->store->ops->append->commit(a, e) == -1)
		return -1;
	*uidvalidity = set32_is_empty(&a->uids) ? 0 : a->m->uidvalidity;
	set32_copy(uids, &a->uids);
	return 0;
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
	free(a);
}

/* ---- COPY, MOVE ---------------------------------------------------------- */

struct copy_job {
	struct append *to;
	struct set32 from; /* copied */
	uint32_t at, remove_at;
	bool is_committed;
	uint32_t uidvalidity;
	struct set32 uids; /* new ones */
};

/* The flags of a message as a change for the other mailbox. */
static int
flags_for(struct mailbox *from, const struct msg_rec *r, struct mailbox *to,
    struct arena *a, struct flag_change *out, struct err *e)
{
	size_t n_more, n = 0, bits = (size_t)__builtin_popcount(r->keywords);
	const uint16_t *more = mailbox_more(from, r, &n_more);
	struct str *names = arena_new(a, bits + n_more, sizeof(*names));
	struct flag_wish w = {.keywords = names};
	uint8_t system = r->system;

	for (size_t i = 0; i < KEYWORD_LETTERS; i++)
		if (r->keywords & 1u << i)
			names[n++] = mailbox_keyword_name(from, i);
	for (size_t i = 0; i < n_more; i++)
		names[n++] = mailbox_keyword_name(from, more[i]);
	w.system = system & FLAGS_STORED;
	for (size_t i = 0; i < n; i++)
		if (names[i].n > 0)
			names[w.n_keywords++] = names[i];
	if (mailbox_resolve(to, STORE_SET, &w, a, out, e) == -1)
		return -1;
	out->system |= system & FLAG_PASSED;
	return 0;
}

/* Reads the message and appends its bytes, where no link is possible. */
static int
copy_bytes(struct append *to, struct mailbox *from, uint32_t uid,
    const struct flag_change *c, struct err *e)
{
	const struct append_ops *ops = to->m->store->ops->append;
	struct msg_file f = {.fd = -1};
	char *piece;
	size_t got;
	int rc = -1;

	if (from->store->ops->msg_open(from, uid, &f, e) == -1)
		return -1;
	piece = mem_new(1, COPY_PIECE);
	if (ops->message(to, c, f.date_s, e) == -1)
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
	rc = 0;
out:
	free(piece);
	msg_file_close(from, &f);
	return rc;
}

static int
stage_one(
    struct copy_job *job, struct mailbox *from, uint32_t uid, struct err *e)
{
	const struct msg_rec *r = mailbox_rec(from, uid);
	struct flag_change c;
	struct arena a;
	int rc;

	if (r == NULL || r->state != REC_LIVE)
		return err_set(e, ERR_GONE, "message is gone");
	arena_init(&a);
	rc = flags_for(from, r, job->to->m, &a, &c, e);
	if (rc == 0) {
		rc = job->to->m->store->ops->append->copy(
		    job->to, from, uid, &c, e);
		if (rc == -1 && e->code == ERR_UNSUPPORTED)
			rc = copy_bytes(job->to, from, uid, &c, e);
	}
	arena_done(&a);
	return rc;
}

static enum step
stage_some(struct copy_job *job, struct view *v, const struct set32 *uids,
    bool move, struct err *e)
{
	int64_t until = clock_mono_ms() + SLICE_MS;
	uint32_t uid;

	while (next_in_view(v, uids, &job->at, &uid)) {
		if (stage_one(job, v->m, uid, e) == 0)
			set32_add(&job->from, uid);
		else if (!move || e->code != ERR_GONE)
			return STEP_FAIL;
		job->at = uid + 1;
		if (clock_mono_ms() >= until)
			return STEP_MORE;
	}
	return STEP_DONE;
}

/* Begins the job: STEP_MORE, or STEP_FAIL. */
static enum step
copy_start(struct view *v, struct str dest, bool move, struct copy_job **out,
    struct err *e)
{
	struct copy_job *job;
	struct append *to;

	if (move && may_write(v, e) == -1)
		return STEP_FAIL;
	if (append_open(v->m->store, dest, &to, e) == -1)
		return STEP_FAIL;
	job = mem_new(1, sizeof(*job));
	job->to = to;
	*out = job;
	return STEP_MORE;
}

enum step
view_copy(struct view *v, const struct set32 *uids, struct str dest, bool move,
    struct copy_job **jobp, struct copy_result *out, struct err *e)
{
	struct copy_job *job = *jobp;
	enum step step;

	if (job == NULL) {
		if (copy_start(v, dest, move, jobp, e) == STEP_FAIL)
			return STEP_FAIL;
		job = *jobp;
	}
	if (!job->is_committed) {
		step = stage_some(job, v, uids, move, e);
		if (step != STEP_DONE)
			return step;
		if (append_commit(job->to, &job->uidvalidity, &job->uids, e) ==
		    -1)
			return STEP_FAIL;
		job->is_committed = true;
	}
	if (move) {
		step = remove_some(v, &job->from, false, &job->remove_at, e);
		if (step != STEP_DONE)
			return step;
	}
	out->uidvalidity = job->uidvalidity;
	set32_copy(&out->from, &job->from);
	set32_copy(&out->to, &job->uids);
	return STEP_DONE;
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
