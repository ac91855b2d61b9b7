/* SPDX-License-Identifier: ISC */
/*
 * maildir_sync.c - from what lies on disk to records with UIDs.
 *
 * Owns:    the order of reading, giving UIDs and moving to cur/; struct
 *          sync_job, which all sessions of the mailbox drive on.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing on disk; every program of the user may change it at any
 *          moment without a lock.
 * Spec:    formats.md 1.4, 1.8, 1.9, 2.5, 2.6; security.md 7.2.
 *
 * Rules:
 *  1. The UID map is read before the directories: a file whose record we have
 *     read was there before.
 *  2. A file that is missing is looked for again before its message counts as
 *     expunged.
 *  3. UIDs are given under the lock, after reading what others gave, and are
 *     on disk before any view hears of them.
 *  4. A message never becomes LIVE below an UID that a view was told of; it
 *     gets a new UID then.
 *
 *	LIST --> LOOK --nothing unknown--> FINISH --> done
 *	         LOOK --unknown--> LOCK --taken--> LIST_LOCKED --> GIVE --> FINISH
 *	                           LOCK --given up--> FINISH
 *	                    LIST_LOCKED --others gave UIDs--> LOOK_LOCKED --> GIVE
 */
#include <limits.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/maildir/maildir_scan.h"
#include "store/notify.h"

#define LOCK_WAIT_MS 250
#define LOCK_WAIT_OPEN_MS 5000
#define RETRY_MS 100

enum sync_phase { LIST, LOOK, LOCK, LIST_LOCKED, LOOK_LOCKED, GIVE, FINISH };

struct sync_job {
	enum sync_phase phase;
	enum sync_how how;
	bool no_wait; /* for a lock */
	bool is_sifted;
	struct scan scan;
	struct lock_wait wait;
	size_t move_at;
};

/* ---- new/ to cur/ -------------------------------------------------------- */

/* Moves one message; false when there is no use in going on. */
static bool
move_to_cur(struct mailbox *m, struct msg_rec *r)
{
	struct maildir *md = maildir_of(m);
	char from[512], to[520];
	struct maildir_name name;
	struct str whole = maildir_file_name(m, r, from);
	struct err e;

	memcpy(to, whole.p, whole.n);
	if (r->own & OWN_NO_INFO) {
		memcpy(to + whole.n, ":2,", 3);
		whole.n += 3;
	}
	to[whole.n] = '\0';
	maildir_open_up(m, md->newfd, from);
	if (file_rename_free(md->newfd, from, md->curfd, to, &e) == -1) {
		md->dirs[DIR_NEW].is_dirty = true;
		return e.code == ERR_NOT_FOUND || e.code == ERR_EXISTS;
	}
	if (maildir_name_parse(str_make(to, whole.n), &name))
		(void)maildir_take_name(m, r, DIR_CUR, &name);
	return true;
}

static enum step
move_new(struct mailbox *m, struct sync_job *job, int64_t until_ms)
{
	struct maildir *md = maildir_of(m);
	struct dir_touch from, to;
	enum step step = STEP_DONE;

	if (md->n_new == 0 || m->n_writers == 0 || m->is_read_only ||
	    m->is_broken)
		return STEP_DONE;
	if (job->move_at == 0 || job->move_at > m->recs.n)
		job->move_at = m->recs.n;
	maildir_touch_begin(md, DIR_NEW, &from);
	maildir_touch_begin(md, DIR_CUR, &to);
	while (job->move_at > 0 && md->n_new > 0) {
		struct msg_rec *r = &m->recs.v[--job->move_at];

		if (r->state != REC_LIVE || !(r->own & OWN_NEW))
			continue;
		if (!move_to_cur(m, r))
			break;
		if (clock_mono_ms() >= until_ms && job->move_at > 0) {
			step = STEP_MORE;
			break;
		}
	}
	maildir_touch_end(md, DIR_NEW, &from);
	maildir_touch_end(md, DIR_CUR, &to);
	return step;
}

/* ---- reading ------------------------------------------------------------- */

static unsigned
dirs_to_read(const struct mailbox *m, enum sync_how how)
{
	const struct maildir *md = maildir_of(m);
	unsigned dirs = 0;

	if (how == SYNC_FORCE || md->must_scan)
		return BOTH_DIRS;
	if (md->retry_ms != 0 && clock_mono_ms() < md->retry_ms)
		return 0;
	if (scan_is_needed(md, DIR_NEW))
		dirs |= 1u << DIR_NEW;
	if (scan_is_needed(md, DIR_CUR))
		dirs |= 1u << DIR_CUR;
	return dirs;
}

static enum step
read_list(struct mailbox *m, struct sync_job *job, int64_t until, struct err *e)
{
	struct maildir *md = maildir_of(m);
	enum step step = STEP_DONE;
	unsigned dirs;

	if (!md->is_in_memory)
		step = maildir_read_list(m, until, e);
	if (step == STEP_MORE)
		return step;
	if (step == STEP_FAIL) {
		if (e->code != ERR_NOT_FOUND && e->code != ERR_CORRUPT)
			return step;
		/* Made anew or mended under the lock. */
		md->list.must_rewrite = true;
		job->how = SYNC_FORCE;
	}
	if (md->has_journal)
		job->how = SYNC_FORCE;
	dirs = dirs_to_read(m, job->how);
	scan_init(&job->scan, dirs);
	job->phase = dirs == 0 ? FINISH : LOOK;
	return STEP_MORE;
}

