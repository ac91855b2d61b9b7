/* SPDX-License-Identifier: ISC */
/*
 * mbox_sync.c - when to look at the file, and what waits for it.
 *
 * Owns:    the sync that sessions drive together, the watches.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing in the file; that is read in mbox_read.c.
 * Spec:    formats.md 7.3, 7.8; security.md 7.3.
 *
 *	NONE --nothing has changed--> NONE
 *	NONE --> LOCK --> LOOK --> NONE
 *	         LOCK --somebody has it for long--> NONE, what we know will do
 *	         LOCK --a job of ours had it, and has seen all--> NONE, or SAY
 *	LOOK --UIDs were given--> SAY --written, or locked--> NONE
 *	NONE, SAY --flags were not looked at, and it is time--> FLAGS_LOCK
 *	FLAGS_LOCK --> FLAGS --> NONE
 */
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/mbox/mbox_impl.h"
#include "store/notify.h"

#define RETRY_MS 100
#define LOCKED_OUT_MS 10000
/* Headers are read again after so many times what that took, at most. */
#define FRESHEN_SHARE 50
#define FRESHEN_MOST 60
#define FRESHEN_RETRY_MS 1000 /* when somebody has the lock */
#define RACY_SIZE_MAX (4 * 1024 * 1024)

/* Changed so shortly before we read it that more may have come unseen. */
static bool
is_racy(const struct mbox *mb)
{
	int64_t changed_us = mbox_changed_us(&mb->stamp);

	return mb->stamp.size <= RACY_SIZE_MAX &&
	    mb->scanned_us - changed_us < MBOX_RACY_US &&
	    mb->scanned_us >= changed_us &&
	    clock_wall_us() - changed_us >= MBOX_RACY_US;
}

static bool
has_changed(const struct mbox *mb)
{
	struct file_stamp now;

	if (!file_stamp_at(mb->dirfd, mb->name, &now))
		return true;
	if (!mbox_stamp_eq(&now, &mb->stamp))
		return true;
	return now.ino != 0 && is_racy(mb);
}

/* Can a session do with what we have? */
static bool
is_known(const struct mailbox *m)
{
	return !m->is_opening || mbox_of(m)->is_taken;
}

/* What it took says when it is done again. */
static void
freshen_later(struct mbox *mb)
{
	int64_t now_ms = clock_mono_ms();
	int64_t pause_ms = FRESHEN_SHARE * (now_ms - mb->freshen_began_ms);

	if (pause_ms > FRESHEN_MOST * mbox_tuning.freshen_ms)
		pause_ms = FRESHEN_MOST * mbox_tuning.freshen_ms;
	mb->freshen_at_ms = now_ms + pause_ms;
}

static enum step
end_sync(struct mailbox *m, enum step step)
{
	struct mbox *mb = mbox_of(m);

	mb->sync = MBOX_SYNC_NONE;
	if (mbox_is_locked_by(m, &mb->sync))
		mbox_unlock(m);
	return step;
}

/*
 * Sessions that know the old messages hear of other flags, but not at once.
 * Whoever is at work there looks at them, or has done so.
 */
static bool
begin_flags(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);
	int64_t now_ms;

	if (m->unsure_top == 0 || list_is_empty(&m->views))
		return false;
	now_ms = clock_mono_ms();
	if (now_ms < mb->freshen_at_ms) {
		notify_within(m->store, (uint32_t)(mb->freshen_at_ms - now_ms));
		return false;
	}
	if (mb->owner != NULL || mb->fd == -1)
		return false;
	mb->sync = MBOX_SYNC_FLAGS_LOCK;
	mb->sync_wait = (struct lock_wait){0};
	mb->freshen_began_ms = now_ms;
	return true;
}

static enum step
look_at_flags(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);
	enum step step = STEP_DONE;
	struct err e;

	if (mb->sync == MBOX_SYNC_FLAGS_LOCK)
		step = mbox_lock(m, &mb->sync, MBOX_READ, &mb->sync_wait,
		    MBOX_WAIT_BUSY_MS, &e);
	if (step == STEP_DONE) {
		mb->sync = MBOX_SYNC_FLAGS;
		if (mb->reading == NULL && mailbox_load(m, &e) == -1)
			step = STEP_FAIL;
	}
	if (step == STEP_DONE)
		step = mbox_look_at_flags(m, &e);
	if (step == STEP_MORE)
		return step;
	if (step == STEP_FAIL && mb->sync == MBOX_SYNC_FLAGS)
		mbox_look_end(m);
	mb->freshen_missed_ms =
	    step == STEP_FAIL && e.code == ERR_IN_USE ? clock_mono_ms() : 0;
	if (step == STEP_FAIL && e.code != ERR_IN_USE)
		store_warn(m->store, "mailbox=%s: %s", m->name, e.text);
	freshen_later(mb);
	return end_sync(m, STEP_DONE);
}

