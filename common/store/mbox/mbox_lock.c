/* SPDX-License-Identifier: ISC */
/*
 * mbox_lock.c - opens and locks an mbox file, as the settings say.
 *
 * Owns:    the descriptor of the file, its locks.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing: the file must be a regular one of one name, the user's or
 *          root's.
 * Spec:    formats.md 8.2; security.md 7.1, 7.3.
 *
 * The fcntl lock is of the open file (OFD): it meets those of other programs,
 * and closing another descriptor does not end it. Each attempt takes all kinds
 * of locks, one after the other and without waiting, or none: while somebody
 * has one of them, the others are let go of, so that no order of locking can
 * block for ever. Only what spoold was asked for stays asked for.
 *
 *	free --mbox_lock: all were to be had----------------> locked
 *	free --mbox_lock: and a change was broken off--> mending --> locked
 *	locked, mending --mbox_unlock--> free
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "store/mbox/mbox_impl.h"

#define HELPER_MS 500 /* for spoold's word, whatever it is */

/* ---- the file -------------------------------------------------------------- */

static int
check_file(const struct mailbox *m, struct err *e)
{
	const struct mbox *mb = mbox_of(m);
	struct stat st;
	uid_t me = geteuid();

	if (fstat(mb->fd, &st) == -1)
		return err_sys(e, "fstat %s", mb->path);
	if (!S_ISREG(st.st_mode))
		return err_set(
		    e, ERR_CORRUPT, "%s: not a regular file", mb->path);
	/* Mail of other users is theirs. */
	if (m->store->head == NULL && me != 0 && st.st_uid != me &&
	    st.st_uid != 0)
		return err_set(
		    e, ERR_PERM, "%s belongs to somebody else", mb->path);
	return 0;
}

static void
close_file(struct mbox *mb)
{
	if (mb->fd == -1)
		return;
	mbox_shift_done(&mb->shift);
	close(mb->fd);
	mb->fd = -1;
}

static void
keep(void *arg)
{
	struct mbox *mb = arg;

	spool_lock_keep(&mb->dot);
}

/* Opens the file if it is there; -1 in mb->fd when it is not. */
static int
open_file(struct mailbox *m, bool make, struct err *e)
{
	const int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	struct mbox *mb = mbox_of(m);

	mb->fd = openat(
	    mb->dirfd, mb->name, O_RDWR | flags | (make ? O_CREAT : 0), 0600);
	mb->can_write = mb->fd != -1;
	if (mb->fd == -1 &&
	    (errno == EACCES || errno == EROFS || errno == EPERM)) {
		if (make)
			return err_sys(e, "create %s", mb->path);
		mb->fd =
		    openat(mb->dirfd, mb->name, O_RDONLY | O_NOATIME | flags);
		if (mb->fd == -1 && errno == EPERM)
			mb->fd = openat(mb->dirfd, mb->name, O_RDONLY | flags);
	}
	if (mb->fd == -1) {
		if (errno == ENOENT)
			return 0;
		return err_sys(e, "open %s", mb->path);
	}
	mb->shift = (struct mbox_shift){
	    .fd = mb->fd,
	    .dir = mb->journals,
	    .path = mb->path,
	    .keep = keep,
	    .arg = mb,
	};
	mbox_shift_init(&mb->shift);
	if (check_file(m, e) == -1) {
		close_file(mb);
		return -1;
	}
	return 0;
}

int
mbox_peek(struct mailbox *m, struct err *e)
{
	return mbox_of(m)->fd != -1 ? 0 : open_file(m, false, e);
}

