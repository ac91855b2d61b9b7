/* SPDX-License-Identifier: ISC */
/*
 * lock.c - takes, keeps and breaks dotlocks.
 *
 * Owns:    NAME.lock while it holds it.
 * Runs in: mail processes, as the mail user; spoold, in their name.
 * Trusts:  the content of a lock file only so far as to ask the kernel for a
 *          process of that number.
 * Spec:    formats.md 2.3, 8.2.
 *
 * Invariant: the lock file appears under its name by link(2), so it is never
 * seen without its "pid:host", not even when we are killed on the way. (Where
 * the file system has no links, or the configuration says so: by O_EXCL.)
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/num.h"
#include "os/lock.h"

#define PID_CHECK_AFTER_S 2
#define TOUCH_EVERY_MS 10000
#define POLL_FIRST_US 1000
#define POLL_MAX_US 200000
/* A lock that is taken this often with no longer a pause between. */
#define SPARE_AFTER 20
#define SPARE_PAUSE_MS 1000

static unsigned serial;
static int64_t longest_ms;
static unsigned n_held; /* by this process */

const char *
dotlock_host(void)
{
	static char host[HOST_NAME_MAX + 1];

	if (host[0] == '\0' &&
	    (gethostname(host, sizeof(host) - 1) == -1 || host[0] == '\0'))
		memcpy(host, "localhost", sizeof("localhost"));
	return host;
}

/* What came of one attempt. */
enum attempt {
	TAKEN,
	BUSY,
	BROKEN, /* a stale one was removed: try again */
	FAILED,
};

static pid_t
named_pid(const struct dotlock_rules *rules)
{
	return rules->pid != 0 ? rules->pid : getpid();
}

/* Makes the file `name` in `at` with "pid:host" in it. */
static int
make_file(const struct dotlock_rules *rules, int at, const char *name,
    struct stat *st, struct err *e)
{
	const struct file_perm perm = {
	    .file_mode = rules->mode,
	    .gid = (gid_t)-1,
	};
	char text[HOST_NAME_MAX + 32];
	int n, fd = file_create(at, name, &perm, e);

	if (fd == -1)
		return -1;
	n = snprintf(text, sizeof(text), "%ld:%s", (long)named_pid(rules),
	    dotlock_host());
	if (file_write(fd, str_make(text, (size_t)n), e) == 0) {
		/* A lock that stays ours is a lock as well. */
		if (rules->give)
			(void)!fchown(fd, rules->owner, rules->group);
		if (fstat(fd, st) == 0)
			return fd;
		(void)err_sys(e, "fstat %s", name);
	}
	close(fd);
	(void)unlinkat(at, name, 0);
	return -1;
}

/* A new file that gets the lock's name by link. */
static int
make_temp(const struct dotlock_rules *rules, int dirfd, char name[64],
    struct stat *st, struct err *e)
{
	int at = rules->temp_dir == -1 ? dirfd : rules->temp_dir;

	(void)snprintf(name, 64, "%s%lld.L%uP%ld.lock",
	    rules->temp_dir == -1 ? ".restante." : "",
	    (long long)clock_wall_s(), ++serial, (long)getpid());
	return make_file(rules, at, name, st, e);
}

/*
 * Who the lock names: "12:host" as Dovecot and we write it, "12" as
 * liblockfile does; 0 and "" when it names nobody.
 */
static pid_t
named_in(int dirfd, const char *name, char host[HOST_NAME_MAX + 1])
{
	struct buf b;
	struct str text, pid_text;
	struct err e;
	uint32_t pid = 0;

	host[0] = '\0';
	buf_init(&b, HOST_NAME_MAX + 32);
	if (file_load(dirfd, name, &b, NULL, &e) == 0) {
		text = str_trim(buf_str(&b));
		(void)str_cut(&text, ':', &pid_text);
		if (!num_parse_u32(pid_text, 1, INT32_MAX, &pid))
			pid = 0;
		else if (!str_to_c(text, host, HOST_NAME_MAX + 1))
			host[0] = '\0';
	}
	buf_done(&b);
	return (pid_t)pid;
}

/* The process of this host that the lock names: 0 when it names none. */
static pid_t
holder_of(int dirfd, const char *name)
{
	char host[HOST_NAME_MAX + 1];
	pid_t pid = named_in(dirfd, name, host);

	return strcmp(host, dotlock_host()) == 0 ? pid : 0;
}