/* The lock is not to be had. */
static enum step
do_without(struct mailbox *m, const struct err *e)
{
	struct mbox *mb = mbox_of(m);

	if (e->code != ERR_IN_USE || !is_known(m))
		return end_sync(m, STEP_FAIL);
	/* Somebody is writing: look again soon. */
	mb->locked_out_ms = clock_mono_ms();
	mb->is_dirty = true;
	notify_within(m->store, RETRY_MS);
	return end_sync(m, STEP_DONE);
}

/* Do we have what is there, as far as is to be seen from outside? */
static bool
is_up_to_date(const struct mailbox *m)
{
	const struct mbox *mb = mbox_of(m);

	return is_known(m) && !mb->is_sync_forced && !mb->is_moving &&
	    (mb->is_true || !has_changed(mb));
}

/* False: there is nothing to look for. */
static bool
begin_sync(struct mailbox *m, enum sync_how how)
{
	struct mbox *mb = mbox_of(m);

	if (!list_is_empty(&m->views))
		(void)mbox_watch(m, true);
	if (m->store->hub != NULL)
		watch_drain(m->store->hub);
	mb->is_dirty = false;
	mb->is_sync_forced = how == SYNC_FORCE;
	mb->sync_gen = mb->gen;
	mb->writer_ns = 0;
	if (is_up_to_date(m)) {
		if (mb->reading == NULL)
			mbox_purge(m);
		return false;
	}
	/* Who gives UIDs locks it anew, and asks whether it is still the same:
	 * so shortly after a delivery the times do not say so. */
	if (m->is_opening)
		(void)mbox_watch(m, true);
	mb->is_dirty = false; /* it is read now */
	mb->sync = MBOX_SYNC_LOCK;
	return true;
}

/*
 * For somebody who is just writing it is worth waiting: a client that asks
 * wants to hear of it. One who has the lock for long is not asked about each
 * time.
 */
static int64_t
news_wait_ms(const struct mbox *mb)
{
	return mb->locked_out_ms != 0 &&
		clock_mono_ms() - mb->locked_out_ms < LOCKED_OUT_MS
	    ? 0
	    : MBOX_WAIT_NEWS_MS;
}

/* UIDs that clients hear of next; what can not be written now will be later. */
static bool
begin_say(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);

	if (!mbox_has_unsaid_uids(m) || !mbox_job_say(m))
		return false;
	mb->said = mb->job;
	mb->sync = MBOX_SYNC_SAY;
	return true;
}

/*
 * Who had the lock was a job of this process, which has left us with what it
 * has found and written: the file is not read again for that.
 */
static bool
is_done_by_job(struct mailbox *m, enum sync_how how)
{
	struct mbox *mb = mbox_of(m);

	mb->is_sync_forced = mb->is_sync_forced || how == SYNC_FORCE;
	if (mb->gen == mb->sync_gen || !is_up_to_date(m))
		return false;
	mb->is_dirty = false;
	mbox_purge(m);
	(void)end_sync(m, STEP_DONE);
	return true;
}

/*
 * One of ours who gives a million messages their UIDs has the file locked for
 * longer than others are waited for. As long as he gets on, he is.
 */
static bool
has_got_on(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);
	int64_t before = mb->writer_ns;

	if (is_known(m) || mb->fd == -1)
		return false;
	mb->writer_ns = mbox_shift_written_ns(&mb->shift);
	return before != 0 && mb->writer_ns > before;
}

static enum step
lock(struct mailbox *m, enum sync_how how, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	int64_t wait_ms =
	    is_known(m) ? news_wait_ms(mb) : mbox_lock_ms(m, MBOX_READ);
	enum step step =
	    mbox_lock(m, &mb->sync, MBOX_READ, &mb->sync_wait, wait_ms, e);

	if (step == STEP_MORE && mb->writer_ns == 0)
		(void)has_got_on(m);
	if (step == STEP_FAIL && e->code == ERR_IN_USE && has_got_on(m))
		return store_lock_wait(m->store, &mb->sync_wait, wait_ms, e);
	if (step == STEP_FAIL)
		return do_without(m, e);
	if (step == STEP_DONE) {
		mb->locked_out_ms = 0;
		if (is_done_by_job(m, how))
			return begin_say(m) || begin_flags(m) ? STEP_MORE
							      : STEP_DONE;
		mb->sync = MBOX_SYNC_LOOK;
	}
	return STEP_MORE;
}

