/* SPDX-License-Identifier: ISC */
/*
 * mbox_job.c - flags, keywords and expunges: noted in memory, and when they are
 * written to the file.
 *
 * Owns:    the job that writes or removes, one at a time for a mailbox.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing; UIDs that are not there are ERR_GONE.
 * Spec:    formats.md 6.6, 7.3; security.md 7.3.
 *
 * A job, driven by the sessions that wait for it, and by the loop:
 *
 *	LOCK --> LOOK --> WRITE --> done
 *	         LOOK --some UIDs are in memory alone--> WRITE --> REMOVE --> done
 *	             (bytes move once for both, where that is possible)
 *	         LOOK --------------------------------------------> REMOVE --> done
 *
 * Flags that fit the spaces of their message, or for which little has to move,
 * are written at once, if the lock is to be had. Others wait until nothing has
 * been changed for a while, at most a minute, or until the last writer leaves;
 * then they are written for all messages together.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "store/mbox/mbox_impl.h"
#include "store/notify.h"
#include "text/ascii.h"

#define UW_KEYWORDS_MAX 30
#define KEYWORDS_MAX 10000
#define KEYWORD_BYTES_MAX 255
#define QUIET_MS 10000
#define WAIT_MOST_MS 60000
#define RETRY_MS 1000
#define RETRY_BUSY_MS 20 /* whoever had the lock is soon done */
#define LEFT_MS 20
#define CLOSE_WAIT_MS 2000

struct mbox_job {
	enum { JOB_LOCK, JOB_LOOK, JOB_WRITE, JOB_REMOVE } phase;
	bool all; /* what does not fit, too */
	bool removes;
	bool is_second_try;
	bool writes_first; /* what is to be written, then what is to go */
	struct lock_wait wait;
	int64_t wait_ms;
	struct mbox_writing writing;
	bool is_writing;
	struct mbox_removal *removal;
};

/* ---- changes in memory ----------------------------------------------------- */

