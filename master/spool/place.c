/* SPDX-License-Identifier: ISC */
/*
 * place.c - what is done in the spool directory.
 *
 * Owns:    the locks it has made, each until it removes it itself.
 * Runs in: spoold.
 * Trusts:  master for who a process is; nothing that lies in the directory.
 * Spec:    security.md 7.3, formats.md 8.2.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "spool/place.h"

#include "base/clock.h"
#include "os/fd.h"

#define STALE_S 300
#define ATTEMPTS_PER_S 50
#define LOCK_MODE 0664 /* of the group, which touches and reads it */
#define FILE_MODE 0660

int
place_open(struct place *p, int dirfd, struct err *e)
{
	struct stat st;

	*p = (struct place){.dirfd = dirfd};
	if (dirfd == -1)
		return 0;
	if (fstat(dirfd, &st) == -1)
		return err_sys(e, "stat the spool directory");
	if (!S_ISDIR(st.st_mode))
		return err_set(e, ERR_OTHER, "the spool is no directory");
	p->group = st.st_gid;
	p->is_sticky = (st.st_mode & S_ISVTX) != 0;
	return 0;
}

void
place_user_init(struct place_user *u, const struct spool_client_msg *m)
{
	*u = (struct place_user){
	    .pid = (pid_t)m->pid, .sysuid = (uid_t)m->sysuid};
	(void)str_to_c(m->user, u->name, sizeof(u->name));
}

/* Nobody locks a mailbox that is not his. */
static int
check_owner(const struct place *p, const struct place_user *u, bool *is_there,
    struct err *e)
{
	struct stat st;

	*is_there = false;
	if (fstatat(p->dirfd, u->name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return errno == ENOENT ? 0 : err_sys(e, "stat %s", u->name);
	*is_there = true;
	if (!S_ISREG(st.st_mode))
		return err_set(
		    e, ERR_CORRUPT, "%s is no regular file", u->name);
	if (st.st_uid != u->sysuid)
		return err_set(e, ERR_PERM, "%s belongs to uid %u, not %u",
		    u->name, (unsigned)st.st_uid, (unsigned)u->sysuid);
	return 0;
}

static int
make_file(const struct place *p, const struct place_user *u, struct err *e)
{
	int fd = openat(p->dirfd, u->name,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd == -1)
		return errno == EEXIST ? 0 : err_sys(e, "make %s", u->name);
	if (fchmod(fd, FILE_MODE) == -1 ||
	    (p->gives && fchown(fd, u->sysuid, p->group) == -1)) {
		err_sys(e, "give %s to uid %u", u->name, (unsigned)u->sysuid);
		(void)unlinkat(p->dirfd, u->name, 0);
		fd_close(&fd);
		return -1;
	}
	fd_close(&fd);
	return 0;
}

/* A process that asks all the time takes nothing from the others. */
static bool
asks_too_often(struct place_user *u)
{
	int64_t now = clock_mono_ms();

	if (now - u->second_ms >= 1000 || now < u->second_ms) {
		u->second_ms = now;
		u->attempts = 0;
	}
	return ++u->attempts > ATTEMPTS_PER_S;
}

/* A lock that names the process: an earlier spoold made it. */
static bool
adopt(const struct place *p, struct place_user *u, const struct spool_which *m)
{
	if (u->lock.held)
		return true;
	return p->dirfd != -1 &&
	    dotlock_adopt(&u->lock, p->dirfd, u->name, (dev_t)m->dev,
		(ino_t)m->ino, u->pid);
}

enum lock_step
place_lock(const struct place *p, struct place_user *u,
    const struct spool_lock_msg *m, int64_t *retry_ms,
    char holder[DOTLOCK_HOLDER_MAX], struct err *e)
{
	const struct dotlock_rules rules = {
	    .stale_s = STALE_S,
	    .mode = LOCK_MODE,
	    .temp_dir = -1,
	    .pid = u->pid,
	    .give = p->gives && !p->is_sticky,
	    .owner = u->sysuid,
	    .group = p->group,
	};
	const struct spool_which any = {0};
	enum lock_step step;
	bool is_there;

	holder[0] = '\0';
	*retry_ms = 1000;
	if (p->dirfd == -1) {
		err_set(e, ERR_PERM, "there is no spool directory");
		return LOCK_FAIL;
	}
	if (asks_too_often(u))
		return LOCK_WAIT;
	if (check_owner(p, u, &is_there, e) == -1)
		return LOCK_FAIL;
	if (adopt(p, u, &any))
		step = LOCK_DONE;
	else
		step = dotlock_try(
		    &u->lock, p->dirfd, u->name, &rules, retry_ms, e);
	if (step == LOCK_WAIT)
		dotlock_holder(p->dirfd, u->name, holder);
	if (step != LOCK_DONE)
		return step;
	u->seen_ms = clock_mono_ms();
	if (m->create && !is_there && make_file(p, u, e) == -1) {
		dotlock_release(&u->lock);
		return LOCK_FAIL;
	}
	return LOCK_DONE;
}

void
place_take_away(struct place_user *u)
{
	if (u->lock.held)
		dotlock_release(&u->lock);
}

void
place_unlock(
    const struct place *p, struct place_user *u, const struct spool_which *m)
{
	if (adopt(p, u, m))
		place_take_away(u);
}

void
place_touch(
    const struct place *p, struct place_user *u, const struct spool_which *m)
{
	if (!adopt(p, u, m))
		return;
	u->seen_ms = clock_mono_ms();
	(void)dotlock_touch(&u->lock);
}

bool
place_leave(const struct place *p, struct place_user *u)
{
	const struct spool_which any = {0};
	bool had = adopt(p, u, &any);

	place_take_away(u);
	return had;
}

bool
place_is_overdue(const struct place_user *u)
{
	return u->lock.held &&
	    clock_mono_ms() - u->seen_ms >= PLACE_HOLD_MAX_MS;
}
