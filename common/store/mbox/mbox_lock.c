/* SPDX-License-Identifier: ISC */
/*
 * mbox_lock.c - opens and locks an mbox file: fcntl, then dotlock.
 *
 * Owns:    the descriptor of the file, its locks.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing: the file must be a regular one of one name, the user's or
 *          root's.
 * Spec:    formats.md 8.2; security.md 7.1, 7.3.
 *
 * The fcntl lock is of the open file (OFD): it meets those of other programs,
 * and closing another descriptor does not end it. While somebody else has the
 * dotlock, ours is let go of, so that no order of locking can block for ever.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "store/mbox/mbox_impl.h"

#define POLL_FIRST_MS 5
#define POLL_MOST_MS 200

static void
sleep_ms(int64_t ms)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	/* Between half of it and all, so that two waiters part. */
	ms = ms / 2 + (ts.tv_nsec / 1000 + getpid()) % (ms / 2 + 1);
	ts = (struct timespec){
	    .tv_sec = ms / 1000,
	    .tv_nsec = ms % 1000 * 1000000,
	};
	(void)nanosleep(&ts, NULL);
}

/* ---- the file -------------------------------------------------------------- */

static int
check_file(const struct mbox *mb, struct err *e)
{
	struct stat st;
	uid_t me = geteuid();

	if (fstat(mb->fd, &st) == -1)
		return err_sys(e, "fstat %s", mb->path);
	if (!S_ISREG(st.st_mode))
		return err_set(
		    e, ERR_CORRUPT, "%s: not a regular file", mb->path);
	if (me != 0 && st.st_uid != me && st.st_uid != 0)
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
	if (check_file(mb, e) == -1) {
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

/* ---- locks ----------------------------------------------------------------- */

static int
set_fcntl(const struct mbox *mb, short type)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET};

	return fcntl(mb->fd, F_OFD_SETLK, &l);
}

/* Who has it, for the log and the client's administrator. */
static int
say_busy(const struct mbox *mb, bool exclusive, struct err *e)
{
	struct flock l = {
	    .l_type = exclusive ? F_WRLCK : F_RDLCK,
	    .l_whence = SEEK_SET,
	};

	if (mb->fd != -1 && fcntl(mb->fd, F_OFD_GETLK, &l) == 0 &&
	    l.l_type != F_UNLCK && l.l_pid > 0)
		return err_set(e, ERR_IN_USE, "%s is locked by process %ld",
		    mb->path, (long)l.l_pid);
	return err_set(
	    e, ERR_IN_USE, "%s is locked by another program", mb->path);
}

enum try {
	TRY_DONE,
	TRY_BUSY,
	TRY_FAIL,
};

/*
 * The dotlock: one look. Without the right to make one we go on with fcntl
 * alone, and say so once.
 */
static enum try
try_dotlock(struct mailbox *m, int64_t deadline, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	struct mbox_place *p = m->store->impl;
	int64_t retry;

	for (;;) {
		switch (spool_lock_step(&mb->dot, &retry, e)) {
		case LOCK_DONE:
			mb->has_dotlock = true;
			return TRY_DONE;
		case LOCK_WAIT:
			if (spool_lock_is_busy(&mb->dot))
				return TRY_BUSY;
			if (clock_mono_ms() >= deadline)
				return TRY_BUSY;
			spool_lock_wait(&mb->dot, retry < 2 ? 2 : retry);
			continue;
		case LOCK_FAIL:
			break;
		}
		break;
	}
	if (e->code != ERR_PERM && e->code != ERR_READ_ONLY)
		return TRY_FAIL;
	if (!p->warned_locks)
		store_warn(m->store, "no dotlock, fcntl alone: %s", e->text);
	p->warned_locks = true;
	return TRY_DONE;
}

static enum try
try_all(struct mailbox *m, bool exclusive, bool make, int64_t deadline,
    struct err *e)
{
	struct mbox *mb = mbox_of(m);
	enum try result;