/* Seconds between two moments of the file system's clock. */
static int64_t
age_s(const struct timespec *now, const struct timespec *then)
{
	return (int64_t)now->tv_sec - then->tv_sec;
}

static int64_t
stamp_age_s(const struct timespec *now, const struct file_stamp *s)
{
	int64_t m = age_s(now, &s->mtime), c = age_s(now, &s->ctime);

	return m < c ? m : c;
}

/*
 * Is the lock that is there now stale? `now` is the time of a file just made
 * on the same file system. Remembers in `l` what it saw.
 */
static bool
is_stale(struct dotlock *l, const char *file, const struct dotlock_rules *rules,
    const struct timespec *now, const struct file_stamp *lock)
{
	struct file_stamp protected;
	int64_t now_ms = clock_mono_ms();
	pid_t pid;

	(void)file_stamp_at(l->dirfd, file, &protected);
	if (!file_stamp_eq(lock, &l->seen_lock) ||
	    !file_stamp_eq(&protected, &l->seen_file)) {
		l->seen_lock = *lock;
		l->seen_file = protected;
		l->seen_since_ms = now_ms;
	}
	pid = holder_of(l->dirfd, l->name);
	/* Our own number in a lock that we do not hold: an earlier process. */
	if (pid == getpid() && n_held == 0)
		return true;
	if (pid != 0 && age_s(now, &lock->mtime) >= PID_CHECK_AFTER_S)
		return kill(pid, 0) == -1 && errno == ESRCH;
	if (pid != 0)
		return false;
	if (now_ms - l->seen_since_ms >= (int64_t)rules->stale_s * 1000)
		return true;
	return stamp_age_s(now, lock) >= rules->stale_s &&
	    (protected.ino == 0 ||
		stamp_age_s(now, &protected) >= rules->stale_s);
}

/* Removes the stale lock unless it has just been replaced by a fresh one. */
static bool
break_lock(struct dotlock *l, const struct file_stamp *lock)
{
	struct file_stamp again;

	if (!file_stamp_at(l->dirfd, l->name, &again) ||
	    !file_stamp_eq(lock, &again))
		return false;
	return unlinkat(l->dirfd, l->name, 0) == 0 || errno == ENOENT;
}

static void
is_taken(struct dotlock *l, int fd, const struct stat *st, pid_t pid)
{
	char text[24];

	l->dev = st->st_dev;
	l->ino = st->st_ino;
	l->fd = fd;
	l->held = true;
	(void)snprintf(text, sizeof(text), "%ld", (long)pid);
	l->first = text[0];
	n_held++;
	l->touched_ms = clock_mono_ms();
	l->n_soon =
	    l->touched_ms - l->taken_ms < SPARE_PAUSE_MS ? l->n_soon + 1 : 0;
	l->taken_ms = l->touched_ms;
	l->seen_lock = l->seen_file = (struct file_stamp){0};
}

/* Somebody has it; breaks it when it is stale. `now`: the file system's. */
static enum attempt
look_at_other(struct dotlock *l, const char *file,
    const struct dotlock_rules *rules, const struct timespec *now)
{
	struct file_stamp lock;

	if (file_stamp_at(l->dirfd, l->name, &lock) && lock.ino != 0 &&
	    is_stale(l, file, rules, now, &lock) && break_lock(l, &lock))
		return BROKEN;
	return BUSY;
}

static enum attempt
attempt_exclusive(struct dotlock *l, const char *file,
    const struct dotlock_rules *rules, struct err *e)
{
	struct timespec now;
	struct stat st;
	int fd = make_file(rules, l->dirfd, l->name, &st, e);

	if (fd != -1) {
		is_taken(l, fd, &st, named_pid(rules));
		l->spare_dir = -1;
		return TAKEN;
	}
	if (e->code != ERR_EXISTS)
		return FAILED;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return look_at_other(l, file, rules, &now);
}

/* link(2) over NFS may have worked although its answer was lost. */
static bool
has_two_names(int at, const char *name)
{
	struct stat st;

	return fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_nlink == 2;
}

void
dotlock_rest(struct dotlock *l)
{
	l->n_soon = 0;
	if (!l->has_spare)
		return;
	l->has_spare = false;
	(void)unlinkat(l->spare_dir, l->spare, 0);
	close(l->fd);
}