static enum step
say(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);
	struct err ignored;

	if (mb->job == mb->said && mbox_job_step(m, &ignored) == STEP_MORE)
		return STEP_MORE;
	(void)end_sync(m, STEP_DONE);
	return begin_flags(m) ? STEP_MORE : STEP_DONE;
}

enum step
mbox_sync(struct mailbox *m, enum sync_how how, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	enum step step = STEP_MORE;

	if (m->is_gone) {
		(void)err_set(e, ERR_GONE, "%s: mailbox removed", m->name);
		return end_sync(m, STEP_FAIL);
	}
	if (mb->sync == MBOX_SYNC_NONE && !begin_sync(m, how))
		return begin_say(m) || begin_flags(m) ? STEP_MORE : STEP_DONE;
	if (mb->sync == MBOX_SYNC_LOCK) {
		step = lock(m, how, e);
		if (mb->sync != MBOX_SYNC_LOOK)
			return step;
	}
	if (mb->sync == MBOX_SYNC_SAY)
		return say(m);
	if (mb->sync == MBOX_SYNC_FLAGS_LOCK || mb->sync == MBOX_SYNC_FLAGS)
		return look_at_flags(m);
	step = mbox_look(m, how, e);
	if (step == STEP_MORE)
		return step;
	if (step == STEP_FAIL && e->code == ERR_IN_USE)
		return do_without(m, e);
	(void)end_sync(m, step);
	return step == STEP_DONE && (begin_say(m) || begin_flags(m)) ? STEP_MORE
								     : step;
}

bool
mbox_is_syncing(const struct mailbox *m)
{
	return mbox_of(m)->sync != MBOX_SYNC_NONE;
}

void
mbox_sync_abandon(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);

	if (mb->sync == MBOX_SYNC_NONE)
		return;
	if (mbox_is_locked_by(m, &mb->sync))
		mbox_look_end(m);
	else
		mbox_lock_abandon(m);
	/* The loop goes on with what was begun to be written. */
	if (mb->sync == MBOX_SYNC_SAY)
		mbox_job_leave(m);
	mb->sync_wait = (struct lock_wait){0};
	(void)end_sync(m, STEP_FAIL);
}

/* Not each message is to wait for one who has the lock for long. */
static bool
has_just_missed(const struct mbox *mb)
{
	return mb->freshen_missed_ms != 0 &&
	    clock_mono_ms() - mb->freshen_missed_ms < FRESHEN_RETRY_MS;
}

enum step
mbox_freshen_some(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);
	enum step step = STEP_MORE;
	struct err e;

	if (mb->sync == MBOX_SYNC_NONE) {
		/* Whoever is at work there looks at them, or has done so. */
		if (mb->owner != NULL || mb->fd == -1 || has_just_missed(mb))
			return STEP_DONE;
		mb->sync = MBOX_SYNC_FLAGS_LOCK;
		mb->sync_wait = (struct lock_wait){0};
		mb->freshen_began_ms = clock_mono_ms();
	}
	if (mb->sync == MBOX_SYNC_FLAGS_LOCK || mb->sync == MBOX_SYNC_FLAGS)
		step = look_at_flags(m);
	else if (mbox_sync(m, SYNC_NORMAL, &e) == STEP_FAIL)
		step = STEP_DONE;
	/* Who wanted it may go away. */
	if (step == STEP_MORE)
		mbox_job_leave(m);
	return step;
}

int
mbox_freshen(struct mailbox *m, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	enum step step;

	/* Whoever is at work there looks at them, or has done so. */
	if (mb->owner != NULL)
		return 0;
	if (mbox_lock_now(m, &mb->reading, MBOX_READ, MBOX_WAIT_BUSY_MS, e) ==
	    -1)
		return e->code == ERR_IN_USE ? 0 : -1;
	mb->freshen_began_ms = clock_mono_ms();
	m->unsure_top = 0;
	step = mailbox_load(m, e) == -1 ? STEP_FAIL : STEP_MORE;
	/* Others who give UIDs are not waited for here. */
	store_forget_wait(m->store);
	while (step == STEP_MORE && !store_must_wait(m->store))
		step = mbox_look_at_flags(m, e);
	if (step != STEP_DONE)
		mbox_look_end(m);
	mbox_unlock(m);
	freshen_later(mb);
	return step == STEP_FAIL ? -1 : 0;
}

