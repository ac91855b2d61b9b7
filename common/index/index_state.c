/* SPDX-License-Identifier: ISC */
/*
 * index_state.c - can the database be believed?
 *
 * Owns:    the file "state", the handler for crashes.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing in the file; what it can not be is "new".
 *
 * 1. Commits are not synced. So before the first one after a clean close the
 *    file says "not clean", durably; a database that is not clean and from
 *    before a reboot is forgotten.
 * 2. A damaged database can crash its reader. The handler says so here, and
 *    who opens it next puts the database aside.
 * 3. The file names the database by its inode: one that somebody put there
 *    does not count, and never meets the lock file of another.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "index/index_key.h"
#include "index/index_state.h"

#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"
#define LOCK_TRIES 100
#define LOCK_STEP_NS 10000000

struct content {
	char magic[8];
	uint32_t version;
	uint32_t order; /* shows the byte order */
	char boot_id[40];
	uint64_t dev, ino; /* of data.mdb; 0: not made yet */
	int64_t damaged_s;
	uint32_t sum; /* of what stands above */
	/* Written alone, thus not in the sum. */
	uint8_t is_clean, is_damaged, pad[2];
};

#define MAGIC "RSTIDX\r\n"
#define ORDER UINT32_C(0x01020304)

/* ---- boot ---------------------------------------------------------------- */