/*
 * With the file of the last time, for making and removing one costs more than
 * all the rest. To others it looks like another: it has new times. False: it
 * is not to be used, and not there any more.
 */
static bool
attempt_spare(struct dotlock *l, const char *file,
    const struct dotlock_rules *rules, enum attempt *result)
{
	struct stat st;

	if (!l->has_spare)
		return false;
	if (rules->temp_dir != l->spare_dir || rules->mode != l->spare_mode ||
	    futimens(l->fd, NULL) == -1)
		goto drop;
	if (renameat2(l->spare_dir, l->spare, l->dirfd, l->name,
		RENAME_NOREPLACE) == 0) {
		st.st_dev = l->dev;
		st.st_ino = l->ino;
		l->has_spare = false;
		is_taken(l, l->fd, &st, named_pid(rules));
		*result = TAKEN;
		return true;
	}
	if (errno == EEXIST && fstat(l->fd, &st) == 0) {
		*result = look_at_other(l, file, rules, &st.st_mtim);
		return true;
	}
drop:
	dotlock_rest(l);
	return false;
}

/* Puts the file aside; false: it is to be removed. */
static bool
keep_spare(struct dotlock *l)
{
	if (l->n_soon < SPARE_AFTER || l->spare_dir == -1 ||
	    renameat2(l->dirfd, l->name, l->spare_dir, l->spare,
		RENAME_NOREPLACE) == -1)
		return false;
	l->has_spare = true;
	return true;
}

static enum attempt
attempt(struct dotlock *l, const char *file, const struct dotlock_rules *rules,
    struct err *e)
{
	char temp[64];
	struct stat st = {0};
	int at = rules->temp_dir == -1 ? l->dirfd : rules->temp_dir, fd;
	enum attempt result = FAILED;
	bool no_links = false;

	if (rules->exclusive)
		return attempt_exclusive(l, file, rules, e);
	if (attempt_spare(l, file, rules, &result))
		return result;
	fd = make_temp(rules, l->dirfd, temp, &st, e);
	if (fd == -1)
		return FAILED;
	if (linkat(at, temp, l->dirfd, l->name, 0) == 0 ||
	    (errno != EPERM && errno != EXDEV && has_two_names(at, temp))) {
		is_taken(l, fd, &st, named_pid(rules));
		memcpy(l->spare, temp, sizeof(l->spare));
		l->spare_dir = rules->temp_dir;
		l->spare_mode = rules->mode;
		result = TAKEN;
	} else if (errno == EEXIST) {
		result = look_at_other(l, file, rules, &st.st_mtim);
	} else if (errno == EPERM || errno == EOPNOTSUPP || errno == EMLINK) {
		no_links = true;
	} else {
		(void)err_sys(e, "link %s", l->name);
	}
	(void)unlinkat(at, temp, 0);
	if (result != TAKEN)
		close(fd);
	return no_links ? attempt_exclusive(l, file, rules, e) : result;
}

static void
sleep_us(int64_t us)
{
	struct timespec ts = {
	    .tv_sec = us / 1000000,
	    .tv_nsec = us % 1000000 * 1000,
	};

	(void)nanosleep(&ts, NULL);
}

/* Between half of `us` and all of it, so that two waiters part. */
static int64_t
jitter(int64_t us)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return us / 2 + (ts.tv_nsec / 100 + getpid() * 7919) % (us / 2 + 1);
}

static void
set_name(struct dotlock *l, int dirfd, const char *name)
{
	ASSERT(!l->held);
	l->dirfd = dirfd;
	(void)snprintf(l->name, sizeof(l->name), "%s.lock", name);
}

enum lock_step
dotlock_try(struct dotlock *l, int dirfd, const char *name,
    const struct dotlock_rules *rules, int64_t *retry_ms, struct err *e)
{
	set_name(l, dirfd, name);
	switch (attempt(l, name, rules, e)) {
	case TAKEN:
		return LOCK_DONE;
	case FAILED:
		return LOCK_FAIL;
	case BROKEN:
		/* Others may have seen the same stale lock and be about to
		 * remove what we would make now. */
		*retry_ms = 1 + jitter(10000) / 1000;
		return LOCK_WAIT;
	case BUSY:
		break;
	}
	*retry_ms = jitter(POLL_MAX_US) / 1000;
	return LOCK_WAIT;
}