/* ---- reading messages ------------------------------------------------------ */

bool
mbox_is_there(const struct mailbox *m)
{
	const struct mbox *mb = mbox_of(m);
	struct file_stamp now;
	struct stat st;

	if (mb->is_true && !mb->is_moving)
		return true;
	if (mb->is_moving || mb->fd == -1 || fstat(mb->fd, &st) == -1)
		return false;
	now = file_stamp_of(&st);
	return mbox_stamp_eq(&now, &mb->stamp);
}

/* A sync that mbox_ready has begun goes on to its end. */
static enum step
sync_for_ready(struct mailbox *m, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	enum step step = mbox_sync(m, SYNC_NORMAL, e);

	mb->is_ready_sync = step == STEP_MORE;
	/* Who wanted it may go away. */
	if (mb->is_ready_sync)
		mbox_job_leave(m);
	return step;
}

enum step
mbox_ready(struct mailbox *m, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	enum step step;

	mb->is_ready_sync = mb->is_ready_sync && mb->sync != MBOX_SYNC_NONE;
	if (!mb->is_ready_sync && mbox_is_there(m)) {
		mb->ready_wait = (struct lock_wait){0};
		return STEP_DONE;
	}
	if (mb->job != NULL && mb->sync == MBOX_SYNC_NONE) {
		struct err ignored;

		(void)mbox_job_step(m, &ignored);
		return STEP_MORE;
	}
	step = sync_for_ready(m, e);
	if (step != STEP_DONE || mbox_is_there(m))
		return step;
	if (mb->fd == -1) {
		(void)err_set(e, ERR_GONE, "%s: file is gone", mb->path);
		return STEP_FAIL;
	}
	(void)err_set(e, ERR_IN_USE, "%s is being changed", mb->path);
	return store_lock_wait(
	    m->store, &mb->ready_wait, mbox_lock_ms(m, MBOX_READ), e);
}

bool
mbox_may_have_news(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);

	if (m->store->hub != NULL)
		watch_drain(m->store->hub);
	return mb->is_dirty ||
	    (!mb->is_true && !mb->is_moving && has_changed(mb));
}

/* ---- events ---------------------------------------------------------------- */

static void
on_change(void *arg, uint32_t mask, uint32_t cookie, struct str name)
{
	struct mailbox *m = arg;
	struct mbox *mb = mbox_of(m);

	(void)cookie;
	if (name.n > 0 && !str_eq(name, str_of(mb->name)))
		return;
	/* Not the closing alone: that comes behind what we may have read. */
	if (mask & ~(uint32_t)(IN_CLOSE_WRITE | IN_ATTRIB))
		mb->n_told++;
	if (mask & IN_IGNORED)
		watch_remove(&mb->watch);
	if (!(mask & (IN_IGNORED | IN_Q_OVERFLOW)) && !has_changed(mb))
		return;
	mb->is_dirty = true;
	mailbox_note_news(m);
}

uint64_t
mbox_told(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);

	if (m->store->hub != NULL)
		watch_drain(m->store->hub);
	return watch_is_live(mb->watch) ? mb->n_told : 0;
}

bool
mbox_is_quiet(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);

	if (mb->told_at_scan == 0 || mb->fd == -1 || !watch_is_live(mb->watch))
		return false;
	watch_drain(m->store->hub);
	return watch_is_live(mb->watch) && mb->told_at_scan == mb->n_told &&
	    file_is_local(mb->fd);
}

bool
mbox_watch(struct mailbox *m, bool on)
{
	const uint32_t mask = IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB |
	    IN_MOVE_SELF | IN_DELETE_SELF;
	const uint32_t dir_mask = IN_CREATE | IN_MOVED_TO;
	struct mbox *mb = mbox_of(m);
	char dir[PATH_MAX];
	struct err e;

	if (!on || m->store->hub == NULL || mb->watch_failed)
		return false;
	if (mb->watch_dir == NULL) {
		(void)snprintf(dir, sizeof(dir), "%.*s",
		    (int)(mb->name - mb->path), mb->path);
		if (watch_add(m->store->hub, dir, dir_mask, on_change, m,
			&mb->watch_dir, &e) == -1) {
			mb->watch_failed = true;
			return false;
		}
	}
	if (mb->watch == NULL) {
		mb->watched_us = clock_wall_us();
		mb->n_told++;
		if (watch_add(m->store->hub, mb->path, mask, on_change, m,
			&mb->watch, &e) == -1)
			mb->watch = NULL;
		mb->is_dirty = mb->is_dirty || has_changed(mb);
	}
	return true;
}