/* Is the file that we have open the one of that name? */
static bool
is_same(const struct mbox *mb)
{
	struct stat a, b;

	return fstat(mb->fd, &a) == 0 &&
	    fstatat(mb->dirfd, mb->name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	    a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* ---- what the settings say ------------------------------------------------- */

static enum mbox_lock_way
way_of(struct str word)
{
	static const struct {
		const char *name;
		enum mbox_lock_way way;
	} all[] = {
	    {"fcntl", MBOX_FCNTL},
	    {"lockf", MBOX_FCNTL}, /* the same one on Linux */
	    {"flock", MBOX_FLOCK},
	    {"dotlock", MBOX_DOTLOCK},
	    {"dotlock_try", MBOX_DOTLOCK_TRY},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (str_eq_nocase(word, str_of(all[i].name)))
			return all[i].way;
	return MBOX_NO_LOCK;
}

void
mbox_locks_parse(const char *words, const char *preset, struct mbox_locks *out)
{
	struct str list = str_of(words != NULL ? words : preset), word;

	*out = (struct mbox_locks){0};
	while (str_next(&list, ' ', &word)) {
		enum mbox_lock_way way = way_of(word);

		if (way != MBOX_NO_LOCK && out->n < MBOX_LOCKS_MAX)
			out->ways[out->n++] = way;
	}
}

static bool
is_dotlock(enum mbox_lock_way way)
{
	return way == MBOX_DOTLOCK || way == MBOX_DOTLOCK_TRY;
}

static bool
has_dotlock(const struct mbox_locks *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (is_dotlock(l->ways[i]))
			return true;
	return false;
}

/* ---- one lock -------------------------------------------------------------- */

enum try {
	TRY_DONE,
	TRY_BUSY, /* with who has it in the error */
	TRY_FAIL,
};

static int
set_fcntl(const struct mbox *mb, short type)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET};

	return fcntl(mb->fd, F_OFD_SETLK, &l);
}

static enum try
try_fcntl(const struct mbox *mb, bool exclusive, struct err *e)
{
	struct flock l = {
	    .l_type = exclusive ? F_WRLCK : F_RDLCK,
	    .l_whence = SEEK_SET,
	};

	if (set_fcntl(mb, l.l_type) == 0)
		return TRY_DONE;
	if (errno != EAGAIN && errno != EACCES) {
		(void)err_sys(e, "lock %s", mb->path);
		return TRY_FAIL;
	}
	if (fcntl(mb->fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK &&
	    l.l_pid > 0)
		(void)err_set(e, ERR_IN_USE, "%s is locked by process %ld",
		    mb->path, (long)l.l_pid);
	else
		(void)err_set(e, ERR_IN_USE,
		    "%s is locked by another program (fcntl)", mb->path);
	return TRY_BUSY;
}

static enum try
try_flock(const struct mbox *mb, bool exclusive, struct err *e)
{
	if (flock(mb->fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0)
		return TRY_DONE;
	if (errno != EWOULDBLOCK) {
		(void)err_sys(e, "lock %s", mb->path);
		return TRY_FAIL;
	}
	(void)err_set(
	    e, ERR_IN_USE, "%s is locked by another program (flock)", mb->path);
	return TRY_BUSY;
}

static void
end_dotlock(struct mbox *mb)
{
	spool_lock_end(&mb->dot);
	mb->has_dotlock = false;
}

/* May we go on without the dotlock that we can not make? */
static enum try
without_dotlock(struct mailbox *m, enum mbox_lock_way way,
    const struct mbox_locks *locks, const struct err *e)
{
	struct mbox_place *p = m->store->impl;
	bool is_denied = e->code == ERR_PERM || e->code == ERR_READ_ONLY;

	end_dotlock(mbox_of(m));
	if (way == MBOX_DOTLOCK_TRY && (is_denied || e->code == ERR_NO_SPACE))
		return TRY_DONE;
	if (!is_denied || locks->n < 2)
		return TRY_FAIL;
	if (!p->warned_locks)
		store_warn(
		    m->store, "no dotlock, the other locks alone: %s", e->text);
	p->warned_locks = true;
	return TRY_DONE;
}

/* "NAME.lock" is longer than a name of a file can be: nobody can make it. */
static bool
can_have_dotlock(const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t n = strlen(slash == NULL ? path : slash + 1);

	return n + strlen(".lock") <= NAME_MAX;
}

static enum try
try_dotlock(struct mailbox *m, enum mbox_lock_way way,
    const struct mbox_locks *locks, bool make, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	const struct spool_lock_options o = {
	    .wait_ms = INT32_MAX, /* the caller's to decide */
	    .stale_s = m->store->mbox_dotlock_stale_s,
	    .create = make,
	};
	int64_t retry = 0;

	if (mb->has_dotlock || (locks->n > 1 && !can_have_dotlock(mb->path)))
		return TRY_DONE;
	/* What was asked of a helper for reading makes no file. */
	if (mb->dot.path != NULL && make && !mb->dot.create)
		end_dotlock(mb);
	if (mb->dot.path == NULL &&
	    spool_lock_begin(&mb->dot, mb->path, &o, e) == -1)
		return TRY_FAIL;
	switch (spool_lock_step(&mb->dot, &retry, e)) {
	case LOCK_DONE:
		mb->has_dotlock = true;
		return TRY_DONE;
	case LOCK_WAIT:
		break;
	case LOCK_FAIL:
		return without_dotlock(m, way, locks, e);
	}
	mb->helper_ms = spool_lock_is_busy(&mb->dot) ? 0 : retry;
	(void)err_set(e, ERR_IN_USE, "%s.lock is held by %s", mb->path,
	    mb->dot.holder[0] != '\0' ? mb->dot.holder : "another program");
	return TRY_BUSY;
}

/* ---- all of them ----------------------------------------------------------- */

static void
release(struct mbox *mb)
{
	/* What was asked for and not given stays asked for. */
	if (mb->has_dotlock)
		end_dotlock(mb);
	if (mb->fd != -1 && mb->ways_held & 1u << MBOX_FLOCK)
		(void)flock(mb->fd, LOCK_UN);
	if (mb->fd != -1 && mb->ways_held & 1u << MBOX_FCNTL)
		(void)set_fcntl(mb, F_UNLCK);
	mb->ways_held = 0;
}

static enum try
try_one(struct mailbox *m, enum mbox_lock_way way,
    const struct mbox_locks *locks, enum mbox_lock_kind kind, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	bool exclusive = kind != MBOX_READ;
	enum try result = TRY_DONE;

	switch (way) {
	case MBOX_FCNTL:
		result = try_fcntl(mb, exclusive, e);
		break;
	case MBOX_FLOCK:
		result = try_flock(mb, exclusive, e);
		break;
	case MBOX_DOTLOCK:
	case MBOX_DOTLOCK_TRY:
		return try_dotlock(m, way, locks, kind == MBOX_MAKE, e);
	case MBOX_NO_LOCK:
		return TRY_DONE;
	}
	if (result == TRY_DONE)
		mb->ways_held |= 1u << way;
	return result;
}

/* Opens the file, making it if need be; its dotlock may have to come first. */
static enum try
find_file(struct mailbox *m, const struct mbox_locks *locks,
    enum mbox_lock_kind kind, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	enum try result;

	if (mb->fd != -1 && !is_same(mb))
		close_file(mb);
	if (mb->fd == -1 && open_file(m, false, e) == -1)
		return TRY_FAIL;
	/* A missing spool file may be one that only the helper can make. */
	if (mb->fd == -1 && kind == MBOX_MAKE) {
		if (has_dotlock(locks)) {
			result = try_dotlock(m, MBOX_DOTLOCK, locks, true, e);
			if (result != TRY_DONE)
				return result;
		}
		if (open_file(m, true, e) == -1)
			return TRY_FAIL;
	}
	if (mb->fd != -1 && kind != MBOX_READ && !mb->can_write) {
		(void)err_set(
		    e, ERR_READ_ONLY, "%s can not be written", mb->path);
		return TRY_FAIL;
	}
	return TRY_DONE;
}

static enum try
try_all(struct mailbox *m, enum mbox_lock_kind kind, struct err *e)
{
	const struct mbox_place *p = m->store->impl;
	const struct mbox_locks *locks =
	    kind == MBOX_READ ? &p->read_locks : &p->write_locks;
	struct mbox *mb = mbox_of(m);
	enum try result;

	mb->helper_ms = 0;
	result = find_file(m, locks, kind, e);
	if (mb->fd == -1)
		return result;
	for (size_t i = 0; i < locks->n && result == TRY_DONE; i++)
		result = try_one(m, locks->ways[i], locks, kind, e);
	if (result == TRY_DONE && !is_same(mb)) {
		/* Replaced meanwhile: try the new one. */
		(void)err_set(e, ERR_IN_USE, "%s is being replaced", mb->path);
		result = TRY_BUSY;
	}
	if (result != TRY_DONE)
		release(mb);
	return result;
}

static void
note_times(struct mbox *mb)
{
	struct stat st;

	if (mb->fd == -1 || fstat(mb->fd, &st) == -1)
		return;
	mb->mtime_before = st.st_mtim;
	mb->atime_before = st.st_atim;
}

/* What a process that was killed has begun; some of it. */
static enum step
mend(struct mailbox *m, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	int64_t until = clock_mono_ms() + STEP_SLICE_MS;
	enum step step = STEP_DONE;
	bool lost = false;

	if (!mb->is_mending) {
		store_warn(m->store, "finishing an interrupted change path=%s",
		    mb->path);
		if (mbox_shift_recover_begin(&mb->shift, &lost, e) == -1)
			return STEP_FAIL;
		mb->is_mending = true;
	}
	if (lost)
		store_warn(m->store,
		    "somebody else rewrote the file; journal kept path=%s",
		    mb->path);
	do
		step = mbox_shift_step(&mb->shift, e);
	while (step == STEP_MORE && clock_mono_ms() < until);
	mbox_lock_keep(m);
	if (step == STEP_MORE)
		return step;
	mb->is_mending = false;
	return step;
}

static enum step
wait_for_lock(
    struct mailbox *m, struct lock_wait *w, int64_t wait_ms, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	enum step step;

	/* The helper's word comes at once: that is no waiting. */
	if (mb->helper_ms > 0 && wait_ms < HELPER_MS)
		wait_ms = HELPER_MS;
	step = store_lock_wait(m->store, w, wait_ms, e);
	if (step == STEP_MORE && mb->helper_ms > 0)
		store_head(m->store)->wait_ms =
		    (uint32_t)(mb->helper_ms < 2 ? 2 : mb->helper_ms);
	if (step == STEP_FAIL) {
		mbox_lock_abandon(m);
		if (e->code == ERR_IN_USE && wait_ms >= 1000)
			(void)err_in(
			    e, "waited %lld s", (long long)wait_ms / 1000);
	}
	return step;
}

/* Who has it may be nobody's any more: what he does is gone on with. */
static void
help(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);
	struct err ignored;

	if (mb->job != NULL && mb->owner == mb->job)
		(void)mbox_job_step(m, &ignored);
	else if (mb->owner == &mb->sync)
		(void)mbox_sync(m, SYNC_NORMAL, &ignored);
}

enum step
mbox_lock(struct mailbox *m, const void *owner, enum mbox_lock_kind kind,
    struct lock_wait *w, int64_t wait_ms, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	enum step step = STEP_DONE;
	bool is_pending;

	if (mb->owner != NULL && mb->owner != owner) {
		(void)err_set(e, ERR_IN_USE,
		    "%s: another session is at work there", mb->path);
		help(m);
		mb->helper_ms = 0;
		w->pause_ms = 1;
		return wait_for_lock(m, w, wait_ms, e);
	}
	if (mb->owner == NULL) {
		switch (try_all(m, kind, e)) {
		case TRY_DONE:
			break;
		case TRY_BUSY:
			return wait_for_lock(m, w, wait_ms, e);
		case TRY_FAIL:
			mbox_lock_abandon(m);
			*w = (struct lock_wait){0};
			return STEP_FAIL;
		}
		mb->owner = owner;
		mb->is_exclusive = kind != MBOX_READ;
		note_times(mb);
	}
	is_pending = mb->is_mending;
	if (!is_pending && mb->fd != -1 && mb->can_write &&
	    mbox_shift_look(&mb->shift, &is_pending, e) == -1)
		step = STEP_FAIL;
	if (step == STEP_DONE && is_pending) {
		/* Half a change lies there; who may write finishes it. */
		if (!mb->is_exclusive) {
			mbox_unlock(m);
			return mbox_lock(m, owner, MBOX_WRITE, w, wait_ms, e);
		}
		step = mend(m, e);
	}
	if (step == STEP_FAIL)
		mbox_unlock(m);
	if (step != STEP_MORE)
		*w = (struct lock_wait){0};
	return step;
}

int
mbox_lock_now(struct mailbox *m, const void *owner, enum mbox_lock_kind kind,
    int64_t wait_ms, struct err *e)
{
	struct lock_wait w = {0};
	enum step step;

	while ((step = mbox_lock(m, owner, kind, &w, wait_ms, e)) == STEP_MORE)
		store_pause(m->store);
	return step == STEP_DONE ? 0 : -1;
}

bool
mbox_is_locked_by(const struct mailbox *m, const void *owner)
{
	return mbox_of(m)->owner == owner;
}

void
mbox_lock_keep(struct mailbox *m)
{
	spool_lock_keep(&mbox_of(m)->dot);
}

void
mbox_lock_abandon(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);

	if (mb->owner == NULL)
		end_dotlock(mb);
}

void
mbox_unlock(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);

	ASSERT(mb->owner != NULL);
	release(mb);
	mb->owner = NULL;
	mb->is_exclusive = mb->is_true = false;
	/* A change that was given up is the next one's to finish. */
	if (mb->is_mending || mb->is_moving)
		mbox_shift_done(&mb->shift);
	if (mb->is_moving)
		mbox_no_stamp(m);
	mb->is_mending = mb->is_moving = false;
	store_lock_free(m->store);
}

int64_t
mbox_lock_ms(const struct mailbox *m, enum mbox_lock_kind kind)
{
	int64_t most = (int64_t)m->store->mbox_lock_timeout_s * 1000;

	return kind == MBOX_READ && most > MBOX_WAIT_READ_MS ? MBOX_WAIT_READ_MS
							     : most;
}

void
mbox_lock_prepare(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);
	const struct spool_lock_options o = {0};
	int64_t retry;
	struct err e;

	if (faccessat(mb->dirfd, ".", W_OK, AT_EACCESS) == 0 ||
	    spool_lock_begin(&mb->dot, mb->path, &o, &e) == -1)
		return;
	(void)spool_lock_step(&mb->dot, &retry, &e);
	end_dotlock(mb);
}