/* Every name that stands for itself in a line of names. */
static bool
is_keyword(struct str name)
{
	if (name.n == 0 || name.n > KEYWORD_BYTES_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (!ascii_is_graph(name.p[i]))
			return false;
	return true;
}

int
mbox_keyword(struct mailbox *m, struct str name, size_t *number, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	bool is_uw = mb->has_base && mb->last_uid_at == 0;

	if (!is_keyword(name))
		return err_set(e, ERR_BAD_NAME, "not a keyword");
	if (m->keywords.n >= (is_uw ? UW_KEYWORDS_MAX : KEYWORDS_MAX))
		return err_set(e, ERR_LIMIT, "%s: too many keywords", m->name);
	*number = m->keywords.n;
	mailbox_set_keyword(m, *number, name);
	mb->base_is_dirty = true;
	return 0;
}

void
mbox_mark(struct mbox *mb, struct mbox_slot *s, uint16_t flags)
{
	if ((s->flags & (SLOT_NO_UID | SLOT_DIRTY)) == 0)
		mb->n_dirty++;
	s->flags |= flags;
}

void
mbox_unmark(struct mbox *mb, struct mbox_slot *s, uint16_t flags)
{
	if ((s->flags & (SLOT_NO_UID | SLOT_DIRTY)) == 0)
		return;
	s->flags &= (uint16_t)~flags;
	if ((s->flags & (SLOT_NO_UID | SLOT_DIRTY)) == 0)
		mb->n_dirty--;
}

/* The flags of `r` are about to be changed, to be written some time. */
static void
touch(struct mailbox *m, const struct msg_rec *r)
{
	struct mbox *mb = mbox_of(m);
	struct mbox_slot *s = mbox_slot_of(m, r);
	int64_t now = clock_mono_ms();

	mbox_was_note(m, r);
	mbox_mark(mb, s, SLOT_DIRTY);
	s->flags &= (uint16_t)~SLOT_NOTED;
	mb->touched_ms = now;
	if (mb->dirty_ms == 0)
		mb->dirty_ms = now;
	mb->gave_up = false;
}

int
mbox_set_flags(struct mailbox *m, uint32_t uid, const struct flag_change *c,
    bool *changed, struct err *e)
{
	struct msg_rec *r;
	uint16_t *more;
	size_t n_more;
	uint32_t keywords;
	uint8_t system;

	*changed = false;
	/* All flags of the message will be written, not the change alone. */
	mailbox_freshen(m, uid);
	r = mailbox_rec(m, uid);
	if (r == NULL || r->state != REC_LIVE || r->info >= mbox_of(m)->slots.n)
		return err_set(e, ERR_GONE, "message %u is gone", uid);
	(void)mailbox_more(m, r, &n_more);
	more = mem_new(n_more + c->n_more + 1, sizeof(*more));
	*changed =
	    mailbox_apply_change(m, r, c, &system, &keywords, more, &n_more);
	if (*changed) {
		touch(m, r);
		r->system = system;
		r->keywords = keywords;
		mailbox_set_more(m, r, more, n_more);
	}
	free(more);
	return 0;
}

int
mbox_expunge(struct mailbox *m, uint32_t uid, bool only_deleted, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	const struct msg_rec *r = mailbox_rec(m, uid);
	struct mbox_slot *s;

	if (r == NULL || r->state != REC_LIVE || r->info >= mb->slots.n)
		return err_set(e, ERR_GONE, "message %u is gone", uid);
	s = mbox_slot_of(m, r);
	if (!(s->flags & SLOT_EXPUNGE))
		mb->n_expunge++;
	s->flags |= SLOT_EXPUNGE;
	if (only_deleted)
		s->flags |= SLOT_IF_DELETED;
	return 0;
}

bool
mbox_has_writer(const struct mailbox *m)
{
	return m->n_writers > 0 || mbox_of(m)->had_writer;
}

/* Marks that no longer hold: \Deleted was taken back by somebody. */
static void
check_marks(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);

	VEC_EACH(&mb->slots, s) {
		const struct msg_rec *r = mailbox_rec(m, s->uid);

		if (!(s->flags & SLOT_EXPUNGE) ||
		    !(s->flags & SLOT_IF_DELETED) || r->system & FLAG_DELETED)
			continue;
		s->flags &= (uint16_t) ~(SLOT_EXPUNGE | SLOT_IF_DELETED);
		mb->n_expunge--;
	}
}

static void
clear_marks(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);

	VEC_EACH(&mb->slots, s)
		s->flags &= (uint16_t) ~(SLOT_EXPUNGE | SLOT_IF_DELETED);
	mb->n_expunge = 0;
}

/* ---- the job --------------------------------------------------------------- */

static void
begin_job(struct mailbox *m, bool all, bool removes, int64_t wait_ms)
{
	struct mbox_job *j = mem_new(1, sizeof(*j));

	j->all = all;
	j->removes = removes;
	j->wait_ms = wait_ms;
	mbox_of(m)->job = j;
}

static void
end_job(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);
	struct mbox_job *j = mb->job;

	if (mbox_is_locked_by(m, j)) {
		mbox_look_end(m);
		mbox_unlock(m);
	} else {
		mbox_lock_abandon(m);
	}
	if (j->is_writing)
		mbox_writing_done(&j->writing);
	mbox_removal_free(&j->removal);
	free(j);
	mb->job = NULL;
	mbox_pending_end(m);
}

/* An UID that goes must not be given again to one that stays. */
static bool
is_any_uid_unsaid(const struct mbox *mb)
{
	if (!mb->has_base || mb->base_is_dirty)
		return true;
	VEC_EACH(&mb->slots, s)
		if (s->flags & SLOT_NO_UID)
			return true;
	return false;
}

/* The file was looked at: what is to be done with it? */
static enum step
choose(struct mailbox *m, struct mbox_job *j, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	enum step step;

	if (mb->fd == -1)
		return STEP_DONE;
	if (j->removes) {
		step = mbox_load(m, e);
		if (step != STEP_DONE)
			return step;
		check_marks(m);
		if (mb->n_expunge == 0)
			return STEP_DONE;
		j->all = mb->n_expunge < mb->slots.n && is_any_uid_unsaid(mb);
	}
	j->phase = j->removes && !j->all ? JOB_REMOVE : JOB_WRITE;
	return STEP_MORE;
}