const char *
index_state_boot(void)
{
	static char text[40];
	ssize_t n;
	int fd;

	if (text[0] != '\0')
		return text;
	fd = open(BOOT_ID_FILE, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return text; /* like no other: only a clean one is believed */
	n = read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	close(fd);
	return text;
}

/* ---- the file ------------------------------------------------------------ */

static uint32_t
sum_of(const struct content *c)
{
	return (uint32_t)index_sum(
	    INDEX_VERSION, str_make(c, offsetof(struct content, sum)));
}

static bool
load(const struct index_state *s, struct content *c)
{
	return pread(s->fd, c, sizeof(*c), 0) == (ssize_t)sizeof(*c) &&
	    memcmp(c->magic, MAGIC, sizeof(c->magic)) == 0 &&
	    c->version == INDEX_VERSION && c->order == ORDER &&
	    c->sum == sum_of(c);
}

static int
save(struct index_state *s, struct content *c, struct err *e)
{
	memcpy(c->magic, MAGIC, sizeof(c->magic));
	c->version = INDEX_VERSION;
	c->order = ORDER;
	memset(c->boot_id, 0, sizeof(c->boot_id));
	memcpy(c->boot_id, index_state_boot(), strlen(index_state_boot()));
	c->sum = sum_of(c);
	if (pwrite(s->fd, c, sizeof(*c), 0) != (ssize_t)sizeof(*c))
		return err_sys(e, "index state");
	return 0;
}

int
index_state_open(int dirfd, struct index_state *s, struct err *e)
{
	const struct timespec step = {.tv_nsec = LOCK_STEP_NS};
	struct stat st, named;

	for (int i = 0; i < LOCK_TRIES; i++) {
		s->fd = openat(dirfd, "state",
		    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
		    0600);
		if (s->fd == -1)
			return err_sys(e, "index state");
		if (fstat(s->fd, &st) == 0 && !S_ISREG(st.st_mode)) {
			close(s->fd);
			return err_set(e, ERR_CORRUPT, "index state: no file");
		}
		if (flock(s->fd, LOCK_EX | LOCK_NB) == 0 &&
		    fstatat(dirfd, "state", &named, AT_SYMLINK_NOFOLLOW) == 0 &&
		    named.st_ino == st.st_ino && named.st_dev == st.st_dev)
			return 0;
		close(s->fd);
		s->fd = -1;
		(void)nanosleep(&step, NULL);
	}
	return err_set(e, ERR_IN_USE, "index state: locked");
}

void
index_state_close(struct index_state *s)
{
	if (s->fd != -1)
		close(s->fd);
	s->fd = -1;
}

bool
index_state_lock(struct index_state *s)
{
	const struct timespec step = {.tv_nsec = LOCK_STEP_NS};

	for (int i = 0; i < LOCK_TRIES; i++) {
		if (flock(s->fd, LOCK_EX | LOCK_NB) == 0)
			return true;
		(void)nanosleep(&step, NULL);
	}
	return false;
}

void
index_state_unlock(struct index_state *s)
{
	(void)flock(s->fd, LOCK_UN);
}

enum index_verdict
index_state_judge(struct index_state *s, int dirfd)
{
	struct content c;
	struct stat st;

	if (!load(s, &c))
		return INDEX_STATE_NEW;
	if (c.is_damaged)
		return INDEX_STATE_DAMAGED;
	if (fstatat(dirfd, "data.mdb", &st, AT_SYMLINK_NOFOLLOW) == -1 ||
	    !S_ISREG(st.st_mode) || c.ino != st.st_ino || c.dev != st.st_dev)
		return INDEX_STATE_NEW;
	if (!c.is_clean &&
	    (index_state_boot()[0] == '\0' ||
		strncmp(c.boot_id, index_state_boot(), sizeof(c.boot_id)) != 0))
		return INDEX_STATE_NEW;
	return INDEX_STATE_GOOD;
}

int64_t
index_state_damaged_s(const struct index_state *s)
{
	struct content c;

	return load(s, &c) ? c.damaged_s : 0;
}

int
index_state_reset(struct index_state *s, int64_t damaged_s, struct err *e)
{
	struct content c = {.damaged_s = damaged_s};

	if (ftruncate(s->fd, 0) == -1)
		return err_sys(e, "index state");
	return save(s, &c, e);
}

int
index_state_adopt(struct index_state *s, int dirfd, struct err *e)
{
	struct content c;
	struct stat st;

	if (!load(s, &c))
		return err_set(e, ERR_CORRUPT, "index state: changed");
	if (fstatat(dirfd, "data.mdb", &st, AT_SYMLINK_NOFOLLOW) == -1)
		return err_sys(e, "index");
	/* A clean one stays so until the first write: the sync for that is
	 * its business. */
	if (c.ino == st.st_ino && c.dev == st.st_dev)
		return 0;
	c.ino = st.st_ino;
	c.dev = st.st_dev;
	return save(s, &c, e);
}

bool
index_state_is_same(const struct index_state *s, int dirfd)
{
	struct stat data, own, named;
	struct content c;

	return fstat(s->fd, &own) == 0 && own.st_nlink > 0 &&
	    fstatat(dirfd, "state", &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	    named.st_ino == own.st_ino &&
	    fstatat(dirfd, "data.mdb", &data, AT_SYMLINK_NOFOLLOW) == 0 &&
	    load(s, &c) && !c.is_damaged && c.ino == data.st_ino &&
	    c.dev == data.st_dev;
}

bool
index_state_is_clean(const struct index_state *s)
{
	uint8_t clean = 0;

	return pread(s->fd, &clean, 1, offsetof(struct content, is_clean)) ==
	    1 &&
	    clean != 0;
}

int
index_state_set_clean(struct index_state *s, bool clean, struct err *e)
{
	struct content c;

	if (!load(s, &c))
		return err_set(e, ERR_CORRUPT, "index state: changed");
	c.is_clean = clean;
	if (save(s, &c, e) == -1)
		return -1;
	return fdatasync(s->fd) == -1 ? err_sys(e, "index state") : 0;
}

/* ---- crashes ------------------------------------------------------------- */

static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGABRT};
static struct sigaction before[ARRAY_LEN(crash_signals)];
static volatile sig_atomic_t inside_fd = -1;
static bool has_handler;

void
index_state_mark_damaged(const struct index_state *s)
{
	const uint8_t yes = 1;

	if (s->fd != -1 &&
	    pwrite(s->fd, &yes, 1, offsetof(struct content, is_damaged)) != 1)
		return;
}

static void
on_crash(int signo)
{
	const struct index_state s = {.fd = (int)inside_fd};

	index_state_mark_damaged(&s);
	/* Back to what was there: the fault happens again. */
	for (size_t i = 0; i < ARRAY_LEN(crash_signals); i++)
		if (crash_signals[i] == signo)
			(void)sigaction(signo, &before[i], NULL);
}

void
index_state_enter(const struct index_state *s)
{
	if (!has_handler) {
		struct sigaction sa = {.sa_handler = on_crash};

		has_handler = true;
		for (size_t i = 0; i < ARRAY_LEN(crash_signals); i++)
			(void)sigaction(crash_signals[i], &sa, &before[i]);
	}
	inside_fd = s->fd;
}

void
index_state_leave(void)
{
	inside_fd = -1;
}