int
dotlock_take(struct dotlock *l, int dirfd, const char *name,
    const struct dotlock_rules *rules, int64_t wait_ms, struct err *e)
{
	int64_t deadline = clock_mono_ms() + wait_ms, poll_us = POLL_FIRST_US;
	char holder[DOTLOCK_HOLDER_MAX];

	set_name(l, dirfd, name);
	for (;;) {
		switch (attempt(l, name, rules, e)) {
		case TAKEN:
			return 0;
		case FAILED:
			return -1;
		case BROKEN:
			if (wait_ms > 0) {
				sleep_us(jitter(10000));
				continue;
			}
			break;
		case BUSY:
			break;
		}
		if (clock_mono_ms() >= deadline)
			break;
		sleep_us(jitter(poll_us));
		poll_us = poll_us * 3 / 2 < POLL_MAX_US ? poll_us * 3 / 2
							: POLL_MAX_US;
	}
	dotlock_holder(dirfd, name, holder);
	return err_set(e, ERR_IN_USE, "%s is held%s%s", l->name,
	    holder[0] != '\0' ? " by " : "", holder);
}

bool
dotlock_adopt(struct dotlock *l, int dirfd, const char *name, dev_t dev,
    ino_t ino, pid_t pid)
{
	struct stat st;
	struct err e;
	int fd;

	set_name(l, dirfd, name);
	/* Its content may be written again, nothing else is done with it. */
	fd = openat(dirfd, l->name,
	    O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd == -1)
		fd = file_open(dirfd, l->name, &st, &e);
	if (fd == -1)
		return false;
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) ||
	    (ino != 0 && (st.st_dev != dev || st.st_ino != ino)) ||
	    holder_of(dirfd, l->name) != pid) {
		close(fd);
		return false;
	}
	is_taken(l, fd, &st, pid);
	l->spare_dir = -1;
	return true;
}

void
dotlock_holder(int dirfd, const char *name, char out[DOTLOCK_HOLDER_MAX])
{
	char lock[DOTLOCK_NAME_MAX], host[HOST_NAME_MAX + 1];
	struct stat st;
	pid_t pid;
	int64_t age;

	out[0] = '\0';
	(void)snprintf(lock, sizeof(lock), "%s.lock", name);
	if (fstatat(dirfd, lock, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return;
	pid = named_in(dirfd, lock, host);
	/* A lock comes from outside: the log gets no more than a name. */
	for (char *c = host; *c != '\0'; c++)
		if (*c <= ' ' || *c > '~')
			*c = '?';
	age = clock_wall_s() - (int64_t)st.st_mtim.tv_sec;
	age = age < 0 ? 0 : age;
	if (pid != 0)
		(void)snprintf(out, DOTLOCK_HOLDER_MAX,
		    "process %ld%s%.64s, touched %lld s ago", (long)pid,
		    host[0] != '\0' ? " of host " : "", host, (long long)age);
	else
		(void)snprintf(out, DOTLOCK_HOLDER_MAX,
		    "uid %u, touched %lld s ago", (unsigned)st.st_uid,
		    (long long)age);
}

bool
dotlock_is_ours(const struct dotlock *l)
{
	struct file_stamp now;

	return l->held && file_stamp_at(l->dirfd, l->name, &now) &&
	    now.ino == l->ino && now.dev == l->dev;
}

bool
dotlock_touch(struct dotlock *l)
{
	if (!dotlock_is_ours(l))
		return false;
	l->touched_ms = clock_mono_ms();
	/* A lock that was given away is still changed by writing to it. */
	if (futimens(l->fd, NULL) == -1)
		(void)!pwrite(l->fd, &l->first, 1, 0);
	return true;
}

void
dotlock_keep(struct dotlock *l)
{
	if (l->held && clock_mono_ms() - l->touched_ms >= TOUCH_EVERY_MS) {
		l->touched_ms = clock_mono_ms();
		(void)dotlock_touch(l);
	}
}

void
dotlock_release(struct dotlock *l)
{
	if (dotlock_is_ours(l) && !keep_spare(l))
		(void)unlinkat(l->dirfd, l->name, 0);
	if (l->held) {
		int64_t ms = clock_mono_ms() - l->taken_ms;

		longest_ms = ms > longest_ms ? ms : longest_ms;
		n_held--;
		if (!l->has_spare)
			close(l->fd);
	}
	l->held = false;
}

int64_t
dotlock_longest_ms(void)
{
	return longest_ms;
}