	if (mb->fd != -1 && !is_same(mb))
		close_file(mb);
	/* A missing spool file may be one that only the helper can make. */
	if (mb->fd == -1 && make && !mb->has_dotlock) {
		result = try_dotlock(m, deadline, e);
		if (result != TRY_DONE)
			return result;
	}
	if (mb->fd == -1 && open_file(m, make, e) == -1)
		return TRY_FAIL;
	if (mb->fd == -1)
		return TRY_DONE;
	if (exclusive && !mb->can_write) {
		(void)err_set(
		    e, ERR_READ_ONLY, "%s can not be written", mb->path);
		return TRY_FAIL;
	}
	if (set_fcntl(mb, exclusive ? F_WRLCK : F_RDLCK) == -1) {
		if (errno == EAGAIN || errno == EACCES)
			return TRY_BUSY;
		(void)err_sys(e, "lock %s", mb->path);
		return TRY_FAIL;
	}
	if (exclusive && !mb->has_dotlock) {
		result = try_dotlock(m, deadline, e);
		if (result != TRY_DONE) {
			(void)set_fcntl(mb, F_UNLCK);
			return result;
		}
	}
	if (is_same(mb))
		return TRY_DONE;
	/* Replaced meanwhile: with the dotlock, try the new one. */
	(void)set_fcntl(mb, F_UNLCK);
	return TRY_BUSY;
}

static void
end_dotlock(struct mbox *mb)
{
	spool_lock_end(&mb->dot);
	mb->has_dotlock = false;
}

static int
take(struct mailbox *m, bool exclusive, bool make, int64_t wait_ms,
    struct err *e)
{
	struct mbox *mb = mbox_of(m);
	int64_t deadline = clock_mono_ms() + wait_ms, poll = POLL_FIRST_MS;
	struct spool_lock_options o = {.wait_ms = wait_ms, .create = make};
	char holder[DOTLOCK_HOLDER_MAX];

	if (exclusive && spool_lock_begin(&mb->dot, mb->path, &o, e) == -1)
		return -1;
	for (;;) {
		bool dot_busy;

		switch (try_all(m, exclusive, make, deadline, e)) {
		case TRY_DONE:
			return 0;
		case TRY_FAIL:
			if (exclusive)
				end_dotlock(mb);
			return -1;
		case TRY_BUSY:
			break;
		}
		dot_busy = exclusive && spool_lock_is_busy(&mb->dot);
		if (clock_mono_ms() >= deadline) {
			memcpy(holder, mb->dot.holder, sizeof(holder));
			if (exclusive)
				end_dotlock(mb);
			if (dot_busy && holder[0] != '\0')
				(void)err_set(e, ERR_IN_USE,
				    "%s.lock is held by %s", mb->path, holder);
			else
				(void)say_busy(mb, exclusive, e);
			return err_in(
			    e, "waited %lld s", (long long)wait_ms / 1000);
		}
		sleep_ms(poll);
		poll = poll * 2 < POLL_MOST_MS ? poll * 2 : POLL_MOST_MS;
	}
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

/* What a process that was killed has begun. */
static int
recover(struct mailbox *m, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	bool lost;

	if (mb->fd == -1 || !mbox_shift_is_pending(&mb->shift))
		return 0;
	store_warn(
	    m->store, "finishing an interrupted change path=%s", mb->path);
	if (mbox_shift_recover(&mb->shift, &lost, e) == -1)
		return -1;
	if (lost)
		store_warn(m->store,
		    "somebody else rewrote the file; journal kept path=%s",
		    mb->path);
	return 0;
}

static int
lock(struct mailbox *m, bool exclusive, bool make, int64_t wait_ms,
    struct err *e)
{
	struct mbox *mb = mbox_of(m);

	if (mb->n_locks > 0) {
		ASSERT(!exclusive || mb->is_exclusive);
		mb->n_locks++;
		return 0;
	}
	if (take(m, exclusive, make, wait_ms, e) == -1)
		return -1;
	mb->n_locks = 1;
	mb->is_exclusive = exclusive;
	note_times(mb);
	if (exclusive && recover(m, e) == -1) {
		mbox_unlock(m);
		return -1;
	}
	return 0;
}

int
mbox_lock(struct mailbox *m, bool exclusive, int64_t wait_ms, struct err *e)
{
	return lock(m, exclusive, false, wait_ms, e);
}

int
mbox_lock_or_make(struct mailbox *m, int64_t wait_ms, struct err *e)
{
	return lock(m, true, true, wait_ms, e);
}

void
mbox_unlock(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);

	ASSERT(mb->n_locks > 0);
	if (--mb->n_locks > 0)
		return;
	if (mb->is_exclusive)
		end_dotlock(mb);
	if (mb->fd != -1)
		(void)set_fcntl(mb, F_UNLCK);
	mb->is_exclusive = false;
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