/* What moves moves once, for both, if that can be. */
static enum step
remove_too(struct mbox_job *j)
{
	if (mbox_remove_with(&j->writing, &j->removal)) {
		j->phase = JOB_REMOVE;
	} else {
		mbox_write_take_back(&j->writing);
		mbox_writing_done(&j->writing);
		j->writes_first = true;
	}
	j->is_writing = false;
	return STEP_MORE;
}

static enum step
write_some(struct mailbox *m, struct mbox_job *j, struct err *e)
{
	enum step step;

	if (!j->is_writing) {
		mbox_writing_init(&j->writing, m, j->all);
		j->writing.only_plan = j->removes && !j->writes_first;
	}
	j->is_writing = true;
	step = mbox_write_step(&j->writing, e);
	if (step == STEP_MORE)
		return step;
	if (step == STEP_DONE && j->writing.only_plan)
		return remove_too(j);
	mbox_writing_done(&j->writing);
	j->is_writing = false;
	/* Rewritten by somebody since: once more, with what is there now. */
	if (step == STEP_FAIL && e->code == ERR_GONE && !m->is_gone &&
	    !j->is_second_try) {
		j->is_second_try = true;
		j->phase = JOB_LOOK;
		return STEP_MORE;
	}
	if (step == STEP_DONE && j->removes) {
		j->phase = JOB_REMOVE;
		return STEP_MORE;
	}
	return step;
}

static enum step
advance(struct mailbox *m, struct mbox_job *j, struct err *e)
{
	enum step step = STEP_MORE;

	switch (j->phase) {
	case JOB_LOCK:
		step = mbox_lock(m, j, MBOX_WRITE, &j->wait, j->wait_ms, e);
		if (step != STEP_DONE)
			return step;
		j->phase = JOB_LOOK;
		return STEP_MORE;
	case JOB_LOOK:
		step = mbox_look_again(m, e);
		return step == STEP_DONE ? choose(m, j, e) : step;
	case JOB_WRITE:
		return write_some(m, j, e);
	case JOB_REMOVE:
		return mbox_remove_step(m, &j->removal, e);
	}
	return step;
}

enum step
mbox_job_step(struct mailbox *m, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	int64_t until = clock_mono_ms() + STEP_SLICE_MS;
	struct mbox_job *j = mb->job;
	enum step step;

	do
		step = advance(m, j, e);
	while (step == STEP_MORE && !store_must_wait(m->store) &&
	    clock_mono_ms() < until);
	if (step == STEP_MORE) {
		mbox_lock_keep(m);
		return step;
	}
	if (step == STEP_FAIL && j->removes) {
		clear_marks(m);
		mb->n_failed++;
		mb->why = *e;
	}
	end_job(m);
	return step;
}

/* Does a session that waits for nothing else have to do it all? */
static enum step
job_to_end(struct mailbox *m, struct err *e)
{
	enum step step;

	while ((step = mbox_job_step(m, e)) == STEP_MORE)
		store_pause(m->store);
	return step;
}

/* ---- what is not in the file yet ------------------------------------------- */

/* How many \Recent messages are loaded. */
static uint32_t
n_above(const struct mailbox *m)
{
	uint32_t n = 0, uid = m->lazy_top + 1;

	for (; set32_next(&m->recent, uid, &uid); uid++) {
		n++;
		if (uid == UINT32_MAX)
			break;
	}
	return n;
}

bool
mbox_has_taken(struct mailbox *m)
{
	const struct mbox *mb = mbox_of(m);

	if (m->lazy_top != 0 &&
	    (mb->lazy_unsaid ||
		mb->lazy_recent > set32_count(&m->recent) - n_above(m)))
		return true;
	VEC_EACH(&mb->slots, s)
		if (!(s->flags & SLOT_OLD) && !set32_has(&m->recent, s->uid))
			return true;
	return false;
}