static enum step
look(struct mailbox *m, struct sync_job *job, int64_t until, struct err *e)
{
	struct maildir *md = maildir_of(m);
	bool may_lock =
	    !md->is_in_memory && (!m->is_read_only || md->has_own_map);
	enum step step = maildir_look(m, &job->scan, until, e);

	if (step != STEP_DONE)
		return step;
	/* It is for those who may write: what they move is met as any news. */
	if (!may_lock)
		md->has_journal = false;
	if (job->phase == LOOK_LOCKED)
		job->phase = GIVE;
	else if (job->scan.unknown.n == 0 && !md->list.must_rewrite &&
	    !md->has_journal)
		job->phase = FINISH;
	else if (md->is_in_memory)
		job->phase = GIVE;
	else
		job->phase = may_lock ? LOCK : FINISH;
	return STEP_MORE;
}

/* ---- giving UIDs --------------------------------------------------------- */

static void
look_again(struct maildir *md)
{
	md->dirs[DIR_NEW].is_dirty = md->dirs[DIR_CUR].is_dirty = true;
}

static void
retry_later(struct mailbox *m)
{
	maildir_of(m)->retry_ms = clock_mono_ms() + RETRY_MS;
	notify_within(m->store, RETRY_MS);
}

/* Without the lock nothing gets an UID: known messages are served. */
static enum step
no_lock(struct mailbox *m, struct sync_job *job, const struct err *e)
{
	look_again(maildir_of(m));
	job->phase = FINISH;
	switch (e->code) {
	case ERR_PERM:
	case ERR_READ_ONLY:
		m->is_read_only = true;
		return STEP_MORE;
	case ERR_IN_USE:
		/* Not waited for at all: the next one who looks tries. */
		if (job->no_wait) {
			notify_within(m->store, RETRY_MS);
			return STEP_MORE;
		}
		/* fall through */
	case ERR_NO_SPACE:
		retry_later(m);
		return STEP_MORE;
	default:
		return STEP_FAIL;
	}
}

static enum step
lock(struct mailbox *m, struct sync_job *job, struct err *e)
{
	struct maildir *md = maildir_of(m);
	bool is_open = !list_is_empty(&m->views) && m->live.n > 0;
	enum step step;

	step = maildir_lock(m, job, &job->wait,
	    job->no_wait  ? 0
		: is_open ? LOCK_WAIT_MS
			  : LOCK_WAIT_OPEN_MS,
	    e);
	if (step == STEP_MORE && job->no_wait) {
		m->store->wait_ms = 0;
		step = STEP_FAIL;
	}
	if (step == STEP_FAIL)
		return no_lock(m, job, e);
	if (step == STEP_DONE) {
		md->retry_ms = 0;
		job->phase = LIST_LOCKED;
	}
	return STEP_MORE;
}

static enum step
read_list_locked(
    struct mailbox *m, struct sync_job *job, int64_t until, struct err *e)
{
	enum step step = maildir_mend_list(m, until, e);

	if (step != STEP_DONE)
		return step;
	if (!maildir_journal_complete(m, until))
		return STEP_MORE;
	job->phase = GIVE;
	/* Others gave UIDs meanwhile: find their files first. */
	if (maildir_of(m)->must_scan) {
		scan_done(&job->scan);
		scan_init(&job->scan, BOTH_DIRS);
		job->phase = LOOK_LOCKED;
	}
	return STEP_MORE;
}

static enum step
give(struct mailbox *m, struct sync_job *job, struct err *e)
{
	struct maildir *md = maildir_of(m);
	enum step step;

	if (!job->is_sifted)
		maildir_sift_unknown(m, &job->scan);
	job->is_sifted = true;
	if (job->scan.unknown.n > 0 || md->list.must_rewrite ||
	    md->list.is_torn) {
		step = maildir_give_uids(m, &job->scan, e);
		if (step != STEP_DONE)
			return step;
	}
	if (md->lock_owner == job)
		maildir_unlock(m);
	job->phase = FINISH;
	return STEP_MORE;
}

/* ---- the whole ----------------------------------------------------------- */

static enum step
finish(struct mailbox *m, struct sync_job *job, int64_t until, struct err *e)
{
	struct maildir *md = maildir_of(m);
	enum step step;

	if (maildir_read_keywords(m, e) == -1)
		return STEP_FAIL;
	step = maildir_courier_keywords(m, until);
	if (step != STEP_DONE)
		return step;
	/* A writer's session moves those that lie in new/. */
	if (md->lazy_new > 0 && m->n_writers > 0 && !m->is_read_only &&
	    mailbox_load(m, e) == -1)
		return STEP_FAIL;
	step = move_new(m, job, until);
	if (step != STEP_DONE)
		return step;
	if ((md->want_purge && mailbox_is_all_told(m)) ||
	    maildir_has_garbage(md)) {
		/* Names move: those of records loaded one by one, too. */
		if (m->singles.n > 0 && mailbox_load(m, e) == -1)
			return STEP_FAIL;
		md->want_purge = md->want_purge && !mailbox_is_all_told(m);
		maildir_compact(m);
	}
	return STEP_DONE;
}

