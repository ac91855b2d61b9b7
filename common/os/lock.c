/* SPDX-License-Identifier: ISC */
/*
 * lock.c - takes, keeps and breaks dotlocks.
 *
 * Owns:    NAME.lock while it holds it.
 * Runs in: mail processes, as the mail user.
 * Trusts:  the content of a lock file only so far as to ask the kernel for a
 *          process of that number.
 * Spec:    formats.md 2.3.
 *
 * Invariant: the lock file appears under its name by link(2), so it is never
 * seen without its "pid:host", not even when we are killed on the way.
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

/* Writes "pid:host" to a new file that gets the lock's name by link. */
static int
make_temp(const struct dotlock_rules *rules, int dirfd, char name[64],
    struct stat *st, struct err *e)
{
	const struct file_perm perm = {
	    .file_mode = rules->mode,
	    .gid = (gid_t)-1,
	};
	int at = rules->temp_dir == -1 ? dirfd : rules->temp_dir, fd;
	char text[HOST_NAME_MAX + 32];
	int n;

	(void)snprintf(name, 64, "%s%lld.L%uP%ld.lock",
	    rules->temp_dir == -1 ? ".restante." : "",
	    (long long)clock_wall_s(), ++serial, (long)getpid());
	fd = file_create(at, name, &perm, e);
	if (fd == -1)
		return -1;
	n = snprintf(
	    text, sizeof(text), "%ld:%s", (long)getpid(), dotlock_host());
	if (file_write(fd, str_make(text, (size_t)n), e) == 0) {
		if (fstat(fd, st) == 0)
			return fd;
		(void)err_sys(e, "fstat %s", name);
	}
	close(fd);
	(void)unlinkat(at, name, 0);
	return -1;
}

/* The process that the lock names: 0 when it names none of this host. */
static pid_t
holder_of(int dirfd, const char *name)
{
	struct buf b;
	struct str text, pid_text;
	struct err e;
	uint32_t pid = 0;

	buf_init(&b, HOST_NAME_MAX + 32);
	if (file_load(dirfd, name, &b, NULL, &e) == 0) {
		text = str_trim(buf_str(&b));
		if (!str_cut(&text, ':', &pid_text) ||
		    !str_eq(text, str_of(dotlock_host())) ||
		    !num_parse_u32(pid_text, 1, INT32_MAX, &pid))
			pid = 0;
	}
	buf_done(&b);
	return (pid_t)pid;
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

static enum attempt
attempt(struct dotlock *l, const char *file, const struct dotlock_rules *rules,
    struct err *e)
{
	char temp[64];
	struct stat st = {0};
	struct file_stamp lock;
	int at = rules->temp_dir == -1 ? l->dirfd : rules->temp_dir;
	int fd = make_temp(rules, l->dirfd, temp, &st, e);
	enum attempt result;

	if (fd == -1)
		return FAILED;
	if (linkat(at, temp, l->dirfd, l->name, 0) == 0) {
		l->dev = st.st_dev;
		l->ino = st.st_ino;
		l->fd = fd;
		result = TAKEN;
	} else if (errno == EEXIST) {
		result = BUSY;
		if (file_stamp_at(l->dirfd, l->name, &lock) && lock.ino != 0 &&
		    is_stale(l, file, rules, &st.st_mtim, &lock) &&
		    break_lock(l, &lock))
			result = BROKEN;
	} else {
		(void)err_sys(e, "link %s", l->name);
		result = FAILED;
	}
	(void)unlinkat(at, temp, 0);
	if (result != TAKEN)
		close(fd);
	return result;
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

int
dotlock_take(struct dotlock *l, int dirfd, const char *name,
    const struct dotlock_rules *rules, int64_t wait_ms, struct err *e)
{
	int64_t deadline = clock_mono_ms() + wait_ms, poll_us = POLL_FIRST_US;

	ASSERT(!l->held);
	l->dirfd = dirfd;
	(void)snprintf(l->name, sizeof(l->name), "%s.lock", name);
	for (;;) {
		switch (attempt(l, name, rules, e)) {
		case TAKEN:
			l->held = true;
			n_held++;
			l->taken_ms = l->touched_ms = clock_mono_ms();
			l->seen_lock = l->seen_file = (struct file_stamp){0};
			return 0;
		case FAILED:
			return -1;
		case BROKEN:
			/* Others may have seen the same stale lock and be
			 * about to remove what we would make now. */
			sleep_us(jitter(10000));
			continue;
		case BUSY:
			break;
		}
		if (clock_mono_ms() >= deadline)
			return err_set(e, ERR_IN_USE, "%s is held", l->name);
		sleep_us(jitter(poll_us));
		poll_us = poll_us * 3 / 2 < POLL_MAX_US ? poll_us * 3 / 2
							: POLL_MAX_US;
	}
}

bool
dotlock_is_ours(const struct dotlock *l)
{
	struct file_stamp now;

	return l->held && file_stamp_at(l->dirfd, l->name, &now) &&
	    now.ino == l->ino && now.dev == l->dev;
}

void
dotlock_keep(struct dotlock *l)
{
	int64_t now = clock_mono_ms();

	if (!l->held || now - l->touched_ms < TOUCH_EVERY_MS)
		return;
	l->touched_ms = now;
	if (dotlock_is_ours(l))
		(void)utimensat(l->dirfd, l->name, NULL, AT_SYMLINK_NOFOLLOW);
}

void
dotlock_release(struct dotlock *l)
{
	if (dotlock_is_ours(l))
		(void)unlinkat(l->dirfd, l->name, 0);
	if (l->held) {
		int64_t ms = clock_mono_ms() - l->taken_ms;

		longest_ms = ms > longest_ms ? ms : longest_ms;
		n_held--;
		close(l->fd);
	}
	l->held = false;
}

int64_t
dotlock_longest_ms(void)
{
	return longest_ms;
}