/* Does a close leave anything to be said? */
static bool
has_unsaid(struct mailbox *m)
{
	const struct mbox *mb = mbox_of(m);

	if (mb->n_dirty > 0 ||
	    (mb->base_is_dirty && (mb->slots.n > 0 || mb->has_pseudo)))
		return true;
	return mbox_has_writer(m) && mbox_has_taken(m);
}

static bool
may_write(const struct mailbox *m)
{
	return !m->is_read_only && !m->is_gone && !m->is_broken;
}

/* The loop is to look after it. */
static void
work_within(struct mailbox *m, uint32_t ms)
{
	const struct mbox *mb = mbox_of(m);

	m->has_work = mb->job != NULL || mb->wants_all;
	notify_work(m->store, ms);
}

void
mbox_job_leave(struct mailbox *m)
{
	work_within(m, LEFT_MS);
}

bool
mbox_job_say(struct mailbox *m)
{
	if (mbox_of(m)->job != NULL || !may_write(m))
		return false;
	begin_job(m, false, false, 0);
	return true;
}

/* Is it written before it is acknowledged (mbox_settle)? */
static bool
is_settling(const struct mbox *mb)
{
	return mb->job != NULL && !mb->job->all && !mb->job->removes;
}

int
mbox_flush(struct mailbox *m, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	bool has_loop = m->store->loop != NULL;
	struct err why;
	enum step step;

	if (mb->was.n == 0 || !may_write(m))
		return 0;
	if (mb->job == NULL) {
		begin_job(m, false, false, has_loop ? 0 : MBOX_WAIT_BUSY_MS);
		step = has_loop ? mbox_job_step(m, &why) : job_to_end(m, &why);
		mb->wants_retry = step == STEP_FAIL && why.code == ERR_IN_USE;
	}
	/* Nobody is to wait for this. */
	store_head(m->store)->wait_ms = 0;
	/* What is acknowledged is not to be lost when we are killed. */
	if (mb->was.n > 0 && !is_settling(mb) && mbox_pending_save(m, e) == -1)
		return -1;
	if (mb->job != NULL || mb->was.n > 0)
		work_within(m,
		    mb->job != NULL       ? 0
			: mb->wants_retry ? RETRY_BUSY_MS
					  : RETRY_MS);
	return 0;
}

enum step
mbox_settle(struct mailbox *m, struct err *e)
{
	const struct mbox_job *j = mbox_of(m)->job;

	if (j == NULL || j->all || j->removes)
		return STEP_DONE;
	if (mbox_job_step(m, e) == STEP_MORE)
		return STEP_MORE;
	return mbox_of(m)->was.n > 0 && mbox_pending_save(m, e) == -1
	    ? STEP_FAIL
	    : STEP_DONE;
}

enum step
mbox_finish(struct mailbox *m, uint32_t *mark, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	enum step step;
	bool removes;

	if (*mark == 0)
		*mark = mb->n_failed + 1;
	if (*mark != mb->n_failed + 1) {
		*mark = 0;
		*e = mb->why;
		return STEP_FAIL;
	}
	/* Also to the end of a job that has nothing but to let go of the lock. */
	while (mb->n_expunge > 0 || (mb->job != NULL && mb->job->removes)) {
		if (mb->job == NULL)
			begin_job(m, false, true, mbox_lock_ms(m, MBOX_WRITE));
		removes = mb->job->removes;
		step = mbox_job_step(m, e);
		if (step == STEP_MORE) {
			/* When the session goes, the loop does the rest. */
			work_within(m, LEFT_MS);
			return step;
		}
		if (step == STEP_FAIL && removes) {
			*mark = 0;
			return step;
		}
	}
	*mark = 0;
	return mbox_flush(m, e) == -1 ? STEP_FAIL : STEP_DONE;
}

/* ---- from the loop --------------------------------------------------------- */

/* Milliseconds until what waits is to be written; 0: now. */
static uint32_t
time_left(const struct mbox *mb)
{
	int64_t now = clock_mono_ms(), at = mb->touched_ms + QUIET_MS;

	if (at > mb->dirty_ms + WAIT_MOST_MS)
		at = mb->dirty_ms + WAIT_MOST_MS;
	return at <= now ? 0 : (uint32_t)(at - now);
}