static void
job_free(struct mailbox *m)
{
	struct maildir *md = maildir_of(m);
	struct sync_job *job = md->job;

	md->job = NULL;
	if (job == NULL)
		return;
	if (md->lock_owner == job)
		maildir_unlock(m);
	scan_done(&job->scan);
	free(job);
}

/* What failed under the lock: is it for ever? */
static enum step
failed(struct mailbox *m, struct sync_job *job, const struct err *e)
{
	struct maildir *md = maildir_of(m);

	if (md->lock_owner != job)
		return STEP_FAIL;
	maildir_unlock(m);
	if (e->code == ERR_NO_SPACE) {
		look_again(md);
		retry_later(m);
		job->phase = FINISH;
		return STEP_MORE;
	}
	if (e->sys != 0)
		m->is_broken = true;
	return STEP_FAIL;
}

static enum step
advance(struct mailbox *m, struct sync_job *job, int64_t until, struct err *e)
{
	switch (job->phase) {
	case LIST:
		return read_list(m, job, until, e);
	case LOOK:
	case LOOK_LOCKED:
		return look(m, job, until, e);
	case LOCK:
		return lock(m, job, e);
	case LIST_LOCKED:
		return read_list_locked(m, job, until, e);
	case GIVE:
		return give(m, job, e);
	case FINISH:
		break;
	}
	return finish(m, job, until, e);
}

/*
 * While an append of this process gives UIDs, which takes it many steps, those
 * who know the mailbox already do not wait for it: its end is news.
 */
static bool
is_being_filled(const struct mailbox *m)
{
	const struct maildir *md = maildir_of(m);

	return md->lock_owner != NULL && md->dirs[DIR_NEW].is_read &&
	    md->dirs[DIR_CUR].is_read;
}

static enum step
sync_some(struct mailbox *m, enum sync_how how, bool no_wait, struct err *e)
{
	struct maildir *md = maildir_of(m);
	int64_t until = clock_mono_ms() + STEP_SLICE_MS;
	enum step step;

	if (m->is_gone) {
		(void)err_set(e, ERR_GONE, "%s: folder removed", m->name);
		return STEP_FAIL;
	}
	maildir_change_end(md);
	if (md->job == NULL && how == SYNC_NORMAL && is_being_filled(m))
		return STEP_DONE;
	if (md->job == NULL) {
		maildir_watch_more(m);
		if (m->store->hub != NULL)
			watch_drain(m->store->hub);
		if (how == SYNC_NORMAL && !md->has_journal &&
		    maildir_is_quiet(m))
			return STEP_DONE;
		md->job = mem_new(1, sizeof(*md->job));
		md->job->how = how;
		/* Until an event says otherwise, which may be in its middle. */
		md->is_quiet = maildir_is_watched(m);
	}
	md->job->no_wait = md->job->no_wait || no_wait;
	do {
		step = advance(m, md->job, until, e);
		if (step == STEP_FAIL)
			step = failed(m, md->job, e);
	} while (step == STEP_MORE && !store_must_wait(m->store) &&
	    clock_mono_ms() < until);
	if (step == STEP_FAIL)
		md->is_quiet = false;
	if (step == STEP_DONE && md->n_syncs < UINT_MAX)
		md->n_syncs++;
	if (step != STEP_MORE)
		job_free(m);
	return step;
}

enum step
maildir_sync(struct mailbox *m, enum sync_how how, struct err *e)
{
	/* Who only looks for a file that was renamed needs no UIDs. */
	return sync_some(m, how, how == SYNC_FORCE, e);
}

int
maildir_sync_now(struct mailbox *m, struct err *e)
{
	enum step step;

	do
		step = sync_some(m, SYNC_FORCE, true, e);
	while (step == STEP_MORE);
	return step == STEP_DONE ? 0 : -1;
}

bool
maildir_is_syncing(const struct mailbox *m)
{
	return maildir_of(m)->job != NULL;
}

void
maildir_abandon(struct mailbox *m)
{
	struct maildir *md = maildir_of(m);

	if (md->job == NULL)
		return;
	if (md->list.reading != NULL) {
		uidlist_read_end(&md->list);
		md->list.stamp = (struct file_stamp){0};
		md->list.read_to = 0;
	}
	md->must_scan = true;
	md->is_quiet = false;
	job_free(m);
}

bool
maildir_may_have_news(struct mailbox *m)
{
	struct maildir *md = maildir_of(m);

	maildir_change_end(md);
	if (m->store->hub != NULL)
		watch_drain(m->store->hub);
	if (is_being_filled(m) || maildir_is_quiet(m))
		return false;
	return dirs_to_read(m, SYNC_NORMAL) != 0 ||
	    (!md->is_in_memory && uidlist_has_changed(&md->list));
}
