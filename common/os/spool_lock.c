/* SPDX-License-Identifier: ISC */
/*
 * spool_lock.c - the dotlock of one mbox file, by ourselves or by a helper.
 *
 * Owns:    the folder's descriptor, the lock while it is held.
 * Runs in: imapd, pop3d and the control tool, as the mail user.
 * Trusts:  the helper's word that it has made the lock; whether that is still
 *          there is looked at.
 * Spec:    formats.md 8.2, security.md 7.3.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "os/fd.h"
#include "os/spool_lock.h"

#define RETRY_LEAST_MS 100
#define RETRY_MOST_MS 1000
#define TOUCH_EVERY_MS 10000

static const struct spool_helper *helper;
static void *helper_arg;

void
spool_lock_set_helper(const struct spool_helper *h, void *arg)
{
	helper = h;
	helper_arg = arg;
}

/* The rules of an mbox lock; others look at it, so others may read it. */
static struct dotlock_rules
rules_of(const struct spool_lock *l)
{
	return (struct dotlock_rules){
	    .stale_s = l->stale_s,
	    .mode = 0644,
	    .temp_dir = -1,
	    .exclusive = l->exclusive,
	};
}

int
spool_lock_begin(struct spool_lock *l, const char *path,
    const struct spool_lock_options *o, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char *dir;

	ASSERT(l->path == NULL);
	if (path[0] != '/' || slash[1] == '\0')
		return err_set(
		    e, ERR_BAD_NAME, "%s is no path of a file", path);
	dir = mem_dup(path, slash == path ? 1 : (size_t)(slash - path));
	*l = (struct spool_lock){.dirfd = -1};
	/* Only a place for names: the sandbox may not let us list it. */
	l->dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (l->dirfd == -1)
		(void)err_sys(e, "open folder %s", dir);
	free(dir);
	if (l->dirfd == -1)
		return -1;
	l->path = mem_strdup(path);
	l->name = l->path + (slash - path) + 1;
	l->create = o->create;
	l->exclusive = o->exclusive;
	l->stale_s = o->stale_s != 0 ? o->stale_s : SPOOL_LOCK_STALE_S;
	l->deadline_ms = clock_mono_ms() + o->wait_ms;
	return 0;
}

static enum lock_step
too_late(struct spool_lock *l, struct err *e)
{
	l->busy = false;
	err_set(e, ERR_IN_USE, "%s.lock is held by %s", l->path,
	    l->holder[0] != '\0' ? l->holder : "somebody else");
	return LOCK_FAIL;
}

static int64_t
between(int64_t least, int64_t ms, int64_t most)
{
	return ms < least ? least : ms > most ? most : ms;
}

/* The file itself, as a delivery agent would make it. */
static void
create_file(const struct spool_lock *l)
{
	struct stat st;
	int fd;

	if (!l->create ||
	    fstatat(l->dirfd, l->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return;
	/* When it fails, opening it fails as well, and says why. */
	fd = openat(l->dirfd, l->name,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	fd_close(&fd);
}

static enum lock_step
ask_helper(struct spool_lock *l, int64_t *retry_ms, struct err *e)
{
	struct spool_helper_answer a = {0};

	if (helper == NULL)
		return LOCK_FAIL;
	helper->lock(helper_arg, l->create, &a);
	l->busy = a.step == LOCK_WAIT && a.busy;
	if (a.busy)
		memcpy(l->holder, a.holder, sizeof(l->holder));
	switch (a.step) {
	case LOCK_DONE:
		l->held = true;
		l->dev = a.dev;
		l->ino = a.ino;
		l->touched_ms = clock_mono_ms();
		return LOCK_DONE;
	case LOCK_FAIL:
		*e = a.why;
		l->by_helper = false;
		return LOCK_FAIL;
	case LOCK_WAIT:
		break;
	}
	*retry_ms = between(1, a.retry_ms, RETRY_MOST_MS);
	return LOCK_WAIT;
}

static enum lock_step
try_ourselves(struct spool_lock *l, int64_t *retry_ms, struct err *e)
{
	const struct dotlock_rules rules = rules_of(l);
	enum lock_step step =
	    dotlock_try(&l->dot, l->dirfd, l->name, &rules, retry_ms, e);

	switch (step) {
	case LOCK_DONE:
		l->held = true;
		create_file(l);
		break;
	case LOCK_WAIT:
		l->busy = true;
		dotlock_holder(l->dirfd, l->name, l->holder);
		/* Longer and longer, for a lock that stays. */
		l->n_tries++;
		*retry_ms = between(
		    RETRY_LEAST_MS, *retry_ms * l->n_tries / 2, RETRY_MOST_MS);
		break;
	case LOCK_FAIL:
		if ((e->code == ERR_PERM || e->code == ERR_READ_ONLY) &&
		    helper != NULL && helper->serves(helper_arg, l->path)) {
			l->by_helper = true;
			return ask_helper(l, retry_ms, e);
		}
		break;
	}
	return step;
}

enum lock_step
spool_lock_step(struct spool_lock *l, int64_t *retry_ms, struct err *e)
{
	enum lock_step step;

	ASSERT(l->path != NULL);
	if (l->held)
		return LOCK_DONE;
	l->busy = false;
	step = l->by_helper ? ask_helper(l, retry_ms, e)
			    : try_ourselves(l, retry_ms, e);
	if (step == LOCK_WAIT && clock_mono_ms() >= l->deadline_ms)
		return too_late(l, e);
	return step;
}

bool
spool_lock_is_busy(const struct spool_lock *l)
{
	return l->busy;
}

bool
spool_lock_is_ours(const struct spool_lock *l)
{
	char name[DOTLOCK_NAME_MAX];
	struct file_stamp now;

	if (!l->held)
		return false;
	if (!l->by_helper)
		return dotlock_is_ours(&l->dot);
	(void)snprintf(name, sizeof(name), "%s.lock", l->name);
	return file_stamp_at(l->dirfd, name, &now) && now.dev == l->dev &&
	    now.ino == l->ino;
}

void
spool_lock_keep(struct spool_lock *l)
{
	if (!l->held)
		return;
	if (!l->by_helper) {
		dotlock_keep(&l->dot);
	} else if (clock_mono_ms() - l->touched_ms >= TOUCH_EVERY_MS) {
		l->touched_ms = clock_mono_ms();
		helper->touch(helper_arg);
	}
}

void
spool_lock_end(struct spool_lock *l)
{
	if (l->path == NULL)
		return;
	if (l->by_helper)
		helper->unlock(helper_arg);
	else if (l->held)
		dotlock_release(&l->dot);
	fd_close(&l->dirfd);
	free(l->path);
	*l = (struct spool_lock){.dirfd = -1};
}

void
spool_lock_wait(const struct spool_lock *l, int64_t ms)
{
	struct timespec ts = {
	    .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	if (l->by_helper)
		helper->wait(helper_arg, ms);
	else
		(void)nanosleep(&ts, NULL);
}

int
spool_lock_take(struct spool_lock *l, const char *path,
    const struct spool_lock_options *o, struct err *e)
{
	int64_t retry_ms = 0;

	if (spool_lock_begin(l, path, o, e) == -1)
		return -1;
	for (;;) {
		switch (spool_lock_step(l, &retry_ms, e)) {
		case LOCK_DONE:
			return 0;
		case LOCK_FAIL:
			spool_lock_end(l);
			return -1;
		case LOCK_WAIT:
			spool_lock_wait(l, retry_ms);
		}
	}
}