/* Is it time for a job? Else *again_ms says when. */
static bool
is_time(struct mailbox *m, uint32_t *again_ms)
{
	struct mbox *mb = mbox_of(m);

	if (mb->wants_all && has_unsaid(m))
		return true;
	mb->wants_all = false;
	if (mb->was.n == 0)
		return false;
	*again_ms = time_left(mb);
	return *again_ms == 0;
}

static void
after_job(
    struct mailbox *m, enum step step, const struct err *e, uint32_t *again_ms)
{
	struct mbox *mb = mbox_of(m);

	if (step == STEP_DONE) {
		mb->wants_all = mb->had_writer = false;
		*again_ms = mb->was.n > 0 ? RETRY_MS : 0;
		return;
	}
	if (!mb->gave_up)
		store_warn(m->store, "flags not written yet mailbox=%s: %s",
		    m->name, e->text);
	mb->gave_up = true;
	mb->wants_all = false;
	*again_ms = mb->was.n > 0 ? WAIT_MOST_MS : 0;
	mb->touched_ms = mb->dirty_ms = clock_mono_ms();
}

void
mbox_work(struct mailbox *m, uint32_t *again_ms)
{
	struct mbox *mb = mbox_of(m);
	struct store *head = store_head(m->store);
	struct err e;
	enum step step;
	bool all;

	*again_ms = 0;
	if (mb->sync == MBOX_SYNC_LOOK || mb->sync == MBOX_SYNC_FLAGS) {
		(void)mbox_sync(m, SYNC_NORMAL, &e);
		*again_ms = 1;
		return;
	}
	if (!may_write(m) ||
	    (mb->job == NULL && !mb->wants_retry && !is_time(m, again_ms))) {
		m->has_work = false;
		return;
	}
	if (mb->job == NULL)
		begin_job(
		    m, !mb->wants_retry, false, mbox_lock_ms(m, MBOX_WRITE));
	mb->wants_retry = false;
	all = mb->job->all && !mb->job->removes;
	store_begin_step(m->store);
	step = mbox_job_step(m, &e);
	if (step == STEP_MORE)
		*again_ms = head->wait_ms > 0 ? head->wait_ms : 1;
	else if (all)
		after_job(m, step, &e, again_ms);
	else
		*again_ms = mb->was.n > 0 || mb->wants_all ? 1 : 0;
	store_begin_step(m->store);
	m->has_work = mb->job != NULL || mb->wants_all;
}

void
mbox_leave(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);
	struct err e;

	mb->had_writer = true;
	if (!may_write(m) || !has_unsaid(m))
		return;
	mb->wants_all = true;
	if (m->store->loop != NULL) {
		work_within(m, 0);
		return;
	}
	if (mb->job != NULL)
		(void)job_to_end(m, &e);
	begin_job(m, true, false, mbox_lock_ms(m, MBOX_READ));
	if (job_to_end(m, &e) == STEP_FAIL)
		store_warn(m->store, "flags not written yet mailbox=%s: %s",
		    m->name, e.text);
	mb->wants_all = mb->had_writer = false;
}

bool
mbox_may_close(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);

	if (mb->job == NULL &&
	    (mb->gave_up || mb->n_dirty == 0 || !may_write(m) ||
		m->store->loop == NULL))
		return true;
	mb->wants_all = true;
	work_within(m, 0);
	return false;
}

void
mbox_job_end(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);
	struct err e;

	if (mb->job != NULL && mbox_is_locked_by(m, mb->job))
		(void)job_to_end(m, &e);
	else if (mb->job != NULL)
		end_job(m);
}

void
mbox_job_close(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);
	struct err e;

	mbox_sync_abandon(m);
	mbox_job_end(m);
	mbox_keep(m);
	if (!may_write(m) || mb->gave_up || !has_unsaid(m))
		return;
	begin_job(m, true, false, CLOSE_WAIT_MS);
	if (job_to_end(m, &e) == STEP_FAIL)
		store_warn(m->store, "flags not written yet mailbox=%s: %s",
		    m->name, e.text);
}
